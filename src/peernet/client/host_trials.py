"""Trying hosts: an ordinary request to one host that was chosen beforehand, to see how fast it serves.

Theory of operation. An operator's node is a client like others for this: a swarm under a throw-away key, guards of its
own, the directory, a ring for the lane and one to the host, vouchers, a receipt. There is no word on the wire that
other clients do not say. What differs is what happens here: nobody chooses the host, no text is looked through for
names, since there are none in it, and what the host writes is counted and then forgotten.

Rules:

1. A lane is paid for as any client's is: with credits of this client's purse where they cover it, else by a grant.
   What a host asks for is bounded: its price is its own, and a trial is not for making it rich.
2. Where a ring broke and not the host, the question is asked once more, over other relays.
3. The client is one from the first trial on. Where it has no directory, trials are `NOT_READY` until it has one.
4. Guards and the network see the operator's node as they see any client; see docs/operating.md for what that tells.
"""

import random
from collections.abc import Callable, Collection, Sequence
from contextlib import closing
from functools import partial
from typing import Final

import trio
from attrs import define, evolve

from inference.engine import Message
from inference.models import installed
from inference.tokenizer import Tokenizer
from peernet.client.credits import PurseKeeper
from peernet.client.events import Event, FragmentText
from peernet.client.fragment import (
    PREPAID_WINDOW_TOKENS,
    SILENT,
    SLOW,
    Attempt,
    AttemptFailed,
    Exchange,
    Outcome,
)
from peernet.client.network import HostChoice, NetworkView
from peernet.client.parameters import Sampling
from peernet.client.purse import Purse
from peernet.core import serving
from peernet.core.errors import UserError
from peernet.core.host_trials import (
    ANSWERED,
    CUT_OFF,
    NO_RING,
    NOT_LISTED,
    NOT_PAID,
    NOT_READY,
    REFUSED,
    TIMED_OUT,
    TOO_DEAR,
    UNREACHED,
    HostTrial,
)
from peernet.core.ledger.policy import LedgerPolicy
from peernet.core.metering import price
from peernet.core.ring.paths import RingPath, TooFewRelays
from peernet.core.serving import Turn
from peernet.net.rings import RingFailed
from peernet.node.config import ClientConfig, NetworkConfig
from peernet.node.home import Home
from peernet.node.policy import policy_of
from privacy.planning import ChatMessage, ExposurePolicy, Level, plan
from privacy.pseudonyms import Conversation
from privacy.screening import AnswerScreen, Screen, Verdict

__all__ = ["HostTrials", "try_host"]

TRIAL_TIMEOUT_S: Final = 180.0
"""For one question, all of it: what a client waits for a host that is just fast enough stays within."""
READY_TIMEOUT_S: Final = 30.0
RETRY_S: Final = 60.0
"""How soon a directory is asked for again where nobody had one."""
MAX_ATTEMPTS: Final = 2
PROFILES_TRIED: Final = ("private", "fast")
"""The profile of most clients; the next one where the network is too small for it."""


class _UnreadAnswer(AnswerScreen):
    """What nobody gets to read needs no screening."""

    async def read(self, answer: str, *, whole: bool = False) -> Verdict:
        await trio.lowlevel.checkpoint()
        return Verdict(allowed=True)


class _UnreadScreen(Screen):
    def answer(self) -> AnswerScreen:
        return _UnreadAnswer(self)


@define
class _Stopwatch:
    """When what came, on the clock of the loop."""

    sent_at_s: float | None = None
    first_at_s: float | None = None
    last_at_s: float = 0.0
    longest_gap_s: float = 0.0
    first_piece: str = ""

    def sent(self) -> None:
        self.sent_at_s = trio.current_time()

    def on_event(self, event: Event) -> None:
        if not isinstance(event, FragmentText):
            return
        now_s = trio.current_time()
        if self.first_at_s is None:
            self.first_at_s, self.first_piece = now_s, event.text
        else:
            self.longest_gap_s = max(self.longest_gap_s, now_s - self.last_at_s)
        self.last_at_s = now_s

    def trial(self, outcome: str, done: Outcome, tokenizer: Tokenizer) -> HostTrial:
        """What it says."""
        first_token_s = None
        if self.sent_at_s is not None and self.first_at_s is not None:
            first_token_s = self.first_at_s - self.sent_at_s
        later_tokens, later_s = 0, 0.0
        if outcome == ANSWERED and self.first_at_s is not None:
            later_tokens = max(0, done.answer_tokens - tokenizer.count_text(self.first_piece))
            later_s = self.last_at_s - self.first_at_s
        return HostTrial(
            outcome,
            prompt_tokens=done.prompt_tokens,
            answer_tokens=done.answer_tokens,
            first_token_s=first_token_s,
            later_tokens=later_tokens,
            later_s=later_s,
            longest_gap_s=self.longest_gap_s,
            price_microcredits=done.amount_microcredits,
        )


