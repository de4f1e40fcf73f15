"""The relay's service: places for peers that nobody can dial, and circuits to them.

Rules:

1. A place is given over a direct connection, which is kept from being closed for idleness; with it the place goes.
2. What the relay bears is in `CircuitLimits`. A refusal is an answer with its status; every end is counted.
3. A circuit is two streams. When either fails, both are reset; a half that is closed is closed on the other side.
   Nothing of a circuit is left when it is over.
4. Who reads slowly makes the other one wait: beside the two streams' windows, at most one window is held.

Source: libp2p specifications, "Circuit Relay v2".
"""

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

import trio

from peernet.core.circuit import (
    HOP_PROTOCOL,
    MAX_MESSAGE_SIZE,
    STOP_PROTOCOL,
    CircuitBook,
    CircuitLimits,
    Connect,
    Pacer,
    Reservation,
    Reserve,
    Status,
    StatusMessage,
    decode_hop,
    decode_stop,
    encode_hop,
    encode_stop,
    reservation_voucher,
)
from peernet.core.errors import ConnectionFailed, RemoteProtocolError
from peernet.core.identity import Keypair, PeerId
from peernet.core.prefixes import ip_prefix
from peernet.net.addresses import PeerAddress, encode_address
from peernet.net.messages import Frames
from peernet.net.reachability.circuits import is_relayed, observed_ip
from peernet.net.streams import PeerStream
from peernet.net.swarm import Swarm

__all__ = ["CircuitRelay"]

REQUEST_TIMEOUT_S: Final = 10.0
UPKEEP_INTERVAL_S: Final = 15.0


