"""The whole answer as one text that only grows, in whatever order the fragments come and begin again."""

from hypothesis import given, settings
from hypothesis import strategies as st

from peernet.client.merging import BEGUN_AGAIN, MergedAnswer
from privacy.planning import ChatMessage, ExposurePolicy, Plan, merge, plan

LISTED = "1. Write a haiku about rain.\n2. What is a noun?\n3. Name three rivers of Europe."


def planned(text: str = LISTED) -> Plan:
    return plan([ChatMessage("user", text)], [[]], 3, ExposurePolicy())


PLAN = planned()
ALONE = planned("What is a noun?")


@settings(max_examples=100)
@given(st.data())
def test_pieces_in_any_order_are_the_merge(data: st.DataObject) -> None:
    answers = {
        ordinal: data.draw(st.lists(st.text("ab \n", max_size=6), max_size=5))
        for ordinal in range(len(PLAN.fragments))
    }
    waiting = {ordinal: [*pieces, None] for ordinal, pieces in answers.items()}
    merged, shown = MergedAnswer(PLAN), ""
    while waiting:
        ordinal = data.draw(st.sampled_from(sorted(waiting)))
        piece = waiting[ordinal].pop(0)
        shown += merged.finish(ordinal) if piece is None else merged.feed(ordinal, piece)
        if piece is None:
            del waiting[ordinal]
    assert shown == merged.text == merge(PLAN, {ordinal: "".join(pieces) for ordinal, pieces in answers.items()})


def test_the_first_fragment_streams_before_it_is_whole() -> None:
    merged = MergedAnswer(PLAN)
    assert merged.feed(1, "A noun is") == ""
    assert merged.feed(0, "Rain ").endswith("Rain")
    assert merged.feed(0, "falls") == " falls"
    assert merged.finish(0).endswith("A noun is")
    assert merged.feed(1, " a word.") == " a word."


def test_a_lone_answer_passes_untouched() -> None:
    merged = MergedAnswer(ALONE)
    pieces = [" A noun", " is\n", "a word. "]
    assert [merged.feed(0, piece) for piece in pieces] == pieces
    assert merged.finish(0) == ""
    assert merged.text == "".join(pieces)


def test_a_restart_that_says_the_same_is_not_noticed() -> None:
    merged = MergedAnswer(ALONE)
    assert merged.feed(0, "A noun is") == "A noun is"
    merged.restart(0)
    assert [merged.feed(0, piece) for piece in ("A noun", " is", " a word")] == ["", "", " a word"]
    assert merged.finish(0) == ""
    assert merged.text == "A noun is a word"


def test_a_restart_that_says_something_else_is_said() -> None:
    merged = MergedAnswer(ALONE)
    merged.feed(0, "A noun is")
    merged.restart(0)
    assert merged.feed(0, "A noun") == ""
    assert merged.feed(0, " names") == f"{BEGUN_AGAIN}A noun names"
    assert merged.feed(0, " a thing") == " a thing"
    assert merged.text == "A noun names a thing"


def test_a_restart_of_what_waits_leaves_no_trace() -> None:
    merged = MergedAnswer(PLAN)
    merged.feed(1, "void")
    merged.restart(1)
    merged.feed(1, "A word.")
    shown = merged.feed(0, "Rain.") + merged.finish(0)
    assert "A word." in shown
    assert "void" not in shown
    assert BEGUN_AGAIN.strip() not in shown


def test_a_failure_stands_where_the_answer_would_be() -> None:
    merged = MergedAnswer(PLAN)
    shown = merged.feed(0, "Rain fa") + merged.fail(0, "[no answer]")
    for ordinal in (1, 2):
        shown += merged.feed(ordinal, "Yes.") + merged.finish(ordinal)
    assert "Rain fa\n\n[no answer]" in shown
    assert "Rain" not in merged.text
    assert merged.text.count("[no answer]") == 1
    assert merged.text.count("Yes.") == 2


def test_its_repr_shows_no_text() -> None:
    merged = MergedAnswer(ALONE)
    merged.feed(0, "secret")
    assert "secret" not in repr(merged)
