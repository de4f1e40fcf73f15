"""A mention: one stretch of text that identifies somebody or something."""

from typing import Final

from attrs import frozen

__all__ = ["LABELS", "Mention"]

LABELS: Final = (
    "PERSON", "LOCATION", "ADDRESS", "ORGANIZATION", "DATE_TIME", "ID", "EMAIL", "PHONE", "CREDIT_CARD", "IBAN",
    "IP_ADDRESS", "URL",
)  # fmt: skip


@frozen(order=True)
class Mention:
    """What a detector found. Offsets count code points of the text given to it, `end` excluded."""

    start: int
    end: int
    label: str
    """One of `LABELS`."""
    score: float
    """0 to 1; validated patterns give 1."""
    source: str
    """What found it: `spacy`, `pattern:<name>`, or `known` (a name from earlier in the conversation)."""
