"""Metering: how a client pays a host for tokens while they stream, with neither having to trust the other for much.

Theory of operation. A client's **lane** is a fresh key that an operator or credits funded up to a cap, for one host,
on terms that the grant commits to. While tokens stream the client signs **vouchers**, each for everything so far, and
the host keeps the highest; at the end it countersigns that one. The result is the **receipt**, which the ledger
settles.

```
client                                   host
prompt(n), voucher          ------->     prompt(n), voucher(v); then and only then it begins
answer(total)               <-------     while may_stream: the next token, answer(total)
every k tokens: voucher     ------->     voucher(v): the window moves on
at the end: voucher         ------->     receipt(...), settled at the log
```

Rules:

1. Amounts are cumulative over the lane's whole life, in integer microcredits, and always the price of the voucher's
   own token counts. So a lost voucher costs nothing once the next one arrives.
2. The prompt is paid ahead, the answer behind. The host begins on a prompt when a voucher covers it, and is never
   more than `window_tokens` answer tokens ahead of the vouchers. The client signs for the prompt that it sends and for
   answer tokens that it counted itself, never for more and never above the cap.
3. Hence the client can lose one prompt's price and the host one window's, whatever is lost, held back or forged.
4. Until the lane's grant is final (the quorum has cosigned it) a log that lies could still take it back. On its word
   alone the host gives at most `window_tokens` answer tokens on the whole lane, however well they are vouched for.
5. Every voucher is bound to log, lane and payout key. One lane has one `HostMeter`, over all its rings; a host keeps
   it until the lane has expired, since a lane that it has settled is worth nothing.
6. What is signed is a domain and canonical bytes; no signature made here means anything elsewhere.

Source: design section 8.
"""

from typing import Final

from attrs import evolve, field, frozen

from peernet.core.credits.credits import Credit, digest_of_blinded
from peernet.core.errors import LocalProtocolError, PeernetError, RemoteProtocolError
from peernet.core.ledger.checkpoint import Checkpoint
from peernet.core.ledger.entries import (
    NONCE_SIZE,
    Change,
    ChangePart,
    Funding,
    Grant,
    Redeem,
    Settle,
    commitment,
    decode_entry,
)
from peernet.core.ledger.notes import VerifierKey
from peernet.core.ledger.proofs import open_entry_proof
from peernet.core.suite import KEY_SIZE, CipherSuite
from peernet.core.wire import encode

__all__ = [
    "ChangeRequest",
    "ClientMeter",
    "GrantRequest",
    "HostMeter",
    "Lane",
    "LaneExhausted",
    "LaneOpening",
    "LaneTerms",
    "Receipt",
    "RedeemRequest",
    "Settlement",
    "Voucher",
    "check_voucher",
    "open_lane",
    "opens_terms",
    "price",
    "sign_change",
    "sign_receipt",
    "sign_voucher",
    "verify_receipt",
]

MAX_TOKENS: Final = 2**32
MAX_PRICE_MICROCREDITS: Final = 10**9
MAX_WINDOW_TOKENS: Final = 2**16

_VOUCHER_DOMAIN = b"peernet voucher v1\x00"
_RECEIPT_DOMAIN = b"peernet receipt v1\x00"


class LaneExhausted(PeernetError):
    """A lane's cap does not cover what is to be sent: open another lane, or a larger one."""


@frozen
class LaneTerms:
    """What client and host agreed on for a lane; its grant commits to it, so that no other host can be paid by it."""

    host_payout_key: bytes
    """The Ed25519 key that the host is paid to, which is not its peer key; 32 bytes."""
    prompt_price_microcredits: int
    """For each token of a prompt."""
    answer_price_microcredits: int
    """For each token of an answer."""
    window_tokens: int
    """How many answer tokens the host gives ahead of the vouchers: two round trips' worth or more."""

    def commit(self, nonce: bytes) -> bytes:
        """The commitment that a grant for these terms carries."""
        return commitment(nonce, encode(self))


