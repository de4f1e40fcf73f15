"""`peernet demo`: a small swarm on this machine, asked something, with everything shown as it happens."""

import argparse
import json
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from peernet.cli.asking import add_request
from peernet.cli.engines import add_engine, options_of_engine
from peernet.cli.options import add_home, home_of, table_of
from peernet.cli.services import run_until_signal

if TYPE_CHECKING:
    from rich.console import Console

    from peernet.cli.local_swarm import LocalSwarm, SwarmPlan
    from peernet.client.client import Client
    from peernet.client.events import Answered

HELP = "start a small swarm on this machine and ask it something"

DEFAULT_PROMPT: Final = """\
1. Write a short thank-you note to Maria Kowalska (maria.kowalska@example.org, +1 415 555 0132) of Northwind \
Traders Ltd for the lunch in Lisbon on 14 March 2026.
2. Rewrite this more politely: James Whitfield, 221 Baker Street, London NW1 6XE, wants the bank to block the card \
4111 1111 1111 1111 and to send him a new one.
3. Explain in two sentences why drinking enough water every day is good for your health.
"""

MAX_BOOTSTRAPS: Final = 8
PEERS_TIMEOUT_S: Final = 60.0
PEERS_INTERVAL_S: Final = 0.2
ENGINE_READY_TIMEOUT_S: Final = 900.0  # three vLLM servers that start at a time on two cores take two minutes


def configure(parser: argparse.ArgumentParser) -> None:
    """The options."""
    add_home(parser)
    parser.add_argument("--prompt", default=DEFAULT_PROMPT, help="what to ask")
    parser.add_argument("--hosts", type=int, default=3, metavar="N", help="default: %(default)s")
    parser.add_argument("--bootstraps", type=int, default=1, metavar="N", help="default: %(default)s")
    parser.add_argument(
        "--stop-bootstraps", type=int, default=0, metavar="K", help="stop K of them once the swarm is ready"
    )
    parser.add_argument("--relays", type=int, default=8, metavar="N", help="default: %(default)s")
    parser.add_argument("--model", metavar="NAME", help="the model that the hosts serve")
    parser.add_argument("--models", type=Path, metavar="DIR", help="where models are kept, instead of the home")
    add_engine(parser)
    add_request(parser)
    parser.add_argument(
        "--attack",
        action="store_true",
        help="instead of asking, attack a swarm in five ways, and show what catches it",
    )
    parser.add_argument("--keep", action="store_true", help="leave the swarm running, and say how to use it")
    parser.add_argument("--json", action="store_true", help="print one JSON object, on the last line")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="save what was drawn as a picture, too")


def run(arguments: argparse.Namespace) -> int:
    """Runs the demo; exit code 1 where the answer is not whole, the audit finds a fault, or no receipt is final."""
    from peernet.core.errors import UserError

    if not 1 <= arguments.bootstraps <= MAX_BOOTSTRAPS:
        raise UserError(f"--bootstraps {arguments.bootstraps}: choose 1 to {MAX_BOOTSTRAPS}")
    if not 0 <= arguments.stop_bootstraps < arguments.bootstraps:
        raise UserError(f"--stop-bootstraps {arguments.stop_bootstraps}: choose fewer than there are, and 0 or more")

    for name in ("hosts", "relays"):
        if not 1 <= getattr(arguments, name) <= 99:
            raise UserError(f"--{name} {getattr(arguments, name)}: choose 1 to 99")
    if not arguments.prompt.strip():
        raise UserError("the prompt is empty: give one with --prompt TEXT")
    if arguments.attack:
        return _attack(arguments)
    return run_until_signal(partial(_demo, arguments, _pull_model(arguments)))


def _attack(arguments: argparse.Namespace) -> int:
    from peernet.core.errors import UserError

    if arguments.keep or arguments.prompt != DEFAULT_PROMPT or options_of_engine(arguments):
        raise UserError(
            "--attack has prompts and hosts of its own and leaves nothing running: leave out --prompt, --keep and the "
            "options about the engine"
        )
    models = _pull_model(arguments)
    from peernet.cli.attack.stage import play

    return run_until_signal(partial(play, arguments, models))


def _pull_model(arguments: argparse.Namespace) -> Path:
    """The folder of models, with the one that is needed in it."""
    from inference.models import CATALOGUE, DEFAULT_MODEL, pull

    folder = arguments.models if arguments.models is not None else home_of(arguments).models
    model = arguments.model or DEFAULT_MODEL
    if model not in {entry.name for entry in CATALOGUE} and (arguments.engine_url or (folder / model).exists()):
        return _add_model(model, folder)
    if not (folder / model).exists():
        print(f"fetching the model {model} (once)", file=sys.stderr)
    pull(model, folder)
    return Path(folder).absolute()


