"""Credits on their way: keys that are believed, lanes that are asked for again after a crash, and change.

Rules:

1. A key is believed when a log of the policy has announced it under a checkpoint that is final: an issuer that showed
   a key to one buyer alone would know that buyer again.
2. The change of a lane is asked for over a ring of its own, at a time that has nothing to do with the lane's end: once
   the settlement is in the log, or once nobody can settle it any more.
3. Whether a lane was funded whose answer was lost is asked when it has expired: before that, asking would fund it, and
   lock its credits up until a day after its expiry.
4. No error and no log line has a serial, a signature or a seed.
"""

import random
from collections.abc import Callable, Sequence
from typing import Final

import structlog
import trio

from peernet.client.network import HostChoice, NetworkView
from peernet.client.purse import Purse, PurseLane
from peernet.core.credits.blind_rsa import PublicKey
from peernet.core.credits.credits import BlindedCredit, Credit, blinded_credits, in_denominations
from peernet.core.errors import PeernetError, RemoteProtocolError
from peernet.core.ledger.entries import ChangePart, IssuerKey, Settle, decode_entry
from peernet.core.ledger.messages import (
    LANE_SERVICE,
    NOT_SETTLED,
    AskKeys,
    AskSettlement,
    ChangeGiven,
    IssuerKeys,
    LaneMessages,
    LaneOpened,
    Rejected,
    SettlementProof,
)
from peernet.core.ledger.policy import LedgerPolicy, PolicyLog
from peernet.core.ledger.proofs import LogProof, open_entry_proof
from peernet.core.ledger.rules import SETTLE_GRACE_S
from peernet.core.metering import sign_change
from peernet.core.ring.paths import TooFewRelays
from peernet.core.suite import CipherSuite
from peernet.net.rings import RingChannel, RingFailed
from peernet.node.peer import now_s
from peernet.node.policy import node_of

__all__ = [
    "BAD_CREDIT_REASONS",
    "REFUSED_REASONS",
    "CreditsFailed",
    "PurseKeeper",
    "finish_credits",
    "keys_in",
    "open_issuer_key",
]

REPLY_TIMEOUT_S: Final = 8.0
MARGIN_S: Final = 60
"""How far the log's clock may be behind: only what is over there, too, frees the credits of a lane that was not
funded.
"""
PAUSE_S: Final = (20.0, 90.0)
"""Between two lanes that are asked about, drawn anew each time."""
ASK_AGAIN_S: Final = 600.0
"""A lane of which nobody has shown a receipt may still be settled: it is asked about so often at most."""

BAD_CREDIT_REASONS: Final = frozenset(
    {"spent_twice", "bad_credit", "unknown_key", "out_of_period", "over_issued", "bad_size"}
)
"""A lane is refused for good since one of its credits is."""
REFUSED_REASONS: Final = BAD_CREDIT_REASONS | {"bad_expiry", "bad_cap", "mixed_classes", "granted_twice", "fine_time"}
"""A lane is refused for good."""

log = structlog.get_logger()


class CreditsFailed(PeernetError):
    """Something about credits did not work out this time; nothing is lost by it."""


def open_issuer_key(proof: bytes, policy: LedgerPolicy, suite: CipherSuite) -> tuple[str, IssuerKey]:
    """The log that a key was announced in, and the key; raises `RemoteProtocolError` unless that is final."""
    note = LogProof.parse(proof).checkpoint
    found = policy.log_of_note(note)
    leaf, _ = open_entry_proof(proof, found.key, suite)
    entry = decode_entry(leaf)
    if not isinstance(entry, IssuerKey):
        raise RemoteProtocolError("the proof is not of an issuer key", reason="wrong_entry")
    if not policy.finality(note, suite).final:
        raise RemoteProtocolError("an issuer key that is not final: its log may take it back", reason="not_final")
    return found.origin, entry


