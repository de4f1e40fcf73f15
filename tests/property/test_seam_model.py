"""Going on on another host: whatever the text, wherever it is cut, the two halves are the text without the failure."""

import random
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from peernet.client.seam import MAX_REPEATED, MIN_REPEATED, AnswerText, Seam, prefix_of
from privacy.mention import Mention
from privacy.pseudonyms import Conversation, HostView
from privacy.restoring import restore

PROMPT = "Maria Kowalska and John Smith paid with 4111 1111 1111 1111; write to maria@example.com. ID_Q4 is a code."
MENTIONS = [
    Mention(PROMPT.index(text), PROMPT.index(text) + len(text), label, 1.0, "test")
    for text, label in (
        ("Maria Kowalska", "PERSON"),
        ("John Smith", "PERSON"),
        ("4111 1111 1111 1111", "CREDIT_CARD"),
        ("maria@example.com", "EMAIL"),
    )
]


def two_views(seed: int = 1) -> tuple[HostView, HostView]:
    """Two hosts that were sent the same fragment, each with placeholders of its own."""
    vault = Conversation(random.Random(seed))
    first, second = vault.view("first"), vault.view("second")
    for view in (first, second):
        view.mask(PROMPT, MENTIONS)
    return first, second


FIRST, SECOND = two_views()
NAMES = list(FIRST.mapping())
SPELT = [
    spelling(name)
    for name in NAMES
    for spelling in (
        str,
        str.lower,
        lambda name: name.replace("_", " "),
        lambda name: name.replace("_", "\\_"),
        lambda name: f"**{name}**",
        lambda name: f"{name}'s",
        lambda name: f"{name}1",
        lambda name: name[:-1],
    )
]
OTHERS = [
    " ",
    "  ",
    "\n",
    "\n\n",
    "Dear ",
    ", ",
    ". ",
    "a",
    "PERSON",
    "CREDIT",
    "é",
    "👩‍🚀",
    "住",
    "e\u0301",
    "_",
    "\\",
    "7",
]
TEXTS = st.lists(st.sampled_from([*SPELT, *OTHERS, *OTHERS]), max_size=12).map("".join)


def pieces(text: str, cuts: Sequence[int]) -> list[str]:
    places = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    return [text[start:end] for start, end in pairwise(places)]


def whole_answer(halves: Sequence[tuple[HostView, Sequence[str]]], text: str, writer: HostView) -> str:
    """What is shown of `text` where each host but the last fails after its deltas; all write the same (`text`)."""
    shown, kept = "", ""
    for number, (view, deltas) in enumerate(halves):
        theirs = view.translate(text, writer)
        answer = AnswerText(view.mapping(), kept)
        given_text = prefix_of(kept) or ""
        assert theirs.startswith(given_text)
        rest = theirs.removeprefix(given_text) if given_text else theirs
        if not given_text:
            shown = ""  # nothing to go on from: it starts again
            answer = AnswerText(view.mapping())
        sizes = [len(delta) for delta in deltas]
        place = 0
        for size in sizes:
            shown += answer.feed(rest[place : place + size])
            place += size
        if number + 1 == len(halves):
            shown += answer.feed(rest[place:]) + answer.finish(cut=False)
        else:
            following = halves[number + 1][0]
            kept = following.translate(answer.kept, view)
    return shown


def repeats_itself(text: str) -> bool:
    """Whether the rule about stuttering hosts could take something of `text` for a repetition."""
    return len(text) > 2 * MIN_REPEATED and any(
        text[place : place + MIN_REPEATED] in text[place + MIN_REPEATED :] for place in range(len(text) - MIN_REPEATED)
    )


@settings(max_examples=150, deadline=None)
@given(TEXTS)
@example(f"Dear {NAMES[0]}, thank you. {NAMES[1]} has it.")
@example(f"a{NAMES[0]}")
def test_every_cut_of_an_answer_gives_the_text_without_the_failure(text: str) -> None:
    assume(not repeats_itself(text))
    undisturbed = restore(text, FIRST.mapping())
    assert restore(SECOND.translate(text, FIRST), SECOND.mapping()) == undisturbed
    for cut in range(len(text) + 1):
        for standby in (SECOND, FIRST):  # the first one again is what a broken ring leads to
            assert whole_answer([(FIRST, [text[:cut]]), (standby, [])], text, FIRST) == undisturbed


@settings(max_examples=150, deadline=None)
@given(
    TEXTS,
    st.lists(st.lists(st.integers(0, 40), max_size=5), min_size=2, max_size=4),
    st.lists(st.sampled_from([FIRST, SECOND]), min_size=4, max_size=4),
)
def test_several_failures_and_any_pieces_give_it_too(text: str, cuts: list[list[int]], views: list[HostView]) -> None:
    assume(not repeats_itself(text))
    halves = [(view, ["x" * size for size in sizes]) for view, sizes in zip(views, cuts, strict=False)]
    assert whole_answer(halves, text, FIRST) == restore(text, FIRST.mapping())


@settings(max_examples=100, deadline=None)
@given(TEXTS)
def test_no_original_and_no_placeholder_of_the_first_host_reaches_the_second(text: str) -> None:
    given_text = SECOND.translate(text, FIRST)
    for original in FIRST.mapping().values():
        assert original == "ID_Q4" or original not in given_text
    assert FIRST.translate(given_text, SECOND) == text
    assert restore(given_text, FIRST.mapping()) == given_text


