"""Serving streams: from a stream that a peer has opened to the handler of its protocol, and to its end.

Rules:

1. A stream gets its place (`net.resources`) before anything of it is looked at, and its turn (`net.turns`) before a
   task. A stream without a place is reset; who goes on opening those is cut off, and its prefix rests.
2. A handler that fails ends its stream and is counted. `RemoteProtocolError` and `ConnectionFailed` are the other
   side's, and are expected; so is what takes too long.
3. A node that is drained refuses new streams, and finishes those that it serves.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

import trio

from peernet.core.errors import ConnectionFailed, RemoteProtocolError
from peernet.core.multistream import Listener
from peernet.net.connection import PeerConnection
from peernet.net.connection_table import Held
from peernet.net.incidents import Incidents, leaves
from peernet.net.limits import Limits
from peernet.net.resources import Resources, StreamPlace
from peernet.net.streams import PeerStream
from peernet.net.turns import Turns

__all__ = ["StreamHandler", "StreamService"]

StreamHandler = Callable[[PeerStream], Awaitable[None]]


class StreamService:
    """The streams that others open to one node.

    Args:
        limits: the bounds.
        resources: where places for streams are taken.
        counters: what happens is counted here.
        incidents: told of errors of ours.
        held: the connections whose handshake is done.
        punish: makes a prefix rest.
    """

    def __init__(
        self,
        limits: Limits,
        resources: Resources,
        counters: Counter[str],
        incidents: Incidents,
        held: Mapping[PeerConnection, Held],
        punish: Callable[[str], None],
    ) -> None:
        self._limits = limits
        self._resources = resources
        self._counters = counters
        self._incidents = incidents
        self._held = held
        self._punish = punish
        self._nursery: trio.Nursery | None = None
        # Streams that came together with the last words of a handshake, before the connection was taken in.
        self._early: dict[PeerConnection, list[PeerStream]] = {}
        self._served = trio.Event()
        self.handlers: dict[str, StreamHandler] = {}
        """Who serves which protocol."""
        self.draining = False
        """Whether new streams are refused."""

    def begin(self, nursery: trio.Nursery) -> None:
        """Streams are served in this nursery from now on."""
        self._nursery = nursery
        self._turns = Turns(self._limits.stream_starts, nursery)

    async def wait_all_served(self) -> None:
        """Waits until no stream is served."""
        while self._resources.streams:
            self._served = trio.Event()
            await self._served.wait()

    def take(self, connection: PeerConnection, stream: PeerStream) -> None:
        """Takes a stream that the other side has opened."""
        held = self._held.get(connection)
        if connection.ended is not None:
            return
        if held is None:
            # As many as yamux bears unanswered, and not for long.
            self._early.setdefault(connection, []).append(stream)
            return
        if self.draining:
            self._counters["refused_stream:draining"] += 1
            stream.reset()
            return
        scope = trio.CancelScope()

        def give_up() -> None:
            self._counters["evicted:stream"] += 1
            scope.cancel()

        place = self._resources.take_stream(held.place, give_up)
        if place is None:
            self._refuse(connection, held, stream)
            return
        assert self._nursery is not None
        self._turns.offer(connection, partial(self._nursery.start_soon, self._serve, stream, place, scope))

    def count_refused(self, reason: str) -> None:
        """Counts a stream that yamux has refused by itself."""
        self._counters[f"refused_stream:{reason}"] += 1

    def take_early(self, connection: PeerConnection) -> None:
        """Takes the streams that came before the connection was in the table."""
        for stream in self._early.pop(connection, ()):
            self.take(connection, stream)

    def forget(self, connection: PeerConnection) -> None:
        """The connection is over."""
        self._early.pop(connection, None)

    def _refuse(self, connection: PeerConnection, held: Held, stream: PeerStream) -> None:
        """Resets a stream for which there is no place, and ends a connection that is refused too many."""
        self._counters["refused_stream:limit"] += 1
        stream.reset()
        if held.place.refused > self._limits.refused_streams and connection.alive:
            self._counters["connection_failed:stream_flood"] += 1
            connection.close("the peer floods this node with streams")
            if held.came_directly:
                self._punish(held.place.prefix)

    async def _serve(self, stream: PeerStream, place: StreamPlace, scope: trio.CancelScope) -> None:
        try:
            with scope:
                async with stream:
                    handler = await self._negotiate(stream)
                    if handler is not None:
                        self._resources.settle_stream(place)
                        await handler(stream)
                    await stream.close_sending()
                    with trio.move_on_after(self._limits.linger_s):
                        await stream.wait_remote_closed()
        except Exception as error:  # noqa: BLE001  (the outermost task of a stream: count, log without data, go on)
            self._count_failure(error)
        finally:
            self._resources.release_stream(place)
            self._served.set()

    def _count_failure(self, error: Exception) -> None:
        """Counts what ended a stream. A handler's own nursery wraps its errors in groups."""
        found = leaves(error)
        expected = [leaf for leaf in found if isinstance(leaf, RemoteProtocolError)]
        if not all(isinstance(leaf, RemoteProtocolError | ConnectionFailed | trio.TooSlowError) for leaf in found):
            self._incidents.crashed("handler_crashed", error)
        elif expected:
            self._counters[f"stream_failed:{expected[0].reason}"] += 1
        else:
            self._counters["stream_ended"] += 1

    async def _negotiate(self, stream: PeerStream) -> StreamHandler | None:
        listener = Listener(tuple(self.handlers))
        with trio.fail_after(self._limits.negotiation_timeout_s):
            while listener.selected is None:
                data = await stream.receive_some()
                if not data:
                    return None
                try:
                    listener.receive(data)
                finally:
                    # A refusal is said even where what came behind the proposal ends the stream.
                    if reply := listener.data_to_send():
                        await stream.send_all(reply)
        stream.unread(listener.leftover())
        self._counters[f"stream:in:{listener.selected}"] += 1
        return self.handlers[listener.selected]
