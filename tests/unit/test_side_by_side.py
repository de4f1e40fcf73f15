"""Several processes of tests: what a run with `-n 2` does with a skip, and with swarms."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WRITES = """
import os
from pathlib import Path

def test_where():
    Path({where!r}).with_suffix("." + Path(__file__).stem).write_text(str(os.getpid()))
"""
SKIPS = """
import pytest

def test_that_is_not_run():
    pytest.skip("for this reason")
"""
FILES = {"swarm/test_one": WRITES, "swarm/test_two": WRITES, "unit/test_three": WRITES, "unit/test_with_skip": SKIPS}


def run(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """A run of `FILES` in two processes, with our `conftest.py`."""
    for name, text in FILES.items():
        path = folder / "tests" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace("{where!r}", repr(str(folder / "ran"))))
    plain = {name: text for name, text in os.environ.items() if not name.startswith(("PYTEST_", "PEERNET_"))}
    options = ["-n", "2", "--dist", "loadfile", "-ra", "--import-mode=importlib", "-p", "no:cacheprovider"]
    plugins = ["-p", "xdist.plugin", "-p", "tests.conftest", "--rootdir", str(folder)]
    return subprocess.run(
        [sys.executable, "-m", "pytest", *plugins, *options, "tests"],
        cwd=folder,
        env={**plain, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.fixture(scope="module")
def nothing_skipped(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    folder = tmp_path_factory.mktemp("side-by-side")
    return folder, run(folder, PEERNET_NO_SKIP="1")


def test_a_skip_is_a_failure_where_nothing_may_be_skipped(
    nothing_skipped: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    _, done = nothing_skipped
    assert done.returncode == 1, done.stdout + done.stderr
    assert "1 failed, 3 passed" in done.stdout
    assert "skipped under PEERNET_NO_SKIP: " in done.stdout
    assert "for this reason" in done.stdout


def test_all_swarms_are_in_one_process_and_other_tests_beside_them(
    nothing_skipped: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    folder, _ = nothing_skipped
    one, two, three = (folder / f"ran.test_{name}" for name in ("one", "two", "three"))
    assert one.read_text() == two.read_text() != three.read_text()


def test_elsewhere_a_skip_is_a_skip(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed, 1 skipped" in done.stdout
