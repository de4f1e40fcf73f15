"""One fragment on its way: a lane, a ring, the exchange with a host, and again with another host if that one fails.

Rules:

1. Each attempt has a lane and a ring of its own. The ring to the ledger runs over the relays of the ring to the host,
   so no further relay learns that this fragment exists.
2. The client counts tokens itself and signs vouchers for what it counted, never for what it is told.
3. A host that refuses for good (the prompt is too long, or refused by its screening) is not asked again elsewhere;
   any other failure moves the fragment to a standby, and what was shown of it so far is void.
"""

import math
from collections.abc import Callable, Sequence
from typing import Final

import trio
from attrs import define, field, frozen

from inference.engine import Message, Parameters
from inference.tokenizer import Tokenizer
from peernet.client.events import Event, FragmentDone, FragmentText, LaneFunded, ReceiptProven, RingBuilt
from peernet.client.network import HostChoice, NetworkView
from peernet.client.wallet import FundedLane, LaneRefused, LedgerUnreachable, fund_lane
from peernet.core import serving
from peernet.core.errors import ConnectionFailed, LocalProtocolError, PeernetError, RemoteProtocolError
from peernet.core.ledger.checkpoint import Checkpoint
from peernet.core.ledger.notes import VerifierKey
from peernet.core.ledger.proofs import LogProof
from peernet.core.metering import ClientMeter, LaneExhausted, price, verify_receipt
from peernet.core.ring.paths import PathPeer, RingPath
from peernet.core.ring.ring import OUT
from peernet.core.serving import Ask, Delta, Finished, FromClient, FromHost, Pay, Refused, Settled, Turn
from peernet.net.rings import RingChannel, RingFailed
from privacy.planning import Fragment
from privacy.pseudonyms import HostView
from privacy.restoring import Restorer
from privacy.screening import Screener

__all__ = ["Attempt", "AttemptFailed", "Exchange", "Outcome"]

FIRST_TOKEN_TIMEOUT_S: Final = 60.0
NEXT_TOKEN_TIMEOUT_S: Final = 20.0
RECEIPT_TIMEOUT_S: Final = 15.0
VOUCHER_EVERY_TOKENS: Final = 16
PREPAID_WINDOW_TOKENS: Final = 64
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


@frozen
class Attempt:
    """A fragment, the host that gets it this time, and the way there."""

    fragment: Fragment
    host: HostChoice
    path: RingPath
    turns: tuple[Turn, ...] = field(repr=False)
    view: HostView = field(repr=False)
    parameters: Parameters

    @property
    def text_sent(self) -> str:
        """The fragment's own prompt as the host gets it."""
        return self.turns[-1].content


@define
class Outcome:
    """What an attempt brought."""

    answer: str = field(default="", repr=False)
    answer_as_sent: str = field(default="", repr=False)
    prompt_tokens: int = 0
    answer_tokens: int = 0
    finish_reason: str = "stop"
    amount_microcredits: int = 0
    receipt_index: int | None = None
    checkpoint: Checkpoint | None = None


