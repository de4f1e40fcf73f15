"""A host's side of registering and reporting, against a real portal over loopback, and against what is none."""

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import trio
from attrs import frozen

from bootstrap.hosts.codes import new_code
from bootstrap.portal.office import Office
from bootstrap.portal.serving import open_office, run_portal
from bootstrap.portal.settings import PortalConfig
from peernet.core.errors import UserError
from peernet.core.host_statements import REPORT_GRAIN_S
from peernet.host.portal_client import PortalClient, PortalRefused, PortalUnreachable
from peernet.host.registration import (
    Machine,
    Registered,
    fetch_agreement,
    find_machine,
    register,
    registered,
    remember,
)
from peernet.host.reporting import MAX_LANES, Answered, Reporter, ServiceRecord
from tests.registered_hosts import SUITE, add_account, keys_of

LANE = b"\x0a" * 32


@frozen
class Running:
    office: Office
    portal: PortalClient

    def code(self) -> str:
        return self.office.database.write(lambda transaction: new_code(transaction, "ann", self.office.now_s()))

    async def register(self, code: str, number: int = 1, agreed: Callable[[object], bool] = lambda _: True):
        keys = keys_of(number)
        return await register(
            self.portal,
            await fetch_agreement(self.portal),
            code=code,
            name="cellar",
            identity=keys.peer,
            payout=keys.payout,
            machine=Machine(4, 8192, ("Testcard",)),
            engine="embedded",
            models=[("small", "ab" * 32)],
            suite=SUITE,
            agreed=agreed,
        )

    def rows(self, sql: str):
        return self.office.database.read(lambda transaction: transaction.rows(sql))


@asynccontextmanager
async def running_portal(folder: Path) -> AsyncIterator[Running]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        listen = f"127.0.0.1:{probe.getsockname()[1]}"
    office = open_office(PortalConfig(listen=listen), folder, bytes(32))
    office.database.write(lambda transaction: add_account(transaction, "ann"))
    async with trio.open_nursery() as nursery:
        await nursery.start(run_portal, office)
        yield Running(office, PortalClient.of_url(f"http://{listen}"))
        nursery.cancel_scope.cancel()


async def test_a_host_registers_and_its_reports_are_taken(tmp_path: Path):
    async with running_portal(tmp_path) as running:
        made = await running.register(running.code())
        assert running.rows("SELECT id, cores, memory_mib, gpus, name FROM host") == [
            (made.host, 4, 8192, "Testcard", "cellar")
        ]
        clock = [running.office.now_s() - 10 * REPORT_GRAIN_S]
        record = ServiceRecord()
        reporter = Reporter(running.portal, made.host, record, keys_of(1).peer, SUITE, lambda: clock[0])
        await reporter.report()  # no minute has passed
        record.answered(Answered(10, 5, False, 200, 1, 100))
        record.answered(Answered(10, 0, True, None, 0, 0))
        record.failed()
        record.refused(LANE, "violence_threat")
        record.refused(LANE, "self_harm_instructions")
        clock[0] += 2 * REPORT_GRAIN_S
        await reporter.report()
        assert reporter.outcomes == {"taken": 2}
        clock[0] += 2 * REPORT_GRAIN_S
        await reporter.report()
        sums = "SELECT sum(requests), sum(errors), sum(answer_tokens), sum(first_token_ms), sum(later_tokens_ms)"
        assert running.rows(f"{sums} FROM host_reported") == [(3, 2, 5, 200, 100)]
        assert running.rows("SELECT lane_key, category, count FROM abuse_report") == [(LANE, "violence_threat", 1)]


async def test_what_was_not_taken_is_told_with_the_next_report(tmp_path: Path):
    async with running_portal(tmp_path) as running:
        made = await running.register(running.code())
        clock = [running.office.now_s() - 10 * REPORT_GRAIN_S]
        record = ServiceRecord()
        nowhere = PortalClient("http://127.0.0.1:9")
        reporter = Reporter(nowhere, made.host, record, keys_of(1).peer, SUITE, lambda: clock[0])
        for _ in range(2):
            record.answered(Answered(10, 5, False, 200, 1, 100))
            clock[0] += REPORT_GRAIN_S
            await reporter.report()
            reporter._portal = running.portal
        assert reporter.outcomes == {"unreachable": 1, "taken": 1}
        assert running.rows("SELECT requests FROM host_reported") == [(2,)]


