"""The recogniser's network, evaluated for speed, and the pieces that a text is read in."""

import contextlib
from functools import cache

import numpy as np
import pytest
import spacy
from hypothesis import given
from hypothesis import strategies as st
from spacy.language import Language

from privacy._network import AHEAD, EntityReader, TokenVectors, reader_of
from privacy._shapes import load_shapes
from privacy.recogniser import PACKAGED_MODEL, NameRecogniser, load_model, pieces_of

TEXTS = [
    "Ask Maria Kowalska of Acme.", "", "x", "In Paris, on 3 May 2019, she met J. Smith.\n\nLine two: Oslo " * 9,
    "Oslo", "It was lodged with the Court under Article",
    "My address is 6750 North Willow Creek Road Apt. 864, Springfield, IL 62704, thanks.",
]  # fmt: skip


def test_the_accelerated_network_says_the_same():
    recogniser = load_model().get_pipe("ner")
    plain = spacy.load(PACKAGED_MODEL)
    docs = [plain.make_doc(text) for text in TEXTS]
    network = recogniser.model.get_ref("tok2vec")
    expected = network.predict(docs)
    fast = TokenVectors.of(network)
    assert np.abs(fast(docs) - expected).max() < 1e-4
    assert fast([plain.make_doc("")]).shape == (0, expected.shape[1])


@pytest.mark.parametrize("batch", [1, len(TEXTS)])
def test_the_accelerated_recogniser_decides_the_same(batch: int):
    plain = spacy.load(PACKAGED_MODEL)
    read = reader_of(plain.get_pipe("ner"))
    assert isinstance(read, EntityReader)
    expected = [[(each.start_char, each.end_char, each.label_) for each in plain(text).ents] for text in TEXTS]
    assert max(len(TEXTS[-1][low:high].split()) for low, high, _ in expected[-1]) > AHEAD
    docs = [plain.make_doc(text) for text in TEXTS]
    said = [entities for start in range(0, len(docs), batch) for entities in read(docs[start : start + batch])]
    assert said == expected


def test_a_network_of_another_form_is_read_by_spacy():
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
    read = reader_of(recogniser)
    assert not isinstance(read, EntityReader)
    assert read([blank.make_doc("Hello there")]) == [
        [(each.start_char, each.end_char, each.label_) for each in blank("Hello there").ents]
    ]


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


@cache
def without_pipes() -> Language:
    """A pipeline without pipes, made once: that takes longer than most tests that use it."""
    return spacy.blank("en")


class Saying:
    """A pipeline that says what the test wants."""

    def __init__(self, *said: tuple[str, str]) -> None:
        self.said = said
        self.blank = without_pipes()
        self.vocab = self.blank.vocab

    def memory_zone(self):
        return contextlib.nullcontext()

    def get_pipe(self, _name: str) -> "Saying":
        return self

    def make_doc(self, text: str):
        return self.blank.make_doc(text)

    def predict(self, docs):
        return docs

    def set_annotations(self, docs, _predicted) -> None:
        for doc in docs:
            found = [(doc.text.find(shown), shown, label) for shown, label in self.said]
            doc.ents = [
                doc.char_span(start, start + len(shown), label=label, alignment_mode="expand")
                for start, shown, label in found
                if start >= 0
            ]


def accepted(text: str, shown: str, label: str) -> list[tuple[str, str]]:
    recogniser = NameRecogniser(Saying((shown, label)), load_shapes())
    return [(text[found.start : found.end], found.label) for found in recogniser.find(text)]


