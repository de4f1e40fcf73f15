"""A DHT node as a server, and its messages on the wire."""

import attrs
import pytest

from peernet.core.dht.messages import (
    MAX_REPLY_SIZE,
    MAX_REQUEST_SIZE,
    FindNode,
    FindValue,
    Nodes,
    Ping,
    Pong,
    Store,
    Stored,
    Values,
    decode_reply,
    decode_request,
    encode_message,
)
from peernet.core.dht.node import MAX_PINGS, DhtNode
from peernet.core.dht.records import (
    MAX_RECORD_SIZE,
    PROVIDER,
    PeerRecord,
    ProviderRecord,
    RecordVerifier,
    operator_statement,
    sign_record,
)
from peernet.core.dht.table import REFRESH_INTERVAL_S, K
from peernet.core.errors import RemoteProtocolError
from peernet.core.identity import Keypair
from peernet.core.suite import MixedSuite

SUITE = MixedSuite()
NOW_S = 1_000_000
KEY = bytes([7]) * 20
RECORD = bytes(MAX_RECORD_SIZE)


def keys(number: int) -> Keypair:
    return Keypair.from_seed(number.to_bytes(32), SUITE)


def peer_record(number: int, life_s: int = 7200) -> bytes:
    body = PeerRecord(
        public_key=keys(number).public_key,
        sequence=0,
        issued_at_s=NOW_S,
        expires_at_s=NOW_S + life_s,
        addresses=(f"/ip4/10.{number >> 8}.{number & 255}.1/tcp/1",),
        onion_key=bytes(32),
        operator_key=keys(number).public_key,
        operator_signature=keys(number).sign(operator_statement(keys(number).public_key)),
        roles=(),
        region="",
    )
    return sign_record(body, keys(number))


def provider_record(number: int) -> bytes:
    return sign_record(ProviderRecord(keys(number).public_key, 0, NOW_S, NOW_S + 60, KEY), keys(number))


def make_node() -> DhtNode:
    return DhtNode(keys(0).peer_id.dht_id, RecordVerifier(SUITE), NOW_S)


def greet(node: DhtNode, number: int, **options):
    return node.greet(peer_record(number), keys(number).public_key, NOW_S, **options)


@pytest.mark.parametrize("request_", [Ping(), FindNode(KEY), FindValue(PROVIDER, KEY), Store(RECORD)])
def test_requests_survive_the_wire(request_):
    data = encode_message(request_)
    assert len(data) <= MAX_REQUEST_SIZE
    assert decode_request(data) == request_


@pytest.mark.parametrize(
    "reply",
    [Pong(), Nodes((RECORD,) * K), Values((RECORD,) * K, (RECORD,) * K), Values((), ()), Stored(accepted=True)],
)
def test_replies_survive_the_wire_up_to_their_bounds(reply):
    data = encode_message(reply)
    assert len(data) <= MAX_REPLY_SIZE
    assert decode_reply(data) == reply


def oversized(message, **changes):
    for name, value in changes.items():
        object.__setattr__(message, name, value)
    return encode_message(message)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x90",
        b"\x91\x63",
        oversized(FindNode(KEY), target=bytes(19)),
        oversized(FindValue(PROVIDER, KEY), key=bytes(21)),
        oversized(FindValue(PROVIDER, KEY), kind="2"),
        oversized(Store(RECORD), record=RECORD + b"x"),
        oversized(Store(RECORD), record=b""),
        bytes(MAX_REQUEST_SIZE + 1),
    ],
)
def test_requests_out_of_bounds_are_refused(data):
    with pytest.raises(RemoteProtocolError):
        decode_request(data)


@pytest.mark.parametrize(
    "data",
    [
        oversized(Nodes(()), records=(b"x",) * (K + 1)),
        oversized(Nodes(()), records=(RECORD + b"x",)),
        oversized(Values((), ()), closer=(b"x",) * (K + 1)),
        oversized(Stored(accepted=True), accepted=1),
        encode_message(FindNode(KEY)),
        bytes(MAX_REPLY_SIZE + 1),
    ],
)
def test_replies_out_of_bounds_are_refused(data):
    with pytest.raises(RemoteProtocolError):
        decode_reply(data)


def test_a_client_is_answered_and_not_put_into_the_table():
    node = make_node()
    assert node.handle(Ping(), None, NOW_S) == Pong()
    assert node.handle(FindNode(KEY), None, NOW_S) == Nodes(())
    assert len(node.table) == 0


