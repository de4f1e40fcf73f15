"""What is refused, and what a person is told about it.

The policy's words are illegal, abusive, violent and malicious (promise P1), self-harm, and sexual content with minors.
The last three categories are the classifier's alone and off until a threshold is set: talk of one's own self-harm,
gore in fiction and adult content are legal, and the policy does not refuse them. Instructions smuggled to a model
("ignore previous instructions") harm no third person and are no category.
"""

from collections.abc import Mapping
from typing import Final

__all__ = ["CATEGORIES", "DEFAULT_THRESHOLDS", "LABELS", "checked_thresholds"]

CATEGORIES: Final[Mapping[str, str]] = {
    "sexual_minors": (
        "Sexual content about children is refused everywhere. If a child is in danger, call your emergency number; "
        "if you worry about your own thoughts, Stop It Now and similar services listen without judging."
    ),
    "violence_threat": (
        "Threats against people, and help with hurting them, are refused. If somebody is in danger now, call your "
        "emergency number."
    ),
    "self_harm_instructions": (
        "Ways of harming yourself are not something we pass on. If you are thinking of it, please talk to "
        "somebody now: "
        "988 in the US and Canada, 116 123 (Samaritans) in the UK and Ireland, 112 in Europe, or findahelpline.com "
        "anywhere. You may also ask here how to get through the next hour, or how to find support."
    ),
    "hate": (
        "Calls for violence against people for what they are, and texts made to demean them, are refused. Questions "
        "about prejudice, its history and how to counter it are welcome."
    ),
    "harassment": (
        "Stalking, exposing, blackmailing or secretly watching a person is refused. If it happens to you, the police "
        "and services for victims can help, and questions about protecting yourself are welcome."
    ),
    "weapons_mass_harm": (
        "Making explosives, poisons and weapons for mass harm is refused. History, policy and safety of the subject "
        "are welcome."
    ),
    "illegal_drugs": (
        "Making or dealing in illegal drugs is refused. Questions about health, risks and treatment are welcome."
    ),
    "malware": (
        "Making malicious software and breaking into other people's systems or accounts is refused. Defence, analysis "
        "and recovering your own account are welcome."
    ),
    "fraud_theft": (
        "Help with theft, fraud and forgery is refused. Questions about recognising and reporting them are welcome."
    ),
    "self_harm": (
        "Texts that praise or draw one into self-harm are refused by this setting. If you are thinking of it, please "
        "talk to somebody now: 988 in the US and Canada, 116 123 (Samaritans) in the UK and Ireland, 112 in Europe, "
        "or findahelpline.com anywhere."
    ),
    "graphic_violence": "Detailed descriptions of wounds and killing are refused by this setting.",
    "sexual": "Sexual content between adults is refused by this setting.",
}
"""Each category and what a person refused under it is told."""

LABELS: Final = (
    "sexual_minors",
    "violence_threat",
    "hate",
    "harassment",
    "weapons_mass_harm",
    "illegal_drugs",
    "malware",
    "fraud_theft",
    "self_harm",
    "graphic_violence",
    "sexual",
)
"""The categories that the classifier scores, in the order of its outputs; one more is for rules alone."""
OFF: Final = 1.0
DEFAULT_THRESHOLDS: Final[Mapping[str, float]] = {
    "sexual_minors": 0.6,
    "violence_threat": 0.75,
    "hate": 0.8,
    "harassment": 0.7,
    "weapons_mass_harm": 0.7,
    "illegal_drugs": 0.7,
    "malware": 0.7,
    "fraud_theft": 0.7,
    "self_harm": OFF,
    "graphic_violence": OFF,
    "sexual": OFF,
}
"""The score above which a text is refused; how they were chosen is in the model card (`training/screening`)."""


def checked_thresholds(changed: Mapping[str, float]) -> dict[str, float]:
    """The default thresholds with `changed` on top; raises `ValueError` for what is none.

    A threshold is over 0 and at most 1; 1 turns the classifier off for that category, and never the rules.
    """
    for name, threshold in changed.items():
        if name not in LABELS:
            raise ValueError(f"screening has no category {name!r} with a threshold; it knows {', '.join(LABELS)}")
        if isinstance(threshold, bool) or not isinstance(threshold, int | float) or not 0 < threshold <= 1:
            raise ValueError(f"the screening threshold of {name} is over 0 and at most 1 (off), not {threshold!r}")
    return {**DEFAULT_THRESHOLDS, **changed}
