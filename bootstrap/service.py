"""A bootstrap node: a peer of the DHT that keeps a log, funds lanes, and signs the directory.

It serves
- `LANE_SERVICE` on rings: a client asks for a lane's grant, or pays for it with credits, without saying who it is or
  which host the lane is for; and gets back what was left of one;
- `LEDGER_PROTOCOL`: hosts settle their lanes, and ask whether a lane's grant is final;
- `TLOG_PROTOCOL`: anybody reads the log's files, by the paths of C2SP tlog-tiles, and what it mirrors of other logs;
- `WITNESS_PROTOCOL`, by `ValidatorService`: other nodes' logs get cosignatures;
- the directory, by `DirectoryService`.

It never receives a prompt or an answer (promise P5); the client beside it that measures hosts asks questions of its
own (`hosts.trials`). Submissions that arrive together are written together: one signature and one write to the disk
for the batch. An answer waits a moment until its entry is final.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import structlog
import trio
from attrs import define, field, frozen
from attrs.validators import ge, le

from bootstrap.cosigning import CosignedLog
from bootstrap.directory import DirectoryService
from bootstrap.issuing import DAY_S, CreditIssuer
from bootstrap.issuing_store import IssuingStore
from bootstrap.log import MAX_BATCH, Log, Outcome, Submission
from bootstrap.public.figures import TokenTally
from bootstrap.store import StoreUnavailable
from bootstrap.validator import ValidatorService
from peernet.core.errors import RemoteProtocolError
from peernet.core.ledger.entries import grant_id, settle_id
from peernet.core.ledger.messages import (
    CREDITS_ONLY,
    LANE_SERVICE,
    LEDGER_PROTOCOL,
    NO_CREDITS,
    NOT_SETTLED,
    TLOG_PROTOCOL,
    AskKeys,
    AskSettlement,
    ChangeGiven,
    GrantProof,
    IssuerKeys,
    LaneMessages,
    LaneOpened,
    LedgerMessages,
    ProveGrant,
    ReadFile,
    Rejected,
    SettleLane,
    SettlementProof,
    SettleResult,
    TlogFile,
    TlogMessages,
)
from peernet.core.ledger.rules import RuleViolation
from peernet.core.ledger.tiles import CHECKPOINT_PATH, ResourceNotFound
from peernet.core.metering import ChangeRequest, GrantRequest, RedeemRequest, Settlement
from peernet.net.messages import MessageStream
from peernet.net.rings import RingChannel, RingFailed
from peernet.net.streams import PeerStream
from peernet.node.peer import Peer, now_s

__all__ = ["BootstrapConfig", "BootstrapService"]

MAX_QUEUED_SUBMISSIONS: Final = 10_000
REQUEST_TIMEOUT_S: Final = 10.0
MAX_LANE_REQUESTS: Final = 4
"""Over one ring: to get its change a client asks three things."""
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
    """How many lanes are funded for nothing a minute, over all clients; 0 for none: then lanes are funded by credits.
    """
    issue_credits: bool = False
    """Whether this node makes issuer keys and signs credits; it redeems those that it has issued in any case."""
    credit_epoch_days: int = field(default=90, validator=[ge(1), le(400)])
    """How long an issuer key signs; its credits are good for as long again after that."""
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
        issuing: the issuer's keys, where this node issues credits.
    """

    def __init__(
        self,
        peer: Peer,
        config: BootstrapConfig,
        log: Log,
        cosigned: CosignedLog,
        validator: ValidatorService,
        issuing: IssuingStore | None = None,
    ) -> None:
        self._config = config
        self.log = log
        self._cosigned = cosigned
        self._validator = validator
        self._queue_in, self._queue = trio.open_memory_channel[_Ticket](MAX_QUEUED_SUBMISSIONS)
        self.refused_lanes: frozenset[bytes] = frozenset()
        """Lanes that nothing is settled for any more: this node's operator said so."""
        self.directory = DirectoryService(peer, config.directory_interval_s)
        self._grants_left = config.grants_per_minute
        self.issuer: CreditIssuer | None = None
        if issuing is not None:
            epoch_s = config.credit_epoch_days * DAY_S
            self.issuer = CreditIssuer(issuing, log, self.submit, self.prove, epoch_s)
        self.tokens = TokenTally(now_s())
        """What settled receipts say, for the portal's figures."""
        peer.rings.serve(LANE_SERVICE, self._serve_lane)
        peer.swarm.handle(LEDGER_PROTOCOL, self._serve_settlement)
        peer.swarm.handle(TLOG_PROTOCOL, self._serve_file)

    async def run(self) -> None:
        """Writes submissions, has them cosigned and renews the directory until cancelled; raises `RolledBack`."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._cosigned.run)
            nursery.start_soon(self._write)
            nursery.start_soon(self._renew_grants)
            nursery.start_soon(self.directory.run)
            if self.issuer is not None:
                nursery.start_soon(self.issuer.run)

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

    async def read_file(self, path: str) -> bytes:
        """A file of the log or of a mirror, by the paths of C2SP tlog-tiles; raises `ResourceNotFound`."""
        if path == CHECKPOINT_PATH:
            return self._cosigned.newest()
        source = self._validator if path.startswith("mirror/") else self.log
        return await trio.to_thread.run_sync(source.read, path)

    async def _write(self) -> None:
        async for first in self._queue:
            tickets = [first]
            while len(tickets) < MAX_BATCH:
                try:
                    tickets.append(self._queue.receive_nowait())
                except trio.WouldBlock:
                    break
            submissions = [ticket.submission for ticket in tickets]
            size_before, outcomes = await trio.to_thread.run_sync(self._append, submissions)
            self._cosigned.appended()
            for ticket, outcome in zip(tickets, outcomes, strict=True):
                ticket.outcome = outcome
                ticket.done.set()
            self._tally(dict(zip(outcomes, submissions, strict=True)), size_before)

    def _append(self, submissions: list[Submission]) -> tuple[int, tuple[Outcome, ...]]:
        try:
            return self.log.size, self.log.append(submissions, now_s())
        except StoreUnavailable as error:
            log.warning("the ledger's store cannot be reached", error=str(error))
            # Asked again, they find their entries if these were written after all.
            busy = RuleViolation("the ledger's store cannot be reached just now: try again", reason="busy")
            return 0, (busy,) * len(submissions)

    def _tally(self, taken: Mapping[Outcome, Submission], size_before: int) -> None:
        """Counts the tokens of receipts that are new to the log, each once."""
        for index, submission in taken.items():
            if isinstance(submission, Settlement) and isinstance(index, int) and index >= size_before:
                voucher = submission.receipt.voucher
                self.tokens.add(voucher.prompt_tokens + voucher.answer_tokens, now_s())

    async def _renew_grants(self) -> None:
        while True:
            self._grants_left = self._config.grants_per_minute
            await trio.sleep(60)

    async def _serve_lane(self, ring: RingChannel) -> None:
        for _ in range(MAX_LANE_REQUESTS):
            message = None
            with trio.move_on_after(REQUEST_TIMEOUT_S):
                message = await ring.receive()
            if message is None:
                return
            try:
                reply = await self._answer_lane(LaneMessages.decode(message))
            except RuleViolation as error:
                reply = Rejected(error.reason, str(error))
            try:
                await ring.send(LaneMessages.encode(reply))
            except RingFailed:
                log.debug("a ring ended before its answer")  # asked again, the same request finds the same entry
                return

    async def _answer_lane(self, request: object) -> object:
        match request:
            case GrantRequest():
                self._check_grant(request)
                return LaneOpened(await self.prove(await self.submit(request)))
            case RedeemRequest():
                return LaneOpened(await self.prove(await self.submit(request)))
            case ChangeRequest():
                return ChangeGiven(tuple(await self._issuing().change(request)))
            case AskSettlement():
                index = await trio.to_thread.run_sync(self.log.index_of, settle_id(request.lane_key))
                if index is None:
                    raise RuleViolation("the lane is not settled here", reason=NOT_SETTLED)
                return SettlementProof(await self.prove(index))
            case AskKeys():
                issued = self._issuing().keys()
                return IssuerKeys(tuple(key.proof for key in issued if key.entry.credit_class == request.credit_class))
            case _:
                raise RemoteProtocolError("a request about a lane was due", reason="bad_message")

    def _issuing(self) -> CreditIssuer:
        if self.issuer is None:
            raise RuleViolation("this node issues no credits, and gives no change", reason=NO_CREDITS)
        return self.issuer

    def _check_grant(self, request: GrantRequest) -> None:
        cap = self._config.grant_cap_microcredits
        if not self._config.grants_per_minute:
            raise RuleViolation("this operator funds no lane for nothing: it takes credits", reason=CREDITS_ONLY)
        if request.cap_microcredits > cap:
            raise RuleViolation(f"this operator funds a lane with at most {cap} microcredits", reason="over_grant")
        if not self._grants_left:
            raise RuleViolation("this operator has funded all the lanes of this minute: try again", reason="busy")
        self._grants_left -= 1

    def _check_lane(self, request: SettleLane) -> None:
        if request.settlement.receipt.voucher.lane_key in self.refused_lanes:
            raise RuleViolation("hosts have reported this lane, and it is settled no more", reason="refused_lane")

    async def _serve_settlement(self, stream: PeerStream) -> None:
        async def answer(request: object) -> object:
            try:
                if isinstance(request, SettleLane):
                    self._check_lane(request)
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
            try:
                return TlogFile(await self.read_file(request.path))
            except ResourceNotFound:
                return TlogFile(None)

        await _answer(MessageStream(stream, TlogMessages), read)


async def _answer(messages: MessageStream, reply_to: Callable[[object], Awaitable[object]]) -> None:
    """Answers each message of a stream with one, until the other side closes it."""
    while (request := await messages.receive()) is not None:
        await messages.send(await reply_to(request))
