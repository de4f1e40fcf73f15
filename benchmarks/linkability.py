"""Whether two rings are of one request, asked of what two hosts or two middles saw of them.

Many clients ask at random times; their rings overlap. An adversary has what two peers saw, one of each of two rings:
when cells came and went, how many, and, for hosts, the text. It is a boosted classifier that has learnt from other
requests whose answer it knew. Its area under the ROC curve (AUC) is told: 0.5 is guessing, 1 is knowing.

Pairs that count: rings to different hosts which begin within `WINDOW_S` of each other, the longest time within which
the fragments of one request start under any profile. Whoever knows that time tells pairs further apart at once, under
every profile; and a client that is alone in the network within it is linked always. How many rings there are to be
confused with is in `conditions` (`rings_in_window`).

1. With renaming, jitter and cadence off, and everything to go by, it has to see.
2. Under `paced`, by times and sizes, it must not, with the limits of answers that are the default.
3. Under `private` by times and sizes, with long answers under `paced`, and with the text, it is told what it sees.
"""

import random
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from benchmarks.boosting import Floats, area_under_curve, boosted
from benchmarks.report import Figure
from benchmarks.simulated_rings import Condition, Part, Request, Ring, rings_of
from peernet.core.ring.pacing import CLIENT, ENDPOINT
from peernet.core.ring.ring import BACK, OUT
from peernet.node.config import ClientConfig
from privacy.mention import Mention

REQUESTS: Final = 800
RATE_PER_S: Final = 0.8
"""How many requests all clients together make a second, at random."""
FRAGMENTS: Final = (2, 2, 2, 2, 2, 3, 3, 3, 4, 4)
"""How many a request has, each as likely as the others."""
SPEEDS: Final = tuple(14 + 4 * number for number in range(12))
"""The hosts, by their tokens a second."""
WINDOW_S: Final = ClientConfig().paced_start_ms / 1000
NEGATIVES: Final = 4
"""How many pairs of different requests there are for one of the same, at most."""
DRAWS: Final = 200
SEED: Final = 11

# fmt: off
_GIVEN: Final = ("Maria", "John", "Aisha", "Pavel", "Ines", "Tom", "Noor", "Greta", "Hugo", "Lena", "Omar", "Rosa")
_FAMILY: Final = ("Kowalska", "Haddad", "Smith", "Novak", "Silva", "Okafor", "Berg", "Moreau", "Rossi", "Kim", "Patel")
_PEOPLE: Final = tuple(f"{given} {family}" for given in _GIVEN for family in _FAMILY)
_TOPICS: Final = (
    "lease deposit landlord kitchen boiler notice inventory keys", "sourdough flour oven crust yeast starter loaf",
    "invoice overdue supplier payment ledger quarter discount", "knee physiotherapy swelling stretch swimming",
    "bicycle chain gears brakes commute helmet puncture", "thesis chapter supervisor citation deadline draft",
    "wedding venue seating caterer flowers speech guests", "puppy training leash crate biting vaccination walk",
    "garden tomatoes compost slugs seedlings frost mulch", "interview salary portfolio references offer notice",
    "router firewall password update backup laptop", "visa passport embassy flight itinerary insurance luggage",
    "choir concert rehearsal alto programme tickets", "mortgage interest broker valuation survey completion",
    "allergy pollen antihistamine doctor prescription", "python function decorator generator exception module",
)
_FRAMES: Final = (
    "How should we handle the {0} and the {1}?", "Write to {who} about the {0}, the {1} and what {who} said of them.",
    "List five points on the {0}.", "Explain what a {0} has to do with the {1}.", "Draft a note for {who} on the {0}.",
    "What goes wrong most often with a {0}?", "Compare one {0} with another for {who}.", "Plan a week around the {0}.",
)
_FILLERS: Final = (
    "please", "keep", "it", "short", "and", "friendly", "since", "this", "is", "for", "a", "reader", "who", "knows",
    "little", "of", "that", "has", "no", "time", "today",
)
# fmt: on
_PLACEHOLDER: Final = re.compile(r"\b[A-Z]+_[A-Z0-9]+\b")


def requests_of(count: int, source: random.Random, *, long_answers: bool = False) -> list[Request]:
    """Requests of many clients.

    The fragments of one are about a topic or two, often about the same people, and alike in length.
    """
    requests, now = [], 0.0
    for _ in range(count):
        now += source.expovariate(RATE_PER_S)
        topics, people = [words.split() for words in source.sample(_TOPICS, 2)], source.sample(_PEOPLE, 2)
        prompt_words, answer_tokens = source.lognormvariate(3.0, 0.8), source.lognormvariate(4.0, 0.6)
        if source.random() < 0.1:
            prompt_words *= 25  # a document, piece by piece
        parts = []
        for _ in range(source.choice(FRAGMENTS)):
            words = int(prompt_words * source.lognormvariate(0.0, 0.3))
            tokens = answer_tokens * source.lognormvariate(0.0, 0.4) * (5 if long_answers else 1)
            most = 20 * ClientConfig().max_answer_tokens if long_answers else ClientConfig().max_answer_tokens
            topic = topics[source.random() < 0.3]
            parts.append(_part(source, topic, people[source.random() < 0.3], words, max(1, min(most, int(tokens)))))
        requests.append(Request(now, tuple(parts)))
    return requests


