"""A conversation that was held elsewhere: which host would have had which part of it."""

import pytest

from peernet.client.history import Recalled, conversation_of, recall
from peernet.core.errors import UserError
from privacy.mention import Mention
from privacy.planning import ChatMessage, ExposurePolicy, Level, merge, plan

LISTED = "1. Write a haiku about rain.\n2. What is a noun?\n3. Name three rivers of Europe."
STANDARD = ExposurePolicy()


def said(*turns: str) -> list[ChatMessage]:
    """User and assistant in turn, the user first."""
    return [ChatMessage("assistant" if number % 2 else "user", text) for number, text in enumerate(turns)]


def recalled(
    messages: list[ChatMessage], policy: ExposurePolicy = STANDARD, mentions: list[list[Mention]] | None = None
) -> list[Recalled]:
    return recall(messages, mentions or [[] for _ in messages], 3, policy)


def answers() -> str:
    made = plan(said(LISTED), [[]], 3, STANDARD)
    return merge(made, {0: "Rain falls.", 1: "A noun is a word.\n\nOr a name.", 2: "Rhine, Seine, Po."})


# --- the order of messages -------------------------------------------------------------------------------------------


def test_system_messages_come_first_and_neighbours_of_one_role_are_one() -> None:
    messages = [
        ChatMessage("user", "a"),
        ChatMessage("system", "s"),
        ChatMessage("user", "b"),
        ChatMessage("assistant", "c"),
        ChatMessage("assistant", "d"),
        ChatMessage("user", "e"),
    ]
    assert [(message.role, message.content) for message in conversation_of(messages)] == [
        ("system", "s"),
        ("user", "a\n\nb"),
        ("assistant", "c\n\nd"),
        ("user", "e"),
    ]


@pytest.mark.parametrize("messages", [[], said("a", "b"), [ChatMessage("tool", "a")], [ChatMessage("system", "a")]])
def test_a_conversation_that_cannot_be_answered_is_refused(messages: list[ChatMessage]) -> None:
    with pytest.raises(UserError):
        conversation_of(messages)


# --- recalling -------------------------------------------------------------------------------------------------------


def test_a_turn_that_cannot_be_split_is_one_hosts() -> None:
    (exchange,) = recalled(said("Who wrote Faust?", "Goethe did.", "When?"))
    assert (exchange.slot, exchange.sent.text, exchange.answer.text) == (0, "Who wrote Faust?", "Goethe did.")


def test_of_a_turn_that_would_have_been_split_nobody_gets_more_than_a_part() -> None:
    exchanges = recalled(said(LISTED, answers(), "Thank you. Why?"))
    assert [exchange.slot for exchange in exchanges] == [0, 1, 2]
    assert [exchange.answer.text for exchange in exchanges] == [
        "Rain falls.",
        "A noun is a word.\n\nOr a name.",
        "Rhine, Seine, Po.",
    ]
    for exchange, other in zip(exchanges, ("noun", "rivers", "haiku"), strict=True):
        assert other not in exchange.sent.text


@pytest.mark.parametrize("answer", ["Rain falls. A noun is a word.", ""])
def test_an_answer_without_our_headings_goes_to_nobody(answer: str) -> None:
    assert recalled(said(LISTED, answer, "Why?")) == []


def test_what_the_policy_refuses_goes_to_nobody() -> None:
    messages = said("Who wrote Faust?", "Goethe did.", "When?")
    assert recalled(messages, ExposurePolicy(Level.STRICT)) == []


def test_a_greeting_goes_with_the_first_turn() -> None:
    greeting = ChatMessage("assistant", "Hello, what may I do?")
    exchanges = recalled([greeting, *said("Who wrote Faust?", "Goethe did.", "When?")])
    assert [(exchange.sent.text, exchange.answer.text) for exchange in exchanges] == [
        ("", "Hello, what may I do?"),
        ("Who wrote Faust?", "Goethe did."),
    ]


def test_a_mention_that_a_cut_goes_through_stays_masked_on_both_sides() -> None:
    answer = answers()
    start = answer.index("falls.")
    end = answer.index("A noun is") + len("A noun")
    mentions = [[], [Mention(start, end, "PERSON", 1.0, "test")], []]
    first, second, _ = recalled(said(LISTED, answer, "Why?"), mentions=mentions)
    assert [first.answer.text[m.start : m.end] for m in first.answer.mentions] == ["falls."]
    assert [second.answer.text[m.start : m.end] for m in second.answer.mentions] == ["A noun"]
