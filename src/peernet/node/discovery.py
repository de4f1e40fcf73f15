"""Discovery on trio: the DHT node of `core.dht`, its queries and its upkeep.

A stream of `/peernet/dht/1` carries three or two frames: the asker's signed peer record (empty for one that stays out
of the DHT), the request; then the answerer's record and the reply. So each side learns the other's record from the
other itself, over a session that proves the key.

Rules kept here: a record is published again well before it expires, by its owner alone; the table is refreshed and
its silent peers are pinged on a timer; a peer counts under the network that its session came from; after a restart the
peers remembered from before are asked together with the bootstrap nodes.
"""

import secrets
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from math import inf
from typing import Final

import structlog
import trio
from attrs import evolve

from peernet.core.dht.contact import Contact
from peernet.core.dht.lookup import QUERY_TIMEOUT_S, Lookup, LookupResult, Query
from peernet.core.dht.messages import (
    MAX_REPLY_SIZE,
    MAX_REQUEST_SIZE,
    PROTOCOL,
    FindNode,
    Ping,
    Reply,
    Request,
    Store,
    Stored,
    decode_reply,
    decode_request,
    encode_message,
)
from peernet.core.dht.node import ENOUGH_GREETED, PATHS, REPUBLISH_INTERVAL_S, UPKEEP_INTERVAL_S, DhtNode
from peernet.core.dht.records import OutdatedRecord, PeerRecord, RecordVerifier
from peernet.core.dht.table import K
from peernet.core.errors import ConnectionFailed, RemoteProtocolError
from peernet.core.identity import PeerId
from peernet.core.suite import CipherSuite
from peernet.net.addresses import Address, PeerAddress, addresses_by_peer, dialable
from peernet.net.messages import Frames
from peernet.net.streams import PeerStream
from peernet.net.swarm import Swarm

__all__ = ["Discovery"]

JOINS_AT_ONCE: Final = 16
JOIN_TIMEOUT_S: Final = 10.0

log = structlog.get_logger()


