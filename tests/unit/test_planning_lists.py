"""P3: several tasks in one message, as people write them: numbered, bulleted, in a row, with names in them.

Each request says which tasks there are and which of them stay together. A phrase is in the fragment that it is listed
under and in no other, and no word of the request is lost.
"""

import re
from random import Random

import pytest

from privacy.detection import Detector
from privacy.exposure import content_words, word_set
from privacy.mention import Mention
from privacy.planning import ChatMessage, ExposurePolicy, Plan, merge, plan
from privacy.pseudonyms import Conversation
from privacy.restoring import restore

pytestmark = pytest.mark.usefixtures("rules_alone")

HOSTS = 12


def planned(text: str, mentions: tuple[Mention, ...] | list[Mention] = ()) -> Plan:
    return plan([ChatMessage("user", text)], [mentions], HOSTS, ExposurePolicy())


# Text -> the phrases of each fragment, in the order of the fragments.
APART: dict[str, tuple[str, list[list[str]]]] = {
    "verbs of daily life, numbered": (
        (
            "1. Remind my sister Agnieszka Lis to bring the passports on Friday.\n"
            "2. Congratulate Tom Becker on his new job at Siemens.\n"
            "3. Sketch out a two-day itinerary for Porto."
        ),
        [["Remind my sister Agnieszka Lis"], ["Congratulate Tom Becker"], ["Sketch out a two-day itinerary"]],
    ),
    "verbs with particles": (
        (
            "1) Figure out how much paint I need for a room of 4 by 5 metres\n"
            "2) Come up with a name for my bakery in Leeds\n"
            "3) Walk me through descaling a kettle"
        ),
        [["Figure out how much paint"], ["Come up with a name"], ["Walk me through descaling a kettle"]],
    ),
    "bullets": (
        (
            "- Jot down a menu for a vegetarian dinner for six\n"
            "- Word an apology to my landlord, Mr. Patel, for the late rent\n"
            "- Break down the offside rule for a beginner"
        ),
        [["Jot down a menu"], ["Word an apology to my landlord, Mr. Patel"], ["Break down the offside rule"]],
    ),
    "first, then, finally in one sentence": (
        (
            "First draft an invitation to Omar Haddad's retirement party on 12 June, then tell me which wine "
            "goes with grilled salmon, and finally explain what a fixed-rate mortgage is."
        ),
        [
            ["Omar Haddad's retirement party on 12 June"],
            ["which wine goes with grilled salmon"],
            ["fixed-rate mortgage"],
        ],
    ),
    "first, then, last in sentences": (
        (
            "First, write a birthday message for my colleague Dana Weiss. Then work out 18% of 2,340. Last, "
            "recommend a quiet campsite near Inverness."
        ),
        [["birthday message for my colleague Dana Weiss"], ["18% of 2,340"], ["campsite near Inverness"]],
    ),
    "three questions in a paragraph about oneself": (
        (
            "My name is Ingrid Solberg and I live in Bergen. What vaccinations does my son Jonas need before "
            "school? How do I descale a coffee machine? Which novels resemble The Martian?"
        ),
        [["vaccinations does my son Jonas"], ["descale a coffee machine"], ["novels resemble The Martian"]],
    ),
    "a greeting, a plea and a thank-you around a list": (
        (
            "Hi there! Could you please help me with the following?\n\n"
            "1. Welcome our new neighbour Mrs. Adeyemi with a short card.\n"
            "2. Recap the plot of Macbeth.\n"
            "3. Whip up a quick lunch idea with chickpeas.\n\n"
            "Thanks a lot!"
        ),
        [["Welcome our new neighbour Mrs. Adeyemi"], ["Recap the plot of Macbeth"], ["lunch idea with chickpeas"]],
    ),
    "bold titles with a colon": (
        (
            "1. **Email:** Tell Karen Holt (karen.holt@example.com) that the meeting moves to Tuesday.\n"
            "2. **Recipe:** Suggest a soup with leeks.\n"
            "3. **Maths:** Solve 3x + 7 = 22."
        ),
        [["karen.holt@example.com"], ["soup with leeks"], ["Solve 3x + 7 = 22"]],
    ),
    "plain titles with a colon": (
        (
            "1. Email: Tell Karen Holt that the meeting moves to Tuesday.\n"
            "2. Recipe: Suggest a soup with leeks.\n"
            "3. Maths: Solve 3x + 7 = 22."
        ),
        [["Tell Karen Holt"], ["soup with leeks"], ["Solve 3x + 7 = 22"]],
    ),
    "noun phrases under a plea": (
        (
            "I need help with:\n"
            "- a cover letter for a nursing job at St. Mary's Hospital\n"
            "- a packing list for a week in Iceland\n"
            "- an explanation of how vaccines work"
        ),
        [["cover letter for a nursing job"], ["week in Iceland"], ["how vaccines work"]],
    ),
    "noun phrases without a lead": (
        (
            "1. A limerick about my dog Biscuit\n"
            "2. Three facts about the planet Neptune\n"
            "3. A polite way to decline a wedding invitation"
        ),
        [["my dog Biscuit"], ["planet Neptune"], ["decline a wedding invitation"]],
    ),
    "politeness inside items": (
        (
            "1. Could you translate 'Where is the station?' into Japanese\n"
            "2. I'd like you to proofread: Their going to the libary tommorow\n"
            "3. Please let me know the boiling point of ethanol"
        ),
        [["'Where is the station?'"], ["libary tommorow"], ["boiling point of ethanol"]],
    ),
    "to-do words before the list": (
        (
            "Three things for today:\n"
            "1. Nudge Felix Brandt about invoice 20931\n"
            "2. Pitch a slogan for an eco-friendly toothbrush\n"
            "3. Unpack the idea of opportunity cost"
        ),
        [["Nudge Felix Brandt about invoice 20931"], ["eco-friendly toothbrush"], ["opportunity cost"]],
    ),
    "letters as markers": (
        (
            "a) Thank Dr. Moreau for the referral\n"
            "b) Tighten up this sentence: It was in the end finally over.\n"
            "c) Rate the film Alien"
        ),
        [["Thank Dr. Moreau"], ["It was in the end finally over."], ["Rate the film Alien"]],
    ),
    "numbers in a running line": (
        (
            "Please do three things: 1. decline Pavel Novak's invitation for Saturday 2. dream up a name for "
            "a parrot 3. spell out the rules of badminton"
        ),
        [["decline Pavel Novak's invitation"], ["name for a parrot"], ["rules of badminton"]],
    ),
    "numbers with brackets in a running line": (
        (
            "(1) Console my friend Rosa, whose cat died, in two lines. (2) Contrast TCP with UDP. (3) Scale "
            "a pancake recipe for ten people."
        ),
        [["my friend Rosa, whose cat died"], ["Contrast TCP with UDP"], ["pancake recipe for ten people"]],
    ),
    "items of several sentences": (
        (
            "1. Write to my insurer about claim 4471-B. Keep it formal. Mention that the car was parked.\n"
            "2. My daughter Elif turns nine on Sunday. Dream up a treasure hunt.\n"
            "3. Run through the causes of the First World War. Three bullet points are enough."
        ),
        [
            ["claim 4471-B", "Keep it formal", "Mention that the car was parked"],
            ["Elif turns nine", "treasure hunt"],
            ["First World War", "Three bullet points"],
        ],
    ),
    "items over several lines": (
        (
            "1. Reply to this review:\n"
            "   The soup was cold and the waiter, Gino, was rude.\n"
            "2. Put together a warm-up routine\n"
            "   for a seven-a-side football team.\n"
            "3. Crunch the numbers: 1,200 euros at 3% over five years."
        ),
        [["The soup was cold", "Gino"], ["warm-up routine", "seven-a-side football"], ["1,200 euros at 3%"]],
    ),
    "items with lists of facts in them": (
        (
            "1. Write a bio of Nadia Rahman with these facts:\n"
            "   - born in Leeds\n"
            "   - plays the cello\n"
            "2. Size a water tank for three days of camping."
        ),
        [["Nadia Rahman", "born in Leeds", "plays the cello"], ["water tank"]],
    ),
    "capitals and exclamation marks": (
        ("1. REMIND MARCO TO FEED THE FISH!\n2. EXPLAIN DAYLIGHT SAVING TIME!\n3. RECOMMEND A CHEAP LAPTOP!"),
        [["MARCO TO FEED THE FISH"], ["DAYLIGHT SAVING TIME"], ["CHEAP LAPTOP"]],
    ),
    "small letters and no full stops": (
        (
            "1. remind grandma about the dentist on monday\n"
            "2. whats a good present for a ten year old\n"
            "3. roast my favourite movie titanic"
        ),
        [["remind grandma"], ["good present"], ["titanic"]],
    ),
    "emoji as markers": (
        (
            "✅ Cheer up my friend Lotte after her exam\n"
            "✅ Decode the idiom 'to spill the beans'\n"
            "✅ Map out a week of marathon training"
        ),
        [["my friend Lotte"], ["spill the beans"], ["marathon training"]],
    ),
    "arrows as markers": (
        (
            "-> Ask Henrik Dahl for the contract\n"
            "-> Nail down a budget for a kitchen refit\n"
            "-> Brief me on the history of Malta"
        ),
        [["Henrik Dahl"], ["kitchen refit"], ["history of Malta"]],
    ),
    "keycap and hash numbers": (
        (
            "#1 Announce Yuki Tanaka's promotion to the team\n"
            "#2 Troubleshoot a dishwasher that does not drain\n"
            "#3 Quiz me on European capitals"
        ),
        [["Yuki Tanaka's promotion"], ["dishwasher"], ["European capitals"]],
    ),
    "ordinals as markers": (
        (
            "First: invite Samir Khoury to lunch on Thursday.\n"
            "Second: demystify compound interest.\n"
            "Third: craft a riddle about a candle."
        ),
        [["Samir Khoury"], ["compound interest"], ["riddle about a candle"]],
    ),
    "question words without marks": (
        (
            "- how long does it take to boil quail eggs\n"
            "- why did my Aunt Helga's roses die in May\n"
            "- who won the 1966 world cup"
        ),
        [["quail eggs"], ["Aunt Helga's roses"], ["1966 world cup"]],
    ),
    "a paragraph each": (
        (
            "Persuade my boss, Anita Desai, to let me work from home on Fridays.\n\n"
            "Settle a debate: is a tomato a fruit or a vegetable?\n\n"
            "Guide me through changing a bicycle tyre."
        ),
        [["Anita Desai"], ["tomato"], ["bicycle tyre"]],
    ),
    "also and one more thing": (
        (
            "Write a toast for my brother Piotr's wedding. Also, how do heat pumps work? One more thing: "
            "name three rivers in Spain."
        ),
        [["Piotr's wedding"], ["heat pumps"], ["rivers in Spain"]],
    ),
    "sentences of strangers to the list of verbs": (
        (
            "Cheer up my friend Magda Zielinska, who failed her driving test. Untangle the plot of Inception "
            "for me. Price up a weekend in Ghent for two adults."
        ),
        [["Magda Zielinska"], ["plot of Inception"], ["weekend in Ghent"]],
    ),
    "two tasks with and": (
        "Write a get-well card for my uncle Bernard and explain how solar eclipses happen.",
        [["uncle Bernard"], ["solar eclipses"]],
    ),
    "three questions in a paragraph without a word between": (
        ("who composed The Planets? what's the postcode of Ravi Menon's school in Pune? how do I unblock a sink"),
        [["The Planets"], ["Ravi Menon's school in Pune"], ["unblock a sink"]],
    ),
    "check boxes": (
        (
            "- [ ] Compliment Zofia Maj on her garden in two lines\n"
            "- [ ] Untangle who is who in War and Peace\n"
            "- [ ] Ballpark the cost of a new roof"
        ),
        [["Zofia Maj"], ["War and Peace"], ["new roof"]],
    ),
    "background for one item": (
        (
            "My mother Teresa Fontana has diabetes and turns 70 on 3 March.\n\n"
            "1. Suggest a birthday cake for my mother.\n"
            "2. Pinpoint the main cause of ocean tides.\n"
            "3. Teach me a card trick."
        ),
        [["Teresa Fontana", "birthday cake"], ["ocean tides"], ["card trick"]],
    ),
    "a remark for all at the end": (
        (
            "1. Pep up this headline: Council meets.\n"
            "2. Spell out what a notary does.\n"
            "3. Rank three easy houseplants.\n\n"
            "Answer each in one sentence."
        ),
        [["Council meets"], ["notary"], ["houseplants"]],
    ),
    "items that point back": (
        ("1. Cook up a name for a band.\n2. Design a logo for it.\n3. Figure out the area of a circle with radius 5."),
        [["name for a band", "logo for it"], ["area of a circle"]],
    ),
    "an item about the person of another": (
        (
            "1. Congratulate my boss Ilse Kramer on her award.\n"
            "2. Sort out the difference between affect and effect.\n"
            "3. Suggest a present for her."
        ),
        [["Ilse Kramer", "present for her"], ["affect and effect"]],
    ),
    "a list in German": (
        (
            "1. Schreibe eine kurze Absage an Herrn Vogel.\n"
            "2. Erkläre mir die Photosynthese.\n"
            "3. Nenne drei Seen in Bayern."
        ),
        [["Herrn Vogel"], ["Photosynthese"], ["Seen in Bayern"]],
    ),
    "a list in Polish": (
        ("1. Napisz życzenia dla mojej babci Haliny.\n2. Wyjaśnij, czym jest inflacja.\n3. Podaj przepis na żurek."),
        [["Haliny"], ["inflacja"], ["żurek"]],
    ),
    "dashes without spaces and blank lines between": (
        (
            "1.Remind Oskar to water the plants\n\n"
            "2.Weigh up renting against buying\n\n"
            "3.Flesh out a plot about a lighthouse"
        ),
        [["Oskar"], ["renting against buying"], ["lighthouse"]],
    ),
    "tasks after the word need": (
        (
            "I have three requests. I need a reference letter for Ewan Clarke, who was my student. I need to "
            "know what a black hole is. I also want a playlist for a rainy day."
        ),
        [["Ewan Clarke"], ["black hole"], ["rainy day"]],
    ),
    "ten short items": (
        (
            "1. Greet Lena\n"
            "2. Cheer on Max Huber\n"
            "3. Define osmosis\n"
            "4. Pick a hobby for winter\n"
            "5. Debunk astrology\n"
            "6. Rhyme on autumn\n"
            "7. Flag a scam in 'You won 900 pounds'\n"
            "8. Estimate pi\n"
            "9. Pair a wine with brie\n"
            "10. Simplify 12/18"
        ),
        [
            ["Lena"],
            ["Max Huber"],
            ["osmosis"],
            ["hobby"],
            ["astrology"],
            ["autumn"],
            ["900 pounds"],
            ["pi"],
            ["brie"],
            ["12/18"],
        ],
    ),
    "letters in a running line": (
        "Please (a) write a note to Eva Lind, (b) explain the tides, and (c) suggest a film.",
        [["Eva Lind"], ["the tides"], ["a film"]],
    ),
    "phrases and a question under a plea": (
        (
            "Tasks:\n"
            "1) Wedding speech for my sister Hannah, max 100 words\n"
            "2) 5 quick breakfast ideas\n"
            "3) Is 221 prime?"
        ),
        [["my sister Hannah, max 100 words"], ["5 quick breakfast ideas"], ["Is 221 prime?"]],
    ),
    "a letter and what it should say, then something else": (
        (
            "Draft an email to my landlord, Mr. Osei. Ask for a rent reduction. Offer to sign a longer "
            "lease. Explain photosynthesis in simple terms."
        ),
        [["Mr. Osei", "Ask for a rent reduction", "Offer to sign"], ["photosynthesis"]],
    ),
    "a plan and what it should have, then something else": (
        (
            "Plan a trip to Rome for my aunt Giulia. Leave the mornings free. Book a hotel near the station. "
            "What is the capital of Peru?"
        ),
        [["aunt Giulia", "Leave the mornings free", "Book a hotel near the station"], ["capital of Peru"]],
    ),
    "a supposition and its question": (
        "Suppose a train leaves Rome at 9 and rolls 300 km by noon. How fast is it? Who was Kant?",
        [["Suppose a train", "How fast is it"], ["Kant"]],
    ),
    "a list and another matter": (
        ("1. Write a haiku about my cat Momo\n2. Explain entropy\n3. Fix: I has a dog\n\nAlso, who was Kant?"),
        [["Momo"], ["entropy"], ["I has a dog"], ["Kant"]],
    ),
    "a courtesy before the questions": (
        (
            "Hello, I hope you are well. I would like to know three things. How much is a passport for my "
            "son Leo? What does the word 'ephemeral' mean? Is tofu healthy?"
        ),
        [["my son Leo"], ["ephemeral"], ["tofu"]],
    ),
    "a thank-you that is a task": (
        "Thank Karen for the flowers. Rework 'Ten Dogs' as a title. Troubleshoot a fridge that hums.",
        [["Thank Karen for the flowers"], ["Ten Dogs"], ["fridge that hums"]],
    ),
    "the demo's prompt, with other verbs": (
        (
            "1. Jot a thank-you note to Maria Kowalska (maria.kowalska@example.org) for the lunch on 14 "
            "March 2026.\n"
            "2. Phrase this more politely: James Whitfield, 221 Baker Street, London NW1 6XE, wants the bank "
            "to block the card 4111 1111 1111 1111 and to send him a new one.\n"
            "3. Say in two sentences why drinking water is good for you."
        ),
        [["Maria Kowalska"], ["James Whitfield", "send him a new one"], ["drinking water"]],
    ),
    "requests in the third person": (
        (
            "My wife wants a poem for our cat Momo. My son asks why the sea is salty. My neighbour Gustav "
            "would like a recipe for rye bread."
        ),
        [["Momo"], ["sea is salty"], ["rye bread"]],
    ),
}

