"""One request: its fragments, each around its ring, again on a standby if that fails, and the receipt of it all.

Rules:

1. A fragment that failed is tried on the same host first when only its ring broke, which adds no viewer; then on the
   host that has seen least, within the exposure policy; among equals, on one that can go on from what was shown, and
   then on who comes first by what is known of hosts now (`core.host_ranking`). Hosts apart from the request's others
   come before those that have seen as little, and share an operator, a network or a circuit relay with them.
2. A host that can goes on from there. It then sees that part of the answer too, which counts as the rest does; where
   the policy allows it the fragment and not the answer, it starts anew.
3. No relay but a guard carries two fragments of a request, those of failed attempts included.
4. What a host was sent counts as seen from the moment it left, whether an answer came or not.
5. Of a fragment that nobody could finish, what was shown stays, and is marked as unfinished.
6. Fragments do not start together (`core.ring.starts`). A standby starts at once: it carries the same fragment.
7. Where the network is too small for the profile, the request is refused with what is missing; or, where the user
   allows it, goes by the next profile down, which the plan and the receipt say. It keeps that one for its standbys.
"""

import random
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

import trio
from attrs import define, evolve, field, frozen

from inference.engine import PREFIX
from inference.tokenizer import Tokenizer
from peernet.client.events import (
    Answered,
    AnswerText,
    Event,
    FragmentContinued,
    FragmentFailed,
    FragmentPlanned,
    FragmentReport,
    FragmentRestarted,
    FragmentSent,
    FragmentText,
    Masked,
    Planned,
)
from peernet.client.fragment import Attempt, AttemptFailed, Exchange, Outcome
from peernet.client.merging import MergedAnswer
from peernet.client.network import HostChoice
from peernet.client.parameters import Sampling
from peernet.client.receipt import Sent, carried_together, host_exposures, relay_uses, share_seen, totals_of
from peernet.client.seam import prefix_of
from peernet.core import serving
from peernet.core.ring.paths import PathPeer, ProfileUnavailable, RingPath, TooFewRelays, weaker_profiles
from peernet.core.ring.starts import start_times
from peernet.core.serving import Turn
from privacy.exposure import ExposureReceipt, share
from privacy.mention import Mention
from privacy.planning import Fragment, Level, Plan
from privacy.pseudonyms import Conversation
from privacy.restoring import restore

if TYPE_CHECKING:
    from peernet.client.client import Client

__all__ = ["Asked", "Emit", "Exchanged", "Request", "masked", "serves_in"]

Emit = Callable[[Event], None]
MAX_ATTEMPTS: Final = 3
_WEAKER: Final = {
    "private": "The sizes and times of its cells show.",
    "fast": "Its guards see your address and your hosts, and none of your words.",
}
"""What each profile shows that the one above it does not."""


@frozen
class Exchanged:
    """One exchange with a host: what it was sent and what it wrote, both with its own placeholders in them."""

    sent: str = field(repr=False)
    answer: str = field(repr=False)


@frozen
class Asked:
    """What is asked: the message and the stop texts with what was found in them, and how to sample."""

    text: str = field(repr=False)
    mentions: Sequence[Mention] = field(repr=False)
    sampling: Sampling
    stop_mentions: Sequence[Sequence[Mention]] = field(repr=False)
    """Of each of the sampling's stop texts."""
    notices: tuple[str, ...] = ()
    """What the user is told about the text, for the receipt."""


@define
class _Run:
    """One fragment's way through a request."""

    fragment: Fragment
    attempt: Attempt
    attempts: list[Attempt] = field(factory=list)
    sent_to: list[Attempt] = field(factory=list)
    """Those of the attempts in which the fragment left for the host."""
    outcome: Outcome = field(factory=Outcome)
    restarts: int = 0
    continuations: int = 0
    failure: str | None = None
    failure_reason: str | None = None

    def came_in(self, attempt: Attempt) -> bool:
        """Whether the host of `attempt` came in for another one; what it goes on from then is news to it."""
        return attempt.host.peer != self.attempts[0].host.peer


