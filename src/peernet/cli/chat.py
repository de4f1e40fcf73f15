"""`peernet chat`: asks the network, once or line by line, and shows what each host saw.

The answer streams to standard output, and a line on standard error says who saw what. With `--explain` the whole way
is shown as it happens: what was found and masked, the plan, the rings, what each host has been given, the receipt.
"""

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
    from peernet.client.client import ChatSession, Client

HELP = "ask the network, and see what each host saw"


def configure(parser: argparse.ArgumentParser) -> None:
    """The options."""
    parser.add_argument("prompt", nargs="?", help="what to ask; without it, each line of standard input is a turn")
    add_home(parser)
    add_network(parser, listens=False)
    parser.add_argument("--model", metavar="NAME", help="the model to ask for")
    parser.add_argument("--models", type=Path, metavar="DIR", help="where models are kept, instead of the home")
    add_request(parser)
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument(
        "--explain", action="store_true", help="show plan, rings and what each host is given, as it happens"
    )
    shown.add_argument("--json", action="store_true", help="print one JSON object a turn")


def run(arguments: argparse.Namespace) -> int:
    """Chats; the exit code is 1 when a turn was not answered whole."""
    from peernet.core.errors import UserError

    if arguments.prompt is not None and not arguments.prompt.strip():
        raise UserError("the prompt is empty: write what to ask, or leave it out to be asked for each turn")
    return run_until_signal(partial(_chat, arguments))


async def _chat(arguments: argparse.Namespace) -> int:
    import trio
    from attrs import evolve

    from peernet.client.client import open_client
    from peernet.core.errors import UserError
    from peernet.node.config import ClientConfig

    began = time.perf_counter()
    home = home_of(arguments)
    if arguments.models is not None:
        home = evolve(home, models=arguments.models)
    config: ClientConfig = table_of(arguments, "client", ClientConfig)
    async with open_client(network_of(arguments), config, home) as client, client.conversation() as session:
        ready_s = time.perf_counter() - began
        if arguments.prompt is not None:
            code = await _turn(arguments, session, arguments.prompt, ready_s)
            _say_what_is_waited_for(client)
            return code
        codes = []
        while line := await trio.to_thread.run_sync(_read_line, abandon_on_cancel=True):
            if line.strip():
                codes.append(await _try_turn(arguments, session, line.strip(), ready_s))
                await _renew_directory(client)
        if not codes:
            raise UserError("nothing was asked: give a prompt, or one line of standard input for each turn")
        _say_what_is_waited_for(client)
        return max(codes)


def _say_what_is_waited_for(client: "Client") -> None:
    """Under profile `paced` the command lasts longer than the answer, which looks as if it hung."""
    if client.rings_linger:
        print("peernet: paced rings go on for some seconds, so that nobody sees when you were done", file=sys.stderr)


async def _try_turn(arguments: argparse.Namespace, session: "ChatSession", prompt: str, ready_s: float) -> int:
    """A turn of several: what is wrong with one is said, and the conversation goes on."""
    from peernet.core.errors import LocalProtocolError, PeernetError

    try:
        return await _turn(arguments, session, prompt, ready_s)
    except LocalProtocolError:
        raise
    except PeernetError as error:
        if arguments.json:
            print(json.dumps({"error": str(error), "complete": False}), flush=True)
        print(f"peernet: {error}", file=sys.stderr)
        return 1


async def _renew_directory(client: "Client") -> None:
    """Fetches the directory for the next turn; without a bootstrap node, the last one serves on."""
    from peernet.core.errors import UserError

    try:
        await client.network.fetch_directory()
    except UserError as error:
        print(f"peernet: the next turn uses the directory of before: {error}", file=sys.stderr)


def _read_line() -> str:
    if sys.stdin.isatty():
        print("you> ", end="", flush=True)
    return sys.stdin.readline()


async def _turn(arguments: argparse.Namespace, session: "ChatSession", prompt: str, ready_s: float) -> int:
    from rich.console import Console

    from peernet.cli.answer_stream import AnswerStream
    from peernet.cli.asking import explain, result_of
    from peernet.cli.drawing import RequestDrawing, console_of

    if arguments.json:
        answered = await session.ask(prompt, lambda _: None)
        print(json.dumps(result_of(answered, ready_s)), flush=True)
    else:
        drawing = (
            RequestDrawing(console_of(), prompt)
            if arguments.explain
            else AnswerStream(sys.stdout, Console(stderr=True, highlight=False))
        )
        try:
            answered = await session.ask(prompt, drawing.on_event)
        finally:
            drawing.close()
    explain(answered)
    return 0 if answered.complete else 1
