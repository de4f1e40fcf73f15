"""The directory of a bootstrap node: it crawls the DHT, and gets what it found signed by a quorum.

`core.directory_signing` has the protocol and what a checker demands. Rules here:

1. A snapshot is due when the crawl finds something else than the newest one lists, or when that is `RENEW_S` old. The
   node proposes it when it is its turn; one that is alone signs and is done.
2. What gets a quorum is taken by everybody who hears of it, and served as by any peer (`node.directory_mirror`).
3. A checker counts those as alive that it found in its last two crawls: who comes or goes just now holds up nothing.
   What it has signed last it knows in memory only; after a restart the tolerance of the clock is the bound.
4. Those of the other nodes that the crawl did not meet are greeted anew, since all may have been started at once.
5. Whom this node's operator has suspended (`left_out`) it neither lists nor misses, and it signs for nobody who lists
   them. It proposes without them once: others who list them again, with a quorum that signs it, are not fought. Nor
   does it propose again what others have refused because they have suspended somebody, until something changes. What a
   client finds by a live lookup is nobody's to list.
"""

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

import trio
from attrs import define, evolve, field

from peernet.core.dht.records import Body, PeerRecord
from peernet.core.directory import (
    RENEW_S,
    Seal,
    Signature,
    SignedDirectory,
    carry_over,
    fitting,
    make_snapshot,
    open_snapshot,
    read_snapshot,
    sign_directory,
    sign_seal,
    signers,
)
from peernet.core.directory_signing import (
    SIGNING_PROTOCOL,
    TURN_S,
    Alive,
    Complete,
    Propose,
    Refused,
    Signed,
    SigningMessages,
    check_listed,
    check_proposed_time,
    proposal_time,
    turn_of,
)
from peernet.core.directory_transfer import DirectoryHead, GetDirectory, Wanted
from peernet.core.errors import ConnectionFailed, RemoteProtocolError
from peernet.core.identity import PeerId
from peernet.core.quorum import quorum_of
from peernet.net.addresses import Address, PeerAddress, addresses_by_peer, parse_peer_address
from peernet.net.messages import MessageStream
from peernet.net.streams import PeerStream
from peernet.node.crawl import crawl
from peernet.node.directory_copy import receive_directory, send_directory
from peernet.node.peer import Peer, now_s

__all__ = ["DirectoryService"]

FIRST_INTERVAL_S: Final = 1.0
PROPOSAL_TIMEOUT_S: Final = 30.0
"""How long a checker may take for all of a proposal: it verifies every record that it has not seen yet."""
MAX_CHECKS: Final = 8
"""Proposals that are checked at the same time."""


