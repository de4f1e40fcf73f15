"""Hostile input to discovery: records, the DHT's replies, the directory and its transfer, signing and lookups."""

import zlib
from typing import Any

import msgpack
import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from peernet.core.dht.lookup import Lookup
from peernet.core.dht.messages import (
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
from peernet.core.dht.node import DhtNode
from peernet.core.dht.records import (
    OFFER,
    PEER,
    PROVIDER,
    HostOffer,
    PeerRecord,
    ProviderRecord,
    RecordVerifier,
    SignedRecord,
    open_record,
    provider_key,
    sign_record,
)
from peernet.core.directory import (
    MAX_RECORDS,
    Seal,
    SignedDirectory,
    Snapshot,
    check_seal,
    make_snapshot,
    open_directory,
    open_snapshot,
    read_snapshot,
    sign_directory,
)
from peernet.core.directory_signing import Alive, check_listed
from peernet.core.directory_transfer import (
    MAX_BODY_SIZE,
    Difference,
    DirectoryHead,
    DirectoryPart,
    IncomingDirectory,
    apply_difference,
    difference,
    pack,
    unpack,
)
from peernet.core.lookups import FindHosts, open_found
from peernet.core.wire import decode, encode
from tests.directory_records import HOST, NOW, RELAY, STRANGER, SUITE, offer, peer_record
from tests.hostile_input import (
    INTEGERS,
    Parser,
    examples,
    fields_of,
    fuzzes,
    mutated,
    parser_tests,
    peak_bytes,
    refusal,
)

MODEL = "m"
PEERS = [
    peer_record(owner, "relay", address=f"/ip4/203.0.113.{place}/tcp/1") for place, owner in enumerate((HOST, RELAY))
]
OFFERS = [offer(HOST, MODEL)]
PROVIDED = sign_record(ProviderRecord(HOST.public_key, 1, NOW, NOW + 60, provider_key(MODEL)), HOST)
RECORDS = [*PEERS, *OFFERS, PROVIDED]
SNAPSHOT = make_snapshot([*PEERS, *OFFERS], NOW)
BASE = Snapshot(NOW - 300, tuple(sorted([peer_record(STRANGER, "relay"), PEERS[0]])))
BASE_DIGEST = bytes(32)
SIGNED = sign_directory(SNAPSHOT, [RELAY])
TRUSTED = (RELAY.public_key,)
CHANGE = encode(difference(BASE, read_snapshot(SNAPSHOT)))
REQUESTS = [encode_message(Ping()), encode_message(Store(PEERS[0]))]
REPLIES = [
    encode_message(reply) for reply in (Pong(), Nodes(tuple(PEERS)), Values((PROVIDED,), tuple(PEERS)), Stored(True))
]

PARSERS = [
    Parser(open_record, lambda data: open_record(data, NOW, SUITE), RECORDS),
    Parser(
        RecordVerifier.open, lambda data: RecordVerifier(SUITE).open(data, NOW), RECORDS, lambda found: found.signed
    ),
    Parser(RecordVerifier.contact, lambda data: RecordVerifier(SUITE).contact(data, NOW), PEERS),
    Parser(decode_request, decode_request, REQUESTS),
    Parser(decode_reply, decode_reply, REPLIES),
    Parser(read_snapshot, read_snapshot, [SNAPSHOT, make_snapshot([], 0)], encode),
    Parser(check_seal, lambda data: check_seal(decode(Seal, data), TRUSTED, SUITE), [encode(SIGNED.seal)]),
    Parser(
        open_directory,
        lambda data: open_directory(SignedDirectory(SIGNED.seal, data), TRUSTED, NOW, SUITE),
        [SNAPSHOT],
        lambda _: SNAPSHOT,
    ),
    Parser(
        open_snapshot,
        lambda data: check_listed(open_snapshot(read_snapshot(data), SUITE), Alive(), NOW),
        [SNAPSHOT],
    ),
    Parser(unpack, lambda data: unpack(data, len(SNAPSHOT)), [pack(SNAPSHOT)]),
    Parser(
        apply_difference,
        lambda data: apply_difference(BASE, decode(Difference, data, max_size=MAX_BODY_SIZE, max_items=MAX_RECORDS)),
        [CHANGE],
    ),
]

(
    test_the_examples_are_taken,
    test_hostile_bytes_are_refused_or_taken,
    test_memory_is_bounded_by_the_input,
) = parser_tests(PARSERS, hostile_examples=50, memory_examples=5)


# --- signed properly, and hostile all the same -----------------------------------------------------------------------

KINDS = {PEER: PeerRecord, OFFER: HostOffer, PROVIDER: ProviderRecord}
ADDRESSES = st.one_of(
    mutated(
        [
            b"/ip4/203.0.113.7/tcp/1",
            b"/ip6/2001:db8::1/tcp/1/ws",
            b"/dns4/host.example/tcp/1",
            b"/ip6/::ffff:1.2.3.4/tcp/1",
        ]
    ).map(lambda data: data.decode("latin-1")),
    st.text(max_size=200),
)


def _signed(kind: int, body: bytes) -> bytes:
    signature = HOST.sign(b"peernet/dht/record/1\x00" + bytes((kind & 0xFF,)) + body)
    return encode(SignedRecord(kind, body, signature))


@st.composite
def signed_records(draw: Any) -> bytes:
    """A record by its own key and in force, whatever else it says."""
    kind = draw(st.sampled_from([PEER, OFFER, PROVIDER]))
    example = {PEER: PEERS[0], OFFER: OFFERS[0], PROVIDER: PROVIDED}[kind]
    fields = msgpack.unpackb(decode(SignedRecord, example).body)
    for place in draw(st.lists(st.integers(1, len(fields) - 1), max_size=3)):
        fields[place] = draw(
            fields_of(KINDS[kind]).map(lambda given, place=place: given[place] if place < len(given) else None)
        )
    if kind == PEER and draw(st.booleans()):
        fields[4] = draw(st.lists(ADDRESSES, max_size=3))
    body = bytes(msgpack.packb(fields))
    return _signed(draw(st.sampled_from([kind, kind, kind, kind, 0, 255, 256, -1])), body)


@fuzzes(open_found, RecordVerifier.contacts, DhtNode.greet, DhtNode.handle)
@examples(120)
@given(signed_records())
def test_who_signs_what_nobody_may_say_is_refused_everywhere(signed: bytes):
    verifier, node = RecordVerifier(SUITE), DhtNode(bytes(20), RecordVerifier(SUITE), NOW)
    refused = refusal(lambda: open_record(signed, NOW, SUITE))
    assert refusal(lambda: verifier.open(signed, NOW)) == refused
    refusal(lambda: verifier.contacts([signed, signed], NOW))
    found = open_found(FindHosts(MODEL), [signed, *RECORDS], NOW, SUITE)
    assert set(found) >= {*PEERS, *OFFERS}
    if signed not in RECORDS:
        assert refused is None or signed not in found
    refusal(lambda: node.greet(signed, HOST.public_key, NOW))
    if len(signed) <= 1000:
        refusal(lambda: node.handle(Store(signed), None, NOW))
        # And a directory that lists it opens, without it where it does not.
        snapshot = read_snapshot(make_snapshot([signed, *PEERS], NOW))
        directory = open_snapshot(snapshot, SUITE)
        assert directory.passed_over == (refused is not None)


@examples(80)
@given(addresses=st.lists(ADDRESSES, min_size=1, max_size=2))
def test_addresses_of_any_text_are_refused_or_counted_under_a_network(addresses: list[str]):
    fields = msgpack.unpackb(decode(SignedRecord, PEERS[0]).body)
    fields[4] = addresses
    signed = _signed(PEER, bytes(msgpack.packb(fields)))
    refused = refusal(lambda: open_record(signed, NOW, SUITE))
    assert refusal(lambda: RecordVerifier(SUITE).contact(signed, NOW)) == refused
    for text in ("/ip4/1.2.3", "/ip6/x", "/dns4/1.2", "ip4", "/ip4/"):
        fields[4] = [text]
        wrong = _signed(PEER, bytes(msgpack.packb(fields)))
        assert refusal(lambda wrong=wrong: open_record(wrong, NOW, SUITE)) == "bad_address"


@fuzzes(Lookup.on_reply)
@examples(60)
@given(
    st.lists(
        st.one_of(
            st.sampled_from(REPLIES),
            mutated(REPLIES),
            st.lists(signed_records(), max_size=3).map(
                lambda found: (
                    encode_message(Nodes(tuple(found)[:20])) if all(len(record) <= 1000 for record in found) else b""
                )
            ),
        ),
        max_size=5,
    ),
    st.sampled_from([None, PEER, PROVIDER]),
)
def test_a_lookup_ends_whatever_it_is_answered(replies: list[bytes], kind: int | None):
    verifier = RecordVerifier(SUITE)
    seeds = verifier.contacts(PEERS, NOW)
    lookup = Lookup(provider_key(MODEL), seeds, verifier, paths=2, kind=kind)
    rounds = 0
    while not lookup.finished:
        for query in lookup.next_queries(NOW):
            reply: list[Any] = []
            data = replies.pop() if replies else b""
            if refusal(lambda data=data, reply=reply: reply.append(decode_reply(data))) is not None:
                lookup.on_failure(query.contact)
                continue
            refusal(lambda query=query, reply=reply: lookup.on_reply(query.contact, reply[0], NOW))
        rounds += 1
        assert rounds < 100
    assert lookup.result.queries <= 256


# --- the transfer of a directory -------------------------------------------------------------------------------------


@fuzzes(IncomingDirectory.take, IncomingDirectory.finish)
@examples(120)
@given(st.data())
def test_parts_in_any_order_make_the_sealed_directory_or_none(data: st.DataObject):
    packed = pack(SNAPSHOT) if data.draw(st.booleans()) else pack(CHANGE)
    base = data.draw(st.sampled_from([b"", BASE_DIGEST]))
    sizes = st.one_of(
        st.sampled_from([len(SNAPSHOT), len(CHANGE), 0, MAX_BODY_SIZE, MAX_BODY_SIZE + 1, 2**64 - 1]), INTEGERS
    )
    head = DirectoryHead(
        SIGNED.seal, base, data.draw(sizes), data.draw(st.one_of(st.just(len(packed)), st.just(len(packed)), INTEGERS))
    )
    made: list[SignedDirectory] = []
    pieces = [packed[:100], packed[100:]]
    chosen = data.draw(
        st.one_of(st.just(pieces), st.lists(st.one_of(st.sampled_from([*pieces, b""]), mutated([packed])), max_size=4))
    )

    def receive() -> None:
        incoming = IncomingDirectory(head, BASE, BASE_DIGEST)
        for piece in chosen:
            incoming.take(DirectoryPart(piece))
        if incoming.complete:
            made.append(incoming.finish())

    refusal(receive)
    for directory in made:
        assert directory.snapshot == SNAPSHOT


@pytest.mark.parametrize("kind", ["snapshot", "difference"])
def test_a_bomb_of_zeros_makes_no_more_than_it_was_said_to(kind: str):
    """64 KiB that are 64 MiB: what is made of them is bounded by what the head says, and that by the largest body."""
    bomb = zlib.compress(bytes(64 << 20), 9)
    said = 1 << 20
    head = DirectoryHead(SIGNED.seal, b"" if kind == "snapshot" else BASE_DIGEST, said, len(bomb))

    def receive() -> None:
        incoming = IncomingDirectory(head, BASE, BASE_DIGEST)
        for start in range(0, len(bomb), 1 << 16):
            incoming.take(DirectoryPart(bomb[start : start + (1 << 16)]))
        incoming.finish()

    assert refusal(receive) == "bad_compression"
    assert peak_bytes(lambda: refusal(receive)) < 3 * said + 4 * len(bomb)
    for size in (MAX_BODY_SIZE + 1, 2**60, 2**64):
        too_large = evolve(head, size_bytes=size)
        assert refusal(lambda too_large=too_large: IncomingDirectory(too_large, BASE, BASE_DIGEST)) == "too_long"
        assert refusal(lambda size=size: unpack(bomb, size)) == "too_long"


@examples(60)
@given(
    issued_at_s=INTEGERS,
    removed=st.lists(INTEGERS, max_size=4),
    added=st.lists(st.one_of(st.sampled_from(RECORDS), st.binary(max_size=9)), max_size=4),
)
def test_differences_of_any_values_make_other_directories(issued_at_s: int, removed: list[int], added: list[bytes]):
    body = bytes(msgpack.packb([issued_at_s, removed, added]))
    incoming = IncomingDirectory(
        DirectoryHead(SIGNED.seal, BASE_DIGEST, len(body), len(pack(body))), BASE, BASE_DIGEST
    )
    incoming.take(DirectoryPart(pack(body)))
    if refusal(incoming.finish) is None:
        assert apply_difference(BASE, decode(Difference, body)) == SNAPSHOT
