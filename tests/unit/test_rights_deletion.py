"""Deletion: days in which it can be called off, then nothing says who it was; on both databases, and in races."""

import threading
from collections.abc import Callable

import pytest
from attrs import evolve

from bootstrap.database import Database
from bootstrap.mail.outbox import queue_mail
from bootstrap.money.grants import grant_credits
from bootstrap.money.payouts import ask_payout
from bootstrap.money.subscriptions import start_subscription, subscription
from bootstrap.people.access_log import note_access
from bootstrap.people.links import make_link
from bootstrap.people.origin import Origin
from bootstrap.people.rights import PEOPLE
from bootstrap.people.sessions import begin_session
from bootstrap.people.signing_in import remember_browser
from bootstrap.people.tokens import make_token
from bootstrap.refusal import NotFound, Refused
from bootstrap.rights import deletion
from bootstrap.rights.choices import object_to
from bootstrap.rights.contact import write_message
from bootstrap.rights.deletion import (
    COOLING_OFF_S,
    ask_deletion,
    call_off_deletion,
    deletion_under_way,
    due_deletions,
    erase_again,
    erase_if_due,
    preview_deletion,
)
from bootstrap.rights.domain import Pending
from bootstrap.rights.requests import Request, request_of
from tests.accounts import everything, make_account, make_host
from tests.money_house import House

NOW = 2_000_000
FROM = Origin("203.0.113.0/24", "Firefox")


def ask(database: Database, account: str) -> Request:
    return database.write(lambda transaction: ask_deletion(transaction, account, now_s=NOW))


def erase(database: Database, request: Request, now_s: int = NOW + COOLING_OFF_S) -> bool:
    return database.write(lambda transaction: erase_if_due(transaction, request.id, now_s=now_s))


def traces(database: Database, *words: str) -> list[str]:
    """Where in the database one of the words still is, the mail that says goodbye left aside."""
    return [
        f"{table}: {word}"
        for table, rows in everything(database, but=("mail",)).items()
        for word in words
        if word.lower() in repr(rows).lower()
    ]


def person_with_traces(database: Database, name: str = "ann") -> str:
    account = make_account(database, name, "host", profile="I row on the lake.")

    def live(transaction) -> None:
        begin_session(transaction, account, FROM, NOW)
        make_token(transaction, account, f"{name}s secret token", ["account"], 30, NOW)
        make_link(transaction, "change_email", account, f"{name}.new@mail.example", NOW)
        queue_mail(transaction, to=f"{name}.new@mail.example", subject="New", body="Open this", now_s=NOW)
        object_to(transaction, account, "sign_in_security", "My secret reason.", now_s=NOW)
        note_access(transaction, "looked", now_s=NOW, by=account, about=account, origin=FROM)
        remember_browser(transaction, account, None, NOW)
        grant_credits(transaction, account, 1, f"for the secret work of {name}", by=account, now_s=NOW)
        for by in (account, None):
            write_message(
                transaction,
                account_id=by,
                reply_to=f"{name}@mail.example",
                topic="other",
                words="My secret message.",
                trap="",
                origin=FROM,
                now_s=NOW,
            )

    database.write(live)
    make_host(database, account, name=f"{name} on the lake")
    return account


def test_nothing_says_who_it_was(database: Database):
    ann = person_with_traces(database)
    words = (
        "ann@mail.example",
        "ann.new@",
        "Ann of Example",
        "GPU of ann",
        "region of ann",
        "model of ann",
        "lake",
        "secret",
        "hash of ann",
        "203.0.113",
    )
    assert len({trace.partition(": ")[2] for trace in traces(database, *words)}) == len(words)
    request = ask(database, ann)
    assert erase(database, request)
    assert traces(database, *words) == []
    row = database.read(lambda transaction: transaction.row("SELECT * FROM account WHERE id = :id", id=ann))
    assert row == (ann, "", f"erased {ann}", "", "", "", "erased", 0, None, "", 0)
    mails = database.read(lambda transaction: transaction.rows("SELECT recipient, subject FROM mail"))
    assert mails == [("ann@mail.example", "Your account is deleted")]
    assert database.read(lambda transaction: transaction.rows("SELECT id FROM known_browser")) == []


