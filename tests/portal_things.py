"""How to make one of each thing that a path of the portal can name, for somebody.

`tests/unit/test_portal_rules.py` asks for things of one person and lets all others try to reach them, on every route.
Whoever adds a route with a parameter adds a maker here; the test fails where there is none.
"""

from collections.abc import Callable
from itertools import count
from typing import Final

from bootstrap.database import Transaction
from bootstrap.hosts.appeals import make_appeal
from bootstrap.hosts.standing import record_sanction
from bootstrap.ids import new_id
from bootstrap.money.purchases import start_purchase
from bootstrap.money.subscriptions import start_subscription
from bootstrap.people.origin import Origin
from bootstrap.people.sessions import sessions_of
from bootstrap.people.tokens import make_token
from bootstrap.portal.office import Office
from bootstrap.rights.children import file_report
from bootstrap.rights.contact import write_message
from bootstrap.rights.lawful import enter_lawful
from bootstrap.rights.requests import file_request
from tests.people_made import signed_in
from tests.registered_hosts import add_host

__all__ = ["PUBLIC_PATHS", "THINGS", "Maker"]

Maker = Callable[[Office, str], str]
"""From the service and the id of an account to what stands in the path: a thing that belongs to it."""


def _account(_: Office, account_id: str) -> str:
    return account_id


def _session(office: Office, account_id: str) -> str:
    signed_in(office, account_id)
    return office.database.read(lambda transaction: sessions_of(transaction, account_id, office.now_s()))[0].handle


def _token(office: Office, account_id: str) -> str:
    office.database.write(lambda transaction: transaction.execute("DELETE FROM api_token WHERE name = 'a thing'"))
    token_id, _ = office.database.write(
        lambda transaction: make_token(transaction, account_id, "a thing", ["credits"], 30, office.now_s())
    )
    return token_id


def _purchase(office: Office, account_id: str) -> str:
    config = office.cashier.config
    pack = config.price_list[0].name
    office.database.write(lambda transaction: transaction.execute("UPDATE purchase SET state = 'failed'"))
    return office.database.write(
        lambda transaction: start_purchase(transaction, config, account_id, pack, office.now_s())
    )


def _subscription(office: Office, account_id: str) -> str:
    config = office.cashier.config
    plan = config.plan_list[0].name
    office.database.write(lambda transaction: transaction.execute("UPDATE subscription SET state = 'ended'"))
    return office.database.write(
        lambda transaction: start_subscription(transaction, config, account_id, plan, office.now_s())
    )


def _payout(office: Office, account_id: str) -> str:
    name = new_id()
    office.database.write(
        lambda transaction: transaction.execute(
            "INSERT INTO payout (id, account_id, microcredits, cents, currency, state, asked_at_s, changed_at_s)"
            " VALUES (:id, :account, 1, 1, 'EUR', 'paid', 1, 1)",
            id=name,
            account=account_id,
        )
    )
    return name


_hosts = count(1)


def _host(office: Office, account_id: str) -> str:
    def work(transaction: Transaction) -> str:
        transaction.execute("DELETE FROM registration_code")  # of each account there are few
        return add_host(transaction, account_id, next(_hosts), office.now_s())

    return office.database.write(work)


def _sanction(office: Office, account_id: str) -> str:
    host_id = _host(office, account_id)
    return office.database.write(
        lambda transaction: record_sanction(
            transaction, host_id, "forfeiture", reason="other", explanation="", now_s=office.now_s(), by=None
        )
    )


def _appeal(office: Office, account_id: str) -> str:
    sanction_id = _sanction(office, account_id)
    return office.database.write(
        lambda transaction: make_appeal(transaction, sanction_id, account_id, "It was not so.", office.now_s())
    )


def _lane(office: Office, account_id: str) -> str:
    host_id, lane = _host(office, account_id), bytes(32)
    office.database.write(
        lambda transaction: transaction.execute(
            "INSERT INTO abuse_report (id, host_id, lane_key, category, count, reported_at_s)"
            " VALUES (:id, :id, :lane, 'hate', 1, 1)",
            id=host_id,
            lane=lane,
        )
    )
    return lane.hex()


def _request(office: Office, account_id: str) -> str:
    return office.database.write(
        lambda transaction: file_request(
            transaction, account_id, "objection", subject="sign_in_security", state="open", by="test", now_s=1
        )
    ).id


def _message(office: Office, account_id: str) -> str:
    return office.database.write(
        lambda transaction: write_message(
            transaction,
            account_id=account_id,
            reply_to="ann@example.org",
            topic="other",
            words="Hello.",
            trap="",
            origin=Origin(new_id(), ""),
            now_s=1,
        )
    )


def _report(office: Office, account_id: str) -> str:
    return office.database.write(
        lambda transaction: file_report(
            transaction,
            about=account_id,
            words="A child.",
            reporter="",
            trap="",
            origin=Origin(new_id(), ""),
            now_s=1,
        )
    )


def _entry(office: Office, account_id: str) -> str:
    return office.database.write(
        lambda transaction: enter_lawful(
            transaction,
            kind="account",
            authority="Court",
            country="CH",
            summary="Something",
            received_at_s=1,
            by=account_id,
            now_s=1,
        )
    )


THINGS: Final[dict[str, Maker]] = {
    "account": _account,
    "appeal": _appeal,
    "entry": _entry,
    "host": _host,
    "lane": _lane,
    "message": _message,
    "payout": _payout,
    "purchase": _purchase,
    "report": _report,
    "sanction": _sanction,
    "session": _session,
    "subscription": _subscription,
    "token": _token,
}
"""By the parameter's name, or by the whole path (`/payouts/{payout}`) where a name means several things."""

PUBLIC_PATHS: Final[dict[str, str]] = {
    "/ledger/entries/{index}": "the ledger is public",
    "/ledger/entries/{index}/proof": "the ledger is public",
    "/ledger/tile/{path:path}": "the ledger is public",
    "/ledger/mirror/{path:path}": "the ledger is public",
    "/agreement/{version}": "who signs it must be able to read it",
    "/api/v1/hosts/{host}/report": "a report is signed with the host's key, and needs no account",
}
"""The paths with parameters that everybody may call, and why."""
