"""The swarm: every connection of one node, and the streams of named protocols over them.

Rules:

1. One connection is used per peer pair. Where a race, or a peer that lost its state, made a second one, both sides
   settle on the same: a direct one before one through a relay, then the newer of two that the same side dialled, else
   the one that the smaller peer id dialled. The other is left to go idle.
2. Who the peer is comes from the handshake. A dial names the peer that it expects; nobody dials itself.
3. Work is bounded before it is begun, and each limit makes room where it can (`net.door`, `net.resources`).
4. A handler, a connection or a task that fails ends itself and is counted; it never ends the swarm.
   `RemoteProtocolError` and `ConnectionFailed` are the other side's, and are expected.
5. A peer that has fallen silent is pinged, and its connection closed when it stays silent, or takes nothing.
6. A peer's addresses race (`net.dialling`). What a name leads to is held to the same rule as literal addresses. Who
   wants a peer that is being dialled waits for that dial.
7. A node that is drained takes in nothing new, and finishes what it serves: for that it may still dial. Then, or when
   the time for it is over, all connections are closed.
8. Counting is adding to a plain integer, in `counters`; `net.metrics` reads them when somebody asks.
9. What comes or goes through a relay is a connection like any other, under the relay's address and marked so. Who has
   a place at a relay, and the relay, protect the connection that it hangs on from being closed for idleness.
"""

import secrets
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from functools import partial
from typing import Any, Final

import structlog
import trio
from attrs import define, field, frozen

from peernet.core.connection import Connection, NoiseIdentity
from peernet.core.errors import ConnectionFailed, LocalProtocolError, RemoteProtocolError
from peernet.core.identity import Keypair, PeerId
from peernet.core.multistream import Listener
from peernet.core.prefixes import ip_prefix
from peernet.core.suite import CipherSuite
from peernet.core.yamux import YamuxLimits
from peernet.net.addresses import Address, CircuitAddress, TcpAddress, WebSocketAddress
from peernet.net.connection import PeerConnection
from peernet.net.door import Door
from peernet.net.flusher import Flusher
from peernet.net.gating import AllowDeny, Gate
from peernet.net.limits import Limits
from peernet.net.negotiation import is_fresh, propose
from peernet.net.outgoing import NOT_DECRYPTED, RELAY, Dialled, Outgoing, transport_of
from peernet.net.reachability.circuits import CIRCUIT_MARK, CircuitStream, dial_circuit
from peernet.net.reception import Reception
from peernet.net.resources import Place, Resources, StreamPlace, WindowAccount
from peernet.net.seldom import SeldomLog
from peernet.net.shared_buffer import OPENED
from peernet.net.streams import PeerStream
from peernet.net.transports.names import Resolver, SystemResolver, reachable_ips
from peernet.net.transports.port import ByteStream, Incoming
from peernet.net.transports.port import Listener as TransportListener
from peernet.net.transports.tcp import TcpTransport
from peernet.net.transports.tls import TlsFiles
from peernet.net.transports.websocket import WebSocketTransport
from peernet.net.turns import Turns

__all__ = ["StreamHandler", "Swarm"]

TaskStatus = Any  # trio exports no public name for what `Nursery.start` hands over
StreamHandler = Callable[[PeerStream], Awaitable[None]]

_SWEEPS_PER_TIMEOUT: Final = 4
_OPEN_SWARM_HINT: Final = "it may be full, or belong to a private swarm: then give its key with --swarm-key"
_PRIVATE_SWARM_HINT: Final = "check that both have the same swarm key (--swarm-key)"
_KEY_CHECK: Final = "if it should be, check that its --swarm-key names the same key as this node's"

log = structlog.get_logger()


@define(eq=False)
class _Held:
    """What the swarm knows of a connection beyond the connection itself."""

    place: Place
    transport: str
    dialled_by_us: bool

    @property
    def relayed(self) -> bool:
        """Whether it goes through a relay."""
        return self.transport == RELAY


