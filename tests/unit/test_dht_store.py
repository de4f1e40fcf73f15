"""The store: newest wins, expiry is absolute, nothing old comes back, everything is bounded."""

import pytest

from peernet.core.dht.records import MAX_LIFETIME_S, PROVIDER, ProviderRecord, VerifiedRecord
from peernet.core.dht.store import RecordStore
from peernet.core.errors import LocalProtocolError

OWN = bytes(20)
KEY = bytes([7]) * 20
NOW_S = 1000


def record(owner: int, sequence: int = 1, *, key: bytes = KEY, issued_at_s: int = NOW_S, life_s: int = 600):
    """A verified record of the owner whose DHT id is the number `owner`."""
    body = ProviderRecord(owner.to_bytes(32), sequence, issued_at_s, issued_at_s + life_s, key)
    signed = f"{owner} {sequence} {key.hex()} {issued_at_s} {life_s}".encode()
    return VerifiedRecord(signed, PROVIDER, body, key, owner.to_bytes(20))


def held(store: RecordStore, now_s: float = NOW_S, key: bytes = KEY, limit: int = 100):
    return [(int.from_bytes(found.owner), found.body.sequence) for found in store.get(PROVIDER, key, now_s, limit)]


def test_what_is_put_is_found_under_its_kind_and_key_only():
    store = RecordStore(OWN)
    assert store.put(record(1), NOW_S)
    assert held(store) == [(1, 1)]
    assert held(store, key=bytes(20)) == []
    assert store.get(PROVIDER + 1, KEY, NOW_S, 10) == []


def test_the_newest_sequence_wins_in_either_order():
    store = RecordStore(OWN)
    assert store.put(record(1, 2), NOW_S)
    assert not store.put(record(1, 1), NOW_S)
    assert held(store) == [(1, 2)]
    assert store.put(record(1, 3), NOW_S)
    assert held(store) == [(1, 3)]
    assert len(store) == 1


def test_the_same_record_again_is_held_and_another_of_its_sequence_is_not():
    store = RecordStore(OWN)
    assert store.put(record(1), NOW_S)
    assert store.put(record(1), NOW_S)
    assert not store.put(record(1, life_s=601), NOW_S)
    assert len(store) == 1


def test_expiry_is_absolute_and_no_holder_extends_it():
    store = RecordStore(OWN)
    short = record(1, life_s=10)
    store.put(short, NOW_S)
    store.put(short, NOW_S + 9)
    assert held(store, NOW_S + 9.5) == [(1, 1)]
    assert held(store, NOW_S + 10) == []
    assert not store.put(short, NOW_S + 10)
    assert store.expire(NOW_S + 10) == 1
    assert len(store) == 0


def test_an_old_sequence_does_not_resurrect_after_the_newer_one_expired():
    store = RecordStore(OWN)
    old = record(1, 1, issued_at_s=NOW_S, life_s=MAX_LIFETIME_S)
    store.put(record(1, 2, life_s=10), NOW_S)
    store.expire(NOW_S + 10)
    assert len(store) == 0
    last_s = old.body.expires_at_s - 1
    store.expire(last_s)
    assert not store.put(old, last_s), "it is valid by itself, but was replaced"
    assert store.put(record(1, 3, life_s=MAX_LIFETIME_S), last_s)
    assert store.remembered == 0


def test_sequences_are_forgotten_once_no_older_record_can_be_valid():
    store = RecordStore(OWN)
    store.put(record(1, 2, life_s=10), NOW_S)
    store.expire(NOW_S + 10)
    assert store.remembered == 1
    store.expire(NOW_S + 2 * MAX_LIFETIME_S)
    assert store.remembered == 0


def test_what_is_remembered_is_bounded():
    store = RecordStore(OWN, max_remembered=5)
    for owner in range(1, 20):
        store.put(record(owner, life_s=10), NOW_S)
    store.expire(NOW_S + 10)
    assert store.remembered == 5


def test_one_owner_has_a_bounded_share():
    store = RecordStore(OWN, max_per_owner=3)
    taken = [store.put(record(1, key=bytes([index]) * 20), NOW_S) for index in range(5)]
    assert taken == [True, True, True, False, False]
    assert store.put(record(1, 2, key=bytes(20)), NOW_S), "a newer version needs no more room"
    store.expire(NOW_S + 600)
    assert store.put(record(1, key=bytes([9]) * 20, issued_at_s=NOW_S + 600), NOW_S + 600)


def test_a_crowded_key_keeps_the_owners_nearest_to_the_holder():
    store = RecordStore(OWN, max_per_key=3)
    for owner in (8, 2, 9, 1, 7, 3):
        store.put(record(owner), NOW_S)
    assert held(store) == [(1, 1), (2, 1), (3, 1)]
    assert not store.put(record(4), NOW_S)
    assert held(store, limit=2) == [(1, 1), (2, 1)]


def test_who_was_pushed_out_does_not_come_back_with_less():
    store = RecordStore(OWN, max_per_key=1)
    store.put(record(9, 5), NOW_S)
    store.put(record(1, life_s=10), NOW_S)
    store.expire(NOW_S + 10)
    assert not store.put(record(9, 4), NOW_S + 10)
    assert store.put(record(9, 6), NOW_S + 10)


def test_a_full_store_keeps_the_keys_nearest_to_the_holder():
    store = RecordStore(OWN, max_records=4)
    for number in (50, 40, 60, 30):
        assert store.put(record(number, key=number.to_bytes(20)), NOW_S)
    assert not store.put(record(70, key=(70).to_bytes(20)), NOW_S)
    assert store.put(record(10, key=(10).to_bytes(20)), NOW_S)
    assert store.put(record(20, key=(20).to_bytes(20)), NOW_S)
    kept = [number for number in range(100) if held(store, key=number.to_bytes(20))]
    assert kept == [10, 20, 30, 40]
    assert len(store) == 4


def test_the_bounds_hold_under_a_flood():
    store = RecordStore(OWN, max_per_owner=4, max_per_key=5, max_records=30, max_remembered=40)
    for number in range(2000):
        owner, key = number * 7919 % 101 + 1, (number * 104729 % 37).to_bytes(20)
        store.put(record(owner, number, key=key, issued_at_s=NOW_S + number, life_s=300), NOW_S + number)
        if number % 100 == 0:
            store.expire(NOW_S + number)
        assert len(store) <= 30
        assert store.remembered <= 40
        assert len(store._farthest) <= 2 * 30 + 18
    for key in range(37):
        assert len(held(store, NOW_S, key=key.to_bytes(20))) <= 5
    assert all(0 < count <= 4 for count in store._count_of_owner.values())
    assert sum(store._count_of_owner.values()) == len(store)


def test_ids_are_20_bytes():
    with pytest.raises(LocalProtocolError):
        RecordStore(bytes(32))
