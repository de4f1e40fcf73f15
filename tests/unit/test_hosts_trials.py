"""Whose turn it is to be asked, what is kept of the answers' times, and what is made of them."""

import random

import pytest
from attrs import define, field

from bootstrap.database import Database, Transaction
from bootstrap.hosts.questions import FORMS, MAX_ANSWER_TOKENS, draw_question
from bootstrap.hosts.speeds import (
    MIN_DOUBTED,
    MIN_TRIALS,
    Speed,
    doubts_of,
    network_speeds,
    speed_of_days,
    speeds_of_account,
    speeds_of_models,
    sum_of_speeds,
    trial_costs,
)
from bootstrap.hosts.standing import retire_host, suspend_host
from bootstrap.hosts.trials import FIRST_WITHIN_S, LONG_TOKENS, SHORT_TOKENS, record_trial, take_turns
from peernet.core.host_trials import FAILURES, NOT_TRIED, HostTrial
from privacy.detection import Detector
from privacy.screening import Screen
from tests.registered_hosts import add_account, add_host, keys_of

DAY_S = 24 * 3600
NOW_S = 1_000 * DAY_S + 7_200
EVERY_S = 3_600
WHY = {"reason": "unreliable", "explanation": "It was slow."}


@define
class Fixed:
    """Draws that always lie at the same place between their bounds."""

    place: float = 0.5
    drawn: list[tuple[float, float]] = field(factory=list)

    def uniform(self, a: float, b: float) -> float:
        self.drawn.append((a, b))
        return a + self.place * (b - a)


def add_answering(transaction: Transaction, number: int = 1, *models: str) -> str:
    host = add_host(transaction, "ann", number, NOW_S - DAY_S)
    transaction.execute("UPDATE host SET answered_at_s = :now WHERE id = :id", id=host, now=NOW_S)
    for name in models or ("small",):
        transaction.execute(
            "INSERT INTO host_model VALUES (:id, :name, 'offered', :digest, 1)", id=host, name=name, digest=b"d"
        )
    return host


@pytest.fixture
def host(database: Database) -> str:
    def set_up(transaction: Transaction) -> str:
        add_account(transaction, "ann")
        return add_answering(transaction)

    return database.write(set_up)


def turns(database: Database, now_s: int, draws: Fixed | None = None):
    return database.write(lambda transaction: take_turns(transaction, now_s, EVERY_S, draws or Fixed()))


def keep(database: Database, host: str, *trials: HostTrial, model: str = "small", at_s: int = NOW_S) -> None:
    def work(transaction: Transaction) -> None:
        for trial in trials:
            record_trial(transaction, host, model, trial, at_s)

    database.write(work)


def answered(prompt_tokens: int = 20, first_token_s: float = 0.25, **changes: object) -> HostTrial:
    values = {"answer_tokens": 51, "later_tokens": 50, "later_s": 2.0, "longest_gap_s": 0.1, "price_microcredits": 300}
    return HostTrial(
        "answered",
        prompt_tokens=prompt_tokens,
        first_token_s=first_token_s,
        **{**values, **changes},  # type: ignore[arg-type]
    )


def total(database: Database) -> dict[str, Speed]:
    return database.read(lambda transaction: speeds_of_account(transaction, "ann", 0))


# --- turns -----------------------------------------------------------------------------------------------------------


