"""The README's swarm by hand: every command of that section, run as it is written, in its order."""

import os
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.model_files import CACHE, pulled_model

pytestmark = pytest.mark.swarm

README = Path(__file__).resolve().parents[2] / "README.md"
READY_TIMEOUT_S = 60
SERVICES = ("bootstrap", "relay", "host")


def commands() -> list[str]:
    section = README.read_text("utf-8").split("## The same swarm by hand")[1].split("\n## ")[0]
    blocks = re.findall(r"^```\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.startswith("peernet ")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    pulled_model()
    (tmp_path / ".cache").mkdir()
    (tmp_path / ".cache" / "models").symlink_to(CACHE)
    return tmp_path


def argv(command: str) -> list[str]:
    return [sys.executable, "-m", *shlex.split(command)]


def start(command: str, folder: Path) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(
        argv(command), cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )


def wait_ready(process: subprocess.Popen[str]) -> None:
    """Waits for its line that says it is ready."""
    assert process.stdout is not None
    line = process.stdout.readline()
    assert "Ctrl-C ends" in line or "ready" in line, f"{process.args}: {line!r}"


def test_every_command_of_the_section_works_as_written(folder: Path) -> None:
    listed = commands()
    services = [command for command in listed if command.split()[1] in SERVICES]
    uses = [command for command in listed if command.split()[1] not in SERVICES]
    assert [command.split()[1] for command in services] == ["bootstrap", "relay", "host", "host", "host"]
    assert [command.split()[1] for command in uses] == ["chat", "ledger", "identity", "model", "doctor"]
    running: list[subprocess.Popen[str]] = []
    try:
        # The others join through the bootstrap node; among each other they are in no order.
        for together in (services[:1], services[1:]):
            started = [start(command, folder) for command in together]
            running += started
            for process in started:
                wait_ready(process)
        outputs = {command.split()[1]: use(command, folder) for command in uses}
    finally:
        for process in running:
            process.terminate()
        codes = [process.wait(timeout=20) for process in running]
        for process in running:
            assert process.stdout is not None
            process.stdout.close()
    assert "what each host saw" in outputs["chat"]
    assert "proof verified" in outputs["chat"]
    assert "in order" in outputs["ledger"]
    assert "12D3KooW" in outputs["identity"]
    assert "smollm2-135m-instruct" in outputs["model"]
    assert "could serve" in outputs["doctor"]
    assert codes == [0] * len(codes)


def use(command: str, folder: Path) -> str:
    """Runs a command to its end. The directory takes a moment to list a swarm that has just started: people wait."""
    deadline = time.monotonic() + READY_TIMEOUT_S
    while True:
        done = subprocess.run(
            argv(command),
            check=False,
            cwd=folder,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=90,
        )
        if done.returncode == 0 or time.monotonic() > deadline:
            break
        assert "Traceback" not in done.stderr
        time.sleep(1)
    assert done.returncode == 0, f"{command}: {done.stdout[-500:]} {done.stderr[-500:]}"
    return done.stdout