@frozen
class GrantRequest:
    """What an operator is asked to fund; the log adds the time. The log never sees the terms."""

    lane_key: bytes
    cap_microcredits: int
    expires_at_s: int
    """A full minute, as `coarse_time_s` gives it."""
    commitment: bytes


@frozen
class RedeemRequest:
    """A lane to be funded by credits; their keys say what they are worth."""

    lane_key: bytes
    cap_microcredits: int
    expires_at_s: int
    """A full minute, as `coarse_time_s` gives it."""
    commitment: bytes
    credits: tuple[Credit, ...] = field(repr=False)

    def entry(self, at_s: int) -> Redeem:
        """The leaf that funds the lane at the log's time `at_s`."""
        return Redeem(self.lane_key, self.cap_microcredits, self.expires_at_s, at_s, self.commitment, self.credits)


@frozen
class ChangeRequest:
    """What is left of a lane is asked back, as credits that are signed blind; the log adds the time."""

    lane_key: bytes
    parts: tuple[ChangePart, ...]
    blinded: tuple[bytes, ...] = field(repr=False)
    """The blinded messages, as many for each part as it counts, in order."""
    signature: bytes
    """By the lane key, as `Change.signature`."""

    def entry(self, at_s: int) -> Change:
        """The leaf that gives the change at the log's time `at_s`."""
        return Change(self.lane_key, self.parts, at_s, digest_of_blinded(self.blinded), self.signature)


@frozen
class LaneOpening:
    """What a client shows a host: that its lane is funded, and for this host."""

    proof: bytes
    """The grant's proof from the log."""
    terms: LaneTerms
    terms_nonce: bytes


