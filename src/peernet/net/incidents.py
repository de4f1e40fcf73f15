"""Incidents: what goes wrong on a node, counted, and logged without anything of whom it concerns.

Of an error of ours its type is logged, and no traceback: its frames could show what a stream carried. What strangers
can cause a thousand times a second is logged seldom (`net.seldom`).
"""

from collections import Counter
from typing import Final

import structlog

from peernet.net.outgoing import NOT_DECRYPTED
from peernet.net.seldom import SeldomLog

__all__ = ["Incidents", "leaves"]

_OPEN_SWARM_HINT: Final = "it may be full, or belong to a private swarm: then give its key with --swarm-key"
_PRIVATE_SWARM_HINT: Final = "check that both have the same swarm key (--swarm-key)"
_KEY_CHECK: Final = "if it should be, check that its --swarm-key names the same key as this node's"

log = structlog.get_logger()


def leaves(error: BaseException) -> list[BaseException]:
    """The errors in a group of groups; of an error that is none, itself."""
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in leaves(inner)]
    return [error]


class Incidents:
    """Those of one node.

    Args:
        counters: where they are counted.
        in_private_swarm: whether the node has a swarm key.
    """

    def __init__(self, counters: Counter[str], *, in_private_swarm: bool) -> None:
        self._counters = counters
        self._in_private_swarm = in_private_swarm
        self._seldom = SeldomLog()

    def crashed(self, counter: str, error: BaseException) -> None:
        """A part of the swarm failed by an error of ours."""
        self._counters[counter] += 1
        kinds = sorted({type(leaf).__name__ for leaf in leaves(error)})
        log.error("a part of the swarm failed", part=counter, errors=kinds)

    def meet_limit(self, name: str) -> None:
        """A limit was met."""
        self._counters[f"limit:{name}"] += 1
        self._seldom.warn(name, "a limit of this node was met", limit=name)

    def fail_handshake(self, reason: str) -> None:
        """The handshake of somebody who came failed."""
        self._counters[f"handshake_failed:{reason}"] += 1
        # Whoever notices first that the keys differ goes without a word.
        if self._in_private_swarm and reason in {NOT_DECRYPTED, "closed"}:
            self._seldom.warn("incoming_key", f"somebody came who is not in this private swarm: {_KEY_CHECK}")

    def key_hint(self) -> str:
        """What to check when the other side's handshake cannot be decrypted, or it goes in the middle of ours."""
        if not self._in_private_swarm:
            return _OPEN_SWARM_HINT
        self._seldom.warn("dialled_key", f"a peer that this node dialled is not in its private swarm: {_KEY_CHECK}")
        return _PRIVATE_SWARM_HINT
