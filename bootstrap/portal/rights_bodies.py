"""What requests about rights carry, in forms and in the API."""

from datetime import UTC, datetime
from typing import Final

from attrs import frozen

from bootstrap.portal.bodies import flag, one_of, text
from bootstrap.refusal import Refused
from bootstrap.rights.choices import CONSENTS, OBJECTIONS
from bootstrap.rights.contact import TOPICS
from bootstrap.rights.lawful import LAWFUL_KINDS, OUTCOMES

__all__ = [
    "Answer",
    "ChildReport",
    "ContactMessage",
    "Decision",
    "Details",
    "LawfulEntry",
    "LawfulOutcome",
    "Objection",
    "ReportDecision",
    "Restriction",
    "Withdrawal",
    "day_start",
]

_ADDRESS: Final = r"[^@\s]{1,64}@[^@\s]{1,255}"
_WORDS: Final = 4000


@frozen
class Details:
    """What a person corrects."""

    display_name: str = text(at_most=60, at_least=1)
    profile: str = text(at_most=1000, default="")


@frozen
class Withdrawal:
    """A consent that is one no more."""

    purpose: str = one_of(*CONSENTS)


@frozen
class Objection:
    """An objection made, or taken back."""

    purpose: str = one_of(*OBJECTIONS)
    words: str = text(at_most=_WORDS, default="")
    withdrawn: bool = flag(default=False)


@frozen
class Restriction:
    """Whether the data are only kept from now on."""

    restricted: bool = flag()


@frozen
class ContactMessage:
    """A message to the operator."""

    reply_to: str = text(at_most=320, pattern=_ADDRESS)
    words: str = text(at_most=_WORDS, at_least=3)
    topic: str = one_of(*TOPICS, default="other")
    website: str = text(at_most=200, default="")
    """A box that people do not see, and programs fill."""


@frozen
class ChildReport:
    """A report that an account is a child's."""

    about: str = text(at_most=320, at_least=1)
    words: str = text(at_most=_WORDS, at_least=3)
    reporter: str = text(at_most=320, pattern=f"({_ADDRESS})?", default="")
    website: str = text(at_most=200, default="")


@frozen
class Answer:
    """An operator's answer; none closes the message."""

    answer: str = text(at_most=_WORDS, default="")


@frozen
class Decision:
    """An operator's decision about a request."""

    decision: str = one_of("granted", "refused")
    answer: str = text(at_most=_WORDS, default="")


@frozen
class ReportDecision:
    """Which account a report is right about; none dismisses it."""

    account: str = text(at_most=60, default="")


@frozen
class LawfulEntry:
    """An authority's request."""

    kind: str = one_of(*LAWFUL_KINDS)
    authority: str = text(at_most=120, at_least=2)
    country: str = text(at_most=2, at_least=2, pattern=r"[A-Z]{2}")
    received_on: str = text(at_most=10, at_least=10, pattern=r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
    summary: str = text(at_most=500, at_least=3)


@frozen
class LawfulOutcome:
    """How a request was closed."""

    outcome: str = one_of(*OUTCOMES)


def day_start(written: str) -> int:
    """The first second of a day, in UTC; raises `Refused`."""
    try:
        return int(datetime.strptime(written, "%Y-%m-%d").replace(tzinfo=UTC).timestamp())
    except ValueError as error:
        raise Refused("that is no day of the calendar", reason="bad_body", field="received_on") from error
