"""Metrics: what a scrape says of real connections, nothing personal in it, and the page that serves it."""

import re
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
import structlog
import trio
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from peernet.core.errors import ConnectionFailed, UserError
from peernet.core.identity import Keypair
from peernet.core.suite import MixedSuite
from peernet.core.yamux.frames import DATA, INITIAL_WINDOW
from peernet.core.yamux.limits import YamuxLimits
from peernet.net import metrics_page
from peernet.net.addresses import TcpAddress, parse_address
from peernet.net.limits import Limits
from peernet.net.metrics import COUNTED, Measured, registry_of
from peernet.net.metrics_page import MAX_REQUEST_SIZE, REQUESTS_AT_ONCE, MetricsPage, parse_page_address
from peernet.net.streams import PeerStream
from peernet.net.swarm import Swarm

SUITE = MixedSuite()
ECHO = "/test/echo/1"
SOURCE = Path(__file__).parents[2] / "src" / "peernet" / "net"


@pytest.fixture(autouse=True)
def _quiet_log():
    with structlog.testing.capture_logs():
        yield


def new_swarm(number: int) -> Swarm:
    keypair = Keypair.from_seed(b"metrics %024d" % number, SUITE)
    return Swarm(SUITE, keypair, bind=f"127.80.{number}.1", limits=Limits())


async def echo(stream: PeerStream) -> None:
    while data := await stream.receive_some():
        await stream.send_all(data)


@asynccontextmanager
async def two_that_talked() -> AsyncIterator[tuple[Swarm, Swarm]]:
    """Two swarms; the first has an open stream to the second, and failed at something."""
    one, two = new_swarm(1), new_swarm(2)
    async with trio.open_nursery() as nursery:
        for swarm in (one, two):
            await nursery.start(swarm.run)
        two.handle(ECHO, echo)
        for suffix in ("", "/ws"):
            await two.listen(parse_address(f"/ip4/{two._bind}/tcp/0{suffix}"))
        with pytest.raises(ConnectionFailed):
            await one.connect(new_swarm(3).peer_id, [TcpAddress("127.80.3.1", 9)])
        stream = await one.open_stream(two.peer_id, two.listening[1:], ECHO)
        await stream.send_all(bytes(100_000))
        size = 0
        while size < 100_000:
            size += len(await stream.receive_some())
        yield one, two
        nursery.cancel_scope.cancel()


def scraped(*swarms: Swarm, services: Sequence[Measured] = ()) -> dict[str, dict[tuple[str, ...], float]]:
    """Values by name, and by the label values in the order of the labels' names."""
    values: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(generate_latest(registry_of(swarms, services)).decode()):
        for sample in family.samples:
            values.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
    return values


async def test_a_scrape_says_what_happened():
    async with two_that_talked() as (one, two):
        ours, theirs = scraped(one), scraped(two)
        assert ours["peernet_dials_total"] == {("refused", "tcp"): 1, ("connected", "ws"): 1}
        assert ours["peernet_connections"] == {("out", "ws"): 1}
        assert theirs["peernet_connections"] == {("in", "ws"): 1}
        assert theirs["peernet_connections_made_total"] == {("in", "ws"): 1}
        assert theirs["peernet_streams_total"] == {("in", ECHO): 1}
        # The first does not serve it, so it does not name it.
        assert ours["peernet_streams_total"] == {("out", "other"): 1}
        assert theirs["peernet_streams_served"] == {(): 1}
        for values in (ours, theirs):
            for direction in ("in", "out"):
                assert 100_000 < values["peernet_bytes_total"][(direction,)] < 110_000
        assert theirs["peernet_draining"] == {(): 0}
        both = scraped(one, two)
        assert both["peernet_connections"] == {("out", "ws"): 1, ("in", "ws"): 1}
        assert both["peernet_bytes_total"][("in",)] == one.bytes_received + two.bytes_received


async def test_totals_never_fall_when_connections_end():
    async with two_that_talked() as (one, two):
        before = one.bytes_received
        connection = one.connections[two.peer_id]
        one.resources._give_up(one._table.held[connection].place, "for a test")
        assert one.bytes_received >= before > 100_000
        await connection.closed.wait()
        assert one.bytes_received >= before
        assert "peernet_connections" not in scraped(one)


