"""The routing table: bucket boundaries, splitting, full buckets, diversity, time."""

import pytest

from peernet.core.dht.contact import Contact, address_prefix
from peernet.core.dht.table import (
    MAX_ID,
    MAX_PER_PREFIX_IN_BUCKET,
    MAX_PER_PREFIX_IN_RESULT,
    PING_INTERVAL_S,
    REFRESH_INTERVAL_S,
    Bucket,
    K,
    Outcome,
    RoutingTable,
)
from peernet.core.errors import LocalProtocolError

OWN = bytes(20)
HALF = 1 << 159


def contact(number: int, *, prefix: str = "", sequence: int = 0, expires_at_s: int = 10_000) -> Contact:
    return Contact(
        number.to_bytes(20),
        public_key=number.to_bytes(32),
        record=b"record",
        sequence=sequence,
        expires_at_s=expires_at_s,
        prefixes=(prefix or f"ip4/{number:x}",),
    )


def far_table(size: int = K) -> RoutingTable:
    """A table whose far half is split off and holds `size` contacts, seen at 1, 2, ... seconds."""
    table = RoutingTable(OWN, 0.0)
    for number in range(1, K + 1):
        table.add_contact(contact(number), 0.0)
    for index in range(size):
        table.add_contact(contact(HALF + index), 1.0 + index)
    return table


@pytest.mark.parametrize("bad", [b"", bytes(19), bytes(21), "x" * 20, bytearray(20)])
def test_ids_are_20_bytes(bad):
    with pytest.raises(LocalProtocolError):
        RoutingTable(bad, 0.0)
    with pytest.raises(LocalProtocolError):
        Contact(bad, public_key=b"", record=b"", sequence=0, expires_at_s=0, prefixes=())
    with pytest.raises(LocalProtocolError):
        RoutingTable(OWN, 0.0).bucket_of(bad)


def test_ids_at_both_ends_of_a_bucket_belong_to_it():
    table = far_table()
    lower, upper = table.buckets[-2:]
    assert upper.range == (HALF, MAX_ID)
    assert table.get_bucket_for(contact(HALF - 1)) == len(table.buckets) - 2
    assert table.get_bucket_for(contact(HALF)) == len(table.buckets) - 1
    assert table.get_bucket_for(contact(MAX_ID)) == len(table.buckets) - 1
    assert lower.range[1] == HALF - 1


def test_we_are_not_in_our_own_table():
    table = RoutingTable(OWN, 0.0)
    assert table.add_contact(contact(0), 0.0).outcome is Outcome.OURSELVES
    assert len(table) == 0


def test_a_split_keeps_contacts_waiting_ones_and_times():
    bucket = Bucket(0, MAX_ID, 2, 7.0)
    for number, now_s in ((1, 10.0), (HALF, 11.0), (2, 12.0), (HALF + 1, 13.0)):
        bucket.add_node(contact(number), now_s)
    assert [len(bucket.nodes), len(bucket.replacement_nodes)] == [2, 2]

    lower, upper = bucket.split()

    assert [node.long_id for node in lower.get_nodes()] == [1, 2]
    assert [node.long_id for node in upper.get_nodes()] == [HALF, HALF + 1]
    assert lower.last_seen_s[contact(2).id] == 12.0
    assert lower.last_updated == upper.last_updated == 7.0


def test_a_full_bucket_keeps_its_contacts_and_asks_for_a_ping_of_the_most_silent():
    table = far_table()
    addition = table.add_contact(contact(HALF + 100), 50.0)
    assert addition.outcome is Outcome.WAITING
    assert addition.ping is not None
    assert addition.ping.long_id == HALF
    assert table.is_new_node(contact(HALF + 100))


def test_newcomers_cannot_make_us_ping_faster_than_the_interval():
    table = far_table()
    additions = [table.add_contact(contact(HALF + 100 + index), 50.0) for index in range(10)]
    assert [addition.ping is not None for addition in additions] == [True] + [False] * 9
    assert table.add_contact(contact(HALF + 120), 50.0 + PING_INTERVAL_S).ping is not None


