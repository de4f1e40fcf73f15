"""Keeps a server that knows nothing of us: starts it, and ends all of it when we end, however that comes.

    python _server_keeper.py COMMAND...

Rules:

1. The end of standard input is the parent's end. The server is then asked to end (SIGTERM), and after `GRACE_S` it is
   made to.
2. The server has a process group of its own. Whatever of the group is left when the server is gone goes the same way,
   so that no worker of it goes on computing, or leaves shared memory behind.
3. The server's temporary files are in a folder for this run alone, open to this user alone, and removed at the end by
   who made it: this process. `{folder}` in the command stands for it; its path is the one line on standard output.
4. What the server prints goes to standard error as long as somebody listens there, and else nowhere: it may quote.
5. If this process is killed, the system asks the server to end (Linux); the folder, with its sockets, is then left.

It is a file that runs alone, with nothing but the standard library, so that it costs 10 MB beside a server of
gigabytes.

Private: nothing but `inference.vllm` may start it.
"""

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

GRACE_S = 5.0
POLL_S = 0.02
READ_SIZE = 1 << 16
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36


def main() -> int:
    if sys.platform == "linux":
        # Processes that the server leaves behind become ours, to be waited for.
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    folder = tempfile.mkdtemp(prefix="peernet-engine-")
    try:
        return _keep([word.replace("{folder}", folder) for word in sys.argv[1:]], folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _keep(command: list[str], folder: str) -> int:
    reading, writing = os.pipe()
    # A command that our parent made, as it stands; the hook runs before there is a second thread.
    server = subprocess.Popen(  # noqa: S603
        command,
        stdin=subprocess.DEVNULL,
        stdout=writing,
        stderr=writing,
        cwd=folder,
        env={**os.environ, "TMPDIR": folder},
        process_group=0,
        preexec_fn=_ask_to_end_with_us,  # noqa: PLW1509
    )
    os.close(writing)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: _signal_group(server.pid, signal.SIGTERM))
    threading.Thread(target=_pass_on, args=(reading,), daemon=True).start()
    threading.Thread(target=_end_with_parent, args=(server,), daemon=True).start()
    os.write(1, f"{folder}\n".encode())
    code = server.wait()
    _end_group(server.pid)
    return code if code >= 0 else 128 - code


def _ask_to_end_with_us() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def _pass_on(reading: int) -> None:
    heard = True
    while data := os.read(reading, READ_SIZE):
        while heard and data:
            try:
                data = data[os.write(2, data) :]
            except BrokenPipeError:
                heard = False


def _end_with_parent(server: "subprocess.Popen[bytes]") -> None:
    while os.read(0, READ_SIZE):
        pass
    # All of it at once: workers that are told by the server alone end seconds later.
    _signal_group(server.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        server.wait(GRACE_S)
        return
    server.kill()


def _signal_group(group: int, number: int) -> bool:
    """Whether there is anybody in it."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    return True


def _end_group(group: int) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        _signal_group(group, number)
        deadline = time.monotonic() + GRACE_S
        while time.monotonic() < deadline:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(-group, os.WNOHANG)
            if not _signal_group(group, 0):
                return
            time.sleep(POLL_S)


if __name__ == "__main__":
    sys.exit(main())
