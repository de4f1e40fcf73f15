"""Exposure receipts of the last requests: which host saw what share, for whoever asks by the request's id.

Rules: in memory only, `MAX_RECEIPTS` of them; numbers, ids and labels, never a word of a prompt or an answer. What a
host was sent it has seen, so a request that broke off, or whose reader left, has a receipt as well.
"""

from collections import OrderedDict
from typing import Any, Final

from peernet.client.events import Answered
from peernet.gateway.progress import Progress

__all__ = ["EXPOSURE_HEADER", "SUMMARY_HEADER", "Exposures", "summary_of"]

MAX_RECEIPTS: Final = 256
EXPOSURE_HEADER: Final = "x-peernet-exposure"
SUMMARY_HEADER: Final = "x-peernet-exposure-summary"


class Exposures:
    """Receipts by the id of their request."""

    def __init__(self, limit: int = MAX_RECEIPTS) -> None:
        self._limit = limit
        self._receipts: OrderedDict[str, dict[str, Any]] = OrderedDict()

    def get(self, identity: str) -> dict[str, Any] | None:
        """The receipt, as JSON has it; None for one that is unknown or forgotten."""
        return self._receipts.get(identity)

    def planned(self, progress: Progress) -> dict[str, Any]:
        """A request is about to be sent: this is who gets a part of it, unless one of them fails."""
        return self._keep(progress.receipt)

    def answered(self, identity: str, model: str, answered: Answered) -> dict[str, Any]:
        """The request has ended, and this is what became of it."""
        return self._keep({
            "id": identity,
            "object": "peernet.exposure",
            "state": "answered" if answered.complete else "incomplete",
            "model": model,
            "exposure": answered.exposure.to_json(),
            "identifiers_masked": answered.identifiers,
            "fragments": [
                {
                    "ordinal": fragment.ordinal,
                    "host": fragment.host,
                    "share_of_words": round(fragment.share, 4),
                    "out": list(fragment.out),
                    "back": list(fragment.back),
                    "prompt_tokens": fragment.prompt_tokens,
                    "completion_tokens": fragment.answer_tokens,
                    "microcredits": fragment.amount_microcredits,
                    "restarts": fragment.restarts,
                    "receipt_index": fragment.receipt_index,
                    "failure": fragment.failure_reason,
                }
                for fragment in answered.fragments
            ],
            "ledger": {"origin": answered.log_origin, "size": answered.log_size},
        })  # fmt: skip

    def _keep(self, receipt: dict[str, Any]) -> dict[str, Any]:
        identity = receipt["id"]
        self._receipts[identity] = receipt
        self._receipts.move_to_end(identity)
        while len(self._receipts) > self._limit:
            self._receipts.popitem(last=False)
        return receipt


def summary_of(answered: Answered) -> str:
    """The receipt in a line, for a header."""
    exposure = answered.exposure
    return (
        f"hosts={len(exposure.hosts)}, largest_share={exposure.largest_share:.2f}, mode={exposure.mode}, "
        f"complete={int(answered.complete)}"
    )
