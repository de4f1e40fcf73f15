"""The directory: who must have signed it, how old it may be, and what of it counts."""

from collections.abc import Sequence

import pytest
from attrs import evolve

from peernet.core.dht.records import Body, ProviderRecord, open_record, provider_key, sign_record
from peernet.core.directory import (
    FUTURE_TOLERANCE_S,
    MAX_AGE_S,
    MAX_RECORDS,
    Directory,
    Seal,
    Signature,
    SignedDirectory,
    Snapshot,
    carry_over,
    check_seal,
    fitting,
    make_snapshot,
    open_directory,
    sign_directory,
    sign_seal,
    signers,
    snapshot_digest,
)
from peernet.core.errors import RemoteProtocolError
from peernet.core.identity import Keypair
from peernet.core.quorum import quorum_of
from peernet.core.wire import decode, encode
from tests.directory_records import HOST, NOW, RELAY, STRANGER, SUITE, bodies_of, keypair, offer, peer_record

BOOTSTRAPS = [keypair(f"bootstrap {number}") for number in range(4)]
BOOTSTRAP = BOOTSTRAPS[0]
FOUR = [node.public_key for node in BOOTSTRAPS]


def signed_by(*nodes: Keypair, records: Sequence[bytes] = ()) -> SignedDirectory:
    return sign_directory(make_snapshot(records, NOW), nodes)


def opened(records: Sequence[bytes], now: int = NOW) -> Directory:
    return open_directory(signed_by(BOOTSTRAP, records=records), [BOOTSTRAP.public_key], now, SUITE)


def reason(signed: SignedDirectory, trusted: Sequence[bytes] = (BOOTSTRAP.public_key,), now: int = NOW) -> str:
    with pytest.raises(RemoteProtocolError) as raised:
        open_directory(signed, trusted, now, SUITE)
    return raised.value.reason


# --- the quorum ------------------------------------------------------------------------------------------------------


def test_of_four_three_must_sign_and_two_are_not_enough():
    assert quorum_of(4) == 3
    assert reason(signed_by(*BOOTSTRAPS[:2]), FOUR) == "no_quorum"
    assert open_directory(signed_by(*BOOTSTRAPS[:3]), FOUR, NOW, SUITE).issued_at_s == NOW
    assert open_directory(signed_by(*BOOTSTRAPS), FOUR, NOW, SUITE).issued_at_s == NOW


def test_one_configured_node_is_its_own_quorum():
    assert open_directory(signed_by(BOOTSTRAP), [BOOTSTRAP.public_key], NOW, SUITE).listings == ()
    # The same node listed twice is one node.
    assert open_directory(signed_by(BOOTSTRAP), [BOOTSTRAP.public_key] * 2, NOW, SUITE).listings == ()


def test_who_signs_twice_counts_once():
    twice = signed_by(BOOTSTRAPS[0], BOOTSTRAPS[1], BOOTSTRAPS[1], BOOTSTRAPS[0])
    assert signers(twice.seal, FOUR, SUITE) == {BOOTSTRAPS[0].public_key, BOOTSTRAPS[1].public_key}
    assert reason(twice, FOUR) == "no_quorum"


def test_a_key_that_is_not_configured_signs_nothing_for_us():
    assert reason(signed_by(STRANGER)) == "no_quorum"
    assert reason(signed_by(*BOOTSTRAPS[:2], STRANGER, HOST), FOUR) == "no_quorum"
    # Nor does it spoil what the others signed.
    assert open_directory(signed_by(STRANGER, *BOOTSTRAPS[:3]), FOUR, NOW, SUITE).issued_at_s == NOW


def test_a_stranger_s_signature_under_a_configured_key_counts_for_nothing():
    forged = evolve(sign_seal(NOW, bytes(32), STRANGER), public_key=BOOTSTRAPS[2].public_key)
    good = signed_by(*BOOTSTRAPS[:2])
    seal = evolve(good.seal, signatures=(*good.seal.signatures, forged))
    assert reason(evolve(good, seal=seal), FOUR) == "no_quorum"


def test_signatures_over_different_snapshots_do_not_add_up():
    one, other = signed_by(*BOOTSTRAPS[:2]), signed_by(BOOTSTRAPS[2], records=[peer_record(RELAY, "relay")])
    seal = evolve(one.seal, signatures=(*one.seal.signatures, *other.seal.signatures))
    assert reason(evolve(one, seal=seal), FOUR) == "no_quorum"


def test_without_a_configured_node_nothing_is_trusted():
    with pytest.raises(RemoteProtocolError, match="no bootstrap node is configured"):
        check_seal(signed_by(BOOTSTRAP).seal, [], SUITE)


def test_a_seal_has_a_bounded_number_of_signatures():
    seal = signed_by(BOOTSTRAP).seal
    with pytest.raises(RemoteProtocolError, match="65 signatures"):
        decode(Seal, encode((seal.issued_at_s, seal.digest, tuple(seal.signatures[0] for _ in range(65)))))


