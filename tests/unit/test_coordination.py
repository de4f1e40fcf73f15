"""Names beside names: what takes its neighbour's label, and what is left alone."""

import pytest

from privacy._coordination import coordinated_names
from privacy._shapes import load_shapes
from privacy.mention import Mention


def beside(text: str, *names: str, label: str = "PERSON") -> list[tuple[str, str]]:
    """What is found beside `names`, which were found before."""
    mentions = sorted(Mention(text.index(name), text.index(name) + len(name), label, 0.8, "spacy") for name in names)
    found = sorted(coordinated_names(text, mentions, load_shapes()))
    return [(text[mention.start : mention.end], mention.label) for mention in found]


@pytest.mark.parametrize(
    ("text", "names", "found"),
    [
        ("our founders Rudi, Jakobsen and Camposa.", ["Rudi"], ["Jakobsen", "Camposa"]),
        ("our founders Rudi, Jakobsen and Camposa.", ["Camposa"], ["Rudi", "Jakobsen"]),
        ("Usamov and Bowersby were here", ["Usamov"], ["Bowersby"]),
        ("Monjeau, Fields & Reed", ["Monjeau"], ["Fields", "Reed"]),  # surnames that are words
        ("Optuminsight, Karmadata and Berkery Noyes won", ["Karmadata"], ["Optuminsight", "Berkery Noyes"]),
        ("see Rudi or Jakobsen's father", ["Rudi"], ["Jakobsen"]),
    ],
)
def test_a_name_beside_a_name_is_one(text: str, names: list[str], found: list[str]) -> None:
    for label in ("PERSON", "ORGANIZATION", "LOCATION"):
        assert beside(text, *names, label=label) == [(name, label) for name in found]


@pytest.mark.parametrize(
    "text",
    [
        "Rudi, Although late, came",
        "Rudi and Monday are fine",
        "Rudi and natasja",
        "Rudi; Jakobsen",
        "Rudi met Jakobsen",
        "Rudi and `Jakobsen`",
        "Rudi and NASA",
        "Rudi and user_Jakobsen",
    ],
)
def test_what_is_no_name_or_not_beside_one_is_left_alone(text: str) -> None:
    assert beside(text, "Rudi") == []


def test_other_labels_pass_nothing_on() -> None:
    assert beside("DE-12, Jakobsen and 7", "DE-12", label="ID") == []
