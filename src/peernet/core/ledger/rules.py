"""The rules of the ledger: which entries may follow which, and what they add up to.

Theory of operation. `LedgerState` is what a log means so far. A log server applies the rules before it writes an
entry; an auditor and, later, a validator apply the same ones to every leaf they read. They need nothing but the
leaves. What only a submission shows (vouchers, signatures, the opening of a commitment) is `check_settlement`'s, and
whoever takes submissions calls it first.

Rules:

1. A lane is granted once, for more than nothing and at most `MAX_CAP_MICROCREDITS`.
2. A lane expires after it was granted, within `MAX_LANE_LIFETIME_S`.
3. A lane is settled once, after its grant, for more than nothing and at most its cap.
4. Settling ends `SETTLE_GRACE_S` after the lane's expiry.
5. The log's time never goes back, and is no finer than a minute.

Source: design section 8.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from peernet.core.errors import PeernetError, RemoteProtocolError
from peernet.core.ledger.entries import COMMITMENT_SIZE, TIME_GRAIN_S, Entry, Grant, Settle
from peernet.core.metering import Settlement, check_voucher, opens_terms
from peernet.core.suite import KEY_SIZE, CipherSuite

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


class RuleViolation(PeernetError):
    """An entry may not stand where it stands; `reason` is a short fixed word for counting."""

    def __init__(self, message: str, *, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class LedgerState:
    """What the entries applied so far add up to."""

    def __init__(self) -> None:
        self._grants: dict[bytes, Grant] = {}
        self._settlements: dict[bytes, Settle] = {}
        self._balances: dict[bytes, int] = {}
        self._last_at_s = 0
        self._settled_microcredits = 0

    @property
    def grants(self) -> Mapping[bytes, Grant]:
        """The grants by lane key; a view, not to be kept across `apply`."""
        return MappingProxyType(self._grants)

    @property
    def settlements(self) -> Mapping[bytes, Settle]:
        """The settlements by lane key; a view, not to be kept across `apply`."""
        return MappingProxyType(self._settlements)

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
        if isinstance(entry, Grant):
            self._check_grant(entry)
            self._grants[entry.lane_key] = entry
        else:
            self._check_settle(entry)
            self._settlements[entry.lane_key] = entry
            self._balances[entry.payout_key] = self.balance(entry.payout_key) + entry.amount_microcredits
            self._settled_microcredits += entry.amount_microcredits
        self._last_at_s = entry.at_s

    def _check_grant(self, grant: Grant) -> None:
        _check_size("lane key", grant.lane_key, KEY_SIZE)
        _check_size("commitment", grant.commitment, COMMITMENT_SIZE)
        if grant.lane_key in self._grants:
            raise RuleViolation("the lane has been granted before", reason="granted_twice")
        if not 0 < grant.cap_microcredits <= MAX_CAP_MICROCREDITS:
            raise RuleViolation(
                f"a cap of {grant.cap_microcredits}, not 1 to {MAX_CAP_MICROCREDITS} microcredits", reason="bad_cap"
            )
        _check_grain(grant.expires_at_s)
        if not 0 < grant.expires_at_s - grant.at_s <= MAX_LANE_LIFETIME_S:
            raise RuleViolation(
                f"a lane granted at {grant.at_s} cannot expire at {grant.expires_at_s}: it lives at most"
                f" {MAX_LANE_LIFETIME_S} s",
                reason="bad_expiry",
            )

    def _check_settle(self, settle: Settle) -> None:
        _check_size("payout key", settle.payout_key, KEY_SIZE)
        _check_size("commitment", settle.commitment, COMMITMENT_SIZE)
        grant = self._grants.get(settle.lane_key)
        if grant is None:
            raise RuleViolation("a settlement of a lane that was never granted", reason="not_granted")
        if settle.lane_key in self._settlements:
            raise RuleViolation("the lane has been settled before", reason="settled_twice")
        if not 0 < settle.amount_microcredits <= grant.cap_microcredits:
            raise RuleViolation(
                f"a settlement of {settle.amount_microcredits}, not 1 to {grant.cap_microcredits} microcredits",
                reason="bad_amount",
            )
        if settle.at_s > grant.expires_at_s + SETTLE_GRACE_S:
            raise RuleViolation(
                f"a settlement at {settle.at_s}, over {SETTLE_GRACE_S} s after the lane's expiry", reason="too_late"
            )


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


def _check_time(at_s: int, last_at_s: int) -> None:
    if not last_at_s <= at_s <= MAX_TIME_S:
        raise RuleViolation(f"the time {at_s} after the time {last_at_s}", reason="time_went_back")
    _check_grain(at_s)


def _check_grain(time_s: int) -> None:
    if time_s % TIME_GRAIN_S:
        raise RuleViolation(f"the time {time_s} is not a multiple of {TIME_GRAIN_S} s", reason="fine_time")


def _check_size(name: str, value: bytes, size: int) -> None:
    if len(value) != size:
        raise RuleViolation(f"a {name} of {len(value)} bytes, not {size}", reason="bad_size")
