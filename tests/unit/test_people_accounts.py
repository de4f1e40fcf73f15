"""Accounts, from asking for one to changing what is in it, on both databases."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from attrs import frozen

from bootstrap.database import Database, Transaction, UniqueViolation
from bootstrap.people import accounts, roles
from bootstrap.people.access_log import accesses, accesses_about
from bootstrap.people.accounts import Wanted, account_by_address, account_of
from bootstrap.people.addresses import parse_address
from bootstrap.people.letters import Letters
from bootstrap.people.links import find_link
from bootstrap.people.sessions import begin_session, sessions_of, visitor_of_session
from bootstrap.people.tidying import tidy
from bootstrap.people.tokens import make_token, tokens_of, visitor_of_token
from bootstrap.refusal import NotFound, Refused
from tests.people_made import FROM, HASH, add_account, key_in, mails

NOW = 1_800_000_000
HOUR = 3600
LETTERS = Letters("https://peernet.example", "Example operators")
ANN = parse_address("Ann@example.org")
NEW_HASH = "another hash"


@frozen
class Office:
    """The functions of `accounts`, on one database."""

    database: Database

    def do(self, work: Callable[..., Any], *arguments: Any, **more: Any) -> Any:
        return self.database.write(lambda transaction: work(transaction, *arguments, **more))

    def sign_up(self, email: str = "Ann@example.org", now_s: int = NOW, name: str = "Ann") -> None:
        wanted = Wanted(parse_address(email), name, "", HASH, "1")
        self.do(accounts.sign_up, LETTERS, wanted, FROM, now_s)

    def account(self, email: str = "ann@example.org") -> Any:
        return self.do(account_by_address, email)

    def mails(self) -> list[tuple[str, str, str]]:
        return mails(self.database)

    def clear_mails(self) -> None:
        self.do(lambda transaction: transaction.execute("DELETE FROM mail"))

    def key(self) -> str:
        """What the link in the newest mail carries."""
        return key_in(self.mails()[-1][2])


@pytest.fixture
def office(database: Database) -> Iterator[Office]:
    return Office(database)


def at_once(*works: Callable[[], Any]) -> list[Any]:
    """What each returns, or the refusal that it raises, run in threads at one time."""
    outcomes: list[Any] = [None] * len(works)
    start = threading.Barrier(len(works))

    def run(number: int) -> None:
        start.wait()
        try:
            outcomes[number] = works[number]()
        except (Refused, UniqueViolation) as error:
            outcomes[number] = error

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


def test_who_signs_up_waits_for_a_link(office: Office):
    office.sign_up()
    account = office.account()
    assert (account.state, account.email, account.notice_version) == ("unverified", "Ann@example.org", "1")
    [(to, _, body)] = office.mails()
    assert to == "Ann@example.org"
    assert "https://peernet.example/verify?key=" in body
    office.do(accounts.confirm_address, office.key(), account.id, FROM, NOW + 1)
    assert office.account().state == "active"
    assert office.account().verified_at_s == NOW + 1


def test_no_mail_has_what_a_stranger_chose(office: Office):
    office.sign_up(name="Win money at evil.example")
    office.sign_up(name="Win money at evil.example")
    assert len(office.mails()) == 2
    assert "evil" not in repr(office.mails())


def test_a_link_is_good_once_and_for_a_while(office: Office):
    office.sign_up()
    account, key = office.account(), office.key()
    with pytest.raises(Refused, match="too old"):
        office.do(accounts.confirm_address, key, account.id, FROM, NOW + 3 * 24 * HOUR)
    with pytest.raises(Refused, match="too old"):
        office.do(accounts.confirm_address, key + "x", account.id, FROM, NOW + 1)
    office.do(accounts.confirm_address, key, account.id, FROM, NOW + 1)
    with pytest.raises(Refused, match="was used"):
        office.do(accounts.confirm_address, key, account.id, FROM, NOW + 2)


def test_a_link_is_for_one_purpose_and_one_account(office: Office):
    office.sign_up()
    key, bob = office.key(), add_account(office.database, "bob@example.org")
    with pytest.raises(Refused, match="another account"):
        office.do(accounts.confirm_address, key, bob, FROM, NOW + 1)
    with pytest.raises(Refused, match="was used"):
        office.do(accounts.choose_password, LETTERS, key, NEW_HASH, FROM, NOW + 1)
    assert office.account().state == "unverified"
    office.do(accounts.confirm_address, key, office.account().id, FROM, NOW + 1)  # nothing used it up


def test_a_link_to_an_address_that_was_given_up_confirms_nothing(office: Office):
    office.sign_up()
    account, key = office.account(), office.key()
    office.do(lambda transaction: transaction.execute("UPDATE account SET email_key = 'other@example.org'"))
    with pytest.raises(Refused, match="another account"):
        office.do(accounts.confirm_address, key, account.id, FROM, NOW + 1)
    assert office.do(account_of, account.id).state == "unverified"


def test_a_newer_link_ends_the_older(office: Office):
    office.sign_up()
    first, account = office.key(), office.account()
    office.clear_mails()
    office.do(accounts.resend_link, LETTERS, account.id, NOW + 1)
    with pytest.raises(Refused):
        office.do(accounts.confirm_address, first, account.id, FROM, NOW + 2)
    office.do(accounts.confirm_address, office.key(), account.id, FROM, NOW + 2)


def test_the_database_has_no_link_and_no_token(office: Office):
    office.sign_up()
    key = office.key()
    _, token = office.do(make_token, office.account().id, "x", ["account"], 1, NOW)
    office.clear_mails()
    rows = office.do(
        lambda transaction: [
            transaction.rows(f"SELECT * FROM {table}") for table in ("mail_link", "api_token", "account", "access_log")
        ]
    )
    assert rows[0]
    assert rows[1]
    assert key not in repr(rows)
    assert token not in repr(rows)
    assert token.removeprefix("pnt_") not in repr(rows)


def test_two_confirmations_at_once_use_a_link_once(office: Office):
    office.sign_up()
    account, key = office.account(), office.key()
    outcomes = at_once(*[lambda: office.do(accounts.confirm_address, key, account.id, FROM, NOW + 1)] * 4)
    assert sum(outcome is None for outcome in outcomes) == 1
    assert all(outcome is None or outcome.reason == "bad_link" for outcome in outcomes)


def test_two_recoveries_at_once_use_a_link_once(office: Office):
    add_account(office.database)
    office.do(accounts.start_recovery, LETTERS, ANN, FROM, NOW)
    key = office.key()
    works = [
        lambda number=number: office.do(accounts.choose_password, LETTERS, key, f"hash {number}", FROM, NOW + 1)
        for number in range(4)
    ]
    outcomes = at_once(*works)
    winners = [number for number, outcome in enumerate(outcomes) if isinstance(outcome, str)]
    assert len(winners) == 1
    assert office.account().password_hash == f"hash {winners[0]}"


def test_two_sign_ups_of_one_address_at_once_make_one_account(office: Office):
    spellings = ["ann@example.org", "ANN@example.org", "Ann@EXAMPLE.org", "aNN@example.org"]
    outcomes = at_once(*[lambda email=email: office.sign_up(email) for email in spellings])
    assert outcomes == [None] * 4
    assert office.do(lambda transaction: transaction.row("SELECT count(*) FROM account")) == (1,)
    subjects = sorted(subject for _, subject, _ in office.mails())
    assert subjects == ["Confirm your e-mail address", *["You have an account already"] * 3]


def test_an_address_that_is_known_gets_as_many_mails_and_learns_nothing(office: Office):
    add_account(office.database, "known@example.org")
    for email in ("known@example.org", "new@example.org"):
        office.clear_mails()
        assert office.sign_up(email) is None
        assert [to for to, _, _ in office.mails()] == [email]
    for email in ("known@example.org", "nobody@example.org"):
        office.clear_mails()
        assert office.do(accounts.start_recovery, LETTERS, parse_address(email), FROM, NOW) is None
        assert [to for to, _, _ in office.mails()] == [email]


def test_nobody_is_flooded_with_mails(office: Office):
    add_account(office.database, "known@example.org")
    for email in ("known@example.org", "nobody@example.org"):
        office.clear_mails()
        for _ in range(8):
            office.do(accounts.start_recovery, LETTERS, parse_address(email), FROM, NOW)
        assert len(office.mails()) == 5
        office.do(accounts.start_recovery, LETTERS, parse_address(email), FROM, NOW + HOUR + 1)
        assert len(office.mails()) == 6


def test_one_network_does_not_send_mails_to_everybody(office: Office):
    for number in range(30):
        office.do(accounts.start_recovery, LETTERS, parse_address(f"a{number}@example.org"), FROM, NOW)
    with pytest.raises(Refused, match="too often") as told:
        office.do(accounts.start_recovery, LETTERS, parse_address("b@example.org"), FROM, NOW)
    assert told.value.retry_after_s == HOUR


def test_whoever_signs_up_with_anothers_address_gains_nothing(office: Office):
    """The owner of the address comes later, and chooses a password by mail; the stranger's is then worth nothing."""
    office.sign_up()
    stranger = office.account()
    session = office.do(begin_session, stranger.id, FROM, NOW)
    office.clear_mails()
    office.do(accounts.start_recovery, LETTERS, ANN, FROM, NOW + 10)
    office.do(accounts.choose_password, LETTERS, office.key(), NEW_HASH, FROM, NOW + 20)
    account = office.account()
    assert (account.id, account.state, account.password_hash) == (stranger.id, "active", NEW_HASH)
    assert office.do(visitor_of_session, session, NOW + 30) is None


