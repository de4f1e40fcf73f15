"""The trained judge of requests: it is what its training made, divides what rules miss, and parts nothing in doubt."""

import json
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.exposure_prompts import read_prompts
from peernet.core.errors import UserError
from privacy.mention import Mention
from privacy.planning import ChatMessage, ExposurePolicy, Level, Plan, PlanRefused, _deciding, _judge, merge, plan
from privacy.planning._atoms import MAX_CHARS, atoms_of
from privacy.planning._deciding import Division, by_rules
from privacy.planning._dividing import Group
from privacy.planning._judge import DESCRIPTION, MODEL_FOLDER, WEIGHTS, Judge, Trees, Verdict, load, packaged
from privacy.planning._measures import LABELS
from privacy.planning._narrowing import CUT_OVER
from privacy.planning._source import Source
from privacy.planning._traits import hashed, read, traits_of
from training.planning import train as train_module
from training.planning.composing import composed
from training.planning.corpus import Labelled, parse, read_all
from training.planning.examples import examples_of, older
from training.planning.learning import fit_linear, fit_trees
from training.planning.train import digest_of, samples, train

DESCRIBED = json.loads((MODEL_FOLDER / DESCRIPTION).read_text(encoding="utf-8"))
TASKS = (
    "can you tell me how long to boil a duck egg, also write a note to the milkman that we are away until monday, "
    "oh and whats the latin name of the blackbird"
)
TEXT = "\n\n".join(
    f"Ticket {number}: the {thing} on floor {number} has been broken since Monday and nobody came to look at it."
    for number, thing in enumerate(("printer", "coffee machine", "lift", "door", "projector", "lamp"), start=1)
)


def planned(text: str, policy: ExposurePolicy | None = None, mentions: tuple[Mention, ...] = ()) -> Plan:
    return plan([ChatMessage("user", text)], [mentions], 8, policy or ExposurePolicy())


def test_the_packaged_model_was_made_of_the_prompts_that_are_there() -> None:
    assert DESCRIBED["prompts_sha256"] == digest_of(read_all())


def test_the_packaged_model_says_what_it_said_when_it_was_made() -> None:
    said = samples(packaged(), read_all())
    assert said.keys() == DESCRIBED["samples"].keys()
    assert said == pytest.approx(DESCRIBED["samples"], abs=2e-3)


def test_the_packaged_model_is_small_and_holds_no_words() -> None:
    assert sum(path.stat().st_size for path in MODEL_FOLDER.iterdir()) <= 300 * 1024
    with np.load(MODEL_FOLDER / WEIGHTS, allow_pickle=False) as arrays:
        assert {arrays[name].dtype.kind for name in arrays.files} <= {"i", "f"}


def test_the_development_fifth_is_told_by_the_description_and_reaches_what_it_tells() -> None:
    told = DESCRIBED["figures"]["development"]
    held = [one for one in read_all() if one.for_development]
    assert [sum(one.mode == mode for one in held) for mode in ("whole", "tasks", "shards")] == [
        told[mode] for mode in ("whole", "tasks", "shards")
    ]


def test_training_twice_makes_the_same_judge(monkeypatch: pytest.MonkeyPatch) -> None:
    # As it is made, but with less of everything.
    for name in ("COMPOSED", "SHORT", "STEPS", "OPENING_STEPS", "PLACE_TREES", "MESSAGE_TREES"):
        monkeypatch.setattr(train_module, name, 10)
    shown = examples_of([one for one in read_all() if not one.for_development][::60])
    one, other = train(shown).judge, train(shown).judge
    assert all(np.array_equal(one.linear[name], other.linear[name]) for name in one.linear)
    assert one.verdict(TASKS) == other.verdict(TASKS)


def test_nothing_that_is_held_back_or_for_development_is_trained_on() -> None:
    held_back = {prompt.text for prompt in read_prompts() if prompt.held_back}
    assert held_back
    assert not held_back & {one.text for one in [*read_all(), *older()]}
    assert 0.15 < sum(one.for_development for one in read_all()) / len(read_all()) < 0.3


