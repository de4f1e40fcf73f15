"""The exposure benchmark: its corpus is what it says, its judge can say no, and a part of it holds in every run."""

from collections import Counter

import pytest
from attrs import evolve

from benchmarks.exposure import Seen, answer_of, measure
from benchmarks.exposure_prompts import Document, read_prompts
from peernet.client.events import Answered
from privacy.detection import Detector
from privacy.exposure import ExposureReceipt

PROMPTS = {prompt.id: prompt for prompt in read_prompts()}
WORKED_ON = [prompt for prompt in PROMPTS.values() if not prompt.held_back]
TABLE = next(p for p in WORKED_ON if p.merge == "text" and p.document is not None and ";" in p.document.before)
TASKS = next(p for p in WORKED_ON if p.kind == "tasks" and len(p.parts) == 3)


def test_the_corpus_is_large_mixed_and_labelled() -> None:
    kinds = Counter(prompt.kind for prompt in PROMPTS.values())
    assert len(PROMPTS) >= 320
    assert kinds["whole"] >= len(PROMPTS) / 3
    assert min(kinds["tasks"], kinds["shards"]) >= 80
    assert sum(bool(prompt.names) for prompt in PROMPTS.values()) >= 150
    assert sum(bool(prompt.before) for prompt in PROMPTS.values()) >= 20
    assert len({(prompt.before, prompt.text) for prompt in PROMPTS.values()}) == len(PROMPTS)


def test_the_last_two_parts_are_held_back_and_nothing_else_is() -> None:
    held_back = [prompt for prompt in PROMPTS.values() if prompt.held_back]
    assert {prompt.id for prompt in held_back} == {name for name in PROMPTS if name.startswith(("fresh2-", "fresh3-"))}
    assert Counter(prompt.kind for prompt in held_back) == {"tasks": 56, "shards": 39, "whole": 65}
    documents = {prompt.document for prompt in WORKED_ON}
    assert not any(prompt.document in documents for prompt in held_back if prompt.document is not None)
    assert sum(bool(prompt.names) for prompt in held_back) >= 70


@pytest.mark.parametrize("name", PROMPTS)
def test_a_label_speaks_of_its_prompt(name: str) -> None:
    prompt = PROMPTS[name]
    assert prompt.divisible == bool(prompt.parts)
    assert len(prompt.parts) != 1
    assert (prompt.kind == "shards") == bool(prompt.merge)
    places = [[prompt.text.index(words) for words in part] for part in prompt.parts]
    assert places == sorted(places)
    assert all(name in prompt.text or any(name in said for said in prompt.before) for name in prompt.names)
    assert "<<" not in prompt.text


def test_the_least_share_is_that_of_the_largest_part_with_what_it_needs() -> None:
    text = "Our bakery sells rye. Name one bread. Draft two long friendly letters about yeast. Count sheep."
    alone = evolve(TASKS, text=text, parts=(("one bread",), ("long friendly letters",), ("Count sheep",)))
    assert alone.least_share == pytest.approx(4 / 14)
    needing = evolve(alone, parts=(("bakery", "one bread"), ("bakery", "long friendly letters"), ("Count sheep",)))
    assert needing.least_share == pytest.approx(7 / 14)


def test_the_least_share_of_a_text_is_that_of_its_longest_record_with_the_instruction() -> None:
    document = Document(("Four words of yeast.", "Rye bread, wheat bread, oat bread."), "\n")
    text = f"Translate into Polish:\n{document.text}"
    prompt = evolve(TABLE, text=text, document=document, parts=tuple((record,) for record in document.records))
    assert prompt.least_share == pytest.approx(8 / 11)


