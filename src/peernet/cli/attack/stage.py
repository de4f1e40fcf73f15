"""The stage: one swarm, one client, and the five scenes on it, in order.

The hosts are curious ones from the start; everybody else is started by the ordinary commands. What happens later (the
relays that join, the host that is killed, the ledger that is edited, the log that forks) the scenes do themselves.
"""

import argparse
import json
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import trio
from attrs import define, evolve, field, frozen

from peernet.cli.adversaries.notebook import Note, read_notes
from peernet.cli.attack.scene import Claim, Scene, Telling, draw_scene
from peernet.cli.drawing import console_of, save_svg
from peernet.cli.local_swarm import LocalSwarm, SwarmPlan, running_swarm
from peernet.client.client import Client, open_client
from peernet.client.events import Answered, Event
from peernet.core.errors import ConnectionFailed, PeernetError, UserError
from peernet.core.identity import Keypair
from peernet.net.addresses import TcpAddress
from peernet.net.tasks import background_nursery
from peernet.node.config import ClientConfig, NetworkConfig, load_table
from peernet.node.home import Home
from privacy.detection import Detector

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["Asked", "Audited", "Stage", "play"]

CURIOUS_HOST: Final = (sys.executable, "-m", "peernet.cli.adversaries.curious_host")
BOOTSTRAPS: Final = 4
HOSTS: Final = 3
RELAYS: Final = 8
CLIENT_NUMBER: Final = 200
"""Which of the swarm's addresses the client has: one of its own, so that it can be looked for."""
MAX_ANSWER_TOKENS: Final = 48
DIRECTORY_TIMEOUT_S: Final = 60.0
"""It takes some seconds; what else runs on this machine may make it many."""
DIRECTORY_INTERVAL_S: Final = 0.2


@frozen
class Asked:
    """A request that was made, with everything that happened."""

    prompt: str = field(repr=False)
    answered: Answered
    events: tuple[Event, ...]
    began_at_s: float
    """Seconds since the epoch."""


@frozen
class Audited:
    """What `peernet ledger audit` found."""

    ok: bool
    size: int
    problems: tuple[str, ...]


