"""Hostile input about credits: moduli, blinded messages, signatures, and entries of a log."""

from typing import Any

import msgpack
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from peernet.core.credits.blind_rsa import (
    MODULUS_SIZE,
    PublicKey,
    blind_sign,
    finalize,
    prepare,
    verify,
)
from peernet.core.credits.credits import BlindedCredit, Credit, blinded_credits, check_credit, digest_of_blinded
from peernet.core.errors import RemoteProtocolError
from peernet.core.ledger.credit_rules import CreditState
from peernet.core.ledger.entries import (
    Change,
    ChangePart,
    Grant,
    Issue,
    IssuerKey,
    Redeem,
    Settle,
    decode_entry,
    encode_entry,
    submission_id,
)
from peernet.core.ledger.rules import LedgerState, RuleViolation
from peernet.core.ledger.violations import contradicted
from peernet.core.metering import ChangeRequest, RedeemRequest
from peernet.core.wire import decode, encode
from tests.hostile_input import Parser, check, examples, fields_of, fuzzes, mutated, parser_tests, refusal
from tests.issuers import TestIssuer, change_request, redeem_of

ISSUER = TestIssuer()
PUBLIC = ISSUER.private.public
CREDITS = ISSUER.credits(2)
(BLINDED,) = blinded_credits(PUBLIC, ISSUER.key.key_id, bytes(32), 1)
SIGNED = ISSUER.sign(BLINDED.blinded)
LANE = redeem_of(1, 2_000, CREDITS)
REQUEST = RedeemRequest(LANE.lane_key, 2_000, 3_600, LANE.commitment, LANE.credits)
CHANGE = change_request(1, (ISSUER.key.key_id, 1))
SETTLED = Settle(LANE.lane_key, bytes(32), 1_000, 180, bytes(32))
BEFORE = (ISSUER.key, Issue(ISSUER.key.key_id, 9, 60), LANE, SETTLED)
ENTRIES = [encode_entry(entry) for entry in (*BEFORE, CHANGE.entry(180))]
PREPARED = prepare(b"message", bytes(32))

PARSERS = [
    Parser(PublicKey.from_bytes, PublicKey.from_bytes, [PUBLIC.to_bytes()], PublicKey.to_bytes),
    Parser(blind_sign, lambda data: blind_sign(ISSUER.private, data, 7), [BLINDED.blinded]),
    Parser(BlindedCredit.finish, BLINDED.finish, [SIGNED]),
    Parser(finalize, lambda data: finalize(PUBLIC, BLINDED.unsigned.prepared, data, BLINDED.inverse), [SIGNED]),
    Parser(
        check_credit, lambda data: check_credit(decode(Credit, data), PUBLIC), [encode(credit) for credit in CREDITS]
    ),
    Parser(decode_entry, decode_entry, ENTRIES, encode_entry),
    Parser(RedeemRequest.entry, lambda data: decode(RedeemRequest, data).entry(60), [encode(REQUEST)]),
    Parser(ChangeRequest.entry, lambda data: decode(ChangeRequest, data).entry(60), [encode(CHANGE)]),
]

(
    test_the_examples_are_taken,
    test_hostile_bytes_are_refused_or_taken,
    test_memory_is_bounded_by_the_input,
) = parser_tests(PARSERS, hostile_examples=40, memory_examples=5)


@fuzzes(verify)
@examples(60)
@given(signature=mutated([CREDITS[0].signature]), message=st.binary(max_size=80))
def test_other_bytes_are_no_signature(signature: bytes, message: bytes):
    assert not verify(PUBLIC, PREPARED + message, signature)
    whole = signature == CREDITS[0].signature
    assert verify(PUBLIC, CREDITS[0].prepared, signature) == whole


@examples(40)
@given(modulus=st.binary(min_size=MODULUS_SIZE, max_size=MODULUS_SIZE))
def test_any_number_may_be_a_modulus_and_signs_nothing(modulus: bytes):
    """A key that is announced is only known to be odd and long."""
    key = evolve(ISSUER.key, modulus=b"\x80" + modulus[1:-1] + b"\x01")
    state = LedgerState()
    state.apply(key)
    state.apply(Issue(key.key_id, 9, 60))
    credit = evolve(CREDITS[0], key_id=key.key_id)
    assert refusal(lambda: state.apply(redeem_of(1, 1_000, [credit])), (RuleViolation,)) == "bad_credit"


@fuzzes(contradicted, LedgerState.apply, CreditState.check_key, CreditState.check_issue, CreditState.check_redeem)
@examples(150)
@given(
    st.lists(
        st.one_of(
            *(
                fields_of(kind).map(lambda given, number=number: [number, *given])
                for number, kind in enumerate((Grant, Settle, IssuerKey, Issue, Redeem, Change), start=1)
            ),
            st.sampled_from(ENTRIES),
        ),
        max_size=4,
    )
)
def test_entries_of_any_values_are_refused_by_a_rule_or_applied(entries: list[Any]):
    states = LedgerState(), LedgerState(partial=True)
    for entry in BEFORE:
        states[0].apply(entry)
    for fields in entries:
        data = fields if isinstance(fields, bytes) else bytes(msgpack.packb(fields))
        if refusal(lambda data=data: decode_entry(data)) is None:
            entry = decode_entry(data)
            for state in states:
                refusal(lambda state=state, entry=entry: state.apply(entry), (RuleViolation,))
            assert submission_id(entry)
            assert set(contradicted(entry, enumerate(BEFORE))) <= set(range(len(BEFORE)))


@examples(60)
@given(st.data())
def test_what_stands_for_blinded_messages_takes_any(data: st.DataObject):
    packed = bytes(msgpack.packb(data.draw(fields_of(ChangeRequest))))
    taken: list[ChangeRequest] = []
    if refusal(lambda: taken.append(decode(ChangeRequest, packed)), (RemoteProtocolError,)) is None:
        assert len(digest_of_blinded(taken[0].blinded)) == 32
        check(Parser(decode_entry, decode_entry, [], encode_entry), encode_entry(taken[0].entry(60)))


@fuzzes(CreditState.check_change)
@examples(40)
@given(st.lists(st.builds(ChangePart, st.binary(max_size=33), st.integers(-1, 70)), max_size=6))
def test_change_of_any_parts_is_refused_by_a_rule_or_given(parts: list[ChangePart]):
    state = LedgerState()
    for entry in BEFORE:
        state.apply(entry)
    request = change_request(1, *((part.key_id, part.count) for part in parts))
    refusal(lambda: state.apply(request.entry(180)), (RuleViolation,))
