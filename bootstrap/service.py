"""A bootstrap node: a peer of the DHT that keeps a log, funds lanes, and signs the directory.

It serves
- `LANE_SERVICE` on rings: a client asks for a lane's grant without saying who it is or which host the lane is for;
- `LEDGER_PROTOCOL`: hosts settle their lanes, and ask whether a lane's grant is final;
- `TLOG_PROTOCOL`: anybody reads the log's files, by the paths of C2SP tlog-tiles, and what it mirrors of other logs;
- `WITNESS_PROTOCOL`, by `ValidatorService`: other nodes' logs get cosignatures;
- the directory, by `DirectoryService`.

It never receives a prompt or an answer (promise P5). Submissions that arrive together are written together: one
signature and one write to the disk for the batch. An answer waits a moment until its entry is final.
"""

from collections.abc import Awaitable, Callable
from typing import Final

import structlog
import trio
from attrs import define, field, frozen
from attrs.validators import ge

from bootstrap.cosigning import CosignedLog
from bootstrap.directory import DirectoryService
from bootstrap.log import MAX_BATCH, Log, Outcome, Submission
from bootstrap.validator import ValidatorService
from peernet.core.errors import RemoteProtocolError
from peernet.core.ledger.entries import grant_id
from peernet.core.ledger.messages import (
    LANE_SERVICE,
    LEDGER_PROTOCOL,
    TLOG_PROTOCOL,
    GrantProof,
    LaneMessages,
    LaneOpened,
    LedgerMessages,
    ProveGrant,
    ReadFile,
    Rejected,
    SettleLane,
    SettleResult,
    TlogFile,
    TlogMessages,
)
from peernet.core.ledger.rules import RuleViolation
from peernet.core.ledger.tiles import CHECKPOINT_PATH, ResourceNotFound
from peernet.core.metering import GrantRequest
from peernet.net.messages import MessageStream
from peernet.net.rings import RingChannel, RingFailed
from peernet.net.streams import PeerStream
from peernet.node.peer import Peer, now_s

__all__ = ["BootstrapConfig", "BootstrapService"]

MAX_QUEUED_SUBMISSIONS: Final = 10_000
REQUEST_TIMEOUT_S: Final = 10.0
FINALITY_WAIT_S: Final = 1.0
"""How long an answer waits for the quorum; then it carries the log's promise, and may be asked for again."""

log = structlog.get_logger()


@frozen
class BootstrapConfig:
    """What an operator decides."""

    origin: str = "peernet.local/log"
    """The log's name (C2SP: a schema-less URL that the operator controls)."""
    database: str = field(default="", repr=False)
    """Where the ledger is kept: a postgresql:// URL; by default a file in the node's state folder."""
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
        log: on the ledger's open store.
        cosigned: the same log's cosignatures.
        validator: the mirrors of the others' logs.
    """

    def __init__(
        self, peer: Peer, config: BootstrapConfig, log: Log, cosigned: CosignedLog, validator: ValidatorService
    ) -> None:
        self._config = config
        self.log = log
        self._cosigned = cosigned
        self._validator = validator
        self._queue_in, self._queue = trio.open_memory_channel[_Ticket](MAX_QUEUED_SUBMISSIONS)
        self._directory = DirectoryService(peer, config.directory_interval_s)
        self._grants_left = config.grants_per_minute
        peer.rings.serve(LANE_SERVICE, self._serve_lane)
        peer.swarm.handle(LEDGER_PROTOCOL, self._serve_settlement)
        peer.swarm.handle(TLOG_PROTOCOL, self._serve_file)

    async def run(self) -> None:
        """Writes submissions, has them cosigned and renews the directory until cancelled; raises `RolledBack`."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._cosigned.run)
            nursery.start_soon(self._write)
            nursery.start_soon(self._renew_grants)
            nursery.start_soon(self._directory.run)

    async def submit(self, submission: Submission) -> int:
        """The index of the submission's entry once it is on the disk; raises `RuleViolation`."""
        if not await self._cosigned.compared(FINALITY_WAIT_S):
            raise RuleViolation("the log has just started, and too few mirrors have answered yet", reason="busy")
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

    async def prove(self, index: int) -> bytes:
        """The entry's proof, under a final checkpoint if there is one within `FINALITY_WAIT_S`."""
        note = await self._cosigned.checkpoint_over(index, FINALITY_WAIT_S)
        return await trio.to_thread.run_sync(self.log.inclusion_proof, index, note)

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
            self._cosigned.appended()
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
            reply: object = LaneOpened(await self.prove(await self.submit(request)))
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
        async def answer(request: object) -> object:
            try:
                if isinstance(request, SettleLane):
                    return SettleResult(await self.prove(await self.submit(request.settlement)))
                if isinstance(request, ProveGrant):
                    return await self._prove_grant(request)
            except RuleViolation as error:
                return Rejected(error.reason, str(error))
            raise RemoteProtocolError("a settlement was due", reason="bad_message")

        await _answer(MessageStream(stream, LedgerMessages), answer)

    async def _prove_grant(self, request: ProveGrant) -> object:
        index = await trio.to_thread.run_sync(self.log.index_of, grant_id(request.lane_key))
        if index is None:
            return Rejected("not_granted", "the lane was never granted here")
        return GrantProof(await self.prove(index))

    async def _serve_file(self, stream: PeerStream) -> None:
        async def read(request: object) -> object:
            if not isinstance(request, ReadFile):
                raise RemoteProtocolError("a path was due", reason="bad_message")
            if request.path == CHECKPOINT_PATH:
                return TlogFile(self._cosigned.newest())
            source = self._validator if request.path.startswith("mirror/") else self.log
            try:
                return TlogFile(await trio.to_thread.run_sync(source.read, request.path))
            except ResourceNotFound:
                return TlogFile(None)

        await _answer(MessageStream(stream, TlogMessages), read)


async def _answer(messages: MessageStream, reply_to: Callable[[object], Awaitable[object]]) -> None:
    """Answers each message of a stream with one, until the other side closes it."""
    while (request := await messages.receive()) is not None:
        await messages.send(await reply_to(request))
