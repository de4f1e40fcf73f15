"""A gateway with its chat page, before a swarm of scripted hosts: every process is the real command but for the hosts'
engines.
"""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final, cast

from attrs import frozen

from peernet.cli.local_swarm import LocalSwarm
from privacy.detection import Detector
from tests.swarm.scripted_peer import Script
from tests.swarm.support import client_of, in_background, model_folder, running, scripted_swarm

__all__ = ["QUESTION", "ChatSite", "running_chat"]

QUESTION: Final = (
    "1. Write a thank-you note to Maria Kowalska (maria.kowalska@example.org) for the lunch in spring.\n"
    "2. Explain why drinking enough water every day is good for your health.\n"
    "3. Show how to add up a list of numbers in Python."
)
ANSWERS: Final = {
    "thank-you": "Dear {PERSON},\n\nthank you for the lunch in spring. It was good to sit in the sun and to talk for"
    " so long. Next time I cook.",
    "drinking": "Water carries what your cells need and what they are rid of. It keeps your temperature even, your"
    " blood thin enough to flow, and your mind awake.",
    "Python": "The built-in function does it:\n\n```python\nnumbers = [3, 5, 8]\nprint(sum(numbers))\n```\n\nIt"
    " takes any iterable of numbers.",
    "markup": "<img src=x onerror=\"document.title='taken'\"><script>document.title='taken'</script> **bold**",
}


@frozen
class ChatSite:
    """Where the page is."""

    swarm: LocalSwarm
    url: str
    """Without a slash at its end."""
    armed: Path
    """The next generation stalls once this file is there."""


@contextmanager
def running_chat(folder: Path, *options: str, answers: dict[str, str] | None = None) -> Iterator[ChatSite]:
    """The gateway with these further options, all three hosts known to it."""
    model_folder()
    with in_background(_serving(folder, options, ANSWERS if answers is None else answers)) as site:
        yield site


@asynccontextmanager
async def _serving(folder: Path, options: tuple[str, ...], answers: dict[str, str]) -> AsyncIterator[ChatSite]:
    armed = folder / "armed"
    script = Script(answers=answers, armed=str(armed), stall_after=6)
    async with scripted_swarm(folder, script, hosts=3, relays=8, host_options=("--region", "eu-central")) as swarm:
        async with client_of(swarm, finder=cast("Detector", None)):
            pass
        words = ("--network", swarm.network_file, "--models", swarm.plan.models, "--home", folder / "gateway")
        async with running(
            "gateway", *words, "--listen", "127.0.0.1:0", "--json", "--supervised", *options
        ) as gateway:
            ready: dict[str, Any] = json.loads(await gateway.line(0))
            yield ChatSite(swarm, ready["chat_page"].rstrip("/"), armed)
            await gateway.close_stdin()
            assert (await gateway.end()).code == 0
