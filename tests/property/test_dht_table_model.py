"""The routing table against brute force: whatever is added and removed, its rules hold and its results are exact."""

import random
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from peernet.core.dht.contact import Contact
from peernet.core.dht.table import (
    MAX_ID,
    MAX_PER_PREFIX_IN_BUCKET,
    MAX_PER_PREFIX_IN_RESULT,
    Outcome,
    RoutingTable,
)

# Few distinct high bits make crowded buckets; few prefixes make the diversity rules bite.
numbers = st.builds(
    lambda high, low, flip: ((high << 156) | low) ^ (MAX_ID if flip else 0),
    st.integers(0, 15),
    st.integers(0, 40),
    st.booleans(),
)


def make_contact(number: int, prefix: int, second: int, expires_at_s: int) -> Contact:
    return Contact(
        number.to_bytes(20),
        public_key=b"",
        record=b"",
        sequence=0,
        expires_at_s=expires_at_s,
        prefixes=(f"p{prefix}", f"p{second}") if prefix != second else (f"p{prefix}",),
    )


contacts = st.builds(make_contact, numbers, st.integers(0, 14), st.integers(0, 14), st.sampled_from([50, 500]))
steps = st.lists(st.tuples(st.sampled_from(["add", "add", "add", "remove"]), contacts), max_size=60)


def crowd(size: int, seed: int) -> list[Contact]:
    """Hypothesis prefers short lists; crowded tables come from a seed."""
    draw = random.Random(seed)
    return [
        make_contact(draw.getrandbits(160), draw.randrange(40), draw.randrange(40), draw.choice([50, 500, 500]))
        for _ in range(size)
    ]


def brute_force_closest(
    held: list[Contact], target: int, k: int, exclude: bytes | None, now_s: float
) -> list[Contact]:
    """The twin: every contact in order of distance, taken while its prefixes are not used up."""
    taken: Counter[str] = Counter()
    closest = []
    for contact in sorted(held, key=lambda contact: contact.long_id ^ target):
        usable = contact.id != exclude and contact.expires_at_s > now_s
        if usable and all(taken[prefix] < MAX_PER_PREFIX_IN_RESULT for prefix in contact.prefixes):
            taken.update(contact.prefixes)
            closest.append(contact)
    return closest[:k]


def check_structure(table: RoutingTable) -> None:
    lowest = 0
    for bucket in table.buckets:
        low, high = bucket.range
        size = high - low + 1
        assert low == lowest
        assert size & (size - 1) == 0
        assert low % size == 0
        assert len(bucket.nodes) <= table.ksize
        assert len(bucket.replacement_nodes) <= table.ksize
        assert not bucket.nodes.keys() & bucket.replacement_nodes.keys()
        assert bucket.last_seen_s.keys() == bucket.nodes.keys() | bucket.replacement_nodes.keys()
        for place in (bucket.nodes, bucket.replacement_nodes):
            assert all(low <= contact.long_id <= high for contact in place.values())
            assert all(node_id == contact.id for node_id, contact in place.items())
            shares = Counter(prefix for contact in place.values() for prefix in contact.prefixes)
            assert max(shares.values(), default=0) <= MAX_PER_PREFIX_IN_BUCKET
        seen = [bucket.last_seen_s[node_id] for node_id in bucket.nodes]
        assert seen == sorted(seen)
        lowest = high + 1
    assert lowest == MAX_ID + 1


@settings(max_examples=120, deadline=None)
@given(
    own=numbers,
    crowded=st.builds(crowd, st.sampled_from([0, 30, 200]), st.integers(0, 2**32)),
    steps=steps,
    targets=st.lists(numbers, min_size=1, max_size=4),
    k=st.integers(1, 25),
)
def test_the_table_keeps_its_rules_and_finds_the_exact_k_closest(own, crowded, steps, targets, k):
    table = RoutingTable(own.to_bytes(20), -1.0, k=6)
    for contact in crowded:
        table.add_contact(contact, -1.0)
    for index, (step, contact) in enumerate(steps):
        before = {held.id for held in table.contacts()}
        if step == "add":
            outcome = table.add_contact(contact, float(index)).outcome
            after = {held.id for held in table.contacts()}
            if outcome in {Outcome.ADDED, Outcome.REFRESHED}:
                assert contact.id in after
            if outcome is not Outcome.TOO_SIMILAR:
                assert before <= after, "a newcomer never displaces anybody"
        else:
            table.remove_contact(contact)
            assert table.is_new_node(contact)
        check_structure(table)
    model = {held.id: held for held in table.contacts()}
    assert own.to_bytes(20) not in model
    for target in targets:
        for exclude in (None, next(iter(model), None)):
            found = table.find_neighbors(target.to_bytes(20), k, exclude, now_s=100.0)
            assert found == brute_force_closest(list(model.values()), target, k, exclude, 100.0)


@settings(max_examples=50, deadline=None)
@given(own=numbers, added=st.lists(contacts, max_size=80), number=numbers)
def test_every_id_lies_in_the_bucket_found_for_it(own, added, number):
    table = RoutingTable(own.to_bytes(20), 0.0, k=3)
    for contact in added:
        table.add_contact(contact, 0.0)
    low, high = table.bucket_of(number.to_bytes(20)).range
    assert low <= number <= high