def test_nothing_more_is_taken_for_a_subscription(database: Database):
    house = House(database)
    ann = house.account()
    name = house.write(start_subscription, house.config, ann, "basic", house.now_s)
    house.settle()
    house.pay(f"subscription/{name}")
    house.settle()
    request = database.write(lambda transaction: ask_deletion(transaction, ann, now_s=house.now_s))
    house.step(COOLING_OFF_S)
    assert erase(database, request, house.now_s)
    house.settle(times=40, seconds=86_400)
    paid = database.read(lambda transaction: transaction.rows("SELECT state FROM purchase"))
    assert paid == [("cleared",)]
    assert house.read(subscription, name).state == "ended"


def test_others_stay_as_they_are(database: Database):
    ann, bob = person_with_traces(database), person_with_traces(database, "bob")
    before = {table: [row for row in rows if bob in row] for table, rows in everything(database).items()}
    assert sum(map(len, before.values())) > 5
    erase(database, ask(database, ann))
    after = {table: [row for row in rows if bob in row] for table, rows in everything(database).items()}
    assert after == before


def test_it_waits_for_its_day_and_can_be_called_off(database: Database):
    ann = make_account(database)
    request = ask(database, ann)
    assert not erase(database, request, NOW + COOLING_OFF_S - 1)
    assert database.read(lambda transaction: due_deletions(transaction, NOW + COOLING_OFF_S - 1)) == []
    database.write(lambda transaction: call_off_deletion(transaction, ann, now_s=NOW + 9))
    assert not erase(database, request)
    assert database.read(lambda transaction: request_of(transaction, request.id)).state == "withdrawn"
    with pytest.raises(Refused, match="no deletion"):
        database.write(lambda transaction: call_off_deletion(transaction, ann, now_s=NOW + 9))
    # And asked again.
    assert ask(database, ann).id != request.id


def test_it_is_done_once(database: Database):
    ann = make_account(database)
    request = ask(database, ann)
    assert [erase(database, request), erase(database, request)] == [True, False]
    with pytest.raises(NotFound):
        ask(database, ann)


def test_what_stays_is_said_before_and_on_the_receipt(database: Database):
    ann = make_account(database)
    request = ask(database, ann)
    preview = database.read(lambda transaction: preview_deletion(transaction, ann))
    assert [each.what for each in preview.locked] == ["Your requests about privacy (1), by their numbers and days"]
    erase(database, request)
    ended = database.read(lambda transaction: request_of(transaction, request.id))
    assert (ended.state, ended.ended_at_s) == ("done", NOW + COOLING_OFF_S)
    assert "three years" in ended.answer


def test_what_is_under_way_is_waited_for(database: Database, monkeypatch: pytest.MonkeyPatch):
    ann = make_account(database)
    waiting = [Pending("A payout is under way.", blocks=True)]
    slow = evolve(PEOPLE, pending=lambda _, __: list(waiting))
    monkeypatch.setattr(deletion, "DOMAINS", (*deletion.DOMAINS[:-1], slow))
    request = ask(database, ann)
    day = NOW + COOLING_OFF_S
    assert not erase(database, request, day)
    assert database.read(lambda transaction: due_deletions(transaction, day)) == []
    later = day + deletion.LOOK_AGAIN_S
    assert not erase(database, request, later)
    waiting.clear()
    assert erase(database, request, later + deletion.LOOK_AGAIN_S)


def test_the_only_operator_is_told_so(database: Database):
    olga = make_account(database, "olga", "operator")
    said = database.read(lambda transaction: preview_deletion(transaction, olga)).pending
    assert [each.what[:25] for each in said] == ["You are the only operator"]
    make_account(database, "otto", "operator")
    assert database.read(lambda transaction: preview_deletion(transaction, olga)).pending == []