@pytest.mark.parametrize("issued_at_s", [-1, 2**53, 2**64 - 1])
def test_a_seal_s_time_is_a_time(issued_at_s: int):
    with pytest.raises(RemoteProtocolError, match="out of range"):
        decode(Seal, encode((issued_at_s, bytes(32), ())))


# --- what is signed --------------------------------------------------------------------------------------------------


def test_an_altered_snapshot_is_refused():
    signed = signed_by(BOOTSTRAP, records=[peer_record(RELAY, "relay")])
    for position in range(0, len(signed.snapshot), 37):
        altered = bytearray(signed.snapshot)
        altered[position] ^= 1
        assert reason(evolve(signed, snapshot=bytes(altered))) == "bad_signature"


def test_another_time_than_was_signed_is_refused():
    signed = signed_by(BOOTSTRAP)
    assert reason(evolve(signed, seal=evolve(signed.seal, issued_at_s=NOW + 1))) == "no_quorum"
    snapshot = make_snapshot([], NOW)
    seal = Seal(NOW + 1, snapshot_digest(snapshot), (sign_seal(NOW + 1, snapshot_digest(snapshot), BOOTSTRAP),))
    assert reason(SignedDirectory(seal, snapshot)) == "bad_snapshot"


def test_a_signature_over_something_else_is_none_over_a_directory():
    snapshot = make_snapshot([], NOW)
    digest = snapshot_digest(snapshot)
    signature = Signature(BOOTSTRAP.public_key, BOOTSTRAP.sign(digest))
    assert reason(SignedDirectory(Seal(NOW, digest, (signature,)), snapshot)) == "no_quorum"


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
    signed = signed_by(BOOTSTRAP)
    if fresh:
        assert open_directory(signed, [BOOTSTRAP.public_key], NOW + age, SUITE).listings == ()
    else:
        assert reason(signed, now=NOW + age) == "stale"


def sealed(snapshot: bytes) -> SignedDirectory:
    digest = snapshot_digest(snapshot)
    return SignedDirectory(Seal(NOW, digest, (sign_seal(NOW, digest, BOOTSTRAP),)), snapshot)


def test_a_snapshot_that_is_signed_and_malformed_is_refused():
    assert reason(sealed(b"\x91\x01")) == "bad_message"
    assert reason(sealed(encode(Snapshot(NOW, (b"b", b"a"))))) == "bad_snapshot"
    assert reason(sealed(encode(Snapshot(NOW, (b"a", b"a"))))) == "bad_snapshot"


def test_more_records_than_a_snapshot_may_hold_are_refused():
    records = tuple(number.to_bytes(3) for number in range(MAX_RECORDS + 1))
    assert reason(sealed(encode(Snapshot(NOW, records)))) == "bad_message"
    assert (
        open_directory(sealed(encode(Snapshot(NOW, records[1:]))), [BOOTSTRAP.public_key], NOW, SUITE).passed_over
        == MAX_RECORDS
    )


# --- what of it counts -----------------------------------------------------------------------------------------------


def test_peers_by_role_and_hosts_by_model():
    records = [peer_record(RELAY, "relay"), peer_record(HOST, "host", "relay"), peer_record(BOOTSTRAP, "bootstrap")]
    directory = opened([*records, offer(HOST, "a"), offer(HOST, "b")])
    assert {listing.peer for listing in directory.relays} == {RELAY.peer_id, HOST.peer_id}
    assert [listing.peer for listing in directory.bootstraps] == [BOOTSTRAP.peer_id]
    ((listing, found),) = directory.hosts_of("a")
    assert (listing.peer, found.model) == (HOST.peer_id, "a")
    assert listing.signed == records[1]
    assert directory.hosts_of("c") == ()
    assert directory.listing_of(str(HOST.peer_id)) == listing
    assert directory.listing_of(str(STRANGER.peer_id)) is None


def test_a_record_that_does_not_open_is_skipped_and_the_others_count():
    good = peer_record(RELAY, "relay")
    forged = bytearray(peer_record(HOST, "relay"))
    forged[-1] ^= 1
    expired = peer_record(HOST, "relay", issued=NOW - 7200)
    provider = ProviderRecord(HOST.public_key, NOW, NOW, NOW + 60, provider_key("a"))
    directory = opened([bytes(forged), b"", b"junk", expired, sign_record(provider, HOST), good])
    assert [listing.peer for listing in directory.listings] == [RELAY.peer_id]
    assert directory.passed_over == 4


def test_a_record_is_opened_as_of_the_snapshot_and_holds_for_its_own_time():
    directory = opened([peer_record(RELAY, "relay", issued=NOW - 3000)], now=NOW + 1800)
    (listing,) = directory.listings
    assert listing.holds(NOW + 599)
    assert not listing.holds(NOW + 600)


