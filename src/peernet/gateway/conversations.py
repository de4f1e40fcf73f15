"""Conversations that go on: the same pseudonyms and hosts for the next turn of a program that keeps no session.

A program sends the whole conversation with every request. What it sent before is known again by a digest of the
messages, keyed with a secret of this process; so the next turn goes to the hosts that had the earlier ones, and a turn
that is asked again goes to those that have seen it. Rules:

1. In memory, `MAX_CONVERSATIONS` of them, each for `IDLE_S` after its last turn; then its vault is wiped.
2. One request at a time has a conversation. Who comes with the same messages meanwhile gets one of its own.
3. A turn that failed is taken back, and its hosts keep their places: who tries again shows nobody else.
"""

import hashlib
import json
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, Generic, Protocol, TypeVar

from attrs import define, field

from privacy.planning import ChatMessage

__all__ = ["Conversations", "Session", "Taken"]

MAX_CONVERSATIONS: Final = 64
IDLE_S: Final = 900.0


class Session(Protocol):
    """As much of a `ChatSession` as is needed to keep it."""

    @property
    def messages(self) -> int:
        """How many have been said."""
        ...

    def rewind(self, messages: int) -> None:
        """Forgets what was said after that many."""
        ...

    def wipe(self) -> None:
        """Forgets everything."""
        ...


S = TypeVar("S", bound=Session)


@define(eq=False)
class Taken(Generic[S]):
    """A conversation, and the request that has it."""

    session: S
    keys: dict[bytes, int] = field(factory=dict)
    """What the conversation is known by, each with how many messages it goes on from."""
    answers: set[str] = field(factory=set, repr=False)
    busy: bool = True
    idle_since_s: float = 0.0

    def keep(self, *answers: str) -> None:
        """The turn was answered; `answers` is how the program may say it again."""
        self.answers = set(answers)


class Conversations(Generic[S]):
    """The conversations of a gateway. `now` is a clock in seconds."""

    def __init__(self, now: Callable[[], float], *, limit: int = MAX_CONVERSATIONS, idle_s: float = IDLE_S) -> None:
        self._now = now
        self._limit = limit
        self._idle_s = idle_s
        self._secret = secrets.token_bytes(32)
        self._kept: list[Taken[S]] = []

    def __len__(self) -> int:
        return len(self._kept)

    @contextmanager
    def taken(
        self, model: str, messages: Sequence[ChatMessage], open_session: Callable[[Sequence[ChatMessage]], S]
    ) -> Iterator[Taken[S]]:
        """The conversation that `messages`, the last one to be answered, goes on with; else a new one.

        `open_session` is given what was said before. Without `keep` in the block, the turn is taken back.
        """
        asked = self._digest(model, messages)
        taken = self._find(model, messages, asked)
        before = len(messages) - 1
        if taken is None:
            taken = Taken(open_session(messages[:before]))
            self._kept.append(taken)
        taken.session.rewind(before)
        taken.keys = {key: count for key, count in taken.keys.items() if count <= before} | {asked: before}
        taken.busy = True
        try:
            yield taken
        finally:
            answers, taken.answers = taken.answers, set()
            if not answers:
                taken.session.rewind(before)
            for answer in answers:
                key = self._digest(model, [*messages, ChatMessage("assistant", answer)])
                taken.keys[key] = taken.session.messages
            taken.busy, taken.idle_since_s = False, self._now()
            self._make_room()

    def expire(self) -> None:
        """Wipes those that nobody has gone on with for too long."""
        limit = self._now() - self._idle_s
        self._drop([taken for taken in self._kept if not taken.busy and taken.idle_since_s <= limit])

    def wipe(self) -> None:
        """Wipes all of them."""
        self._drop(list(self._kept))

    def _find(self, model: str, messages: Sequence[ChatMessage], asked: bytes) -> Taken[S] | None:
        wanted = {asked}
        # What many conversations begin with (a system message, or nothing) does not tell them apart.
        if len(messages) > 1 and messages[-2].role == "assistant":
            wanted.add(self._digest(model, messages[:-1]))
        self.expire()
        return next((taken for taken in self._kept if not taken.busy and wanted & set(taken.keys)), None)

    def _make_room(self) -> None:
        idle = sorted((taken for taken in self._kept if not taken.busy), key=lambda taken: taken.idle_since_s)
        self._drop(idle[: max(0, len(self._kept) - self._limit)])

    def _drop(self, dropped: Sequence[Taken[S]]) -> None:
        for taken in dropped:
            self._kept.remove(taken)
            taken.session.wipe()

    def _digest(self, model: str, messages: Sequence[ChatMessage]) -> bytes:
        # Programs trim what they send back.
        said = [model, *([message.role, message.content.strip()] for message in messages)]
        return hashlib.blake2b(json.dumps(said).encode(), digest_size=32, key=self._secret).digest()
