"""A log that grants and takes whatever it is asked for, at once: for exchanges that are not about the ledger.

Its proofs are real ones, of a log with a single entry, so that client and host verify them as always.
"""

import secrets
from typing import Final

import trio
from attrs import define, field

from peernet.client.wallet import FundedLane
from peernet.core.dht.records import HostOffer
from peernet.core.ledger.checkpoint import Checkpoint, sign_checkpoint
from peernet.core.ledger.entries import Entry, Grant, coarse_time_s, encode_entry
from peernet.core.ledger.merkle import leaf_hash
from peernet.core.ledger.notes import LOG_KEY, VerifierKey
from peernet.core.ledger.policy import LedgerPolicy, one_log_policy
from peernet.core.ledger.proofs import LogProof
from peernet.core.metering import LaneOpening, LaneTerms, Settlement, open_lane
from peernet.core.suite import CipherSuite, MixedSuite
from peernet.node.peer import now_s

__all__ = ["ReadyLog"]

MINUTE_S: Final = 60
LANE_S: Final = 3600


@define
class ReadyLog:
    """The log, in the place of a settler as well; all that was settled is in `taken`."""

    name: str
    seed: bytes = field(repr=False)
    settling_s: float = 0.0
    """How long it takes to settle."""
    taken: list[Settlement] = field(factory=list)
    key: VerifierKey = field(init=False)
    policy: LedgerPolicy = field(init=False)
    _suite: CipherSuite = field(factory=MixedSuite)

    def __attrs_post_init__(self) -> None:
        self.key = VerifierKey(self.name, LOG_KEY, self._suite.ed25519_public(self.seed))
        self.policy = one_log_policy(self.key)

    def logged(self, entry: Entry) -> bytes:
        """The proof that `entry` is in the log."""
        leaf = encode_entry(entry)
        checkpoint = sign_checkpoint(Checkpoint(self.name, 1, leaf_hash(leaf)), self.seed, self._suite)
        return LogProof(0, (), checkpoint, leaf).encode()

    async def settle(self, settlement: Settlement) -> bytes:
        """Takes it."""
        await trio.sleep(self.settling_s)
        self.taken.append(settlement)
        return self.logged(settlement.entry(MINUTE_S))

    def lane(self, offer: HostOffer, cap_microcredits: int, window_tokens: int) -> FundedLane:
        """A lane for the host of `offer`."""
        seed = secrets.token_bytes(32)
        terms = LaneTerms(offer.payout_key, offer.prompt_price, offer.answer_price, window_tokens)
        lane_key = self._suite.ed25519_public(seed)
        expires_at_s = coarse_time_s(now_s() + LANE_S)
        grant = Grant(lane_key, cap_microcredits, expires_at_s, MINUTE_S, terms.commit(bytes(32)))
        opening = LaneOpening(self.logged(grant), terms, bytes(32))
        finality = self.policy.finality(LogProof.parse(opening.proof).checkpoint, self._suite)
        return FundedLane(open_lane(opening, self.key, self._suite), opening, seed, finality)
