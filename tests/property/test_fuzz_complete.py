"""Every parser of bytes from others is fuzzed, or says here why it is not.

The table of those that are fuzzed is written where they are: the `PARSERS` of the modules `test_fuzz_*.py`, and
`@fuzzes(...)` on their tests. This walks the code for what looks like a parser, by its name and by what it takes, and
for every set of messages; a new one turns it red until it is in one of the two.
"""

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Final

import pytest

import bootstrap
import peernet.core
import peernet.gateway
import peernet.net
from peernet.core.wire import MessageSet
from tests.hostile_input import Parser

NAMES: Final = re.compile(
    r"_?(decode|decrypt|parse|unpack|open|read|receive|take|feed|finish|verify|check|from_bytes|on_|apply)"
)
TAKES: Final = re.compile(
    r"\b(bytes|bytearray|memoryview|SealedCell|DirectoryPart|DirectoryHead|Reply|Request|Seal|Snapshot|Difference|Voucher"
    r"|Receipt|Settlement|LaneOpening|Credit|Entry|IssuerKey|Issue|Redeem|ChangePart|Equivocation|InvalidEntry|LogProof|NodeReader|AddCheckpoint)\b"
)
TEXT_TOO: Final = re.compile(r"_?parse|_?decode")
PACKAGES: Final = (peernet.core, peernet.net, peernet.gateway, bootstrap)

NOT_FUZZED: Final = {
    "bootstrap.hosts.reports.take_abuse_report": "its fields are read by the API, which schemathesis tries",
    "bootstrap.hosts.reports.take_service_report": "its fields are read by the API, which schemathesis tries",
    "bootstrap.money.cashier.Cashier.receive": "reads by the provider's read_event",
    "bootstrap.money.provider.Provider.read_event": "a port",
    "bootstrap.portal.serving.open_office": "its bytes are a key of ours",
    "peernet.core.directory_signing.check_listed": "what it is given has been read: Directory's readers are fuzzed",
    "peernet.core.suite.Aead.open": "a port",
    "peernet.core.suite.Aead.open_into": "a port",
    "peernet.core.suite.CipherSuite.verify": "a port",
    "peernet.core.suite.SodiumSuite.verify": "keys and signatures of any length meet it below all that is signed",
    "peernet.core.suite._SodiumAead.open": "fuzzed below Noise, on one side",
    "peernet.core.suite._OpensslAead.open": "fuzzed below Noise, on the other side",
    "peernet.core.suite._SodiumAead.open_into": "fuzzed below Noise, on one side",
    "peernet.core.suite._OpensslAead.open_into": "fuzzed below Noise, on the other side",
    "peernet.core.noise._SymmetricState.decrypt_and_hash": "read_message calls it",
    "peernet.core.ring.cells.check_size": "a cell of another size is a bug of ours: legs are cut by cut_cells",
    "peernet.core.ring.cells.check_whole": "the same: forwarders cut what comes into whole cells",
    "peernet.core.wire.MessageSet.decode": "each set is fuzzed by itself",
    "peernet.gateway.settings.Listening.parse": "from the command line of whoever runs it",
    "peernet.net.gating.AllowDeny.parse": "from the configuration",
    "peernet.net.metrics_page.parse_page_address": "from the configuration",
}


def _modules() -> Iterator[ModuleType]:
    for package in PACKAGES:
        yield package
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if ".commands" not in found.name:
                yield importlib.import_module(found.name)


def _callables(module: ModuleType) -> Iterator[tuple[str, object]]:
    for name, value in vars(module).items():
        if inspect.isfunction(value) and value.__module__ == module.__name__:
            yield f"{module.__name__}.{name}", value
        elif inspect.isclass(value) and value.__module__ == module.__name__:
            for method, raw in vars(value).items():
                bare = raw.__func__ if isinstance(raw, classmethod | staticmethod) else raw
                if inspect.isfunction(bare):
                    yield f"{module.__name__}.{name}.{method}", bare


def _looks_like_a_parser(name: str, function: object) -> bool:
    short = name.rpartition(".")[2]
    if short.startswith("_") or not NAMES.match(short):
        return False
    assert callable(function)
    taken = [
        str(annotation) for argument, annotation in inspect.get_annotations(function).items() if argument != "return"
    ]
    return any(TAKES.search(kind) for kind in taken) or (
        bool(TEXT_TOO.match(short)) and any("str" in kind for kind in taken)
    )


def _fuzzed() -> list[object]:
    found: list[object] = []
    for path in sorted(Path(__file__).parent.glob("test_fuzz_*.py")):
        if path == Path(__file__):
            continue
        module = importlib.import_module(f"tests.property.{path.stem}")
        for value in vars(module).values():
            found += getattr(value, "fuzzes", ())
            if isinstance(value, Parser):
                found.append(value.target)
        found += [parser.target for parser in getattr(module, "PARSERS", ())]
    return found


FUZZED: Final = _fuzzed()
_BARE: Final = {id(getattr(target, "__func__", target)) for target in FUZZED}


def _parsers() -> dict[str, object]:
    return {
        name: function
        for module in _modules()
        for name, function in _callables(module)
        if _looks_like_a_parser(name, function)
    }


def _message_sets() -> dict[str, MessageSet]:
    return {
        f"{module.__name__}.{name}": value
        for module in _modules()
        for name, value in vars(module).items()
        if isinstance(value, MessageSet)
    }


@pytest.mark.parametrize("name", sorted(_parsers()))
def test_every_parser_is_fuzzed_or_says_why_not(name: str):
    function = _parsers()[name]
    assert (id(function) in _BARE) != (name in NOT_FUZZED), f"{name} is not fuzzed: add it to a test_fuzz_*.py"


@pytest.mark.parametrize("name", sorted(_message_sets()))
def test_every_set_of_messages_is_fuzzed(name: str):
    assert id(_message_sets()[name]) in _BARE


def test_whoever_is_excused_is_there():
    assert set(NOT_FUZZED) <= {name for module in _modules() for name, _ in _callables(module)}


def test_a_parser_that_nobody_thought_of_is_noticed():
    def parse_something(data: bytes) -> bytes:
        return data

    assert _looks_like_a_parser("peernet.core.new.parse_something", parse_something)
    assert id(parse_something) not in _BARE
    assert len(_parsers()) > 50
    assert len(_message_sets()) > 10
