"""What a peer knows of being reached, and what it does about it.

Rules:

1. A peer asks several others, of different networks, whether they reach each of its addresses, soon after it has
   joined and then now and then (AutoNAT v2; a majority decides, one vote for each network that answers came from).
   Until it knows, it takes its addresses as they are. Nobody is asked about an address of a home network.
2. An address that others do not reach is told nobody. Where they merely see the peer elsewhere, it is believed if the
   operator announces it (behind a reverse proxy, they must), or if another one is reached (a machine with several).
   A peer that keeps no places at relays tells what it has, since there is nothing better.
3. A host that is reached at none of its addresses, or has none that others could dial, keeps places at relays and
   tells those; a host that is reached keeps none. Others are told of each change at once.
4. Every peer dials back for others, and a relay keeps places and makes circuits, unless told not to.
5. A peer that listens on every address of its machine, and announces none, asks others where they see it (identify).
   The IP address that several networks name, with the port that is listened on, is a candidate: it is asked about as
   any other address, and told others only while they reach it.
"""

import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from ipaddress import ip_address
from typing import Final

import structlog
import trio
from attrs import evolve

from peernet.core.autonat import DialBackLimits, Reachability, Verdicts
from peernet.core.circuit import CircuitLimits
from peernet.core.dht.records import PeerRecord
from peernet.core.errors import ConnectionFailed, RemoteProtocolError
from peernet.core.identity import Keypair, PeerId
from peernet.core.observed import ObservedIps
from peernet.core.prefixes import address_prefix, ip_prefix, unwrapped
from peernet.core.ring.paths import PathPeer
from peernet.core.suite import CipherSuite
from peernet.net.addresses import Address, CircuitAddress, PeerAddress, dialable, is_global
from peernet.net.identify import identify
from peernet.net.metrics import Measured
from peernet.net.reachability.autonat import AutonatClient, AutonatServer
from peernet.net.reachability.circuits import is_relayed, observed_ip
from peernet.net.reachability.keeper import RelayCandidate, ReservationKeeper
from peernet.net.reachability.relay import CircuitRelay
from peernet.net.swarm import Swarm

__all__ = ["ReachabilityService", "relay_candidates"]

SERVERS_ASKED: Final = 5
"""In one round, for each address."""
PROBE_INTERVAL_S: Final = 600.0
FIRST_RETRY_S: Final = 2.0
"""Until there is a verdict: doubled after each round, up to `PROBE_INTERVAL_S`."""

log = structlog.get_logger()


def is_wildcard(address: Address) -> bool:
    """Whether it means every address of the machine, which nobody can dial."""
    return not address.is_name and unwrapped(ip_address(address.host)).is_unspecified


def relay_candidates(records: Iterable[PeerRecord], *, allow_private: bool) -> list[RelayCandidate]:
    """The relays among `records` that can be dialled themselves, one candidate each."""
    found: dict[bytes, RelayCandidate] = {}
    for record in records:
        if "relay" not in record.roles:
            continue
        places = [
            address
            for address in dialable(record.addresses, allow_private=allow_private)
            if not isinstance(address, CircuitAddress)
        ]
        if places:
            peer = PeerId.from_public_key(record.public_key)
            prefixes = frozenset(map(address_prefix, record.addresses))
            relay = PathPeer(str(peer), record.operator_key, prefixes)
            found[record.public_key] = RelayCandidate(relay, peer, tuple(places))
    return list(found.values())


