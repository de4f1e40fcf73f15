"""Handing the directory on: differences, parts, and what a hostile sender may try."""

import zlib
from collections.abc import Sequence

import pytest
from attrs import evolve

from peernet.core.directory import MAX_SNAPSHOT_SIZE, SignedDirectory, make_snapshot, read_snapshot, sign_directory
from peernet.core.directory_transfer import (
    BASES,
    NOTHING,
    PART_SIZE,
    Difference,
    DirectoryAnswer,
    DirectoryHead,
    DirectoryHistory,
    DirectoryMessages,
    DirectoryPart,
    GetDirectory,
    IncomingDirectory,
    NothingNewer,
    Wanted,
    apply_difference,
    difference,
    pack,
    unpack,
)
from peernet.core.errors import RemoteProtocolError
from peernet.core.wire import MAX_MESSAGE_SIZE, decode, encode
from tests.directory_records import NOW, keypair, peer_record

BOOTSTRAP = keypair("bootstrap")
RECORDS = [peer_record(keypair(f"relay {number}"), "relay") for number in range(40)]


def directory(records: Sequence[bytes], issued_at_s: int = NOW) -> SignedDirectory:
    return sign_directory(make_snapshot(records, issued_at_s), [BOOTSTRAP])


def history_of(*directories: SignedDirectory) -> DirectoryHistory:
    history = DirectoryHistory()
    for signed in directories:
        history.add(signed)
    return history


def received(answer: DirectoryAnswer, by: DirectoryHistory) -> SignedDirectory:
    """What who has `by` makes of an answer that travels as messages."""
    request = by.request
    head = DirectoryMessages.decode(DirectoryMessages.encode(answer.head))
    incoming = IncomingDirectory(head, by.base(request.digest), request.digest)
    for part in answer.parts():
        assert not incoming.complete
        incoming.take(DirectoryMessages.decode(DirectoryMessages.encode(part)))
    assert incoming.complete
    return incoming.finish()


def answered(server: DirectoryHistory, client: DirectoryHistory) -> DirectoryAnswer:
    wanted = server.wanted(client.request)
    assert wanted is not None
    return wanted.answer()


def reason(head: DirectoryHead, parts: Sequence[bytes], client: DirectoryHistory | None = None) -> str:
    client = client or DirectoryHistory()
    with pytest.raises(RemoteProtocolError) as raised:
        incoming = IncomingDirectory(head, client.base(client.request.digest), client.request.digest)
        for part in parts:
            incoming.take(DirectoryPart(part))
        incoming.finish()
    return raised.value.reason


# --- the whole, and differences --------------------------------------------------------------------------------------


def test_who_has_nothing_gets_the_whole():
    signed = directory(RECORDS)
    answer = answered(history_of(signed), DirectoryHistory())
    assert answer.head.base == b""
    assert received(answer, DirectoryHistory()) == signed


def test_who_has_a_known_base_gets_what_has_changed_and_makes_the_same_bytes_of_it():
    before, after = directory(RECORDS[:-1]), directory(RECORDS[1:], NOW + 30)
    answer = answered(history_of(before, after), history_of(before))
    assert answer.head.base == before.seal.digest
    assert len(answer.packed) < 500
    assert received(answer, history_of(before)) == after


def test_who_has_a_base_that_is_forgotten_or_was_never_known_gets_the_whole():
    directories = [directory(RECORDS[:number], NOW + number) for number in range(1, BASES + 2)]
    server = history_of(*directories)
    for base in (directories[0], directory(RECORDS[20:], NOW - 5)):
        answer = answered(server, history_of(base))
        assert answer.head.base == b""
        assert received(answer, history_of(base)) == directories[-1]
    assert answered(server, history_of(directories[1])).head.base == directories[1].seal.digest


def test_a_difference_that_is_larger_than_the_whole_is_not_sent():
    before, after = directory(RECORDS), directory([], NOW + 1)
    assert answered(history_of(before, after), history_of(before)).head.base == b""


def test_there_is_nothing_newer_for_who_has_the_newest_or_a_newer_one():
    server = history_of(directory(RECORDS))
    assert server.wanted(server.request) is None
    assert server.wanted(history_of(directory(RECORDS[1:], NOW + 1)).request) is None
    assert DirectoryHistory().wanted(NOTHING) is None
    assert DirectoryMessages.decode(DirectoryMessages.encode(NothingNewer())) == NothingNewer()


