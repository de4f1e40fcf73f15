"""The upgrade of a byte stream: what a node brings to each of its handshakes, and the state machine that shakes hands.

One Noise static key and one signature over it are made for the node's lifetime; each connection has an ephemeral
secret of its own. The protocol is `core.connection`.
"""

import secrets

from peernet.core.connection import Connection, NoiseIdentity
from peernet.core.identity import Keypair, PeerId
from peernet.core.suite import KEY_SIZE, CipherSuite
from peernet.core.yamux.flow_control import WindowBudget
from peernet.core.yamux.limits import YamuxLimits
from peernet.net.limits import Limits
from peernet.net.shared_buffer import OPENED

__all__ = ["Upgrader"]


class Upgrader:
    """The upgrades of one node; `swarm_key` is that of a private swarm, or None in an open one."""

    def __init__(self, suite: CipherSuite, keypair: Keypair, limits: Limits, swarm_key: bytes | None) -> None:
        self._suite = suite
        self._identity = NoiseIdentity.of(keypair, secrets.token_bytes(KEY_SIZE), suite)
        self._yamux_limits = YamuxLimits(
            receive_window=limits.stream_receive_buffer, max_queued_replies=limits.queued_replies
        )
        self._swarm_key = swarm_key

    def begin(self, *, initiator: bool, expected: PeerId | None, budget: WindowBudget) -> Connection:
        """A connection before its first byte; `expected` is who must be at the other end, if that is known."""
        return Connection(
            self._suite,
            self._identity,
            initiator=initiator,
            ephemeral_secret=secrets.token_bytes(KEY_SIZE),
            expected_peer=expected,
            swarm_key=self._swarm_key,
            limits=self._yamux_limits,
            scratch=OPENED.get(),
            budget=budget,
        )
