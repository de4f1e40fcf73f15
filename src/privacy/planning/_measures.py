"""What a message looks like as a whole, in numbers: from its atoms and from what the judge thinks of each of them."""

import re
from collections.abc import Sequence
from itertools import combinations, pairwise
from typing import Final

from attrs import frozen

from privacy.planning._atoms import Atom
from privacy.planning._kinds import announces_tasks, is_plea
from privacy.planning._piecewise import manner_of, needs_together
from privacy.planning._records import record_starts
from privacy.planning._segments import is_entry, lines_of
from privacy.planning._traits import Read, Seen

LABELS: Final = ("goes_on", "task", "context", "wish", "social", "instruction", "record")
"""What an atom may be: more of the one before, or the beginning of something."""
OPENS_MORE: Final = re.compile(
    r"\W*(?:and\s+)?(?:also|plus|oh|unrelated|another|one more|separately|ps|p\.s|next|second(?:ly)?"
    r"|third(?:ly)?|finally|lastly"
    r"|last|different|btw|by the way|other|außerdem|et aussi|además|poza tym)\b",
    re.IGNORECASE,
)
STEPS: Final = re.compile(
    r"\b(?:then|based on|use (?:it|that|those|them|the)|with that|from that|using|result|so that)\b", re.I
)
THE_THING: Final = re.compile(r"\b(?:the|this|that|those|these|his|her|their|its)\s+\w+", re.IGNORECASE)
TO_YOU: Final = re.compile(r"\b(?:you|your|yours)\b", re.IGNORECASE)
ANOTHER: Final = re.compile(
    r"\b(?:different|unrelated|another (?:note|topic|thing|matter|question|subject)|something else"
    r"|separate(?:ly)?|random|independent\w*"
    r"|nothing to do|by the way|btw|on top of that|while (?:you're|im|i'm|we're) at it|changing|change of"
    r"|next (?:topic|thing|one)|last (?:topic|thing|one)"
    r"|also|too|another|oh and|other)\b", re.IGNORECASE,
)  # fmt: skip
_CHOICE: Final = re.compile(
    r"\b(?:or|vs|versus|better|compare|difference|which|should i|worth|instead|rank|best)\b", re.I
)
ONE_THING: Final = re.compile(
    r"\b(?:story|poem|plan|essay|letter|e-?mail|speech|scene|song|recipe|itinerary|schedule|function|script"
    r"|class|program|report"
    r"|roleplay|play|act as|you are|be my|pretend|rap|sonnet|dialogue|prove|solve|calculate|advice)\b", re.I
)  # fmt: skip
_WHOLE: Final = re.compile(
    r"\b(?:summar\w+|overall|total|how many|count|rank|contradict\w*|main|theme|tone|compare|which of|best"
    r"|worst|most|least|tl;?dr"
    r"|timeline|pattern|trend|gist|decide|why|opinion|conclu\w+|headline|title|order|sort|average|group"
    r"|consisten\w+)\b", re.I
)  # fmt: skip
_EACH: Final = re.compile(
    r"\b(?:each|every|all|one by one|line by line|per|translate|proofread|correct|fix|extract|list|classify"
    r"|label|tag|redact"
    r"|anonymi[sz]e|convert|reformat|rewrite|rephrase|spelling|grammar|typos|replace|mask|table|csv|json)\b", re.I
)  # fmt: skip


def paths(probabilities: Sequence[Sequence[float]]) -> list[int]:
    """The likeliest label of each atom; the first begins something."""
    found = [max(range(len(LABELS)), key=row.__getitem__) for row in probabilities]
    if found and found[0] == 0:
        found[0] = max(range(1, len(LABELS)), key=probabilities[0].__getitem__)
    return found


