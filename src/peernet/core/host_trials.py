"""What became of a question that a host was asked to see how fast it serves: times, counts and one word, never a text.

Rules:

1. A host answers for what it did: that it was reached, took the question, and went on to the end. What lay before it,
   a network with too few relays, a relay that broke, a lane that nobody funded, says nothing of it: it was not tried.
2. Times are of whoever asked, from the moment the question left: the ring's own way is in them, as it is for users.
"""

from typing import Final

from attrs import frozen

__all__ = [
    "ANSWERED",
    "CUT_OFF",
    "FAILURES",
    "NOT_LISTED",
    "NOT_PAID",
    "NOT_READY",
    "NOT_TRIED",
    "NO_RING",
    "REFUSED",
    "TIMED_OUT",
    "TOO_DEAR",
    "UNREACHED",
    "HostTrial",
]

ANSWERED: Final = "answered"

TIMED_OUT: Final = "timed_out"
"""The host was silent, or too slow, for longer than a client waits."""
REFUSED: Final = "refused"
"""It said that it would not answer, or not go on."""
CUT_OFF: Final = "cut_off"
"""It, or its connections, ended in mid-answer; or what it sent was no answer."""
UNREACHED: Final = "unreached"
"""No ring could be joined at it, where its relays could."""
FAILURES: Final = (TIMED_OUT, REFUSED, CUT_OFF, UNREACHED)

NOT_LISTED: Final = "not_listed"
"""The directory has no offer of the model by this host."""
NO_RING: Final = "no_ring"
"""Too few relays, or one of them broke the ring, or the ledger was not reached."""
NOT_PAID: Final = "not_paid"
"""No lane was granted for nothing, and there were no credits for one."""
TOO_DEAR: Final = "too_dear"
"""The host asks for more than a trial may cost."""
NOT_READY: Final = "not_ready"
"""Whoever asks has no directory yet."""
NOT_TRIED: Final = (NOT_LISTED, NO_RING, NOT_PAID, TOO_DEAR, NOT_READY)


@frozen
class HostTrial:
    """One question to one host."""

    outcome: str
    """`ANSWERED`, or one of `FAILURES` or `NOT_TRIED`."""
    prompt_tokens: int = 0
    """As the client counts them, like all tokens here."""
    answer_tokens: int = 0
    first_token_s: float | None = None
    """From the question's leaving to the first piece of the answer; None where none came."""
    later_tokens: int = 0
    """Those behind the first piece, of a whole answer."""
    later_s: float = 0.0
    """How long they took together."""
    longest_gap_s: float = 0.0
    """The longest wait between two pieces."""
    price_microcredits: int = 0
    """What was signed for."""

    @property
    def tried(self) -> bool:
        """Whether the trial says anything of the host."""
        return self.outcome not in NOT_TRIED
