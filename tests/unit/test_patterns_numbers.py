"""Numbers of people, cases, records and vehicles: proven by their checksums, or by the words before them."""

import pytest

from tests.found_patterns import found

ALONE = [
    "811228-9874",  # Sweden
    "131052-308T",  # Finland
    "211062-5629",  # Denmark
    "151086 95088",  # Norway
    "RCCMNL83S18D969H",  # Italy
    "2 95 10 99 126 111 93",  # France
    "X-2482300W",  # Spain, a foreigner's
    "390.533.447-05",  # Brazil
    "16.727.230/0001-97",  # Brazil, a company's
    "12.531.909-2",  # Chile
    "20-05536168-2",  # Argentina
    "BOXW310820HNERXN09",  # Mexico
    "85.07.30-033.28",  # Belgium
    "756.9217.0769.85",  # Switzerland
    "710319/2745",  # Czechia
    "971013-9019902",  # Korea
    "11010519491231002X",  # China
    "AB 12 34 56 C",  # United Kingdom
    "S1234567D",  # Singapore
    "T1234567J",
    "F1234567N",
    "ACUPA7085R",  # India, tax
]

NAMED = [
    ("PESEL", "44051401359"),
    ("BSN", "111222333"),
    ("NHS no", "943 476 5870"),
    ("Aadhaar:", "2341 2341 2346"),
    ("SIN", "123-456-782"),
    ("TFN", "123 456 782"),
    ("OIB", "33392005961"),
    ("CPF", "39053344705"),
    ("CPR", "2110625629"),
    ("PPS", "6433435F"),
    ("NIP", "8567346215"),
    ("TC Kimlik No", "17291716060"),
    ("ИНН", "500100732259"),
    ("Steuer-ID", "36 574 261 809"),
]


@pytest.mark.parametrize("number", ALONE)
def test_a_number_that_proves_itself_is_found_alone(number: str) -> None:
    assert found(f"it reads {number}, I think", "NATIONAL_ID") == [number]


@pytest.mark.parametrize("number", ALONE)
def test_its_checksum_or_calendar_is_what_proves_it(number: str) -> None:
    changed = [
        f"{number[:place]}{(int(char) + 1) % 10}{number[place + 1 :]}"
        for place, char in enumerate(number)
        if char.isdigit()
    ]
    # A Danish number has only its date; an Indian tax number and a British one only letters that are given out.
    if number not in {"211062-5629", "AB 12 34 56 C", "ACUPA7085R"}:
        assert any(found(f"it reads {other}, I think", "NATIONAL_ID") == [] for other in changed)


def test_a_british_number_has_letters_that_are_given_out() -> None:
    assert found("it reads BG 12 34 56 C, I think", "NATIONAL_ID") == []


@pytest.mark.parametrize(("name", "number"), NAMED)
def test_a_plain_number_is_found_behind_its_name(name: str, number: str) -> None:
    assert found(f"My {name} {number} is new", "NATIONAL_ID") == [number]


@pytest.mark.parametrize("number", [number for _, number in NAMED if number != "36 574 261 809"])
def test_a_plain_number_without_a_name_is_left_alone(number: str) -> None:
    assert found(f"we counted {number} of them", "NATIONAL_ID") == []


CASES = [
    ("originated in an application (no. 18403/91) against", ["18403/91"]),
    ("applications nos. 12345/08, 678/09 and 91011/10 were joined", ["12345/08", "678/09", "91011/10"]),
    ("Case 1:19-cv-01234-ABC was filed", ["1:19-cv-01234-ABC"]),
    ("docket no. 21-1234 is open", ["21-1234"]),
    ("judgment ECLI:EU:C:2014:317 of the Court", ["ECLI:EU:C:2014:317"]),
    ("in C-131/12 it held", ["C-131/12"]),
    ("wyrok II SA/Gd 1234/99 z dnia", ["II SA/Gd 1234/99"]),
    ("Urteil VI ZR 123/45 sagt", ["VI ZR 123/45"]),
    ("arrêt n° RG 19/01234 du", ["RG 19/01234"]),
    ("pourvoi n° 18-12.345 formé", ["18-12.345"]),
    ("sag BS-12345/2019-KBH blev", ["BS-12345/2019-KBH"]),
    ("recurso 1234/2019 interpuesto", ["1234/2019"]),
    ("the 2021-CV-004123 is", ["2021-CV-004123"]),
    ("efter B-1234/2019 og", ["B-1234/2019"]),
]


