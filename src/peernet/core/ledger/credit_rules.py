"""The rules of credits: which issuer keys count, and that no more is redeemed than was issued, and nothing twice.

Theory of operation. `CreditState` is what a log's entries about credits mean so far; `LedgerState` has one, and asks
it before a lane is funded with credits or change is given. Whoever replays the log verifies the signature of every
credit.

Rules:

1. A key is announced before it signs, for one class and denomination. It signs for at most `MAX_ISSUING_S`, and its
   credits are redeemed for at most `MAX_REDEEMING_S` from when it began.
2. Keys of a class and denomination begin in the order in which they are announced, and two at most sign at a time: an
   issuer that had a key for each buyer would know them by it.
3. More credits are issued than were before, at most `MAX_ISSUED`, while the key signs. Change is issued, too.
4. A lane is funded by credits of one class, whose keys are in their time and whose signatures verify. Its cap is what
   they are worth.
5. A serial is redeemed once under its key. Of one key no more is redeemed than is issued.

A serial is kept whole until its key's time is over: it is drawn by whoever spends it, who could make any shorter form
of two serials equal, and have honest validators refuse what others take. That is about 110 bytes for each credit
redeemed.

A state that is **partial** has seen some of a log's entries alone. What it has not seen it takes to be as it should
be, so that whatever it refuses breaks a rule in the whole log, too (`peernet.core.ledger.violations`).

Source: design section 8.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from attrs import define, field

from peernet.core.credits.blind_rsa import PublicKey
from peernet.core.credits.credits import (
    CLASSES,
    DENOMINATIONS,
    KEY_ID_SIZE,
    MAX_CREDITS_A_LANE,
    Credit,
    check_credit,
)
from peernet.core.errors import PeernetError, RemoteProtocolError
from peernet.core.ledger.entries import TIME_GRAIN_S, ChangePart, Issue, IssuerKey, Redeem

__all__ = [
    "MAX_ISSUED",
    "MAX_ISSUING_S",
    "MAX_REDEEMING_S",
    "AnnouncedKey",
    "CreditState",
    "RuleViolation",
    "check_grain",
]

MAX_ISSUING_S: Final = 400 * 24 * 3600
MAX_REDEEMING_S: Final = 1_200 * 24 * 3600
MAX_ISSUED: Final = 10**9
MAX_CHANGE_PARTS: Final = len(DENOMINATIONS)
MAX_CHANGE_CREDITS: Final = 64
KEYS_AT_A_TIME: Final = 2


class RuleViolation(PeernetError):
    """An entry may not stand where it stands; `reason` is a short fixed word for counting."""

    def __init__(self, message: str, *, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


@define
class AnnouncedKey:
    """An issuer key, and what has become of its credits."""

    entry: IssuerKey | None
    """None where a partial state has not seen it."""
    public: PublicKey | None = field(repr=False)
    issued: int = 0
    """What the last `Issue` says."""
    changed: int = 0
    """Issued as change."""
    redeemed: int = 0
    spent: set[bytes] = field(factory=set, repr=False)
    """The serials, until the key's time is over."""

    def may_sign(self, at_s: int) -> bool:
        """Whether its credits are signed at that time."""
        return self.entry is None or self.entry.issue_from_s <= at_s < self.entry.issue_until_s

    def may_be_redeemed(self, at_s: int) -> bool:
        """Whether its credits are redeemed at that time."""
        return self.entry is None or self.entry.issue_from_s <= at_s < self.entry.redeem_until_s


