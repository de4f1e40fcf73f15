"""`peernet chat`: asks the network, once or line by line, and shows what each host saw."""

import argparse
import json
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from peernet.cli.asking import add_request
from peernet.cli.options import add_home, add_network, home_of, network_of, table_of
from peernet.cli.services import run_until_signal

if TYPE_CHECKING:
    from peernet.client.client import ChatSession

HELP = "ask the network, and see what each host saw"


def configure(parser: argparse.ArgumentParser) -> None:
    """The options."""
    parser.add_argument("prompt", nargs="?", help="what to ask; without it, each line of standard input is a turn")
    add_home(parser)
    add_network(parser, listens=False)
    parser.add_argument("--model", metavar="NAME", help="the model to ask for")
    parser.add_argument("--models", type=Path, metavar="DIR", help="where models are kept, instead of the home")
    add_request(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object a turn")


def run(arguments: argparse.Namespace) -> int:
    """Chats."""
    return run_until_signal(partial(_chat, arguments))


async def _chat(arguments: argparse.Namespace) -> int:
    import trio
    from attrs import evolve

    from peernet.client.client import open_client
    from peernet.node.config import ClientConfig

    began = time.perf_counter()
    home = home_of(arguments)
    if arguments.models is not None:
        home = evolve(home, models=arguments.models)
    config: ClientConfig = table_of(arguments, "client", ClientConfig)
    async with open_client(network_of(arguments), config, home) as client, client.conversation() as session:
        ready_s = time.perf_counter() - began
        if arguments.prompt is not None:
            return await _turn(arguments, session, arguments.prompt, ready_s)
        code = 0
        while line := await trio.to_thread.run_sync(_read_line, abandon_on_cancel=True):
            if line.strip():
                code = await _turn(arguments, session, line.strip(), ready_s)
                await client.network.fetch_directory()
        return code


def _read_line() -> str:
    if sys.stdin.isatty():
        print("you> ", end="", flush=True)
    return sys.stdin.readline()


async def _turn(arguments: argparse.Namespace, session: "ChatSession", prompt: str, ready_s: float) -> int:
    from rich.console import Console

    from peernet.cli.asking import result_of
    from peernet.cli.drawing import RequestDrawing

    if arguments.json:
        answered = await session.ask(prompt, lambda _: None)
        print(json.dumps(result_of(answered, ready_s)), flush=True)
    else:
        drawing = RequestDrawing(Console(), prompt)
        try:
            answered = await session.ask(prompt, drawing.on_event)
        finally:
            drawing.close()
    return 0 if answered.complete else 1
