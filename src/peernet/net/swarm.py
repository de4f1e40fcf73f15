"""The swarm: every connection of one node, and the streams of named protocols over them.

Rules:

1. One connection is used per peer pair; a second one that a race made is left to go idle.
2. Who the peer is comes from the handshake. A dial names the peer that it expects.
3. Inbound work is bounded before it is begun: handshakes in flight, connections in total and per address prefix. At
   the limit the connection that has been idle longest is closed for a newcomer; if none is idle the newcomer is.
4. A handler that fails ends its stream and is counted; it never ends the swarm. `RemoteProtocolError` and
   `ConnectionFailed` are the other side's, and are expected.
"""

import secrets
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from typing import Any, Final

import structlog
import trio

from peernet.core.connection import Connection, identity_signature_of
from peernet.core.errors import ConnectionFailed, RemoteProtocolError, UserError
from peernet.core.identity import Keypair, PeerId
from peernet.core.multistream import Dialer, Listener
from peernet.core.ring.paths import prefix_of
from peernet.core.suite import CipherSuite
from peernet.net.addresses import TcpAddress
from peernet.net.connection import PeerConnection, PeerStream
from peernet.net.limits import Limits

__all__ = ["StreamHandler", "Swarm"]

TaskStatus = Any  # trio exports no public name for what `Nursery.start` hands over
StreamHandler = Callable[[PeerStream], Awaitable[None]]

_SWEEPS_PER_IDLE_TIMEOUT: Final = 4

log = structlog.get_logger()


