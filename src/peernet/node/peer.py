"""A peer: connections, identify and ping, the DHT, the directory's copy, and the part in rings of all serving peers.

`running_peer` opens them in order (listen, join, publish) in one nursery and ends them together. A host or a bootstrap
node adds its own services before that. With a state folder, the peers of the DHT's table are remembered there.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import asynccontextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Final

import structlog
import trio
from attrs import evolve, frozen

from peernet._version import __version__
from peernet.core.dht.records import (
    MAX_ADDRESSES,
    Body,
    OutdatedRecord,
    PeerRecord,
    operator_statement,
    record_key,
    sign_record,
)
from peernet.core.errors import UserError
from peernet.core.identity import Keypair, PeerId
from peernet.core.suite import CipherSuite, MixedSuite
from peernet.net.addresses import (
    Address,
    CircuitAddress,
    PeerAddress,
    addresses_by_peer,
    parse_address,
    parse_peer_address,
)
from peernet.net.gating import AllowDeny
from peernet.net.identify import serve_identify
from peernet.net.limits import PRESETS
from peernet.net.ping import PingService
from peernet.net.rings import RingLimits, RingService
from peernet.net.swarm import Swarm
from peernet.net.swarm_key import load_swarm_key
from peernet.net.tasks import background_nursery
from peernet.net.transports.tls import TlsFiles
from peernet.node.config import NetworkConfig
from peernet.node.directory_copy import DirectoryCopy
from peernet.node.directory_mirror import DirectoryMirror
from peernet.node.discovery import Discovery
from peernet.node.home import Home
from peernet.node.lookups import LookupService
from peernet.node.open_files import allow_open_files
from peernet.node.reachability import ReachabilityService, is_wildcard
from peernet.node.remembered import RememberedPeers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

__all__ = ["Peer", "PeerKeys", "now_s", "running_peer", "swarm_of"]

RECORD_LIFETIME_S: Final = 3600
RECORD_KEPT_S: Final = 60
"""How long one signed record is handed out: a new one with every query would cost everybody two verifications."""
RECORD_ADDRESSES_SIZE: Final = 600
"""Characters of all addresses in a record: everything else in it has at most 400 bytes."""
ONION_KEY_PERIOD_S: Final = 24 * 3600
REMEMBER_INTERVAL_S: Final = 300.0

log = structlog.get_logger()


def now_s() -> int:
    """The wall clock, whole seconds since the epoch."""
    return int(time.time())


@frozen
class PeerKeys:
    """The lasting keys of a peer."""

    identity: Keypair
    operator: Keypair
    onion_root: bytes
    """32 secret bytes that each day's onion key is derived from."""

    @classmethod
    def of(cls, home: Home, suite: CipherSuite) -> "PeerKeys":
        """The keys in `home`, made on first use."""
        return cls(home.keypair("identity", suite), home.keypair("operator", suite), home.seed("onion"))


def swarm_of(network: NetworkConfig, identity: Keypair, suite: CipherSuite) -> Swarm:
    """The swarm of a node of `network`: who listens and who only dials have the same settings.

    Connections leave from the first definite address to listen on. A loopback address counts in test networks only:
    elsewhere it is where a reverse proxy finds the node, and nothing can be dialled from it. Raises `UserError` for
    files and lists that cannot be used.
    """
    hosts = [
        address.host
        for address in map(parse_address, network.listen)
        if not is_wildcard(address)
        and not address.is_name
        and (network.test or not ip_address(address.host).is_loopback)
    ]
    return Swarm(
        suite,
        identity,
        bind=hosts[0] if hosts else None,
        limits=PRESETS[network.limits],
        tls=TlsFiles(network.tls_certificate, network.tls_key, network.tls_authority),
        behind_proxy=network.behind_proxy,
        allow_private=network.test,
        gate=AllowDeny.parse(network.allow, network.deny),
        swarm_key=load_swarm_key(Path(network.swarm_key)) if network.swarm_key else None,
    )


def _require_few(addresses: Sequence[Address]) -> None:
    if len(addresses) > MAX_ADDRESSES:
        raise UserError(
            f"a peer tells others at most {MAX_ADDRESSES} addresses, not {len(addresses)}: choose with --announce"
        )