async def test_nothing_is_sent_where_the_agreement_is_not_accepted(tmp_path: Path):
    async with running_portal(tmp_path) as running:
        code, shown = running.code(), []

        def refuse(offered) -> bool:
            shown.append(offered.text)
            return False

        with pytest.raises(UserError, match="not accepted: nothing was sent"):
            await running.register(code, agreed=refuse)
        assert "You do not store what your host is given" in shown[0]
        assert running.rows("SELECT id FROM host") == []
        await running.register(code)  # the code is still good


async def test_a_refusal_is_told_with_its_reason(tmp_path: Path):
    async with running_portal(tmp_path) as running:
        with pytest.raises(PortalRefused, match="this code is wrong, used or too old") as told:
            await running.register("AAAA-AAAA-AAAA-AAAA")
        assert told.value.reason == "bad_code"


# --- what is no portal -----------------------------------------------------------------------------------------------


@asynccontextmanager
async def answering(answer: bytes) -> AsyncIterator[PortalClient]:
    async def serve(stream: trio.SocketStream) -> None:
        async with stream:
            await stream.receive_some()
            await stream.send_all(answer)

    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
        yield PortalClient(f"http://127.0.0.1:{listener.socket.getsockname()[1]}")
        nursery.cancel_scope.cancel()


def http(body: bytes, status: str = "200 OK") -> bytes:
    return f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-x\r\n",
        http(b"<html>"),
        http(b"[]"),
        http(b'{"version": "1"}'),
        http(b'{"version": "1", "text": "\\u001b[2Jagree"}'),
        http(b'{"version": "\\u001b[2J", "text": "agree"}'),
        http(b"{}", "302 Found"),
        b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\ncontent-length: 9000000\r\n\r\n" + b" " * 2_000_000,
    ],
)
async def test_what_is_no_agreement_of_a_portal_is_told_so(answer: bytes):
    async with answering(answer) as portal:
        with pytest.raises((PortalUnreachable, PortalRefused)):
            await fetch_agreement(portal)


async def test_a_portals_words_cannot_steer_a_terminal():
    async with answering(http(b'{"detail": "no \\u001b]0;x\\u0007 way", "reason": "x"}', "409 Conflict")) as portal:
        with pytest.raises(PortalRefused) as told:
            await portal.get("/")
    assert str(told.value).isprintable()


async def test_a_portal_that_says_nothing_is_given_up(autojump_clock):
    async def silent(stream: trio.SocketStream) -> None:
        async with stream:
            await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(trio.serve_tcp, silent, 0, host="127.0.0.1"))
        with pytest.raises(PortalUnreachable, match="took over 30 s"):
            await PortalClient(f"http://127.0.0.1:{listener.socket.getsockname()[1]}").get("/")
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    "url",
    [
        "ftp://x",
        "peernet.example",
        "https://x/path",
        "https://a:b@x",
        "https://x?q",
        "http://example.org",
        "http://x:y",
    ],
)
def test_what_is_no_portals_address_is_refused(url: str):
    with pytest.raises(UserError):
        PortalClient.of_url(url)
    assert PortalClient.of_url("HTTPS://Example.org:8443/").origin == "https://example.org:8443"


# --- on this machine -------------------------------------------------------------------------------------------------


def test_the_machine_is_found_out_without_asking_anybody(tmp_path: Path):
    nvidia = tmp_path / "nvidia"
    (nvidia / "0000:01").mkdir(parents=True)
    (nvidia / "0000:01" / "information").write_text("Model: \t Testcard 9000\nIRQ: 1\n")
    machine = find_machine(nvidia, tmp_path / "none")
    assert machine.gpus == ("Testcard 9000",)
    assert machine.cores >= 1
    assert machine.memory_mib > 0
    assert find_machine(tmp_path / "none", tmp_path / "none").gpus == ()


def test_where_it_is_registered_is_remembered(tmp_path: Path):
    assert registered(tmp_path) is None
    remember(tmp_path, Registered("https://x", "abc"))
    assert registered(tmp_path) == Registered("https://x", "abc")
    (tmp_path / "portal.json").write_text("{")
    with pytest.raises(UserError, match="register the host again"):
        registered(tmp_path)


def test_reported_lanes_are_bounded():
    record = ServiceRecord()
    for number in range(MAX_LANES + 10):
        record.refused(number.to_bytes(32, "big"), "hate")
    assert len(record.abuse) == MAX_LANES
    assert "hate" not in repr(record)