def test_a_recovery_ends_all_that_was_begun_before(office: Office):
    ann = add_account(office.database)
    session = office.do(begin_session, ann, FROM, NOW)
    _, token = office.do(make_token, ann, "x", ["account"], 1, NOW)
    office.do(accounts.start_email_change, LETTERS, ann, parse_address("evil@example.org"), NOW)
    change = key_in(next(body for to, _, body in office.mails() if to == "evil@example.org"))
    office.clear_mails()
    office.do(accounts.start_recovery, LETTERS, ANN, FROM, NOW + 10)
    key = office.key()
    office.clear_mails()
    office.do(accounts.choose_password, LETTERS, key, NEW_HASH, FROM, NOW + 20)
    assert office.do(visitor_of_session, session, NOW + 30) is None
    assert office.do(visitor_of_token, token, NOW + 30) is None
    assert office.do(find_link, "change_email", change, NOW + 30) is None
    assert [subject for _, subject, _ in office.mails()] == ["Your password was changed"]


def test_a_recovery_of_an_address_that_was_given_up_is_void(office: Office):
    ann = add_account(office.database)
    office.do(accounts.start_recovery, LETTERS, ANN, FROM, NOW)
    key = office.key()
    office.do(lambda transaction: transaction.execute("UPDATE account SET email_key = 'other@example.org'"))
    with pytest.raises(Refused, match="has no more"):
        office.do(accounts.choose_password, LETTERS, key, NEW_HASH, FROM, NOW + 1)
    assert office.do(account_of, ann).password_hash == HASH


