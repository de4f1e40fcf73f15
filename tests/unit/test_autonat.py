"""AutoNAT v2 without a network: bytes as the specification has them, verdicts by majority, a budget for dials."""

import pytest

from peernet.core.autonat import (
    LEAST_VOTES,
    MAX_ADDRESSES,
    MAX_MESSAGE_SIZE,
    VOTE_LIFETIME_S,
    DialBack,
    DialBackBudget,
    DialBackLimits,
    DialBackResponse,
    DialDataRequest,
    DialDataResponse,
    DialRequest,
    DialResponse,
    DialStatus,
    Probe,
    Reachability,
    ResponseStatus,
    Verdicts,
    decode_dial_back,
    decode_dial_back_response,
    decode_message,
    encode_dial_back,
    encode_dial_back_response,
    encode_message,
)
from peernet.core.errors import LocalProtocolError, RemoteProtocolError

ADDRESS = bytes.fromhex("04cb007107061005")  # /ip4/203.0.113.7/tcp/4101
OK_RESPONSE = DialResponse(ResponseStatus.OK, 0, DialStatus.OK)
UP, DOWN, ELSEWHERE, UNKNOWN = (
    Reachability.REACHABLE,
    Reachability.UNREACHABLE,
    Reachability.ELSEWHERE,
    Reachability.UNKNOWN,
)


def test_messages_are_the_bytes_of_the_specification():
    """Worked out by hand from its protobuf: tag, length, value; fixed64 is little endian, proto3 omits zeros."""
    assert encode_message(DialRequest((ADDRESS,), 0x0102030405060708)).hex() == (
        "0a13" + "0a08" + ADDRESS.hex() + "11" + "0807060504030201"
    )
    assert encode_message(DialResponse(200, 0, 100)).hex() == "1205" + "08c801" + "1864"
    assert encode_message(DialResponse(0)).hex() == "1200"
    assert encode_message(DialDataRequest(1, 30_000)).hex() == "1a06" + "0801" + "10b0ea01"
    assert encode_message(DialDataResponse(b"x")).hex() == "2203" + "0a0178"
    assert encode_dial_back(DialBack(1)).hex() == "09" + "0100000000000000"
    assert encode_dial_back_response(DialBackResponse()) == b""


@pytest.mark.parametrize(
    "message",
    [
        DialRequest((ADDRESS, b"\x04\x00\x00\x00\x00"), 2**64 - 1),
        OK_RESPONSE,
        DialResponse(999, 3, 77),
        DialDataRequest(7, 2**40),
        DialDataResponse(b"d" * 4096),
    ],
)
def test_messages_come_back_as_they_were(message):
    assert decode_message(encode_message(message)) == message


def test_dial_backs_come_back_as_they_were():
    assert decode_dial_back(encode_dial_back(DialBack(77))) == DialBack(77)
    assert decode_dial_back(b"") == DialBack(0)
    assert decode_dial_back_response(encode_dial_back_response(DialBackResponse(5))) == DialBackResponse(5)


@pytest.mark.parametrize(
    "data",
    [
        b"",  # none of the kinds
        encode_message(OK_RESPONSE) + encode_message(DialDataRequest(0, 1)),  # two of them
        encode_message(DialRequest((), 1)),
        encode_message(DialRequest((ADDRESS,) * (MAX_ADDRESSES + 1), 1)),
        encode_message(DialRequest((b"a" * 257,), 1)),
        bytes.fromhex("0a04" + "0a00" + "1001"),  # the nonce as a varint
        bytes.fromhex("0801"),  # a kind as a number
        bytes.fromhex("1206" + "08ffffffff7f"),  # a status of 35 bits
        encode_message(OK_RESPONSE)[:-1],
        b"\x22" + b"\x81\x40" + b"d" * (MAX_MESSAGE_SIZE + 1),
    ],
)
def test_anything_else_is_the_other_sides_error(data):
    with pytest.raises(RemoteProtocolError):
        decode_message(data)


# --- the asker -------------------------------------------------------------------------------------------------------


def outcome(response, *, arrived=True):
    probe = Probe(ADDRESS, 5)
    probe.arrived = arrived
    return probe.outcome(encode_message(response))


def test_a_probe_asks_about_one_address():
    assert decode_message(Probe(ADDRESS, 5).request()) == DialRequest((ADDRESS,), 5)


def test_what_the_statuses_mean_for_the_address():
    assert outcome(OK_RESPONSE) is UP
    assert outcome(DialResponse(ResponseStatus.OK, 0, DialStatus.E_DIAL_ERROR)) is DOWN
    assert outcome(DialResponse(ResponseStatus.E_DIAL_REFUSED)) is ELSEWHERE
    assert outcome(DialResponse(ResponseStatus.OK, 0, DialStatus.E_DIAL_BACK_ERROR)) is UNKNOWN
    assert outcome(DialResponse(ResponseStatus.E_REQUEST_REJECTED)) is UNKNOWN
    assert outcome(DialResponse(ResponseStatus.E_INTERNAL_ERROR)) is UNKNOWN
    assert outcome(DialResponse(300)) is UNKNOWN
    assert outcome(DialResponse(ResponseStatus.OK, 0, 300)) is UNKNOWN