@pytest.mark.parametrize(
    ("reason", "limits"),
    [("session_streams", YamuxLimits(max_inbound_streams=2)), ("session_backlog", YamuxLimits(max_backlog=2))],
)
async def test_streams_that_yamux_refuses_are_counted_by_reason(reason: str, limits: YamuxLimits):
    one, two = new_swarm(1), new_swarm(2)
    two._upgrader._yamux_limits = limits
    async with trio.open_nursery() as nursery:
        for swarm in (one, two):
            await nursery.start(swarm.run)
        await two.listen(TcpAddress("127.80.2.1", 0))
        connection = await one.connect(two.peer_id, two.listening)
        # They leave together, and so come before the first of them is acknowledged.
        *_, refused = [connection.open_stream() for _ in range(3)]
        await refused.wait_ended()
        assert scraped(two)["peernet_streams_refused_total"] == {(reason,): 1}
        nursery.cancel_scope.cancel()


async def test_a_stream_that_crosses_with_going_away_is_counted():
    async with two_that_talked() as (one, two):
        two.connections[one.peer_id].go_away()
        crossing = one.connections[two.peer_id].open_stream()
        await crossing.wait_ended()
        assert scraped(two)["peernet_streams_refused_total"] == {("going_away",): 1}


async def test_a_window_violation_is_counted():
    async with two_that_talked() as (one, two):
        theirs, ours = two.connections[one.peer_id], one.connections[two.peer_id]
        ours._protocol.yamux._frames.add(DATA, 0, 1, INITIAL_WINDOW + 1)
        ours.outbox.queued()
        await theirs.closed.wait()
        assert scraped(two)["peernet_connection_failures_total"] == {("window_overrun",): 1}


async def test_nothing_personal_is_in_it():
    async with two_that_talked() as (one, two):
        one.counters["stream_failed:bad_message"] += 1
        text = generate_latest(registry_of([one, two])).decode()
        for secret in (str(one.peer_id), str(two.peer_id), one.peer_id.public_key.hex(), "127.80."):
            assert secret not in text
        assert not re.search(r"12D3Koo|\d+\.\d+\.\d+\.\d+", text)


async def test_each_swarm_is_by_itself():
    from prometheus_client import REGISTRY

    registry_of([new_swarm(1)])
    assert not [name for name in REGISTRY._names_to_collectors if name.startswith("peernet")]


def words_counted_in(name: str) -> set[str]:
    """The first words of the counters that a module adds to."""
    pattern = re.compile(r"""counters\[f?["']([a-z_]+)|crashed\("([a-z_]+)""")
    return {word for match in pattern.findall((SOURCE / name).read_text()) for word in match if word}


def test_every_counter_of_the_code_is_a_metric_and_every_metric_is_counted():
    """A name that the collector does not know would break each scrape."""
    found = {word for path in SOURCE.glob("*.py") for word in words_counted_in(path.name)}
    # Those of rings are one metric, whichever there are.
    found |= {"rings"}
    # Two that are chosen by a condition in the middle of a name.
    found |= {"dialled", "accepted"}
    services = (
        ("relay.py", "relay"),
        ("keeper.py", "places"),
        ("autonat.py", "probes"),
        ("autonat.py", "dial_backs"),
    )
    for name, service in services:
        found |= {f"{service}.{word}" for word in words_counted_in(f"reachability/{name}")}
    # Who asks is counted as failed by its owner.
    assert words_counted_in("../node/reachability.py") == {"failed"}
    assert found == set(COUNTED)


def test_what_services_count_and_hold_is_added_up():
    one = Measured(
        "relay", Counter({"ended:idle": 2, "ended:cut": 1, "bytes": 7}), {"reserved": lambda: 3, "circuits": lambda: 1}
    )
    two = Measured("relay", Counter({"ended:idle": 5, "bytes": 1}), {"reserved": lambda: 4, "circuits": lambda: 0})
    places = Measured("places", Counter({"granted": 2, "lost": 1, "failed:no_place": 9}), {"kept": lambda: 2})
    rings = [Measured("rings", Counter({"joined": 2, "arc_ended:lost": 3}), {"legs": lambda: 4}) for _ in range(2)]
    values = scraped(services=(one, two, places, *rings))
    # (By detail and event: labels come by their names.)
    assert values["peernet_ring_events_total"] == {("", "joined"): 4, ("lost", "arc_ended"): 6}
    assert values["peernet_ring_legs"] == {(): 8}
    assert values["peernet_circuits_ended_total"] == {("idle",): 7, ("cut",): 1}
    assert values["peernet_circuit_bytes_total"] == {(): 8}
    assert values["peernet_circuit_reservations_held"] == {(): 7}
    assert values["peernet_circuits"] == {(): 1}
    assert values["peernet_places_total"] == {("got",): 2, ("lost",): 1}
    assert values["peernet_place_failures_total"] == {("no_place",): 9}
    assert values["peernet_places_kept"] == {(): 2}


