"""Hostile input that comes in from elsewhere: addresses, WebSockets, HTTP requests, what is submitted to a log."""

import json
import struct
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import Any

import msgpack
import pytest
import trio
import trio.testing
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.responses import JSONResponse

from bootstrap.log import Log
from bootstrap.mirror import LogRefused, Mirror, StandsElsewhere
from peernet.core.errors import ConnectionFailed, RemoteProtocolError, UserError
from peernet.core.ledger.messages import AddCheckpoint, LaneMessages, LedgerMessages, TlogMessages, WitnessMessages
from peernet.core.ledger.rules import RuleViolation
from peernet.core.ledger.tiles import ResourceNotFound
from peernet.core.metering import GrantRequest
from peernet.core.wire import MessageSet
from peernet.gateway.errors import ApiError
from peernet.gateway.requests import parse_request
from peernet.net.addresses import dialable, parse_address, parse_peer_address
from peernet.net.transports.dialled_websocket import DialledWebSocket, request_websocket
from peernet.net.transports.websocket import WebSocketStream, accept_websocket
from tests.hostile_input import (
    ARBITRARY,
    FACTOR,
    Parser,
    check,
    check_memory,
    cuts,
    examples,
    fields_of,
    fuzzes,
    mutated,
    parser_tests,
    peak_bytes,
    refusal,
)
from tests.ledger_nodes import NOW_S, ask_for, grant_request, nodes_in
from tests.unit.test_websocket import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    REQUEST,
    SWITCHING,
    TEXT,
    answer_request,
    frame,
)

PEER = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN"
ADDRESSES = [
    text.encode()
    for text in (
        "/ip4/203.0.113.7/tcp/4101",
        "/ip6/2001:db8::7/tcp/4101/ws",
        "/dns4/host.example/tcp/443/tls/ws",
        "/dns/host.example/tcp/443/tls/sni/other.example/ws",
        "/dns6/host.example/tcp/443/wss",
    )
]
PEER_ADDRESSES = [address + b"/p2p/" + PEER.encode() for address in ADDRESSES]
CHAT = [
    json.dumps(body).encode()
    for body in (
        {"model": "m", "messages": [{"role": "user", "content": "hello"}]},
        {
            "model": "m",
            "messages": [
                {"role": "system", "content": [{"type": "text", "text": "x"}]},
                {"role": "user", "content": "é"},
            ],
            "stream": True,
            "stream_options": {"include_usage": True},
            "temperature": 0.5,
            "top_p": 1,
            "seed": 7,
            "stop": ["a", "b"],
            "max_tokens": 9,
        },
    )
]


def _request(data: bytes) -> object:
    """A refusal has to reach the program that asked: the answer is made of it, too."""
    try:
        request = parse_request(data, 64)
    except ApiError as error:
        JSONResponse(error.body, error.status, error.headers)
        raise
    # What is taken can be sent on.
    for text in (request.model, *request.sampling.stop, *(message.content for message in request.messages)):
        assert text.encode().decode() == text
    return request


JSON_VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.sampled_from([0, 1, -1, 2**31, 10**400, 0.5]),
        st.floats(),
        st.sampled_from(["", "x", "user", "system", "text", "\ud800"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["role", "content", "type", "text", "include_usage", "x"]), inner, max_size=3),
    ),
    max_leaves=5,
)


HOSTILE_LEAVES = st.sampled_from(["\ud800", "", 10**400, -1, [], {}, [""], {"x": 1}])


def _places(value: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The way to each value within a JSON value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        yield (*path, key)
        yield from _places(item, (*path, key))


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


PARSERS = [
    Parser(parse_address, lambda data: parse_address(_text(data)), ADDRESSES, refusals=(UserError,)),
    Parser(parse_peer_address, lambda data: parse_peer_address(_text(data)), PEER_ADDRESSES, refusals=(UserError,)),
    Parser(dialable, lambda data: dialable([_text(data)], allow_private=False), ADDRESSES, refusals=()),
    Parser(parse_request, _request, CHAT, refusals=(ApiError,)),
]

(
    test_the_examples_are_taken,
    test_hostile_bytes_are_refused_or_taken,
    test_memory_is_bounded_by_the_input,
) = parser_tests(PARSERS, hostile_examples=150, memory_examples=6)


@examples(300)
@given(st.data())
def test_a_request_with_any_value_in_any_place_is_refused_or_taken(data: st.DataObject):
    body = json.loads(data.draw(st.sampled_from(CHAT)))
    *way, last = data.draw(st.sampled_from(list(_places(body))))
    place = body
    for step in way:
        place = place[step]
    place[last] = data.draw(st.one_of(HOSTILE_LEAVES, JSON_VALUES))
    check(next(parser for parser in PARSERS if parser.target is parse_request), json.dumps(body).encode())


@examples(60)
@given(st.data())
def test_what_is_taken_for_an_address_is_one_in_its_one_spelling(data: st.DataObject):
    text = _text(data.draw(mutated(ADDRESSES + PEER_ADDRESSES)))
    for address in dialable([text], allow_private=True):
        assert str(address).isascii()
        assert parse_address(str(address)) == address


JSON = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(st.characters(), max_size=6), st.just("\ud800")
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=4), inner, max_size=3)),
    max_leaves=5,
)