def test_a_new_password_needs_the_one_that_was_checked(office: Office):
    ann = add_account(office.database)
    mine, other = (office.do(begin_session, ann, FROM, NOW) for _ in range(2))
    handle = office.do(visitor_of_session, mine, NOW).session
    with pytest.raises(Refused, match="changed meanwhile"):
        office.do(accounts.change_password, LETTERS, ann, "an older hash", NEW_HASH, FROM, NOW, session=handle)
    office.do(accounts.change_password, LETTERS, ann, HASH, NEW_HASH, FROM, NOW, session=handle)
    assert office.do(visitor_of_session, mine, NOW) is not None
    assert office.do(visitor_of_session, other, NOW) is None


def test_a_new_address_is_proved_and_the_old_one_told(office: Office):
    ann = add_account(office.database)
    office.do(accounts.start_email_change, LETTERS, ann, parse_address("New@example.net"), NOW)
    told = {to: (subject, body) for to, subject, body in office.mails()}
    assert told["ann@example.org"][0] == "Your e-mail address is about to change"
    assert office.do(account_of, ann).email == "ann@example.org"
    office.clear_mails()
    key = key_in(told["New@example.net"][1])
    bob = add_account(office.database, "bob@example.org")
    with pytest.raises(Refused, match="another account"):
        office.do(accounts.confirm_new_address, LETTERS, key, bob, FROM, NOW + 1)
    office.do(accounts.confirm_new_address, LETTERS, key, ann, FROM, NOW + 1)
    assert office.account("new@example.net").id == ann
    assert [to for to, _, _ in office.mails()] == ["ann@example.org"]
    with pytest.raises(Refused):
        office.do(accounts.confirm_new_address, LETTERS, key, ann, FROM, NOW + 2)


