"""One fragment on its way: a lane, a ring, the exchange with a host, and again with another host if that one fails.

Rules:

1. Each attempt has a lane and a ring of its own. The ring to the ledger runs over the relays of the ring to the host,
   so no further relay learns that this fragment exists.
2. The client counts tokens itself and signs vouchers for what it counted, never for what it is told. A text that a
   host goes on from is paid to it as part of its prompt, and counts towards what was asked for at most.
3. A host that refuses for good (the prompt is too long, or refused by its screening) is not asked again elsewhere;
   after any other failure the fragment goes on, on the same host where its ring alone broke, else on a standby
   (`request` decides). What was shown is kept where the next host can go on from it (`seam`), else it is void.
4. How long a host may be silent is learned from that host (`core.host_ranking`), and so is how slow it may be: one
   that gives a word just before each deadline has stalled as well. What it does here is remembered there. Counted is
   how long it is waited for, and not how long its words are read or screened.
"""

import math
from collections.abc import Callable, Sequence
from typing import Final

import trio
from attrs import Factory, define, field, frozen

from inference.engine import Message, Parameters
from inference.tokenizer import Tokenizer
from peernet.client.events import Event, FragmentDone, FragmentText, LaneFunded, ReceiptProven, RingBuilt
from peernet.client.network import CONFLICTING, HostChoice, NetworkView
from peernet.client.purse import Purse
from peernet.client.seam import AnswerText, prefix_of
from peernet.client.wallet import FundedLane, LaneRefused, LedgerUnreachable, failed_hop, fund_lane
from peernet.core import serving
from peernet.core.errors import LocalProtocolError, PeernetError, RemoteProtocolError
from peernet.core.host_ranking import STRETCH_TOKENS, HostStandings
from peernet.core.ledger.checkpoint import Checkpoint
from peernet.core.ledger.policy import Finality, LedgerPolicy
from peernet.core.ledger.proofs import LogProof
from peernet.core.metering import ClientMeter, LaneExhausted, Voucher, price, verify_receipt
from peernet.core.ring.endings import blame
from peernet.core.ring.paths import PathPeer, RingPath
from peernet.core.ring.ring import OUT
from peernet.core.serving import Ask, Delta, Finished, FromClient, FromHost, Pay, Refused, Settled, Turn
from peernet.net.rings import RingChannel, RingFailed
from privacy.planning import Fragment
from privacy.pseudonyms import HostView
from privacy.screening import Screen, ScreeningFailed

__all__ = ["Attempt", "AttemptFailed", "Exchange", "LaneUse", "Outcome"]

RECEIPT_TIMEOUT_S: Final = 15.0
VOUCHER_EVERY_TOKENS: Final = 16
PREPAID_WINDOW_TOKENS: Final = 64
SILENT: Final = "silent"
"""Why an attempt failed whose host said nothing until its deadline."""
SLOW: Final = "slow"
"""Why an attempt failed whose host gave too few tokens for how long they took."""
_SENTENCE_ENDS: Final = ".!?\n"


