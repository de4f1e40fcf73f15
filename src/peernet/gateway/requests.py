"""A request for a chat completion, read strictly.

Rules:

1. What we cannot do is refused, and named; nothing that would change the answer is left out quietly. A field may stand
   there with the value that it has without being said (`n: 1`, `tools: []`).
2. `user`, `safety_identifier`, `prompt_cache_key` and `metadata` are ignored on purpose: they say who asks, and go to
   nobody. So does a message's `name`, but a model would have been told it, and so it is refused.
3. `developer` is `system`. Messages of one role that follow each other are one.
4. Every text has a UTF-8 form; together they are no longer than detection takes.

Source: OpenAI's API reference, "Create chat completion".
"""

import json
import math
from collections.abc import Mapping
from typing import Any, Final

from attrs import field, frozen

from peernet.client.history import conversation_of
from peernet.client.parameters import Sampling
from peernet.core.errors import UserError
from peernet.gateway.errors import invalid
from privacy.detection import MAX_TEXT_CHARS
from privacy.planning import ChatMessage

__all__ = ["ChatRequest", "parse_request"]

MAX_MESSAGES: Final = 512
MAX_STOPS: Final = 4
MAX_MODEL_CHARS: Final = 200

IGNORED: Final = frozenset({"user", "safety_identifier", "prompt_cache_key", "metadata"})
NEUTRAL: Final[Mapping[str, tuple[Any, ...]]] = {
    "n": (1,),
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "parallel_tool_calls": (True, False),
    "functions": ([],),
    "function_call": ("none", "auto"),
    "response_format": ({"type": "text"},),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "logit_bias": ({},),
    "frequency_penalty": (0, 0.0),
    "presence_penalty": (0, 0.0),
    "modalities": (["text"],),
    "audio": (),
    "prediction": (),
    "reasoning_effort": ("none",),
    "verbosity": (),
    "web_search_options": (),
    "service_tier": ("auto", "default"),
    "store": (False,),
}
"""Fields of OpenAI's API that we do not have, with the values that ask for nothing; null asks for nothing anywhere."""
READ: Final = frozenset({
    "model", "messages", "stream", "stream_options", "max_tokens", "max_completion_tokens", "temperature", "top_p",
    "seed", "stop",
})  # fmt: skip
STREAM_OPTIONS: Final = ("include_usage", "include_exposure")
_ROLES: Final = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
_SAID_BY_OTHERS: Final[Mapping[str, tuple[Any, ...]]] = {
    "tool_calls": ([],), "function_call": (), "refusal": (), "audio": (), "annotations": ([],), "name": (),
}  # fmt: skip
"""Fields of a message, as of an answer that is sent back: with the values that say nothing."""


@frozen
class ChatRequest:
    """A request that can be served. Its `repr` shows no text."""

    model: str
    messages: tuple[ChatMessage, ...] = field(repr=False)
    """System messages, then user and assistant in turn; the user's is the last."""
    sampling: Sampling
    stream: bool
    include_usage: bool
    include_exposure: bool
    """Whether the stream also says who gets what, as it happens: an extension of ours."""


def parse_request(body: bytes, default_max_tokens: int) -> ChatRequest:
    """The request in an HTTP body; raises `ApiError` (400) that names the field."""
    given = _object(body)
    unknown = sorted(set(given) - READ - IGNORED - set(NEUTRAL))
    if unknown:
        name = unknown[0][:80]
        raise invalid(f"unknown field: {name!r}", name, "unknown_parameter")
    _check_neutral(given, NEUTRAL, "")
    stream = _boolean(given, "stream")
    options = _stream_options(given.get("stream_options"), stream=stream)
    return ChatRequest(
        model=_model(given.get("model")),
        messages=_messages(given.get("messages")),
        sampling=_sampling(given, default_max_tokens),
        stream=stream,
        include_usage=options["include_usage"],
        include_exposure=options["include_exposure"],
    )


def _object(body: bytes) -> dict[str, Any]:
    try:
        given = json.loads(body)
    # RecursionError: deeply nested arrays. The error itself would quote the body.
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, dict):
        raise invalid("the body is not a JSON object", code="invalid_json")
    return given


def _check_neutral(given: Mapping[str, Any], neutral: Mapping[str, tuple[Any, ...]], where: str) -> None:
    for name, values in neutral.items():
        value = given.get(name)
        if value is not None and not any(type(value) is type(other) and value == other for other in values):
            raise invalid(
                f"{where}{name} is not supported here: leave it out", f"{where}{name}", "unsupported_parameter"
            )


def _boolean(given: Mapping[str, Any], name: str) -> bool:
    value = given.get(name)
    if value is not None and type(value) is not bool:
        raise invalid(f"{name} is true or false", name)
    return bool(value)


def _model(value: object) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= MAX_MODEL_CHARS:
        raise invalid("model is the name of one: /v1/models lists them", "model")
    return _text(value, "model")


