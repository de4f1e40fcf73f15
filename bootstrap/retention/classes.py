"""The classes of data, and which column is of which.

Every column of every table has a class; a test walks the schema and fails where one has none. An operator may keep a
class for a shorter time than here, and not for a longer one.
"""

from collections.abc import Mapping
from typing import Final

from attrs import frozen

from bootstrap.hosts import data_classes as hosts
from bootstrap.money import data_classes as money
from bootstrap.people import data_classes as people
from bootstrap.retention.purge import Purge
from bootstrap.rights import data_classes as rights

__all__ = ["CLASSES", "COLUMNS", "DAY_S", "PURGES", "DataClass"]

DAY_S: Final = 24 * 3600
YEAR_S: Final = 365 * DAY_S


@frozen
class DataClass:
    """One kind of data."""

    name: str
    period_s: int | None
    """How long it is kept; None where something else ends it, which `reason` says."""
    reason: str
    """Why it is kept, and for so long: for people to read."""


CLASSES: Final[Mapping[str, DataClass]] = {
    each.name: each
    for each in (
        DataClass("identity", None, "To know whose account it is. Until the account is deleted."),
        DataClass("credentials", None, "To sign in. Until it is replaced, or the account is deleted."),
        DataClass("pseudonym", None, "A random id, which says nobody's name. It outlives the account where law asks."),
        DataClass("consent", None, "To show which notice was accepted. As long as the account."),
        DataClass("sign_in_security", 30 * DAY_S, "To notice that somebody else signs in."),
        DataClass("mail", 7 * DAY_S, "Until a mail is sent, or given up."),
        DataClass("access_log", YEAR_S, "So that people can ask who looked at their data."),
        DataClass("usage", 400 * DAY_S, "To show when credits left an account, a year back."),
        DataClass(
            "payment", 10 * YEAR_S, "Tax law asks for the books of ten years. Locked when the account is deleted."
        ),
        DataClass(
            "host",
            None,
            "What a host's operator declares, until the account is deleted. The host's key stays, so that a host that "
            "was removed does not come back.",
        ),
        DataClass("measurement", 90 * DAY_S, "How hosts have performed, to choose and to pay by."),
        DataClass("agreement", 3 * YEAR_S, "Who signed which host agreement, for as long as claims may be made."),
        DataClass("strike", 3 * YEAR_S, "Strikes and appeals, for as long as claims may be made."),
        DataClass("rights", 3 * YEAR_S, "That a request about privacy was answered, and when."),
        DataClass("contact", YEAR_S, "What people wrote to the operator."),
        DataClass("lawful_request", 5 * YEAR_S, "Requests of authorities, and what became of them."),
        DataClass("service", None, "Nothing about people: the service's own working data."),
    )
}

COLUMNS: Final[Mapping[str, str]] = {**people.COLUMNS, **money.COLUMNS, **hosts.COLUMNS, **rights.COLUMNS}
"""The class of each column, as `table.column`."""

PURGES: Final[tuple[Purge, ...]] = (*people.PURGES, *money.PURGES, *hosts.PURGES, *rights.PURGES)
"""How the classes with a period leave the tables, in the order in which the job does it."""
