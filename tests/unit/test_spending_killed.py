"""A client that is killed between paying for a lane and having its change loses nothing.

A process of its own pays for a lane, has it settled and asks for its change, up to a point at which it says so and
waits. There it is killed, and the test goes on with what it left: the purse, and the ledger.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import trio

from bootstrap import issuing
from peernet.client import credits as credits_module
from peernet.client import purse as purse_module
from peernet.client import wallet
from peernet.core.ledger.entries import Change, Redeem
from peernet.core.ledger.messages import LaneMessages
from peernet.core.ledger.rules import SETTLE_GRACE_S
from peernet.core.metering import ChangeRequest, RedeemRequest
from tests.issuers import KEYS
from tests.unit.test_spending import BEGIN_S, Ring, Setting

PATIENCE_S = 60
PAID, LEFT = 3_000, 2_200
POINTS = {
    "the lane is asked for": (RedeemRequest, False, PAID),
    "the lane is funded": (RedeemRequest, True, PAID),
    "the lane is settled": (None, False, LEFT),
    "change is asked for": (ChangeRequest, False, LEFT),
    "change is given": (ChangeRequest, True, LEFT),
    "change is half written": (None, True, LEFT),
}
"""At which request, before or after the ledger has it; and what the purse is worth in the end."""


def stop():
    """Says that the point is reached, and waits to be killed."""
    os.write(1, b"here\n")
    time.sleep(PATIENCE_S)


async def live(folder, point):
    """The life of the client, up to that point."""
    kind, after, _ = POINTS[point]
    send, add = Ring.send, purse_module._add_credits
    settled = False

    async def send_until(ring, message):
        is_it = kind is not None and isinstance(LaneMessages.decode(message), kind)
        if is_it and not after:
            stop()
        await send(ring, message)
        if is_it:
            stop()

    def add_until(connection, found):
        count = add(connection, found)
        if settled and point == "change is half written":
            stop()
        return count

    Ring.send, purse_module._add_credits = send_until, add_until
    setting = Setting(folder, SimpleNamespace(now_s=BEGIN_S))
    await setting.ledger.issuer.renew()
    await setting.withdraw(3)
    await setting.settle(await setting.fund(2_500), 800)
    settled = True
    if point == "the lane is settled":
        stop()
    await setting.resolve()


def hold_still(patch, clock):
    """Makes the time that of `clock`, and new issuer keys the kept ones."""
    patch.setattr(issuing, "_new_key", lambda: KEYS[0])
    for module in (wallet, credits_module):
        patch.setattr(module, "now_s", lambda: clock.now_s)


def kill_at(folder, point):
    """Has a process live up to that point, and kills it."""
    words = [sys.executable, "-m", "tests.unit.test_spending_killed", str(folder), point]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as child:
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == b"here\n"
        finally:
            child.kill()
    assert child.returncode == -signal.SIGKILL


@pytest.mark.parametrize("point", POINTS)
async def test_a_client_that_is_killed_loses_nothing(tmp_path, monkeypatch, point):
    await trio.to_thread.run_sync(kill_at, tmp_path, point)
    clock = SimpleNamespace(now_s=BEGIN_S)
    hold_still(monkeypatch, clock)
    setting = Setting(tmp_path, clock)
    await setting.ledger.issuer.renew()
    assert setting.owns() == 0
    for waited_s in (0, wallet.LANE_LIFETIME_S + 121, SETTLE_GRACE_S):
        clock.now_s += waited_s
        await setting.resolve()
    *_, worth = POINTS[point]
    assert (setting.owns(), setting.purse.lanes()) == (worth, [])
    assert len(setting.ledger.entries(Change)) == (point != "the lane is asked for")
    await setting.fund(worth)
    assert setting.owns() == 0
    spent = [credit.serial for entry in setting.ledger.entries(Redeem) for credit in entry.credits]
    assert len(set(spent)) == len(spent)
    setting.purse.close()
    setting.ledger.store.close()
    setting.ledger.kept.close()


if __name__ == "__main__":
    with pytest.MonkeyPatch.context() as patched:
        hold_still(patched, SimpleNamespace(now_s=BEGIN_S))
        trio.run(live, Path(sys.argv[1]), sys.argv[2])