async def try_host(
    exchange: Exchange,
    host: HostChoice,
    path_avoiding: Callable[[Collection[str]], RingPath | None],
    text: str,
    *,
    max_tokens: int,
    at_most_microcredits: int,
) -> HostTrial:
    """Asks `host` one question; once more where a ring broke that was not to blame on it.

    Args:
        exchange: how a client of the network asks.
        host: who is asked.
        path_avoiding: a ring to it without these peers; None where there is none.
        text: what is asked, without anybody's data in it.
        max_tokens: of the answer.
        at_most_microcredits: what the lane may be worth.
    """
    tokenizer, offer = exchange.tokenizer, host.offer
    prompt_tokens = tokenizer.count_messages([Message("user", text)])
    most = price(prompt_tokens, max_tokens + PREPAID_WINDOW_TOKENS, offer.prompt_price, offer.answer_price)
    if most > at_most_microcredits:
        return HostTrial(TOO_DEAR)
    avoid: set[str] = set()
    paid = 0
    for _ in range(MAX_ATTEMPTS):
        path = path_avoiding(avoid)
        if path is None:
            break
        trial, suspects = await _attempt(exchange, _question(host, path, text, max_tokens))
        paid += trial.price_microcredits
        if trial.outcome != NO_RING:
            return evolve(trial, price_microcredits=paid)
        avoid |= suspects
    return HostTrial(NO_RING, price_microcredits=paid)


async def _attempt(exchange: Exchange, attempt: Attempt) -> tuple[HostTrial, frozenset[str]]:
    watch, done = _Stopwatch(), Outcome()
    exchange = evolve(exchange, emit=watch.on_event, started_s=trio.current_time())
    outcome, suspects = TIMED_OUT, frozenset[str]()
    with trio.move_on_after(TRIAL_TIMEOUT_S):
        try:
            await exchange.run(attempt, done, watch.sent)
            outcome = ANSWERED
        except AttemptFailed as error:
            outcome, suspects = _outcome_of(error, sent=watch.sent_at_s is not None), error.suspects
    if outcome == TIMED_OUT and watch.sent_at_s is None:
        outcome = NO_RING  # the question never left
    return watch.trial(outcome, done, exchange.tokenizer), suspects


def _outcome_of(error: AttemptFailed, *, sent: bool) -> str:
    """Whether it was the host, and what it did."""
    if error.reason == serving.LANE and not sent:
        return NOT_PAID
    if error.peer is None:
        # A prompt that is too long for the context that its host offers never leaves, and is the host's doing.
        return REFUSED if error.final and error.reason == serving.CONTEXT else NO_RING
    if error.reason in {SILENT, SLOW}:
        return TIMED_OUT
    if not sent:
        return UNREACHED
    return CUT_OFF if error.__cause__ is not None else REFUSED


def _question(host: HostChoice, path: RingPath, text: str, max_tokens: int) -> Attempt:
    """The whole text for this host, as every client has it that may send it whole."""
    (fragment,) = plan([ChatMessage("user", text)], [[]], 1, ExposurePolicy(Level.OPEN)).fragments
    config = ClientConfig()
    parameters = Sampling(max_tokens=max_tokens).for_fragment(
        0,
        1,
        text,
        (),
        max_answer_tokens=config.max_answer_tokens,
        temperature_thousandths=config.temperature_thousandths,
    )
    view = Conversation(random.SystemRandom()).view(host.peer)
    return Attempt(fragment, host, path, (Turn("user", fragment.prompt.text),), view, parameters)