class Discovery:
    """A node's part in the DHT.

    Args:
        swarm: the node's connections.
        suite: the primitives.
        now_s: the wall clock, seconds since the epoch.
        own_record: this node's current signed peer record.
        allow_private: whether addresses that are not global are dialled: test networks only.
    """

    def __init__(
        self,
        swarm: Swarm,
        suite: CipherSuite,
        now_s: Callable[[], int],
        own_record: Callable[[], bytes],
        *,
        allow_private: bool,
    ) -> None:
        self._swarm = swarm
        self._now_s = now_s
        self._own_record = own_record
        self._allow_private = allow_private
        self._due = trio.Event()
        self.verifier = RecordVerifier(suite)
        self.node = DhtNode(swarm.peer_id.dht_id, self.verifier, now_s())
        swarm.handle(PROTOCOL, self._serve)

    async def join(self, bootstraps: Iterable[PeerAddress], remembered: Iterable[PeerAddress] = ()) -> int:
        """Enters the DHT by the bootstrap nodes and the peers remembered; returns how many of them answered."""
        limiter = trio.CapacityLimiter(JOINS_AT_ONCE)
        greeted: list[PeerId] = []
        asked = {self._swarm.peer_id}
        async with trio.open_nursery() as nursery:
            nursery.cancel_scope.deadline = trio.current_time() + JOIN_TIMEOUT_S

            async def greet(peer: PeerId, addresses: Sequence[Address], *, warn: bool) -> None:
                async with limiter:
                    if await self._try_greet(peer, addresses, warn=warn):
                        greeted.append(peer)
                if len(greeted) >= ENOUGH_GREETED:
                    nursery.cancel_scope.cancel()

            for listed, warn in ((bootstraps, True), (remembered, False)):
                for peer, addresses in addresses_by_peer(listed).items():
                    if peer not in asked:
                        asked.add(peer)
                        nursery.start_soon(partial(greet, peer, addresses, warn=warn))
        if greeted:
            await self.find_nodes(self.node.own_id)
        return len(greeted)

    async def _try_greet(self, peer: PeerId, addresses: Sequence[Address], *, warn: bool) -> bool:
        try:
            with trio.fail_after(QUERY_TIMEOUT_S):
                await self._ask(peer, addresses, FindNode(self.node.own_id))
        except (ConnectionFailed, RemoteProtocolError, trio.TooSlowError) as error:
            if warn:
                log.warning("a bootstrap node cannot be reached", peer=str(peer), error=str(error))
            return False
        return True

    def good_peers(self) -> list[PeerAddress]:
        """Where the peers of the table listen, to begin again from after a restart."""
        peers = []
        for contact in self.node.table.contacts():
            try:
                record = self.verifier.open(contact.record, self._now_s()).body
            except OutdatedRecord:
                continue
            assert isinstance(record, PeerRecord)
            if addresses := dialable(record.addresses, allow_private=self._allow_private):
                peers.append(PeerAddress(PeerId.from_public_key(contact.public_key), addresses[0]))
        return peers

    def publish_anew(self) -> None:
        """Has `upkeep` publish our records now, since they have changed."""
        self._due.set()

    async def upkeep(self, own_records: Callable[[], Sequence[tuple[bytes, bytes]]]) -> None:
        """Publishes our records (key, signed record), then keeps them and the table fresh until cancelled."""
        published_at = float("-inf")
        while True:
            if self._due.is_set() or trio.current_time() - published_at >= REPUBLISH_INTERVAL_S:
                self._due = trio.Event()
                for key, record in own_records():
                    await self.publish(key, record)
                published_at = trio.current_time()
            with trio.move_on_after(UPKEEP_INTERVAL_S):
                await self._due.wait()
                continue
            self.node.expire(self._now_s())
            async with trio.open_nursery() as nursery:
                for contact in self.node.take_pings():
                    nursery.start_soon(self._try_ping, contact)
            for target in self.node.stale_targets(self._now_s(), secrets.token_bytes):
                await self.find_nodes(target)

    async def publish(self, key: bytes, record: bytes) -> int:
        """Gives a signed record to the peers closest to its key; returns how many took it (ourselves counted)."""
        now_s = self._now_s()
        accepted = [self.node.store.put(self.verifier.open(record, now_s), now_s)]
        result = await self.find_nodes(key)

        async def store_at(contact: Contact) -> None:
            try:
                with trio.fail_after(QUERY_TIMEOUT_S):
                    reply = await self.ask(contact, Store(record))
            except (ConnectionFailed, RemoteProtocolError, trio.TooSlowError):
                self.node.lost(contact)
            else:
                accepted.append(isinstance(reply, Stored) and reply.accepted)

        async with trio.open_nursery() as nursery:
            for contact in result.closest:
                nursery.start_soon(store_at, contact)
        return sum(accepted)

    async def find_nodes(self, target: bytes) -> LookupResult:
        """The peers closest to `target` (20 bytes)."""
        return await self._run(self.node.lookup(target, self._now_s(), paths=PATHS))

    async def find_values(self, kind: int, key: bytes, *, within_s: float = inf) -> LookupResult:
        """The records of `kind` under `key` (20 bytes), our own store's among them, as far as known by then."""
        lookup = self.node.lookup(key, self._now_s(), kind=kind, paths=PATHS)
        with trio.move_on_after(within_s):
            await self._run(lookup)
        found = lookup.result
        newest = {value.owner: value for value in found.values}
        for held in self.node.store.get(kind, key, self._now_s(), K):
            known = newest.get(held.owner)
            if known is None or known.body.sequence < held.body.sequence:
                newest[held.owner] = held
        return evolve(found, values=tuple(newest.values()))

    async def ask(self, contact: Contact, request: Request) -> Reply:
        """One request to a contact; raises `ConnectionFailed` or `RemoteProtocolError`."""
        return (await self.query(contact, request))[1]

    async def query(self, contact: Contact, request: Request) -> tuple[Contact, Reply]:
        """As `ask`, with the contact as its peer introduced itself now, counted where it was reached."""
        record = self.verifier.open(contact.record, self._now_s()).body
        assert isinstance(record, PeerRecord)
        addresses = dialable(record.addresses, allow_private=self._allow_private)
        return await self._ask(PeerId.from_public_key(contact.public_key), addresses, request)

    async def _ask(self, peer: PeerId, addresses: Sequence[Address], request: Request) -> tuple[Contact, Reply]:
        stream = await self._swarm.open_stream(peer, addresses, PROTOCOL, optimistic=True)
        async with stream:
            frames = Frames(stream, MAX_REPLY_SIZE)
            await frames.send(self._own_record(), encode_message(request))
            await stream.close_sending()
            introduction = await frames.receive()
            reply = await frames.receive()
        if introduction is None or reply is None:
            raise ConnectionFailed(f"{peer} closed the stream before it answered")
        contact = self._greet(introduction, stream)
        return contact, decode_reply(reply)

    async def _serve(self, stream: PeerStream) -> None:
        frames = Frames(stream, MAX_REQUEST_SIZE)
        with trio.fail_after(QUERY_TIMEOUT_S):
            introduction = await frames.receive()
            request = await frames.receive()
            if introduction is None or request is None:
                return
            sender = self._greet(introduction, stream) if introduction else None
            reply = self.node.handle(decode_request(request), sender, self._now_s())
            await frames.send(self._own_record(), encode_message(reply))

    def _greet(self, introduction: bytes, stream: PeerStream) -> Contact:
        contact = self.node.greet(introduction, stream.peer.public_key, self._now_s(), observed=stream.observed)
        self.node.heard_from(contact, self._now_s())
        return contact

    async def _try_ping(self, contact: Contact) -> bool:
        try:
            with trio.fail_after(QUERY_TIMEOUT_S):
                await self.ask(contact, Ping())
        except (ConnectionFailed, RemoteProtocolError, trio.TooSlowError):
            self.node.lost(contact)
            return False
        return True

    async def _run(self, lookup: Lookup) -> LookupResult:
        """Drives a lookup: every query is a task, and each answer may start new ones."""
        async with trio.open_nursery() as nursery:

            def start_queries() -> None:
                for query in lookup.next_queries(self._now_s()):
                    nursery.start_soon(query_and_report, query)
                if lookup.finished:
                    nursery.cancel_scope.cancel()

            async def query_and_report(query: Query) -> None:
                try:
                    with trio.fail_after(QUERY_TIMEOUT_S):
                        contact, reply = await self.query(query.contact, query.request)
                    lookup.on_reply(contact, reply, self._now_s())
                except OutdatedRecord:
                    lookup.on_failure(query.contact)
                except (ConnectionFailed, RemoteProtocolError, trio.TooSlowError):
                    lookup.on_failure(query.contact)
                    self.node.lost(query.contact)
                start_queries()

            start_queries()
        return lookup.result
