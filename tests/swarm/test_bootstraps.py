"""Four bootstrap nodes as real processes: what is final with all of them, without one, without two, and after one
came back. The hosts are scripted; everything else is the commands that people run."""

import json
from pathlib import Path

import pytest
import trio

from bootstrap.policy_audit import LogAudit, audit_policy
from bootstrap.reading import reading_swarm
from peernet.cli.local_swarm import LocalSwarm
from peernet.client.client import Client
from peernet.client.events import Answered, FragmentReport
from peernet.client.wallet import WINDOW_TOKENS
from peernet.core.ledger.policy import Finality
from peernet.node.config import ClientConfig, NetworkConfig, load_table
from peernet.node.policy import policy_of
from tests.swarm.scripted_peer import Script
from tests.swarm.support import WAIT_TIMEOUT_S, client_of, run, running, scripted_swarm

pytestmark = [pytest.mark.swarm, pytest.mark.usefixtures("forked")]

LONG = " ".join(f"word{number}" for number in range(40))
"""Several windows of tokens."""
CAUGHT_UP_WITHIN_S = 60.0


async def ask(client: Client) -> FragmentReport:
    async with client.conversation() as session:
        answered: Answered = await session.ask("What is water?", lambda _: None)
    (fragment,) = answered.fragments
    assert answered.complete, fragment.failure
    return fragment


def finality_of(fragment: FragmentReport) -> Finality:
    assert fragment.finality is not None, "no receipt"
    return fragment.finality


async def audit(swarm: LocalSwarm) -> dict[str, LogAudit]:
    """What the command finds, in this process."""
    policy = policy_of(load_table(swarm.network_file, "network", NetworkConfig, {}))
    async with reading_swarm() as connections:
        return {found.report.origin: found for found in await audit_policy(connections, policy, ())}


async def stop(swarm: LocalSwarm, name: str) -> None:
    swarm.kill(name)
    await swarm.member(name).process.wait()


async def test_one_of_four_may_be_down_and_with_two_nothing_is_final(tmp_path: Path) -> None:
    script = Script(answers={"water": LONG})
    async with (
        scripted_swarm(tmp_path, script, hosts=1, relays=6, bootstraps=4) as swarm,
        client_of(swarm, config=ClientConfig(max_answer_tokens=200)) as client,
    ):
        with trio.fail_after(WAIT_TIMEOUT_S):
            while len(client.network.directory.bootstraps) < 4:
                await trio.sleep(0.05)
                await client.network.fetch_directory()
        settlements = swarm.plan.folder / "host-1" / "state" / "settlements"

        whole = await ask(client)
        assert finality_of(whole).final
        assert whole.answer_tokens > 2 * WINDOW_TOKENS

        await stop(swarm, "bootstrap-4")
        for _ in range(3):
            fragment = await ask(client)
            assert finality_of(fragment).describe() == "final (3 of 4)"
            assert fragment.answer_tokens == whole.answer_tokens
            assert fragment.receipt_log != "peernet.demo/log-4"
            assert fragment.restarts == 0
        assert list(settlements.glob("*.settlement")) == []
        found = await audit(swarm)
        assert all(log.report.ok and log.finality is not None and log.finality.final for log in found.values())
        assert [log.read_from == origin for origin, log in found.items()] == [True, True, True, False]
        assert sum(log.report.settlements for log in found.values()) == 4

        await stop(swarm, "bootstrap-3")
        fragment = await ask(client)
        assert finality_of(fragment).describe() == "not final: 2 of the 3 needed"
        assert fragment.answer_tokens <= WINDOW_TOKENS, "on a promise the host gives one window"
        assert len(list(settlements.glob("*.settlement"))) == 1, "it is asked for again until it is final"
        done = await run("ledger", "audit", "--home", tmp_path / "auditor", "--network", swarm.network_file)
        assert (done.code, done.out.count("in order ")) == (0, 4)
        assert "NOT FINAL   not final: 2 of the 3 needed: peernet.demo/log-1/validator" in done.out
        assert "read from   the mirror of peernet.demo/log-" in done.out

        await _comes_back(swarm, client, str(fragment.receipt_log))


async def _comes_back(swarm: LocalSwarm, client: Client, origin: str) -> None:
    """The node that was killed, from its own disk: it catches up, and what waited becomes final."""
    third = swarm.member("bootstrap-3")
    home = swarm.plan.folder / "bootstrap-3"
    where = ("--listen", third.ready["addresses"][0].split("/p2p/")[0], "--origin", "peernet.demo/log-3")
    words = ("bootstrap", "--home", home, *where, "--network", swarm.network_file, "--json")
    async with running(*words) as again:
        ready = json.loads(await again.line(0))
        assert (ready["peer"], ready["ledger"]) == (third.ready["peer"], third.ready["ledger"])
        with trio.fail_after(CAUGHT_UP_WITHIN_S):
            while not (finality := (await audit(swarm))[origin].finality) or not finality.final:
                continue
        assert finality_of(await ask(client)).describe() == "final (3 of 4)"
