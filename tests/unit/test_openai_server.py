"""The engine on servers that are broken, hostile or merely different: no prompt gets out, everything ends."""

import json
import traceback
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio
import trio.testing
from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st

from inference import models, openai_server
from inference._http import MAX_BODY_SIZE, MAX_EVENT_SIZE, Endpoint, EventReader
from inference.engine import (
    COUNTED,
    ContextOverflow,
    Delta,
    EngineCrashed,
    EngineError,
    Message,
    ModelUnusable,
    Parameters,
    Unsupported,
    Usage,
)
from inference.models import InstalledModel
from inference.openai_server import OpenAIEngine, _Gauges
from inference.tokenizer import Tokenizer
from tests.model_files import write_tiny_tokenizer

MARKER = "zanzibar-7319"
DEFAULTS = Parameters()
ASK = (Message("user", MARKER),)
HEAD = b"HTTP/1.1 %s\r\nContent-Type: %s\r\nConnection: close\r\n\r\n"
STREAM = HEAD % (b"200 OK", b"text/event-stream")


def answer(status: str, value: object) -> bytes:
    return HEAD % (status.encode(), b"application/json") + json.dumps(value).encode()


def event(value: object) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def text(content: object, reason: str | None = None) -> bytes:
    return event({"choices": [{"index": 0, "delta": {"content": content}, "finish_reason": reason}]})


def usage(prompt: object, completion: object) -> bytes:
    return event({"choices": [], "usage": {"prompt_tokens": prompt, "completion_tokens": completion}})


DONE = b"data: [DONE]\n\n"
WHOLE = STREAM + text("a river") + text(" ran", "stop") + usage(7, 5) + DONE


@define
class Foreign:
    """A server whose answers are bytes: one for /models, one for everything that is asked with a conversation."""

    models: bytes = field(factory=lambda: answer("200 OK", {"data": [{"id": "strong"}]}))
    chat: bytes = WHOLE
    stalls: bool = False
    seen: list[dict] = field(factory=list)
    left: trio.Event = field(factory=trio.Event)

    async def serve(self, stream: trio.SocketStream) -> None:
        request = b""
        while b"\r\n\r\n" not in request:
            if not (data := await stream.receive_some()):
                return
            request += data
        head, _, body = request.partition(b"\r\n\r\n")
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        while len(body) < int(fields.get(b"content-length", 0)):
            body += await stream.receive_some()
        path = head.split(b" ")[1]
        if path == b"/v1/chat/completions":
            asked = json.loads(body)
            self.seen.append(asked)
            await stream.send_all(self.reply(asked))
            if self.stalls:
                assert not await stream.receive_some()
                self.left.set()
        elif path == b"/v1/models":
            await stream.send_all(self.models)
        else:
            await stream.send_all(answer("404 Not Found", {}))

    def reply(self, asked: dict) -> bytes:
        return self.chat


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> InstalledModel:
    folder = tmp_path_factory.mktemp("counted")
    write_tiny_tokenizer(folder)
    return models.add("strong", folder, folder)


@asynccontextmanager
async def engine_on(server: Foreign, model: InstalledModel):
    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(trio.serve_tcp, server.serve, 0, host="127.0.0.1"))
        port = listener.socket.getsockname()[1]
        engine = OpenAIEngine(Endpoint.of_url(f"http://127.0.0.1:{port}/v1", "k"), model)
        try:
            await engine.load()
            server.seen.clear()
            yield engine
        finally:
            await engine.aclose()
            nursery.cancel_scope.cancel()


async def deltas(engine: OpenAIEngine, parameters: Parameters = DEFAULTS) -> tuple[list[Delta], Usage | None]:
    async with engine.generate(ASK, parameters) as generation:
        return [delta async for delta in generation], generation.usage


async def test_a_conversation_goes_as_it_is_with_what_the_parameters_say(model):
    server = Foreign()
    async with engine_on(server, model) as engine:
        assert engine.models()[0].capabilities == set()
        given_back, counted = await deltas(engine, Parameters(9, 300, 900, 5, ("x",)))
        assert [delta.text for delta in given_back] == ["a river", " ran", ""]
        assert [delta.finish_reason for delta in given_back] == [None, None, "stop"]
        assert counted == Usage(7, 5)
        assert server.seen == [
            {
                "model": "strong",
                "messages": [{"role": "user", "content": MARKER}],
                "max_tokens": 9,
                "temperature": 0.3,
                "top_p": 0.9,
                "seed": 5,
                "stop": ["x"],
                "stream": True,
                "stream_options": {"include_usage": True},
            }
        ]
        with pytest.raises(Unsupported):
            async with engine.generate(ASK, Parameters(), "Once"):
                pass
        health = await engine.health()
        assert (health.ready, health.generating, health.steps) == (True, 0, 2)


