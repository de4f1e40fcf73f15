"""`peernet` with hosts that answer by a script: `python -m tests.swarm.scripted_peer host ...`.

Everything is the real command in a process of its own, but for the engine: that one is scripted, under the real
model's name, tokenizer and digests, so that clients count and pay as ever. The script comes in one environment
variable (`Script.environment`). A stall is taken by one generation only, in one of all the processes: the one that
gets to rename the file which arms it, and leaves its process id as the name's ending.
"""

import argparse
import json
import os
import re
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final, Self

import trio
from attrs import asdict, evolve, field, frozen

import peernet.cli.host
import peernet.cli.local_swarm
import peernet.cli.main
from inference.engine import AnswerCounter, Message, ModelInfo
from inference.models import InstalledModel, read_installed
from inference.scripted import ScriptedEngine, echo
from inference.tokenizer import Tokenizer
from peernet.cli.local_swarm import SwarmPlan
from peernet.node.config import HostConfig
from tests.swarm.forking import forking

__all__ = ["Script"]

VARIABLE: Final = "PEERNET_TEST_SCRIPT"
_NAMED: Final = re.compile(r"\{([A-Z_]+)\}")


@frozen
class Script:
    """What all scripted hosts of a swarm do."""

    answers: dict[str, str] = field(factory=dict)
    """The answer to a prompt that holds the key; the first that fits. Every other prompt is said again.

    `{PERSON}` in an answer is the prompt's first tag of that label.
    """
    seconds_per_token: float = 0.0
    stall_after: int = 3
    """Where the generation stalls that finds the stall armed, in deltas."""
    armed: str = ""
    """The path of the file that arms a stall by being there."""

    @property
    def environment(self) -> dict[str, str]:
        """The variable that hands the script to the processes."""
        return {VARIABLE: json.dumps(asdict(self))}

    @classmethod
    def from_environment(cls) -> Self:
        """The script that this process was started with."""
        return cls(**json.loads(os.environ[VARIABLE]))

    def answer(self, messages: Sequence[Message]) -> str:
        """The whole answer to a conversation."""
        prompt = echo(messages)
        said = next((answer for part, answer in self.answers.items() if part in prompt), None)
        return prompt if said is None else _NAMED.sub(lambda named: _first_tag(prompt, named[1]), said)


def _first_tag(prompt: str, label: str) -> str:
    found = re.search(rf"\b{label}_[A-Z]\d+\b", prompt)
    return label if found is None else found[0]


class ScriptedModel(ScriptedEngine):
    """A scripted engine that passes for an installed model, and counts as it does."""

    def __init__(self, model: InstalledModel, tokenizer: Tokenizer, script: Script, context_tokens: int) -> None:
        super().__init__(script.answer, context_tokens=context_tokens, seconds_per_token=script.seconds_per_token)
        self._script = script
        self._tokenizer = tokenizer
        self._info = evolve(
            self._info,
            name=model.name,
            digest=bytes.fromhex(model.digest),
            tokenizer_digest=tokenizer.digest,
            quantisation=model.quantisation,
        )

    def models(self) -> tuple[ModelInfo, ...]:
        return (self._info,)

    def count_tokens(self, messages: Sequence[Message]) -> int:
        return self._tokenizer.count_messages(messages)

    def count_text_tokens(self, text: str) -> int:
        return self._tokenizer.count_text(text)

    def answer_counter(self) -> AnswerCounter:
        return self._tokenizer.incremental()

    async def pace(self, position: int, down: trio.Event) -> None:
        if position == self._script.stall_after and self._takes_stall():
            await down.wait()
        await super().pace(position, down)

    def _takes_stall(self) -> bool:
        if not self._script.armed:
            return False
        try:
            Path(self._script.armed).rename(f"{self._script.armed}.{os.getpid()}")
        except FileNotFoundError:
            return False
        return True


async def load_scripted(arguments: argparse.Namespace, config: HostConfig) -> ScriptedModel:
    """In the place of `peernet.cli.host._load_engine`."""
    model = read_installed(arguments.models / config.model)
    engine = ScriptedModel(model, Tokenizer.load(model.folder), Script.from_environment(), config.context_tokens)
    await engine.load()
    return engine


def main() -> int:
    """Runs the command line; a demo's peers are scripted, too."""
    scripted = partial(SwarmPlan, command=(sys.executable, "-m", "tests.swarm.scripted_peer"))
    # It is called there, and nothing else.
    peernet.cli.local_swarm.SwarmPlan = scripted  # type: ignore[misc, assignment]
    assert callable(peernet.cli.host._load_engine)
    peernet.cli.host._load_engine = load_scripted
    # Only a demo starts others.
    with forking():
        return peernet.cli.main.main()


if __name__ == "__main__":
    sys.exit(main())
