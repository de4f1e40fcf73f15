"""P3: one instruction over a long text goes to several hosts, a run of whole paragraphs, records or lines each."""

import re
import time
from itertools import pairwise

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from privacy.exposure import share
from privacy.mention import Mention
from privacy.planning import (
    GLUE,
    MAX_FRAGMENTS,
    ChatMessage,
    ExposurePolicy,
    History,
    Level,
    Merger,
    Plan,
    PlanRefused,
    merge,
    plan,
)

pytestmark = pytest.mark.usefixtures("rules_alone")

STRICT = ExposurePolicy(Level.STRICT)
PARAGRAPHS = [
    "The ferry left at six, half empty, with a smell of diesel and oranges on the lower deck. Nobody spoke.",
    "By noon the coast was a pencil line. My aunt had found a priest to quarrel with, and was happy.",
    "A boy sold us water that had been in the sun. We drank it all the same, and my uncle sang for the price.",
    "Then the engine stopped. It is strange how loud the sea is when nothing else is, and how slowly it moves.",
    "We were towed into a harbour whose name I could not read. The café at its end is where I met your mother.",
]
REVIEWS = [
    "The soup was cold, but the waiter brought another bowl at once.",
    "Never again. We waited an hour for two salads.",
    "Best dumplings this side of the river, and cheap.",
    "Too loud to talk, too dark to read the menu.",
    "My mother wants to go back tomorrow, which says it all.",
    "The bill was wrong, in our favour, and they let us keep it.",
]
PROSE = "\n\n".join(PARAGRAPHS)
LIST = "\n".join(f"- {review}" for review in REVIEWS)


def planned(text: str, hosts: int = 8, policy: ExposurePolicy | None = None, mentions: list[Mention] | None = None):
    return plan([ChatMessage("user", text)], [mentions or []], hosts, policy or ExposurePolicy())


def runs(made: Plan, text: str) -> list[str]:
    """What each fragment has of the text, without the instruction."""
    found = []
    for fragment in made.fragments:
        shared = {place for piece in fragment.context for place in range(piece.start, piece.end)}
        places = [p for piece in fragment.prompt.pieces for p in range(piece.start, piece.end) if p not in shared]
        found.append("".join(text[place] for place in places).strip())
    return found


# What is asked, with the text in it, and what may not be cut of it.
SPLIT = {
    "a translation": (f"Translate the following text into German:\n\n{PROSE}", PARAGRAPHS),
    "behind the text": (f"{PROSE}\n\nPlease translate the text above into Polish.", PARAGRAPHS),
    "without a colon": (f"Can you proofread this for me?\n\n{PROSE}", PARAGRAPHS),
    "with remarks": (f"Rewrite this text in plain English. Keep the names.\n\n{PROSE}", PARAGRAPHS),
    "around the text": (
        f"Here are this week's reviews:\n\n{LIST}\n\nFor each of them, write a reply of one line.",
        LIST.split("\n"),
    ),
    "a fence": (f"Correct the spelling:\n```\n{PROSE}\n```", PARAGRAPHS),
    "quotation marks of programmers": (f'Correct the spelling:\n"""\n{PROSE}\n"""', PARAGRAPHS),
    "a rule before it": (f"Correct the spelling of this text.\n\n---\n\n{PROSE}", PARAGRAPHS),
    "labels, and what there is to choose from": (
        f"Label these reviews with one of:\n- food\n- service\n- other\n\nReviews:\n{LIST}",
        LIST.split("\n"),
    ),
    "an extraction": (f"Extract all names and dates from this text:\n\n{PROSE}", PARAGRAPHS),
    "a question whose answer is in one place": (f"Which of these reviews mention prices?\n{LIST}", LIST.split("\n")),
    "titles": (
        "Summarise each section in a sentence.\n\n"
        + "\n\n".join(f"## Day {number}\n{paragraph}" for number, paragraph in enumerate(PARAGRAPHS, start=1)),
        [f"## Day {number}\n{paragraph}" for number, paragraph in enumerate(PARAGRAPHS, start=1)],
    ),
    "messages behind rules": (
        "Write a short answer to each of these e-mails.\n\n"
        + "\n\n---\n\n".join(f"From: Nr {number}\n\n{paragraph}" for number, paragraph in enumerate(PARAGRAPHS)),
        [f"From: Nr {number}\n\n{paragraph}" for number, paragraph in enumerate(PARAGRAPHS)],
    ),
    "items of several lines": (
        "Translate each entry into French.\n\n"
        + "\n".join(f"* {review}\n  - seen by Ann\n  - not answered" for review in REVIEWS),
        [f"* {review}\n  - seen by Ann\n  - not answered" for review in REVIEWS],
    ),
    "a log": (
        "Classify each line as harmless or urgent:\n\n"
        + "\n".join(f"2024-05-01 10:0{n}:00 INFO job {n} was done by worker {n}" for n in range(8)),
        [f"2024-05-01 10:0{n}:00 INFO job {n} was done by worker {n}" for n in range(8)],
    ),
    "code within prose": (
        f"Translate this guide into Danish:\n\n{PROSE}\n\n```\nmake boat\n\nmake sea\n```\n\nThat is all.",
        [*PARAGRAPHS, "```\nmake boat\n\nmake sea\n```"],
    ),
    "another language": (f"Übersetze den folgenden Text ins Englische:\n\n{PROSE}", PARAGRAPHS),
}


