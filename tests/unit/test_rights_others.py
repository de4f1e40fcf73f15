"""What others write: messages, reports that an account is a child's, and authorities' requests; on both databases."""

import pytest

from bootstrap.database import Database
from bootstrap.people.origin import Origin
from bootstrap.people.sessions import begin_session
from bootstrap.refusal import NotFound, Refused
from bootstrap.rights import contact
from bootstrap.rights.children import candidates, decide_report, file_report, open_reports, report_of
from bootstrap.rights.contact import answer_message, message_of, open_messages, write_message
from bootstrap.rights.deletion import ask_deletion, call_off_deletion
from bootstrap.rights.lawful import LAWFUL_KINDS, close_lawful, enter_lawful, lawful_counts, lawful_register
from bootstrap.rights.requests import DAY_S, DEADLINE_S
from tests.accounts import make_account
from tests.unit.test_rights_deletion import traces

NOW = 1_795_000_000
YEAR = 2026
FROM = Origin("203.0.113.0/24", "Firefox")


def write(database: Database, origin: Origin = FROM, *, account=None, trap: str = "", now_s: int = NOW) -> str:
    return database.write(
        lambda transaction: write_message(
            transaction,
            account_id=account,
            reply_to="reader@mail.example",
            topic="privacy",
            words="What do you hold?",
            trap=trap,
            origin=origin,
            now_s=now_s,
        )
    )


def mails(database: Database) -> list[tuple[str, str]]:
    return database.read(lambda transaction: transaction.rows("SELECT recipient, body FROM mail ORDER BY queued_at_s"))


def test_anybody_can_write_and_is_answered(database: Database):
    olga = make_account(database, "olga", "operator")
    number = write(database)
    assert mails(database) == [], "nobody has proved that address"
    (message,) = database.read(open_messages)
    assert (message.id, message.due_at_s, message.overdue(NOW + DEADLINE_S)) == (number, NOW + DEADLINE_S, False)
    database.write(lambda transaction: answer_message(transaction, number, "Nothing.", by=olga, now_s=NOW))
    assert [to for to, body in mails(database) if "Nothing." in body] == ["reader@mail.example"]
    with pytest.raises(Refused, match="already"):
        database.write(lambda transaction: answer_message(transaction, number, "Again.", by=olga, now_s=NOW))
    assert database.read(open_messages) == []


def test_who_has_an_account_gets_the_receipt_by_mail(database: Database):
    number = write(database, account=make_account(database))
    assert [to for to, body in mails(database) if number in body] == ["ann@mail.example"]


def test_a_program_that_fills_every_box_is_forgotten(database: Database):
    number = write(database, trap="buy")
    with pytest.raises(NotFound):
        database.read(lambda transaction: message_of(transaction, number))


def test_what_is_written_in_a_day_is_bounded(database: Database, monkeypatch: pytest.MonkeyPatch):
    for _ in range(contact.MAX_A_DAY_FROM_PREFIX):
        write(database)
    with pytest.raises(Refused, match="from where you are"):
        write(database)
    write(database, Origin("198.51.100.0/24", ""))
    write(database, now_s=NOW + DAY_S)
    monkeypatch.setattr(contact, "MAX_A_DAY", 3)
    with pytest.raises(Refused, match="very much"):
        write(database, Origin("192.0.2.0/24", ""))


def report(database: Database, about: str = "ann@mail.example") -> str:
    return database.write(
        lambda transaction: file_report(
            transaction,
            about=about,
            words="She is nine.",
            reporter="parent@mail.example",
            trap="",
            origin=FROM,
            now_s=NOW,
        )
    )


def decide(database: Database, number: str, account: str | None, by: str) -> None:
    database.write(lambda transaction: decide_report(transaction, number, account, by=by, now_s=NOW + 5))


