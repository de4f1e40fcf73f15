"""How many files this process may open: each connection is one, and the system's first answer is often a small number.

The bound that a process may raise by itself is raised as far as the limits of its connections need. Where the system
allows less, it is raised as far as that goes, and the operator is told what to do.
"""

import resource
from typing import Final

import structlog

from peernet.net.limits import Limits

__all__ = ["allow_open_files"]

OTHERS: Final = 128
"""Databases, logs, pipes to an engine, and what libraries open."""

log = structlog.get_logger()


def allow_open_files(limits: Limits) -> bool:
    """Raises the bound to what `limits` may need; False, and a warning, if the system does not allow it."""
    dialled = limits.dial_attempts_at_once  # beyond the place that each dial has among the connections
    needed = limits.connections + limits.handshakes_waiting + dialled + OTHERS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if _allows(soft, needed):
        return True
    allowed = _raised(needed if _allows(hard, needed) else hard, soft, hard)
    if _allows(allowed, needed):
        return True
    log.warning(
        "the system lets this process open fewer files than its limits may need: raise 'ulimit -n', or LimitNOFILE= "
        "of its systemd unit",
        needed=needed,
        allowed=allowed,
    )
    return False


def _raised(wanted: int, soft: int, hard: int) -> int:
    """The bound after an attempt to raise it to `wanted`."""
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (ValueError, OSError):
        return soft  # some systems name a greater bound than they grant
    return wanted


def _allows(bound: int, needed: int) -> bool:
    return bound == resource.RLIM_INFINITY or bound >= needed
