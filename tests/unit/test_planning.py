"""P3: which part of a request goes to which host, by hand-written requests."""

import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peernet.core.errors import LocalProtocolError
from privacy.exposure import share, word_set
from privacy.mention import Mention
from privacy.planning import (
    GLUE,
    MAX_FRAGMENTS,
    ChatMessage,
    ExposurePolicy,
    History,
    Level,
    Merger,
    Plan,
    PlanRefused,
    merge,
    next_to_show,
    plan,
)

pytestmark = pytest.mark.usefixtures("rules_alone")

STANDARD = ExposurePolicy()
STRICT = ExposurePolicy(level=Level.STRICT)
OPEN = ExposurePolicy(level=Level.OPEN)


def planned(text: str, hosts: int = 5, policy: ExposurePolicy = STANDARD, mentions: tuple[Mention, ...] = ()) -> Plan:
    return plan([ChatMessage("user", text)], [mentions], hosts, policy)


def find(text: str, words: str, label: str = "PERSON") -> Mention:
    start = text.index(words)
    return Mention(start, start + len(words), label, 1.0, "spacy")


def fragments(made: Plan) -> list[str]:
    return [fragment.prompt.text for fragment in made.fragments]


# Three independent tasks or more: each goes alone, and no host gets over half of the words.
BALANCED = {
    "questions": (
        "What is the capital of France? Who painted Guernica? Why is the sky blue?",
        ["What is the capital of France?", "Who painted Guernica?", "Why is the sky blue?"],
    ),
    "numbered": (
        (
            "1. Explain photosynthesis in two sentences.\n2. Write a haiku about"
            " rain.\n3. List three uses of baking soda."
        ),
        ["Explain photosynthesis in two sentences.", "Write a haiku about rain.", "List three uses of baking soda."],
    ),
    "bullets under a lead that says nothing": (
        (
            "Please answer these questions:\n\n- What is the boiling point of ethanol?\n- Who founded"
            " Kraków?\n- Why do cats purr?"
        ),
        ["What is the boiling point of ethanol?", "Who founded Kraków?", "Why do cats purr?"],
    ),
    "parentheses": (
        "a) Define entropy.\nb) Name a river in Peru.\nc) What is rust?",
        ["Define entropy.", "Name a river in Peru.", "What is rust?"],
    ),
    "numbers within a line": (
        "1) What is DNA? 2) Who composed Aida? 3) How do tides form?",
        ["What is DNA?", "Who composed Aida?", "How do tides form?"],
    ),
    "instructions": (
        "Make a packing list for Iceland. Explain the Dunning-Kruger effect. Convert 5 miles to km.",
        ["Make a packing list for Iceland.", "Explain the Dunning-Kruger effect.", "Convert 5 miles to km."],
    ),
    "paragraphs with greeting and thanks": (
        "Hi Sam,\n\nWhat causes rainbows?\n\nRecommend a beginner's running plan.\n\nHow is cheese made?\n\nThanks!",
        ["What causes rainbows?", "Recommend a beginner's running plan.", "How is cheese made?"],
    ),
    "ordinals": (
        "First, list three fruits. Second, explain how a transistor works. Third, write a limerick about Dublin.",
        [
            "First, list three fruits.",
            "Second, explain how a transistor works.",
            "Third, write a limerick about Dublin.",
        ],
    ),
    "a lead question": (
        (
            "Can you help me with three things? When is it best to visit Kyoto? How do I remove wine stains?"
            " Who was Kafka?"
        ),
        ["When is it best to visit Kyoto?", "How do I remove wine stains?", "Who was Kafka?"],
    ),
    "questions after a colon": (
        "Here are three questions: What is inflation? Who wrote Emma? Where is Lake Baikal?",
        ["What is inflation?", "Who wrote Emma?", "Where is Lake Baikal?"],
    ),
    "a line each, without marks": (
        "Explain gravity\nWrite a haiku about rain\nWho was Immanuel Kant",
        ["Explain gravity", "Write a haiku about rain", "Who was Immanuel Kant"],
    ),
    "titled tasks": (
        (
            "Task 1: Write a slogan for a bakery.\nTask 2: Explain tidal locking.\nTask 3: Convert"
            " 10 miles to kilometres."
        ),
        ["Write a slogan for a bakery.", "Explain tidal locking.", "Convert 10 miles to kilometres."],
    ),
    "sections": (
        "# Cooking\nHow do I poach an egg?\n\n# History\nWhy did Rome fall?\n\n# Maths\nWhat is a prime number?",
        ["# Cooking\nHow do I poach an egg?", "# History\nWhy did Rome fall?", "# Maths\nWhat is a prime number?"],
    ),
    "wishes": (
        (
            "I'd like a recipe for pancakes. I want to know how to clean a pan. Could you suggest a"
            " podcast about astronomy?"
        ),
        [
            "I'd like a recipe for pancakes.",
            "I want to know how to clean a pan.",
            "Could you suggest a podcast about astronomy?",
        ],
    ),
    "Polish": (
        "Jaka jest stolica Francji? Kto namalował Guernicę? Dlaczego niebo jest niebieskie?",
        ["Jaka jest stolica Francji?", "Kto namalował Guernicę?", "Dlaczego niebo jest niebieskie?"],
    ),
    "Chinese": (
        "请问法国的首都是哪里？谁画了格尔尼卡？天空为什么是蓝色的？",
        ["请问法国的首都是哪里？", "谁画了格尔尼卡？", "天空为什么是蓝色的？"],
    ),
    "a pronoun with its noun": (
        "What is a black hole and how does it form? Who invented the telephone? Suggest a gift for a gardener.",
        [
            "What is a black hole and how does it form?",
            "Who invented the telephone?",
            "Suggest a gift for a gardener.",
        ],
    ),
    "a pronoun that means nothing": (
        "Is it safe to drink tap water in Lima? How much does it cost to ship a bike? Draft a reply to an invitation.",
        [
            "Is it safe to drink tap water in Lima?",
            "How much does it cost to ship a bike?",
            "Draft a reply to an invitation.",
        ],
    ),
    "marks within quotation marks": (
        "Translate 'Where is it? I am lost.' into Spanish. What is a prime number? Recommend a museum in Vienna.",
        [
            "Translate 'Where is it? I am lost.' into Spanish.",
            "What is a prime number?",
            "Recommend a museum in Vienna.",
        ],
    ),
    "code that belongs to one item": (
        (
            "1. Fix this code:\n```\nprint(1\n```\n2. Who was the first president of Chad?\n3. Who"
            " sculpted the Pietà in Rome?"
        ),
        [
            "Fix this code:\n```\nprint(1\n```",
            "Who was the first president of Chad?",
            "Who sculpted the Pietà in Rome?",
        ],
    ),
}


