"""The rules of the ledger: which entries may follow which, and what they add up to.

Theory of operation. `LedgerState` is what a log means so far. A log server applies the rules before it writes an
entry; an auditor and, later, a validator apply the same ones to every leaf they read. They need nothing but the
leaves. What only a submission shows (vouchers, signatures, the opening of a commitment) is `check_settlement`'s, and
whoever takes submissions calls it first.

Rules:

1. A lane is funded once, by a grant or by credits, for more than nothing and at most `MAX_CAP_MICROCREDITS`.
2. A lane expires after it was granted, within `MAX_LANE_LIFETIME_S`.
3. A lane is settled once, after its grant, for more than nothing and at most its cap.
4. Settling ends `SETTLE_GRACE_S` after the lane's expiry.
5. The log's time never goes back, and is no finer than a minute.
6. What is left of a lane that credits funded returns once, as credits of the same class, to whoever has the lane's
   key: after its settlement, or once it can be settled no more. Never more than the cap less the settlement.
7. The rules of credits: `peernet.core.ledger.credit_rules`.

Source: design section 8.
"""

import hashlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from attrs import evolve, frozen

from peernet.core.errors import RemoteProtocolError
from peernet.core.ledger.credit_rules import AnnouncedKey, CreditState, RuleViolation, check_grain
from peernet.core.ledger.entries import (
    COMMITMENT_SIZE,
    Change,
    Entry,
    Grant,
    Issue,
    IssuerKey,
    Redeem,
    Settle,
)
from peernet.core.metering import Settlement, check_voucher, opens_terms
from peernet.core.suite import KEY_SIZE, CipherSuite, MixedSuite
from peernet.core.wire import encode

__all__ = [
    "MAX_CAP_MICROCREDITS",
    "MAX_LANE_LIFETIME_S",
    "SETTLE_GRACE_S",
    "LedgerState",
    "RuleViolation",
    "check_settlement",
]

MAX_CAP_MICROCREDITS: Final = 10**12
MAX_LANE_LIFETIME_S: Final = 30 * 24 * 3600
SETTLE_GRACE_S: Final = 24 * 3600
MAX_TIME_S: Final = 2**48


@frozen
class _Funding:
    """The credits that funded a lane."""

    credit_class: str | None
    """None where a partial state has seen none of their keys."""
    digest: bytes


