"""Ending: whatever ends a command, and whenever, no process and no folder of it stays, and nobody sees a traceback.

A demo here has its own temporary folder, which all of its processes carry in their environment: so they can be
found, whoever is their parent by then.
"""

import json
import os
import shlex
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from peernet.cli.local_swarm import LocalSwarm
from peernet.client.events import FragmentText
from tests.swarm.scripted_peer import Script
from tests.swarm.support import (
    PEERNET,
    SCRIPTED,
    Done,
    Running,
    alive,
    client_of,
    command_lines,
    model_folder,
    processes_below,
    processes_naming,
    running,
    scripted_swarm,
    take_stall,
    wait_for,
)

pytestmark = pytest.mark.swarm

SMALL = ("--hosts", "1", "--relays", "4", "--prompt", "Write a long story about Maria Kowalska and the sea.")
INTERRUPTED = 130
END_LIMIT_S = 5.0
"""What a service that is told to end may take."""
DEMO_END_LIMIT_S = 15.0
ORPHAN_LIMIT_S = 10.0
"""What the processes of a demo that was killed may take to notice."""


class _Demo:
    """A demo that runs, in a temporary folder of its own."""

    def __init__(self, process: Running, folder: Path) -> None:
        self.process = process
        self.folder = folder
        self._seen: dict[int, str] = {}

    def look(self) -> dict[int, str]:
        """Every process that the demo has started so far."""
        self._seen |= processes_below(self.process.pid)
        return self._seen

    def has_started(self, name: str) -> Callable[[], bool]:
        """Whether a process with `name` in its command line runs."""
        return lambda: name in command_lines(self.look())

    async def end(self, number: int) -> Done:
        """Sends a signal as a terminal does, and waits for the end."""
        self.look()
        self.process.signal_group(number)
        return await self.process.end(DEMO_END_LIMIT_S)

    def left_over(self) -> list[int]:
        """Processes that should be gone."""
        return sorted({*alive(self._seen), *processes_naming(str(self.folder))})

    def kill_rest(self) -> None:
        """Ends, one by one, what a failed test leaves of it."""
        for pid in alive(self.look()):
            os.kill(pid, signal.SIGKILL)

    def assert_gone(self, done: Done) -> None:
        """Nothing of it is left."""
        assert done.code == INTERRUPTED, done
        assert "Traceback" not in done.out + done.err, done
        assert "a bug in peernet" not in done.err, done
        assert self.left_over() == [], command_lines(dict.fromkeys(self.left_over(), ""))
        assert list(self.folder.glob("peernet-demo-*")) == []


@asynccontextmanager
async def _demo(
    tmp_path: Path, *words: str, command: tuple[str, ...] = PEERNET, script: Script | None = None
) -> AsyncIterator[_Demo]:
    folder = tmp_path / "temporary folder"
    folder.mkdir()
    extra = {"TMPDIR": str(folder), **(Script() if script is None else script).environment}
    options = ("--home", tmp_path / "home", "--models", model_folder(), *words)
    async with running("demo", *options, command=command, extra=extra) as process:
        demo = _Demo(process, folder)
        try:
            yield demo
        finally:
            demo.kill_rest()


async def test_ctrl_c_while_it_starts(tmp_path: Path) -> None:
    async with _demo(tmp_path) as demo:
        await wait_for(demo.has_started("peernet bootstrap"))
        demo.assert_gone(await demo.end(signal.SIGINT))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
async def test_a_signal_while_the_hosts_load(tmp_path: Path, number: signal.Signals) -> None:
    async with _demo(tmp_path, "--hosts", "2") as demo:
        await wait_for(demo.has_started("inference._embedded_worker"))
        demo.assert_gone(await demo.end(number))


async def test_ctrl_c_in_the_middle_of_an_answer(tmp_path: Path) -> None:
    async with _demo(tmp_path, *SMALL) as demo:
        await wait_for(lambda: "plan:" in demo.process.out)
        assert demo.has_started("inference._embedded_worker")()
        demo.assert_gone(await demo.end(signal.SIGINT))


async def test_a_demo_that_is_killed_leaves_no_process(tmp_path: Path) -> None:
    """It cannot tell anybody: the others see that their standard input is closed."""
    async with _demo(tmp_path, *SMALL) as demo:
        await wait_for(lambda: "plan:" in demo.process.out)
        assert len(demo.look()) == 4  # the bootstrap node, the relays, the host and its worker
        demo.process.signal(signal.SIGKILL)
        await demo.process.end()
        await wait_for(lambda: not demo.left_over(), ORPHAN_LIMIT_S)