# What is one thing stays one: facts, ingredients, steps, options, and what is asked about them.
TOGETHER: dict[str, tuple[str, list[list[str]]]] = {
    "ingredients": (
        ("What can I cook with these?\n- 2 eggs\n- a cup of flour\n- some spinach\n- half an onion"),
        [["2 eggs", "a cup of flour", "some spinach", "half an onion"]],
    ),
    "ingredients above the question": (
        ("I have:\n- three carrots\n- a chicken breast\n- brown rice\n\nSuggest a dinner."),
        [["three carrots", "brown rice", "Suggest a dinner"]],
    ),
    "steps of a recipe": (
        (
            "Here is my recipe:\n"
            "1. Preheat the oven to 180 degrees.\n"
            "2. Mix the flour with the butter.\n"
            "3. Bake the dough for half an hour.\n\n"
            "How can I make it vegan?"
        ),
        [["Preheat the oven", "Mix the flour", "Bake the dough", "vegan"]],
    ),
    "steps without a lead": (
        (
            "1. Preheat the oven to 180 degrees.\n"
            "2. Combine the flour with the butter.\n"
            "3. Bake the dough for half an hour.\n\n"
            "What is missing in these steps?"
        ),
        [["Preheat the oven", "Combine the flour", "Bake the dough", "missing"]],
    ),
    "steps tried": (
        (
            "My printer is broken. I did the following:\n"
            "1. Turned it off and on\n"
            "2. Changed the cartridge\n"
            "3. Updated the driver\n\n"
            "What else can I try?"
        ),
        [["printer is broken", "Turned it off", "Updated the driver", "What else"]],
    ),
    "facts about a person": (
        (
            "Write a reference for Ewan Clarke. Facts:\n"
            "- worked here from 2015 to 2019\n"
            "- led a team of six\n"
            "- never late"
        ),
        [["Ewan Clarke", "worked here", "led a team of six", "never late"]],
    ),
    "facts with verbs in front": (
        ("Write my CV. My duties were:\n- Answer phone calls\n- Plan the shifts of twelve nurses\n- Order supplies"),
        [["CV", "Answer phone calls", "twelve nurses", "Order supplies"]],
    ),
    "options": (
        ("Which of these is best for a family of four?\n1. A camper van\n2. A house by a lake\n3. A cruise"),
        [["family of four", "camper van", "lake", "cruise"]],
    ),
    "requirements of one thing": (
        (
            "Write a Python script with these requirements:\n"
            "- Read names from a file\n"
            "- Remove duplicates\n"
            "- Print a report"
        ),
        [["Python script", "Read names", "Remove duplicates", "Print a report"]],
    ),
    "a form filled in": (
        ("Write a letter to my bank.\n- Name: Jan Kowal\n- Account: 10018850\n- Reason: lost card"),
        [["letter to my bank", "Jan Kowal", "10018850", "lost card"]],
    ),
    "an agenda": (
        (
            "Turn this agenda into an e-mail to the team:\n"
            "1. Welcome the new interns\n"
            "2. Review the budget\n"
            "3. Plan the summer party"
        ),
        [["agenda", "Welcome the new interns", "Review the budget", "Plan the summer party"]],
    ),
    "shopping": (
        ("- milk\n- eggs\n- sourdough bread\n- a birthday candle\n\nWhat did I forget for pancakes?"),
        [["milk", "eggs", "birthday candle", "pancakes"]],
    ),
    "symptoms": (
        (
            "I have had these symptoms since Monday:\n"
            "1. Sore throat\n"
            "2. A fever of 38.5\n"
            "3. Tired legs\n\n"
            "Should I see Dr. Lindqvist?"
        ),
        [["since Monday", "Sore throat", "fever", "Tired legs", "Dr. Lindqvist"]],
    ),
    "goals, and a question about them": (
        ("1. Learn Spanish\n2. Run a marathon\n3. Write a book\n\nHow realistic are my goals?"),
        [["Learn Spanish", "Run a marathon", "Write a book", "realistic"]],
    ),
    "goals under a title": (
        (
            "Goals for spring:\n"
            "1. Find a flat in Ghent\n"
            "2. Plan the wedding with Noor\n"
            "3. Write a book\n\n"
            "Make a schedule."
        ),
        [["Goals for spring", "Find a flat", "Plan the wedding with Noor", "Make a schedule"]],
    ),
    "options, and a question right under them": (
        ("Options for dinner:\n1. Make a pizza\n2. Order some sushi\n3. Cook a curry\nWhich is healthiest?"),
        [["Make a pizza", "Order some sushi", "Cook a curry", "healthiest"]],
    ),
    "questions that are looked at": (
        (
            "I wrote these interview questions:\n"
            "1. Why did you leave Siemens?\n"
            "2. Where do you live?\n\n"
            "Which one is illegal to ask?"
        ),
        [["Why did you leave Siemens?", "Where do you live?", "illegal"]],
    ),
    "questions for a quiz": (
        ("Write a quiz with these questions:\n1. Who was Kant?\n2. Where is Oslo?"),
        [["quiz", "Kant", "Oslo"]],
    ),
    "a to-do list to be ordered": (
        (
            "My to-do list:\n"
            "- call the plumber\n"
            "- finish the report for Ms. Lang\n"
            "- buy milk\n\n"
            "Help me prioritise these."
        ),
        [["call the plumber", "Ms. Lang", "buy milk", "prioritise"]],
    ),
    "a letter and what it should say": (
        ("Write a cover letter for a nurse. Mention my five years at St. Mary's. Highlight my language skills."),
        [["cover letter", "Mention my five years", "Highlight my language skills"]],
    ),
    "one task with and": (
        "Write a function that reads a file and counts the words in each line, and explain how it works.",
        [["reads a file", "counts the words", "explain how it works"]],
    ),
    "questions in one sentence, which mostly have one subject": (
        "When is the best time to visit Japan, how much money should I bring, and what should I pack?",
        [["visit Japan", "money", "pack"]],
    ),
    "questions about a subject named once": (
        "When is the best time to visit Japan? What should I pack?",
        [["visit Japan", "pack"]],
    ),
    "what a letter should ask": (
        "Draft a letter asking my bank to block the card and send a new one to Berlin.",
        [["block the card", "send a new one to Berlin"]],
    ),
    "first and then within one thing": (
        "First summarise the plot of Emma, then list its main characters.",
        [["plot of Emma", "main characters"]],
    ),
    "a when-clause before a question": (
        "When I was in Rome with my aunt Giulia, what was the big round temple that we saw?",
        [["aunt Giulia", "round temple"]],
    ),
}

