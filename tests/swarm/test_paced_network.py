"""Profile `paced` through a whole network: the real commands and sockets, and a cadence faster than the default."""

from pathlib import Path

import pytest
import trio
from attrs import evolve

from peernet.core.ring import pacing
from peernet.net.rings import RingChannel
from peernet.node.config import ClientConfig
from tests.policy.whole_network import detector, running_network

pytestmark = pytest.mark.swarm

PROMPT = """\
1. Write a short thank-you note to Maria Kowalska for the harvest festival in October.
2. Explain to a child why leaves turn brown every autumn, and why pine needles stay green.
"""
FULL = 256


def test_a_paced_request_is_answered_and_its_client_stays_until_its_rings_are_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    finder = detector()
    monkeypatch.setattr(pacing, "ENDPOINT", evolve(pacing.ENDPOINT, interval_s=0.01, total=(FULL, 4 * FULL)))
    monkeypatch.setattr(pacing, "CLIENT", evolve(pacing.CLIENT, interval_s=0.02))
    sent: dict[int, int] = {}
    channels: list[RingChannel] = []
    cells_to_send, linger = pacing.PacedEnd.cells_to_send, RingChannel.lingers.fget
    assert linger is not None

    def count(end: pacing.PacedEnd, now_s: float = 0.0) -> object:
        cells = cells_to_send(end, now_s)
        if not end._client:
            sent[id(end)] = end._sender._sent
        return cells

    def note(ring: RingChannel) -> bool:
        if ring._end.paced and ring not in channels:
            channels.append(ring)
        return linger(ring)

    monkeypatch.setattr(pacing.PacedEnd, "cells_to_send", count)
    monkeypatch.setattr(RingChannel, "lingers", property(note))

    async def ask() -> None:
        config = ClientConfig(profile="paced", paced_start_ms=300)
        async with running_network(tmp_path, monkeypatch) as network:
            async with network.client(finder, config) as client, client.conversation() as session:
                answered = await session.ask(PROMPT, lambda _: None)
                assert answered.complete
                assert answered.exposure.profile == "paced"
                assert [fragment.receipt_index is not None for fragment in answered.fragments] == [True, True]
                answered_s = trio.current_time()
            # The client has gone, and not before its rings were over, each at its boundary.
            assert len(channels) == 2
            assert all(ring.finished.is_set() for ring in channels)
            assert [ring.ended for ring in channels] == ["done", "done"]
            assert trio.current_time() > answered_s
            with trio.fail_after(2):
                while sorted(sent.values()) != [FULL, FULL]:  # noqa: ASYNC110  (the hosts' last cells)
                    await trio.sleep(0.01)

    trio.run(ask)
