"""Answers to generated conversations, restored to what they mean at every cut: the benchmark's, and fewer of them."""

from benchmarks.restoration import SEED, answers, restored_exactly


def test_answers_are_restored_exactly_at_every_cut() -> None:
    for answer in answers(SEED, 200):
        exact, cuts = restored_exactly(answer)
        assert exact == cuts