def test_an_address_that_is_taken_is_not_told_to_whoever_asks(office: Office):
    ann, _ = add_account(office.database), add_account(office.database, "bob@example.org")
    for email in ("bob@example.org", "free@example.org"):
        office.clear_mails()
        office.do(lambda transaction: transaction.execute("DELETE FROM attempt_count"))
        assert office.do(accounts.start_email_change, LETTERS, ann, parse_address(email), NOW) is None
        assert sorted(to for to, _, _ in office.mails()) == sorted([email, "ann@example.org"])
    assert office.do(account_of, ann).email == "ann@example.org"


def test_an_address_that_was_taken_meanwhile_is_not_given_twice(office: Office):
    ann = add_account(office.database)
    office.do(accounts.start_email_change, LETTERS, ann, parse_address("new@example.org"), NOW)
    key = key_in(next(body for to, _, body in office.mails() if to == "new@example.org"))
    outcomes = at_once(
        lambda: office.do(accounts.confirm_new_address, LETTERS, key, ann, FROM, NOW + 1),
        lambda: office.sign_up("NEW@example.org", NOW + 1),
    )
    count = "SELECT count(*) FROM account WHERE email_key = 'new@example.org'"
    assert office.do(lambda transaction: transaction.row(count)) == (1,)
    assert outcomes[1] is None


def test_whoever_comes_later_to_an_address_is_told_that_it_is_taken(office: Office):
    ann = add_account(office.database)
    office.do(accounts.start_email_change, LETTERS, ann, parse_address("new@example.org"), NOW)
    key = key_in(next(body for to, _, body in office.mails() if to == "new@example.org"))
    office.sign_up("NEW@example.org", NOW + 1)
    with pytest.raises(Refused, match="has an account by now"):
        office.do(accounts.confirm_new_address, LETTERS, key, ann, FROM, NOW + 2)
    assert office.do(account_of, ann).email == "ann@example.org"


def test_accepting_a_notice_is_kept_with_its_version_and_time(office: Office):
    office.sign_up()
    ann = office.account().id
    office.do(accounts.accept_notice, ann, "2", FROM, NOW + 5)
    office.do(accounts.accept_notice, ann, "2", FROM, NOW + 9)
    kept = "SELECT version, at_s FROM notice_acceptance ORDER BY version"
    assert office.do(lambda transaction: transaction.rows(kept)) == [("1", NOW), ("2", NOW + 5)]
    assert office.account().notice_version == "2"


def test_somebody_is_always_an_operator(office: Office):
    ann, bob = add_account(office.database, roles=["operator"]), add_account(office.database, "bob@example.org")
    with pytest.raises(Refused, match="nobody would be"):
        office.do(roles.take_role, ann, "operator", NOW, by=ann)
    office.do(roles.give_role, bob, "operator", NOW, by=ann)
    outcomes = at_once(
        lambda: office.do(roles.take_role, ann, "operator", NOW, by=bob),
        lambda: office.do(roles.take_role, bob, "operator", NOW, by=ann),
    )
    assert sum(outcome is None for outcome in outcomes) == 1


