"""The wallet: lanes, each funded for one host under a fresh key, over a ring of its own.

The bootstrap node learns neither who asks (the ring) nor for which host (the grant commits to the terms), and two
lanes of one client have nothing in common but their time.
"""

import secrets
from typing import Final

import trio
from attrs import field, frozen

from peernet.client.network import NetworkView
from peernet.core.dht.records import HostOffer
from peernet.core.errors import PeernetError, RemoteProtocolError
from peernet.core.ledger.entries import coarse_time_s
from peernet.core.ledger.messages import LANE_SERVICE, LaneMessages, LaneOpened, Rejected
from peernet.core.ledger.notes import VerifierKey
from peernet.core.metering import GrantRequest, Lane, LaneOpening, LaneTerms, open_lane
from peernet.core.ring.paths import RingPath
from peernet.net.rings import RingFailed
from peernet.node.peer import now_s

__all__ = ["FundedLane", "LaneRefused", "LedgerUnreachable", "fund_lane"]

LANE_LIFETIME_S: Final = 3600
GRANT_TIMEOUT_S: Final = 10.0
WINDOW_TOKENS: Final = 32


class LaneRefused(PeernetError):
    """The operator did not fund a lane; `reason` is its word for why."""

    def __init__(self, message: str, *, reason: str = "refused") -> None:
        super().__init__(message)
        self.reason = reason


class LedgerUnreachable(PeernetError):
    """No ring to the ledger stood long enough to ask for a lane."""

    def __init__(self, why: object, ring: RingFailed | None = None) -> None:
        super().__init__(
            f"the ledger cannot be reached over a ring ({why}), and no host works without a funded lane: see that the "
            "bootstrap node runs, and ask again"
        )
        self.ring = ring
        """How the ring failed, where it did."""


@frozen
class FundedLane:
    """A lane that the log has granted, the opening to show to its host, and the key's seed."""

    lane: Lane
    opening: LaneOpening
    seed: bytes = field(repr=False)


async def fund_lane(
    network: NetworkView, path: RingPath, offer: HostOffer, cap_microcredits: int, log_key: VerifierKey
) -> FundedLane:
    """A funded lane for the host of `offer`.

    Raises `LedgerUnreachable` when the ring to the ledger breaks, `LaneRefused` when the operator says no.
    """
    seed = secrets.token_bytes(32)
    terms = LaneTerms(offer.payout_key, offer.prompt_price, offer.answer_price, WINDOW_TOKENS)
    nonce = secrets.token_bytes(32)
    expires_at_s = coarse_time_s(now_s() + LANE_LIFETIME_S)
    lane_key = network.suite.ed25519_public(seed)
    request = GrantRequest(lane_key, cap_microcredits, expires_at_s, terms.commit(nonce))
    try:
        ring = await network.open_ring(network.ledger_path(path), LANE_SERVICE)
    except RingFailed as error:
        raise LedgerUnreachable(error, error) from error
    try:
        await ring.send(LaneMessages.encode(request))
        with trio.move_on_after(GRANT_TIMEOUT_S):
            reply = await ring.receive()
            if reply is not None:
                opening = _opening(reply, terms, nonce)
                return FundedLane(open_lane(opening, log_key, network.suite), opening, seed)
        raise LedgerUnreachable(f"no answer to a grant request: {ring.ended or 'time is up'}")
    except RingFailed as error:
        raise LedgerUnreachable(error, error) from error
    except RemoteProtocolError as error:
        raise LaneRefused(f"the ledger's grant does not hold: {error}") from error
    finally:
        ring.end()


def _opening(reply: bytes, terms: LaneTerms, nonce: bytes) -> LaneOpening:
    message = LaneMessages.decode(reply)
    if isinstance(message, Rejected):
        raise LaneRefused(_explain(message), reason=message.reason)
    if not isinstance(message, LaneOpened):
        raise LaneRefused("the ledger answered something else than a grant")
    return LaneOpening(message.proof, terms, nonce)


def _explain(rejected: Rejected) -> str:
    why = f"the operator refuses to fund a lane: {rejected.explanation}"
    return f"{why}. Ask for a shorter answer with --max-answer-tokens" if rejected.reason == "over_grant" else why