@pytest.mark.parametrize("change", [lambda data: data[:-1], lambda data: b"", lambda data: data + b" "])
def test_weights_that_are_not_those_that_are_described_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[bytes], bytes]
) -> None:
    (tmp_path / DESCRIPTION).write_text(json.dumps(DESCRIBED), encoding="utf-8")
    (tmp_path / WEIGHTS).write_bytes(change((MODEL_FOLDER / WEIGHTS).read_bytes()))
    with pytest.raises(ValueError, match="is not the file"):
        load(tmp_path)
    monkeypatch.setattr(_judge, "MODEL_FOLDER", tmp_path)
    with pytest.raises(UserError, match="install peernet anew"):
        packaged.__wrapped__()


def test_what_is_joined_without_a_mark_goes_to_different_hosts() -> None:
    made = planned(TASKS)
    assert made.mode == "tasks"
    for words in ("boil a duck egg", "note to the milkman", "name of the blackbird"):
        assert sum(words in fragment.prompt.text for fragment in made.fragments) == 1


def with_judge(monkeypatch: pytest.MonkeyPatch, divisible: float, shards: float = -5.0, **more: object) -> None:
    class Sure(Judge):
        def verdict(self, text: str, holds: Sequence[tuple[int, int]] = ()) -> Verdict | None:
            said = packaged().verdict(text, holds)
            return None if said is None else evolve(said, divisible=divisible, shards=shards, **more)

    monkeypatch.setattr(_deciding, "packaged", lambda: Sure({}, {}, {}))