def test_a_dead_contact_is_replaced_by_the_newcomer_seen_last():
    table = far_table()
    for index in (100, 101):
        table.add_contact(contact(HALF + index), 50.0 + index)
    table.remove_contact(contact(HALF))
    assert not table.is_new_node(contact(HALF + 101))
    assert table.is_new_node(contact(HALF + 100))
    assert table.is_new_node(contact(HALF))


def test_a_promoted_contact_takes_its_place_in_the_order_of_silence():
    table = far_table()
    table.add_contact(contact(HALF + 100), 50.0)
    for index in range(1, K):
        table.add_contact(contact(HALF + index), 60.0)
    table.remove_contact(contact(HALF))
    assert table.add_contact(contact(HALF + 101), 70.0).ping.long_id == HALF + 100


def test_a_contact_that_answers_its_ping_moves_to_the_end():
    table = far_table()
    assert table.add_contact(contact(HALF), 60.0).outcome is Outcome.REFRESHED
    assert table.add_contact(contact(HALF + 100), 70.0).ping.long_id == HALF + 1


def test_the_replacement_cache_is_bounded_at_k():
    table = far_table()
    for index in range(5 * K):
        table.add_contact(contact(HALF + 100 + index), 50.0)
    bucket = table.buckets[-1]
    assert len(bucket.replacement_nodes) == K
    assert len(bucket.last_seen_s) == 2 * K
    assert contact(HALF + 100 + 5 * K - 1).id in bucket.replacement_nodes


def test_a_bucket_takes_at_most_two_of_a_prefix():
    table = RoutingTable(OWN, 0.0)
    outcomes = [table.add_contact(contact(number, prefix="ip4/same"), 0.0).outcome for number in range(1, 6)]
    assert outcomes == [Outcome.ADDED] * MAX_PER_PREFIX_IN_BUCKET + [Outcome.TOO_SIMILAR] * 3


def test_the_replacement_cache_takes_at_most_two_of_a_prefix_and_promotes_within_the_limit():
    table = far_table(K - 2)
    for index in range(2):
        table.add_contact(contact(HALF + 50 + index, prefix="ip4/same"), 40.0)
    waiting = [table.add_contact(contact(HALF + 60 + index, prefix="ip4/same"), 41.0) for index in range(3)]
    assert [addition.outcome for addition in waiting] == [Outcome.WAITING] * 2 + [Outcome.TOO_SIMILAR]

    table.remove_contact(contact(HALF))
    assert len(table.buckets[-1].nodes) == K - 1

    table.remove_contact(contact(HALF + 50))
    assert not table.is_new_node(contact(HALF + 61))


def test_a_result_holds_at_most_three_of_a_prefix():
    table = RoutingTable(OWN, 0.0)
    for bit in (159, 158, 157, 156):
        for number in range(1, K):
            table.add_contact(contact((1 << bit) + number, prefix="ip4/same" if number < 3 else ""), 0.0)
    target = ((1 << 159) + 1).to_bytes(20)
    found = table.find_neighbors(target, 4 * K, now_s=0.0)
    shared = [node for node in found if node.prefixes == ("ip4/same",)]
    assert len(shared) == MAX_PER_PREFIX_IN_RESULT
    assert found[0].id == target
    # The two nearest buckets hold as many as are wanted, but one too many of the prefix.
    assert table.find_neighbors(target, 2 * (K - 1), now_s=0.0) == found[: 2 * (K - 1)]


def test_moving_to_a_crowded_network_costs_the_place():
    table = RoutingTable(OWN, 0.0)
    for number in (1, 2):
        table.add_contact(contact(number, prefix="ip4/same"), 0.0)
    table.add_contact(contact(3), 0.0)
    assert table.add_contact(contact(3, prefix="ip4/same", sequence=1), 1.0).outcome is Outcome.TOO_SIMILAR
    assert table.is_new_node(contact(3))


