"""Languages by scripts and function words: what is found, where it abstains, and which part of a text is which."""

import time

import pytest

from privacy.languages import Stretch, function_words, language_name, language_of, stretches_of

FRENCH = "Bonjour, je voudrais savoir pourquoi le tribunal a rejeté la demande de ma sœur."
DANISH = "Sagsøgeren har forklaret, at han ikke kender vidnet, og at det var mørkt."
ENGLISH = "Please tell me why the court has dismissed the claim of my sister."


@pytest.mark.parametrize(
    ("text", "language"),
    [
        (ENGLISH, "en"),
        (FRENCH, "fr"),
        (DANISH, "da"),
        ("¿Puedes explicarme por qué el juez no admitió el recurso?", "es"),
        ("Können Sie mir bitte erklären, warum die Klage abgewiesen wurde?", "de"),
        ("Jeg vet ikke hva jeg skal gjøre med bilen etter ulykken.", "no"),
        ("Jag vet inte vad jag ska göra med bilen efter olyckan.", "sv"),
        ("Ik weet niet wat ik met de auto moet doen na het ongeluk.", "nl"),
        ("Il ricorrente è nato nel 1949 e non ha risposto alla lettera.", "it"),
        ("O meu carro não está na garagem e eu não sei porquê.", "pt"),
        ("Nie wiem, co mam zrobić z samochodem po wypadku.", "pl"),
        ("Nevím, co mám dělat s autem, které není moje.", "cs"),
        ("Nem tudom, hogy mit kell tenni az autóval, ha nem indul.", "hu"),
        ("En tiedä, mitä minun pitää tehdä, kun auto ei käynnisty.", "fi"),
        ("Arabanın neden çalışmadığını bilmiyorum, ne yapmam gerekiyor ve ben çok yorgunum.", "tr"),
        ("Tôi không biết vì sao xe của tôi không chạy và phải làm gì.", "vi"),
        ("Я не знаю, что мне делать с машиной после аварии.", "ru"),
        ("Я не знаю, що мені робити з машиною після аварії, і чому.", "uk"),
        ("Не знам какво да правя с колата, защо не се движи?", "bg"),
        ("لا أعرف ماذا أفعل مع السيارة بعد الحادث", "ar"),
        ("نمی‌دانم چرا این ماشین را برای من آورده است", "fa"),
        ("मुझे नहीं पता कि मैं क्या करूँ और कैसे", "hi"),
        ("Δεν ξέρω τι να κάνω με το αυτοκίνητο.", "el"),
        ("אני לא יודע מה לעשות עם המכונית", "he"),
        ("事故の後、車をどうすればいいのか分かりません。", "ja"),
        ("我不知道事故后该怎么处理我的车。", "zh"),
        ("사고 후에 차를 어떻게 해야 할지 모르겠어요.", "ko"),
        ("ฉันไม่รู้ว่าจะทำอย่างไรกับรถ", "th"),
        ("東京都新宿区西新宿の事故", "ja"),
        ("SÅ ER DU JO VÆK NU", "da"),
        ("LE REQUÉRANT N'A PAS RÉPONDU À LA LETTRE DE SON AVOCAT.", "fr"),
    ],
)
def test_a_sentence_tells_its_language(text: str, language: str) -> None:
    assert language_of(text) == language


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Maria de la Cruz, Juan del Valle, Pieter van der Berg, Ana y Pedro Gil",
        "Weather Copenhagen tomorrow",
        '{"de": 1, "la": 2, "und": [3, 4], "name": "Björn"}',
        "4111 1111 1111 1111",
        "Weather Copenhagen tomorrow rain wind snow sun fog heat cold ice hail storm cloud sky ikke hvad sleet mist",
        "Los Angeles, LA; Portland, OR; Santa Fe, NM; La Paz, BO",
    ],
)
def test_without_evidence_it_abstains(text: str) -> None:
    assert language_of(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "He 's great! I wo n't go to anyone else.",
        "Over priced for Mexican food",
        "for i in range(10):\n    x.de(la, el)\n    do_it(i) if es else un()",
        "My name is José Ángel de la Peña and I was born in Córdoba.",
        "What does 'Schadenfreude' mean, and is ありがとう polite?",
        "Write 'jeg vil ikke være med til det, men han skal' to my friend and make it polite.",
        "Mr. van der Berg lives at Μεγάλη Άμμος 184, please write to him.",
    ],
)
def test_foreign_words_in_english_or_code_are_not_another_language(text: str) -> None:
    assert language_of(text) in {"en", None}


def test_a_part_in_another_language_is_a_stretch_of_its_own() -> None:
    text = f"{ENGLISH}\n\n{DANISH}\n\nThanks in advance, and write it for my mother."
    assert stretches_of([text]) == [
        [
            Stretch(0, len(ENGLISH) + 2, "en"),
            Stretch(len(ENGLISH) + 2, len(ENGLISH) + len(DANISH) + 4, "da"),
            Stretch(len(ENGLISH) + len(DANISH) + 4, len(text), "en"),
        ]
    ]


def test_a_line_of_few_words_is_in_the_language_of_its_text() -> None:
    text = f"{ENGLISH}\nikke hvad Torben\n{ENGLISH}"
    assert stretches_of([text]) == [[Stretch(0, len(text), "en")]]


def test_a_text_without_evidence_is_in_the_language_of_its_conversation() -> None:
    assert stretches_of([FRENCH, "Marie Curie ?"]) == [[Stretch(0, len(FRENCH), "fr")], [Stretch(0, 13, "fr")]]
    assert stretches_of(["Marie Curie ?", ""]) == [[Stretch(0, 13, "en")], []]


def test_stretches_cover_a_text_that_is_one_line() -> None:
    text = (ENGLISH + " ") * 40 + (DANISH + " ") * 40
    (stretches,) = stretches_of([text])
    assert [stretch.language for stretch in stretches] == ["en", "da"]
    assert [0, stretches[0].end] == [stretch.start for stretch in stretches]
    assert stretches[-1].end == len(text)


def test_the_time_is_linear_in_the_text() -> None:
    def seconds(copies: int) -> float:
        began = time.process_time()
        stretches_of([(DANISH + "x" * 1000 + "\n") * copies])
        return time.process_time() - began

    seconds(10)
    assert seconds(400) < 12 * max(seconds(100), 0.005)


@pytest.mark.parametrize(("code", "name"), [("da", "Danish"), ("zh", "Chinese"), ("en", "English")])
def test_languages_have_names(code: str, name: str) -> None:
    assert language_name(code) == name


def test_scripts_that_nobody_listed_are_no_english() -> None:
    (stretch,) = stretches_of(["ꦲꦏ꧀ꦱꦫꦗꦮ ꦲꦏ꧀ꦱꦫꦗꦮ"])[0]
    assert stretch.language == "und"
    assert not stretch.is_latin
    assert function_words("und") == frozenset()
