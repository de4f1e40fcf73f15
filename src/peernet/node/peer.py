"""A peer: the connections, the DHT and the part in rings that relays, hosts and bootstrap nodes share.

`run_peer` opens them in order (listen, join, publish) in one nursery and ends them together. A host or a bootstrap
node adds its own services between `prepare` and `join`.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import trio
from attrs import frozen

from peernet.core.dht.records import Body, PeerRecord, operator_statement, record_key, sign_record
from peernet.core.errors import UserError
from peernet.core.identity import Keypair, PeerId
from peernet.core.suite import CipherSuite, MixedSuite
from peernet.net.addresses import PeerAddress, parse_peer_address, parse_tcp
from peernet.net.limits import Limits
from peernet.net.rings import RingLimits, RingService
from peernet.net.swarm import Swarm
from peernet.node.config import NetworkConfig
from peernet.node.discovery import Discovery
from peernet.node.home import Home

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = ["Peer", "PeerKeys", "now_s", "running_peer"]

RECORD_LIFETIME_S: Final = 3600
ONION_KEY_PERIOD_S: Final = 24 * 3600


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


class Peer:
    """One node of the overlay, with lasting keys and a place in the DHT.

    Args:
        keys: its keys.
        network: what it shares with the others.
        roles: of `relay`, `host`, `bootstrap`.
    """

    def __init__(self, keys: PeerKeys, network: NetworkConfig, roles: Sequence[str]) -> None:
        self.suite: CipherSuite = MixedSuite()
        self.keys = keys
        self.network = network
        self.roles = tuple(sorted(roles))
        self._listen = parse_tcp(network.listen)
        wildcard = self._listen.host in {"0.0.0.0", "::"}  # noqa: S104  (compared, not bound)
        self.swarm = Swarm(self.suite, keys.identity, bind=None if wildcard else self._listen.host, limits=Limits())
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
        self._bodies: list[Callable[[], Body]] = [self._record]

    @property
    def peer_id(self) -> PeerId:
        """This peer's id."""
        return self.keys.identity.peer_id

    @property
    def addresses(self) -> tuple[PeerAddress, ...]:
        """Where it listens, for others to be told."""
        return tuple(PeerAddress(self.peer_id, address) for address in self.swarm.listening)

    def onion_secrets(self) -> tuple[bytes, bytes]:
        """Today's onion secret and yesterday's."""
        day = now_s() // ONION_KEY_PERIOD_S
        return self._onion_secret(day), self._onion_secret(day - 1)

    def publish(self, body: Callable[[], Body]) -> None:
        """Has a further record of ours published, and again whenever it is due."""
        self._bodies.append(body)

    def signed_record(self) -> bytes:
        """Our peer record, as of now."""
        return sign_record(self._record(), self.keys.identity)

    async def listen(self) -> None:
        """Begins to listen; raises `UserError` when the address cannot be had."""
        await self.swarm.listen(self._listen)

    async def join(self, *, required: bool = True) -> None:
        """Enters the DHT by the configured bootstrap nodes.

        Raises `UserError` when `required` and none of them answers.
        """
        bootstraps = [parse_peer_address(text) for text in self.network.bootstrap]
        if required and not bootstraps:
            raise UserError("no bootstrap node is configured: give one with --bootstrap ADDRESS")
        greeted = await self.discovery.join(bootstraps)
        if required and not greeted:
            listed = ", ".join(self.network.bootstrap)
            raise UserError(
                f"none of the bootstrap nodes answers ({listed}): check that the address and the peer id at its end "
                "are those that 'peernet bootstrap' printed, and that it is running"
            )

    async def keep_published(self) -> None:
        """Publishes our records and keeps the DHT's table fresh, until cancelled."""
        await self.discovery.upkeep(self._signed_bodies)

    def _signed_bodies(self) -> list[tuple[bytes, bytes]]:
        bodies = [body() for body in self._bodies]
        return [(record_key(body), sign_record(body, self.keys.identity)) for body in bodies]

    def _onion_secret(self, day: int) -> bytes:
        return self.suite.hmac("SHA256", self.keys.onion_root, b"peernet onion key" + day.to_bytes(8, "big"))

    def _record(self) -> PeerRecord:
        # The time is the sequence: a restarted peer's record is newer than its last one.
        issued = now_s()
        return PeerRecord(
            public_key=self.keys.identity.public_key,
            sequence=issued,
            issued_at_s=issued,
            expires_at_s=issued + RECORD_LIFETIME_S,
            addresses=tuple(str(address) for address in self.swarm.listening),
            onion_key=self.suite.x25519_public(self.onion_secrets()[0]),
            operator_key=self.keys.operator.public_key,
            operator_signature=self.keys.operator.sign(operator_statement(self.keys.identity.public_key)),
            roles=self.roles,
            region=self.network.region,
        )


@asynccontextmanager
async def running_peer(peer: Peer, *, join: bool = True) -> "AsyncIterator[trio.Nursery]":
    """Listens, joins and publishes; yields the nursery for the role's own tasks; ends all of it on leaving."""
    async with trio.open_nursery() as nursery:
        await nursery.start(peer.swarm.run)
        await peer.listen()
        await peer.join(required=join)
        nursery.start_soon(peer.keep_published)
        yield nursery
        nursery.cancel_scope.cancel()
