"""`peernet demo --attack`, whole: five attacks by real processes, and each is caught by the check that is meant to.

The demo computes its claims from what the adversaries recorded; `tests/unit/test_attack_claims.py` shows that such a
claim fails where something was learned.
"""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trio

from peernet.cli.attack.on_requests import MAX_KILLS, killed_host
from peernet.cli.attack.planted import SHORT_PROMPT
from peernet.cli.attack.stage import Stage
from peernet.node.config import NetworkConfig, load_table
from tests.swarm.scripted_peer import Script
from tests.swarm.support import Done, client_of, model_folder, running, scripted_swarm

pytestmark = pytest.mark.swarm

COMMAND = (sys.executable, "-m", "tests.swarm.scripted_adversary")
SCRIPT = Script(seconds_per_token=0.01)
"""Slow enough that a piece of an answer is a cell, and that a host can die in the middle."""
TIMEOUT_S = 300.0
"""It takes half a minute where nothing else runs."""
SEAM = re.compile(r"said twice: “…(.*)” and then “(.*)…”")
SCENES = ["curious_host", "flipping_relay", "killed_host", "edited_ledger", "forked_log"]


@pytest.fixture(scope="module")
def done() -> Done:
    async def attack() -> Done:
        words = ("demo", "--attack", "--json", "--models", model_folder())
        async with running(*words, command=COMMAND, extra=SCRIPT.environment) as demo:
            return await demo.end(TIMEOUT_S)

    return trio.run(attack)


@pytest.fixture(scope="module")
def result(done: Done) -> Any:
    return json.loads(done.out)


def claims(scene: Any) -> Iterator[tuple[str, bool]]:
    for part in ("outcome", "caught", "learned", "not_learned"):
        for claim in scene[part]:
            yield claim["claim"], claim["holds"]


def test_every_attack_ends_as_it_should(done: Done, result: Any) -> None:
    assert done.code == 0, done
    assert done.err == ""
    assert result["ok"]
    assert [scene["name"] for scene in result["scenes"]] == SCENES
    for scene in result["scenes"]:
        assert scene["ok"], [text for text, holds in claims(scene) if not holds]
        assert all(holds for _, holds in claims(scene))
        for part in ("caught", "learned", "not_learned"):
            assert scene[part], (scene["name"], part)
        assert scene["attack"]
        assert scene["verdict"]


@pytest.mark.parametrize(
    ("scene", "evidence"),
    [
        ("curious_host", "the one fragment that your client says it sent, byte for byte"),
        ("flipping_relay", "1 bit of 8,192 was different"),
        ("flipping_relay", "“a relay broke the ring: bad_tag”"),
        ("killed_host", "“the host or its connections ended: lost”"),
        ("killed_host", "3 hosts for 2 fragments"),
        ("edited_ledger", "does not hash to what this tile says”"),
        ("edited_ledger", "the copies that the 3 other nodes keep"),
        ("edited_ledger", "“the stored entries do not lead to the signed root”"),
        ("edited_ledger", "“the stored tree does not lead to the checkpoint's root”"),
        ("edited_ledger", "“the stored checkpoint is not this log's"),
        ("forked_log", "the 3 other nodes, each by itself"),
        ("forked_log", "One of them is a lie"),
        ("forked_log", "a proof on the disk of each"),
        ("forked_log", "is “not final: 1 of the 3 needed”, too"),
    ],
)
def test_each_is_caught_by_the_check_that_is_meant_to(result: Any, scene: str, evidence: str) -> None:
    (told,) = [one for one in result["scenes"] if one["name"] == scene]
    assert any(evidence in claim["claim"] for claim in told["caught"]), told["caught"]


def outcome_of(result: Any, scene: str) -> str:
    (told,) = [one for one in result["scenes"] if one["name"] == scene]
    return " ".join(claim["claim"] for claim in told["outcome"])


@pytest.mark.parametrize("scene", ["flipping_relay", "killed_host"])
def test_an_answer_goes_on_as_its_engine_would_have(result: Any, scene: str) -> None:
    """The scripted engine says its prompt again: what stands around the seam must stand there as well."""
    found = SEAM.search(outcome_of(result, scene))
    assert found is not None
    before, after = ("".join(part.split()) for part in found.groups())
    assert before
    assert after
    assert before + after in "".join(SHORT_PROMPT.split())


def test_of_two_histories_one_becomes_final_and_the_other_one_cosignature(result: Any) -> None:
    outcome = outcome_of(result, "forked_log")
    assert re.search(r"The first is final \([34] of 4\)", outcome)
    assert "“not final: 1 of the 3 needed”" in outcome


def test_what_was_not_learned_names_what_was_searched_for(result: Any) -> None:
    for scene in result["scenes"][:2]:
        not_learned = " ".join(claim["claim"] for claim in scene["not_learned"])
        for planted in ("Maria Kowalska", "maria.kowalska@example.org", "4111 1111 1111 1111", "127.77.200.1"):
            assert planted in not_learned


async def test_a_host_that_has_said_everything_is_no_victim_and_a_killed_one_comes_back(tmp_path: Path) -> None:
    """What the scene does where chance gave it nothing to show: it asks again, so often and no more."""
    async with (
        scripted_swarm(tmp_path, Script(answers={"thank-you": "Thank you."}), hosts=3, relays=8) as swarm,
        client_of(swarm) as client,
    ):
        network = load_table(swarm.network_file, "network", NetworkConfig, {})
        stage = Stage(swarm, network, client, "", {}, lambda _: None)
        told = await killed_host(stage)
        assert not told.ok
        (claim,) = told.outcome
        assert claim.text == f"in {MAX_KILLS} requests its answer was over before"
        assert "Thank you." in dict(claim.recorded)["answer"]
        assert len(stage.asked) == MAX_KILLS
        hosts = [member for member in swarm.members if member.name.startswith("host-")]
        assert [host.process.returncode for host in hosts] == [None] * 3

        for host in hosts:
            swarm.kill(host.name)
            await host.process.wait()
        for host in hosts:
            await stage.start_host_again(host.name)
            listed = {str(one.peer): one.record.addresses for one in client.network.directory.listings}
            (address,) = swarm.member(host.name).ready["addresses"]
            assert f"{listed[host.peers[0]][0]}/p2p/{host.peers[0]}" == address
        asked = await stage.ask(SHORT_PROMPT)
        assert [(one.failure, one.restarts, one.continuations) for one in asked.answered.fragments] == [
            (None, 0, 0)
        ] * 2
        assert {one.host for one in asked.answered.fragments} < {peer for host in hosts for peer in host.peers}
