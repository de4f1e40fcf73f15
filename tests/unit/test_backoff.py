"""Backoff: rests that double up to a bound, and are forgotten."""

from peernet.net.backoff import Backoff


def rest_of(backoff: Backoff[str], key: str, now: float) -> float:
    """How long `key` rests from `now` on."""
    ends = now
    while backoff.rests(key, ends):
        ends += 0.5
    return ends - now


def test_what_goes_wrong_rests_longer_each_time_up_to_a_bound():
    backoff: Backoff[str] = Backoff(0.5, 10, 100)
    now, rested = 0.0, []
    for _ in range(8):
        backoff.failed("a", now)
        backoff.failed("a", now)  # while it rests that is no further time
        rested.append(rest_of(backoff, "a", now))
        now += rested[-1]
    assert rested == [0.5, 1, 2, 4, 8, 10, 10, 10]


def test_it_is_by_key_and_over_when_it_works():
    backoff: Backoff[str] = Backoff(1, 8, 100)
    backoff.failed("a", 0)
    assert backoff.rests("a", 0)
    assert not backoff.rests("b", 0)
    backoff.succeeded("a")
    backoff.succeeded("b")
    assert not backoff.rests("a", 0)
    assert len(backoff) == 0


def test_what_was_left_alone_for_long_begins_anew():
    backoff: Backoff[str] = Backoff(1, 8, 100)
    for now in (0, 1, 3):
        backoff.failed("a", now)
    assert rest_of(backoff, "a", 3) == 4
    backoff.failed("a", 7 + 8)  # its rest was over at 7
    assert rest_of(backoff, "a", 15) == 8
    backoff.failed("a", 23 + 8.5)
    assert rest_of(backoff, "a", 31.5) == 1


def test_as_many_are_remembered_as_the_bound_says():
    backoff: Backoff[int] = Backoff(1, 8, 3)
    for number in range(5):
        backoff.failed(number, 0)
    assert len(backoff) == 3
    assert [backoff.rests(number, 0) for number in range(5)] == [False, False, True, True, True]