def keys_in(
    proofs: Sequence[bytes], policy: LedgerPolicy, suite: CipherSuite, now: float
) -> tuple[str, dict[int, IssuerKey]]:
    """The log of these keys, and those of them that sign now, by denomination.

    Raises `RemoteProtocolError` as `open_issuer_key` does, and where they are of several logs or classes.
    """
    opened = [open_issuer_key(proof, policy, suite) for proof in proofs]
    kinds = {(origin, key.credit_class) for origin, key in opened}
    if len(kinds) > 1:
        raise RemoteProtocolError("keys of several logs or classes", reason="wrong_key")
    signing = {key.denomination_microcredits: key for _, key in opened if key.issue_from_s <= now < key.issue_until_s}
    return (opened[0][0] if opened else ""), signing


def finish_credits(made: Sequence[BlindedCredit], signatures: Sequence[bytes]) -> list[Credit]:
    """The credits of a batch; raises `RemoteProtocolError` (`bad_signature`) when the issuer gave anything else."""
    if len(signatures) != len(made):
        raise RemoteProtocolError("as many blind signatures as messages were due", reason="bad_signature")
    return [one.finish(signature) for one, signature in zip(made, signatures, strict=True)]


class PurseKeeper:
    """What a running client does for its purse: it resolves lanes after a crash, and takes change back.

    Args:
        purse: the client's.
        network: whose rings are used.
        policy: the logs.
        profile: of the rings.
    """

    def __init__(self, purse: Purse, network: NetworkView, policy: LedgerPolicy, profile: str) -> None:
        self._purse = purse
        self._network = network
        self._policy = policy
        self._profile = profile
        self._random = random.SystemRandom()
        self._asked_at: dict[bytes, float] = {}

    async def run(self, hosts: Callable[[], Sequence[HostChoice]]) -> None:
        """Asks about one lane at a time, with pauses, until cancelled; `hosts` are where rings may be planned to."""
        while True:
            await trio.sleep(self._random.uniform(*PAUSE_S))
            for lane in self.due():
                try:
                    await self.resolve(lane, hosts())
                except (CreditsFailed, RingFailed, RemoteProtocolError, TooFewRelays) as error:
                    reason = getattr(error, "reason", "failed")
                    log.info("a lane keeps its change for now", reason=reason)
                await trio.sleep(self._random.uniform(*PAUSE_S))

    def due(self) -> list[PurseLane]:
        """The lanes that something can be done about now."""
        now = now_s()
        return [lane for lane in self._purse.lanes() if self._is_due(lane, now)]

    def _is_due(self, lane: PurseLane, now: float) -> bool:
        if not lane.funded:
            return now > lane.request.expires_at_s + MARGIN_S
        if lane.settled or now > lane.request.expires_at_s + SETTLE_GRACE_S + MARGIN_S:
            return True
        asked_at = self._asked_at.get(lane.request.lane_key)
        return now > lane.asked_at_s + ASK_AGAIN_S and (asked_at is None or now > asked_at + ASK_AGAIN_S)

    async def resolve(self, lane: PurseLane, hosts: Sequence[HostChoice]) -> None:
        """Asks the lane's log about it, and for its change.

        Raises `CreditsFailed`, `RingFailed`, `RemoteProtocolError` and `TooFewRelays` where that has to be done again.
        """
        ledger = self._policy.log(lane.origin)
        self._asked_at[lane.request.lane_key] = now_s()
        ring = await self._open_ring(ledger, hosts)
        try:
            if not lane.funded:
                await self._ask_again(ring, lane, ledger)
                return
            left = await self._left(ring, lane, ledger)
            if left is not None:
                await self._take_change(ring, lane, ledger, left)
        finally:
            ring.end()

    async def _open_ring(self, ledger: PolicyLog, hosts: Sequence[HostChoice]) -> RingChannel:
        if not hosts:
            raise CreditsFailed("there is no host that a ring could be planned to")
        (path,) = self._network.plan_rings([self._random.choice(hosts)], self._profile)
        node = node_of(ledger)
        way = self._network.ledger_path(path, None if node is None else node.peer)
        if way is None:
            raise CreditsFailed("the directory lists no node that keeps this log")
        return await self._network.open_ring(way, LANE_SERVICE)

    async def _ask_again(self, ring: RingChannel, lane: PurseLane, ledger: PolicyLog) -> None:
        """The same request gets the same answer: the lane that there is, or, after its expiry, a refusal."""
        key = lane.request.lane_key
        match await _ask(ring, lane.request):
            case LaneOpened() as opened:
                open_entry_proof(opened.proof, ledger.key, self._network.suite)
                self._purse.lane_funded(key)
            case Rejected() as rejected if rejected.reason in REFUSED_REASONS:
                self._purse.lane_refused(key, credits_bad=rejected.reason in BAD_CREDIT_REASONS)
            case _:
                raise CreditsFailed("the ledger does not say what became of a lane")

    async def _left(self, ring: RingChannel, lane: PurseLane, ledger: PolicyLog) -> int | None:
        """What the log owes the lane's owner; None while that is open."""
        key = lane.request.lane_key
        match await _ask(ring, AskSettlement(key)):
            case SettlementProof() as settled:
                leaf, _ = open_entry_proof(settled.proof, ledger.key, self._network.suite)
                entry = decode_entry(leaf)
                if not isinstance(entry, Settle) or entry.lane_key != key:
                    raise RemoteProtocolError("the proof is not of the lane's settlement", reason="wrong_entry")
                return lane.request.cap_microcredits - entry.amount_microcredits
            case Rejected(reason=reason) if reason == NOT_SETTLED:
                over = now_s() > lane.request.expires_at_s + SETTLE_GRACE_S + MARGIN_S
                return lane.request.cap_microcredits if over else None
            case _:
                raise CreditsFailed("the ledger does not say whether a lane is settled")

    async def _take_change(self, ring: RingChannel, lane: PurseLane, ledger: PolicyLog, left: int) -> None:
        key, parts = lane.request.lane_key, lane.change_parts
        counts = in_denominations(left)
        if not parts and not counts:
            self._purse.end_lane(key)
            return
        if not parts:
            keys = await self._ask_keys(ring, lane, ledger)
            if any(denomination not in keys for denomination in counts):
                raise CreditsFailed("the issuer has no key for the change of a lane now")
            parts = tuple(ChangePart(keys[denomination].key_id, count) for denomination, count in counts.items())
            self._purse.begin_change(key, parts)
        made = [one for part in parts for one in self._blinded(part, lane)]
        request = sign_change(lane.seed, parts, tuple(one.blinded for one in made), self._network.suite)
        match await _ask(ring, request):
            case ChangeGiven() as given:
                self._purse.end_lane(key, finish_credits(made, given.signatures))
            case Rejected(reason="changed_twice"):
                self._purse.end_lane(key)  # by a copy of this purse, which has it
            case Rejected() as rejected:
                if rejected.reason == "out_of_period":
                    self._purse.forget_change(key)
                raise CreditsFailed("the issuer does not give a lane's change now")
            case _:
                raise RemoteProtocolError("the change of a lane was due", reason="bad_message")

    async def _ask_keys(self, ring: RingChannel, lane: PurseLane, ledger: PolicyLog) -> dict[int, IssuerKey]:
        reply = await _ask(ring, AskKeys(lane.credit_class))
        if not isinstance(reply, IssuerKeys):
            raise CreditsFailed("the issuer does not say which keys it signs with")
        origin, keys = keys_in(reply.proofs, self._policy, self._network.suite, now_s())
        if origin not in {"", ledger.origin} or any(key.credit_class != lane.credit_class for key in keys.values()):
            raise RemoteProtocolError("keys of another log or class", reason="wrong_key")
        self._purse.add_keys(ledger.origin, list(keys.values()))
        return keys

    def _blinded(self, part: ChangePart, lane: PurseLane) -> list[BlindedCredit]:
        public = PublicKey.from_bytes(self._purse.issuer_key(part.key_id).modulus)
        return blinded_credits(public, part.key_id, lane.change_seed, part.count)


async def _ask(ring: RingChannel, request: object) -> object:
    await ring.send(LaneMessages.encode(request))
    with trio.move_on_after(REPLY_TIMEOUT_S):
        reply = await ring.receive()
        if reply is not None:
            answer: object = LaneMessages.decode(reply)
            return answer
    raise CreditsFailed("the ledger does not answer about a lane")
