"""What a list is: tasks of their own, or one thing (facts, ingredients, steps) that is not taken apart.

Theory of operation. Three things tell: what the sentence before the list says of it, what its items look like, and
whether anything else in the message asks for something. Numbered lists are how most people write several tasks, so
items need no known verb; but a list that another task is about must stay whole.

Rules, the first that holds:

1. A plea ("Please help me with these:") makes every item a task. So does a lead that announces several things, where
   nothing else in the message asks.
2. A lead that distributes its verb ("Translate each of the following:") does, and goes to every item.
3. A lead that is a task itself and ends in a colon or question mark owns the items, and they are what it asks about;
   unless they are questions and it makes nothing of them.
4. Where a later task speaks of "these" or "this list", the items are what it is about.
5. A lead that presents ("Here is my recipe:", "My duties were:"), or names something that a later task may be about
   ("Goals for spring:"), owns the items, unless they are questions.
6. Items that say what one piece of writing is to contain ("Write to Ann. It should ...") are part of that task.
7. Of items counted in words ("Second thing: ...") all ask where one does.
8. Else items are tasks when half of them are instructions, or may be and nothing else in the message is a task.
"""

import re
from collections.abc import Sequence
from typing import Final

from attrs import define, evolve

from privacy.exposure import word_set
from privacy.planning._imperatives import could_be_instruction, is_written_thing
from privacy.planning._kinds import OPENERS, Kind, announces_tasks, first_word, is_generic, is_plea
from privacy.planning._material import THIS_MATERIAL
from privacy.planning._piecewise import needs_together
from privacy.planning._units import Unit
from privacy.planning._words import ADDRESSING, CREATING, DISTRIBUTED, PROCEDURE

_BARE_PHRASE_WORDS: Final = 5
"""Among tasks, an item of no kind and not more words adds to the one before it ("three bullet points")."""
_EACH: Final = re.compile(r"\b(?:each|every|individually|separately|one by one)\b", re.IGNORECASE)
_FOLLOWING: Final = re.compile(r"\b(?:following|these|below)\b", re.IGNORECASE)
_SEVERAL_WRITTEN: Final = re.compile(
    r"^(?:write|draft|compose|prepare|create|make|word|formulate)\s+(?:for\s+)?(?:me\s+|us\s+)?"
    r"(?:these|the following|some|a few|several|two|three|four|five|six|seven|eight|\d{1,2})\s+(?:[\w'’-]+\s+){0,2}?"
    r"(?:messages|e-?mails|mails|letters|notes|texts|posts|cards|captions|tweets|invitations|replies|toasts|speeches"
    r"|poems|stories|adverts|ads|announcements|slogans|reminders)\b(?:[^.?!\n]|\.(?=\w))*:$",
    re.IGNORECASE,
)
"""A lead that counts what is to be written; each item is one of them."""
_PRESENTING: Final = re.compile(
    r"\b(?:here(?:['’]s| is| are)|this is|these are)\b[^:]*:$"
    r"|\b(?:is|are|was|were|did|do|includes?|included|says?|reads?|have|had|has|got|bought|tried|follow(?:s|ing)?|facts?"
    r"|steps?|details?|rules?|symptoms?|ingredients?|options?|requirements?|instructions?|notes?|recipe|agenda|duties"
    r"|data|information|background|context|procedure|checklist|timeline|plan|schedule|log)\s*:$",
    re.IGNORECASE,
)
_ABOUT_THE_LIST: Final = re.compile(
    r"\b(?:these|those|this list|my list|the lists?|the items|the steps|the points|the questions|them"
    r"|which (?:one|of|is))\b",
    re.IGNORECASE,
)
_PERHAPS_ABOUT_THE_LIST: Final = re.compile(r"\b(?:my|which|they|it|this|that|else|missing|anything)\b", re.IGNORECASE)
_ANOTHER_MATTER: Final = re.compile(
    r"\W*(?:also|and also|finally|lastly|in addition|additionally|another|one more|apart from|besides|separately)\b",
    re.IGNORECASE,
)


