"""What every fuzz test does with a parser of bytes that others sent: mutations, the one check, and the memory bound.

A parser is described once, as a `Parser`, with examples of what it takes. It must end every input in one of two ways:
take it, and then write the same bytes again where its form is canonical; or raise `RemoteProtocolError` with a reason
that can be counted (or the one exception that it is documented to raise), and nothing else. Its memory is bounded by
what it was given, never by what that declares.

`PEERNET_FUZZ` multiplies the number of examples; `make fuzz` sets it.
"""

import os
import re
import tracemalloc
from collections.abc import Callable, Sequence
from types import UnionType
from typing import Any, Final, TypeVar, Union, get_args, get_origin

import attrs
import msgpack
import pytest
from attrs import field, frozen
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from peernet.core.errors import RemoteProtocolError

__all__ = [
    "ARBITRARY",
    "FIXED_BYTES",
    "HOSTILE_VALUES",
    "Parser",
    "check",
    "check_memory",
    "cuts",
    "examples",
    "fields_of",
    "fuzzes",
    "mutated",
    "parser_tests",
    "peak_bytes",
    "refusal",
]

FACTOR: Final = int(os.environ.get("PEERNET_FUZZ") or 1)

FIXED_BYTES: Final = 320 * 1024
"""What a parser may allocate whatever it was given: 256 KiB are what msgpack takes at once to pack, and canonical
bytes are packed again; the rest is for errors and small tables."""
BYTES_A_BYTE: Final = 96
"""What a byte of input may cost. The dearest is an empty array: one byte, and an object of Python of 56."""

_REASON: Final = re.compile(r"[a-z][a-z0-9_]{1,39}")
"""A reason is a name of a counter: short, fixed, and nothing that the peer chose."""

Fuzz = TypeVar("Fuzz", bound=Callable[..., object])


def examples(count: int) -> settings:
    """The settings of a fuzz test: `count` examples in `make test`, `PEERNET_FUZZ` times as many where it is set.

    In `make test` they are the same each time, so that a change is judged by what it changed; `make fuzz` explores.
    """
    return settings(
        max_examples=count * FACTOR,
        derandomize=FACTOR == 1,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
    )


def fuzzes(*targets: object) -> Callable[[Fuzz], Fuzz]:
    """Says which parsers a test fuzzes that no `Parser` describes; `test_fuzz_complete` reads it."""

    def mark(test: Fuzz) -> Fuzz:
        test.fuzzes = targets  # type: ignore[attr-defined]
        return test

    return mark


@frozen
class Parser:
    """One parser, as the fuzz tests call it."""

    target: object
    """The function or `MessageSet` that is fuzzed."""
    parse: Callable[[bytes], Any]
    valid: Sequence[bytes] = field(repr=False)
    """Input that it takes; what is mutated."""
    encode: Callable[[Any], bytes] | None = None
    """Makes the same bytes of what was parsed; None where several spellings mean the same."""
    refusals: tuple[type[Exception], ...] = (RemoteProtocolError,)
    """What it may raise."""
    fixed_bytes: int = FIXED_BYTES
    bytes_a_byte: int = BYTES_A_BYTE
    name: str = ""
    """Where one target is fuzzed in several ways."""
    near: Sequence[bytes] = field(default=(), repr=False)
    """Input that it does not take; it is mutated, too."""

    def __str__(self) -> str:
        return self.name or str(getattr(self.target, "__qualname__", "messages"))


def refusal(call: Callable[[], object], refusals: tuple[type[Exception], ...] = (RemoteProtocolError,)) -> str | None:
    """The reason that `call` was refused for, or None where it was not; any other exception is a failure."""
    try:
        call()
    except refusals as error:
        refused = error
    else:
        return None
    reason = str(getattr(refused, "reason", "refused"))
    assert _REASON.fullmatch(reason), f"{reason!r} is no name of a counter"
    assert str(refused), "a refusal says what was wrong"
    return reason


def check(parser: Parser, data: bytes) -> bool:
    """Parses hostile input; whether it was taken."""
    taken: list[Any] = []
    if refusal(lambda: taken.append(parser.parse(data)), parser.refusals) is not None:
        return False
    if parser.encode is not None:
        assert parser.encode(taken[0]) == data, "what was taken is not the one encoding of what it says"
    return True


# --- memory ----------------------------------------------------------------------------------------------------------


def peak_bytes(call: Callable[[], object]) -> int:
    """The most that Python held at any moment of `call` over what it held before, in bytes."""
    tracing = tracemalloc.is_tracing()
    if not tracing:
        tracemalloc.start()
    try:
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        call()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        if not tracing:
            tracemalloc.stop()


