"""P2: identifiers are replaced on the client, and if looking for them fails or takes too long, nothing is sent."""

import threading
from pathlib import Path
from typing import cast

import pytest

import peernet.client.session
from peernet.client.client import Client
from privacy.detection import DetectionFailed, Detector
from privacy.mention import Mention
from tests.policy.whole_network import WholeNetwork, detector, running_network

pytestmark = pytest.mark.swarm

PROMPT = "Write a note to Maria Kowalska (maria.kowalska@example.org) about the boat."
PLANTED = ("Maria Kowalska", "Kowalska", "maria.kowalska@example.org")


class Broken:
    """Detection that raises."""

    def detect_all(self, _texts: list[str]) -> list[list[Mention]]:
        raise DetectionFailed("the recogniser broke")


class Hanging:
    """Detection that does not come back until it is let go."""

    def __init__(self) -> None:
        self.let_go = threading.Event()

    def detect_all(self, texts: list[str]) -> list[list[Mention]]:
        self.let_go.wait(30)
        return [[] for _ in texts]


async def test_no_identifier_leaves_the_client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    finder = detector()
    async with running_network(tmp_path, monkeypatch) as network, network.client(finder) as client:
        async with client.conversation() as session:
            answered = await session.ask(PROMPT, lambda _: None)
        assert answered.complete
        for name, seen in network.seen.items():
            for planted in PLANTED:
                assert planted not in seen, name
        # And yet it was asked for, and is back.
        assert any("PERSON_" in text for host in network.of("host").values() for text in host.engine)
        assert all(planted in answered.text for planted in PLANTED)


async def test_detection_that_raises_sends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = cast("Detector", Broken())
    async with running_network(tmp_path, monkeypatch) as network, network.client(broken) as client:
        await nothing_is_sent(network, client, "the recogniser broke")


async def test_detection_that_hangs_sends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hanging = Hanging()
    monkeypatch.setattr(peernet.client.session, "DETECTION_TIMEOUT_S", 0.1)
    async with running_network(tmp_path, monkeypatch) as network, network.client(cast("Detector", hanging)) as client:
        await nothing_is_sent(network, client, r"took over 0\.1 s")
    hanging.let_go.set()


async def nothing_is_sent(network: WholeNetwork, client: Client, why: str) -> None:
    async with client.conversation() as session:
        before = network.sent()
        with pytest.raises(DetectionFailed, match=why):
            await session.ask(PROMPT, lambda _: None)
        assert network.sent() == before
