"""Realistic names that stand in for those of a text: like them, nobody's, nowhere else, and all put back."""

import copy
import datetime as dt
import ipaddress
import pickle
import random
import re

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from stdnum import iban, luhn

from peernet.core.errors import LocalProtocolError
from privacy import surrogates
from privacy._date_shift import moved
from privacy._names import fold, given_names, surnames
from privacy._spellings import RUN, TAG
from privacy.mention import LABELS, Mention
from privacy.pseudonyms import Conversation, HostView, by_label
from privacy.restoring import Restorer, restore
from tests.unit.test_pseudonyms import marked


def conversation(seed: int = 1) -> Conversation:
    return Conversation(random.Random(seed), style="surrogate")


def sent(text: str, view: HostView | None = None) -> list[str]:
    """What the host is sent for each mention of a marked text, in order."""
    masked = (view or conversation().view("a")).mask(*marked(text))
    return [masked.text[span.start : span.end] for span in masked.spans]


THINGS = [
    ("John Smith", "PERSON"), ("Maria Kowalska", "PERSON"), ("Ludwig van Beethoven", "PERSON"), ("Xi", "PERSON"),
    ("Smith-Jones, Ann", "PERSON"), ("王小明", "PERSON"), ("J. R. Tolkien", "PERSON"), ("bill", "PERSON"),
    ("Paris, France", "LOCATION"), ("OSLO", "LOCATION"), ("Northwind Traders Ltd", "ORGANIZATION"),
    ("IBM", "ORGANIZATION"), ("221 Baker Street, London NW1", "ADDRESS"), ("maria.kowalska@firma.pl", "EMAIL"),
    ("+48 601 234 567", "PHONE"), ("(415) 555-2671", "PHONE"), ("4155552672", "PHONE"), ("0048 22 123 45 67", "PHONE"),
    ("4111 1111 1111 1111", "CREDIT_CARD"), ("PL61 1090 1014 0000 0712 1981 2874", "IBAN"), ("10.1.2.3", "IP_ADDRESS"),
    ("2001:4860::8888", "IP_ADDRESS"), ("https://acme.example/u/42", "URL"), ("078-05-1120", "ID"),
    ("AB-1234/Z", "ID"),
    ("14 March 2026", "DATE_TIME"), ("2026-01-02", "DATE_TIME"), ("1984", "DATE_TIME"), ("May 2001", "DATE_TIME"),
]  # fmt: skip


def test_the_parts_of_a_name_follow_its_parts() -> None:
    text = (
        "[John Smith|PERSON] [John|PERSON] [Smith's|PERSON] MR. [SMITH|PERSON] [J. Smith|PERSON] [Smith, John|PERSON]"
    )
    full, john, smith, capitals, initial, turned = sent(text)
    first, last = full.split()
    assert (john, smith, capitals) == (first, last, last.upper())
    assert (initial, turned) == (f"{first[0]}. {last}", f"{last}, {first}")


def test_the_short_form_of_a_name_is_the_name() -> None:
    full, short, lower = sent("[William Smith|PERSON], [Bill|PERSON], [bill smith|PERSON]")
    assert (short, lower) == (full.split()[0], full.lower())


def test_an_initial_keeps_its_name_when_that_is_told_later() -> None:
    view = conversation().view("a")
    initial = sent("[J. Smith|PERSON]", view)[0]
    assert sent("[John Smith|PERSON]", view)[0].startswith(initial[0])


@pytest.mark.parametrize(
    ("name", "culture", "gender"),
    [
        ("Maria Kowalska", "pl", "f"),
        ("Krzysztof Nowak", "pl", "m"),
        ("Hans Müller", "de", "m"),
        ("Sunita Sharma", "in", "f"),
        ("Emily Johnson", "en", "f"),
        ("Dorota Brzęczyszczykowska", "pl", "f"),
        ("Quorl Zzyx", "en", "n"),
    ],
)
def test_gender_and_culture_stay_plausible(name: str, culture: str, gender: str) -> None:
    for seed in range(5):
        (stands_in,) = (
            Conversation(random.Random(seed), style="surrogate")
            .view("a")
            .mask(name, [Mention(0, len(name), "PERSON", 1.0, "spacy")])
            .placeholders
        )
        first, last = stands_in.split()
        assert first in given_names(culture, gender)
        assert last in surnames(culture, gender)


def test_a_title_tells_the_gender() -> None:
    (last,) = sent("Pani [Kowalska|PERSON]")
    assert last in surnames("pl", "f")