def _part(source: random.Random, topic: Sequence[str], who: str, words: int, tokens: int) -> Part:
    text = source.choice(_FRAMES).format(*source.sample(topic, 2), who=who)
    text = " ".join([text, *(source.choice((*_FILLERS, *topic)) for _ in range(words))])
    mentions, place = [], text.find(who)
    while place >= 0:
        mentions.append(Mention(place, place + len(who), "PERSON", 1.0, "benchmark"))
        place = text.find(who, place + 1)
    return Part(text, tuple(mentions), tokens)


@frozen
class Sight:
    """What one peer saw of one ring, as numbers, and the words where it could read them."""

    request: int
    host: int
    numbers: Floats
    placeholders: frozenset[str]
    words: frozenset[str]

    @property
    def start_s(self) -> float:
        """When the first cell passed."""
        return float(self.numbers[0])


Observer = Callable[[Ring], list[tuple[float, int]]]


def middle(arc: int) -> Observer:
    """The middle of the rings' out arcs or back arcs."""
    return lambda ring: ring.at_middle(arc)


def sights_of(rings: Sequence[Ring], observer: Observer) -> list[Sight]:
    """What peers at one place of every ring saw, by starting time."""
    sights = []
    for ring in rings:
        placeholders = frozenset(_PLACEHOLDER.findall(ring.text))
        words = frozenset(word.strip(".,?").lower() for word in ring.text.split()) - placeholders
        sights.append(Sight(ring.request, ring.host, _numbers(observer(ring)), placeholders, words))
    return sorted(sights, key=lambda sight: sight.start_s)


def _numbers(cells: Sequence[tuple[float, int]]) -> Floats:
    """Times and sizes: the beginning, the end, how long, cells each way, and how they are spread."""
    times = np.array([at_s for at_s, _ in cells])
    ways = np.array([way for _, way in cells])
    towards, back = times[ways > 0], times[ways < 0]
    start_s, end_s = times[0], times[-1]
    gaps = [np.diff(part) if len(part) > 1 else np.zeros(1) for part in (towards, back)]
    first_back_s = back[0] - start_s if len(back) else 0.0
    return np.array(
        [
            start_s,
            end_s,
            end_s - start_s,
            len(towards),
            len(back),
            np.log1p(len(towards)),
            np.log1p(len(back)),
            first_back_s,
            start_s % ENDPOINT.interval_s,
            (towards < start_s + 0.01).sum(),
            *(measure(gap) for gap in gaps for measure in (np.mean, np.std, np.median, np.max)),
        ]
    )


@frozen
class Pairs:
    """Pairs of sights: a line of features each, 1 for those of the same request, and which requests they are of."""

    rows: Floats
    labels: Floats
    requests: NDArray[Any]


def pairs_of(sights: Sequence[Sight], source: random.Random, *, times: bool = True, text: bool = False) -> Pairs:
    """Every pair of the same request within the window, and some of the others."""
    same: list[tuple[Sight, Sight]] = []
    other: list[tuple[Sight, Sight]] = []
    for place, first in enumerate(sights):
        for second in sights[place + 1 :]:
            if second.start_s - first.start_s > WINDOW_S:
                break
            if first.host != second.host:
                (same if first.request == second.request else other).append((first, second))
    other = source.sample(other, min(len(other), NEGATIVES * len(same)))
    rarity = _rarity(sights) if text else {}
    rows = [
        [*(_by_times(*pair) if times else ()), *(_by_text(*pair, rarity) if text else ())] for pair in (*same, *other)
    ]
    labels = [1.0] * len(same) + [0.0] * len(other)
    return Pairs(np.array(rows), np.array(labels), np.array([first.request for first, _ in (*same, *other)]))


def _by_times(first: Sight, second: Sight) -> list[float]:
    low, high = np.minimum(first.numbers, second.numbers), np.maximum(first.numbers, second.numbers)
    # How alike they are in everything, and how large both are in what is no time of day.
    return [*(high - low), *low[2:]]


def _by_text(first: Sight, second: Sight, rarity: dict[str, float]) -> list[float]:
    shared, either = first.words & second.words, first.words | second.words
    return [
        float(len(first.placeholders & second.placeholders)),
        float(len(shared)),
        len(shared) / max(1, len(either)),
        sum(rarity[word] for word in shared),
        max((rarity[word] for word in shared), default=0.0),
    ]


def _rarity(sights: Sequence[Sight]) -> dict[str, float]:
    counts: dict[str, int] = {}
    for sight in sights:
        for word in sight.words:
            counts[word] = counts.get(word, 0) + 1
    return {word: float(np.log(len(sights) / count)) for word, count in counts.items()}


@frozen
class Score:
    """How well pairs are told apart, with the interval that holds it in 95 of 100 draws of requests."""

    area: float
    interval: tuple[float, float]
    same: int
    other: int