def test_whoever_is_suspended_is_no_operator_who_is_left(office: Office):
    ann = add_account(office.database, roles=["operator"])
    add_account(office.database, "bob@example.org", roles=["operator"], state="suspended")
    with pytest.raises(Refused, match="nobody would be"):
        office.do(roles.take_role, ann, "operator", NOW, by=ann)


def test_a_suspension_has_a_reason_and_ends(office: Office):
    ann, eve = add_account(office.database), add_account(office.database, "eve@example.org", roles=["operator"])
    with pytest.raises(Refused, match="your own"):
        office.do(accounts.suspend_account, LETTERS, eve, "because", NOW, by=eve, origin=FROM)
    office.do(accounts.suspend_account, LETTERS, ann, "because of spam", NOW, by=eve, origin=FROM)
    assert "because of spam" in office.mails()[-1][2]
    with pytest.raises(Refused, match="is suspended"):
        office.do(accounts.suspend_account, LETTERS, ann, "again", NOW, by=eve, origin=FROM)
    office.do(accounts.restore_account, LETTERS, ann, NOW, by=eve, origin=FROM)
    assert office.do(account_of, ann).state == "active"
    seen = [(line.action, line.by_account_id) for line in office.do(accesses_about, ann)]
    assert sorted(seen) == [("account_restored", eve), ("account_suspended", eve)]


def test_the_access_log_is_read_in_pages(office: Office):
    ann = add_account(office.database)
    for number in range(250):
        office.do(accounts.accept_notice, ann, f"{number}", FROM, NOW + number // 7)
    seen, before = [], None
    while page := office.do(accesses_about, ann, before=before):
        seen += [line.id for line in page]
        before = (page[-1].at_s, page[-1].id)
    assert len(seen) == len(set(seen)) == 250
    assert len(office.do(accesses)) == 100
    assert office.do(accesses, about="nobody") == []
    assert len(office.do(accesses, by=ann)) == 100


def test_what_ends_by_itself_is_deleted(office: Office):
    office.sign_up("never@example.org", NOW)
    office.sign_up("new@example.org", NOW + 6 * 24 * HOUR)
    ann = add_account(office.database)
    office.do(begin_session, ann, FROM, NOW)
    office.do(begin_session, ann, FROM, NOW + 8 * 24 * HOUR - 5)
    office.do(make_token, ann, "x", ["account"], 1, NOW)
    office.do(make_token, ann, "y", ["account"], 30, NOW)
    tidy(office.database, NOW + 8 * 24 * HOUR)
    assert office.account("never@example.org") is None
    assert office.account("new@example.org") is not None
    assert len(office.do(sessions_of, ann, NOW + 8 * 24 * HOUR)) == 1
    assert [token.name for token in office.do(tokens_of, ann, 0)] == ["y"]
    counts = {
        table: office.do(lambda transaction, table=table: transaction.row(f"SELECT count(*) FROM {table}"))[0]
        for table in ("session", "mail_link", "attempt_count")
    }
    assert counts == {"session": 1, "mail_link": 1, "attempt_count": 0}


def test_an_erased_account_is_nobody(office: Office):
    ann = add_account(office.database)
    session = office.do(begin_session, ann, FROM, NOW)
    _, token = office.do(make_token, ann, "x", ["account"], 1, NOW)

    def erase(transaction: Transaction) -> None:
        transaction.execute("UPDATE account SET state = 'erased'")

    office.database.write(erase)
    assert office.account() is None
    assert office.do(visitor_of_session, session, NOW) is None
    assert office.do(visitor_of_token, token, NOW) is None
    with pytest.raises(NotFound):
        office.do(account_of, ann)


def test_a_token_has_bounds(office: Office):
    ann = add_account(office.database)
    for scopes in ([], ["everything"], ["account", "x"]):
        with pytest.raises(Refused, match="for some of"):
            office.do(make_token, ann, "x", scopes, 1, NOW)
    for _ in range(20):
        office.do(make_token, ann, "x", ["account"], 1, NOW)
    with pytest.raises(Refused, match="at most 20"):
        office.do(make_token, ann, "x", ["account"], 1, NOW)
    office.do(make_token, ann, "x", ["account"], 1, NOW + 24 * HOUR)  # the others are over
