"""A server that we start ends with us, is restarted after a crash, and says why it did not start.

llama.cpp's server stands where vLLM would: it is somebody else's, speaks the same API on a Unix socket, and starts in
a second.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from inference import vllm
from inference.engine import COUNTED, PREFIX, SEED, EngineCrashed, Message, ModelUnusable, Parameters
from inference.models import read_installed
from inference.vllm import VllmEngine
from tests import llama_server
from tests.engine_contract import MARKER, PATIENCE_S, QUESTION, answer, text_of
from tests.model_files import pulled_model

SHORT = Parameters(max_tokens=2, temperature_thousandths=0)
SOCKET = f"{{folder}}/{vllm.SOCKET}"


class KeptLlama(VllmEngine):
    """The engine, with llama.cpp in vLLM's place."""

    command = (sys.executable, llama_server.__file__, "WEIGHTS", "512", SOCKET)

    async def _make_command(self) -> list[str]:
        return [str(pulled_model()) if word == "WEIGHTS" else word for word in self.command]


@pytest.fixture(autouse=True)
def away_from_here(tmp_path, monkeypatch):
    """What is tested here removes folders, or is killed before it can: it has a place that nobody would miss."""
    pytest.importorskip("xllamacpp")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").touch()
    # Not below tmp_path, which is too long for a socket's name.
    with tempfile.TemporaryDirectory(prefix="peernet-") as folder:
        monkeypatch.setenv("TMPDIR", folder)
        yield
    assert (tmp_path / "mine").exists()


@asynccontextmanager
async def loaded(kind=KeptLlama, **options):
    engine = kind(read_installed(pulled_model().parent), **{"context_tokens": 512, **options})
    try:
        await engine.load()
        yield engine
    finally:
        await engine.aclose()


def folder_of(engine: VllmEngine) -> Path:
    return engine._run._endpoint.socket.parent


def processes_under(pid: int) -> list[int]:
    """The processes that a process started, and theirs."""
    parents = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            words = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(status.parent.name)] = int(words[1])
    found = [pid]
    for parent in found:
        found += [child for child, its in parents.items() if its == parent]
    return found[1:]


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def wait_gone(*pids: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while any(map(is_running, pids)):
        assert time.monotonic() < deadline
        time.sleep(0.01)


async def test_it_answers_with_all_that_a_server_of_ours_has_and_closing_leaves_nothing():
    async with loaded() as engine:
        assert engine.models()[0].capabilities == {PREFIX, SEED, COUNTED}
        folder = folder_of(engine)
        assert folder.stat().st_mode & 0o077 == 0
        assert len((await answer(engine, QUESTION))[0]) > 2
        servers = processes_under(engine._run._keeper.pid)
        assert len(servers) == 1
        assert os.getsid(servers[0]) != os.getsid(0)
    assert not folder.exists()
    assert not any(map(is_running, servers))
    with pytest.raises(EngineCrashed, match="closed"):
        await answer(engine, QUESTION)


async def test_a_crash_loses_what_was_in_flight_and_the_next_answer_restarts():
    async with loaded() as engine:
        whole = text_of((await answer(engine, QUESTION, SHORT))[0])
        async with engine.generate((Message("user", MARKER),), Parameters(max_tokens=200)) as generation:
            await generation.__anext__()
            os.kill(processes_under(engine._run._keeper.pid)[0], signal.SIGSEGV)
            with pytest.raises(EngineCrashed) as caught:
                async for _ in generation:
                    pass
        assert MARKER not in repr(caught.value)
        assert text_of((await answer(engine, QUESTION, SHORT))[0]) == whole
        health = await engine.health()
        assert (health.ready, health.restarts) == (True, 1)


async def test_crashes_in_a_row_end_it(monkeypatch):
    monkeypatch.setattr(vllm, "MAX_CRASHES", 1)
    async with loaded() as engine:
        engine._run._keeper.kill()
        await engine._run._keeper.wait()
        assert not (await engine.health()).ready
        with pytest.raises(EngineCrashed, match="1 times"):
            await answer(engine, QUESTION)


async def test_a_server_that_hangs_is_replaced():
    async with loaded() as engine:
        (server,) = processes_under(engine._run._keeper.pid)
        os.kill(server, signal.SIGSTOP)
        # An answer that did not come to its end leaves a doubt, and one who does not answer then is not trusted.
        engine._run.is_doubtful = True
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(vllm, "HEALTH_TIMEOUT_S", 0.1)
            patch.setattr(vllm, "CLOSE_GRACE_S", 0.1)
            await answer(engine, QUESTION, SHORT)
        assert (await engine.health()).restarts == 1
        wait_gone(server)


async def test_leaving_an_answer_is_no_crash():
    async with loaded() as engine:
        for _ in range(vllm.MAX_CRASHES + 1):
            async with engine.generate(QUESTION, Parameters(max_tokens=200)) as generation:
                await generation.__anext__()
        assert (await engine.health()).restarts == 0


PARENT = """
import trio
from tests.interop.test_kept_server import KeptLlama, folder_of, pulled_model, read_installed
async def main():
    engine = KeptLlama(read_installed(pulled_model().parent), context_tokens=512)
    await engine.load()
    print(engine._run._keeper.pid, folder_of(engine), flush=True)
    await trio.sleep_forever()
trio.run(main)
"""


@pytest.mark.parametrize("victim", ["parent", "keeper"])
def test_the_server_ends_with_its_parent_and_with_its_keeper(victim):
    root = Path(__file__).resolve().parents[2]
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True, cwd=root)
    keeper, folder = parent.stdout.readline().split()
    servers = processes_under(int(keeper))
    assert servers
    os.kill(parent.pid if victim == "parent" else int(keeper), signal.SIGKILL)
    wait_gone(*servers)
    if victim == "parent":
        wait_gone(int(keeper))
        assert not Path(folder).exists()
    parent.kill()
    parent.communicate()


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (
            (sys.executable, llama_server.__file__, "/nowhere", "1", SOCKET),
            r"exit code 3\): FileNotFoundError: no such",
        ),
        ((sys.executable, "-c", "print('last words')"), r"exit code 0\): last words"),
        ((sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"), r"exit code 137\): it gave no reason"),
        (("/nowhere/python",), "No such file"),
    ],
)
async def test_one_that_does_not_start_is_quoted_with_its_cause(command, words):
    class Wrong(KeptLlama):
        pass

    Wrong.command = command
    with pytest.raises(ModelUnusable, match=words):
        async with loaded(Wrong):
            pass


