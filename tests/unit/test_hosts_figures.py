"""What is measured, what hosts report, and what is made of it."""

import pytest
import trio
from attrs import evolve

from bootstrap.database import Database, Transaction
from bootstrap.hosts.abuse import refuse_lane, refused_lanes, reported_lanes
from bootstrap.hosts.estimate import estimate, price_of
from bootstrap.hosts.figures import days_of, host_details, hosts_of, network_status, search_hosts, served_by, total_of
from bootstrap.hosts.measuring import EVERY_S, Measured, due_hosts, measure, record_round
from bootstrap.hosts.network import NoNetwork, SeenHost
from bootstrap.hosts.reports import MAX_ABUSE_A_DAY, take_abuse_report, take_service_report
from bootstrap.hosts.standing import retire_host
from bootstrap.refusal import NotFound, Refused
from peernet.core.host_statements import AbuseReport, ServiceReport, sign
from tests.registered_hosts import ORIGIN, SUITE, FakeNetwork, add_account, add_host, keys_of

DAY_S = 24 * 3600
NOW_S = 1_000 * DAY_S + 7_200
KEY = keys_of(1).peer.public_key
LANE = b"\x0a" * 32


@pytest.fixture
def host(database: Database) -> str:
    def set_up(transaction: Transaction) -> str:
        add_account(transaction, "ann")
        return add_host(transaction, "ann", now_s=NOW_S - DAY_S)

    return database.write(set_up)


def report(**changes: object) -> ServiceReport:
    made = ServiceReport(ORIGIN, KEY, NOW_S - 600, NOW_S, 10, 1, 400, 900, 9, 1_800, 891, 17_820)
    return evolve(made, **changes)


def send(database: Database, sent: ServiceReport, number: int = 1, now_s: int = NOW_S) -> None:
    signature = sign(sent, keys_of(number).peer.seed, SUITE)
    database.write(lambda transaction: take_service_report(transaction, sent, signature, SUITE, ORIGIN, now_s))


def complain(database: Database, count: int = 1, number: int = 1, lane: bytes = LANE, at: int = NOW_S) -> None:
    sent = AbuseReport(ORIGIN, keys_of(number).peer.public_key, lane, "violence", count)
    signature = sign(sent, keys_of(number).peer.seed, SUITE)
    database.write(lambda transaction: take_abuse_report(transaction, sent, signature, SUITE, ORIGIN, at))


def total(database: Database):
    return database.read(lambda transaction: served_by(transaction, "ann", 0))


# --- reports ---------------------------------------------------------------------------------------------------------


def test_reports_add_up_and_make_means(database: Database, host: str):
    send(database, report(from_s=NOW_S - 1_200, until_s=NOW_S - 600))
    send(database, report())
    served = total(database)[host]
    assert (served.requests, served.answer_tokens) == (20, 1_800)
    assert (served.first_token_ms, served.inter_token_ms, served.error_rate) == (200.0, 20.0, 0.1)
    assert served.uptime is None  # a host's own word says nothing about that


def test_a_report_that_is_sent_again_adds_nothing(database: Database, host: str):
    send(database, report())
    for again in (report(), report(from_s=NOW_S - 60), report(from_s=NOW_S - 1_200)):
        with pytest.raises(Refused) as told:
            send(database, again)
        assert told.value.reason == "twice"
    assert total(database)[host].requests == 10


@pytest.mark.parametrize(
    ("changes", "number", "reason"),
    [
        ({}, 2, "bad_signature"),
        ({"peer_key": keys_of(2).peer.public_key}, 2, "bad_signature"),
        ({"portal": "https://evil.example"}, 1, "other_portal"),
        ({"until_s": NOW_S + 3_600}, 1, "bad_time"),
        ({"from_s": NOW_S}, 1, "bad_time"),
        ({"from_s": NOW_S - 2 * DAY_S - 1, "until_s": NOW_S - 2 * DAY_S}, 1, "bad_time"),
        ({"answer_tokens": 10**12}, 1, "bad_count"),
        ({"errors": 11}, 1, "bad_count"),
    ],
)
def test_a_report_that_cannot_be_is_refused(database: Database, host: str, changes: dict, number: int, reason: str):
    with pytest.raises(Refused) as told:
        send(database, report(**changes), number)
    assert told.value.reason == reason
    assert total(database) == {}


