"""The client's view of the network: the directory it trusts, its guards, and the rings of one request.

A client has no lasting key: its swarm runs under a fresh one, it serves nothing, and it stays out of the DHT. All
that it ever says to a bootstrap node directly is "give me the directory"; whatever concerns a request goes around a
ring.
"""

import random
import secrets
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import trio
from attrs import frozen

from peernet.client.guards import GuardStore
from peernet.core.dht.records import HostOffer
from peernet.core.directory import (
    DIRECTORY_PROTOCOL,
    Directory,
    DirectoryMessages,
    GetDirectory,
    Listing,
    SignedDirectory,
    open_directory,
)
from peernet.core.errors import ConnectionFailed, RemoteProtocolError, UserError
from peernet.core.identity import Keypair, PeerId
from peernet.core.prefixes import address_prefix
from peernet.core.ring.choosing import choose_rings
from peernet.core.ring.paths import PathPeer, RingPath
from peernet.core.suite import CipherSuite, MixedSuite
from peernet.net.addresses import Address, dialable, parse_address, parse_peer_address
from peernet.net.messages import MessageStream
from peernet.net.rings import RingChannel, RingFailed, RingHop, open_ring
from peernet.node.config import NetworkConfig
from peernet.node.peer import now_s, swarm_of

__all__ = ["HostChoice", "NetworkView"]

DIRECTORY_TIMEOUT_S: Final = 5.0
RING_TIMEOUT_S: Final = 8.0


@frozen
class HostChoice:
    """A host that may be asked, with the offer that counts."""

    listing: Listing
    offer: HostOffer

    @property
    def peer(self) -> str:
        """Its peer id."""
        return str(self.listing.peer)


class NetworkView:
    """Directory, guards and rings, over a swarm under a throw-away key.

    Args:
        network: the bootstrap nodes that are trusted for the directory.
        guards_file: where the guards are remembered.
    """

    def __init__(self, network: NetworkConfig, guards_file: Path) -> None:
        if not network.bootstrap:
            raise UserError("no bootstrap node is configured: give one with --bootstrap ADDRESS, or --network FILE")
        self.suite: CipherSuite = MixedSuite()
        self._network = network
        self._bootstraps = [parse_peer_address(text) for text in network.bootstrap]
        keypair = Keypair.from_seed(secrets.token_bytes(32), self.suite)
        self.swarm = swarm_of(network, keypair, self.suite)
        self._guards = GuardStore(guards_file)
        self._random = random.SystemRandom()
        self.directory = Directory(0, ())

    async def fetch_directory(self) -> Directory:
        """The newest directory; raises `UserError` when no bootstrap node gives one that can be trusted."""
        problems = []
        for bootstrap in self._bootstraps:
            try:
                with trio.fail_after(DIRECTORY_TIMEOUT_S):
                    self.directory = await self._fetch_from(bootstrap.peer, str(bootstrap.address))
            except (ConnectionFailed, RemoteProtocolError, trio.TooSlowError) as error:
                problems.append(f"{bootstrap}: {error or 'no answer in time'}")
            else:
                return self.directory
        raise UserError(
            f"no bootstrap node gives the directory ({'; '.join(problems)}): check --bootstrap, and that it is running"
        )

    def hosts_of(self, model: str, tokenizer_digest: bytes, issuer: str) -> list[HostChoice]:
        """The hosts that can be asked for `model`, in random order."""
        hosts = [
            HostChoice(listing, offer)
            for listing, offer in self.directory.hosts_of(model)
            if offer.tokenizer_digest == tokenizer_digest and issuer in offer.issuers
        ]
        self._random.shuffle(hosts)
        return hosts

    def plan_rings(self, hosts: Sequence[HostChoice], profile: str, avoid: Iterable[str] = ()) -> list[RingPath]:
        """A ring for each of `hosts`, under the diversity rules; raises `TooFewRelays`.

        `avoid` names peers that have failed or carry other fragments (`core.ring.choosing`).
        """
        # The lane's ring runs over the same relays, so the ledger's node counts in their distinctness too.
        ledger = [_path_peer(listing) for listing in self.directory.bootstraps[:1]]
        relays = [_path_peer(listing) for listing in self.directory.relays if self._addresses_of(listing)]
        return choose_rings(
            {relay.peer: relay for relay in relays},
            [_path_peer(host.listing) for host in hosts],
            profile,
            self._guards,
            self._random,
            shared=ledger,
            avoid=frozenset(avoid),
        )

    def ledger_path(self, path: RingPath) -> RingPath:
        """A ring to the bootstrap node for the lane of the fragment that `path` is for, by that ring's own relays.

        No relay so learns of another fragment.
        """
        listings = self.directory.bootstraps
        if not listings:
            raise UserError("the directory lists no bootstrap node to fund a lane: try again in a moment")
        return RingPath(path.out, path.back, _path_peer(listings[0]))

    def path_peer(self, host: HostChoice) -> PathPeer:
        """A host as the diversity rules see it."""
        return _path_peer(host.listing)

    async def open_ring(self, path: RingPath, service: str) -> RingChannel:
        """Builds and joins a ring along `path`; raises `RingFailed`."""
        out = [self._hop(peer) for peer in (*path.out, path.endpoint)]
        back = [self._hop(peer) for peer in (*path.back, path.endpoint)]
        return await open_ring(self.swarm, self.suite, out, back, service, timeout_s=RING_TIMEOUT_S)

    async def _fetch_from(self, peer: PeerId, address: str) -> Directory:
        async with await self.swarm.open_stream(peer, [parse_address(address)], DIRECTORY_PROTOCOL) as stream:
            messages = MessageStream(stream, DirectoryMessages)
            await messages.send(GetDirectory())
            await stream.close_sending()
            reply = await messages.receive()
        if not isinstance(reply, SignedDirectory):
            raise ConnectionFailed("the bootstrap node sent no directory")
        trusted = [bootstrap.peer.public_key for bootstrap in self._bootstraps]
        return open_directory(reply, trusted, now_s(), self.suite)

    def _hop(self, peer: PathPeer) -> RingHop:
        for listing in self.directory.listings:
            if str(listing.peer) == peer.peer:
                return RingHop(listing.peer, self._addresses_of(listing), listing.record.onion_key, listing.signed)
        raise RingFailed("a peer of the ring has left the directory", reason="unlisted")

    def _addresses_of(self, listing: Listing) -> tuple[Address, ...]:
        return tuple(dialable(listing.record.addresses, allow_private=self._network.test))


def _path_peer(listing: Listing) -> PathPeer:
    record = listing.record
    return PathPeer(str(listing.peer), record.operator_key, frozenset(map(address_prefix, record.addresses)))
