"""Hostile input to the ledger's formats: notes, checkpoints, tiles, proofs, policies, vouchers, settlements."""

from typing import Any

import msgpack
import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from peernet.core.errors import RemoteProtocolError
from peernet.core.ledger import merkle
from peernet.core.ledger.checkpoint import (
    Checkpoint,
    open_checkpoint,
    parse_checkpoint_text,
    parse_decimal,
    read_unverified,
    sign_checkpoint,
)
from peernet.core.ledger.entries import Grant, Settle, decode_entry, encode_entry
from peernet.core.ledger.equivocation import Equivocation, verify_equivocation
from peernet.core.ledger.merkle import CompactRange, leaf_hash, verify_consistency, verify_inclusion
from peernet.core.ledger.notes import (
    COSIGNER_KEY,
    LOG_KEY,
    Note,
    NoteSignature,
    VerifierKey,
    decode_base64,
    encode_base64,
    encode_signature_lines,
    open_note,
    parse_note,
    parse_signature_lines,
    sign_note,
)
from peernet.core.ledger.policy import LedgerPolicy, PolicyMember, compose_policy, one_log_policy, parse_policy
from peernet.core.ledger.proofs import LogProof, open_entry_proof, origin_of_proof, verify_proof
from peernet.core.ledger.rules import LedgerState, RuleViolation, check_settlement
from peernet.core.ledger.tiles import (
    ResourceNotFound,
    Tile,
    decode_entry_bundle,
    decode_hash_tile,
    encode_entry_bundle,
)
from peernet.core.ledger.violations import InvalidEntry, verify_invalid_entry
from peernet.core.metering import (
    HostMeter,
    Lane,
    LaneOpening,
    LaneTerms,
    Receipt,
    Settlement,
    Voucher,
    check_voucher,
    open_lane,
    opens_terms,
    sign_receipt,
    sign_voucher,
    verify_receipt,
)
from peernet.core.suite import MixedSuite
from peernet.core.wire import decode, encode
from tests.hostile_input import (
    HOSTILE_VALUES,
    INTEGERS,
    Parser,
    check,
    examples,
    fields_of,
    fuzzes,
    mutated,
    parser_tests,
    refusal,
)

SUITE = MixedSuite()
ORIGIN = "log.example/one"
LOG_SEED, LANE_SEED, PAYOUT_SEED, WITNESS_SEED = (bytes((number,)) * 32 for number in (1, 2, 3, 4))
LANE_KEY, PAYOUT_KEY = SUITE.ed25519_public(LANE_SEED), SUITE.ed25519_public(PAYOUT_SEED)
KEY = VerifierKey(ORIGIN, LOG_KEY, SUITE.ed25519_public(LOG_SEED))
WITNESS = VerifierKey("w.example", COSIGNER_KEY, SUITE.ed25519_public(WITNESS_SEED))
NONCE = bytes((10,)) * 32
TERMS = LaneTerms(PAYOUT_KEY, prompt_price_microcredits=2, answer_price_microcredits=5, window_tokens=8)
LANE = Lane(ORIGIN, LANE_KEY, TERMS, cap_microcredits=1_000, expires_at_s=6_000)
GRANT = Grant(LANE_KEY, 1_000, 6_000, 60, TERMS.commit(NONCE))
VOUCHER = sign_voucher(LANE, 10, 20, LANE_SEED, SUITE)
RECEIPT = sign_receipt(VOUCHER, NONCE, PAYOUT_SEED, SUITE)
SETTLEMENT = Settlement(RECEIPT, TERMS, NONCE)
ENTRIES = (encode_entry(GRANT), encode_entry(SETTLEMENT.entry(120)), encode_entry(evolve(GRANT, at_s=180)))


def _tree(entries: tuple[bytes, ...]) -> tuple[CompactRange, dict[tuple[int, int], bytes]]:
    tree, nodes = CompactRange(), {}
    for entry in entries:
        nodes.update({(node.level, node.position): node.hash for node in tree.append(leaf_hash(entry))})
    return tree, nodes


