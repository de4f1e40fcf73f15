"""Further prompts, composed of the written ones: what people ask, joined as people join it.

A request that nobody would divide is one matter, however long; two of them one after the other are two. So a composed
prompt shows where matters begin, and, what is harder to come by, where sentences go on with one.
"""

import random
import re
from collections.abc import Sequence
from typing import Final

from privacy.planning._atoms import MARK
from training.planning.corpus import Labelled, Part

__all__ = ["composed"]

MAX_WORDS: Final = 110
"""Of a request that becomes one matter among others."""
MIN_CHARS: Final = 13
_CONNECTORS: Final = (
    "",
    "",
    "",
    "",
    "Also, ",
    "Also ",
    "And ",
    "Oh and ",
    "Another thing: ",
    "Unrelated: ",
    "Next, ",
    "Then ",
    "Finally, ",
    "Second: ",
    "PS: ",
    "By the way, ",
    "Plus, ",
    "On another note, ",
    "Something else: ",
    "Different topic: ",
    "Lastly, ",
    "One more thing: ",
    "Besides, ",
    "Oh, and ",
    "Completely different question: ",
    "And then: ",
    "Separately, ",
    "Next thing: ",
    "Moving on. ",
)
_LOOSE: Final = (
    ", ",
    " and ",
    " also ",
    "; ",
    " / ",
    " + ",
    " ",
    ", also ",
    ", and ",
    " oh and ",
    ", then ",
    " - ",
    ". ",
    " and also ",
    ", plus ",
    " unrelated ",
    ", another thing ",
    " + also ",
    "... ",
    ", oh and ",
    " n ",
    ", and then ",
    " // ",
)
_MARKS: Final = (
    "{}. ",
    "{}) ",
    "- ",
    "* ",
    "• ",
    "{letter}) ",
    "{letter}. ",
    "→ ",
    "({}) ",
    "Q{}: ",
    "#{} ",
    "",
    "",
    "",
    "{}- ",
    "[] ",
)
_OPENING: Final = re.compile(
    r"^(?:(?:and|also|oh|plus|then|next|finally|lastly|ps|p\.s\.?|first(?:ly)?|second(?:ly)?|third(?:ly)?"
    r"|unrelated|another thing"
    r"|last(?: one| thing)?|one more thing|btw)\b[\s,:;.-]*)+",
    re.IGNORECASE,
)


def composed(prompts: Sequence[Labelled], count: int, seed: int, max_words: int = MAX_WORDS) -> list[Labelled]:
    """So many prompts of several matters of at most `max_words`, made of those given; a seed gives the same ones."""
    chance = random.Random(seed)
    matters = [matter for matter in _matters(prompts) if len(matter.split()) <= max_words]
    socials = [
        p.text[a.start : a.end] for p in prompts for a in p.parts if a.kind == "social" and a.end - a.start < 80
    ]
    wishes = [p.text[a.start : a.end] for p in prompts for a in p.parts if a.kind == "wish" and a.end - a.start < 120]
    return [_compose(chance, matters, socials, wishes) for _ in range(count)] if len(matters) > 4 else []


def _matters(prompts: Sequence[Labelled]) -> list[str]:
    found: list[str] = []
    for prompt in prompts:
        if prompt.mode == "whole" and len(prompt.text.split()) <= MAX_WORDS:
            found += [prompt.text, prompt.text]
        elif prompt.mode == "tasks":
            found += [prompt.text[part.start : part.end] for part in prompt.parts if part.kind == "task"]
    return [bare for matter in found if len(bare := _bare(matter)) >= MIN_CHARS]


def _bare(matter: str) -> str:
    """A matter without what joined it to the one before."""
    mark = MARK.match(matter)
    return _OPENING.sub("", matter[mark.end() :] if mark is not None else matter).strip(" ,;")


def _compose(chance: random.Random, matters: Sequence[str], socials: Sequence[str], wishes: Sequence[str]) -> Labelled:
    chosen = chance.sample(matters, chance.choice((2, 2, 3, 3, 3, 4, 5)))
    style = chance.choice(("lines", "lines", "prose", "prose", "loose"))
    text, parts = "", []
    if socials and chance.random() < 0.25:
        text = chance.choice(socials).strip()
        parts.append(Part("social", 0, len(text)))
        text += chance.choice((" ", "\n", "\n\n")) if text[-1:] in ".!?" else "\n"
    mark, gap = chance.choice(_MARKS), chance.choice(("\n", "\n", "\n\n"))
    # What joins two matters in words stands with the second.
    loose, word = chance.choice(_LOOSE), ""
    for place, matter in enumerate(chosen):
        start = len(text)
        if style == "lines":
            opening = mark.format(place + 1, letter="abcdefgh"[place])
            said, joint = opening + matter, gap
        elif style == "prose":
            said = (chance.choice(_CONNECTORS) if place else "") + matter
            said += "" if said[-1:] in ".?!" else "."
            joint = chance.choice((" ", " ", "\n\n", "\n"))
        else:
            small = matter.rstrip(".!? ")
            small = small[:1].lower() + small[1:] if small[1:2].islower() else small
            loose = chance.choice(_LOOSE) if chance.random() < 0.5 else loose
            said, joint = word + small, loose
            word = joint.lstrip(" ,;/+.-")
            joint = joint.removesuffix(word)
        text += said
        parts.append(Part("task", start, len(text)))
        text += joint if place + 1 < len(chosen) else ""
    if wishes and chance.random() < 0.15 and style != "loose":
        text += "\n" if style == "lines" else " "
        start = len(text)
        text += chance.choice(wishes)
        parts.append(Part("wish", start, len(text)))
    return Labelled("tasks", text, tuple(parts), "composed")