_COUNTED_IN_WORDS: Final = re.compile(r"(?:first|second|third|fourth|fifth|last|final)", re.IGNORECASE)
_SAYS_CONTENTS: Final = re.compile(
    r"^(?:and\s+)?(?:(?:in|for|with)\s+(?:it|this|the\s+\w+)[\s,]+)?(?:it|this|that|they|these"
    r"|the\s+(?:[\w'’-]+\s+)?[\w'’-]+"
    r"|we|i|you)(?:['’]d| would)?\s+(?:also\s+)?(?:should|must|needs?\s+to|ha(?:s|ve)\s+to|ought\s+to|could|can"
    r"|like\s+(?:it\s+)?to|want\s+(?:it\s+)?to)(?:\s+\w+){0,3}\s*[:,…-]*$"
    r"|^(?:please\s+)?(?:(?:make\s+sure\s+(?:to\s+)?)?(?:include|mention|cover|say|contain|address)|with|saying"
    r"|(?:key\s+|main\s+)?(?:points?|content|contents|facts|details|things|topics|requirements)"
    r"(?:\s+(?:to|that)\s+[\w\s]{1,40})?|what\s+(?:to\s+say|it\s+should\s+(?:say|contain)))"
    r"(?:\s+(?:the\s+following|these|this|that|points?|things|details|are))*\s*[:,…-]*$"
    r"|^(?:sie|er|es|darin)\s+(?:soll|sollte|muss)\w*\s*[:,…-]*$",
    re.IGNORECASE,
)
"""A lead that says what one piece of writing is to contain: "It should"."""
_FILLING: Final = ADDRESSING | word_set(
    """
    say mention include explain point tell offer state note move add promise confirm refuse accept propose suggest
    describe give sign attach refer stress emphasise emphasize express request reject complain cancel postpone
    """
)
"""What an item of such a list does: it tells somebody something."""
_ONE_WRITTEN: Final = re.compile(
    r"\b(?:an?|the|my|our|this|her|him|them)\s+(?:[\w'’-]+\s+){0,4}?(?:letter|e-?mail|mail|message|note|text|reply"
    r"|answer|speech|toast|invitation|announcement|card|post|statement|memo|complaint|reference|advert|ad|article|poem"
    r"|story|review|description|summary|report|essay|script|sign|leaflet|flyer|proposal|apology|application)\b",
    re.IGNORECASE,
)


def settle_lists(units: list[Unit]) -> list[Unit]:
    """The units with every list settled: its items as tasks, or joined to one unit."""
    settled: list[Unit] = []
    asking = [unit for unit in units if unit.kind == "task" and unit.item is None]
    claiming = [unit for unit in asking if not _ANOTHER_MATTER.match(unit.text)][:2]
    index = 0
    while index < len(units):
        if units[index].item is None:
            settled.append(units[index])
            index += 1
            continue
        after = index + 1
        while after < len(units) and units[after].item == (units[after - 1].item or 0) + 1:
            after += 1
        lead = _lead(settled, units[index])
        others_ask = any(unit is not lead for unit in claiming)
        found = _List(units[index:after], lead, units[after:], something_asks=bool(asking), others_ask=others_ask)
        settled += _settled(found, settled)
        index = after
    return settled


def _lead(before: Sequence[Unit], first: Unit) -> Unit | None:
    """The sentence that stands directly before the first item."""
    last = before[-1] if before else None
    if last is None or last.kind == "material" or last.marker == "#" or last.item is not None:
        return None
    return last if last.paragraph + 1 >= first.paragraph else None


@define
class _List:
    items: list[Unit]
    lead: Unit | None
    following: list[Unit]
    """What stands behind the list."""
    something_asks: bool
    """Whether there is a task outside of lists."""
    others_ask: bool
    """Whether there is one besides the lead, and not said to be another matter."""

    @property
    def has_questions(self) -> bool:
        return any(item.kind == "task" and item.text.endswith(("?", "？")) for item in self.items)

    @property
    def has_only_questions(self) -> bool:
        return self.has_questions and all(item.text.endswith("?") for item in self.items if item.kind == "task")

    @property
    def later_task(self) -> Unit | None:
        """The first task behind the list, unless it is of another list, or said to be another matter."""
        later = next((unit for unit in self.following if unit.kind == "task"), None)
        if later is None or later.item is not None or _ANOTHER_MATTER.match(later.text):
            return None
        return None if first_word(later.text) in DISTRIBUTED and _is_about_list(later) else later

    def belongs_to_later(self) -> bool:
        """Whether a task behind the list is about its items together."""
        later = self.later_task
        if later is None:
            return False
        if _is_about_list(later):
            return True
        has_topic = self.lead is not None and self.lead.kind == "context" and self.lead.text.endswith(":")
        return not self.has_questions and (has_topic or _PERHAPS_ABOUT_THE_LIST.search(later.text) is not None)

    def has_tasks(self) -> bool:
        """Whether the items look like tasks, one by one."""
        if not all(item.kind in {"task", "remark", "context"} for item in self.items):
            return False
        asking = [item for item in self.items if item.kind == "task"]
        if asking and asking[0] is self.items[0] and (len(asking) > 1 or len(self.items) == 1):
            return not self.is_procedure()
        told = [item for item in self.items if item.kind == "task" or is_written_thing(item.text)]
        if not self.something_asks:
            told += [item for item in self.items if item not in told and could_be_instruction(item.text)]
        return len(told) > 1 and 2 * len(told) >= len(self.items) and not self.is_procedure()

    def may_be_announced(self) -> bool:
        """Whether nothing but a lead asks, and the items do not merely say how."""
        only_remarks = all(item.kind == "remark" for item in self.items)
        return not self.others_ask and not self.is_procedure() and not only_remarks

    def is_row_of_tasks(self) -> bool:
        """Whether the items are counted in words ("Third: ...") and one of them asks: then the others do too."""
        counted = all(_COUNTED_IN_WORDS.match(item.marker) for item in self.items)
        return counted and any(item.kind == "task" for item in self.items) and not self.is_procedure()

    def is_procedure(self) -> bool:
        """Whether most items are steps that a person takes."""
        steps = [item for item in self.items if first_word(item.text) in PROCEDURE]
        return 2 * len(steps) > len(self.items)


