"""One identity a person or thing; placeholders that differ from host to host and stay with each."""

import copy
import pickle
import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peernet.core.errors import LocalProtocolError, UserError
from privacy import pseudonyms
from privacy.mention import Mention
from privacy.pseudonyms import Conversation
from privacy.restoring import restore


def conversation(seed: int = 1) -> Conversation:
    return Conversation(random.Random(seed))


def marked(text: str) -> tuple[str, list[Mention]]:
    """`[John|PERSON] left` -> the text and its mentions."""
    plain, mentions, place = "", [], 0
    for match in re.finditer(r"\[([^|\]]*)\|(\w+)\]", text):
        plain += text[place : match.start()]
        mentions.append(Mention(len(plain), len(plain) + len(match[1]), match[2], 1.0, "spacy"))
        plain += match[1]
        place = match.end()
    return plain + text[place:], mentions


def identities(text: str, vault: Conversation | None = None) -> list[int]:
    """The identities of marked mentions, numbered by their first occurrence."""
    linked = (vault or conversation()).link(*marked(text))
    order = list(dict.fromkeys(identity for _, identity in linked))
    return [order.index(identity) for _, identity in linked]


SAME = [
    ("PERSON", ["John", "John Smith", "JOHN SMITH", "Smith", "J. Smith", "Smith, John", "Mr. Smith"]),
    ("PERSON", ["KOWALSKA", "Maria Kowalska", "Kowalska's", "Pani Kowalska", "Kowalska Maria", "Maria K."]),
    ("PERSON", ["José Álvarez", "Jose Alvarez", "JOSÉ"]),
    ("PERSON", ["John Michael Smith", "John M. Smith", "John Smith"]),
    ("PERSON", ["William Smith", "Bill", "BILL SMITH", "bill smith", "Billy", "Smith, Bill", "Mr. Smith", "smith's"]),
    ("PERSON", ["Elizabeth Jones", "Liz", "Liz Jones", "Betty", "Ms Jones", "E. Jones"]),
    ("PERSON", ["Łukasz Żółć", "lukasz zolc", "LUKASZ ŻÓŁĆ"]),
    ("PERSON", ["Aleksandra Nowak", "Ola", "Ola Nowak", "Pani Nowak"]),
    ("PERSON", ["Jane Doe, PhD", "Dr. Jane Doe", "Doe, Jane", "Doe"]),
    ("PERSON", ["John Smith Jr.", "John", "J. Smith Jr", "Smith, John Jr"]),
    ("EMAIL", ["Jan.Kowal@Example.com", "jan.kowal@example.com"]),
    ("PHONE", ["+48 601 234 567", "601-234-567", "0048601234567", "(601) 234 567"]),
    ("PHONE", ["+44 (0)20 7946 0958", "020 7946 0958"]),
    ("CREDIT_CARD", ["4111 1111 1111 1111", "4111-1111-1111-1111", "4111111111111111"]),
    ("IBAN", ["PL61 1090 1014 0000 0712 1981 2874", "pl61109010140000071219812874"]),
    ("IP_ADDRESS", ["2001:db8::1", "2001:0DB8:0:0:0:0:0:1"]),
    ("URL", ["https://www.Example.com/a/", "example.com/a"]),
    ("ORGANIZATION", ["Acme Ltd.", "ACME", "Acme's", "the Acme"]),
    ("ORGANIZATION", ["Northwind Traders Ltd", "Northwind", "NORTHWIND TRADERS"]),
    ("ORGANIZATION", ["World Health Organization", "WHO", "the World Health Organization"]),
    ("LOCATION", ["New York", "NEW YORK", "New York's"]),
    ("LOCATION", ["Paris, France", "Paris", "PARIS"]),
]


@pytest.mark.parametrize(("label", "forms"), SAME)
def test_forms_of_one_thing_have_one_identity(label: str, forms: list[str]) -> None:
    assert set(identities(" met ".join(f"[{form}|{label}]" for form in forms))) == {0}
    vault = conversation()  # and over several turns, each in a text of its own
    assert len({identity for form in forms for _, identity in vault.link(*marked(f"[{form}|{label}]"))}) == 1


