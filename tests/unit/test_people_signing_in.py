"""Trying passwords: limits by address, by IP prefix and by known browser, on both databases."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from attrs import evolve

from bootstrap.database import Database, open_database
from bootstrap.people.limits import (
    ADDRESS_LIMITS,
    Limit,
    count_attempt,
    forget_old_counts,
    give_back,
    may_attempt,
)
from bootstrap.people.origin import Origin
from bootstrap.people.sessions import (
    GRACE_S,
    IDLE_S,
    LIFETIME_S,
    ROTATE_AFTER_S,
    begin_session,
    rotate_session,
    visitor_of_session,
)
from bootstrap.people.signing_in import begin_attempt, end_attempt, remember_browser
from bootstrap.refusal import Refused
from tests.people_made import FROM, add_account

NOW = 1_800_000_000
MINUTE = 60
HOUR = 3600
DAY = 24 * HOUR
ANN = "ann@example.org"


def prefix(number: int) -> Origin:
    return Origin(f"ip4/{number:06x}", "Firefox")


def do(database: Database, work: Callable[..., Any], *arguments: Any, **more: Any) -> Any:
    return database.write(lambda transaction: work(transaction, *arguments, **more))


def guess(
    database: Database, address: str = ANN, origin: Origin = FROM, now_s: int = NOW, browser: str | None = None
) -> bool:
    """Whether a try was let through to the password, which is wrong."""
    try:
        do(database, begin_attempt, address, browser, origin, now_s)
    except Refused as error:
        return {"too_many": False}[error.reason]
    return True


def test_one_account_guessed_from_many_networks_is_locked(database: Database):
    add_account(database)
    through = sum(guess(database, origin=prefix(number)) for number in range(100))
    assert through == 10
    assert guess(database, origin=prefix(1000), now_s=NOW + 15 * MINUTE)


def test_many_accounts_guessed_from_one_network_are_locked(database: Database):
    through = sum(guess(database, address=f"person{number}@example.org") for number in range(100))
    assert through == 30
    assert guess(database, address="other@example.org", origin=prefix(1))
    assert guess(database, address="other@example.org", now_s=NOW + 15 * MINUTE)


def test_patience_does_not_help(sqlite_database: Database):
    """Ten tries every quarter of an hour are still bounded by the day."""
    add_account(sqlite_database)
    spread = (guess(sqlite_database, origin=prefix(at), now_s=NOW + at * 2 * MINUTE) for at in range(30 * 24))
    assert sum(spread) == 60
    through = sum(
        guess(sqlite_database, f"p{at}@example.org", prefix(77), NOW + at * 3 * MINUTE) for at in range(20 * 24)
    )
    assert through == 300


def test_an_address_without_an_account_is_locked_alike(database: Database):
    add_account(database)
    known, unknown = (
        [guess(database, address=address, origin=prefix(number)) for number in range(20)]
        for address in (ANN, "nobody@example.org")
    )
    assert known == unknown


def test_right_passwords_cost_nothing_and_forgive_nothing(database: Database):
    add_account(database)
    for _ in range(9):
        guess(database)
    for _ in range(50):
        attempt = do(database, begin_attempt, ANN, None, FROM, NOW)
        do(database, end_attempt, attempt, NOW)
    assert guess(database)
    assert not guess(database)


def test_whoever_guesses_does_not_lock_the_person_out(database: Database):
    ann = add_account(database)
    browser = do(database, remember_browser, ann, None, NOW)
    for number in range(20):
        guess(database, origin=prefix(number))
    for number in range(40):
        guess(database, address=f"p{number}@example.org")  # the person's own network, too
    assert not guess(database)
    assert guess(database, browser=browser)
    # Whoever has that browser is bounded, too; and it is known for this account alone, and for a month.
    assert sum(guess(database, browser=browser) for _ in range(20)) == 9
    assert not guess(database, browser=browser + "x")
    add_account(database, "bob@example.org")
    for number in range(20):
        guess(database, "bob@example.org", prefix(number))
    unused = do(database, remember_browser, ann, None, NOW)
    assert not guess(database, "bob@example.org", prefix(99), browser=unused)
    assert guess(database, browser=unused)


def test_a_known_browser_is_forgotten_after_a_month(database: Database):
    ann = add_account(database)
    browser = do(database, remember_browser, ann, None, NOW)
    assert do(database, remember_browser, ann, browser, NOW + DAY) == browser
    later = NOW + 32 * DAY
    for number in range(10):
        guess(database, origin=prefix(number), now_s=later)
    assert not guess(database, browser=browser, now_s=later)
    assert do(database, remember_browser, ann, "not one of ours", NOW) not in {"not one of ours", browser}


def test_many_tries_at_once_are_all_counted(database: Database):
    add_account(database)
    outcomes: list[bool] = []

    def work() -> None:
        outcomes.extend(guess(database) for _ in range(5))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes.count(True) == 10


def test_a_restart_forgets_nothing(database_url: str):
    first = open_database(database_url, create=True)
    for _ in range(10):
        assert guess(first)
    first.close()
    second = open_database(database_url)
    assert not guess(second)
    second.close()


def test_a_password_that_was_changed_meanwhile_lets_nobody_in(database: Database):
    add_account(database)
    attempt = do(database, begin_attempt, ANN, None, FROM, NOW)
    do(database, lambda transaction: transaction.execute("UPDATE account SET password_hash = 'new'"))
    with pytest.raises(Refused, match="not right"):
        do(database, end_attempt, attempt, NOW)
    nobody = do(database, begin_attempt, "nobody@example.org", None, FROM, NOW)
    with pytest.raises(Refused, match="not right"):
        do(database, end_attempt, nobody, NOW)
    somebody = evolve(attempt, account_id="another", password_hash="new")
    with pytest.raises(Refused, match="not right"):
        do(database, end_attempt, somebody, NOW)


def test_neither_an_address_nor_a_network_is_kept_with_a_count(sqlite_database: Database):
    guess(sqlite_database)
    rows = sqlite_database.read(lambda transaction: transaction.rows("SELECT * FROM attempt_count"))
    assert len(rows) == 4
    assert "ann" not in repr(rows)
    assert FROM.ip_prefix not in repr(rows)


def test_it_is_said_how_long_to_wait(database: Database):
    limits = (Limit("a", 2, 10 * MINUTE), Limit("b", 3, 5 * HOUR))
    for at in (0, 60, 700):
        do(database, count_attempt, limits, "x", NOW + at)
    with pytest.raises(Refused, match="wait 5 hours") as told:
        do(database, count_attempt, limits, "x", NOW + 701)
    assert told.value.retry_after_s == 5 * HOUR - 701
    assert not do(database, may_attempt, limits, "x", NOW + 702)
    assert do(database, may_attempt, limits, "y", NOW + 702)
    assert do(database, may_attempt, limits, "x", NOW + 5 * HOUR)


def test_what_is_given_back_is_never_more_than_was_taken(database: Database):
    for _ in range(3):
        do(database, give_back, ADDRESS_LIMITS, ANN)
    do(database, count_attempt, ADDRESS_LIMITS, ANN, NOW)
    for _ in range(3):
        do(database, give_back, ADDRESS_LIMITS, ANN)
    assert sum(guess(database, origin=prefix(number)) for number in range(30)) == 10


def test_counts_that_are_over_are_gone(database: Database):
    guess(database)
    assert do(database, forget_old_counts, NOW + DAY - 1) == 0
    assert do(database, forget_old_counts, NOW + DAY) == 4


# --- sessions --------------------------------------------------------------------------------------------------------


def test_the_secret_before_is_good_for_a_minute(database: Database):
    ann = add_account(database)
    old = do(database, begin_session, ann, FROM, NOW)
    later = NOW + ROTATE_AFTER_S
    new = do(database, rotate_session, old, later)
    assert new is not None

    def holds(secret: str, at: int) -> bool:
        return do(database, visitor_of_session, secret, at) is not None

    assert holds(old, later + GRACE_S)
    assert not holds(old, later + GRACE_S + 1)
    assert holds(new, later + GRACE_S + 1)


def test_a_session_ends_however_much_it_is_used(database: Database):
    ann = add_account(database)
    secret = do(database, begin_session, ann, FROM, NOW)
    for at in range(NOW, NOW + LIFETIME_S + 1, IDLE_S):
        assert do(database, visitor_of_session, secret, at) is not None
        secret = do(database, rotate_session, secret, at) or secret
    assert do(database, visitor_of_session, secret, NOW + LIFETIME_S + 1) is None