def test_an_answer_is_made_once_and_not_after_something_newer_came():
    before, after = directory(RECORDS), directory(RECORDS[1:], NOW + 1)
    server = history_of(before)
    wanted = server.wanted(NOTHING)
    assert wanted is not None
    assert server.kept(wanted) is None
    server.keep(wanted, wanted.answer())
    assert server.kept(wanted) == wanted.answer()
    server.add(after)
    server.keep(wanted, wanted.answer())
    again = server.wanted(NOTHING)
    assert again is not None
    assert server.kept(again) is None
    assert server.kept(wanted) is None


def test_a_large_one_comes_in_parts_each_within_a_message():
    records = [number.to_bytes(4) * 225 for number in range(3000)]
    signed = directory(records)
    packed = b"x" * (MAX_MESSAGE_SIZE + 5)
    head = DirectoryHead(signed.seal, b"", len(signed.snapshot), len(packed))
    parts = DirectoryAnswer(head, packed).parts()
    assert all(len(DirectoryMessages.encode(part)) <= PART_SIZE + 8 for part in parts)
    assert b"".join(part.data for part in parts) == packed
    assert len(signed.snapshot) > MAX_MESSAGE_SIZE
    assert received(Wanted(signed).answer(), DirectoryHistory()) == signed


# --- hostile senders -------------------------------------------------------------------------------------------------


def whole(signed: SignedDirectory) -> tuple[DirectoryHead, bytes]:
    answer = Wanted(signed).answer()
    return answer.head, answer.packed


def test_a_body_of_something_else_is_refused():
    head, _ = whole(directory(RECORDS))
    other = pack(directory(RECORDS[1:]).snapshot)
    size = len(directory(RECORDS[1:]).snapshot)
    assert reason(evolve(head, size_bytes=size, packed_size_bytes=len(other)), [other]) == "bad_difference"


def test_a_bomb_is_not_decompressed():
    head, packed = whole(directory(RECORDS))
    bomb = zlib.compress(bytes(64 * head.size_bytes), 9)
    assert reason(evolve(head, packed_size_bytes=len(bomb)), [bomb]) == "bad_compression"
    assert reason(evolve(head, size_bytes=head.size_bytes - 1), [packed]) == "bad_compression"
    assert reason(evolve(head, size_bytes=head.size_bytes + 1), [packed]) == "bad_compression"
    with pytest.raises(RemoteProtocolError):
        unpack(pack(b"body") + b"more", 4)
    with pytest.raises(RemoteProtocolError):
        unpack(pack(b"body")[:-1], 4)
    with pytest.raises(RemoteProtocolError):
        unpack(pack(bytes(100)), -1)


def test_a_size_that_no_directory_has_is_refused_before_anything_is_taken():
    head, _ = whole(directory(RECORDS))
    for wrong in (0, -1, 2 * MAX_SNAPSHOT_SIZE):
        assert reason(evolve(head, size_bytes=wrong), []) == "too_long"
        assert reason(evolve(head, packed_size_bytes=wrong), []) == "too_long"


def test_more_parts_than_announced_and_empty_ones_are_refused():
    head, packed = whole(directory(RECORDS))
    assert reason(head, [packed, b"x"]) == "too_long"
    assert reason(head, [b""]) == "too_long"
    assert reason(head, [b"\0" * len(packed)]) == "bad_compression"


def test_a_difference_to_what_was_not_asked_with_is_refused():
    before, after = directory(RECORDS[:-1]), directory(RECORDS, NOW + 1)
    head = answered(history_of(before, after), history_of(before)).head
    assert reason(head, []) == "bad_difference"
    assert reason(head, [], history_of(directory(RECORDS[2:]))) == "bad_difference"


@pytest.mark.parametrize("removed", [(), (0,), (10**6,), (-1,), (0, 0, 0)])
def test_a_difference_that_does_not_lead_to_the_digest_is_refused(removed: tuple[int, ...]):
    before, after = directory(RECORDS[:-1]), directory(RECORDS[2:], NOW + 1)
    made = encode(Difference(NOW + 1, removed, tuple(RECORDS[-1:])))
    head = DirectoryHead(after.seal, before.seal.digest, len(made), len(pack(made)))
    assert reason(head, [pack(made)], history_of(before)) == "bad_difference"


def test_a_difference_has_the_time_too():
    before, after = read_snapshot(directory(RECORDS).snapshot), read_snapshot(directory(RECORDS, NOW + 9).snapshot)
    made = difference(before, after)
    assert (made.issued_at_s, made.removed, made.added) == (NOW + 9, (), ())
    assert apply_difference(before, decode(Difference, encode(made))) == encode(after)


def test_a_request_says_what_one_has():
    signed = directory(RECORDS)
    assert history_of(signed).request == GetDirectory(NOW, signed.seal.digest)
    assert DirectoryHistory().request == NOTHING
