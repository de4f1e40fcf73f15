"""A mention: one stretch of text that identifies somebody or something."""

from typing import Final

from attrs import frozen

__all__ = ["LABELS", "Mention"]

LABELS: Final = (
    "PERSON", "LOCATION", "ADDRESS", "ORGANIZATION", "DATE_TIME", "ID", "NATIONAL_ID", "EMAIL", "PHONE", "CREDIT_CARD",
    "IBAN", "IP_ADDRESS", "MAC_ADDRESS", "URL", "CRYPTO_ADDRESS", "SECRET", "COORDINATES", "VEHICLE_PLATE",
)  # fmt: skip
"""What a mention can be: `ID` is a number of a case, an account, a record, a document or a device, `NATIONAL_ID` one
that a state gives to a person or a company, `SECRET` a key, a token or a password."""


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
