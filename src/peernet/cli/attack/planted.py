"""The prompts of the attacks, and what in them must reach nobody."""

from typing import Final

__all__ = ["PLANTED", "PLANTED_SHORT", "PROMPT", "SHORT_PROMPT"]

PLANTED: Final = (
    "Maria Kowalska",
    "maria.kowalska@example.org",
    "+1 415 555 0132",
    "Northwind Traders",
    "James Whitfield",
    "221 Baker Street",
    "4111 1111 1111 1111",
)
"""What identifies somebody in the prompts, and must reach no host and no relay."""

_MARIA, _MAIL, _PHONE, _COMPANY, _JAMES, _STREET, _CARD = PLANTED

PROMPT: Final = f"""\
1. Write a short thank-you note to {_MARIA} ({_MAIL}, {_PHONE}) of {_COMPANY} Ltd for the lunch in Lisbon.
2. Rewrite this more politely: {_JAMES}, {_STREET}, London NW1 6XE, wants the bank to block the card {_CARD}.
3. Explain in two sentences why drinking enough water every day is good for your health.
"""
PLANTED_SHORT: Final = (_MARIA, _COMPANY)
SHORT_PROMPT: Final = f"""\
1. Write a short thank-you note to {_MARIA} of {_COMPANY} Ltd for the lunch in Lisbon.
2. Explain in two sentences why drinking enough water every day is good for your health.
"""
