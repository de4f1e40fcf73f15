"""How long a host is waited for, and whom a client asks first."""

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peernet.core import host_ranking
from peernet.core.host_ranking import Candidate, HostStandings, first_token_default_s

NOW_S = 1000.0
HOST = "12D3KooWhost"
OTHER = "12D3KooWother"


@pytest.fixture
def standings() -> HostStandings:
    return HostStandings()


def first(standings: HostStandings, prompt_tokens: int = 100, now_s: float = NOW_S) -> float:
    return standings.first_token_deadline_s(HOST, prompt_tokens, now_s)


def gaps(standings: HostStandings, *took_s: float, host: str = HOST) -> None:
    for each in took_s:
        standings.next_token(host, each, NOW_S)


# --- deadlines -------------------------------------------------------------------------------------------------------


def test_of_whom_nothing_is_known_the_default_counts_and_longer_prompts_may_take_longer(standings: HostStandings):
    standings.first_token(OTHER, 100, 0.01, NOW_S)
    gaps(standings, *[0.01] * 100, host=OTHER)
    assert first(standings, 0) == host_ranking.FIRST_TOKEN_DEFAULT_S
    assert first(standings, 1000) == host_ranking.FIRST_TOKEN_DEFAULT_S + 1000 * host_ranking.PROMPT_TOKEN_S
    assert first(standings, 10**6) == host_ranking.FIRST_TOKEN_CEILING_S
    assert standings.next_token_deadline_s(HOST, NOW_S) == host_ranking.NEXT_TOKEN_DEFAULT_S


def test_a_deadline_is_a_multiple_of_what_this_host_took(standings: HostStandings):
    standings.first_token(HOST, 100, 2.0, NOW_S)
    gaps(standings, *[0.1] * 15, 1.5)
    assert first(standings) == 4 * 2.0
    assert standings.next_token_deadline_s(HOST, NOW_S) == 4 * 1.5


def test_a_quick_host_is_left_a_pause(standings: HostStandings):
    standings.first_token(HOST, 100, 0.001, NOW_S)
    gaps(standings, *[0.001] * 16)
    assert first(standings) == host_ranking.FIRST_TOKEN_FLOOR_S
    assert standings.next_token_deadline_s(HOST, NOW_S) == host_ranking.NEXT_TOKEN_FLOOR_S


def test_the_first_token_of_a_longer_prompt_may_take_longer_and_of_a_shorter_one_not_less(standings: HostStandings):
    standings.first_token(HOST, 100, 2.0, NOW_S)
    assert first(standings, 250) == 4 * 2.0 * 2.5
    assert first(standings, 10) == 4 * 2.0


def test_one_odd_answer_among_many_does_not_count(standings: HostStandings):
    for took_s in [2.0] * 31 + [50.0]:
        standings.first_token(HOST, 100, took_s, NOW_S)
    assert first(standings) == 4 * 2.0


def test_what_is_long_ago_is_forgotten(standings: HostStandings):
    standings.first_token(HOST, 100, 2.0, NOW_S)
    gaps(standings, *[1.0] * 16)
    later_s = NOW_S + host_ranking.RECENT_S + 1
    assert first(standings, 100, later_s) == first_token_default_s(100)
    assert standings.next_token_deadline_s(HOST, later_s) == host_ranking.NEXT_TOKEN_DEFAULT_S


def test_a_host_that_stalled_is_waited_for_twice_as_long_until_it_has_answered(standings: HostStandings):
    standings.first_token(HOST, 100, 1.5, NOW_S)
    gaps(standings, *[1.0] * 16)
    standings.stalled(HOST, NOW_S)
    assert first(standings) == 2 * 4 * 1.5
    assert standings.next_token_deadline_s(HOST, NOW_S) == 2 * 4 * 1.0
    standings.answered(HOST, NOW_S)
    assert first(standings) == 4 * 1.5


SEEN = st.tuples(
    st.sampled_from(["first", "next", "stalled", "answered", "failed", "busy"]),
    st.floats(0, 1e6),
    st.integers(0, 10**6),
)


