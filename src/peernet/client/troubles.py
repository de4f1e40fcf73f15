"""What a client's rings have suffered, counted by kind: for whoever runs it, and for research.

A count has a kind of ours and, behind a colon, the word that a ring ended with. That word may be a peer's: one that no
code of ours says is counted as `other`, so that nobody can fill a client's memory with kinds.

    not_built:WORD     a ring, or an arc ahead of one, was not built
    relay:WORD         a request's ring failed, and one of its relays may have done it
    host:WORD          a host broke the protocol, fell silent, was too slow, went, refused, or said more than it was
                       asked for
    request:WORD       an attempt failed, and nobody on its ring did it
    warm:WORD          what became of the arcs that were built ahead

Which peers were in question is counted too, in memory alone and for as long as the client runs. Nobody is left out for
it: one ring's evidence counts for one request (`request`), and these are for people.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Final

__all__ = ["MAX_PEERS", "RingTroubles"]

MAX_PEERS: Final = 1000

_WORDS: Final = frozenset(
    {
        # How arcs and rings end (`core.ring`, `net.rings`).
        *("arc_lost", "broken", "busy", "closed", "idle", "lost", "timeout", "unlisted", "unreachable"),
        *("bad_cell", "bad_command", "bad_direction", "bad_extension", "bad_join", "bad_key", "bad_message"),
        *("bad_operator", "bad_record", "bad_signature", "bad_tag", "bad_window", "expired", "no_partner", "no_relay"),
        *("onion_key", "window_overrun", "done", "cancelled", "unknown", "too_long", "too_short", "bad_length"),
        *("bad_address", "bad_lifetime", "bad_text", "from_future", "nonces_used_up", "not_canonical"),
        *("unknown_message",),
        # What hosts and the ledger say (`core.serving`, `core.ledger.messages`).
        *("bad_grant", "bad_lane", "bad_request", "context_overflow", "engine_failed", "ledger_unreachable"),
        *("no_model", "no_prefix", "over_grant", "refused", "screened", "unpaid"),
        # What the client itself finds.
        *("silent", "slow", "failed", "aged", "built", "conflicting", "died", "used"),
    }
)


class RingTroubles:
    """The counts of one client."""

    def __init__(self) -> None:
        self.counters: Counter[str] = Counter()
        self.peers: Counter[str] = Counter()
        """How often each peer was to blame, or one of those who might be; the `MAX_PEERS` that were first."""

    def note(self, kind: str, word: str, peers: Iterable[str] = ()) -> None:
        """Counts one."""
        self.counters[f"{kind}:{word if word in _WORDS else 'other'}"] += 1
        for peer in peers:
            if peer in self.peers or len(self.peers) < MAX_PEERS:
                self.peers[peer] += 1
