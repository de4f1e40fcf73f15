"""A host's service: fragments arrive on rings, answers leave on them, and vouchers pay for both.

`core.serving` has the exchange, `core.metering` the rules of payment. Rules kept here:

1. Nothing of a prompt or an answer is logged, stored, or put into an error (promise P5).
2. A fragment is screened before it reaches the engine (promise P1), and so is the text that it goes on from.
3. The host is never more than one window of answer tokens ahead of the vouchers; a client that stops paying is
   waited for `VOUCHER_TIMEOUT_S` and then left, and what it did pay is settled.
4. On a lane whose grant is not final the host gives one window of tokens in all. It asks the log meanwhile, and where
   the quorum does not come within `FINALITY_TIMEOUT_S` after that, the answer ends there, as at its full length.
5. When the ring ends, the generation is cancelled; when the engine fails, the client is told with a word. What was
   paid is settled in either case, and by then the slot is free again: the client may be back over another ring.
6. Rings are served as they come and, unless the configuration says otherwise, at a cadence; the engine is then read no
   faster than the cells leave. Such a ring fills its class after its slot is free.
"""

import secrets
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final

import structlog
import trio
from attrs import evolve, frozen

from inference.engine import PREFIX, ContextOverflow, Engine, EngineError, Message, ModelInfo, Parameters
from peernet.core import serving
from peernet.core.dht.records import MAX_LIST_LENGTH, HostOffer, ProviderRecord, provider_key, sign_record
from peernet.core.errors import ConnectionFailed, RemoteProtocolError
from peernet.core.ledger.policy import LedgerPolicy
from peernet.core.ledger.proofs import LogProof, origin_of_proof
from peernet.core.metering import HostMeter, Lane, LaneOpening, Settlement, open_lane
from peernet.core.offers import OFFERS_PROTOCOL, GetOffers, OfferMessages, Offers
from peernet.core.serving import Ask, Delta, Finished, FromClient, FromHost, Pay, Refused, Settled
from peernet.host.reporting import Answered, ServiceRecord
from peernet.host.settling import SettlementRejected, Settler
from peernet.net.messages import MessageStream
from peernet.net.rings import RingChannel, RingFailed
from peernet.net.streams import PeerStream
from peernet.node.config import HostConfig
from peernet.node.peer import RECORD_LIFETIME_S, Peer, now_s
from privacy.screening import Screen, ScreeningFailed, engine_guard

__all__ = ["HostService"]

ASK_TIMEOUT_S: Final = 10.0
VOUCHER_TIMEOUT_S: Final = 15.0
LAST_VOUCHER_TIMEOUT_S: Final = 5.0
FINALITY_TIMEOUT_S: Final = 2.0
FINALITY_INTERVAL_S: Final = 0.5
MAX_LANES: Final = 10_000

log = structlog.get_logger()


@frozen
class Refusal(Exception):
    """The host does not serve this, or not to the end."""

    reason: str
    explanation: str