def measures(
    message: Read, proposed: Sequence[Sequence[float]], joined: Sequence[Sequence[float]]
) -> dict[str, float]:
    """Numbers by name; `proposed` and `joined` are what the two judges of atoms say (`_judge`)."""
    text, atoms, seen = message.text, message.atoms, message.seen
    labels = paths(proposed)
    begins = [place for place, label in enumerate(labels) if LABELS[label] == "task"]
    words = [max(1, len(text[atom.start : atom.end].split())) for atom in atoms]
    total = sum(words)
    found = {"atoms": float(len(atoms)), "words": float(total)}
    tasks = sorted((row[1] for row in proposed), reverse=True) + [0.0] * 3
    own = sorted((row[1] for row in joined), reverse=True) + [0.0] * 3
    found |= {"tasks": float(len(begins)), "task_sum": sum(tasks), "own_sum": sum(own)}
    found |= {f"own{n}": own[n] for n in range(3)} | {f"task{n}": tasks[n] for n in range(3)}
    later = [joined[place][1] for place in begins[1:]] or [0.0]
    found |= {"later_min": min(later), "later_mean": sum(later) / len(later), "later_max": max(later)}
    for number, name in enumerate(LABELS):
        if name not in {"task"}:
            found[f"{name}_words"] = sum(w for w, label in zip(words, labels, strict=True) if label == number) / total
            found[f"{name}_own"] = sum(row[number] for row in joined) / max(1, len(atoms))
        found[f"{name}_count"] = float(sum(label == number for label in labels))
    found |= _of_tasks(atoms, seen, words, labels, begins)
    found |= _of_form(message)
    found |= _of_instruction(message)
    return found


@frozen
class _Matters:
    """The matters that a message may have: where each begins, and what its atoms say together."""

    begins: Sequence[int]
    spans: list[range]
    """The atoms of each, up to the next part of any kind."""
    stems: list[frozenset[str]]
    names: list[frozenset[str]]
    topics: list[frozenset[int]]
    pairs: list[tuple[int, int]]
    """Two matters each, by their numbers."""

    @classmethod
    def of(cls, seen: Sequence[Seen], labels: Sequence[int], begins: Sequence[int]) -> "_Matters":
        ends = [*begins[1:], len(labels)] if begins else []
        spans = [
            range(a, next((n for n in range(a + 1, b) if labels[n]), b)) for a, b in zip(begins, ends, strict=True)
        ]
        return cls(
            begins,
            spans,
            [frozenset().union(*(seen[n].stems for n in span)) for span in spans],
            [frozenset().union(*(seen[n].names for n in span)) for span in spans],
            [frozenset().union(*(seen[n].topics for n in span)) for span in spans],
            list(combinations(range(len(spans)), 2))[:MAX_PAIRS],
        )

    @property
    def count(self) -> int:
        return max(1, len(self.begins))


MAX_PAIRS: Final = 60


def _part(holds: Sequence[bool], of: int) -> float:
    return sum(holds) / max(1, of)


def _of_tasks(
    atoms: Sequence[Atom], seen: Sequence[Seen], words: Sequence[int], labels: Sequence[int], begins: Sequence[int]
) -> dict[str, float]:
    matters = _Matters.of(seen, labels, begins)
    found = _of_topics(matters) | _of_novelty(matters, seen) | _of_sharing(matters, seen, labels)
    found |= _of_sizes(matters, words) | _of_joints(atoms, seen, begins) | _of_asking(matters, seen)
    return found | _of_all(seen, words, begins)


def _of_topics(matters: _Matters) -> dict[str, float]:
    topics = matters.topics
    every = combinations(range(len(topics)), 2)
    known = [(topics[a], topics[b]) for a, b in every if topics[a] and topics[b]][:MAX_PAIRS]
    next_known = [(a, b) for a, b in pairwise(topics) if a and b]
    return {
        "topics_apart": _part([not a & b for a, b in known], len(known)),
        "topics_apart_count": float(sum(not a & b for a, b in known)),
        "topics_same_count": float(sum(bool(a & b) for a, b in known)),
        "topics_same": _part([bool(a & b) for a, b in known], len(known)),
        "topics_next": _part([not a & b for a, b in next_known], len(next_known)),
        "topics_known": len(known) / max(1, len(matters.pairs)),
        "topics_all": float(len(frozenset().union(*topics)) if topics else 0),
    }


def _of_novelty(matters: _Matters, seen: Sequence[Seen]) -> dict[str, float]:
    """How many new words each matter has."""
    before: set[str] = set()
    novel: list[int] = []
    for span, own in zip(matters.spans, matters.stems, strict=True):
        before |= frozenset().union(*(seen[n].stems for n in range(span[0]))) if not novel else frozenset()
        novel.append(len(own - before))
        before |= own
    return {
        "novel_min": float(min(novel, default=0)),
        "novel_mean": sum(novel) / matters.count,
        "novel_later": float(min(novel[1:], default=0)),
        "novel_last": float(novel[-1] if novel else 0),
    }


