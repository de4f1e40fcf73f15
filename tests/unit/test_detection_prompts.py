"""P2: prompts as people write them, each with several identifiers: every one is found, and no instruction is taken."""

import pytest

from privacy.detection import Detector

pytest.importorskip("spacy")

# A prompt, and everything in it that identifies somebody.
PROMPTS: list[tuple[str, list[str]]] = [
    (
        "asking my bank to send a new card to James Whitfield, 221 Baker Street, London NW1 6XE.",
        ["James Whitfield", "221 Baker Street, London NW1 6XE"],
    ),
    (
        ("Write an email asking my bank to send a new card to James Whitfield, 221 Baker Street, London NW1 6XE."),
        ["James Whitfield", "221 Baker Street, London NW1 6XE"],
    ),
    (
        ("Remind Agnieszka Lis (a.lis@poczta.example, +48 601 234 567) to bring passport EB1234567 on 14 March 2026."),
        ["Agnieszka Lis", "a.lis@poczta.example", "+48 601 234 567", "EB1234567", "14 March 2026"],
    ),
    (
        (
            "Congratulate Tom Becker on his new job at Siemens in Munich; his address is Leopoldstraße 44, "
            "80802 München."
        ),
        ["Tom Becker", "Siemens", "Munich", "Leopoldstraße 44, 80802 München"],
    ),
    (
        (
            "Draft a complaint to Vodafone: customer number 883920114, phone 07700 900123, from Olivia Hart, "
            "9 Mill Lane, Oxford OX4 1AB."
        ),
        ["Vodafone", "883920114", "07700 900123", "Olivia Hart", "9 Mill Lane, Oxford OX4 1AB"],
    ),
    (
        "My name is Ingrid Solberg, born 3 May 1979, and I live at Kirkegata 12, 5003 Bergen.",
        ["Ingrid Solberg", "3 May 1979", "Kirkegata 12, 5003 Bergen"],
    ),
    (
        "Tell my landlord Mr. Patel at 14 Elm Grove, Leeds LS6 2AB that the boiler broke on 02/11/2025.",
        ["Patel", "14 Elm Grove, Leeds LS6 2AB", "02/11/2025"],
    ),
    (
        "Send flowers to Rosa Delgado, Calle Mayor 5, 28013 Madrid, and charge card 5500 0000 0000 0004.",
        ["Rosa Delgado", "Calle Mayor 5, 28013 Madrid", "5500 0000 0000 0004"],
    ),
    (
        (
            "Please email dr.moreau@clinique.example that Hélène Moreau's appointment on 12 June at 10:30 "
            "moves to Friday."
        ),
        ["dr.moreau@clinique.example", "Hélène Moreau", "12 June"],
    ),
    (
        "Transfer 300 euros from DE89 3704 0044 0532 0130 00 to my brother Piotr Nowak.",
        ["DE89 3704 0044 0532 0130 00", "Piotr Nowak"],
    ),
    (
        "Write to HR: employee ID 48213, Karen Holt, wants parental leave from 1 April 2026.",
        ["48213", "Karen Holt", "1 April 2026"],
    ),
    (
        "I am Samir Khoury and my SSN is 536-90-4399; explain how to freeze my credit.",
        ["Samir Khoury", "536-90-4399"],
    ),
    (
        "Nudge Felix Brandt from Nordwind Logistik GmbH about invoice 20931, his number is 030 901820.",
        ["Felix Brandt", "Nordwind Logistik GmbH", "20931", "030 901820"],
    ),
    (
        "Book a table at 8 pm for Yuki Tanaka, call 212-555-0143.",
        ["Yuki Tanaka", "212-555-0143"],
    ),
    (
        ("Invite Anna and Marek Zielinski, 42 Oak Avenue, Portland, OR 97205, to the wedding on September 5th, 2026."),
        ["Anna", "Marek Zielinski", "42 Oak Avenue, Portland, OR 97205", "September 5th, 2026"],
    ),
    (
        "Thank Dr. Lindqvist for treating my daughter Elif on Monday, patient ID 7781-22.",
        ["Lindqvist", "Elif", "7781-22"],
    ),
    (
        "Summarise the case of Smith v. Jones; my lawyer is Rebecca Stone, rebecca@stonelaw.example.",
        ["Smith", "Jones", "Rebecca Stone", "rebecca@stonelaw.example"],
    ),
    (
        ("My neighbour Gustav Ek at 17 Storgatan, Uppsala keeps parking in front of my garage; his plate is ABC 123."),
        ["Gustav Ek", "17 Storgatan, Uppsala", "ABC 123"],
    ),
    (
        "Congratulate Priya Raman on her promotion at Infosys.",
        ["Priya Raman", "Infosys"],
    ),
    (
        ("Figure out how far it is from 10 Downing Street, London SW1A 2AA to my flat at 5 Rue Cler, 75007 Paris."),
        ["10 Downing Street, London SW1A 2AA", "5 Rue Cler, 75007 Paris"],
    ),
    (
        "Compose a text for Mum saying I landed in Lisbon and my new number is +351 912 345 678.",
        ["Lisbon", "+351 912 345 678"],
    ),
    (
        "Post this review signed by Nadia Rahman, nadia_r@mail.example: the food was cold.",
        ["Nadia Rahman", "nadia_r@mail.example"],
    ),
    (
        (
            "Let Karen Holt know that her parcel, tracking number 1Z999AA10123456784, is at 12 High Street, "
            "Bath BA1 5AQ."
        ),
        ["Karen Holt", "1Z999AA10123456784", "12 High Street, Bath BA1 5AQ"],
    ),
    (
        "Help me write to my insurer: policy number 4471-B, claim for Ewan Clarke, DOB 04/07/1985.",
        ["4471-B", "Ewan Clarke", "04/07/1985"],
    ),
    (
        (
            "From: Beata Wrona <beata@wrona.example> To: Jan Kowal. Please translate: see you at ul. Długa "
            "7, 31-146 Kraków."
        ),
        ["Beata Wrona", "beata@wrona.example", "Jan Kowal", "ul. Długa 7, 31-146 Kraków"],
    ),
    (
        "remind grandma helga about the dentist, her number is 0151 23456789",
        ["helga", "0151 23456789"],
    ),
    (
        ("my boss anita desai (anita.desai@corp.example) wants me at 99 Market St, San Francisco, CA 94105 by 9 am"),
        ["anita desai", "anita.desai@corp.example", "99 Market St, San Francisco, CA 94105"],
    ),
    (
        "Persuade my boss, Anita Desai, to let me work from home; I live with my son Leo in Pune.",
        ["Anita Desai", "Leo", "Pune"],
    ),
    ('"It cannot go on," says Okonjo. "What is your name?" Bouterse', ["Okonjo", "Bouterse"]),
    (
        "Apologise to Ms. Okafor, Flat 3, 18 Queens Road, Bristol BS8 1QE, for the noise on 31 December.",
        ["Okafor", "Flat 3, 18 Queens Road, Bristol BS8 1QE", "31 December"],
    ),
    (
        "Reset my login: username hartley77, password Winter2024!, IP 203.0.113.77.",
        ["hartley77", "Winter2024", "203.0.113.77"],
    ),
    (
        "Write a toast for Hannah and Luke's wedding at St. Mary's Church in Galway on 20 June 2026.",
        ["Hannah", "Luke", "St. Mary's Church", "Galway", "20 June 2026"],
    ),
    (
        ("Cancel my Netflix account registered to oskar.berg@mail.example, card ending 4242, Oskar Berg, Stockholm."),
        ["oskar.berg@mail.example", "4242", "Oskar Berg", "Stockholm"],
    ),
    (
        (
            "Draft a visa letter for Li Wei, passport number G12345678, flying from Shanghai to Toronto on 8 "
            "August 2026."
        ),
        ["Li Wei", "G12345678", "Shanghai", "Toronto", "8 August 2026"],
    ),
    (
        "Ask Henrik Dahl (henrik@dahl.example) for the contract with Fjord Systems AS before 1 May.",
        ["Henrik Dahl", "henrik@dahl.example", "Fjord Systems AS", "1 May"],
    ),
    (
        (
            "1. Compliment Zofia Maj on her garden.\n2. Phone Bartek Wilk on 601 234 567 about booking "
            "QX77812.\n3. Explain tides."
        ),
        ["Zofia Maj", "Bartek Wilk", "601 234 567", "QX77812"],
    ),
    (
        (
            "Dear Ms. Nakamura, my order went to 77 Pine Court, Denver, CO 80203 instead of 7 Pine Court. "
            "Yours, Dylan Marsh"
        ),
        ["Nakamura", "77 Pine Court, Denver, CO 80203", "7 Pine Court", "Dylan Marsh"],
    ),
    (
        ("first text Amelia Frost that her flight BA117 lands at noon, then email ravi@menon.example the itinerary"),
        ["Amelia Frost", "ravi@menon.example"],
    ),
    (
        ("Order a taxi from Hotel Adlon, Unter den Linden 77, 10117 Berlin for Mr. and Mrs. Castellano at 7."),
        ["Unter den Linden 77, 10117 Berlin", "Castellano"],
    ),
    (
        "REMIND MARCO ROSSI TO PAY RENT TO ACCOUNT 10018850 BY 5 MAY 2026!",
        ["MARCO ROSSI", "10018850", "5 MAY 2026"],
    ),
    (
        (
            "Patient: Grace Okoro, DOB 12/03/1961, MRN 00482913, seen by Dr. Feldman at Charité. Summarise "
            "for her son Emeka."
        ),
        ["Grace Okoro", "12/03/1961", "00482913", "Feldman", "Emeka"],
    ),
    (
        ("my landlady is called Frau Schröder, she lives in Gartenweg 3, 04109 Leipzig; write her about the noise"),
        ["Schröder", "Gartenweg 3, 04109 Leipzig"],
    ),
    (
        (
            "Reply to Chloé (chloe.d@courriel.example): oui, on se voit au 12 rue de la Paix, 75002 Paris le "
            "3 juin 2026."
        ),
        ["Chloé", "chloe.d@courriel.example", "12 rue de la Paix, 75002 Paris", "3 juin 2026"],
    ),
    (
        "Tell Noor and Willem that the keys of 5 Tulip Lane are with Mrs. Abernathy, flat 2B.",
        ["Noor", "Willem", "5 Tulip Lane", "Abernathy"],
    ),
    (
        "Compare quotes: Jan de Vries 0612345678, Petra Bakker petra@bakker.example, both from Utrecht.",
        ["Jan de Vries", "0612345678", "Petra Bakker", "petra@bakker.example", "Utrecht"],
    ),
]


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector.load()


