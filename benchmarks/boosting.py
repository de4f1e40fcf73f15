"""Gradient boosting with small trees, after J. Friedman, "Greedy function approximation" (2001), on numpy alone.

Logistic loss, trees of depth two, features cut into bins at their quantiles. And the area under the ROC curve.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

__all__ = ["Boosted", "area_under_curve", "boosted"]

Floats = NDArray[np.float64]

BINS: Final = 32
TREES: Final = 120
RATE: Final = 0.1
RIDGE: Final = 5.0
"""Added to the second derivatives of a leaf, so that small leaves say little."""


@frozen
class _Split:
    feature: int
    bin: int
    """Up to it goes left."""


@frozen
class _Tree:
    root: _Split
    halves: tuple[_Split, _Split]
    leaves: tuple[float, float, float, float]

    def values(self, bins: NDArray[Any]) -> Floats:
        right = bins[:, self.root.feature] > self.root.bin
        left_half, right_half = (bins[:, half.feature] > half.bin for half in self.halves)
        places = 2 * right + np.where(right, right_half, left_half)
        return np.take(np.array(self.leaves), places)


@frozen
class Boosted:
    """A trained classifier."""

    edges: tuple[Floats, ...]
    trees: tuple[_Tree, ...]

    def scores(self, rows: Floats) -> Floats:
        """The log odds of each row, up to a constant."""
        bins = _binned(rows, self.edges)
        total = np.zeros(len(rows))
        for tree in self.trees:
            total += RATE * tree.values(bins)
        return total


def boosted(rows: Floats, labels: Floats) -> Boosted:
    """Trains on `rows` (one a line), whose `labels` are 0 or 1."""
    edges = tuple(np.unique(np.quantile(column, np.linspace(0, 1, BINS + 1)[1:-1])) for column in rows.T)
    bins = _binned(rows, edges)
    total = np.zeros(len(rows))
    trees = []
    for _ in range(TREES):
        chance = 1 / (1 + np.exp(-total))
        tree = _fit(bins, labels - chance, chance * (1 - chance))
        total += RATE * tree.values(bins)
        trees.append(tree)
    return Boosted(edges, tuple(trees))


def area_under_curve(scores: Floats, labels: Floats) -> float:
    """How often a row of label 1 has the higher score than one of label 0; equal scores count by half."""
    values, places, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[places]
    ones = labels.sum()
    return float((ranks[labels > 0].sum() - ones * (ones + 1) / 2) / (ones * (len(values[places]) - ones)))


def _binned(rows: Floats, edges: Sequence[Floats]) -> NDArray[Any]:
    return np.stack([np.searchsorted(edge, column) for edge, column in zip(edges, rows.T, strict=True)], axis=1)


def _fit(bins: NDArray[Any], slopes: Floats, bends: Floats) -> _Tree:
    everything = np.ones(len(bins), dtype=bool)
    root = _best(bins, slopes, bends, everything)
    right = bins[:, root.feature] > root.bin
    halves = _best(bins, slopes, bends, ~right), _best(bins, slopes, bends, right)
    leaves = []
    for side, half in zip((~right, right), halves, strict=True):
        beyond = bins[:, half.feature] > half.bin
        leaves += [float(slopes[leaf].sum() / (bends[leaf].sum() + RIDGE)) for leaf in (side & ~beyond, side & beyond)]
    return _Tree(root, halves, (leaves[0], leaves[1], leaves[2], leaves[3]))


def _best(bins: NDArray[Any], slopes: Floats, bends: Floats, rows: NDArray[Any]) -> _Split:
    """The split of some rows that explains most."""
    best, most = _Split(0, BINS), 0.0
    some, their_slopes, their_bends = bins[rows], slopes[rows], bends[rows]
    for feature in range(bins.shape[1]):
        column = some[:, feature]
        left_slopes = np.cumsum(np.bincount(column, their_slopes, BINS + 1))
        left_bends = np.cumsum(np.bincount(column, their_bends, BINS + 1))
        right_slopes, right_bends = left_slopes[-1] - left_slopes, left_bends[-1] - left_bends
        gains = left_slopes**2 / (left_bends + RIDGE) + right_slopes**2 / (right_bends + RIDGE)
        place = int(gains.argmax())
        if gains[place] > most:
            best, most = _Split(feature, place), float(gains[place])
    return best
