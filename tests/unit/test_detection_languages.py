"""Detection in other languages than English: what is found, by whom, and what fails closed."""

from functools import cache

import pytest

from privacy._by_language import FOREIGN_SCORE, LazyRecogniser
from privacy.detection import DetectionFailed, Detector
from privacy.recogniser import PACKAGED_MODEL

FRENCH = (
    "Hier, ma voisine Sandrine Kervella est partie à Clermont-Ferrand avec Hugo Lemaire. "
    "Que puis-je faire pour les aider avant son retour ?"
)


@cache
def detector() -> Detector:
    return Detector.load(PACKAGED_MODEL)


def shown(text: str, finder: Detector | None = None) -> list[tuple[str, str]]:
    found = (finder or detector()).detect(text)
    return [(text[mention.start : mention.end], mention.label) for mention in found]


def test_french_names_are_found() -> None:
    assert shown(FRENCH) == [
        ("Sandrine Kervella", "PERSON"),
        ("Clermont-Ferrand", "LOCATION"),
        ("Hugo Lemaire", "PERSON"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "Explique la photosynthèse à un enfant de huit ans. Ensuite, propose un exercice.",
        "Donne les quantités. Résume ce texte, puis compare les deux. Merci de ne pas utiliser de jargon.",
        "La Cour a estimé que l'article 6 de la Convention n'avait pas été violé. L'État n'a pas répondu.",
        "Bonjour ! Quels sont les effets du paracétamol chez la femme enceinte ?",
    ],
)
def test_ordinary_french_is_left_alone(text: str) -> None:
    assert shown(text) == []


def test_a_french_paragraph_in_an_english_message_is_read_as_french() -> None:
    text = f"Please translate this into English for my colleague:\n\n{FRENCH}\n\nThanks for your help with it."
    assert ("Hugo Lemaire", "PERSON") in shown(text)
    assert "Que" not in [name for name, _ in shown(text)]


def test_names_that_are_english_words_are_names_in_french() -> None:
    assert ("Rose Blanc", "PERSON") in shown("Son épouse, Rose Blanc, est institutrice dans une école avec moi.")


@pytest.mark.parametrize(
    ("text", "person"),
    [
        ("Tiltalte Jimmy Pilegaard er idømt tre måneders fængsel, men han har ikke betalt.", "Jimmy Pilegaard"),
        ("El acusado Iker Zubiaurre no se presentó porque estaba enfermo.", "Iker Zubiaurre"),
        ("Ich heiße Annegret Pohlmann und ich weiß nicht, was ich tun soll.", "Annegret Pohlmann"),
    ],
)
def test_other_languages_have_cues_and_known_names(text: str, person: str) -> None:
    surname = person.split()[1]
    again = f"{text} {surname}!"
    assert (person, "PERSON") in shown(again)
    assert shown(again)[-1] == (surname, "PERSON")


def test_what_the_english_recogniser_says_of_another_language_counts_for_less() -> None:
    text = "Jeg ved ikke, hvor Barack Obama bor nu, eller hvad han har lavet siden."
    (mention,) = [mention for mention in detector().detect(text) if mention.source == "spacy"]
    assert (text[mention.start : mention.end], mention.score) == ("Barack Obama", FOREIGN_SCORE)


def test_numbers_and_addresses_are_found_in_every_language() -> None:
    text = "Я не знаю, что мне делать: мой адрес ivan@example.org, а карта 4111 1111 1111 1111."
    assert [label for _, label in shown(text)] == ["EMAIL", "CREDIT_CARD"]


def test_a_missing_recogniser_fails_closed_without_the_text() -> None:
    broken = Detector(
        detector().names, detector().recognisers, detector().shapes, {"fr": LazyRecogniser("fr", "no_such_package")}
    )
    with pytest.raises(DetectionFailed, match=r"no_such_package.*client extra") as caught:
        broken.detect(FRENCH)
    assert "Sandrine" not in str(caught.value)
    assert caught.value.__context__ is None
    # English does not need it.
    assert broken.detect("What is the capital of this country, and why?") == []


def test_a_language_that_is_not_wanted_is_not_loaded() -> None:
    assert Detector.load(PACKAGED_MODEL, languages=("en",)).further == {}


def test_the_french_recogniser_is_loaded_by_the_first_french_text() -> None:
    whole = detector()
    finder = Detector(whole.names, whole.recognisers, whole.shapes, {"fr": LazyRecogniser("fr", "fr_core_news_sm")})
    finder.detect("What is this, and why is it here?")
    assert not finder.further["fr"].is_loaded
    finder.detect("Pourquoi est-ce que je ne peux pas dormir avec ce bruit ?")
    assert finder.further["fr"].is_loaded
