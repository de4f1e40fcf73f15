"""A second reading of docs/rings.md, "Paced rings": when each end of a paced ring sends what, from the page alone.

As in `second_ring`, nothing of `peernet` is here. Times are whole milliseconds. Nobody is late, and no ring breaks.
"""

from collections.abc import Sequence

from attrs import frozen

__all__ = ["Said", "Slot", "client_slots", "host_slots"]

BODY = 1005
CLIENT_LEAD_MS, CLIENT_EVERY_MS, BURSTS = 20, 160, (32, 128, 512)
HOST_EVERY_MS, CLASSES = 80, (128, 512, 2048)


@frozen
class Said:
    """A message behind its length, and when its end had it to say."""

    at_ms: int
    framed: bytes


@frozen
class Slot:
    """A cell that is due."""

    at_ms: int
    type: str
    body: bytes


def in_class(count: int, classes: Sequence[int]) -> int:
    return next((size for size in classes if count <= size), -(-count // classes[-1]) * classes[-1])


def waiting(said: Sequence[Said], taken: int, now_ms: int) -> bytes:
    """What there is to say by now, but for the bytes that have left."""
    return b"".join(each.framed for each in said if each.at_ms <= now_ms)[taken:]


def client_slots(said: Sequence[Said], ended_ms: int, reason: bytes, over_ms: int) -> list[Slot]:
    """The client's cells: it wants nothing more from `ended_ms` on, and has the host's END at `over_ms`."""
    now_ms, taken, end_said, slots = said[0].at_ms + CLIENT_LEAD_MS, 0, False, list[Slot]()
    while now_ms < over_ms:
        wanted = now_ms < ended_ms
        data = waiting(said, taken, now_ms) if wanted else b""
        for _ in range(1 if slots else in_class(-(-len(data) // BODY), BURSTS)):
            body, data = data[:BODY], data[BODY:]
            taken += len(body)
            if body:
                slots.append(Slot(now_ms, "DATA", body))
            elif wanted or end_said:
                slots.append(Slot(now_ms, "PAD", b""))
            else:
                slots.append(Slot(now_ms, "END", reason))
                end_said = True
        now_ms += CLIENT_EVERY_MS
    return slots


def host_slots(said: Sequence[Said], begun_ms: int, ended_ms: int, reason: bytes) -> list[Slot]:
    """The host's cells: the client's first one is there at `begun_ms`, its END, with `reason`, at `ended_ms`."""
    now_ms, taken, slots = begun_ms, 0, list[Slot]()
    while not slots or slots[-1].type != "END":
        wanted = now_ms < ended_ms
        body = waiting(said, taken, now_ms)[:BODY] if wanted else b""
        taken += len(body)
        last = len(slots) + 1 == in_class(len(slots) + 1, CLASSES)
        if body:
            slots.append(Slot(now_ms, "DATA", body))
        elif last and not wanted:
            slots.append(Slot(now_ms, "END", reason))
        else:
            slots.append(Slot(now_ms, "PAD", b""))
        now_ms += HOST_EVERY_MS
    return slots