TREE, NODES = _tree(ENTRIES)
CHECKPOINT = Checkpoint(ORIGIN, len(ENTRIES), TREE.root())
SIGNED = sign_checkpoint(CHECKPOINT, LOG_SEED, SUITE)
FORKED = sign_checkpoint(evolve(CHECKPOINT, root=bytes(32)), LOG_SEED, SUITE)
COSIGNED = (
    parse_note(SIGNED)
    .with_signature(sign_note(CHECKPOINT.text(), "w.example", WITNESS_SEED, SUITE, timestamp_s=9))
    .encode()
)


def _proof(index: int, checkpoint: bytes = SIGNED) -> bytes:
    path = merkle.inclusion_proof(index, len(ENTRIES), lambda level, place: NODES[level, place])
    return LogProof(index, path, checkpoint, ENTRIES[index]).encode()


PROOFS = [_proof(index) for index in range(3)] + [_proof(0, COSIGNED)]
OPENING = LaneOpening(PROOFS[0], TERMS, NONCE)
MEMBER = PolicyMember(KEY, WITNESS, VerifierKey("v.example", COSIGNER_KEY, PAYOUT_KEY), "/ip4/127.0.0.1/tcp/1")
POLICIES = [
    compose_policy([MEMBER]).text().encode(),
    one_log_policy(KEY, "x").text().encode(),
    (f"log {KEY.text()}\nwitness w {WITNESS.text()}\ngroup g any w\nquorum g\n").encode(),
]
EQUIVOCATIONS = [Equivocation(SIGNED, FORKED).encode(), Equivocation(PROOFS[0], PROOFS[1]).encode()]
CLAIMS = [InvalidEntry(PROOFS[2], (PROOFS[0],)).encode(), InvalidEntry(PROOFS[1], ()).encode()]
BUNDLE, HASHES = encode_entry_bundle(ENTRIES), b"".join(NODES[0, place] for place in range(3))


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


PARSERS = [
    Parser(parse_note, parse_note, [SIGNED, COSIGNED], Note.encode),
    Parser(
        parse_signature_lines,
        parse_signature_lines,
        [encode_signature_lines(parse_note(COSIGNED).signatures), b""],
        encode_signature_lines,
    ),
    Parser(open_note, lambda data: open_note(data, (KEY, WITNESS), SUITE), [SIGNED, COSIGNED]),
    Parser(
        decode_base64,
        lambda data: decode_base64(data.decode("utf-8", "replace")),
        [encode_base64(bytes(size)).encode() for size in (1, 2, 3, 32)],
        lambda found: encode_base64(found).encode(),
    ),
    Parser(
        VerifierKey.parse,
        lambda data: VerifierKey.parse(_text(data)),
        [KEY.text().encode(), WITNESS.text().encode()],
        lambda key: key.text().encode(),
    ),
    Parser(
        parse_checkpoint_text,
        lambda data: parse_checkpoint_text(_text(data)),
        [CHECKPOINT.text().encode(), evolve(CHECKPOINT, extensions=("x", "y")).text().encode()],
    ),
    Parser(
        parse_decimal,
        lambda data: parse_decimal(_text(data)),
        [b"0", b"17", b"9223372036854775807"],
        lambda n: b"%d" % n,
    ),
    Parser(open_checkpoint, lambda data: open_checkpoint(data, KEY, SUITE), [SIGNED, COSIGNED]),
    Parser(read_unverified, read_unverified, [SIGNED, COSIGNED]),
    Parser(decode_entry, decode_entry, list(ENTRIES), encode_entry),
    Parser(LogProof.parse, LogProof.parse, PROOFS, LogProof.encode),
    Parser(open_entry_proof, lambda data: open_entry_proof(data, KEY, SUITE), PROOFS),
    Parser(origin_of_proof, origin_of_proof, PROOFS),
    Parser(
        Tile.parse,
        lambda data: Tile.parse(_text(data)),
        [b"tile/0/000", b"tile/entries/x001/234.p/17", b"tile/7/999"],
        lambda tile: tile.path().encode(),
        refusals=(ResourceNotFound,),
    ),
    Parser(decode_entry_bundle, lambda data: decode_entry_bundle(data, 3), [BUNDLE], encode_entry_bundle),
    Parser(decode_hash_tile, lambda data: decode_hash_tile(data, 3), [HASHES], b"".join),
    Parser(parse_policy, lambda data: parse_policy(_text(data)), POLICIES),
    Parser(Equivocation.parse, Equivocation.parse, EQUIVOCATIONS, Equivocation.encode),
    Parser(InvalidEntry.parse, InvalidEntry.parse, CLAIMS, InvalidEntry.encode),
    Parser(
        verify_equivocation,
        lambda data: verify_equivocation(Equivocation.parse(data), KEY, SUITE),
        EQUIVOCATIONS[:1],
    ),
    Parser(verify_invalid_entry, lambda data: verify_invalid_entry(InvalidEntry.parse(data), KEY, SUITE), CLAIMS[:1]),
    Parser(open_lane, lambda data: open_lane(decode(LaneOpening, data), KEY, SUITE), [encode(OPENING)]),
    Parser(check_voucher, lambda data: check_voucher(decode(Voucher, data), LANE, SUITE), [encode(VOUCHER)]),
    Parser(
        check_settlement,
        lambda data: check_settlement(decode(Settlement, data), GRANT, ORIGIN, SUITE),
        [encode(SETTLEMENT)],
        refusals=(RuleViolation, RemoteProtocolError),
    ),
    Parser(
        verify_receipt,
        lambda data: verify_receipt(PROOFS[1], decode(Receipt, data), KEY, SUITE),
        [encode(RECEIPT)],
    ),
    Parser(
        LedgerPolicy.finality,
        lambda data: compose_policy([MEMBER]).finality(data, SUITE),
        [SIGNED, COSIGNED],
    ),
]

