"""Detection over a whole conversation: names, known names, overlaps, and failing closed (promise P2)."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from itertools import pairwise

import pytest

from privacy._shapes import load_shapes
from privacy.detection import MAX_TEXT_CHARS, DetectionFailed, Detector, KnownName, _beside
from privacy.mention import LABELS, Mention

pytest.importorskip("spacy")


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector.load()


def shown(detector: Detector, text: str, known: tuple[KnownName, ...] = ()) -> list[tuple[str, str]]:
    mentions = detector.detect(text, known)
    for before, after in pairwise(mentions):
        assert before.end <= after.start
    assert all(mention.label in LABELS and 0 <= mention.score <= 1 for mention in mentions)
    return [(mention.label, text[mention.start : mention.end]) for mention in mentions]


PROMPT = """Hi, my name is Maria Kowalska and I work for Northwind Robotics Ltd in Berlin. Three things:

1. Write to our customer Dr. Elena Petrova (elena.petrova@northwind.example, +44 20 7946 0958) that her card \
4111 1111 1111 1111 expired on 3 May 2024 and that we need it by tomorrow.
2. Kowalska's refund goes to IBAN DE89 3704 0044 0532 0130 00. How do I phrase that?
3. Suggest a gift for Petrova, who lives at 42 Elm Street, Springfield, IL 62704. She likes Python.

