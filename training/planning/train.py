"""`make train-planner`: trains the judge that is packaged with `privacy.planning`, in some minutes.

The same prompts give the same file. Whatever a step learns from the one before it was said by a model that had not
seen the prompt: the prompts are dealt into folds by the hash of their text.

`--judge` writes nothing and prints figures: of cross-validation, by which thresholds are chosen, and of the fifth for
development, which nothing was chosen by.
"""

import argparse
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from attrs import define, field, frozen
from numpy.typing import NDArray

from privacy.planning._judge import DESCRIPTION, LINEAR, MODEL_FOLDER, WEIGHTS, Judge, Trees
from privacy.planning._measures import LABELS, with_places
from privacy.planning._signs import signs
from privacy.planning._traits import BUCKETS
from training.planning.composing import composed
from training.planning.corpus import Labelled, read_all
from training.planning.examples import TASK, Example, examples_of, older
from training.planning.learning import fit_linear, fit_trees

__all__ = ["digest_of", "main", "samples", "train"]

SEED: Final = 7
FOLDS: Final = 5
STEPS: Final = 70
OPENING_STEPS: Final = 60
COMPOSED: Final = 500
SHORT: Final = 250
SHORT_WORDS: Final = 14
COMPOSED_WEIGHT: Final = 0.15
OURS_WEIGHT: Final = 1.0
OLDER_WEIGHT: Final = 0.5
PLACE_TREES: Final = 150
MESSAGE_TREES: Final = 200
BAGS: Final = 2
"""How many rows of trees are grown, with different chances, and read together."""
SAMPLED: Final = 40
"""Of so many prompts one is a sample."""
MODES: Final = ("whole", "tasks", "shards")


@define
class Told:
    """What models that have not seen an example say of it."""

    signs: list[tuple[int, dict[str, float]]] = field(factory=list)
    proposed: list[list[float]] = field(factory=list)
    doubted: list[list[float]] = field(factory=list)
    numbers: dict[str, float] = field(factory=dict)


@frozen(eq=False)
class Trained:
    """The models, and what they were made of."""

    examples: Sequence[Example]
    judge: Judge
    told: list[Told]


