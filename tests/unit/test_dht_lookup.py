"""The lookup state machine: order, disjoint paths, hostile replies, bounds, timeouts."""

import itertools

import attrs
import pytest

from peernet.core.dht.contact import Contact
from peernet.core.dht.lookup import MAX_PATHS, MAX_QUERIES, Lookup
from peernet.core.dht.messages import FindNode, FindValue, Nodes, Pong, Values
from peernet.core.dht.records import (
    PEER,
    PROVIDER,
    PeerRecord,
    ProviderRecord,
    RecordVerifier,
    operator_statement,
    sign_record,
)
from peernet.core.dht.table import ALPHA, K
from peernet.core.errors import LocalProtocolError, RemoteProtocolError
from peernet.core.identity import Keypair
from peernet.core.suite import MixedSuite

SUITE = MixedSuite()
VERIFIER = RecordVerifier(SUITE)
NOW_S = 1_000_000
TARGET = bytes(20)


def make_keys(number: int) -> Keypair:
    return Keypair.from_seed(number.to_bytes(32), SUITE)


def peer_record(number: int, *, address: str | None = None, sequence: int = 0, life_s: int = 3600) -> bytes:
    keys = make_keys(number)
    body = PeerRecord(
        public_key=keys.public_key,
        sequence=sequence,
        issued_at_s=NOW_S - 100,
        expires_at_s=NOW_S - 100 + life_s,
        addresses=(address or f"/ip4/10.{number >> 8}.{number & 255}.1/tcp/1",),
        onion_key=bytes(32),
        operator_key=keys.public_key,
        operator_signature=keys.sign(operator_statement(keys.public_key)),
        roles=(),
        region="",
    )
    return sign_record(body, keys)


def peer(number: int, **changes) -> Contact:
    return VERIFIER.contact(peer_record(number, **changes), NOW_S)


PEERS = sorted((peer(number) for number in range(1, 121)), key=lambda contact: contact.long_id)
"""A hundred and twenty peers, the closest to the target first."""


def closest_records(peers, count=K):
    return tuple(contact.record for contact in sorted(peers, key=lambda contact: contact.long_id)[:count])


def run(lookup: Lookup, answer, *, most_under_way: int = ALPHA) -> list[Contact]:
    """Answers the oldest query first until the lookup is finished; returns who was asked, in order."""
    asked, waiting = [], []
    while not lookup.finished:
        new = lookup.next_queries(NOW_S)
        asked += [query.contact for query in new]
        waiting += [query.contact for query in new]
        assert 0 < len(waiting) <= most_under_way
        contact = waiting.pop(0)
        reply = answer(contact)
        if reply is None:
            lookup.on_failure(contact)
        else:
            lookup.on_reply(contact, reply, NOW_S)
    assert lookup.next_queries(NOW_S) == []
    return asked


def chain(contact: Contact) -> Nodes:
    """Each peer knows the twenty that are next closer than itself, and those around the target know each other."""
    position = PEERS.index(contact)
    return Nodes(tuple(known.record for known in PEERS[max(0, position - K) : max(position, K)]))


def test_it_finds_the_k_closest_from_a_far_seed():
    lookup = Lookup(TARGET, [PEERS[-1]], VERIFIER)
    asked = run(lookup, chain)
    assert list(lookup.result.closest) == PEERS[:K]
    assert lookup.result.hops == 7
    assert len(asked) == len(set(asked)) == lookup.result.queries


def test_at_most_alpha_queries_are_under_way_and_one_slow_peer_holds_up_nobody():
    lookup = Lookup(TARGET, PEERS[:K], VERIFIER)
    slow, *others = lookup.next_queries(NOW_S)
    assert len(others) == ALPHA - 1
    assert lookup.next_queries(NOW_S) == []
    asked = 0
    while others:
        query = others.pop()
        asked += 1
        lookup.on_reply(query.contact, Nodes(()), NOW_S)
        others += lookup.next_queries(NOW_S)
    assert asked == K - 1
    assert not lookup.finished
    lookup.on_reply(slow.contact, Nodes(()), NOW_S)
    assert lookup.finished