class HostTrials:
    """A client that tries hosts.

    Args:
        network: as any client of it is configured.
        home: where its guards, its directory and its purse are, and the models whose tokens it can count.
    """

    def __init__(self, network: NetworkConfig, home: Home) -> None:
        self._network = network
        self._home = home
        self._policy: LedgerPolicy = policy_of(network)
        self._issuers = [log.origin for log in self._policy.logs]
        self._tokenizers: dict[str, Tokenizer] = {}
        self._wanted = trio.Event()
        self._ready = trio.Event()
        self._view: NetworkView | None = None
        self._purse: Purse | None = None

    async def models(self) -> Sequence[str]:
        """The models that it can ask for: those that are installed, since their tokens can be counted."""
        return [model.name for model in await trio.to_thread.run_sync(installed, self._home.models)]

    async def run(self) -> None:
        """Is a client from the first trial on, until cancelled."""
        await self._wanted.wait()
        view = NetworkView(self._network, self._home.state / "guards.json", self._home.state / "directory.bin")
        try:
            with closing(Purse(self._home.state / "purse.sqlite")) as purse:
                async with trio.open_nursery() as nursery:
                    await nursery.start(view.swarm.run)
                    await _start(view)
                    nursery.start_soon(view.keep_fresh)
                    keeper = PurseKeeper(purse, view, self._policy, PROFILES_TRIED[0])
                    nursery.start_soon(keeper.run, partial(self._all_hosts, view))
                    self._view, self._purse = view, purse
                    self._ready.set()
        finally:
            self._view, self._ready = None, trio.Event()

    async def ask(
        self, peer_key: bytes, model: str, text: str, *, max_tokens: int, at_most_microcredits: int
    ) -> HostTrial:
        """Asks the host with this key one question for a model."""
        self._wanted.set()
        with trio.move_on_after(READY_TIMEOUT_S):
            await self._ready.wait()
        view = self._view
        if view is None:
            return HostTrial(NOT_READY)
        tokenizer = await self._tokenizer(model)
        host = await self._find(view, peer_key, model, tokenizer)
        if host is None:
            return HostTrial(NOT_LISTED)
        exchange = Exchange(
            view, tokenizer, _UnreadScreen(), self._policy, lambda _: None, trio.current_time(), purse=self._purse
        )
        return await try_host(
            exchange,
            host,
            partial(_path, view, host),
            text,
            max_tokens=max_tokens,
            at_most_microcredits=at_most_microcredits,
        )

    async def _tokenizer(self, model: str) -> Tokenizer:
        if model not in self._tokenizers:
            self._tokenizers[model] = await trio.to_thread.run_sync(Tokenizer.load, self._home.models / model)
        return self._tokenizers[model]

    async def _find(self, view: NetworkView, peer_key: bytes, model: str, tokenizer: Tokenizer) -> HostChoice | None:
        """The host with this key, from the directory; from a newer one where it is not there."""

        def look() -> HostChoice | None:
            hosts = view.hosts_of(model, tokenizer.digest, self._issuers)
            return next((host for host in hosts if host.listing.peer.public_key == peer_key), None)

        if (host := look()) is not None:
            return host
        try:
            await view.fetch_directory()
        except UserError:
            return None
        return look()

    def _all_hosts(self, view: NetworkView) -> list[HostChoice]:
        return [
            host
            for model, tokenizer in self._tokenizers.items()
            for host in view.hosts_of(model, tokenizer.digest, self._issuers)
        ]


async def _start(view: NetworkView) -> None:
    """Begins with a directory, however long it takes until there is one."""
    while True:
        try:
            await view.start()
        except UserError:
            await trio.sleep(RETRY_S)
        else:
            return


def _path(view: NetworkView, host: HostChoice, avoid: Collection[str]) -> RingPath | None:
    """A ring to the host without these peers; with them where there is no other."""
    for profile in PROFILES_TRIED:
        for avoided in (avoid, ()) if avoid else ((),):
            try:
                (path,) = view.plan_rings([host], profile, avoid=avoided)
            except TooFewRelays:
                continue
            except RingFailed:
                return None  # it has left the directory since
            return path
    return None