class DirectoryService:
    """Keeps the directory of one node.

    Args:
        peer: the node, not yet listening. The others that sign are the bootstrap nodes that it is configured with.
        interval_s: how often the DHT is crawled, at least; more often while the network changes.
    """

    def __init__(self, peer: Peer, interval_s: int) -> None:
        self._peer = peer
        self._interval_s = interval_s
        self._copy = peer.directory.copy
        configured = addresses_by_peer(map(parse_peer_address, peer.network.bootstrap))
        self._others = {other: addresses for other, addresses in configured.items() if other != peer.peer_id}
        self._random = random.SystemRandom()
        self._signed_at_s = 0
        self._alive: Alive | None = None
        self._found_before: Alive | None = None
        self._changed = False
        self._checks = 0
        self._met: dict[bytes, PeerRecord] = {}
        self.left_out: frozenset[bytes] = frozenset()
        """The keys of peers that are not listed, whatever the crawl finds."""
        self._done_without: frozenset[bytes] = frozenset()
        """Those without whom a proposal of ours got its quorum."""
        self._in_vain: Alive | None = None
        """Who was listed in our last proposal, where others refused it because of whom they have suspended."""
        self.crawled: tuple[Body, ...] = ()
        """All that the last crawl has found, those who are left out among them."""
        self.counters: Counter[str] = Counter()
        """Proposals of ours that were `completed` or had `no_quorum`; of others, `signed` or `refused:REASON`."""
        peer.swarm.handle(SIGNING_PROTOCOL, self._serve_proposal)

    def record_of(self, peer_key: bytes) -> PeerRecord | None:
        """The record of a peer that the last crawl has met."""
        return self._met.get(peer_key)

    async def run(self) -> None:
        """Crawls and proposes: at once again while the network changes, and ever more rarely while it does not."""
        interval_s = FIRST_INTERVAL_S
        while True:
            found = await self._crawl()
            if self._is_due(found):
                await self._propose_in_turn(found)
            interval_s = min(FIRST_INTERVAL_S if self._changed else 2 * interval_s, self._interval_s)
            # Those who were started together need not crawl together.
            await trio.sleep(interval_s * (self._random.uniform(0.8, 1.2) if self._others else 1.0))

    # --- proposing ---------------------------------------------------------------------------------------------------

    async def _crawl(self) -> dict[bytes, Body]:
        """What there is, each record the one of the newest snapshot where that says the same."""
        await self._greet_others()
        crawled = await crawl(self._peer.discovery, self._peer.swarm, self._peer.network.test)
        self.crawled = tuple(crawled.values())
        self._met = {body.public_key: body for body in self.crawled if isinstance(body, PeerRecord)}
        listed = {signed: body for signed, body in crawled.items() if body.public_key not in self.left_out}
        own = self._peer.signed_record()
        found = fitting({**listed, own: self._peer.discovery.verifier.open(own, now_s()).body})
        alive = Alive.of(found.values())
        self._alive = alive if self._found_before is None else alive & self._found_before
        self._changed = alive != self._found_before
        self._found_before = alive
        return carry_over(found, self._copy.directory.bodies, now_s())

    async def _greet_others(self) -> None:
        known = {contact.public_key for contact in self._peer.discovery.node.table.contacts()}
        missing = {other: places for other, places in self._others.items() if other.public_key not in known}
        if missing:
            listed = [PeerAddress(other, place) for other, places in missing.items() for place in places]
            await self._peer.discovery.join((), listed)

    def _is_due(self, found: Mapping[bytes, Body]) -> bool:
        if self._copy.age_s >= RENEW_S:
            return True
        listed = self._copy.directory.bodies
        unwanted = {body.public_key for body in listed.values()} & self.left_out
        if unwanted - self._done_without:
            return True
        rest = {signed for signed, body in listed.items() if body.public_key not in unwanted}
        return found.keys() != rest and Alive.of(found.values()) != self._in_vain

    async def _propose_in_turn(self, found: Mapping[bytes, Body]) -> None:
        """Proposes, unless somebody whose turn is earlier does."""
        newest = self._copy.newest
        last_digest = b"" if newest is None else newest.seal.digest
        members = self._copy.trusted
        with trio.move_on_after(TURN_S * turn_of(self._peer.peer_id.public_key, members, last_digest)):
            await self._copy.wait_changed()
        if self._is_due(found):
            await self._propose(found)

    async def _propose(self, found: Mapping[bytes, Body]) -> None:
        earliest_s = max(now_s(), self._signed_at_s + 1)
        issued_at_s = proposal_time(self._peer.peer_id.public_key, self._copy.trusted, earliest_s)
        self._signed_at_s = issued_at_s
        snapshot = await trio.to_thread.run_sync(make_snapshot, found, issued_at_s)
        left_out = self.left_out
        proposal = _Proposal(sign_directory(snapshot, [self._peer.keys.identity]), len(self._others))
        await self._take(proposal)
        async with trio.open_nursery() as nursery:
            for other, addresses in self._others.items():
                nursery.start_soon(self._ask_to_sign, proposal, other, addresses)
        self.counters["completed" if proposal.complete else "no_quorum"] += 1
        if proposal.complete:
            self._done_without = left_out
        self._in_vain = Alive.of(found.values()) if proposal.in_vain and not proposal.complete else None

    async def _ask_to_sign(self, proposal: "_Proposal", other: PeerId, addresses: Sequence[Address]) -> None:
        asked = False
        try:
            with trio.fail_after(PROPOSAL_TIMEOUT_S):
                async with await self._peer.swarm.open_stream(other, addresses, SIGNING_PROTOCOL) as stream:
                    messages = MessageStream(stream, SigningMessages)
                    proposal.add(await self._signature(messages, proposal, other))
                    await self._take(proposal)
                    asked = True
                    proposal.end_one()
                    await proposal.over.wait()
                    if proposal.complete:
                        await messages.send(Complete(proposal.signed.seal.signatures))
        except (ConnectionFailed, RemoteProtocolError, trio.TooSlowError) as error:
            reason = error.reason if isinstance(error, RemoteProtocolError) else "unreachable"
            self.counters[f"not_signed:{reason}"] += 1
            proposal.in_vain = proposal.in_vain or reason == "suspended"
        finally:
            if not asked:
                proposal.end_one()

    async def _signature(self, messages: MessageStream, proposal: "_Proposal", other: PeerId) -> Signature:
        """The valid signature of another node; raises `RemoteProtocolError` when it refuses."""
        seal = proposal.signed.seal
        await messages.send(Propose(seal.issued_at_s, seal.digest))
        reply = await messages.receive()
        if isinstance(reply, GetDirectory):
            base = self._copy.history.base(reply.digest)
            wanted = Wanted(proposal.signed) if base is None else Wanted(proposal.signed, base, reply.digest)
            await send_directory(messages, wanted)
            reply = await messages.receive()
        if isinstance(reply, Refused):
            raise RemoteProtocolError("another bootstrap node does not sign", reason=reply.reason)
        if not isinstance(reply, Signed):
            raise RemoteProtocolError("a signature was due", reason="bad_message")
        signed_alone = Seal(seal.issued_at_s, seal.digest, (reply.signature,))
        if other.public_key not in signers(signed_alone, {other.public_key}, self._peer.suite):
            raise RemoteProtocolError("a signature that is not of who gives it", reason="bad_signature")
        return reply.signature

    async def _take(self, proposal: "_Proposal") -> None:
        """Keeps a proposal that has got its quorum, which ends the waiting of those who have signed."""
        needed = quorum_of(len(self._copy.trusted))
        if not proposal.complete and len(proposal.signed.seal.signatures) >= needed:
            proposal.complete = True
            await self._copy.adopt(proposal.signed)
            proposal.over.set()

    # --- checking ----------------------------------------------------------------------------------------------------

    async def _serve_proposal(self, stream: PeerStream) -> None:
        messages = MessageStream(stream, SigningMessages)
        if self._checks >= MAX_CHECKS:
            await messages.send(Refused("busy"))
            return
        self._checks += 1
        try:
            with trio.fail_after(PROPOSAL_TIMEOUT_S):
                await self._check_and_sign(messages, stream.peer)
        finally:
            self._checks -= 1

    async def _check_and_sign(self, messages: MessageStream, proposer: PeerId) -> None:
        proposal = await messages.receive()
        if not isinstance(proposal, Propose):
            raise RemoteProtocolError("a proposal was due", reason="bad_message")
        try:
            snapshot = await self._checked(messages, proposal, proposer)
        except RemoteProtocolError as error:
            self.counters[f"refused:{error.reason}"] += 1
            await messages.send(Refused(error.reason))
            return
        self._signed_at_s = proposal.issued_at_s
        self.counters["signed"] += 1
        await messages.send(Signed(sign_seal(proposal.issued_at_s, proposal.digest, self._peer.keys.identity)))
        complete = await messages.receive()
        if isinstance(complete, Complete):
            seal = Seal(proposal.issued_at_s, proposal.digest, complete.signatures)
            await self._copy.adopt(SignedDirectory(seal, snapshot))

    async def _checked(self, messages: MessageStream, proposal: Propose, proposer: PeerId) -> bytes:
        """The proposed snapshot, after every check; raises `RemoteProtocolError` with the reason to refuse it."""
        if proposer.public_key not in {other.public_key for other in self._others}:
            raise RemoteProtocolError("a proposal by one who is no configured bootstrap node", reason="untrusted")
        if self._alive is None:
            raise RemoteProtocolError("a proposal came before our first crawl was done", reason="not_ready")
        check_proposed_time(proposal.issued_at_s, now_s(), self._signed_at_s)
        request = self._copy.history.request
        await messages.send(request)
        head = await messages.receive()
        if not isinstance(head, DirectoryHead):
            raise RemoteProtocolError("the proposed directory was due", reason="bad_message")
        seal = head.seal
        if (seal.issued_at_s, seal.digest) != (proposal.issued_at_s, proposal.digest):
            raise RemoteProtocolError("another directory than was proposed", reason="bad_message")
        if proposer.public_key not in signers(seal, {proposer.public_key}, self._peer.suite):
            raise RemoteProtocolError("a proposal that its proposer has not signed", reason="bad_signature")
        try:
            received = await receive_directory(messages, head, self._copy.history, request)
        except trio.TooSlowError as error:
            raise ConnectionFailed("a proposal came too slowly") from error
        snapshot = read_snapshot(received.snapshot)
        if snapshot.issued_at_s != proposal.issued_at_s:
            raise RemoteProtocolError("a snapshot of another time than was proposed", reason="bad_snapshot")
        known = self._copy.directory.bodies
        opened = await trio.to_thread.run_sync(open_snapshot, snapshot, self._peer.suite, known)
        check_listed(opened, self._alive, now_s(), self.left_out)
        # Once more: another proposal may have been signed meanwhile.
        check_proposed_time(proposal.issued_at_s, now_s(), self._signed_at_s)
        return received.snapshot


@define
class _Proposal:
    """A snapshot that collects signatures."""

    signed: SignedDirectory
    to_answer: int
    """How many of the others have not answered yet."""
    complete: bool = False
    over: trio.Event = field(factory=trio.Event)
    """Set when there is a quorum, or nobody is left to answer."""
    in_vain: bool = False
    """Whether somebody refused because of whom it lists."""

    def add(self, signature: Signature) -> None:
        seal = self.signed.seal
        self.signed = evolve(self.signed, seal=evolve(seal, signatures=(*seal.signatures, signature)))

    def end_one(self) -> None:
        self.to_answer -= 1
        if not self.to_answer:
            self.over.set()