def test_a_restored_backup_brings_nobody_back(database: Database):
    ann, bob = make_account(database), make_account(database, "bob")
    # The database is as it was before ann was erased.
    assert database.write(lambda transaction: erase_again(transaction, [ann, "nobody"], now_s=NOW)) == 1
    assert traces(database, "ann@mail.example") == []
    assert traces(database, "bob@mail.example") != []
    assert database.write(lambda transaction: erase_again(transaction, [ann], now_s=NOW)) == 0
    assert database.read(lambda transaction: deletion_under_way(transaction, bob)) is None


def at_once(*acts: Callable[[], object]) -> list[object]:
    """What several threads get that begin at the same time."""
    barrier = threading.Barrier(len(acts))
    results: list[object] = []

    def run(act: Callable[[], object]) -> None:
        barrier.wait()
        try:
            results.append(act())
        except Refused as refusal:
            results.append(refusal)

    threads = [threading.Thread(target=run, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_two_who_ask_at_once_have_asked_once(database: Database):
    ann = make_account(database)
    results = at_once(*[lambda: ask(database, ann).id] * 4)
    assert len(set(results)) == 1
    rows = database.read(lambda transaction: transaction.rows("SELECT id FROM rights_request"))
    assert rows == [(results[0],)]


def test_two_who_erase_at_once_erase_once(database: Database):
    ann = person_with_traces(database)
    request = ask(database, ann)
    assert sorted(at_once(*[lambda: erase(database, request)] * 4)) == [False, False, False, True]  # type: ignore[type-var]
    assert traces(database, "ann@mail.example") == []


def test_calling_off_and_erasing_at_once_have_one_outcome(database: Database):
    ann = make_account(database)
    request = ask(database, ann)
    at_once(
        lambda: erase(database, request),
        lambda: database.write(lambda transaction: call_off_deletion(transaction, ann, now_s=NOW + 9)),
    )
    ended = database.read(lambda transaction: request_of(transaction, request.id)).state
    gone = traces(database, "ann@mail.example") == []
    assert (ended, gone) in {("done", True), ("withdrawn", False)}


def test_a_payout_and_a_deletion_at_once_have_one_outcome(database: Database):
    """Either the payout was first and the deletion waits for it, or there is nobody left to pay."""
    house = House(database)
    ann = house.account()
    house.payee(ann)
    house.earn(ann, 100, at_s=house.now_s - 60 * 86400)
    request = database.write(lambda transaction: ask_deletion(transaction, ann, now_s=house.now_s))
    due = house.now_s + COOLING_OFF_S

    def pay() -> str:
        return database.write(lambda transaction: ask_payout(transaction, house.config, house.hosts, ann, due))

    results = at_once(lambda: erase(database, request, due), pay)
    state = database.read(lambda transaction: transaction.row("SELECT state FROM account WHERE id = :id", id=ann))
    payouts = database.read(lambda transaction: transaction.rows("SELECT state FROM payout"))
    assert (state, payouts) in [(("active",), [("pending",)]), (("erased",), [])], results
    house.now_s = due
    house.settle()
    erase(database, request, due + deletion.LOOK_AGAIN_S)
    assert traces(database, "ann@example.org") == []
    assert database.read(lambda transaction: transaction.rows("SELECT state FROM payout")) in [[("paid",)], []]
    house.assert_books_balance()


def test_what_money_is_under_way_is_waited_for(database: Database):
    house = House(database)
    ann = house.account()
    house.payee(ann)
    house.earn(ann, 100, at_s=house.now_s - 60 * 86400)
    request = database.write(lambda transaction: ask_deletion(transaction, ann, now_s=house.now_s))
    due = house.now_s + COOLING_OFF_S
    database.write(lambda transaction: ask_payout(transaction, house.config, house.hosts, ann, due))
    preview = database.read(lambda transaction: preview_deletion(transaction, ann))
    assert preview.waits
    assert not erase(database, request, due)
    house.now_s = due
    house.settle()
    assert erase(database, request, due + deletion.LOOK_AGAIN_S)
    ended = database.read(lambda transaction: request_of(transaction, request.id))
    assert "1 payouts" in ended.answer
    assert traces(database, "ann@example.org") == []