def places(text: str, words: str) -> set[int]:
    """The letters and digits of `words` where they first stand in `text`."""
    start = text.index(words)
    return {place for place in range(start, start + len(words)) if text[place].isalnum()}


@pytest.mark.parametrize(("text", "personal"), PROMPTS)
def test_everything_personal_is_found(text: str, personal: list[str], detector: Detector) -> None:
    found = {place for mention in detector.detect(text) for place in range(mention.start, mention.end)}
    assert [words for words in personal if not places(text, words) <= found] == []


@pytest.mark.parametrize(("text", "personal"), PROMPTS)
def test_what_is_asked_for_stays(text: str, personal: list[str], detector: Detector) -> None:
    named = set().union(*(places(text, words) for words in personal))
    found = {place for mention in detector.detect(text) for place in range(mention.start, mention.end)}
    masked_besides = {place for place in found - named if text[place].isalnum()}
    # A company or place that nobody minds may be masked as well; a sentence may not.
    assert len(masked_besides) <= 20
    assert not places(text, text.split(maxsplit=1)[0]) & (found - named)


def test_a_name_in_capitals_ends_where_the_sentence_goes_on(detector: Detector) -> None:
    text = "REMIND MARCO TO FEED THE FISH!"
    assert [text[mention.start : mention.end] for mention in detector.detect(text)] == ["MARCO"]


def test_a_surname_that_is_a_word_belongs_to_the_name(detector: Detector) -> None:
    text = "my lawyer is Rebecca Stone, and the house is of stone"
    assert [text[mention.start : mention.end] for mention in detector.detect(text)] == ["Rebecca Stone"]


@pytest.mark.parametrize(
    "text",
    [
        "my dad snores and my sister bakes, my boss yells",
        "my mother will let me have a pet and my boss may agree",
        "tell me a joke, ask them why, let us begin, invite everybody",
        "Schreibe mir bitte etwas. Wyjaśnij mi to. Traduis ce texte.",
        "Nudge me tomorrow. Brainstorm names for a bakery. Recap the plot.",
        "the case is closed, the claim is false, a ticket 20 euros",
    ],
)
def test_plain_words_after_a_cue_are_left_alone(text: str, detector: Detector) -> None:
    assert [text[mention.start : mention.end] for mention in detector.detect(text)] == []