@define
class Stage:
    """What the scenes share."""

    swarm: LocalSwarm
    network: NetworkConfig
    client: Client
    client_host: str
    """The network address that the client's connections come from, as it was seen from outside."""
    nodes: Mapping[str, str]
    """What the bootstrap nodes' processes are called, by their peers."""
    status: Callable[[str], None]
    """Tells whoever watches what goes on."""
    asked: list[Asked] = field(factory=list)

    @property
    def folder(self) -> Path:
        """Where everything is."""
        return self.swarm.plan.folder

    def notes_of(self, peer: str, since_s: float = 0.0) -> tuple[Note, ...]:
        """What an adversary has written down so far, from `since_s` on (seconds since the epoch)."""
        notes = read_notes(self.folder / "notebooks" / f"{peer}.jsonl")
        return tuple(note for note in notes if note.at_s >= since_s)

    async def ask(self, prompt: str, on_event: Callable[[Event], None] | None = None) -> Asked:
        """Asks, in a conversation of its own."""
        events: list[Event] = []
        began_at_s = time.time()

        def emit(event: Event) -> None:
            events.append(event)
            if on_event is not None:
                on_event(event)

        async with self.client.conversation() as session:
            answered = await session.ask(prompt, emit)
        self.asked.append(Asked(prompt, answered, tuple(events), began_at_s))
        return self.asked[-1]

    async def start_host_again(self, name: str) -> None:
        """Starts a host that was killed, on its own home; returns once the directory has its new address."""
        member = await self.swarm.start_again(name)
        (peer,), addresses = member.peers, {text.partition("/p2p/")[0] for text in member.ready["addresses"]}

        def is_listed() -> bool:
            listings = self.client.network.directory.listings
            return any(str(one.peer) == peer and addresses.issubset(one.record.addresses) for one in listings)

        await self._wait_listed(is_listed, f"the host {peer} where it is now")

    async def wait_directory(self, *, hosts: int = 0, relays: int = 0, bootstraps: Collection[str] = ()) -> None:
        """Waits until the directory lists so many, and these bootstrap nodes; raises `UserError` otherwise."""
        what = f"{hosts} hosts, {relays} relays and {len(bootstraps)} bootstrap nodes"
        await self._wait_listed(partial(self._lists, hosts, relays, bootstraps), what)

    async def _wait_listed(self, is_listed: Callable[[], bool], what: str) -> None:
        with trio.move_on_after(DIRECTORY_TIMEOUT_S):
            while not is_listed():
                await trio.sleep(DIRECTORY_INTERVAL_S)
                await self.client.network.fetch_directory()
            return
        raise UserError(
            f"the directory does not list {what} after {DIRECTORY_TIMEOUT_S:g} s: this machine may be too busy; try "
            "again"
        )

    def _lists(self, hosts: int, relays: int, bootstraps: Collection[str]) -> bool:
        directory = self.client.network.directory
        nodes = {str(listing.peer) for listing in directory.bootstraps}
        enough = len(self.client.hosts()) >= hosts and len(directory.relays) >= relays
        return enough and nodes.issuperset(bootstraps)

    async def audit(self, origin: str, database: Path | None = None) -> Audited:
        """Has a log audited by the command that anybody would use: a running node's, or a database at rest."""
        words = ["ledger", "audit", "--json", "--network", str(self.swarm.network_file)]
        words += ["--home", str(self.folder / "auditor")]
        done = await trio.run_process(
            [*self.swarm.plan.command, *words, *(["--database", str(database)] if database else [])],
            capture_stdout=True,
            capture_stderr=True,
            check=False,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        if done.stdout:
            logs: list[dict[str, Any]] = json.loads(done.stdout)["logs"]
            report = next(log for log in logs if log["origin"] == origin)
            return Audited(report["ok"], report["size"], tuple(report["problems"]))
        said = done.stderr.decode("utf-8", "replace").strip().removeprefix("peernet: ")
        return Audited(ok=False, size=0, problems=(said or "the audit gave no reason",))


ScenePlayer = Callable[[Stage], Awaitable[Telling]]


async def play(arguments: argparse.Namespace, models: Path) -> int:
    """Plays all scenes; 0 when each attack was caught as it should be, else 1."""
    console = console_of(quiet=arguments.json, record=arguments.svg is not None)
    began = time.perf_counter()
    console.rule("[bold]peernet demo --attack")
    with tempfile.TemporaryDirectory(prefix="peernet-attack-") as folder:
        scenes = await _play_in(arguments, Path(folder), models, console)
    caught = sum(scene.told.ok for scene in scenes)
    total_s = time.perf_counter() - began
    colour = "green" if caught == len(scenes) else "red"
    console.print(
        f"[bold {colour}]{caught} of {len(scenes)} attacks ended as they should[/] [dim]({total_s:.0f} s)[/]"
    )
    if arguments.json:
        result = {
            "ok": caught == len(scenes),
            "scenes": [scene.to_json() for scene in scenes],
            "total_s": round(total_s, 2),
        }
        print(json.dumps(result), flush=True)
    if arguments.svg is not None:
        save_svg(console, arguments.svg, title="peernet demo --attack")
    return 0 if caught == len(scenes) else 1


async def _play_in(arguments: argparse.Namespace, folder: Path, models: Path, console: "Console") -> list[Scene]:
    from inference.models import DEFAULT_MODEL

    plan = SwarmPlan(
        folder=folder,
        models=models,
        model=arguments.model or DEFAULT_MODEL,
        bootstraps=BOOTSTRAPS,
        hosts=HOSTS,
        relays=RELAYS,
        host_command=CURIOUS_HOST,
        host_options=("--notebook", str(folder / "notebooks")),
    )
    console.print(
        f"Starting {BOOTSTRAPS} bootstrap nodes, {RELAYS} relays and {HOSTS} hosts, then five attacks: real "
        "processes, real sockets.\n[dim]What has a ✓ was checked against what was recorded, most of all by the "
        "attackers.[/]"
    )
    async with background_nursery() as nursery:
        # The swarm's processes and the client's own model take a while each.
        detector_in, detector_out = trio.open_memory_channel[Detector](1)
        nursery.start_soon(_load_detector, detector_in)
        async with running_swarm(plan) as swarm:
            network = load_table(swarm.network_file, "network", NetworkConfig, {})
            network = evolve(network, listen=plan.address(CLIENT_NUMBER))
            home = Home(folder / "client" / "config", folder / "client" / "state", models)
            config = ClientConfig(model=plan.model, max_answer_tokens=MAX_ANSWER_TOKENS)
            detector = await detector_out.receive()
            async with open_client(network, config, home, detector=detector) as client:
                with console.status("") as status:
                    nodes = {peer: name for name in plan.bootstrap_names for peer in swarm.member(name).peers}
                    stage = Stage(swarm, network, client, await _source_of(client), nodes, status.update)
                    await stage.wait_directory(hosts=HOSTS, relays=RELAYS, bootstraps=nodes)
                    return await _play_all(stage, console)


async def _source_of(client: Client) -> str:
    """The network address that a client's connections come from: somebody is dialled who looks, and hangs up."""
    seen: list[str] = []

    async def look(stream: trio.SocketStream) -> None:
        seen.append(stream.socket.getpeername()[0])
        await stream.aclose()

    nobody = Keypair.from_seed(secrets.token_bytes(32), client.network.suite).peer_id
    async with background_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, look, 0, host="127.0.0.1"))
        address = TcpAddress("127.0.0.1", listeners[0].socket.getsockname()[1])
        try:
            await client.network.swarm.connect(nobody, [address])
        except ConnectionFailed:
            return seen[0]
    raise UserError("whoever listens on a port of this machine's loopback address is not who was asked for")


async def _load_detector(loaded: "trio.MemorySendChannel[Detector]") -> None:
    await loaded.send(await trio.to_thread.run_sync(Detector.load))


async def _play_all(stage: Stage, console: "Console") -> list[Scene]:
    from peernet.cli.attack import on_ledger, on_requests

    players: Sequence[tuple[str, str, ScenePlayer]] = (
        ("curious_host", "A curious host", on_requests.curious_host),
        ("flipping_relay", "A relay that flips a bit", on_requests.flipping_relay),
        ("killed_host", "A killed host", on_requests.killed_host),
        ("edited_ledger", "An edited ledger", on_ledger.edited_ledger),
        ("forked_log", "A bootstrap node that forks its log", on_ledger.forked_log),
    )
    scenes: list[Scene] = []
    broken_off = False
    for number, (name, title, player) in enumerate(players, 1):
        stage.status(f"{number}. {title} …")
        began = time.perf_counter()
        if broken_off:
            told = Telling(outcome=(Claim("it was not played, since an earlier one broke off", holds=False),))
        else:
            try:
                told = await player(stage)
            except PeernetError as error:
                # Those after it may not have what they need.
                told, broken_off = Telling(outcome=(Claim(f"it broke off: {error}", holds=False),)), True
        scenes.append(Scene(name, title, told, round(time.perf_counter() - began, 2)))
        draw_scene(console, number, scenes[-1])
    return scenes
