"""Places and times: coordinates, hardware and street addresses, links, dates and years."""

import pytest

from tests.found_patterns import found

FOUND = [
    ("COORDINATES", "it is at 48.8584, 2.2945.", "48.8584, 2.2945"),
    ("COORDINATES", "40.7128° N, 74.0060° W", "40.7128° N, 74.0060° W"),
    ("COORDINATES", "40.712° N, 74.006° W", "40.712° N, 74.006° W"),
    ("COORDINATES", "at −33.8688, −51.2093.", "−33.8688, −51.2093"),
    ("COORDINATES", "open @5.5200,3.4050 now", "5.5200,3.4050"),
    ("COORDINATES", "see geo:37.786971,-122.399677", "37.786971,-122.399677"),
    ("COORDINATES", "at 40°26′46″N there", "40°26′46″N"),
    ("COORDINATES", '{"lat": 52.520008}', "52.520008"),
    ("COORDINATES", "https://maps.example/@52.5200,13.4050,15z", "52.5200,13.4050"),
    ("MAC_ADDRESS", "the NIC 08-00-2B-01-02-03 is", "08-00-2B-01-02-03"),
    ("MAC_ADDRESS", "cisco 0800.2b01.0203 up", "0800.2b01.0203"),
    ("URL", "see https://shop.example/a?page=2&customer_id=8812", "8812"),
    ("ADDRESS", "221B Baker Street\nLondon NW1 6XE", "221B Baker Street\nLondon NW1 6XE"),
    ("ADDRESS", "12 Oak Lane\nSpringfield, Illinois 62704", "12 Oak Lane\nSpringfield, Illinois 62704"),
    ("ADDRESS", "bor på Nørregade 12, 1165 København.", "Nørregade 12, 1165 København"),
    ("ADDRESS", "Keizersgracht 123, 1015 CJ Amsterdam", "Keizersgracht 123, 1015 CJ Amsterdam"),
    ("ADDRESS", "Via Roma 10, 00184 Roma", "Via Roma 10, 00184 Roma"),
    ("ADDRESS", "Postfach 1234, 10115 Berlin", "Postfach 1234, 10115 Berlin"),
    ("ADDRESS", "the corner of 5th and Main.", "the corner of 5th and Main"),
    ("ADDRESS", "on the corner of 12 Mill Lane & Bridge St.", "the corner of 12 Mill Lane & Bridge St"),
    ("ADDRESS", "Unit 5022 Box 1225\nFPO AA 61487", "Unit 5022 Box 1225\nFPO AA 61487"),
    ("ADDRESS", "to PSC 1234 Box 1225\nAPO AE please", "PSC 1234 Box 1225\nAPO AE"),
    ("ADDRESS", "12 Oak Lane, Old Town, Springfield, IL 62704 now", "12 Oak Lane, Old Town, Springfield, IL 62704"),
    ("ADDRESS", "it is in Springfield, IL 62704 now", "Springfield, IL 62704"),
    ("ADDRESS", "to USS Enterprise\nFPO AE 44941 please", "USS Enterprise\nFPO AE 44941"),
    ("URL", "I put the photo on https://www.OrthoTraffic.ch/", "https://www.OrthoTraffic.ch/"),
    ("URL", "open https://[bad/a?user=amy now", "https://[bad/a?user=amy"),
    ("URL", "(http://rosas-bakery.example.shop)", "http://rosas-bakery.example.shop"),
    ("DATE_TIME", "am 3. März 2021 kam", "3. März 2021"),
    ("DATE_TIME", "le 1er mars 2020 à", "1er mars 2020"),
    ("DATE_TIME", "el 5 de mayo de 2019 fue", "5 de mayo de 2019"),
    ("DATE_TIME", "il 25 aprile 1945 era", "25 aprile 1945"),
    ("DATE_TIME", "den 12. marts 2019 blev", "12. marts 2019"),
    ("DATE_TIME", "dnia 3 maja 1991 r.", "3 maja 1991"),
    ("DATE_TIME", "the 3rd day of March 2021", "3rd day of March 2021"),
    ("DATE_TIME", "[10/Oct/2000:13:55:36]", "10/Oct/2000"),
    ("DATE_TIME", "on 24 January and 7 March 2002 they", "24 January"),
    ("DATE_TIME", "between 1 and 31 October 2001", "1 and 31 October 2001"),
    ("DATE_TIME", "on November 22nd she", "November 22nd"),
    ("DATE_TIME", "in March and July 1999", "March"),
    ("DATE_TIME", "log 2024-03-12T10:30:00Z ok", "2024-03-12T10:30:00Z"),
    ("DATE_TIME", "geboren am 24.12.61 in", "24.12.61"),
    ("DATE_TIME", "bis 31.12. zahlen", "31.12"),
    ("DATE_TIME", "2024年3月5日", "2024年3月5日"),
    ("DATE_TIME", "He retired in 1998.", "1998"),
    ("DATE_TIME", "between 1944 and 1990 by", "1944"),
    ("DATE_TIME", "Bach (1685–1750) wrote", "1685"),
    ("DATE_TIME", "depuis 2003, il", "2003"),
]


