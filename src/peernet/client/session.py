"""A conversation: its vault, its history, and which host has which place in it.

Order of things, for each message (design section 6); nothing leaves this process before step 5:

1. screen the message, and whatever of the conversation was not screened before; 2. detect identifiers over all of it,
failing closed; 3. link them to identities; 4. plan fragments and choose hosts and rings; 5. send each fragment around
its ring, masked for its host; 6. merge; 7. restore and screen while the answers stream; 8. the exposure receipt. From
5 on it is `request`.

A session may begin with a conversation that was held elsewhere (`history`), and may be taken back to an earlier turn,
to answer it anew: its hosts keep their places, and so nobody else gets to see it.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, TypeVar

import trio
from attrs import evolve, frozen

from inference.tokenizer import Tokenizer
from peernet.client.events import Answered, PeersFound, Screened
from peernet.client.history import recall
from peernet.client.network import HostChoice
from peernet.client.parameters import Sampling
from peernet.client.request import Asked, Emit, Exchanged, Request, masked, serves_in
from peernet.core.errors import LocalProtocolError, UserError
from peernet.core.regions import RegionBound
from peernet.core.ring.paths import apart_first
from privacy.detection import DetectionFailed
from privacy.languages import language_name, languages_beside
from privacy.mention import Mention
from privacy.planning import ChatMessage, ExposurePolicy, History, Level, Plan, PlanRefused, plan
from privacy.pseudonyms import Conversation, Style

if TYPE_CHECKING:
    from peernet.client.client import Client

T = TypeVar("T")

__all__ = ["ChatSession", "CountedModel", "LanguageRefused", "NoHosts", "PromptRefused"]


class PromptRefused(UserError):
    """Screening refuses the prompt; the message names the category and nothing of the text."""


class LanguageRefused(UserError):
    """The prompt is in a language whose names are not recognised, and the configuration has it refused."""


class NoHosts(UserError):
    """Nobody serves the model now."""


@frozen
class CountedModel:
    """A model that this client can ask for, since it counts tokens as the model does."""

    name: str
    tokenizer: Tokenizer


@frozen
class _Mark:
    """How far the conversation was after a turn, to take it back there."""

    messages: int
    exchanges: dict[str, int]


class ChatSession:
    """One conversation: its vault, its history, and which host has which place in it.

    `history` is what was said before, as `history.conversation_of` puts it in order: system messages, then user and
    assistant in turn.
    """

    def __init__(self, client: "Client", model: CountedModel, history: Sequence[ChatMessage] = ()) -> None:
        if history and history[-1].role == "user":
            raise LocalProtocolError("a history ends with an answer; the message after it is for `ask`")
        self._client = client
        self.model = model
        style: Style = "surrogate" if client.config.pseudonyms == "surrogate" else "tag"
        self._vault = Conversation(random.SystemRandom(), style=style)
        self._exchanges: dict[str, list[Exchanged]] = {}
        self._messages: list[ChatMessage] = list(history)
        self._screened = 0
        self._handed_over = len(history)
        self._places: dict[int, str] = {}
        self._marks: list[_Mark] = []
        """The first one once the history has its places."""

    @property
    def messages(self) -> int:
        """How many messages have been said, the answers included."""
        return len(self._messages)

    def wipe(self) -> None:
        """Forgets everything."""
        self._vault.wipe()
        self._exchanges.clear()
        self._messages.clear()
        self._marks.clear()
        self._places.clear()

    def rewind(self, messages: int) -> None:
        """Forgets what was said after the first `messages` messages, but not who is who, nor who has which place.

        Raises `LocalProtocolError` where no turn ended there.
        """
        if messages == len(self._messages):
            return
        mark = next((mark for mark in self._marks if mark.messages == messages), None)
        if mark is None:
            raise LocalProtocolError("a conversation is taken back to the end of a turn")
        del self._marks[self._marks.index(mark) + 1 :]
        del self._messages[messages:]
        self._screened = min(self._screened, messages)
        for host, exchanges in self._exchanges.items():
            del exchanges[mark.exchanges.get(host, 0) :]

    async def ask(self, text: str, emit: Emit, sampling: Sampling | None = None) -> Answered:
        """Answers the user's next message, telling `emit` what happens.

        Raises `PromptRefused`, `ScreeningFailed`, `LanguageRefused`, `DetectionFailed`, `NoHosts`, `PlanRefused`,
        `TooFewRelays` or another `UserError` before anything is sent; a fragment that cannot be answered later is in
        the report.
        """
        if not text.strip():
            raise UserError("the prompt is empty: write what to ask")
        sampling = sampling or Sampling()
        started_s = trio.current_time()
        messages = [*self._messages, ChatMessage("user", text)]
        await self._screen(messages)
        emit(Screened())
        # Stop texts are the user's words, too: nothing in them leaves unmasked.
        texts = [*(message.content for message in messages), *sampling.stop]
        policy, notices = await self._language_rule(messages)
        mentions = await self._detect(texts)
        # All of it before any fragment is masked, so that `John` in one is `John Smith` in another.
        for content, found in zip(texts, mentions, strict=True):
            self._vault.link(content, found)
        said = mentions[: len(messages)]
        emit(evolve(masked(text, said[-1]), notices=notices))
        hosts = await self._find_hosts(emit, sampling.max_tokens)
        await self._take_up(messages, said, hosts, policy)
        made = self._plan(messages, said, hosts, policy, notices)
        asked = Asked(text, said[-1], sampling, stop_mentions=mentions[len(messages) :], notices=notices)
        tokenizer = self.model.tokenizer
        request = Request(self._client, tokenizer, self._vault, self._exchanges, emit, asked, made, started_s)
        request.prepare(self._bind_places(made, hosts), hosts)
        answered = await request.run()
        # A standby that answered has the place from now on; the host that failed is not told what it missed.
        self._places.update(request.remember())
        self._messages = [*messages, ChatMessage("assistant", answered.text)]
        # The answer was screened as it came.
        self._screened = len(self._messages)
        self._mark()
        return answered

    async def _screen(self, messages: Sequence[ChatMessage]) -> None:
        for message in messages[self._screened :]:
            verdict = await self._client.screener.check(message.content)
            if not verdict.allowed:
                what = "prompt" if message is messages[-1] else f"conversation's earlier {message.role} message"
                raise PromptRefused(f"the {what} is refused ({verdict.category}): {verdict.explanation}")

    async def _find_hosts(self, emit: Emit, answer_tokens: int | None) -> list[HostChoice]:
        # The directory may be older than the hosts.
        await self._client.network.make_ready(self.model.name, partial(self._client.hosts, self.model))
        hosts = self._client.hosts(self.model, answer_tokens)
        # Those that serve in the profile come first; how they are ranked stays as it is.
        hosts.sort(key=lambda host: not serves_in(host, self._client.config.profile))
        emit(PeersFound(len(self._client.network.directory.relays), len(hosts), self.model.name))
        if not hosts and (elsewhere := self._client.hosts_elsewhere(self.model)):
            raise NoHosts(
                f"no host of {self.model.name!r} claims to be in {self._host_bound}, as host_regions has it; "
                f"{_listed(elsewhere)}: take more regions into host_regions (--host-regions), or wait for such a host"
            )
        if not hosts:
            raise NoHosts(
                f"no host serves {self.model.name!r} now: wait for one, start one with 'peernet host', or choose "
                "another model with --model"
            )
        return hosts

    async def _take_up(
        self,
        messages: Sequence[ChatMessage],
        mentions: Sequence[Sequence[Mention]],
        hosts: Sequence[HostChoice],
        policy: ExposurePolicy,
    ) -> None:
        """Gives the turns that were held elsewhere their places, once: see `history`."""
        if self._marks:
            return
        recalled = await trio.to_thread.run_sync(recall, messages, mentions, len(hosts), policy)
        places = self._places_of({exchange.slot for exchange in recalled}, hosts)
        for exchange in recalled:
            host = places[exchange.slot].peer
            view = self._vault.view(host)
            sent, answer = (view.mask(part.text, part.mentions).text for part in (exchange.sent, exchange.answer))
            self._exchanges.setdefault(host, []).append(Exchanged(sent, answer))
        self._mark()

    def _mark(self) -> None:
        lengths = {host: len(exchanges) for host, exchanges in self._exchanges.items()}
        self._marks.append(_Mark(len(self._messages), lengths))

    def _history(self) -> History:
        """What the host in each slot was sent and wrote in earlier turns, for the planner."""
        history = History()
        for slot, host in self._places.items():
            for exchanged in self._exchanges.get(host, ()):
                history.record(slot, exchanged.sent, exchanged.answer)
        return history

    async def _detect(self, texts: Sequence[str]) -> list[list[Mention]]:
        """The identifiers of every text; whatever goes wrong, nothing is sent (promise P2)."""
        return await self._in_time(partial(self._client.detector.detect_all, texts))

    async def _language_rule(self, messages: Sequence[ChatMessage]) -> tuple[ExposurePolicy, tuple[str, ...]]:
        """The policy that the languages of a conversation leave, and what the user is told; or `LanguageRefused`.

        Answers that were written here are the hosts' words: their language is what was asked for.
        """
        texts = [
            message.content
            for index, message in enumerate(messages)
            if message.role != "assistant" or index < self._handed_over
        ]
        config, policy = self._client.config, self._client.policy
        others = await self._in_time(partial(languages_beside, config.languages, texts))
        if not others:
            return policy, ()
        named = " and ".join(map(language_name, others))
        known = " and ".join(map(language_name, config.languages))
        if config.unsupported_language == "refuse":
            raise LanguageRefused(
                f"this text seems to be {named}, where names are not recognised as they are in {known}; the setting"
                " unsupported_language has it refused: ask in another language"
            )
        notice = (
            f"This text seems to be {named}: only numbers and addresses with a form were masked for sure, and names by"
            " chance. The exposure policy is strict for it."
        )
        return evolve(policy, level=Level.STRICT), (notice,)

    async def _in_time(self, look: Callable[[], T]) -> T:
        """What `look` finds in a thread; it is given up after a time, and then nothing may be sent."""
        timeout_s = self._client.config.detection_timeout_s
        with trio.move_on_after(timeout_s):
            return await trio.to_thread.run_sync(look, abandon_on_cancel=True, limiter=self._client.detections)
        raise DetectionFailed(f"looking for identifiers took over {timeout_s:g} s; nothing was sent")

    def _plan(
        self,
        messages: Sequence[ChatMessage],
        mentions: Sequence[Sequence[Mention]],
        hosts: Sequence[HostChoice],
        policy: ExposurePolicy,
        notices: Sequence[str],
    ) -> Plan:
        try:
            return plan(messages, mentions, len(hosts), policy, self._history())
        except PlanRefused as error:
            elsewhere = self._client.hosts_elsewhere(self.model)
            if elsewhere and self._fits(messages, mentions, len(hosts) + elsewhere.total(), policy):
                raise PlanRefused(
                    f"{error}. Of the hosts that serve the model, {len(hosts)} claim to be in {self._host_bound}, as"
                    f" host_regions has it; {_listed(elsewhere)}"
                ) from error
            if not notices:
                raise
            known = " or ".join(map(language_name, self._client.config.languages))
            raise PlanRefused(
                f"{' '.join(notices)} Under it the request cannot be sent to {len(hosts)} hosts: ask for its parts"
                f" separately, wait for more hosts, or write in {known}"
            ) from error

    def _fits(
        self,
        messages: Sequence[ChatMessage],
        mentions: Sequence[Sequence[Mention]],
        hosts: int,
        policy: ExposurePolicy,
    ) -> bool:
        """Whether the exposure policy lets a request go to so many hosts."""
        with suppress(PlanRefused):
            plan(messages, mentions, hosts, policy, self._history())
            return True
        return False

    @property
    def _host_bound(self) -> RegionBound:
        return RegionBound(self._client.config.host_regions)

    def _bind_places(self, made: Plan, hosts: Sequence[HostChoice]) -> dict[int, HostChoice]:
        return self._places_of({fragment.slot for fragment in made.fragments}, hosts)

    def _places_of(self, wanted: set[int], hosts: Sequence[HostChoice]) -> dict[int, HostChoice]:
        """A host of its own for each slot: the one that had it before if it is there, else one without a place.

        After a standby one host may hold two places; it keeps the first, since the plan counts a slot as a host.
        """
        here = {host.peer: host for host in hosts}
        slots = sorted(wanted)
        bound: dict[int, HostChoice] = {}
        for slot in slots:
            before = here.pop(self._places.get(slot, ""), None)
            if before is not None:
                bound[slot] = before
        free = [slot for slot in slots if slot not in bound]
        bound.update(zip(free, self._apart(list(here.values()), list(bound.values()), len(free)), strict=True))
        self._places.update({slot: host.peer for slot, host in bound.items()})
        return bound

    def _apart(self, hosts: Sequence[HostChoice], others: Sequence[HostChoice], count: int) -> list[HostChoice]:
        """`count` of `hosts`: those without a place first, then as they are listed.

        Among equals, such as share no operator, network or circuit relay with one another and `others`.
        """
        placed = set(self._places.values())
        path_peer = self._client.network.path_peer

        def tier(host: HostChoice) -> tuple[bool, bool, bool]:
            serves = serves_in(host, self._client.config.profile)
            return host.peer in placed, not serves, not host.listing.vouched

        chosen: list[HostChoice] = []
        for _, equals in groupby(sorted(hosts, key=tier), key=tier):
            taken = [path_peer(host) for host in (*others, *chosen)]
            missing = count - len(chosen)
            chosen += apart_first(list(equals), taken, missing, path_peer)[:missing]
        return chosen


def _listed(elsewhere: Mapping[str, int]) -> str:
    """Hosts by the regions that they claim, for a message."""
    counted = ", ".join(f"{count} {region}" for region, count in sorted(elsewhere.items()))
    return f"the others claim: {counted}"
