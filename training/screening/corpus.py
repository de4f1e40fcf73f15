"""The texts that the classifier is trained and judged on, and which of them are held back.

Rules:

1. A fifth of each source is held back: never trained on, never looked at to choose anything. Whether a text is held
   back is the SHA-256 of its identity, so it stays so whatever is added. The moderation file has no ids: there the
   prompt itself is the identity. Of our own texts it is the line before its slots are filled, so that no two fillings
   of one line stand on both sides.
2. What the file does not label of a text is unknown, and nothing is learned from it.
3. What is shared is read where it stands and never copied.
"""

import hashlib
import json
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from attrs import frozen

from privacy.screening.categories import LABELS

__all__ = ["FILE_LABELS", "Labelled", "harmless_sets", "moderation", "ordinary", "requests"]

FILE_LABELS: Final[Mapping[str, str]] = {
    "S": "sexual",
    "S3": "sexual_minors",
    "H": "hate",
    "H2": "hate",
    "V": "violence_threat",
    "V2": "graphic_violence",
    "HR": "harassment",
    "SH": "self_harm",
}
"""What the labels of the moderation file are called here; of two for one category one is enough."""
HELD_BACK_OF: Final = 5
FILLINGS: Final = 6
"""How many fillings of one line are used at most."""
HARMLESS_FOR_TRAINING: Final = ("wnut17_train", "btc_train", "tab_train")
HARMLESS_FOR_JUDGING: Final = (
    "presidio_synth_v2",
    "pii_anon_clinical",
    "pii_anon_adversarial",
    "pii_syn_nano",
    "uner_ewt_dev",
)
_SLOT: Final = re.compile(r"\{(\w+)\}")
_HERE: Final = Path(__file__).parent
_IMPLIED: Final[Mapping[str, tuple[str, ...]]] = {
    "sexual_minors": ("sexual",),
    "graphic_violence": ("violence_threat",),
}


@frozen
class Labelled:
    """A text, what is known of it, and whether it is held back."""

    text: str
    labels: Mapping[str, bool]
    """By category of `LABELS`; one that is absent is unknown."""
    held_back: bool
    source: str

    @property
    def harmful(self) -> bool:
        """Whether any category is said to apply."""
        return any(self.labels.values())


def is_held_back(identity: str) -> bool:
    """Whether a text of that identity is of the fifth that is never trained on."""
    return int.from_bytes(hashlib.sha256(identity.encode()).digest()[:4], "big") % HELD_BACK_OF == 0


def moderation(path: Path) -> list[Labelled]:
    """The moderation file's prompts; the same prompt twice is one, with all that is said of it."""
    merged: dict[str, dict[str, bool]] = {}
    for row in map(json.loads, path.read_text(encoding="utf-8").splitlines()):
        labels = merged.setdefault(row["prompt"], {})
        for short, name in FILE_LABELS.items():
            if short in row:
                labels[name] = labels.get(name, False) or row[short] == 1
    return [Labelled(text, labels, is_held_back(text), "moderation") for text, labels in merged.items()]


def ordinary() -> list[Labelled]:
    """Our ordinary prompts: nothing applies to any of them."""
    nothing = dict.fromkeys(LABELS, False)
    return [Labelled(text, nothing, held, f"ordinary:{subject}") for subject, text, held in _lines("ordinary.toml")]


def requests() -> list[Labelled]:
    """Our harmful requests: one category applies, and of the others nothing is said but that most do not."""
    made = []
    for category, text, held in _lines("requests.toml"):
        # A call for violence against a group may be either, and an insult a threat.
        unsure = (
            {"hate", "violence_threat", "harassment"}
            if category in {"hate", "violence_threat", "harassment"}
            else set()
        )
        labels = {name: False for name in LABELS if name not in unsure} | {category: True}
        made.append(
            Labelled(text, labels | dict.fromkeys(_IMPLIED.get(category, ()), True), held, f"requests:{category}")
        )
    return made


def harmless_sets(folder: Path, names: Iterable[str]) -> list[Labelled]:
    """Texts labelled for names, where nothing harmful was looked for: tweets, court cases, e-mails, made-up forms."""
    nothing = dict.fromkeys(LABELS, False)
    made: list[Labelled] = []
    for name in names:
        rows = map(json.loads, (folder / name / "data.jsonl").read_text(encoding="utf-8").splitlines())
        made += (Labelled(row["text"], nothing, is_held_back(row["text"]), name) for row in rows)
    return made


def _lines(name: str) -> Iterator[tuple[str, str, bool]]:
    table = tomllib.loads((_HERE / name).read_text(encoding="utf-8"))
    for subject, block in table["texts"].items():
        for line in block.strip().splitlines():
            for text in _filled(line, table["slots"]):
                yield subject, text, is_held_back(line)


def _filled(line: str, slots: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """The line with its slots filled, in up to `FILLINGS` ways: the n-th word of every slot together."""
    names = _SLOT.findall(line)
    for number in range(FILLINGS if names else 1):
        text = line
        for shift, name in enumerate(names):
            text = text.replace(f"{{{name}}}", slots[name][(number + shift) % len(slots[name])])
        yield text