class Peer:
    """One node of the overlay, with lasting keys and a place in the DHT.

    Args:
        keys: its keys.
        network: what it shares with the others.
        roles: of `relay`, `host`, `bootstrap`.
        state: the folder where other peers are remembered over a restart, or None.
    """

    def __init__(
        self, keys: PeerKeys, network: NetworkConfig, roles: Sequence[str], state: Path | None = None
    ) -> None:
        self.suite: CipherSuite = MixedSuite()
        self.keys = keys
        self.network = network
        self.roles = tuple(sorted(roles))
        self._listen = tuple(parse_address(text) for text in network.listen)
        self._announced = tuple(parse_address(text) for text in network.announce)
        _require_few(self._announced or self._listen)
        if any(isinstance(address, CircuitAddress) for address in self._listen):
            raise UserError("nobody listens on a circuit: a peer that cannot be dialled finds relays by itself")
        # Who forwards for others must be reached itself; only hosts are worth reaching through a relay.
        self._reservations = network.relay_reservations if "host" in roles else 0
        self.swarm = swarm_of(network, keys.identity, self.suite)
        serve_identify(self.swarm, f"peernet/{__version__}", lambda: [known.address for known in self.addresses])
        self.pings = PingService(self.swarm)
        self.pings.serve()
        self.rings = RingService(
            self.swarm,
            self.suite,
            self.onion_secrets,
            now_s,
            relay="relay" in roles,
            allow_private=network.test,
            limits=RingLimits(),
        )
        self.discovery = Discovery(self.swarm, self.suite, now_s, self.signed_record, allow_private=network.test)
        self.directory = DirectoryMirror(
            self.swarm,
            DirectoryCopy((), self.suite, now_s),
            {},
            self.discovery.good_peers,
            origin="bootstrap" in roles,
        )
        self.reachability = ReachabilityService(
            self.swarm,
            self.suite,
            keys.identity,
            keys.operator.public_key,
            announced=self._announced,
            now_s=now_s,
            dialler=lambda identity: swarm_of(self.network, identity, self.suite),
            records=self._known_records,
            bootstraps=lambda: self._bootstraps,
            changed=self.discovery.publish_anew,
            allow_private=network.test,
            serve_circuits="relay" in roles and network.circuits,
            reservations=self._reservations,
        )
        self._follow_bootstraps()
        if "relay" in roles:
            self.lookups = LookupService(self.rings, self.discovery, self.signed_record)
        self._bodies: list[Callable[[], Body]] = [self._record]
        self._remembered = None if state is None else RememberedPeers(state / "peers.txt")
        self._signed: tuple[PeerRecord, bytes] | None = None

    def belong_to(self, network: NetworkConfig) -> None:
        """Takes over who the bootstrap nodes are, where they have agreed on it only after this one was started."""
        self.network = evolve(self.network, bootstrap=network.bootstrap, policy=network.policy)
        self._follow_bootstraps()

    def _follow_bootstraps(self) -> None:
        bootstraps = addresses_by_peer(map(parse_peer_address, self.network.bootstrap))
        signers = {peer.public_key for peer in bootstraps}
        if "bootstrap" in self.roles:
            signers.add(self.peer_id.public_key)
        self._bootstraps = {peer: addresses for peer, addresses in bootstraps.items() if peer != self.peer_id}
        self.directory.follow(self._bootstraps, signers)

    @property
    def peer_id(self) -> PeerId:
        """This peer's id."""
        return self.keys.identity.peer_id

    @property
    def addresses(self) -> tuple[PeerAddress, ...]:
        """Where others reach it: what the operator announces, else where it listens, and circuits to it."""
        room, told = RECORD_ADDRESSES_SIZE, []
        for address in self.reachability.addresses[:MAX_ADDRESSES]:
            room -= len(str(address))
            if room >= 0 or not isinstance(address, CircuitAddress):
                told.append(PeerAddress(self.peer_id, address))
        return tuple(told)

    def _known_records(self) -> "Iterable[PeerRecord]":
        """The peer records of the DHT's table and of the directory."""
        for contact in self.discovery.node.table.contacts():
            try:
                body = self.discovery.verifier.open(contact.record, now_s()).body
            except OutdatedRecord:
                continue
            assert isinstance(body, PeerRecord)
            yield body
        for listing in self.directory.copy.directory.listings:
            if listing.holds(now_s()):
                yield listing.record

    def onion_secrets(self) -> tuple[bytes, bytes]:
        """Today's onion secret and yesterday's."""
        day = now_s() // ONION_KEY_PERIOD_S
        return self._onion_secret(day), self._onion_secret(day - 1)

    def publish(self, body: Callable[[], Body]) -> None:
        """Has a further record of ours published, and again whenever it is due."""
        self._bodies.append(body)

    def signed_record(self) -> bytes:
        """Our peer record, at most `RECORD_KEPT_S` old; empty as long as nobody could reach us by it."""
        if not self.addresses:
            return b""
        record = self._record()
        if self._signed is None or self._signed[0] is not record:
            self._signed = (record, sign_record(record, self.keys.identity))
        return self._signed[1]

    async def listen(self) -> None:
        """Begins to listen; raises `UserError` when an address cannot be had, or nobody could dial it."""
        for address in self._listen:
            if is_wildcard(address) and not (self._announced or self._reservations):
                raise UserError(
                    f"others cannot dial {address}: say where they reach this node with --announce "
                    "/ip4/ADDRESS/tcp/PORT, or listen on a definite address with --listen"
                )
        for address in self._listen:
            await self.swarm.listen(address)

    async def join(self, *, required: bool = True) -> None:
        """Enters the DHT by the configured bootstrap nodes, and by the peers remembered from before.

        Raises `UserError` when `required` and none of them answers.
        """
        bootstraps = [parse_peer_address(text) for text in self.network.bootstrap]
        remembered = [] if self._remembered is None else self._remembered.load()
        if required and not (bootstraps or remembered):
            raise UserError("no bootstrap node is configured: give one with --bootstrap ADDRESS")
        greeted = await self.discovery.join(bootstraps, remembered)
        if required and not greeted:
            listed = ", ".join(self.network.bootstrap)
            raise UserError(
                f"none of the bootstrap nodes answers ({listed}): check that the address and the peer id at its end "
                "are those that 'peernet bootstrap' printed, and that it is running"
            )

    async def keep_published(self) -> None:
        """Publishes our records and keeps the DHT's table fresh, until cancelled."""
        await self.discovery.upkeep(self._signed_bodies)

    async def keep_remembered(self) -> None:
        """Remembers the peers of the DHT's table now and then, until cancelled."""
        while True:
            await trio.sleep(REMEMBER_INTERVAL_S)
            await trio.to_thread.run_sync(self.remember, self.discovery.good_peers())

    def remember(self, peers: Sequence[PeerAddress]) -> None:
        """Writes down where to begin again after a restart; a disk that refuses that ends nothing."""
        if self._remembered is None:
            return
        try:
            self._remembered.save(peers)
        except OSError as error:
            log.warning("the known peers could not be remembered", error=error.strerror or type(error).__name__)

    def _signed_bodies(self) -> list[tuple[bytes, bytes]]:
        if not self.addresses:
            return []
        bodies = [body() for body in self._bodies]
        return [(record_key(body), sign_record(body, self.keys.identity)) for body in bodies]

    def _onion_secret(self, day: int) -> bytes:
        return self.suite.hmac("SHA256", self.keys.onion_root, b"peernet onion key" + day.to_bytes(8, "big"))

    def _record(self) -> PeerRecord:
        """The record as it is now: that of a moment ago while it is fresh and nothing in it has changed."""
        issued = now_s()
        addresses = tuple(str(address.address) for address in self.addresses)
        onion_key = self.suite.x25519_public(self.onion_secrets()[0])
        if self._signed is not None:
            known = self._signed[0]
            same = (known.addresses, known.onion_key) == (addresses, onion_key)
            if same and 0 <= issued - known.issued_at_s < RECORD_KEPT_S:
                return known
        # The time is the sequence: a restarted peer's record is newer than its last one. Two may be of one second.
        last = 0 if self._signed is None else self._signed[0].sequence
        circuits_only = all(isinstance(address.address, CircuitAddress) for address in self.addresses)
        return PeerRecord(
            public_key=self.keys.identity.public_key,
            sequence=max(issued, last + 1),
            issued_at_s=issued,
            expires_at_s=issued + RECORD_LIFETIME_S,
            addresses=addresses,
            onion_key=onion_key,
            operator_key=self.keys.operator.public_key,
            operator_signature=self.keys.operator.sign(operator_statement(self.keys.identity.public_key)),
            # Nobody is forwarded through a relay of relays.
            roles=tuple(role for role in self.roles if role != "relay") if circuits_only else self.roles,
            region=self.network.region,
        )


@asynccontextmanager
async def running_peer(peer: Peer, *, join: bool = True) -> "AsyncIterator[trio.Nursery]":
    """Listens, joins and publishes; yields the nursery for the role's own tasks; ends all of it on leaving."""
    allow_open_files(PRESETS[peer.network.limits])
    async with background_nursery() as nursery:
        await nursery.start(peer.swarm.run)
        await peer.listen()
        await peer.join(required=join)
        nursery.start_soon(peer.keep_published)
        nursery.start_soon(peer.keep_remembered)
        nursery.start_soon(peer.reachability.run)
        nursery.start_soon(peer.directory.keep_fresh)
        try:
            yield nursery
        finally:
            peer.remember(peer.discovery.good_peers())