def test_a_success_without_the_nonce_is_a_lie():
    with pytest.raises(RemoteProtocolError) as raised:
        outcome(OK_RESPONSE, arrived=False)
    assert raised.value.reason == "no_dial_back"


def test_a_server_that_wants_data_or_dialled_something_else_is_not_believed():
    for message, reason in (
        (DialDataRequest(0, 30_000), "wants_data"),
        (DialResponse(ResponseStatus.OK, 1, DialStatus.OK), "bad_autonat"),
        (DialRequest((ADDRESS,), 1), "bad_autonat"),
    ):
        with pytest.raises(RemoteProtocolError) as raised:
            outcome(message)
        assert raised.value.reason == reason


def test_a_nonce_is_never_what_an_empty_message_says():
    with pytest.raises(LocalProtocolError):
        Probe(ADDRESS, 0)


def test_one_voice_is_no_verdict_and_a_strict_majority_is():
    verdicts = Verdicts()
    assert LEAST_VOTES == 2
    verdicts.record("a", "one", UP, 0.0)
    assert verdicts.verdict("a", 0.0) is UNKNOWN
    verdicts.record("a", "two", DOWN, 0.0)
    assert verdicts.verdict("a", 0.0) is UNKNOWN
    verdicts.record("a", "three", DOWN, 0.0)
    assert verdicts.verdict("a", 0.0) is DOWN
    assert verdicts.verdict("b", 0.0) is UNKNOWN


def test_a_prefix_has_one_vote_and_its_newest_counts():
    verdicts = Verdicts()
    for at in range(10):
        verdicts.record("a", "one", DOWN, float(at))
    assert verdicts.verdict("a", 10.0) is UNKNOWN
    verdicts.record("a", "two", UP, 10.0)
    verdicts.record("a", "one", UP, 10.0)
    assert verdicts.verdict("a", 10.0) is UP


def test_votes_grow_old_and_can_be_forgotten():
    verdicts = Verdicts()
    verdicts.record("a", "one", UP, 0.0)
    verdicts.record("a", "two", UP, 100.0)
    verdicts.record("a", "three", UNKNOWN, 100.0)
    assert verdicts.verdict("a", VOTE_LIFETIME_S - 1) is UP
    assert verdicts.verdict("a", VOTE_LIFETIME_S) is UNKNOWN
    verdicts.record("a", "one", UP, 200.0)
    assert verdicts.verdict("a", 200.0) is UP
    verdicts.forget("a")
    assert verdicts.verdict("a", 200.0) is UNKNOWN


def test_one_round_outweighs_what_was_so_before_the_network_changed():
    verdicts = Verdicts()
    for number in range(100):
        verdicts.record("a", f"server {number}", UP, 0.0)
    assert verdicts.verdict("a", 1.0) is UP
    for number in range(5):
        verdicts.record("a", f"another {number}", DOWN, 1.0)
    assert verdicts.verdict("a", 1.0) is DOWN


def test_what_is_remembered_of_votes_is_bounded():
    verdicts = Verdicts()
    for number in range(1000):
        verdicts.record("a", f"server {number}", UP, 0.0)
    assert verdicts.votes("a", 0.0).total() == 7
    for number in range(1000):
        verdicts.record(f"address {number}", "one", UP, 0.0)
    assert sum(verdicts.votes(f"address {number}", 0.0).total() for number in range(1000)) == 32


# --- the server ------------------------------------------------------------------------------------------------------


def test_a_server_dials_so_often_for_a_prefix_and_in_total():
    budget = DialBackBudget(DialBackLimits(requests=5, requests_per_prefix=2))

    def served(prefix, now_s):
        begun = budget.begin(prefix, now_s)
        if begun:
            budget.end(prefix)
        return begun

    assert [served("a", 0.0) for _ in range(3)] == [True, True, False]
    assert [served("b", 1.0), served("c", 1.0), served("d", 1.0), served("e", 1.0)] == [True, True, True, False]
    assert not served("a", 59.0)
    assert served("a", 60.0)
    assert budget.running == 0


def test_a_server_has_so_many_dials_under_way():
    budget = DialBackBudget(DialBackLimits(dials_at_once=3, dials_at_once_per_prefix=2))
    assert [budget.begin("a", 0.0) for _ in range(3)] == [True, True, False]
    assert [budget.begin("b", 0.0), budget.begin("c", 0.0)] == [True, False]
    budget.end("a")
    assert budget.begin("c", 0.0)
    with pytest.raises(LocalProtocolError):
        budget.end("d")
