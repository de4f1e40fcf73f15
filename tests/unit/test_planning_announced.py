"""P3: tasks that people set apart in their own way: odd marks, announced things, and lists that are one.

A request of `APART` has a fragment for each phrase, which stands in that fragment and in no other; one of `WHOLE` has
one fragment.
"""

import pytest

from privacy.planning import ChatMessage, ExposurePolicy, Plan, plan

pytestmark = pytest.mark.usefixtures("rules_alone")


def planned(text: str) -> Plan:
    return plan([ChatMessage("user", text)], [[]], 12, ExposurePolicy())


APART: dict[str, tuple[str, list[str]]] = {
    "Q and a number": (
        "maths hw\nQ1 solve x+4=9\nQ2 whats a prime number\nQ3 why is zero even",
        ["x+4=9", "prime number", "zero even"],
    ),
    "Roman numbers": (
        "(i) Explain osmosis.\n(ii) Name three noble gases.\n(iii) What is an ion?",
        ["osmosis", "noble gases", "an ion"],
    ),
    "Roman numbers in a row": (
        "Please do these: i) explain osmosis ii) name three noble gases iii) describe an ion",
        ["osmosis", "noble gases", "an ion"],
    ),
    "capital letters in a row": (
        "Help with: A) a haiku about rust B) what is a quango C) how to clean suede shoes",
        ["haiku about rust", "quango", "suede"],
    ),
    "double angles": (
        ">> write a haiku about rust\n>> suggest a film for a rainy night\n>> is it ok to reheat spinach",
        ["rust", "rainy night", "spinach"],
    ),
    "dashes behind numbers": (
        "1 - write a haiku about rust\n2 - suggest a film\n3 - how to clean suede shoes",
        ["rust", "film", "suede"],
    ),
    "ordinal signs, in Spanish": (
        "Hola! Tengo tres preguntas: 1º qué es el IVA; 2º cómo se hace un gazpacho; 3º quién fue Goya",
        ["IVA", "gazpacho", "Goya"],
    ),
    "a second question and a third one": (
        (
            "Explain what a heat pump does.\n\nSecond question, nothing to do with that: who painted the Night Watch?"
            "\n\nThird one: my aunt Greta is 80 next week, so a line for her cake would be nice."
        ),
        ["heat pump", "Night Watch", "aunt Greta"],
    ),
    "things between semicolons": (
        "need: a nickname for my scooter; a good excuse for being late to choir; the usual price of a used cello",
        ["scooter", "late to choir", "cello"],
    ),
    "also and oh and": (
        (
            "got a few bits for you: can you word a thank-you card for the plumber, also how do i descale a kettle, "
            "oh and whats the capital of Peru"
        ),
        ["the plumber", "descale a kettle", "capital of Peru"],
    ),
    "lines without marks": (
        (
            "couple of things pls\nsubject line for a newsletter about bees\nis it ok to freeze hummus\n"
            "write a haiku about rust"
        ),
        ["bees", "hummus", "rust"],
    ),
    "slashes": ("whats a byte / how do i boil an egg / write a haiku about rust", ["byte", "boil an egg", "rust"]),
    "also, unannounced": (
        "can you write a haiku about rust, also whats a good name for a grey cat",
        ["rust", "grey cat"],
    ),
    "questions without marks": (
        "is it ok to reheat spinach\nhow to clean suede shoes\nshould i prune roses in march",
        ["spinach", "suede", "prune roses"],
    ),
    "German": (
        (
            "Hallo, ich brauche Hilfe. Erfinde bitte einen Namen für meine Bäckerei. Was bedeutet netto? "
            "Ich bräuchte noch eine Ausrede für den Elternabend."
        ),
        ["Bäckerei", "netto", "Elternabend"],
    ),
    "French": (
        (
            "Bonjour ! Pouvez-vous me rédiger une invitation pour un pique-nique ? "
            "Il me faut aussi un titre pour un blog sur le vélo."
        ),
        ["pique-nique", "le vélo"],
    ),
    "Spanish": (
        (
            "Necesito tres cosas: una excusa para no ir al gimnasio; un nombre para un perro negro; "
            'cómo se dice "queso" en alemán'
        ),
        ["gimnasio", "perro negro", "queso"],
    ),
    "paragraphs that say what is wanted": (
        (
            "Morning! I have three little jobs for you.\n\nI'd like a caption for a photo of a goat.\n\n"
            "And for the lift we'd need a notice: out of order.\n\nLast, what does RSVP mean?"
        ),
        ["a goat", "the lift", "RSVP"],
    ),
    "what one also needs to know": (
        "Suggest a picnic menu for six. I also need to know whether ferries to Arran run on Sundays.",
        ["picnic menu", "ferries"],
    ),
    "notes, written out in paragraphs": (
        "Write two notes.\n\nA note to Ben that the van is booked.\n\nA note to Priya that rehearsal is at six.",
        ["the van", "rehearsal"],
    ),
    "things for a helper": (
        "todo for u\n- msg to Priya, the van is booked\n- one line about bees for a poster\n- price range, used cello",
        ["Priya", "bees", "cello"],
    ),
    "small letters behind full stops": (
        "I've got 3 unrelated questions. whats the boiling point of ethanol. who wrote Dune. how do i remove wax",
        ["ethanol", "Dune", "wax"],
    ),
    "letters with full stops": (
        "Please help with:\na. Explain what a mortgage is\nb. Draft a note to the milkman\nc. Suggest a game for five",
        ["mortgage", "milkman", "game for five"],
    ),
    "numbers with slashes": (
        "Things I need help with: 1/ wording a complaint about a kettle 2/ a vegan cheesecake 3/ reading my gas meter",
        ["kettle", "cheesecake", "gas meter"],
    ),
    "what one also needs, in one sentence": (
        "i need a birthday rhyme for my nan and i also need to know how long a ham keeps",
        ["my nan", "a ham"],
    ),
    "paragraphs that only name what is wanted": (
        "Two separate asks.\n\nA tagline for a bakery run by twins.\n\nA way to tell my neighbour that his dog barks.",
        ["bakery", "neighbour"],
    ),
    "a row with commas": (
        "Two things please: a caption for a photo of a goat, and a short poem for a retirement card",
        ["goat", "retirement"],
    ),
    "a text that is cut": (
        (
            'Can you do two things for me?\n\n(A) Proofread this: "Their is a cat on the mat."\n\n'
            '(B) Something else: cut this caption to five words: "A goat stands on the roof of a small red house."'
        ),
        ["Their is a cat", "A goat stands"],
    ),
}

