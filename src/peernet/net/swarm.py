"""The swarm: every connection of one node, and the streams of named protocols over them.

Rules:

1. One connection is used per peer pair. Where a race, or a peer that lost its state, made a second one, both sides
   settle on the same: a direct one before one through a relay, then the newer of two that the same side dialled, else
   the one that the smaller peer id dialled. The other is left to go idle.
2. Who the peer is comes from the handshake. A dial names the peer that it expects; nobody dials itself.
3. Work is bounded before it is begun: handshakes in flight and connections, in total and per address prefix. At the
   limit the connection that has been idle longest is closed for a newcomer, and the oldest handshake for a new one;
   if no connection is idle the newcomer is refused.
4. A handler, a connection or a task that fails ends itself and is counted; it never ends the swarm.
   `RemoteProtocolError` and `ConnectionFailed` are the other side's, and are expected.
5. A peer that has fallen silent is pinged, and its connection closed when it stays silent, or takes nothing.
6. A peer's addresses are tried one after the other, plain TCP first and circuits last, each for a bounded time. What
   a name leads to is held to the same rule as literal addresses.
7. What comes or goes through a relay is a connection like any other, under the relay's address and marked so. Who has
   a place at a relay, and the relay, protect the connection that it hangs on from being closed for idleness.
"""

import secrets
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from contextlib import suppress
from typing import Any, Final

import structlog
import trio
from attrs import define, field

from peernet.core.connection import Connection, NoiseIdentity
from peernet.core.errors import ConnectionFailed, LocalProtocolError, RemoteProtocolError
from peernet.core.identity import Keypair, PeerId
from peernet.core.multistream import Dialer, Listener
from peernet.core.prefixes import ip_prefix
from peernet.core.suite import CipherSuite
from peernet.core.yamux import YamuxLimits
from peernet.net.addresses import Address, CircuitAddress, TcpAddress, WebSocketAddress, preference
from peernet.net.connection import PeerConnection, PeerStream
from peernet.net.flusher import Flusher
from peernet.net.limits import Limits
from peernet.net.reachability.circuits import CIRCUIT_MARK, CircuitIncoming, dial_circuit
from peernet.net.shared_buffer import OPENED
from peernet.net.transports.names import Resolver, SystemResolver, reachable_ips
from peernet.net.transports.port import ByteStream, Incoming
from peernet.net.transports.port import Listener as TransportListener
from peernet.net.transports.tcp import TcpTransport
from peernet.net.transports.tls import TlsFiles
from peernet.net.transports.websocket import WebSocketTransport

__all__ = ["StreamHandler", "Swarm"]

TaskStatus = Any  # trio exports no public name for what `Nursery.start` hands over
StreamHandler = Callable[[PeerStream], Awaitable[None]]

_SWEEPS_PER_TIMEOUT: Final = 4

log = structlog.get_logger()


@define(eq=False)
class _Held:
    """What the swarm knows of a connection beyond the connection itself."""

    prefix: str
    dialled_by_us: bool
    relayed: bool = False


@define(eq=False)
class _Handshake:
    """Somebody who came, until its handshakes are done: those of the transport, and ours."""

    prefix: str
    scope: trio.CancelScope = field(factory=trio.CancelScope)


@define(eq=False)
class _Dial:
    """A dial under way, for others who want the same peer."""

    addresses: frozenset[Address]
    done: trio.Event = field(factory=trio.Event)
    failure: str | None = None
    """Why it failed; None when it did not, or was given up by who made it."""


