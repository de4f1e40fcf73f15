"""What one yamux session may hold: everything in it that grows has a bound here."""

from typing import Final

from attrs import frozen

from peernet.core.errors import LocalProtocolError
from peernet.core.yamux.frames import INITIAL_WINDOW, MAX_UINT32

__all__ = ["DEFAULT_LIMITS", "YamuxLimits"]


@frozen
class YamuxLimits:
    """What one session may hold. Counts, and sizes in bytes."""

    max_inbound_streams: int = 512
    """Streams of the remote at once; more are reset."""
    max_outbound_streams: int = 512
    """Streams of ours at once; more are not opened."""
    max_backlog: int = 256
    """Streams not yet acknowledged, in each direction."""
    receive_window: int = INITIAL_WINDOW
    """What a stream may have received and not yet consumed, at first; not below the initial window."""
    max_receive_window: int = 16 << 20
    """What that may grow to: 16 MiB carry 160 MB/s over a round trip of 100 ms."""
    max_queued: int = 1 << 20
    """Stream data queued between two calls of `data_to_send`."""
    max_queued_replies: int = 1024
    """Pongs and refusals queued between two calls of `data_to_send`; a remote that causes more floods us."""
    max_pings: int = 16
    """Pings of ours that wait for their pong."""
    max_late_bytes: int = 64 << 20
    """Data for forgotten streams that may still be on its way."""

    def __attrs_post_init__(self) -> None:
        if not INITIAL_WINDOW <= self.receive_window <= MAX_UINT32:
            raise LocalProtocolError(f"a receive window is at least {INITIAL_WINDOW} bytes, not {self.receive_window}")
        if not self.max_receive_window <= MAX_UINT32:
            raise LocalProtocolError(f"a receive window has 32 bits, {self.max_receive_window} has not")


DEFAULT_LIMITS: Final = YamuxLimits()
