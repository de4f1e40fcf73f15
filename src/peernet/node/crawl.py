"""The crawl: everything that the DHT knows of relays and hosts, for the directory.

From the peers in the table outward, each peer is asked for those closest to its own id, until nobody new turns up;
hosts are asked for their offers. Then the DHT is searched for further providers of the models that were found, since
a host may be known by its provider records only.
"""

from typing import Final

import trio

from peernet.core.dht.contact import Contact
from peernet.core.dht.messages import FindNode, Nodes
from peernet.core.dht.records import (
    OFFER,
    PROVIDER,
    Body,
    HostOffer,
    OutdatedRecord,
    PeerRecord,
    RecordVerifier,
    VerifiedRecord,
    offer_key,
    provider_key,
)
from peernet.core.errors import ConnectionFailed, RemoteProtocolError
from peernet.core.identity import PeerId
from peernet.core.offers import OFFERS_PROTOCOL, GetOffers, OfferMessages, Offers
from peernet.net.addresses import dialable
from peernet.net.messages import MessageStream
from peernet.net.swarm import Swarm
from peernet.node.discovery import Discovery
from peernet.node.peer import now_s

__all__ = ["crawl"]

MAX_PEERS: Final = 20_000
MAX_OFFERS: Final = 32
"""Offers of one host that are listed."""
QUERIES_AT_ONCE: Final = 16
QUERY_TIMEOUT_S: Final = 5.0


async def crawl(discovery: Discovery, swarm: Swarm, allow_private: bool) -> dict[bytes, Body]:
    """The peer records and host offers of all peers that answered: signed bytes, and what they say."""
    crawler = _Crawler(discovery, swarm, allow_private)
    await crawler.walk()
    await crawler.search()
    return crawler.records()


class _Crawler:
    def __init__(self, discovery: Discovery, swarm: Swarm, allow_private: bool) -> None:
        self._discovery = discovery
        self._swarm = swarm
        self._allow_private = allow_private
        self._verifier: RecordVerifier = discovery.verifier
        self._seen: set[bytes] = {discovery.node.own_id}
        self._peers: dict[bytes, VerifiedRecord] = {}
        self._offers: dict[bytes, VerifiedRecord] = {}
        self._slots = trio.Semaphore(QUERIES_AT_ONCE)

    def records(self) -> dict[bytes, Body]:
        now = now_s()
        found = (*self._peers.values(), *self._offers.values())
        return {record.signed: record.body for record in found if record.body.expires_at_s > now}

    async def walk(self) -> None:
        async with trio.open_nursery() as nursery:
            for contact in list(self._discovery.node.table.contacts()):
                self._visit(contact, nursery)

    async def search(self) -> None:
        """Finds by provider records the hosts that the walk did not meet."""
        models = {offer.body.model for offer in self._offers.values() if isinstance(offer.body, HostOffer)}
        for model in sorted(models):
            found = await self._discovery.find_values(PROVIDER, provider_key(model))
            async with trio.open_nursery() as nursery:
                for provider in found.values:
                    if provider.owner not in self._peers:
                        nursery.start_soon(self._look_up, provider, model)

    def _visit(self, contact: Contact, nursery: trio.Nursery) -> None:
        if contact.id not in self._seen and len(self._seen) < MAX_PEERS:
            self._seen.add(contact.id)
            nursery.start_soon(self._ask, contact, nursery)

    async def _ask(self, contact: Contact, nursery: trio.Nursery) -> None:
        try:
            async with self._slots:
                with trio.fail_after(QUERY_TIMEOUT_S):
                    known, reply = await self._discovery.query(contact, FindNode(contact.id))
                    record = self._verifier.open(known.record, now_s())
                    await self._ask_offers(record.body)
            if not isinstance(reply, Nodes):
                return
            closer = self._verifier.contacts(reply.records, now_s())
        except (ConnectionFailed, RemoteProtocolError, trio.TooSlowError):
            return  # who does not answer is not listed
        self._peers[known.id] = record
        for candidate in closer:
            self._visit(candidate, nursery)

    async def _ask_offers(self, record: Body) -> None:
        assert isinstance(record, PeerRecord)
        if "host" not in record.roles:
            return
        peer = PeerId.from_public_key(record.public_key)
        addresses = dialable(record.addresses, allow_private=self._allow_private)
        async with await self._swarm.open_stream(peer, addresses, OFFERS_PROTOCOL, optimistic=True) as stream:
            messages = MessageStream(stream, OfferMessages)
            await messages.send(GetOffers())
            await stream.close_sending()
            reply = await messages.receive()
        if isinstance(reply, Offers):
            for signed in reply.records[:MAX_OFFERS]:
                offer = self._verifier.open(signed, now_s())
                if offer.kind == OFFER and offer.body.public_key == record.public_key:
                    self._offers[offer.key] = offer

    async def _look_up(self, provider: VerifiedRecord, model: str) -> None:
        found = await self._discovery.find_nodes(provider.owner)
        contact = next((contact for contact in found.closest if contact.id == provider.owner), None)
        if contact is None:
            return
        offers = await self._discovery.find_values(OFFER, offer_key(contact.public_key, model))
        try:
            self._peers[contact.id] = self._verifier.open(contact.record, now_s())
        except OutdatedRecord:
            return
        for offer in offers.values:
            if offer.owner == contact.id:
                self._offers[offer.key] = offer
