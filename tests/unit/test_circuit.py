"""Circuit relay v2 without a network: the specification's bytes, vouchers, and what a relay's book bears."""

import pytest

from peernet.core.circuit import (
    MAX_MESSAGE_SIZE,
    CircuitBook,
    CircuitLimits,
    Connect,
    Limit,
    Pacer,
    Reservation,
    Reserve,
    Status,
    StatusMessage,
    decode_hop,
    decode_stop,
    encode_hop,
    encode_stop,
    reservation_voucher,
    voucher_is_valid,
)
from peernet.core.errors import LocalProtocolError, RemoteProtocolError
from peernet.core.identity import Keypair
from peernet.core.protobuf import bytes_field, varint_field
from peernet.core.suite import MixedSuite

SUITE = MixedSuite()
ONE, TWO, THREE, RELAY = (Keypair.from_seed(bytes([number]) * 32, SUITE) for number in range(1, 5))
LIMIT = Limit(7200, 2**30)
ID = "0a26" + ONE.peer_id.to_bytes().hex()


def test_messages_are_the_bytes_of_the_specification():
    """Worked out by hand from its protobuf; the type is written where it is 0, too, since proto2 requires it."""
    assert encode_hop(Reserve()).hex() == "0800"
    assert encode_hop(Connect(ONE.peer_id)).hex() == "0801" + "1228" + ID
    assert encode_hop(StatusMessage(Status.NO_RESERVATION)).hex() == "0802" + "28cc01"
    assert encode_hop(StatusMessage(100, Reservation(300, (b"ab",), b"v"), Limit(1, 2))).hex() == (
        "0802" + "1a0a" + "08ac02" + "12026162" + "1a0176" + "2204" + "0801" + "1002" + "2864"
    )
    assert encode_stop(Connect(ONE.peer_id, Limit(1, 2))).hex() == "0800" + "1228" + ID + "1a04" + "08011002"
    assert encode_stop(StatusMessage(Status.OK)).hex() == "0801" + "2064"


@pytest.mark.parametrize(
    "message",
    [
        Reserve(),
        Connect(ONE.peer_id),
        StatusMessage(Status.OK, Reservation(2_000_000_000, (b"a", b"b"), b"voucher"), LIMIT),
        StatusMessage(12345),
    ],
)
def test_hop_messages_come_back_as_they_were(message):
    assert decode_hop(encode_hop(message)) == message


@pytest.mark.parametrize("message", [Connect(ONE.peer_id, LIMIT), Connect(TWO.peer_id), StatusMessage(Status.OK)])
def test_stop_messages_come_back_as_they_were(message):
    assert decode_stop(encode_stop(message)) == message


@pytest.mark.parametrize(
    "data",
    [
        b"",  # no type
        varint_field(1, 3),
        bytes_field(1, b"\x00"),
        varint_field(1, 1),  # to nobody
        varint_field(1, 1) + bytes_field(2, b""),
        varint_field(1, 1) + bytes_field(2, bytes_field(1, b"\x00\x24" + bytes(36))),
        varint_field(1, 1) + varint_field(2, 1),
        varint_field(1, 2),  # a status without one
        varint_field(1, 2) + bytes_field(3, b"") + varint_field(5, 100),  # a reservation without an end
        varint_field(1, 2) + bytes_field(4, varint_field(1, 2**33)) + varint_field(5, 100),
        encode_hop(Connect(ONE.peer_id))[:-1],
        varint_field(1, 0) + bytes_field(9, b"x" * MAX_MESSAGE_SIZE),
    ],
)
def test_any_other_hop_message_is_the_other_sides_error(data):
    with pytest.raises(RemoteProtocolError):
        decode_hop(data)


@pytest.mark.parametrize("data", [b"", varint_field(1, 2), varint_field(1, 0), varint_field(1, 1)])
def test_any_other_stop_message_is_the_other_sides_error(data):
    with pytest.raises(RemoteProtocolError):
        decode_stop(data)


def test_unknown_fields_are_passed_over():
    assert decode_hop(encode_hop(Connect(ONE.peer_id)) + bytes_field(15, b"later")) == Connect(ONE.peer_id)


# --- vouchers --------------------------------------------------------------------------------------------------------


def test_a_voucher_is_for_one_peer_of_one_relay_until_one_time():
    voucher = reservation_voucher(RELAY, ONE.peer_id, 1000)
    assert voucher_is_valid(voucher, RELAY.peer_id, ONE.peer_id, 1000, SUITE)
    assert not voucher_is_valid(voucher, RELAY.peer_id, TWO.peer_id, 1000, SUITE)
    assert not voucher_is_valid(voucher, TWO.peer_id, ONE.peer_id, 1000, SUITE)
    assert not voucher_is_valid(voucher, RELAY.peer_id, ONE.peer_id, 1001, SUITE)


def test_a_voucher_with_another_signature_is_not_valid():
    voucher = reservation_voucher(RELAY, ONE.peer_id, 1000)
    forged = voucher[:-1] + bytes([voucher[-1] ^ 1])
    assert not voucher_is_valid(forged, RELAY.peer_id, ONE.peer_id, 1000, SUITE)
    assert not voucher_is_valid(voucher[:-66], RELAY.peer_id, ONE.peer_id, 1000, SUITE)


