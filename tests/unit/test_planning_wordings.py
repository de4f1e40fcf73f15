"""P3: what is to be done with a text is understood in the words that people use, and where it stands."""

import pytest

from privacy.planning import ChatMessage, ExposurePolicy, Plan, plan

PARAGRAPHS = [
    "The kiln was lit on a Monday, and by Thursday we still could not touch the door. My father slept beside it.",
    "Half of the plates had cracked. He sold the others at the gate, and told each buyer which one was his favourite.",
    "In winter the clay froze in its tubs. We thawed it with kettles, and it was never quite the same, said Hana.",
    "A hotel in Linz asked for two hundred cups. He made three hundred, to be safe, and they took all of them.",
]
NOTES = [
    "ok so um the boiler makes that knocking again and it is colder upstairs, Milan should ring the firm today",
    "then the hall, uh, two tiles are loose by the door, somebody has to glue them before a guest falls over",
    "the linen comes on tuesday at seven and um we are short of twelve sheets, tell the laundry, and count the towels",
    "thats about it, oh and the cat from next door lives in room four now, which is fine, but buy a brush",
]
REMARKS = [
    "Rang three times and nobody answered, not even a machine.",
    "The blue one is lovely and it came a day early.",
    "One leg is shorter than the others, so it rocks.",
    "Your driver Petra carried it up five floors, bless her.",
    "I was billed twice and have not had the money back.",
    "It smells of paint after a month in the garden.",
]
PROSE, DICTATED = "\n\n".join(PARAGRAPHS), "\n\n".join(NOTES)
BULLETS, BARE = "\n".join(f"- {remark}" for remark in REMARKS), "\n".join(REMARKS)
NUMBERED = "\n".join(f"({number}) {remark}" for number, remark in enumerate(REMARKS, start=1))
STARS = "\n".join(f"{'★' * (number % 5 + 1)} guest {number}\n{remark}" for number, remark in enumerate(REMARKS))
FORMS = "\n".join(f"Name: Buyer {number}\nTown: Place {number}\n{remark}" for number, remark in enumerate(REMARKS))
PEOPLE = "\n\n".join(
    f"{name} ({age}): {remark} I bought it in spring."
    for name, age, remark in zip("ABCDEF", range(30, 36), REMARKS, strict=True)
)

pytestmark = pytest.mark.usefixtures("rules_alone")


def planned(text: str) -> Plan:
    return plan([ChatMessage("user", text)], [[]], 8, ExposurePolicy())