def _of_sharing(matters: _Matters, seen: Sequence[Seen], labels: Sequence[int]) -> dict[str, float]:
    """What matters have in common with each other, and with what is told besides."""
    stems, names, pairs = matters.stems, matters.names, matters.pairs
    shared = [len(stems[a] & stems[b]) / max(1, min(len(stems[a]), len(stems[b]))) for a, b in pairs] or [0.0]
    others = [n for n in range(len(seen)) if LABELS[labels[n]] == "context"]
    told = frozenset().union(*(seen[n].stems for n in others)) if others else frozenset()
    told_topics = frozenset().union(*(seen[n].topics for n in others)) if others else frozenset()
    return {
        "shared_mean": sum(shared) / len(shared),
        "shared_max": max(shared),
        "shared_some": _part([share > 0 for share in shared], len(shared)),
        "names_shared": _part([bool(names[a] & names[b]) for a, b in pairs], len(pairs)),
        "told_shared": _part([bool(told & own) for own in stems], matters.count),
        "topics_told": _part([bool(told_topics & own) for own in matters.topics], matters.count),
    }


def _of_sizes(matters: _Matters, words: Sequence[int]) -> dict[str, float]:
    sizes = [sum(words[n] for n in span) for span in matters.spans] or [0]
    return {
        "short_part": _part([size <= 6 for size in sizes], matters.count),
        "size_min": float(min(sizes)),
        "size_max": float(max(sizes)),
        "size_mean": sum(sizes) / len(sizes),
        "largest_part": max(sizes) / max(1, sum(words)),
    }


def _of_joints(atoms: Sequence[Atom], seen: Sequence[Seen], begins: Sequence[int]) -> dict[str, float]:
    """How the later matters begin."""
    rest = begins[1:]
    return {
        "the_part": _part([THE_THING.search(seen[n].text) is not None for n in rest], len(rest)),
        "you_part": _part([TO_YOU.search(seen[n].text) is not None for n in rest], len(rest)),
        "same_first": _part([seen[a].bare[:1] == seen[b].bare[:1] for a, b in pairwise(begins)], len(rest)),
        "line_part": _part([atoms[n].joint in {"line", "blank", "rule"} for n in rest], len(rest)),
        "stop_part": _part([atoms[n].joint in {"stop", "small_stop"} for n in rest], len(rest)),
        "loose_part": _part([atoms[n].joint in {"comma", "and", "run", "dash"} for n in rest], len(rest)),
        "word_part": _part([OPENS_MORE.match(seen[n].text) is not None for n in rest], len(rest)),
        "word_count": float(sum(OPENS_MORE.match(seen[n].text) is not None for n in rest)),
        "refers_part": _part([seen[n].reference != "none" for n in rest], len(rest)),
        "back_part": _part([seen[n].back for n in rest], len(rest)),
        "marked_part": _part([bool(atoms[n].mark) or atoms[n].joint == "inline" for n in begins], len(begins)),
    }


def _of_asking(matters: _Matters, seen: Sequence[Seen]) -> dict[str, float]:
    """What the matters ask for."""
    begins, spans, count = matters.begins, matters.spans, matters.count
    return {
        "question_part": _part([any(seen[n].question for n in span) for span in spans], count),
        "kind_part": _part([seen[n].kind == "task" for n in begins], count),
        "me_part": _part([any(seen[n].me for n in span) for span in spans], count),
        "verbs": len({" ".join(seen[n].bare[:1]) for n in begins}) / count,
        "verb_kinds": len({seen[n].verb for n in begins}) / count,
        "asks_part": _part([seen[n].verb in {"wh", "aux"} for n in begins], count),
        "makes_part": _part([seen[n].verb in {"create", "transform", "ask"} for n in begins], count),
        "ones": _part([ONE_THING.search(seen[n].text) is not None for n in begins], count),
        "first_one": float(bool(begins) and ONE_THING.search(seen[begins[0]].text) is not None),
    }