def _add_model(model: str, folder: Path) -> Path:
    """The folder of models, with a server's model in it, which is counted with the tokenizer that we have."""
    from inference.models import DEFAULT_MODEL, add, pull

    if not (folder / model).exists():
        print(f"the tokens of {model} are counted with the tokenizer of {DEFAULT_MODEL}", file=sys.stderr)
        add(model, folder, pull(DEFAULT_MODEL, folder).parent)
    return folder.absolute()


async def _demo(arguments: argparse.Namespace, models: Path) -> int:

    from peernet.cli.drawing import console_of, save_svg

    console = console_of(quiet=arguments.json, record=arguments.svg is not None)
    with tempfile.TemporaryDirectory(prefix="peernet-demo-") as folder:
        code = await _demo_in(arguments, Path(folder), models, console)
    if arguments.svg is not None:
        save_svg(console, arguments.svg)
    return code


async def _demo_in(arguments: argparse.Namespace, folder: Path, models: Path, console: "Console") -> int:
    from inference.models import DEFAULT_MODEL
    from peernet.cli.local_swarm import READY_TIMEOUT_S, SwarmPlan, running_swarm
    from peernet.client.client import open_client
    from peernet.node.config import ClientConfig, NetworkConfig, load_table
    from peernet.node.home import Home

    began = time.perf_counter()
    config: ClientConfig = table_of(arguments, "client", ClientConfig)
    engine = options_of_engine(arguments)
    plan = SwarmPlan(
        folder=folder,
        models=models,
        model=arguments.model or DEFAULT_MODEL,
        hosts=arguments.hosts,
        relays=arguments.relays,
        bootstraps=arguments.bootstraps,
        host_options=engine,
        ready_timeout_s=ENGINE_READY_TIMEOUT_S if engine else READY_TIMEOUT_S,
    )
    keepers = "1 bootstrap node" if plan.bootstraps == 1 else f"{plan.bootstraps} bootstrap nodes"
    console.rule("[bold]peernet demo")
    console.print(
        f"starting {keepers}, {plan.hosts} hosts and {plan.relays} relays on this machine: each a peer with "
        "its own key, operator and address"
    )
    tiny = ", is tiny: watch the path, not the prose" if plan.model == DEFAULT_MODEL else ""
    console.print(f"[dim]the model, {plan.model}{tiny}[/]")
    async with running_swarm(plan) as swarm:
        network = load_table(swarm.network_file, "network", NetworkConfig, {})
        home = Home(folder / "client" / "config", folder / "client" / "state", models)
        async with open_client(network, config, home) as client:
            await _wait_peers(client, plan)
            ready_s = time.perf_counter() - began
            _draw_swarm(swarm, console, ready_s)
            await _stop_bootstraps(arguments.stop_bootstraps, swarm, console)
            code = await _ask(arguments, client, console, ready_s, swarm)
        if arguments.keep:
            await _keep(arguments, swarm, models)
    return code


async def _wait_peers(client: "Client", plan: "SwarmPlan") -> None:
    """Waits until the directory lists the whole swarm, or what there is of it after a while."""
    import trio

    def listed() -> bool:
        directory = client.network.directory
        found = (len(client.hosts()), len(directory.relays), len(directory.bootstraps))
        return all(a >= b for a, b in zip(found, (plan.hosts, plan.relays, plan.bootstraps), strict=True))

    with trio.move_on_after(PEERS_TIMEOUT_S):
        while not listed():
            await trio.sleep(PEERS_INTERVAL_S)
            await client.network.fetch_directory()


async def _stop_bootstraps(count: int, swarm: "LocalSwarm", console: "Console") -> None:
    """Kills the last ones, as a power cut would."""
    stopped = swarm.plan.bootstrap_names[swarm.plan.bootstraps - count :]
    for name in stopped:
        swarm.kill(name)
        await swarm.member(name).process.wait()
    if stopped:
        console.print(f"[yellow]stopped:[/] {', '.join(stopped)}")