def test_a_childs_account_is_erased_at_once_and_so_is_the_report(database: Database):
    ann, aud = make_account(database), make_account(database, "aud", "auditor")
    database.write(lambda transaction: begin_session(transaction, ann, FROM, NOW))
    number = report(database)
    found = database.read(lambda transaction: candidates(transaction, report_of(transaction, number)))
    assert [each.account_id for each in found] == [ann]
    decide(database, number, ann, aud)
    assert traces(database, "ann@mail.example", "Ann of Example", "nine", "parent@mail.example", "203.0.113") == []
    assert database.read(open_reports) == []
    assert database.read(lambda transaction: transaction.rows("SELECT account_id, why FROM erasure")) == [
        (ann, "child")
    ]
    with pytest.raises(Refused, match=r"already|not about"):
        decide(database, number, ann, aud)


def test_a_report_that_is_dismissed_leaves_the_account_and_nothing_of_the_reporter(database: Database):
    make_account(database)
    olga = make_account(database, "olga", "operator")
    number = report(database)
    decide(database, number, None, olga)
    assert traces(database, "nine", "parent@mail.example") == []
    assert traces(database, "Ann of Example") != []


def test_who_is_reported_does_not_decide_and_others_are_not_erased_by_it(database: Database):
    olga, otto = make_account(database, "olga", "operator"), make_account(database, "otto", "operator")
    number = report(database, "olga@mail.example")
    with pytest.raises(Refused, match="your own"):
        decide(database, number, olga, olga)
    with pytest.raises(Refused, match="not about"):
        decide(database, number, otto, olga)
    assert len(database.read(open_reports)) == 1


def test_a_childs_deletion_is_not_called_off(database: Database, monkeypatch: pytest.MonkeyPatch):
    ann, olga = make_account(database), make_account(database, "olga", "operator")
    database.write(lambda transaction: ask_deletion(transaction, ann, now_s=NOW))
    monkeypatch.setattr("bootstrap.rights.deletion.erase_if_due", lambda *_, **__: False)
    decide(database, report(database), ann, olga)
    with pytest.raises(Refused, match="decided"):
        database.write(lambda transaction: call_off_deletion(transaction, ann, now_s=NOW))
    state = database.read(lambda transaction: transaction.row("SELECT state FROM account WHERE id = :id", id=ann))
    assert state == ("suspended",)


def enter(database: Database, by: str, *, kind: str = "account", received_at_s: int = NOW) -> str:
    return database.write(
        lambda transaction: enter_lawful(
            transaction,
            kind=kind,
            authority="District court",
            country="CH",
            summary="Who has an account",
            received_at_s=received_at_s,
            by=by,
            now_s=NOW,
        )
    )


def test_one_enters_a_lawful_request_and_another_closes_it(database: Database):
    olga, aud = make_account(database, "olga", "operator"), make_account(database, "aud", "auditor")
    number = enter(database, olga)

    def close(by: str) -> None:
        database.write(lambda transaction: close_lawful(transaction, number, "refused", by=by, now_s=NOW + 9))

    with pytest.raises(Refused, match="you entered"):
        close(olga)
    close(aud)
    with pytest.raises(Refused, match="closed already"):
        close(aud)
    (entry,) = database.read(lawful_register)
    assert (entry.state, entry.closed_by) == ("refused", aud)


def test_the_public_counts_show_zeros_and_all_years(database: Database):
    olga = make_account(database, "olga", "operator")
    nothing = database.read(lambda transaction: lawful_counts(transaction, NOW))
    assert [(count.year, count.kind, count.received) for count in nothing] == [
        (YEAR, kind, 0) for kind in LAWFUL_KINDS
    ]
    enter(database, olga)
    enter(database, olga, kind="removal", received_at_s=NOW - 2 * 365 * DAY_S)
    counts = database.read(lambda transaction: lawful_counts(transaction, NOW))
    assert len(counts) == 3 * len(LAWFUL_KINDS)
    assert {(count.year, count.kind) for count in counts if count.received} == {(2026, "account"), (2024, "removal")}


@pytest.mark.parametrize(("kind", "at_s"), [("secret", NOW), ("account", NOW + 1), ("account", 0)])
def test_what_is_no_lawful_request_is_not_entered(database: Database, kind: str, at_s: int):
    olga = make_account(database, "olga", "operator")
    with pytest.raises(Refused):
        enter(database, olga, kind=kind, received_at_s=at_s)
    assert database.read(lawful_register) == []
