"""The recogniser's network, evaluated for speed: the same decisions, in fewer and larger steps.

spaCy's token vectors are a chain of some twenty small layers, each of which costs more to call than to compute for a
prompt of thirty tokens, and its transitions are decided one token after the other. Here, for prediction only:

1. The embedding tables are multiplied with the layer above them once, at loading: a token is then a sum of 16 rows.
2. The window layers work on one array for all documents, with the padding between them that spaCy has.
3. Outside an entity a state sees its token alone, so all tokens are decided at once: outside, one by itself, or a
   first one. Inside, a state sees its token, the one before and the entity's first one: the next few tokens behind
   each first one are decided at once, and more where none of them is the last.
4. Matrix products are numpy's, whose library is two to three times as fast as spaCy's on processors with AVX2.

A network of another form is evaluated by spaCy. Source: Honnibal and Montani, spaCy's "embed, encode, attend,
predict"; `spacy.MultiHashEmbed.v2`, `spacy.MaxoutWindowEncoder.v2`, `spacy.TransitionBasedParser.v2`.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

if TYPE_CHECKING:
    from spacy.tokens import Doc

__all__ = ["AHEAD", "Entity", "EntityReader", "Reader", "TokenVectors", "reader_of"]

Floats = NDArray[np.float32]
Entity = tuple[int, int, str]
"""First character, last character and one, label."""
Reader = Callable[[Sequence["Doc"]], list[list[Entity]]]
"""The entities of each document, in order."""
_EPSILON: Final = 1e-8
"""What thinc adds to a variance."""
AHEAD: Final = 4
"""How many tokens behind a first one are decided at once; then twice as many each time."""
_FIRST_AT_ONCE: Final = 2048


def reader_of(recogniser: Any) -> Reader:
    """What reads entities as a trained entity recogniser of spaCy does: fast, or where its form is another, itself."""
    try:
        return EntityReader.of(recogniser)
    except (KeyError, IndexError, ValueError, AttributeError):
        return _spacy_reader(recogniser)


def _spacy_reader(recogniser: Any) -> Reader:
    def read(docs: Sequence["Doc"]) -> list[list[Entity]]:
        recogniser.set_annotations(docs, recogniser.predict(docs))
        return [[(entity.start_char, entity.end_char, entity.label_) for entity in doc.ents] for doc in docs]

    return read


def read_attributes(docs: Sequence["Doc"], attributes: Sequence[int | str]) -> NDArray[np.uint64]:
    """The attributes of all tokens of `docs`, a row each."""
    ids: list[Any] = [doc.to_array(list(attributes)) for doc in docs]
    return ids[0] if len(ids) == 1 else np.concatenate(ids)


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
class TokenVectors:
    """The vectors of the tokens of documents, before they are narrowed for the decisions."""

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
    def of(cls, model: Any) -> "TokenVectors":
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
        if len(layers) > window.attrs["pad"]:
            raise ValueError("more layers than padding")
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
        ids = read_attributes(docs, self.attributes)
        return self.encoded(ids, [len(doc) for doc in docs]) @ self.out_weights + self.out_bias

    def encoded(self, ids: NDArray[np.uint64], lengths: Sequence[int]) -> Floats:
        """The same before the last layer, which has no activation, of documents by their tokens' attributes."""
        total = sum(lengths)
        width = len(self.mix.gain)
        if not total:
            return np.zeros((0, width), dtype=np.float32)
        kept = self._places(lengths)
        padded = np.zeros((total + self.padding * (len(lengths) + 1), width), dtype=np.float32)
        padded[kept] = self._embed(ids)
        for layer in self.windows:
            # Each row beside its neighbours: the view repeats rows, the copy is what is multiplied. The outermost rows
            # are padding that no token of the next layers sees.
            around: Floats = np.ndarray(
                (len(padded) - 2, 3 * width), np.float32, padded, strides=(padded.strides[0], padded.itemsize)
            )
            deeper = layer.activate(around.copy() @ layer.weights)
            deeper += padded[1:-1]
            padded = deeper
        encoded: Floats = padded[kept - len(self.windows)]
        return encoded

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


