"""Restoration: answers with placeholders in any tolerated spelling, cut at every offset, against what they mean.

A conversation is made of random people and things; one host is sent them, masked. Its answer says some of them back,
each spelt in a random way, between words of which some look much like placeholders. What the answer means is known
from how it was made, and not from the code that is measured.
"""

import random
from collections.abc import Iterator, Mapping
from typing import Final

from attrs import frozen

from benchmarks.report import Figure
from privacy._spellings import TAG
from privacy.mention import Mention
from privacy.pseudonyms import STYLES, Conversation, HostView, Style
from privacy.restoring import MAX_STREAMS, Restorers

CONVERSATIONS: Final = 10_000
SEED: Final = 7

_PEOPLE: Final = (
    "John Smith", "Maria Kowalska", "BILL", "anna nowak", "Siobhán O'Brien-Walsh", "Łukasz Żółć", "王小明", "Ng",
    "José Álvarez", "J. Smith",
)  # fmt: skip
_THINGS: Final = (
    ("Acme \"Best\" & Sons Ltd", "ORGANIZATION"), ("New York", "LOCATION"), ("jan.kowal@example.com", "EMAIL"),
    ("+48 601 234 567", "PHONE"), ("4111 1111 1111 1111", "CREDIT_CARD"), ("14 March 2026", "DATE_TIME"),
    ("221 Baker Street\nLondon", "ADDRESS"), ("2001:db8::1", "IP_ADDRESS"), ("AB-1234/Z", "ID"),
    ("https://example.org/u/42", "URL"),
)  # fmt: skip
_BETWEEN: Final = (
    "the", "is", "PERSON", "Person_", "PERSON_Z", "K7x", "DATE", "credit card", "\\", "*", "né", "猫", "😀", "\n", "_",
    "1.", "EMAIL_", "**bold**", "e\u0301", "a_b", "ID", "'s",
)  # fmt: skip
_JOINTS: Final = ("_", "-", " ", "\\_", "\\-", " _ ", "\u2011", "–", "\n", "  ", "\u00a0", "")
_BEHIND_NAMES: Final = ("", "'s", "’s", "'", "*", '"', ")", "]")
_AFTER: Final = ("", "", "'s", "’s", "s", "em", "owi", "'", "*", '"', ")", "]", "住")


@frozen
class Answer:
    """What one host wrote, and what its reader should read."""

    mapping: Mapping[str, str]
    written: str
    meant: str


def answers(seed: int, count: int, style: Style = "tag") -> Iterator[Answer]:
    """The last answers of `count` conversations, each from a seed of its own."""
    for number in range(count):
        rng = random.Random(f"{seed}/{number}")
        yield _answer(rng, _sent(rng, style))


def _sent(rng: random.Random, style: Style) -> HostView:
    """A host that was sent some people and things, over one or two turns."""
    vault = Conversation(rng, style=style)
    view = vault.view("host")
    vault.view("other").mask("John Smith", [Mention(0, 10, "PERSON", 1.0, "spacy")])
    for _ in range(rng.randint(1, 2)):
        text = "About "
        mentions = []
        named = [(name, "PERSON") for name in rng.sample(_PEOPLE, rng.randint(1, 3))]
        for name, label in [*named, *rng.sample(_THINGS, rng.randint(0, 3))]:
            mentions.append(Mention(len(text), len(text) + len(name), label, 1.0, "spacy"))
            text += f"{name}, "
        view.mask(text, mentions)
    return view


def _answer(rng: random.Random, view: HostView) -> Answer:
    mapping = view.mapping()
    tags = [name for name in mapping if TAG.fullmatch(name)]
    written = meant = ""
    for _ in range(rng.randint(2, 6)):
        kind = rng.random()
        if kind < 0.4:
            between = rng.choice(_BETWEEN)
            written, meant = written + between, meant + between
        elif kind < 0.5 and tags:
            # Inside a longer word it is none.
            longer = f"abc{_spelt(rng, rng.choice(tags))}"
            written, meant = written + longer, meant + longer
        else:
            name = rng.choice(list(mapping))
            is_tag = TAG.fullmatch(name) is not None
            before, after = rng.choice(("", "**", '"', "(", "[", "“")), rng.choice(_AFTER if is_tag else _BEHIND_NAMES)
            written += f"{before}{_spelt(rng, name)}{after}"
            meant += f"{before}{mapping[name]}{after}"
        # Marks that join nothing to anything.
        between = rng.choice((". ", ", ", "; ", "! "))
        written, meant = written + between, meant + between
    return Answer(mapping, written, meant)


def _spelt(rng: random.Random, name: str) -> str:
    if not TAG.fullmatch(name):
        return name
    words = [rng.choice((str.upper, str.lower, str.title))(word) for word in name.split("_")]
    spelt = words[0]
    for word in words[1:]:
        spelt += rng.choice(_JOINTS) + word
    return spelt


def restored_exactly(answer: Answer) -> tuple[int, int]:
    """In how many ways to cut the answer it is restored to what it means, and how many ways there are.

    It is cut once at every offset, and everywhere.
    """
    exact = 0
    whole = answer.written
    for first in range(0, len(whole) + 1, MAX_STREAMS):
        streams = Restorers(answer.mapping)
        for cut in range(first, min(first + MAX_STREAMS, len(whole) + 1)):
            restorer = streams.text(cut)
            shown = restorer.feed(whole[:cut]) + restorer.feed(whole[cut:]) + restorer.finish()
            exact += shown == answer.meant
    restorer = Restorers(answer.mapping).text(0)
    shown = "".join([*map(restorer.feed, whole), restorer.finish()])
    return exact + (shown == answer.meant), len(whole) + 2


def figures() -> Iterator[Figure]:
    """The share of answers and cuts that are restored exactly, for each style; anything under all is a fault."""
    for style in STYLES:
        exact = cuts = 0
        for answer in answers(SEED, CONVERSATIONS, style):
            good, ways = restored_exactly(answer)
            exact, cuts = exact + good, cuts + ways
        yield Figure(
            f"restoration.{style}.exact",
            exact / cuts,
            "share",
            "what the answers mean, by how they were made",
            None,
            target=1.0,
            smaller_is_better=False,
            conditions={"conversations": CONVERSATIONS, "cuts": cuts, "not_exact": cuts - exact, "seed": SEED},
        )