@given(seen=st.lists(SEEN, max_size=60), prompt_tokens=st.integers(0, 10**6))
def test_whatever_a_host_does_its_deadlines_stay_within_their_bounds(
    seen: list[tuple[str, float, int]], prompt_tokens: int
):
    standings = HostStandings()
    for what, seconds, tokens in seen:
        match what:
            case "first":
                standings.first_token(HOST, tokens, seconds, NOW_S)
            case "next":
                standings.next_token(HOST, seconds, NOW_S)
            case _:
                getattr(standings, what)(HOST, NOW_S)
    default_s = first_token_default_s(prompt_tokens)
    assert host_ranking.FIRST_TOKEN_FLOOR_S <= first(standings, prompt_tokens) <= default_s
    next_s = standings.next_token_deadline_s(HOST, NOW_S)
    assert host_ranking.NEXT_TOKEN_FLOOR_S <= next_s <= host_ranking.NEXT_TOKEN_DEFAULT_S


# --- ranking ---------------------------------------------------------------------------------------------------------

GOOD, BAD = 0, 1


def first_places(
    standings: HostStandings, candidates: list[Candidate], draws: int = 4000, answer_tokens: int = 100
) -> Counter[str]:
    chance = random.Random(1)
    orders = [standings.order(candidates, lambda each: each, chance, NOW_S, answer_tokens) for _ in range(draws)]
    assert all(sorted(order, key=candidates.index) == candidates for order in orders)
    return Counter(order[0].host for order in orders)


def of(number: int, *, capacity: int = 2, staleness: float = 0.0) -> Candidate:
    return Candidate(f"host {number}", capacity, staleness)


@pytest.mark.parametrize("how", ["slow", "stale", "failing", "busy", "loaded"])
def test_the_better_of_two_hosts_comes_first_three_times_in_four(standings: HostStandings, how: str):
    candidates = [of(GOOD), of(BAD, staleness=0.9 if how == "stale" else 0.0)]
    for each in candidates:
        standings.first_token(each.host, 100, 1.0, NOW_S)
    worse = candidates[BAD].host
    match how:
        case "slow":
            standings.first_token(worse, 100, 1.2, NOW_S)
        case "failing":
            standings.failed(worse, NOW_S)
        case "busy":
            standings.busy(worse, NOW_S)
        case "loaded":
            standings.begun(worse)
    counts = first_places(standings, candidates)
    assert 0.70 < counts["host 0"] / counts.total() < 0.80


def test_nobody_is_preferred_by_everybody_and_nobody_is_never_asked(standings: HostStandings):
    """The best of ten comes first with a chance of 0.19, the worst of 0.01."""
    candidates = [of(number) for number in range(10)]
    for number, each in enumerate(candidates):
        standings.first_token(each.host, 100, 0.1 * (number + 1), NOW_S)
    counts = first_places(standings, candidates)
    assert 0.15 < counts["host 0"] / counts.total() < 0.23
    assert 0.0 < counts["host 9"] / counts.total() < 0.03


def test_hosts_that_look_perfect_gain_at_most_twice_their_number(standings: HostStandings):
    """Three of ten: first with 1 - 0.7^2 = 0.51, whatever they claim and however quick they are."""
    candidates = [of(number, capacity=10**9 if number < 3 else 1) for number in range(10)]
    for number, each in enumerate(candidates):
        standings.first_token(each.host, 100, 0.001 if number < 3 else 5.0, NOW_S)
        standings.stretch(each.host, host_ranking.STRETCH_TOKENS, 0.001 if number < 3 else 5.0, NOW_S)
        if number >= 3:
            standings.failed(each.host, NOW_S)
            standings.busy(each.host, NOW_S)
    counts = first_places(standings, candidates)
    assert 0.46 < sum(counts[f"host {number}"] for number in range(3)) / counts.total() < 0.56


def cost(standings: HostStandings, after_s: float = 0.0, answer_tokens: int = 1) -> float:
    """That of a host whose first token is expected after a second, and each further one after half a second."""
    typical = 1.0, host_ranking.STRETCH_TOKENS * 0.5
    return standings._cost(Candidate(HOST, 1, 0.0), typical, answer_tokens, NOW_S + after_s)