@pytest.mark.parametrize("name", BALANCED)
def test_independent_tasks_go_to_a_host_each_and_none_gets_over_half(name: str) -> None:
    text, expected = BALANCED[name]
    made = planned(text, policy=STRICT)
    assert fragments(made) == expected
    assert [fragment.slot for fragment in made.fragments] == [0, 1, 2]
    assert made.largest_share <= 0.5
    assert not made.exceeds_max_share
    assert all(share(text, [fragment.prompt.text]) <= 0.5 for fragment in made.fragments)


# Background, remarks and references: what goes along with which task.
ATTACHED = {
    "background to the task that shares its words": (
        (
            "I have an old car with a rusty door.\n\n1. How do I remove rust from a car door?\n2. What should I cook"
            " on Friday?\n3. Which stretches help a stiff neck?"
        ),
        [
            "I have an old car with a rusty door.\n\nHow do I remove rust from a car door?",
            "What should I cook on Friday?",
            "Which stretches help a stiff neck?",
        ],
    ),
    "background that a pronoun needs": (
        "My sister Anna is vegan. What could she eat for breakfast? Who won the 1998 World Cup? Define entropy.",
        [
            "My sister Anna is vegan. What could she eat for breakfast?",
            "Who won the 1998 World Cup?",
            "Define entropy.",
        ],
    ),
    "background that is itself a chain": (
        (
            "The patient is a man with chest pain. He takes aspirin. What could cause his chest pain? Also,"
            " recommend a novel."
        ),
        [
            "The patient is a man with chest pain. He takes aspirin. What could cause his chest pain?",
            "Also, recommend a novel.",
        ],
    ),
    "background of no task goes to the nearest": (
        "Work has been stressful lately. How can I sleep better? What is a good recipe for soup?",
        ["Work has been stressful lately. How can I sleep better?", "What is a good recipe for soup?"],
    ),
    "a remark on the task before it": (
        "Plan a weekend in Rome. Use public transport only. What is the plot of Tosca? Give two examples.",
        ["Plan a weekend in Rome. Use public transport only.", "What is the plot of Tosca? Give two examples."],
    ),
    "a remark for all": (
        "What is gravity?\n\nWho was Cleopatra?\n\nAnswer in French.",
        ["What is gravity?\n\nAnswer in French.", "Who was Cleopatra?\n\nAnswer in French."],
    ),
    "a role for all": (
        "Act as a lawyer. Is a verbal contract binding? How long do patents last?",
        ["Act as a lawyer. Is a verbal contract binding?", "Act as a lawyer.\n\nHow long do patents last?"],
    ),
    "it, in a list": (
        "1. What is the capital of Peru?\n2. What is its population?\n3. Who wrote Hamlet?",
        ["What is the capital of Peru?\n\nWhat is its population?", "Who wrote Hamlet?"],
    ),
    "she, after a question": (
        "Who was Marie Curie? When did she die? What is radium used for?",
        ["Who was Marie Curie? When did she die?", "What is radium used for?"],
    ),
    "the poem, after a poem": (
        "Write a poem about the sea. Explain compound interest. Translate the poem into Polish.",
        ["Write a poem about the sea.\n\nTranslate the poem into Polish.", "Explain compound interest."],
    ),
    "an instruction without an object": (
        "Describe a sunset. Translate into Polish. Who discovered radium?",
        ["Describe a sunset. Translate into Polish.", "Who discovered radium?"],
    ),
    "a question without a noun": (
        "1. Suggest a name for a cat.\n2. Explain why.\n3. What is the speed of sound?",
        ["Suggest a name for a cat.\n\nExplain why.", "What is the speed of sound?"],
    ),
    "and of": (
        "What is the capital of France? And of Spain? Who wrote Don Quixote?",
        ["What is the capital of France? And of Spain?", "Who wrote Don Quixote?"],
    ),
    "a number that points back": (
        "1. Name a mammal.\n2. Who was Kant?\n3. Draw on your answer to question 1 for a slogan.",
        ["Name a mammal.\n\nDraw on your answer to question 1 for a slogan.", "Who was Kant?"],
    ),
    "one instruction for each item": (
        "Translate each of the following into German:\n1. Good morning\n2. My hovercraft is full of eels",
        [
            "Translate each of the following into German:\n\nGood morning",
            "Translate each of the following into German:\n\nMy hovercraft is full of eels",
        ],
    ),
    "code that one question is about": (
        "Fix this code:\n```python\ndef f(x):\n    return x +\n```\nWhat is the capital of Norway?",
        ["Fix this code:\n```python\ndef f(x):\n    return x +\n```", "What is the capital of Norway?"],
    ),
    "a topic above questions": (
        "My trip to Norway starts in May:\n1. What should I pack?\n2. Is tipping common?",
        [
            "My trip to Norway starts in May:\n\nWhat should I pack?",
            "My trip to Norway starts in May:\n\nIs tipping common?",
        ],
    ),
}


