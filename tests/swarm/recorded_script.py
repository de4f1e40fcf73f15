"""`peernet` with scripted hosts, all that reaches them written down: `python -m tests.swarm.recorded_script host ...`.

As `tests.swarm.scripted_peer`, and into the folder named by PEERNET_TEST_RECORD each process writes what
`tests.swarm.recorded` writes. Of every generation `engine-<pid>.jsonl` also says how it ended: `whole`, or `left` when
the client went before its end.
"""

import json
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from inference.engine import Generation, Message, Parameters
from tests.swarm import scripted_peer
from tests.swarm.recorded import FOLDER, record_cells, record_wire


class RecordingModel(scripted_peer.ScriptedModel):
    """A scripted model; what it is given, and how each generation ends, is written down."""

    @asynccontextmanager
    async def generate(
        self, messages: Sequence[Message], parameters: Parameters, prefix: str | None = None
    ) -> AsyncIterator[Generation]:  # type: ignore[override]
        call = {
            "messages": [[message.role, message.content] for message in messages],
            "max_tokens": parameters.max_tokens,
            "temperature_thousandths": parameters.temperature_thousandths,
            "top_p_thousandths": parameters.top_p_thousandths,
            "seed": parameters.seed,
            "stop": parameters.stop,
            "prefix": prefix,
        }
        _write(call)
        ended = "left"
        try:
            async with super().generate(messages, parameters, prefix) as generation:
                yield generation
            ended = "whole" if generation.usage is not None else "left"
        finally:
            _write({"ended": ended, "last": messages[-1].content})


def _write(entry: dict[str, Any]) -> None:
    with (FOLDER / f"engine-{os.getpid()}.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    scripted_peer.ScriptedModel = RecordingModel  # type: ignore[misc]
    record_cells()
    record_wire()
    sys.exit(scripted_peer.main())
