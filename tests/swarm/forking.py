"""Processes of tests that are forked from one that has loaded our code: Python's start and importing take most of the
time of a small swarm.

Such a process is a real one, a child of the process of the tests, with streams, environment, folder and session of its
own, and runs its module as `python -m` does; only `/proc` shows the name of where it was forked. Nothing of a command
has run there: it has done no more than to import.

1. `python -m tests.swarm.forking FD` is where processes are forked. It takes requests from the socket FD, runs no code
   but imports beside, and ends when the socket closes.
2. It forks twice, so that the new process is an orphan. The tests are the reaper of orphans for that moment, and so
   become its parent.
3. Outside of `forking()`, under PEERNET_TEST_EXEC, and elsewhere than on Linux, processes are started as ever.
"""

import ctypes
import gc
import importlib
import inspect
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any, Final

__all__ = ["forking"]

ROOT: Final = Path(__file__).resolve().parents[2]
PYTHON: Final = [sys.executable, "-m"]
MAX_REQUEST_SIZE: Final = 128 * 1024
MAX_REPLY_SIZE: Final = 32
SET_CHILD_SUBREAPER: Final = 36
"""Of prctl(2)."""
IMPORTED: Final = (
    "bootstrap.commands.bootstrap",
    "bootstrap.commands.ledger",
    "bootstrap.policy_audit",
    "inference.models",
    "inference.scripted",
    "inference.tokenizer",
    "peernet.cli.asking",
    "peernet.cli.chat",
    "peernet.cli.doctor",
    "peernet.cli.gateway",
    "peernet.cli.local_swarm",
    "peernet.client.client",
    "peernet.client.host_trials",
    "peernet.host.service",
    "peernet.node.checkup",
    "peernet.node.peer",
    "spacy.lang.en",
)
"""None of them does anything when it is imported."""

_Popen: Final = subprocess.Popen
_EXECUTE: Final = inspect.signature(_Popen._execute_child)  # type: ignore[attr-defined]
_asking: Final = Lock()


@contextmanager
def forking() -> Iterator[None]:
    """Modules of Python that are started inside, by `subprocess` or trio, are forked."""
    before = subprocess.Popen
    if sys.platform == "linux" and not os.environ.get("PEERNET_TEST_EXEC"):
        subprocess.Popen = _Forked  # type: ignore[misc]
    try:
        yield
    finally:
        subprocess.Popen = before  # type: ignore[misc]


class _Forked(_Popen[Any]):
    """A process as ever, but for how it begins."""

    def _execute_child(self, *given: Any) -> None:
        asked = _EXECUTE.bind(self, *given).arguments
        words = [os.fspath(word) for word in asked["args"]]
        if asked["shell"] or words[:2] != PYTHON:
            super()._execute_child(*given)  # type: ignore[misc]
            return
        request = {
            "words": words[2:],
            "environment": dict(os.environ if asked["env"] is None else asked["env"]),
            "folder": os.fspath(asked["cwd"] or Path.cwd()),
            "session": asked["start_new_session"],
        }
        pipes = {name: asked[name] for name in ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")}
        theirs = [pipes["p2cread"], pipes["c2pwrite"], pipes["errwrite"]]
        try:
            self.pid = _fork(request, [own if given == -1 else given for own, given in enumerate(theirs)])
            self._child_created = True
        finally:
            self._close_pipe_fds(*pipes.values())  # type: ignore[attr-defined]


# --- in the process of the tests -------------------------------------------------------------------------------------


def _fork(request: dict[str, Any], streams: Sequence[int]) -> int:
    """The id of a new process of ours."""
    message = json.dumps(request).encode()
    assert len(message) <= MAX_REQUEST_SIZE
    with _asking:
        asked = _forker()
        _reap_orphans(1)
        try:
            socket.send_fds(asked, [message], streams)
            reply = asked.recv(MAX_REPLY_SIZE)
        finally:
            _reap_orphans(0)
    assert reply, "the process that forks others has ended"
    return int(reply)


@cache
def _forker() -> socket.socket:
    """The socket of the process in which others are forked, started once."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    command = [*PYTHON, "tests.swarm.forking", str(theirs.fileno())]
    path = os.pathsep.join((str(ROOT / "src"), str(ROOT)))
    with theirs:
        forker = _Popen(
            command,
            env={**os.environ, "PYTHONPATH": path},
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
    _forkers.append(forker)
    return ours


_forkers: Final[list[subprocess.Popen[Any]]] = []
"""It ends when this process does, which closes the socket."""


def _reap_orphans(on: int) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(SET_CHILD_SUBREAPER, on, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")


# --- where processes are forked --------------------------------------------------------------------------------------


def _serve(asking: socket.socket) -> None:
    """Forks as it is asked to; returns in each of the new processes, and nowhere else."""
    while True:
        message, streams, _, _ = socket.recv_fds(asking, MAX_REQUEST_SIZE, 3)
        if not message:
            sys.exit(0)
        read, write = os.pipe()
        if (between := os.fork()) == 0:
            parent = os.getpid()
            if (pid := os.fork()) == 0:
                while os.getppid() == parent:  # until it has been adopted
                    time.sleep(0.0005)
                for descriptor in (read, write, asking.detach()):
                    os.close(descriptor)
                _become(json.loads(message), streams)
                return
            os.write(write, str(pid).encode())
            os._exit(0)
        os.waitpid(between, 0)
        # By now it has been adopted.
        asking.send(os.read(read, MAX_REPLY_SIZE))
        for descriptor in (read, write, *streams):
            os.close(descriptor)


def _become(request: dict[str, Any], streams: Sequence[int]) -> None:
    if request["session"]:
        os.setsid()
    for own, given in enumerate(streams):
        os.dup2(given, own)
        os.close(given)
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    sys.argv = request["words"]


def _main() -> None:
    # It outlives a Ctrl-C that is meant for the tests.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    for name in IMPORTED:
        importlib.import_module(name)
    gc.freeze()
    _serve(socket.socket(fileno=int(sys.argv[1])))
    signal.signal(signal.SIGINT, before)
    try:
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    finally:
        # What is left goes with the process.
        gc.freeze()


if __name__ == "__main__":
    _main()
