"""`python -m tests.swarm.recorded host|relay|bootstrap ...`: the real command, with all that passes written down.

Into the folder named by PEERNET_TEST_RECORD each process writes

- `engine-<pid>.jsonl`: every call of the engine: messages, parameters and prefix, as the engine got them;
- `cells-<pid>.bin`: every ring cell that a relay or an endpoint was given and every one it gave on, layer off and on;
- `wire-<pid>.bin`: every byte that its sockets read and wrote.

The engine is the real one. So that restoring can be tested with a model that says what it likes, its answers begin
with a quotation of the prompt, which the wrapper puts in front of the model's own words.
"""

import json
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio
from attrs import evolve

import peernet.cli.host
from inference.engine import Delta, Engine, Generation, Message, Parameters, Usage
from peernet.cli.main import main
from peernet.core.ring.hop import Hop
from peernet.net import swarm as net_swarm

FOLDER = Path(os.environ.get("PEERNET_TEST_RECORD", "."))
QUOTE = "You asked: "
OWN_WORDS = 24
"""How many tokens the model says after the quotation."""


class RecordingEngine:
    """The real engine; what it is given is written down, and its answers quote the prompt first."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    @asynccontextmanager
    async def generate(
        self, messages: Sequence[Message], parameters: Parameters, prefix: str | None = None
    ) -> AsyncIterator[Generation]:
        call = {
            "messages": [[message.role, message.content] for message in messages],
            "max_tokens": parameters.max_tokens,
            "stop": parameters.stop,
            "prefix": prefix,
        }
        with (FOLDER / f"engine-{os.getpid()}.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(call, ensure_ascii=False) + "\n")
        async with self._engine.generate(messages, evolve(parameters, max_tokens=OWN_WORDS), prefix) as generation:
            yield _Quoting(generation, f"{QUOTE}{messages[-1].content}\n\n")


class _Quoting:
    def __init__(self, generation: Generation, quotation: str) -> None:
        self._generation = generation
        # Pieces of seven characters cut every placeholder somewhere.
        self._pieces = [quotation[i : i + 7] for i in range(0, len(quotation), 7)]

    @property
    def usage(self) -> Usage | None:
        return self._generation.usage

    def __aiter__(self) -> "_Quoting":
        return self

    async def __anext__(self) -> Delta:
        if self._pieces:
            return Delta(self._pieces.pop(0))
        return await self._generation.__anext__()


def record_engine() -> None:
    load = peernet.cli.host._load_engine

    async def load_recording(*arguments: Any) -> RecordingEngine:
        return RecordingEngine(await load(*arguments))

    peernet.cli.host._load_engine = load_recording  # type: ignore[assignment]


def record_cells() -> None:
    path = FOLDER / f"cells-{os.getpid()}.bin"

    def recording(method: Any) -> Any:
        def recorded(self: Hop, cell: bytes) -> Any:
            events = method(self, cell)
            with path.open("ab") as file:
                file.write(cell)
                for event in events:
                    file.write(getattr(event, "cell", b"") if isinstance(getattr(event, "cell", b""), bytes) else b"")
            return events

        return recorded

    def recording_passed(method: Any) -> Any:
        def recorded(self: Hop, cells: bytes) -> bytes:
            passed: bytes = method(self, cells)
            with path.open("ab") as file:
                file.write(cells + passed)
            return passed

        return recorded

    Hop.receive = recording(Hop.receive)
    Hop.pass_on = recording_passed(Hop.pass_on)
    Hop.pass_back = recording_passed(Hop.pass_back)


def record_wire() -> None:
    path = FOLDER / f"wire-{os.getpid()}.bin"

    class RecordingStream(trio.abc.Stream):
        def __init__(self, stream: trio.abc.Stream) -> None:
            self._stream = stream

        async def send_all(self, data: bytes | bytearray | memoryview) -> None:
            with path.open("ab") as file:
                file.write(data)
            await self._stream.send_all(data)

        async def receive_some(self, max_bytes: int | None = None) -> bytes:
            data = bytes(await self._stream.receive_some(max_bytes))
            with path.open("ab") as file:
                file.write(data)
            return data

        async def wait_send_all_might_not_block(self) -> None:
            await self._stream.wait_send_all_might_not_block()

        async def aclose(self) -> None:
            await self._stream.aclose()

    original = net_swarm.PeerConnection

    def recording_connection(transport: trio.abc.Stream, *arguments: Any, **options: Any) -> Any:
        return original(RecordingStream(transport), *arguments, **options)

    net_swarm.PeerConnection = recording_connection  # type: ignore[assignment, misc]


if __name__ == "__main__":
    record_engine()
    record_cells()
    record_wire()
    sys.exit(main())