# The instruction before the text, the text, and the instruction behind it.
SPLIT = [
    ("can u turn this into polish 4 me pls", PROSE, ""),
    ("Any chance you could put this into plain English? My neighbour can't follow it.", PROSE, ""),
    ("I need all of this in Swedish by tonight :(", PROSE, ""),
    ("this has to be in german, formal please", PROSE, ""),
    ("English please! (it's from my landlord)", PROSE, ""),
    ("to french:", PROSE, ""),
    ("same as last week, into Danish thank you", PROSE, ""),
    ("Pouvez-vous traduire ce texte en anglais ? Merci d'avance", PROSE, ""),
    ("Podrías corregir la ortografía de este texto?", PROSE, ""),
    ("Kannst du das mal auf Tippfehler durchsehen und verbessern?", PROSE, ""),
    ("", PROSE, "sorry that it's so long. could you put that in italian for me? it's for my nonna"),
    ("", PROSE, "This is too stiff for a website. Make it sound more casual but keep the facts."),
    ("", PROSE, "^^ can you fix the grammar in that"),
    ("Would you mind going through this and correcting my Czech?", PROSE, ""),
    ("Please go over it and fix whatever sounds off, grammar mainly. He's proud of it!", PROSE, ""),
    ("Translate this into Greek.", PROSE, "Many thanks!"),
    ("Translate this into Greek for the guests.\n\nKeep the names.", PROSE, ""),
    ("pls take out the ums, thats my phone typing", DICTATED, ""),
    ("Could you tidy it up (commas, capitals) but leave my words alone:", DICTATED, ""),
    ("A walk through the house follows. Who has to do what?", f'"""\n{DICTATED}\n"""', ""),
    ("", DICTATED, "make me a list of everything that has to be done"),
    ("What tools or animals are mentioned? Just list them.", DICTATED, ""),
    ("My Czech is terrible - could you fix this up before I send it off? Nothing fancy.", PROSE, ""),
    ("Kan du översätta detta till engelska? Tack", PROSE, ""),
    ("Draw up a list of everyone mentioned and what they promised to do", PROSE, ""),
    ("Go through the following remarks and note every fault with its number.", NUMBERED, ""),
    ("these came in today. flag the ones that mention money", STARS, ""),
    ("", STARS, "Respond to each reviewer on their own, warm but brief."),
    ("sentiment of each one pls", BARE, ""),
    ("for each tell me if its rude or not, i have to sort out the tone", BARE, ""),
    ("good or bad? one word per review", BULLETS, ""),
    ("show me only the ones about the delivery", BULLETS, ""),
    ("are there any that mention somebody by name? list them", BULLETS, ""),
    ("which of these complain about money", NUMBERED, ""),
    ("which shoppers want something back?", NUMBERED, ""),
    ("who of these people sounds angry", PEOPLE, ""),
    ("Reply to these. Keep it short and kind.", PEOPLE, ""),
    ("", PEOPLE, "The shop is mine. Please draft an answer to every one of them, two lines, polite."),
    ("Write a reply to each", STARS, ""),
    ("", FORMS, "write a text message to each of these customers"),
]


@pytest.mark.parametrize(("before", "text", "behind"), SPLIT, ids=[f"{a} {b}"[:40] for a, _, b in SPLIT])
def test_an_instruction_is_known_by_what_it_means(before: str, text: str, behind: str) -> None:
    whole = "\n\n".join(part for part in (before, text, behind) if part)
    made = planned(whole)
    assert made.mode == "shards"
    assert len(made.fragments) >= 3
    start = whole.index(text)
    for fragment in made.fragments:
        assert before in fragment.prompt.text
        assert behind in fragment.prompt.text or behind == "Many thanks!"
        assert not any(start < piece.end - 1 and piece.start < start + len(text) for piece in fragment.context)


WHOLE = [
    ("avg stars? and what bugs people the most", STARS, ""),
    ("one reply to all of them please", STARS, ""),
    ("whats the one thing we need to improve", BULLETS, ""),
    ("which one of these would you put on the front page", BULLETS, ""),
    ("which of these reviews should we publish?", BULLETS, ""),
    ("which ones are from the same person you think?", BULLETS, ""),
    ("which two reviews say the same?", BULLETS, ""),
    ("overall sentiment?", BULLETS, ""),
    ("top 3 complaints pls", BULLETS, ""),
    ("who should i call first?", PEOPLE, ""),
    ("plan my week around these", FORMS, ""),
    ("tl;dr?", PROSE, ""),
    ("list the main points", PROSE, ""),
    ("is it any good? be honest", PROSE, ""),
    ("translate to german and tell me if it's well written", PROSE, ""),
    ("rewrite as a dialogue between two people", PROSE, ""),
    ("translate and adapt it so that it becomes a sales pitch", PROSE, ""),
    ("Rewrite this so that it flows better", PROSE, ""),
    ("please edit this down, it's too long", PROSE, ""),
    ("Extract the dates and put them in order", PROSE, ""),
    ("translate the last paragraph into French", PROSE, ""),
    ("make sure it's coherent and fix the grammar", PROSE, ""),
    ("rewrite this in the style of a western with a twist", PROSE, ""),
    ("come up with a slogan that answers every one of these complaints", BULLETS, ""),
    ("who has the most to do?", DICTATED, ""),
    ("", PROSE, "list all my options"),
    ("", PROSE, "tldr in one line please"),
    ("", PROSE, "what does he think of hotels, and why did he make so many?"),
]