def _stream_options(value: object, *, stream: bool) -> dict[str, bool]:
    if value is None:
        return dict.fromkeys(STREAM_OPTIONS, False)
    if not isinstance(value, dict) or not stream:
        raise invalid("stream_options is an object, and goes with stream: true", "stream_options")
    unknown = sorted(set(value) - {*STREAM_OPTIONS, "include_obfuscation"})
    if unknown or value.get("include_obfuscation"):
        name = f"stream_options.{unknown[0][:80] if unknown else 'include_obfuscation'}"
        raise invalid(f"{name} is not supported here", name, "unsupported_parameter")
    return {name: _boolean(value, name) for name in STREAM_OPTIONS}


# --- messages --------------------------------------------------------------------------------------------------------


def _messages(value: object) -> tuple[ChatMessage, ...]:
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_MESSAGES:
        raise invalid(f"messages is a list of 1 to {MAX_MESSAGES} messages", "messages")
    messages = [_message(message, f"messages[{index}]") for index, message in enumerate(value)]
    total = sum(len(message.content) for message in messages)
    if total > MAX_TEXT_CHARS:
        what = f"the messages have {total} characters, over the {MAX_TEXT_CHARS} that can be searched for identifiers"
        raise invalid(f"{what}: shorten them", "messages", "context_length_exceeded")
    try:
        conversation = conversation_of(messages)
    except UserError as error:
        raise invalid(str(error), "messages") from None
    if not conversation[-1].content.strip():
        raise invalid("the user's last message is empty: write what to ask", "messages")
    return tuple(conversation)


def _message(value: object, where: str) -> ChatMessage:
    if not isinstance(value, dict):
        raise invalid(f"{where} is not an object", where)
    role = value.get("role")
    if not isinstance(role, str) or role not in _ROLES:
        raise invalid(f"{where}.role is one of {', '.join(_ROLES)}", f"{where}.role")
    _check_neutral(value, _SAID_BY_OTHERS, f"{where}.")
    unknown = sorted(set(value) - {"role", "content"} - set(_SAID_BY_OTHERS))
    if unknown:
        name = f"{where}.{unknown[0][:80]}"
        raise invalid(f"unknown field: {name!r}", name, "unknown_parameter")
    return ChatMessage(_ROLES[role], _content(value.get("content"), f"{where}.content"))


def _content(value: object, where: str) -> str:
    if isinstance(value, str):
        return _text(value, where)
    if not isinstance(value, list) or not value:
        raise invalid(f"{where} is a text, or a list of text parts", where)
    parts = []
    for index, part in enumerate(value):
        place = f"{where}[{index}]"
        if not isinstance(part, dict) or part.get("type") != "text" or not isinstance(part.get("text"), str):
            raise invalid(f"{place} is no text part: images, audio and files are not supported", place)
        if set(part) != {"type", "text"}:
            raise invalid(f"{place} has more than type and text", place, "unknown_parameter")
        parts.append(_text(part["text"], place))
    return "\n".join(parts)


def _text(value: str, where: str) -> str:
    # Not by `str.encode`, whose error would carry the text.
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise invalid(f"{where} holds half a surrogate pair, which is no character", where)
    return value


# --- sampling --------------------------------------------------------------------------------------------------------


def _sampling(given: Mapping[str, Any], default_max_tokens: int) -> Sampling:
    asked: dict[str, Any] = {
        "temperature": _number(given.get("temperature"), "temperature"),
        "top_p": _number(given.get("top_p"), "top_p"),
        "seed": _integer(given.get("seed"), "seed"),
        "stop": _stop(given.get("stop")),
    }
    for name, value in asked.items():
        try:
            Sampling.of(**{name: value})
        except UserError as error:
            raise invalid(str(error), name) from None
    return Sampling.of(max_tokens=_max_tokens(given, default_max_tokens), **asked)


def _max_tokens(given: Mapping[str, Any], default: int) -> int:
    """`max_completion_tokens`, or by its old name."""
    said = {name: _integer(given.get(name), name) for name in ("max_completion_tokens", "max_tokens")}
    values = {value for value in said.values() if value is not None}
    for name, value in said.items():
        if value is not None and value < 1:
            raise invalid(f"{name} is at least 1, not {value}", name)
    if len(values) > 1:
        raise invalid("max_tokens and max_completion_tokens differ: give one of them", "max_tokens")
    return values.pop() if values else default


def _integer(value: object, name: str) -> int | None:
    if value is None:
        return None
    if type(value) is not int:
        raise invalid(f"{name} is a whole number", name)
    return value


def _number(value: object, name: str) -> float | None:
    if value is None:
        return None
    # A whole number may be beyond any float.
    if type(value) is int and abs(value) < 1 << 31:
        return float(value)
    if type(value) is not float or not math.isfinite(value):
        raise invalid(f"{name} is a number, and not so large", name)
    return value


def _stop(value: object) -> list[str]:
    stops = [value] if isinstance(value, str) else [] if value is None else value
    if not isinstance(stops, list) or len(stops) > MAX_STOPS or not all(isinstance(s, str) and s for s in stops):
        raise invalid(f"stop is a text, or a list of up to {MAX_STOPS}", "stop")
    return [_text(stop, "stop") for stop in stops]