def test_what_is_signed_is_the_envelope_of_rfc_0002():
    voucher = reservation_voucher(RELAY, ONE.peer_id, 1)
    payload = bytes_field(1, RELAY.peer_id.to_bytes()) + bytes_field(2, ONE.peer_id.to_bytes()) + varint_field(3, 1)
    signed = b"\x11libp2p-relay-rsvp" + b"\x02\x03\x02" + bytes([len(payload)]) + payload
    assert SUITE.verify(RELAY.public_key, signed, voucher[-64:])


# --- what a relay bears ----------------------------------------------------------------------------------------------


def book(**limits):
    return CircuitBook(CircuitLimits(**limits))


def test_a_reservation_ends_with_its_time_and_can_be_prolonged():
    relay = book(reservation_lifetime_s=100)
    assert relay.reserve(ONE.peer_id, "a", 1000.5) == 1100
    assert relay.reserve(ONE.peer_id, "a", 1050.0) == 1150
    assert relay.open_circuit(TWO.peer_id, "z", ONE.peer_id, 1149.0) is Status.OK
    assert relay.open_circuit(TWO.peer_id, "z", ONE.peer_id, 1150.0) is Status.NO_RESERVATION
    assert relay.reserved == ()


def test_places_are_bounded_in_total_and_by_prefix_and_prolonging_needs_no_new_one():
    relay = book(reservations=2, reservations_per_prefix=1)
    assert relay.reserve(ONE.peer_id, "a", 0.0)
    assert not relay.reserve(TWO.peer_id, "a", 0.0)
    assert relay.reserve(TWO.peer_id, "b", 0.0)
    assert not relay.reserve(THREE.peer_id, "c", 0.0)
    assert relay.reserve(ONE.peer_id, "a", 1.0)
    relay.leave(ONE.peer_id)
    relay.leave(ONE.peer_id)
    assert relay.reserve(THREE.peer_id, "a", 0.0)


def test_circuits_need_a_reservation_and_are_bounded_by_source_target_and_in_total():
    relay = book(circuits=3, circuits_per_source=2, circuits_per_target=2)
    one, two, three, four = ONE.peer_id, TWO.peer_id, THREE.peer_id, RELAY.peer_id
    assert relay.open_circuit(two, "z", one, 0.0) is Status.NO_RESERVATION
    for peer in (one, three):
        relay.reserve(peer, "a", 0.0)
    assert relay.open_circuit(one, "z", one, 0.0) is Status.PERMISSION_DENIED
    assert relay.open_circuit(two, "z", one, 0.0) is Status.OK
    assert relay.open_circuit(two, "z", one, 0.0) is Status.OK
    assert relay.open_circuit(two, "z", three, 0.0) is Status.RESOURCE_LIMIT_EXCEEDED  # of the source
    assert relay.open_circuit(four, "z", one, 0.0) is Status.RESOURCE_LIMIT_EXCEEDED  # of the target
    assert relay.open_circuit(four, "z", three, 0.0) is Status.OK
    assert relay.open_circuit(one, "z", three, 0.0) is Status.RESOURCE_LIMIT_EXCEEDED  # in total
    relay.close_circuit(two, "z", one)
    assert relay.open_circuit(one, "z", three, 0.0) is Status.OK
    assert relay.circuits == 3


def test_one_network_does_not_take_all_circuits_under_many_keys():
    relay = book(circuits=9, circuits_per_prefix=2)
    relay.reserve(ONE.peer_id, "a", 0.0)
    assert relay.open_circuit(TWO.peer_id, "b", ONE.peer_id, 0.0) is Status.OK
    assert relay.open_circuit(THREE.peer_id, "b", ONE.peer_id, 0.0) is Status.OK
    assert relay.open_circuit(RELAY.peer_id, "b", ONE.peer_id, 0.0) is Status.RESOURCE_LIMIT_EXCEEDED
    assert relay.open_circuit(RELAY.peer_id, "c", ONE.peer_id, 0.0) is Status.OK
    relay.close_circuit(TWO.peer_id, "b", ONE.peer_id)
    assert relay.open_circuit(RELAY.peer_id, "b", ONE.peer_id, 0.0) is Status.OK


def test_closing_what_is_not_open_is_a_bug():
    relay = book()
    with pytest.raises(LocalProtocolError):
        relay.close_circuit(ONE.peer_id, "z", TWO.peer_id)


def test_a_pacer_keeps_the_rate_after_one_second_of_grace():
    pacer = Pacer(1000, 50.0)
    assert pacer.pause_s(1000, 50.0) == 0.0
    assert pacer.pause_s(500, 50.0) == 0.5
    assert pacer.pause_s(500, 50.5) == 0.5
    assert pacer.pause_s(1000, 1000.0) == 0.0
    assert pacer.pause_s(1000, 1000.0) == 1.0
    with pytest.raises(LocalProtocolError):
        Pacer(0, 0.0)