async def test_one_that_never_gets_ready_is_ended(monkeypatch):
    class Idle(KeptLlama):
        command = (sys.executable, "-c", "import time; time.sleep(100)")

    monkeypatch.setattr(vllm, "START_TIMEOUT_S", 0.3)
    with pytest.raises(ModelUnusable, match="not ready after"):
        async with loaded(Idle):
            pass


LOUD = """
import os, runpy, sys, threading, time
from pathlib import Path
folder = Path(sys.argv[-1]).parent
def shout():
    # Told to only when it serves: before that, somebody listens.
    while not (folder / "go").exists():
        time.sleep(0.01)
    os.write(2, b"x" * (1 << 21))
    (folder / "gone").touch()
threading.Thread(target=shout, daemon=True).start()
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


async def test_what_it_says_while_it_serves_goes_nowhere_and_does_not_stop_it():
    class Loud(KeptLlama):
        command = (sys.executable, "-c", LOUD, *KeptLlama.command[1:])

    async with loaded(Loud) as engine:
        (folder_of(engine) / "go").touch()
        # More than any pipe holds.
        with trio.fail_after(PATIENCE_S):
            while not (folder_of(engine) / "gone").exists():
                await answer(engine, QUESTION, SHORT)


async def test_without_vllm_the_way_to_it_is_said():
    model = read_installed(pulled_model().parent)
    with pytest.raises(ModelUnusable, match=r"has no vLLM: `make vllm`.*--engine-python"):
        await VllmEngine(model).load()
    with pytest.raises(ModelUnusable, match="cannot run /nowhere/python"):
        await VllmEngine(model, python=Path("/nowhere/python")).load()


async def test_a_cancelled_start_leaves_nothing():
    engine = KeptLlama(read_installed(pulled_model().parent), context_tokens=512)
    before = set(processes_under(os.getpid()))
    with trio.move_on_after(0.3):
        await engine.load()
    assert set(processes_under(os.getpid())) <= before
    await engine.aclose()
