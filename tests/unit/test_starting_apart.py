"""When a request's fragments start, and what a client waits for before it leaves."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import trio
import trio.testing

from peernet.client.client import Client
from peernet.client.fragment import Attempt, AttemptFailed, Outcome
from peernet.node.config import ClientConfig, load_table
from tests.unit.test_request import World, whole, world

__all__ = ["world"]


@pytest.mark.parametrize(("profile", "within_s"), [("private", 0.25), ("fast", 0.25), ("paced", 5.0)])
async def test_the_fragments_of_a_request_start_within_the_stated_time_and_not_together(
    world: Callable[..., World], autojump_clock: trio.testing.MockClock, profile: str, within_s: float
):
    distances = []
    for seed in range(12):
        starts: list[float] = []

        def note(_: World, attempt: Attempt, outcome: Outcome, starts: list[float] = starts) -> None:
            starts.append(trio.current_time())
            whole(attempt, outcome)

        found = world(note, seed=seed)
        found.request._profile = profile
        began = trio.current_time()
        await found.request.run()
        first, second = starts
        assert first == pytest.approx(began, abs=1e-6)
        distances.append(second - first)
        assert distances[-1] < within_s
    assert within_s / 4 < max(distances)
    assert len({round(distance, 9) for distance in distances}) == len(distances)


async def test_a_standby_starts_at_once(world: Callable[..., World], autojump_clock: trio.testing.MockClock):
    starts: list[float] = []

    def script(_: World, attempt: Attempt, outcome: Outcome) -> None:
        if attempt.fragment.ordinal == 0:
            starts.append(trio.current_time())
            if len(starts) == 1:
                raise AttemptFailed("the host died", peer=attempt.host.peer)
        whole(attempt, outcome)

    await world(script).request.run()
    assert starts[1] == pytest.approx(starts[0], abs=1e-6)


def test_the_times_are_bounded(tmp_path: Path):
    path = tmp_path / "config.toml"
    path.write_text("[client]\nstart_jitter_ms = 60001\n")
    with pytest.raises(Exception, match="'start_jitter_ms' must be <= 60000"):
        load_table(path, "client", ClientConfig, {})


class Ring:
    """A ring as a client that lets go of it knows it."""

    def __init__(self, *, lingers: bool) -> None:
        self.lingers = lingers
        self.finished = trio.Event()


async def test_a_client_waits_for_its_paced_rings_and_for_no_others(autojump_clock: trio.testing.MockClock):
    nothing = cast("Any", SimpleNamespace())
    client = Client(nothing, ClientConfig(), nothing, nothing, SimpleNamespace(name="m"), nothing, Path(), nothing)
    await client.wait_for_rings()
    paced, over, plain = Ring(lingers=True), Ring(lingers=True), Ring(lingers=False)
    for ring in (paced, over, plain):
        client.linger(cast("Any", ring))
    over.finished.set()
    client.linger(cast("Any", plain))
    assert client._lingering == {paced}
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.wait_for_rings)
        await trio.sleep(7.0)
        paced.finished.set()
    assert trio.current_time() - began == pytest.approx(7.0)