def _of_all(seen: Sequence[Seen], words: Sequence[int], begins: Sequence[int]) -> dict[str, float]:
    """What all of the message says, whatever begins where."""
    return {
        "first_is_task": float(bool(seen) and seen[0].kind == "task"),
        "me_all": _part([one.me for one in seen], len(seen)),
        "then_count": float(sum(STEPS.search(one.text) is not None for one in seen)),
        "different": float(sum(ANOTHER.search(one.text) is not None for one in seen)),
        "choice_count": float(sum(_CHOICE.search(one.text) is not None for one in seen)),
        "announced": float(any(announces_tasks(one.text) or is_plea(one.text) for one in seen[:4])),
        "before_first": float(sum(words[: begins[0]]) if begins else sum(words)),
    }


def _of_form(message: Read) -> dict[str, float]:
    atoms, seen, text = message.atoms, message.seen, message.text
    lines = len({atom.line for atom in atoms}) or 1
    first, last = seen[0], seen[-1]
    return {
        "first_question": float(first.question),
        "first_context": float(first.kind == "context"),
        "first_colon": float(first.colon),
        "first_words": float(len(first.words)),
        "first_me": float(first.me),
        "last_question": float(last.question),
        "last_task": float(last.kind == "task"),
        "last_context": float(last.kind == "context"),
        "last_remark": float(last.kind == "remark"),
        "last_words": float(len(last.words)),
        "last_marked": float(bool(atoms[-1].mark)),
        "last_back": float(last.back),
        "lines": float(lines),
        "blanks": float(sum(atom.joint in {"blank", "rule"} for atom in atoms)),
        "marked_lines": sum(bool(atom.mark) for atom in atoms) / lines,
        "inline": float(sum(atom.joint == "inline" for atom in atoms)),
        "fences": float(sum(atom.fenced for atom in atoms)),
        "questions": float(sum(one.question for one in seen)),
        "question_marks": float(text.count("?")),
        "kinds_task": sum(one.kind == "task" for one in seen) / max(1, len(seen)),
        "task_kinds": float(sum(one.kind == "task" for one in seen)),
        "remarks": float(sum(one.kind == "remark" for one in seen)),
        "colons": float(sum(one.colon for one in seen)),
        "digits": sum(char.isdigit() for char in text) / max(1, len(text)),
        "line_length": len(text) / lines,
        "small": float(text[:1].islower()),
    }


def _of_instruction(message: Read) -> dict[str, float]:
    """What the first and the last paragraph, and line, say of the rest."""
    text = message.text
    lines = lines_of(text, 0, len(text))
    if not lines:
        return {}
    found: dict[str, float] = {}
    end = next((n for n, line in enumerate(lines) if n and line.gap), len(lines))
    start = next((n for n in range(len(lines) - 1, 0, -1) if lines[n].gap), 0)
    said = {
        "head": text[lines[0].start : lines[end - 1].end],
        "line": text[lines[0].start : lines[0].end],
        "tail": text[lines[start].start : lines[-1].end],
    }
    for name, whole in said.items():
        part = whole[:500] if name != "tail" else whole[-500:]
        found |= {
            f"{name}_words": float(len(whole.split())),
            f"{name}_rest": 1 - len(whole) / max(1, len(text)),
            f"{name}_piecewise": float(manner_of([part], part) is not None),
            f"{name}_together": float(needs_together(part)),
            f"{name}_whole": float(len(_WHOLE.findall(part))),
            f"{name}_each": float(len(_EACH.findall(part))),
            f"{name}_colon": float(whole.rstrip().endswith(":")),
        }
    body = lines[end:] or lines[1:]
    found |= {
        "entries": sum(is_entry(text, line) for line in body[:60]) / max(1, len(body[:60])),
        "records": float(len(record_starts(text, body[:60]))),
        "body_lines": float(len(body)),
        "body_gaps": float(sum(bool(line.gap) for line in body)),
        "closed": float(any(line.closed for line in lines)),
    }
    return found


def with_places(numbers: dict[str, float], scores: Sequence[float]) -> dict[str, float]:
    """The numbers of a message with those of the places at which a second matter may begin."""
    ranked = sorted(scores, reverse=True)
    first = [*ranked, *[NO_PLACE] * 3][:3]
    return numbers | {
        **{f"place{rank}": score for rank, score in enumerate(first)},
        "place_mean": sum(ranked) / len(ranked) if ranked else NO_PLACE,
        "place_min": ranked[-1] if ranked else NO_PLACE,
        "places": float(len(ranked)),
        "places_over": float(sum(score > 0 for score in ranked)),
    }


NO_PLACE: Final = -4.0
"""The log odds of a place that is not there."""
