"""The recogniser's network, evaluated for speed, and the pieces that a text is read in."""

import numpy as np
import pytest
import spacy
from hypothesis import given
from hypothesis import strategies as st

from privacy._network import accelerate
from privacy.recogniser import PACKAGED_MODEL, load_model, pieces_of

TEXTS = ["Ask Maria Kowalska of Acme.", "", "x", "In Paris, on 3 May 2019, she met J. Smith.\n\nLine two: Oslo " * 9]


def test_the_accelerated_network_says_the_same():
    plain = spacy.load(PACKAGED_MODEL)
    fast = load_model()
    docs = [plain.make_doc(text) for text in TEXTS]
    expected = plain.get_pipe("ner").model.get_ref("tok2vec").predict(docs)
    network = fast.get_pipe("ner").model.get_ref("tok2vec")
    assert network.name == "fused_token_vectors"
    assert np.abs(network.predict(docs) - expected).max() < 1e-4
    assert network.predict([plain.make_doc("")]).shape == (0, expected.shape[1])


def test_an_accelerated_network_cannot_be_trained():
    network = load_model().get_pipe("ner").model.get_ref("tok2vec")
    with pytest.raises((AssertionError, TypeError)):
        network.begin_update([spacy.blank("en")("Hi")])


def test_a_network_of_another_form_is_left_as_it_is():
    blank = spacy.blank("en")
    smaller = {
        "@architectures": "spacy.HashEmbedCNN.v2",
        "pretrained_vectors": None,
        "width": 32,
        "depth": 1,
        "embed_size": 100,
        "maxout_pieces": 2,
        "window_size": 1,
        "subword_features": True,
    }
    recogniser = blank.add_pipe("ner", config={"model": {"tok2vec": smaller}})
    recogniser.add_label("PERSON")
    blank.initialize()
    before = recogniser.model.get_ref("tok2vec")
    assert not accelerate(recogniser)
    assert recogniser.model.get_ref("tok2vec") is before


@given(st.lists(st.sampled_from(["word", " ", "\n", ". ", "x" * 900, "? Who", "12,5"]), max_size=300).map("".join))
def test_pieces_cover_the_text_and_are_bounded(text: str):
    pieces = list(pieces_of(text))
    assert "".join(text[start:end] for start, end in pieces) == text
    assert all(0 < end - start <= 800 for start, end in pieces)


def test_pieces_end_with_lines_and_sentences():
    text = "One line.\n" * 100
    assert all(text[end - 1] == "\n" for _, end in pieces_of(text))
    text = "A sentence that goes on. " * 60
    assert all(text[:end].endswith(". ") or end == len(text) for _, end in pieces_of(text))