def main() -> None:
    """Trains and writes the judge, or prints figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=MODEL_FOLDER)
    parser.add_argument("--judge", action="store_true")
    options = parser.parse_args()
    prompts = read_all()
    shown = examples_of([one for one in prompts if not one.for_development])
    shown += examples_of(older(), OLDER_WEIGHT)
    trained = train(shown)
    figures = {
        "cross_validation": cross_validated(trained),
        "development": developed([one for one in prompts if one.for_development], trained.judge),
    }
    print(json.dumps(figures, indent=1))
    if not options.judge:
        write(options.out, trained.judge, figures, prompts)


def fold_of(labelled: Labelled) -> int:
    """The fold of a prompt."""
    return hashlib.sha256(labelled.text.encode()).digest()[7] % FOLDS


def train(examples: Sequence[Example]) -> Trained:
    """The judge, trained on some examples."""
    examples = [*examples, *_short(examples)]
    told = [Told() for _ in examples]
    folds = [fold_of(example.labelled) for example in examples]
    names: dict[str, tuple[str, ...]] = {"place": (), "divisible": (), "shards": ()}
    for fold in range(FOLDS):
        part = Judge(_linear([e for e, n in zip(examples, folds, strict=True) if n != fold]), {}, names)
        for example, own, number in zip(examples, told, folds, strict=True):
            if number == fold:
                own.proposed, own.doubted = part.of_atoms(example.message)
                own.signs = _signs_of(example, own)
                own.numbers = part.of_message(example.message, own.proposed, own.doubted, {})
    for fold in range(FOLDS):
        grown = _place_trees([(e, t) for e, t, n in zip(examples, told, folds, strict=True) if n != fold])
        part = Judge({}, {"doubt": grown}, {"place": asked_of_places(told)})
        for example, own, number in zip(examples, told, folds, strict=True):
            if number == fold:
                places = part.of_places(example.message, own.proposed, own.doubted, "doubt")
                own.numbers = with_places(own.numbers, list(places.values()))
    asked = tuple(sorted(told[0].numbers))
    shown = list(zip(examples, told, strict=True))
    trees = _message_trees(examples, told, asked) | {
        "doubt": _place_trees(shown),
        "place": _place_trees([(example, own) for example, own in shown if example.labelled.mode == "tasks"]),
    }
    return Trained(
        examples,
        Judge(_linear(examples), trees, {"place": asked_of_places(told), "divisible": asked, "shards": asked}),
        told,
    )


def _signs_of(example: Example, told: Told) -> list[tuple[int, dict[str, float]]]:
    """The numbers of each place, where matters begin as they truly do."""
    found: list[tuple[int, dict[str, float]]] = []

    def begins(place: int, numbers: dict[str, float]) -> bool:
        found.append((place, numbers))
        return _begins_at(example, place)

    signs(example.message, told.proposed, told.doubted, begins)
    return found


def _begins_at(example: Example, place: int) -> bool:
    return bool(example.labelled.parts) and bool(example.allowed[place, TASK])


def _short(examples: Sequence[Example]) -> list[Example]:
    """Composed prompts as further examples of what is divisible, since few of the written ones are short and plain."""
    ours = [example.labelled for example in examples if example.weight == OURS_WEIGHT]
    return examples_of(composed(ours, SHORT, SEED + 1, max_words=SHORT_WORDS), COMPOSED_WEIGHT)


def _linear(examples: Sequence[Example]) -> dict[str, NDArray[np.float32]]:
    more = examples_of(
        composed([e.labelled for e in examples if e.weight == OURS_WEIGHT], COMPOSED, SEED), COMPOSED_WEIGHT
    )
    examples = [example for example in examples if example.labelled.source != "composed"]
    marked = [e for e in examples if e.labelled.parts or e.labelled.mode == "whole"]
    divisible = [e for e in marked if e.labelled.parts]
    modes = np.eye(len(MODES), dtype=bool)[[MODES.index(e.labelled.mode) for e in examples]]
    weights = np.array([example.weight for example in examples])
    found = {
        "proposing": _atoms(divisible),
        "doubting": _atoms([*marked, *more]),
        "opening": fit_linear([e.opening for e in examples], modes, weights, BUCKETS, OPENING_STEPS),
    }
    return {name: rounded(values) for name, values in found.items()}


def _atoms(examples: Sequence[Example]) -> NDArray[np.float64]:
    rows = [row for example in examples for row in example.rows]
    allowed = np.concatenate([example.allowed for example in examples])
    weights = np.repeat([e.weight for e in examples], [len(e.rows) for e in examples])
    return fit_linear(rows, allowed, weights, BUCKETS, STEPS)


def asked_of_places(told: Sequence[Told]) -> tuple[str, ...]:
    """The names of the numbers of places, in the order in which the trees ask for them."""
    return tuple(sorted(next(numbers for own in told for _, numbers in own.signs)))


def scale_of(weights: NDArray[Any]) -> float:
    """What one step of the packaged whole numbers is."""
    return float(np.abs(weights).max()) / 127


def rounded(weights: NDArray[np.float64]) -> NDArray[np.float32]:
    """The weights as they are packaged: whole numbers from -127 to 127, times their scale."""
    scale = scale_of(weights)
    return (np.rint(weights / scale) * scale).astype(np.float32)


def _place_trees(shown: Sequence[tuple[Example, Told]]) -> Trees:
    rows, labels, weights = [], [], []
    for example, told in shown:
        if example.labelled.mode == "tasks" and not example.labelled.parts:
            continue
        for place, numbers in told.signs:
            rows.append([numbers[name] for name in sorted(numbers)])
            labels.append(_begins_at(example, place))
            weights.append(example.weight)
    return _bagged(np.array(rows), np.array(labels, dtype=float), np.array(weights), PLACE_TREES)


def _message_trees(examples: Sequence[Example], told: Sequence[Told], asked: Sequence[str]) -> dict[str, Trees]:
    rows = np.array([[own.numbers.get(name, 0.0) for name in asked] for own in told])
    weights = np.array([example.weight for example in examples])
    modes = np.array([example.labelled.mode for example in examples])
    some = modes != "whole"
    return {
        "divisible": _bagged(rows, some.astype(float), weights, MESSAGE_TREES),
        "shards": _bagged(rows[some], (modes[some] == "shards").astype(float), weights[some], MESSAGE_TREES // 2),
    }


def _bagged(rows: NDArray[Any], labels: NDArray[Any], weights: NDArray[Any], trees: int) -> Trees:
    found = [
        fit_trees(rows.astype(np.float32).astype(float), labels, weights, trees, SEED + bag) for bag in range(BAGS)
    ]
    return Trees(
        np.concatenate([one.asked for one in found]),
        np.concatenate([one.over for one in found]),
        (np.concatenate([one.leaves for one in found]) / BAGS).astype(np.float32),
    )


def cross_validated(trained: Trained) -> dict[str, Any]:
    """What trees over messages say of prompts that they were not grown on."""
    examples, asked = trained.examples, trained.judge.names["divisible"]
    folds = [fold_of(example.labelled) for example in examples]
    said = [0.0] * len(examples)
    kinds = [0.0] * len(examples)
    for fold in range(FOLDS):
        others = [n for n, number in enumerate(folds) if number != fold]
        trees = _message_trees([examples[n] for n in others], [trained.told[n] for n in others], asked)
        for place, number in enumerate(folds):
            if number == fold:
                row = [trained.told[place].numbers.get(name, 0.0) for name in asked]
                said[place], kinds[place] = trees["divisible"].score(row), trees["shards"].score(row)
    return {
        source: curve(
            [(e.labelled.mode, s, k) for e, s, k in zip(examples, said, kinds, strict=True) if e.weight == weight]
        )
        for source, weight in (("ours", OURS_WEIGHT), ("older", OLDER_WEIGHT))
    }


def developed(prompts: Sequence[Labelled], judge: Judge) -> dict[str, Any]:
    """What the judge says of the fifth for development."""
    said = [(one.mode, judge.verdict(one.text)) for one in prompts]
    return curve([(mode, verdict.divisible, verdict.shards) for mode, verdict in said if verdict is not None])


def curve(rows: Sequence[tuple[str, float, float]]) -> dict[str, Any]:
    """The shares that are divided, by the log odds that are asked for."""
    found: dict[str, Any] = {mode: sum(row[0] == mode for row in rows) for mode in MODES}
    for threshold in (0.0, 0.5, 1.0, 1.5, 2.0):
        found[str(threshold)] = {
            mode: round(float(np.mean([row[1] > threshold for row in rows if row[0] == mode])), 3) for mode in MODES
        }
    divisible = [row for row in rows if row[0] != "whole"]
    found["kind_right"] = round(float(np.mean([(row[2] > 0) == (row[0] == "shards") for row in divisible])), 3)
    return found


def write(folder: Path, judge: Judge, figures: Mapping[str, Any], prompts: Sequence[Labelled]) -> None:
    """Writes the weights, and what they are."""
    folder.mkdir(parents=True, exist_ok=True)
    scales = {name: scale_of(judge.linear[name]) for name in LINEAR}
    arrays: dict[str, Any] = {name: np.rint(judge.linear[name] / scales[name]).astype(np.int8) for name in LINEAR}
    for name, trees in judge.trees.items():
        arrays |= {f"{name}_asked": trees.asked, f"{name}_over": trees.over, f"{name}_leaves": trees.leaves}
    np.savez_compressed(folder / WEIGHTS, **arrays)
    described = {
        "sha256": hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest(),
        "prompts_sha256": digest_of(prompts),
        "labels": list(LABELS),
        "scales": scales,
        "names": {name: list(names) for name, names in judge.names.items()},
        "figures": figures,
        "samples": {digest: round(said, 4) for digest, said in samples(judge, prompts).items()},
    }
    (folder / DESCRIPTION).write_text(json.dumps(described, indent=1) + "\n", encoding="utf-8")
    print(f"{folder}: {sum(path.stat().st_size for path in folder.iterdir()) / 1024:.0f} KiB")


def samples(judge: Judge, prompts: Sequence[Labelled]) -> dict[str, float]:
    """The log odds of some prompts by their digests, so that a change of how a message is read is seen."""
    verdicts = {one.text: judge.verdict(one.text) for one in prompts[::SAMPLED]}
    return {
        hashlib.sha256(text.encode()).hexdigest()[:16]: verdict.divisible
        for text, verdict in verdicts.items()
        if verdict is not None
    }


def digest_of(prompts: Sequence[Labelled]) -> str:
    """The SHA-256 over the prompts that the judge was trained on, the older ones too."""
    shown = [one for one in prompts if not one.for_development] + older()
    return hashlib.sha256(json.dumps([[one.mode, one.text] for one in shown]).encode()).hexdigest()


if __name__ == "__main__":
    main()