@frozen
class Exchange:
    """What all attempts of a client need."""

    network: NetworkView
    tokenizer: Tokenizer
    screener: Screener
    log_key: VerifierKey
    emit: Callable[[Event], None]
    started_s: float

    async def run(self, attempt: Attempt, sending: Callable[[], None]) -> Outcome:
        """One attempt, from its lane to its receipt; raises `AttemptFailed`.

        `sending` is called right before the fragment leaves: from then on its host counts as a viewer.
        """
        ordinal, host = attempt.fragment.ordinal, attempt.host
        prompt_tokens = self.tokenizer.count_messages([Message(turn.role, turn.content) for turn in attempt.turns])
        room = host.offer.context_tokens - prompt_tokens
        if room < 1:
            raise AttemptFailed(
                f"a part has {prompt_tokens} tokens, and the model's context {host.offer.context_tokens}: shorten it",
                peer=None,
                final=True,
                reason=serving.CONTEXT,
            )
        max_tokens = min(attempt.parameters.max_tokens, room)
        try:
            lane = await self._fund(attempt, prompt_tokens, max_tokens)
        except LedgerUnreachable as error:
            suspects = _suspects(attempt.path, error.ring)
            raise AttemptFailed(str(error), peer=None, suspects=suspects, reason=serving.LEDGER) from error
        except LaneRefused as error:
            raise AttemptFailed(str(error), peer=None, final=True, reason=serving.LANE) from error
        self.emit(LaneFunded(ordinal, lane.lane.cap_microcredits))
        began = trio.current_time()
        try:
            ring = await self.network.open_ring(attempt.path, serving.INFER)
        except RingFailed as error:
            hop = _failed_hop(error)
            # Both arcs have the host at the same place.
            if hop == len(attempt.path.out):
                raise AttemptFailed(f"no ring to the host: {error}", peer=host.peer) from error
            suspects = _suspects(attempt.path, error)
            raise AttemptFailed(f"no ring to the host: {error}", peer=None, suspects=suspects) from error
        out, back = (tuple(peer.peer for peer in arc) for arc in (attempt.path.out, attempt.path.back))
        self.emit(RingBuilt(ordinal, host.peer, out, back, trio.current_time() - began))
        try:
            return await self._talk(ring, attempt, lane, prompt_tokens, max_tokens, sending)
        except RingFailed as error:
            # Which hop went, a broken ring does not say: the next one takes another host and other relays.
            suspects = _suspects(attempt.path, None)
            raise AttemptFailed(f"the ring broke: {error.reason}", peer=host.peer, suspects=suspects) from error
        except RemoteProtocolError as error:
            raise AttemptFailed(f"the host broke the protocol: {error.reason}", peer=host.peer) from error
        finally:
            ring.end()

    async def _fund(self, attempt: Attempt, prompt_tokens: int, max_tokens: int) -> FundedLane:
        offer = attempt.host.offer
        # A window more than the answer may have, since text is counted and not the engine's steps.
        cap = price(prompt_tokens, max_tokens + PREPAID_WINDOW_TOKENS, offer.prompt_price, offer.answer_price)
        return await fund_lane(self.network, attempt.path, offer, max(1, cap), self.log_key)

    async def _talk(
        self,
        ring: RingChannel,
        attempt: Attempt,
        lane: FundedLane,
        prompt_tokens: int,
        max_tokens: int,
        sending: Callable[[], None],
    ) -> Outcome:
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
            prefix=None,
        )
        sending()
        await ring.send(FromClient.encode(ask))
        await ring.send(FromClient.encode(Pay(meter.voucher())))
        answer = _Answer(self, attempt, meter, Outcome(prompt_tokens=prompt_tokens))
        await answer.receive(ring)
        return answer.outcome


