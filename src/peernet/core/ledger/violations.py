"""A rule broken: what proves that a log signed an entry that may not stand where it stands.

The proof is the entry's tlog-proof, under a checkpoint that the log signed, and those of the earlier entries that it
contradicts: the lane's grant, settlement or change, a key that it has credits of, one that spent the same credit, or
one with a later time. Anybody verifies it with the log's public key.

No entry shows that another is missing. So four things cannot be shown like this: that a lane was settled, or gave
change, which never was funded; that a credit's key was never announced; that more was redeemed than issued; and that
change was given before a settlement. There the entry's proof says where to look in the log.

Source: design section 8.
"""

from collections.abc import Iterable
from typing import Final

from attrs import frozen

from peernet.core.credits.credits import MAX_CREDITS_A_LANE
from peernet.core.errors import RemoteProtocolError
from peernet.core.ledger.entries import Change, Entry, Issue, IssuerKey, Redeem, decode_entry
from peernet.core.ledger.notes import VerifierKey
from peernet.core.ledger.proofs import LogProof, open_entry_proof
from peernet.core.ledger.rules import LedgerState, RuleViolation
from peernet.core.suite import CipherSuite
from peernet.core.wire import decode, encode

__all__ = ["InvalidEntry", "contradicted", "verify_invalid_entry"]

MAX_EARLIER: Final = MAX_CREDITS_A_LANE + 4
"""A key for each credit of a lane, what was with the lane before, who spent a credit, and the entry right before."""
MAX_ENCODED_SIZE: Final = 1 << 20


@frozen
class InvalidEntry:
    """An entry that breaks a rule, as claimed; nothing here is verified."""

    proof: bytes
    """The entry's tlog-proof, with the entry."""
    earlier: tuple[bytes, ...] = ()
    """Those of the entries that it contradicts, in the log's order."""

    def encode(self) -> bytes:
        """The proof's bytes, to be handed on."""
        return encode(self)

    @classmethod
    def parse(cls, data: bytes) -> "InvalidEntry":
        """The proof in `data`; raises `RemoteProtocolError` when it is none."""
        return decode(cls, data, max_size=MAX_ENCODED_SIZE)


def contradicted(entry: Entry, earlier: Iterable[tuple[int, Entry]]) -> tuple[int, ...]:
    """Which of the earlier entries, given in order with their places, `entry` may contradict, for `InvalidEntry`.

    Those of its lane; the keys that it names, or the last two of its own kind; the last `Issue` of its key; the first
    that redeemed one of its credits; and the one right before it.
    """
    named = _keys_named(entry)
    spent = {(credit.key_id, credit.serial) for credit in entry.credits} if isinstance(entry, Redeem) else set()
    lane = getattr(entry, "lane_key", None)
    places: set[int] = set()
    alike: list[int] = []
    issues: list[int] = []
    spender = last = None
    for place, other in earlier:
        last = place
        if lane is not None and getattr(other, "lane_key", None) == lane:
            places.add(place)
        if isinstance(other, IssuerKey):
            if other.key_id in named:
                places.add(place)
            if isinstance(entry, IssuerKey) and _kind(other) == _kind(entry):
                alike.append(place)
        elif isinstance(other, Issue) and isinstance(entry, Issue) and other.key_id == entry.key_id:
            issues.append(place)
        elif isinstance(other, Redeem) and spender is None and _shares(other, spent):
            spender = place
    found = {*places, *alike[-2:], *issues[-1:], *(place for place in (spender, last) if place is not None)}
    return tuple(sorted(found))


def _keys_named(entry: Entry) -> set[bytes]:
    match entry:
        case Redeem():
            return {credit.key_id for credit in entry.credits}
        case Change():
            return {part.key_id for part in entry.parts}
        case IssuerKey() | Issue():
            return {entry.key_id}
        case _:
            return set()


def _shares(redeem: Redeem, spent: set[tuple[bytes, bytes]]) -> bool:
    return any((credit.key_id, credit.serial) in spent for credit in redeem.credits)


def _kind(key: IssuerKey) -> tuple[str, int]:
    return key.credit_class, key.denomination_microcredits


def verify_invalid_entry(claim: InvalidEntry, log_key: VerifierKey, suite: CipherSuite) -> tuple[int, RuleViolation]:
    """The index of the entry that the log of `log_key` signed against the rules, and the rule.

    Raises `RemoteProtocolError`: as `open_entry_proof` does when a part does not hold, `no_violation` when nothing is
    shown to be wrong.
    """
    if len(claim.earlier) > MAX_EARLIER:
        raise RemoteProtocolError(f"a claim with over {MAX_EARLIER} earlier entries", reason="no_violation")
    index, leaf = _open(claim.proof, log_key, suite)
    earlier = [_open(part, log_key, suite) for part in claim.earlier]
    places = [place for place, _ in earlier]
    if places != sorted(set(places)) or any(place >= index for place in places):
        raise RemoteProtocolError("the earlier entries are not earlier, or not in order", reason="no_violation")
    try:
        entry = decode_entry(leaf)
    except RemoteProtocolError as error:
        return index, RuleViolation(str(error), reason=error.reason)
    before = [decode_entry(part) for _, part in earlier]
    return index, _broken_rule(entry, before, suite)


def _broken_rule(entry: Entry, before: list[Entry], suite: CipherSuite) -> RuleViolation:
    state = LedgerState(suite, partial=True)
    try:
        for other in (*before, entry):
            state.apply(other)
    except RuleViolation as violation:
        return violation
    raise RemoteProtocolError("the entry breaks no rule that is shown", reason="no_violation")


def _open(data: bytes, log_key: VerifierKey, suite: CipherSuite) -> tuple[int, bytes]:
    leaf, _ = open_entry_proof(data, log_key, suite)
    return LogProof.parse(data).index, leaf