ALL = APART | TOGETHER
SAID_TO_NOBODY = word_set(
    "hi hello there hope well could please help following thanks lot like know three things tasks today requests need"
    " first second third"
)


@pytest.mark.parametrize("name", ALL)
def test_each_task_is_in_a_fragment_of_its_own_with_what_it_needs(name: str) -> None:
    text, expected = ALL[name]
    found = [fragment.prompt.text for fragment in planned(text).fragments]
    assert len(found) == len(expected), found
    for place, phrases in enumerate(expected):
        for phrase in phrases:
            assert [phrase in fragment for fragment in found] == [n == place for n in range(len(found))], phrase


@pytest.mark.parametrize("name", ALL)
def test_no_word_of_the_request_is_lost(name: str) -> None:
    text, _ = ALL[name]
    sent: set[str] = set()
    for fragment in planned(text).fragments:
        sent |= set(content_words(fragment.prompt.text))
    assert {word for word in content_words(text) if not re.fullmatch(r"\d{1,2}|[abc]", word)} - sent <= SAID_TO_NOBODY


@pytest.fixture(scope="module")
def detector() -> Detector:
    pytest.importorskip("spacy")
    return Detector.load()


SMALL = re.compile(r"(?<![\w@.-])[a-zäöüßąćęłńóśźż]{2,}(?![\w@-])(?!\.\w)")


