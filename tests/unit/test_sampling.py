"""How an answer is sampled: what a caller may ask for, and what each host is told."""

from typing import Any

import pytest

from inference.engine import MAX_SEED, Parameters
from peernet.client.parameters import MAX_STOP_CHARS, Sampling
from peernet.core.errors import UserError


def told(sampling: Sampling, ordinal: int = 0, fragments: int = 3, text: str = "Write a haiku.") -> Parameters:
    stop = tuple(reversed(sampling.stop))
    return sampling.for_fragment(ordinal, fragments, text, stop, max_answer_tokens=120, temperature_thousandths=200)


def test_what_is_not_said_is_as_configured() -> None:
    assert told(Sampling()) == Parameters(120, 200, 1000, None, ())


def test_what_is_said_is_told_in_thousandths() -> None:
    said = Sampling.of(temperature=0.7, top_p=0.25, stop=["a", "b"])
    assert told(said) == Parameters(120, 700, 250, None, ("b", "a"))
    assert told(Sampling.of(temperature=0)).temperature_thousandths == 0
    assert told(Sampling.of(top_p=0)).top_p_thousandths == 1


@pytest.mark.parametrize(("whole", "fragments", "each"), [(100, 1, 100), (100, 3, 33), (2, 3, 1)])
def test_fragments_share_the_tokens_of_the_answer(whole: int, fragments: int, each: int) -> None:
    assert told(Sampling(max_tokens=whole), fragments=fragments).max_tokens == each


def test_a_seed_ties_no_two_fragments_together_and_gives_the_same_request_the_same_seeds() -> None:
    seeds = [told(Sampling.of(seed=42), ordinal).seed for ordinal in range(3)]
    assert len(set(seeds)) == 3
    assert 42 not in seeds
    assert seeds == [told(Sampling.of(seed=42), ordinal).seed for ordinal in range(3)]
    assert told(Sampling.of(seed=42), text="Another request.").seed not in seeds
    assert all(seed is not None and 0 <= seed <= MAX_SEED for seed in seeds)
    assert told(Sampling.of(seed=-(1 << 63))).seed is not None


@pytest.mark.parametrize(
    "asked",
    [
        {"max_tokens": 0},
        {"temperature": 2.1},
        {"temperature": float("nan")},
        {"top_p": -0.1},
        {"seed": 1 << 63},
        {"stop": [""]},
        {"stop": ["x" * (MAX_STOP_CHARS + 1)]},
    ],
)
def test_what_cannot_be_is_refused(asked: dict[str, Any]) -> None:
    with pytest.raises(UserError):
        Sampling.of(**asked)


def test_stop_texts_are_in_no_repr_and_no_error() -> None:
    assert "Maria" not in repr(Sampling.of(stop="Maria"))
    with pytest.raises(UserError) as raised:
        Sampling.of(stop="Maria" * 100)
    assert "Maria" not in str(raised.value)
