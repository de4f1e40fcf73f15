"""Conversations that go on are known again by what was said; others are not, and none stays for long."""

from collections.abc import Sequence

import pytest

from peernet.gateway.conversations import Conversations
from privacy.planning import ChatMessage

HELLO = "Write to Maria Kowalska."
IDLE_S = 900.0


class Session:
    """As much of a conversation as is kept."""

    def __init__(self, history: Sequence[ChatMessage]) -> None:
        self.history = list(history)
        self.messages = len(history)
        self.rewound: list[int] = []
        self.wiped = False

    def rewind(self, messages: int) -> None:
        self.rewound.append(messages)
        self.messages = messages

    def wipe(self) -> None:
        self.wiped = True

    def answer(self) -> None:
        self.messages += 2


class Table:
    def __init__(self, limit: int = 64) -> None:
        self.now_s = 1000.0
        self.kept: Conversations[Session] = Conversations(lambda: self.now_s, limit=limit, idle_s=IDLE_S)

    def turn(self, *turns: str, answer: str | None = None, system: str = "", model: str = "m") -> Session:
        """One request of a conversation, user and assistant in turn; without an answer it fails."""
        messages = [ChatMessage("assistant" if number % 2 else "user", text) for number, text in enumerate(turns)]
        if system:
            messages.insert(0, ChatMessage("system", system))
        with self.kept.taken(model, messages, Session) as taken:
            assert taken.session.messages == len(messages) - 1
            if answer is not None:
                taken.session.answer()
                taken.keep(answer)
            return taken.session


@pytest.fixture
def table() -> Table:
    return Table()


def test_the_next_turn_has_the_same_session(table: Table) -> None:
    first = table.turn(HELLO, answer="Dear Maria")
    assert table.turn(HELLO, "Dear Maria", "Shorter!", answer="Maria!") is first
    assert table.turn(HELLO, " Dear Maria\n", "Shorter!", "Maria!", "Longer!", answer="Dearest") is first
    assert len(table.kept) == 1


@pytest.mark.parametrize(
    "changed",
    [
        {"turns": (HELLO, "Dear Mary", "Shorter!")},
        {"turns": ("Write to John.", "Dear Maria", "Shorter!")},
        {"turns": (HELLO, "Dear Maria", "Shorter!"), "model": "other"},
        {"turns": (HELLO, "Dear Maria", "Shorter!"), "system": "Be brief."},
    ],
)
def test_another_conversation_has_a_session_of_its_own_with_its_history(table: Table, changed: dict[str, str]) -> None:
    first = table.turn(HELLO, answer="Dear Maria")
    other = table.turn(*changed.pop("turns"), answer="Yes", **changed)
    assert other is not first
    assert [message.role for message in other.history][-2:] == ["user", "assistant"]


def test_a_system_message_alone_tells_no_conversations_apart(table: Table) -> None:
    first = table.turn(HELLO, answer="Dear Maria", system="Be brief.")
    assert table.turn("Who is it?", answer="Me", system="Be brief.") is not first


def test_a_turn_that_is_asked_again_goes_to_who_has_seen_it(table: Table) -> None:
    first = table.turn(HELLO, answer="Dear Maria")
    table.turn(HELLO, "Dear Maria", "Shorter!", answer="Maria!")
    assert table.turn(HELLO, "Dear Maria", "Shorter!", answer="M!") is first
    assert table.turn(HELLO, answer="Hello Maria") is first
    assert table.turn(HELLO, "Hello Maria", "Shorter!", answer="Hi") is first
    # What was said after the turn that was asked again is forgotten.
    assert table.turn(HELLO, "Dear Maria", "Shorter!", "M!", "Go on") is not first


def test_a_turn_that_failed_is_taken_back_and_may_be_tried_again(table: Table) -> None:
    first = table.turn(HELLO)
    assert first.messages == 0
    assert table.turn(HELLO, answer="Dear Maria") is first
    table.turn(HELLO, "Dear Maria", "Shorter!")
    assert first.messages == 2
    assert table.turn(HELLO, "Dear Maria", "Longer!", answer="Dearest Maria") is first


def test_an_error_takes_the_turn_back(table: Table) -> None:
    with pytest.raises(RuntimeError), table.kept.taken("m", [ChatMessage("user", HELLO)], Session) as taken:
        taken.session.answer()
        raise RuntimeError
    assert taken.session.messages == 0
    assert not taken.busy


def test_one_request_at_a_time_has_a_conversation(table: Table) -> None:
    messages = [ChatMessage("user", HELLO)]
    with table.kept.taken("m", messages, Session) as one, table.kept.taken("m", messages, Session) as other:
        assert one.session is not other.session
        table.now_s += IDLE_S
        table.kept.expire()
        assert not one.session.wiped


def test_who_does_not_go_on_is_wiped(table: Table) -> None:
    first = table.turn(HELLO, answer="Dear Maria")
    table.now_s += IDLE_S - 1
    table.kept.expire()
    assert not first.wiped
    table.now_s += 1
    assert table.turn(HELLO, "Dear Maria", "Shorter!", answer="Maria!") is not first
    assert first.wiped


def test_only_so_many_are_kept() -> None:
    table = Table(limit=2)
    sessions = []
    for number in range(4):
        table.now_s += 1
        sessions.append(table.turn(f"Question {number}?", answer="Yes"))
    assert [session.wiped for session in sessions] == [True, True, False, False]
    assert len(table.kept) == 2


def test_at_the_end_all_are_wiped(table: Table) -> None:
    sessions = [table.turn(f"Question {number}?", answer="Yes") for number in range(3)]
    table.kept.wipe()
    assert all(session.wiped for session in sessions)


def test_what_it_keeps_of_a_conversation_is_no_text(table: Table) -> None:
    with table.kept.taken("m", [ChatMessage("user", HELLO)], Session) as taken:
        taken.session.answer()
        taken.keep("Dear Maria")
    assert all(len(key) == 32 for key in taken.keys)
    assert "Maria" not in repr(taken)