class CreditState:
    """What a log's entries about credits add up to. Every check raises `RuleViolation`, and changes nothing."""

    def __init__(self, *, partial: bool = False) -> None:
        self._partial = partial
        self._keys: dict[bytes, AnnouncedKey] = {}

    @property
    def keys(self) -> Mapping[bytes, AnnouncedKey]:
        """The announced keys by their ids; a view."""
        return MappingProxyType(self._keys)

    def check_key(self, key: IssuerKey) -> None:
        """Whether this key may be announced."""
        if key.credit_class not in CLASSES or key.denomination_microcredits not in DENOMINATIONS:
            raise RuleViolation(
                f"an issuer key is for credits of a class ({', '.join(CLASSES)}) and a denomination", reason="bad_key"
            )
        try:
            PublicKey.from_bytes(key.modulus)
        except RemoteProtocolError as error:
            raise RuleViolation(str(error), reason=error.reason) from error
        for time_s in (key.issue_from_s, key.issue_until_s, key.redeem_until_s):
            check_grain(time_s)
        begin, end, last = key.issue_from_s, key.issue_until_s, key.redeem_until_s
        if not (key.at_s <= begin < end <= last and end - begin <= MAX_ISSUING_S and last - begin <= MAX_REDEEMING_S):
            raise RuleViolation(
                f"a key announced at {key.at_s} cannot sign from {begin} to {end} and be redeemed until {last}",
                reason="bad_period",
            )
        if self._find(key.key_id) is not None:
            raise RuleViolation("the key has been announced before", reason="announced_twice")
        others = [other.entry for other in self._keys.values() if other.entry is not None]
        alike = [
            other
            for other in others
            if (other.credit_class, other.denomination_microcredits)
            == (key.credit_class, key.denomination_microcredits)
        ]
        if any(other.issue_from_s > begin for other in alike):
            raise RuleViolation("a key begins before one that was announced earlier", reason="key_order")
        if sum(other.issue_until_s > begin for other in alike) >= KEYS_AT_A_TIME:
            raise RuleViolation(f"over {KEYS_AT_A_TIME} keys would sign at a time", reason="too_many_keys")

    def announce(self, key: IssuerKey) -> None:
        """Takes a key that was checked, and forgets the serials of those whose time is over."""
        for old in self._keys.values():
            if old.entry is not None and old.entry.redeem_until_s <= key.at_s:
                old.spent.clear()
        known = self._keys.setdefault(key.key_id, AnnouncedKey(key, None))
        known.entry, known.public = key, PublicKey.from_bytes(key.modulus)

    def check_issue(self, issue: Issue) -> None:
        """Whether so many may be issued."""
        key = self._known(issue.key_id)
        if not key.may_sign(issue.at_s):
            raise RuleViolation("credits are issued outside of their key's time", reason="out_of_period")
        if not key.issued < issue.total <= MAX_ISSUED:
            raise RuleViolation(
                f"{issue.total} credits issued in all, after {key.issued} (at most {MAX_ISSUED})", reason="not_growing"
            )

    def issue(self, issue: Issue) -> None:
        """Takes an entry that was checked."""
        self._seen(issue.key_id).issued = issue.total

    def check_redeem(self, redeem: Redeem) -> str | None:
        """Whether these credits fund this lane; returns their class, None where no key of them was seen."""
        if not 0 < len(redeem.credits) <= MAX_CREDITS_A_LANE:
            raise RuleViolation(
                f"{len(redeem.credits)} credits, not 1 to {MAX_CREDITS_A_LANE}, fund a lane", reason="bad_credit"
            )
        places = {(credit.key_id, credit.serial) for credit in redeem.credits}
        if len(places) < len(redeem.credits):
            raise RuleViolation("a credit is in a lane twice", reason="spent_twice")
        for credit in redeem.credits:
            self._check_credit(credit, redeem.at_s)
        entries = [self._known(credit.key_id).entry for credit in redeem.credits]
        seen = [entry for entry in entries if entry is not None]
        classes = {entry.credit_class for entry in seen}
        if len(classes) > 1:
            raise RuleViolation("credits of two classes in one lane", reason="mixed_classes")
        worth = sum(entry.denomination_microcredits for entry in seen)
        if redeem.cap_microcredits < worth or (len(seen) == len(entries) and redeem.cap_microcredits != worth):
            raise RuleViolation(
                f"a cap of {redeem.cap_microcredits} by credits that are worth {worth} microcredits", reason="bad_cap"
            )
        self._check_issued(redeem.credits)
        return classes.pop() if classes else None

    def redeem(self, redeemed: Sequence[Credit]) -> None:
        """Takes the credits of an entry that was checked."""
        for credit in redeemed:
            key = self._seen(credit.key_id)
            key.redeemed += 1
            key.spent.add(credit.serial)

    def check_change(self, parts: Sequence[ChangePart], at_s: int, left: int, credit_class: str | None) -> None:
        """Whether credits of this class may be given as change for `left` microcredits."""
        if not 0 < len(parts) <= MAX_CHANGE_PARTS or len({part.key_id for part in parts}) < len(parts):
            raise RuleViolation(
                f"change is 1 to {MAX_CHANGE_PARTS} parts, each under a key of its own", reason="bad_change"
            )
        if any(part.count < 1 for part in parts) or sum(part.count for part in parts) > MAX_CHANGE_CREDITS:
            raise RuleViolation(f"change is 1 to {MAX_CHANGE_CREDITS} credits", reason="bad_change")
        worth = 0
        for part in parts:
            key = self._known(part.key_id)
            if not key.may_sign(at_s):
                raise RuleViolation("change is signed outside of its key's time", reason="out_of_period")
            if key.entry is None:
                continue
            if credit_class not in {None, key.entry.credit_class}:
                raise RuleViolation("change of another class than what was redeemed", reason="mixed_classes")
            worth += key.entry.denomination_microcredits * part.count
        if worth > left:
            raise RuleViolation(f"change of {worth} microcredits where {left} are left", reason="bad_amount")

    def change(self, parts: Sequence[ChangePart]) -> None:
        """Takes change that was checked."""
        for part in parts:
            self._seen(part.key_id).changed += part.count

    def _check_credit(self, credit: Credit, at_s: int) -> None:
        key = self._known(credit.key_id)
        if not key.may_be_redeemed(at_s):
            raise RuleViolation("a credit is redeemed outside of its key's time", reason="out_of_period")
        if key.public is not None:
            try:
                check_credit(credit, key.public)
            except RemoteProtocolError as error:
                raise RuleViolation(str(error), reason=error.reason) from error
        if credit.serial in key.spent:
            raise RuleViolation("a credit has been redeemed before", reason="spent_twice")

    def _check_issued(self, redeemed: Sequence[Credit]) -> None:
        if self._partial:
            return
        for key_id in {credit.key_id for credit in redeemed}:
            key = self._known(key_id)
            count = sum(credit.key_id == key_id for credit in redeemed)
            if key.redeemed + count > key.issued + key.changed:
                raise RuleViolation("more credits are redeemed than were issued", reason="over_issued")

    def _known(self, key_id: bytes) -> AnnouncedKey:
        if len(key_id) != KEY_ID_SIZE:
            raise RuleViolation(f"a key id of {len(key_id)} bytes, not {KEY_ID_SIZE}", reason="bad_size")
        key = self._keys.get(key_id)
        if key is not None:
            return key
        if self._partial:
            return AnnouncedKey(None, None)
        raise RuleViolation("an issuer key that was never announced", reason="unknown_key")

    def _seen(self, key_id: bytes) -> AnnouncedKey:
        return self._keys.setdefault(key_id, AnnouncedKey(None, None))

    def _find(self, key_id: bytes) -> IssuerKey | None:
        known = self._keys.get(key_id)
        return None if known is None else known.entry


def check_grain(time_s: int) -> None:
    """Raises `RuleViolation` (`fine_time`) for a time that is no full minute."""
    if time_s % TIME_GRAIN_S:
        raise RuleViolation(f"the time {time_s} is not a multiple of {TIME_GRAIN_S} s", reason="fine_time")