class Request:
    """One request: its fragments, their attempts, and what every host was sent."""

    def __init__(
        self,
        client: "Client",
        tokenizer: Tokenizer,
        vault: Conversation,
        exchanges: dict[str, list[Exchanged]],
        emit: Emit,
        asked: Asked,
        made: Plan,
        started_s: float,
    ) -> None:
        self._client = client
        self._tokenizer = tokenizer
        self._vault = vault
        self._exchanges = exchanges
        self._emit = emit
        self._asked = asked
        self._text = asked.text
        self._plan = made
        self._identifiers = masked(asked.text, asked.mentions).counts
        self._started_s = started_s
        self._first_token_s: float | None = None
        self._hosts: list[HostChoice] = []
        self._failed: set[str] = set()
        self._suspects: set[str] = set()
        self._profile = client.config.profile
        """The one that its rings are of."""
        self._unavailable: ProfileUnavailable | None = None
        self._runs: list[_Run] = []
        self._answer = MergedAnswer(made)

    def prepare(self, places: dict[int, HostChoice], hosts: Sequence[HostChoice]) -> None:
        """Chooses rings and masks every fragment for its host; raises `ProfileUnavailable`."""
        self._hosts = list(hosts)
        chosen = [places[fragment.slot] for fragment in self._plan.fragments]
        paths = self._plan_rings(chosen)
        for fragment, host, path in zip(self._plan.fragments, chosen, paths, strict=True):
            others = tuple(peer for other in paths if other is not path for peer in _ends_and_middles(other))
            self._runs.append(_Run(fragment, self._attempt(fragment, host, evolve(path, apart=others))))
        planned = tuple(
            FragmentPlanned(
                run.fragment.ordinal,
                run.attempt.host.peer,
                run.attempt.text_sent,
                share(self._text, [run.attempt.text_sent], run.attempt.view.hidden_words),
                run.attempt.view.hidden_words or (),
            )
            for run in self._runs
        )
        reason = self._plan.reason
        self._emit(
            Planned(
                self._plan.mode,
                self._plan.policy.level.value,
                self._profile,
                planned,
                reason,
                profile_asked=self._client.config.profile,
                notices=(*self._weakened(), *carried_together([run.attempt for run in self._runs])),
            )
        )

    def _plan_rings(self, hosts: Sequence[HostChoice]) -> list[RingPath]:
        """A ring for each host: in the profile that was asked for, or where that may be, in the next one there is."""
        config = self._client.config
        weaker = weaker_profiles(config.profile) if config.profile_fallback else ()
        for profile in (config.profile, *weaker):
            try:
                _check_hosts(hosts, profile)
                paths = self._client.network.plan_rings(hosts, profile)
            except ProfileUnavailable as error:
                # What is missing for the one that was asked for is what the user is told.
                self._unavailable = self._unavailable or error
                continue
            self._profile = profile
            return paths
        assert self._unavailable is not None
        raise self._unavailable

    def _weakened(self) -> tuple[str, ...]:
        """What the user is told where the request goes by a weaker profile than was asked for."""
        asked = self._client.config.profile
        if self._profile == asked or self._unavailable is None:
            return ()
        notice = (
            f"This request goes by profile '{self._profile}', which is weaker than the '{asked}' asked for: for that"
            f" one the network lacks {self._unavailable.lacks}. {_WEAKER[self._profile]}"
        )
        return (notice,)

    async def run(self) -> Answered:
        """Sends all fragments, each at its time, and puts their answers together."""
        config = self._client.config
        within_ms = config.paced_start_ms if self._profile == "paced" else config.start_jitter_ms
        starts_s = start_times(len(self._runs), within_ms / 1000, random.SystemRandom())
        async with trio.open_nursery() as nursery:
            for run, start_s in zip(self._runs, starts_s, strict=True):
                nursery.start_soon(self._answer_fragment, run, start_s)
        return self._report()

    def remember(self) -> dict[int, str]:
        """Keeps what each host was sent and wrote, for the next turn; returns which host has answered in each slot."""
        places = {}
        for run in self._runs:
            if run.outcome.whole:
                host = run.attempt.host.peer
                exchanged = Exchanged(run.attempt.text_sent, run.outcome.answer_as_sent)
                self._exchanges.setdefault(host, []).append(exchanged)
                places[run.fragment.slot] = host
        return places

    async def _answer_fragment(self, run: _Run, start_s: float) -> None:
        await trio.sleep(start_s)
        exchange = Exchange(
            network=self._client.network,
            tokenizer=self._tokenizer,
            screener=self._client.screener,
            ledger=self._client.ledger,
            emit=self._pass_on,
            started_s=self._started_s,
            paced=self._profile == "paced",
            linger=self._client.linger,
            standings=self._client.network.standings,
            purse=self._client.purse,
        )
        for number in range(1, MAX_ATTEMPTS + 1):
            run.attempts.append(run.attempt)
            try:
                await exchange.run(run.attempt, run.outcome, partial(self._note_sent, run))
                break
            except AttemptFailed as error:
                self._client.network.troubles.note(*error.trouble)
                if error.peer is not None:
                    self._failed.add(error.peer)
                self._suspects |= error.suspects
                standby = None if error.final or number == MAX_ATTEMPTS else await self._find_standby(run)
                if standby is None:
                    run.failure, run.failure_reason = str(error), error.reason
                    break
                self._hand_over(run, standby, str(error))
        self._merge(run)

    def _note_sent(self, run: _Run) -> None:
        """The fragment leaves now: its host counts as a viewer."""
        attempt, host = run.attempt, run.attempt.host.peer
        run.sent_to.append(attempt)
        sent = [each for each in self._sent() if each.attempt.host.peer == host]
        seen = share_seen(self._text, sent)
        self._emit(FragmentSent(run.fragment.ordinal, host, seen, run.came_in(attempt)))

    def _sent(self) -> list[Sent]:
        return [Sent(attempt, run.came_in(attempt)) for run in self._runs for attempt in run.sent_to]

    def _hand_over(self, run: _Run, standby: Attempt, reason: str) -> None:
        ordinal, failed, host = run.fragment.ordinal, run.attempt.host.peer, standby.host.peer
        run.attempt = standby
        if standby.kept:
            run.continuations += 1
            words = len(run.outcome.answer.split())
            self._emit(FragmentContinued(ordinal, failed, host, reason, words))
        else:
            run.restarts += 1
            run.outcome.drop_text()
            self._answer.restart(ordinal)
            self._emit(FragmentRestarted(ordinal, failed, host, reason))

    def _merge(self, run: _Run) -> None:
        ordinal, text = run.fragment.ordinal, run.outcome.answer
        if not run.outcome.whole:
            self._emit(FragmentFailed(ordinal, run.failure or "unknown"))
            shown = self._answer.fail(ordinal, _unfinished(text, run.failure or "unknown"))
        else:
            shown = self._answer.finish(ordinal)
        self._show(shown)

    def _show(self, text: str) -> None:
        if text:
            self._emit(AnswerText(text))

    async def _find_standby(self, run: _Run) -> Attempt | None:
        """As `_standby`; where those known are no standby, hosts are looked up that came after the directory."""
        standby = self._standby(run)
        if standby is None:
            network, model = self._client.network, run.attempt.host.offer.model
            await network.look_for_hosts(model)
            known = {host.peer for host in self._hosts}
            issuers = [log.origin for log in self._client.ledger.logs]
            hosts = network.hosts_of(model, self._tokenizer.digest, issuers)
            self._hosts += [host for host in hosts if host.peer not in known]
            standby = self._standby(run)
        return standby

    def _standby(self, run: _Run) -> Attempt | None:
        """Another host for a fragment: one that has seen nothing yet if there is one, else who would see least.

        None when the policy, or the network, has none.
        """
        again = None
        if run.attempt.host.peer not in self._failed and len(run.attempts) < MAX_ATTEMPTS - 1:
            # The ring failed, not the host: it adds no viewer to ask the same one again.
            path = self._standby_path(run, run.attempt.host)
            if path is not None:
                again = self._go_on(run, self._attempt(run.fragment, run.attempt.host, path))
                if run.attempt.path.allows(path.endpoint):
                    return again
        tried = {attempt.host.peer for attempt in run.attempts}
        candidates = []
        for host in self._client.network.rank(self._hosts, run.attempt.parameters.max_tokens):
            if host.peer in tried or host.peer in self._failed or not serves_in(host, self._profile):
                continue
            would_see = self._would_see(host, run.fragment.prompt.text)
            endpoint = self._client.network.path_peer(host)
            near = endpoint.conflicts_with(peer for peer in self._others(run) if peer.peer != host.peer)
            seen = bool(self._sent_to(host.peer))
            candidates.append((seen, near, would_see, not _can_go_on(host, run.outcome), host))
        for _, _, would_see, _, host in sorted(candidates, key=lambda candidate: candidate[:4]):
            path = self._standby_path(run, host) if self._allows(would_see) else None
            if path is not None:
                return self._go_on(run, self._attempt(run.fragment, host, path))
        return again

    def _others(self, run: _Run) -> tuple[PathPeer, ...]:
        """The hosts of the other fragments, and the relays but for guards that have carried or carry them."""
        return tuple(
            peer
            for other in self._runs
            if other is not run
            # Failed attempts count too.
            for attempt in (*other.attempts, other.attempt)
            for peer in _ends_and_middles(attempt.path)
        )

    def _go_on(self, run: _Run, attempt: Attempt) -> Attempt:
        """`attempt`, going on from what was shown where its host can, and may see that."""
        host, outcome = attempt.host, run.outcome
        if not _can_go_on(host, outcome):
            return attempt
        if host.peer != run.attempt.host.peer and not self._allows(
            self._would_see(host, run.fragment.prompt.text, outcome.answer)
        ):
            return attempt
        return evolve(attempt, kept=attempt.view.translate(outcome.kept, run.attempt.view))

    def _would_see(self, host: HostChoice, *texts: str) -> float:
        """The share of the request that a host would have been given, with `texts`; as if nothing was masked."""
        return share(self._text, [*self._sent_to(host.peer), *texts], placeholders=())

    def _allows(self, would_see: float) -> bool:
        """Whether a standby may see so much.

        Under `strict` it stays within `max_share` as the others do, and no policy but `open` lets a second host have
        the whole of a request that was split.
        """
        policy = self._plan.policy
        if policy.level is Level.STRICT and would_see > policy.max_share:
            return False
        return would_see < 1.0 or self._plan.mode == "whole" or policy.level is Level.OPEN

    def _standby_path(self, run: _Run, host: HostChoice) -> RingPath | None:
        """A fresh ring for a standby; where the network has no relays left, the fragment's own middles again."""
        apart = self._others(run)
        others = {peer.peer for peer in apart}
        for avoid in (others | self._failed | self._suspects, others | self._failed):
            try:
                (path,) = self._client.network.plan_rings([host], self._profile, avoid=avoid)
            except TooFewRelays:
                continue
            return evolve(path, apart=apart)
        own = run.attempt.path
        endpoint = self._client.network.path_peer(host)
        if endpoint.conflicts_with((*own.out, *own.back)):
            return None
        return RingPath(own.out, own.back, endpoint, apart)

    def _attempt(self, fragment: Fragment, host: HostChoice, path: RingPath) -> Attempt:
        view = self._vault.view(host.peer)
        masked = view.mask(fragment.prompt.text, fragment.prompt.mentions)
        system = [Turn("system", view.mask(part.text, part.mentions).text) for part in self._plan.system]
        # Nothing but this very host's own exchanges: another's were masked for that other.
        earlier = [
            turn
            for exchanged in self._exchanges.get(host.peer, ())
            for turn in (Turn("user", exchanged.sent), Turn("assistant", exchanged.answer))
            if turn.content
        ]
        asked, config = self._asked, self._client.config
        stops = zip(asked.sampling.stop, asked.stop_mentions, strict=True)
        parameters = asked.sampling.for_fragment(
            fragment.ordinal,
            len(self._plan.fragments),
            self._text,
            tuple(view.mask(stop, mentions).text for stop, mentions in stops),
            max_answer_tokens=config.max_answer_tokens,
            temperature_thousandths=config.temperature_thousandths,
        )
        return Attempt(fragment, host, path, (*system, *earlier, Turn("user", masked.text)), view, parameters)

    def _sent_to(self, host: str) -> list[str]:
        """The originals of what a host has been or is about to be sent: fragments, and answers to go on from."""
        attempts = [attempt for run in self._runs for attempt in (*run.sent_to, run.attempt)]
        texts = [
            text
            for attempt in attempts
            if attempt.host.peer == host
            for text in (attempt.fragment.prompt.text, restore(attempt.kept, attempt.view.mapping()))
            if text
        ]
        return list(dict.fromkeys(texts))

    def _pass_on(self, event: Event) -> None:
        if self._first_token_s is None and isinstance(event, FragmentText):
            self._first_token_s = trio.current_time() - self._started_s
        self._emit(event)
        if isinstance(event, FragmentText):
            self._show(self._answer.feed(event.ordinal, event.text))

    def _report(self) -> Answered:
        checkpoints = [run.outcome.checkpoint for run in self._runs if run.outcome.checkpoint]
        origins = {checkpoint.origin for checkpoint in checkpoints} or {self._client.ledger.logs[0].origin}
        answered = Answered(
            text=self._answer.text,
            exposure=self._exposure(),
            fragments=tuple(self._report_fragment(run) for run in self._runs),
            identifiers=self._identifiers,
            log_origin=", ".join(sorted(origins)),
            log_size=max((checkpoint.size for checkpoint in checkpoints), default=0),
            first_token_s=self._first_token_s,
            total_s=trio.current_time() - self._started_s,
        )
        self._emit(answered)
        return answered

    def _report_fragment(self, run: _Run) -> FragmentReport:
        outcome = run.outcome
        path = run.attempt.path
        was_sent = run.attempt in run.sent_to
        text_sent = run.attempt.text_sent if was_sent else ""
        prefix = (was_sent and run.came_in(run.attempt) and run.attempt.prefix) or ""
        return FragmentReport(
            ordinal=run.fragment.ordinal,
            host=run.attempt.host.peer,
            mode=self._plan.mode,
            share=share(self._text, [text_sent, prefix], run.attempt.view.hidden_words),
            text_sent=text_sent,
            out=tuple(peer.peer for peer in path.out),
            back=tuple(peer.peer for peer in path.back),
            prompt_tokens=outcome.prompt_tokens,
            answer_tokens=outcome.answer_tokens,
            amount_microcredits=outcome.amount_microcredits,
            restarts=run.restarts,
            continuations=run.continuations,
            receipt_index=outcome.receipt_index,
            receipt_log=None if outcome.checkpoint is None else outcome.checkpoint.origin,
            finality=outcome.finality,
            failure=run.failure,
            failure_reason=run.failure_reason,
            finish_reason=outcome.finish_reason,
            unfinished=run.failure is not None and bool(outcome.answer.strip()),
        )

    def _exposure(self) -> ExposureReceipt:
        sent = self._sent()
        attempts = [attempt for run in self._runs for attempt in run.attempts]
        relays = relay_uses(attempts, self._client.network.region_of)
        return ExposureReceipt(
            hosts=host_exposures(self._text, sent, len(self._runs), self._plan.mode),
            mode=self._plan.mode,
            policy=self._plan.policy.level.value,
            profile=self._profile,
            guards=tuple(relay.relay for relay in relays if relay.role == "guard"),
            notices=(
                *self._weakened(),
                *carried_together(attempts),
                *self._asked.notices,
                *self._plan.notices,
                *self._client.network.notices(),
            ),
            profile_asked=self._client.config.profile,
            relays=relays,
            totals=totals_of(self._text, sent, self._identifiers),
        )


