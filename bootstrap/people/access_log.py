"""The access log: who looked at or changed what is not their own, and what people did about their own rights."""

from typing import Final

from attrs import frozen

from bootstrap.database import Transaction
from bootstrap.ids import new_id
from bootstrap.people.origin import Origin

__all__ = ["ACTIONS", "Access", "accesses", "accesses_about", "note_access"]

PAGE_SIZE: Final = 100

ACTIONS: Final[dict[str, str]] = {
    "account_made": "Account made",
    "account_verified": "E-mail address confirmed",
    "account_viewed": "Account looked at",
    "account_looked_up": "Account looked for by its e-mail address",
    "account_suspended": "Account suspended",
    "account_restored": "Suspension ended",
    "profile_changed": "Name or profile changed",
    "email_changed": "E-mail address changed",
    "password_changed": "Password changed",
    "password_recovered": "New password chosen by mail",
    "signed_in": "Signed in",
    "proved": "Proved again who it is",
    "sessions_ended": "Sessions ended",
    "token_made": "API token made",
    "token_ended": "API token ended",
    "notice_accepted": "Privacy notice accepted",
    "role_given": "Role given",
    "role_taken": "Role taken",
    "access_log_viewed": "Access log looked at",
}
"""What an action is called. Each part of the service adds its own; one without says its word."""


@frozen
class Access:
    """One line."""

    id: str
    at_s: int
    by_account_id: str | None
    about_account_id: str | None
    action: str
    thing: str

    @property
    def says(self) -> str:
        """The action, for people."""
        return ACTIONS.get(self.action, self.action.replace("_", " ").capitalize())


def note_access(
    transaction: Transaction,
    action: str,
    *,
    now_s: int,
    by: str | None = None,
    about: str | None = None,
    thing: str = "",
    origin: Origin | None = None,
) -> None:
    """Writes a line.

    Args:
        transaction: the one in which it happens, so that nothing happens without its line.
        action: a fixed word, such as `account_exported`.
        now_s: the time.
        by: the account that did it; None for the service itself.
        about: the account that it is about.
        thing: what it was done to, as `kind/id`.
        origin: where the request came from.
    """
    transaction.execute(
        "INSERT INTO access_log (id, at_s, by_account_id, about_account_id, action, object, ip_prefix)"
        " VALUES (:id, :now, :by, :about, :action, :thing, :prefix)",
        id=new_id(),
        now=now_s,
        by=by,
        about=about,
        action=action,
        thing=thing,
        prefix=origin.ip_prefix if origin else "",
    )


def accesses_about(
    transaction: Transaction, account_id: str, *, before: tuple[int, str] | None = None
) -> list[Access]:
    """The newest lines about one person, at most `PAGE_SIZE`, `before` one of them."""
    at_s, last = before or (2**62, "")
    return [
        Access(*row)
        for row in transaction.rows(
            "SELECT id, at_s, by_account_id, about_account_id, action, object FROM access_log"
            " WHERE about_account_id = :account AND (at_s < :at OR (at_s = :at AND id < :last))"
            " ORDER BY at_s DESC, id DESC LIMIT :most",
            account=account_id,
            at=at_s,
            last=last,
            most=PAGE_SIZE,
        )
    ]


def accesses(
    transaction: Transaction, *, about: str = "", by: str = "", before: tuple[int, str] | None = None
) -> list[Access]:
    """The newest lines of all, or of those about or by an account."""
    at_s, last = before or (2**62, "")
    return [
        Access(*row)
        for row in transaction.rows(
            "SELECT id, at_s, by_account_id, about_account_id, action, object FROM access_log"
            " WHERE (:about = '' OR about_account_id = :about) AND (:by = '' OR by_account_id = :by)"
            " AND (at_s < :at OR (at_s = :at AND id < :last)) ORDER BY at_s DESC, id DESC LIMIT :most",
            about=about,
            by=by,
            at=at_s,
            last=last,
            most=PAGE_SIZE,
        )
    ]