def without_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rules keep everything whole."""
    monkeypatch.setattr(_deciding, "by_rules", lambda *_: Division(why_whole="dependent"))


def test_what_the_rules_divide_stays_whole_where_the_judge_takes_it_for_one_matter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = "1. Name three noble gases.\n2. Write a haiku about rust.\n3. Why do cats purr?"
    with_judge(monkeypatch, divisible=_deciding.KEEP_UNDER + 0.1)
    assert planned(text).mode == "tasks"
    with_judge(monkeypatch, divisible=_deciding.KEEP_UNDER - 0.1)
    assert planned(text).why_whole == "one_matter"
    assert planned(text).reason == "one matter"


def test_what_the_rules_keep_whole_is_divided_where_the_judge_is_sure(monkeypatch: pytest.MonkeyPatch) -> None:
    without_rules(monkeypatch)
    with_judge(monkeypatch, divisible=_deciding.DIVIDE_OVER + 0.1)
    assert planned(TASKS).mode == "tasks"
    with_judge(monkeypatch, divisible=_deciding.DIVIDE_OVER - 0.1)
    assert planned(TASKS).why_whole == "dependent"


def test_where_the_rules_give_a_host_too_much_the_judge_may_give_it_less(monkeypatch: pytest.MonkeyPatch) -> None:
    haiku, cats = places_of(THREE, "Write a haiku", "Why do cats")
    with_judge(monkeypatch, divisible=5.0, first=0, places={haiku: 5.0, cats: 5.0})
    joined = by_rules(Source([ChatMessage("user", THREE)], [()]), 8, ExposurePolicy())
    first, second, third = joined.groups
    joined = evolve(joined, groups=(Group([*first.tasks, *second.tasks], set()), third))
    monkeypatch.setattr(_deciding, "by_rules", lambda *_: joined)
    assert len(planned(THREE).fragments) == 3
    assert len(planned(THREE, ExposurePolicy(max_share=0.9)).fragments) == 2


def places_of(text: str, *words: str) -> list[int]:
    """The atoms that begin with some words."""
    starts = [atom.start for atom in atoms_of(text)]
    return [starts.index(text.index(one)) for one in words]


THREE = (
    "Name three noble gases.\nWrite a haiku about rust in the harbour of Gdynia.\nWhy do cats purr when they sleep?"
)


def test_a_matter_that_is_too_large_is_cut_where_another_one_may_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    without_rules(monkeypatch)
    haiku, cats = places_of(THREE, "Write a haiku", "Why do cats")
    unsure = CUT_OVER + 0.1
    with_judge(monkeypatch, divisible=5.0, first=0, places={haiku: 1.0, cats: unsure})
    assert [fragment.prompt.text for fragment in planned(THREE).fragments] == THREE.split("\n")
    loose = planned(THREE, ExposurePolicy(max_share=0.9))
    assert [fragment.prompt.text for fragment in loose.fragments] == THREE.split("\n", 1)


def test_a_matter_is_not_cut_where_hardly_another_one_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    without_rules(monkeypatch)
    haiku, cats = places_of(THREE, "Write a haiku", "Why do cats")
    with_judge(monkeypatch, divisible=5.0, first=0, places={haiku: 1.0, cats: CUT_OVER - 0.1})
    made = planned(THREE)
    assert [fragment.prompt.text for fragment in made.fragments] == THREE.split("\n", 1)
    assert made.exceeds_max_share
    assert any("more than the policy's share" in notice for notice in made.notices)


LETTER = "\n\n".join(
    f"The {thing} in flat {number} has been broken since the storm, and nobody from the office came to look at it."
    for number, thing in enumerate(("window", "boiler", "front door", "kitchen tap", "balcony rail", "lift"), start=1)
)
LONG_AMONG_SHORT = f"1. What is rust?\n2. Translate this letter into Polish:\n\n{LETTER}"


def test_a_task_over_a_long_text_goes_in_runs_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    without_rules(monkeypatch)
    (letter,) = places_of(LONG_AMONG_SHORT, "2. Translate")
    with_judge(monkeypatch, divisible=5.0, first=0, places={letter: 5.0})
    made = planned(LONG_AMONG_SHORT)
    rust, *runs = [fragment.prompt.text for fragment in made.fragments]
    assert (made.mode, rust) == ("tasks", "What is rust?")
    assert len(runs) > 1
    assert all("Translate this letter into Polish:" in run for run in runs)
    assert [sum(line in run for run in runs) for line in LETTER.split("\n\n")] == [1] * 6
    assert not made.exceeds_max_share
    assert made.reason == f"a task of one instruction over 6 paragraphs, in {len(runs)} runs"


def test_the_answers_to_a_task_in_runs_stand_under_its_heading_as_its_text_did(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (letter,) = places_of(LONG_AMONG_SHORT, "2. Translate")
    with_judge(monkeypatch, divisible=5.0, first=0, places={letter: 5.0})
    made = planned(LONG_AMONG_SHORT)
    answers = {0: "Iron oxide.", **{n: f"Run {n}." for n in range(1, len(made.fragments))}}
    runs = "\n\n".join(f"Run {n}." for n in range(1, len(made.fragments)))
    translated = f"**2. Translate this letter into Polish:**\n\n{runs}"
    assert merge(made, answers) == f"**1. What is rust?**\n\nIron oxide.\n\n{translated}"


def test_who_only_leads_in_is_left_out_where_a_host_gets_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    without_rules(monkeypatch)
    lead = "It rained all day so I have three things for you."
    text = f"{lead} Why do cats purr? Write a haiku about rust in the harbour of Gdynia."
    cats, haiku = places_of(text, "Why do cats", "Write a haiku")
    with_judge(monkeypatch, divisible=5.0, first=cats, places={haiku: 5.0}, labels=(LABELS.index("context"), 1, 1))
    assert all(lead in fragment.prompt.text for fragment in planned(text, ExposurePolicy(max_share=0.9)).fragments)
    assert planned(text, ExposurePolicy(max_share=0.6)).fragments[1].prompt.text == text.split("? ")[1]


def test_a_context_goes_to_every_task_and_a_wish_too(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = (
        "Context: we are a small bakery in Leeds that opens on Sundays.",
        "- write a post about our new rye bread",
        "- answer a guest who found a hair in a bun",
        "- a sign for the door about the queue",
        "Keep all of them friendly and short.",
    )
    text = "\n".join(lines)
    starts = places_of(text, *lines)
    said = dict(zip(starts, ("context", "task", "task", "task", "wish"), strict=True))
    labels = tuple(LABELS.index(said.get(place, "goes_on")) for place in range(len(atoms_of(text))))
    without_rules(monkeypatch)
    with_judge(monkeypatch, divisible=5.0, first=starts[1], places=dict.fromkeys(starts[2:4], 5.0), labels=labels)
    made = planned(text)
    assert len(made.fragments) == 3
    for words in ("small bakery in Leeds", "friendly and short"):
        assert all(words in fragment.prompt.text for fragment in made.fragments)


def test_what_is_told_in_a_matter_goes_to_it_and_to_those_behind_it(monkeypatch: pytest.MonkeyPatch) -> None:
    without_rules(monkeypatch)
    text = "Why do cats purr?\nWe moved to Gdynia in May.\nName a museum for children.\nName a quiet beach."
    labels = tuple(LABELS.index(label) for label in ("task", "context", "task", "task"))
    with_judge(monkeypatch, divisible=5.0, first=0, places={2: 5.0, 3: 5.0}, labels=labels)
    told = ["moved to Gdynia" in fragment.prompt.text for fragment in planned(text).fragments]
    assert told == [True, True, True]
    with_judge(monkeypatch, divisible=5.0, first=0, places={1: 5.0, 3: 5.0}, labels=(1, 1, 2, 1))
    told = ["a museum" in fragment.prompt.text for fragment in planned(text).fragments]
    assert told == [False, True, True]


def test_who_asks_for_the_poem_goes_where_a_poem_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    without_rules(monkeypatch)
    text = "Write a poem about the sea.\nWhy do cats purr?\nTranslate the poem into Polish."
    with_judge(monkeypatch, divisible=5.0, first=0, places={1: 5.0, 2: 5.0})
    sea, cats, poem = text.split("\n")
    assert [fragment.prompt.text for fragment in planned(text).fragments] == [f"{sea}\n\n{poem}", cats]


def test_what_speaks_of_all_that_was_said_is_never_parted_from_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with_judge(monkeypatch, divisible=9.0)
    apart = "Name three rivers in Spain. Write a haiku about rust, thanks. Which wine goes with goat?"
    assert planned(apart).mode == "tasks"
    assert planned(f"{apart} Write one limerick of all of the above.").mode == "whole"


def test_strict_refuses_what_the_judge_keeps_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    with_judge(monkeypatch, divisible=-9.0)
    with pytest.raises(PlanRefused):
        planned("1. Name three gases.\n2. Write a haiku.\n3. Why do cats purr?", ExposurePolicy(Level.STRICT))


def test_open_asks_no_judge(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_deciding, "packaged", None)
    assert planned(TASKS, ExposurePolicy(Level.OPEN)).why_whole == "open"


def test_what_is_too_long_for_the_judge_is_left_to_the_rules() -> None:
    assert packaged().verdict("word " * (MAX_CHARS // 5 + 1)) is None
    assert packaged().verdict("") is None
    assert planned("A sentence about nothing. " * (MAX_CHARS // 26 + 1)).mode == "whole"


def test_an_instruction_that_the_rules_do_not_know_is_sent_with_every_run() -> None:
    asked = "tell me per ticket who of my two janitors (Ole: electrics, Kim: the rest) gets it"
    made = planned(f"{asked}\n\n{TEXT}")
    assert made.mode == "shards"
    assert all(asked in fragment.prompt.text for fragment in made.fragments)
    assert [sum(line in f.prompt.text for f in made.fragments) for line in TEXT.split("\n\n")] == [1] * 6


def test_no_atom_begins_inside_a_mention() -> None:
    text = TASKS.replace("the milkman", "Bo, also Kim")
    start, end = text.index("Bo, also Kim"), text.index("Bo, also Kim") + len("Bo, also Kim")
    assert any(start < atom.start < end for atom in atoms_of(text))
    assert not any(start < atom.start < end for atom in atoms_of(text, [(start, end)]))
    made = planned(text, mentions=(Mention(start, end, "PERSON", 1.0, "spacy"),))
    assert any("Bo, also Kim" in fragment.prompt.text for fragment in made.fragments)


SAYABLE = st.text(st.sampled_from("ab ?.,;:-\n1)2*•\"'(|/+éß中#`"), max_size=300)


@given(SAYABLE)
@settings(deadline=None)
def test_atoms_are_in_order_and_lose_no_word(text: str) -> None:
    atoms = atoms_of(text)
    assert all(one.end <= other.start for one, other in pairwise(atoms))
    assert all(atom.start < atom.end for atom in atoms)
    covered = {place for atom in atoms for place in range(atom.start, atom.end)}
    assert not [text[n] for n in range(len(text)) if n not in covered and text[n].isalnum()]


@given(SAYABLE)
@settings(deadline=None)
def test_equal_messages_have_equal_traits_and_verdicts(text: str) -> None:
    rows = [[hashed(traits) for traits in traits_of(read(text, atoms_of(text)))] for _ in range(2)]
    assert rows[0] == rows[1]
    assert packaged().verdict(text) == packaged().verdict(text)


@given(st.lists(st.sampled_from(TASKS.split() + TEXT.split() + ["\n", "\n\n- ", "?", "1)", "also"]), max_size=80))
@settings(deadline=None)
def test_whatever_the_judge_divides_only_ranges_of_the_original_are_sent(words: list[str]) -> None:
    text = " ".join(words)
    with pytest.MonkeyPatch.context() as patch:
        with_judge(patch, divisible=9.0, shards=len(words) % 2 - 0.5)
        if not text.strip():
            return
        made = planned(text)
    for fragment in made.fragments:
        assert fragment.prompt.text == "\n\n".join(text[p.start : p.end] for p in fragment.prompt.pieces)


def test_twice_the_text_takes_not_much_more_than_twice_the_time() -> None:
    def seconds(text: str) -> float:
        spent = []
        for _ in range(5):
            begin = time.process_time()
            packaged().verdict(text)
            spent.append(time.process_time() - begin)
        return min(spent)

    packaged().verdict(TASKS)
    assert seconds(TEXT * 12) < 4 * seconds(TEXT * 6) + 0.01


def test_a_block_says_its_kind_and_where_its_parts_begin() -> None:
    block = "tasks\n<|social>Hi!\n<|task>1. Name a gas. <|task>2. Why do cats purr?\n<|wish>Short, please."
    found = parse(block, "here")
    assert found.text == "Hi!\n1. Name a gas. 2. Why do cats purr?\nShort, please."
    assert [(part.kind, found.text[part.start : part.end]) for part in found.parts] == [
        ("social", "Hi!"),
        ("task", "1. Name a gas."),
        ("task", "2. Why do cats purr?"),
        ("wish", "Short, please."),
    ]


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ("task\n<|task>a", "begins with tasks, shards or whole"),
        ("tasks\nHi <|task>a <|task>b", "begins with a mark"),
        ("tasks\n<|task>a", "at least 2 parts task"),
        ("shards\n<|instruction>a\n<|record>b", "at least 2 parts record"),
        ("whole\n<|task>a", "has no marks"),
        ("tasks\n<|task>a <|job>b", "no mark <|job>"),
    ],
)
def test_a_block_that_is_wrong_says_why(block: str, message: str) -> None:
    with pytest.raises(ValueError, match=message.replace("|", r"\|")):
        parse(block, "here")


def test_every_prompt_of_ours_is_in_the_format_and_begins_where_an_atom_does() -> None:
    prompts = read_all()
    assert {mode: sum(one.mode == mode for one in prompts) >= 200 for mode in ("tasks", "shards", "whole")} == {
        "tasks": True,
        "shards": True,
        "whole": True,
    }
    marked = [example for example in examples_of(prompts[::6]) if example.labelled.mode == "tasks"]
    parts = sum(part.kind == "task" for example in marked for part in example.labelled.parts)
    found = sum(kind == "task" for example in marked for kind in example.begins.values())
    assert found > 0.95 * parts


def test_composed_prompts_are_of_several_matters_that_are_marked() -> None:
    ours = [one for one in read_all() if not one.for_development]
    made: list[Labelled] = composed(ours, 40, 3)
    assert made == composed(ours, 40, 3)
    assert made != composed(ours, 40, 4)
    assert all(sum(part.kind == "task" for part in one.parts) >= 2 for one in made)


def test_the_linear_learner_finds_what_tells_labels_apart() -> None:
    rows = [[0, 2], [1, 2], [0, 3], [1, 3]]
    allowed = np.array([[True, False], [False, True]] * 2)
    weights = fit_linear(rows, allowed, np.ones(4), 4, 60)
    assert (weights[0] - weights[1])[0] > 1 < (weights[1] - weights[0])[1]
    assert abs(weights[2] - weights[3]).max() < 0.1


def test_trees_find_a_rule_of_two_numbers() -> None:
    chance = np.random.default_rng(1)
    rows = chance.random((400, 3)).astype(np.float32).astype(float)
    labels = (rows[:, 0] + rows[:, 1] > 1).astype(float)
    trees: Trees = fit_trees(rows, labels, np.ones(400), 60, 1)
    right = [(trees.score(list(row)) > 0) == bool(label) for row, label in zip(rows, labels, strict=True)]
    assert sum(right) > 370
