"""What the tests of faults and endings share: real commands, small swarms of scripted hosts, and who is still alive.

Every wait here is bounded; only processes that a test started are ended, each by its own id.
"""

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from functools import cache
from itertools import count
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import Final, TypeVar

import trio
from attrs import frozen

from inference.models import DEFAULT_MODEL
from peernet.cli.local_swarm import LocalSwarm, SwarmPlan, running_swarm
from peernet.client.client import Client, open_client
from peernet.node.config import ClientConfig, NetworkConfig, load_table
from peernet.node.home import Home
from privacy.detection import Detector
from tests.model_files import pulled_model
from tests.swarm.forking import forking
from tests.swarm.scripted_peer import Script

__all__ = [
    "PEERNET",
    "ROOT",
    "SCRIPTED",
    "WAIT_TIMEOUT_S",
    "Done",
    "Running",
    "alive",
    "client_of",
    "command_lines",
    "detector",
    "in_background",
    "model_folder",
    "next_network",
    "processes_below",
    "processes_naming",
    "run",
    "run_all",
    "running",
    "scripted_swarm",
    "take_stall",
    "wait_for",
]

ROOT: Final = Path(__file__).resolve().parents[2]
PEERNET: Final = (sys.executable, "-m", "peernet")
SCRIPTED: Final = (sys.executable, "-m", "tests.swarm.scripted_peer")
COMMAND_TIMEOUT_S: Final = 60.0
WAIT_TIMEOUT_S: Final = 60.0
"""Some seconds where nothing else runs."""
POLL_S: Final = 0.02
COMMANDS_AT_ONCE: Final = 2

OPENED_WITHIN_S: Final = 100.0
CLOSED_WITHIN_S: Final = 30.0

Opened = TypeVar("Opened")

_networks = count(os.getpid())


def next_network() -> int:
    """The second byte of a test's loopback addresses: another one for each test, and most likely for each run."""
    return 100 + next(_networks) % 150


def model_folder() -> Path:
    """Where models are; skips the test where the real one is not."""
    return pulled_model().parents[1]


@cache
def detector() -> Detector:
    """The real detector, loaded once."""
    return Detector.load()


# --- commands --------------------------------------------------------------------------------------------------------


@frozen
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def complaint(self) -> str:
        """What it says is wrong: exactly one line of ours on standard error, and no traceback anywhere."""
        assert "Traceback" not in self.out + self.err, self
        assert "a bug in peernet" not in self.err, self
        lines = [line for line in self.err.splitlines() if line.startswith("peernet: ")]
        assert len(lines) == 1, self
        return lines[0].removeprefix("peernet: ")


