"""The named limits of a node's connections. Every queue, wait and count in `net` has its bound here."""

from attrs import frozen

from peernet.core.yamux import INITIAL_WINDOW

__all__ = ["Limits"]


@frozen
class Limits:
    """Bounds of one swarm; times in seconds, sizes in bytes."""

    connections: int = 512
    connections_per_prefix: int = 64
    handshakes_in_flight: int = 64
    """Inbound handshakes at the same time; the oldest makes room for a newcomer."""
    handshakes_per_prefix: int = 16
    handshake_timeout_s: float = 10.0
    dial_timeout_s: float = 5.0
    """For one address: its name, the socket, and what the transport has to do, such as TLS."""
    dial_patience_s: float = 2.0
    """For one address, while the peer has another one to try: a firewall that drops packets answers nothing."""
    negotiation_timeout_s: float = 10.0
    linger_s: float = 5.0
    """How long a served stream waits for the other side to close its half before it is reset."""
    farewell_s: float = 1.0
    """How long a connection that ends may take to say so, where its transport has a word for it."""
    idle_timeout_s: float = 300.0
    """How long a connection without streams is kept."""
    silence_timeout_s: float = 60.0
    """A peer that says nothing for so long is taken for dead; at half of it, it is pinged."""
    write_timeout_s: float = 60.0
    """How long a peer may take none of what is written to it."""
    outbox_high_water: int = 256 * 1024
    """A connection with more unsent bytes than this makes its writers wait."""
    stream_receive_buffer: int = INITIAL_WINDOW
    """What one stream may hold unread: its yamux window, which is not smaller than yamux's first one."""