@pytest.mark.parametrize("name", SPLIT)
def test_every_host_gets_the_instruction_and_a_run_of_whole_parts(name: str) -> None:
    text, parts = SPLIT[name]
    made = planned(text, policy=STRICT)
    assert made.mode == "shards"
    assert len({fragment.slot for fragment in made.fragments}) == len(made.fragments) >= 3
    found = runs(made, text)
    for part in parts:
        assert sum(part in run for run in found) == 1, part
    assert len({fragment.context for fragment in made.fragments}) == 1
    for fragment in made.fragments:
        assert fragment.prompt.text == GLUE.join(text[p.start : p.end] for p in fragment.prompt.pieces)
        assert fragment.share == pytest.approx(share(text, [fragment.prompt.text], ()))
    assert made.largest_share <= 0.5


@pytest.mark.parametrize("name", SPLIT)
def test_a_plan_of_shards_says_why_without_a_word_of_the_text(name: str) -> None:
    made = planned(SPLIT[name][0])
    assert re.fullmatch(r"one instruction over \d+ (?:paragraphs|lines|sections), in \d runs", made.reason)
    assert any("a part of the text" in notice for notice in made.notices)


WHOLE = {
    "a comparison": f"Compare these reviews:\n\n{LIST}",
    "the best of all": f"Which of these reviews is the most useful?\n{LIST}",
    "a ranking": f"Rank the following reviews by how friendly they are:\n{LIST}",
    "a count": f"How many of these reviews are positive?\n\n{LIST}",
    "a mapping and a count": f"Label each review as good or bad, and count the bad ones:\n{LIST}",
    "a conclusion": f"Read these reviews and give me one overall conclusion.\n\n{LIST}",
    "a summary of all": f"Summarise the following text:\n\n{PROSE}",
    "a length for all of it": f"Rewrite this text in 80 words:\n\n{PROSE}",
    "in order": f"Extract all events of this text in chronological order:\n\n{PROSE}",
    "without repetition": f"List all unique places in this text:\n\n{PROSE}",
    "one document": f"Extract the names in this text as JSON:\n\n{PROSE}",
    "what comes next": f"Continue this story:\n\n{PROSE}",
    "a verdict": f"Rate this essay:\n\n{PROSE}",
    "one of the tasks needs all": f"Translate this text into German and suggest a title for it:\n\n{PROSE}",
    "a poem": f"Translate this poem into French:\n\n{PROSE}",
    "a question about the text": f"Why did they not drink their own water, according to this text?\n\n{PROSE}",
    "a question behind the text": f"{PROSE}\n\nWho is the hero of this story?",
    "code": "Translate the comments below into German:\n\n"
    + "\n".join(f"let total{n} = price{n} * {n}; print('the price of number {n}, and no more');" for n in range(9)),
    "too short": "Translate this text into German:\n\nThe cat sat.\n\nThe dog ran.\n\nThe bird sang.",
    "mostly instruction": "Label each line as a, b or c, where a is for animals that live on land, b for birds of any"
    " size that can fly, and c for whatever swims, dives or floats in rivers, lakes and seas:\n"
    "- a cow in a field with two more of the kind\n- an owl at night that no one has seen\n"
    "- a trout in a brook behind the old mill\n- a swan on a pond in the park",
}


