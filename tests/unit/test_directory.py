"""The directory: whose it is, how old, and what of it counts."""

import pytest
from attrs import evolve

from peernet.core.dht.records import (
    HostOffer,
    PeerRecord,
    ProviderRecord,
    operator_statement,
    provider_key,
    sign_record,
)
from peernet.core.directory import (
    FUTURE_TOLERANCE_S,
    MAX_AGE_S,
    Directory,
    DirectoryMessages,
    SignedDirectory,
    Snapshot,
    open_directory,
    sign_directory,
)
from peernet.core.errors import RemoteProtocolError
from peernet.core.identity import Keypair
from peernet.core.suite import MixedSuite
from peernet.core.wire import encode

SUITE = MixedSuite()
NOW = 1_800_000_000
BOOTSTRAP = Keypair.from_seed(b"b" * 32, SUITE)
STRANGER = Keypair.from_seed(b"s" * 32, SUITE)
OPERATOR = Keypair.from_seed(b"o" * 32, SUITE)
RELAY = Keypair.from_seed(b"r" * 32, SUITE)
HOST = Keypair.from_seed(b"h" * 32, SUITE)


def peer_record(keypair: Keypair, *roles: str, sequence: int = NOW, region: str = "", issued: int = NOW) -> bytes:
    body = PeerRecord(
        public_key=keypair.public_key,
        sequence=sequence,
        issued_at_s=issued,
        expires_at_s=issued + 3600,
        addresses=("/ip4/203.0.113.7/tcp/4101",),
        onion_key=b"k" * 32,
        operator_key=OPERATOR.public_key,
        operator_signature=OPERATOR.sign(operator_statement(keypair.public_key)),
        roles=roles,
        region=region,
    )
    return sign_record(body, keypair)


def offer(keypair: Keypair, model: str, *, sequence: int = NOW, answer_price: int = 5) -> bytes:
    body = HostOffer(
        public_key=keypair.public_key,
        sequence=sequence,
        issued_at_s=NOW,
        expires_at_s=NOW + 3600,
        model=model,
        model_digest=bytes(32),
        tokenizer_digest=bytes(32),
        quantisation="",
        context_tokens=2048,
        prompt_price=2,
        answer_price=answer_price,
        capacity=1,
        region="",
        issuers=("log",),
        payout_key=b"p" * 32,
        flags=(),
    )
    return sign_record(body, keypair)


def opened(records: list[bytes], now: int = NOW) -> Directory:
    return open_directory(sign_directory(records, NOW, BOOTSTRAP), [BOOTSTRAP.public_key], now, SUITE)


def reason(signed: SignedDirectory, trusted: Keypair = BOOTSTRAP, now: int = NOW) -> str:
    with pytest.raises(RemoteProtocolError) as raised:
        open_directory(signed, [trusted.public_key], now, SUITE)
    return raised.value.reason


def test_peers_by_role_and_hosts_by_model():
    records = [peer_record(RELAY, "relay"), peer_record(HOST, "host", "relay"), peer_record(BOOTSTRAP, "bootstrap")]
    directory = opened([*records, offer(HOST, "a"), offer(HOST, "b")])
    assert {listing.peer for listing in directory.relays} == {RELAY.peer_id, HOST.peer_id}
    assert [listing.peer for listing in directory.bootstraps] == [BOOTSTRAP.peer_id]
    ((listing, found),) = directory.hosts_of("a")
    assert (listing.peer, found.model) == (HOST.peer_id, "a")
    assert listing.signed == records[1]
    assert directory.hosts_of("c") == ()


def test_it_travels_as_a_message():
    signed = sign_directory([peer_record(RELAY, "relay")], NOW, BOOTSTRAP)
    assert DirectoryMessages.decode(DirectoryMessages.encode(signed)) == signed


def test_a_key_that_is_not_configured_signs_nothing_for_us():
    assert reason(sign_directory([], NOW, STRANGER)) == "untrusted"
    assert reason(evolve(sign_directory([], NOW, STRANGER), public_key=BOOTSTRAP.public_key)) == "bad_signature"


def test_an_altered_snapshot_is_refused():
    signed = sign_directory([peer_record(RELAY, "relay")], NOW, BOOTSTRAP)
    for position in range(0, len(signed.snapshot), 37):
        altered = bytearray(signed.snapshot)
        altered[position] ^= 1
        assert reason(evolve(signed, snapshot=bytes(altered))) == "bad_signature"


def test_a_signature_over_something_else_is_none_over_a_directory():
    snapshot = encode(Snapshot(NOW, ()))
    assert reason(SignedDirectory(snapshot, BOOTSTRAP.public_key, BOOTSTRAP.sign(snapshot))) == "bad_signature"


@pytest.mark.parametrize(
    ("age", "fresh"),
    [
        (0, True),
        (MAX_AGE_S, True),
        (MAX_AGE_S + 1, False),
        (-FUTURE_TOLERANCE_S, True),
        (-FUTURE_TOLERANCE_S - 1, False),
    ],
)
def test_its_age_is_bounded_both_ways(age: int, fresh: bool):
    signed = sign_directory([], NOW, BOOTSTRAP)
    if fresh:
        assert open_directory(signed, [BOOTSTRAP.public_key], NOW + age, SUITE).listings == ()
    else:
        assert reason(signed, now=NOW + age) == "stale"


def test_a_snapshot_that_is_signed_and_malformed_is_refused():
    snapshot = b"\x91\x01"
    signed = SignedDirectory(snapshot, BOOTSTRAP.public_key, BOOTSTRAP.sign(b"peernet/directory/1\x00" + snapshot))
    assert reason(signed) == "bad_message"


def test_a_record_that_does_not_open_is_skipped_and_the_others_count():
    good = peer_record(RELAY, "relay")
    forged = bytearray(peer_record(HOST, "relay"))
    forged[-1] ^= 1
    expired = peer_record(HOST, "relay", issued=NOW - 7200)
    provider = ProviderRecord(HOST.public_key, NOW, NOW, NOW + 60, provider_key("a"))
    directory = opened([bytes(forged), b"", b"junk", expired, sign_record(provider, HOST), good])
    assert [listing.peer for listing in directory.listings] == [RELAY.peer_id]


@pytest.mark.parametrize("newest_first", [True, False])
def test_the_newest_of_each_counts_and_a_host_is_listed_once_a_model(newest_first: bool):
    records = [
        peer_record(HOST, "host", sequence=NOW - 1, region="old"),
        peer_record(HOST, "host", sequence=NOW, region="new"),
        offer(HOST, "a", sequence=NOW - 1, answer_price=1),
        offer(HOST, "a", sequence=NOW, answer_price=9),
    ]
    directory = opened(records[::-1] if newest_first else records)
    ((listing, found),) = directory.hosts_of("a")
    assert listing.record.region == "new"
    assert found.answer_price == 9


def test_an_offer_without_its_peer_is_nobodys():
    assert opened([offer(HOST, "a"), peer_record(RELAY, "relay")]).hosts_of("a") == ()