def test_a_host_costs_what_its_whole_answer_takes(standings: HostStandings):
    assert cost(standings, answer_tokens=1) == 1.0
    assert cost(standings, answer_tokens=101) == 1.0 + 100 * 0.5
    standings.stretch(HOST, host_ranking.STRETCH_TOKENS, 1.6, NOW_S)
    assert cost(standings, answer_tokens=101) == pytest.approx(1.0 + 100 * 0.1)
    standings.first_token(HOST, 100, 3.0, NOW_S)
    assert cost(standings, answer_tokens=101) == pytest.approx(3.0 + 100 * 0.1)


def test_an_answer_that_may_become_very_long_counts_to_a_bound(standings: HostStandings):
    assert cost(standings, answer_tokens=10**6) == cost(standings, answer_tokens=host_ranking.RANKED_TOKENS)
    assert cost(standings, answer_tokens=0) == 1.0


def test_for_a_long_answer_the_quicker_writer_comes_first_and_for_a_short_one_who_begins_sooner(
    standings: HostStandings,
):
    candidates = [of(0), of(1)]
    for host, first_s, stretch_s in (("host 0", 0.3, 3.2), ("host 1", 2.0, 0.4)):
        standings.first_token(host, 100, first_s, NOW_S)
        standings.stretch(host, host_ranking.STRETCH_TOKENS, stretch_s, NOW_S)
    short, long = (first_places(standings, candidates, answer_tokens=tokens) for tokens in (4, 200))
    assert 0.70 < short["host 0"] / short.total() < 0.80
    assert 0.70 < long["host 1"] / long.total() < 0.80


def test_of_a_host_that_was_asked_for_a_few_tokens_alone_the_others_speed_is_expected(standings: HostStandings):
    for number, stretch_s in ((0, 1.6), (1, None), (2, 6.4)):
        standings.first_token(f"host {number}", 100, 1.0, NOW_S)
        if stretch_s is not None:
            standings.stretch(f"host {number}", host_ranking.STRETCH_TOKENS, stretch_s, NOW_S)
    counts = first_places(standings, [of(number) for number in range(3)])
    assert counts["host 0"] > counts["host 1"] > counts["host 2"]


def test_an_unknown_host_is_taken_for_an_average_one(standings: HostStandings):
    standings.first_token("host 0", 100, 2.0, NOW_S)
    standings.first_token("host 2", 100, 6.0, NOW_S)
    counts = first_places(standings, [of(0), of(1), of(2)])
    assert counts["host 0"] > counts["host 1"] > counts["host 2"]


def test_a_claimed_capacity_counts_to_a_bound(standings: HostStandings):
    for number in (0, 1):
        for _ in range(4):
            standings.begun(f"host {number}")
    counts = first_places(standings, [of(0, capacity=host_ranking.MAX_CAPACITY), of(1, capacity=10**9)])
    assert 0.45 < counts["host 0"] / counts.total() < 0.55
    counts = first_places(standings, [of(0, capacity=1), of(1, capacity=4)])
    assert counts["host 1"] > counts["host 0"]


def test_old_errors_and_refusals_fade(standings: HostStandings):
    for _ in range(5):
        standings.failed(HOST, NOW_S)
        standings.busy(HOST, NOW_S)
    costs = [cost(standings, after_s) for after_s in (0, 60, 3600, 36000)]
    assert costs == sorted(costs, reverse=True)
    assert costs[-1] == pytest.approx(1.0, rel=0.01)


def test_an_attempt_that_is_over_is_no_load(standings: HostStandings):
    idle = cost(standings)
    standings.begun(HOST)
    assert cost(standings) == 2 * idle
    standings.ended(HOST)
    assert cost(standings) == idle


def test_only_so_many_hosts_are_remembered(standings: HostStandings):
    for number in range(host_ranking.MAX_HOSTS + 50):
        standings.first_token(str(number), 100, 1.0, NOW_S)
    assert len(standings._standings) == host_ranking.MAX_HOSTS
    assert "0" not in standings._standings