def test_a_serving_peer_is_put_into_the_table_and_named_to_others_but_not_to_itself():
    node = make_node()
    one, two = greet(node, 1), greet(node, 2)
    node.handle(Ping(), one, NOW_S)
    assert node.handle(FindNode(KEY), two, NOW_S) == Nodes((one.record,))
    assert set(node.handle(FindNode(KEY), None, NOW_S).records) == {one.record, two.record}


def test_nobody_introduces_itself_with_the_record_of_another():
    with pytest.raises(RemoteProtocolError):
        make_node().greet(peer_record(1), keys(2).public_key, NOW_S)


def test_an_introduced_peer_counts_at_its_observed_address():
    assert greet(make_node(), 1).prefixes == ("ip4/0a0001",)
    assert greet(make_node(), 1, observed="/ip4/192.0.2.5/tcp/9").prefixes == ("ip4/c00002",)


def test_a_stored_record_is_found_until_it_expires():
    node = make_node()
    signed = provider_record(1)
    assert node.handle(Store(signed), None, NOW_S) == Stored(accepted=True)
    assert node.handle(FindValue(PROVIDER, KEY), None, NOW_S) == Values((signed,), ())
    assert node.handle(FindValue(PROVIDER, KEY), None, NOW_S + 60) == Values((), ())
    assert node.handle(Store(signed), None, NOW_S + 60) == Stored(accepted=False)


def test_a_record_that_is_not_in_order_is_not_held():
    node = make_node()
    with pytest.raises(RemoteProtocolError):
        node.handle(Store(provider_record(1)[:-1] + b"\xff"), None, NOW_S)
    assert len(node.store) == 0


def test_a_reply_fits_its_bound_however_much_is_held():
    node = make_node()
    for number in range(1, 3 * K):
        node.handle(Store(provider_record(number)), greet(node, number), NOW_S)
    reply = node.handle(FindValue(PROVIDER, KEY), None, NOW_S)
    assert (len(reply.records), len(reply.closer)) == (K, K)
    assert len(encode_message(reply)) <= MAX_REPLY_SIZE


def test_the_record_of_a_peer_that_left_is_not_handed_on():
    node = make_node()
    contact = greet(node, 1)
    node.heard_from(contact, NOW_S)
    node.lost(contact)
    assert node.handle(FindNode(KEY), None, NOW_S) == Nodes(())


def test_peers_silent_for_a_refresh_interval_are_pinged_and_leave_when_they_stay_silent():
    node = make_node()
    one, two = greet(node, 1), greet(node, 2)
    node.heard_from(one, NOW_S)
    node.heard_from(two, NOW_S + 10)
    node.expire(NOW_S + REFRESH_INTERVAL_S)
    assert node.take_pings() == [one]
    assert node.take_pings() == []
    node.lost(one)
    assert node.good_records() == (two.record,)


def test_a_peer_whose_record_expired_leaves_without_a_ping():
    node = make_node()
    node.heard_from(greet(node, 1), NOW_S)
    node.expire(NOW_S + 7200)
    assert node.good_records() == ()
    assert node.take_pings() == []


def test_pings_wanted_at_once_are_bounded():
    node = make_node()
    for number in range(1, 100):
        node.heard_from(greet(node, number), NOW_S)
    assert len(node.table) > MAX_PINGS
    node.expire(NOW_S + REFRESH_INTERVAL_S)
    assert len(node.take_pings()) == MAX_PINGS


def test_stale_parts_of_the_table_are_refreshed_by_looking_up_an_id_in_each():
    node = make_node()
    for number in range(1, 100):
        node.heard_from(greet(node, number), NOW_S)
    later_s = NOW_S + REFRESH_INTERVAL_S
    targets = node.stale_targets(later_s, lambda size: bytes([77]) * size)
    assert [node.table.bucket_of(target) for target in targets] == node.table.buckets
    node.lookup(targets[0], later_s)
    assert len(node.stale_targets(later_s, bytes)) == len(targets) - 1


def test_a_lookup_begins_with_the_contacts_closest_to_the_target():
    node = make_node()
    contacts = [greet(node, number) for number in range(1, 60)]
    for contact in contacts:
        node.heard_from(contact, NOW_S)
    queries = node.lookup(KEY, NOW_S).next_queries(NOW_S)
    assert [query.contact for query in queries] == node.table.find_neighbors(KEY, 3, now_s=NOW_S)
    extra = node.verifier.contact(peer_record(1000), NOW_S)
    joining = make_node().lookup(KEY, NOW_S, seeds=[extra])
    assert [query.contact for query in joining.next_queries(NOW_S)] == [extra]


def test_messages_do_not_change():
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        Ping().anything = 1
