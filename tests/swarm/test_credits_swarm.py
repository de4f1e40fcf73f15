"""A swarm whose operator funds no lane for nothing: what a client without credits is told, what one with credits gets,
and what becomes of a credit that two processes spend."""

import json
import shutil
from pathlib import Path

import pytest
import trio

from peernet.client import credits as credits_module
from peernet.client.purse import Purse
from peernet.core.credits.credits import BOUGHT
from tests.issuing_home import prepare_issuer
from tests.swarm.scripted_peer import Script
from tests.swarm.support import WAIT_TIMEOUT_S, client_of, run, scripted_swarm

pytestmark = [pytest.mark.swarm, pytest.mark.usefixtures("forked")]

ANSWER = "It is wet, and there is a lot of it."


def worth(purse: Purse) -> int:
    """Of the free credits, in microcredits."""
    return sum(denomination * count for denomination, count in purse.balance().get(BOUGHT, {}).items())


async def test_lanes_are_paid_for_with_credits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    swarm_folder = tmp_path / "swarm"
    purse_path = swarm_folder / "client" / "state" / "purse.sqlite"
    copied = tmp_path / "copy" / "state" / "purse.sqlite"
    kept = tmp_path / "kept.sqlite"
    await prepare_issuer(swarm_folder / "bootstrap", "peernet.demo/log", {kept: 1})
    monkeypatch.setattr(credits_module, "PAUSE_S", (0.0, 0.2))
    async with scripted_swarm(tmp_path, Script(answers={"water": ANSWER}), hosts=1, relays=6) as swarm:
        network = ("--network", swarm.network_file, "--models", swarm.plan.models)
        async with client_of(swarm) as client, client.conversation() as session:
            refused = await session.ask("What is water?", lambda _: None)
            assert not refused.complete
            assert "peernet wallet withdraw" in str(refused.fragments[0].failure)

            for path in (purse_path, copied):
                path.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(kept, path)
            answered = await session.ask("What is water?", lambda _: None)
            assert answered.complete
            assert answered.fragments[0].receipt_log == "peernet.demo/log"
            purse = Purse(purse_path)
            with trio.fail_after(WAIT_TIMEOUT_S):
                while purse.lanes():  # noqa: ASYNC110  (another task takes their change)
                    await trio.sleep(0.1)
            left = purse.balance()[BOUGHT]
            assert (left.keys(), left[1_000]) == ({100, 1_000}, 9), "but for less than 100 microcredits"
            assert (await session.ask("What is water?", lambda _: None)).complete
            assert worth(purse) < 9_000 + 100 * left[100]
            purse.close()

        again = await run("chat", "What is water?", "--home", copied.parents[1], *network)
        assert again.code == 1
        assert "peernet wallet withdraw" in again.out + again.err
        left = await run("wallet", "balance", "--home", copied.parents[1], "--json")
        assert json.loads(left.out)["microcredits"] == 0
        audit = await run("ledger", "audit", "--home", tmp_path / "auditor", "--network", swarm.network_file, "--json")
        assert json.loads(audit.out)["ok"], audit
        assert json.loads(audit.out)["credits_redeemed"] >= 2