def test_an_older_record_does_not_replace_a_newer_one():
    table = RoutingTable(OWN, 0.0)
    table.add_contact(contact(1, sequence=5), 0.0)
    table.add_contact(contact(1, sequence=4), 1.0)
    assert [node.sequence for node in table.contacts()] == [5]
    table.add_contact(contact(1, sequence=6), 2.0)
    assert [node.sequence for node in table.contacts()] == [6]


def test_expired_contacts_are_neither_named_nor_kept():
    table = far_table()
    table.add_contact(contact(HALF + 100, expires_at_s=60), 50.0)
    table.add_contact(contact(HALF + 5, expires_at_s=60), 50.0)
    assert contact(HALF + 5).id not in {node.id for node in table.find_neighbors(OWN, 100, now_s=60.0)}
    assert [node.long_id for node in table.expire(60.0)] == [HALF + 5, HALF + 100]
    assert len(table.buckets[-1].last_seen_s) == K - 1


def test_silent_contacts_and_lonely_buckets_are_known_by_the_time_handed_in():
    table = far_table()
    table.add_contact(contact(HALF), REFRESH_INTERVAL_S)
    silent = table.silent_contacts(REFRESH_INTERVAL_S + 2.0)
    assert [node.long_id for node in silent] == [*range(1, K + 1), HALF + 1]

    assert table.lonely_buckets(REFRESH_INTERVAL_S - 1.0) == []
    table.touch(HALF.to_bytes(20), 100.0)
    assert table.lonely_buckets(REFRESH_INTERVAL_S) == table.buckets[:-1]


def test_a_random_id_of_a_bucket_lies_in_it():
    for bucket in far_table().buckets:
        for byte in (0, 1, 127, 255):
            number = int.from_bytes(bucket.id_within(lambda size, byte=byte: bytes((byte,)) * size))
            assert bucket.range[0] <= number <= bucket.range[1]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("/ip4/203.0.113.1/tcp/1", "/ip4/203.0.113.254/tcp/2", True),
        ("/ip4/203.0.113.1/tcp/1", "/ip4/203.0.114.1/tcp/1", False),
        ("/ip6/2001:db8:1::1/tcp/1", "/ip6/2001:db8:1:ffff::1/tcp/1", True),
        ("/ip6/2001:db8:1::1/tcp/1", "/ip6/2001:db8:2::1/tcp/1", False),
        ("/ip6/::ffff:203.0.113.9/tcp/1", "/ip4/203.0.113.1/tcp/1", True),
        ("/ip6/2002:cb00:7109::1/tcp/1", "/ip4/203.0.113.1/tcp/1", True),
        ("/dns4/a.example.org/tcp/1", "/dns/b.EXAMPLE.org/tcp/1", True),
        ("/dns4/a.example.org/tcp/1", "/dns4/a.example.net/tcp/1", False),
        ("/memory/1", "/memory/2", False),
    ],
)
def test_prefixes_of_addresses(one, other, same):
    assert (address_prefix(one) == address_prefix(other)) is same


@pytest.mark.parametrize("bad", ["", "/", "/ip4", "/ip4/", "ip4/1.2.3.4", "/ip4/1.2.3/tcp/1", "/ip6/zz/tcp/1", "//x"])
def test_what_is_no_address_has_no_prefix(bad):
    with pytest.raises(ValueError, match=r"."):
        address_prefix(bad)


def test_an_observed_address_counts_alone():
    claims = Contact(
        bytes(20), public_key=b"", record=b"", sequence=0, expires_at_s=0, prefixes=("ip4/cb0071", "ip4/cb0072")
    )
    assert claims.observed_at("/ip4/198.51.100.7/tcp/1").prefixes == ("ip4/c63364",)
    assert claims.prefixes == ("ip4/cb0071", "ip4/cb0072")