def serves_in(host: HostChoice, profile: str) -> bool:
    """Whether `host` answers in the way that the profile asks of hosts: at a cadence, for `paced`."""
    return profile != "paced" or serving.PACED_FLAG in host.offer.flags


def _check_hosts(hosts: Sequence[HostChoice], profile: str) -> None:
    """Raises `ProfileUnavailable` where some of the hosts of a request cannot serve in its profile."""
    lacking = sum(not serves_in(host, profile) for host in hosts)
    if lacking:
        lacks = (
            f"{lacking} more host{'' if lacking == 1 else 's'} that answer{'s' if lacking == 1 else ''} at a cadence"
        )
        raise ProfileUnavailable(
            f"profile '{profile}' needs hosts that answer at a cadence, and {lacking} of the {len(hosts)} for this "
            f"request do not: {lacks} are missing. Wait for such hosts, choose --profile private (the sizes and times "
            "of its cells show), or --allow-weaker-profile, which does so only where it has to.",
            lacks,
        )


def _ends_and_middles(path: RingPath) -> tuple[PathPeer, ...]:
    return (path.endpoint, *path.out[1:], *path.back[1:])


def _can_go_on(host: HostChoice, outcome: Outcome) -> bool:
    """Whether `host` can go on from what was shown, where anything was."""
    return PREFIX in host.offer.flags and prefix_of(outcome.kept) is not None


def _unfinished(text: str, failure: str) -> str:
    """What stands in the merged answer for a fragment that nobody could finish."""
    if not text.strip():
        return f"[This part could not be answered: {failure}]"
    joint = "" if text[-1].isspace() else " "
    return f"{text}{joint}…\n\n[This part could not be finished: {failure}]"


def masked(text: str, mentions: Sequence[Mention]) -> Masked:
    """What has been found in `text`, each identifier once, and how many of each kind."""
    found = tuple(dict.fromkeys((mention.label, text[mention.start : mention.end]) for mention in mentions))
    counts: dict[str, int] = {}
    for label, _ in found:
        counts[label] = counts.get(label, 0) + 1
    return Masked(found, counts)