@frozen
class _Occupant:
    """A connection as the resource manager sees it: one that is protected is never idle."""

    connection: PeerConnection
    give_up: Callable[[PeerConnection, str], None]
    is_protected: Callable[[PeerId], bool]

    @property
    def stream_count(self) -> int:
        return self.connection.stream_count + self.is_protected(self.connection.peer)

    @property
    def last_used(self) -> float:
        return self.connection.last_used

    def close(self, why: str) -> None:
        self.give_up(self.connection, why)


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
        gate: who may be connected with; None for everybody.
        swarm_key: 32 bytes that all members of a private swarm share; None for an open one.
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
        gate: Gate | None = None,
        swarm_key: bytes | None = None,
    ) -> None:
        self._suite = suite
        self._keypair = keypair
        self._bind = bind
        self._limits = limits
        self._tcp = TcpTransport()
        self._websocket = WebSocketTransport(tls or TlsFiles(), behind_proxy=behind_proxy)
        self._resolver = resolver or SystemResolver()
        self._yamux_limits = YamuxLimits(
            receive_window=limits.stream_receive_buffer, max_queued_replies=limits.queued_replies
        )
        # One Noise static key and one signature over it for the node's lifetime.
        self._identity = NoiseIdentity.of(keypair, secrets.token_bytes(32), suite)
        self._handlers: dict[str, StreamHandler] = {}
        self._connections: dict[PeerId, PeerConnection] = {}
        self._held: dict[PeerConnection, _Held] = {}
        # Every connection that is driven, from the beginning of its handshake to the end of its tasks.
        self._running: set[PeerConnection] = set()
        # Streams that came together with the last words of a handshake, before the connection was taken in.
        self._early: dict[PeerConnection, list[PeerStream]] = {}
        self._bytes_received = 0
        self._bytes_sent = 0
        self._dialling: dict[PeerId, _Dial] = {}
        gate = gate or AllowDeny()
        self._swarm_key = swarm_key
        self._protected: Counter[PeerId] = Counter()
        self._nursery: trio.Nursery | None = None
        self._flusher: Flusher | None = None
        self._listeners: list[trio.CancelScope] = []
        self._all_served = trio.Event()
        self._seldom = SeldomLog()
        self.counters: Counter[str] = Counter()
        """What happened, by names of which `net.metrics` has the list."""
        self.resources = Resources(limits, self._meet_limit)
        self.door = Door(limits, self._meet_limit)
        self._reception = Reception(
            limits,
            gate,
            self.resources,
            self.door,
            self.counters,
            partial(self._make, expected=None),
            self._run_connection,
            self._begin_handshake,
            self._count_handshake_failure,
        )
        self._outgoing = Outgoing(
            limits,
            gate,
            self.resources,
            self.counters,
            partial(reachable_ips, resolver=self._resolver, allow_private=allow_private),
            self._open_transport,
            self._start,
            self._swarm_key_hint,
        )
        self.listening: list[Address] = []
        self.draining = False

    @property
    def peer_id(self) -> PeerId:
        """This node's id."""
        return self._keypair.peer_id

    @property
    def protocols(self) -> Collection[str]:
        """The protocols that are served."""
        return self._handlers.keys()

    @property
    def connections(self) -> Mapping[PeerId, PeerConnection]:
        """The live connections that are used, one a peer."""
        return self._connections

    @property
    def connection_count(self) -> int:
        """All connections, those in their handshake and those left to go idle among them."""
        return self.resources.connections

    @property
    def bytes_received(self) -> int:
        """What came over all connections so far."""
        return self._bytes_received + sum(connection.bytes_received for connection in self._running)

    @property
    def bytes_sent(self) -> int:
        """What went over all connections so far."""
        return self._bytes_sent + sum(connection.bytes_sent for connection in self._running)

    def connections_by_kind(self) -> Counter[tuple[str, str]]:
        """How many connections there are of each direction (`in`, `out`) and transport."""
        return Counter(("out" if held.dialled_by_us else "in", held.transport) for held in self._held.values())

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
        await self._accept(incoming, transport=RELAY)

    async def run(self, task_status: TaskStatus = trio.TASK_STATUS_IGNORED) -> None:
        """Runs the swarm until it is cancelled; it may dial and listen once started."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            self._turns = Turns(self._limits.stream_starts, nursery)
            self._handshake_turns = Turns(self._limits.handshake_starts, nursery)
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
        scope = trio.CancelScope()
        self._listeners.append(scope)
        self._nursery.start_soon(self._serve_listener, scope, listener)
        return listener.address

    async def drain(self) -> bool:
        """Takes in nothing new, waits until all that is being served is done, and closes all connections (rule 7).

        False if something was still being served when the time for it was over.
        """
        log.info("the node ends, and finishes what it serves", streams=self.resources.streams)
        self.draining = True
        for scope in self._listeners:
            scope.cancel()
        for connection in tuple(self._held):
            connection.go_away()
        with trio.move_on_after(self._limits.drain_timeout_s) as waiting:
            while self.resources.streams:
                self._all_served = trio.Event()
                await self._all_served.wait()
        connections = tuple(self._held)
        for connection in connections:
            connection.close("this node ends")
        for connection in connections:
            await connection.closed.wait()
        if waiting.cancelled_caught:
            self.counters["drain:timeout"] += 1
            log.warning("not all that this node served was done in time", timeout_s=self._limits.drain_timeout_s)
        else:
            self.counters["drain:done"] += 1
        return not waiting.cancelled_caught

    async def _serve_listener(self, scope: trio.CancelScope, listener: TransportListener) -> None:
        assert self._nursery is not None
        with scope:
            accept = partial(self._accept, transport=transport_of(listener.address))
            await listener.serve(accept, self._nursery)

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
            usable = live is not None and live.alive and not live.draining
            if live is not None and usable and not (direct and self._held[live].relayed):
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
        self,
        peer: PeerId,
        addresses: Iterable[Address],
        protocol: str,
        *,
        optimistic: bool = False,
        direct: bool = False,
    ) -> PeerStream:
        """A stream that speaks `protocol` with `peer`; raises `ConnectionFailed` when it cannot be had.

        With `optimistic` it may be there before the peer has agreed: what is sent goes with the proposal, and a
        refusal is told to whoever reads. That is for requests that lose nothing when they are not heard. With
        `direct` it does not go through a relay.
        """
        wanted = tuple(addresses)
        known = self._connections.get(peer)
        connection = await self.connect(peer, wanted, direct=direct)
        try:
            return await self._open_on(connection, protocol, wait=not optimistic or not is_fresh(connection))
        except ConnectionFailed:
            # The peer may have closed what it took for idle just now: that is no reason to give it up.
            if connection is not known or not (connection.ended or connection.draining):
                raise
        connection = await self.connect(peer, wanted, direct=direct)
        return await self._open_on(connection, protocol, wait=not optimistic)

    async def _open_on(self, connection: PeerConnection, protocol: str, *, wait: bool) -> PeerStream:
        stream = propose(connection, protocol, self._limits.negotiation_timeout_s)
        if wait:
            try:
                await stream.agreed()
            except BaseException:
                stream.reset()
                raise
        self.counters[f"stream:out:{protocol if protocol in self._handlers else 'other'}"] += 1
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
        if len(self._dialling) > self._limits.dials:
            self._meet_limit("dials")
            raise ConnectionFailed(f"cannot reach {peer}: this node dials as many peers as it bears")
        dialled = await self._outgoing.dial(peer, addresses, self._take_dialled)
        return self._connections.get(peer, dialled.connection)

    def _take_dialled(self, dialled: Dialled) -> None:
        held = _Held(dialled.place, dialled.transport, dialled_by_us=True)
        self._adopt(dialled.connection, held, ip_prefix(dialled.ip))

    async def _open_transport(self, peer: PeerId, address: Address, ip: str) -> ByteStream:
        """A stream of bytes to `peer` at `address`, whose host has this IP address."""
        assert self._nursery is not None
        match address:
            case CircuitAddress():
                return await dial_circuit(self, address, peer)
            case TcpAddress():
                return await self._tcp.dial(address, ip, self._bind, self._nursery)
            case WebSocketAddress():
                return await self._websocket.dial(address, ip, self._bind, self._nursery)
        raise LocalProtocolError(f"{address} is of no transport that we have")

    async def _accept(self, incoming: Incoming, *, transport: str = "tcp") -> None:
        """Takes in who came over `transport`, until the connection ends; who calls this closes the socket then."""
        try:
            if self.draining:
                self.counters["refused:draining"] += 1
                return
            await self._reception.receive(incoming, partial(self._take_incoming, transport))
        except Exception as error:  # noqa: BLE001  (the outermost task of who came: count, log without data, go on)
            self._crashed("accept_crashed", error)

    def _begin_handshake(self, prefix: str, begin: Callable[[], None]) -> None:
        """Calls `begin` when it is the turn of `prefix` to cause the work of a handshake."""
        self._handshake_turns.offer(prefix, begin)

    def _take_incoming(self, transport: str, connection: PeerConnection, place: Place) -> None:
        self._adopt(connection, _Held(place, transport, dialled_by_us=False), place.prefix)

    def _start(self, transport: ByteStream, place: Place, *, expected: PeerId | None, observed: str) -> PeerConnection:
        """A connection that is driven by a task of its own."""
        connection = self._make(transport, place, expected=expected, observed=observed)
        assert self._nursery is not None
        self._nursery.start_soon(self._run_connection, connection)
        return connection

    def _make(self, transport: ByteStream, place: Place, *, expected: PeerId | None, observed: str) -> PeerConnection:
        protocol = Connection(
            self._suite,
            self._identity,
            initiator=place.dialled_by_us,
            ephemeral_secret=secrets.token_bytes(32),
            expected_peer=expected,
            swarm_key=self._swarm_key,
            limits=self._yamux_limits,
            scratch=OPENED.get(),
            budget=WindowAccount(self.resources, place),
        )
        mark = CIRCUIT_MARK if isinstance(transport, CircuitStream) else ""
        where = f"/{'ip6' if ':' in observed else 'ip4'}/{observed}{mark}"
        connection = PeerConnection(
            transport, protocol, self._limits, self._on_stream, observed=where, flusher=self._flusher
        )
        self._running.add(connection)
        return connection

    async def _run_connection(self, connection: PeerConnection) -> None:
        try:
            await connection.run()
        except Exception as error:  # noqa: BLE001  (the outermost task of a connection: count, log without data, go on)
            self._crashed("connection_crashed", error)
        finally:
            held = self._held.get(connection)
            self._let_go(connection)
            self._running.discard(connection)
            self._early.pop(connection, None)
            self._bytes_received += connection.bytes_received
            self._bytes_sent += connection.bytes_sent
        if connection.failure is not None and connection.established:
            self.counters[f"connection_failed:{connection.failure.reason}"] += 1
            if held is not None and not (held.dialled_by_us or held.relayed):
                self._reception.punish(held.place.prefix)

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

    def _adopt(self, connection: PeerConnection, held: _Held, prefix: str) -> None:
        """Takes a connection whose handshake is done, and settles which one its peer is talked to over (rule 1)."""
        if not connection.alive:
            return
        if connection.peer == self.peer_id:
            connection.close("it leads to this node itself")
            return
        if self.draining and not held.dialled_by_us:
            connection.close("this node ends")
            return
        self.counters[f"{'dialled' if held.dialled_by_us else 'accepted'}:{held.transport}"] += 1
        self._held[connection] = held
        self.resources.settle(
            held.place, _Occupant(connection, self._give_up, self._is_protected), connection.peer.public_key, prefix
        )
        used = self._connections.get(connection.peer)
        if (
            used is None
            or not used.alive
            or used.draining
            or self._is_preferred(connection.peer, held, self._held[used])
        ):
            self._connections[connection.peer] = connection
        for stream in self._early.pop(connection, ()):
            self._on_stream(connection, stream)

    def _is_preferred(self, peer: PeerId, newer: _Held, used: _Held) -> bool:
        if newer.relayed != used.relayed:
            return used.relayed
        if newer.dialled_by_us == used.dialled_by_us:
            return True
        return newer.dialled_by_us == (self.peer_id < peer)

    def _let_go(self, connection: PeerConnection) -> None:
        """Forgets a connection; another one to the same peer, if there is one, takes its place."""
        held = self._held.pop(connection, None)
        if held is None:
            return
        self.resources.release(held.place)
        if self._connections.get(connection.peer) is not connection:
            return
        del self._connections[connection.peer]
        for other in self._held:
            if other.alive and other.peer == connection.peer:
                self._connections[other.peer] = other

    def _give_up(self, connection: PeerConnection, why: str) -> None:
        """Closes a connection whose place others need, and forgets it at once."""
        self.counters["evicted:connection"] += 1
        connection.close(why)
        self._let_go(connection)

    def _swarm_key_hint(self) -> str:
        """What to check when the other side's handshake cannot be decrypted, or it goes in the middle of ours."""
        if self._swarm_key is None:
            return _OPEN_SWARM_HINT
        self._seldom.warn("dialled_key", f"a peer that this node dialled is not in its private swarm: {_KEY_CHECK}")
        return _PRIVATE_SWARM_HINT

    def _count_handshake_failure(self, reason: str) -> None:
        self.counters[f"handshake_failed:{reason}"] += 1
        # Whoever notices first that the keys differ goes without a word.
        if self._swarm_key is not None and reason in {NOT_DECRYPTED, "closed"}:
            self._seldom.warn("incoming_key", f"somebody came who is not in this private swarm: {_KEY_CHECK}")

    def _meet_limit(self, name: str) -> None:
        self.counters[f"limit:{name}"] += 1
        self._seldom.warn(name, "a limit of this node was met", limit=name)

    def _is_protected(self, peer: PeerId) -> bool:
        return self._protected[peer] > 0

    def _is_idle(self, connection: PeerConnection) -> bool:
        return not connection.stream_count and not self._is_protected(connection.peer)

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
            self.resources.refresh()

    def _on_stream(self, connection: PeerConnection, stream: PeerStream) -> None:
        assert self._nursery is not None
        held = self._held.get(connection)
        if connection.ended is not None:
            return
        if held is None:
            # As many as yamux bears unanswered, and not for long.
            self._early.setdefault(connection, []).append(stream)
            return
        if self.draining:
            self.counters["refused_stream:draining"] += 1
            stream.reset()
            return
        scope = trio.CancelScope()

        def give_up() -> None:
            self.counters["evicted:stream"] += 1
            scope.cancel()

        place = self.resources.take_stream(held.place, give_up)
        if place is None:
            self.counters["refused_stream:limit"] += 1
            stream.reset()
            if held.place.refused > self._limits.refused_streams and connection.alive:
                self.counters["connection_failed:stream_flood"] += 1
                connection.close("the peer floods this node with streams")
                if not (held.dialled_by_us or held.relayed):
                    self._reception.punish(held.place.prefix)
            return
        begin = partial(self._nursery.start_soon, self._serve_stream, stream, place, scope)
        self._turns.offer(connection, begin)

    async def _serve_stream(self, stream: PeerStream, place: StreamPlace, scope: trio.CancelScope) -> None:
        try:
            with scope:
                async with stream:
                    handler = await self._negotiate(stream)
                    if handler is not None:
                        self.resources.settle_stream(place)
                        await handler(stream)
                    await stream.close_sending()
                    with trio.move_on_after(self._limits.linger_s):
                        await stream.wait_remote_closed()
        except Exception as error:  # noqa: BLE001  (the outermost task of a stream: count, log without data, go on)
            self._count_failure(error)
        finally:
            self.resources.release_stream(place)
            self._all_served.set()

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
                try:
                    listener.receive(data)
                finally:
                    # A refusal is said even where what came behind the proposal ends the stream.
                    if reply := listener.data_to_send():
                        await stream.send_all(reply)
        stream.unread(listener.leftover())
        self.counters[f"stream:in:{listener.selected}"] += 1
        return self._handlers[listener.selected]


def _leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in _leaves(inner)]
    return [error]