@pytest.mark.parametrize(("before", "text", "behind"), WHOLE, ids=[f"{a} {b}"[:40] for a, _, b in WHOLE])
def test_what_speaks_of_all_in_few_words_keeps_the_text_together(before: str, text: str, behind: str) -> None:
    assert planned("\n\n".join(part for part in (before, text, behind) if part)).mode == "whole"


@pytest.mark.parametrize("text", [STARS, FORMS], ids=["stars", "forms"])
def test_a_record_of_several_lines_is_never_cut(text: str) -> None:
    made = planned(f"Write a reply to each of these customers:\n\n{text}")
    assert made.mode == "shards"
    size = 2 if text is STARS else 3
    lines = text.split("\n")
    for record in ("\n".join(lines[n : n + size]) for n in range(0, len(lines), size)):
        assert sum(record in fragment.prompt.text for fragment in made.fragments) == 1


def test_a_heading_stays_with_what_stands_under_it() -> None:
    text = "\n\n".join(
        f"THE {name}\n\n{part}" for name, part in zip(("KILN", "GATE", "CLAY", "CUPS"), PARAGRAPHS, strict=True)
    )
    made = planned(f"Summarise each section in a sentence.\n\n{text}")
    assert made.mode == "shards"
    for name, part in zip(("KILN", "GATE", "CLAY", "CUPS"), PARAGRAPHS, strict=True):
        assert sum(f"THE {name}\n\n{part}" in fragment.prompt.text for fragment in made.fragments) == 1


def test_a_lead_before_a_colon_is_no_instruction_without_what_follows_it() -> None:
    asked = "for every remark: is an answer needed, yes/no + one line what it's about"
    made = planned(f"{asked}\n\n{BULLETS}")
    assert made.mode == "shards"
    assert all(asked in fragment.prompt.text for fragment in made.fragments)


def test_what_stands_behind_a_colon_may_be_what_to_choose_from() -> None:
    asked = "give each remark a colour: red for faults of the wood, blue for the driver, and green for what is left"
    made = planned(f"{asked}\n\n{BULLETS}")
    assert made.mode == "shards"
    assert all(asked in fragment.prompt.text for fragment in made.fragments)


def test_records_right_below_the_instruction_are_no_part_of_it() -> None:
    made = planned(f"pull the name and the town out of each of these forms for me\n{FORMS}")
    assert made.mode == "shards"
    assert all("Buyer" not in f"{made.fragments[0].prompt.text}"[: piece.end] for piece in made.fragments[0].context)


def test_an_instruction_right_below_a_list_is_no_item() -> None:
    made = planned(f"{NUMBERED}\nwhich department should each of these go to: sales or returns")
    assert made.mode == "shards"
    assert all("which department" in fragment.prompt.text for fragment in made.fragments)


def test_prose_with_commas_has_no_header() -> None:
    made = planned(f"Correct the spelling, nothing else:\n\n{DICTATED}")
    assert made.mode == "shards"
    assert sum(NOTES[0] in fragment.prompt.text for fragment in made.fragments) == 1


def test_a_task_that_brings_its_own_quotation_is_not_about_the_rest() -> None:
    text = (
        "We move to Porto in June with a parrot.\n\nCould you write a checklist for the last week before we move?\n\n"
        "What does a vet's certificate for a bird cost in Portugal?\n\n"
        'And please put this into Portuguese: "The bird is tame. It has had its vaccinations and eats fruit."'
    )
    assert planned(text).mode == "tasks"


def test_thanks_at_the_end_of_a_letter_are_text() -> None:
    made = planned(f"Translate this letter into German:\n\n{PROSE}\n\nMany thanks")
    assert "Many thanks" in made.fragments[-1].prompt.text
    assert sum("Many thanks" in fragment.prompt.text for fragment in made.fragments) == 1
