"""The failover benchmark's way from a client that leaves to the engine, over real rings; the speed is its figure."""

import structlog
import trio

from benchmarks.failover import _cancel, _running


async def test_a_client_that_leaves_ends_the_generation_at_its_host() -> None:
    with structlog.testing.capture_logs(), trio.fail_after(30):
        async with _running() as network:
            assert 0 < await _cancel(network) < 5
            assert all(engine.closed.is_set() for engine in network.engines.values())