async def test_a_server_that_counts_as_we_do_is_told_by_its_usage(model):
    tokenizer = Tokenizer.load(model.folder)

    class Counting(Foreign):
        def reply(self, asked: dict) -> bytes:
            turns = [Message(turn["role"], turn["content"]) for turn in asked["messages"]]
            return STREAM + text("a", "length") + usage(tokenizer.count_messages(turns), 1) + DONE

    async with engine_on(Counting(), model) as engine:
        assert engine.models()[0].capabilities == {COUNTED}


@pytest.mark.parametrize(
    "chat",
    [
        STREAM + text("a river ran", "length"),  # neither usage nor the end's mark
        STREAM + b": ping\r\n\r\n" + text(None) + text("a river ran") + text("", "length") + DONE,
        STREAM + event({"choices": [{"delta": {"reasoning": "hm"}}]}) + text("a river ran", "length") + DONE,
    ],
)
async def test_what_a_server_leaves_out_is_no_error(model, chat):
    async with engine_on(Foreign(chat=chat), model) as engine:
        given_back, counted = await deltas(engine)
        assert [(delta.text, delta.finish_reason) for delta in given_back] == [("a river ran", None), ("", "length")]
        # Then it is our own count, of the whole prompt and the whole answer.
        assert counted == Usage(engine.count_tokens(ASK), engine.count_text_tokens("a river ran"))


@pytest.mark.parametrize(
    ("chat", "error", "words"),
    [
        (answer("400 Bad", {"error": {"message": f"cannot parse {MARKER}"}}), EngineError, "refused the request"),
        (answer("401 No", {"error": {"message": MARKER}}), EngineError, "refused the key"),
        (answer("500 Oh", {"error": {"message": MARKER}}), EngineCrashed, "status 500"),
        (answer("400 Bad", {"error": {"message": f"context length: {MARKER}"}}), ContextOverflow, "shorten"),
        (answer("200 OK", {"choices": [{"message": {"content": MARKER}}]}), EngineError, "does not stream"),
        (HEAD % (b"302 Found\r\nLocation: http://example.org/", b"text/html"), EngineError, "status 302"),
        (b"not HTTP at all " + MARKER.encode() + b"\r\n\r\n", EngineCrashed, "broke HTTP"),
        (b"", EngineCrashed, "broke HTTP"),
        (STREAM + text(MARKER), EngineCrashed, "in the middle"),
        (STREAM + text(MARKER) + DONE, EngineCrashed, "in the middle"),
        (STREAM + b"data: {" + MARKER.encode() + b"\n\n", EngineError, "no JSON object"),
        (STREAM + b"data: [1]\n\n", EngineError, "no JSON object"),
        (STREAM + event({"error": {"message": MARKER}}), EngineError, "with an error"),
        (STREAM + event({"choices": [{MARKER: 1}]}), EngineError, "not as OpenAI"),
        (STREAM + event({"choices": MARKER}), EngineError, "not as OpenAI"),
        (STREAM + text(7), EngineError, "not as OpenAI"),
        (STREAM + text("\ud800"), EngineError, "not as OpenAI"),
        (STREAM + usage(-1, 2), EngineError, "not as OpenAI"),
        (STREAM + b"x" * (MAX_EVENT_SIZE + 1), EngineError, "event of over"),
        (STREAM + b"data: " + b"x" * MAX_EVENT_SIZE + b"\n", EngineError, "event of over"),
        (answer("400 Bad", "x" * (MAX_BODY_SIZE + 1)), EngineError, "answer is over"),
    ],
)
async def test_what_a_broken_server_says_is_not_repeated(model, chat, error, words):
    server = Foreign()
    async with engine_on(server, model) as engine:
        server.chat = chat
        with pytest.raises(error, match=words) as caught:
            await deltas(engine)
        seen: BaseException | None = caught.value
        while seen is not None:
            assert MARKER not in repr(seen)
            assert MARKER not in "".join(traceback.format_exception_only(seen))
            seen = seen.__context__
        # And the engine has not suffered.
        server.chat = WHOLE
        assert len((await deltas(engine))[0]) == 3
        assert (await engine.health()).generating == 0


async def test_leaving_closes_the_connection_and_frees_the_place(model):
    server = Foreign()
    async with engine_on(server, model) as engine:
        server.chat, server.stalls = STREAM + text("a"), True
        async with engine.generate(ASK, Parameters()) as generation:
            assert (await generation.__anext__()).text == "a"
            assert (await engine.health()).generating == 1
        with trio.fail_after(5):
            await server.left.wait()
        server.chat, server.stalls = WHOLE, False
        assert len((await deltas(engine))[0]) == 3


