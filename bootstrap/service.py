"""A bootstrap node: a peer of the DHT that keeps a log, funds lanes, and signs the directory.

It serves
- `LANE_SERVICE` on rings: a client asks for a lane's grant without saying who it is or which host the lane is for;
- `LEDGER_PROTOCOL`: hosts settle their lanes;
- `TLOG_PROTOCOL`: anybody reads the log's files, by the paths of C2SP tlog-tiles;
- the directory, by `DirectoryService`.

It never receives a prompt or an answer (promise P5). Submissions that arrive together are written together: one
signature and one write to the disk for the batch.
"""

from collections.abc import Awaitable, Callable
from typing import Final

import structlog
import trio
from attrs import define, field, frozen
from attrs.validators import ge

from bootstrap.directory import DirectoryService
from bootstrap.log import MAX_BATCH, Log, Outcome, Submission
from bootstrap.store import LedgerStore
from peernet.core.errors import RemoteProtocolError
from peernet.core.ledger.messages import (
    LANE_SERVICE,
    LEDGER_PROTOCOL,
    TLOG_PROTOCOL,
    LaneMessages,
    LaneOpened,
    LedgerMessages,
    ReadFile,
    Rejected,
    SettleLane,
    SettleResult,
    TlogFile,
    TlogMessages,
)
from peernet.core.ledger.rules import RuleViolation
from peernet.core.ledger.tiles import ResourceNotFound
from peernet.core.metering import GrantRequest
from peernet.net.connection import PeerStream
from peernet.net.messages import MessageStream
from peernet.net.rings import RingChannel, RingFailed
from peernet.node.peer import Peer, now_s

__all__ = ["BootstrapConfig", "BootstrapService"]

MAX_QUEUED_SUBMISSIONS: Final = 10_000
REQUEST_TIMEOUT_S: Final = 10.0

log = structlog.get_logger()


@frozen
class BootstrapConfig:
    """What an operator decides."""

    origin: str = "peernet.local/log"
    """The log's name (C2SP: a schema-less URL that the operator controls)."""
    grant_cap_microcredits: int = field(default=50_000, validator=ge(0))
    """The most that one lane is funded with."""
    grants_per_minute: int = field(default=600, validator=ge(0))
    """How many lanes are funded a minute, over all clients: grants are free while there are no purchases."""
    directory_interval_s: int = field(default=30, validator=ge(1))
    """How often the DHT is crawled for the directory, at least; more often while the network changes."""


@define
class _Ticket:
    """A submission that waits to be written, and its outcome."""

    submission: Submission
    done: trio.Event = field(factory=trio.Event)
    outcome: Outcome | None = None


class BootstrapService:
    """The services of one bootstrap node.

    Args:
        peer: the node, not yet listening.
        store: the ledger's open store.
        log_seed: the Ed25519 seed of the log's key, which is not the peer's.
    """

    def __init__(self, peer: Peer, config: BootstrapConfig, store: LedgerStore, log_seed: bytes) -> None:
        self._peer = peer
        self._config = config
        self.log = Log(store, config.origin, log_seed, peer.suite)
        self._queue_in, self._queue = trio.open_memory_channel[_Ticket](MAX_QUEUED_SUBMISSIONS)
        self._directory = DirectoryService(peer, config.directory_interval_s)
        self._grants_left = config.grants_per_minute
        peer.rings.serve(LANE_SERVICE, self._serve_lane)
        peer.swarm.handle(LEDGER_PROTOCOL, self._serve_settlement)
        peer.swarm.handle(TLOG_PROTOCOL, self._serve_file)

    async def run(self) -> None:
        """Writes submissions and renews the directory until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._write)
            nursery.start_soon(self._renew_grants)
            nursery.start_soon(self._directory.run)

    async def submit(self, submission: Submission) -> int:
        """The index of the submission's entry once it is on the disk; raises `RuleViolation`."""
        ticket = _Ticket(submission)
        try:
            self._queue_in.send_nowait(ticket)
        except trio.WouldBlock:
            raise RuleViolation("the log has more submissions waiting than it can hold", reason="busy") from None
        await ticket.done.wait()
        if isinstance(ticket.outcome, RuleViolation):
            raise ticket.outcome
        assert ticket.outcome is not None
        return ticket.outcome

    async def _write(self) -> None:
        async for first in self._queue:
            tickets = [first]
            while len(tickets) < MAX_BATCH:
                try:
                    tickets.append(self._queue.receive_nowait())
                except trio.WouldBlock:
                    break
            submissions = [ticket.submission for ticket in tickets]
            outcomes = await trio.to_thread.run_sync(self.log.append, submissions, now_s())
            for ticket, outcome in zip(tickets, outcomes, strict=True):
                ticket.outcome = outcome
                ticket.done.set()

    async def _renew_grants(self) -> None:
        while True:
            self._grants_left = self._config.grants_per_minute
            await trio.sleep(60)

    async def _serve_lane(self, ring: RingChannel) -> None:
        message = None
        with trio.move_on_after(REQUEST_TIMEOUT_S):
            message = await ring.receive()
        if message is None:
            return
        request = LaneMessages.decode(message)
        if not isinstance(request, GrantRequest):
            raise RemoteProtocolError("a grant request was due", reason="bad_message")
        try:
            self._check_grant(request)
            index = await self.submit(request)
            proof = await trio.to_thread.run_sync(self.log.inclusion_proof, index)
            reply: object = LaneOpened(proof)
        except RuleViolation as error:
            reply = Rejected(error.reason, str(error))
        try:
            await ring.send(LaneMessages.encode(reply))
        except RingFailed:
            log.debug("a ring ended before its grant")  # the client may ask again: the same request, the same entry

    def _check_grant(self, request: GrantRequest) -> None:
        cap = self._config.grant_cap_microcredits
        if request.cap_microcredits > cap:
            raise RuleViolation(f"this operator funds a lane with at most {cap} microcredits", reason="over_grant")
        if not self._grants_left:
            raise RuleViolation("this operator has funded all the lanes of this minute: try again", reason="busy")
        self._grants_left -= 1

    async def _serve_settlement(self, stream: PeerStream) -> None:
        async def settle(request: object) -> object:
            if not isinstance(request, SettleLane):
                raise RemoteProtocolError("a settlement was due", reason="bad_message")
            try:
                index = await self.submit(request.settlement)
            except RuleViolation as error:
                return Rejected(error.reason, str(error))
            return SettleResult(await trio.to_thread.run_sync(self.log.inclusion_proof, index))

        await _answer(MessageStream(stream, LedgerMessages), settle)

    async def _serve_file(self, stream: PeerStream) -> None:
        async def read(request: object) -> object:
            if not isinstance(request, ReadFile):
                raise RemoteProtocolError("a path was due", reason="bad_message")
            try:
                return TlogFile(await trio.to_thread.run_sync(self.log.read, request.path))
            except ResourceNotFound:
                return TlogFile(None)

        await _answer(MessageStream(stream, TlogMessages), read)


async def _answer(messages: MessageStream, reply_to: Callable[[object], Awaitable[object]]) -> None:
    """Answers each message of a stream with one, until the other side closes it."""
    while (request := await messages.receive()) is not None:
        await messages.send(await reply_to(request))
