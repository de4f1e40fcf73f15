"""Requests about one's data: receipts, deadlines, logs, and what each of them does; on both databases."""

from functools import partial

import pytest

from bootstrap.database import Database
from bootstrap.people.origin import Origin
from bootstrap.people.sessions import begin_session
from bootstrap.refusal import Refused
from bootstrap.rights.choices import (
    consents_of,
    decide_objection,
    object_to,
    objects_to,
    withdraw_consent,
    withdraw_objection,
)
from bootstrap.rights.details import correct_details, lift_restriction, restrict
from bootstrap.rights.notices import AT_ONCE, tell_of_notice, untold_of_notice
from bootstrap.rights.requests import (
    DAY_S,
    DEADLINE_S,
    MAX_A_DAY,
    end_request,
    events_of,
    file_request,
    open_requests,
    request_of,
    requests_of,
)
from tests.accounts import make_account, make_host

NOW = 2_000_000
FROM = Origin("203.0.113.0/24", "Firefox")


def one(database: Database, sql: str, **values):
    row = database.read(lambda transaction: transaction.row(sql, **values))
    assert row is not None
    return row[0] if len(row) == 1 else row


def state(database: Database, account: str) -> str:
    return one(database, "SELECT state FROM account WHERE id = :id", id=account)


def test_a_request_has_a_receipt_a_deadline_and_a_log(database: Database):
    ann = make_account(database)
    request = database.write(lambda transaction: file_request(transaction, ann, "access", now_s=NOW))
    assert request.due_at_s == NOW + DEADLINE_S
    to, body = one(database, "SELECT recipient, body FROM mail")
    assert to == "ann@mail.example"
    assert request.id in body
    events = database.read(lambda transaction: events_of(transaction, request))
    assert {(event.event, event.by) for event in events} == {("asked", "you"), ("done", "the service")}
    logged = one(database, "SELECT action, about_account_id, object FROM access_log")
    assert logged == ("rights_access", ann, f"rights_request/{request.id}")
    assert database.read(lambda transaction: requests_of(transaction, ann)) == [request]


def test_requests_of_a_day_are_bounded(database: Database):
    ann = make_account(database)

    def ask(now_s: int) -> None:
        database.write(lambda transaction: file_request(transaction, ann, "access", now_s=now_s))

    for _ in range(MAX_A_DAY):
        ask(NOW)
    with pytest.raises(Refused) as told:
        ask(NOW)
    assert told.value.reason == "too_many"
    ask(NOW + DAY_S)


def test_a_request_ends_once(database: Database):
    ann = make_account(database)
    request = database.write(lambda transaction: file_request(transaction, ann, "access", state="open", now_s=NOW))
    end = partial(end_request, request=request, state="done", now_s=NOW, by=None)
    database.write(end)
    with pytest.raises(Refused, match="answered already"):
        database.write(partial(end, state="refused"))
    assert one(database, "SELECT state FROM rights_request") == "done"


def test_what_is_corrected_is_kept_so(database: Database):
    ann = make_account(database)
    database.write(
        lambda transaction: correct_details(transaction, ann, display_name="Anne", profile="I row.", now_s=NOW)
    )
    assert one(database, "SELECT display_name, profile FROM account WHERE id = :id", id=ann) == ("Anne", "I row.")


def test_a_restricted_account_is_kept_and_not_used(database: Database):
    ann = make_account(database)
    database.write(lambda transaction: restrict(transaction, ann, now_s=NOW))
    assert state(database, ann) == "restricted"
    with pytest.raises(Refused, match="is restricted"):
        database.write(lambda transaction: restrict(transaction, ann, now_s=NOW))
    database.write(lambda transaction: lift_restriction(transaction, ann, now_s=NOW))
    assert state(database, ann) == "active"


def test_a_suspended_person_does_not_lift_that_by_lifting_a_restriction(database: Database):
    ann = make_account(database, state="suspended")
    for act in (restrict, lift_restriction):
        with pytest.raises(Refused, match="is suspended"):
            database.write(lambda transaction, act=act: act(transaction, ann, now_s=NOW))
    assert state(database, ann) == "suspended"