def test_a_new_host_is_not_asked_at_once_but_at_a_moment_that_is_drawn(database: Database, host: str):
    draws = Fixed()
    assert turns(database, NOW_S, draws) == []
    assert draws.drawn == [(0, FIRST_WITHIN_S)]
    assert turns(database, NOW_S + FIRST_WITHIN_S // 2 - 1) == []
    (due,) = turns(database, NOW_S + FIRST_WITHIN_S // 2)
    assert (due.host_id, due.peer_key, due.models) == (host, keys_of(1).peer.public_key, ["small"])


def test_the_next_turn_is_drawn_around_the_interval(database: Database, host: str):
    database.write(lambda transaction: transaction.execute("INSERT INTO host_trial_due VALUES (:id, 0)", id=host))
    draws = Fixed(place=1.0)
    assert len(turns(database, NOW_S, draws)) == 1
    assert draws.drawn == [(EVERY_S / 2, EVERY_S * 3 / 2)]

    def still_up(transaction: Transaction) -> None:
        transaction.execute("UPDATE host SET answered_at_s = :now", now=NOW_S + 2 * EVERY_S)

    database.write(still_up)
    assert turns(database, NOW_S + EVERY_S * 3 // 2 - 1) == []
    assert len(turns(database, NOW_S + EVERY_S * 3 // 2)) == 1


def test_who_does_not_answer_or_is_out_has_no_turn(database: Database, host: str):
    def others(transaction: Transaction) -> None:
        away, retired, suspended = (add_answering(transaction, number) for number in (2, 3, 4))
        transaction.execute("UPDATE host SET answered_at_s = :then WHERE id = :id", id=away, then=NOW_S - 3_600)
        retire_host(transaction, retired, now_s=NOW_S)
        suspend_host(transaction, suspended, now_s=NOW_S, by="ann", **WHY)
        for each in (host, away, retired, suspended):
            transaction.execute("INSERT INTO host_trial_due VALUES (:id, 0)", id=each)

    database.write(others)
    assert [due.host_id for due in turns(database, NOW_S)] == [host]


def test_a_round_is_bounded_and_who_has_waited_longest_comes_first(
    database: Database, host: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("bootstrap.hosts.trials.MAX_A_ROUND", 2)

    def more(transaction: Transaction) -> list[str]:
        hosts = [host, *(add_answering(transaction, number) for number in (2, 3, 4))]
        for place, each in enumerate(hosts):
            transaction.execute("INSERT INTO host_trial_due VALUES (:id, :due)", id=each, due=1_000 - place)
        return hosts

    hosts = database.write(more)
    asked = [due.host_id for due in turns(database, NOW_S)]
    assert asked == hosts[:1:-1]
    assert {due.host_id for due in turns(database, NOW_S)} == set(hosts[:2])


# --- what is kept ----------------------------------------------------------------------------------------------------


def test_trials_add_up_by_host_model_and_hour(database: Database, host: str):
    keep(database, host, answered(), answered(first_token_s=0.75, longest_gap_s=0.4, later_s=3.0))
    keep(database, host, answered(), at_s=NOW_S - DAY_S)
    keep(database, host, answered(), model="large")
    (speed,) = total(database).values()
    assert (speed.tries, speed.answers, speed.answer_tokens, speed.price_microcredits) == (4, 4, 204, 1_200)
    assert speed.first_token_ms == pytest.approx(375)
    assert (speed.slowest_first_ms, speed.longest_gap_ms) == (750, 400)
    assert speed.inter_token_ms == pytest.approx(45)
    assert speed.answer_tokens_per_s == pytest.approx(200 / 9)
    by_model = dict(database.read(lambda transaction: speeds_of_models(transaction, host, 0)))
    assert {name: each.tries for name, each in by_model.items()} == {"large": 1, "small": 3}
    days = database.read(lambda transaction: speed_of_days(transaction, host, NOW_S - 2 * DAY_S))
    assert {day: each.tries for day, each in days.items()} == {999: 1, 1_000: 3}
    assert sum_of_speeds(list(days.values())) == speed


@pytest.mark.parametrize("outcome", FAILURES)
def test_a_failure_is_counted_by_its_kind(database: Database, host: str, outcome: str):
    keep(database, host, answered(), HostTrial(outcome, prompt_tokens=20, price_microcredits=40))
    speed = total(database)[host]
    assert {word: getattr(speed, word) for word in FAILURES} == {word: int(word == outcome) for word in FAILURES}
    assert speed.failure_rate == 0.5
    assert speed.first_token_ms == 250  # of those that came


@pytest.mark.parametrize("outcome", NOT_TRIED)
def test_what_was_no_hosts_doing_is_counted_for_the_network_alone(database: Database, host: str, outcome: str):
    keep(database, host, HostTrial(outcome, price_microcredits=40))
    assert total(database) == {}
    costs = database.read(lambda transaction: trial_costs(transaction, 0))
    assert (costs.tries, costs.failures, costs.not_tried, costs.price_microcredits) == (0, 0, 1, 40)


def test_the_network_has_the_sums_of_its_hosts(database: Database, host: str):
    other = database.write(lambda transaction: add_answering(transaction, 2))
    keep(database, host, answered(first_token_s=0.1))
    keep(database, other, answered(first_token_s=0.3), HostTrial("timed_out"))
    speeds = database.read(lambda transaction: network_speeds(transaction, NOW_S - DAY_S))
    assert speeds["small"].first_token_ms == pytest.approx(200)
    assert (speeds["small"].tries, speeds["small"].answers) == (3, 2)
    assert database.read(lambda transaction: network_speeds(transaction, NOW_S + 1)) == {}
    costs = database.read(lambda transaction: trial_costs(transaction, 0))
    assert (costs.tries, costs.failures, costs.price_microcredits) == (3, 1, 600)


# --- speeds and doubts -----------------------------------------------------------------------------------------------


def test_prompt_tokens_a_second_come_from_two_lengths(database: Database, host: str):
    short, long = answered(SHORT_TOKENS, 0.5), answered(LONG_TOKENS + 36, 1.0)
    keep(database, host, *[short, long] * (MIN_TRIALS - 1))
    assert total(database)[host].prompt_tokens_per_s is None
    keep(database, host, short, long)
    assert total(database)[host].prompt_tokens_per_s == pytest.approx(200)


def test_no_prompt_speed_is_told_where_the_difference_drowns(database: Database, host: str):
    keep(database, host, *[answered(SHORT_TOKENS, 0.5), answered(LONG_TOKENS, 0.51)] * MIN_TRIALS)
    assert total(database)[host].prompt_tokens_per_s is None


def test_few_answers_make_no_speed():
    assert Speed(answers=MIN_TRIALS - 1, later_tokens=10, later_us=10).answer_tokens_per_s is None
    assert Speed().first_token_ms is Speed().inter_token_ms is Speed().failure_rate is None


def slow(answers: int = MIN_DOUBTED, per_s: float = 0.5) -> Speed:
    return Speed(answers=answers, later_tokens=100, later_us=round(100e6 / per_s))


def test_a_graphics_processor_slower_than_any_processor_is_a_doubt_and_no_more():
    (doubt,) = doubts_of("Testcard 9000", [], slow())
    assert "slower than a processor alone usually is" in doubt
    assert "can be why" in doubt
    for gpus, speed in (("", slow()), ("Testcard 9000", slow(per_s=2)), ("Testcard 9000", slow(MIN_DOUBTED - 1))):
        assert doubts_of(gpus, [], speed) == []


def test_other_weights_than_were_declared_are_a_doubt():
    declared, none = "ab" * 32, "00" * 32
    for offered, doubted in (("cd" * 32, True), (declared, False), (none, False)):
        models = [
            ("small", "declared", declared, 1),
            ("small", "offered", offered, 1),
            ("new", "offered", declared, 1),
        ]
        assert bool(doubts_of("", models, Speed())) == doubted


# --- questions -------------------------------------------------------------------------------------------------------


def test_questions_are_many_of_several_lengths_and_ask_for_little():
    chance = random.Random(7)
    drawn = [draw_question(chance) for _ in range(400)]
    assert len({question.text for question in drawn}) > 370
    words = sorted(len(question.text.split()) for question in drawn)
    assert words[50] < 20
    assert words[-50] > 150
    assert max(question.max_tokens for question in drawn) <= MAX_ANSWER_TOKENS
    assert len({question.max_tokens for question in drawn}) > 10
    assert "{" not in "".join(question.text for question in drawn)


def test_no_host_refuses_a_question_and_there_is_nobody_in_it():
    chance = random.Random(8)
    drawn = [draw_question(chance) for _ in range(40)]
    screen, detector = Screen(), Detector.load()
    assert len(FORMS) > 10
    assert all(screen.screen(question.text).allowed for question in drawn)
    assert [detector.detect(question.text) for question in drawn] == [[]] * len(drawn)