def read(text: str, shape: str) -> dt.date:
    return dt.datetime.strptime(text, shape).replace(tzinfo=dt.UTC).date()


DAYS = st.dates(dt.date(1900, 1, 1), dt.date(2099, 12, 31))
FORMATS = ["%Y-%m-%d", "%d %B %Y", "%B %d, %Y", "%d.%m.%Y", "%A, %d %B %Y", "%d %b %Y", "%Y-%m-%dT14:30"]


@settings(max_examples=100, deadline=None)
@given(DAYS, DAYS, st.sampled_from(FORMATS), st.integers(-120, 120))
def test_dates_keep_order_distance_weekday_and_format(one: dt.date, other: dt.date, shape: str, weeks: int) -> None:
    # Which of May is the short form, nobody can tell.
    assume("%b" not in shape or 5 not in {one.month, other.month})
    dates = [moved(day.strftime(shape), weeks) for day in (one, other)]
    assert dates[0] is not None
    assert dates[1] is not None
    new = [read(date.text, shape) for date in dates if date is not None]
    assert new[0] - new[1] == one - other
    assert new[0].strftime("%A") == one.strftime("%A")
    assert new[0] == one + dt.timedelta(weeks=weeks)


@settings(max_examples=100, deadline=None)
@given(st.integers(1900 * 12, 2100 * 12), st.integers(1, 60), st.integers(-120, 120))
def test_months_stay_as_far_apart(month: int, later: int, weeks: int) -> None:
    def moved_month(number: int) -> int:
        date = moved(dt.date(number // 12, number % 12 + 1, 1).strftime("%B %Y"), weeks)
        assert date is not None
        new = read(date.text, "%B %Y")
        return new.year * 12 + new.month

    assert moved_month(month + later) - moved_month(month) == later


@pytest.mark.parametrize(
    "form", ["1984", "31 February 2020", "14 March", "last May 2001 or so", "2026-13-45", "0001-01-01"]
)
def test_what_is_no_whole_date_is_not_moved(form: str) -> None:
    assert moved(form, -60) is None


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(THINGS), min_size=1, max_size=8, unique=True), st.integers(0, 999))
def test_what_stands_in_is_nowhere_else(things: list[tuple[str, str]], seed: int) -> None:
    """Neither in the text, nor for another thing, nor at another host."""
    text, mentions = marked("Ask Peter about " + ", ".join(f"[{form}|{label}]" for form, label in things))
    vault = conversation(seed)
    views = [vault.view(host) for host in "abc"]
    masked = [view.mask(text, mentions).placeholders for view in views]
    assert len({name for names in masked for name in names}) == 3 * len(masked[0])
    shown = set(map(fold, RUN.findall(text)))
    for name in (name for names in masked for name in names):
        assert not set(map(fold, RUN.findall(name))) <= shown
    # Of names not a single word is common to two hosts.
    people = [
        {fold(word) for name in names if not TAG.fullmatch(name) for word in re.findall(r"[^\W\d_]{3,}", name)}
        for names, label in zip(masked, "abc", strict=True)
        if all(thing[1] == "PERSON" for thing in things)
    ]
    kept = {"van"}
    assert all(not (one & other) - kept for one in people for other in people if one is not other)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(THINGS), min_size=1, max_size=10, unique=True), st.integers(0, 999), st.data())
def test_a_masked_text_comes_back_to_the_letter(things: list[tuple[str, str]], seed: int, data: st.DataObject) -> None:
    text, mentions = marked("; ".join(f"[{form}|{label}]" for form, label in things) + ".")
    vault = conversation(seed)
    first, second = vault.view("a"), vault.view("b")
    masked = first.mask(text, mentions).text
    assert all(form not in masked for form, _ in things)
    cut = data.draw(st.integers(0, len(masked)))
    restorer = Restorer(first.mapping())
    assert restorer.feed(masked[:cut]) + restorer.feed(masked[cut:]) + restorer.finish() == text
    handed = second.translate(masked, first)
    assert restore(handed, second.mapping()) == text
    assert all(form not in handed for form, _ in things)