@pytest.mark.parametrize(("text", "numbers"), CASES)
def test_case_numbers(text: str, numbers: list[str]) -> None:
    assert found(text, "ID") == numbers


RECORDS = [
    ("driver's licence number: D1234567", "D1234567"),
    ("accountNumber: 10018850", "10018850"),
    ('{"customer_id": "C-448812"}', "C-448812"),
    ("IMEI 490154203237518", "490154203237518"),
    ("Kundennummer 4711-0815", "4711-0815"),
    ("Aktenzeichen: 12 O 345/20", "12 O 345/20"),
    ("passeport n° 12AB34567", "12AB34567"),
    ("Pasaporte AAA123456", "AAA123456"),
    ("VIN 1M8GDM9AXKP042788", "1M8GDM9AXKP042788"),
    ("it says 1M8GDM9AXKP042788 there", "1M8GDM9AXKP042788"),
    ("chassis 1M8GDM9A1KP042788", "1M8GDM9A1KP042788"),
    ("account number 10018850- is hers", "10018850"),
    ("the card ending in 4821 was lost", "4821"),
    ("invoice 204188 is due", "204188"),
]


@pytest.mark.parametrize(("text", "number"), RECORDS)
def test_records_and_devices(text: str, number: str) -> None:
    assert number in found(text, "ID")


def test_of_two_names_the_one_that_says_more_counts() -> None:
    text = "my tax id number 12345678 is new"
    assert found(text, "NATIONAL_ID") == ["12345678"]
    assert found(text, "ID") == []


def test_a_vehicles_number_without_its_name_needs_its_check_digit() -> None:
    assert found("it says 1M8GDM9A1KP042788 there", "ID") == []


PLATES = [
    ("license plate 7ABC123 was seen", "7ABC123"),
    ("Kennzeichen B-MW 1234 parkt", "B-MW 1234"),
    ("immatriculation AB-123-CD", "AB-123-CD"),
    ("car with registration AB12 CDE", "AB12 CDE"),
    ("matrícula 1234 BCD", "1234 BCD"),
]


@pytest.mark.parametrize(("text", "plate"), PLATES)
def test_plates_behind_their_words(text: str, plate: str) -> None:
    assert found(text, "VEHICLE_PLATE") == [plate]


@pytest.mark.parametrize("text", ["registration ABCDEF", "placa 123456", "reg B1", "rego AB12 CDE12 ABC12"])
def test_a_plate_has_letters_and_digits_and_its_length(text: str) -> None:
    assert found(f"{text} is here", "VEHICLE_PLATE") == []


LEFT_ALONE = [
    "version 12.4.0-rc1 of build 20240312.4 at commit 9fceb02d0ae598e95dc970b74767f19372d61af8",
    "ISBN 978-3-16-148410-0 and ISSN 2049-3630 at $1,299.99",
    "x = 3.14159 * 2718281828 / 1e10; for i in range(1000000): pass",
    "The score was 21-14, the odds 3/4, open 24/7, section 12/3 of page 345.",
    "He ran 10/10 on 12-05, room B12, bus 42, size 38-40, COVID-19, A4, MP3.",
    "Law no. 12 and Protocol No. 11, Article 5 § 2, step 3 of 10",
    "uuid 123e4567-e89b-12d3-a456-42661417 is no number of a person",
    "AB12 CDE and 7ABC123 stand here without a word",
]


@pytest.mark.parametrize("label", ["NATIONAL_ID", "VEHICLE_PLATE", "PHONE", "CREDIT_CARD", "IBAN", "COORDINATES"])
@pytest.mark.parametrize("text", LEFT_ALONE)
def test_other_numbers_are_left_alone(text: str, label: str) -> None:
    assert found(text, label) == []


@pytest.mark.parametrize("text", LEFT_ALONE[:4] + LEFT_ALONE[5:6])
def test_they_are_no_ids_either(text: str) -> None:
    assert found(text, "ID") == []
