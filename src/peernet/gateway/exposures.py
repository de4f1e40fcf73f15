"""Exposure receipts of the last requests: which host saw what share, for whoever asks by the request's id.

Rules: in memory only, `MAX_RECEIPTS` of them; numbers, ids and labels, never a word of a prompt or an answer. What a
host was sent it has seen, so a request that broke off, or whose reader left, has a receipt as well.
"""

from collections import OrderedDict
from typing import Any, Final

from peernet.client.events import Answered, Planned

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

    def planned(self, identity: str, model: str, plan: Planned) -> None:
        """A request is about to be sent: this is who gets a part of it, unless one of them fails."""
        fragments = [
            {"ordinal": fragment.ordinal, "host": fragment.host, "share_of_words": round(fragment.share, 4)}
            for fragment in plan.fragments
        ]
        self._keep(identity, {
            "id": identity, "object": "peernet.exposure", "state": "running", "model": model, "mode": plan.mode,
            "policy": plan.policy, "profile": plan.profile, "profile_asked": plan.profile_asked,
            "planned": fragments,
        })  # fmt: skip

    def broken_off(self, identity: str) -> None:
        """The request ended before its answer did; what was planned may have been seen."""
        if identity in self._receipts and self._receipts[identity]["state"] == "running":
            self._receipts[identity]["state"] = "broken_off"

    def answered(self, identity: str, model: str, answered: Answered) -> None:
        """The request has ended, and this is what became of it."""
        self._keep(identity, {
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

    def _keep(self, identity: str, receipt: dict[str, Any]) -> None:
        self._receipts[identity] = receipt
        self._receipts.move_to_end(identity)
        while len(self._receipts) > self._limit:
            self._receipts.popitem(last=False)


def summary_of(answered: Answered) -> str:
    """The receipt in a line, for a header."""
    exposure = answered.exposure
    return (
        f"hosts={len(exposure.hosts)}, largest_share={exposure.largest_share:.2f}, mode={exposure.mode}, "
        f"complete={int(answered.complete)}"
    )
