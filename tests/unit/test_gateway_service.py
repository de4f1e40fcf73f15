"""The gateway over a client without a network: what goes wrong before anything is sent, and who has to wait."""

import argparse
import json
import socket
import stat
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest
import trio
from starlette.types import Message

from inference.models import derive_tokenizer
from inference.tokenizer import Tokenizer
from peernet.cli.gateway import _api_key, _settings, _usage, configure
from peernet.client.client import Client, NoHosts, UnknownModel
from peernet.client.events import (
    Answered,
    AnswerText,
    Event,
    FragmentPlanned,
    FragmentReport,
    FragmentSent,
    Planned,
)
from peernet.client.network import NetworkView
from peernet.client.session import CountedModel
from peernet.core import serving
from peernet.core.errors import LocalProtocolError, PeernetError, UserError
from peernet.core.identity import Keypair
from peernet.core.ring.paths import TooFewRelays
from peernet.core.suite import MixedSuite
from peernet.gateway.completions import _Exchange, _stream
from peernet.gateway.errors import failure_of, refusal_of
from peernet.gateway.exposures import Exposures
from peernet.gateway.listening import base_url, listening_socket, page_url
from peernet.gateway.requests import parse_request
from peernet.gateway.service import Gateway
from peernet.gateway.settings import GatewaySettings, Listening
from peernet.node.config import ClientConfig, NetworkConfig
from peernet.node.policy import policy_of
from privacy.detection import DetectionFailed, Detector
from privacy.exposure import ExposureReceipt
from privacy.mention import Mention
from privacy.planning import PlanRefused
from privacy.screening import Screen
from tests.asgi import Answer, ask
from tests.model_files import write_tiny_weights

LEDGER = "peernet.local/log+df5c46de+AUc6dZ4HEx3tA0i7e1RWIDpw/Ec5uHSsEIbJsZkAh8dY"
CHAT = "/v1/chat/completions"
QUESTION = "Who is Maria Kowalska?"


class Finder:
    """In a detector's place: does what the test says, in a thread as ever."""

    def __init__(self, work: Callable[[], None] = lambda: None) -> None:
        self.work = work

    def detect_all(self, texts: Sequence[str]) -> list[list[Mention]]:
        self.work()
        return [[] for _ in texts]


@asynccontextmanager
async def gateway(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    finder: Finder | None = None,
    config: ClientConfig | None = None,
    **settings: Any,
) -> AsyncIterator[Gateway]:
    """A gateway whose client knows of nobody."""
    write_tiny_weights(folder / "tiny.gguf")
    tokenizer = Tokenizer(*derive_tokenizer(folder / "tiny.gguf"))
    peer = Keypair.from_seed(bytes(32), MixedSuite())
    network = NetworkConfig(bootstrap=(f"/ip4/127.0.0.1/tcp/9/p2p/{peer.peer_id}",), ledger=LEDGER, test=True)

    async def nobody_new() -> None:
        await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        view = NetworkView(network, folder / "guards.json")
        monkeypatch.setattr(view, "fetch_directory", nobody_new)
        detector = cast("Detector", finder or Finder())
        model = CountedModel("tiny", tokenizer)
        config = config or ClientConfig()
        client = Client(view, config, detector, Screen(), model, policy_of(network), folder, nursery)
        yield Gateway(client, GatewaySettings(**settings))
        nursery.cancel_scope.cancel()


async def chat(opened: Gateway, text: str = QUESTION, left: trio.Event | None = None, **fields: Any) -> Answer:
    body = {"model": "tiny", "messages": [{"role": "user", "content": text}], **fields}
    return await ask(opened.app, "POST", CHAT, body, left=left)


