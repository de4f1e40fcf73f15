"""The wallet: lanes, each funded for one host under a fresh key, over a ring of its own.

The bootstrap node learns neither who asks (the ring) nor for which host (the grant commits to the terms), and two
lanes of one client have nothing in common but their time. Any log of the policy that the host accepts will do, so one
is drawn; where its node does not answer, another one is asked, over the same relays.

A lane is paid for with credits of the purse where they cover it, in the log that issued them; else it is granted for
nothing, where the operator does that.
"""

import random
import secrets
from typing import Final

import trio
from attrs import field, frozen

from peernet.client.credits import BAD_CREDIT_REASONS, REFUSED_REASONS
from peernet.client.network import NetworkView
from peernet.client.purse import Purse
from peernet.core.dht.records import HostOffer
from peernet.core.errors import ConnectionFailed, PeernetError, RemoteProtocolError
from peernet.core.ledger.entries import coarse_time_s
from peernet.core.ledger.messages import CREDITS_ONLY, LANE_SERVICE, LaneMessages, LaneOpened, Rejected
from peernet.core.ledger.policy import Finality, LedgerPolicy, PolicyLog
from peernet.core.ledger.proofs import LogProof
from peernet.core.metering import GrantRequest, Lane, LaneOpening, LaneTerms, RedeemRequest, open_lane
from peernet.core.ring.paths import RingPath
from peernet.net.rings import RingChannel, RingFailed
from peernet.node.peer import now_s
from peernet.node.policy import node_of

__all__ = ["FundedLane", "LaneRefused", "LedgerUnreachable", "failed_hop", "fund_lane"]

LANE_LIFETIME_S: Final = 3600
GRANT_TIMEOUT_S: Final = 6.0
MAX_LOGS_ASKED: Final = 4
MAX_TRIES_WITH_CREDITS: Final = 4
"""In one log: a credit that is refused is gone from the purse, and the lane is asked for without it."""
BAD_GRANT: Final = "bad_grant"
ASK_ELSEWHERE: Final = frozenset({"busy", BAD_GRANT, CREDITS_ONLY})
"""Why a lane was refused where another operator may do better."""
WINDOW_TOKENS: Final = 32


class LaneRefused(PeernetError):
    """The operator did not fund a lane; `reason` is its word for why."""

    def __init__(self, message: str, *, reason: str = "refused") -> None:
        super().__init__(message)
        self.reason = reason


class LedgerUnreachable(PeernetError):
    """No ring to the ledger stood long enough to ask for a lane."""

    def __init__(self, why: object, ring: RingFailed | None = None, *, node_failed: bool = False) -> None:
        super().__init__(
            f"the ledger cannot be reached over a ring ({why}), and no host works without a funded lane: see that the "
            "bootstrap node runs, and ask again"
        )
        self.ring = ring
        """How the ring failed, where it did."""
        self.node_failed = node_failed
        """Whether the bootstrap node itself is the one that does not answer, as far as can be told."""


@frozen
class FundedLane:
    """A lane that the log has granted, the opening to show to its host, and the key's seed."""

    lane: Lane
    opening: LaneOpening
    seed: bytes = field(repr=False)
    finality: Finality
    """How far the grant's checkpoint is cosigned: until it is final, the host gives one window."""


async def fund_lane(
    network: NetworkView,
    path: RingPath,
    offer: HostOffer,
    cap_microcredits: int,
    policy: LedgerPolicy,
    purse: Purse | None = None,
) -> FundedLane:
    """A funded lane for the host of `offer`, in a log that it accepts.

    Raises `LedgerUnreachable` when the ring to the ledger breaks, or no node that keeps such a log answers;
    `LaneRefused` when the operator says no.
    """
    accepted = [log for log in policy.logs if log.origin in offer.issuers]
    random.SystemRandom().shuffle(accepted)
    if purse is not None:
        accepted.sort(key=lambda log: not purse.covers(log.origin, cap_microcredits, now_s()))
    failure: LedgerUnreachable | LaneRefused = LedgerUnreachable("the directory lists no node that keeps its log")
    for log in accepted[:MAX_LOGS_ASKED]:
        node = node_of(log)
        way = network.ledger_path(path, None if node is None else node.peer)
        if way is None:
            continue
        try:
            return await _Funding(log, network, way, offer, cap_microcredits, policy, purse).lane()
        except LedgerUnreachable as error:
            if not error.node_failed:
                raise  # another node would be asked over the same relays
            failure = error
        except LaneRefused as error:
            if error.reason not in ASK_ELSEWHERE:
                raise
            failure = error
    raise failure


