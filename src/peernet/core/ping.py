"""ping 1.0.0: whether a peer answers, and how long that takes.

The one who asks opens a stream, writes 32 random bytes, and waits until the same bytes have come back; that is the
round trip. It may do so again on the same stream, and closes its half when it has done. The one who answers writes
back what it reads, 32 bytes at a time, and closes its half after the other's.

Rules:

1. An answer of other bytes, and a stream that ends within a ping, are errors.
2. One peer has at most `MAX_STREAMS` streams answered at once, and asks on one.
3. Who asks one after the other is answered at once. Whoever sends more than `PINGS_PER_S` is answered more and more
   slowly, up to `MAX_PAUSE_S` at a time: what it sends fills its own window, and nothing else.

Source: libp2p specifications, "Ping".
"""

from typing import Final

from peernet.core.errors import LocalProtocolError, RemoteProtocolError

__all__ = ["MAX_PAUSE_S", "MAX_STREAMS", "PING_SIZE", "PROTOCOL", "Pinger", "Ponger"]

PROTOCOL: Final = "/ipfs/ping/1.0.0"
PING_SIZE: Final = 32
MAX_STREAMS: Final = 2
PINGS_PER_S: Final = 100
BURST: Final = 1000
"""Pings that are answered at once before `PINGS_PER_S` counts: what a program that measures may need."""
MAX_PAUSE_S: Final = 30.0


class Pinger:
    """The side that asks, for one ping of 32 bytes."""

    __slots__ = ("_answer", "_payload")

    def __init__(self, payload: bytes) -> None:
        if len(payload) != PING_SIZE:
            raise LocalProtocolError(f"a ping has {PING_SIZE} bytes, not {len(payload)}")
        self._payload = payload
        self._answer = b""

    def receive(self, data: bytes) -> bool:
        """Whether the answer is complete; raises `RemoteProtocolError` for any other bytes than those sent."""
        self._answer += data
        if self._answer != self._payload[: len(self._answer)]:
            raise RemoteProtocolError("the answer to a ping is not what was sent", reason="bad_pong")
        return len(self._answer) == PING_SIZE


class Ponger:
    """The side that answers, over one stream; `now` is any clock in seconds."""

    __slots__ = ("_allowance", "_at", "_partial")

    def __init__(self, now: float) -> None:
        self._partial = b""
        self._allowance = float(BURST)
        self._at = now

    def receive(self, data: bytes, now: float) -> tuple[bytes, float]:
        """What to write back, and how many seconds to wait after that before anything more is read."""
        data = self._partial + data
        whole = len(data) - len(data) % PING_SIZE
        self._partial = data[whole:]
        self._allowance = min(BURST, self._allowance + (now - self._at) * PINGS_PER_S) - whole // PING_SIZE
        self._at = now
        return data[:whole], min(MAX_PAUSE_S, max(0.0, -self._allowance / PINGS_PER_S))

    def end(self) -> None:
        """The other side's half is closed; raises `RemoteProtocolError` when that was within a ping."""
        if self._partial:
            raise RemoteProtocolError(f"a ping of {len(self._partial)} bytes", reason="bad_ping")
