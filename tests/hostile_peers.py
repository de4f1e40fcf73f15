"""Relays and hosts that misbehave, once, where a test says: for whole networks in this process.

A relay forwards by code of its own, over the very state machine that honest relays have, so that it can do to each
cell what it likes. A host is the real one with a hand between it and its rings. Whoever comes first to the occasion
that a `Deed` describes takes it, and is noted; all are honest before and after.
"""

import secrets
from collections.abc import Awaitable, Callable
from typing import Any, Final, cast

import pytest
import trio
from attrs import define, field, frozen

from peernet.core import serving
from peernet.core.dht.records import PeerRecord, open_record
from peernet.core.errors import ConnectionFailed
from peernet.core.identity import PeerId
from peernet.core.ring.cells import CELL_SIZE, cut_cells
from peernet.core.ring.hop import Extend, Hop, SendBack
from peernet.core.serving import Delta, FromHost, Settled
from peernet.net.addresses import dialable
from peernet.net.rings import RING_PROTOCOL, RingChannel, RingService
from peernet.net.streams import PeerStream
from peernet.net.swarm import Swarm

__all__ = ["Deed", "Deeds", "make_hostile"]

CLIENT_PLACE: Final = ".200.1"
DELAY_S: Final = 0.3
FLOOD_CELLS: Final = 4000
MOST_DELTAS: Final = 5000


@frozen
class Deed:
    """What a middle, a guard or a host does, and at which occasion."""

    name: str
    by_host: bool = False
    by_guard: bool = False
    at: int = 8
    """At which cell of a leg since its arc was extended, from 1; or which message of a host, its receipt being 0."""
    back: bool = True
    """Whether on the way to the client. The ring that funds a lane has fewer cells either way."""
    for_ever: bool = False
    """Whether whoever does it goes on doing it on this and every other ring."""


@define
class Deeds:
    """The deed that waits for its occasion, and who has done it."""

    waiting: Deed | None = None
    doers: list[str] = field(factory=list)
    kept: list[bytes] = field(factory=list)

    def arm(self, deed: Deed) -> None:
        """Lets it be done, once."""
        self.waiting = deed
        self.doers.clear()

    def take(self, doer: str, at: int, *, by_host: bool, back: bool, by_guard: bool = False) -> str:
        """The name of the deed whose occasion this is; nothing where it is none."""
        deed = self.waiting
        if deed is None or (deed.at, deed.by_host, deed.back, deed.by_guard) != (at, by_host, back, by_guard):
            return ""
        if self.doers and (not deed.for_ever or self.doers[0] != doer):
            return ""
        self.doers.append(doer)
        return deed.name


def make_hostile(monkeypatch: pytest.MonkeyPatch, member: Callable[[], str], deeds: Deeds) -> None:
    """Makes relays and hosts that are started from now on do what `deeds` waits for; `member` says who is who.

    To who comes from `CLIENT_PLACE` relays do what guards are to do, and to others what middles are.
    """
    handle, serve = Swarm.handle, RingService.serve

    def handle_hostile(swarm: Swarm, protocol: str, handler: Any) -> None:
        if protocol == RING_PROTOCOL and member().startswith("relay"):
            handler = HostileRelay(handler.__self__, deeds).serve
        handle(swarm, protocol, handler)

    def serve_hostile(service: RingService, name: str, handler: Callable[[RingChannel], Awaitable[None]]) -> None:
        host = str(service._swarm.peer_id)

        async def overheard(ring: RingChannel) -> None:
            await handler(cast("RingChannel", HostileChannel(ring, deeds, host)))

        hostile = name == serving.INFER and member().startswith("host")
        serve(service, name, overheard if hostile else handler)

    monkeypatch.setattr(Swarm, "handle", handle_hostile)
    monkeypatch.setattr(RingService, "serve", serve_hostile)


class _Closed(Exception):
    """The relay closes both its legs."""


