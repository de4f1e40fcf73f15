"""`make train-screening`: trains the classifier that is packaged with `privacy.screening`, in about three minutes.

The model is linear and its loss convex, so a seed decides little; the same seed and texts give the same file. Each
epoch reads the moderation file's texts (harmful ones one and a half times), ours, and a share of the harmless ones,
which are many and much alike.

`--judge` prints figures of cross-validation over what may be trained on: texts are dealt to five folds, and with
`--repeats` dealt anew. Epochs, shares and thresholds were chosen by them; the held-back fifth was not looked at.
"""

import argparse
import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from spacy import blank
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from thinc.api import Adam, fix_random_seed

from privacy.screening._pipeline import ARCHITECTURE, FEATURES
from privacy.screening.categories import LABELS
from privacy.screening.classifier import HARMFUL, MODEL_FOLDER, Scores, windows
from privacy.screening.features import features, rarities
from training.screening.corpus import (
    HARMLESS_FOR_TRAINING,
    Labelled,
    harmless_sets,
    moderation,
    ordinary,
    requests,
)

SEED: Final = 7
EPOCHS: Final = 40
BATCH: Final = 256
LEARNING_RATE: Final = 0.02
REGULARISATION: Final = 3e-4
SHARES: Final = {"ordinary": 1.0, "requests": 1.0, "harmless": 0.008}
"""How much of each source one epoch reads, beside all of the moderation file."""
FOLDS: Final = 5
THRESHOLDS: Final = tuple(n / 100 for n in range(20, 62, 2))


