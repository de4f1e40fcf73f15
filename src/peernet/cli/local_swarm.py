"""A small swarm on this machine: the same commands that people run, each a process of its own.

Every peer has its own loopback address `127.a.b.1`, listens on it and dials from it, and an operator of its own, so
that the diversity rules work as in the world. Rules of ending:

1. Every process ends when its standard input closes, so none outlives this one, however it ends.
2. On leaving, standard inputs are closed; who has not ended after `GRACE_S` is terminated, then killed.
3. Everything that the swarm writes is under one folder, which the caller removes.
"""

import json
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import trio
import trio.lowlevel
from attrs import define, field, frozen

from peernet.core.errors import UserError

__all__ = ["LocalSwarm", "SwarmPlan", "running_swarm"]

READY_TIMEOUT_S: Final = 90.0
GRACE_S: Final = 5.0
MAX_LOG_SIZE: Final = 64 * 1024


@frozen
class SwarmPlan:
    """How large, where, and by which command a peer is started."""

    folder: Path
    models: Path
    model: str
    hosts: int = 3
    relays: int = 8
    bootstraps: int = 1
    network: int = 77
    """The second byte of the loopback addresses."""
    command: tuple[str, ...] = (sys.executable, "-m", "peernet")
    host_command: tuple[str, ...] = ()
    """The command of the hosts, where it is another one."""
    host_options: tuple[str, ...] = ()
    ready_timeout_s: float = READY_TIMEOUT_S
    transports: tuple[str, ...] = ("",)
    """What follows the port in the peers' addresses, in turns: nothing (TCP), `/ws` or `/tls/ws`."""
    peer_options: tuple[str, ...] = ()
    """For every peer, such as the files for TLS."""

    @property
    def bootstrap_names(self) -> tuple[str, ...]:
        """What the processes of the bootstrap nodes are called: `bootstrap`, or with several `bootstrap-1` ..."""
        if self.bootstraps == 1:
            return ("bootstrap",)
        return tuple(f"bootstrap-{number}" for number in range(1, self.bootstraps + 1))

    def address(self, number: int) -> str:
        """The multiaddr of peer `number`, counted from 1."""
        return f"/ip4/127.{self.network}.{number}.1/tcp/0{self.transports[number % len(self.transports)]}"


@define
class Member:
    """One process of the swarm."""

    name: str
    process: trio.Process
    words: tuple[str, ...]
    command: tuple[str, ...]
    """What it was started with."""
    ready: dict[str, Any] = field(factory=dict)
    log: bytearray = field(factory=bytearray)
    silent: trio.Event = field(factory=trio.Event)
    """Set when it has closed its standard error."""
    peers: list[str] = field(factory=list)


@define
class LocalSwarm:
    """A swarm that runs."""

    plan: SwarmPlan
    nursery: trio.Nursery
    """Reads what the processes say."""
    members: list[Member] = field(factory=list)

    @property
    def network_file(self) -> Path:
        """What others need to join, for `--network FILE`."""
        return self.plan.folder / "network.toml"

    def member(self, name: str) -> Member:
        """The process of that name: `bootstrap` (or `bootstrap-1` ...), `relays`, `host-1` ..."""
        return next(member for member in self.members if member.name == name)

    def kill(self, name: str) -> None:
        """Ends a process at once, as a power cut would."""
        self.member(name).process.kill()

    async def start(self, name: str, words: Sequence[str], command: Sequence[str] = ()) -> Member:
        """Starts one more process, by `command` if that is another, and waits until it is ready.

        Raises `UserError` with its last words when it does not get ready.
        """
        member = await _spawn(self.plan, command or self.plan.command, name, words, self.nursery)
        self.members.append(member)
        await _wait_ready(member, self.plan.ready_timeout_s)
        return member

    async def start_again(self, name: str) -> Member:
        """Starts a process as it was started before, once that one is over; raises as `start` does."""
        before = self.member(name)
        await self.end(name)
        return await self.start(name, before.words, before.command)

    async def end(self, name: str) -> None:
        """Ends a process in good order, and forgets it."""
        member = self.member(name)
        await _end([member])
        self.members.remove(member)


