"""The bound of open files is raised as far as it must be, and no further."""

import resource

import pytest
from structlog.testing import capture_logs

from peernet.net.limits import BUSY, HOME, Limits
from peernet.node.open_files import OTHERS, allow_open_files

NEEDED = HOME.connections + HOME.handshakes_waiting + HOME.dial_attempts_at_once + OTHERS


@pytest.fixture
def bounds(monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[int, int]]:
    """The system's bounds, soft and hard, which this process does not really change."""
    now = {"files": (256, 4096)}
    monkeypatch.setattr(resource, "getrlimit", lambda _: now["files"])
    monkeypatch.setattr(resource, "setrlimit", lambda _, bounds: now.update(files=bounds))
    return now


def test_home_needs_less_than_most_systems_give_at_first():
    assert NEEDED < 1024


def test_a_small_bound_is_raised_to_what_is_needed(bounds: dict[str, tuple[int, int]]):
    assert allow_open_files(HOME)
    assert bounds["files"] == (NEEDED, 4096)


@pytest.mark.parametrize("soft", [5000, resource.RLIM_INFINITY])
def test_a_bound_that_is_enough_stays(bounds: dict[str, tuple[int, int]], soft: int):
    bounds["files"] = (soft, soft)
    assert allow_open_files(HOME)
    assert bounds["files"] == (soft, soft)


def test_where_the_system_allows_less_the_operator_is_told(bounds: dict[str, tuple[int, int]]):
    with capture_logs() as logged:
        assert not allow_open_files(BUSY)
    (line,) = logged
    assert "ulimit -n" in line["event"]
    assert line["needed"] > line["allowed"] == 4096
    # As many as may be had is still more than the system's first answer.
    assert bounds["files"] == (4096, 4096)
    assert allow_open_files(Limits(connections=1))


@pytest.mark.parametrize("refusal", [ValueError("not allowed to raise maximum limit"), PermissionError(1, "no")])
def test_a_system_that_refuses_ends_nothing(
    bounds: dict[str, tuple[int, int]], monkeypatch: pytest.MonkeyPatch, refusal: Exception
):
    """Some name a greater bound than they grant, and a container may forbid the call."""

    def refuse(*_: object) -> None:
        raise refusal

    monkeypatch.setattr(resource, "setrlimit", refuse)
    bounds["files"] = (256, resource.RLIM_INFINITY)
    with capture_logs() as logged:
        assert not allow_open_files(HOME)
    (line,) = logged
    assert "ulimit -n" in line["event"]
    assert line["allowed"] == 256
