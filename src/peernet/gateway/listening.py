"""The gateway's socket, taken before anything slow is begun, so that a taken port is known at once.

Rules: a Unix socket is for its owner alone, and one that nobody listens on any more is replaced; what is no socket is
left alone.
"""

import os
import socket
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from peernet.core.errors import UserError
from peernet.gateway.settings import Listening

__all__ = ["base_url", "listening_socket", "page_url"]

BACKLOG: Final = 64
_OWNER_ONLY: Final = 0o177


@contextmanager
def listening_socket(where: Listening) -> Iterator[socket.socket]:
    """A socket that listens there, closed at the end; raises `UserError` where that cannot be."""
    with closing(_open(where)) as listener:
        try:
            yield listener
        finally:
            if where.path is not None:
                where.path.unlink(missing_ok=True)


def base_url(listener: socket.socket) -> str:
    """Where programs find the API, as their `base_url`."""
    return f"{page_url(listener) or 'http://localhost/'}v1"


def page_url(listener: socket.socket) -> str | None:
    """Where a browser finds the chat page; None on a Unix socket, which browsers do not open."""
    if listener.family == socket.AF_UNIX:
        return None
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def _open(where: Listening) -> socket.socket:
    family = socket.AF_UNIX if where.path is not None else socket.AF_INET6 if ":" in where.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        if where.path is not None:
            _remove_stale(where.path)
            before = os.umask(_OWNER_ONLY)
            try:
                listener.bind(str(where.path))
            finally:
                os.umask(before)
        else:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((where.host, where.port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise UserError(
            f"cannot listen on {where.place}: {error.strerror or error}; choose another place with --listen"
        ) from error
    except BaseException:
        listener.close()
        raise
    return listener


def _remove_stale(path: Path) -> None:
    """Removes the socket of a gateway that has ended."""
    if not path.exists():
        return
    if not stat.S_ISSOCK(path.stat().st_mode):
        raise UserError(f"{path} is there, and is no socket: choose another place with --listen")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        if probe.connect_ex(str(path)) == 0:
            raise UserError(f"somebody listens on {path} already: choose another place with --listen")
    path.unlink()
