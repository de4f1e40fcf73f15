"""The privacy layer: everything that happens to a prompt before it leaves the client, and to the answers after.

    detector = privacy.Detector.load()
    conversation = privacy.Conversation(random.SystemRandom())
    masked = conversation.view("host").mask(text, detector.detect(text))

screen -> detect -> pseudonyms -> plan -> (rings) -> restore -> exposure receipt. It knows nothing of the network. The
names below are loaded when first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from privacy.detection import DetectionFailed, Detector, KnownName
    from privacy.mention import Mention
    from privacy.pseudonyms import Conversation, HostView
    from privacy.restoring import Restorer
    from privacy.screening import Screen, ScreeningFailed, Verdict

_LAZY = {
    "Conversation": "privacy.pseudonyms",
    "DetectionFailed": "privacy.detection",
    "Detector": "privacy.detection",
    "HostView": "privacy.pseudonyms",
    "KnownName": "privacy.detection",
    "Mention": "privacy.mention",
    "Restorer": "privacy.restoring",
    "Screen": "privacy.screening",
    "ScreeningFailed": "privacy.screening",
    "Verdict": "privacy.screening",
}

__all__ = [
    "Conversation", "DetectionFailed", "Detector", "HostView", "KnownName", "Mention", "Restorer", "Screen",
    "ScreeningFailed", "Verdict",
]  # fmt: skip


def __getattr__(name: str) -> object:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'privacy' has no attribute {name!r}")