def test_failed_peers_make_room_for_the_next_closest_and_do_not_come_back():
    dead = set(PEERS[0:10:2])
    lookup = Lookup(TARGET, PEERS[10:12], VERIFIER)
    asked = run(lookup, lambda contact: None if contact in dead else Nodes(closest_records(PEERS)))
    assert list(lookup.result.closest) == [contact for contact in PEERS[:K] if contact not in dead]
    assert lookup.result.failures == len(dead)
    assert len(asked) == len(set(asked)) == K


def test_who_failed_on_one_path_takes_no_place_on_another():
    lookup = Lookup(TARGET, [PEERS[10], PEERS[11]], VERIFIER, k=1, paths=2)
    lookup.next_queries(NOW_S)
    lookup.on_reply(PEERS[10], Nodes((PEERS[0].record,)), NOW_S)
    assert [query.contact for query in lookup.next_queries(NOW_S)] == [PEERS[0]]
    lookup.on_failure(PEERS[0])
    lookup.on_reply(PEERS[11], Nodes((PEERS[0].record, PEERS[1].record)), NOW_S)
    assert [query.contact for query in lookup.next_queries(NOW_S)] == [PEERS[1]]


def test_a_lookup_without_seeds_is_finished():
    lookup = Lookup(TARGET, [], VERIFIER)
    assert lookup.finished
    assert lookup.result.closest == ()


def test_we_are_never_our_own_candidate():
    lookup = Lookup(TARGET, PEERS[:2], VERIFIER, own_id=PEERS[0].id)
    asked = run(lookup, lambda _: Nodes(closest_records(PEERS[:5])))
    assert PEERS[0] not in asked
    assert list(lookup.result.closest) == PEERS[1:5]


def test_disjoint_paths_share_no_peer_and_find_the_same():
    lookup = Lookup(TARGET, PEERS[60:68], VERIFIER, paths=4)
    first = lookup.next_queries(NOW_S)
    assert len(first) == 8, "two seeds a path"
    waiting = [query.contact for query in first]
    asked = list(waiting)
    while not lookup.finished:
        contact = waiting.pop(0)
        lookup.on_reply(contact, chain(contact), NOW_S)
        new = [query.contact for query in lookup.next_queries(NOW_S)]
        waiting += new
        asked += new
    assert len(asked) == len(set(asked))
    assert list(lookup.result.closest) == PEERS[:K]


def test_a_path_follows_only_what_its_own_peers_said():
    honest, hostile = PEERS[60], PEERS[61]
    liars = PEERS[30:50]
    lookup = Lookup(TARGET, [honest, hostile], VERIFIER, paths=2)
    lookup.next_queries(NOW_S)
    lookup.on_reply(hostile, Nodes(closest_records(liars)), NOW_S)
    on_hostile_path = {query.contact for query in lookup.next_queries(NOW_S)}
    lookup.on_reply(honest, Nodes(closest_records(PEERS[:20])), NOW_S)
    on_honest_path = {query.contact for query in lookup.next_queries(NOW_S)}
    assert on_hostile_path <= set(liars)
    assert on_honest_path == set(PEERS[:ALPHA])


def test_one_hostile_path_cannot_hide_the_target_from_the_others():
    hostile = set(PEERS[60:100:2])

    def answer(contact):
        return Nodes(closest_records(hostile)) if contact in hostile else chain(contact)

    lookup = Lookup(TARGET, PEERS[100:104], VERIFIER, paths=4)
    run(lookup, lambda contact: Nodes(closest_records(hostile)) if contact is PEERS[100] else answer(contact),
        most_under_way=4 * ALPHA)  # fmt: skip
    assert list(lookup.result.closest) == PEERS[:K]


@pytest.mark.parametrize(
    "reply",
    [
        Pong(),
        Values((), ()),
        Nodes((b"rubbish",)),
        Nodes((PEERS[0].record[:-1] + b"\xff",)),
        Nodes((sign_record(ProviderRecord(make_keys(1).public_key, 0, NOW_S, NOW_S + 9, TARGET), make_keys(1)),)),
    ],
)
def test_a_reply_that_breaks_the_protocol_fails_its_sender_alone(reply):
    lookup = Lookup(TARGET, PEERS[:2], VERIFIER)
    lookup.next_queries(NOW_S)
    with pytest.raises(RemoteProtocolError):
        lookup.on_reply(PEERS[0], reply, NOW_S)
    lookup.on_reply(PEERS[1], Nodes(closest_records(PEERS[:1])), NOW_S)
    assert lookup.finished
    assert list(lookup.result.closest) == [PEERS[1]]
    assert lookup.result.failures == 1