@pytest.mark.parametrize("name", WHOLE)
def test_what_needs_the_text_at_once_goes_whole_and_never_under_strict(name: str) -> None:
    made = planned(WHOLE[name])
    assert (made.mode, len(made.fragments), made.why_shards) == ("whole", 1, "")
    assert made.why_whole
    with pytest.raises(PlanRefused, match="cannot be split"):
        planned(WHOLE[name], policy=STRICT)


def test_a_text_is_not_searched_for_tasks_when_one_thing_is_asked_of_it() -> None:
    letter = "Dear Tom,\n\nplease book a room. What does it cost?\n\nTell me when you are back. Where is the key?\n\n"
    made = planned(f"Is this letter polite?\n\n{letter * 3}")
    assert (made.mode, made.why_whole) == ("whole", "needs_all")


def test_another_task_behind_the_text_is_no_part_of_it() -> None:
    text = f"Translate this text into German:\n\n{PROSE}\n\nAlso, who wrote Emma?"
    assert planned(text).mode != "shards"


def test_a_list_of_tasks_is_not_a_text() -> None:
    text = (
        "1. Write a haiku about rain.\n2. Write a limerick about Dublin.\n3. Explain what a sonnet is to a child.\n\n"
    )
    made = planned(f"{text}Translate each of them into Polish.")
    assert made.mode == "tasks" or made.why_whole == "dependent"


def test_nothing_is_cut_inside_a_mention() -> None:
    text = f"Translate the following text into German:\n\n{PROSE}"
    start, end = text.index("the price"), text.index("Then the engine") + 4
    made = planned(text, mentions=[Mention(start, end, "ADDRESS", 1.0, "test")])
    assert sum(text[start:end] in fragment.prompt.text for fragment in made.fragments) == 1
    assert [f.prompt.text[m.start : m.end] for f in made.fragments for m in f.prompt.mentions] == [text[start:end]]


def test_a_long_paragraph_is_cut_between_its_sentences() -> None:
    made = planned(f"Proofread this text:\n\n{' '.join(PARAGRAPHS)}")
    assert made.mode == "shards"
    assert "sentences" in made.reason
    assert all(fragment.prompt.text.endswith(".") for fragment in made.fragments)


def test_lines_that_a_typewriter_broke_are_no_pieces() -> None:
    wrapped = "\n\n".join(
        "the ferry left at six, half empty, with a smell of\ndiesel and of oranges on the lower deck of the ship\n"
        f"and nobody spoke a word until the bell number {n}"
        for n in range(5)
    )
    made = planned(f"Translate this text into German:\n\n{wrapped}")
    assert made.mode == "shards"
    assert all(fragment.prompt.text.rstrip().endswith(tuple("01234")) for fragment in made.fragments)


# --- shares and hosts


def test_fewer_hosts_get_more_and_the_plan_says_so() -> None:
    text = f"Translate the following text into German:\n\n{PROSE}"
    made = planned(text, hosts=2)
    assert {fragment.slot for fragment in made.fragments} == {0, 1}
    assert made.exceeds_max_share
    assert any("more than the policy's share" in notice for notice in made.notices)
    with pytest.raises(PlanRefused, match="allows 50%"):
        planned(text, hosts=2, policy=STRICT)
    with pytest.raises(PlanRefused, match="'open'"):
        planned(text, hosts=1)
    assert planned(text, policy=ExposurePolicy(Level.OPEN)).why_whole == "open"