def _is_about_list(task: Unit) -> bool:
    return _ABOUT_THE_LIST.search(task.text) is not None


def _settled(found: _List, before: list[Unit]) -> list[Unit]:
    lead, items = found.lead, found.items
    if lead is not None and is_plea(lead.text):
        lead.kind = "courtesy"
        return _asked_for(items)
    if _fills(found, before):
        return _joined_to_task(found, before)
    if lead is not None and announces_tasks(lead.text) and found.may_be_announced():
        lead.kind = "lead"
        return _asked_for(items)
    if found.is_row_of_tasks():
        return _asked_for(items)
    if lead is not None and _distributes(lead):
        lead.kind = "lead"
        return _distributed(items)
    if lead is not None and _owns(lead, found):
        before.pop()
        return [evolve(items[-1], kind="task", start=lead.start, text=lead.text, item=None, marker="")]
    presents = lead is not None and lead.kind != "courtesy" and _PRESENTING.search(lead.text) is not None
    if not found.has_tasks() or (presents and not found.has_questions) or found.belongs_to_later():
        return _joined_to_lead(found, before)
    if lead is not None and is_generic(lead.text):
        lead.kind = "courtesy"
    elif lead is not None and lead.text.endswith(":"):
        lead.kind = "lead"
    return _instructing(items)


def _fills(found: _List, before: Sequence[Unit]) -> bool:
    """Whether the items say what goes into the one thing that the task before them has written."""
    lead = found.lead
    if lead is None:
        return False
    told = sum(first_word(item.text) in _FILLING or item.kind != "task" for item in found.items)
    if lead.kind == "task":
        return 2 * told > len(found.items) and not found.has_questions and _makes_one_thing(lead)
    task = before[-2] if len(before) > 1 else None
    return task is not None and task.kind == "task" and _SAYS_CONTENTS.match(lead.text) is not None


def _makes_one_thing(task: Unit) -> bool:
    return first_word(task.text) in CREATING and _ONE_WRITTEN.search(task.text) is not None


def _joined_to_task(found: _List, before: list[Unit]) -> list[Unit]:
    """The list as a part of the task that stands before it, or before its lead."""
    task = before.pop()
    if task.kind != "task":
        task = before.pop()
    return [evolve(task, end=found.items[-1].end)]


def _owns(lead: Unit, found: _List) -> bool:
    makes_something = first_word(lead.text) in CREATING
    return lead.kind == "task" and lead.text.endswith((":", "?")) and (makes_something or not found.has_only_questions)


def _distributes(lead: Unit) -> bool:
    shared_verb = first_word(lead.text) in DISTRIBUTED and _FOLLOWING.search(lead.text)
    spread = _EACH.search(lead.text) or shared_verb or _SEVERAL_WRITTEN.match(OPENERS.sub("", lead.text))
    closed = THIS_MATERIAL.search(lead.text) is not None or needs_together(lead.text)
    return bool(spread and lead.text.endswith(":") and not closed)


def _distributed(items: list[Unit]) -> list[Unit]:
    for item in items:
        item.kind = "task"
    return items


def _asked_for(items: list[Unit]) -> list[Unit]:
    """Under a plea every item is a task, but for remarks on the one before it."""
    for place, item in enumerate(items):
        by_hand = first_word(item.text) in PROCEDURE and len(item.text.split()) > _BARE_PHRASE_WORDS
        if item.kind == "context" or (item.kind == "remark" and (by_hand or not place)):
            item.kind = "task"
    return items


def _instructing(items: list[Unit]) -> list[Unit]:
    """Among instructions a bare phrase is a remark on the one before it, and what says more is one more task."""
    for place, item in enumerate(items):
        if item.kind == "context":
            says_enough = len(item.text.split()) > _BARE_PHRASE_WORDS
            instructs = could_be_instruction(item.text) or is_written_thing(item.text)
            item.kind = "task" if says_enough or instructs or not place else "remark"
    return items


def _joined_to_lead(found: _List, before: list[Unit]) -> list[Unit]:
    """A list of facts, or of steps, as one unit, with the lead that it belongs to where that is no task."""
    lead, items = found.lead, found.items
    text = "\n".join(item.text for item in items)
    kind: Kind = "context"
    for_later = found.belongs_to_later()
    if lead is None and not for_later and any(item.kind == "task" for item in items):
        kind = "task"
    elif all(item.kind == "remark" for item in items) and not found.is_procedure():
        kind = "remark"
    joined = evolve(items[0], kind=kind, end=items[-1].end, text=text, item=None, marker="", for_later=for_later)
    if lead is not None and lead.kind == "context" and lead.text.endswith(":"):
        before.pop()
        joined = evolve(joined, start=lead.start, text=f"{lead.text}\n{text}", paragraph=lead.paragraph)
    return [joined]