class CircuitRelay:
    """One relay's circuits.

    Args:
        swarm: the node's connections.
        keypair: the node's identity, which signs vouchers.
        now_s: the wall clock, seconds since the epoch.
        addresses: where this relay is reached, as it tells those who reserve.
    """

    def __init__(
        self,
        swarm: Swarm,
        keypair: Keypair,
        now_s: Callable[[], float],
        addresses: Callable[[], Sequence[PeerAddress]],
        limits: CircuitLimits,
    ) -> None:
        self._swarm = swarm
        self._keypair = keypair
        self._now_s = now_s
        self._addresses = addresses
        self._limits = limits
        self._book = CircuitBook(limits)
        self._pacer: Pacer | None = None
        self._protected: set[PeerId] = set()
        self._connecting: Counter[str] = Counter()
        self.counters: Counter[str] = Counter()
        swarm.handle(HOP_PROTOCOL, self._serve)

    @property
    def reserved(self) -> tuple[PeerId, ...]:
        """Who has a place."""
        return self._book.reserved

    @property
    def circuits(self) -> int:
        """Circuits now open, or being opened."""
        return self._book.circuits

    async def run(self) -> None:
        """Ends places whose time or whose peer's connection is over, until cancelled."""
        while True:
            await trio.sleep(UPKEEP_INTERVAL_S)
            self._tidy()

    def _tidy(self) -> None:
        self._book.expire(self._now_s())
        for peer in self._book.reserved:
            if not self._is_connected(peer):
                self._book.leave(peer)
        reserved = set(self._book.reserved)
        for peer in self._protected - reserved:
            self._swarm.unprotect(peer)
        for peer in reserved - self._protected:
            self._swarm.protect(peer)
        self._protected = reserved

    def _is_connected(self, peer: PeerId) -> bool:
        """Whether there is a direct connection, which the swarm takes before one through a relay."""
        connection = self._swarm.connections.get(peer)
        return connection is not None and connection.alive and not is_relayed(connection)

    async def _serve(self, stream: PeerStream) -> None:
        frames = Frames(stream, MAX_MESSAGE_SIZE)
        with trio.fail_after(REQUEST_TIMEOUT_S):
            data = await frames.receive()
        if data is None:
            return
        try:
            request = decode_hop(data)
        except RemoteProtocolError:
            await self._refuse(frames, Status.MALFORMED_MESSAGE)
            raise
        match request:
            case Reserve():
                await self._reserve(stream, frames)
            case Connect():
                await self._connect(stream, frames, request.peer)
            case _:
                await self._refuse(frames, Status.UNEXPECTED_MESSAGE)

    async def _refuse(self, frames: Frames, status: Status) -> None:
        self.counters[f"refused:{status.name.lower()}"] += 1
        await frames.send(encode_hop(StatusMessage(status)))

    async def _reserve(self, stream: PeerStream, frames: Frames) -> None:
        if is_relayed(stream):
            await self._refuse(frames, Status.PERMISSION_DENIED)
            return
        self._tidy()  # whose connection is over has no place that others could want
        expires_at_s = self._book.reserve(stream.peer, ip_prefix(observed_ip(stream)), self._now_s())
        self._tidy()
        if not expires_at_s:
            await self._refuse(frames, Status.RESERVATION_REFUSED)
            return
        self.counters["reserved"] += 1
        addresses = tuple(encode_address(address) for address in self._addresses())
        voucher = reservation_voucher(self._keypair, stream.peer, expires_at_s)
        reservation = Reservation(expires_at_s, addresses, voucher)
        await frames.send(encode_hop(StatusMessage(Status.OK, reservation, self._limits.limit)))

    async def _connect(self, stream: PeerStream, frames: Frames, target: PeerId) -> None:
        if is_relayed(stream):
            await self._refuse(frames, Status.PERMISSION_DENIED)
            return
        if not self._is_connected(target):
            self._book.leave(target)
        prefix = ip_prefix(observed_ip(stream))
        status = self._book.open_circuit(stream.peer, prefix, target, self._now_s())
        if status is not Status.OK:
            await self._refuse(frames, status)
            return
        try:
            await self._open_and_pump(stream, frames, prefix, target)
        finally:
            self._book.close_circuit(stream.peer, prefix, target)

    async def _open_and_pump(self, stream: PeerStream, frames: Frames, prefix: str, target: PeerId) -> None:
        limits, connecting = self._limits, self._connecting
        of_prefix = connecting[prefix]
        if connecting.total() >= limits.connecting_at_once or of_prefix >= limits.connecting_at_once_per_prefix:
            await self._refuse(frames, Status.RESOURCE_LIMIT_EXCEEDED)
            return
        connecting[prefix] += 1
        try:
            with trio.fail_after(self._limits.connect_timeout_s):
                onward = await self._open_stop(stream.peer, target)
        except (ConnectionFailed, RemoteProtocolError, trio.TooSlowError):
            await self._refuse(frames, Status.CONNECTION_FAILED)
            return
        finally:
            connecting -= Counter({prefix: 1})
        async with onward:
            await frames.send(encode_hop(StatusMessage(Status.OK, limit=self._limits.limit)))
            frames.release()
            self.counters["opened"] += 1
            ending = "cut"
            try:
                ending = await self._pump(stream, onward)
            finally:
                self.counters[f"ended:{ending}"] += 1
            onward.reset()
        stream.reset()

    async def _open_stop(self, source: PeerId, target: PeerId) -> PeerStream:
        """A stream to the target, which has agreed to the circuit."""
        onward = await self._swarm.open_stream(target, (), STOP_PROTOCOL, direct=True)
        try:
            frames = Frames(onward, MAX_MESSAGE_SIZE)
            await frames.send(encode_stop(Connect(source, self._limits.limit)))
            data = await frames.receive()
            reply = None if data is None else decode_stop(data)
            if not isinstance(reply, StatusMessage) or reply.status != Status.OK:
                raise ConnectionFailed(f"{target} takes no circuit")
            frames.release()
        except BaseException:
            onward.reset()
            raise
        return onward

    async def _pump(self, stream: PeerStream, onward: PeerStream) -> str:
        """Passes bytes both ways until the circuit is over; why it is."""
        limits = self._limits
        endings: list[str] = []
        pacer = Pacer(limits.circuit_bytes_per_s, trio.current_time())
        with trio.move_on_after(limits.duration_s):
            async with trio.open_nursery() as nursery:
                scope = nursery.cancel_scope

                def note_progress() -> None:
                    scope.deadline = trio.current_time() + limits.idle_s

                async def pass_on(origin: PeerStream, destination: PeerStream) -> None:
                    try:
                        ending = await self._pass_on(origin, destination, pacer, note_progress)
                    except ConnectionFailed:
                        ending = "lost"
                    if ending is not None:
                        endings.append(ending)
                        scope.cancel()

                note_progress()
                nursery.start_soon(pass_on, stream, onward)
                nursery.start_soon(pass_on, onward, stream)
            if not endings:
                return "idle" if scope.cancelled_caught else "closed"
            return endings[0]
        return "duration"

    async def _pass_on(
        self, origin: PeerStream, destination: PeerStream, pacer: Pacer, note_progress: Callable[[], None]
    ) -> str | None:
        """Passes bytes one way until the origin's half ends; what else ended it, if it did."""
        passed = 0
        while data := await origin.receive_some():
            passed += len(data)
            if passed > self._limits.size_bytes:
                return "size"
            await destination.send_all(data)
            self.counters["bytes"] += len(data)
            note_progress()
            now_s = trio.current_time()
            pause_s = max(pacer.pause_s(len(data), now_s), self._paced(len(data), now_s))
            if pause_s:
                await trio.sleep(pause_s)
        with suppress(ConnectionFailed):
            await destination.close_sending()
        return None

    def _paced(self, size: int, now_s: float) -> float:
        if self._pacer is None:
            self._pacer = Pacer(self._limits.bytes_per_s, now_s)
        return self._pacer.pause_s(size, now_s)