async def test_what_is_refused_or_missing_is_told_with_its_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with gateway(tmp_path, monkeypatch) as opened:
        for stream in (False, True):
            none = await chat(opened, stream=stream)
            assert (none.status, none.error["code"]) == (503, "no_host")
            assert none.headers["retry-after"]
            refused = await chat(opened, "How do I build a pipe bomb at home?", stream=stream)
            assert (refused.status, refused.error["code"]) == (400, "content_filter")
            assert "pipe" not in refused.body.decode()
            unknown = await chat(opened, model="../tiny", stream=stream)
            assert (unknown.status, unknown.error["code"]) == (404, "model_not_found")
        earlier = [
            {"role": "user", "content": "How do I build a pipe bomb at home?"},
            {"role": "assistant", "content": "No."},
            {"role": "user", "content": "Why not?"},
        ]
        assert (await chat(opened, messages=earlier)).error["code"] == "content_filter"
        assert opened.app.failures == {}


async def test_a_language_whose_names_are_not_recognised_is_refused_if_so_configured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    danish = "Skriv et brev til min nabo Grethe om den båd, som han ikke vil sælge."
    async with gateway(tmp_path, monkeypatch, config=ClientConfig(unsupported_language="refuse")) as opened:
        refused = await chat(opened, danish)
        assert (refused.status, refused.error["code"]) == (400, "unsupported_language")
        assert "seems to be Danish" in refused.error["message"]
        assert "Grethe" not in refused.body.decode()
        assert (await chat(opened)).error["code"] == "no_host"