def test_a_reply_of_more_than_k_records_is_refused():
    with pytest.raises(ValueError, match="over 20"):
        Nodes(closest_records(PEERS, K + 1))
    too_many = Nodes(())
    object.__setattr__(too_many, "records", closest_records(PEERS, K + 1))
    lookup = Lookup(TARGET, PEERS[:1], VERIFIER)
    lookup.next_queries(NOW_S)
    with pytest.raises(RemoteProtocolError):
        lookup.on_reply(PEERS[0], too_many, NOW_S)


def test_an_expired_record_in_a_reply_is_passed_over():
    lookup = Lookup(TARGET, PEERS[:1], VERIFIER)
    lookup.next_queries(NOW_S)
    lookup.on_reply(PEERS[0], Nodes((peer_record(500, life_s=50), PEERS[1].record)), NOW_S)
    assert [query.contact for query in lookup.next_queries(NOW_S)] == [PEERS[1]]


def test_neighbours_on_one_network_cannot_fill_the_window():
    crowd = [peer(number, address="/ip4/192.0.2.1/tcp/1") for number in range(1000, 1040)]
    crowd.sort(key=lambda contact: contact.long_id)
    lookup = Lookup(TARGET, [PEERS[-1]], VERIFIER)
    asked = run(lookup, lambda contact: Nodes(closest_records(crowd)) if contact is PEERS[-1] else Nodes(()))
    assert [contact for contact in asked if contact in crowd] == crowd[:3]


def test_a_peer_counts_where_it_was_observed():
    claims = [peer(number, address=f"/ip4/192.0.{number & 255}.1/tcp/1") for number in range(1000, 1008)]
    lookup = Lookup(TARGET, claims, VERIFIER)
    run(lookup, lambda _: Nodes(()))
    assert len(lookup.result.closest) == 8

    lookup = Lookup(TARGET, claims, VERIFIER)
    while not lookup.finished:
        for query in lookup.next_queries(NOW_S):
            lookup.on_reply(query.contact.observed_at("/ip4/192.0.2.77/tcp/1"), Nodes(()), NOW_S)
    assert len(lookup.result.closest) == 3


def test_those_observed_on_one_network_leave_the_window_to_others():
    claims = PEERS[: 2 * K]
    assert len(run(Lookup(TARGET, claims, VERIFIER), lambda _: Nodes(()))) == K
    lookup, asked = Lookup(TARGET, claims, VERIFIER), 0
    while not lookup.finished:
        for query in lookup.next_queries(NOW_S):
            asked += 1
            lookup.on_reply(query.contact.observed_at("/ip4/192.0.2.77/tcp/1"), Nodes(()), NOW_S)
    assert asked == 2 * K


def test_a_newer_record_of_a_candidate_replaces_the_older_one_before_it_is_asked():
    old, new = peer(700), peer(700, sequence=4, address="/ip4/198.51.100.1/tcp/1")
    lookup = Lookup(TARGET, [PEERS[0]], VERIFIER)
    lookup.next_queries(NOW_S)
    lookup.on_reply(PEERS[0], Nodes((new.record, old.record)), NOW_S)
    assert [query.contact.record for query in lookup.next_queries(NOW_S)] == [new.record]


def provider(number: int, sequence: int = 0, key: bytes = TARGET) -> bytes:
    keys = make_keys(number)
    return sign_record(ProviderRecord(keys.public_key, sequence, NOW_S, NOW_S + 60, key), keys)