class _Answer:
    """The stream of one host's answer: counted, paid, restored, screened."""

    def __init__(self, exchange: Exchange, attempt: Attempt, meter: ClientMeter, outcome: Outcome) -> None:
        self._exchange = exchange
        self._attempt = attempt
        self._meter = meter
        self.outcome = outcome
        self._counter = exchange.tokenizer.incremental()
        self._restorer = Restorer(attempt.view.mapping())
        self._first_token_s = math.nan

    async def receive(self, ring: RingChannel) -> None:
        """Takes the answer up to the receipt; raises `AttemptFailed` before the answer is whole."""
        timeout_s = FIRST_TOKEN_TIMEOUT_S
        while True:
            match await self._next(ring, timeout_s):
                case Delta() as delta:
                    await self._take(ring, delta)
                    timeout_s = NEXT_TOKEN_TIMEOUT_S
                case Finished() as finished:
                    break
                case Refused() as refused:
                    final = refused.reason in serving.FINAL_REASONS
                    host = self._attempt.host.peer
                    raise AttemptFailed(refused.explanation, peer=host, final=final, reason=refused.reason)
                case other:
                    raise RemoteProtocolError(f"{type(other).__name__} came within an answer", reason="bad_message")
        self.outcome.finish_reason = "length" if finished.reason == "length" else "stop"
        self._show(self._last_words(cut=finished.reason == "length"))
        await self._pay(ring, last=True)
        self._finish()
        await self._take_receipt(ring)

    def _last_words(self, *, cut: bool) -> str:
        """What the restorer still holds; the beginning of a placeholder at which a long answer was cut is no word."""
        held = self._restorer.finish()
        is_cut_placeholder = any(name.startswith(held) for name in self._attempt.view.mapping())
        return "" if cut and len(held) > 1 and is_cut_placeholder else held

    async def _next(self, ring: RingChannel, timeout_s: float) -> object:
        with trio.move_on_after(timeout_s):
            message = await ring.receive()
            if message is None:
                raise RingFailed(f"the ring ended: {ring.ended}", reason=ring.ended or "closed")
            return FromHost.decode(message)
        raise AttemptFailed(f"the host was silent for {timeout_s:g} s", peer=self._attempt.host.peer)

    async def _take(self, ring: RingChannel, delta: Delta) -> None:
        if math.isnan(self._first_token_s):
            self._first_token_s = trio.current_time() - self._exchange.started_s
        self.outcome.answer_as_sent += delta.text
        total = max(self.outcome.answer_tokens, self._counter.feed(delta.text))
        self.outcome.answer_tokens = total
        try:
            self._meter.answer(total)
        except LocalProtocolError as error:
            raise RemoteProtocolError("an answer beyond all counting", reason="too_long") from error
        self._show(self._restorer.feed(delta.text))
        if any(mark in delta.text for mark in _SENTENCE_ENDS):
            self._screen()
        await self._pay(ring, last=False)

    def _show(self, text: str) -> None:
        if text:
            self.outcome.answer += text
            self._exchange.emit(FragmentText(self._attempt.fragment.ordinal, text))

    def _screen(self) -> None:
        verdict = self._exchange.screener.screen(self.outcome.answer_as_sent)
        if not verdict.allowed:
            message = f"the answer was withheld: {verdict.category}"
            raise AttemptFailed(message, peer=None, final=True, reason=serving.SCREENED)

    async def _pay(self, ring: RingChannel, *, last: bool) -> None:
        if self._meter.voucher_due(last=last):
            await ring.send(FromClient.encode(Pay(self._meter.voucher())))

    def _finish(self) -> None:
        self._screen()
        self.outcome.amount_microcredits = self._meter.vouched_microcredits
        self._exchange.emit(
            FragmentDone(
                self._attempt.fragment.ordinal,
                self._attempt.host.peer,
                self.outcome.prompt_tokens,
                self.outcome.answer_tokens,
                self.outcome.amount_microcredits,
                self._first_token_s,
            )
        )

    async def _take_receipt(self, ring: RingChannel) -> None:
        """Waits for the receipt and verifies its proof; an answer without one is whole all the same."""
        try:
            settled = await self._next(ring, RECEIPT_TIMEOUT_S)
        except (RingFailed, AttemptFailed):
            return
        if not isinstance(settled, Settled) or settled.receipt.voucher.amount_microcredits > (
            self._meter.vouched_microcredits
        ):
            return
        exchange = self._exchange
        self.outcome.checkpoint = verify_receipt(
            settled.proof, settled.receipt, exchange.log_key, exchange.network.suite
        )
        proof = LogProof.parse(settled.proof)
        self.outcome.receipt_index = proof.index
        size = self.outcome.checkpoint.size
        ordinal = self._attempt.fragment.ordinal
        exchange.emit(ReceiptProven(ordinal, settled.receipt, proof.index, size, proof.checkpoint))


def _failed_hop(error: RingFailed) -> int | None:
    """The hop that a failed ring points at: the one that broke, or the one that the last good hop could not reach."""
    # What the client itself could not reach is the guard.
    if error.hop is None or isinstance(error.__cause__, ConnectionFailed):
        return error.hop
    return error.hop + 1 if error.reason in {"unreachable", "lost"} else error.hop


def _suspects(path: RingPath, error: RingFailed | None) -> frozenset[str]:
    """The relays one of which may have broken a ring, as far as the error tells; no guard without a sign."""
    arcs: Sequence[Sequence[PathPeer]] = (path.out, path.back)
    hop = None
    if error is not None:
        hop = _failed_hop(error)
        if error.arc is not None:
            arcs = (path.out if error.arc == OUT else path.back,)
    if hop is not None and hop < len(path.out):
        return frozenset(arc[hop].peer for arc in arcs)
    return frozenset(peer.peer for arc in arcs for peer in arc[1:])
