"""Names in languages without a recogniser, by the words before them."""

import pytest

from privacy._foreign_cues import foreign_cues


def shown(text: str, language: str) -> list[tuple[str, str]]:
    found = foreign_cues(text, 0, len(text), language)
    return sorted({(text[mention.start : mention.end], mention.label) for mention in found})


@pytest.mark.parametrize(
    ("language", "text", "found"),
    [
        ("da", "Fru Ellen Mikkelsen har skrevet til hr. Holm.", [("Ellen Mikkelsen", "PERSON"), ("Holm", "PERSON")]),
        ("da", "Jeg bor i Odense og er ansat hos Danfoss.", [("Danfoss", "ORGANIZATION"), ("Odense", "LOCATION")]),
        ("da", "I sagen Jens Holm mod Grethe Juul", [("Grethe Juul", "PERSON"), ("Jens Holm", "PERSON")]),
        ("es", "el acusado Iker Rey y D. Luis de la Paz", [("Iker Rey", "PERSON"), ("Luis de la Paz", "PERSON")]),
        ("es", "Me llamo Lucía y vivo en Burgos.", [("Burgos", "LOCATION"), ("Lucía", "PERSON")]),
        ("de", "Die Zeugin Svenja Harms sagte, Herr Tiede lüge.", [("Svenja Harms", "PERSON"), ("Tiede", "PERSON")]),
        ("fr", "l'affaire Moreau c. Banque Ponant", [("Banque Ponant", "PERSON"), ("Moreau", "PERSON")]),
        ("fr", "ma fille Léonie et son épouse, Mme Blanc", [("Blanc", "PERSON"), ("Léonie", "PERSON")]),
        ("it", "l'avv. Giuditta Sansevero", [("Giuditta Sansevero", "PERSON")]),
        ("nl", "mijn buurman Wim de Graaf", [("Wim de Graaf", "PERSON")]),
        ("pl", "Nazywam się Grzegorz Wieczorek.", [("Grzegorz Wieczorek", "PERSON")]),
    ],
)  # fmt: skip
def test_titles_introductions_and_parties(language: str, text: str, found: list[tuple[str, str]]) -> None:
    assert shown(text, language) == found


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("da", "Sagsøgeren har krav på erstatning. Hej Hvad koster det?"),
        ("es", "Hola. Qué tal el testigo del Juzgado?"),
        ("de", "Der Kläger hat recht, und die Zeugin Sie auch."),
        ("fr", "Bonjour, Comment allez-vous ? Je suis le voisin."),
        ("da", "hr. A og fru B"),
        ("en", "Don Juan and pan Tadeusz"),
        ("zh", "M. Dupont"),
    ],
)
def test_words_behind_a_cue_that_are_no_name(language: str, text: str) -> None:
    assert shown(text, language) == []


def test_a_cue_counts_within_its_stretch_alone() -> None:
    text = "Fru Holm, fru Juul"
    assert [mention.start for mention in foreign_cues(text, 9, len(text), "da")] == [14]
    assert [mention.start for mention in foreign_cues(text, 0, 10, "da")] == [4]
