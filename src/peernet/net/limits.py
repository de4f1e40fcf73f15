"""The named limits of a node's connections. Every queue, wait and count in `net` has its bound here.

`HOME` suits a machine behind a home's router, whose processes may open 1,024 files: connections, and those who wait
for their handshake, stay below that. `BUSY` suits a relay or a bootstrap node that strangers lean on, with some
10,000 files. `net.resources` and `net.door` say what happens at a limit.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from attrs import frozen

from peernet.core.yamux.frames import INITIAL_WINDOW

__all__ = ["BUSY", "HOME", "PRESETS", "Limits"]


@frozen
class Limits:
    """Bounds of one swarm; times in seconds, sizes in bytes."""

    connections: int = 512
    """Connections of both directions, those among them whose handshake is under way."""
    connections_per_prefix: int = 256
    """Connections that came from one address prefix. A household, an office or a carrier's gateway is one."""
    connections_per_peer: int = 4
    """One is used; a race or a peer that lost its state makes more for a while."""
    streams: int = 4096
    """Streams that others opened and that are being served."""
    streams_per_prefix: int = 1024
    streams_per_peer: int = 256
    streams_undecided: int = 128
    """Streams of one peer that have not agreed on a protocol; further ones are refused."""
    stream_starts: int = 8
    """Streams that begin to be served at once; when more come together they take turns."""
    refused_streams: int = 128
    """How many streams one connection may have refused or given up before it is closed as a flood."""
    queued_replies: int = 256
    """Pongs and refusals that what came in one piece may cause; a peer that causes more floods this node."""
    stream_receive_buffer: int = INITIAL_WINDOW
    """What one stream may hold unread: its yamux window, which is not smaller than yamux's first one."""
    window_memory: int = 128 << 20
    """What all streams' windows may grow beyond their first one, together."""
    window_memory_per_prefix: int = 64 << 20
    window_memory_per_peer: int = 32 << 20

    handshake_starts: int = 1
    """Handshakes that begin in one moment: each costs as much as a dozen messages, so the next one waits until
    everybody else has had a turn."""
    handshakes_in_flight: int = 128
    """Inbound handshakes at the same time; whoever comes then waits."""
    handshakes_per_prefix: int = 32
    handshakes_waiting: int = 256
    """How many may wait for their handshake to begin."""
    handshakes_waiting_per_prefix: int = 224
    handshake_grace_s: float = 2.0
    """What a handshake may take while somebody waits for its place."""
    handshake_wait_s: float = 10.0
    """How long somebody waits for a handshake to begin."""
    handshake_timeout_s: float = 10.0
    penalty_s: float = 1.0
    """How long nobody more is let in from the prefix of a connection that broke the protocol, or flooded this node;
    twice as long each further time."""
    penalty_max_s: float = 8.0
    penalties: int = 1024
    """How many prefixes are remembered for that."""

    dials: int = 128
    """Peers that are dialled at the same time; a further dial fails."""
    dial_addresses: int = 16
    """How many IP addresses of one peer are tried in one dial."""
    dial_attempts_at_once: int = 4
    """How many of them at the same time."""
    dial_stagger_s: float = 0.25
    """How long one address has for itself before the next is tried beside it."""
    dial_timeout_s: float = 5.0
    """For one address: the socket, and what the transport has to do, such as TLS. A name has as long."""
    dial_backoff_s: float = 0.5
    """How long an address that failed is left alone; twice as long after each further failure."""
    dial_backoff_max_s: float = 10.0
    dial_backoffs: int = 1024
    """How many addresses that failed are remembered."""

    negotiation_timeout_s: float = 10.0
    linger_s: float = 5.0
    """How long a served stream waits for the other side to close its half before it is reset."""
    farewell_s: float = 1.0
    """How long a connection that ends may take to say so, where its transport has a word for it."""
    drain_timeout_s: float = 30.0
    """How long a node that ends goes on with what it is serving."""
    idle_timeout_s: float = 300.0
    """How long a connection without streams is kept."""
    silence_timeout_s: float = 60.0
    """A peer that says nothing for so long is taken for dead; at half of it, it is pinged."""
    write_timeout_s: float = 60.0
    """How long a peer may take none of what is written to it."""
    outbox_high_water: int = 256 * 1024
    """A connection with more unsent bytes than this makes its writers wait."""


HOME: Final = Limits()
BUSY: Final = Limits(
    connections=4096,
    connections_per_prefix=512,
    streams=32768,
    streams_per_prefix=8192,
    streams_per_peer=480,
    window_memory=1 << 30,
    window_memory_per_prefix=256 << 20,
    window_memory_per_peer=64 << 20,
    handshakes_in_flight=512,
    handshakes_per_prefix=64,
    handshakes_waiting=2048,
    handshakes_waiting_per_prefix=512,
    dials=512,
)
PRESETS: Final[Mapping[str, Limits]] = MappingProxyType({"home": HOME, "busy": BUSY})
"""What a configuration calls them."""