async def _ask(
    arguments: argparse.Namespace, client: "Client", console: "Console", ready_s: float, swarm: "LocalSwarm"
) -> int:
    from peernet.cli.asking import explain, result_of
    from peernet.cli.drawing import RequestDrawing

    drawing = RequestDrawing(console, arguments.prompt)
    async with client.conversation() as session:
        try:
            answered = await session.ask(arguments.prompt, drawing.on_event)
        finally:
            drawing.close()
    explain(answered)
    audit = await _audit(swarm)
    console.print()
    logs = f"the whole log {audit['origin']}" if len(audit["logs"]) == 1 else f"all {len(audit['logs'])} logs, whole"
    console.print(
        f"[bold]audit[/] of {logs}: {audit['size']} entries, {audit['grants']} grants, "
        f"{audit['settlements']} settlements, "
        + ("[green]every rule holds[/]" if audit["ok"] else "[red]NOT IN ORDER[/]")
    )
    _draw_cosigners(audit, client, console)
    nothing_final = _say_finality(answered, console)
    first = "—" if answered.first_token_s is None else f"{answered.first_token_s:.1f} s"
    console.print(
        f"[dim]ready after {ready_s:.1f} s; first words after {first}, the whole after {answered.total_s:.1f} s[/]"
    )
    if arguments.json:
        result = result_of(answered, ready_s)
        result["ledger"]["audit_ok"] = audit["ok"]
        result["ledger"]["logs"] = audit["logs"]
        print(json.dumps(result), flush=True)
    return 0 if answered.complete and audit["ok"] and not nothing_final else 1


def _draw_cosigners(audit: dict[str, Any], client: "Client", console: "Console") -> None:
    """Who has cosigned which log, as the audit found it."""
    from rich import box
    from rich.table import Table

    validators = [member.validator.name for member in client.ledger.members()]
    if len(validators) < 2:
        return
    table = Table(box=box.SIMPLE_HEAD, title="who has cosigned", title_justify="left", title_style="bold", expand=True)
    table.add_column("log")
    table.add_column("entries", justify="right")
    for name in validators:
        table.add_column(name.removesuffix("/validator").rpartition("/")[2], justify="center")
    table.add_column("newest checkpoint")
    for log in audit["logs"]:
        marks = ["✓" if name in log["cosigned"] else "—" for name in validators]
        colour = "green" if log["final"] else "yellow"
        table.add_row(log["origin"], str(log["size"]), *marks, f"[{colour}]{log['finality']}[/]")
    console.print()
    console.print(table)


def _say_finality(answered: "Answered", console: "Console") -> bool:
    """Says plainly when nothing has become final; returns whether that is so."""
    settled = [fragment.finality for fragment in answered.fragments if fragment.finality is not None]
    if not settled or any(finality.final for finality in settled):
        return False
    console.print(
        f"[bold yellow]Nothing becomes final[/]: too few bootstrap nodes cosign ({settled[0].describe()}). What was "
        "answered and paid stands on the logs' promise alone: one window of tokens at the most for each part."
    )
    return True


async def _audit(swarm: "LocalSwarm") -> dict[str, Any]:
    """Has the log audited by the command that anybody would use."""
    import subprocess

    import trio

    from peernet.core.errors import UserError

    command = [*swarm.plan.command, "ledger", "audit", "--network", str(swarm.network_file), "--json"]
    done = await trio.run_process(
        [*command, "--home", str(swarm.plan.folder / "auditor")],
        capture_stdout=True,
        capture_stderr=True,
        check=False,
        stdin=subprocess.DEVNULL,
        # The terminal's Ctrl-C is for us alone, as with the swarm.
        start_new_session=True,
    )
    if not done.stdout:
        said = done.stderr.decode("utf-8", "replace").strip().removeprefix("peernet: ")
        raise UserError(f"the log was not audited: {said or 'the audit gave no reason'}")
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def _draw_swarm(swarm: "LocalSwarm", console: "Console", ready_s: float) -> None:
    from rich import box
    from rich.table import Table

    from peernet.cli.drawing import short

    table = Table(box=box.SIMPLE_HEAD, title=f"the swarm, ready after {ready_s:.1f} s", title_justify="left")
    for heading in ("peer", "role", "address", "process"):
        table.add_column(heading)
    for member in swarm.members:
        for facts in member.ready.get("relays") or [member.ready]:
            address = facts["addresses"][0].split("/p2p/")[0]
            table.add_row(short(facts["peer"]), member.name.rstrip("s"), address, str(member.process.pid))
    console.print(table)


async def _keep(arguments: argparse.Namespace, swarm: "LocalSwarm", models: Path) -> None:
    import shlex

    import trio

    network = shlex.quote(str(swarm.network_file))
    first = swarm.plan.bootstrap_names[0]
    ledger = shlex.quote(str(swarm.plan.folder / first / "state" / "ledger.sqlite"))
    folder = shlex.quote(str(models))
    stream = sys.stderr if arguments.json else sys.stdout
    print(
        "\nThe swarm keeps running. From another terminal:\n"
        f"  peernet chat --explain --network {network} --models {folder} 'your prompt'\n"
        f"  peernet gateway --network {network} --models {folder}\n"
        "    (then chat in your browser at http://127.0.0.1:8080/)\n"
        f"  peernet ledger audit --network {network}\n"
        f"  peernet ledger audit --network {network} --database {ledger}\n"
        "Ctrl-C here ends it and removes its files.",
        file=stream,
        flush=True,
    )
    await trio.sleep_forever()
