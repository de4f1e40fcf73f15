"""A network in this process, over loopback sockets: bootstrap nodes, relays, hosts without engines, and clients.

Every peer has its own loopback address and operator. Hosts serve `infer` by an echo. `Network.stop` ends a peer as a
power cut would, for all that others can see; `Network.start` brings it up, with the same keys if it was there before.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from itertools import count
from os import getpid
from pathlib import Path

import trio
from attrs import define, field

from bootstrap.directory import DirectoryService
from peernet.client.network import NetworkView
from peernet.core import serving
from peernet.core.dht.records import (
    OFFER,
    PEER,
    PROVIDER,
    HostOffer,
    ProviderRecord,
    offer_key,
    provider_key,
    sign_record,
)
from peernet.core.offers import OFFERS_PROTOCOL, OfferMessages, Offers
from peernet.net.messages import MessageStream
from peernet.net.rings import RingChannel
from peernet.net.streams import PeerStream
from peernet.node.config import NetworkConfig
from peernet.node.peer import Peer, PeerKeys, now_s, running_peer
from peernet.node.remembered import RememberedPeers
from tests.directory_records import keypair

__all__ = ["MODEL", "Network", "echo", "until"]

MODEL = "a-model"
PORT = 4101
_networks = count(getpid())


async def until(holds: Callable[[], object], timeout_s: float = 10.0) -> None:
    """Waits for what passes through the kernel, and so wakes nobody."""
    with trio.fail_after(timeout_s):
        while not holds():  # noqa: ASYNC110
            await trio.sleep(0.005)


async def echo(ring: RingChannel) -> None:
    """A service that says what it hears."""
    while (message := await ring.receive()) is not None:
        await ring.send(message)


@define(eq=False)
class Network:
    """The peers by their names; `bootstraps` of them sign."""

    folder: Path
    nursery: trio.Nursery
    bootstraps: int = 1
    second_byte: int = field(factory=lambda: 100 + next(_networks) % 150)
    peers: dict[str, Peer] = field(factory=dict)
    services: dict[str, DirectoryService] = field(factory=dict)
    numbers: dict[str, int] = field(factory=dict)
    stops: dict[str, Callable[[], None]] = field(factory=dict)
    ended: dict[str, trio.Event] = field(factory=dict)
    started_at_s: dict[str, int] = field(factory=dict)

    def keys(self, name: str) -> PeerKeys:
        return PeerKeys(keypair(name), keypair(f"operator of {name}"), keypair(f"onion of {name}").seed)

    @property
    def addresses(self) -> tuple[str, ...]:
        """What everybody is configured with."""
        names = [f"bootstrap {number}" for number in range(self.bootstraps)]
        return tuple(f"{self.place(name)}/p2p/{self.keys(name).identity.peer_id}" for name in names)

    def place(self, name: str, port: int = PORT) -> str:
        number = self.numbers.setdefault(name, len(self.numbers) + 1)
        return f"/ip4/127.{self.second_byte}.{number}.1/tcp/{port}"

    def config(self, name: str, port: int = PORT) -> NetworkConfig:
        return NetworkConfig(test=True, bootstrap=self.addresses, listen=(self.place(name, port),))

    async def start(self, name: str, port: int = PORT, knows: Sequence[str] = ()) -> Peer:
        """Starts a peer, whose role its name begins with; it may remember others."""
        role = name.split(maxsplit=1)[0]
        if knows:
            known = [address for other in knows for address in self.peers[other].addresses]
            RememberedPeers(self.folder / name / "peers.txt").save(known)
        peer = Peer(self.keys(name), self.config(name, port), [role], self.folder / name)
        if role == "host":
            _serve_model(peer)
        if role == "bootstrap":
            self.services[name] = DirectoryService(peer, 1)
        self.peers[name] = peer
        self.started_at_s[name] = now_s()
        await self.nursery.start(self._run, name, peer)
        return peer

    async def start_all(self, *names: str) -> None:
        for name in names:
            await self.start(name)

    async def stop(self, name: str) -> None:
        """Ends a peer, and waits until nobody listens where it was."""
        self.stops.pop(name)()
        await self.ended.pop(name).wait()

    async def _run(self, name: str, peer: Peer, task_status: trio.TaskStatus[None]) -> None:
        with trio.CancelScope() as scope:
            ended = trio.Event()
            self.stops[name], self.ended[name] = scope.cancel, ended
            try:
                async with running_peer(peer, join=name not in self.services) as nursery:
                    if name in self.services:
                        nursery.start_soon(self.services[name].run)
                    task_status.started()
                    await trio.sleep_forever()
            finally:
                ended.set()

    @asynccontextmanager
    async def client(self, name: str = "client", clock: Callable[[], int] = now_s) -> AsyncIterator[NetworkView]:
        """A client with a state folder of its own, its swarm running, and nothing fetched yet."""
        state = self.folder / name
        view = NetworkView(self.config(name, 0), state / "guards.json", state / "directory.bin", clock)
        async with trio.open_nursery() as nursery:
            await nursery.start(view.swarm.run)
            yield view
            nursery.cancel_scope.cancel()

    async def until_published(self, host: str, relays: Sequence[str]) -> None:
        """Waits until the relays hold what a host has published last."""
        peer = self.peers[host]
        key = peer.keys.identity.public_key
        kinds = ((PEER, peer.peer_id.dht_id), (OFFER, offer_key(key, MODEL)), (PROVIDER, provider_key(MODEL)))

        def held() -> bool:
            stores = [self.peers[relay].discovery.node.store for relay in relays]
            found = [store.get(kind, place, now_s(), 20) for store in stores for kind, place in kinds]
            return all(
                any(r.owner == peer.peer_id.dht_id and r.body.issued_at_s >= self.started_at_s[host] for r in records)
                for records in found
            )

        await until(held)

    def listed(self, name: str) -> set[str]:
        """The names of those in the newest snapshot that a peer has."""
        by_key = {self.keys(other).identity.public_key: other for other in self.numbers}
        return {by_key[listing.record.public_key] for listing in self.peers[name].directory.copy.directory.listings}

    def name_of(self, peer: str) -> str:
        """Whose peer id it is."""
        return next(name for name in self.numbers if str(self.keys(name).identity.peer_id) == peer)


def _serve_model(peer: Peer) -> None:
    key = peer.keys.identity.public_key

    def offer() -> HostOffer:
        issued = now_s()
        nothing = bytes(32)
        return HostOffer(
            key, issued, issued, issued + 3600, MODEL, nothing, nothing, "", 2048, 2, 5, 1, "", ("log",), nothing, ()
        )

    async def serve_offers(stream: PeerStream) -> None:
        messages = MessageStream(stream, OfferMessages)
        while await messages.receive() is not None:
            await messages.send(Offers((sign_record(offer(), peer.keys.identity),)))

    def provider() -> ProviderRecord:
        return ProviderRecord(key, now_s(), now_s(), now_s() + 3600, provider_key(MODEL))

    peer.swarm.handle(OFFERS_PROTOCOL, serve_offers)
    peer.rings.serve(serving.INFER, echo)
    peer.publish(offer)
    peer.publish(provider)
