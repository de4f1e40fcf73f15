"""Hostile input to what peers say about themselves and do for each other: identify, ping, AutoNAT, circuit relays."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multiaddr import Multiaddr

from peernet.core.autonat import (
    DialBack,
    DialBackResponse,
    DialDataRequest,
    DialDataResponse,
    DialRequest,
    DialResponse,
    Probe,
    Reachability,
    decode_dial_back,
    decode_dial_back_response,
    decode_message,
    encode_dial_back,
    encode_dial_back_response,
    encode_message,
)
from peernet.core.circuit import (
    Connect,
    Limit,
    Reservation,
    Reserve,
    StatusMessage,
    decode_hop,
    decode_stop,
    encode_hop,
    encode_stop,
    reservation_voucher,
    voucher_is_valid,
)
from peernet.core.identify import Identify, decode_identify, encode_identify
from peernet.core.identity import Keypair
from peernet.core.ping import BURST, MAX_PAUSE_S, PING_SIZE, Pinger, Ponger
from peernet.core.protobuf import bytes_field, fixed64_field, varint_field
from peernet.core.suite import MixedSuite
from peernet.net.addresses import decode_address, parse_address
from tests.hostile_input import (
    INTEGERS,
    Parser,
    cuts,
    examples,
    fuzzes,
    mutated,
    parser_tests,
    refusal,
)

SUITE = MixedSuite()
RELAY, PEER = (Keypair.from_seed(bytes((number,)) * 32, SUITE) for number in (1, 2))
BINARY = [
    Multiaddr(text).to_bytes()
    for text in (
        "/ip4/203.0.113.7/tcp/4101",
        "/ip6/2001:db8::7/tcp/4101/ws",
        "/dns4/host.example/tcp/443/tls/sni/other.example/ws",
        f"/ip4/203.0.113.7/tcp/1/p2p/{RELAY.peer_id}/p2p-circuit/p2p/{PEER.peer_id}",
    )
]
IDENTIFY = Identify(PEER.peer_id, "ipfs/0.1.0", "other/1", tuple(BINARY), BINARY[0], ("/ipfs/ping/1.0.0", "/a/1"))
EXPIRES_AT_S = 1_800_000_000
VOUCHER = reservation_voucher(RELAY, PEER.peer_id, EXPIRES_AT_S)
LIMIT = Limit(60, 1 << 20)
PLACE = Reservation(EXPIRES_AT_S, (BINARY[0],), VOUCHER)

PARSERS = [
    Parser(
        decode_identify,
        lambda data: decode_identify([data], PEER.peer_id),
        [encode_identify(IDENTIFY), encode_identify(Identify(PEER.peer_id))],
    ),
    Parser(
        decode_message,
        decode_message,
        [
            encode_message(message)
            for message in (
                DialRequest(tuple(BINARY), 2**64 - 1),
                DialResponse(200, 1, 200),
                DialDataRequest(0, 2**63),
                DialDataResponse(bytes(100)),
            )
        ],
    ),
    Parser(Probe.outcome, lambda data: Probe(BINARY[0], 7).outcome(data), [encode_message(DialResponse(101))]),
    Parser(decode_dial_back, decode_dial_back, [encode_dial_back(DialBack(2**63))]),
    Parser(decode_dial_back_response, decode_dial_back_response, [encode_dial_back_response(DialBackResponse(1))]),
    Parser(
        decode_hop,
        decode_hop,
        [
            encode_hop(message)
            for message in (Reserve(), Connect(PEER.peer_id, LIMIT), StatusMessage(100, PLACE, LIMIT))
        ],
    ),
    Parser(
        decode_stop,
        decode_stop,
        [encode_stop(message) for message in (Connect(PEER.peer_id, LIMIT), StatusMessage(200))],
    ),
    Parser(
        voucher_is_valid,
        lambda data: voucher_is_valid(data, RELAY.peer_id, PEER.peer_id, EXPIRES_AT_S, SUITE),
        [VOUCHER],
    ),
    Parser(decode_address, decode_address, BINARY, refusals=()),
]
REASONS = {
    *("bad_protobuf", "bad_length", "bad_autonat", "bad_circuit", "bad_identify", "bad_peer_id", "unsupported_key"),
    *("too_long", "wants_data", "no_dial_back", "wrong_peer"),
}
NUMBERS = st.one_of(st.integers(0, 2**64 - 1), INTEGERS.filter(lambda number: number >= 0))

(
    test_the_examples_are_taken,
    test_hostile_bytes_are_refused_or_taken,
    test_memory_is_bounded_by_the_input,
) = parser_tests(PARSERS, hostile_examples=80, memory_examples=5)


@st.composite
def protobufs(draw: Any, depth: int = 2) -> bytes:
    """Fields of any numbers and values: twice, out of order, unknown, of the other wire type, inside each other."""
    encoded = b""
    for _ in range(draw(st.integers(0, 5))):
        number = draw(st.one_of(st.integers(1, 6), st.sampled_from([2**28, 2**60])))
        kind = draw(st.sampled_from(["varint", "fixed64", "bytes"]))
        if kind == "varint":
            encoded += varint_field(number, draw(NUMBERS))
        elif kind == "fixed64":
            encoded += fixed64_field(number, draw(st.integers(0, 2**64 - 1)))
        else:
            inner = protobufs(depth - 1) if depth else st.just(b"")
            value = st.one_of(
                inner, st.sampled_from([*BINARY, PEER.peer_id.to_bytes(), VOUCHER]), st.binary(max_size=9)
            )
            encoded += bytes_field(number, draw(value))
    return encoded


@pytest.mark.parametrize("parser", PARSERS, ids=str)
@examples(60)
@given(data=protobufs(), cut=st.one_of(st.none(), st.integers(0, 300)))
def test_protobufs_of_any_fields_are_taken_or_refused_for_a_reason_of_theirs(
    parser: Parser, data: bytes, cut: int | None
):
    reason = refusal(lambda: parser.parse(data[:cut]), parser.refusals)
    assert reason is None or reason in REASONS


@examples(80)
@given(st.data())
def test_a_binary_address_is_what_we_dial_in_one_spelling_or_nothing(data: st.DataObject):
    address = decode_address(data.draw(mutated(BINARY)))
    assert address is None or parse_address(str(address)) == address


@examples(60)
@given(st.data())
def test_identify_in_any_parts_is_bounded(data: st.DataObject):
    whole = encode_identify(IDENTIFY)
    parts = data.draw(st.lists(st.one_of(mutated([whole]), st.just(whole)), max_size=12))
    found: list[Identify] = []
    if refusal(lambda: found.append(decode_identify(parts, PEER.peer_id))) is None:
        assert found[0].peer == PEER.peer_id
        assert len(parts) <= 10


@examples(60)
@given(st.data())
def test_a_dial_back_is_believed_only_with_its_nonce(data: st.DataObject):
    probe = Probe(BINARY[0], 7)
    reply = data.draw(st.one_of(mutated(PARSERS[1].valid), protobufs()))
    outcome: list[Reachability] = []
    refusal(lambda: outcome.append(probe.outcome(reply)))
    assert Reachability.REACHABLE not in outcome


@fuzzes(Pinger.receive, Ponger.receive)
@examples(80)
@given(st.data())
def test_pings_of_any_bytes_are_echoed_or_refused(data: st.DataObject):
    payload = bytes(range(PING_SIZE))
    pinger, heard = Pinger(payload), b""
    for piece in data.draw(cuts(data.draw(st.one_of(mutated([payload]), st.just(payload))))):
        heard += piece
        if refusal(lambda piece=piece: pinger.receive(piece)) is not None:
            assert heard != payload[: len(heard)]
            break
    said = data.draw(st.binary(max_size=200))
    ponger, answered = Ponger(0.0), b""
    for piece in data.draw(cuts(said)):
        answer, pause_s = ponger.receive(piece, 0.0)
        answered += answer
        assert pause_s == 0.0
    assert answered == said[: len(answered)]
    assert len(answered) == len(said) - len(said) % PING_SIZE
    assert (refusal(ponger.end) == "bad_ping") == bool(len(said) % PING_SIZE)


def test_a_flood_of_pings_is_made_to_wait():
    ponger = Ponger(0.0)
    for _ in range(4):
        _, pause_s = ponger.receive(bytes(PING_SIZE * BURST * 10), 0.0)
    assert pause_s == MAX_PAUSE_S