@pytest.mark.parametrize("chat", [b"", STREAM + text("a")])
async def test_a_server_that_says_nothing_is_left(model, chat, monkeypatch):
    server = Foreign()
    async with engine_on(server, model) as engine:
        monkeypatch.setattr(openai_server, "MAX_SILENCE_S", 0.05)
        server.chat, server.stalls = chat, True
        with pytest.raises(EngineCrashed, match="said nothing"):
            await deltas(engine)


@pytest.mark.parametrize("chat", [b"", STREAM + text("a")])
async def test_closing_ends_a_reader_who_waits(model, chat):
    server = Foreign()
    async with engine_on(server, model) as engine, trio.open_nursery() as nursery:
        server.chat, server.stalls = chat, True
        ended = trio.Event()

        async def read() -> None:
            with pytest.raises(EngineCrashed, match="closed"):
                await deltas(engine)
            ended.set()

        nursery.start_soon(read)
        while not server.seen:
            await trio.testing.wait_all_tasks_blocked(0.01)
        await engine.aclose()
        with trio.fail_after(5):
            await ended.wait()
        assert not (await engine.health()).ready


@pytest.mark.parametrize(
    ("server", "words"),
    [
        (Foreign(models=answer("404 Not Found", {})), "lists no models.*ends in /v1"),
        (Foreign(models=answer("200 OK", {"data": MARKER})), "lists no models"),
        (Foreign(models=answer("403 No", {})), "refused the key"),
        (
            Foreign(models=answer("200 OK", {"data": [{"id": "a"}, {"id": "b"}]})),
            "no model 'strong'; it has: 'a', 'b'",
        ),
        (Foreign(models=b""), "broke HTTP.*start the server"),
        (Foreign(chat=answer("404 Not Found", {})), "cannot be used.*status 404"),
        (Foreign(chat=answer("200 OK", {"choices": []})), "cannot be used.*does not stream"),
    ],
)
async def test_a_server_that_cannot_serve_is_found_out_at_the_start(model, server, words):
    with pytest.RaisesGroup(pytest.RaisesExc(ModelUnusable, match=words)):
        async with engine_on(server, model):
            pass


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("127.0.0.1:11434", "http://"),
        ("ftp://127.0.0.1/v1", "http://"),
        ("http:///v1", "http://"),
        ("http://127.0.0.1:99999/v1", "cannot be read"),
        ("http://[::1/v1", "cannot be read"),
        ("http://192.168.1.5:11434/v1", "unencrypted.*https"),
        ("http://localhost.example.org/v1", "unencrypted"),
        ("http://me:secret@127.0.0.1/v1", "PEERNET_ENGINE_KEY"),
        ("https://example.org/v1?key=secret", "PEERNET_ENGINE_KEY"),
    ],
)
def test_an_address_that_will_not_do_is_said(url, words):
    with pytest.raises(ModelUnusable, match=words) as caught:
        Endpoint.of_url(url)
    assert "secret" not in str(caught.value)


def test_addresses_that_will_do():
    assert str(Endpoint.of_url("http://localhost:11434/v1/")) == "http://localhost:11434/v1"
    assert str(Endpoint.of_url("http://[::1]:80")) == "http://[::1]:80"
    assert str(Endpoint.of_url("https://example.org/api/v1")) == "https://example.org:443/api/v1"
    assert str(Endpoint.of_url("https://example.org/api/v1").root) == "https://example.org:443/api"
    with pytest.raises(ModelUnusable, match="characters"):
        Endpoint.of_url("https://example.org/v1", "two\r\nlines")


@given(st.lists(st.binary(max_size=8)), st.data())
def test_events_are_the_same_however_the_bytes_come(pieces, data):
    lines = [piece.replace(b"\n", b"").strip() for piece in pieces]
    stream = b"".join(b": comment\ndata: " + line + b"\r\n\r\n" for line in lines)
    reader = EventReader()
    read: list[bytes] = []
    while stream:
        cut = data.draw(st.integers(1, len(stream)))
        read += reader.feed(stream[:cut])
        stream = stream[cut:]
    assert read == lines


VLLM = """# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="a"} 2.0
vllm:num_requests_running{engine="1",model_name="a"} 1.0
vllm:num_requests_waiting{engine="0",model_name="a"} 4.0
vllm:iteration_tokens_total_count{engine="0",model_name="a"} 1.2e+03
"""
LLAMA = "llamacpp:requests_processing 1\nllamacpp:requests_deferred 2\nllamacpp:n_decode_total 30\n"


@pytest.mark.parametrize(
    ("metrics", "gauges"),
    [(VLLM, _Gauges(7, 1200)), (LLAMA, _Gauges(3, 30)), ("up 1\n", None), ("", None)],
)
def test_the_numbers_of_known_servers_are_read(metrics, gauges):
    assert _Gauges.of(metrics) == gauges