def check_memory(parser: Parser, data: bytes) -> None:
    """Parses hostile input under its bound of memory, the second time: the first may fill tables that stay."""
    check(parser, data)
    peak = min(peak_bytes(lambda: check(parser, data)) for _ in range(2))
    bound = parser.fixed_bytes + parser.bytes_a_byte * len(data)
    assert peak <= bound, f"{len(data)} bytes of input took {peak} bytes, over {bound}"


# --- input -----------------------------------------------------------------------------------------------------------

ARBITRARY: Final = st.one_of(st.binary(max_size=80), st.binary(max_size=1200))

_TOKENS: Final = (
    # Lengths and counts that nothing follows: msgpack, protobuf, varints, yamux, WebSocket, big and little endian.
    b"\xdc\x10\x00",
    b"\xdc\xff\xff",
    b"\xdd\xff\xff\xff\xff",
    b"\xdd\x00\x00\x00\x01",
    b"\xc6\xff\xff\xff\xff",
    b"\xc4\xff",
    b"\xdb\x7f\xff\xff\xff",
    b"\xdf\xff\xff\xff\xff",
    b"\xc9\xff\xff\xff\xff\x05",
    b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\xd3\x80\x00\x00\x00\x00\x00\x00\x00",
    b"\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00",
    b"\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\x0f",
    b"\x80\x80\x80\x00",
    b"\xff\x7f",
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
    b"\x7f\xff\xff\xff\xff\xff\xff\xff",
    b"\x00\x00\x00\x00",
    # What is nested, empty, or nothing.
    b"\x90",
    b"\x91",
    b"\x80",
    b"\xc0",
    b"\xc1",
    b"\x00",
    b"\xff",
    # Text: newlines, what is no UTF-8, and what Unicode takes for digits and spaces.
    b"\n",
    b"\n\n",
    b"\r\n",
    b" ",
    b"\xc3\x28",
    b"\xed\xa0\x80",
    b"\xd9\xa3",
    b"\xc2\xa0",
    b"-1",
    b"00",
    b"99999999999999999999",
    b"=",
    b"/",
)

Draw = Callable[[st.SearchStrategy[Any]], Any]


def _place(draw: Draw, data: bytes) -> int:
    return int(draw(st.integers(0, len(data))))


def _flip(draw: Draw, data: bytes, _: Sequence[bytes]) -> bytes:
    if not data:
        return data
    place = draw(st.integers(0, len(data) - 1))
    return data[:place] + bytes((data[place] ^ 1 << draw(st.integers(0, 7)),)) + data[place + 1 :]


def _replace(draw: Draw, data: bytes, _: Sequence[bytes]) -> bytes:
    place, token = _place(draw, data), draw(st.sampled_from(_TOKENS))
    return data[:place] + bytes(token) + data[place + len(token) :]


def _insert(draw: Draw, data: bytes, _: Sequence[bytes]) -> bytes:
    place = _place(draw, data)
    return data[:place] + bytes(draw(st.sampled_from(_TOKENS))) + data[place:]


def _truncate(draw: Draw, data: bytes, _: Sequence[bytes]) -> bytes:
    return data[: _place(draw, data)]


def _cut_out(draw: Draw, data: bytes, _: Sequence[bytes]) -> bytes:
    start, end = sorted((_place(draw, data), _place(draw, data)))
    return data[:start] + data[end:]


def _double(draw: Draw, data: bytes, _: Sequence[bytes]) -> bytes:
    start, end = sorted((_place(draw, data), _place(draw, data)))
    return data[:end] + data[start:end] + data[end:]


def _swap(draw: Draw, data: bytes, _: Sequence[bytes]) -> bytes:
    first, second, third = sorted(_place(draw, data) for _ in range(3))
    return data[:first] + data[second:third] + data[first:second] + data[third:]


def _splice(draw: Draw, data: bytes, valid: Sequence[bytes]) -> bytes:
    other = bytes(draw(st.sampled_from(list(valid))))
    return data[: _place(draw, data)] + other[_place(draw, other) :]


def _append(draw: Draw, data: bytes, valid: Sequence[bytes]) -> bytes:
    return data + bytes(draw(st.one_of(st.binary(max_size=20), st.sampled_from(list(valid)))))


def _nest(draw: Draw, data: bytes, _: Sequence[bytes]) -> bytes:
    place, times = _place(draw, data), draw(st.sampled_from([8, 40, 200, 600, 1100]))
    return data[:place] + bytes(draw(st.sampled_from(_TOKENS))) * times + data[place:]