class HostService:
    """Serves one engine's model over rings.

    Args:
        peer: the node, not yet listening.
        engine: loaded.
        config: prices and capacity.
        policy: the logs whose lanes are accepted, and what makes a grant final.
        settler: where receipts go.
        payout_seed: the Ed25519 seed of the payout key, which is not the peer's.
    """

    def __init__(
        self,
        peer: Peer,
        engine: Engine,
        config: HostConfig,
        policy: LedgerPolicy,
        settler: Settler,
        payout_seed: bytes,
    ) -> None:
        self._peer = peer
        self._engine = engine
        self._config = config
        self._policy = policy
        self._settler = settler
        self._payout_seed = payout_seed
        self._payout_key = peer.suite.ed25519_public(payout_seed)
        guard = engine_guard(engine) if config.screening_guard else None
        self._screener = Screen.configured(config.screening, config.screening_timeout_s, guard)
        self._free = config.parallel
        self._lanes: dict[bytes, int] = {}
        self.record = ServiceRecord()
        """Counts for the host's own reports."""
        peer.rings.serve(serving.INFER, self._serve)
        if config.paced:
            peer.rings.serve(serving.INFER_PACED, self._serve)
        peer.swarm.handle(OFFERS_PROTOCOL, self._serve_offers)
        peer.publish(self._offer)
        peer.publish(self._provider)

    async def load(self) -> None:
        """Reads the screening model ahead of the first request; raises `ScreeningFailed` where it is missing."""
        await trio.to_thread.run_sync(self._screener.load)

    @property
    def _model(self) -> ModelInfo:
        return self._engine.models()[0]

    def _offer(self) -> HostOffer:
        issued = now_s()
        model = self._model
        return HostOffer(
            public_key=self._peer.keys.identity.public_key,
            sequence=issued,
            issued_at_s=issued,
            expires_at_s=issued + RECORD_LIFETIME_S,
            model=model.name,
            model_digest=model.digest,
            tokenizer_digest=model.tokenizer_digest,
            quantisation=model.quantisation,
            context_tokens=model.context_tokens,
            prompt_price=self._config.prompt_price,
            answer_price=self._config.answer_price,
            capacity=self._config.parallel,
            region=self._peer.network.region,
            issuers=tuple(log.origin for log in self._policy.logs)[:MAX_LIST_LENGTH],
            payout_key=self._payout_key,
            flags=tuple(sorted({*model.capabilities, *((serving.PACED_FLAG,) if self._config.paced else ())})),
        )

    def _provider(self) -> ProviderRecord:
        issued = now_s()
        key = provider_key(self._model.name)
        return ProviderRecord(self._peer.keys.identity.public_key, issued, issued, issued + RECORD_LIFETIME_S, key)

    async def _serve_offers(self, stream: PeerStream) -> None:
        messages = MessageStream(stream, OfferMessages)
        while (request := await messages.receive()) is not None:
            if not isinstance(request, GetOffers):
                raise RemoteProtocolError("a request for offers was due", reason="bad_message")
            await messages.send(Offers((sign_record(self._offer(), self._peer.keys.identity),)))

    async def _serve(self, ring: RingChannel) -> None:
        try:
            with trio.fail_after(ASK_TIMEOUT_S):
                message = await ring.receive()
            if message is None:
                return
            ask = FromClient.decode(message)
            if not isinstance(ask, Ask):
                raise RemoteProtocolError("a ring for inference begins with a request", reason="bad_message")
            await self._answer(ring, ask)
        except Refusal as refusal:
            if refusal.reason == serving.ENGINE:
                self.record.failed()
            await _tell(ring, Refused(refusal.reason, refusal.explanation))

    async def _answer(self, ring: RingChannel, ask: Ask) -> None:
        came_at = trio.current_time()
        if not self._free:
            raise Refusal(serving.BUSY, "all of this host's slots are taken")
        lane = self._check_lane(ask)
        messages, parameters = self._check_request(ask)
        await self._screen(messages, ask.prefix, lane.lane_key)
        final = self._is_final(ask.lane)
        meter = HostMeter(lane, self._payout_key, self._peer.suite, final=final)
        try:
            prompt_tokens = self._engine.count_tokens(messages)
        except EngineError as error:
            raise Refusal(serving.BAD_REQUEST, str(error)) from error
        if ask.prefix:
            prompt_tokens += self._engine.count_text_tokens(ask.prefix)
        try:
            meter.prompt(prompt_tokens)
        except RemoteProtocolError as error:
            raise Refusal(serving.LANE, str(error)) from error
        exchange = _Exchange(ring, self._engine, meter, prompt_tokens)
        confirm = None if final else partial(self._await_final, ask.lane, lane, exchange)
        self._free -= 1
        refusal: Refusal | None = None
        try:
            refusal = await exchange.run(messages, parameters, ask.prefix, confirm)
        finally:
            self._free += 1
            failed = refusal is not None and refusal.reason == serving.ENGINE
            self.record.answered(exchange.outcome(came_at, failed=failed))
        if refusal is not None:
            await _tell(ring, Refused(refusal.reason, refusal.explanation))
        with trio.CancelScope(shield=True, deadline=trio.current_time() + LAST_VOUCHER_TIMEOUT_S):
            await self._settle(ring, ask, meter)

    def _open_lane(self, opening: LaneOpening) -> Lane:
        log_key = self._policy.log(origin_of_proof(opening.proof)).key
        return open_lane(opening, log_key, self._peer.suite)

    def _is_final(self, opening: LaneOpening) -> bool:
        """Whether the quorum has cosigned an opening that holds: its log's signature has been verified."""
        try:
            note = LogProof.parse(opening.proof).checkpoint
            return self._policy.finality(note, self._peer.suite, opened_by_log=True).final
        except RemoteProtocolError as error:
            raise Refusal(serving.LANE, str(error)) from error

    async def _await_final(self, opening: LaneOpening, lane: Lane, exchange: "_Exchange") -> None:
        """Asks the log for a final proof of the grant, until there is one."""
        while True:
            try:
                newer = evolve(opening, proof=await self._settler.prove_grant(lane))
                if self._open_lane(newer) == lane and self._is_final(newer):
                    exchange.grant_is_final()
                    return
            except (ConnectionFailed, RemoteProtocolError, Refusal) as error:
                log.debug("a grant cannot be proven", error=type(error).__name__)
            await trio.sleep(FINALITY_INTERVAL_S)

    def _check_lane(self, ask: Ask) -> Lane:
        try:
            lane = self._open_lane(ask.lane)
            lane.check_open(now_s())
        except RemoteProtocolError as error:
            raise Refusal(serving.LANE, str(error)) from error
        terms = lane.terms
        asked = (terms.host_payout_key, terms.prompt_price_microcredits, terms.answer_price_microcredits)
        if asked != (self._payout_key, self._config.prompt_price, self._config.answer_price):
            raise Refusal(serving.LANE, "the lane is for another host, or for other prices than are offered")
        if terms.window_tokens > self._config.window_tokens:
            raise Refusal(serving.LANE, f"the lane's window is over {self._config.window_tokens} tokens")
        # A lane pays once: what it settles, it settles for good.
        now = now_s()
        self._lanes = {key: expiry for key, expiry in self._lanes.items() if expiry > now}
        if lane.lane_key in self._lanes:
            raise Refusal(serving.LANE, "this lane has been used")
        if len(self._lanes) >= MAX_LANES:
            raise Refusal(serving.BUSY, "this host has too many lanes open")
        self._lanes[lane.lane_key] = lane.expires_at_s
        return lane

    def _check_request(self, ask: Ask) -> tuple[list[Message], Parameters]:
        if ask.model != self._model.name:
            raise Refusal(serving.NO_MODEL, "this host does not serve that model")
        try:
            messages = [Message(turn.role, turn.content) for turn in ask.turns]
            parameters = Parameters(
                max_tokens=ask.max_tokens,
                temperature_thousandths=ask.temperature_thousandths,
                top_p_thousandths=ask.top_p_thousandths,
                seed=ask.seed,
                stop=ask.stop,
            )
        except ValueError as error:
            raise Refusal(serving.BAD_REQUEST, str(error)) from error
        if ask.prefix and PREFIX not in self._model.capabilities:
            raise Refusal(serving.NO_PREFIX, "this host cannot go on from a text")
        return messages, parameters

    async def _screen(self, messages: Sequence[Message], prefix: str | None, lane_key: bytes) -> None:
        for text in (*(message.content for message in messages), *filter(None, (prefix,))):
            try:
                verdict = await self._screener.check(text)
            except ScreeningFailed as error:
                log.warning("a request cannot be screened", error=str(error))
                raise Refusal(serving.ENGINE, "the host cannot screen this now") from error
            if not verdict.allowed:
                self.record.refused(lane_key, verdict.category or "other")
                raise Refusal(serving.SCREENED, f"the host refuses this: {verdict.category}")

    async def _settle(self, ring: RingChannel, ask: Ask, meter: HostMeter) -> None:
        if meter.best_voucher is None:
            return
        receipt = meter.receipt(secrets.token_bytes(32), self._payout_seed)
        settlement = Settlement(receipt, ask.lane.terms, ask.lane.terms_nonce)
        try:
            proof = await self._settler.settle(settlement)
        except (ConnectionFailed, SettlementRejected) as error:
            log.warning("a settlement was not taken", error=str(error))
            await _tell(ring, Refused(serving.LEDGER, "the ledger did not take the receipt; it will be sent again"))
            return
        await _tell(ring, Settled(receipt, proof))


