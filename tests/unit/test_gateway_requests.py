"""A request for a chat completion is read strictly: what we cannot do is refused and named, not left out."""

import json
from typing import Any

import pytest

from peernet.client.parameters import Sampling
from peernet.gateway.errors import ApiError
from peernet.gateway.requests import MAX_MESSAGES, ChatRequest, parse_request
from privacy.detection import MAX_TEXT_CHARS

USER = {"role": "user", "content": "Why is the sky blue?"}


def parse(**fields: Any) -> ChatRequest:
    body = {"model": "m", "messages": [USER], **fields}
    return parse_request(json.dumps(body).encode(), 1024)


def refused(body: bytes | None = None, **fields: Any) -> ApiError:
    with pytest.raises(ApiError) as raised:
        parse(**fields) if body is None else parse_request(body, 1024)
    assert raised.value.status == 400
    assert raised.value.kind == "invalid_request_error"
    return raised.value


def said(request: ChatRequest) -> list[tuple[str, str]]:
    return [(message.role, message.content) for message in request.messages]


def test_the_least_that_can_be_asked() -> None:
    request = parse()
    assert said(request) == [("user", "Why is the sky blue?")]
    assert (request.model, request.stream, request.include_usage) == ("m", False, False)
    assert request.sampling == Sampling(max_tokens=1024)
    assert "sky" not in repr(request)


def test_all_that_can_be_asked() -> None:
    request = parse(
        stream=True,
        stream_options={"include_usage": True},
        max_completion_tokens=50,
        temperature=0.5,
        top_p=1,
        seed=-7,
        stop=["END", "\n\n"],
    )
    assert request.sampling == Sampling(50, 500, 1000, -7, ("END", "\n\n"))
    assert (request.stream, request.include_usage) == (True, True)
    assert parse(stop="END").sampling.stop == ("END",)
    assert parse(max_tokens=7).sampling.max_tokens == 7
    assert parse(max_tokens=7, max_completion_tokens=7).sampling.max_tokens == 7


def test_roles_and_parts() -> None:
    messages = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Hello."}, {"type": "text", "text": "Who?"}]},
        {"role": "assistant", "content": "Me.", "refusal": None, "annotations": [], "tool_calls": None, "audio": None},
        USER,
    ]
    assert said(parse(messages=messages)) == [
        ("system", "Be brief."),
        ("user", "Hello.\nWho?"),
        ("assistant", "Me."),
        ("user", "Why is the sky blue?"),
    ]


def test_who_asks_is_left_out_on_purpose() -> None:
    request = parse(user="maria@example.org", safety_identifier="m", prompt_cache_key="k", metadata={"name": "Maria"})
    assert request == parse()


@pytest.mark.parametrize(
    "fields",
    [
        {"n": 1},
        {"tools": [], "tool_choice": "auto", "parallel_tool_calls": True},
        {"response_format": {"type": "text"}},
        {"logprobs": False, "top_logprobs": None, "logit_bias": {}},
        {"frequency_penalty": 0, "presence_penalty": 0.0},
        {"store": False, "service_tier": "auto", "stop": None, "seed": None, "stream": None, "temperature": None},
    ],
)
def test_what_asks_for_nothing_may_be_said(fields: dict[str, Any]) -> None:
    assert parse(**fields) == parse()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n", 2),
        ("n", True),
        ("tools", [{"type": "function", "function": {"name": "f"}}]),
        ("functions", [{"name": "f"}]),
        ("response_format", {"type": "json_object"}),
        ("response_format", {"type": "text", "schema": {}}),
        ("logprobs", True),
        ("top_logprobs", 3),
        ("logit_bias", {"5": 1}),
        ("frequency_penalty", 0.5),
        ("presence_penalty", -1),
        ("modalities", ["text", "audio"]),
        ("audio", {"voice": "x"}),
        ("prediction", {"type": "content"}),
        ("reasoning_effort", "high"),
        ("web_search_options", {}),
        ("store", True),
    ],
)
def test_what_we_cannot_do_is_refused_by_name(name: str, value: object) -> None:
    error = refused(**{name: value})
    assert (error.param, error.code) == (name, "unsupported_parameter")


