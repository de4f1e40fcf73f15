"""A conversation: its vault, its history, and which host has which place in it.

Order of things, for each message (design section 6); nothing leaves this process before step 5:

1. screen the message; 2. detect identifiers over the whole conversation, failing closed; 3. link them to identities;
4. plan fragments and choose hosts and rings; 5. send each fragment around its ring, masked for its host; 6. merge;
7. restore and screen while the answers stream; 8. the exposure receipt. From 5 on it is `request`.
"""

import random
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

import trio

from peernet.client.events import Answered, PeersFound, Screened
from peernet.client.network import HostChoice
from peernet.client.request import Emit, Exchanged, Request, masked
from peernet.core.errors import UserError
from privacy.detection import DetectionFailed
from privacy.mention import Mention
from privacy.planning import ChatMessage, History, Plan, plan
from privacy.pseudonyms import Conversation

if TYPE_CHECKING:
    from peernet.client.client import Client

__all__ = ["ChatSession", "PromptRefused"]

DETECTION_TIMEOUT_S: Final = 30.0


class PromptRefused(UserError):
    """Screening refuses the prompt; the message names the category and nothing of the text."""


class ChatSession:
    """One conversation: its vault, its history, and which host has which place in it."""

    def __init__(self, client: "Client") -> None:
        self._client = client
        self._vault = Conversation(random.SystemRandom())
        self._exchanges: dict[str, list[Exchanged]] = {}
        self._messages: list[ChatMessage] = []
        self._places: dict[int, str] = {}

    def wipe(self) -> None:
        """Forgets everything."""
        self._vault.wipe()
        self._exchanges.clear()
        self._messages.clear()

    async def ask(self, text: str, emit: Emit) -> Answered:
        """Answers the user's next message, telling `emit` what happens.

        Raises `PromptRefused`, `DetectionFailed`, `PlanRefused`, `TooFewRelays` or another `UserError` before
        anything is sent; a fragment that cannot be answered later is in the report.
        """
        if not text.strip():
            raise UserError("the prompt is empty: write what to ask")
        started_s = trio.current_time()
        verdict = self._client.screener.screen(text)
        if not verdict.allowed:
            raise PromptRefused(f"the prompt is refused ({verdict.category}): {verdict.explanation}")
        emit(Screened())
        messages = [*self._messages, ChatMessage("user", text)]
        mentions = await self._detect(messages)
        # All of it before any fragment is masked, so that `John` in one is `John Smith` in another.
        for message, found in zip(messages, mentions, strict=True):
            self._vault.link(message.content, found)
        emit(masked(text, mentions[-1]))
        hosts = self._client.hosts()
        if not hosts:
            # The directory may be older than the hosts.
            await self._client.network.fetch_directory()
            hosts = self._client.hosts()
        emit(PeersFound(len(self._client.network.directory.relays), len(hosts), self._client.config.model))
        if not hosts:
            raise UserError(
                f"no host serves {self._client.config.model!r} now: wait for one, start one with 'peernet host', or "
                "choose another model with --model"
            )
        made = plan(messages, mentions, len(hosts), self._client.policy, self._history())
        request = Request(self._client, self._vault, self._exchanges, emit, text, made, mentions[-1], started_s)
        request.prepare(self._bind_places(made, hosts), hosts)
        answered = await request.run()
        # A standby that answered has the place from now on; the host that failed is not told what it missed.
        self._places.update(request.remember())
        self._messages = [*messages, ChatMessage("assistant", answered.text)]
        return answered

    def _history(self) -> History:
        """What the host in each slot was sent and wrote in earlier turns, for the planner."""
        history = History()
        for slot, host in self._places.items():
            for exchanged in self._exchanges.get(host, ()):
                history.record(slot, exchanged.sent, exchanged.answer)
        return history

    async def _detect(self, messages: Sequence[ChatMessage]) -> list[list[Mention]]:
        """The identifiers of every message; whatever goes wrong, nothing is sent (promise P2)."""
        with trio.move_on_after(DETECTION_TIMEOUT_S):
            texts = [message.content for message in messages]
            detect = partial(self._client.detector.detect_all, texts)
            return await trio.to_thread.run_sync(detect, abandon_on_cancel=True)
        raise DetectionFailed(f"looking for identifiers took over {DETECTION_TIMEOUT_S:g} s; nothing was sent")

    def _bind_places(self, made: Plan, hosts: Sequence[HostChoice]) -> dict[int, HostChoice]:
        """A host of its own for each slot: the one that had it before if it is there, else one without a place.

        After a standby one host may hold two places; it keeps the first, since the plan counts a slot as a host.
        """
        here = {host.peer: host for host in hosts}
        slots = sorted({fragment.slot for fragment in made.fragments})
        bound: dict[int, HostChoice] = {}
        for slot in slots:
            before = here.pop(self._places.get(slot, ""), None)
            if before is not None:
                bound[slot] = before
        placed = set(self._places.values())
        free = sorted(here.values(), key=lambda host: host.peer in placed)
        for slot in slots:
            if slot not in bound:
                bound[slot] = free.pop(0)
        self._places.update({slot: host.peer for slot, host in bound.items()})
        return bound