class Swarm:
    """The connections of one node.

    Args:
        suite: the primitives.
        keypair: the node's identity; for a client a fresh one.
        bind: the local address that outgoing connections come from, or None for any.
        limits: the bounds.
    """

    def __init__(self, suite: CipherSuite, keypair: Keypair, *, bind: str | None = None, limits: Limits) -> None:
        self._suite = suite
        self._keypair = keypair
        self._bind = bind
        self._limits = limits
        # One Noise static key and one signature over it for the node's lifetime.
        self._static = secrets.token_bytes(32)
        self._signature = identity_signature_of(keypair, self._static, suite)
        self._handlers: dict[str, StreamHandler] = {}
        self._connections: dict[PeerId, PeerConnection] = {}
        self._prefixes: dict[PeerConnection, str] = {}
        self._dialling: dict[PeerId, trio.Event] = {}
        self._handshakes = 0
        self._nursery: trio.Nursery | None = None
        self.counters: Counter[str] = Counter()
        self.listening: list[TcpAddress] = []

    @property
    def peer_id(self) -> PeerId:
        """This node's id."""
        return self._keypair.peer_id

    @property
    def connections(self) -> Mapping[PeerId, PeerConnection]:
        """The live connections."""
        return self._connections

    def handle(self, protocol: str, handler: StreamHandler) -> None:
        """Serves a protocol; the stream is reset when the handler leaves it unfinished."""
        self._handlers[protocol] = handler

    async def run(self, task_status: TaskStatus = trio.TASK_STATUS_IGNORED) -> None:
        """Runs the swarm until it is cancelled; it may dial and listen once started."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            nursery.start_soon(self._close_idle)
            task_status.started()

    def start_soon(self, task: Callable[[], Awaitable[None]]) -> None:
        """Runs a task of a protocol for as long as the swarm runs."""
        assert self._nursery is not None
        self._nursery.start_soon(task)

    async def listen(self, address: TcpAddress) -> TcpAddress:
        """Listens on `address` (port 0: any) and returns where; raises `UserError` when that cannot be had."""
        try:
            (listener,) = await trio.open_tcp_listeners(address.port, host=address.host)
        except OSError as error:
            raise UserError(
                f"cannot listen on {address.host} port {address.port}: {error.strerror or error}. "
                "Is another peer running there? Choose another address with --listen."
            ) from error
        port = listener.socket.getsockname()[1]
        bound = TcpAddress(address.host, port)
        self.listening.append(bound)
        assert self._nursery is not None
        self._nursery.start_soon(
            partial(trio.serve_listeners, handler_nursery=self._nursery), self._accept, [listener]
        )
        return bound

    async def connect(self, peer: PeerId, addresses: Iterable[TcpAddress]) -> PeerConnection:
        """The live connection to `peer`, made now if there is none; raises `ConnectionFailed`."""
        while (dialling := self._dialling.get(peer)) is not None:
            await dialling.wait()
        live = self._connections.get(peer)
        if live is not None and live.alive:
            return live
        self._dialling[peer] = trio.Event()
        try:
            return await self._dial_any(peer, addresses)
        finally:
            self._dialling.pop(peer).set()

    async def open_stream(self, peer: PeerId, addresses: Iterable[TcpAddress], protocol: str) -> PeerStream:
        """A stream that speaks `protocol` with `peer`; raises `ConnectionFailed` when it cannot be had."""
        connection = await self.connect(peer, addresses)
        stream = connection.open_stream()
        dialer = Dialer((protocol,))
        try:
            with trio.fail_after(self._limits.negotiation_timeout_s):
                await stream.send_all(dialer.data_to_send())
                while dialer.selected is None:
                    data = await stream.receive_some()
                    if not data:
                        raise ConnectionFailed(f"{peer} closed the stream while {protocol} was negotiated")
                    dialer.receive(data)
                    if reply := dialer.data_to_send():
                        await stream.send_all(reply)
        except (RemoteProtocolError, trio.TooSlowError) as error:
            stream.reset()
            raise ConnectionFailed(f"{peer} does not serve {protocol}") from error
        except BaseException:
            stream.reset()
            raise
        stream.unread(dialer.leftover())
        return stream

    async def _dial_any(self, peer: PeerId, addresses: Iterable[TcpAddress]) -> PeerConnection:
        failures = []
        for address in addresses:
            try:
                return await self._dial(peer, address)
            except (OSError, trio.TooSlowError, ConnectionFailed, RemoteProtocolError) as error:
                self.counters["dial_failed"] += 1
                failures.append(f"{address}: {error or type(error).__name__}")
        raise ConnectionFailed(f"cannot reach {peer} ({'; '.join(failures) or 'no address that we can dial'})")

    async def _dial(self, peer: PeerId, address: TcpAddress) -> PeerConnection:
        with trio.fail_after(self._limits.dial_timeout_s):
            transport = await trio.open_tcp_stream(address.host, address.port, local_address=self._bind)
        connection = self._start(transport, initiator=True, expected=peer)
        with trio.fail_after(self._limits.handshake_timeout_s):
            try:
                await connection.wait_established()
            except trio.Cancelled:
                connection.close()
                raise
        self._adopt(connection, prefix_of(address.host))
        return connection

    async def _accept(self, transport: trio.SocketStream) -> None:
        prefix = prefix_of(transport.socket.getpeername()[0])
        if self._handshakes >= self._limits.handshakes_in_flight or not self._room_for(prefix):
            self.counters["refused"] += 1
            await trio.aclose_forcefully(transport)
            return
        self._handshakes += 1
        connection = self._start(transport, initiator=False, expected=None)
        try:
            with trio.fail_after(self._limits.handshake_timeout_s):
                await connection.wait_established()
        except (RemoteProtocolError, ConnectionFailed, trio.TooSlowError) as error:
            reason = error.reason if isinstance(error, RemoteProtocolError) else type(error).__name__
            self.counters[f"handshake_failed:{reason}"] += 1
            connection.close()
            return
        finally:
            self._handshakes -= 1
        self._adopt(connection, prefix)
        await connection.closed.wait()  # trio closes the socket when this handler returns

    def _start(self, transport: trio.SocketStream, *, initiator: bool, expected: PeerId | None) -> PeerConnection:
        protocol = Connection(
            self._suite,
            self._keypair,
            initiator=initiator,
            static_secret=self._static,
            ephemeral_secret=secrets.token_bytes(32),
            identity_signature=self._signature,
            expected_peer=expected,
        )
        connection = PeerConnection(transport, protocol, self._limits, self._on_stream)
        assert self._nursery is not None
        self._nursery.start_soon(self._run_connection, connection)
        return connection

    async def _run_connection(self, connection: PeerConnection) -> None:
        try:
            await connection.run()
        finally:
            self._prefixes.pop(connection, None)
            if connection.failure is not None:
                self.counters[f"connection_failed:{connection.failure.reason}"] += 1
            for peer, live in list(self._connections.items()):
                if live is connection:
                    del self._connections[peer]

    def _adopt(self, connection: PeerConnection, prefix: str) -> None:
        if not connection.alive:
            return
        self._prefixes[connection] = prefix
        known = self._connections.get(connection.peer)
        if known is None or not known.alive:
            self._connections[connection.peer] = connection

    def _room_for(self, prefix: str) -> bool:
        """Whether one more connection may come from `prefix`, after closing an idle one if need be."""
        same_prefix = [connection for connection, other in self._prefixes.items() if other == prefix]
        if len(same_prefix) >= self._limits.connections_per_prefix:
            return self._evict(same_prefix)
        if len(self._prefixes) >= self._limits.connections:
            return self._evict(list(self._prefixes))
        return True

    def _evict(self, connections: list[PeerConnection]) -> bool:
        idle = [connection for connection in connections if not connection.stream_count]
        if not idle:
            return False
        min(idle, key=lambda connection: connection.last_used).close()
        self.counters["evicted"] += 1
        return True

    async def _close_idle(self) -> None:
        while True:
            await trio.sleep(self._limits.idle_timeout_s / _SWEEPS_PER_IDLE_TIMEOUT)
            deadline = trio.current_time() - self._limits.idle_timeout_s
            for connection in list(self._prefixes):
                if not connection.stream_count and connection.last_used < deadline:
                    connection.close()

    def _on_stream(self, connection: PeerConnection, stream: PeerStream) -> None:
        assert self._nursery is not None
        self._nursery.start_soon(self._serve_stream, stream)

    async def _serve_stream(self, stream: PeerStream) -> None:
        try:
            async with stream:
                handler = await self._negotiate(stream)
                if handler is not None:
                    await handler(stream)
                await stream.close_sending()
                with trio.move_on_after(self._limits.linger_s):
                    await stream.wait_remote_closed()
        except RemoteProtocolError as error:
            self.counters[f"stream_failed:{error.reason}"] += 1
        except (ConnectionFailed, trio.TooSlowError):
            self.counters["stream_ended"] += 1
        except Exception as error:  # noqa: BLE001  (the outermost task of a stream: count, log without data, go on)
            self.counters["handler_crashed"] += 1
            # No traceback: its frames could show what a stream carried.
            log.error("a stream handler failed", error=type(error).__name__)  # noqa: TRY400

    async def _negotiate(self, stream: PeerStream) -> StreamHandler | None:
        listener = Listener(tuple(self._handlers))
        with trio.fail_after(self._limits.negotiation_timeout_s):
            while listener.selected is None:
                data = await stream.receive_some()
                if not data:
                    return None
                listener.receive(data)
                if reply := listener.data_to_send():
                    await stream.send_all(reply)
        stream.unread(listener.leftover())
        return self._handlers[listener.selected]