def main() -> None:
    """Trains and writes the pipeline, or prints figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[3] / "shared" / "data")
    parser.add_argument("--out", type=Path, default=MODEL_FOLDER)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--judge", action="store_true")
    parser.add_argument("--repeats", type=int, default=1)
    options = parser.parse_args()
    if not (options.data / "screening").exists():
        parser.error(f"there is no folder {options.data / 'screening'}: say with --data where the data sets are")
    texts = {name: [text for text in found if not text.held_back] for name, found in sources(options.data).items()}
    if options.judge:
        judge(texts, options.seed, options.repeats)
        return
    language = train(texts, options.seed)
    language.to_disk(options.out, exclude=["vocab", "tokenizer"])
    size_mb = sum(path.stat().st_size for path in options.out.rglob("*") if path.is_file()) / 1e6
    print(f"{options.out}: {size_mb:.1f} MB")


def sources(data: Path) -> dict[str, list[Labelled]]:
    """All texts by source."""
    return {
        "moderation": moderation(data / "screening" / "openai_moderation_dev.jsonl"),
        "ordinary": ordinary(),
        "requests": requests(),
        "harmless": harmless_sets(data / "pii", HARMLESS_FOR_TRAINING),
    }


def train(texts: dict[str, list[Labelled]], seed: int) -> Language:
    """The pipeline, trained on `texts`."""
    fix_random_seed(seed)
    chance = random.Random(seed)
    language = blank("xx")
    language.add_pipe("textcat_multilabel", config={"model": {"@architectures": ARCHITECTURE}})
    read = example_reader(language)
    everything = {"cats": {name: float(name == HARMFUL) for name in (*LABELS, HARMFUL)}}
    first = Example.from_dict(Doc(language.vocab, words=["a"]), everything)
    optimiser = Adam(LEARNING_RATE, L2=REGULARISATION, L2_is_weight_decay=False, grad_clip=0.0, use_averages=False)
    language.initialize(lambda: [first])
    known = [example for name in texts for text in texts[name] for example in read(text)]
    scorer: Any = language.get_pipe("textcat_multilabel")
    scorer.model.set_param("rarity", rarities(example.predicted.user_data[FEATURES] for example in known))
    for _ in range(EPOCHS):
        epoch = [example for text in drawn(texts, chance) for example in read(text)]
        for low in range(0, len(epoch), BATCH):
            language.update(epoch[low : low + BATCH], sgd=optimiser)
    return language


def drawn(texts: dict[str, list[Labelled]], chance: random.Random) -> list[Labelled]:
    """What one epoch reads, in its order."""
    epoch = list(texts["moderation"])
    harmful = [text for text in epoch if text.harmful]
    epoch += chance.sample(harmful, len(harmful) // 2)
    for name, share in SHARES.items():
        epoch += chance.sample(texts[name], round(share * len(texts[name])))
    chance.shuffle(epoch)
    return epoch


def example_reader(language: Language) -> Callable[[Labelled], list[Example]]:
    """Makes examples of texts, of each once: its first window, which of nine texts in ten is all of it."""
    made: dict[str, list[Example]] = {}

    def read(text: Labelled) -> list[Example]:
        if text.text not in made:
            cats = {name: float(said) for name, said in text.labels.items()} | {HARMFUL: float(text.harmful)}
            window = next(windows(text.text), None)
            made[text.text] = [_example(language, window, cats)] if window else []
        return made[text.text]

    return read


def _example(language: Language, window: list[str], cats: dict[str, float]) -> Example:
    doc = Doc(language.vocab, words=window)
    doc.user_data[FEATURES] = features(window)
    return Example.from_dict(doc, {"cats": cats})


def judge(texts: dict[str, list[Labelled]], seed: int, repeats: int) -> None:
    """Prints figures over texts that the scoring model was not trained on, for each repeat and their mean."""
    curves = []
    for repeat in range(repeats):
        scored = cross_validated(texts, seed + repeat)
        for line in figures(scored):
            print(json.dumps({"repeat": repeat, **line}), flush=True)
        curves.append([f1(harm_rows(scored, threshold))["f1"] for threshold in THRESHOLDS])
    for threshold, found in zip(THRESHOLDS, zip(*curves, strict=True), strict=True):
        line = {"label": "any", "threshold": threshold, "mean_f1": round(sum(found) / len(found), 3), "f1": found}
        print(json.dumps(line))


def cross_validated(texts: dict[str, list[Labelled]], seed: int) -> list[tuple[Labelled, Scores]]:
    """Every text with its scores by a model that was trained on the other folds."""
    dealt = {name: random.Random(seed).sample(found, len(found)) for name, found in texts.items()}
    scored: list[tuple[Labelled, Scores]] = []
    for fold in range(FOLDS):
        rest = {name: [text for n, text in enumerate(found) if n % FOLDS != fold] for name, found in dealt.items()}
        language = train(rest, seed)
        for found in dealt.values():
            mine = found[fold::FOLDS]
            scored += zip(mine, scores_of(language, [text.text for text in mine]), strict=True)
    return scored


def scores_of(language: Language, texts: Sequence[str]) -> list[Scores]:
    """The scores as `Classifier` would give them."""
    pipe: Any = language.get_pipe("textcat_multilabel")
    found = []
    for text in texts:
        docs = [Doc(language.vocab, words=window) for window in windows(text)]
        best = pipe.predict(docs).max(axis=0) if docs else [0.0] * (len(LABELS) + 1)
        found.append(Scores(dict(zip(LABELS, map(float, best), strict=False)), float(best[-1])))
    return found


def figures(scored: Sequence[tuple[Labelled, Scores]]) -> list[dict[str, Any]]:
    """For the harm score and each category, what thresholds bring: on the file, and on what is harmless."""
    lines = []
    harmless = [scores for text, scores in scored if text.source != "moderation" and not text.harmful]
    for threshold in THRESHOLDS:
        refused = sum(scores.harm > threshold for scores in harmless) / len(harmless)
        found = f1(harm_rows(scored, threshold))
        lines.append({"label": "any", "threshold": threshold, **found, "harmless_over": round(refused, 4)})
    for name in LABELS:
        known = [(text, scores.categories[name]) for text, scores in scored if name in text.labels]
        for threshold in (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9):
            rows = [
                (text.labels[name], score > threshold)
                for text, score in known
                if text.harmful or text.source == "moderation"
            ]
            refused = sum(scores.categories[name] > threshold for scores in harmless) / len(harmless)
            lines.append({"label": name, "threshold": threshold, **f1(rows), "harmless_over": round(refused, 4)})
    return lines


def harm_rows(scored: Sequence[tuple[Labelled, Scores]], threshold: float) -> list[tuple[bool, bool]]:
    """Of the file's texts: whether each is harmful, and whether it is said to be."""
    return [(text.harmful, scores.harm > threshold) for text, scores in scored if text.source == "moderation"]


def f1(rows: Sequence[tuple[bool, bool]]) -> dict[str, float]:
    """Precision, recall and F1 of (true, said) pairs."""
    hits = sum(true and said for true, said in rows)
    said, true = sum(said for _, said in rows), sum(true for true, _ in rows)
    precision, recall = hits / max(1, said), hits / max(1, true)
    both = 2 * precision * recall / max(1e-9, precision + recall)
    return {"precision": round(precision, 3), "recall": round(recall, 3), "f1": round(both, 3), "texts": true}


if __name__ == "__main__":
    main()
