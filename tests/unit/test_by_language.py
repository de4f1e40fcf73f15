"""What recognisers of several languages say is put together in the places of the whole text."""

from collections.abc import Sequence
from typing import Any, cast

import pytest

from privacy._by_language import read_names
from privacy.mention import Mention

ENGLISH = "Please tell me why the court has dismissed the claim of my sister."
FRENCH = "Hier, Sandrine est partie avec moi parce que je ne peux pas rester dans la maison."
DANISH = "Jeg ved ikke, hvor hun bor nu, eller hvad han har lavet siden."
GERMAN = "Ich weiß nicht, warum das so ist, und Mein Vermieter hat es mir nicht gesagt."
RUSSIAN = "Я не знаю, что мне делать с машиной после аварии."


class Saying:
    """A recogniser that says `shown` to be a name wherever it reads it."""

    def __init__(self, shown: str, label: str = "PERSON") -> None:
        self.shown = shown
        self.label = label

    def get(self) -> "Saying":
        return self

    def find_all(self, texts: Sequence[str]) -> list[list[Mention]]:
        return [
            [Mention(text.index(self.shown), text.index(self.shown) + len(self.shown), self.label, 0.8, "spacy")]
            if self.shown and self.shown in text
            else []
            for text in texts
        ]


def said(text: str, english: Saying, further: dict[str, Saying] | None = None) -> list[str]:
    (mentions,) = read_names([text], cast("Any", english), cast("Any", further or {}))
    return [text[mention.start : mention.end] for mention in mentions]


def test_what_a_stretch_holds_has_its_place_in_the_text() -> None:
    text = f"{ENGLISH}\n\n{FRENCH}\n\n{ENGLISH}"
    assert said(text, Saying(""), {"fr": Saying("Sandrine")}) == ["Sandrine"]


def test_the_cues_of_a_language_are_asked() -> None:
    assert said(f"{ENGLISH}\n\n{DANISH} Min nabo Grethe Juul kom.", Saying("")) == ["Grethe Juul"]


@pytest.mark.parametrize(
    ("text", "shown", "names"),
    [
        (f"{DANISH} Holm Hvad nu?", "Holm Hvad", ["Holm"]),
        (GERMAN, "Mein Vermieter", []),
        (f"{FRENCH} L'Avocat est là.", "L'Avocat", []),
        (f"{RUSSIAN} Барабулька!", "Барабулька", []),
        (f"{RUSSIAN} Smith!", "Smith", ["Smith"]),
    ],
)
def test_the_words_of_a_language_are_cut_off_what_the_english_recogniser_says(
    text: str, shown: str, names: list[str]
) -> None:
    assert said(text, Saying(shown)) == names


def test_an_address_that_the_english_recogniser_sees_in_another_script_is_none() -> None:
    assert said(f"{RUSSIAN} 12 машин.", Saying("12 машин", "ADDRESS")) == []
    assert said(f"{DANISH} 12 biler.", Saying("12 biler", "ADDRESS")) == ["12 biler"]
