"""Failover with the real model: a host is killed in mid-answer, and the answer is the one without the failure.

The exact moments, and the other ways in which a peer fails, are in `test_faults`, with hosts that answer by a script.
At temperature 0 the model goes on from any beginning of this answer as it went on itself, which does not hold of every
prompt: the tokens of a text can be others than those that it was written in.
"""

from pathlib import Path

import pytest
import trio

from inference.models import DEFAULT_MODEL
from peernet.cli.local_swarm import LocalSwarm, SwarmPlan, running_swarm
from peernet.client.client import Client
from peernet.client.events import Answered, Event, FragmentContinued, FragmentText, Planned
from peernet.client.request import Emit
from peernet.node.config import ClientConfig
from tests.swarm.support import client_of, model_folder, next_network

pytestmark = [pytest.mark.swarm, pytest.mark.usefixtures("forked")]

PROMPT = "Explain in two sentences why drinking enough water every day is good for your health."
PIECES_BEFORE = 12
"""After how many pieces of the answer its host is killed; a window more may be on its way."""


class _Killing:
    """Takes the events of a request, and kills its host in mid-answer."""

    def __init__(self, swarm: LocalSwarm) -> None:
        self._swarm = swarm
        self._host = ""
        self.shown: list[str] = []
        self.continued: list[FragmentContinued] = []

    def __call__(self, event: Event) -> None:
        match event:
            case Planned():
                self._host = event.fragments[0].host
            case FragmentText():
                self.shown.append(event.text)
                if len(self.shown) == PIECES_BEFORE:
                    (host,) = [member for member in self._swarm.members if self._host in member.peers]
                    self._swarm.kill(host.name)
            case FragmentContinued():
                self.continued.append(event)


async def _ask(client: Client, take: Emit) -> Answered:
    async with client.conversation() as session:
        with trio.fail_after(60):
            return await session.ask(PROMPT, take)


async def test_the_model_goes_on_where_the_killed_host_was(tmp_path: Path) -> None:
    plan = SwarmPlan(
        folder=tmp_path / "swarm",
        models=model_folder(),
        model=DEFAULT_MODEL,
        hosts=2,
        relays=4,
        network=next_network(),
    )
    plan.folder.mkdir()
    config = ClientConfig(max_answer_tokens=80, temperature_thousandths=0)
    async with running_swarm(plan) as swarm, client_of(swarm, config=config) as client:
        undisturbed = await _ask(client, lambda _: None)
        killing = _Killing(swarm)
        answered = await _ask(client, killing)
    assert answered.complete, answered.fragments[0].failure
    (continued,) = killing.continued
    assert continued.host != continued.failed_host
    assert answered.text == "".join(killing.shown) == undisturbed.text
    assert 0 < continued.words < len(answered.text.split())
    # Known by the connections that closed, and not by waiting for who says nothing.
    assert "silent" not in continued.reason
    (calm,), (fragment,) = undisturbed.fragments, answered.fragments
    assert (fragment.host, fragment.restarts, fragment.continuations) == (continued.host, 0, 1)
    assert fragment.receipt_index is not None
    # No word was paid for twice as an answer, but for one that the seam may cut in two.
    assert calm.answer_tokens <= fragment.answer_tokens <= calm.answer_tokens + 2
    # The prompt was, and with it the beginning of the answer.
    assert fragment.prompt_tokens > 2 * calm.prompt_tokens
    assert [(host.host, host.standby, host.continued) for host in answered.exposure.hosts] == [
        (continued.failed_host, False, ()),
        (continued.host, True, (0,)),
    ]