async def test_what_keep_prints_works_as_printed(tmp_path: Path) -> None:
    async with _demo(tmp_path, *SMALL, "--keep", command=SCRIPTED) as demo:
        await wait_for(lambda: "Ctrl-C here ends it" in demo.process.out)
        commands = [line.strip() for line in demo.process.out.splitlines() if line.startswith("  peernet ")]
        assert [shlex.split(command)[1] for command in commands] == ["chat", "gateway", "ledger", "ledger"]
        # The gateway runs until it is ended; its own tests start it.
        commands = [command for command in commands if " gateway " not in command]
        said = {}

        async def execute(command: str) -> None:
            said[command] = await _in_a_shell(command, tmp_path)

        async with trio.open_nursery() as nursery:
            for command in commands:
                nursery.start_soon(execute, command)
        chat, *audits = (said[command] for command in commands)
        assert "what each host saw" in chat
        for audit in audits:
            assert "in order    signature, tree and every rule hold" in audit
        demo.assert_gone(await demo.end(signal.SIGINT))


async def _in_a_shell(command: str, home: Path) -> str:
    """What a command prints that a person pastes into a terminal; it must succeed."""
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    with trio.fail_after(30):
        done = await trio.run_process(
            command, shell=True, capture_stdout=True, env={**os.environ, "PATH": path, "HOME": str(home)}
        )
    return done.stdout.decode()


async def test_services_and_a_chat_that_are_told_to_end(tmp_path: Path) -> None:
    """A chat first; then hosts, one in the middle of an answer, relays and the bootstrap node: quick, and with 0."""
    armed = tmp_path / "armed"
    async with scripted_swarm(tmp_path, Script(armed=str(armed)), hosts=2, relays=4) as swarm:
        async with client_of(swarm) as client, trio.open_nursery() as nursery:
            await _chat_is_interrupted(swarm, tmp_path)

            async def ask() -> None:
                async with client.conversation() as session:
                    await session.ask("Write a note to Maria Kowalska.", lambda _: None)

            armed.touch()
            nursery.start_soon(ask)
            pid = await take_stall(armed)
            (busy,) = [member for member in swarm.members if member.process.pid == pid]
            # It would finish the answer that it is giving; told again, it does not.
            busy.process.terminate()
            await wait_for(lambda: b"finishing what is being served" in busy.log)
            assert busy.process.poll() is None
            busy.process.terminate()
            with trio.fail_after(END_LIMIT_S):
                assert await busy.process.wait() == 0
            nursery.cancel_scope.cancel()
        others = [member for member in swarm.members if member is not busy]
        for member in others:
            member.process.terminate()
        with trio.fail_after(END_LIMIT_S):
            for member in others:
                assert await member.process.wait() == 0, member.name
        for member in swarm.members:
            assert b"Traceback" not in member.log, member.name


async def test_a_host_and_the_relays_that_are_told_to_end_finish_the_answer_that_is_under_way(tmp_path: Path) -> None:
    """The client sees nothing of it: the whole answer comes from that host over those relays, and is settled."""
    answer = " ".join(f"word{number}" for number in range(20))
    script = Script(answers={"sea": answer}, seconds_per_token=0.15)
    async with scripted_swarm(tmp_path, script, hosts=1, relays=4) as swarm, client_of(swarm) as client:
        pieces: list[object] = []
        completed = trio.Event()
        async with client.conversation() as session, trio.open_nursery() as nursery:

            async def ask() -> None:
                reply = await session.ask("Write a note about the sea.", pieces.append)
                assert answer in reply.text
                completed.set()

            nursery.start_soon(ask)
            await wait_for(lambda: any(isinstance(piece, FragmentText) for piece in pieces))
            ending = [swarm.member("host-1"), swarm.member("relays")]
            for member in ending:
                member.process.terminate()
            for member in ending:
                await wait_for(lambda member=member: b"finishing what is being served" in member.log)
            assert not completed.is_set()
            with trio.fail_after(END_LIMIT_S + 5):
                await completed.wait()
        with trio.fail_after(END_LIMIT_S):
            for member in ending:
                assert await member.process.wait() == 0, member.name
        for member in ending:
            assert b"not all that this node served" not in member.log, member.name


async def _chat_is_interrupted(swarm: LocalSwarm, folder: Path) -> None:
    """While it waits for the next turn, in a thread that reads standard input."""
    words = ("--network", swarm.network_file, "--models", swarm.plan.models, "--home", folder / "chat", "--json")
    async with running("chat", *words) as chat:
        await chat.write("What is water?\n")
        assert json.loads(await chat.line(0))["complete"]
        chat.signal_group(signal.SIGINT)
        done = await chat.end(END_LIMIT_S)
    assert done.code == INTERRUPTED, done
    assert done.err == ""