class ReachabilityService:
    """One peer's.

    Args:
        swarm: the peer's connections.
        suite: the primitives.
        identity: the peer's key.
        operator: its operator's public key.
        announced: what the operator announces.
        now_s: the wall clock, seconds since the epoch.
        dialler: makes a swarm of the same network under another key, for one dial-back.
        records: the peer records known now.
        bootstraps: where the bootstrap nodes are.
        changed: told when `addresses` has changed.
        allow_private: whether addresses that are not global count: test networks only.
        serve_circuits: whether this peer keeps places for others.
        reservations: how many places it keeps where it is not reached; 0 for none.
    """

    def __init__(
        self,
        swarm: Swarm,
        suite: CipherSuite,
        identity: Keypair,
        operator: bytes,
        *,
        announced: Sequence[Address],
        now_s: Callable[[], int],
        dialler: Callable[[Keypair], Swarm],
        records: Callable[[], Iterable[PeerRecord]],
        bootstraps: Callable[[], Mapping[PeerId, Sequence[Address]]],
        changed: Callable[[], None],
        allow_private: bool,
        serve_circuits: bool,
        reservations: int,
    ) -> None:
        self._swarm = swarm
        self._announced = tuple(announced)
        self._records = records
        self._bootstraps = bootstraps
        self._changed = changed
        self._allow_private = allow_private
        self._reservations = reservations
        self._random = secrets.SystemRandom()
        self._keeping: trio.CancelScope | None = None
        self._told: tuple[Address, ...] = ()
        self._warned: set[str] = set()
        self.verdicts = Verdicts()
        self.observed = ObservedIps()
        self.client = AutonatClient(swarm)
        self.server = AutonatServer(
            swarm,
            lambda: dialler(Keypair.from_seed(secrets.token_bytes(32), suite)),
            allow_private=allow_private,
            limits=DialBackLimits(),
        )
        self.relay: CircuitRelay | None = None
        if serve_circuits:
            self.relay = CircuitRelay(swarm, identity, now_s, self._own_places, CircuitLimits())
        own = PathPeer(str(identity.peer_id), operator, frozenset())
        self.keeper = ReservationKeeper(swarm, suite, self._relay_candidates, lambda: own, now_s, self._tell_changes)

    @property
    def addresses(self) -> tuple[Address, ...]:
        """What others are told: where this peer is reached, and the circuits to it; nothing yet, perhaps."""
        direct = tuple(address for address in self._announced or self._swarm.listening if not is_wildcard(address))
        found = self._found()
        if self._reservations or found or any(self._is_reached(address) for address in direct):
            direct = tuple(address for address in direct if self._is_told(address))
        return (*direct, *found, *self.keeper.addresses)

    @property
    def measured(self) -> list[Measured]:
        """What the services count and hold, for metrics."""
        services = [
            Measured("probes", self.client.counters),
            Measured("dial_backs", self.server.counters, {"running": lambda: self.server.running}),
            Measured("places", self.keeper.counters, {"kept": lambda: len(self.keeper.relays)}),
        ]
        if (relay := self.relay) is not None:
            held = {"reserved": lambda: len(relay.reserved), "circuits": lambda: relay.circuits}
            services.append(Measured("relay", relay.counters, held))
        return services

    def verdict(self, address: Address) -> Reachability:
        """What others say of an address of ours."""
        return self.verdicts.verdict(str(address), trio.current_time())

    async def run(self) -> None:
        """Asks others now and then, and keeps places at relays while they are needed, until cancelled."""
        self._told = self.addresses
        async with trio.open_nursery() as nursery:
            if self.relay is not None:
                nursery.start_soon(self.relay.run)
            retry_s = FIRST_RETRY_S
            while True:
                await self._observe()
                await self._probe()
                self._keep_or_let_go(nursery)
                self._tell_changes()
                self._warn()
                known = all(self.verdict(address) is not Reachability.UNKNOWN for address in self._probed())
                known &= bool(self._candidates()) or not self._wildcards()
                retry_s = PROBE_INTERVAL_S if known else min(2 * retry_s, PROBE_INTERVAL_S)
                await trio.sleep(retry_s * self._random.uniform(0.5, 1.0))

    def _probed(self) -> list[Address]:
        """Our addresses that others could dial, and may hear of."""
        direct = self._announced or (*self._swarm.listening, *self._candidates())
        return [
            address
            for address in direct
            if not (is_wildcard(address) or isinstance(address, CircuitAddress))
            and (self._allow_private or address.is_name or address.is_global)
        ]

    def _wildcards(self) -> list[Address]:
        """What is listened on of which nobody has said where that is (rule 5)."""
        return [] if self._announced else [address for address in self._swarm.listening if is_wildcard(address)]

    def _candidates(self) -> list[Address]:
        ips = [ip for ip in self.observed.agreed(trio.current_time()) if self._allow_private or is_global(ip)]
        return [
            evolve(address, host=ip)
            for address in self._wildcards()
            for ip in ips
            if _family(address) == ip_address(ip).version
        ]

    def _found(self) -> tuple[Address, ...]:
        """The candidates that others reach."""
        return tuple(address for address in self._candidates() if self._is_reached(address))

    def _is_reached(self, address: Address) -> bool:
        return self.verdict(address) is Reachability.REACHABLE

    def _is_told(self, address: Address) -> bool:
        """Rule 2."""
        if is_wildcard(address):
            return False
        verdict = self.verdict(address)
        if address in self._announced:
            return verdict is not Reachability.UNREACHABLE
        if not (self._allow_private or address.is_name or address.is_global):
            return False
        if verdict is Reachability.ELSEWHERE:
            return any(self._is_reached(other) for other in self._swarm.listening)
        return verdict is not Reachability.UNREACHABLE

    def _needs_relays(self) -> bool:
        direct = self._announced or self._swarm.listening
        return not (self._found() or any(self._is_told(address) for address in direct))

    def _keep_or_let_go(self, nursery: trio.Nursery) -> None:
        if self._reservations and self._needs_relays():
            if self._keeping is None:
                log.info("others do not reach this peer: it keeps places at relays", wanted=self._reservations)
                self._keeping = trio.CancelScope()
                nursery.start_soon(self._keep, self._keeping)
        elif self._keeping is not None:
            self._keeping.cancel()
            self._keeping = None

    async def _keep(self, scope: trio.CancelScope) -> None:
        with scope:
            await self.keeper.keep(self._reservations)

    def _warn(self) -> None:
        """Says once of each address that others do not reach it."""
        for address in self._probed():
            if self.verdict(address) is Reachability.UNREACHABLE and str(address) not in self._warned:
                self._warned.add(str(address))
                log.warning("others do not reach this address: 'peernet doctor' says what to do", address=str(address))

    def _tell_changes(self) -> None:
        if (addresses := self.addresses) != self._told:
            self._told = addresses
            self._changed()

    def _own_places(self) -> list[PeerAddress]:
        told = (address for address in self.addresses if not isinstance(address, CircuitAddress))
        return [PeerAddress(self._swarm.peer_id, address) for address in told]

    def _relay_candidates(self) -> list[RelayCandidate]:
        return [
            candidate
            for candidate in relay_candidates(self._records(), allow_private=self._allow_private)
            if candidate.peer != self._swarm.peer_id
        ]

    # --- asking ------------------------------------------------------------------------------------------------------

    async def _observe(self) -> None:
        """One round: several peers are asked where they see this one, where that is not known otherwise."""
        families = set(map(_family, self._wildcards()))
        if families:
            async with trio.open_nursery() as nursery:
                for peer, places in self._servers():
                    suiting = [place for place in places if _family(place) in {None, *families}]
                    if suiting:
                        nursery.start_soon(self._ask_where, peer, suiting)

    async def _ask_where(self, peer: PeerId, places: Sequence[Address]) -> None:
        try:
            said = (await identify(self._swarm, peer, places)).observed_address
        except (ConnectionFailed, RemoteProtocolError):
            self.client.counters["failed:no_observation"] += 1
            return
        connection = self._swarm.connections.get(peer)
        # Text of a stranger's, which may be any multiaddr.
        match (said or "").split("/"):
            case ["", "ip4" | "ip6", ip, *rest] if "p2p-circuit" not in rest:
                if connection is not None and not is_relayed(connection):
                    self.observed.record(ip, ip_prefix(observed_ip(connection)), trio.current_time())

    async def _probe(self) -> None:
        """One round: each address at several servers, an address after the other."""
        servers = self._servers()
        for address in self._probed():
            async with trio.open_nursery() as nursery:
                for peer, places in servers:
                    nursery.start_soon(self._ask, peer, places, address)

    async def _ask(self, peer: PeerId, places: Sequence[Address], address: Address) -> None:
        family = _family(address)
        suiting = [place for place in places if family is None or _family(place) in {None, family}]
        if not suiting:
            return
        try:
            answer = await self.client.answer(peer, suiting, address)
        except (ConnectionFailed, RemoteProtocolError) as error:
            reason = error.reason if isinstance(error, RemoteProtocolError) else "unreachable_server"
            self.client.counters[f"failed:{reason}"] += 1
            return
        self.verdicts.record(str(address), answer.prefix, answer.outcome, trio.current_time())

    def _servers(self) -> list[tuple[PeerId, Sequence[Address]]]:
        """Whom to ask this time, of as many different networks; bootstrap nodes where few others are known."""
        known: dict[PeerId, Sequence[Address]] = {}
        for record in self._records():
            known[PeerId.from_public_key(record.public_key)] = dialable(
                record.addresses, allow_private=self._allow_private
            )
        for peer, addresses in self._bootstraps().items():
            known.setdefault(peer, addresses)
        known.pop(self._swarm.peer_id, None)
        chosen: dict[str, tuple[PeerId, Sequence[Address]]] = {}
        for peer, addresses in self._random.sample(list(known.items()), len(known)):
            direct = [address for address in addresses if not isinstance(address, CircuitAddress)]
            if direct:
                chosen.setdefault(address_prefix(str(direct[0])), (peer, direct))
        return list(chosen.values())[:SERVERS_ASKED]


def _family(address: Address) -> int | None:
    """4 or 6; None for a name."""
    return None if address.is_name else ip_address(address.host).version