@frozen
class Lane:
    """A funded lane, as `open_lane` verified it."""

    log_origin: str
    lane_key: bytes
    terms: LaneTerms
    cap_microcredits: int
    expires_at_s: int

    def check_open(self, now_s: float) -> None:
        """Raises `RemoteProtocolError` (`lane_expired`) when the lane has expired."""
        if now_s >= self.expires_at_s:
            raise RemoteProtocolError(f"the lane expired at {self.expires_at_s}", reason="lane_expired")

    def price(self, prompt_tokens: int, answer_tokens: int) -> int:
        """The price on this lane's terms, in microcredits."""
        terms = self.terms
        return price(prompt_tokens, answer_tokens, terms.prompt_price_microcredits, terms.answer_price_microcredits)

    def affordable_answer_tokens(self, prompt_tokens: int) -> int:
        """How many answer tokens the cap covers after so many of prompts."""
        left = self.cap_microcredits - self.price(prompt_tokens, 0)
        if left < 0:
            return 0
        each = self.terms.answer_price_microcredits
        return min(left // each, MAX_TOKENS) if each else MAX_TOKENS


@frozen
class Voucher:
    """The client's promise to pay so much in all for a lane, so far."""

    log_origin: str
    lane_key: bytes
    host_payout_key: bytes
    amount_microcredits: int
    """Cumulative, and the price of the two counts that follow."""
    prompt_tokens: int
    answer_tokens: int
    signature: bytes
    """By the lane key."""

    def signed_bytes(self) -> bytes:
        """What the lane key signs."""
        return _VOUCHER_DOMAIN + encode(evolve(self, signature=b""))


@frozen
class Receipt:
    """A lane's last voucher with the host's signature: what the ledger settles, and what both sides keep.

    The host draws `nonce` and both sides hold the receipt, so both can find its leaf, and nobody else can.
    """

    voucher: Voucher
    nonce: bytes
    """32 random bytes that hide the receipt behind the leaf's commitment."""
    host_signature: bytes
    """By the payout key."""

    def signed_bytes(self) -> bytes:
        """What the payout key signs."""
        return _RECEIPT_DOMAIN + encode(evolve(self, host_signature=b""))

    def signed_by_host(self, suite: CipherSuite) -> bool:
        """Whether the voucher's payout key signed this receipt."""
        return suite.verify(self.voucher.host_payout_key, self.signed_bytes(), self.host_signature)

    def commit(self) -> bytes:
        """The commitment that its leaf carries."""
        return commitment(self.nonce, encode(self))


@frozen
class Settlement:
    """What a host submits: its receipt, and the opening of the terms that the lane was granted for."""

    receipt: Receipt
    terms: LaneTerms
    terms_nonce: bytes

    def lane(self, grant: Funding, log_origin: str) -> Lane:
        """The lane of `grant`, on these terms."""
        return Lane(log_origin, grant.lane_key, self.terms, grant.cap_microcredits, grant.expires_at_s)

    def entry(self, at_s: int) -> Settle:
        """The leaf that settles it at the log's time `at_s`.

        Raises `RemoteProtocolError` (`bad_nonce`) when the receipt's nonce is not of 32 bytes.
        """
        voucher = self.receipt.voucher
        _check_nonce(self.receipt.nonce)
        return Settle(
            voucher.lane_key, voucher.host_payout_key, voucher.amount_microcredits, at_s, self.receipt.commit()
        )


def price(prompt_tokens: int, answer_tokens: int, prompt_price: int, answer_price: int) -> int:
    """What so many tokens cost, in microcredits; prices are microcredits a token.

    Raises `LocalProtocolError` for a count or price out of range.
    """
    if not (0 <= prompt_tokens <= MAX_TOKENS and 0 <= answer_tokens <= MAX_TOKENS):
        raise LocalProtocolError(f"no price for {prompt_tokens} and {answer_tokens} tokens")
    if not (0 <= prompt_price <= MAX_PRICE_MICROCREDITS and 0 <= answer_price <= MAX_PRICE_MICROCREDITS):
        raise LocalProtocolError(f"{prompt_price} and {answer_price} are no prices of a token")
    return prompt_tokens * prompt_price + answer_tokens * answer_price


def opens_terms(grant: Funding, terms: LaneTerms, terms_nonce: bytes) -> bool:
    """Whether `grant` was made for exactly these terms, and they are in range."""
    in_range = (
        len(terms.host_payout_key) == KEY_SIZE
        and 0 <= terms.prompt_price_microcredits <= MAX_PRICE_MICROCREDITS
        and 0 <= terms.answer_price_microcredits <= MAX_PRICE_MICROCREDITS
        and 1 <= terms.window_tokens <= MAX_WINDOW_TOKENS
    )
    return in_range and len(terms_nonce) == NONCE_SIZE and terms.commit(terms_nonce) == grant.commitment


def open_lane(opening: LaneOpening, log_key: VerifierKey, suite: CipherSuite) -> Lane:
    """The lane that `opening` shows to be granted in the log of `log_key`, on those terms.

    Raises `RemoteProtocolError` when the proof does not hold, or proves something else.
    """
    entry_bytes, checkpoint = open_entry_proof(opening.proof, log_key, suite)
    grant = decode_entry(entry_bytes)
    if not isinstance(grant, Grant | Redeem):
        raise RemoteProtocolError("the proof is not of a grant", reason="wrong_entry")
    if not opens_terms(grant, opening.terms, opening.terms_nonce):
        raise RemoteProtocolError("these are not the terms that the lane was granted for", reason="wrong_terms")
    return Lane(checkpoint.origin, grant.lane_key, opening.terms, grant.cap_microcredits, grant.expires_at_s)


def sign_change(
    lane_seed: bytes, parts: tuple[ChangePart, ...], blinded: tuple[bytes, ...], suite: CipherSuite
) -> ChangeRequest:
    """What asks for the change of a lane, signed by the lane key's seed."""
    unsigned = ChangeRequest(suite.ed25519_public(lane_seed), parts, blinded, b"")
    return evolve(unsigned, signature=suite.sign(lane_seed, unsigned.entry(0).signed_bytes()))


def sign_voucher(lane: Lane, prompt_tokens: int, answer_tokens: int, lane_seed: bytes, suite: CipherSuite) -> Voucher:
    """The voucher for so many tokens on `lane`, signed by the lane key's seed.

    Raises `LocalProtocolError` when that is above the cap.
    """
    amount = lane.price(prompt_tokens, answer_tokens)
    if amount > lane.cap_microcredits:
        raise LocalProtocolError(f"a voucher of {amount} microcredits on a lane of {lane.cap_microcredits}")
    voucher = Voucher(
        lane.log_origin, lane.lane_key, lane.terms.host_payout_key, amount, prompt_tokens, answer_tokens, b""
    )
    return evolve(voucher, signature=suite.sign(lane_seed, voucher.signed_bytes()))


def sign_receipt(voucher: Voucher, nonce: bytes, payout_seed: bytes, suite: CipherSuite) -> Receipt:
    """The receipt of `voucher`, countersigned by the payout key's seed; `nonce` is 32 fresh random bytes.

    Raises `LocalProtocolError` for a nonce of another length, or another key's seed.
    """
    if len(nonce) != NONCE_SIZE:
        raise LocalProtocolError(f"a receipt's nonce has {NONCE_SIZE} bytes, not {len(nonce)}")
    if suite.ed25519_public(payout_seed) != voucher.host_payout_key:
        raise LocalProtocolError("a receipt is signed by the key that its voucher pays")
    receipt = Receipt(voucher, nonce, b"")
    return evolve(receipt, host_signature=suite.sign(payout_seed, receipt.signed_bytes()))


def check_voucher(voucher: Voucher, lane: Lane, suite: CipherSuite) -> None:
    """Checks one voucher by itself against its lane.

    Raises `RemoteProtocolError`: `wrong_lane`, `bad_amount`, `over_cap` or `bad_signature`.
    """
    bound_to = (voucher.log_origin, voucher.lane_key, voucher.host_payout_key)
    if bound_to != (lane.log_origin, lane.lane_key, lane.terms.host_payout_key):
        raise RemoteProtocolError("a voucher is for another log, lane or host", reason="wrong_lane")
    if not (0 <= voucher.prompt_tokens <= MAX_TOKENS and 0 <= voucher.answer_tokens <= MAX_TOKENS):
        raise RemoteProtocolError("a voucher's token counts are out of range", reason="bad_amount")
    if voucher.amount_microcredits != lane.price(voucher.prompt_tokens, voucher.answer_tokens):
        raise RemoteProtocolError("a voucher's amount is not the price of its tokens", reason="bad_amount")
    if voucher.amount_microcredits > lane.cap_microcredits:
        raise RemoteProtocolError(f"a voucher over the cap of {lane.cap_microcredits}", reason="over_cap")
    if not suite.verify(lane.lane_key, voucher.signed_bytes(), voucher.signature):
        raise RemoteProtocolError("a voucher's signature does not verify", reason="bad_signature")


def verify_receipt(proof: bytes, receipt: Receipt, log_key: VerifierKey, suite: CipherSuite) -> Checkpoint:
    """The checkpoint under which the receipt is shown to be settled, in full, in the log of `log_key`.

    The host gets `proof` from the log and hands it on to the client with the receipt. Raises `RemoteProtocolError`
    when the proof does not hold (`bad_proof`, `bad_signature`, `unsigned`), or is of another entry (`wrong_entry`).
    """
    _check_nonce(receipt.nonce)
    entry_bytes, checkpoint = open_entry_proof(proof, log_key, suite)
    entry = decode_entry(entry_bytes)
    voucher = receipt.voucher
    if voucher.log_origin != checkpoint.origin:
        raise RemoteProtocolError("the receipt is for another log", reason="wrong_log")
    expected = Settle(
        voucher.lane_key, voucher.host_payout_key, voucher.amount_microcredits, entry.at_s, receipt.commit()
    )
    if entry != expected:
        raise RemoteProtocolError("the proof is not of this receipt's settlement", reason="wrong_entry")
    return checkpoint


class HostMeter:
    """The host's side of one lane: what it may give, and what it holds for what it gave.

    Args:
        lane: as `open_lane` verified it.
        payout_key: the host's own.
        suite: the primitives.
        final: whether the lane's grant is final already, under the policy of the host.
    """

    def __init__(self, lane: Lane, payout_key: bytes, suite: CipherSuite, *, final: bool = True) -> None:
        if lane.terms.host_payout_key != payout_key:
            raise RemoteProtocolError("the lane was granted for another host", reason="wrong_lane")
        self._lane = lane
        self._suite = suite
        self._final = final
        self._prompt_tokens = 0
        self._answer_tokens = 0
        self._best: Voucher | None = None

    @property
    def best_voucher(self) -> Voucher | None:
        """The highest voucher so far: the one to settle."""
        return self._best

    @property
    def vouched_microcredits(self) -> int:
        """What the host could settle now."""
        return self._best.amount_microcredits if self._best is not None else 0

    @property
    def allowance_tokens(self) -> int:
        """How many more answer tokens may be given before the next voucher."""
        best = self._best
        if best is None or best.prompt_tokens < self._prompt_tokens or self._prompt_tokens == 0:
            return 0
        ahead = self._lane.terms.window_tokens - (self._answer_tokens - best.answer_tokens)
        within_cap = self._lane.affordable_answer_tokens(self._prompt_tokens) - self._answer_tokens
        return max(0, min(ahead, within_cap, self.covered_tokens - self._answer_tokens))

    @property
    def covered_tokens(self) -> int:
        """How many answer tokens the grant stands for, all in all: one window until it is final, then no bound."""
        return MAX_TOKENS if self._final else self._lane.terms.window_tokens

    def grant_is_final(self) -> None:
        """The quorum has cosigned the lane's grant."""
        self._final = True

    @property
    def may_stream(self) -> bool:
        """Whether work on the prompt may begin, or the next answer token be given."""
        return self.allowance_tokens > 0

    def prompt(self, tokens: int) -> None:
        """A further prompt has arrived, of so many tokens as the host counts them.

        Raises `RemoteProtocolError` (`over_cap`) when the lane cannot pay for it, and is then unchanged;
        `LocalProtocolError` for a prompt without tokens.
        """
        _check_prompt(tokens)
        total = self._prompt_tokens + tokens
        if total > MAX_TOKENS or self._lane.price(total, self._answer_tokens) > self._lane.cap_microcredits:
            raise RemoteProtocolError("the lane's cap does not cover this prompt", reason="over_cap")
        self._prompt_tokens = total

    def answer(self, tokens_total: int) -> None:
        """The host has given so many answer tokens on this lane, all in all.

        Raises `LocalProtocolError` when it was not allowed to: a bug of ours, and the loss is ours.
        """
        given = tokens_total - self._answer_tokens
        if given < 0 or given > self.allowance_tokens:
            raise LocalProtocolError(f"{given} more answer tokens where {self.allowance_tokens} are allowed")
        self._answer_tokens = tokens_total

    def voucher(self, voucher: Voucher) -> None:
        """Takes the next voucher; the last one once more, as a client repeats it on a new ring, changes nothing.

        Raises `RemoteProtocolError`, as `check_voucher` does, and with `not_growing` for one that does not say more
        than the last; the meter is then unchanged.
        """
        if voucher == self._best:
            return
        if self._best is not None:
            prompts = voucher.prompt_tokens - self._best.prompt_tokens
            answers = voucher.answer_tokens - self._best.answer_tokens
            if prompts < 0 or answers < 0 or prompts + answers == 0:
                raise RemoteProtocolError("a voucher does not say more than the last", reason="not_growing")
        check_voucher(voucher, self._lane, self._suite)
        self._best = voucher

    def receipt(self, nonce: bytes, payout_seed: bytes) -> Receipt:
        """The highest voucher, countersigned; raises `LocalProtocolError` when there is none."""
        if self._best is None:
            raise LocalProtocolError("there is no voucher to settle")
        return sign_receipt(self._best, nonce, payout_seed, self._suite)


class ClientMeter:
    """The client's side of one lane: what it counted itself, and what it signed for that."""

    def __init__(self, lane: Lane, lane_seed: bytes, suite: CipherSuite, *, voucher_every_tokens: int) -> None:
        if not 1 <= voucher_every_tokens <= lane.terms.window_tokens:
            raise LocalProtocolError(
                f"a voucher every {voucher_every_tokens} tokens would stall in a window of {lane.terms.window_tokens}"
            )
        if suite.ed25519_public(lane_seed) != lane.lane_key:
            raise LocalProtocolError("this seed is not the lane's")
        self._lane = lane
        self._lane_seed = lane_seed
        self._suite = suite
        self._every_tokens = voucher_every_tokens
        self._prompt_tokens = 0
        self._answer_tokens = 0
        self._latest: Voucher | None = None

    @property
    def latest_voucher(self) -> Voucher | None:
        """The last one signed, to be repeated on a new ring when the old one may have lost it."""
        return self._latest

    @property
    def vouched_microcredits(self) -> int:
        """What the client has signed for."""
        return self._latest.amount_microcredits if self._latest is not None else 0

    @property
    def remaining_microcredits(self) -> int:
        """What the cap leaves after all that was counted; 0 when it is used up."""
        counted = self._lane.price(self._prompt_tokens, self._answer_tokens)
        return max(0, self._lane.cap_microcredits - counted)

    def prompt(self, tokens: int) -> None:
        """A further prompt is about to be sent, of so many tokens as the client counts them.

        Raises `LaneExhausted` when the cap does not cover it; `LocalProtocolError` for a prompt without tokens.
        """
        _check_prompt(tokens)
        total = self._prompt_tokens + tokens
        if total > MAX_TOKENS or self._lane.price(total, self._answer_tokens) > self._lane.cap_microcredits:
            raise LaneExhausted(
                f"the lane has {self.remaining_microcredits} microcredits left, too few for a prompt of {tokens}"
                " tokens: open another lane"
            )
        self._prompt_tokens = total

    def answer(self, tokens_total: int) -> None:
        """So many answer tokens have arrived on this lane, all in all, as the client counts them.

        Raises `LocalProtocolError` when that is less than before.
        """
        if not self._answer_tokens <= tokens_total <= MAX_TOKENS:
            raise LocalProtocolError(f"{tokens_total} answer tokens in all, after {self._answer_tokens}")
        self._answer_tokens = tokens_total

    def voucher_due(self, *, last: bool = False) -> bool:
        """Whether to sign now: for a new prompt, for k tokens more, or at the end (`last`) for any that are left."""
        if self._latest is None or self._latest.prompt_tokens < self._prompt_tokens:
            return self._prompt_tokens > 0
        unsigned = self._payable_answer_tokens() - self._latest.answer_tokens
        # Where the cap ends the answer, the tokens before it are paid although they are fewer than k.
        at_cap = self._payable_answer_tokens() == self._lane.affordable_answer_tokens(self._prompt_tokens)
        return unsigned >= (1 if last or at_cap else self._every_tokens)

    def voucher(self) -> Voucher:
        """The voucher for all that was counted so far, within the cap.

        Raises `LocalProtocolError` when there is nothing new to sign for.
        """
        if not self.voucher_due(last=True):
            raise LocalProtocolError("there is nothing new to sign a voucher for")
        answer_tokens = self._payable_answer_tokens()
        self._latest = sign_voucher(self._lane, self._prompt_tokens, answer_tokens, self._lane_seed, self._suite)
        return self._latest

    def _payable_answer_tokens(self) -> int:
        """A host that goes on beyond the cap does so for nothing."""
        return min(self._answer_tokens, self._lane.affordable_answer_tokens(self._prompt_tokens))


def _check_prompt(tokens: int) -> None:
    if tokens < 1:
        raise LocalProtocolError(f"a prompt of {tokens} tokens")


def _check_nonce(nonce: bytes) -> None:
    if len(nonce) != NONCE_SIZE:
        raise RemoteProtocolError(f"a receipt's nonce has {NONCE_SIZE} bytes, not {len(nonce)}", reason="bad_nonce")