DIFFERENT = [
    ("PERSON", ["John Smith", "Jane Smith", "John Brown"]),
    ("PERSON", ["John Smith Jr", "John Smith Sr"]),
    ("PERSON", ["J. Smith", "K. Brown"]),
    ("PERSON", ["John Smith", "John Smith Jr"]),
    ("PERSON", ["Bill", "William"]),
    ("PERSON", ["Alexander Ross", "Alexandra Ross"]),
    ("PERSON", ["Jane Smith", "Jane Smith-Jones"]),
    ("PERSON", ["John Major", "John Smith"]),
    ("ORGANIZATION", ["Apple", "Apple Records"]),
    ("ORGANIZATION", ["Oxford", "University of Oxford"]),
    ("LOCATION", ["York", "New York"]),
    ("LOCATION", ["New York", "New York Mills"]),
    ("LOCATION", ["Virginia", "West Virginia"]),
    ("LOCATION", ["Springfield, Ohio", "Springfield, Illinois"]),
    ("EMAIL", ["jan@example.com", "jan@example.org"]),
    ("PHONE", ["+48 601 234 567", "+48 601 234 568"]),
    ("PHONE", ["555 0100 200 ext. 1", "555 0100 200 ext. 2"]),
    ("URL", ["example.com/a", "example.com/A"]),
    ("ID", ["AB123", "AB124"]),
]


@pytest.mark.parametrize(("label", "forms"), DIFFERENT)
def test_different_things_have_different_identities(label: str, forms: list[str]) -> None:
    assert identities(" met ".join(f"[{form}|{label}]" for form in forms)) == list(range(len(forms)))


def test_a_name_that_fits_two_people_belongs_to_neither() -> None:
    assert identities("[John|PERSON], [John Smith|PERSON], [John Brown|PERSON], [John|PERSON]") == [0, 1, 2, 0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[John Smith|PERSON] met Mrs. [Smith|PERSON] and Mr [Smith|PERSON]", [0, 1, 0]),
        ("Mr. [Smith|PERSON], Mrs. [Smith|PERSON], Mr. [Smith|PERSON], [Smith|PERSON]", [0, 1, 0, 2]),
        ("Herr [Weber|PERSON] and [Anna Weber|PERSON]", [0, 1]),
        ("Dr. [Weber|PERSON] and [Anna Weber|PERSON]", [0, 0]),
        ("[Sasha|PERSON], [Alexander Ross|PERSON], [Alexandra Lee|PERSON]", [0, 1, 2]),
        ("[Will|PERSON], [William Ross|PERSON], [Bill Lee|PERSON]", [0, 1, 2]),
    ],
)
def test_what_contradicts_itself_is_not_linked(text: str, expected: list[int]) -> None:
    assert identities(text) == expected


PEOPLE = [
    ("William", "Smith", ["Bill", "Will"]),
    ("John", "Smith", ["Jack"]),
    ("William", "Brown", ["Bill", "Will"]),
    ("Maria", "Kowalska", ["Marysia"]),
    ("Elizabeth", "Brown", ["Liz", "Beth"]),
    ("Elisabeth", "Nowak", []),
]


def spoken_of(person: tuple[str, str, list[str]]) -> list[str]:
    given, family, short = person
    forms = [f"{given} {family}", f"{family}, {given}", f"{given[0]}. {family}", given, family, f"{given} {family}'s"]
    forms += [*short, *(f"{name} {family}" for name in short)]
    return [*forms, *(form.upper() for form in forms), *(form.lower() for form in forms)]


FORMS = {form: {i for i, who in enumerate(PEOPLE) if form in spoken_of(who)} for p in PEOPLE for form in spoken_of(p)}
SAID = st.lists(st.sampled_from(sorted(FORMS)), min_size=1, max_size=8)


@settings(max_examples=200, deadline=None)
@given(SAID, st.booleans())
def test_no_two_people_are_ever_one(said: list[str], one_text: bool) -> None:
    """Whoever shares an identity may be one person; whose full names are said has it alone."""
    vault = conversation()
    texts = [" met ".join(f"[{form}|PERSON]" for form in said)] if one_text else [f"[{form}|PERSON]" for form in said]
    linked = [identity for text in texts for _, identity in vault.link(*marked(text))]
    for identity in set(linked):
        candidates = [FORMS[form] for form, other in zip(said, linked, strict=True) if other is identity]
        assert set.intersection(*candidates)