@pytest.mark.parametrize("name", ATTACHED)
def test_a_task_keeps_what_it_refers_to_and_nothing_else(name: str) -> None:
    text, expected = ATTACHED[name]
    assert fragments(planned(text)) == expected


EMAIL = (
    "Proofread this e-mail:\n\nDear Anna,\n\nCould you send me the report? Please call John. What time suits you?\n\n"
    "Best regards,\nTom"
)
INDIVISIBLE = {
    "one question": ("Why do leaves turn red in autumn?", "one_task"),
    "nothing asked": ("I had a long day at the office.", "no_task"),
    "nothing at all": ("", "no_task"),
    "a greeting": ("Hello there!", "no_task"),
    "a poem": (
        ("Shall I compare thee to a summer's day?\nThou art more lovely and more temperate\n"
        "Rough winds do shake the darling buds of May\nAnd summer's lease hath all too short a date"),
        "no_task",
    ),
    "an e-mail to proofread": (EMAIL, "one_task"),
    "an e-mail alone": (EMAIL.partition("\n\n")[2], "no_task"),
    "an article": (
        ("Summarise this article:\n\nThe council met. What should be done? Nobody knows. Write to your councillor.\n\n"
        "What is at stake? Everything."),
        "one_task",
    ),
    "a text after a colon": ("Translate this to German: The cat sat. Where is it? Find the cat.", "one_task"),
    "a quoted block": ("Summarise:\n> Who goes there? Stand still.\n> What do you want? Answer me.", "one_task"),
    "code": ("def f(x):\n    return x\n\nclass A:\n    pass\n\nWhat does it do?", "one_task"),
    "a task with its constraints": (
        "Write a story about a dragon. Make it funny. Include a princess. Keep it under 200 words.",
        "one_task",
    ),
    "steps of one script": (
        "Write a Python script that does the following:\n1. Read a CSV file\n2. Compute the mean\n3. Plot the result",
        "one_task",
    ),
    "things to compare": ("Compare the following:\n- apples\n- oranges\n- plums", "one_task"),
    "a chain": ("Write a short poem about the sea. Translate it into French. Then shorten the poem.", "dependent"),
    "a summary of all": (
        "Describe Rome.\n\nDescribe Oslo.\n\nWhich of the above is warmer, and are both of them dear?",
        "dependent",
    ),
    "questions about one text": (
        ("```\nThe old miller of Zator kept seven grey cats, two ploughs, an anvil and a broken clock\n```\n"
        "What is the theme? Suggest a title."),
        "shared",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", INDIVISIBLE)
def test_what_cannot_be_split_goes_whole_and_the_plan_says_so(name: str) -> None:
    text, why = INDIVISIBLE[name]
    made = planned(text)
    assert (made.mode, made.why_whole, fragments(made)) == ("whole", why, [text])
    assert made.largest_share == 1.0
    assert any("whole" in notice for notice in made.notices)


@pytest.mark.parametrize("name", INDIVISIBLE)
def test_strict_never_sends_the_whole(name: str) -> None:
    with pytest.raises(PlanRefused, match="local engine"):
        planned(INDIVISIBLE[name][0], policy=STRICT)


TEXTS = {name: case[0] for table in (BALANCED, ATTACHED, INDIVISIBLE) for name, case in table.items()}


def test_there_are_enough_cases() -> None:
    assert len(TEXTS) >= 40


@pytest.mark.parametrize("name", TEXTS)
def test_fragments_are_ranges_of_the_original_and_glue(name: str) -> None:
    text = TEXTS[name]
    made = planned(text)
    for fragment in made.fragments:
        assert fragment.prompt.text == GLUE.join(text[p.start : p.end] for p in fragment.prompt.pieces)
        assert {p.message for p in fragment.prompt.pieces} <= {0}
        assert not text or fragment.share == pytest.approx(share(text, [fragment.prompt.text], ()))
    if made.mode == "tasks":
        assert all(fragment.prompt.text != text for fragment in made.fragments)


@pytest.mark.parametrize("name", BALANCED | ATTACHED)
def test_no_word_of_the_request_is_lost_but_courtesy_and_numbers(name: str) -> None:
    text = (BALANCED | ATTACHED)[name][0]
    sent = set(re.findall(r"\w+", " ".join(fragments(planned(text)))))
    courtesy = word_set("Hi Sam Thanks Please answer these questions Can you help me with three things Here are Task")
    assert {word for word in re.findall(r"\w+", text) if not re.fullmatch(r"\d|[abc]", word)} - sent <= courtesy


def test_open_lets_one_host_have_the_whole() -> None:
    text = BALANCED["questions"][0]
    made = planned(text, policy=OPEN)
    assert (made.mode, made.why_whole, fragments(made)) == ("whole", "open", [text])


def test_a_divisible_request_is_not_sent_whole_to_an_only_host() -> None:
    with pytest.raises(PlanRefused, match="'open'"):
        planned(BALANCED["questions"][0], hosts=1)
    with pytest.raises(PlanRefused, match="no host"):
        planned("Why?", hosts=0)


FIVE = "What is rust? Who was Kant? Where is Oslo? When was Rome founded? Why do cats purr? How do tides form?"


def test_fewer_hosts_than_fragments_share_them_evenly() -> None:
    made = planned(FIVE, hosts=3, policy=STRICT)
    assert len(made.fragments) == 6
    assert {fragment.slot for fragment in made.fragments} == {0, 1, 2}
    assert made.largest_share <= 0.5
    assert made.largest_share == pytest.approx(max(share(FIVE, made.texts(slot), ()) for slot in range(3)))


def test_strict_refuses_and_standard_tells_when_a_host_gets_too_much() -> None:
    text = (
        "Who was Kant? Explain at length how the turbine, the boiler and the condenser of a power station cooperate."
    )
    with pytest.raises(PlanRefused, match="allows 50%"):
        planned(text, policy=STRICT)
    made = planned(text)
    assert made.exceeds_max_share
    assert any("more than the policy's share" in notice for notice in made.notices)
    assert planned(text, policy=ExposurePolicy(level=Level.STRICT, max_share=0.9)).mode == "tasks"


def test_very_many_tasks_stay_within_bounds() -> None:
    text = "\n".join(f"{n}. Who was king number{n} of land{n}?" for n in range(1, 101))
    made = planned(text, hosts=100)
    assert len(made.fragments) <= MAX_FRAGMENTS
    assert made.largest_share < 0.1
    assert planned("Who was Kant? " * 600).why_whole == "too_many_parts"


def test_mentions_move_with_their_fragments() -> None:
    text = "Who was Kant? What did Dr. Anna Nowak write to Jan Kowal? Where is Oslo?"
    made = planned(text, mentions=(find(text, "Dr. Anna Nowak"), find(text, "Jan Kowal"), find(text, "Kant")))
    seen = [[f.prompt.text[m.start : m.end] for m in f.prompt.mentions] for f in made.fragments]
    assert seen == [["Kant"], ["Dr. Anna Nowak", "Jan Kowal"], []]


def test_nothing_ends_inside_a_mention() -> None:
    text = "Who runs Yahoo! Japan Corp. Holdings today? Where is Oslo?"
    made = planned(text, mentions=(find(text, "Yahoo! Japan Corp. Holdings", "ORGANIZATION"),))
    assert fragments(made) == ["Who runs Yahoo! Japan Corp. Holdings today?", "Where is Oslo?"]


def test_a_mention_cut_by_a_border_is_still_masked() -> None:
    text = "1. Who was Anna\n2. Nowak and who was Jan?"
    made = planned(text, mentions=(Mention(text.index("Anna"), text.index(" and"), "PERSON", 1.0, "spacy"),))
    seen = [f.prompt.text[m.start : m.end] for f in made.fragments for m in f.prompt.mentions]
    assert "Anna" in "".join(seen)
    assert "Nowak" in "".join(seen)


def test_a_person_named_in_the_background_is_who_she_is() -> None:
    text = "Maria Kowalska retires soon. I collect stamps. What could she read? Who won in 1998?"
    made = planned(text, mentions=(find(text, "Maria Kowalska"),))
    assert "Maria Kowalska" in made.fragments[0].prompt.text
    assert "Maria" not in made.fragments[1].prompt.text


def test_context_names_the_background_pieces() -> None:
    text = ATTACHED["background to the task that shares its words"][0]
    (piece,) = planned(text).fragments[0].context
    assert text[piece.start : piece.end] == "I have an old car with a rusty door."


# --- more than one turn


def conversation(*contents: str) -> list[ChatMessage]:
    return [ChatMessage("assistant" if index % 2 else "user", content) for index, content in enumerate(contents)]


def test_only_the_last_message_is_sent_and_the_plan_says_what_is_left_out() -> None:
    messages = conversation("My name is Zbigniew. Who was Kant?", "A philosopher.", *[BALANCED["questions"][0]])
    made = plan(messages, [(), (), ()], 5, STANDARD)
    assert "Zbigniew" not in "".join(fragments(made))
    assert made.history_dropped
    assert {p.message for f in made.fragments for p in f.prompt.pieces} == {2}


def test_a_slot_is_sent_only_its_own_past() -> None:
    history = History()
    history.record(0, "Who was PERSON_K7?", "PERSON_K7 was a king.")
    history.record(1, "How do volcanoes erupt?", "Magma rises.")
    assert [m.content for m in history.transcript(1)] == ["How do volcanoes erupt?", "Magma rises."]
    assert history.transcript(2) == ()
    messages = conversation("Who was Kazimierz? How do volcanoes erupt?", "...", "Are volcanoes in Chile taller?")
    made = plan(messages, [(), (), ()], 5, STANDARD, history)
    assert [f.slot for f in made.fragments] == [1]
    assert made.history_dropped
    history.wipe()
    assert history.slots() == ()


def test_a_lone_host_keeps_the_whole_conversation() -> None:
    history = History()
    history.record(0, "Why is rust red?", "Iron oxide.")
    made = plan(conversation("Why is rust red?", "Iron oxide.", "And paint?"), [(), (), ()], 5, STANDARD, history)
    assert made.fragments[0].slot == 0
    assert not made.history_dropped


def test_fragment_n_goes_to_slot_n_in_every_turn() -> None:
    first = planned(BALANCED["questions"][0])
    second = planned(BALANCED["instructions"][0])
    assert [f.slot for f in first.fragments] == [f.slot for f in second.fragments]


def test_system_messages_go_to_every_host_and_count_in_no_share() -> None:
    messages = [ChatMessage("system", "You are a pirate."), ChatMessage("user", BALANCED["questions"][0])]
    made = plan(messages, [(), ()], 3, STRICT)
    assert [excerpt.text for excerpt in made.system] == ["You are a pirate."]
    assert made.largest_share <= 0.5
    assert any("system" in notice for notice in made.notices)


def test_arguments_that_do_not_fit_are_our_bug() -> None:
    with pytest.raises(LocalProtocolError):
        plan([], [], 3, STANDARD)
    with pytest.raises(LocalProtocolError):
        plan(conversation("Hi", "Hello"), [(), ()], 3, STANDARD)
    with pytest.raises(LocalProtocolError):
        plan(conversation("Hi"), [], 3, STANDARD)


def test_no_repr_shows_the_prompt() -> None:
    made = planned("Who was Zbigniew? Where is Oslo?")
    assert "Zbigniew" not in repr(made)
    assert "Zbigniew" not in repr(ChatMessage("user", "Zbigniew"))
    assert "Zbigniew" not in repr(Merger(made))


# --- merging


def test_a_list_is_answered_under_its_numbers() -> None:
    made = planned("1. What is rust?\n2. Who was Kant?\n\n3. Where is Oslo?")
    assert merge(made, {0: "Oxide.\n", 1: "\nA philosopher.", 2: "In Norway."}) == (
        "**1. What is rust?**\n\nOxide.\n\n**2. Who was Kant?**\n\nA philosopher.\n\n"
        "**3. Where is Oslo?**\n\nIn Norway."
    )


def test_joined_items_are_answered_under_both_numbers() -> None:
    made = planned(ATTACHED["it, in a list"][0])
    assert merge(made, {0: "Lima, ten million.", 1: "Shakespeare."}).startswith(
        "**1. What is the capital of Peru?**\n**2. What is its population?**\n\nLima, ten million.\n\n**3. "
    )


def test_paragraphs_are_answered_in_paragraphs_and_sections_under_their_titles() -> None:
    assert (
        merge(planned("What is rust? Who was Kant?"), {0: "Oxide.", 1: "A philosopher."}) == "Oxide.\n\nA philosopher."
    )
    assert merge(planned(BALANCED["sections"][0]), {0: "a", 1: "b", 2: "c"}) == (
        "Cooking\n\na\n\nHistory\n\nb\n\nMaths\n\nc"
    )


def test_a_whole_answer_is_passed_on_as_it_is() -> None:
    assert merge(planned("Tell me a joke"), {0: " \nKnock knock.\n"}) == " \nKnock knock.\n"


def test_an_answer_for_each_fragment_is_needed() -> None:
    with pytest.raises(LocalProtocolError):
        merge(planned("What is rust? Who was Kant?"), {0: "Oxide."})


def test_next_to_show_is_the_first_that_runs() -> None:
    made = planned(BALANCED["questions"][0])
    assert next_to_show(made, []) == made.fragments[0]
    assert next_to_show(made, [0, 2]) == made.fragments[1]
    assert next_to_show(made, [2, 1, 0]) is None


@pytest.mark.parametrize("seed", range(20))
def test_streams_in_any_order_merge_as_the_whole_answers_do(seed: int) -> None:
    rng = random.Random(seed)
    made = planned(BALANCED["numbered"][0])
    answers = {n: "".join(rng.choice(["a", " ", "\n", "bc"]) for _ in range(rng.randrange(12))) for n in range(3)}
    merger, left, shown = Merger(made), dict(answers), []
    running = [0, 1, 2]
    while running:
        ordinal = rng.choice(running)
        size = rng.randrange(1, 4)
        if left[ordinal]:
            shown.append(merger.feed(ordinal, left[ordinal][:size]))
            left[ordinal] = left[ordinal][size:]
        else:
            running.remove(ordinal)
            shown.append(merger.finish(ordinal))
    assert "".join(shown) == merge(made, answers)
    assert merger.showing is None


def test_the_first_answer_is_shown_at_once_and_a_later_one_waits() -> None:
    merger = Merger(planned("What is rust? Who was Kant?"))
    assert merger.feed(1, "A philosopher.") == ""
    assert merger.feed(0, "Iron ") == "Iron"
    assert merger.feed(0, "oxide.") == " oxide."
    assert merger.finish(1) == ""
    assert merger.finish(0) == "\n\nA philosopher."
    with pytest.raises(LocalProtocolError):
        merger.feed(0, "more")


# --- any text at all

BITS = [
    "What is it? ", "1. ", "2. ", "\n", "\n\n", "- ", "Write a poem. ", ": ", "```", "> ", "Dear Ann,\n",
    "Best regards,\n",
    "this ", "the above ", '"', "(", "# T\n", "def f():\n", "Explain rust. ", ". ", "Please ",
    "a) ", "é猫。", "Facts. ",
]  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(BITS), max_size=25).map("".join) | st.text(max_size=60), st.integers(1, 6))
def test_any_text_is_cut_at_ranges_within_bounds_and_shared_out(text: str, hosts: int) -> None:
    try:
        made = planned(text, hosts=hosts)
    except PlanRefused:
        assert hosts == 1
        return
    for fragment in made.fragments:
        assert fragment.prompt.text == GLUE.join(text[p.start : p.end] for p in fragment.prompt.pieces)
        assert 0 <= fragment.slot < hosts
    assert [fragment.ordinal for fragment in made.fragments] == list(range(len(made.fragments)))
    assert (made.mode == "whole") == (len(made.fragments) == 1) == bool(made.why_whole)


