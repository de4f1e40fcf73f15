"""P2: identifiers are replaced on the client, and if looking for them fails or takes too long, nothing is sent."""

import threading
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest
import trio

from peernet.client.client import MAX_DETECTIONS, Client, LanguageRefused
from peernet.client.events import Event, Masked
from peernet.node.config import ClientConfig
from privacy._by_language import LazyRecogniser
from privacy._shapes import load_shapes
from privacy.detection import DetectionFailed, Detector
from privacy.mention import Mention
from privacy.planning import PlanRefused
from tests.policy.whole_network import WholeNetwork, detector, running_network

pytestmark = pytest.mark.swarm

PROMPT = "Write a note to Maria Kowalska (maria.kowalska@example.org) about the boat."
PLANTED = ("Maria Kowalska", "Kowalska", "maria.kowalska@example.org")

FRENCH = "Écris une lettre à Maria Kowalska pour lui demander où est le bateau."
DANISH = "Skriv et brev til min nabo om den båd, som han ikke vil sælge."
DANISH_PARTS = (
    "1. Forklar, hvad en kontrakt er, og hvordan den skrives.\n"
    "2. Skriv et digt om havet, som ikke er for langt.\n"
    "3. Giv en opskrift på rugbrød, der er nem at lave.\n"
)


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


class Nothing:
    """Detection that finds nothing."""

    def detect_all(self, texts: list[str]) -> list[list[Mention]]:
        return [[] for _ in texts]


class NoNames:
    """A recogniser that finds nothing."""

    def find_all(self, texts: list[str]) -> list[list[Mention]]:
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
    config = ClientConfig(detection_timeout_s=0.1)
    async with (
        running_network(tmp_path, monkeypatch) as network,
        network.client(cast("Detector", hanging), config) as client,
    ):
        for _ in range(MAX_DETECTIONS + 2):
            await nothing_is_sent(network, client, r"took over 0\.1 s")
        # Those given up hold no thread that others need.
        assert trio.to_thread.current_default_thread_limiter().borrowed_tokens == 0
        hanging.let_go.set()
        client.config = ClientConfig()
        async with client.conversation() as session:
            assert (await session.ask(PROMPT, lambda _: None)).complete


async def test_a_missing_model_sends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    french = Detector(cast("Any", NoNames()), (), load_shapes(), {"fr": LazyRecogniser("fr", "no_such_package")})
    # Importing spaCy on a busy machine takes longer than a detection may.
    await trio.to_thread.run_sync(Detector.load)
    async with running_network(tmp_path, monkeypatch) as network:
        async with network.client(french) as client, client.conversation() as session:
            before = network.sent()
            with pytest.raises(DetectionFailed, match="no_such_package") as failed:
                await session.ask(FRENCH, lambda _: None)
            assert network.sent() == before
            assert "Kowalska" not in str(failed.value)
        monkeypatch.setattr(Detector, "load", partial(Detector.load, "no_such_model"))
        with pytest.raises(DetectionFailed, match=r"no_such_model.*client extra"):
            async with network.client(cast("Detector", None)):
                pass


async def test_a_language_without_a_recogniser_is_sent_in_parts_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finder = cast("Detector", Nothing())
    async with running_network(tmp_path, monkeypatch) as network, network.client(finder) as client:
        told: list[Event] = []
        async with client.conversation() as session:
            before = network.sent()
            with pytest.raises(PlanRefused, match=r"seems to be Danish.*cannot be sent"):
                await session.ask(DANISH, told.append)
            client.config = ClientConfig(unsupported_language="refuse")
            with pytest.raises(LanguageRefused, match="seems to be Danish"):
                await session.ask(DANISH_PARTS, told.append)
            assert network.sent() == before
            client.config = ClientConfig()
            answered = await session.ask(DANISH_PARTS, told.append)
        assert answered.exposure.policy == "strict"
        assert any("Danish" in notice for notice in answered.exposure.notices)
        assert all("Danish" in event.notices[0] for event in told if isinstance(event, Masked))
        assert max(host.share_of_words for host in answered.exposure.hosts) <= 0.5


async def nothing_is_sent(network: WholeNetwork, client: Client, why: str) -> None:
    async with client.conversation() as session:
        before = network.sent()
        with pytest.raises(DetectionFailed, match=why):
            await session.ask(PROMPT, lambda _: None)
        assert network.sent() == before
