"""The two learners, on numpy alone: a linear one over hashed traits, and boosted trees over numbers.

The linear one is multinomial logistic regression, by Adam over all examples (Kingma and Ba, 2015), in which an example
may allow several labels. The trees are of depth three, boosted after J. Friedman, "Stochastic gradient boosting"
(2002). Both are exact functions of their arguments.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from privacy.planning._judge import DEPTH, Trees

__all__ = ["Rows", "fit_linear", "fit_trees"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

L2: Final = 3e-5
STEP: Final = 0.3
BINS: Final = 24
RATE: Final = 0.06
ROWS: Final = 0.6
"""The share of the examples that a tree sees."""
COLUMNS: Final = 0.3
"""The share of the numbers that it may ask for."""
RIDGE: Final = 3.0
MIN_ROWS: Final = 10
MIN_BEND: Final = 2.0


@frozen
class Rows:
    """Examples as rows of buckets, each divided by the root of its length."""

    buckets: NDArray[np.int64]
    row: NDArray[np.int64]
    starts: NDArray[np.int64]
    scale: Floats

    @classmethod
    def of(cls, rows: Sequence[Sequence[int]]) -> "Rows":
        """Those of some lists of buckets, none of which is empty."""
        lengths = np.array([len(row) for row in rows])
        return cls(
            np.array([bucket for row in rows for bucket in row]),
            np.repeat(np.arange(len(rows)), lengths),
            np.concatenate([[0], np.cumsum(lengths)[:-1]]),
            1 / np.sqrt(lengths)[:, None],
        )

    def times(self, weights: Floats) -> Floats:
        """The sum of the weights of each row."""
        summed: Floats = np.add.reduceat(weights[self.buckets], self.starts, axis=0)
        return summed * self.scale

    def transposed_times(self, values: Floats, size: int) -> Floats:
        """For each bucket, the sum of the values of the rows that have it."""
        scaled = values * self.scale
        return np.stack([np.bincount(self.buckets, column[self.row], size) for column in scaled.T], axis=1)


def fit_linear(rows: Sequence[Sequence[int]], allowed: Bools, weights: Floats, size: int, steps: int) -> Floats:
    """Weights by bucket and label; what an example does not allow is made unlikely."""
    read = Rows.of(rows)
    found, first, second = (np.zeros((size, allowed.shape[1])) for _ in range(3))
    for step in range(1, steps + 1):
        chances = _softmax(read.times(found))
        wanted = chances * allowed
        wanted /= wanted.sum(axis=1, keepdims=True)
        slope = read.transposed_times((chances - wanted) * weights[:, None], size) / weights.sum() + L2 * found
        first = 0.9 * first + 0.1 * slope
        second = 0.99 * second + 0.01 * slope**2
        length = STEP * (1 - 0.9 * step / steps)
        found -= length * (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.99**step)) + 1e-6)
    return found


def _softmax(values: Floats) -> Floats:
    powers = np.exp(values - values.max(axis=1, keepdims=True))
    chances: Floats = powers / powers.sum(axis=1, keepdims=True)
    return chances


def fit_trees(rows: Floats, labels: Floats, weights: Floats, trees: int, seed: int) -> Trees:
    """Boosted trees for labels 0 and 1."""
    chance = np.random.default_rng(seed)
    edges = [np.unique(np.quantile(column, np.linspace(0, 1, BINS + 1)[1:-1])) for column in rows.T]
    bins = np.stack([np.searchsorted(edge, column) for edge, column in zip(edges, rows.T, strict=True)], axis=1)
    total = np.zeros(len(rows))
    asked = np.zeros((trees, 2**DEPTH - 1), dtype=np.int16)
    over = np.full((trees, 2**DEPTH - 1), np.inf, dtype=np.float32)
    leaves = np.zeros((trees, 2**DEPTH), dtype=np.float32)
    for tree in range(trees):
        said = 1 / (1 + np.exp(-total))
        slopes, bends = (labels - said) * weights, said * (1 - said) * weights
        shown = chance.random(len(rows)) < ROWS
        columns = np.sort(chance.choice(rows.shape[1], max(1, int(COLUMNS * rows.shape[1])), replace=False))
        node = np.zeros(len(rows), dtype=np.int64)
        for depth in range(DEPTH):
            right = np.zeros(len(rows), dtype=np.int64)
            for place in range(2**depth):
                here = np.flatnonzero(node == place)
                split = _split(bins, slopes, bends, here[shown[here]], columns)
                if split is None or split[1] >= len(edges[split[0]]):
                    continue
                number = 2**depth - 1 + place
                # What goes right is rounded as it is when the tree is read.
                asked[tree, number], over[tree, number] = split[0], edges[split[0]][split[1]]
                right[here] = rows[here, split[0]].astype(np.float32) > over[tree, number]
            node = 2 * node + right
        for leaf in range(2**DEPTH):
            inside = shown & (node == leaf)
            leaves[tree, leaf] = RATE * slopes[inside].sum() / (bends[inside].sum() + RIDGE)
        total += leaves[tree][node]
    return Trees(asked, over, leaves)


def _split(
    bins: NDArray[Any], slopes: Floats, bends: Floats, rows: NDArray[Any], columns: NDArray[Any]
) -> tuple[int, int] | None:
    """The column and the bin, up to which goes left, that explain most of some rows."""
    if len(rows) < MIN_ROWS:
        return None
    width = BINS + 1
    flat = (bins[np.ix_(rows, columns)] + np.arange(len(columns)) * width).ravel()
    left_slopes, left_bends = (
        np.bincount(flat, np.repeat(values[rows], len(columns)), len(columns) * width)
        .reshape(-1, width)
        .cumsum(axis=1)
        for values in (slopes, bends)
    )
    all_slopes, all_bends = left_slopes[:, -1:], left_bends[:, -1:]
    right_slopes, right_bends = all_slopes - left_slopes, all_bends - left_bends
    gains = left_slopes**2 / (left_bends + RIDGE) + right_slopes**2 / (right_bends + RIDGE)
    gains = gains - all_slopes**2 / (all_bends + RIDGE)
    gains[(left_bends < MIN_BEND) | (right_bends < MIN_BEND)] = 0
    place = int(gains.argmax())
    if gains.flat[place] <= 1e-6:
        return None
    return int(columns[place // width]), place % width