@examples(150)
@given(st.data())
def test_requests_of_any_values_are_refused_as_openai_has_it(data: st.DataObject):
    body = json.loads(data.draw(st.sampled_from(CHAT)))
    for name in data.draw(
        st.lists(st.sampled_from([*json.loads(CHAT[1]), "n", "tools", "\ud800", "x"]), min_size=1, max_size=3)
    ):
        body[name] = data.draw(JSON)
    if data.draw(st.booleans()) and isinstance(body["messages"], list) and body["messages"]:
        message = body["messages"][-1]
        if isinstance(message, dict):
            message[data.draw(st.sampled_from(["role", "content", "\udfff", "name"]))] = data.draw(JSON)
    check(PARSERS[3], json.dumps(body).encode())


@pytest.mark.parametrize("place", ["model", "\\ud800", "stream_options", "stop", "content"])
def test_half_a_surrogate_pair_anywhere_is_refused_in_words_that_can_be_sent(place: str):
    body = json.loads(CHAT[1])
    body[place] = {"\ud800": True} if place == "stream_options" else "\ud800"
    if place == "content":
        body = {"model": "m", "messages": [{"role": "user", "content": "x", "\ud800": 1}]}
    assert not check(PARSERS[3], json.dumps(body).encode())


def test_json_that_is_nested_or_huge_costs_what_it_weighs():
    for body in (b"[" * 500_000, b'{"a":' * 100_000, b"9" * 100_000, b'{"seed":' + b"9" * 100_000 + b"}"):
        assert not check(PARSERS[3], body)
        check_memory(PARSERS[3], body)


# --- WebSockets ------------------------------------------------------------------------------------------------------

REQUESTS = [REQUEST + b"\r\n", REQUEST + b"Sec-WebSocket-Protocol: a, b\r\nOrigin: http://x\r\n\r\n"]
FRAMES = [
    frame(BINARY, b"hello") + frame(PING, b"p") + frame(CLOSE, struct.pack("!H", 1000)),
    frame(BINARY, b"he", fin=False) + frame(CONTINUATION, b"llo"),
    frame(BINARY, bytes(300)),
    frame(TEXT, b"text"),
    b"\x82\xff" + struct.pack("!Q", 2**63 - 1) + b"mask",
    b"\x82\xff" + struct.pack("!Q", 2**64 - 1) + b"mask",
]
UNMASKED = [
    frame(BINARY, b"hello", mask=None) + frame(CLOSE, struct.pack("!H", 1000), mask=None),
    b"\x82\x7f" + struct.pack("!Q", 2**62),
]
WAIT_S = 5


async def _read_out(stream: WebSocketStream | DialledWebSocket) -> None:
    while await stream.receive_some(65536):
        pass


async def _feed(there: trio.abc.Stream, pieces: list[bytes]) -> None:
    # Who is refused may have more to say.
    with suppress(trio.BrokenResourceError):
        for piece in pieces:
            await there.send_all(piece)
    await there.aclose()


def _ends(listen: bool, pieces: list[bytes]) -> str | None:
    """How a WebSocket ends that meets these bytes: with a reason, or None where it just ended. It never hangs."""

    async def listener(here: trio.abc.Stream, _: trio.abc.Stream, __: trio.Nursery) -> None:
        stream, _headers = await accept_websocket(here)
        try:
            await _read_out(stream)
        finally:
            await stream.aclose()

    async def dialler(here: trio.abc.Stream, there: trio.abc.Stream, nursery: trio.Nursery) -> None:
        stream = await request_websocket(here, "example.org", nursery)
        try:
            await _read_out(stream)
        finally:
            await stream.aclose()

    async def run() -> str | None:
        here, there = trio.testing.memory_stream_pair()
        reason = None
        with trio.fail_after(WAIT_S):
            async with trio.open_nursery() as nursery:
                if listen:
                    nursery.start_soon(_feed, there, pieces)
                else:
                    nursery.start_soon(_answer, there, pieces)
                try:
                    await (listener if listen else dialler)(here, there, nursery)
                except RemoteProtocolError as error:
                    reason = error.reason
                except (ConnectionFailed, trio.BrokenResourceError, trio.ClosedResourceError):
                    pass
        return reason

    async def _answer(there: trio.abc.Stream, given: list[bytes]) -> None:
        await answer_request(there, given[0])
        await _feed(there, given[1:])

    return trio.run(run)


