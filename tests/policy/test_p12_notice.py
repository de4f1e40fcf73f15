"""P12, as far as it is built: people are told, where they look, what hosts can read and where hosts say they are."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
from attrs import frozen

from bootstrap.portal.home import MASKING
from peernet.client.events import Answered
from peernet.core.ring.paths import TooFewRelays
from peernet.node.config import ClientConfig
from tests.browsing import Browser, new_office
from tests.policy.whole_network import WholeNetwork, detector, running_network

pytestmark = pytest.mark.swarm

ROOT = Path(__file__).resolve().parents[2]


def test_the_readme_says_what_hosts_can_read_and_that_detection_is_not_perfect() -> None:
    readme = " ".join((ROOT / "README.md").read_text("utf-8").split())
    assert "Hosts can read the masked fragment that they answer" in readme
    assert "detection is not perfect" in readme
    assert "docs/threat-model.md" in readme


async def test_the_portal_says_what_hosts_can_read_where_people_look(tmp_path: Path) -> None:
    office = new_office(tmp_path)
    browser = Browser(office)
    await browser.open("/")
    assert "can read the masked fragment that it answers, and no anonymisation is perfect" in browser.text
    assert browser.page.text.count('href="/transparency"') >= 3
    await browser.open("/transparency")
    said = browser.text
    assert (
        "Whoever runs a host can read the masked fragment that the host answers, in whatever country they are" in said
    )
    assert "No anonymisation is perfect" in said
    assert "Nobody checks that, and it is called a claim wherever it is shown" in said
    for figure in MASKING:
        assert f"{100 - figure.found_permille / 10:.1f} %" in said, figure.name
    office.database.close()


# --- bounding the regions --------------------------------------------------------------------------------------------

PARTS = """\
1. Explain to a child why leaves turn brown every autumn, and why pine needles stay green.
2. Suggest a vegetarian dinner for six hungry guests with mushrooms, chestnuts and barley.
3. Write a limerick about a lighthouse keeper and his parrot.
"""
REGIONS = {
    **{f"relay-{place}": "eu-central" if place < 4 else "us-east" for place in range(8)},
    **{f"host-{place}": "eu-north" if place < 2 else "us-east" for place in range(3)},
}


@frozen
class Bounded:
    """Requests of clients that bound relays, and then hosts, to `eu`."""

    by_relays: Answered
    cells: dict[str, int]
    """How many bytes of cells each relay had seen by then."""
    refusal: str
    sent_while_refused: int
    by_hosts: Answered
    texts: dict[str, list[str]]
    """What the engine of each host was given of the last request."""


async def ask_within(network: WholeNetwork) -> Bounded:
    finder = detector()
    async with network.client(finder, ClientConfig(relay_regions=("eu",))) as client:
        async with client.conversation() as session:
            by_relays = await session.ask("What is a good name for a boat?", lambda _: None)
        cells = {name: len(seen.cells) for name, seen in network.of("relay").items()}
        before = sum(len(seen.engine) for seen in network.of("host").values())
        async with client.conversation() as session:
            with pytest.raises(TooFewRelays) as refused:
                await session.ask(PARTS, lambda _: None)
        after = sum(len(seen.engine) for seen in network.of("host").values())
    given = {name: len(seen.engine) for name, seen in network.of("host").items()}
    bound = ClientConfig(host_regions=("eu",))
    async with network.client(finder, bound) as client, client.conversation() as session:
        by_hosts = await session.ask(PARTS, lambda _: None)
    texts = {name: seen.engine[given[name] :] for name, seen in network.of("host").items()}
    return Bounded(by_relays, cells, str(refused.value), after - before, by_hosts, texts)


@pytest.fixture(scope="module")
def bounded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bounded]:
    async def ask(monkeypatch: pytest.MonkeyPatch) -> Bounded:
        folder = tmp_path_factory.mktemp("network")
        async with running_network(folder, monkeypatch, regions=REGIONS) as network:
            return await ask_within(network)

    with pytest.MonkeyPatch.context() as monkeypatch:
        yield trio.run(ask, monkeypatch)


def test_only_relays_that_claim_a_region_of_the_bound_carry_anything(bounded: Bounded) -> None:
    assert bounded.by_relays.complete
    carried = {name for name, cells in bounded.cells.items() if cells}
    # Two middles, and one guard or both.
    assert len(carried) >= 3
    assert carried <= {f"relay-{place}" for place in range(4)}
    assert {relay.region for relay in bounded.by_relays.exposure.relays} == {"eu-central"}


def test_a_bound_that_leaves_too_few_is_refused_by_its_name(bounded: Bounded) -> None:
    assert "that claim to be in eu for this request" in bounded.refusal
    assert "take more regions into relay_regions" in bounded.refusal
    assert bounded.sent_while_refused == 0


def test_only_hosts_that_claim_a_region_of_the_bound_are_given_anything(bounded: Bounded) -> None:
    assert bounded.by_hosts.complete
    assert {name for name, texts in bounded.texts.items() if texts} == {"host-0", "host-1"}


def test_the_receipt_names_the_region_that_each_host_claims(bounded: Bounded) -> None:
    assert [host.region for host in bounded.by_hosts.exposure.hosts] == ["eu-north"] * 2