@pytest.mark.parametrize(
    ("text", "shown", "label", "expected"),
    [
        ("can you ask natasja if she comes", "natasja", "PERSON", [("natasja", "PERSON")]),
        ("Paris is nice, and so is the antelope in Kent.", "antelope", "PERSON", []),
        ("my boss yells", "yells", "PERSON", []),
        ("ask james about it", "james", "PERSON", [("james", "PERSON")]),
        ("Dear Dr. Lee, hello", "Dr. Lee", "ORG", [("Lee", "PERSON")]),
        ("It is on Joaquin Suarez 2906.", "Joaquin Suarez 2906", "PERSON", [("Joaquin Suarez 2906", "ADDRESS")]),
        ("The user_Smith() call", "Smith", "PERSON", []),
        ("Python is slow", "Python", "ORG", []),
        ("It was in 1998.", "1998", "DATE", [("1998", "DATE_TIME")]),
        ("It took three weeks.", "three weeks", "DATE", []),
        ("Account forms", "forms", "ID", []),
        ("12 Oak Lane\n\nDear Sir", "12 Oak Lane\n\nDear", "ADDRESS", [("12 Oak Lane", "ADDRESS")]),
        ("Muqtada al-Sadr spoke in Najaf", "Muqtada al-Sadr", "PERSON", [("Muqtada al-Sadr", "PERSON")]),
        ("We all met X in May", "X", "PERSON", []),
        ("Planned.\nWill continue to monitor", "Will", "PERSON", []),
        ("Planned. Will, please monitor", "Will", "PERSON", [("Will", "PERSON")]),
        ("The tribal court system found an issue. It grew.", "tribal court system", "ORG", []),
        ("we went to acme widgets today", "acme widgets", "ORG", [("acme widgets", "ORGANIZATION")]),
        ("EHR migration is hard", "EHR", "ORG", []),
        ("BBC migration is hard", "BBC", "ORG", [("BBC", "ORGANIZATION")]),
        ("Calzones are served hot", "Calzones", "PERSON", []),
        ("BILLING CODES: 99213, J1100", "J1100", "ID", []),
        ("Metformin (NDC-0591-3740-01)", "NDC-0591-3740-01", "ID", []),
        ("MRN 0591-3740-01 is hers", "0591-3740-01", "ID", [("0591-3740-01", "ID")]),
        ("Shift: 0700-1900", "0700-1900", "ID", []),
        ("Seen in the Department of General Surgery", "Department of General Surgery", "ORG", []),
        ("Seen at Oslo Cardiology", "Oslo Cardiology", "ORG", [("Oslo Cardiology", "ORGANIZATION")]),
        ("3.Flesh out a plot", "3.Flesh", "ID", []),
        ("PERSON_K7 wrote", "PERSON_K7", "ID", []),
        ("See Section here", "Section", "GPE", []),
        ("A Manager spoke", "Manager", "ORG", []),
        ("Send it to PO Box soon", "PO Box", "ORG", []),
        ("It is at Barnes/Noble now", "Barnes/Noble", "ORG", [("Barnes/Noble", "ORGANIZATION")]),
        ("Ann Petrov called", "Ann Petrov called", "PERSON", [("Ann Petrov", "PERSON")]),
        ("Rebecca Stone called", "Rebecca Stone", "PERSON", [("Rebecca Stone", "PERSON")]),
        ("Ann Petrov's bike", "Ann Petrov's", "PERSON", [("Ann Petrov", "PERSON")]),
        ("It was Ann Petrov. Then", "Ann Petrov.", "PERSON", [("Ann Petrov", "PERSON")]),
        ("Ask Herr Petrov now", "Herr Petrov", "PERSON", [("Petrov", "PERSON")]),
    ],
)
def test_what_is_made_of_a_proposal(text: str, shown: str, label: str, expected: list[tuple[str, str]]):
    assert accepted(text, shown, label) == expected


def test_names_on_both_sides_of_a_mark_are_two():
    text = 'Elizabeth: "Amanda is out"'
    assert accepted(text, 'Elizabeth: "Amanda', "PERSON") == [("Elizabeth", "PERSON"), ("Amanda", "PERSON")]


def test_only_ordinary_words_stay_in_the_model():
    recogniser = NameRecogniser(load_model(), load_shapes())
    strings = recogniser.model.vocab.strings
    assert recogniser.find("Tell Zbigniew Brzozowski about yesterday, please.")
    assert "yesterday" in strings
    assert not {"Zbigniew", "zbigniew", "Brzozowski", "Xxxxx-zbig"} & set(strings)


def test_of_a_long_run_of_marks_the_ends_are_read():
    said = Saying(("Ann", "PERSON"), ("Bob", "PERSON"))
    read: list[str] = []
    said.make_doc = lambda text: read.append(text) or said.blank.make_doc(text)
    text = "Ann" + "(" * 5_000 + "Bob" + ":" * 5_000
    found = NameRecogniser(said, load_shapes()).find(text)
    assert [text[mention.start : mention.end] for mention in found] == ["Ann", "Bob"]
    assert sum(map(len, read)) < 100
