"""How far a request is: its exposure receipt while it runs, fragment by fragment.

Rules: numbers, ids, labels and fixed sentences of ours, as in every receipt; never a word of a prompt or an answer. A
host counts as one that saw something from the moment that its fragment leaves.
"""

from collections.abc import Mapping
from typing import Any

from peernet.client.events import (
    Event,
    FragmentContinued,
    FragmentDone,
    FragmentFailed,
    FragmentRestarted,
    FragmentSent,
    FragmentText,
    LaneFunded,
    Planned,
    RingBuilt,
)

__all__ = ["Progress"]


class Progress:
    """The receipt of one request from its plan on; `receipt` is as JSON has it, and is changed by `on_event`."""

    def __init__(self, identity: str, model: str, found: Mapping[str, int], plan: Planned) -> None:
        self._fragments = {
            fragment.ordinal: _planned(fragment.ordinal, fragment.host, fragment.share) for fragment in plan.fragments
        }
        self._sent: dict[str, dict[str, Any]] = {}
        self.receipt: dict[str, Any] = {
            "id": identity, "object": "peernet.exposure", "state": "running", "model": model, "mode": plan.mode,
            "policy": plan.policy, "profile": plan.profile, "profile_asked": plan.profile_asked,
            "identifiers_found": dict(sorted(found.items())), "notices": list(plan.notices),
            "planned": list(self._fragments.values()), "sent": [],
        }  # fmt: skip

    def on_event(self, event: Event) -> bool:
        """Notes what happened; returns whether the receipt says something else than before."""
        match event:
            case LaneFunded():
                self._fragments[event.ordinal]["state"] = "lane_funded"
            case RingBuilt():
                self._fragments[event.ordinal].update(state="ring_built", out=list(event.out), back=list(event.back))
            case FragmentSent():
                self._fragments[event.ordinal]["state"] = "sent"
                self._note_sent(event)
            case FragmentText():
                return self._note_answering(event.ordinal)
            case FragmentRestarted() | FragmentContinued():
                share = self._fragments[event.ordinal]["share_of_words"]
                self._fragments[event.ordinal].update(_planned(event.ordinal, event.host, share))
            case FragmentDone():
                self._fragments[event.ordinal].update(state="answered", microcredits=event.amount_microcredits)
            case FragmentFailed():
                self._fragments[event.ordinal]["state"] = "failed"
            case _:
                return False
        return True

    def break_off(self) -> None:
        """The request ended before its answer did."""
        if self.receipt["state"] == "running":
            self.receipt["state"] = "broken_off"

    def _note_sent(self, event: FragmentSent) -> None:
        known = self._sent.setdefault(event.host, {"host": event.host, "fragments": [], "standby": False})
        if not known["fragments"]:
            self.receipt["sent"].append(known)
        if event.ordinal not in known["fragments"]:
            known["fragments"].append(event.ordinal)
        known["share_of_words"] = round(event.share, 4)
        known["standby"] = known["standby"] or event.standby

    def _note_answering(self, ordinal: int) -> bool:
        began: bool = self._fragments[ordinal]["state"] != "answering"
        self._fragments[ordinal]["state"] = "answering"
        return began


def _planned(ordinal: int, host: str, share: float) -> dict[str, Any]:
    return {
        "ordinal": ordinal,
        "host": host,
        "share_of_words": round(share, 4),
        "state": "planned",
        "out": [],
        "back": [],
        "microcredits": 0,
    }