def test_a_consent_withdrawn_is_none(database: Database):
    ann = make_account(database, profile="I row.")
    make_host(database, ann)
    assert database.read(lambda transaction: consents_of(transaction, ann)) == {"host_name", "profile"}
    for purpose in ("host_name", "profile"):
        database.write(lambda transaction, purpose=purpose: withdraw_consent(transaction, ann, purpose, now_s=NOW))
    assert database.read(lambda transaction: consents_of(transaction, ann)) == frozenset()
    assert one(database, "SELECT profile FROM account WHERE id = :id", id=ann) == ""


def test_there_are_no_other_consents(database: Database):
    ann = make_account(database)
    with pytest.raises(Refused):
        database.write(lambda transaction: withdraw_consent(transaction, ann, "everything", now_s=NOW))


def test_an_objection_ends_the_use_at_once_where_nothing_is_to_be_weighed(database: Database):
    ann = make_account(database)
    request = database.write(lambda transaction: object_to(transaction, ann, "usage_figures", "", now_s=NOW))
    assert request.state == "done"
    assert database.read(lambda transaction: objects_to(transaction, ann, "usage_figures"))
    database.write(lambda transaction: withdraw_objection(transaction, ann, "usage_figures", now_s=NOW))
    assert not database.read(lambda transaction: objects_to(transaction, ann, "usage_figures"))


def test_an_objection_to_security_is_weighed_by_somebody_else(database: Database):
    ann, olga = make_account(database), make_account(database, "olga", "operator")
    database.write(lambda transaction: begin_session(transaction, ann, FROM, NOW))

    def object_because(words: str):
        return database.write(lambda transaction: object_to(transaction, ann, "sign_in_security", words, now_s=NOW))

    with pytest.raises(Refused, match="write why"):
        object_because("")
    request = object_because("I am followed.")
    with pytest.raises(Refused, match="already"):
        object_because("I am followed.")
    assert [each.id for each in database.read(open_requests)] == [request.id]
    assert not database.read(lambda transaction: objects_to(transaction, ann, "sign_in_security"))

    def decide(by: str, *, granted: bool = True, answer: str = "") -> None:
        database.write(
            lambda transaction: decide_objection(
                transaction, request.id, granted=granted, answer=answer, by=by, now_s=NOW + 5
            )
        )

    with pytest.raises(Refused, match="your own"):
        decide(ann)
    with pytest.raises(Refused, match="says why"):
        decide(olga, granted=False)
    decide(olga, answer="We stop.")
    with pytest.raises(Refused, match="already"):
        decide(olga)
    assert database.read(lambda transaction: objects_to(transaction, ann, "sign_in_security"))
    assert one(database, "SELECT ip_prefix, browser_family FROM session") == ("", "")
    ended = database.read(lambda transaction: request_of(transaction, request.id))
    assert (ended.state, ended.answer, ended.ended_at_s) == ("done", "We stop.", NOW + 5)
    assert one(database, "SELECT count(*) FROM mail WHERE body LIKE '%We stop.%'") == 1


def test_a_request_that_nobody_answers_is_overdue(database: Database):
    ann = make_account(database)
    request = database.write(
        lambda transaction: object_to(transaction, ann, "sign_in_security", "Because.", now_s=NOW)
    )
    assert not request.overdue(NOW + DEADLINE_S)
    assert request.overdue(NOW + DEADLINE_S + 1)


def test_everybody_is_told_of_a_new_notice_once(sqlite_database: Database):
    database = sqlite_database
    for number in range(AT_ONCE + 3):
        make_account(database, f"p{number}", notice="old")
    make_account(database, "new")
    make_account(database, "gone", state="erased", notice="old")

    def tell(version: str = "2026-11") -> int:
        return database.write(
            lambda transaction: tell_of_notice(transaction, version, "https://x.example/p", now_s=NOW)
        )

    assert [tell(), tell(), tell()] == [AT_ONCE, 3, 0]
    assert not database.read(lambda transaction: untold_of_notice(transaction, "2026-11"))
    assert one(database, "SELECT count(*), count(DISTINCT recipient) FROM mail") == (AT_ONCE + 3, AT_ONCE + 3)
    assert database.read(lambda transaction: untold_of_notice(transaction, "2027-01"))