class HostileRelay:
    """Forwards for others, but for what it does to them."""

    def __init__(self, service: RingService, deeds: Deeds) -> None:
        self._service = service
        self._deeds = deeds
        self._name = str(service._swarm.peer_id)

    async def serve(self, stream: PeerStream) -> None:
        service = self._service
        hop = Hop(service._suite, service._onion_secrets(), secrets.token_bytes(32))
        buffer = bytearray()
        while True:
            while len(buffer) < CELL_SIZE:
                data = await stream.receive_some()
                if not data:
                    return
                buffer += data
            cell = bytes(buffer[:CELL_SIZE])
            del buffer[:CELL_SIZE]
            (event,) = hop.receive(cell)
            if isinstance(event, Extend):
                await self._forward(stream, hop, buffer, event)
                return
            if not isinstance(event, SendBack):
                return  # an arc that would end here
            await stream.send_all(event.cell)

    async def _forward(self, stream: PeerStream, hop: Hop, buffer: bytearray, command: Extend) -> None:
        record = open_record(command.record, self._service._now_s(), self._service._suite)
        assert isinstance(record, PeerRecord)
        peer = PeerId.from_public_key(record.public_key)
        addresses = dialable(record.addresses, allow_private=True)
        try:
            onward = await self._service._swarm.open_stream(peer, addresses, RING_PROTOCOL, optimistic=True)
        except ConnectionFailed:
            await self._end_towards_client(stream, hop, "unreachable")
            return
        said = "lost"
        try:
            async with onward, trio.open_nursery() as nursery:

                async def pump_on() -> None:
                    await self._pump(stream, onward, hop.receive, buffer, back=False)
                    nursery.cancel_scope.cancel()

                async def pump_back() -> None:
                    await self._pump(onward, stream, hop.receive_back, bytearray(), back=True)
                    nursery.cancel_scope.cancel()

                nursery.start_soon(pump_on)
                nursery.start_soon(pump_back)
        except* _Closed:
            said = ""
        except* ConnectionFailed:
            pass
        if said:
            await self._end_towards_client(stream, hop, said)

    async def _end_towards_client(self, stream: PeerStream, hop: Hop, reason: str) -> None:
        try:
            for event in hop.extension_failed(reason):
                assert isinstance(event, SendBack)
                await stream.send_all(event.cell)
        except ConnectionFailed:
            pass

    async def _pump(
        self, source: PeerStream, sink: PeerStream, step: Callable[[bytes], Any], buffer: bytearray, *, back: bool
    ) -> None:
        passed = 0
        guard = any((stream.observed or "").endswith(CLIENT_PLACE) for stream in (source, sink))
        while True:
            for cell in cut_cells(buffer):
                (event,) = step(cell)
                passed += 1
                name = self._deeds.take(self._name, passed, by_host=False, back=back, by_guard=guard)
                for altered in await self._do(name, event.cell, sink):
                    await sink.send_all(altered)
            data = await source.receive_some()
            if not data:
                return
            buffer += data

    async def _do(self, name: str, cell: bytes, sink: PeerStream) -> list[bytes]:
        """What is sent in the place of `cell`."""
        match name:
            case "drop":
                return []
            case "delay":
                await trio.sleep(DELAY_S)
            case "hold":
                await trio.sleep_forever()
            case "duplicate":
                return [cell, cell]
            case "flip":
                return [cell[:500] + bytes([cell[500] ^ 4]) + cell[501:]]
            case "close":
                raise _Closed
            case "flood":
                for _ in range(FLOOD_CELLS):
                    await sink.send_all(secrets.token_bytes(CELL_SIZE))
        return [cell]


class HostileChannel:
    """The host's end of a ring, with a hand in between."""

    def __init__(self, ring: RingChannel, deeds: Deeds, host: str) -> None:
        self._ring = ring
        self._deeds = deeds
        self._host = host
        self._said = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ring, name)

    async def send(self, message: bytes) -> None:
        self._said += 1
        said = FromHost.decode(message)
        settled = isinstance(said, Settled)
        match self._deeds.take(self._host, 0 if settled else self._said, by_host=True, back=True):
            case "stall":
                await trio.sleep_forever()
            case "garbage":
                message = b"\xc1" * 100
            case "nothing":
                message = FromHost.encode(Delta(""))
            case "early":
                self._ring.end()
                await self._ring.finished.wait()
            case "more":
                for number in range(MOST_DELTAS):
                    await self._ring.send(FromHost.encode(Delta(f" more {number}")))
            case "replay":
                message = self._deeds.kept[0]
        if settled:
            self._deeds.kept.append(message)
        await self._ring.send(message)