@frozen
class _Funding:
    """A lane in one log, over one way."""

    log: PolicyLog
    network: NetworkView
    way: RingPath
    offer: HostOffer
    cap_microcredits: int
    policy: LedgerPolicy
    purse: Purse | None

    async def lane(self) -> FundedLane:
        for _ in range(MAX_TRIES_WITH_CREDITS):
            try:
                return await self._try()
            except LaneRefused as error:
                # The bad credit is set aside; another one, or none, is next.
                if error.reason not in BAD_CREDIT_REASONS:
                    raise
                refused = error
        raise refused

    async def _try(self) -> FundedLane:
        seed, nonce = secrets.token_bytes(32), secrets.token_bytes(32)
        terms = LaneTerms(self.offer.payout_key, self.offer.prompt_price, self.offer.answer_price, WINDOW_TOKENS)
        key, expires_at_s = self.network.suite.ed25519_public(seed), coarse_time_s(now_s() + LANE_LIFETIME_S)
        committed = terms.commit(nonce)
        request: GrantRequest | RedeemRequest = GrantRequest(key, self.cap_microcredits, expires_at_s, committed)
        ring = await self._open_ring()
        try:
            if self.purse is not None:
                # On the disk before it is sent: after a crash the log says what became of these credits.
                begun = await trio.to_thread.run_sync(
                    self.purse.begin_lane,
                    self.log.origin,
                    self.cap_microcredits,
                    seed,
                    now_s(),
                    lambda cap, spent: RedeemRequest(key, cap, expires_at_s, committed, spent),
                )
                request = request if begun is None else begun.request
            return await self._ask(ring, request, terms, nonce, seed)
        finally:
            ring.end()

    async def _open_ring(self) -> RingChannel:
        try:
            return await self.network.open_ring(self.way, LANE_SERVICE)
        except RingFailed as error:
            raise LedgerUnreachable(error, error, node_failed=failed_hop(error) == len(self.way.out)) from error

    async def _ask(
        self, ring: RingChannel, request: GrantRequest | RedeemRequest, terms: LaneTerms, nonce: bytes, seed: bytes
    ) -> FundedLane:
        try:
            await ring.send(LaneMessages.encode(request))
            with trio.move_on_after(GRANT_TIMEOUT_S):
                reply = await ring.receive()
                if reply is not None:
                    opening = self._opening(reply, request, terms, nonce)
                    lane = open_lane(opening, self.log.key, self.network.suite)
                    finality = self.policy.finality(LogProof.parse(opening.proof).checkpoint, self.network.suite)
                    self._is_funded(request)
                    return FundedLane(lane, opening, seed, finality)
            why = ring.ended or "time is up"
            raise LedgerUnreachable(f"no answer to a grant request: {why}", node_failed=ring.ended is None)
        except RingFailed as error:
            raise LedgerUnreachable(error, error) from error
        except RemoteProtocolError as error:
            raise LaneRefused(f"the ledger's grant does not hold: {error}", reason=BAD_GRANT) from error

    def _opening(
        self, reply: bytes, request: GrantRequest | RedeemRequest, terms: LaneTerms, nonce: bytes
    ) -> LaneOpening:
        message = LaneMessages.decode(reply)
        if isinstance(message, Rejected):
            if self.purse is not None and isinstance(request, RedeemRequest) and message.reason in REFUSED_REASONS:
                bad = message.reason in BAD_CREDIT_REASONS
                self.purse.lane_refused(request.lane_key, credits_bad=bad)
            raise LaneRefused(_explain(message, request), reason=message.reason)
        if not isinstance(message, LaneOpened):
            raise LaneRefused("the ledger answered something else than a grant", reason=BAD_GRANT)
        return LaneOpening(message.proof, terms, nonce)

    def _is_funded(self, request: GrantRequest | RedeemRequest) -> None:
        if self.purse is not None and isinstance(request, RedeemRequest):
            self.purse.lane_funded(request.lane_key)


def failed_hop(error: RingFailed) -> int | None:
    """The hop that a failed ring points at: the one that broke, or the one that the last good hop could not reach."""
    # What the client itself could not reach is the guard.
    if error.hop is None or isinstance(error.__cause__, ConnectionFailed):
        return error.hop
    return error.hop + 1 if error.reason in {"unreachable", "lost"} else error.hop


def _explain(rejected: Rejected, request: GrantRequest | RedeemRequest) -> str:
    if rejected.reason == CREDITS_ONLY:
        return (
            "the operator funds no lane for nothing, and there are too few credits in your purse for one of"
            f" {request.cap_microcredits} microcredits: get some with 'peernet wallet withdraw', or ask for a shorter"
            " answer with --max-answer-tokens"
        )
    why = f"the operator refuses to fund a lane: {rejected.explanation}"
    return f"{why}. Ask for a shorter answer with --max-answer-tokens" if rejected.reason == "over_grant" else why