_MUTATIONS: Final = (_flip, _replace, _insert, _truncate, _cut_out, _double, _swap, _splice, _append, _nest)


@st.composite
def mutated(draw: Draw, valid: Sequence[bytes]) -> bytes:
    """Something valid, and one to three things done to it."""
    data = bytes(draw(st.sampled_from(list(valid))))
    for _ in range(draw(st.integers(1, 3))):
        data = draw(st.sampled_from(_MUTATIONS))(draw, data, valid)
    return data


@st.composite
def cuts(draw: Draw, data: bytes) -> list[bytes]:
    """The same bytes in pieces, as a network delivers them."""
    places = sorted(draw(st.lists(st.integers(0, len(data)), max_size=6)))
    return [data[start:end] for start, end in zip([0, *places], [*places, len(data)], strict=True)]


# --- what is asked of every parser -----------------------------------------------------------------------------------


def parser_tests(
    parsers: Sequence[Parser], *, hostile_examples: int, memory_examples: int
) -> tuple[Callable[..., None], ...]:
    """The three tests that each module has of each of its parsers, with so many examples.

    A module gives them the names that pytest collects them under.
    """
    each = pytest.mark.parametrize("parser", parsers, ids=str)

    @each
    def the_examples_are_taken(parser: Parser) -> None:
        assert all(check(parser, data) for data in parser.valid)
        assert not any(check(parser, data) for data in parser.near)

    @each
    @examples(hostile_examples)
    @given(st.data())
    def hostile_bytes_are_refused_or_taken(parser: Parser, data: st.DataObject) -> None:
        altered = mutated([*parser.valid, *parser.near])
        check(parser, data.draw(st.one_of(altered, altered, ARBITRARY)))

    @each
    @examples(memory_examples)
    @given(st.data())
    def memory_is_bounded_by_the_input(parser: Parser, data: st.DataObject) -> None:
        check_memory(parser, data.draw(mutated([*parser.valid, *parser.near])))

    return the_examples_are_taken, hostile_bytes_are_refused_or_taken, memory_is_bounded_by_the_input


# --- messages of the right types, with any values --------------------------------------------------------------------

INTEGERS: Final = st.one_of(
    st.sampled_from([0, 1, 2, -1, 255, 256, 2**31, 2**32, 2**53 - 1, 2**53, 2**63 - 1, 2**63, 2**64 - 1, -(2**63)]),
    st.integers(-(2**63), 2**64 - 1),
)
BYTES: Final = st.one_of(st.sampled_from([bytes(size) for size in (0, 1, 16, 20, 31, 32, 64)]), st.binary(max_size=70))
TEXTS: Final = st.one_of(
    st.sampled_from(["", "relay", "infer", "/ip4/203.0.113.7/tcp/1", "\x00", "é"]), st.text(max_size=12)
)
_LEAVES: Final = {int: INTEGERS, bytes: BYTES, str: TEXTS, bool: st.booleans()}

HOSTILE_VALUES: Final[st.SearchStrategy[Any]] = st.recursive(
    st.one_of(
        st.none(),
        INTEGERS,
        st.floats(),
        st.booleans(),
        BYTES,
        TEXTS,
        st.just({}),
        st.builds(msgpack.ExtType, st.integers(0, 127), st.binary(max_size=8)),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=3), inner, max_size=2)),
    max_leaves=6,
)
"""Whatever msgpack can say."""


def _value_of(kind: Any) -> st.SearchStrategy[Any]:
    if kind in _LEAVES:
        return _LEAVES[kind]
    if attrs.has(kind):
        return fields_of(kind)
    arguments = get_args(kind)
    if get_origin(kind) in {Union, UnionType}:
        return st.one_of(*(st.none() if argument is type(None) else _value_of(argument) for argument in arguments))
    assert get_origin(kind) is tuple, f"no strategy for {kind}"
    assert arguments[1] is Ellipsis, f"no strategy for {kind}"
    return st.lists(_value_of(arguments[0]), max_size=3)


def fields_of(kind: type) -> st.SearchStrategy[list[Any]]:
    """The fields of a message as msgpack has them: of the right types, with any values."""
    values = [_value_of(attribute.type) for attribute in attrs.fields(kind)]
    # Now and then one is of a wrong type, missing, or one too many.
    right = st.tuples(*values).map(list)
    wrong = st.tuples(*(st.one_of(value, HOSTILE_VALUES) for value in values)).map(list)
    return st.one_of(right, right, wrong, st.lists(HOSTILE_VALUES, max_size=len(values) + 1))