def test_an_unknown_field_is_refused() -> None:
    error = refused(top_k=40)
    assert (error.param, error.code) == ("top_k", "unknown_parameter")


@pytest.mark.parametrize(
    ("param", "fields"),
    [
        ("model", {"model": None}),
        ("model", {"model": ""}),
        ("model", {"model": 5}),
        ("messages", {"messages": []}),
        ("messages", {"messages": "hello"}),
        ("messages", {"messages": [USER] * (MAX_MESSAGES + 1)}),
        ("messages", {"messages": [USER, {"role": "assistant", "content": "Since."}]}),
        ("messages", {"messages": [{"role": "system", "content": "Be brief."}]}),
        ("messages", {"messages": [{"role": "user", "content": " \n"}]}),
        ("messages[0]", {"messages": ["hello"]}),
        ("messages[0].role", {"messages": [{"role": "tool", "content": "x"}]}),
        ("messages[0].role", {"messages": [{"role": ["user"], "content": "x"}]}),
        ("messages[0].content", {"messages": [{"role": "user"}]}),
        ("messages[0].content", {"messages": [{"role": "user", "content": []}]}),
        ("messages[0].content[0]", {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}),
        ("messages[0].content", {"messages": [{"role": "user", "content": "\ud800"}]}),
        ("messages[0].name", {"messages": [{**USER, "name": "Maria"}]}),
        ("messages[0].tool_calls", {"messages": [{**USER, "tool_calls": [{}]}]}),
        ("messages[0].weight", {"messages": [{**USER, "weight": 1}]}),
        ("stream", {"stream": 1}),
        ("stream_options", {"stream_options": {"include_usage": True}}),
        ("stream_options.x", {"stream": True, "stream_options": {"x": 1}}),
        ("include_usage", {"stream": True, "stream_options": {"include_usage": "yes"}}),
        ("include_exposure", {"stream": True, "stream_options": {"include_exposure": 1}}),
        ("max_tokens", {"max_tokens": 0}),
        ("max_tokens", {"max_tokens": 1.5}),
        ("max_tokens", {"max_tokens": True}),
        ("max_tokens", {"max_tokens": 5, "max_completion_tokens": 6}),
        ("max_completion_tokens", {"max_completion_tokens": -1}),
        ("temperature", {"temperature": 2.5}),
        ("temperature", {"temperature": "hot"}),
        ("temperature", {"temperature": float("nan")}),
        ("temperature", {"temperature": 10**400}),
        ("top_p", {"top_p": 1.1}),
        ("seed", {"seed": 1.0}),
        ("seed", {"seed": 1 << 70}),
        ("stop", {"stop": 5}),
        ("stop", {"stop": ["a", "b", "c", "d", "e"]}),
        ("stop", {"stop": [""]}),
        ("stop", {"stop": ["x" * 1000]}),
    ],
)
def test_what_is_not_as_it_should_be_is_named(param: str, fields: dict[str, Any]) -> None:
    assert refused(**fields).param == param


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b"[" * 100_000, b'"x"', b"1" * 10_000])
def test_what_is_no_object_is_refused(body: bytes) -> None:
    assert refused(body).code == "invalid_json"


def test_what_cannot_be_searched_for_identifiers_is_too_long() -> None:
    error = refused(messages=[{"role": "user", "content": "x" * (MAX_TEXT_CHARS + 1)}])
    assert error.code == "context_length_exceeded"


def test_no_error_quotes_a_message() -> None:
    for content in ("Maria \ud800", [{"type": "text", "text": "Maria", "more": 1}]):
        error = refused(messages=[{"role": "user", "content": content}])
        assert "Maria" not in json.dumps(error.body)
    assert "Maria" not in json.dumps(refused(b'{"messages": "Maria').body)