@pytest.mark.parametrize("max_share", [0.2, 0.15, 0.1])
def test_a_smaller_share_takes_more_hosts(max_share: float) -> None:
    text = "Translate the following text into German:\n\n" + "\n\n".join(
        f"Paragraph number{n} speaks of thing{n}, and of place{n}, but hardly of word{n} or name{n}."
        for n in range(60)
    )
    made = planned(text, hosts=40, policy=ExposurePolicy(Level.STRICT, max_share))
    assert made.largest_share <= max_share
    assert len(made.fragments) >= 1 / max_share


def test_runs_are_balanced() -> None:
    text = "Translate the following text into German:\n\n" + "\n\n".join([*PARAGRAPHS, *PARAGRAPHS, *PARAGRAPHS])
    sizes = [len(run) for run in runs(planned(text), text)]
    assert max(sizes) < 1.5 * min(sizes)


def test_a_very_long_text_has_many_runs_dealt_out_evenly() -> None:
    made = planned("Translate this text into German:\n\n" + f"{PROSE}\n\n" * 500, hosts=5)
    assert len(made.fragments) == MAX_FRAGMENTS or len(made.fragments) > 10
    held = [sum(fragment.slot == slot for fragment in made.fragments) for slot in range(5)]
    assert max(held) - min(held) <= 1


def test_a_later_text_goes_to_the_same_slots() -> None:
    history = History()
    for slot in range(5):
        history.record(slot, "Translate", "Übersetze")
    text = f"Translate the following text into German:\n\n{PROSE}"
    messages = [ChatMessage("user", text), ChatMessage("assistant", "..."), ChatMessage("user", text)]
    made = plan(messages, [(), (), ()], 8, ExposurePolicy(), history)
    assert [fragment.slot for fragment in made.fragments] == list(range(len(made.fragments)))


# --- merging


def test_a_mapping_is_joined_by_what_stood_between() -> None:
    text = f"Translate this text into German:\n\n{PARAGRAPHS[0]}\n\n\n{PARAGRAPHS[1]}\n\n---\n\n" + "\n\n".join(
        PARAGRAPHS[2:]
    )
    made = planned(text)
    assert merge(made, {n: f" Teil {n}\n" for n in range(5)}) == (
        "Teil 0\n\n\nTeil 1\n\n---\n\nTeil 2\n\nTeil 3\n\nTeil 4"
    )


def test_an_extraction_is_one_list() -> None:
    made = planned(f"Extract all names and dates from this text:\n\n{PROSE}")
    assert made.structure == "list"
    assert merge(made, {n: f"- Ann {n}\n" for n in range(5)}) == "\n".join(f"- Ann {n}" for n in range(5))


def test_summaries_stand_under_the_titles_of_their_sections() -> None:
    made = planned(SPLIT["titles"][0])
    shown = merge(made, {n: f"Short {n}." for n in range(5)})
    assert shown == "\n\n".join(f"**Day {n + 1}**\n\nShort {n}." for n in range(5))


TABLE = "| dish | price | note |\n|---|:--:|---|\n" + "\n".join(
    f"| plate {n} | {n} euros | served with bread and number {n} |" for n in range(12)
)


