"""A forked process is what a started one is: a child of ours, with all that it was given and an end of its own."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.swarm, pytest.mark.usefixtures("forked")]

ABOUT_ITSELF = """
import os, sys
own = os.getsid(0) == os.getpid()
print(os.getppid(), own, os.getcwd(), os.environ.get("ONE"), os.environ.get("HOME"), "spacy" in sys.modules)
print(sys.stdin.read(), file=sys.stderr)
"""


def python(code: str) -> list[str]:
    """A module that runs `code`, before it measures nothing."""
    return [sys.executable, "-m", "timeit", "-n", "1", "-r", "1", "-s", code, "pass"]


def test_it_is_a_child_with_the_streams_the_environment_the_folder_and_the_session_that_it_was_given(
    tmp_path: Path,
) -> None:
    done = subprocess.run(
        python(ABOUT_ITSELF),
        input="some text",
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"ONE": "1"},
        start_new_session=True,
        check=True,
    )
    forked = not os.environ.get("PEERNET_TEST_EXEC")
    assert done.stdout.splitlines()[0] == f"{os.getpid()} True {tmp_path} 1 None {forked}"
    assert done.stderr == "some text\n"


@pytest.mark.parametrize(
    ("code", "end"),
    [("import os; os._exit(7)", 7), ("import signal; print('there', flush=True); signal.pause()", -signal.SIGTERM)],
)
def test_its_end_is_its_own(code: str, end: int) -> None:
    with subprocess.Popen(python(code), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        if end < 0:
            process.stdout.readline()
            process.terminate()
        assert process.wait(20) == end