# --- the page --------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def page() -> AsyncIterator[int]:
    async with trio.open_nursery() as nursery:
        served = MetricsPage(registry_of([new_swarm(4)]))
        yield await nursery.start(served.serve, "127.0.0.1", 0)
        nursery.cancel_scope.cancel()


async def answer_to(port: int, request: bytes) -> bytes:
    heard = b""
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await stream.send_all(request)
        with trio.fail_after(5):
            while data := await stream.receive_some():
                heard += data
    return heard


async def test_the_page_serves_the_metrics():
    async with page() as port:
        heard = await answer_to(port, b"GET /metrics HTTP/1.1\r\nHost: here\r\n\r\n")
        head, _, body = heard.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ")
        assert b"text/plain" in head
        assert f"Content-Length: {len(body)}".encode() in head
        assert b"peernet_draining 0.0" in body
        heard = await answer_to(port, b"HEAD /metrics HTTP/1.1\r\nHost: here\r\n\r\n")
        assert heard.startswith(b"HTTP/1.1 200 ")
        assert heard.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: here\r\n\r\n", b"404"),
        (b"POST /metrics HTTP/1.1\r\nHost: here\r\nContent-Length: 0\r\n\r\n", b"405"),
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET /metrics HTTP/1.1\r\nX: " + b"y" * MAX_REQUEST_SIZE, b"431"),
    ],
)
async def test_anything_else_is_told_off(request_line: bytes, status: bytes):
    async with page() as port:
        assert (await answer_to(port, request_line)).startswith(b"HTTP/1.1 " + status)
        assert (await answer_to(port, b"GET /metrics HTTP/1.1\r\nHost: here\r\n\r\n")).startswith(b"HTTP/1.1 200")


async def test_slow_readers_are_bounded_in_number(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(metrics_page, "REQUEST_TIMEOUT_S", 60)
    async with page() as port:
        slow = [await trio.open_tcp_stream("127.0.0.1", port) for _ in range(REQUESTS_AT_ONCE)]
        for stream in slow:
            await stream.send_all(b"GET ")
        # One too many is closed without an answer; a reset is that, too.
        with suppress(trio.BrokenResourceError):
            assert await answer_to(port, b"") == b""
        for stream in slow:
            await stream.send_all(b"/metrics HTTP/1.1\r\nHost: here\r\n\r\n")
            assert (await stream.receive_some()).startswith(b"HTTP/1.1 200")
            await stream.aclose()


async def test_slow_readers_are_bounded_in_time(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(metrics_page, "REQUEST_TIMEOUT_S", 0.2)
    async with page() as port:
        assert await answer_to(port, b"GET ") == b""
        assert (await answer_to(port, b"GET /metrics HTTP/1.1\r\nHost: here\r\n\r\n")).startswith(b"HTTP/1.1 200")


def test_an_address_is_on_loopback_and_has_a_port():
    assert parse_page_address("127.0.0.1:9101") == ("127.0.0.1", 9101)
    assert parse_page_address("[::1]:9101") == ("::1", 9101)
    for text in ("9101", "127.0.0.1", "localhost:9101", "127.0.0.1:http", "127.0.0.1:70000"):
        with pytest.raises(UserError, match=r"such as 127\.0\.0\.1:9101"):
            parse_page_address(text)
    with pytest.raises(UserError, match="on this machine only"):
        parse_page_address("0.0.0.0:9101")


async def test_a_port_that_is_taken_is_a_message_for_people():
    async with page() as port:
        with pytest.RaisesGroup(pytest.RaisesExc(UserError, match="cannot serve metrics")):
            async with trio.open_nursery() as nursery:
                await nursery.start(MetricsPage(registry_of([])).serve, "127.0.0.1", port)
