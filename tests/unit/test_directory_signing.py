"""What a bootstrap node demands of another's snapshot before it signs, and whose turn it is to propose."""

from collections import Counter
from collections.abc import Sequence

import pytest

from peernet.core.directory import Directory, make_snapshot, open_snapshot, read_snapshot
from peernet.core.directory_signing import (
    LEFT_OUT,
    TIME_TOLERANCE_S,
    Alive,
    Refused,
    SigningMessages,
    check_listed,
    check_proposed_time,
    proposal_time,
    turn_of,
)
from peernet.core.errors import RemoteProtocolError
from tests.directory_records import HOST, NOW, STRANGER, SUITE, bodies_of, keypair, offer, peer_record

RELAYS = [keypair(f"relay {number}") for number in range(3 * LEFT_OUT)]
RECORDS = [peer_record(relay, "relay") for relay in RELAYS]


def proposed(records: Sequence[bytes]) -> Directory:
    return open_snapshot(read_snapshot(make_snapshot(records, NOW)), SUITE)


def alive(records: Sequence[bytes]) -> Alive:
    return Alive.of(bodies_of(records).values())


def refusal(records: Sequence[bytes], found: Sequence[bytes], now: int = NOW) -> str:
    with pytest.raises(RemoteProtocolError) as raised:
        check_listed(proposed(records), alive(found), now)
    return raised.value.reason


@pytest.mark.parametrize(
    ("issued", "signed_at", "why"),
    [
        (NOW, NOW - 1, None),
        (NOW + TIME_TOLERANCE_S, 0, None),
        (NOW - TIME_TOLERANCE_S, 0, None),
        (NOW + TIME_TOLERANCE_S + 1, 0, "bad_time"),
        (NOW - TIME_TOLERANCE_S - 1, 0, "bad_time"),
        (NOW, NOW, "not_newer"),
        (NOW, NOW + 1, "not_newer"),
    ],
)
def test_the_time_is_ours_and_only_goes_on(issued: int, signed_at: int, why: str | None):
    if why is None:
        check_proposed_time(issued, NOW, signed_at)
        return
    with pytest.raises(RemoteProtocolError) as raised:
        check_proposed_time(issued, NOW, signed_at)
    assert raised.value.reason == why


def test_who_lists_all_that_are_alive_and_more_is_signed_for():
    check_listed(proposed(RECORDS), alive(RECORDS), NOW)
    check_listed(proposed([*RECORDS, peer_record(STRANGER, "relay")]), alive(RECORDS), NOW)


def test_one_in_eight_may_be_missing_and_no_more():
    check_listed(proposed(RECORDS[3:]), alive(RECORDS), NOW)
    assert refusal(RECORDS[4:], RECORDS) == "left_out"
    check_listed(proposed(RECORDS[1:8]), alive(RECORDS[:8]), NOW)
    assert refusal(RECORDS[2:8], RECORDS[:8]) == "left_out"
    assert refusal([], RECORDS[:2]) == "left_out"


def test_offers_count_apart_from_peers():
    hosts = [peer_record(host, "host") for host in RELAYS[:8]]
    offers = [offer(host, "a") for host in RELAYS[:8]]
    check_listed(proposed([*hosts, *offers[1:]]), alive([*hosts, *offers]), NOW)
    assert refusal([*hosts, *offers[2:]], [*hosts, *offers]) == "left_out"


def test_who_is_suspended_here_is_signed_for_in_no_list():
    suspended = frozenset({RELAYS[0].public_key})
    check_listed(proposed(RECORDS[1:]), alive(RECORDS[1:]), NOW, suspended)
    with pytest.raises(RemoteProtocolError) as raised:
        check_listed(proposed(RECORDS), alive(RECORDS[1:]), NOW, suspended)
    assert raised.value.reason == "suspended"


def test_another_record_of_the_same_peer_is_not_a_peer_left_out():
    newer = [peer_record(relay, "relay", sequence=NOW + 1) for relay in RELAYS]
    check_listed(proposed(RECORDS), alive(newer), NOW)


def test_a_record_that_does_not_open_or_has_expired_is_not_signed_for():
    forged = bytearray(peer_record(HOST, "host"))
    forged[-1] ^= 1
    assert refusal([*RECORDS, bytes(forged)], RECORDS) == "bad_record"
    assert refusal([*RECORDS, peer_record(HOST, "host", issued=NOW - 3600)], RECORDS) == "bad_record"
    # It held when the proposal was made, and does not any more.
    assert refusal([*RECORDS, peer_record(HOST, "host", issued=NOW - 3500)], RECORDS, now=NOW + 100) == "expired"


def test_who_was_there_in_one_crawl_only_is_missed_by_nobody():
    both = alive(RECORDS[:4]) & alive(RECORDS[2:])
    assert both == alive(RECORDS[2:4])


def test_every_member_has_one_turn_and_the_order_changes_with_every_snapshot():
    members = [relay.public_key for relay in RELAYS[:4]]
    firsts: Counter[bytes] = Counter()
    for number in range(200):
        turns = {member: turn_of(member, members, number.to_bytes(32)) for member in members}
        assert sorted(turns.values()) == [0, 1, 2, 3]
        assert turns == {member: turn_of(member, members[::-1], number.to_bytes(32)) for member in members}
        firsts[min(turns, key=turns.__getitem__)] += 1
    assert min(firsts[member] for member in members) > 20


def test_members_propose_at_seconds_of_their_own():
    members = [relay.public_key for relay in RELAYS[:4]]
    times = {proposal_time(member, members, NOW + late) for member in members for late in range(4)}
    assert times >= set(range(NOW, NOW + 4))
    for late in range(8):
        own = [proposal_time(member, members, NOW + late) for member in members]
        assert sorted(own) == list(range(NOW + late, NOW + late + 4))
    assert proposal_time(members[0], members[:1], NOW) == NOW


@pytest.mark.parametrize("reason", ["", "x" * 33, "two words", "ünder", "_"])
def test_a_reason_is_a_short_word(reason: str):
    with pytest.raises(ValueError, match="short word"):
        Refused(reason)
    assert SigningMessages.decode(SigningMessages.encode(Refused("left_out"))) == Refused("left_out")
