"""The swarm: every connection of one node, and the streams of named protocols over them.

What others use of a node's network is here; how it is done is in the modules around: `reception` and `outgoing` make
connections, `connection_table` has them, `stream_service` serves what is opened on them.

Rules:

1. Who the peer is comes from the handshake. A dial names the peer that it expects; nobody dials itself.
2. Work is bounded before it is begun, and each limit makes room where it can (`net.door`, `net.resources`).
3. A handler, a connection or a task that fails ends itself and is counted; it never ends the swarm.
4. A peer that has fallen silent is pinged, and its connection closed when it stays silent, or takes nothing.
5. A peer's addresses race (`net.dialling`). What a name leads to is held to the same rule as literal addresses. Who
   wants a peer that is being dialled waits for that dial.
6. A node that is drained takes in nothing new, and finishes what it serves: for that it may still dial. Then, or when
   the time for it is over, all connections are closed.
7. Counting is adding to a plain integer, in `counters`; `net.metrics` reads them when somebody asks.
8. What comes or goes through a relay is a connection like any other, under the relay's address and marked so. Who has
   a place at a relay, and the relay, protect the connection that it hangs on from being closed for idleness.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from functools import partial
from typing import Any, Final

import structlog
import trio
from attrs import define, field

from peernet.core.errors import ConnectionFailed
from peernet.core.identity import Keypair, PeerId
from peernet.core.prefixes import ip_prefix
from peernet.core.suite import CipherSuite
from peernet.net.addresses import Address, CircuitAddress
from peernet.net.connection import PeerConnection
from peernet.net.connection_table import ConnectionTable, Held
from peernet.net.door import Door
from peernet.net.flusher import Flusher
from peernet.net.gating import AllowDeny, Gate
from peernet.net.incidents import Incidents
from peernet.net.limits import Limits
from peernet.net.negotiation import is_fresh, propose
from peernet.net.outgoing import RELAY, Dialled, Outgoing, transport_of
from peernet.net.reachability.circuits import CIRCUIT_MARK, CircuitStream, dial_circuit
from peernet.net.reception import Reception
from peernet.net.resources import Place, Resources, WindowAccount
from peernet.net.stream_service import StreamHandler, StreamService
from peernet.net.streams import PeerStream
from peernet.net.transports.by_address import Transports
from peernet.net.transports.names import Resolver, SystemResolver, reachable_ips
from peernet.net.transports.port import ByteStream, Incoming, Listener
from peernet.net.transports.tls import TlsFiles
from peernet.net.turns import Turns
from peernet.net.upgrading import Upgrader

__all__ = ["StreamHandler", "Swarm"]

TaskStatus = Any  # trio exports no public name for what `Nursery.start` hands over

_SWEEPS_PER_TIMEOUT: Final = 4

log = structlog.get_logger()


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
        self._keypair = keypair
        self._bind = bind
        self._limits = limits
        self._upgrader = Upgrader(suite, keypair, limits, swarm_key)
        self._transports = Transports(tls or TlsFiles(), behind_proxy=behind_proxy)
        gate = gate or AllowDeny()
        self._dialling: dict[PeerId, _Dial] = {}
        self._nursery: trio.Nursery | None = None
        self._flusher: Flusher | None = None
        self._listeners: list[trio.CancelScope] = []
        self.counters: Counter[str] = Counter()
        """What happened, by names of which `net.metrics` has the list."""
        self._incidents = Incidents(self.counters, in_private_swarm=swarm_key is not None)
        self.resources = Resources(limits, self._incidents.meet_limit)
        self.door = Door(limits, self._incidents.meet_limit)
        self._table = ConnectionTable(keypair.peer_id, self.resources, self.counters)
        self._reception = Reception(
            limits,
            gate,
            self.resources,
            self.door,
            self.counters,
            partial(self._make, expected=None),
            self._run_connection,
            self._begin_handshake,
            self._incidents.fail_handshake,
        )
        self._outgoing = Outgoing(
            limits,
            gate,
            self.resources,
            self.counters,
            partial(reachable_ips, resolver=resolver or SystemResolver(), allow_private=allow_private),
            self._open_transport,
            self._start,
            self._incidents.key_hint,
        )
        self._streams = StreamService(
            limits, self.resources, self.counters, self._incidents, self._table.held, self._reception.punish
        )
        self.listening: list[Address] = []
        self.draining = False
        self.on_draining: list[Callable[[], None]] = []
        """Called when it is about to be drained: for what is held for others, and is no work under way."""

    @property
    def peer_id(self) -> PeerId:
        """This node's id."""
        return self._keypair.peer_id

    @property
    def protocols(self) -> Collection[str]:
        """The protocols that are served."""
        return self._streams.handlers.keys()

    @property
    def connections(self) -> Mapping[PeerId, PeerConnection]:
        """The live connections that are used, one a peer."""
        return self._table.used

    @property
    def connection_count(self) -> int:
        """All connections, those in their handshake and those left to go idle among them."""
        return self.resources.connections

    @property
    def bytes_received(self) -> int:
        """What came over all connections so far."""
        return self._table.bytes_received

    @property
    def bytes_sent(self) -> int:
        """What went over all connections so far."""
        return self._table.bytes_sent

    def connections_by_kind(self) -> Counter[tuple[str, str]]:
        """How many connections there are of each direction (`in`, `out`) and transport."""
        return self._table.by_kind()

    def handle(self, protocol: str, handler: StreamHandler) -> None:
        """Serves a protocol; the stream is reset when the handler leaves it unfinished."""
        self._streams.handlers[protocol] = handler

    def protect(self, peer: PeerId) -> None:
        """Keeps connections to `peer` from being closed for idleness, until `unprotect` was called as often."""
        self._table.protect(peer)

    def unprotect(self, peer: PeerId) -> None:
        """Undoes one `protect`."""
        self._table.unprotect(peer)

    def is_reached_by(self, peer: PeerId) -> bool:
        """Whether `peer` has made a connection to this node itself, and not through a relay, that is still there."""
        return self._table.is_reached_by(peer)

    async def take(self, incoming: Incoming) -> None:
        """Takes a connection that did not come to a listener, and returns when it is over."""
        await self._accept(incoming, transport=RELAY)

    async def run(self, task_status: TaskStatus = trio.TASK_STATUS_IGNORED) -> None:
        """Runs the swarm until it is cancelled; it may dial and listen once started."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            self._streams.begin(nursery)
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
        listener = await self._transports.listen(address)
        self.listening.append(listener.address)
        assert self._nursery is not None
        scope = trio.CancelScope()
        self._listeners.append(scope)
        self._nursery.start_soon(self._serve_listener, scope, listener)
        return listener.address

    async def drain(self) -> bool:
        """Takes in nothing new, waits until all that is being served is done, and closes all connections (rule 6).

        False if something was still being served when the time for it was over.
        """
        log.info("the node ends, and finishes what it serves", streams=self.resources.streams)
        self.draining = self._streams.draining = True
        for give_up in self.on_draining:
            give_up()
        for scope in self._listeners:
            scope.cancel()
        for connection in tuple(self._table.held):
            connection.go_away()
        with trio.move_on_after(self._limits.drain_timeout_s) as waiting:
            await self._streams.wait_all_served()
        connections = tuple(self._table.held)
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

    async def _serve_listener(self, scope: trio.CancelScope, listener: Listener) -> None:
        assert self._nursery is not None
        with scope:
            accept = partial(self._accept, transport=transport_of(listener.address))
            await listener.serve(accept, self._nursery)

    async def connect(self, peer: PeerId, addresses: Iterable[Address], *, direct: bool = False) -> PeerConnection:
        """The live connection to `peer`, made now if there is none; raises `ConnectionFailed`.

        A connection through a relay does not count where a `direct` one is wanted, nor does a circuit's address.
        Who comes while a dial is under way waits for it, and fails with it if it knows no further address.
        """
        wanted = tuple(address for address in addresses if not (direct and isinstance(address, CircuitAddress)))
        if peer == self.peer_id:
            raise ConnectionFailed(f"{peer} is this node itself")
        while True:
            usable = self._table.usable(peer, direct=direct)
            if usable is not None:
                return usable
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
        known = self._table.used.get(peer)
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
        self.counters[f"stream:out:{protocol if protocol in self._streams.handlers else 'other'}"] += 1
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
            self._incidents.meet_limit("dials")
            raise ConnectionFailed(f"cannot reach {peer}: this node dials as many peers as it bears")
        dialled = await self._outgoing.dial(peer, addresses, self._take_dialled)
        return self._table.used.get(peer, dialled.connection)

    def _take_dialled(self, dialled: Dialled) -> None:
        held = Held(dialled.place, dialled.transport, dialled_by_us=True)
        self._adopt(dialled.connection, held, ip_prefix(dialled.ip))

    async def _open_transport(self, peer: PeerId, address: Address, ip: str) -> ByteStream:
        """A stream of bytes to `peer` at `address`, whose host has this IP address."""
        assert self._nursery is not None
        if isinstance(address, CircuitAddress):
            return await dial_circuit(self, address, peer)
        return await self._transports.dial(address, ip, self._bind, self._nursery)

    async def _accept(self, incoming: Incoming, *, transport: str = "tcp") -> None:
        """Takes in who came over `transport`, until the connection ends; who calls this closes the socket then."""
        try:
            if self.draining:
                self.counters["refused:draining"] += 1
                return
            await self._reception.receive(incoming, partial(self._take_incoming, transport))
        except Exception as error:  # noqa: BLE001  (the outermost task of who came: count, log without data, go on)
            self._incidents.crashed("accept_crashed", error)

    def _begin_handshake(self, prefix: str, begin: Callable[[], None]) -> None:
        """Calls `begin` when it is the turn of `prefix` to cause the work of a handshake."""
        self._handshake_turns.offer(prefix, begin)

    def _take_incoming(self, transport: str, connection: PeerConnection, place: Place) -> None:
        self._adopt(connection, Held(place, transport, dialled_by_us=False), place.prefix)

    def _start(self, transport: ByteStream, place: Place, *, expected: PeerId | None, observed: str) -> PeerConnection:
        """A connection that is driven by a task of its own."""
        connection = self._make(transport, place, expected=expected, observed=observed)
        assert self._nursery is not None
        self._nursery.start_soon(self._run_connection, connection)
        return connection

    def _make(self, transport: ByteStream, place: Place, *, expected: PeerId | None, observed: str) -> PeerConnection:
        budget = WindowAccount(self.resources, place)
        protocol = self._upgrader.begin(initiator=place.dialled_by_us, expected=expected, budget=budget)
        mark = CIRCUIT_MARK if isinstance(transport, CircuitStream) else ""
        where = f"/{'ip6' if ':' in observed else 'ip4'}/{observed}{mark}"
        connection = PeerConnection(
            transport,
            protocol,
            self._limits,
            self._streams.take,
            on_refused=self._streams.count_refused,
            observed=where,
            flusher=self._flusher,
        )
        self._table.running.add(connection)
        return connection

    async def _run_connection(self, connection: PeerConnection) -> None:
        try:
            await connection.run()
        except Exception as error:  # noqa: BLE001  (the outermost task of a connection: count, log without data, go on)
            self._incidents.crashed("connection_crashed", error)
        finally:
            held = self._table.held.get(connection)
            self._table.end(connection)
            self._streams.forget(connection)
        if connection.failure is not None and connection.established:
            self.counters[f"connection_failed:{connection.failure.reason}"] += 1
            if held is not None and held.came_directly:
                self._reception.punish(held.place.prefix)

    async def _run_task(self, task: Callable[[], Awaitable[None]]) -> None:
        try:
            await task()
        except Exception as error:  # noqa: BLE001  (the outermost frame of a task: count, log without data, go on)
            self._incidents.crashed("task_crashed", error)

    def _adopt(self, connection: PeerConnection, held: Held, prefix: str) -> None:
        """Takes a connection whose handshake is done."""
        if not connection.alive:
            return
        if connection.peer == self.peer_id:
            connection.close("it leads to this node itself")
            return
        if self.draining and not held.dialled_by_us:
            connection.close("this node ends")
            return
        self._table.adopt(connection, held, prefix)
        self._streams.take_early(connection)

    async def _sweep(self) -> None:
        limits = self._limits
        while True:
            shortest_s = min(limits.idle_timeout_s, limits.silence_timeout_s, limits.write_timeout_s)
            await trio.sleep(shortest_s / _SWEEPS_PER_TIMEOUT)
            self._table.sweep(trio.current_time() - limits.idle_timeout_s)
            self.resources.refresh()
