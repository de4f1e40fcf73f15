"""`make train-detector`: prepares, trains, and writes the pipeline that `privacy` loads."""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

import spacy
from spacy.cli.train import train
from spacy.tokens import DocBin
from thinc.api import NumpyOps, set_current_ops

from training.detector.prepare import prepare

HERE: Final = Path(__file__).resolve().parent
CHECKOUT: Final = HERE.parents[1]
DATA: Final = CHECKOUT.parent / "shared" / "data" / "pii"
MODEL: Final = CHECKOUT / "src" / "privacy" / "models" / "detector"
BATCH_WORDS: Final = 1500
"""As in `config.cfg`."""


def main() -> int:
    """Trains by the recipe; `--work` keeps what lies between."""
    parser = argparse.ArgumentParser(prog="make train-detector", description=__doc__)
    parser.add_argument("--texts", type=Path, default=HERE / "texts", help="our texts")
    parser.add_argument("--data", type=Path, default=DATA, help="the folder of labelled sets")
    parser.add_argument("--out", type=Path, default=MODEL, help="where the pipeline goes")
    parser.add_argument("--work", type=Path, help="a folder for what is prepared; a temporary one if not given")
    parser.add_argument("--epochs", type=int, default=5)
    options = parser.parse_args()
    if not (options.data / "tab_train").is_dir():
        print(f"the labelled sets are not in {options.data}: name their folder with --data", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as temporary:
        work = options.work or Path(temporary)
        if not (work / "train.spacy").exists():
            prepare(options.texts, options.data, work)
        _train(work, options.epochs)
        _package(work / "trained" / "model-best", options.out)
    return 0


def _train(work: Path, epochs: int) -> None:
    set_current_ops(_BlasOps())
    train(
        HERE / "config.cfg",
        work / "trained",
        overrides={
            "paths.base": str(work / "base"),
            "paths.train": str(work / "train.spacy"),
            "paths.dev": str(work / "dev.spacy"),
            "training.max_epochs": epochs,
            "training.optimizer.learn_rate.total_steps": epochs * _words(work) // BATCH_WORDS,
        },
    )


class _BlasOps(NumpyOps):  # type: ignore[misc]
    """Matrix products by numpy: two to three times as fast as spaCy's own on processors with AVX2."""

    def gemm(self, x: Any, y: Any, out: Any = None, trans1: bool = False, trans2: bool = False) -> Any:
        product = (x.T if trans1 else x) @ (y.T if trans2 else y)
        if out is None:
            return product
        out[:] = product
        return out


def _words(work: Path) -> int:
    base = spacy.load(work / "base")
    return sum(len(doc) for doc in DocBin().from_disk(work / "train.spacy").get_docs(base.vocab))


def _package(trained: Path, out: Path) -> None:
    """The trained pipeline without what is not needed to run it: above all, without the words that it was shown."""
    pipeline = spacy.load(trained)
    pipeline.config["paths"] = dict.fromkeys(pipeline.config["paths"])  # they name folders of whoever trains
    shutil.rmtree(out, ignore_errors=True)
    pipeline.to_disk(out)
    (out / "vocab" / "strings.json").write_text("[]\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
