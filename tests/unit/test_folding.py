"""What a reader sees: each way of hiding a letter is undone, and offsets lead back."""

import sys

import pytest

from privacy.folding import View
from privacy.mention import Mention

SHOWN = [
    ("plain", "plain"),
    ("Ma\u200bria\u00ad Ko\u202ewal", "Maria Kowal"),
    ("Jo\x00hn", "John"),
    ("ｊｏｈｎ＠ｍａｉｌ．ｃｏｍ", "john@mail.com"),
    ("𝐉𝐨𝐡𝐧 Ⓙⓐⓝ", "John Jan"),
    ("ﬁle ﬄ", "file ffl"),
    ("ᴊᴏʜɴ 🅙🅐🅝", "john JAN"),
    ("Jose\u0301 Mu\u0308ller", "José Müller"),
    ("Z\u0337a\u0337l", "Zal"),
    ("Тhоmas Tаylоr", "Thomas Taylor"),
    ("Ѕсоре of it", "Scope of it"),
    ("555-О143", "555-O143"),
    ("٤١١١ ४ ④ 4\ufe0f\u20e3", "4111 4 4 4"),
    ("212–555‑0143 − 7", "212-555-0143 - 7"),
    ("a\ud800b", "a\ufffdb"),
    ("a@b。example", "a@b.example"),
]


@pytest.mark.parametrize(("text", "shown"), SHOWN)
def test_the_view_is_what_a_reader_sees(text: str, shown: str) -> None:
    assert View.of(text).text == shown


KEPT = [
    "Diyarbakır, Łódź, Ünal, naïve, señor",
    "Привет, Анна живёт в Москве",
    "Η Μαρία μένει στην Αθήνα",
    "स्वास्थ्य केंद्र में",
    "مُحَمَّد",
    "東京都千代田区",
    "α = 0.05 and 5 μm",
    "wait… ½ — “so” 100 € ´",
    "a – b",
]


@pytest.mark.parametrize("text", KEPT)
def test_other_scripts_and_marks_stay_as_they_are(text: str) -> None:
    assert View.of(text).text == text


def test_an_english_text_with_a_russian_word_keeps_it() -> None:
    assert View.of("the word рассказ means story, рос grew").text == "the word рассказ means story, рос grew"


def test_offsets_cover_what_was_left_out_inside_and_no_more() -> None:
    text = "\u200bMa\u200bria\u200b ok"
    view = View.of(text)
    (mention,) = view.originals([Mention(0, 5, "PERSON", 1.0, "spacy")])
    assert text[mention.start : mention.end] == "Ma\u200bria"


def test_a_letter_is_told_with_the_marks_on_it() -> None:
    text = "Jose\u0301\u0337 ok"
    view = View.of(text)
    (mention,) = view.originals([Mention(0, 4, "PERSON", 1.0, "spacy")])
    assert text[mention.start : mention.end] == "Jose\u0301\u0337"


def test_half_of_what_one_character_stands_for_is_told_as_the_character() -> None:
    text = "aﬃb"
    (mention,) = View.of(text).originals([Mention(1, 2, "PERSON", 1.0, "spacy")])
    assert text[mention.start : mention.end] == "ﬃ"


def test_no_character_grows_without_bound() -> None:
    everything = "".join(map(chr, range(sys.maxunicode + 1)))
    assert len(View.of(everything).text) < len(everything)
    assert max(len(View.of(f"a{char}b").text) for char in "ﷺ㎯㍿ﬃ⑴½…") <= 6


TAGGED = "".join(chr(0xE0000 + ord(letter)) for letter in "call Ann")


def test_what_tag_characters_spell_is_read_behind_the_text() -> None:
    text = f"Hi{TAGGED} Bob"
    view = View.of(text)
    assert view.text == "Hi Bob\n\ncall Ann"
    said = [Mention(3, 6, "PERSON", 1.0, "spacy"), Mention(13, 16, "PERSON", 1.0, "spacy")]
    places = [(mention.start, mention.end) for mention in view.originals(said)]
    assert places == [(7, 10), (11, 14)]


def test_a_mention_of_the_text_covers_what_tags_spell_in_it() -> None:
    text = f"Ma{TAGGED}ria"
    view = View.of(text)
    said = [Mention(0, 5, "PERSON", 1.0, "spacy"), Mention(12, 15, "PERSON", 1.0, "spacy")]
    assert [(mention.start, mention.end) for mention in view.originals(said)] == [(0, len(text))]


def test_a_mention_across_the_end_of_the_text_is_parted() -> None:
    text = f"Bob{TAGGED}"
    view = View.of(text)
    parted = view.originals([Mention(0, 9, "ADDRESS", 1.0, "spacy")])
    assert [(mention.start, mention.end) for mention in parted] == [(0, 3), (3, 7)]


def test_the_tags_of_a_flag_spell_nothing() -> None:
    england = "\U0001f3f4" + "".join(chr(0xE0000 + ord(letter)) for letter in "gbeng\x7f")
    assert View.of(f"Go {england}!").text == "Go \U0001f3f4!"