@settings(max_examples=200, deadline=None)
@given(st.sets(st.sampled_from(range(len(PEOPLE))), min_size=1, max_size=3), st.data())
def test_who_can_be_told_is_told(present: set[int], data: st.DataObject) -> None:
    names = [f"{PEOPLE[who][0]} {PEOPLE[who][1]}" for who in sorted(present)]
    clear = [form for form, who in FORMS.items() if len(who & present) == 1]
    said = [*names, *data.draw(st.lists(st.sampled_from(sorted(clear)), max_size=6))]
    linked = [identity for _, identity in conversation().link(*marked(" met ".join(f"[{f}|PERSON]" for f in said)))]
    people = [min(FORMS[form] & present) for form in said]
    assert [linked.index(identity) for identity in linked] == [people.index(who) for who in people]


def test_a_form_once_linked_stays_linked() -> None:
    vault = conversation()
    ((_, smith),) = vault.link(*marked("[John|PERSON]"))
    vault.link(*marked("[John Smith|PERSON] and [John Brown|PERSON]"))
    assert vault.link(*marked("[John|PERSON]"))[0][1] is smith
    assert smith.fullest == "John Smith"


def test_labels_are_kept_apart() -> None:
    assert identities("[Paris|LOCATION] and [Paris|PERSON]") == [0, 1]


def test_a_host_reads_placeholders_and_keeps_them_over_turns() -> None:
    view = conversation().view("a")
    first = view.mask(*marked("[John|PERSON] wrote to [Maria Kowalska|PERSON] at [m@example.com|EMAIL]."))
    assert re.fullmatch(r"PERSON_[A-Z]\d wrote to PERSON_[A-Z]\d at EMAIL_[A-Z]\d\.", first.text)
    assert first.labels == {"PERSON": 2, "EMAIL": 1}
    assert [first.text[s.start : s.end] for s in first.spans] == [s.placeholder for s in first.spans]
    second = view.mask(*marked("[KOWALSKA|PERSON] answered [John Smith|PERSON]"))
    assert second.placeholders == (first.placeholders[1], first.placeholders[0])


def test_two_hosts_have_nothing_to_compare() -> None:
    vault = conversation()
    text = marked("[Ann|PERSON], [Bob|PERSON], [Cid|PERSON], [a@example.com|EMAIL]")
    codes = [{p.rpartition("_")[2] for p in vault.view(host).mask(*text).placeholders} for host in "abcdef"]
    assert len(set.union(*codes)) == 24
    assert vault.view("a") is vault.view("a")


def test_codes_come_from_the_randomness_handed_in() -> None:
    text = marked("[Ann|PERSON] and [Bob|PERSON]")
    masked = [conversation(seed).view("a").mask(*text).text for seed in (1, 1, 2)]
    assert masked[0] == masked[1] != masked[2]


def test_a_placeholder_restores_to_the_fullest_form_that_its_host_was_sent() -> None:
    vault = conversation()
    text = marked("[John Smith|PERSON] and [JOHN|PERSON]")
    vault.link(*text)
    short, full = vault.view("a"), vault.view("b")
    short.mask(*marked("Ask [John|PERSON]"))
    full.mask(*text)
    assert list(short.mapping().values()) == ["John"]
    assert list(full.mapping().values()) == ["John Smith"]


def test_titles_and_possessives_stay_in_the_text() -> None:
    masked = conversation().view("a").mask(*marked("[Dr. John Smith's|PERSON] car, [Acme’s|ORGANIZATION] lawyer"))
    assert re.fullmatch(r"Dr\. PERSON_\w\d's car, ORGANIZATION_\w\d’s lawyer", masked.text)


def test_no_code_is_one_that_the_text_shows() -> None:
    class Lowest:
        def randrange(self, start: int, /) -> int:
            return 0

    text = "Seat A2, PERSON_A3, a4, PersonA5, cardA6, creditCardA7, the A8s, XA9: [Ann|PERSON]"
    masked = Conversation(Lowest()).view("a").mask(*marked(text))
    assert masked.placeholders == ("PERSON_A9",)


def test_text_that_spells_out_a_placeholder_comes_back_as_it_was() -> None:
    view = conversation().view("a")
    (placeholder,) = view.mask(*marked("[Ann|PERSON]")).placeholders
    text = f"What does {placeholder} or {placeholder.lower().replace('_', '-')} mean, [Ann|PERSON]?"
    masked = view.mask(*marked(text))
    assert masked.text.count(placeholder) == 1
    assert restore(masked.text, view.mapping()) == marked(text)[0]