def test_answers_are_restored_part_by_part() -> None:
    view = conversation().view("a")
    name, company, date = sent(
        "[John Smith|PERSON] of [Northwind Traders Ltd|ORGANIZATION], [14 March 2026|DATE_TIME]", view
    )
    first, last = name.split()
    stem = company.split()[0]
    new = read(date, "%d %B %Y")
    answers = {
        f"Dear {first}, Mr. {last}'s, {last.upper()}": "Dear John, Mr. Smith's, SMITH",
        f"{first[0]}. {last} and {last}, {first}": "J. Smith and Smith, John",
        f"**{first.upper()} {last.upper()}**": "**JOHN SMITH**",
        f"{stem}'s and {company.removesuffix(' Ltd')}": "Northwind Traders's and Northwind Traders",
        f"on {new.isoformat()} or {new:%B} {new.day}, {new.year}": "on 2026-03-14 or March 14, 2026",
        f"{first.lower()} {last.lower()}": f"{first.lower()} {last.lower()}",
    }
    for answer, meant in answers.items():
        assert restore(answer, view.mapping()) == meant


def test_a_name_that_the_user_writes_later_is_not_taken_for_the_surrogate() -> None:
    view = conversation().view("a")
    (name,) = sent("[John Smith|PERSON]", view)
    first = name.split()[0]
    text = f"Who is {first}? Not [John|PERSON]."
    masked = view.mask(*marked(text))
    assert restore(masked.text, view.mapping()) == marked(text)[0]
    assert masked.text.count(first) == 1


def test_what_reaches_somebody_is_never_made() -> None:
    for seed in range(40):
        view = conversation(seed).view("a")
        card, account, four, six, mail, web, number, abroad, social = sent(
            "[4111 1111 1111 1111|CREDIT_CARD] [PL61109010140000071219812874|IBAN] [10.1.2.3|IP_ADDRESS] "
            "[2001:4860::8888|IP_ADDRESS] [x.y@firma.pl|EMAIL] [https://firma.pl/a|URL] [(415) 555-2671|PHONE] "
            "[+48 601 234 567|PHONE] [078-05-1120|ID]",
            view,
        )
        assert not luhn.is_valid(card.replace(" ", ""))
        assert not iban.is_valid(account)
        documentation = ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")
        nets = [ipaddress.ip_network(net) for net in documentation]
        assert all(any(ipaddress.ip_address(ip) in net for net in nets) for ip in (four, six))
        assert re.search(r"@example\.(?:com|net|org)$", mail)
        assert re.match(r"https://\w+\.example\.(?:com|net|org)/\w+$", web)
        assert re.fullmatch(r"\d{3}\) 555-01\d\d", number)
        assert re.fullmatch(r"1 \d{3} 555 01\d\d", abroad)
        assert social.startswith("666-")


@pytest.mark.parametrize(
    ("form", "label"),
    [
        ("王小明", "PERSON"),
        ("Иван", "PERSON"),
        ("A7", "ID"),
        ("1984", "DATE_TIME"),
        ("10.1.2.3/24", "IP_ADDRESS"),
        ("x", "X"),
    ],
)
def test_what_cannot_be_replaced_gets_a_tag(form: str, label: str) -> None:
    (name,) = sent(f"[{form}|{label}]")
    assert TAG.fullmatch(name)


def test_a_label_that_nobody_has_heard_of_gets_a_tag() -> None:
    assert TAG.fullmatch(sent("[something 12345|BADGE]")[0])


def test_every_label_has_a_surrogate_but_those_whose_numbers_say_nothing() -> None:
    tags = {"SECRET", "CRYPTO_ADDRESS", "COORDINATES", "NATIONAL_ID", "MAC_ADDRESS", "VEHICLE_PLATE"}
    found = {label for form, label in THINGS if not TAG.fullmatch(sent(f"[{form}|{label}]")[0])}
    assert found == set(LABELS) - tags
    assert all(TAG.fullmatch(sent(f"[AB 12 CD|{label}]")[0]) for label in tags)


def test_lists_that_are_used_up_end_in_tags(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surrogates, "_places", lambda: ("Aldermoor", "Belmarsh"))
    one, other, third = sent("[Paris|LOCATION], [Oslo|LOCATION], [Rome|LOCATION]")
    assert {one, other} == {"Aldermoor", "Belmarsh"}
    assert TAG.fullmatch(third)


@pytest.mark.parametrize("seed", range(6))
def test_no_word_of_the_text_stands_in_and_none_twice(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surrogates, "_places", lambda: ("Aldermoor", "Belmarsh", "Dunhaven"))
    vault = conversation(seed)
    text = "[Paris|LOCATION] is not ALDERMOOR"
    assert {*sent(text, vault.view("a")), *sent(text, vault.view("b"))} == {"Belmarsh", "Dunhaven"}
    assert TAG.fullmatch(sent(text, vault.view("c"))[0])


