"""What the pages name is there: files, modules, names in them, headings, make targets, commands and their options.

The pages are README.md, CONTRIBUTING.md and docs/*.md. A link's target is relative to its page, a path in backticks to
the root of the repository. Whatever has a `<` in it stands for something else, and so does `HOME/...`; `.cache` and
`.venv` are made by `make`. A link whose text is code says the end of its path, or a name that the file defines.
"""

import argparse
import re
import shlex
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest
from attrs import frozen

from peernet.cli.main import _OURS
from peernet.core.dht.messages import FindNode, Ping, encode_message
from peernet.core.ledger.entries import Grant, encode_entry
from peernet.core.ledger.messages import ReadFile, TlogMessages
from peernet.core.metering import LaneTerms
from peernet.core.serving import Delta, Finished, FromHost
from peernet.core.wire import encode, frame
from tests.connection_example import connection_examples

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
PACKAGES = {
    "peernet": "src",
    "inference": "src",
    "privacy": "src",
    "bootstrap": "",
    "simulations": "",
    "benchmarks": "",
}
ELSEWHERE = {".cache", ".venv", "HOME"}

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
TARGETS = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
GROUPS = PROJECT["entry-points"]
COMMANDS = {name: f"peernet.cli.{name}" for name in _OURS} | GROUPS["peernet.commands"]

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\[((?:[^\[\]`]|`[^`\n]*`)*)\]\(([^()\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
PATH = re.compile(r"[\w.+*-]+(?:/[\w.+*-]*)+")
NAME = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*")


@frozen
class Page:
    """A page without its fenced blocks, and the lines of those."""

    path: Path
    prose: str
    block_lines: tuple[str, ...]

    @classmethod
    def of(cls, path: Path, text: str) -> "Page":
        blocks = [match[2] for match in FENCE.finditer(text) if match[1] != "mermaid"]
        # Code and links may go over the end of a line; a paragraph becomes one.
        prose = re.sub(r"(?<=\S)\n *(?=\S)", " ", FENCE.sub("", text))
        return cls(path, prose, tuple(line for block in blocks for line in block.splitlines()))

    @property
    def code(self) -> Iterator[str]:
        yield from SPAN.findall(self.prose)
        yield from self.block_lines


def problems(page: Page) -> list[str]:
    found = [*_links(page), *_paths(page)]
    for code in page.code:
        found += _dotted(code)
        for words in _commands(code):
            found += _make(words) + _peernet(words)
    return found


# --- links, paths and names ------------------------------------------------------------------------------------------


def _links(page: Page) -> Iterator[str]:
    # Code may hold brackets and parentheses of its own; a link's text may be code.
    for text, target in LINK.findall(page.prose):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        path = (page.path.parent / name).resolve() if name else page.path
        if not path.exists() or not path.is_relative_to(ROOT):
            yield f"no file: {target}"
        elif anchor and anchor not in _anchors(path.read_text("utf-8")):
            yield f"no heading: {target}"
        elif (code := SPAN.fullmatch(text)) is not None:
            yield from _says(code[1], path)


def _anchors(text: str) -> set[str]:
    """The anchors of headings, as GitHub makes them."""
    headings = HEADING.findall(FENCE.sub("", text))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _says(text: str, path: Path) -> Iterator[str]:
    """What is wrong with a link from the code `text` to `path`: it says the end of the path, or a name in the file."""
    where = path.relative_to(ROOT).as_posix().removesuffix("/__init__.py")
    if f"/{where}".endswith(f"/{text}") or text.partition(".")[0] in PACKAGES:
        return
    if path.suffix != ".py" or not NAME.fullmatch(text) or text.endswith(".py"):
        yield f"{text} leads to {where}"
    elif not all(_defines(path, name) for name in text.split(".")):
        yield f"no {text} in {path.relative_to(ROOT)}"


def _defines(path: Path, name: str) -> bool:
    source = path.read_text("utf-8")
    if path.name == "__init__.py" and re.search(rf"\b{name}\b", source):
        return True
    return re.search(rf"\b(?:def|class) {name}\b|^\s*{name}\b.*?[:=]", source, re.MULTILINE) is not None


def _paths(page: Page) -> Iterator[str]:
    unlinked = LINK.sub("", page.prose)
    alone = [span for span in SPAN.findall(unlinked) if not re.search(r"\s", span)]
    in_commands = [word for code in page.code for word in code.split() if word.split("/")[0] in _top()]
    for word in (*alone, *in_commands):
        path = word.strip("'\"(),;:").partition("::")[0].rstrip(".")
        if PATH.fullmatch(path) and path.split("/")[0] not in ELSEWHERE | {".."} and not _exists(path):
            yield f"no file: {path}"


@cache
def _top() -> frozenset[str]:
    return frozenset(path.name for path in ROOT.iterdir())


def _exists(path: str) -> bool:
    return next(ROOT.glob(path.rstrip("/")), None) is not None


def _dotted(code: str) -> list[str]:
    """`package.module.Name`, down to what the module defines."""
    first, *rest = code.split(".")
    if not rest or first not in PACKAGES or not NAME.fullmatch(code) or code in GROUPS:
        return []
    path = ROOT / PACKAGES[first] / first
    for place, name in enumerate(rest):
        if (path / name).is_dir():
            path /= name
        elif (path / f"{name}.py").exists():
            return [f"no {code}"] if not all(_defines(path / f"{name}.py", n) for n in rest[place + 1 :]) else []
        else:
            return [f"no {code}"] if not all(_defines(path / "__init__.py", n) for n in rest[place:]) else []
    return []


# --- commands --------------------------------------------------------------------------------------------------------


def _commands(code: str) -> Iterator[list[str]]:
    for command in re.split(r"&&|;|\|", code):
        try:
            words = shlex.split(command.strip().removeprefix("$ "), comments=True)
        except ValueError:
            continue  # prose with an apostrophe
        while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
            del words[0]
        if words:
            yield words


def _make(words: list[str]) -> list[str]:
    if words[0] != "make":
        return []
    asked = [word for word in words[1:] if "=" not in word and not word.startswith("-")]
    return [f"no target: make {word}" for word in asked if word not in TARGETS]


def _peernet(words: list[str]) -> list[str]:
    if words[1:3] == ["-m", "peernet"]:
        words = words[2:]
    if Path(words[0]).name != "peernet" or len(words) == 1 or words[1].startswith("-"):
        return []
    if words[1] not in COMMANDS:
        return [f"no command: peernet {words[1]}"]
    parser = _parser(words[1])
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction) and len(words) > 2 and not words[2].startswith("-"):
            if words[2] not in action.choices:
                return [f"no action: peernet {words[1]} {words[2]}"]
            parser = action.choices[words[2]]
    asked = [word.partition("=")[0] for word in words[2:] if word.startswith("--")]
    return [f"no option: peernet {words[1]} {word}" for word in asked if word not in parser._option_string_actions]


@cache
def _parser(command: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    import_module(COMMANDS[command]).configure(parser)
    return parser


# --- the tests -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_everything_that_a_page_names_is_there(path: Path) -> None:
    assert problems(Page.of(path, path.read_text("utf-8"))) == []


def test_every_page_of_the_docs_is_linked_from_another() -> None:
    targets = {
        (page.parent / target.partition("#")[0]).resolve()
        for page in PAGES
        for _, target in LINK.findall(page.read_text("utf-8"))
    }
    assert {page for page in PAGES if page.parent.name == "docs"} <= targets


def test_the_map_of_the_packages_has_every_module() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    targets = {(ROOT / "docs" / target).resolve() for _, target in LINK.findall(text)}
    modules = {path for top in ("src", "bootstrap", "simulations") for path in (ROOT / top).rglob("*.py")}
    assert {path for path in modules if not path.name.startswith("_") and path not in targets} == set()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[x](gone.md)", "no file: gone.md"),
        ("[x](../../shared/style.md)", "no file: ../../shared/style.md"),
        ("[x](wire.md#gone)", "no heading: wire.md#gone"),
        ("[`Hop.gone`](../src/peernet/core/ring/hop.py)", "no Hop.gone in src/peernet/core/ring/hop.py"),
        ("[`arc.py`](../src/peernet/core/ring/hop.py)", "arc.py leads to src/peernet/core/ring/hop.py"),
        ("[`dht/hop.py`](../src/peernet/core/ring/hop.py)", "dht/hop.py leads to src/peernet/core/ring/hop.py"),
        ("`src/peernet/gone.py`", "no file: src/peernet/gone.py"),
        ("`peernet/core/ring`", "no file: peernet/core/ring"),
        ("`pytest tests/unit/test_gone.py::test_it`", "no file: tests/unit/test_gone.py"),
        ("`changelog.d/*.gone`", "no file: changelog.d/*.gone"),
        ("`peernet.core.gone`", "no peernet.core.gone"),
        ("`peernet.core.wire.gone`", "no peernet.core.wire.gone"),
        ("```\nmake gone PROMPT='a b'\n```\n", "no target: make gone"),
        ("```\n$ FOO=1 .venv/bin/peernet gone\n```\n", "no command: peernet gone"),
        ("so it is `peernet\n  gone` that", "no command: peernet gone"),
        ("`peernet ledger gone`", "no action: peernet ledger gone"),
        ("`peernet ledger audit --gone`", "no option: peernet ledger --gone"),
    ],
)
def test_what_is_not_there_is_found(text: str, problem: str) -> None:
    assert problem in problems(Page.of(ROOT / "docs" / "page.md", text))


def test_what_is_there_is_not_complained_about() -> None:
    text = """\
[one](wire.md) [`Hop.receive`](../src/peernet/core/ring/hop.py) [web](https://example.org/x) `src/peernet/core/`
[`ring/hop.py`](../src/peernet/core/ring/hop.py) [`planning`](../src/privacy/planning/__init__.py)
[`peernet.core`](../src/peernet/core/__init__.py) [`.ci/run`](../.ci/run)
`peernet.core.ring.hop.Hop` `peernet.commands` `/peernet/dht/1` `HOME/config/keys` `tile/<L>/<N>` `../shared/data`
`make demo OPTIONS=--keep` `peernet demo --models .cache/models` `peernet model list` `changelog.d/+<name>.added.md`
```
.venv/bin/python -m pytest tests/unit/test_docs.py::test_what_is_there_is_not_complained_about
python -m peernet identity --home x   # a comment; and another
```
"""
    assert problems(Page.of(ROOT / "docs" / "page.md", text)) == []


# --- the examples of docs/wire.md ------------------------------------------------------------------------------------


def examples() -> dict[str, bytes]:
    terms = LaneTerms(bytes(32), 2, 5, 32)
    return {
        "Ping, framed": frame(encode_message(Ping())),
        "FindNode(00..13)": encode_message(FindNode(bytes(range(20)))),
        "ReadFile('checkpoint')": TlogMessages.encode(ReadFile("checkpoint")),
        "Delta('Hi')": FromHost.encode(Delta("Hi")),
        "Finished('stop', 12, 3)": FromHost.encode(Finished("stop", 12, 3)),
        "LaneTerms(00 * 32, 2, 5, 32)": encode(terms),
        "its commitment, nonce 00 * 32": terms.commit(bytes(32)),
        "Grant(01 * 32, 1000, 120, 60, that)": encode_entry(
            Grant(b"\x01" * 32, 1000, 120, 60, terms.commit(bytes(32)))
        ),
    } | connection_examples()


def test_the_examples_of_the_wire_page_are_what_the_code_writes() -> None:
    text = (ROOT / "docs" / "wire.md").read_text("utf-8").split("\n## Examples\n")[1]
    shown = dict(re.findall(r"^(\S.*?)\n {4}([0-9a-f \n]+)$", text, re.MULTILINE))
    assert {name: bytes.fromhex(value) for name, value in shown.items()} == examples()