class _Exchange:
    """One answer on one ring: deltas out, vouchers in."""

    def __init__(self, ring: RingChannel, engine: Engine, meter: HostMeter, prompt_tokens: int) -> None:
        self._ring = ring
        self._engine = engine
        self._meter = meter
        self._prompt_tokens = prompt_tokens
        self._answer_tokens = 0
        self._counter = engine.answer_counter()
        self._first_at: float | None = None
        self._first_tokens = 0
        self._last_at = 0.0
        self._paid = trio.Event()
        self._broken: str | None = None

    async def run(
        self,
        messages: Sequence[Message],
        parameters: Parameters,
        prefix: str | None,
        confirm: Callable[[], Awaitable[None]] | None,
    ) -> Refusal | None:
        """The exchange up to its last voucher, or to the ring's end; a refusal where the host does not finish it.

        `confirm` waits beside it for the lane's grant to become final.
        """
        refusal: Refusal | None = None
        self._take_waiting()  # the prompt's voucher comes with the prompt: the engine waits for no other task
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._take_vouchers, nursery.cancel_scope)
            if confirm is not None:
                nursery.start_soon(confirm)
            try:
                await self._stream(messages, parameters, prefix)
            except Refusal as raised:
                refusal = raised
            nursery.cancel_scope.cancel()
        return refusal

    def outcome(self, came_at: float, *, failed: bool) -> Answered:
        """What there is to count of the exchange; `came_at` is when its request came, of trio's clock."""
        first_at = self._first_at
        return Answered(
            prompt_tokens=self._prompt_tokens,
            answer_tokens=self._answer_tokens,
            failed=failed,
            first_token_ms=None if first_at is None else round(1000 * (first_at - came_at)),
            first_tokens=self._first_tokens,
            later_ms=0 if first_at is None else round(1000 * (self._last_at - first_at)),
        )

    def grant_is_final(self) -> None:
        """The lane's grant is final: more than a window may be given."""
        self._meter.grant_is_final()
        self._paid.set()

    async def _take_vouchers(self, whole: trio.CancelScope) -> None:
        """Reads vouchers until the ring ends, which cancels the whole exchange."""
        while self._broken is None:
            message = await self._ring.receive()
            if message is None:
                whole.cancel()
                return
            self._take_voucher(message)

    def _take_waiting(self) -> None:
        """Reads the vouchers that have come already."""
        while self._broken is None and (message := self._ring.receive_nowait()) is not None:
            self._take_voucher(message)

    def _take_voucher(self, message: bytes) -> None:
        try:
            pay = FromClient.decode(message)
            if not isinstance(pay, Pay):
                raise RemoteProtocolError("a voucher was due", reason="bad_message")
            self._meter.voucher(pay.voucher)
        except RemoteProtocolError as error:
            self._broken = error.reason
        self._paid.set()

    async def _stream(self, messages: Sequence[Message], parameters: Parameters, prefix: str | None) -> None:
        """Generates and sends the answer as far as it is paid for; raises `Refusal` when it cannot be finished."""
        await self._wait_paid(1)
        reason = "length"
        try:
            async with self._engine.generate(messages, parameters, prefix) as generation:
                async for delta in generation:
                    if delta.text and not await self._send(delta.text):
                        reason = "length"
                        break
                    reason = delta.finish_reason or reason
        except ContextOverflow as error:
            raise Refusal(serving.CONTEXT, str(error)) from error
        except EngineError as error:
            raise Refusal(serving.ENGINE, "the host's engine failed") from error
        await _tell(self._ring, Finished(reason, self._prompt_tokens, self._answer_tokens))
        await self._wait_last()

    async def _send(self, text: str) -> bool:
        """Sends the next piece once it is paid for; False where the lane's grant does not stand for it."""
        total = max(self._answer_tokens, self._counter.feed(text))
        if self._meter.covered_tokens < total:
            with trio.move_on_after(FINALITY_TIMEOUT_S):
                await self._wait_until(lambda: self._meter.covered_tokens >= total)
            if self._broken is None and self._meter.covered_tokens < total:
                return False
        await self._wait_paid(total - self._answer_tokens)
        self._meter.answer(total)
        self._answer_tokens = total
        await _tell(self._ring, Delta(text))
        self._last_at = trio.current_time()
        if self._first_at is None:
            self._first_at, self._first_tokens = self._last_at, total
        return True

    async def _wait_paid(self, tokens: int) -> None:
        """Waits until so many more answer tokens are allowed."""
        if self._meter.allowance_tokens < tokens:
            with trio.move_on_after(VOUCHER_TIMEOUT_S) as waiting:
                await self._wait_until(lambda: self._meter.allowance_tokens >= tokens)
            if waiting.cancelled_caught:
                raise Refusal(serving.UNPAID, "no voucher came for what was given")
        if self._broken is not None:
            raise Refusal(serving.BAD_REQUEST, f"a voucher was refused: {self._broken}")

    async def _wait_last(self) -> None:
        """Waits a little for the voucher that covers all."""

        def covered() -> bool:
            best = self._meter.best_voucher
            return best is not None and best.answer_tokens >= self._answer_tokens

        with trio.move_on_after(LAST_VOUCHER_TIMEOUT_S):
            await self._wait_until(covered)

    async def _wait_until(self, holds: Callable[[], bool]) -> None:
        while not holds() and self._broken is None:
            self._paid = trio.Event()
            await self._paid.wait()


async def _tell(ring: RingChannel, message: object) -> None:
    """Sends a message; a ring that has ended needs none."""
    try:
        await ring.send(FromHost.encode(message))
    except RingFailed:
        log.debug("a ring ended before its last message")
