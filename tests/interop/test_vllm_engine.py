"""vLLM itself keeps the contract, listens to nobody else, and writes nothing of a prompt anywhere.

One server for all of it, since it takes a minute to start. What ends and restarts it is tested with a server that
starts in a second, in `test_kept_server.py`.
"""

import contextlib
from pathlib import Path

import pytest
import trio

from inference.engine import COUNTED, PREFIX, SEED, Engine, Message, Parameters
from inference.models import read_installed
from inference.vllm import CONVERTED_FOLDER, VllmEngine, _Run
from tests.engine_contract import MARKER, answer, run_contract
from tests.interop.test_kept_server import folder_of, is_running, processes_under
from tests.model_files import pulled_model

# Its processes take both cores.
pytestmark = pytest.mark.swarm

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venv-vllm" / "bin" / "python"
LISTENS = "0A"
LOOPBACK = {"0100007F", "00000000000000000000000001000000"}


@pytest.fixture
def ready() -> Path:
    """The folder of the model, converted; skips where `make vllm` was not run."""
    folder = pulled_model().parent
    if not (ROOT / ".venv-vllm" / ".ready").exists() or not (folder / CONVERTED_FOLDER).exists():
        pytest.skip("vLLM's environment is not there: make vllm")
    return folder


def listening(pids: list[int]) -> list[str]:
    """The addresses, as the kernel writes them, where these processes accept TCP connections."""
    inodes = set()
    for pid in pids:
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            target = str(descriptor.readlink())
            if target.startswith("socket:["):
                inodes.add(target[len("socket:[") : -1])
    lines = [line.split() for name in ("tcp", "tcp6") for line in Path("/proc/net", name).read_text().splitlines()[1:]]
    return [words[1].split(":")[0] for words in lines if words[3] == LISTENS and words[9] in inodes]


async def hear(run: _Run) -> None:
    with contextlib.suppress(trio.ClosedResourceError):
        await run._listen()


async def test_vllm_keeps_the_contract_and_what_it_is_asked_to_itself(ready, tmp_path, monkeypatch):
    said: list[_Run] = []

    async def listen_on(run: _Run) -> None:
        said.append(run)

    # What the server says is heard here as long as it runs, where it would go nowhere.
    monkeypatch.setattr(_Run, "stop_listening", listen_on)
    for name in ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    engine = VllmEngine(read_installed(ready), python=PYTHON, parallel=2, context_tokens=512)
    try:
        await engine.load()
        assert engine.models()[0].capabilities == {PREFIX, SEED, COUNTED}
        run, folder = engine._run, folder_of(engine)
        servers = processes_under(run._keeper.pid)
        addresses = listening(servers)
        assert set(addresses) <= LOOPBACK
        async with trio.open_nursery() as nursery:
            nursery.start_soon(hear, run)
            await answer(engine, (Message("user", MARKER),), Parameters(max_tokens=8, stop=(MARKER,)))
            files = [path for place in (folder, tmp_path) for path in place.rglob("*") if path.is_file()]
            assert not [path for path in files if MARKER.encode() in path.read_bytes()]
            port: Engine = engine
            await run_contract(port)
    finally:
        await engine.aclose()
    assert run._said
    assert MARKER.encode() not in run._said
    assert not folder.exists()
    assert not any(map(is_running, servers))
