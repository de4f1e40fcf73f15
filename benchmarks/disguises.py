"""Identifiers in disguise: texts in which each is written in a way that a pattern does not expect, with its place.

Everything is drawn by a seed; the numbers pass their checksums, and belong to nobody.
"""

import random
from collections.abc import Callable, Mapping
from typing import Final

from benchmarks.detect import Document

__all__ = ["DISGUISES", "disguised"]

_ZERO_WIDTH: Final = "\u200b\u200c\u200d\u2060\ufeff"
_FULL_WIDTH: Final = {code: code + 0xFEE0 for code in range(0x21, 0x7F)}
_LOOK_ALIKE: Final = str.maketrans("aceopxyABCEHKMOPTX", "асеорхуАВСЕНКМОРТХ")
_LEET: Final = str.maketrans("01", "Ol")
_IDENTIFIERS: Final[Mapping[str, tuple[str, ...]]] = {
    "EMAIL": ("maria.kowalska@example.com", "j.smith@mail.example.org", "li.wei.chen@example.net"),
    "PHONE": ("+44 20 7946 0018", "+1 212-555-0143", "+49 30 23125 014"),
    "CREDIT_CARD": ("4111 1111 1111 1111", "5500-0000-0000-0004", "378282246310005"),
    "IBAN": ("GB29 NWBK 6016 1331 9268 19", "DE89370400440532013000", "FR14 2004 1010 0505 0001 3M02 606"),
}
_FRAMES: Final = (
    "Please write to {} about the invoice.",
    "You can reach me under {} until Friday.",
    "Note: {} (do not share)",
    "My details are {}, as discussed.",
)


def _every_other(text: str, rng: random.Random) -> str:
    return "".join(char + (rng.choice(_ZERO_WIDTH) if rng.random() < 0.5 else "") for char in text[:-1]) + text[-1]


def _with_marks(text: str, rng: random.Random) -> str:
    return rng.choice("*•·;/").join(text.replace(" ", ""))


def _combining(text: str, _: random.Random) -> str:
    return "".join(char + ("\u0301" if char in "aeiou" else "") for char in text)


DISGUISES: Final[Mapping[str, Callable[[str, random.Random], str]]] = {
    "as it is": lambda text, _: text,
    "zero-width characters": _every_other,
    "right-to-left marks": lambda text, _: "\u202e\u200f" + text + "\u202c",
    "full-width characters": lambda text, _: text.translate(_FULL_WIDTH),
    "look-alike letters": lambda text, _: text.translate(_LOOK_ALIKE),
    "combining accents": _combining,
    "spaced out": lambda text, _: " ".join(text.replace(" ", "")),
    "one a line": lambda text, _: "\n".join(text.replace(" ", "")),
    "marks between": lambda text, rng: _with_marks(text, rng) if text.replace(" ", "").isalnum() else text,
    "tag characters": lambda text, _: "".join(chr(0xE0000 + ord(char)) for char in text),
    "leet digits": lambda text, _: text.translate(_LEET),
    "at and dot in words": lambda text, _: text.replace("@", " at ").replace(".", " dot "),
}
"""What is done to an identifier."""


def disguised(seed: int = 1) -> dict[str, list[Document]]:
    """Documents by disguise, each with one identifier, of every kind in every frame that the disguise changes."""
    rng = random.Random(seed)
    sets: dict[str, list[Document]] = {}
    for name, change in DISGUISES.items():
        for label, values in _IDENTIFIERS.items():
            for value in values:
                shown = change(value, rng)
                if shown == value and name != "as it is":
                    continue
                for frame in _FRAMES:
                    start = frame.index("{}")
                    span = {"start": start, "end": start + len(shown), "type": label}
                    documents = sets.setdefault(name, [])
                    documents.append(Document(f"{name}-{len(documents)}", frame.format(shown), [span], []))
    return sets