Best regards,
Maria
"""


def test_a_prompt_with_everything_is_read_exactly(detector: Detector) -> None:
    assert shown(detector, PROMPT) == [
        ("PERSON", "Maria Kowalska"),
        ("ORGANIZATION", "Northwind Robotics Ltd"),
        ("LOCATION", "Berlin"),
        ("PERSON", "Elena Petrova"),
        ("EMAIL", "elena.petrova@northwind.example"),
        ("PHONE", "+44 20 7946 0958"),
        ("CREDIT_CARD", "4111 1111 1111 1111"),
        ("DATE_TIME", "3 May 2024"),
        ("PERSON", "Kowalska"),
        ("IBAN", "DE89 3704 0044 0532 0130 00"),
        ("PERSON", "Petrova"),
        ("ADDRESS", "42 Elm Street, Springfield, IL 62704"),
        ("PERSON", "Maria"),
    ]


NAMED = [
    ("My name is Maria Kowalska.", ["Maria Kowalska"]),
    ("my name is ludmila and I need help", ["ludmila"]),
    ("I'm Rubija Hadzic, nice to meet you.", ["Rubija Hadzic"]),
    ("Dear Rubija,\nthank you for the flowers.", ["Rubija"]),
    ("Dear Dr. Okonkwo,\nthe results are in.", ["Okonkwo"]),
    ("Hello Wojciech, how are you?", ["Wojciech"]),
    ("See you soon.\n\nRegards,\nThandiwe Nkosi", ["Thandiwe Nkosi"]),
    ("Please ask Frau Schröder about it.", ["Schröder"]),
    ("Mrs. O'Brien called twice.", ["O'Brien"]),
    ("My sister Emma and Emma's husband Raj come.", ["Emma", "Emma", "Raj"]),
    ("Patient: Brian Davis, stable.", ["Brian Davis"]),
    ("Angela Merkel's speech was long.", ["Angela Merkel"]),
    ("Yesterday Thomas Müller met Ana de la Cruz.", ["Thomas Müller", "Ana de la Cruz"]),
    ("J. R. Hartley wrote it; Mr. Hartley is old.", ["J. R. Hartley", "Hartley"]),
]


@pytest.mark.parametrize(("text", "people"), NAMED)
def test_people_are_found(detector: Detector, text: str, people: list[str]) -> None:
    assert [name for label, name in shown(detector, text) if label == "PERSON"] == people


NOTHING = [
    "How do I sort a list in Python?",
    "# Heading\n\n- First item\n- Second item\n\nExplain **both** in plain English.",
    "Write a function `parse_date(text: str) -> Date` and test it.",
    "```python\nclass Foo(Bar):\n    def run(self): return self.baz()\n```\nWhat does it do?",
    "Summarize the following article in three bullet points.",
    "Compare Llama 3 with GPT-4 and explain the difference.",
    "I'm happy to help. Hi there, thanks!",
    "What is the difference between TCP and UDP?",
    "Translate 'good morning' into French and Spanish.",
    "Remind me tomorrow, in two weeks, and every Monday.",
    "The job takes 3 hours and 20 minutes at 90 degrees.",
    "PERSON_K7 wrote to ORGANIZATION_B2 about EMAIL_A1.",
    "SELECT name FROM users WHERE id = 42;",
    "Dear Sir or Madam, I am writing to complain.",
    "Please call me later. Best regards",
    "",
    "   \n\t ",
    "🙂🙂🙂",
]


@pytest.mark.parametrize("text", NOTHING)
def test_ordinary_text_is_left_alone(detector: Detector, text: str) -> None:
    assert shown(detector, text) == []


def test_places_and_companies(detector: Detector) -> None:
    text = "She moved from Berlin to Buenos Aires and joined Contoso Analytics GmbH."
    assert shown(detector, text) == [
        ("LOCATION", "Berlin"),
        ("LOCATION", "Buenos Aires"),
        ("ORGANIZATION", "Contoso Analytics GmbH"),
    ]


def test_a_full_name_makes_its_parts_known(detector: Detector) -> None:
    text = "My name is Maria Kowalska. KOWALSKA is what they call; Kowalska's file; maria again."
    assert [name for _, name in shown(detector, text)] == ["Maria Kowalska", "KOWALSKA", "Kowalska", "maria"]


def test_a_name_that_is_a_word_counts_only_as_a_name(detector: Detector) -> None:
    text = "My name is Will Kowalski. Will you help? I will pay."
    assert [name for _, name in shown(detector, text)] == ["Will Kowalski"]


def test_names_from_earlier_turns_are_found(detector: Detector) -> None:
    text = "put the zyxxo away"
    assert shown(detector, text) == []
    assert shown(detector, text, (KnownName("Zyxxo"),)) == [("PERSON", "zyxxo")]
    assert shown(detector, "ask Quux Widgets today", (KnownName("Quux Widgets Ltd", "ORGANIZATION"),)) == [
        ("ORGANIZATION", "Quux Widgets")
    ]


def test_a_name_in_one_text_is_known_in_the_others(detector: Detector) -> None:
    texts = ["and kowalska?", "My name is Maria Kowalska."]
    first, _ = detector.detect_all(texts)
    assert [texts[0][mention.start : mention.end] for mention in first] == ["kowalska"]


def test_offsets_count_code_points_of_the_original(detector: Detector) -> None:
    text = "🙂 My name is Ma\u200bria Kowal\u200bska, mail ｍａｒｉａ＠ａｃｍｅ.example 🙂"
    assert shown(detector, text) == [
        ("PERSON", "Ma\u200bria Kowal\u200bska"),
        ("EMAIL", "ｍａｒｉａ＠ａｃｍｅ.example"),
    ]


def test_what_an_overlapped_mention_covered_stays_covered(detector: Detector) -> None:
    class Overlapping:
        name = "overlapping"

        def find(self, text: str) -> Iterator[Mention]:
            yield Mention(0, 6, "ID", 1.0, "pattern:overlapping")
            yield Mention(3, 13, "ADDRESS", 1.0, "pattern:overlapping")
            yield Mention(3, 13, "PERSON", 0.8, "spacy")

    own = Detector(detector.names, (Overlapping(),), detector.shapes)
    mentions = own.detect("abcdefghijklmnop")
    assert [(item.start, item.end, item.label) for item in mentions] == [(0, 3, "ID"), (3, 13, "ADDRESS")]


class Broken:
    name = "broken"

    def find(self, text: str) -> Iterator[Mention]:
        raise ValueError(f"cannot read {text}")


def test_whatever_breaks_is_detection_failed_without_the_text(detector: Detector) -> None:
    own = Detector(detector.names, (Broken(),), detector.shapes)
    with pytest.raises(DetectionFailed) as caught:
        own.detect("Zebulon lives here")
    assert "Zebulon" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_a_text_over_the_limit_is_refused_not_cut(detector: Detector) -> None:
    with pytest.raises(DetectionFailed, match="limit"):
        detector.detect("a" * (MAX_TEXT_CHARS + 1))
    with pytest.raises(DetectionFailed, match="limit"):
        detector.detect_all(["a" * (MAX_TEXT_CHARS // 2 + 1)] * 2)


def test_a_model_that_is_not_installed_is_said(recwarn: pytest.WarningsRecorder) -> None:
    with pytest.raises(DetectionFailed, match="no_such_model"):
        Detector.load("no_such_model")


def test_threads_may_share_a_detector(detector: Detector) -> None:
    expected = detector.detect(PROMPT)
    results: list[list[Mention]] = []
    threads = [threading.Thread(target=lambda: results.append(detector.detect(PROMPT))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [expected] * 4


def test_importing_the_module_imports_no_spacy() -> None:
    code = "import sys, privacy.detection; sys.exit('spacy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_model_keeps_nothing_of_a_text(detector: Detector) -> None:
    detector.detect("My name is Qwfpgjluy Arstdhneio.")
    strings = detector.names.model.vocab.strings
    assert "Qwfpgjluy" not in list(strings)


def test_a_card_in_what_was_taken_for_an_address_stays_a_card(detector: Detector) -> None:
    text = "Ask the bank to block card 4111 1111 1111 1111 of James Whitfield, 221 Baker Street, London NW1 6XE."
    assert shown(detector, text) == [
        ("CREDIT_CARD", "4111 1111 1111 1111"),
        ("PERSON", "James Whitfield"),
        ("ADDRESS", "221 Baker Street, London NW1 6XE"),
    ]


def test_nothing_of_a_divided_address_is_left_in_clear() -> None:
    text = "12 Oak Lane +1 212 555 0143 Utrecht"
    card = Mention(12, 27, "PHONE", 1.0, "pattern:phone")
    parts = list(_beside(Mention(0, len(text), "ADDRESS", 0.8, "spacy"), [card], text, load_shapes()))
    assert [(text[part.start : part.end], part.label) for part in parts] == [
        ("12 Oak Lane", "ADDRESS"),
        ("Utrecht", "PERSON"),
    ]


@pytest.mark.parametrize(
    "flood",
    [
        "1" * 1_000_000,
        "(" * 300_000,
        "\ud800" * 20_000,
        "a\udfff\ud800 " * 2_000,
        "e\u0301\u0301" * 10_000,
        "\u202e\u200f" * 20_000,
        "\U000e0061\U000e0020" * 5_000,
        "1\n" * 5_000,
    ],
    ids=["digits", "marks", "surrogates", "surrogates in words", "accents", "directions", "tags", "digits a line"],
)
def test_behind_a_flood_an_address_is_found(detector: Detector, flood: str) -> None:
    text = f"{flood} write to ann.lee@example.org"
    found = detector.detect(text)
    assert text[found[-1].start : found[-1].end] == "ann.lee@example.org"
    assert all(before.end <= after.start for before, after in pairwise(found))
