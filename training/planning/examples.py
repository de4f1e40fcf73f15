"""What the learners are shown: the prompts as the judge reads them, with what each atom may be."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any, Final

import numpy as np
from attrs import define, field
from numpy.typing import NDArray

from benchmarks.exposure_prompts import Prompt, read_prompts
from privacy.planning._atoms import MAX_ATOMS, MAX_CHARS, atoms_of
from privacy.planning._kinds import announces_tasks, kind_of
from privacy.planning._measures import LABELS
from privacy.planning._traits import Read, hashed, opening_traits, read, traits_of
from training.planning.corpus import Labelled, Part

__all__ = ["Example", "examples_of", "older"]

TASK: Final = LABELS.index("task")
RECORD: Final = LABELS.index("record")
GOES_ON: Final = LABELS.index("goes_on")
_WITHIN_SENTENCE: Final = frozenset({"comma", "and", "word", "run", "dash"})
_BETWEEN: Final = " \t\n,;:.-–—/|+"
"""What may stand between the mark of a part and the atom that begins it."""


@define(slots=False, eq=False)
class Example:
    """A prompt as it is read."""

    labelled: Labelled
    weight: float
    message: Read = field(repr=False)

    @cached_property
    def rows(self) -> list[list[int]]:
        """The buckets of each atom's traits."""
        return [hashed(traits) for traits in traits_of(self.message)]

    @cached_property
    def opening(self) -> list[int]:
        """The buckets of the traits of its words."""
        return hashed(opening_traits(self.message))

    @cached_property
    def allowed(self) -> NDArray[np.bool_]:
        """Which labels each atom may have.

        Of what nobody would divide it is not known, but that nothing begins one more matter; the first atom that asks
        may begin the one.
        """
        count = len(self.message.atoms)
        found = np.zeros((count, len(LABELS)), dtype=bool)
        if not self.labelled.parts:
            found[:] = True
            found[:, [TASK, RECORD]] = False
            asking = next((n for n, one in enumerate(self.message.seen) if one.kind == "task"), 0)
            found[asking, TASK] = True
            return found
        begins = self.begins
        for place in range(count):
            found[place, LABELS.index(begins[place]) if place in begins else GOES_ON] = True
        return found

    @cached_property
    def begins(self) -> dict[int, str]:
        """The atoms that begin a part, with its kind."""
        found: dict[int, str] = {}
        text = self.labelled.text
        for part in self.labelled.parts:
            for place, atom in enumerate(self.message.atoms):
                first, last = sorted((atom.start, part.start))
                if not text[first:last].strip(_BETWEEN):
                    found.setdefault(place, part.kind)
                    break
        return found


def examples_of(prompts: Sequence[Labelled], weight: float = 1.0) -> list[Example]:
    """Those prompts that the judge can read."""
    found = []
    for labelled in prompts:
        atoms = atoms_of(labelled.text)
        if atoms and len(atoms) <= MAX_ATOMS and len(labelled.text) <= MAX_CHARS:
            found.append(Example(labelled, weight, read(labelled.text, atoms)))
    return found


def older() -> list[Labelled]:
    """The prompts of the exposure corpus that the rules were written with; never those that are held back.

    Of their tasks only some words are known: a matter begins with the sentence that they stand in.
    """
    return [_relabelled(prompt) for prompt in read_prompts() if not prompt.held_back]


def _relabelled(prompt: Prompt) -> Labelled:
    parts: list[Part] = []
    document: Any = prompt.document
    if prompt.kind == "shards" and document is not None:
        place = prompt.text.find(document.text)
        if prompt.text[:place].strip():
            parts.append(Part("instruction", 0, place))
        for record in document.records:
            start = prompt.text.find(record, place)
            parts.append(Part("record", start, start + len(record)))
            place = start + len(record)
        behind = prompt.text[place:]
        if behind.strip():
            parts.append(Part("instruction", place + len(behind) - len(behind.lstrip()), len(prompt.text)))
    if prompt.kind == "tasks":
        parts = _matters_of(prompt)
    return Labelled(prompt.kind, prompt.text, tuple(parts), "older")


def _matters_of(prompt: Prompt) -> list[Part]:
    """The tasks of a prompt of which some words are known; none where these are out of order, or in one sentence."""
    atoms = atoms_of(prompt.text)
    begins: list[int] = []
    last = -1
    for part in prompt.parts:
        own = [words for words in part if sum(words in other for other in prompt.parts) == 1]
        places = [prompt.text.casefold().find(words.casefold()) for words in own]
        if not places or min(places) < 0:
            return []
        holding = max(n for n, atom in enumerate(atoms) if atom.start <= min(places))
        begin = holding
        while begin > last + 1 and atoms[begin].joint in _WITHIN_SENTENCE:
            begin -= 1
        if begin <= last:
            return []
        begins.append(begin)
        last = max(n for n, atom in enumerate(atoms) if atom.start <= max(places))
    if begins != sorted(set(begins)):
        return []
    starts = [atoms[begin].start for begin in begins]
    leads = [(prompt.text[atom.start : atom.end], atom) for atom in atoms[: begins[0]]]
    parts = [
        Part("social" if kind_of(said) == "courtesy" or announces_tasks(said) else "context", atom.start, atom.end)
        for said, atom in leads
    ]
    ends = [*starts[1:], len(prompt.text)]
    return [*parts, *(Part("task", a, a + len(prompt.text[a:b].rstrip())) for a, b in zip(starts, ends, strict=True))]
