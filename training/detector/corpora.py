"""Labelled data of others, read in place and never copied: what trains, and what only measures.

For training: the Text Anonymization Benchmark's court cases (Pilán et al. 2022, MIT), WNUT-17 (Derczynski et al. 2017,
CC BY) and the Broad Twitter Corpus (Derczynski et al. 2016, CC BY). Their labels become ours; what has none of ours
(products, works, nationalities) is left unlabelled.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from training.detector.blocks import Example, Span

__all__ = ["corpora"]

_LABELS: Final[Mapping[str, Mapping[str, str]]] = {
    "tab_train": {
        "PERSON": "PERSON",
        "LOC": "LOCATION",
        "ORG": "ORGANIZATION",
        "DATETIME": "DATE_TIME",
        "CODE": "ID",
    },
    "wnut17_train": {
        "person": "PERSON",
        "location": "LOCATION",
        "group": "ORGANIZATION",
        "corporation": "ORGANIZATION",
    },
    "btc_train": {"PER": "PERSON", "LOC": "LOCATION", "ORG": "ORGANIZATION"},
}
_LONGEST: Final = 1500
"""Long documents are cut at paragraphs into pieces of about so many characters."""


def corpora(data: Path) -> Iterator[Example]:
    """The training examples of every set in `data` (a folder of sets, each with its `data.jsonl`)."""
    for name, labels in _LABELS.items():
        with (data / name / "data.jsonl").open(encoding="utf-8") as lines:
            for line in lines:
                document = json.loads(line)
                spans = sorted(
                    (span["start"], span["end"], labels[span["type"]])
                    for span in document["spans"]
                    if span["type"] in labels
                )
                yield from _pieces(document["text"], spans, name)


def _pieces(text: str, spans: list[tuple[int, int, str]], source: str) -> Iterator[Example]:
    start = 0
    while start < len(text):
        end = len(text)
        if end - start > _LONGEST:
            end = text.find("\n\n", start + _LONGEST)
            end = len(text) if end < 0 else end
        disjoint: list[Span] = []
        for low, high, label in spans:
            if _is_handle(text, low, high):
                continue
            if start <= low and high <= end and (not disjoint or disjoint[-1].end <= low - start):
                disjoint.append(Span(low - start, high - start, label))
        yield Example(text[start:end], tuple(disjoint), source)
        start = end


def _is_handle(text: str, start: int, end: int) -> bool:
    """Whether the span is a Twitter handle, or the mark before one: some of its annotators took these for names."""
    return text[start] == "@" or text[max(0, start - 2) : start].strip() == "@"