@fuzzes(accept_websocket, WebSocketStream.receive_some)
@examples(100)
@given(st.data())
def test_who_asks_for_a_websocket_with_anything_is_refused_or_heard(data: st.DataObject):
    sent = data.draw(st.sampled_from(REQUESTS)) + data.draw(st.one_of(mutated(FRAMES), ARBITRARY))
    if data.draw(st.booleans()):
        sent = data.draw(st.one_of(mutated([request + FRAMES[0] for request in REQUESTS]), ARBITRARY))
    reason = _ends(True, data.draw(cuts(sent)))
    assert reason is None or reason.startswith("websocket_")


@fuzzes(request_websocket, DialledWebSocket.receive_some)
@examples(60)
@given(st.data())
def test_who_answers_with_anything_is_no_websocket_or_heard(data: st.DataObject):
    answer = SWITCHING + b"\r\n"
    if data.draw(st.booleans()):
        answer = data.draw(st.one_of(mutated([answer, SWITCHING + b"Sec-WebSocket-Extensions: x\r\n\r\n"]), ARBITRARY))
    reason = _ends(False, [answer, *data.draw(cuts(data.draw(st.one_of(mutated(UNMASKED), ARBITRARY))))])
    assert reason is None or reason.startswith("websocket_")


@pytest.mark.parametrize("size", [2**31, 2**62, 2**63 - 1, 2**63, 2**64 - 1])
def test_a_frame_that_says_to_be_huge_allocates_nothing(size: int):
    masked = REQUESTS[0] + b"\x82\xff" + struct.pack("!Q", size) + b"mask" + bytes(1000)
    _ends(True, [masked])
    assert peak_bytes(lambda: _ends(True, [masked])) < 1 << 20
    plain = [SWITCHING + b"\r\n", b"\x82\x7f" + struct.pack("!Q", size) + bytes(1000)]
    assert peak_bytes(lambda: _ends(False, plain)) < 1 << 20


# --- a bootstrap node's log and mirrors ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Log, Mirror]]:
    with ExitStack() as stack:
        nodes, _ = nodes_in(tmp_path_factory.mktemp("ledger"), stack, "ab")
        log, mirror = nodes[0].new_log(), nodes[1].mirror_of(nodes[0])
        log.append([grant_request(number) for number in range(1, 4)], NOW_S)
        request = ask_for(log, 0)
        mirror.witness(0, request.proof, request.checkpoint, NOW_S)
        yield log, mirror


def _sent(draw: Any, messages: MessageSet) -> Any:
    number, kind = draw(st.sampled_from(sorted(messages._kinds.items())))
    taken: list[Any] = []
    packed = bytes(msgpack.packb([number, *draw(fields_of(kind))]))
    refusal(lambda: taken.append(messages.decode(packed)))
    return taken[0] if taken else None


@fuzzes(Log.append, Log.read, Mirror.witness, Mirror.read)
@settings(
    max_examples=150 * FACTOR,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.data())
def test_a_log_and_a_mirror_answer_any_request_or_refuse_it(ledger: tuple[Log, Mirror], data: st.DataObject):
    log, mirror = ledger
    messages = data.draw(st.sampled_from([LaneMessages, LedgerMessages, TlogMessages, WitnessMessages]))
    sent = _sent(data.draw, messages)
    size = log.size
    match type(sent).__name__:
        case "GrantRequest":
            refusal(lambda: log.append_one(sent, NOW_S), (RuleViolation,))
            near = GrantRequest(sent.lane_key, 5, NOW_S // 60 * 60 + 600, sent.commitment)
            refusal(lambda: log.append_one(near, NOW_S), (RuleViolation,))
        case "SettleLane":
            refusal(lambda: log.append_one(sent.settlement, NOW_S), (RuleViolation,))
        case "ProveGrant":
            assert log.index_of(b"grant:" + sent.lane_key) is None or log.index_of(b"grant:" + sent.lane_key) < size
        case "ReadFile":
            paths = mutated([b"checkpoint", b"tile/0/000.p/3", b"tile/entries/000.p/3", b"tile/7/000", b"refused"])
            for path in (sent.path, _text(data.draw(paths))):
                refusal(lambda path=path: log.read(path), (ResourceNotFound,))
                refusal(lambda path=path: mirror.read(path), (ResourceNotFound,))
        case "AddCheckpoint":
            _witness(mirror, sent)
            note = data.draw(st.one_of(st.just(log.checkpoint()), mutated([log.checkpoint()])))
            _witness(mirror, AddCheckpoint(sent.old_size, sent.proof, note))
            _witness(mirror, AddCheckpoint(3, sent.proof, note))
    assert log.size in {size, size + 1, size + 2}


def _witness(mirror: Mirror, request: AddCheckpoint) -> None:
    refusals = (RemoteProtocolError, StandsElsewhere, LogRefused)
    refusal(lambda: mirror.witness(request.old_size, request.proof, request.checkpoint, NOW_S), refusals)
