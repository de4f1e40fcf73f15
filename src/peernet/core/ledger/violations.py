"""A rule broken: what proves that a log signed an entry that may not stand where it stands.

The proof is the entry's tlog-proof, under a checkpoint that the log signed, and those of the earlier entries that it
contradicts: the lane's grant or settlement, or one with a later time. Anybody verifies it with the log's public key.

That a lane was settled which never was granted is the one thing that cannot be shown so, since no entry shows that
another is missing: there the entry's proof says where to look in the log.

Source: design section 8.
"""

from typing import Final

from attrs import frozen

from peernet.core.errors import RemoteProtocolError
from peernet.core.ledger.entries import Entry, decode_entry
from peernet.core.ledger.notes import VerifierKey
from peernet.core.ledger.proofs import MAX_PROOF_SIZE, LogProof, open_entry_proof
from peernet.core.ledger.rules import LedgerState, RuleViolation
from peernet.core.suite import CipherSuite
from peernet.core.wire import decode, encode

__all__ = ["InvalidEntry", "verify_invalid_entry"]

MAX_EARLIER: Final = 3
MAX_ENCODED_SIZE: Final = (MAX_EARLIER + 1) * MAX_PROOF_SIZE + 64


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
    return index, _broken_rule(entry, before)


def _broken_rule(entry: Entry, before: list[Entry]) -> RuleViolation:
    if any(other.at_s > entry.at_s for other in before):
        return RuleViolation("an entry is older than one before it", reason="time_went_back")
    state = LedgerState()
    try:
        for other in before:
            if other.lane_key == entry.lane_key:
                state.apply(other)
        state.apply(entry)
    except RuleViolation as violation:
        # A grant that is left out proves nothing.
        if violation.reason != "not_granted":
            return violation
    raise RemoteProtocolError("the entry breaks no rule that is shown", reason="no_violation")


def _open(data: bytes, log_key: VerifierKey, suite: CipherSuite) -> tuple[int, bytes]:
    leaf, _ = open_entry_proof(data, log_key, suite)
    return LogProof.parse(data).index, leaf
