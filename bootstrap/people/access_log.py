"""The access log: who looked at or changed what is not their own, and what people did about their own rights."""

from bootstrap.database import Transaction
from bootstrap.ids import new_id
from bootstrap.people.sessions import Origin

__all__ = ["note_access"]


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