def test_abuse_is_counted_by_lane_and_never_lowered(database: Database, host: str):
    database.write(lambda transaction: add_host(transaction, "ann", 2, NOW_S))
    for count in (2, 5, 1):
        complain(database, count)
    complain(database, 1, number=2)
    (lane,) = database.read(lambda transaction: reported_lanes(transaction, limit=10))
    assert (lane.lane_key, lane.category, lane.hosts, lane.count, lane.refused) == (LANE, "violence", 2, 6, False)
    database.write(lambda transaction: refuse_lane(transaction, LANE, by="olga", now_s=NOW_S))
    assert database.read(lambda transaction: reported_lanes(transaction, limit=10))[0].refused
    assert database.read(lambda transaction: refused_lanes(transaction, NOW_S)) == {LANE}
    with pytest.raises(NotFound):
        database.write(lambda transaction: refuse_lane(transaction, b"\x0b" * 32, by="olga", now_s=NOW_S))


def test_a_removed_host_reports_nothing(database: Database, host: str):
    database.write(lambda transaction: transaction.execute("UPDATE host SET state = 'removed'"))
    for tell in (lambda: send(database, report()), lambda: complain(database)):
        with pytest.raises(Refused) as told:
            tell()
        assert told.value.reason == "removed"


def test_a_lane_is_refused_for_longer_than_it_is_open(database: Database, host: str):
    complain(database)
    database.write(lambda transaction: refuse_lane(transaction, LANE, by="ann", now_s=NOW_S))
    for days, refused in ((89, {LANE}), (90, set())):
        assert database.read(lambda t, at=NOW_S + days * DAY_S: refused_lanes(t, at)) == refused


def test_a_strangers_complaint_and_a_flood_are_refused(database: Database, host: str, monkeypatch):
    with pytest.raises(Refused, match="no host here"):
        complain(database, number=7)
    monkeypatch.setattr("bootstrap.hosts.reports.MAX_ABUSE_A_DAY", 2)
    assert MAX_ABUSE_A_DAY > 100
    complain(database)
    complain(database, lane=b"\x0b" * 32)
    with pytest.raises(Refused) as told:
        complain(database, lane=b"\x0c" * 32)
    assert told.value.reason == "too_many"


# --- measuring -------------------------------------------------------------------------------------------------------


def keep_round(database: Database, host: str, micros: int | None, now_s: int = NOW_S, *, seen: bool = True) -> None:
    found = {KEY: SeenHost("eu-north", {"small": b"\x01" * 32})} if seen else {}
    measured = [Measured(host, KEY, micros)]
    database.write(lambda transaction: record_round(transaction, measured, found, now_s))


def test_rounds_make_uptime_and_latency(database: Database, host: str):
    for micros in (10_000, 30_000, None, 20_000):
        keep_round(database, host, micros)
    served = total(database)[host]
    assert (served.uptime, served.round_trip_ms, served.slowest_us) == (0.75, 20.0, 30_000)
    details = database.read(lambda transaction: host_details(transaction, host))
    assert (details.host.region, details.host.standing(NOW_S)) == ("eu-north", "up")
    assert [(name, source) for name, source, _, _ in details.models] == [("small", "declared"), ("small", "offered")]
    assert details.host.standing(NOW_S + 3_600) == "down"


def test_a_round_of_a_node_that_is_cut_off_counts_for_nothing(database: Database, host: str):
    keep_round(database, host, None, seen=False)
    assert total(database) == {}
    assert database.read(lambda transaction: due_hosts(transaction, NOW_S)) == []


def test_a_model_that_is_no_longer_offered_is_gone(database: Database, host: str):
    keep_round(database, host, 1)
    measured = [Measured(host, KEY, 1)]
    database.write(lambda transaction: record_round(transaction, measured, {KEY: SeenHost("", {})}, NOW_S))
    details = database.read(lambda transaction: host_details(transaction, host))
    assert [source for _, source, _, _ in details.models] == ["declared"]