@asynccontextmanager
async def running_swarm(plan: SwarmPlan) -> AsyncIterator[LocalSwarm]:
    """Starts everything and waits until each process is ready; ends all of it on leaving.

    Raises `UserError` with the last words of a process that does not get ready.
    """
    async with trio.open_nursery() as nursery:
        swarm = LocalSwarm(plan, nursery)
        try:
            await _start(swarm)
            yield swarm
        finally:
            with trio.CancelScope(shield=True):
                await _end(swarm.members)
            nursery.cancel_scope.cancel()


async def _start(swarm: LocalSwarm) -> None:
    plan = swarm.plan
    home = plan.folder
    await _start_bootstraps(swarm)
    relays = [word for number in range(plan.relays) for word in ("--listen", plan.address(100 + number))]
    joining = ("--network", str(swarm.network_file))
    commands = {"relays": ("relay", "--home", str(home / "relays"), *joining, "--separate-operators", *relays)}
    for number in range(1, plan.hosts + 1):
        where = ("--home", str(home / f"host-{number}"), "--listen", plan.address(10 + number))
        model = ("--models", str(plan.models), "--model", plan.model)
        commands[f"host-{number}"] = ("host", *where, *joining, *model, *plan.host_options)
    for name, words in commands.items():
        command = plan.host_command if name.startswith("host-") and plan.host_command else plan.command
        swarm.members.append(await _spawn(plan, command, name, words, swarm.nursery))
    for member in swarm.members[plan.bootstraps :]:
        await _wait_ready(member, plan.ready_timeout_s)


async def _start_bootstraps(swarm: LocalSwarm) -> None:
    """All of them, before any gets ready: they wait for each other."""
    plan = swarm.plan
    network = swarm.network_file
    for number, name in enumerate(plan.bootstrap_names, start=1):
        where = ("--home", str(plan.folder / name), "--listen", plan.address(number), "--test-network")
        origin = "peernet.demo/log" if plan.bootstraps == 1 else f"peernet.demo/log-{number}"
        agreeing = ("--write-network", str(network), "--bootstraps", str(plan.bootstraps))
        words = ("bootstrap", *where, "--origin", origin, "--directory-interval-s", "1", *agreeing)
        swarm.members.append(await _spawn(plan, plan.command, name, words, swarm.nursery))
    for member in swarm.members:
        await _wait_ready(member, plan.ready_timeout_s)


async def _spawn(
    plan: SwarmPlan, command: Sequence[str], name: str, words: Sequence[str], nursery: trio.Nursery
) -> Member:
    process = await trio.lowlevel.open_process(
        [*command, *words, *plan.peer_options, "--json", "--supervised"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # The terminal's Ctrl-C is for us alone; we end the others in order.
        start_new_session=True,
    )
    member = Member(name, process, tuple(words), tuple(command))
    nursery.start_soon(_drain, member)
    return member


async def _drain(member: Member) -> None:
    """Keeps the end of what a process says, so that it never blocks on saying it."""
    assert member.process.stderr is not None
    async for data in member.process.stderr:
        member.log += data
        del member.log[:-MAX_LOG_SIZE]
    member.silent.set()


async def _wait_ready(member: Member, timeout_s: float) -> None:
    assert member.process.stdout is not None
    line = bytearray()
    with trio.move_on_after(timeout_s):
        while not line.endswith(b"\n"):
            data = await member.process.stdout.receive_some()
            if not data:
                break
            line += data
    if not line.endswith(b"\n"):
        with trio.move_on_after(GRACE_S):
            await member.silent.wait()
        said = member.log.decode("utf-8", "replace").strip().splitlines()
        why = said[-1].removeprefix("peernet: ") if said else "it gave no reason"
        raise UserError(f"{member.name} did not start: {why}")
    member.ready = json.loads(line)
    members = member.ready.get("relays") or [member.ready]
    member.peers = [facts["peer"] for facts in members]


async def _end(members: Sequence[Member]) -> None:
    for member in members:
        assert member.process.stdin is not None
        await member.process.stdin.aclose()
    for signal_process in (trio.Process.terminate, trio.Process.kill):
        with trio.move_on_after(GRACE_S):
            for member in members:
                await member.process.wait()
            return
        for member in members:
            if member.process.returncode is None:
                signal_process(member.process)
    for member in members:
        await member.process.wait()