class Swarm:
    """The connections of one node.

    Args:
        suite: the primitives.
        keypair: the node's identity; for a client a fresh one.
        bind: the local address that outgoing connections come from, or None for any.
        limits: the bounds.
        tls: the files for WebSockets over TLS; raises `UserError` when the authority's cannot be used.
        behind_proxy: whether a reverse proxy near this node is believed about whom it speaks for.
        allow_private: whether names may lead to addresses that are not global, as in test networks. (Literal
            addresses are checked by `net.addresses.dialable`, since who configures one means it.)
        resolver: what names are resolved by; None for the system's.
    """

    def __init__(
        self,
        suite: CipherSuite,
        keypair: Keypair,
        *,
        bind: str | None = None,
        limits: Limits,
        tls: TlsFiles | None = None,
        behind_proxy: bool = False,
        allow_private: bool = False,
        resolver: Resolver | None = None,
    ) -> None:
        self._suite = suite
        self._keypair = keypair
        self._bind = bind
        self._limits = limits
        self._tcp = TcpTransport()
        self._websocket = WebSocketTransport(tls or TlsFiles(), behind_proxy=behind_proxy)
        self._resolver = resolver or SystemResolver()
        self._allow_private = allow_private
        self._yamux_limits = YamuxLimits(receive_window=limits.stream_receive_buffer)
        # One Noise static key and one signature over it for the node's lifetime.
        self._identity = NoiseIdentity.of(keypair, secrets.token_bytes(32), suite)
        self._handlers: dict[str, StreamHandler] = {}
        self._connections: dict[PeerId, PeerConnection] = {}
        self._held: dict[PeerConnection, _Held] = {}
        # Oldest first; a dictionary, to take one out of the middle.
        self._handshaking: dict[_Handshake, None] = {}
        self._dialling: dict[PeerId, _Dial] = {}
        self._protected: Counter[PeerId] = Counter()
        self._nursery: trio.Nursery | None = None
        self._flusher: Flusher | None = None
        self.counters: Counter[str] = Counter()
        self.listening: list[Address] = []

    @property
    def peer_id(self) -> PeerId:
        """This node's id."""
        return self._keypair.peer_id

    @property
    def connections(self) -> Mapping[PeerId, PeerConnection]:
        """The live connections that are used, one a peer."""
        return self._connections

    @property
    def connection_count(self) -> int:
        """All connections, those in their handshake and those left to go idle among them."""
        return len(self._held) + len(self._handshaking)

    def handle(self, protocol: str, handler: StreamHandler) -> None:
        """Serves a protocol; the stream is reset when the handler leaves it unfinished."""
        self._handlers[protocol] = handler

    def protect(self, peer: PeerId) -> None:
        """Keeps connections to `peer` from being closed for idleness, until `unprotect` was called as often."""
        self._protected[peer] += 1

    def unprotect(self, peer: PeerId) -> None:
        """Undoes one `protect`."""
        self._protected -= Counter({peer: 1})

    def is_reached_by(self, peer: PeerId) -> bool:
        """Whether `peer` has made a connection to this node itself, and not through a relay, that is still there."""
        return any(
            connection.alive and connection.peer == peer and not (held.dialled_by_us or held.relayed)
            for connection, held in self._held.items()
        )

    async def take(self, incoming: Incoming) -> None:
        """Takes a connection that did not come to a listener, and returns when it is over."""
        await self._accept(incoming)

    async def run(self, task_status: TaskStatus = trio.TASK_STATUS_IGNORED) -> None:
        """Runs the swarm until it is cancelled; it may dial and listen once started."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            self._flusher = Flusher(nursery)
            nursery.start_soon(self._flusher.run)
            nursery.start_soon(self._sweep)
            task_status.started()

    def start_soon(self, task: Callable[[], Awaitable[None]]) -> None:
        """Runs a task of a protocol for as long as the swarm runs; if it fails it is counted as `task_crashed`."""
        assert self._nursery is not None
        self._nursery.start_soon(self._run_task, task)

    async def listen(self, address: Address) -> Address:
        """Listens on `address` (port 0: any) and returns where; raises `UserError` when that cannot be had."""
        listener = await self._open_listener(address)
        self.listening.append(listener.address)
        assert self._nursery is not None
        self._nursery.start_soon(listener.serve, self._accept, self._nursery)
        return listener.address

    async def _open_listener(self, address: Address) -> TransportListener:
        match address:
            case TcpAddress():
                return await self._tcp.listen(address)
            case WebSocketAddress():
                return await self._websocket.listen(address)
        raise LocalProtocolError(f"{address} is of no transport that we have")

    async def connect(self, peer: PeerId, addresses: Iterable[Address], *, direct: bool = False) -> PeerConnection:
        """The live connection to `peer`, made now if there is none; raises `ConnectionFailed`.

        A connection through a relay does not count where a `direct` one is wanted, nor does a circuit's address.
        Who comes while a dial is under way waits for it, and fails with it if it knows no further address.
        """
        wanted = tuple(address for address in addresses if not (direct and isinstance(address, CircuitAddress)))
        if peer == self.peer_id:
            raise ConnectionFailed(f"{peer} is this node itself")
        while True:
            live = self._connections.get(peer)
            if live is not None and live.alive and not (direct and self._held[live].relayed):
                return live
            dial = self._dialling.get(peer)
            if dial is None:
                return await self._dial_once(peer, wanted)
            await dial.done.wait()
            if dial.failure is not None:
                if dial.addresses.issuperset(wanted):
                    raise ConnectionFailed(dial.failure)
                wanted = tuple(address for address in wanted if address not in dial.addresses)

    async def open_stream(
        self, peer: PeerId, addresses: Iterable[Address], protocol: str, *, direct: bool = False
    ) -> PeerStream:
        """A stream that speaks `protocol` with `peer`; raises `ConnectionFailed` when it cannot be had.

        With `direct` it does not go through a relay.
        """
        wanted = tuple(addresses)
        known = self._connections.get(peer)
        connection = await self.connect(peer, wanted, direct=direct)
        try:
            return await self._open_on(connection, protocol)
        except ConnectionFailed:
            # The peer may have closed what it took for idle just now: that is no reason to give it up.
            if connection is not known or connection.ended is None:
                raise
        return await self._open_on(await self.connect(peer, wanted, direct=direct), protocol)

    async def _open_on(self, connection: PeerConnection, protocol: str) -> PeerStream:
        stream = connection.open_stream()
        dialer = Dialer((protocol,))
        try:
            with trio.fail_after(self._limits.negotiation_timeout_s):
                await stream.send_all(dialer.data_to_send())
                while dialer.selected is None:
                    data = await stream.receive_some()
                    if not data:
                        raise ConnectionFailed(f"{connection.peer} closed the stream while {protocol} was negotiated")
                    dialer.receive(data)
                    if reply := dialer.data_to_send():
                        await stream.send_all(reply)
        except RemoteProtocolError as error:
            stream.reset()
            raise ConnectionFailed(f"{connection.peer} does not serve {protocol}") from error
        except trio.TooSlowError as error:
            stream.reset()
            raise ConnectionFailed(f"{connection.peer} did not answer to {protocol} in time") from error
        except BaseException:
            stream.reset()
            raise
        stream.unread(dialer.leftover())
        return stream

    async def _dial_once(self, peer: PeerId, addresses: Collection[Address]) -> PeerConnection:
        dial = self._dialling[peer] = _Dial(frozenset(addresses))
        try:
            return await self._dial_any(peer, addresses)
        except ConnectionFailed as error:
            dial.failure = str(error)
            raise
        finally:
            del self._dialling[peer]
            dial.done.set()

    async def _dial_any(self, peer: PeerId, addresses: Collection[Address]) -> PeerConnection:
        if len(self._held) >= self._limits.connections and not self._evict(self._held):
            raise ConnectionFailed(f"cannot reach {peer}: this node has as many connections as it bears")
        failures = []
        ordered = sorted(addresses, key=preference)
        for address in ordered:
            try:
                return await self._dial(peer, address, last=address is ordered[-1])
            except (OSError, trio.TooSlowError, ConnectionFailed, RemoteProtocolError) as error:
                self.counters["dial_failed"] += 1
                failures.append(f"{address}: {error or type(error).__name__}")
        raise ConnectionFailed(f"cannot reach {peer} ({'; '.join(failures) or 'no address that we can dial'})")

    async def _dial(self, peer: PeerId, address: Address, *, last: bool) -> PeerConnection:
        limits = self._limits
        timeout_s = limits.dial_timeout_s if last else min(limits.dial_patience_s, limits.dial_timeout_s)
        with trio.fail_after(timeout_s):
            transport, ip = await self._open_transport(peer, address, timeout_s)
        relayed = isinstance(address, CircuitAddress)
        connection = self._start(transport, initiator=True, expected=peer, observed=ip, relayed=relayed)
        try:
            with trio.fail_after(self._limits.handshake_timeout_s):
                await connection.wait_established()
        except BaseException:
            connection.close()
            raise
        self._adopt(connection, _Held(ip_prefix(ip), dialled_by_us=True, relayed=relayed))
        return self._connections.get(peer, connection)

    async def _open_transport(self, peer: PeerId, address: Address, timeout_s: float) -> tuple[ByteStream, str]:
        """A stream of bytes to `address`, and the IP address that it leads to."""
        if isinstance(address, CircuitAddress):
            return await dial_circuit(self, address, peer)
        ips = await reachable_ips(address, self._resolver, allow_private=self._allow_private)
        for ip in ips[:-1]:
            # A name's addresses share the time for it.
            with trio.move_on_after(timeout_s / len(ips)), suppress(OSError, ConnectionFailed):
                return await self._dial_ip(address, ip), ip
        return await self._dial_ip(address, ips[-1]), ips[-1]

    async def _dial_ip(self, address: Address, ip: str) -> ByteStream:
        assert self._nursery is not None
        match address:
            case TcpAddress():
                return await self._tcp.dial(address, ip, self._bind, self._nursery)
            case WebSocketAddress():
                return await self._websocket.dial(address, ip, self._bind, self._nursery)
        raise LocalProtocolError(f"{address} is of no transport that we have")

    async def _accept(self, incoming: Incoming) -> None:
        # The listener closes the socket whenever this returns.
        try:
            await self._admit_and_hold(incoming)
        except Exception as error:  # noqa: BLE001  (the outermost task of who came: count, log without data, go on)
            self._crashed("accept_crashed", error)

    async def _admit_and_hold(self, incoming: Incoming) -> None:
        if incoming.host is None or not self._admit(ip_prefix(incoming.host)):
            self.counters["refused"] += 1
            return
        handshake = _Handshake(ip_prefix(incoming.host))
        self._handshaking[handshake] = None
        connection: PeerConnection | None = None
        try:
            with handshake.scope:
                connection = await self._shake_hands(incoming, handshake)
        finally:
            self._handshaking.pop(handshake, None)
        if connection is None:
            return
        if handshake.scope.cancel_called:
            connection.close("it was still in its handshake when another one came")
        relayed = isinstance(incoming, CircuitIncoming)
        self._adopt(connection, _Held(handshake.prefix, dialled_by_us=False, relayed=relayed))
        await connection.closed.wait()

    async def _shake_hands(self, incoming: Incoming, handshake: _Handshake) -> PeerConnection | None:
        """The connection when all handshakes are done; None when they failed, which is counted."""
        connection: PeerConnection | None = None
        try:
            with trio.fail_after(self._limits.handshake_timeout_s):
                transport = await incoming.open()
                host = self._recount(handshake, incoming)
                relayed = isinstance(incoming, CircuitIncoming)
                connection = self._start(transport, initiator=False, expected=None, observed=host, relayed=relayed)
                await connection.wait_established()
        except (RemoteProtocolError, ConnectionFailed, trio.TooSlowError) as error:
            reason = error.reason if isinstance(error, RemoteProtocolError) else type(error).__name__
            self.counters[f"handshake_failed:{reason}"] += 1
            if connection is not None:
                connection.close()
                # It may say why, before the listener closes the socket.
                await connection.closed.wait()
            return None
        except BaseException:
            if connection is not None:
                connection.close("its handshake was given up")
            raise
        return connection

    def _recount(self, handshake: _Handshake, incoming: Incoming) -> str:
        """Who is there, which the transport may have learned only now; raises `ConnectionFailed` for one too many."""
        assert incoming.host is not None
        prefix = ip_prefix(incoming.host)
        if prefix != handshake.prefix:
            handshake.prefix = prefix
            self._handshaking.pop(handshake, None)
            admitted = self._admit(prefix)
            self._handshaking[handshake] = None
            if not admitted:
                raise ConnectionFailed("this node bears no more connections from there")
        return incoming.host

    def _start(
        self, transport: ByteStream, *, initiator: bool, expected: PeerId | None, observed: str, relayed: bool
    ) -> PeerConnection:
        protocol = Connection(
            self._suite,
            self._identity,
            initiator=initiator,
            ephemeral_secret=secrets.token_bytes(32),
            expected_peer=expected,
            limits=self._yamux_limits,
            scratch=OPENED.get(),
        )
        where = f"/{'ip6' if ':' in observed else 'ip4'}/{observed}{CIRCUIT_MARK if relayed else ''}"
        connection = PeerConnection(
            transport, protocol, self._limits, self._on_stream, observed=where, flusher=self._flusher
        )
        assert self._nursery is not None
        self._nursery.start_soon(self._run_connection, connection)
        return connection

    async def _run_connection(self, connection: PeerConnection) -> None:
        try:
            await connection.run()
        except Exception as error:  # noqa: BLE001  (the outermost task of a connection: count, log without data, go on)
            self._crashed("connection_crashed", error)
        finally:
            self._let_go(connection)
        if connection.failure is not None and connection.established:
            self.counters[f"connection_failed:{connection.failure.reason}"] += 1

    async def _run_task(self, task: Callable[[], Awaitable[None]]) -> None:
        try:
            await task()
        except Exception as error:  # noqa: BLE001  (the outermost frame of a task: count, log without data, go on)
            self._crashed("task_crashed", error)

    def _crashed(self, counter: str, error: BaseException) -> None:
        self.counters[counter] += 1
        kinds = sorted({type(leaf).__name__ for leaf in _leaves(error)})
        # No traceback: its frames could show what a stream carried.
        log.error("a part of the swarm failed", part=counter, errors=kinds)

    def _adopt(self, connection: PeerConnection, held: _Held) -> None:
        """Takes a connection whose handshake is done, and settles which one its peer is talked to over (rule 1)."""
        if not connection.alive:
            return
        if connection.peer == self.peer_id:
            connection.close("it leads to this node itself")
            return
        self._held[connection] = held
        used = self._connections.get(connection.peer)
        if used is None or not used.alive or self._is_preferred(connection.peer, held, self._held[used]):
            self._connections[connection.peer] = connection

    def _is_preferred(self, peer: PeerId, newer: _Held, used: _Held) -> bool:
        if newer.relayed != used.relayed:
            return used.relayed
        if newer.dialled_by_us == used.dialled_by_us:
            return True
        return newer.dialled_by_us == (self.peer_id < peer)

    def _let_go(self, connection: PeerConnection) -> None:
        """Forgets a connection; another one to the same peer, if there is one, takes its place."""
        self._held.pop(connection, None)
        if not connection.established or self._connections.get(connection.peer) is not connection:
            return
        del self._connections[connection.peer]
        for other in self._held:
            if other.alive and other.peer == connection.peer:
                self._connections[other.peer] = other

    def _admit(self, prefix: str) -> bool:
        """Whether one more connection may come from `prefix`, after making room for it if need be (rule 3)."""
        handshakes = [handshake for handshake in self._handshaking if handshake.prefix == prefix]
        if len(handshakes) >= self._limits.handshakes_per_prefix:
            self._give_up_handshake(handshakes.pop(0))
        elif len(self._handshaking) >= self._limits.handshakes_in_flight:
            self._give_up_handshake(next(iter(self._handshaking)))
            handshakes = [handshake for handshake in handshakes if handshake in self._handshaking]
        same_prefix = [connection for connection, held in self._held.items() if held.prefix == prefix]
        if len(same_prefix) + len(handshakes) >= self._limits.connections_per_prefix:
            return self._evict(same_prefix)
        if self.connection_count >= self._limits.connections:
            return self._evict(self._held)
        return True

    def _give_up_handshake(self, handshake: _Handshake) -> None:
        del self._handshaking[handshake]
        handshake.scope.cancel()
        self.counters["handshake_evicted"] += 1

    def _evict(self, connections: Iterable[PeerConnection]) -> bool:
        """Closes the connection that has been idle longest; False if none is idle."""
        idle = [connection for connection in connections if self._is_idle(connection)]
        if not idle:
            return False
        longest = min(idle, key=lambda connection: connection.last_used)
        longest.close("it was idle when others needed its place")
        self._let_go(longest)  # at once, so that the next newcomer finds another one
        self.counters["evicted"] += 1
        return True

    def _is_idle(self, connection: PeerConnection) -> bool:
        return not connection.stream_count and not self._protected[connection.peer]

    async def _sweep(self) -> None:
        limits = self._limits
        while True:
            shortest_s = min(limits.idle_timeout_s, limits.silence_timeout_s, limits.write_timeout_s)
            await trio.sleep(shortest_s / _SWEEPS_PER_TIMEOUT)
            idle_since = trio.current_time() - limits.idle_timeout_s
            for connection in tuple(self._held):
                if self._is_idle(connection) and connection.last_used < idle_since:
                    connection.close("it was idle")
                connection.check()

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
        except Exception as error:  # noqa: BLE001  (the outermost task of a stream: count, log without data, go on)
            self._count_failure(error)

    def _count_failure(self, error: Exception) -> None:
        """Counts what ended a stream. A handler's own nursery wraps its errors in groups."""
        leaves = _leaves(error)
        expected = [leaf for leaf in leaves if isinstance(leaf, RemoteProtocolError)]
        if not all(isinstance(leaf, RemoteProtocolError | ConnectionFailed | trio.TooSlowError) for leaf in leaves):
            self._crashed("handler_crashed", error)
        elif expected:
            self.counters[f"stream_failed:{expected[0].reason}"] += 1
        else:
            self.counters["stream_ended"] += 1

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


def _leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in _leaves(inner)]
    return [error]
