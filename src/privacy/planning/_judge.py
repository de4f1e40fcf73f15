"""The judge of requests: small trained models that say what each atom of a message is, and whether to divide it.

Theory of operation. Three steps, each of which sees what the one before it said. Two linear models say of every atom
what begins there: one has learned from divisible requests alone, and so proposes parts; the other has also seen what
nobody would divide, and so doubts. Trees weigh each place where a second matter may begin (`_signs`). Trees over the
whole message (`_measures`) say whether it should be divided, and whether as tasks or as a text under one instruction.

Rules:

1. The same text has the same verdict. The model is read once, on the first text, and holds no word of any text.
2. A model that is not there, or not the one that its description names, is a `UserError`.
3. A message of more than `MAX_ATOMS` atoms has no verdict: the rules decide alone.

How it was trained, and on what: `training/planning`.
"""

import hashlib
import json
import math
import zipfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from attrs import field, frozen

from peernet.core.errors import UserError
from privacy.planning._atoms import MAX_ATOMS, MAX_CHARS, atoms_of
from privacy.planning._measures import LABELS, measures, with_places
from privacy.planning._signs import places_of, signs
from privacy.planning._traits import Read, hashed, opening_traits, read, traits_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MODEL_FOLDER: Final = Path(__file__).parents[1] / "models" / "planning"
WEIGHTS: Final = "weights.npz"
DESCRIPTION: Final = "model.json"
DEPTH: Final = 3
"""Of each tree."""
LINEAR: Final = ("proposing", "doubting", "opening")
TREES: Final = ("doubt", "place", "divisible", "shards")
WISH: Final = LABELS.index("wish")
WISH_OVER: Final = 0.35
PLACE_OVER: Final = 0.0
"""The log odds over which a matter begins at a place."""


@frozen(eq=False)
class Trees:
    """Boosted trees: at each inner node, which number is asked for, and over which value goes right."""

    asked: "NDArray[np.int16]"
    over: "NDArray[np.float32]"
    leaves: "NDArray[np.float32]"

    def score(self, numbers: Sequence[float]) -> float:
        """The log odds of one row."""
        import numpy as np

        row = np.asarray(numbers, dtype=np.float32)
        every = np.arange(len(self.asked))
        node = np.zeros(len(self.asked), dtype=np.int64)
        for depth in range(DEPTH):
            place = 2**depth - 1 + node
            node = 2 * node + (row[self.asked[every, place]] > self.over[every, place])
        return float(self.leaves[every, node].sum(dtype=np.float64))


@frozen
class Verdict:
    """What the judge says of a message."""

    message: Read
    labels: tuple[int, ...]
    """What each atom most likely is, by its number in `LABELS`."""
    chances: Sequence[Sequence[float]] = field(repr=False)
    """How likely each label is of each atom."""
    places: Mapping[int, float]
    """The atoms at which a further matter may begin, with the log odds that it does if the request is divided."""
    first: int
    """The atom at which the first matter begins."""
    divisible: float
    """The log odds that a thoughtful person would divide the request."""
    shards: float
    """If so, the log odds that it is a text under one instruction."""


@frozen(eq=False)
class Judge:
    """The models, and the names of the numbers that the trees ask for."""

    linear: "Mapping[str, NDArray[np.float32]]"
    trees: Mapping[str, Trees]
    names: Mapping[str, tuple[str, ...]]

    def verdict(self, text: str, holds: Sequence[tuple[int, int]] = ()) -> Verdict | None:
        """The verdict on a message, or None where it is too long; in the ranges `holds` (mentions) nothing begins."""
        if len(text) > MAX_CHARS:
            return None
        atoms = atoms_of(text, holds)
        if not atoms or len(atoms) > MAX_ATOMS:
            return None
        message = read(text, atoms)
        proposed, doubted = self.of_atoms(message)
        numbers = self.of_message(message, proposed, doubted, self.of_places(message, proposed, doubted, "doubt"))
        places = self.of_places(message, proposed, doubted, "place")
        row = [numbers.get(name, 0.0) for name in self.names["divisible"]]
        labels = tuple(label_of(chances) for chances in proposed)
        first = next(iter(places_of(proposed, doubted)), 0)
        divisible, shards = self.trees["divisible"].score(row), self.trees["shards"].score(row)
        return Verdict(message, labels, proposed, places, first, divisible, shards)

    def of_atoms(self, message: Read) -> tuple[list[list[float]], list[list[float]]]:
        """How likely each label is of each atom, as proposed and as doubted."""
        rows = [hashed(traits) for traits in traits_of(message)]
        proposed, doubted = (
            [_chances(self._sums(name, buckets)) for buckets in rows] for name in ("proposing", "doubting")
        )
        return proposed, doubted

    def of_places(
        self, message: Read, proposed: Sequence[Sequence[float]], doubted: Sequence[Sequence[float]], trees: str
    ) -> dict[int, float]:
        """The log odds of each place; what is said of one depends on where those before it begin a matter.

        The trees `place` have learned from divisible requests alone, `doubt` from all.
        """
        found: dict[int, float] = {}

        def begins(place: int, numbers: dict[str, float]) -> bool:
            found[place] = self.trees[trees].score([numbers[name] for name in self.names["place"]])
            return found[place] > PLACE_OVER

        signs(message, proposed, doubted, begins)
        return found

    def of_message(
        self,
        message: Read,
        proposed: Sequence[Sequence[float]],
        doubted: Sequence[Sequence[float]],
        places: Mapping[int, float],
    ) -> dict[str, float]:
        """The numbers that the last trees ask for."""
        found = with_places(measures(message, proposed, doubted), list(places.values()))
        whole, tasks, shards = self._sums("opening", hashed(opening_traits(message)))
        return found | {
            "words_divisible": max(tasks, shards) - whole,
            "words_tasks": tasks - whole,
            "words_shards": shards - whole,
        }

    def _sums(self, name: str, buckets: Sequence[int]) -> list[float]:
        found: list[float] = (self.linear[name][list(buckets)].sum(axis=0) / math.sqrt(len(buckets))).tolist()
        return found


def label_of(chances: Sequence[float]) -> int:
    """The likeliest label; what may well be wished for all is taken for that, since it then reaches every host."""
    if chances[WISH] >= WISH_OVER:
        return WISH
    return max(range(len(chances)), key=chances.__getitem__)


def _chances(sums: Sequence[float]) -> list[float]:
    highest = max(sums)
    powers = [math.exp(value - highest) for value in sums]
    total = sum(powers)
    return [power / total for power in powers]


@cache
def packaged() -> Judge:
    """The packaged judge; raises `UserError` where it cannot be read."""
    try:
        return load(MODEL_FOLDER)
    except (ImportError, OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise UserError(
            f"the planner's model cannot be read ({type(error).__name__}: {error}): install peernet anew, with its"
            " extra client"
        ) from error


def load(folder: Path) -> Judge:
    """The judge in `folder`; raises `ValueError` where the weights are not those that the description names."""
    import numpy as np

    described: dict[str, Any] = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
    if hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest() != described["sha256"]:
        raise ValueError(f"{WEIGHTS} is not the file that {DESCRIPTION} names")
    with np.load(folder / WEIGHTS, allow_pickle=False) as arrays:
        linear = {name: arrays[name].astype(np.float32) * described["scales"][name] for name in LINEAR}
        trees = {
            name: Trees(arrays[f"{name}_asked"], arrays[f"{name}_over"], arrays[f"{name}_leaves"]) for name in TREES
        }
    return Judge(linear, trees, {name: tuple(names) for name, names in described["names"].items()})