async def test_what_is_not_there_is_an_error_object(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with gateway(tmp_path, monkeypatch) as opened:
        for method, path, status in (
            ("GET", "/v1/models/gpt", 404),
            ("GET", "/v1/exposure/chatcmpl-x", 404),
            ("POST", "/v1/embeddings", 404),
            ("GET", CHAT, 405),
        ):
            answer = await ask(opened.app, method, path)
            assert (answer.status, answer.error["type"]) == (status, "invalid_request_error")
        models = await ask(opened.app, "GET", "/v1/models")
        assert models.json == {"object": "list", "data": []}
        long = await ask(opened.app, "POST", CHAT, b" " * (3 << 20))
        assert long.status == 413


async def test_when_detection_fails_nothing_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise DetectionFailed("looking for identifiers failed; nothing was sent")

    def crash() -> None:
        raise KeyError(QUESTION)

    async with gateway(tmp_path, monkeypatch, Finder(fail)) as opened:
        answer = await chat(opened)
        assert (answer.status, answer.error["code"]) == (503, "detection_failed")
    async with gateway(tmp_path, monkeypatch, Finder(crash)) as opened:
        answer = await chat(opened)
        assert (answer.status, answer.error["code"]) == (500, "bug")
        assert opened.app.failures == {"KeyError": 1}
        printed = capsys.readouterr()
        assert "Maria" not in answer.body.decode() + printed.out + printed.err


async def test_who_comes_while_all_are_busy_is_told_to_come_again_and_a_reader_who_leaves_makes_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on, left = trio.Event(), threading.Event(), trio.Event()
    token = trio.lowlevel.current_trio_token()

    def wait() -> None:
        token.run_sync_soon(begun.set)
        go_on.wait(10)

    async with gateway(tmp_path, monkeypatch, Finder(wait), parallel=1) as opened, trio.open_nursery() as nursery:

        async def leave() -> None:
            assert (await chat(opened, left=left)).status == 0

        nursery.start_soon(leave)
        await begun.wait()
        busy = await chat(opened)
        assert (busy.status, busy.error["code"]) == (429, "rate_limit_exceeded")
        assert int(busy.headers["retry-after"]) >= 1
        left.set()
        await trio.testing.wait_all_tasks_blocked()
        go_on.set()
        assert (await chat(opened)).error["code"] == "no_host"


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """One whose path leaves room for a socket's name: with several processes of tests, `tmp_path` does not."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


async def test_a_unix_socket_is_its_owners_and_a_key_is_for_who_has_it(
    short_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = Listening.parse(f"unix:{short_folder}/socket")
    assert where.path is not None
    with listening_socket(where):
        pass
    key = _api_key(tmp_path / "key")
    assert key == _api_key(tmp_path / "key")
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600
    # A gateway that was killed leaves its socket behind.
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(where.path))
    with listening_socket(where) as listener:
        assert base_url(listener) == "http://localhost/v1"
        assert page_url(listener) is None
        assert stat.S_IMODE(where.path.stat().st_mode) == 0o600
        with pytest.raises(UserError, match="somebody listens"), listening_socket(where):
            pass
        opening = gateway(tmp_path, monkeypatch, listening=where, api_key=key)
        async with opening as opened, trio.open_nursery() as nursery:
            nursery.start_soon(opened.run, listener)
            assert [await _status(where.path, shown) for shown in ("wrong", key)] == [401, 200]
            nursery.cancel_scope.cancel()
    assert not where.path.exists()


async def _status(path: Path, key: str) -> int:
    async with await trio.open_unix_socket(path) as stream:
        await stream.send_all(f"GET /v1/models HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\r\n".encode())
        return int((await stream.receive_some()).split()[1])


def test_what_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("mine")
    with pytest.raises(UserError, match="no socket"), listening_socket(Listening.parse(f"unix:{tmp_path}/notes")):
        pass
    assert (tmp_path / "notes").read_text() == "mine"


def test_what_is_printed_at_the_start_names_the_page() -> None:
    with listening_socket(Listening("::1", 0)) as listener:
        url, page = base_url(listener), page_url(listener)
        assert page == f"http://[::1]:{listener.getsockname()[1]}/"
        assert url == f"{page}v1"
        assert page in _usage(url, page, GatewaySettings(), None, ["tiny"]).splitlines()[0]


@pytest.mark.parametrize("options", [("--listen", "0.0.0.0:0"), ("--listen", "0.0.0.0:0", "--allow-remote")])
def test_other_machines_have_to_be_asked_for(options: tuple[str, ...]) -> None:
    parser = argparse.ArgumentParser()
    configure(parser)
    with pytest.raises(UserError, match="--allow-remote and --api-key-file"):
        _settings(parser.parse_args(options))


@pytest.mark.parametrize(("content", "mode"), [("short", 0o600), ("x" * 40, 0o644)])
def test_a_key_that_is_none_is_refused(tmp_path: Path, content: str, mode: int) -> None:
    (tmp_path / "key").write_text(content)
    (tmp_path / "key").chmod(mode)
    with pytest.raises(UserError) as raised:
        _api_key(tmp_path / "key")
    assert content not in str(raised.value)


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (PlanRefused("policy"), 400, "exposure_policy"),
        (UnknownModel("x"), 404, "model_not_found"),
        (NoHosts("x"), 503, "no_host"),
        (TooFewRelays(3, 1, "private"), 503, "too_few_relays"),
        (UserError("x"), 503, "network"),
        (PeernetError("a word of the prompt"), 503, "network"),
        (LocalProtocolError("x"), 500, "bug"),
    ],
)
def test_each_reason_has_its_status(error: PeernetError, status: int, code: str) -> None:
    shown = refusal_of(error)
    assert (shown.status, shown.code) == (status, code)
    assert "a word" not in shown.message


async def test_what_fails_within_a_stream_is_an_event_and_the_stream_is_not_done() -> None:
    request = parse_request(json.dumps({"model": "m", "messages": [{"role": "user", "content": "Who?"}]}).encode(), 9)
    sent: list[bytes] = []

    async def send(message: Message) -> None:
        await trio.lowlevel.checkpoint()
        sent.append(message.get("body", b""))

    for error in (None, failure_of(answered(serving.BUSY))):
        sent.clear()
        exchange = _Exchange(request, answered=answered(None), error=error)
        exchange.pending.on_event(AnswerText("Maria\n\nK"))
        exchange.end()
        await _stream(exchange, send)
        events = [event.removeprefix("data: ") for event in b"".join(sent).decode().split("\n\n") if event]
        texts = [json.loads(event) for event in events if event != "[DONE]"]
        assert texts[1]["choices"][0]["delta"] == {"content": "Maria\n\nK"}
        if error is None:
            assert texts[-1]["choices"][0]["finish_reason"] == "stop"
            assert events[-1] == "[DONE]"
        else:
            assert texts[-1]["error"]["code"] == "hosts_failed"
            assert "[DONE]" not in events


async def test_a_stream_tells_the_plan_before_the_first_word_where_that_is_asked_for() -> None:
    plan = Planned("whole", "standard", "private", (FragmentPlanned(0, "h", "Who?", 1.0),), "short")
    said = (plan, FragmentSent(0, "h", 1.0, standby=False), AnswerText("Maria"))
    for included in (False, True):
        events = await streamed(said, {"include_exposure": included})
        told = [json.loads(data)["state"] for name, data in events if name == "peernet.exposure"]
        assert told == (["running", "running", "answered"] if included else [])
        texts = [data for name, data in events if name != "peernet.exposure"]
        assert texts[-1] == "[DONE]"
        assert json.loads(texts[1])["choices"][0]["delta"] == {"content": "Maria"}


async def streamed(said: Sequence[Event], options: dict[str, bool]) -> list[tuple[str, str]]:
    """The stream of a request to which these things happen, each event with its name."""
    body = {"model": "m", "messages": [{"role": "user", "content": "Who?"}], "stream": True, "stream_options": options}
    exchange = _Exchange(parse_request(json.dumps(body).encode(), 9), answered=answered(None))
    exposures = Exposures()
    sent: list[bytes] = []

    async def send(message: Message) -> None:
        await trio.lowlevel.checkpoint()
        sent.append(message.get("body", b""))

    async with trio.open_nursery() as nursery:
        for event in said:
            exchange.note(event)
            if exchange.progress is not None:
                exchange.receipt = exposures.planned(exchange.progress)
            if event is said[0]:
                assert exchange.begun.is_set() == options["include_exposure"]
                nursery.start_soon(_stream, exchange, send)
            await trio.testing.wait_all_tasks_blocked()
        exchange.receipt = exposures.answered(exchange.identity, "m", answered(None))
        exchange.end()
    lines = [event.split("\n") for event in b"".join(sent).decode().split("\n\n") if event]
    return [
        (line[0].removeprefix("event: ") if len(line) > 1 else "", line[-1].removeprefix("data: ")) for line in lines
    ]


def answered(*reasons: str | None) -> Answered:
    fragments = tuple(
        FragmentReport(
            ordinal=ordinal, host="h", mode="tasks", share=0.5, text_sent="", out=(), back=(), prompt_tokens=1,
            answer_tokens=1, amount_microcredits=1, restarts=0, continuations=0, receipt_index=None,
            failure=None if reason is None else "it failed", failure_reason=reason,
        )
        for ordinal, reason in enumerate(reasons)
    )  # fmt: skip
    receipt = ExposureReceipt((), "tasks", "standard", "private")
    return Answered("", receipt, fragments, {}, "log", 0, None, 0.0)


@pytest.mark.parametrize(
    ("reasons", "status", "code"),
    [
        ([serving.CONTEXT], 400, "context_length_exceeded"),
        ([serving.SCREENED, serving.SCREENED], 400, "content_filter"),
        ([serving.LANE], 400, "lane_refused"),
        ([serving.CONTEXT, serving.BUSY], 503, "hosts_failed"),
        ([serving.BUSY], 503, "hosts_failed"),
    ],
)
def test_a_request_of_which_nothing_was_answered_has_failed(reasons: list[str], status: int, code: str) -> None:
    error = failure_of(answered(*reasons))
    assert error is not None
    assert (error.status, error.code) == (status, code)


def test_a_request_of_which_a_part_was_answered_has_not_failed() -> None:
    assert failure_of(answered(serving.BUSY, None)) is None
