"""The labelled prompts of `exposure_corpus`: what is asked, whether it can be taken apart, and into what."""

import re
import tomllib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Literal

from attrs import field, frozen

from privacy.exposure import sentence_spans, share

__all__ = ["CORPUS", "Document", "Prompt", "read_prompts"]

CORPUS: Final = Path(__file__).resolve().parent / "exposure_corpus"
_DOCUMENTS: Final = "documents.toml"
_NAMED: Final = re.compile(r"<<([\w-]+)>>")
_TOGETHER: Final = " + "

Merge = Literal["", "text", "list", "sections"]


@frozen
class Document:
    """A long text, by the parts that nobody would cut."""

    records: tuple[str, ...] = field(repr=False)
    join: str
    before: str = field(default="", repr=False)
    """The header of a table."""
    names: tuple[str, ...] = field(default=(), repr=False)

    @property
    def text(self) -> str:
        """The whole text."""
        return self.before + self.join.join(self.records)


@frozen(slots=False)
class Prompt:
    """One prompt with its labels."""

    id: str
    kind: Literal["tasks", "shards", "whole"]
    """`whole`: a person would not take it apart."""
    held_back: bool
    """Whether it was kept aside while the rules were written."""
    before: tuple[str, ...] = field(repr=False)
    """What was said before it, user and assistant in turn."""
    text: str = field(repr=False)
    parts: tuple[tuple[str, ...], ...] = field(repr=False)
    """For each part, in order, words of the text that must stand together: phrases of a task, or a record."""
    merge: Merge
    """How the answers to shards go together."""
    document: Document | None = field(repr=False)
    names: tuple[str, ...] = field(repr=False)
    """The identifiers that were planted."""

    @property
    def divisible(self) -> bool:
        """Whether a person would take it apart."""
        return self.kind != "whole"

    @cached_property
    def least_share(self) -> float:
        """The share of words that the host of the largest part gets at least, as far as the labels tell.

        A part of tasks goes from its own words to those of the next; what it has in common with others goes with it.
        """
        if self.document is not None and self.kind == "shards":
            instruction = self.text.replace(self.document.text, self.document.before, 1)
            return max(share(self.text, [f"{instruction}\n{record}"]) for record in self.document.records)
        places = [_places(self.text, part, self.parts) for part in self.parts]
        begins = sorted(min(own) for own, _ in places)
        ends = dict(zip(begins, [*begins[1:], len(self.text)], strict=True))
        return max(
            share(self.text, ["\n".join([self.text[min(own) : ends[min(own)]], *_sentences(self.text, common)])])
            for own, common in places
        )


def _places(text: str, part: Sequence[str], parts: Sequence[Sequence[str]]) -> tuple[list[int], list[int]]:
    """Where the words of a part begin that no other has, or all of them where it has none, and where the others do."""
    matches = {words: re.search(re.escape(words), text, re.IGNORECASE) for words in part}
    found = {words: match.start() for words, match in matches.items() if match is not None}
    own = [place for words, place in found.items() if sum(words in other for other in parts) == 1]
    return own or list(found.values()), [place for place in found.values() if own and place not in own]


def _sentences(text: str, places: Sequence[int]) -> list[str]:
    return [text[start:end] for start, end in sentence_spans(text) if any(start <= place < end for place in places)]


def read_prompts() -> list[Prompt]:
    """All prompts, in the order of the files; the documents that they name are in them."""
    documents = {
        name: Document(tuple(facts["records"]), facts["join"], facts.get("before", ""), tuple(facts["names"]))
        for name, facts in tomllib.loads((CORPUS / _DOCUMENTS).read_text("utf-8")).items()
    }
    return [
        _prompt(facts, documents)
        for path in sorted(CORPUS.glob("*.toml"))
        if path.name != _DOCUMENTS
        for facts in tomllib.loads(path.read_text("utf-8"))["prompt"]
    ]


def _prompt(facts: dict[str, Any], documents: dict[str, Document]) -> Prompt:
    named = _NAMED.search(facts["text"])
    document = documents[named[1]] if named else None
    parts = tuple(tuple(part.split(_TOGETHER)) for part in facts.get("parts", ()))
    if document is not None and facts["kind"] == "shards":
        parts = tuple((record,) for record in document.records)
    return Prompt(
        id=facts["id"],
        kind=facts["kind"],
        held_back=facts.get("held_back", False),
        before=tuple(facts.get("before", ())),
        text=_NAMED.sub(lambda match: documents[match[1]].text, facts["text"]),
        parts=parts,
        merge=facts.get("merge", ""),
        document=document,
        names=(*facts.get("names", ()), *(document.names if document else ())),
    )
