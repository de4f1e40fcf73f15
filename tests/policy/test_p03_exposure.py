"""P3: no host gets the whole prompt unless the policy allows it, and the receipt says which host saw what share."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
from attrs import frozen

from peernet.client.events import Answered
from peernet.core import host_ranking
from privacy.exposure import content_words
from tests.policy.whole_network import Seen, detector, running_network
from tests.swarm.scripted_peer import Script

pytestmark = pytest.mark.swarm

PROMPT = """\
1. Write a short thank-you note to Maria Kowalska for the harvest festival in October.
2. Explain to a child why leaves turn brown every autumn, and why pine needles stay green.
3. Suggest a vegetarian dinner for six hungry guests with mushrooms, chestnuts and barley.
"""


@frozen
class Run:
    """One request under the standard policy."""

    answered: Answered
    hosts: dict[str, Seen]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    finder = detector()

    async def ask(monkeypatch: pytest.MonkeyPatch) -> Run:
        folder = tmp_path_factory.mktemp("network")
        async with running_network(folder, monkeypatch) as network, network.client(finder) as client:
            async with client.conversation() as session:
                answered = await session.ask(PROMPT, lambda _: None)
            return Run(answered, network.of("host"))

    with pytest.MonkeyPatch.context() as monkeypatch:
        yield trio.run(ask, monkeypatch)


def shares(run: Run) -> list[float]:
    """Counted from what the engines were given, over all calls of a host."""
    whole = content_words(PROMPT)
    return sorted(
        (whole & content_words("\n".join(host.engine))).total() / whole.total() for host in run.hosts.values()
    )


def test_no_host_gets_the_whole_or_more_than_half(run: Run) -> None:
    assert run.answered.complete
    assert len(run.answered.fragments) == 3
    assert 0 < min(shares(run)) <= max(shares(run)) <= 0.5


def test_the_receipt_says_what_each_host_saw(run: Run) -> None:
    told = sorted(host.share_of_words for host in run.answered.exposure.hosts)
    assert told == pytest.approx(shares(run), abs=1e-9)
    assert len({host.host for host in run.answered.exposure.hosts}) == 3


QUESTION = "Explain to a child why leaves turn brown every autumn, and why pine needles stay green."


async def test_a_standby_has_seen_it_and_so_has_the_host_that_stalled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finder = detector()
    monkeypatch.setattr(host_ranking, "NEXT_TOKEN_DEFAULT_S", 1.0)
    armed = tmp_path / "armed"
    armed.touch()
    script = Script(stall_after=3, armed=str(armed))
    folder = tmp_path / "network"
    folder.mkdir()
    async with (
        running_network(folder, monkeypatch, script) as network,
        network.client(finder) as client,
        client.conversation() as session,
    ):
        answered = await session.ask(QUESTION, lambda _: None)
        given = [content_words("\n".join(host.engine)) for host in network.of("host").values() if host.engine]
    assert answered.complete
    whole = content_words(QUESTION)
    counted = sorted((whole & words).total() / whole.total() for words in given)
    assert len(counted) == 2
    exposure = answered.exposure
    assert sorted(host.share_of_words for host in exposure.hosts) == pytest.approx(counted)
    assert [(host.standby, host.continued) for host in exposure.hosts] == [(False, ()), (True, (0,))]
    assert exposure.standbys == 1