@pytest.mark.parametrize(
    ("instruction", "fragments"),
    [
        ("Explain in two sentences why drinking water is good.", 2),
        ("Explain in simple words how a bicycle stays upright.", 2),
        ("Explain in simple words the theory of relativity.", 2),
        ("Explain in two sentences.", 1),
        ("Answer in two sentences.", 1),
    ],
)
def test_manner_alone_is_a_remark_and_manner_with_a_subject_a_task(instruction: str, fragments: int) -> None:
    text = f"List five fruits that grow in Norway.\n\n{instruction}"
    made = plan([ChatMessage("user", text)], [[]], 3, ExposurePolicy())
    assert len(made.fragments) == fragments


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("Explain why bread rises. Explain how storks find their way home.", 2),
        ("Explain why bread rises. Explain how people improve their way of baking it.", 1),
        ("What is a good rice cooker? Why is my printer offline although it is switched on?", 2),
        ("What is a good rice cooker? Why is it offline although the plug is in?", 1),
        ("Argue for tea in one paragraph. Argue against homework in schools in one paragraph.", 2),
        ("Work out the monthly rate of a loan of 9,000 euros, and tell me how much interest that is altogether.", 1),
        ("Need marketing copy:\na) an elevator pitch for a parking app\nb) a press release about an oat drink", 2),
        ("Write a query for the newest order:\n\nCREATE TABLE a (id int, b text);\nCREATE TABLE c (id int);", 1),
    ],
)
def test_a_pronoun_with_a_noun_of_its_own_joins_nothing_and_code_is_no_task(text: str, parts: int) -> None:
    assert len(planned(text).fragments) == parts


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        # Who tells of something and asks what to do means what was told.
        ("My hedgehog sneezes since Monday and eats little. Should I call a vet? Would warmth help?", 1),
        ("I have three questions for my aunt. Should tulips be watered in May? Who invented the zip?", 2),
        ("Plan a weekend in Ghent for us. What should we book ahead?", 1),
        ("Plan a weekend in Ghent. What is the capital of Peru?", 2),
        # One answer is wanted.
        ("What is a tide? Why does the moon matter? I want one connected explanation.", 1),
        # Comparing, going on, asking for more of it.
        ("Compare oil and gas heating. Which is cheaper?", 1),
        ("Compare oil and gas heating. Which river is longer than the Rhine?", 2),
        ("What does frugal mean? Give me two synonyms.", 1),
        ("What does frugal mean? Give me two synonyms of cheerful.", 2),
        ("If I save 200 a month, how much is it after ten years? And how much if I start with 1000?", 1),
        ("How do I renew a passport? How long does it take?", 1),
        ("How do I renew a passport? How long does it take to roast a goose?", 2),
        ("Summarise the plot of Macbeth. Why does Lady Macbeth despair?", 1),
        ("What about trams in Graz? Is it cheap to rent in Graz? I have little saved. What about food?", 1),
        # Code and its error are material.
        ("What is wrong with this?\n\nwhile True:\n    x = y\n\nWho wrote Emma?", 2),
    ],
)
def test_questions_told_in_a_row_are_of_one_matter_where_they_lean_on_each_other(text: str, parts: int) -> None:
    assert len(planned(text).fragments) == parts