class AttemptFailed(PeernetError):
    """An attempt at a fragment failed. `final` when another host would fail as well.

    `peer` is the host when it is to blame; `suspects` are relays one of which may be. `reason` is one word for
    programs: one of `core.serving`'s where a host gave it, or would have.
    """

    def __init__(
        self,
        message: str,
        *,
        peer: str | None,
        final: bool = False,
        suspects: frozenset[str] = frozenset(),
        reason: str = "failed",
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.peer = peer
        self.final = final
        self.suspects = suspects

    @property
    def trouble(self) -> tuple[str, str, frozenset[str]]:
        """As `RingTroubles.note` takes it: the kind, the word, and whom it concerns."""
        word = getattr(self.__cause__, "reason", self.reason)
        if self.peer is not None:
            return "host", word, frozenset({self.peer})
        return ("relay" if self.suspects else "request"), word, self.suspects


@frozen
class Attempt:
    """A fragment, the host that gets it this time, and the way there."""

    fragment: Fragment
    host: HostChoice
    path: RingPath
    turns: tuple[Turn, ...] = field(repr=False)
    view: HostView = field(repr=False)
    parameters: Parameters
    kept: str = field(default="", repr=False)
    """What was shown of the answer before, as this host would have written it; empty where it starts anew."""

    @property
    def text_sent(self) -> str:
        """The fragment's own prompt as the host gets it."""
        return self.turns[-1].content

    @property
    def prefix(self) -> str | None:
        """The beginning of the answer as the host gets it."""
        return prefix_of(self.kept)


@define
class LaneUse:
    """What the client counted and signed for on the lane of one attempt."""

    prompt_tokens: int = 0
    answer_tokens: int = 0
    amount_microcredits: int = 0


@define
class Outcome:
    """What a fragment has brought so far, over all its attempts; each attempt adds to it as it goes."""

    answer: str = field(default="", repr=False)
    """What was shown: names restored."""
    answer_as_sent: str = field(default="", repr=False)
    """The same, and what is held back of it, as its last host writes it."""
    kept: str = field(default="", repr=False)
    """Of `answer_as_sent`, what was shown."""
    whole: bool = False
    finish_reason: str = "stop"
    first_token_s: float = math.nan
    lanes: list[LaneUse] = Factory(list)
    receipt_index: int | None = None
    checkpoint: Checkpoint | None = None
    finality: Finality | None = None

    @property
    def prompt_tokens(self) -> int:
        """Over all lanes."""
        return sum(use.prompt_tokens for use in self.lanes)

    @property
    def answer_tokens(self) -> int:
        """Over all lanes, void ones included: what was paid for."""
        return sum(use.answer_tokens for use in self.lanes)

    @property
    def amount_microcredits(self) -> int:
        """Over all lanes: what the client has signed for."""
        return sum(use.amount_microcredits for use in self.lanes)

    def drop_text(self) -> None:
        """Makes void what was shown."""
        self.answer = self.answer_as_sent = self.kept = ""
        self.first_token_s = math.nan


@frozen
class Exchange:
    """What all attempts of a client need."""

    network: NetworkView
    tokenizer: Tokenizer
    screener: Screen
    ledger: LedgerPolicy
    emit: Callable[[Event], None]
    started_s: float
    paced: bool = False
    """Whether its rings are."""
    linger: Callable[[RingChannel], None] = lambda _: None
    """Takes a ring that is ended and goes on for a while."""
    standings: HostStandings = Factory(HostStandings)
    purse: Purse | None = None
    """Whose credits pay for lanes."""

    async def run(self, attempt: Attempt, outcome: Outcome, sending: Callable[[], None]) -> None:
        """One attempt, from its lane to its receipt; raises `AttemptFailed`.

        `outcome` takes what it brings, also where it fails. `sending` is called right before the fragment leaves: from
        then on its host counts as a viewer.
        """
        host = attempt.host.peer
        self.standings.begun(host)
        try:
            await self._run(attempt, outcome, sending)
        except AttemptFailed as error:
            self._remember(host, error)
            raise
        finally:
            self.standings.ended(host)

    def _remember(self, host: str, error: AttemptFailed) -> None:
        """What a failed attempt says of its host: nothing, where it was not the host's, or another would do the same.

        A stall is remembered where it is noticed.
        """
        if error.peer != host or error.final or error.reason in {SILENT, SLOW, serving.NOT_PACED}:
            return
        remember = self.standings.busy if error.reason == serving.BUSY else self.standings.failed
        remember(host, trio.current_time())

    async def _run(self, attempt: Attempt, outcome: Outcome, sending: Callable[[], None]) -> None:
        ordinal, host = attempt.fragment.ordinal, attempt.host
        if self.paced and serving.PACED_FLAG not in host.offer.flags:
            why = "the host does not answer at a cadence, as profile 'paced' needs"
            raise AttemptFailed(why, peer=host.peer, reason=serving.NOT_PACED)
        # Now in this host's words, also where it fails before it says any.
        outcome.answer_as_sent = outcome.kept = attempt.kept
        prompt_tokens = self.tokenizer.count_messages([Message(turn.role, turn.content) for turn in attempt.turns])
        prefix_tokens = self.tokenizer.count_text(attempt.prefix) if attempt.prefix else 0
        prompt_tokens += prefix_tokens
        room = host.offer.context_tokens - prompt_tokens
        if room < 1:
            raise AttemptFailed(
                f"a part has {prompt_tokens} tokens, and the model's context {host.offer.context_tokens}: shorten it",
                peer=None,
                final=True,
                reason=serving.CONTEXT,
            )
        # At least one: a text that was cut may have a token more than the answer that it was cut from.
        max_tokens = min(max(1, attempt.parameters.max_tokens - prefix_tokens), room)
        try:
            lane = await self._fund(attempt, prompt_tokens, max_tokens)
        except LedgerUnreachable as error:
            suspects = _suspects(attempt.path, error.ring)
            raise AttemptFailed(str(error), peer=None, suspects=suspects, reason=serving.LEDGER) from error
        except LaneRefused as error:
            raise AttemptFailed(str(error), peer=None, final=True, reason=serving.LANE) from error
        self.emit(LaneFunded(ordinal, lane.lane.cap_microcredits, lane.finality))
        began = trio.current_time()
        try:
            service = serving.INFER_PACED if self.paced else serving.INFER
            ring = await self.network.open_ring(attempt.path, service)
        except RingFailed as error:
            if error.reason == CONFLICTING:
                # Nobody's fault: there may be a ring to where it is now, over others.
                raise AttemptFailed(f"no ring to the host: {error}", peer=None) from error
            hop = failed_hop(error)
            # Both arcs have the host at the same place.
            if hop == len(attempt.path.out):
                raise AttemptFailed(f"no ring to the host: {error}", peer=host.peer) from error
            suspects = _suspects(attempt.path, error)
            raise AttemptFailed(f"no ring to the host: {error}", peer=None, suspects=suspects) from error
        out, back = (tuple(peer.peer for peer in arc) for arc in (attempt.path.out, attempt.path.back))
        self.emit(RingBuilt(ordinal, host.peer, out, back, trio.current_time() - began))
        try:
            await self._talk(ring, attempt, lane, prompt_tokens, max_tokens, outcome, sending)
        except RingFailed as error:
            raise await _broken(ring, attempt, error) from error
        except RemoteProtocolError as error:
            raise AttemptFailed(f"the host broke the protocol: {error.reason}", peer=host.peer) from error
        finally:
            ring.end()
            self.linger(ring)

    async def _fund(self, attempt: Attempt, prompt_tokens: int, max_tokens: int) -> FundedLane:
        offer = attempt.host.offer
        # A window more than the answer may have, since text is counted and not the engine's steps.
        cap = price(prompt_tokens, max_tokens + PREPAID_WINDOW_TOKENS, offer.prompt_price, offer.answer_price)
        return await fund_lane(self.network, attempt.path, offer, max(1, cap), self.ledger, self.purse)

    async def _talk(
        self,
        ring: RingChannel,
        attempt: Attempt,
        lane: FundedLane,
        prompt_tokens: int,
        max_tokens: int,
        outcome: Outcome,
        sending: Callable[[], None],
    ) -> None:
        meter = ClientMeter(lane.lane, lane.seed, self.network.suite, voucher_every_tokens=VOUCHER_EVERY_TOKENS)
        try:
            meter.prompt(prompt_tokens)
        except LaneExhausted as error:
            raise AttemptFailed(str(error), peer=None, final=True) from error
        ask = Ask(
            lane=lane.opening,
            model=attempt.host.offer.model,
            turns=attempt.turns,
            max_tokens=max_tokens,
            temperature_thousandths=attempt.parameters.temperature_thousandths,
            top_p_thousandths=attempt.parameters.top_p_thousandths,
            seed=attempt.parameters.seed,
            stop=attempt.parameters.stop,
            prefix=attempt.prefix,
        )
        sending()
        answer = _Answer(self, attempt, ask, meter, prompt_tokens, outcome)
        await answer.pay(ring, FromClient.encode(ask))
        await answer.receive(ring)


class _Answer:
    """The stream of one host's answer: counted, paid, restored, screened."""

    def __init__(
        self,
        exchange: Exchange,
        attempt: Attempt,
        ask: Ask,
        meter: ClientMeter,
        prompt_tokens: int,
        outcome: Outcome,
    ) -> None:
        self._exchange = exchange
        self._attempt = attempt
        self._ask = ask
        self._meter = meter
        self._prompt_tokens = prompt_tokens
        self._outcome = outcome
        self._use = LaneUse()
        outcome.lanes.append(self._use)
        self._standings = exchange.standings
        self._host = attempt.host.peer
        self._begun = False
        """Whether a first token has come."""
        self._stretch_s = 0.0
        """How long the host was waited for since so many of its tokens were here."""
        self._stretch_tokens: int | None = None
        """None before the first ones, which are waited for otherwise."""
        self._counter = exchange.tokenizer.incremental()
        self._text = AnswerText(attempt.view.mapping(), attempt.kept, ask.stop)
        self._screening = exchange.screener.answer()

    async def receive(self, ring: RingChannel) -> None:
        """Takes the answer up to the receipt; raises `AttemptFailed` or `RingFailed` before the answer is whole."""
        reason = await self._receive_text(ring)
        self._outcome.finish_reason = "length" if reason == "length" else "stop"
        self._show(self._text.finish(cut=reason == "length"))
        await self._screen(whole=True)
        await self.pay(ring, last=True)
        self._outcome.whole = True
        self._standings.answered(self._host, trio.current_time())
        self._announce()
        await self._take_receipt(ring)

    async def pay(self, ring: RingChannel, *before: bytes, last: bool = False) -> None:
        """Sends a voucher when one is due; once the answer is whole, one that gets lost is the host's risk.

        `before` is the prompt, for which one always is; both leave together, and the host need not wait for either. A
        host that does not take them is waited for no longer than for its tokens.
        """
        if not self._meter.voucher_due(last=last):
            return
        voucher = self._meter.voucher()
        self._use.prompt_tokens = voucher.prompt_tokens
        self._use.amount_microcredits = voucher.amount_microcredits
        began_s = trio.current_time()
        try:
            with trio.move_on_after(self._stretch_left_s(began_s)) as taking:
                await ring.send(*before, FromClient.encode(Pay(voucher)))
        except RingFailed:
            if not last:
                raise
        self._stretch_s += trio.current_time() - began_s
        if taking.cancelled_caught and not last:
            self._standings.stalled(self._host, trio.current_time())
            raise self._too_slow(self._stretch_s)

    async def _receive_text(self, ring: RingChannel) -> str:
        """Takes the text; why it ended, as engines say it."""
        while not self._text.stopped:
            try:
                message = await self._next_of_answer(ring)
            except (AttemptFailed, RingFailed):
                if self._use.answer_tokens >= self._ask.max_tokens:
                    return "length"  # all that was asked for is here, and only the word that it is all is not
                raise
            match message:
                case Delta() as delta:
                    await self._take(ring, delta)
                    if self._use.answer_tokens > self._ask.max_tokens + PREPAID_WINDOW_TOKENS:
                        # Beyond what the lane pays for, and what two ways of counting differ by.
                        self._exchange.network.troubles.note("host", "too_long", (self._attempt.host.peer,))
                        return "length"
                case Finished() as finished:
                    return finished.reason
                case Refused() as refused:
                    final = refused.reason in serving.FINAL_REASONS
                    host = self._attempt.host.peer
                    raise AttemptFailed(refused.explanation, peer=host, final=final, reason=refused.reason)
                case other:
                    raise RemoteProtocolError(f"{type(other).__name__} came within an answer", reason="bad_message")
        return "stop"

    async def _next_of_answer(self, ring: RingChannel) -> object:
        """The next message, within what this host takes; how long it took is remembered for the next time."""
        began_s = trio.current_time()
        left_s = math.inf
        if self._begun:
            deadline_s = self._standings.next_token_deadline_s(self._host, began_s)
            left_s = self._stretch_left_s(began_s)
        else:
            deadline_s = self._standings.first_token_deadline_s(self._host, self._prompt_tokens, began_s)
        try:
            message = await self._next(ring, min(deadline_s, left_s))
        except AttemptFailed:
            now_s = trio.current_time()
            self._standings.stalled(self._host, now_s)
            if left_s < deadline_s:
                raise self._too_slow(self._stretch_s + now_s - began_s) from None
            raise
        now_s = trio.current_time()
        if self._begun:
            self._stretch_s += now_s - began_s
            self._standings.next_token(self._host, now_s - began_s, now_s)
        elif isinstance(message, Delta):
            self._begun = True
            self._standings.first_token(self._host, self._prompt_tokens, now_s - began_s, now_s)
        return message

    def _stretch_left_s(self, now_s: float) -> float:
        return self._standings.stretch_deadline_s(self._host, now_s) - self._stretch_s

    def _too_slow(self, waited_s: float) -> AttemptFailed:
        tokens = self._use.answer_tokens - (self._stretch_tokens or 0)
        return AttemptFailed(f"the host gave {tokens} tokens in {waited_s:.3g} s", peer=self._host, reason=SLOW)

    def _note_stretch(self) -> None:
        """Begins to wait for the next tokens anew, where enough are here."""
        if self._stretch_tokens is not None:
            tokens = self._use.answer_tokens - self._stretch_tokens
            if tokens < STRETCH_TOKENS:
                return
            self._standings.stretch(self._host, tokens, self._stretch_s, trio.current_time())
        self._stretch_s, self._stretch_tokens = 0.0, self._use.answer_tokens

    async def _next(self, ring: RingChannel, timeout_s: float) -> object:
        with trio.move_on_after(timeout_s):
            message = await ring.receive()
            if message is None:
                raise RingFailed(f"the ring ended: {ring.ended}", reason=ring.ended or "closed")
            return FromHost.decode(message)
        raise AttemptFailed(f"the host was silent for {timeout_s:.3g} s", peer=self._host, reason=SILENT)

    async def _take(self, ring: RingChannel, delta: Delta) -> None:
        if math.isnan(self._outcome.first_token_s):
            self._outcome.first_token_s = trio.current_time() - self._exchange.started_s
        if not delta.text:
            raise RemoteProtocolError("a piece of an answer without text", reason="bad_message")
        total = max(self._use.answer_tokens, self._counter.feed(delta.text))
        self._use.answer_tokens = total
        self._note_stretch()
        try:
            self._meter.answer(total)
        except LocalProtocolError as error:
            raise RemoteProtocolError("an answer beyond all counting", reason="too_long") from error
        self._show(self._text.feed(delta.text))
        if any(mark in delta.text for mark in _SENTENCE_ENDS):
            await self._screen()
        await self.pay(ring)

    def _show(self, text: str) -> None:
        self._outcome.answer_as_sent, self._outcome.kept = self._text.as_sent, self._text.kept
        if text:
            self._outcome.answer += text
            self._exchange.emit(FragmentText(self._attempt.fragment.ordinal, text))

    async def _screen(self, *, whole: bool = False) -> None:
        try:
            verdict = await self._screening.read(self._outcome.answer_as_sent, whole=whole)
        except ScreeningFailed as error:
            self._outcome.drop_text()
            raise AttemptFailed(f"the answer was withheld: {error}", peer=None, final=True) from error
        if not verdict.allowed:
            self._outcome.drop_text()
            message = f"the answer was withheld: {verdict.category}"
            raise AttemptFailed(message, peer=None, final=True, reason=serving.SCREENED)

    def _announce(self) -> None:
        self._exchange.emit(
            FragmentDone(
                self._attempt.fragment.ordinal,
                self._attempt.host.peer,
                self._outcome.prompt_tokens,
                self._outcome.answer_tokens,
                self._outcome.amount_microcredits,
                self._outcome.first_token_s,
            )
        )

    async def _take_receipt(self, ring: RingChannel) -> None:
        """Waits for the receipt and verifies its proof; an answer without one, or with a false one, is whole as well.

        The report then says that there is none.
        """
        exchange = self._exchange
        try:
            settled = await self._next(ring, RECEIPT_TIMEOUT_S)
            if not isinstance(settled, Settled) or not self._is_ours(settled.receipt.voucher):
                return
            log_key = exchange.ledger.log(settled.receipt.voucher.log_origin).key
            checkpoint = verify_receipt(settled.proof, settled.receipt, log_key, exchange.network.suite)
            proof = LogProof.parse(settled.proof)
            self._outcome.finality = exchange.ledger.finality(proof.checkpoint, exchange.network.suite)
        except (RingFailed, AttemptFailed, RemoteProtocolError):
            return
        if exchange.purse is not None:
            await trio.to_thread.run_sync(exchange.purse.lane_settled, settled.receipt.voucher.lane_key)
        self._outcome.checkpoint, self._outcome.receipt_index = checkpoint, proof.index
        ordinal = self._attempt.fragment.ordinal
        exchange.emit(ReceiptProven(ordinal, settled.receipt, proof.index, checkpoint.size, proof.checkpoint))

    def _is_ours(self, settled: Voucher) -> bool:
        """Whether a voucher is of this lane, and for no more than was signed: an old receipt proves nothing here."""
        latest = self._meter.latest_voucher
        mine = latest is not None and settled.lane_key == latest.lane_key
        return mine and settled.amount_microcredits <= self._meter.vouched_microcredits


async def _broken(ring: RingChannel, attempt: Attempt, error: RingFailed) -> AttemptFailed:
    """What a ring that broke in mid-answer means, once both arcs have said how they ended."""
    await ring.finished.wait()
    path = attempt.path
    verdict = blame(ring.endings, len(path.out))
    if verdict.endpoint:
        return AttemptFailed(f"the host or its connections ended: {error.reason}", peer=attempt.host.peer)
    suspects = frozenset((path.out if arc == OUT else path.back)[hop].peer for arc, hop in verdict.suspects)
    return AttemptFailed(f"a relay broke the ring: {error.reason}", peer=None, suspects=suspects)


def _suspects(path: RingPath, error: RingFailed | None) -> frozenset[str]:
    """The relays one of which may have broken a ring, as far as the error tells; all of an arc where it does not."""
    arcs: Sequence[Sequence[PathPeer]] = (path.out, path.back)
    hop = None
    if error is not None:
        hop = failed_hop(error)
        if error.arc is not None:
            arcs = (path.out if error.arc == OUT else path.back,)
    if hop is not None and hop < len(path.out):
        return frozenset(arc[hop].peer for arc in arcs)
    return frozenset(peer.peer for arc in arcs for peer in arc)