def test_overlapping_mentions_are_masked_as_one() -> None:
    text = "Anna Maria Nowak called"
    mentions = [Mention(0, 10, "PERSON", 1.0, "spacy"), Mention(5, 16, "PERSON", 1.0, "known")]
    assert re.fullmatch(r"PERSON_\w\d called", conversation().view("a").mask(text, mentions).text)


def test_a_mention_inside_a_word_takes_the_word() -> None:
    view = conversation().view("a")
    masked = view.mask("user JohnSmith99 left", [Mention(5, 9, "PERSON", 1.0, "spacy")])
    assert re.fullmatch(r"user PERSON_\w\d left", masked.text)
    assert restore(masked.text, view.mapping()) == "user JohnSmith99 left"
    assert (
        restore(conversation().view("a").mask("我叫王小明，", [Mention(2, 5, "PERSON", 1.0, "spacy")]).text, {})[:2]
        == "我叫"
    )


@pytest.mark.parametrize(("start", "end"), [(-1, 2), (2, 2), (3, 9), (3, 2)])
def test_a_mention_outside_the_text_is_our_bug(start: int, end: int) -> None:
    with pytest.raises(LocalProtocolError):
        conversation().link("John", [Mention(start, end, "PERSON", 1.0, "spacy")])


def test_identities_in_clear_are_counted() -> None:
    vault = conversation()
    vault.link(*marked("[John Smith|PERSON], [Ann|PERSON], [Bo|PERSON]"))
    assert len(vault.identities_in_clear(["Both annoyed PERSON_K7"])) == 0
    assert len(vault.identities_in_clear(["john smith and Ann", "Ann!"])) == 2


def test_the_vault_is_never_printed_pickled_or_copied() -> None:
    vault = conversation()
    ((_, identity),) = vault.link(*marked("[Zbigniew|PERSON]"))
    view = vault.view("a")
    masked = view.mask(*marked("secret [Zbigniew|PERSON]"))
    for thing in (vault, identity, view, masked):
        assert "Zbigniew" not in repr(thing)
        assert "secret" not in repr(thing)
    for thing in (vault, identity, view):
        for way in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match="stays in memory"):
                way(thing)


def test_wiped_is_gone() -> None:
    vault = conversation()
    ((_, identity),) = vault.link(*marked("[Ann|PERSON]"))
    view = vault.view("a")
    view.mask(*marked("[Ann|PERSON]"))
    vault.wipe()
    assert identity.forms == ()
    assert not any(vars(vault)[name] for name in ("_identities", "_known", "_by_word", "_views", "_taken_codes"))
    for use in (
        view.mapping,
        lambda: view.mask("", []),
        lambda: vault.link("", []),
        lambda: vault.view("a"),
    ):
        with pytest.raises(LocalProtocolError, match="wiped"):
            use()


def test_a_conversation_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pseudonyms, "MAX_IDENTITIES", 3)
    with pytest.raises(UserError, match="start a new one"):
        conversation().link(*marked("[a1|ID] [b1|ID] [c1|ID] [d1|ID]"))


WORDS = st.sampled_from(
    ["Ann", "Bob", "a@b.example", "K7", "PERSON_K7", "person k7", "*", "_", " ", "\n", "is", "é", "猫"]
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(WORDS, st.sampled_from([None, "PERSON", "EMAIL", "ID"])), max_size=12), st.integers(0, 99))
def test_masking_and_restoring_give_back_the_text(parts: list[tuple[str, str | None]], seed: int) -> None:
    vault = conversation(seed)
    for host in ("a", "b"):
        view = vault.view(host)
        for turn in (parts, parts[::-1]):
            text, mentions = "", []
            for word, label in turn:
                if label and word.strip():
                    mentions.append(Mention(len(text), len(text) + len(word), label, 1.0, "spacy"))
                text += word
            masked = view.mask(text, mentions)
            restored = restore(masked.text, view.mapping())
            # Forms of one identity restore to the fullest of them; all else comes back to the letter.
            if all(len(identity.forms) == 1 for _, identity in vault.link(text, mentions)):
                assert restored == text
