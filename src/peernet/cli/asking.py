"""What `chat` and `demo` share: the options about a request, and its result as JSON."""

import argparse
import sys
from typing import Any

from peernet.cli.options import add_choice, add_profile, add_pseudonyms
from peernet.client.events import Answered, FragmentReport

__all__ = ["add_request", "explain", "finality_of", "result_of"]


def add_request(parser: argparse.ArgumentParser) -> None:
    """The options about how a prompt is treated."""
    group = parser.add_argument_group("request")
    add_profile(group)
    group.add_argument("--policy", choices=("strict", "standard", "open"), help="how much one host may see")
    add_pseudonyms(group)
    add_choice(group)
    group.add_argument("--max-answer-tokens", type=int, metavar="N", help="for each fragment")
    group.add_argument("--temperature-thousandths", type=int, metavar="N", help="how freely the model chooses")


def explain(answered: Answered) -> None:
    """Says on standard error what is missing of an answer, and why."""
    for fragment in answered.fragments:
        where = f"part {fragment.ordinal + 1} of {len(answered.fragments)}" if len(answered.fragments) > 1 else "it"
        if fragment.failure is not None:
            deed = "finished" if fragment.unfinished else "answered"
            print(f"peernet: {where} could not be {deed}: {fragment.failure}", file=sys.stderr)
        elif not fragment.answer_tokens:
            print(f"peernet: the model's answer to {where} is empty: ask again, or in other words", file=sys.stderr)


def result_of(answered: Answered, ready_s: float) -> dict[str, Any]:
    """The result of a request, for `--json`."""
    proven = [fragment for fragment in answered.fragments if fragment.receipt_index is not None]
    return {
        "answer": answered.text,
        "complete": answered.complete,
        "fragments": [
            {
                "host": fragment.host,
                "mode": fragment.mode,
                "share": round(fragment.share, 4),
                "text_sent": fragment.text_sent,
                "restarts": fragment.restarts,
                "continuations": fragment.continuations,
                "failure": fragment.failure,
            }
            for fragment in answered.fragments
        ],
        "rings": [{"out": list(fragment.out), "back": list(fragment.back)} for fragment in answered.fragments],
        "identifiers": answered.identifiers,
        "usage": {
            "prompt_tokens": sum(fragment.prompt_tokens for fragment in answered.fragments),
            "answer_tokens": sum(fragment.answer_tokens for fragment in answered.fragments),
            "microcredits": sum(fragment.amount_microcredits for fragment in answered.fragments),
        },
        "ledger": {
            "origin": answered.log_origin,
            "size": answered.log_size,
            "receipts": len(proven),
            "final": sum(fragment.finality is not None and fragment.finality.final for fragment in proven),
            "quorum": [_quorum_of(fragment) for fragment in proven],
            "entries": [fragment.receipt_index for fragment in proven],
            "proofs_verified": len(proven),
        },
        "exposure": answered.exposure.to_json(),
        "timings": {
            "ready_s": round(ready_s, 3),
            "first_token_ms": None if answered.first_token_s is None else round(answered.first_token_s * 1000, 1),
            "total_s": round(answered.total_s, 3),
        },
    }


def finality_of(fragment: FragmentReport) -> str:
    """How final a fragment's receipt is, for people."""
    return "" if fragment.finality is None else fragment.finality.describe()


def _quorum_of(fragment: FragmentReport) -> dict[str, Any]:
    finality = fragment.finality
    assert finality is not None  # a receipt whose proof was verified has one
    return {
        "log": fragment.receipt_log,
        "entry": fragment.receipt_index,
        "final": finality.final,
        "cosigned": list(finality.cosigned),
        "needed": finality.needed,
        "validators": finality.members,
    }