(
    test_the_examples_are_taken,
    test_hostile_bytes_are_refused_or_taken,
    test_memory_is_bounded_by_the_input,
) = parser_tests(PARSERS, hostile_examples=50, memory_examples=5)


def test_signature_lines_come_without_a_text():
    lines = encode_signature_lines(parse_note(COSIGNED).signatures)
    for before in (b"\n", b"x\n\n", lines + b"\n", b"\n\n"):
        assert refusal(lambda before=before: parse_signature_lines(before + lines)) == "bad_note"


# --- signed by who may sign, and hostile all the same ----------------------------------------------------------------


@fuzzes(verify_proof)
@examples(100)
@given(st.data())
def test_a_log_signs_whatever_it_likes(data: st.DataObject):
    """A checkpoint that is signed, whatever its text says, opens or is refused, alone and below a proof."""
    text = _text(data.draw(mutated([CHECKPOINT.text().encode()])))
    if not text.endswith("\n") or any(character < " " and character != "\n" for character in text):
        return
    note = Note(text, (sign_note(text, ORIGIN, LOG_SEED, SUITE),)).encode()
    check(Parser(open_checkpoint, lambda given: open_checkpoint(given, KEY, SUITE), [note]), note)
    proof = LogProof(data.draw(st.integers(0, 2**63)), (HASHES[:32],), note, ENTRIES[0])
    refusal(lambda: verify_proof(proof, ENTRIES[0], KEY, SUITE))
    refusal(lambda: verify_equivocation(Equivocation(note, SIGNED), KEY, SUITE))


@fuzzes(verify_inclusion, verify_consistency)
@examples(150)
@given(
    size=INTEGERS,
    other=INTEGERS,
    path=st.lists(st.one_of(st.just(bytes(32)), st.binary(max_size=33)), max_size=70),
    root=st.binary(max_size=33),
)
def test_paths_of_any_size_and_length_show_nothing(size: int, other: int, path: list[bytes], root: bytes):
    assert refusal(lambda: verify_inclusion(bytes(32), other, size, path, root)) == "bad_proof"
    if (other, path, root) != (size, [], bytes(32)):
        assert refusal(lambda: verify_consistency(other, size, path, bytes(32), root)) == "bad_proof"


@examples(150)
@given(
    st.lists(
        st.one_of(fields_of(Grant).map(lambda given: [1, *given]), fields_of(Settle).map(lambda given: [2, *given])),
        max_size=4,
    )
)
def test_entries_of_any_values_are_refused_by_a_rule_or_applied(entries: list[list[Any]]):
    state = LedgerState()
    for fields in entries:
        data = bytes(msgpack.packb(fields))
        if refusal(lambda data=data: decode_entry(data)) is None:
            refusal(lambda data=data: state.apply(decode_entry(data)), (RuleViolation,))


