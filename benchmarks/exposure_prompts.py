"""The labelled prompts of `exposure_corpus`: what is asked, whether it can be taken apart, and into what."""

import re
import tomllib
from pathlib import Path
from typing import Any, Final, Literal

from attrs import field, frozen

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


@frozen
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