def test_the_header_of_a_table_goes_to_all_and_is_shown_once() -> None:
    text = f"Translate the notes in this table into French:\n\n{TABLE}"
    made = planned(text)
    assert all("| dish | price | note |\n|---|:--:|---|" in fragment.prompt.text for fragment in made.fragments)
    assert not any("dish" in run for run in runs(made, text))
    header = "| plat | prix | note |\n|---|---|---|\n"
    rows = runs(made, text)
    merged = merge(made, {n: header + rows[n] for n in range(len(rows))})
    assert merged == header + TABLE.split("\n", 2)[2]
    # A host that leaves the header out, or says something first, loses nothing.
    bare = merge(made, {n: rows[n] if n else header + rows[0] for n in range(len(rows))})
    assert bare == merged
    said = merge(made, {n: f"Part {n}:\nrow {n}" for n in range(len(rows))})
    assert said == "\n".join(f"Part {n}:\nrow {n}" for n in range(len(rows)))


def test_empty_lines_before_a_header_count_for_nothing() -> None:
    made = planned(f"Translate the notes in this table into French:\n\n{TABLE}")
    header, last = "| a | b |\n| c | d |", len(made.fragments) - 1
    answers = {fragment.ordinal: "" for fragment in made.fragments} | {
        0: f"\n\n\n{header}\none",
        last: f"{header}\ntwo",
    }
    merger, shown = Merger(made), ""
    for ordinal, answer in answers.items():
        shown += "".join(merger.feed(ordinal, character) for character in answer) + merger.finish(ordinal)
    assert shown == merge(made, answers) == f"{header}\none\ntwo"


@settings(max_examples=60)
@given(st.data())
def test_a_table_streams_as_it_is_merged(data: st.DataObject) -> None:
    made = planned(f"Translate the notes in this table into French:\n\n{TABLE}")
    lines = st.lists(st.sampled_from(["| a | b |", "|---|---|", "", "row", " "]), max_size=5)
    answers = {fragment.ordinal: "\n".join(data.draw(lines)) for fragment in made.fragments}
    merger, shown = Merger(made), ""
    for ordinal in data.draw(st.permutations(sorted(answers))):
        for piece in re.findall(r"(?s).{1,3}", answers[ordinal]):
            shown += merger.feed(ordinal, piece)
        shown += merger.finish(ordinal)
    assert shown == merge(made, answers)


WORDS = st.lists(
    st.sampled_from(["sea", "boat", "night", "ran", "said", "Ann.", "(no)", '"yes"', "3.5", "e.g.", "Mr.", "—", "×"]),
    min_size=8,
    max_size=16,
)
BLOCKS = st.one_of(
    WORDS.map(" ".join),
    st.lists(WORDS.map(" ".join), min_size=2, max_size=4).map("\n".join),
    st.lists(WORDS.map(lambda words: "- " + " ".join(words)), min_size=2, max_size=4).map("\n".join),
    st.lists(WORDS.map(lambda words: "  * " + " ".join(words)), min_size=2, max_size=3).map("\n".join),
    WORDS.map(lambda words: "```\n" + "\n\n".join(words[:4]) + "\n```"),
    WORDS.map(lambda words: "## " + " ".join(words)),
    WORDS.map(lambda words: "| " + " | ".join(words) + " |"),
    WORDS.map(lambda words: "> " + " ".join(words)),
)
GAPS = st.sampled_from(["\n\n", "\n\n\n", "\n \n", "\n\n---\n\n", "\n", "\r\n\r\n"])


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(BLOCKS, GAPS), min_size=4, max_size=14), st.integers(2, 9), st.booleans())
def test_runs_cover_the_text_once_in_order_and_identity_gives_it_back(
    blocks: list[tuple[str, str]], hosts: int, each: bool
) -> None:
    material = "".join(block + gap for block, gap in blocks).strip()
    task = "Translate each paragraph into German:" if each else "Translate the following text into German:"
    text = f"{task}\n\n{material}"
    made = planned(text, hosts)
    assume(made.mode == "shards")
    assume(not any(fragment.repeated_lines for fragment in made.fragments))
    spans = []
    for fragment in made.fragments:
        (shared,) = fragment.context
        assert shared.start == 0
        rest = fragment.prompt.pieces[-1]
        spans.append((max(rest.start, shared.end), rest.end))
    assert all(before[1] <= after[0] for before, after in pairwise(spans))
    place = len(task)
    for start, end in [*spans, (len(text), len(text))]:
        assert not re.sub(r"(?m)^[ \t>]*(?:-{3,})?[ \t\r]*$", "", text[place:start]).strip()
        place = end
    answers = {fragment.ordinal: text[start:end] for fragment, (start, end) in zip(made.fragments, spans, strict=True)}
    whole = merge(made, answers)
    assert whole in material
    assert not re.sub(r"(?m)^[ \t>]*(?:-{3,})?[ \t\r]*$", "", material.replace(whole, "", 1)).strip()