@fuzzes(opens_terms, HostMeter.voucher)
@examples(120)
@given(st.data())
def test_vouchers_openings_and_settlements_of_any_values(data: st.DataObject):
    kind = data.draw(st.sampled_from([Voucher, Settlement, LaneOpening, Receipt]))
    packed = bytes(msgpack.packb(data.draw(st.one_of(fields_of(kind), HOSTILE_VALUES))))
    taken: list[Any] = []
    if refusal(lambda: taken.append(decode(kind, packed))) is not None:
        return
    match taken[0]:
        case Voucher() as voucher:
            _give(voucher)
            signed = evolve(voucher, log_origin=ORIGIN, lane_key=LANE_KEY, host_payout_key=PAYOUT_KEY, signature=b"")
            _give(evolve(signed, signature=SUITE.sign(LANE_SEED, signed.signed_bytes())))
        case Settlement() as settlement:
            refusal(lambda: check_settlement(settlement, GRANT, ORIGIN, SUITE), (RuleViolation,))
            refusal(
                lambda: check_settlement(evolve(settlement, terms=TERMS, terms_nonce=NONCE), GRANT, ORIGIN, SUITE),
                (RuleViolation,),
            )
            refusal(lambda: settlement.entry(60))
        case LaneOpening() as opening:
            refusal(lambda: open_lane(evolve(opening, proof=PROOFS[0]), KEY, SUITE))
            # Terms that are granted as they are asked for: in range, or not.
            granted = GRANT
            if len(opening.terms_nonce) == len(NONCE):
                granted = evolve(GRANT, commitment=opening.terms.commit(opening.terms_nonce))
            if opens_terms(granted, opening.terms, opening.terms_nonce):
                assert opening.terms.window_tokens >= 1
        case Receipt() as receipt:
            refusal(lambda: verify_receipt(PROOFS[1], receipt, KEY, SUITE))
            refusal(lambda: verify_receipt(PROOFS[0], evolve(RECEIPT, nonce=receipt.nonce), KEY, SUITE))


@examples(60)
@given(nonce=st.binary(max_size=40), price=INTEGERS, window=INTEGERS, signature=st.binary(min_size=1, max_size=80))
def test_single_fields_of_any_value(nonce: bytes, price: int, window: int, signature: bytes):
    """One thing wrong in what is in order otherwise, and signed."""
    settlement = evolve(SETTLEMENT, receipt=evolve(RECEIPT, nonce=nonce))
    assert (refusal(lambda: settlement.entry(60)) == "bad_nonce") == (len(nonce) != len(NONCE))
    terms = evolve(TERMS, answer_price_microcredits=price, window_tokens=window)
    if opens_terms(evolve(GRANT, commitment=terms.commit(NONCE)), terms, NONCE):
        assert evolve(LANE, terms=terms).price(1, 1) >= 0
    for key in (KEY, WITNESS):
        note = Note(CHECKPOINT.text(), (NoteSignature(key.name, key.key_id, signature),)).encode()
        assert refusal(lambda note=note: open_note(note, (KEY, WITNESS), SUITE)) == "bad_signature"


@pytest.mark.parametrize("field", ["prompt_price_microcredits", "answer_price_microcredits", "window_tokens"])
def test_terms_out_of_range_open_nothing(field: str):
    for value in (-1, 2**53, 2**64 - 1):
        terms = evolve(TERMS, **{field: value})
        assert not opens_terms(evolve(GRANT, commitment=terms.commit(NONCE)), terms, NONCE)


def _give(voucher: Voucher) -> None:
    meter = HostMeter(LANE, PAYOUT_KEY, SUITE)
    meter.prompt(1)
    meter.voucher(VOUCHER)
    refusal(lambda: meter.voucher(voucher))
    assert 0 <= meter.vouched_microcredits <= LANE.cap_microcredits
    assert meter.best_voucher is not None
    assert 0 <= meter.allowance_tokens <= meter.best_voucher.answer_tokens + TERMS.window_tokens