def environment(extra: dict[str, str] | None = None) -> dict[str, str]:
    """Ours, with the checkout in the path of Python."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT / "src"), str(ROOT))), **(extra or {})}


async def run(*words: object, stdin: str = "", command: Sequence[str] = PEERNET) -> Done:
    """Runs a command to its end."""
    with trio.fail_after(COMMAND_TIMEOUT_S):
        done = await trio.run_process(
            [*command, *map(str, words)],
            stdin=stdin.encode(),
            capture_stdout=True,
            capture_stderr=True,
            check=False,
            env=environment(),
        )
    return Done(done.returncode, done.stdout.decode(), done.stderr.decode())


async def run_all(*commands: Sequence[object]) -> list[Done]:
    """Runs commands side by side, as many as this machine bears, each in a forked process."""
    done: dict[int, Done] = {}
    slots = trio.Semaphore(COMMANDS_AT_ONCE)

    async def one(number: int, words: Sequence[object]) -> None:
        async with slots:
            done[number] = await run(*words)

    with forking():
        async with trio.open_nursery() as nursery:
            for number, words in enumerate(commands):
                nursery.start_soon(one, number, words)
    return [done[number] for number in range(len(commands))]


class Running:
    """A command that runs, in a process group of its own."""

    def __init__(self, process: trio.Process) -> None:
        self._process = process
        self.pid = process.pid
        self.out = ""
        self.err = ""
        self._readers = 2
        self._all_read = trio.Event()

    async def read(self, stream: trio.abc.ReceiveStream, name: str) -> None:
        async for data in stream:
            setattr(self, name, getattr(self, name) + data.decode("utf-8", "replace"))
        self._readers -= 1
        if not self._readers:
            self._all_read.set()

    async def write(self, text: str) -> None:
        """One more line of standard input."""
        assert self._process.stdin is not None
        await self._process.stdin.send_all(text.encode())

    async def close_stdin(self) -> None:
        """Ends the standard input."""
        assert self._process.stdin is not None
        await self._process.stdin.aclose()

    async def line(self, number: int) -> str:
        """Line `number` of what it printed, from 0."""
        await wait_for(lambda: self.out.count("\n") > number)
        return self.out.splitlines()[number]

    def signal_group(self, number: int) -> None:
        """As a terminal does on Ctrl-C: to every process of the group."""
        os.killpg(self.pid, number)

    def signal(self, number: int) -> None:
        """To this process alone."""
        self._process.send_signal(number)

    async def end(self, timeout_s: float = WAIT_TIMEOUT_S) -> Done:
        """Waits until it has ended."""
        with trio.fail_after(timeout_s):
            code = await self._process.wait()
            await self._all_read.wait()
        return Done(code, self.out, self.err)


@asynccontextmanager
async def running(
    *words: object, command: Sequence[str] = PEERNET, extra: dict[str, str] | None = None
) -> AsyncIterator[Running]:
    """Starts a command; kills it on leaving where the test did not end it."""
    process = await trio.lowlevel.open_process(
        [*command, *map(str, words)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(extra),
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    handle = Running(process)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(handle.read, process.stdout, "out")
        nursery.start_soon(handle.read, process.stderr, "err")
        try:
            yield handle
        finally:
            if process.returncode is None:
                process.kill()
            with trio.CancelScope(shield=True):
                await process.wait()
            nursery.cancel_scope.cancel()


async def wait_for(condition: Callable[[], object], timeout_s: float = WAIT_TIMEOUT_S) -> None:
    """Waits until something outside of this process holds, which nothing but looking tells."""
    with trio.fail_after(timeout_s):
        while not condition():  # noqa: ASYNC110  (files and other processes wake nobody)
            await trio.sleep(POLL_S)


@contextmanager
def in_background(opened: AbstractAsyncContextManager[Opened]) -> Iterator[Opened]:
    """Keeps `opened` open in a thread with a loop of its own: for what the tests of a module share.

    The tests may have loops of their own or none, so they use what it is by its files and addresses, and await nothing
    of it. What goes wrong in it is raised here.
    """
    held: Queue[tuple[Opened, Callable[[], None]] | None] = Queue()

    done: Future[None] = Future()
    done.add_done_callback(lambda _: held.put(None))

    async def hold() -> None:
        async with opened as value:
            closing = trio.Event()
            token = trio.lowlevel.current_trio_token()
            held.put((value, lambda: token.run_sync_soon(closing.set)))
            await closing.wait()

    def work() -> None:
        try:
            trio.run(hold)
        except BaseException as error:  # noqa: BLE001  (raised again in the test's thread)
            done.set_exception(error)
        else:
            done.set_result(None)

    Thread(target=work, daemon=True).start()
    got = held.get(timeout=OPENED_WITHIN_S)
    if got is None:
        done.result()
        raise AssertionError("it ended before it was open")
    value, close = got
    try:
        yield value
    finally:
        if not done.done():
            close()
        done.result(timeout=CLOSED_WITHIN_S)


# --- swarms ----------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def scripted_swarm(
    folder: Path,
    script: Script,
    *,
    hosts: int,
    relays: int,
    bootstraps: int = 1,
    host_options: tuple[str, ...] = (),
    network: int | None = None,
    transports: tuple[str, ...] = ("",),
    peer_options: tuple[str, ...] = (),
) -> AsyncIterator[LocalSwarm]:
    """A swarm whose hosts answer by `script`; its processes, and those that are started beside it, are forked."""
    plan = SwarmPlan(
        folder=folder / "swarm",
        models=model_folder(),
        model=DEFAULT_MODEL,
        hosts=hosts,
        relays=relays,
        bootstraps=bootstraps,
        network=next_network() if network is None else network,
        command=SCRIPTED,
        host_options=host_options,
        transports=transports,
        peer_options=peer_options,
    )
    plan.folder.mkdir(exist_ok=True)
    before = dict(os.environ)
    os.environ.update(environment(script.environment))
    try:
        with forking():
            async with running_swarm(plan) as swarm:
                yield swarm
    finally:
        os.environ.clear()
        os.environ.update(before)


@asynccontextmanager
async def client_of(
    swarm: LocalSwarm,
    *,
    config: ClientConfig | None = None,
    finder: Detector | None = None,
    hosts: int | None = None,
    models: Path | None = None,
    tls_authority: str = "",
) -> AsyncIterator[Client]:
    """A client of `swarm` in this process, once its directory lists `hosts` (all of them)."""
    network: NetworkConfig = load_table(swarm.network_file, "network", NetworkConfig, {"tls_authority": tls_authority})
    folder = swarm.plan.folder / "client"
    home = Home(folder / "config", folder / "state", models or swarm.plan.models)
    found = finder or await trio.to_thread.run_sync(detector)
    wanted = swarm.plan.hosts if hosts is None else hosts
    async with open_client(network, config or ClientConfig(), home, detector=found) as client:
        with trio.fail_after(WAIT_TIMEOUT_S):
            while len(client.hosts()) != wanted or len(client.network.directory.relays) < swarm.plan.relays:
                await trio.sleep(POLL_S)
                await client.network.fetch_directory()
        yield client


async def take_stall(armed: Path) -> int:
    """Waits until a generation has taken the stall that `armed` armed; the id of its process."""
    found: list[Path] = []

    def look() -> bool:
        found.extend(armed.parent.glob(f"{armed.name}.*"))
        return bool(found)

    await wait_for(look)
    found[0].unlink()
    return int(found[0].suffix[1:])


# --- processes -------------------------------------------------------------------------------------------------------


def processes_below(pid: int) -> dict[int, str]:
    """The living descendants of a process: their ids, and the times of their start, which tell ids apart."""
    children: dict[int, list[int]] = {}
    starts = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))) is not None:
            parent, starts[int(entry.name)] = int(fields[1]), fields[19]
            children.setdefault(parent, []).append(int(entry.name))
    below: dict[int, str] = {}
    waiting = [pid]
    while waiting:
        for child in children.get(waiting.pop(), ()):
            below[child] = starts[child]
            waiting.append(child)
    return below


def alive(processes: dict[int, str]) -> list[int]:
    """Those of `processes` that have not ended."""
    return [pid for pid, start in processes.items() if (fields := _stat(pid)) is not None and fields[19] == start]


def processes_naming(text: str) -> list[int]:
    """The processes with `text` in their command line or environment, as far as we may look."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid() or _stat(int(entry.name)) is None:
            continue
        for name in ("cmdline", "environ"):
            try:
                if text.encode() in (entry / name).read_bytes():
                    found.append(int(entry.name))
                    break
            except OSError:
                continue  # it has ended, or is not ours to look into
    return found


def command_lines(processes: dict[int, str]) -> str:
    """The command lines of `processes`, one a line."""
    lines = []
    for pid in processes:
        try:
            lines.append((Path("/proc") / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue  # it has ended
    return "\n".join(lines)


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat from the state on; None for a process that is gone, or only waits to be reaped."""
    try:
        text = (Path("/proc") / str(pid) / "stat").read_text()
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in {"Z", "X"} else fields