def answered(text: str) -> Answered:
    receipt = ExposureReceipt((), "tasks", "standard", "private")
    return Answered(text, receipt, (), {}, "log", 0, None, 0.0)


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("⟦1⟧ a\n\n⟦2⟧ b\n\n⟦3⟧ c", True),
        ("⟦2⟧ b\n\n⟦1⟧ a\n\n⟦3⟧ c", False),
        ("⟦1⟧ a\n\n⟦3⟧ c", False),
        ("⟦1⟧ a\n\n⟦2⟧ b\n\n⟦2⟧ b\n\n⟦3⟧ c", False),
    ],
)
def test_answers_are_right_in_order_and_each_once(text: str, right: bool) -> None:
    assert Seen(TASKS, answered=answered(text)).merged_rightly() is right


def test_a_text_that_comes_back_must_be_the_one_that_was_sent() -> None:
    document = TABLE.document
    assert document is not None
    back = document.before + document.join.join(f"⟦{n}⟧{row}" for n, row in enumerate(document.records, start=1))
    assert Seen(TABLE, answered=answered(back)).merged_rightly()
    assert not Seen(TABLE, answered=answered(document.before + back)).merged_rightly()
    assert not Seen(TABLE, answered=answered(back.replace("\n", "\n\n"))).merged_rightly()


def test_a_host_answers_what_it_sees_whole_and_in_its_own_words() -> None:
    prompt = evolve(TASKS, text="Write to Ann. Call Bob.", parts=(("to Ann",), ("Call", "Bob")))
    assert answer_of(prompt, "Write to PERSON_A1.", {"PERSON_A1": "Ann"}) == "⟦1⟧ answered"
    assert answer_of(prompt, "Call PERSON_B2.", {"PERSON_B2": "Bob"}) == "⟦2⟧ answered"
    assert answer_of(prompt, "Call PERSON_B2.", {"PERSON_B2": "Bo"}) == "Nothing."
    record = TABLE.document.records[0] if TABLE.document else ""
    word = record.split(";")[1]
    masked = f"Translate:\n{record.replace(word, 'PERSON_C3')}"
    assert answer_of(TABLE, masked, {"PERSON_C3": word}) == f"⟦1⟧{record.replace(word, 'PERSON_C3')}"


def test_shares_are_those_of_what_the_engines_got() -> None:
    prompt = evolve(TASKS, text="alpha beta gamma delta")
    seen = Seen(prompt, sent={"a": ["alpha PERSON_K7"], "b": ["beta gamma"], "c": ["alpha"]})
    assert seen.largest_share() == 0.5
    assert seen.largest_share(2) == 0.75
    assert seen.largest_share(9) == 0.75
    assert evolve(prompt, names=("Gamma", "omega")).names
    assert Seen(evolve(prompt, names=("Gamma", "omega")), sent=seen.sent).planted_in_clear() == 1


@pytest.fixture(scope="module")
def some() -> list[Seen]:
    pytest.importorskip("spacy")
    return measure(WORKED_ON[::7], Detector.load())


def sent_to_several(some: list[Seen]) -> list[Seen]:
    return [seen for seen in some if seen.prompt.divisible and seen.split]


def test_what_is_divisible_is_split_and_nothing_else_is(some: list[Seen]) -> None:
    assert len(some) >= 38
    divisible = [seen for seen in some if seen.prompt.divisible]
    assert len(sent_to_several(some)) >= 0.95 * len(divisible)
    others = [seen for seen in some if not seen.prompt.divisible]
    assert sum(not seen.split for seen in others) >= 0.95 * len(others)


def test_answers_come_together(some: list[Seen]) -> None:
    split = sent_to_several(some)
    assert sum(seen.merged_rightly() for seen in split) >= 0.95 * len(split)


def test_no_host_sees_more_than_it_should_nor_whom_it_is_about(some: list[Seen]) -> None:
    shares = sorted(seen.largest_share() for seen in sent_to_several(some))
    assert shares[len(shares) // 2] <= 0.4
    assert shares[-1] <= 0.6
    assert sum(seen.identities_in_clear for seen in some) == 0
    assert sum(len(seen.prompt.names) for seen in some) > 20


def test_the_receipt_says_what_the_engines_got(some: list[Seen]) -> None:
    for seen in some:
        if seen.answered is not None:
            assert seen.answered.exposure.largest_share == pytest.approx(seen.largest_share())