@frozen(eq=False)
class EntityReader:
    """Token vectors and the decisions over them."""

    vectors: TokenVectors
    weights: Sequence[Floats]
    """Of the token, the entity's first one and the token before, each by two pieces, one after the other."""
    constants: Sequence[Floats]
    """What is added for each of them; the bias is in the first."""
    alone: Floats
    """What is added outside an entity, where two of the three are not there."""
    outside_weights: Floats
    outside_bias: Floats
    outside: Sequence[tuple[str, str]]
    """What can be decided outside an entity: `O`, `U` or `B`, and the label."""
    outside_column: int
    begins: NDArray[np.bool_]
    """Which of them are `B`."""
    inside_weights: Floats
    """What can be decided outside by two (going on, ending) by the width; zeros for what is no first one."""
    inside_bias: Floats

    @classmethod
    def of(cls, recogniser: Any) -> "EntityReader":
        network = recogniser.model
        tokens, lower, upper = network.layers
        vectors = TokenVectors.of(network.get_ref("tok2vec"))
        weights, bias, padding = lower.get_param("W"), lower.get_param("b"), lower.get_param("pad")
        if weights.shape[0] != 3 or weights.shape[2] != 2 or network.attrs["unseen_classes"] or tokens.name == "noop":
            raise ValueError("decisions of another form")
        narrow = [each.transpose(2, 1, 0).reshape(each.shape[2], -1) for each in weights]
        constants = [vectors.out_bias @ each for each in narrow]
        constants[0] = constants[0] + bias.T.reshape(-1)
        scores, scores_bias = upper.get_param("W"), upper.get_param("b")
        moves = [recogniser.moves.get_class_name(number).partition("-") for number in range(len(scores))]
        chosen = [number for number, (move, _, label) in enumerate(moves) if move == "O" or (move in "BU" and label)]
        places = {(move, label): number for number, (move, _, label) in enumerate(moves)}
        pairs = [
            [places["I", label], places["L", label]] if move == "B" else [number, number]
            for number, (move, _, label) in ((number, moves[number]) for number in chosen)
        ]
        if any(going > ending for going, ending in pairs):
            raise ValueError("moves in another order")
        return cls(
            vectors=vectors,
            weights=[np.ascontiguousarray(vectors.out_weights @ each) for each in narrow],
            constants=constants,
            alone=(padding[0, 1] + padding[0, 2]).T.reshape(-1) + constants[0],
            outside_weights=np.ascontiguousarray(scores[chosen].T),
            outside_bias=scores_bias[chosen],
            outside=[(moves[number][0], moves[number][2]) for number in chosen],
            outside_column=chosen.index(places["O", ""]),
            begins=np.array([moves[number][0] == "B" for number in chosen]),
            inside_weights=scores[pairs],
            inside_bias=scores_bias[pairs],
        )

    def __call__(self, docs: Sequence["Doc"]) -> list[list[Entity]]:
        lengths = [len(doc) for doc in docs]
        if not sum(lengths):
            return [[] for _ in docs]
        ids = read_attributes(docs, [*self.vectors.attributes, "IS_SPACE"])
        encoded = self.vectors.encoded(ids, lengths)
        ends = np.cumsum(lengths)
        seen = encoded @ self.weights[0]
        decided = self._decide_outside(seen, ends, ids[:, -1].astype(bool))
        said: list[list[Entity]] = [[] for _ in docs]
        doc_of = np.searchsorted(ends, np.arange(len(encoded)), side="right")
        places = np.flatnonzero(decided != self.outside_column)
        firsts = places[self.begins[decided[places]]]
        runs = _Runs(self, encoded, seen, decided, firsts, ends[doc_of[firsts]])
        reached = 0
        for place in places.tolist():
            if place < reached:
                continue
            move, label = self.outside[decided[place]]
            reached = place + 1 if move == "U" else runs.end_of(place)
            number = int(doc_of[place])
            doc, offset = docs[number], int(ends[number]) - lengths[number]
            last = doc[reached - 1 - offset]
            said[number].append((doc[place - offset].idx, last.idx + len(last), label))
        return said

    def _decide_outside(self, seen: Floats, ends: NDArray[np.intp], spaces: NDArray[np.bool_]) -> NDArray[np.intp]:
        scores = _larger(seen + self.alone) @ self.outside_weights
        scores += self.outside_bias
        # No entity of several tokens begins with a document's last one.
        scores[ends - 1] = np.where(self.begins, -np.inf, scores[ends - 1])
        decided: NDArray[np.intp] = scores.argmax(axis=1)
        decided[spaces] = self.outside_column
        return decided

    def ends_ahead(
        self,
        encoded: Floats,
        seen: Floats,
        moves: NDArray[np.intp],
        firsts: NDArray[np.intp],
        places: NDArray[np.intp],
        limits: NDArray[np.intp],
    ) -> NDArray[np.intp]:
        """Which of `places` (a row for each of `firsts`) is the first that ends its entity, or how many there are.

        `limits` are where the documents end: their last tokens end any entity.
        """
        held = np.minimum(places, limits[:, None] - 1)
        states = seen[held]
        states += self.constants[0]
        states += (encoded[firsts] @ self.weights[1] + self.constants[1])[:, None]
        states += encoded[held - 1] @ self.weights[2] + self.constants[2]
        scores = np.einsum("fpw,fmw->fpm", _larger(states), self.inside_weights[moves])
        scores += self.inside_bias[moves][:, None]
        ending = (scores[:, :, 1] > scores[:, :, 0]) | (places >= limits[:, None] - 1)
        found: NDArray[np.intp] = np.where(ending.any(axis=1), ending.argmax(axis=1), places.shape[1])
        return found


