"""How the benchmark of a ring's stages parts CPU time."""

import time

import pytest

import benchmarks.ring_stages as module
from benchmarks.ring_stages import REST, STAGES, _Stages
from peernet.core.wire import MessageSet
from privacy.screening import Screen


class Work:
    """Takes CPU time on a clock of the test's own."""

    now_ns = 0

    def outer(self) -> None:
        self.spend(10)
        self.inner()
        self.spend(20)

    def inner(self) -> None:
        self.spend(3)

    def fail(self) -> None:
        self.spend(5)
        raise ValueError

    @classmethod
    def spend(cls, ns: int) -> None:
        cls.now_ns += ns


def test_time_is_of_the_innermost_stage_and_what_none_has_is_the_rest(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(time, "process_time_ns", lambda: Work.now_ns)
    monkeypatch.setattr(module, "STAGES", {"one": ((Work, ("outer",)),), "two": ((Work, ("inner", "fail")),)})
    stages, work = _Stages(), Work()
    with stages.watching():
        work.outer()
        assert set(stages.spent_ns.values()) == {0}  # not on yet
        stages.turn(on=True)
        work.spend(100)
        work.outer()
        with pytest.raises(ValueError):  # noqa: PT011
            work.fail()
        work.spend(1)
        stages.turn(on=False)
        work.spend(1000)
    assert stages.spent_ns == {"one": 30, "two": 8, REST: 101}


def test_all_functions_of_the_stages_are_there_and_are_left_as_they_were():
    before = Screen.screen, MessageSet.encode
    with _Stages().watching():
        assert Screen.screen is not before[0]
    assert (Screen.screen, MessageSet.encode) == before
    names = [(kind, name) for kinds in STAGES.values() for kind, of in kinds for name in of]
    assert len(names) == len(set(names))
