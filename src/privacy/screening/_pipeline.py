"""The classifier's layer in spaCy: one weight for each label and feature, and a logistic curve over their sum.

The rarity of each feature is kept with the weights; training measures it once and does not change it. A document may
carry its features (`FEATURES` of its user data), so that training need not find them again in each epoch. What is
screened becomes no document at all, which would take as long to make as its features: `window_scores` has the scores
of words, by the same arithmetic.

`textcat_multilabel` is given this model in place of one of spaCy's own, whose bag of words knows no classes of words.
Importing this module imports spaCy and registers the architecture that the packaged pipeline names.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray
from spacy.tokens import Doc
from spacy.util import registry
from thinc.api import Model
from thinc.types import Floats2d

from privacy.screening.features import WIDTH, Features, Known, features

__all__ = ["ARCHITECTURE", "FEATURES", "window_scores"]

ARCHITECTURE: Final = "peernet.ScreeningFeatures.v2"
FEATURES: Final = "screening_features"
_BIAS: Final = -1.0

Layer = Model[Sequence[Doc], Floats2d]


def window_scores(model: Layer, windows: Iterable[Sequence[str]]) -> Floats2d:
    """The scores of windows of words, a row each; nothing of them is kept."""
    known: Known = {}
    read = [features(window, known) for window in windows]
    rarity: Any = model.get_param("rarity")
    return _scores(model, read, [found.weighed(rarity) for found in read])


def _screening_features() -> Layer:
    return Model(
        "screening_features",
        _forward,
        init=_initialise,
        dims={"nO": None, "nI": WIDTH},
        params={"W": None, "b": None, "rarity": None},
        attrs={"multi_label": True},
    )


registry.architectures(ARCHITECTURE, func=_screening_features)


def _initialise(model: Layer, X: Any = None, Y: Floats2d | None = None) -> None:  # noqa: N803  thinc names them
    if Y is not None and model.has_dim("nO") is None:
        model.set_dim("nO", Y.shape[1])
    outputs = model.get_dim("nO")
    model.set_param("W", cast("Any", np.zeros((WIDTH, outputs), dtype=np.float32)))
    model.set_param("rarity", cast("Any", np.ones((WIDTH,), dtype=np.float32)))
    model.set_param("b", cast("Any", np.full((outputs,), _BIAS, dtype=np.float32)))


def _forward(model: Layer, docs: Sequence[Doc], is_train: bool) -> tuple[Floats2d, Callable[[Floats2d], list[Any]]]:
    weights: Any = model.get_param("W")
    rarity: Any = model.get_param("rarity")
    known: Known = {}
    read = [_features(doc, known) for doc in docs]
    weighed = [found.weighed(rarity) for found in read]
    scores = _scores(model, read, weighed)

    def backprop(d_scores: Floats2d) -> list[Any]:
        # Taken as the gradient of the sums, which it is for the cross-entropy; the mean over the batch.
        d_weights: Any = np.zeros_like(weights)
        for found, values, row in zip(read, weighed, cast("Any", d_scores), strict=True):
            d_weights[found.slots] += values[:, None] * row
        model.inc_grad("W", d_weights / len(docs))
        model.inc_grad("b", cast("Any", d_scores).mean(axis=0))
        return []

    return scores, backprop


def _scores(model: Layer, read: Sequence[Features], weighed: Sequence[NDArray[np.float32]]) -> Floats2d:
    weights: Any = model.get_param("W")
    bias: Any = model.get_param("b")
    sums = np.array(
        [values @ weights.take(found.slots, 0) + bias for found, values in zip(read, weighed, strict=True)]
    )
    return cast("Floats2d", 1 / (1 + np.exp(-sums)))


def _features(doc: Doc, known: Known) -> Features:
    carried: Features | None = doc.user_data.get(FEATURES)
    return features([token.text for token in doc], known) if carried is None else carried