@pytest.mark.parametrize(("label", "text", "expected"), FOUND)
def test_finds(label: str, text: str, expected: str) -> None:
    assert expected in found(text, label)


LEFT_ALONE = [
    ("COORDINATES", "weights [12.3456, 45.6789, 78.1234] and (0.1234, 0.5678)"),
    ("COORDINATES", "pi is 3.14159, e 2.71828, and 3.141592, 2.718281 too"),
    ("COORDINATES", "it was 21.5000° warm, 99.1234, 200.1234"),
    ("COORDINATES", "gps 40.712, 74.006; lat 520.520008"),
    ("MAC_ADDRESS", "00:00:00:00:00:00, 12:30:45, 12-03-04-05-06-07 and ab:cd"),
    ("URL", "https://en.wikipedia.org/wiki/User_(computing) and https://docs.example/a?page=2&lang=en"),
    ("URL", "https://www.google.example/search?q=forensic+science"),
    ("URL", "https://docs.python.org/ http://www.google.com http://localhost https://api.example.com/"),
    ("URL", "https://www.orthotraffic.ch/opening-hours"),  # a document
    ("URL", "see my https://docs.python.org/3/library/asyncio.html and https://WWW.Google.COM"),
    ("URL", 'f"https://shop.example/a?user={name}"'),
    ("ADDRESS", "in the corner of the room and there; the corner of a table and a chair; Unit 4 of Box Hill"),
    ("ADDRESS", "under Rule 52 § 1 of the Rules of Court and 6 of the Administrative Court"),
    ("ADDRESS", "paragraphs 4 Main Street; 3 Windows Place; my address is Unknown Person here"),
    ("ADDRESS", "Remembering 25 years; Bring 1; during 13 December; via Couponing 4 You"),
    ("DATE_TIME", "in 2000 words, 1500 people, by 1800 users, 2019-nCoV, model 1984X, room 2001, $1999"),
    ("DATE_TIME", "two months, last week, at 18.45, for 14 days, 24/7, 3/4 cup, 1.2.3, 10.11.12, 192.168.1.10"),
    ("DATE_TIME", "part x-2024-03-12, on 31/02/2024, Kapitel 31.12. zeigt"),
    ("DATE_TIME", "you may 12 times decline; march on; 5 apples or 31 pears"),
]


@pytest.mark.parametrize(("label", "text"), LEFT_ALONE)
def test_leaves_alone(label: str, text: str) -> None:
    assert found(text, label) == []


def test_an_address_ends_before_the_next_field() -> None:
    text = "Address: 2995 Sycamore Road, Springfield, PA 22795\nPhone: +1 (212) 555-0143"
    assert found(text, "ADDRESS") == ["2995 Sycamore Road, Springfield, PA 22795"]


def test_the_stop_of_a_sentence_is_no_part_of_a_postcode() -> None:
    assert found("She lives at 12 Rose Lane, York YO1 7HU.", "ADDRESS") == ["12 Rose Lane, York YO1 7HU"]
