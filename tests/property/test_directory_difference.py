"""A difference makes the very bytes of the whole, whatever came and went, over any number of steps."""

from hypothesis import given, settings
from hypothesis import strategies as st

from peernet.core.directory import make_snapshot, read_snapshot, sign_directory
from peernet.core.directory_transfer import (
    BASES,
    DirectoryHistory,
    IncomingDirectory,
    apply_difference,
    difference,
)
from tests.directory_records import NOW, keypair

BOOTSTRAP = keypair("bootstrap")

# Opaque here, as they are to who hands them on; few enough that snapshots share some.
records = st.frozensets(st.binary(min_size=1, max_size=3) | st.integers(0, 40).map(lambda n: bytes([n]) * 300))


@settings(max_examples=150, deadline=None)
@given(records, records)
def test_a_difference_is_the_whole(before: frozenset[bytes], after: frozenset[bytes]) -> None:
    base, new = make_snapshot(before, NOW), make_snapshot(after, NOW + 1)
    made = difference(read_snapshot(base), read_snapshot(new))
    assert apply_difference(read_snapshot(base), made) == new
    assert len(made.removed) + len(made.added) == len(before ^ after)


@settings(max_examples=100, deadline=None)
@given(st.lists(records, min_size=1, max_size=BASES + 3), st.data())
def test_who_follows_from_any_step_has_what_the_server_has(steps: list[frozenset[bytes]], data: st.DataObject) -> None:
    server, client = DirectoryHistory(), DirectoryHistory()
    for number, step in enumerate(steps):
        server.add(sign_directory(make_snapshot(step, NOW + number), [BOOTSTRAP]))
        wanted = server.wanted(client.request)
        assert wanted is not None
        if not data.draw(st.booleans()):
            continue  # it did not ask this time
        answer = wanted.answer()
        incoming = IncomingDirectory(answer.head, client.base(client.request.digest), client.request.digest)
        for part in answer.parts():
            incoming.take(part)
        signed = incoming.finish()
        assert signed == server.newest
        client.add(signed)
        assert server.wanted(client.request) is None
