"""What client and host say to each other on a ring that is joined for `INFER`, or at a cadence for `INFER_PACED`.

    client                                       host
    Ask (lane's proof, prompt, parameters)  ->
    Pay (voucher for the prompt)            ->
                                            <-   Delta ... (stops when a window is unpaid)
    Pay (voucher for all so far) ...        ->
                                            <-   Finished (what was counted)
    Pay (voucher for all)                   ->
                                            <-   Settled (receipt and its proof in the log)

At any point the host may send Refused, which ends the exchange, and the client may end the ring, which cancels the
generation. Both sides count tokens with the model's pinned tokenizer: the answer's text so far decides, not what an
engine says. A host whose offer has the flag `PACED_FLAG` takes `INFER_PACED` as well, where the same is said at a
cadence (`core.ring.pacing`); any other refuses the join, before it has been told anything. Nothing here names the
client, its account, or the request that a fragment belongs to.
"""

from typing import Final

from attrs import field, frozen

from peernet.core.metering import LaneOpening, Receipt, Voucher
from peernet.core.ring.pacing import PACED
from peernet.core.wire import MessageSet

__all__ = [
    "INFER",
    "INFER_PACED",
    "PACED_FLAG",
    "Ask",
    "Delta",
    "Finished",
    "FromClient",
    "FromHost",
    "Pay",
    "Refused",
    "Settled",
    "Turn",
]

INFER: Final = "infer"
INFER_PACED: Final = INFER + PACED
PACED_FLAG: Final = "paced"


@frozen
class Turn:
    """One message of the conversation as the host gets it: masked."""

    role: str
    content: str = field(repr=False)


@frozen
class Ask:
    """A fragment to answer."""

    lane: LaneOpening
    """Shows that the lane is funded, and for this host."""
    model: str
    turns: tuple[Turn, ...]
    max_tokens: int
    temperature_thousandths: int
    top_p_thousandths: int
    seed: int | None
    stop: tuple[str, ...] = field(repr=False)
    prefix: str | None = field(repr=False)
    """The beginning of the answer, where there is one: the host goes on behind it, and repeats nothing."""


@frozen
class Pay:
    """A voucher: cumulative, so that a lost one does no harm."""

    voucher: Voucher


@frozen
class Delta:
    """The next piece of the answer."""

    text: str = field(repr=False)


@frozen
class Finished:
    """The answer is whole. `reason` is `stop` or `length`."""

    reason: str
    prompt_tokens: int
    """With those of the prefix; the answer's are without them."""
    answer_tokens: int


@frozen
class Settled:
    """The countersigned voucher, and its place in the log."""

    receipt: Receipt
    proof: bytes


@frozen
class Refused:
    """The host does not answer, or does not go on. `reason` is one of the words below."""

    reason: str
    explanation: str


# Reasons, and whether another host may do better.
BUSY: Final = "busy"
NO_MODEL: Final = "no_model"
CONTEXT: Final = "context_overflow"
LANE: Final = "bad_lane"
SCREENED: Final = "screened"
ENGINE: Final = "engine_failed"
UNPAID: Final = "unpaid"
LEDGER: Final = "ledger_unreachable"
NO_PREFIX: Final = "no_prefix"
NOT_PACED: Final = "not_paced"
BAD_REQUEST: Final = "bad_request"
FINAL_REASONS: Final = frozenset({CONTEXT, SCREENED, BAD_REQUEST})
"""Refusals that every other host would repeat."""

FromClient: Final = MessageSet({1: Ask, 2: Pay})
FromHost: Final = MessageSet({1: Delta, 2: Finished, 3: Settled, 4: Refused})