def test_values_are_gathered_newest_of_each_owner():
    lookup = Lookup(TARGET, PEERS[:3], VERIFIER, kind=PROVIDER)
    queries = lookup.next_queries(NOW_S)
    assert {query.request for query in queries} == {FindValue(PROVIDER, TARGET)}
    for query, values in zip(
        queries, [(provider(1, 1),), (provider(1, 2), provider(2)), (provider(1, 0),)], strict=True
    ):
        lookup.on_reply(query.contact, Values(values, ()), NOW_S)
    assert lookup.finished
    found = {value.owner: value.body.sequence for value in lookup.result.values}
    assert found == {make_keys(1).peer_id.dht_id: 2, make_keys(2).peer_id.dht_id: 0}


def test_a_search_ends_when_enough_was_found():
    lookup = Lookup(TARGET, PEERS[:10], VERIFIER, kind=PROVIDER, wanted=1)
    first, *_ = lookup.next_queries(NOW_S)
    lookup.on_reply(first.contact, Values((provider(1),), ()), NOW_S)
    assert lookup.finished
    assert lookup.next_queries(NOW_S) == []


@pytest.mark.parametrize(
    ("target", "value"), [(TARGET, provider(1, key=bytes([1]) * 20)), (PEERS[0].id, PEERS[0].record)]
)
def test_a_value_of_another_key_or_kind_fails_its_sender(target, value):
    lookup = Lookup(target, PEERS[:1], VERIFIER, kind=PROVIDER)
    lookup.next_queries(NOW_S)
    with pytest.raises(RemoteProtocolError):
        lookup.on_reply(PEERS[0], Values((value,), ()), NOW_S)
    assert lookup.result.values == ()


def test_a_peer_record_is_found_under_the_id_of_its_key():
    wanted = PEERS[40]
    lookup = Lookup(wanted.id, PEERS[:1], VERIFIER, kind=PEER)
    lookup.next_queries(NOW_S)
    lookup.on_reply(PEERS[0], Values((wanted.record,), ()), NOW_S)
    assert [value.signed for value in lookup.result.values] == [wanted.record]


def test_overdue_queries_are_given_up_at_the_time_handed_in():
    lookup = Lookup(TARGET, PEERS[:2], VERIFIER, query_timeout_s=4.0)
    assert lookup.next_timer() is None
    lookup.next_queries(NOW_S)
    assert lookup.next_timer() == NOW_S + 4.0
    assert lookup.on_timer(NOW_S + 3.9) == []
    lookup.on_reply(PEERS[1], Nodes(()), NOW_S + 3.9)
    assert lookup.on_timer(NOW_S + 4.0) == [PEERS[0]]
    assert lookup.finished
    lookup.on_reply(PEERS[0], Nodes(closest_records(PEERS)), NOW_S + 5.0)
    assert lookup.finished, "an answer after the timeout changes nothing"
    assert list(lookup.result.closest) == [PEERS[1]]


def test_a_chain_without_end_is_cut_off():
    far = [peer(number) for number in range(2000, 2000 + MAX_QUERIES + 20)]
    far.sort(key=lambda contact: -contact.long_id)
    following = dict(itertools.pairwise(far))
    lookup = Lookup(TARGET, far[:1], VERIFIER)
    run(lookup, lambda contact: Nodes((following[contact].record,)))
    assert lookup.result.queries == MAX_QUERIES
    assert all(len(path.order) <= 4 * K for path in lookup._paths)


@pytest.mark.parametrize(
    "wrong", [{"paths": 0}, {"paths": MAX_PATHS + 1}, {"k": 0}, {"k": K + 1}, {"alpha": 0}, {"target": b"short"}]
)
def test_wrong_arguments_are_our_bug(wrong):
    arguments = {"target": TARGET, "seeds": [], "verifier": VERIFIER} | wrong
    with pytest.raises(LocalProtocolError):
        Lookup(**arguments)


def test_a_reply_of_somebody_who_was_not_asked_is_our_bug():
    lookup = Lookup(TARGET, PEERS[:1], VERIFIER)
    with pytest.raises(LocalProtocolError):
        lookup.on_reply(PEERS[5], Nodes(()), NOW_S)
    with pytest.raises(LocalProtocolError):
        lookup.on_failure(PEERS[0])


def test_a_query_asks_for_the_target():
    (query,) = Lookup(TARGET, PEERS[:1], VERIFIER).next_queries(NOW_S)
    assert query.request == FindNode(TARGET)
    assert attrs.has(type(query))
