"""The labelled prompts that the planner's judge is trained on; their format is in the README beside them.

Rules:

1. A prompt is a row of parts, each of one kind, that are all of its text; one of kind `whole` has no parts.
2. A fifth is for development: never trained on, and nobody reads it. Whether a prompt is of it is the SHA-256 of its
   text, so it stays so whatever is added.
"""

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal, get_args

from attrs import field, frozen

__all__ = ["PROMPTS", "Labelled", "Part", "parse", "read_all"]

PROMPTS: Final = Path(__file__).parent / "prompts"
DEVELOPMENT_OF: Final = 5
MIN_PARTS: Final = 2
Mode = Literal["tasks", "shards", "whole"]
PartKind = Literal["task", "context", "wish", "social", "instruction", "record"]
_MODES: Final[dict[str, Mode]] = {mode: mode for mode in get_args(Mode)}
_KINDS: Final[dict[str, PartKind]] = {kind: kind for kind in get_args(PartKind)}

_BLOCK: Final = re.compile(r"^%%%%[ \t]*$\n?", re.MULTILINE)
_MARK: Final = re.compile(r"<\|(\w+)>")


@frozen
class Part:
    """A range of a prompt, of one kind, without the white space around it."""

    kind: PartKind
    start: int
    end: int


@frozen
class Labelled:
    """A prompt and what a thoughtful person says of it."""

    mode: Mode
    text: str = field(repr=False)
    parts: tuple[Part, ...]
    source: str

    @property
    def for_development(self) -> bool:
        """Whether it is of the fifth that is never trained on."""
        return int.from_bytes(hashlib.sha256(self.text.encode()).digest()[:4], "big") % DEVELOPMENT_OF == 0


def read_all(folder: Path = PROMPTS) -> list[Labelled]:
    """All prompts, in the order of the files, each once."""
    found: dict[str, Labelled] = {}
    for path in sorted(folder.glob("*.txt")):
        for block in _BLOCK.split(path.read_text(encoding="utf-8")):
            if block.strip():
                labelled = parse(block, path.stem)
                found.setdefault(labelled.text, labelled)
    return list(found.values())


def parse(block: str, source: str) -> Labelled:
    """One block of a file; raises `ValueError` that says what is wrong with it."""
    named, _, body = block.strip("\n").partition("\n")
    body = body.strip("\n")
    mode = _MODES.get(named.strip())
    if mode is None:
        raise ValueError(f"{source}: a block begins with tasks, shards or whole, not with {named[:40]!r}")
    marks = list(_MARK.finditer(body))
    if mode == "whole":
        if marks:
            raise ValueError(f"{source}: a prompt that stays whole has no marks: {body[:60]!r}")
        return Labelled(mode, body.strip(), (), source)
    if not marks or body[: marks[0].start()].strip():
        raise ValueError(f"{source}: a divisible prompt begins with a mark: {body[:60]!r}")
    text, parts = _parts(body, marks, source)
    own = "task" if mode == "tasks" else "record"
    if sum(part.kind == own for part in parts) < MIN_PARTS:
        raise ValueError(f"{source}: {mode} have at least {MIN_PARTS} parts {own}: {body[:60]!r}")
    return Labelled(mode, text, tuple(parts), source)


def _parts(body: str, marks: Sequence[re.Match[str]], source: str) -> tuple[str, list[Part]]:
    text = ""
    parts: list[Part] = []
    for place, mark in enumerate(marks):
        kind = _KINDS.get(mark[1])
        if kind is None:
            raise ValueError(f"{source}: there is no mark {mark.group()}")
        piece = body[mark.end() : marks[place + 1].start() if place + 1 < len(marks) else len(body)]
        if piece.strip():
            start = len(text) + len(piece) - len(piece.lstrip())
            parts.append(Part(kind, start, len(text) + len(piece.rstrip())))
        text += piece
    return text, parts