@pytest.mark.parametrize("newest_first", [True, False])
def test_the_newest_of_each_counts_and_a_host_is_listed_once_a_model(newest_first: bool):
    records = [
        peer_record(HOST, "host", sequence=NOW - 1, region="old" if newest_first else "zzz"),
        peer_record(HOST, "host", sequence=NOW, region="new"),
        offer(HOST, "a", sequence=NOW - 1, answer_price=1 if newest_first else 90),
        offer(HOST, "a", sequence=NOW, answer_price=9),
    ]
    directory = opened(records)
    ((listing, found),) = directory.hosts_of("a")
    assert listing.record.region == "new"
    assert found.answer_price == 9


def test_an_offer_without_its_peer_is_nobodys():
    assert opened([offer(HOST, "a"), peer_record(RELAY, "relay")]).hosts_of("a") == ()


def test_what_was_opened_before_is_not_verified_again():
    known = opened([peer_record(RELAY, "relay")])

    class Refusing(type(SUITE)):  # type: ignore[misc]
        def verify(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
            return public_key == BOOTSTRAP.public_key and super().verify(public_key, message, signature)

    records = [peer_record(RELAY, "relay"), peer_record(HOST, "relay")]
    signed = signed_by(BOOTSTRAP, records=records)
    again = open_directory(signed, [BOOTSTRAP.public_key], NOW, Refusing(), known=known.bodies)
    assert [listing.peer for listing in again.listings] == [RELAY.peer_id]
    assert again.passed_over == 1


# --- what is known beyond it -----------------------------------------------------------------------------------------


def test_a_newer_record_takes_the_place_of_an_older_one_and_not_the_other_way():
    directory = opened([peer_record(HOST, "host", region="here"), offer(HOST, "a")])
    older = bodies_of(
        [peer_record(HOST, "host", sequence=NOW - 1, region="there"), offer(HOST, "a", sequence=NOW - 1)]
    )
    assert directory.renewed(older) == directory
    newer = bodies_of(
        [
            peer_record(HOST, "host", sequence=NOW + 1, region="there"),
            offer(HOST, "a", sequence=NOW + 1, answer_price=7),
        ]
    )
    ((listing, found),) = directory.renewed(newer).hosts_of("a")
    assert (listing.record.region, listing.vouched, found.answer_price) == ("there", True, 7)


def test_a_host_may_be_added_and_is_not_vouched_for_and_no_relay():
    directory = opened([peer_record(RELAY, "relay")])
    fresh = bodies_of([peer_record(HOST, "host", "relay"), offer(HOST, "a"), peer_record(STRANGER, "relay")])
    renewed = directory.renewed(fresh)
    ((listing, _),) = renewed.hosts_of("a")
    assert (listing.peer, listing.vouched) == (HOST.peer_id, False)
    assert [relay.peer for relay in renewed.relays] == [RELAY.peer_id]
    assert renewed.listing_of(str(STRANGER.peer_id)) is None


# --- making one ------------------------------------------------------------------------------------------------------


def carried(found: bytes, before: bytes, now: int = NOW + 60) -> list[bytes]:
    return list(carry_over(bodies_of([found]), bodies_of([before]), now))


def test_a_record_that_says_the_same_stays_the_one_it_was_for_half_of_its_life():
    before, found = peer_record(RELAY, "relay"), peer_record(RELAY, "relay", issued=NOW + 60, sequence=NOW + 60)
    assert carried(found, before) == [before]
    assert carried(found, before, now=NOW + 1799) == [before]
    assert carried(found, before, now=NOW + 1800) == [found]
    assert carried(offer(HOST, "a", sequence=NOW + 60), offer(HOST, "a")) == [offer(HOST, "a")]


def test_a_record_that_says_something_else_is_the_new_one():
    found = peer_record(RELAY, "relay", sequence=NOW + 60, region="there")
    assert carried(found, peer_record(RELAY, "relay")) == [found]


def test_of_too_many_the_same_ones_fit_whoever_has_found_them(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("peernet.core.directory.MAX_RECORDS", 5)
    hosts = [keypair(f"host {number}") for number in range(6)]
    records = [record for host in hosts for record in (peer_record(host, "host"), offer(host, "a"))]
    fit = fitting(bodies_of(records))
    assert fit.keys() == fitting(bodies_of(records[::-1])).keys()
    # Whole peers: two records each.
    assert len(fit) == 4
    assert len({body.public_key for body in fit.values()}) == 2


def test_the_order_of_what_was_found_makes_no_difference():
    records = [peer_record(RELAY, "relay"), offer(HOST, "a"), peer_record(HOST, "host")]
    assert make_snapshot(records, NOW) == make_snapshot(records[::-1], NOW)


def test_bodies_are_those_of_the_records():
    record = peer_record(RELAY, "relay")
    expected: dict[bytes, Body] = {record: open_record(record, NOW, SUITE)}
    assert opened([record]).bodies == expected