WHOLE: dict[str, str] = {
    "what a mail should say": (
        "Write an email to our plumber. It should\n- thank him for the quick work\n- say that the tap drips again\n"
        "- ask when he can come"
    ),
    "what a mail should move and ask": (
        "Write an email to our plumber, Mr Ito. It should\n- thank him for the quick work,\n"
        "- move the next visit from 3 to 9 May,\n- ask whether the old price holds.\n\nFormal, please."
    ),
    "facts that are announced, and asked about": (
        "I have a few things for the garden:\n- a bag of old soil\n- a box of tulip bulbs\n- a roll of wire\n\n"
        "Write a plan for Sunday."
    ),
    "points to include": (
        "Draft a letter to the council about the hedge.\n\nPoints to include:\n* mention the broken light\n"
        "* ask for a date\n* offer to help"
    ),
    "what a message says, without a lead": (
        "Please write a message to my sister Ana\n- thank her for the cake\n- invite her to Sunday lunch\n"
        "- tell her the dog is fine"
    ),
    "how several mails are to be": "Write three emails.\n- keep them short\n- use a friendly tone\n- sign them as Bob",
    "plans with letters": (
        "Which offer is better for me?\n\nPlan A: 20 a month, 10 GB\nPlan B: 9 a month, 4 GB\nPlan C: prepaid, 2 a GB"
    ),
    "designs with letters": "Design A: red with a fox\nDesign B: blue with a heron\nWhich should go on the mug?",
    "things that one likes": (
        "There are several things I like about Rome:\n- the food in the small streets\n- the light in the morning\n"
        "- the noise\nWrite a poem from this."
    ),
    "quarters": "Q1 was slow\nQ2 was better\nQ3 was great\nWrite one sentence on the year.",
    "quarters alone": "Q1 revenue was 3 million\nQ2 why it fell is not known\nWrite a sentence on that year.",
    "steps in words": "First: heat the oil.\nSecond: fry the onions.\nThird: add the rice.\nIs this a risotto?",
    "slashes in a name": "Explain the difference between TCP / IP / UDP in one table.",
    "a verse with slashes": "roses are red / violets are blue / what comes next in the poem?",
    "a quotation of a quotation": ">> can you send the deck\n>> is it ready\n> not yet\n\nAnswer this thread.",
    "problems of one car": (
        "I have two problems with my car: it makes a noise when I brake; the left light flickers. "
        "What could be the cause?"
    ),
    "things for a party, and their price": (
        "I need three things for my party: a cake with nuts on top; a band from our town; a tent for the rain. "
        "How much would that cost?"
    ),
    "also of the same": "how tall is the eiffel tower, also when was it built",
    "a choice of answers": "What is the capital of Peru?\n(A) Quito\n(B) Lima\n(C) Bogotá",
    "two questions about one text": (
        "I have two questions about this text:\n\nThe cat sat there. It was happy.\n\nWho is happy? Why is it happy?"
    ),
    "one's own chores": (
        "My todo today:\n1. call the plumber\n2. buy milk\n3. write to Ms Lang\nPlease put these in a good order."
    ),
    "things about somebody": (
        "Please write a reference for Jan Bos. Some things about him:\n- led a team of five\n- always finds a way\n"
        "- makes the best coffee"
    ),
    "drafts with numbers": (
        "Here are my two drafts:\n\nDraft 1: We are pleased to meet you.\n\nDraft 2: Nice to see you.\n\nWhich one?"
    ),
    "a story with things in it": (
        "Write a story. It needs a few things: a lost key on a string; a red door with a bell; a fox that talks."
    ),
    "no question": "Do it again please but shorter. Have it ready as a table.",
}


@pytest.mark.parametrize("name", APART)
def test_what_is_set_apart_goes_to_a_host_each(name: str) -> None:
    text, phrases = APART[name]
    found = [fragment.prompt.text for fragment in planned(text).fragments]
    assert [[phrase in fragment for phrase in phrases] for fragment in found] == [
        [own == place for own in range(len(phrases))] for place in range(len(phrases))
    ], found


@pytest.mark.parametrize("name", WHOLE)
def test_what_is_one_task_stays_whole(name: str) -> None:
    found = [fragment.prompt.text for fragment in planned(WHOLE[name]).fragments]
    assert len(found) == 1, found


def test_a_row_of_titles_is_no_deep_recursion() -> None:
    assert planned("My note: " * 3000).mode == "whole"
