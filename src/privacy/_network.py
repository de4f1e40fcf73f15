"""The recogniser's network, evaluated for speed: the same numbers, in fewer and larger steps.

spaCy's token vectors are a chain of some twenty small layers, each of which costs more to call than to compute for a
prompt of thirty tokens. `accelerate` puts one layer in their place, for prediction only:

1. The embedding tables are multiplied with the layer above them once, at loading: a token is then a sum of 16 rows.
2. The window layers work on one array for all documents, with the padding between them that spaCy has.
3. Matrix products are numpy's, whose library is two to three times as fast as spaCy's on processors with AVX2.

A network of another form is left as it is. Source: Honnibal and Montani, spaCy's "embed, encode, attend, predict";
`spacy.MultiHashEmbed.v2`, `spacy.MaxoutWindowEncoder.v2`.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

if TYPE_CHECKING:
    from spacy.tokens import Doc

__all__ = ["accelerate"]

Floats = NDArray[np.float32]
_EPSILON: Final = 1e-8
"""What thinc adds to a variance."""


def accelerate(recogniser: Any) -> bool:
    """Replaces the token vectors of a trained entity recogniser; False where its network has another form."""
    from thinc.api import Model

    network = recogniser.model
    old = network.get_ref("tok2vec")
    try:
        vectors = _TokenVectors.of(old)
    except (KeyError, IndexError, ValueError, AttributeError):
        return False

    def forward(_: Any, docs: Sequence["Doc"], is_train: bool) -> tuple[Floats, Callable[[Any], Any]]:
        assert not is_train
        return vectors(docs), _no_training

    new: Any = Model("fused_token_vectors", forward, dims={"nO": old.get_dim("nO")})
    network.replace_node(old, new)
    return True


def _no_training(_: Any) -> Any:
    raise TypeError("an accelerated recogniser is for prediction only")


@frozen(eq=False)
class _Maxout:
    """A maxout layer of three pieces under a layer norm."""

    weights: Floats
    """Inputs by 3 x outputs: the pieces one after the other."""
    bias: Floats
    gain: Floats
    shift: Floats

    @classmethod
    def of(cls, maxout: Any, norm: Any) -> "_Maxout":
        weights, bias = maxout.get_param("W"), maxout.get_param("b")
        outputs, pieces, inputs = weights.shape
        if pieces != _PIECES:
            raise ValueError(f"a maxout of {pieces} pieces")
        return cls(
            np.ascontiguousarray(weights.transpose(2, 1, 0).reshape(inputs, pieces * outputs)),
            np.ascontiguousarray(bias.T.reshape(pieces * outputs)),
            norm.get_param("G"),
            norm.get_param("b"),
        )

    def activate(self, sums: Floats) -> Floats:
        """Of what the weights made of the input (which is used up): the largest piece, normalised."""
        sums += self.bias
        size = len(self.gain)
        best = np.maximum(sums[:, :size], sums[:, size : 2 * size])
        np.maximum(best, sums[:, 2 * size :], out=best)
        best -= (np.einsum("ij->i", best) / np.float32(size))[:, None]
        variance = np.einsum("ij,ij->i", best, best) / np.float32(size) + np.float32(_EPSILON)
        best /= np.sqrt(variance)[:, None]
        best *= self.gain
        best += self.shift
        return best


_PIECES: Final = 3


@frozen(eq=False)
class _TokenVectors:
    attributes: list[int | str]
    tables: Sequence[tuple[Floats, int]]
    """For each attribute its embedding, multiplied with the mixing weights, and the seed of its hash."""
    mix: _Maxout
    windows: Sequence[_Maxout]
    padding: int
    out_weights: Floats
    out_bias: Floats
    ops: Any

    @classmethod
    def of(cls, model: Any) -> "_TokenVectors":
        encoder, _, linear = model.layers
        embed, window = encoder.layers
        extract, _, hashed, mixed, _ = embed.layers
        maxout, norm = mixed.layers[0].layers[0].layers
        mix = _Maxout.of(maxout, norm)
        layers = []
        for residual in window.layers[0].layers:
            expand, block, *_ = residual.layers[0].layers
            if expand.attrs["window_size"] != 1:
                raise ValueError("a window of another size")
            layers.append(_Maxout.of(*block.layers[0].layers))
        tables = []
        place = 0
        for part in hashed.layers[0].layers:
            layer = part.layers[1]
            table = layer.get_param("E")
            width = table.shape[1]
            tables.append((np.ascontiguousarray(table @ mix.weights[place : place + width]), layer.attrs["seed"]))
            place += width
        if place != mix.weights.shape[0]:
            raise ValueError("embeddings of another width")
        return cls(
            attributes=list(extract.attrs["columns"]),
            tables=tables,
            mix=mix,
            windows=layers,
            padding=window.attrs["pad"],
            out_weights=np.ascontiguousarray(linear.get_param("W").T),
            out_bias=linear.get_param("b"),
            ops=model.ops,
        )

    def __call__(self, docs: Sequence["Doc"]) -> Floats:
        """The vectors of all tokens of `docs`, one below the other."""
        lengths = [len(doc) for doc in docs]
        total = sum(lengths)
        if not total:
            return np.zeros((0, len(self.out_bias)), dtype=np.float32)
        embedded = self._embed(np.concatenate([doc.to_array(self.attributes) for doc in docs]))
        kept = self._places(lengths)
        width = embedded.shape[1]
        padded = np.zeros((total + self.padding * (len(docs) + 1), width), dtype=np.float32)
        padded[kept] = embedded
        around = np.zeros((len(padded), 3 * width), dtype=np.float32)
        for layer in self.windows:
            around[:, width : 2 * width] = padded
            around[1:, :width] = padded[:-1]
            around[:-1, 2 * width :] = padded[1:]
            padded += layer.activate(around @ layer.weights)
        vectors: Floats = padded[kept] @ self.out_weights
        vectors += self.out_bias
        return vectors

    def _embed(self, ids: NDArray[Any]) -> Floats:
        sums: Floats | None = None
        for column, (table, seed) in enumerate(self.tables):
            keys = self.ops.hash(np.ascontiguousarray(ids[:, column]), seed) % table.shape[0]
            rows = self.ops.gather_add(table, keys)
            sums = rows if sums is None else np.add(sums, rows, out=sums)
        assert sums is not None
        return self.mix.activate(sums)

    def _places(self, lengths: Sequence[int]) -> NDArray[np.intp]:
        """Where the tokens stand among the padding."""
        starts = np.repeat(np.arange(1, len(lengths) + 1) * self.padding, lengths)
        return np.arange(len(starts)) + starts