def test_who_is_due_is_asked_and_who_is_out_is_not(database: Database, host: str):
    assert database.read(lambda transaction: due_hosts(transaction, NOW_S)) == [(host, KEY)]
    keep_round(database, host, 1)
    assert database.read(lambda transaction: due_hosts(transaction, NOW_S + EVERY_S - 1)) == []
    assert database.read(lambda transaction: due_hosts(transaction, NOW_S + EVERY_S)) != []
    database.write(lambda transaction: retire_host(transaction, host, NOW_S))
    assert database.read(lambda transaction: due_hosts(transaction, NOW_S + EVERY_S)) == []


async def test_each_host_is_pinged_and_the_slow_do_not_hold_up_the_round(autojump_clock):
    class Stalling(FakeNetwork):
        async def round_trip_s(self, peer_key: bytes) -> float | None:
            if peer_key == b"slow":
                await trio.sleep_forever()
            return await super().round_trip_s(peer_key)

    network = Stalling(round_trips_s={b"a": 0.02})
    found = await measure(network, [("a", b"a"), ("b", b"b"), ("c", b"slow")])
    assert {each.host_id: each.round_trip_us for each in found} == {"a": 20_000, "b": None, "c": None}
    assert await NoNetwork().round_trip_s(b"a") is None


# --- views -----------------------------------------------------------------------------------------------------------


def test_days_have_gaps_where_nothing_was_known(database: Database, host: str):
    keep_round(database, host, 10_000, NOW_S - 2 * DAY_S)
    keep_round(database, host, None)
    send(database, report())
    days = database.read(lambda transaction: days_of(transaction, host, days=4, now_s=NOW_S))
    assert [day.served.uptime for day in days] == [None, 1.0, None, 0.0]
    assert days[-1].served.requests == 10
    summed = total_of([day.served for day in days])
    assert (summed.tries, summed.requests, summed.slowest_us) == (2, 10, 10_000)


def test_the_public_status_names_only_who_wants_that(database: Database, host: str):
    keep_round(database, host, 10_000)
    status = database.read(lambda transaction: network_status(transaction, NOW_S))
    assert (status.registered, status.up, status.uptime) == (1, 1, 1.0)
    assert (status.models, status.regions, status.named) == ([("small", 1)], [("eu-north", 1)], [])
    database.write(lambda transaction: transaction.execute("UPDATE host SET named_in_public = 1"))
    assert database.read(lambda transaction: network_status(transaction, NOW_S)).named == [("cellar", True)]
    later = database.read(lambda transaction: network_status(transaction, NOW_S + DAY_S))
    assert (later.up, later.models, later.named) == (0, [], [("cellar", False)])
    database.write(lambda transaction: transaction.execute("UPDATE account SET state = 'restricted'"))
    assert database.read(lambda transaction: network_status(transaction, NOW_S)).named == []


def test_operators_find_hosts_by_name_state_and_peer_id(database: Database, host: str):
    def found(**values: str) -> int:
        return len(database.read(lambda transaction: search_hosts(transaction, limit=10, offset=0, **values)))

    peer = str(keys_of(1).peer.peer_id)
    assert [found(), found(text="CELL"), found(text="ell"), found(text="%")] == [1, 1, 0, 0]
    assert [found(text=peer), found(text=f"{peer[:-1]}!"), found(state="suspended")] == [1, 0, 0]
    assert [each.id for each in database.read(lambda transaction: hosts_of(transaction, "ann"))] == [host]
    with pytest.raises(NotFound):
        database.read(lambda transaction: host_details(transaction, "nowhere"))


def test_power_is_estimated_in_whole_cents():
    made = estimate(watts=200, price=price_of("0,32"), earned_microcredits=5_000_000, earned_cents=5_000)
    assert (made.kilowatt_hours, made.power_cents, made.left_cents) == (146, 4_672, 328)
    assert estimate(watts=1, price=price_of("0"), earned_microcredits=0, earned_cents=None).left_cents is None
    for wrong in ("", "free", "-1", "nan", "1e9", "Infinity"):
        with pytest.raises(Refused):
            price_of(wrong)