def score(pairs: Pairs, source: random.Random, draws: int = DRAWS) -> Score:
    """Learns from the pairs of the first half of the requests, and is asked about those of the second."""
    middle_request = int(np.median(pairs.requests))
    learnt, asked = pairs.requests <= middle_request, pairs.requests > middle_request
    model = boosted(pairs.rows[learnt], pairs.labels[learnt])
    scores, labels, requests = model.scores(pairs.rows[asked]), pairs.labels[asked], pairs.requests[asked]
    by_request = [np.flatnonzero(requests == request) for request in np.unique(requests)]
    areas = []
    for _ in range(draws):
        drawn = np.concatenate(source.choices(by_request, k=len(by_request)))
        areas.append(area_under_curve(scores[drawn], labels[drawn]))
    low, high = np.quantile(areas, (0.025, 0.975))
    ones = int(labels.sum())
    return Score(area_under_curve(scores, labels), (float(low), float(high)), ones, len(labels) - ones)


NOTHING: Final = Condition(paced=False, start_within_s=0.0, renamed=False)
PRIVATE: Final = Condition(paced=False, start_within_s=ClientConfig().start_jitter_ms / 1000)
PACED: Final = Condition(paced=True, start_within_s=WINDOW_S)


def figures(requests: int = REQUESTS) -> Iterator[Figure]:
    """The AUC for hosts and middles under each condition, and what `paced` costs."""
    rings = {name: _rings(requests, condition) for name, condition in (("off", NOTHING), ("private", PRIVATE))}
    rings["paced"] = _rings(requests, PACED)
    rings["paced, long answers"] = _rings(requests // 2, PACED, long_answers=True)
    places: dict[str, Observer] = {
        "hosts": Ring.at_host,
        "middles of out arcs": middle(OUT),
        "middles of back arcs": middle(BACK),
    }
    for place, observer in places.items():
        sees_text = place == "hosts"
        yield _figure("off", place, rings["off"], observer, text=sees_text, target=0.9)
        yield _figure("paced", place, rings["paced"], observer, target=0.55)
        yield _figure("private", place, rings["private"], observer)
        yield _figure("paced, long answers", place, rings["paced, long answers"], observer)
    for name in ("private", "paced"):
        yield _figure(name, "hosts", rings[name], Ring.at_host, text=True)
    yield _figure("text alone", "hosts", rings["paced"], Ring.at_host, times=False, text=True)
    yield from _costs(rings["private"], rings["paced"])


def _rings(requests: int, condition: Condition, *, long_answers: bool = False) -> list[Ring]:
    asked = requests_of(requests, random.Random(SEED), long_answers=long_answers)
    return rings_of(asked, condition, SPEEDS, random.Random(SEED + 1))


def _figure(
    name: str,
    place: str,
    rings: Sequence[Ring],
    observer: Observer,
    *,
    times: bool = True,
    text: bool = False,
    target: float | None = None,
) -> Figure:
    sights = sights_of(rings, observer)
    found = score(pairs_of(sights, random.Random(SEED + 2), times=times, text=text), random.Random(SEED + 3))
    what = " and ".join(word for word, used in (("times and sizes", times), ("text", text)) if used)
    lasted_s = sights[-1].start_s - sights[0].start_s
    conditions = {
        "interval_95": [round(bound, 3) for bound in found.interval],
        "pairs_of_one_request": found.same,
        "pairs_of_two": found.other,
        "rings_in_window": round(2 * WINDOW_S * len(rings) / lasted_s, 1),
        "rings_at_once": round(float(sum(sight.numbers[2] for sight in sights)) / lasted_s, 1),
        "window_s": WINDOW_S,
    }
    smaller_is_better = target is None or target < 0.9
    title = f"linkability, {name}: two {place}, {what}"
    return Figure(title, found.area, "AUC", "guessing: 0.5", None, target, smaller_is_better, conditions)


def _costs(private: Sequence[Ring], paced: Sequence[Ring]) -> Iterator[Figure]:
    """What a ring costs on the average under `paced`, and the same requests under `private`."""
    measures: tuple[tuple[str, str, Callable[[Ring], float]], ...] = (
        ("cells a ring", "cells, over both arcs", lambda ring: len(ring.out) + len(ring.back)),
        ("time of a ring", "s", lambda ring: ring.ended_s - ring.out[0][0]),
        ("first text", "ms from the request", lambda ring: 1e3 * (ring.first_text_s - ring.began_s)),
        ("whole text", "ms from the request", lambda ring: 1e3 * (ring.whole_text_s - ring.began_s)),
    )
    conditions = {"cell_ms": [1e3 * CLIENT.interval_s, 1e3 * ENDPOINT.interval_s], "starts_within_s": WINDOW_S}
    for name, unit, measure in measures:
        value, reference = (float(np.mean([measure(ring) for ring in rings])) for rings in (paced, private))
        yield Figure(f"paced: {name}", value, unit, "private, same requests", reference, None, True, conditions)