class LedgerState:
    """What the entries applied so far add up to.

    Args:
        suite: verifies what lane keys sign; by default the one that peers use.
        partial: whether these are some entries of a log alone (`CreditState`).
    """

    def __init__(self, suite: CipherSuite | None = None, *, partial: bool = False) -> None:
        self._suite = suite or MixedSuite()
        self._partial = partial
        self._credits = CreditState(partial=partial)
        self._grants: dict[bytes, Grant] = {}
        self._fundings: dict[bytes, _Funding] = {}
        self._settlements: dict[bytes, Settle] = {}
        self._changes: dict[bytes, Change] = {}
        self._balances: dict[bytes, int] = {}
        self._last_at_s = 0
        self._settled_microcredits = 0

    @property
    def grants(self) -> Mapping[bytes, Grant]:
        """The funded lanes by their keys, those that credits funded as well; a view, not to be kept across `apply`."""
        return MappingProxyType(self._grants)

    @property
    def settlements(self) -> Mapping[bytes, Settle]:
        """The settlements by lane key; a view, not to be kept across `apply`."""
        return MappingProxyType(self._settlements)

    @property
    def changes(self) -> Mapping[bytes, Change]:
        """The change that was given, by lane key; a view."""
        return MappingProxyType(self._changes)

    @property
    def issuer_keys(self) -> Mapping[bytes, AnnouncedKey]:
        """The announced keys by their ids; a view."""
        return self._credits.keys

    @property
    def last_at_s(self) -> int:
        """The log's time: that of its last entry, 0 before the first."""
        return self._last_at_s

    @property
    def settled_microcredits(self) -> int:
        """The sum of all balances."""
        return self._settled_microcredits

    def balance(self, payout_key: bytes) -> int:
        """What this payout key is owed, in microcredits."""
        return self._balances.get(payout_key, 0)

    def apply(self, entry: Entry) -> None:
        """Takes the next entry; raises `RuleViolation`, and is then unchanged."""
        _check_time(entry.at_s, self._last_at_s)
        match entry:
            case Grant():
                self._check_grant(entry)
                self._grants[entry.lane_key] = entry
            case Settle():
                self._check_settle(entry)
                self._settlements[entry.lane_key] = entry
                self._balances[entry.payout_key] = self.balance(entry.payout_key) + entry.amount_microcredits
                self._settled_microcredits += entry.amount_microcredits
            case IssuerKey():
                self._credits.check_key(entry)
                self._credits.announce(entry)
            case Issue():
                self._credits.check_issue(entry)
                self._credits.issue(entry)
            case Redeem():
                self._apply_redeem(entry)
            case Change():
                self._check_change(entry)
                self._changes[entry.lane_key] = entry
                self._credits.change(entry.parts)
        self._last_at_s = entry.at_s

    def is_same(self, entry: Entry) -> bool:
        """Whether what was applied under the name of `entry` says the same as `entry`, but for its time."""
        match entry:
            case Grant():
                earlier: Entry = self._grants[entry.lane_key]
                if entry.lane_key in self._fundings:
                    return False
            case Redeem():
                earlier = self._grants[entry.lane_key]
                funding = self._fundings.get(entry.lane_key)
                if funding is None or funding.digest != _digest(entry):
                    return False
                entry = _as_grant(entry)
            case Settle():
                earlier = self._settlements[entry.lane_key]
            case Change():
                earlier = self._changes[entry.lane_key]
            case IssuerKey() | Issue():
                return True  # their names say all of them
        return evolve(entry, at_s=earlier.at_s) == earlier

    def _apply_redeem(self, redeem: Redeem) -> None:
        grant = _as_grant(redeem)
        self._check_grant(grant)
        credit_class = self._credits.check_redeem(redeem)
        self._grants[redeem.lane_key] = grant
        self._fundings[redeem.lane_key] = _Funding(credit_class, _digest(redeem))
        self._credits.redeem(redeem.credits)

    def _check_grant(self, grant: Grant) -> None:
        _check_size("lane key", grant.lane_key, KEY_SIZE)
        _check_size("commitment", grant.commitment, COMMITMENT_SIZE)
        if grant.lane_key in self._grants:
            raise RuleViolation("the lane has been granted before", reason="granted_twice")
        if not 0 < grant.cap_microcredits <= MAX_CAP_MICROCREDITS:
            raise RuleViolation(
                f"a cap of {grant.cap_microcredits}, not 1 to {MAX_CAP_MICROCREDITS} microcredits", reason="bad_cap"
            )
        check_grain(grant.expires_at_s)
        if not 0 < grant.expires_at_s - grant.at_s <= MAX_LANE_LIFETIME_S:
            raise RuleViolation(
                f"a lane granted at {grant.at_s} cannot expire at {grant.expires_at_s}: it lives at most"
                f" {MAX_LANE_LIFETIME_S} s",
                reason="bad_expiry",
            )

    def _check_settle(self, settle: Settle) -> None:
        _check_size("payout key", settle.payout_key, KEY_SIZE)
        _check_size("commitment", settle.commitment, COMMITMENT_SIZE)
        if settle.lane_key in self._settlements:
            raise RuleViolation("the lane has been settled before", reason="settled_twice")
        grant = self._grants.get(settle.lane_key)
        if grant is None:
            if self._partial:
                return
            raise RuleViolation("a settlement of a lane that was never granted", reason="not_granted")
        if not 0 < settle.amount_microcredits <= grant.cap_microcredits:
            raise RuleViolation(
                f"a settlement of {settle.amount_microcredits}, not 1 to {grant.cap_microcredits} microcredits",
                reason="bad_amount",
            )
        if settle.at_s > grant.expires_at_s + SETTLE_GRACE_S:
            raise RuleViolation(
                f"a settlement at {settle.at_s}, over {SETTLE_GRACE_S} s after the lane's expiry", reason="too_late"
            )

    def _check_change(self, change: Change) -> None:
        _check_size("lane key", change.lane_key, KEY_SIZE)
        _check_size("digest", change.blinded_digest, COMMITMENT_SIZE)
        if change.lane_key in self._changes:
            raise RuleViolation("the lane has had its change before", reason="changed_twice")
        if not self._suite.verify(change.lane_key, change.signed_bytes(), change.signature):
            raise RuleViolation("change that the lane's key did not sign for", reason="bad_signature")
        grant, funding = self._grants.get(change.lane_key), self._fundings.get(change.lane_key)
        left, credit_class = MAX_CAP_MICROCREDITS, None
        if grant is None:
            if not self._partial:
                raise RuleViolation("change of a lane that was never funded", reason="not_granted")
        else:
            if funding is None:
                raise RuleViolation("change of a lane that no credits funded", reason="no_credits")
            left, credit_class = self._left(grant, change.at_s), funding.credit_class
        self._credits.check_change(change.parts, change.at_s, left, credit_class)

    def _left(self, grant: Grant, at_s: int) -> int:
        """What may be given as change of this lane."""
        settled = self._settlements.get(grant.lane_key)
        if settled is not None:
            return grant.cap_microcredits - settled.amount_microcredits
        if not self._partial and at_s <= grant.expires_at_s + SETTLE_GRACE_S:
            raise RuleViolation("the lane is not settled, and still can be", reason="not_settled")
        return grant.cap_microcredits


def check_settlement(settlement: Settlement, grant: Grant, log_origin: str, suite: CipherSuite) -> None:
    """Checks what only the submission shows: that client and host both signed, for this lane, host and log.

    Raises `RuleViolation`: `wrong_terms`, the word that `check_voucher` has, or `bad_signature`.
    """
    receipt, terms = settlement.receipt, settlement.terms
    if grant.lane_key != receipt.voucher.lane_key:
        raise RuleViolation("a settlement with another lane's voucher", reason="wrong_lane")
    if not opens_terms(grant, terms, settlement.terms_nonce):
        raise RuleViolation("these are not the terms that the lane was granted for", reason="wrong_terms")
    try:
        check_voucher(receipt.voucher, settlement.lane(grant, log_origin), suite)
    except RemoteProtocolError as error:
        raise RuleViolation(f"a settlement's voucher does not hold: {error}", reason=error.reason) from error
    if not receipt.signed_by_host(suite):
        raise RuleViolation("the host's signature does not verify", reason="bad_signature")


def _as_grant(redeem: Redeem) -> Grant:
    """The lane, as one that was granted: what is kept of it, since sixteen credits are six thousand bytes."""
    return Grant(redeem.lane_key, redeem.cap_microcredits, redeem.expires_at_s, redeem.at_s, redeem.commitment)


def _digest(redeem: Redeem) -> bytes:
    return hashlib.sha256(encode(evolve(redeem, at_s=0))).digest()


def _check_time(at_s: int, last_at_s: int) -> None:
    if not last_at_s <= at_s <= MAX_TIME_S:
        raise RuleViolation(f"the time {at_s} after the time {last_at_s}", reason="time_went_back")
    check_grain(at_s)


def _check_size(name: str, value: bytes, size: int) -> None:
    if len(value) != size:
        raise RuleViolation(f"a {name} of {len(value)} bytes, not {size}", reason="bad_size")