def test_hundreds_of_people_come_back() -> None:
    names = [f"{first} {last}" for first in ("Ann", "Bob", "Cid") for last in ("Qaa", "Qbb", "Qcc", "Qdd")]
    names += [f"P{chr(97 + n // 26)}{chr(97 + n % 26)}x Z{chr(97 + n % 26)}{chr(97 + n // 26)}q" for n in range(300)]
    text, mentions = marked(", ".join(f"[{name}|PERSON]" for name in names))
    view = conversation().view("a")
    masked = view.mask(text, mentions)
    assert any(TAG.fullmatch(name) for name in masked.placeholders)
    assert restore(masked.text, view.mapping()) == text


def test_the_receipt_counts_nothing_that_stands_in() -> None:
    vault = conversation()
    view = vault.view("a")
    text, mentions = marked("[John Smith|PERSON] met [Ann Lee|PERSON] in [Oslo|LOCATION] with [John|PERSON]")
    masked = view.mask(text, mentions)
    assert by_label(view.masked_in([masked.text])) == masked.labels == {"PERSON": 2, "LOCATION": 1}
    assert len(view.identities_in_clear([masked.text])) == 0
    assert len(view.identities_in_clear([masked.text, "Ann Lee"])) == 1


def test_a_surrogate_that_turns_up_as_a_name_is_no_name_in_clear() -> None:
    vault = conversation()
    view = vault.view("a")
    masked = view.mask(*marked("[John|PERSON]"))
    vault.link(*marked(f"[{masked.text}|PERSON]"))
    assert len(view.identities_in_clear([masked.text])) == 0


def test_surrogates_are_never_printed_pickled_or_copied_and_are_wiped() -> None:
    vault = conversation()
    view = vault.view("a")
    masked = view.mask(*marked("[Zbigniew Nowak|PERSON] [J. Lee|PERSON] [Oslo|LOCATION] [14 March 2026|DATE_TIME]"))
    hidden = [*view.mapping(), *view.mapping().values()]
    inner = view._surrogates
    assert inner is not None
    held = [inner, inner._spent, *inner._whole.values()]
    for thing in (vault, view, masked, *held):
        assert not any(name in repr(thing) for name in hidden)
    for thing in (vault, view):
        for way in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match="stays in memory"):
                way(thing)
    for thing in (inner, inner._spent):
        for way in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match="stays in memory"):
                way(thing)
    vault.wipe()
    left = [value for thing in (vault, view, inner, inner._spent) for value in vars(thing).values()]
    assert not any(value for value in left if isinstance(value, dict | set | list | str))
    with pytest.raises(LocalProtocolError, match="wiped"):
        view.mask("", [])


def test_the_conversation_has_one_of_two_styles() -> None:
    with pytest.raises(LocalProtocolError, match="emoji"):
        Conversation(random.Random(1), style="emoji")  # type: ignore[arg-type]


@pytest.mark.parametrize("before", ["", "form_", "pre-", "d'"])
def test_an_initial_behind_a_mark_that_joins_comes_back(before: str) -> None:
    text, mentions = marked(f"See {before}[J. Smith|PERSON] and {before}[K|PERSON].")
    view = conversation().view("a")
    masked = view.mask(text, mentions)
    assert "J." not in masked.text
    assert restore(masked.text, view.mapping()) == text


def test_what_another_host_wrote_behind_a_mark_that_joins_comes_back() -> None:
    vault = conversation()
    writer, reader = vault.view("a"), vault.view("b")
    masked = writer.mask(*marked("see form_[J. Smith|PERSON]"))
    assert masked.text.startswith("see form_PERSON_")
    handed = reader.translate(masked.text, writer)
    assert restore(handed, reader.mapping()) == "see form_J. Smith"


@settings(max_examples=40, deadline=None)
@example("_a", "PERSON", 1)
@example("_¼", "PERSON", 1)
@given(st.text(max_size=30), st.sampled_from(LABELS), st.integers(0, 99))
def test_any_text_can_be_a_mention(form: str, label: str, seed: int) -> None:
    assume(form.strip())
    text = f"<{form}>"
    view = conversation(seed).view("a")
    masked = view.mask(text, [Mention(1, 1 + len(form), label, 1.0, "spacy")])
    assert restore(masked.text, view.mapping()) == text