# --- hostile input

MEGABYTE = 1_000_000
HOSTILE = {
    "one line": ("Proofread this text:\n", "The cat sat on the mat, and nobody knew why. "),
    "newlines": ("Translate this text:\n", "\n"),
    "fences that nothing closes": ("Translate this guide:\n", "```\n~~~\n"),
    "ragged tables": ("Translate each row:\n| a | b |\n|---|---|\n", "| x\n| a | b | c | d |\n|\n"),
}
LESS_HOSTILE = {
    "one word": ("Proofread this text: ", "a"),
    "short lines": ("Classify each line:\n", "ab cd\n"),
    "a fence that nothing closes": ("Translate this guide:\n\n```\n", "line of text\n\n"),
    "commas": ("Translate each row:\nname,what,why\n", "a,b,c\n,,,,,,\nx\n"),
    "quotation marks": ("Proofread this text:\n", "“"),
    "stops": ("Translate this text:\n", ". A"),
    "items": ("Translate this text:\n\n", "1. "),
    "titles": ("Summarise each section:\n\n", "## x\n"),
    "rules": ("Summarise each section:\n\n", "---\nx\n"),
    "deeper and deeper": ("Translate this text:\n", "".join(" " * n + "- x\n" for n in range(60))),
    "no instruction": ("", f"{PROSE}\n\n"),
    "an instruction without end": ("", "Translate "),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_megabyte_is_planned_in_seconds(name: str) -> None:
    instruction, again = HOSTILE[name]
    assert planned_in_s(instruction, again, MEGABYTE) < 8


SIZES = (MEGABYTE // 10, MEGABYTE // 5)


@pytest.mark.parametrize("name", LESS_HOSTILE)
def test_twice_the_text_takes_not_much_more_than_twice_the_time(name: str) -> None:
    instruction, again = LESS_HOSTILE[name]
    planned_in_s(instruction, again, 1000)

    def grows_little() -> bool:
        once_s, twice_s = (planned_in_s(instruction, again, size) for size in SIZES)
        return twice_s < 0.5 + 3 * once_s

    # A busy machine's caches cost CPU time, too; what is quadratic is so each time.
    assert any(grows_little() for _ in range(3))


def planned_in_s(instruction: str, again: str, size: int) -> float:
    """The CPU time of planning a text of so many characters, which is `again` and again."""
    text = instruction + again * (size // len(again)) + "end"
    began = time.process_time()
    made = planned(text)
    spent_s = time.process_time() - began
    assert made.mode in {"shards", "whole"}
    assert len(made.fragments) <= MAX_FRAGMENTS
    return spent_s


LINES = [
    "Translate this text:",
    "```",
    '"""',
    "~~~",
    "> q",
    "- i",
    "1. x",
    "## t",
    "---",
    "",
    " ",
    "a, b, c",
    "Hello.",
]


@settings(max_examples=80, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            ["| a | b |", "|---|", "word " * 30, "\t", "From: x", "Label each of these:", "Which of these?", *LINES]
        ),
        max_size=25,
    )
)  # fmt: skip
def test_whatever_the_lines_a_plan_is_made_of_ranges_of_the_text(lines: list[str]) -> None:
    text = "\n".join(lines)
    made = planned(text)
    for fragment in made.fragments:
        assert fragment.prompt.text == GLUE.join(text[p.start : p.end] for p in fragment.prompt.pieces)
