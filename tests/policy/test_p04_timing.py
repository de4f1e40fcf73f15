"""P4, what times and sizes add: fragments do not start together, and under `paced` answers of a class look alike.

How much is left is measured by `python -m benchmarks linkability`; `docs/paced.md` has it.
"""

from collections.abc import Callable

import pytest
import trio
import trio.testing

from peernet.client.fragment import Attempt, Outcome
from tests.property.test_pacing_model import run
from tests.unit.test_request import World, whole, world

__all__ = ["world"]


@pytest.mark.parametrize(("profile", "within_s"), [("private", 0.25), ("paced", 5.0)])
async def test_the_fragments_of_a_request_do_not_start_together(
    world: Callable[..., World], autojump_clock: trio.testing.MockClock, profile: str, within_s: float
):
    starts: list[float] = []

    def note(_: World, attempt: Attempt, outcome: Outcome) -> None:
        starts.append(trio.current_time())
        whole(attempt, outcome)

    distances = []
    for seed in range(8):
        starts.clear()
        found = world(note, seed=seed)
        found.request._profile = profile
        await found.request.run()
        distances.append(starts[1] - starts[0])
    assert min(distances) > 0
    assert within_s / 8 < sum(distances) / len(distances) < within_s


def test_a_relay_cannot_tell_two_paced_answers_of_a_class():
    one_word = run([40], [(0.3, 5)], [], None)[0]
    many_words = run([4000, 160], [(0.2 + 0.05 * number, 40) for number in range(150)], [1.0, 3.0, 5.0], None)[0]
    given_up = run([40], [(0.3 * number, 40) for number in range(200)], [], 2.5)[0]
    assert sorted(one_word.outside()) == sorted(many_words.outside()) == sorted(given_up.outside())