@pytest.mark.parametrize("name", ALL)
def test_masking_takes_no_verb_and_no_plain_word_from_a_fragment(name: str, detector: Detector) -> None:
    text, expected = ALL[name]
    mentions = detector.detect(text)
    made = planned(text, mentions)
    assert len(made.fragments) == len(expected)
    conversation = Conversation(Random(name))
    for fragment in made.fragments:
        view = conversation.view(str(fragment.slot))
        sent = fragment.prompt.text
        masked = view.mask(sent, fragment.prompt.mentions).text
        assert masked.split()[0] == sent.split()[0]
        assert SMALL.findall(masked) == SMALL.findall(sent)
        assert restore(masked, view.mapping()) == sent


@pytest.mark.parametrize("name", APART)
def test_a_word_that_was_masked_in_one_fragment_is_in_clear_in_none(name: str, detector: Detector) -> None:
    text, _ = APART[name]
    made = planned(text, detector.detect(text))
    conversation = Conversation(Random(name))
    masked = [conversation.view(str(f.slot)).mask(f.prompt.text, f.prompt.mentions).text for f in made.fragments]
    assert len(conversation.identities_in_clear(masked)) == 0


def test_the_answers_of_a_list_come_back_under_its_items() -> None:
    text, _ = APART["verbs of daily life, numbered"]
    shown = merge(planned(text), {0: "Done.", 1: "Well done!", 2: "Day one."})
    assert shown.startswith(
        "**1. Remind my sister Agnieszka Lis to bring the passports on Friday.**\n\nDone.\n\n**2. "
    )


def test_there_are_forty_requests_and_more() -> None:
    assert len(APART) >= 40
