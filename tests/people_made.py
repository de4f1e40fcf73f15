"""Accounts for tests, made in the database, and browsers that are signed in to them."""

import re
from collections.abc import Iterable
from typing import Final

from bootstrap.database import Database, Transaction
from bootstrap.ids import new_id
from bootstrap.people.origin import Origin
from bootstrap.people.passwords import Passwords
from bootstrap.people.roles import give_role
from bootstrap.people.sessions import begin_session
from bootstrap.people.tokens import make_token
from bootstrap.portal.office import NOTICE_VERSION, Office
from bootstrap.portal.visit import SESSION_COOKIE
from tests.browsing import QUICK, Browser

__all__ = ["FROM", "PASSWORD", "QUICKLY", "add_account", "key_in", "mails", "signed_in", "token_for"]

PASSWORD: Final = "seven violet umbrellas"
QUICKLY: Final = Passwords(QUICK)
HASH: Final = QUICKLY.hash(PASSWORD)
FROM: Final = Origin("ip4/cb0071", "Firefox")


def add_account(
    database: Database,
    email: str = "ann@example.org",
    *,
    roles: Iterable[str] = (),
    state: str = "active",
    notice: str = NOTICE_VERSION,
    now_s: int = 1_800_000_000,
) -> str:
    """An account with `PASSWORD`; returns its id."""
    account_id = new_id()

    def work(transaction: Transaction) -> None:
        transaction.execute(
            "INSERT INTO account (id, email, email_key, display_name, password_hash, state, created_at_s,"
            " verified_at_s, notice_version, notice_at_s) VALUES (:id, :email, :email, :name, :hash, :state, :now,"
            " :now, :notice, :now)",
            id=account_id, email=email, name=email.partition("@")[0], hash=HASH, state=state, notice=notice, now=now_s,
        )  # fmt: skip
        for role in roles:
            give_role(transaction, account_id, role, now_s, by=None)

    database.write(work)
    return account_id


def signed_in(office: Office, account_id: str, **browser: str) -> Browser:
    """A browser with a session that has just begun."""
    secret = office.database.write(lambda transaction: begin_session(transaction, account_id, FROM, office.now_s()))
    made = Browser(office, **browser)
    made.http.cookies.set(SESSION_COOKIE, secret)
    return made


def token_for(office: Office, account_id: str, *scopes: str, proved: bool = False) -> str:
    """An API token of this account."""
    _, secret = office.database.write(
        lambda transaction: make_token(transaction, account_id, "test", scopes, 30, office.now_s(), proved=proved)
    )
    return secret


def mails(database: Database) -> list[tuple[str, str, str]]:
    """What waits to be sent: recipient, subject and body, in the order in which it was queued."""
    return [
        (to, subject, body)
        for to, subject, body in database.read(
            lambda transaction: transaction.rows("SELECT recipient, subject, body FROM mail ORDER BY queued_at_s")
        )
    ]


def key_in(body: str) -> str:
    """What the link in a mail carries."""
    found = re.search(r"\?key=(\S+)", body)
    assert found is not None, body
    return found[1]