def test_an_identity_that_only_the_first_host_knew_gets_a_name_from_the_second() -> None:
    vault = Conversation(random.Random(2))
    first, second = vault.view("first"), vault.view("second")
    first.mask(PROMPT, MENTIONS)
    second.mask("Ann Lee", [Mention(0, 7, "PERSON", 1.0, "test")])
    maria = next(name for name, form in first.mapping().items() if form == "Maria Kowalska")
    handed = second.translate(f"Dear {maria}", first)
    assert "Maria" not in handed
    assert maria not in handed
    assert restore(handed, second.mapping()) == "Dear Maria Kowalska"


def test_what_only_looks_like_a_placeholder_stays_what_it_is() -> None:
    vault = Conversation(random.Random(3))
    first, second = vault.view("first"), vault.view("second")
    name = first.mask("Ann Lee", [Mention(0, 7, "PERSON", 1.0, "test")]).text
    literal = first.mask(f"What is {name}?", []).text
    second.mask(f"What is {name}?", [])
    assert name not in literal
    assert second.translate(literal, first) == f"What is {name}?"


# --- hosts that repeat -----------------------------------------------------------------------------------------------

SENTENCE = "The cat sat on the mat and looked at the moon."


def joined(kept: str, rest: str, *, by: int = 3, stops: Sequence[str] = ()) -> str:
    seam = Seam(kept, stops)
    shown = "".join(seam.feed(rest[place : place + by]) for place in range(0, len(rest), by))
    return kept + shown + seam.finish()


@pytest.mark.parametrize("by", [1, 3, 1000])
@pytest.mark.parametrize(
    ("kept", "rest", "whole"),
    [
        # The whole of what it was given, its end, a sentence of it, a word cut in two.
        (SENTENCE, f"{SENTENCE} It purred.", f"{SENTENCE} It purred."),
        (f"Once. {SENTENCE}", f" {SENTENCE} It purred.", f"Once. {SENTENCE} It purred."),
        (f"Once. {SENTENCE}\n", f"{SENTENCE}\nIt purred.", f"Once. {SENTENCE}\nIt purred."),
        (SENTENCE[:-3], f"{SENTENCE[4:]} It purred.", f"{SENTENCE} It purred."),
        # Too short, not at the end, not exact, and repeated by the text itself.
        ("Yes, the cat sat on", " the cat sat on it", "Yes, the cat sat on the cat sat on it"),
        (f"{SENTENCE} It purred", f" {SENTENCE}", f"{SENTENCE} It purred {SENTENCE}"),
        (SENTENCE, f" {SENTENCE.replace('moon', 'sun')}", f"{SENTENCE} {SENTENCE.replace('moon', 'sun')}"),
        (f"{SENTENCE} {SENTENCE}", f" {SENTENCE}", f"{SENTENCE} {SENTENCE} {SENTENCE}"),
        (f"{SENTENCE} {SENTENCE}", f" {SENTENCE} {SENTENCE}", " ".join([SENTENCE] * 4)),
        # Spaces are shown once, and other white space is the host's own.
        ("Dear  ", "  all", "Dear  all"),
        ("Dear ", " all", "Dear all"),
        ("Dear ", "\nall", "Dear \nall"),
        ("Dear", " all", "Dear all"),
        ("Dear\n", "\nall", "Dear\n\nall"),
    ],
)
def test_a_repeated_end_is_shown_once_and_no_word_is_lost(kept: str, rest: str, whole: str, by: int) -> None:
    assert joined(kept, rest, by=by) == whole


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.sampled_from(["the ", "cat ", "sat ", "on ", "a ", "mat. ", "\n"]), max_size=60).map("".join),
    st.data(),
)
def test_what_is_left_out_stands_right_before_the_seam(text: str, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(text)))
    kept, rest = text[:cut], text[cut:]
    shown = joined(kept, rest).removeprefix(kept)
    left_out = rest.removesuffix(shown)
    assert left_out + shown == rest
    assert not left_out.strip() or kept.rstrip().endswith(left_out.strip())


def test_the_seam_decides_within_its_bound() -> None:
    kept = " ".join(f"word{number}" for number in range(1000))
    seam = Seam(kept)
    assert seam.feed(kept[-MAX_REPEATED + 1 :][: MAX_REPEATED - 10].lstrip()) == ""
    assert seam.feed("no more of it") != ""
    assert Seam(kept).feed("Something else") == "Something else"


@pytest.mark.parametrize("by", [1, 100])
def test_a_stop_text_across_the_seam_ends_the_answer_there(by: int) -> None:
    assert joined("One. Two. EN", "D and more", by=by, stops=["END"]) == "One. Two. EN"
    assert joined("One. Two. EN", "DURE", by=by, stops=["END."]) == "One. Two. ENDURE"
    assert joined("One. Two. EN", "D", by=by, stops=["ENDS"]) == "One. Two. END"
    seam = Seam("a b", ["b c"])
    assert (seam.feed(" c d"), seam.stopped) == ("", True)
    assert (seam.feed("more"), seam.finish()) == ("", "")


def test_nothing_to_go_on_from() -> None:
    assert prefix_of("") is None
    assert prefix_of(" \n ") is None
    assert prefix_of("Dear  ") == "Dear"
    assert prefix_of("Dear\n") == "Dear\n"


def test_reprs_show_nothing() -> None:
    answer = AnswerText({"PERSON_K7": "Zbigniew"}, "Dear Zofia")
    answer.feed(" PERSON_K7")
    assert (repr(answer), repr(Seam("Dear Zofia"))) == ("<AnswerText>", "<Seam>")
