"""P12, as far as it is built: people are told, where they look, what hosts can read and where hosts say they are."""

from pathlib import Path

import pytest

from tests.policy.whole_network import detector, running_network

pytestmark = pytest.mark.swarm

ROOT = Path(__file__).resolve().parents[2]


def test_the_readme_says_what_hosts_can_read_and_that_detection_is_not_perfect() -> None:
    readme = " ".join((ROOT / "README.md").read_text("utf-8").split())
    assert "Hosts can read the masked fragment that they answer" in readme
    assert "detection is not perfect" in readme
    assert "docs/threat-model.md" in readme


async def test_the_receipt_names_the_region_that_each_host_claims(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finder = detector()
    regions = ("--region", "eu-claimed")
    async with (
        running_network(tmp_path, monkeypatch, host_options=regions) as network,
        network.client(finder) as client,
        client.conversation() as session,
    ):
        answered = await session.ask("What is a good name for a boat?", lambda _: None)
    assert [host.region for host in answered.exposure.hosts] == ["eu-claimed"]
