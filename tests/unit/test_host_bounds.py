"""What a user is told when the regions that hosts are bounded to leave too few."""

import random
from collections import Counter
from types import SimpleNamespace
from typing import Any, cast

import pytest

from peernet.client.client import ChatSession, NoHosts
from peernet.client.events import Event
from peernet.node.config import ClientConfig
from privacy.planning import ChatMessage, ExposurePolicy, Level, PlanRefused

PROMPT = "1. Explain gravity in two sentences.\n2. Name three kinds of cheese from France."


def session_of(within: int, elsewhere: Counter[str], level: Level = Level.STANDARD) -> ChatSession:
    """A session of a client that may ask so many hosts, and could ask others but for their regions."""

    async def make_ready(*_: object) -> None:
        pass

    hosts = [SimpleNamespace(peer=str(number)) for number in range(within)]
    client = SimpleNamespace(
        config=ClientConfig(host_regions=("eu", "ch"), policy=level.value),
        policy=ExposurePolicy(level),
        network=SimpleNamespace(make_ready=make_ready, directory=SimpleNamespace(relays=())),
        hosts=lambda *_: hosts,
        hosts_elsewhere=lambda _: elsewhere,
    )
    model = SimpleNamespace(name="scripted", tokenizer=None)
    session = ChatSession(cast("Any", client), cast("Any", model))
    session._vault._rng = random.Random(1)
    return session


def plans(session: ChatSession) -> None:
    hosts = session._client.hosts(session.model)
    session._plan([ChatMessage("user", PROMPT)], [[]], hosts, session._client.policy, ())


async def test_where_no_host_is_within_the_bound_it_is_named_with_who_is_elsewhere():
    events: list[Event] = []
    with pytest.raises(NoHosts) as raised:
        await session_of(0, Counter({"us": 2, "none claimed": 1}))._find_hosts(events.append, None)
    assert str(raised.value) == (
        "no host of 'scripted' claims to be in eu, ch, as host_regions has it; the others claim: 1 none claimed, 2 us:"
        " take more regions into host_regions (--host-regions), or wait for such a host"
    )


async def test_where_there_is_no_host_at_all_the_bound_is_not_to_blame():
    with pytest.raises(NoHosts, match="no host serves 'scripted' now"):
        await session_of(0, Counter())._find_hosts(lambda _: None, None)


def test_a_plan_that_fails_for_want_of_hosts_names_the_bound():
    with pytest.raises(PlanRefused) as raised:
        plans(session_of(1, Counter({"us": 2}), Level.STRICT))
    assert "Of the hosts that serve the model, 1 claim to be in eu, ch, as host_regions has it" in str(raised.value)
    assert str(raised.value).endswith("the others claim: 2 us")


def test_a_plan_that_more_hosts_would_not_save_does_not():
    session = session_of(3, Counter({"us": 2}), Level.STRICT)
    with pytest.raises(PlanRefused) as raised:
        session._plan([ChatMessage("user", "What is water?")], [[]], [1, 2, 3], session._client.policy, ())
    assert "host_regions" not in str(raised.value)