def _larger(states: Floats) -> Floats:
    """The larger of the two pieces of each state."""
    size = states.shape[-1] // 2
    larger: Floats = np.maximum(states[..., :size], states[..., size:])
    return larger


@frozen(eq=False)
class _Runs:
    """Where the entities end that begin with `firsts`, found for many of them at once, in the order they are asked."""

    reader: EntityReader
    encoded: Floats
    seen: Floats
    decided: NDArray[np.intp]
    firsts: NDArray[np.intp]
    limits: NDArray[np.intp]
    _ends: dict[int, int] = field(factory=dict, init=False)

    def end_of(self, first: int) -> int:
        """The place behind the last token."""
        if first not in self._ends:
            self._look_ahead(int(np.searchsorted(self.firsts, first)))
        end = self._ends[first]
        return end if end else self._walk(first)

    def _look_ahead(self, number: int) -> None:
        firsts = self.firsts[number : number + _FIRST_AT_ONCE]
        limits = self.limits[number : number + _FIRST_AT_ONCE]
        found = self._ends_ahead(firsts, firsts, limits, AHEAD)
        ends = np.where(found < AHEAD, firsts + found + 2, 0)
        self._ends.update(zip(firsts.tolist(), ends.tolist(), strict=True))

    def _walk(self, first: int) -> int:
        number = int(np.searchsorted(self.firsts, first))
        firsts, limits = self.firsts[number : number + 1], self.limits[number : number + 1]
        before, ahead = first + AHEAD, 2 * AHEAD
        while True:
            found = int(self._ends_ahead(firsts, np.array([before]), limits, ahead)[0])
            if found < ahead:
                return before + found + 2
            before, ahead = before + ahead, 2 * ahead

    def _ends_ahead(
        self, firsts: NDArray[np.intp], before: NDArray[np.intp], limits: NDArray[np.intp], ahead: int
    ) -> NDArray[np.intp]:
        places = before[:, None] + np.arange(1, ahead + 1)
        return self.reader.ends_ahead(self.encoded, self.seen, self.decided[firsts], firsts, places, limits)
