"""A service that is asked to end by a first signal and ended by a second, and the flags of a node's network."""

import argparse
import json
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import structlog
import trio
import trio.testing

from peernet.cli.options import add_network, network_of
from peernet.cli.services import EXIT_INTERRUPTED, Ending, run_until_signal
from peernet.core.errors import UserError
from peernet.net.swarm_key import load_swarm_key


@pytest.fixture(autouse=True)
def _log_as_before():
    """A service says where its log goes; the tests after this one have theirs elsewhere."""
    yield
    structlog.reset_defaults()


async def until_asked(ending: Ending, signals: int, finishes: bool, seen: list[str]) -> int:
    """A service that is sent some signals once it is ready, and finishes when asked, or would never."""
    async with trio.open_nursery() as nursery:

        async def send() -> None:
            await trio.testing.wait_all_tasks_blocked(0.01)
            for _ in range(signals):
                signal.raise_signal(signal.SIGTERM)
                await trio.testing.wait_all_tasks_blocked(0.01)

        nursery.start_soon(send)
        await ending.wait()
        seen.append("asked")
        if not finishes:
            await trio.sleep_forever()
        seen.append("finished")
        nursery.cancel_scope.cancel()
    return 0


def test_a_first_signal_asks_and_the_service_ends_by_itself():
    ending, seen = Ending(), []
    assert run_until_signal(partial(until_asked, ending, 1, True, seen), ending) == 0
    assert seen == ["asked", "finished"]


def test_a_second_signal_ends_it_at_once():
    ending, seen = Ending(), []
    assert run_until_signal(partial(until_asked, ending, 2, False, seen), ending) == EXIT_INTERRUPTED
    assert seen == ["asked"]


def test_before_it_is_ready_the_first_signal_ends_it():
    ending = Ending()

    async def never_ready() -> int:
        signal.raise_signal(signal.SIGTERM)
        await trio.sleep_forever()
        return 0

    assert run_until_signal(never_ready, ending) == EXIT_INTERRUPTED
    assert not ending.ask()


def parsed(tmp_path: Path, *words: str, listens: bool = True) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_network(parser, listens=listens)
    arguments = parser.parse_args(words)
    arguments.home = tmp_path
    return arguments


def test_gate_limits_and_key_are_flags_on_top_of_the_file(tmp_path: Path):
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "config.toml").write_text(
        '[network]\nallow = ["203.0.113.7"]\ndeny = ["10.0.0.0/8"]\nlimits = "busy"\nswarm_key = "their.key"\n'
    )
    network = network_of(parsed(tmp_path))
    assert (network.allow, network.deny, network.limits) == (("203.0.113.7",), ("10.0.0.0/8",), "busy")
    assert network.swarm_key == "their.key"
    words = ("--deny", "192.0.2.1", "--deny", "192.0.2.2", "--limits", "home", "--swarm-key", "our.key")
    network = network_of(parsed(tmp_path, *words))
    assert (network.allow, network.deny) == (("203.0.113.7",), ("192.0.2.1", "192.0.2.2"))
    assert (network.limits, network.swarm_key) == ("home", "our.key")
    assert network_of(parsed(tmp_path, "--swarm-key", "k", listens=False)).swarm_key == "k"
    (tmp_path / "config" / "config.toml").write_text('[network]\nlimits = "huge"\n')
    with pytest.raises(UserError, match="limits"):
        network_of(parsed(tmp_path))


def test_a_swarm_key_is_made_by_a_command(tmp_path: Path):
    path = tmp_path / "swarm.key"
    command = [sys.executable, "-m", "peernet", "identity", "--make-swarm-key", str(path)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    key = load_swarm_key(path)
    assert "--swarm-key" in done.stdout
    assert key.hex() not in done.stdout
    done = subprocess.run([*command, "--json"], check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "is there already" in done.stderr
    path.unlink()
    done = subprocess.run([*command, "--json"], check=True, capture_output=True, text=True, timeout=60)
    assert json.loads(done.stdout) == {"swarm_key_file": str(path)}
