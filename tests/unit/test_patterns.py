"""Pattern recognisers: each finds its kind, and leaves alone what only looks like it."""

import pytest

from privacy.patterns import Page, PhoneRecogniser
from tests.found_patterns import found

FOUND = [
    ("EMAIL", "Write to maria.k@acme-robotics.de, please.", "maria.k@acme-robotics.de"),
    ("EMAIL", "mailto:<jan+news@post.example.org>", "jan+news@post.example.org"),
    ("EMAIL", "reach me at josé@correo.example.", "josé@correo.example"),
    ("EMAIL", "GET /u?email=amy.w%40mail.example&x=1", "amy.w%40mail.example"),
    ("EMAIL", "jan [at] firma [dot] pl", "jan [at] firma [dot] pl"),
    ("PHONE", "Call +48 601 234 567 today", "+48 601 234 567"),
    ("PHONE", "My cell: (212) 555-0143.", "(212) 555-0143"),
    ("PHONE", "212-555-0143 is mine", "212-555-0143"),
    ("PHONE", "London 020 7946 0958 evenings", "020 7946 0958"),
    ("PHONE", "Tel. 030 901820 ext. 12", "030 901820 ext. 12"),
    ("PHONE", "phone 06 12 34 56 78", "06 12 34 56 78"),
    ("PHONE", "call +l 2l2-555-Ol43 now", "+l 2l2-555-Ol43"),
    ("PHONE", "call 6+0+1+2+3+4+5+6+7 now", "6+0+1+2+3+4+5+6+7"),
    ("CREDIT_CARD", "take 4lll llll llll llll for it", "4lll llll llll llll"),
    ("CREDIT_CARD", "take\n" + "\n".join("4111111111111111") + "\nfor it", "\n".join("4111111111111111")),
    ("CREDIT_CARD", "take " + " • ".join("4111111111111111") + " for it", " • ".join("4111111111111111")),
    ("IBAN", "to DE8937O4OO44O532Ol3OOO today", "DE8937O4OO44O532Ol3OOO"),
    ("IBAN", "to FRl4 2OO4 lOlO O5O5 OOOl 3MO2 6O6 today", "FRl4 2OO4 lOlO O5O5 OOOl 3MO2 6O6"),
    ("IBAN", "to GB29 NWBK 6Ol6 l33l 9268 l9 today", "GB29 NWBK 6Ol6 l33l 9268 l9"),
    ("PHONE", "+1 (574) 700-3997, then", "+1 (574) 700-3997"),
    ("PHONE", "call +1 (415) 555-0132. 1) Draft an invoice", "+1 (415) 555-0132"),
    ("PHONE", "call 212-555-0143 2 times", "212-555-0143"),
    ("PHONE", "stop the messages to 699 956 915", "699 956 915"),
    ("PHONE", "nobody is answering at 99 668472", "99 668472"),
    ("PHONE", "(37) 788-063-Office", "(37) 788-063"),
    ("PHONE", "930.167.3943 fax", "930.167.3943"),
    ("PHONE", "Fax: 001-253-366-9781", "001-253-366-9781"),
    ("CREDIT_CARD", "4111 1111 1111 1111 12/27 123", "4111 1111 1111 1111"),
    ("CREDIT_CARD", "It is 4111 1111 1111 1111 (Visa)", "4111 1111 1111 1111"),
    ("CREDIT_CARD", "5500-0000-0000-0004", "5500-0000-0000-0004"),
    ("CREDIT_CARD", "paid by 378282246310005.", "378282246310005"),
    ("CREDIT_CARD", "my card 4111111111111112 was refused", "4111111111111112"),
    ("CREDIT_CARD", "my credit card 060426070011 was lost", "060426070011"),
    ("IBAN", "IBAN DE89 3704 0044 0532 0130 00 please", "DE89 3704 0044 0532 0130 00"),
    ("IBAN", "pay gb29nwbk60161331926819 now", "gb29nwbk60161331926819"),
    ("IBAN", "My IBAN is FR76 3000 6000 0112 3456 7890 180", "FR76 3000 6000 0112 3456 7890 180"),
    ("IBAN", "IBAN DE00 3704 0044 0532 0130 00 1234567890123456", "DE00 3704 0044 0532 0130 00"),
    ("IP_ADDRESS", "the host 203.0.113.77 is down", "203.0.113.77"),
    ("IP_ADDRESS", "ping 2001:db8::8a2e:370:7334", "2001:db8::8a2e:370:7334"),
    ("URL", "https://host.example/profile?user=amy&x=1", "amy"),
    ("URL", "see https://www.linkedin.com/in/amy-w-123.", "https://www.linkedin.com/in/amy-w-123"),
    ("SECRET", "ftp://amy:secret1@files.example/x", "amy:secret1"),
    ("URL", "My website is https://amyw.example", "https://amyw.example"),
    ("ADDRESS", "He is at 42 Elm Street, Springfield, IL 62704 now", "42 Elm Street, Springfield, IL 62704"),
    (
        "ADDRESS",
        "1600 Pennsylvania Avenue NW, Washington, DC 20500",
        "1600 Pennsylvania Avenue NW, Washington, DC 20500",
    ),
    ("ADDRESS", "350 W 5th Ave, Apt 12B, New York, NY 10118", "350 W 5th Ave, Apt 12B, New York, NY 10118"),
    ("ADDRESS", "221B Baker Street, London NW1 6XE is known", "221B Baker Street, London NW1 6XE"),
    ("ADDRESS", "wohnt Hauptstraße 12, 10115 Berlin.", "Hauptstraße 12, 10115 Berlin"),
    ("ADDRESS", "au 12 rue de la Paix, 75002 Paris.", "12 rue de la Paix, 75002 Paris"),
    ("ADDRESS", "Calle de Alcalá 45, 28014 Madrid", "Calle de Alcalá 45, 28014 Madrid"),
    ("ADDRESS", "ul. Marszałkowska 10, 00-001 Warszawa", "ul. Marszałkowska 10, 00-001 Warszawa"),
    ("ADDRESS", "send it to P.O. Box 123, Springfield, IL 62704", "P.O. Box 123, Springfield, IL 62704"),
    ("ADDRESS", "my zip code is 35350", "35350"),
    ("NATIONAL_ID", "SSN 123-45-6789 on file", "123-45-6789"),
    ("NATIONAL_ID", "it reads 536-90-4399.", "536-90-4399"),
    ("ID", "passport number XG9382049 was", "XG9382049"),
    ("ID", "MRN: 00482913", "00482913"),
    ("ID", "(MRN-1302486)", "MRN-1302486"),
    ("ID", "account number 10018850 is empty", "10018850"),
    ("ID", "Case no. 2021-CV-00412 begins", "2021-CV-00412"),
    ("ID", "driver's license D245-938-19-203", "D245-938-19-203"),
    ("NATIONAL_ID", "DNI 12345678Z", "12345678Z"),
    ("SECRET", "my password is hunter2go", "hunter2go"),
    ("MAC_ADDRESS", "MAC 00:1A:2B:3C:4D:5E", "00:1A:2B:3C:4D:5E"),
    ("DATE_TIME", "born on 12 March 1985.", "12 March 1985"),
    ("DATE_TIME", "DOB: 1959-08-09", "1959-08-09"),
    ("DATE_TIME", "on March 3rd, 2024 we", "March 3rd, 2024"),
    ("DATE_TIME", "am 24.12.1999 geboren", "24.12.1999"),
    ("DATE_TIME", "She was born in 1985", "1985"),
]

LEFT_ALONE = [
    ("EMAIL", "git@github.com:peernet/peernet.git and @app.route and numpy@1.26"),
    ("PHONE", "from 2019-2023 we sold 10 000 000 units at 1.234.567"),
    ("PHONE", "on 2024-03-12 12:30:45 order 1234567 shipped"),
    ("PHONE", "pi is 3.14159265358979 and 192.168.100.200 a host"),
    ("PHONE", "rows 18 1997 02 19 9 and 472 485 57 14 11 441, version 0.1.4 2013-11, digits 0123456789"),
    ("PHONE", "invoice 2345678901 and ISBN 978-3-16-148410-0"),
    ("PHONE", "invoice 212-555-0143, we sold 601 234 567 units, it is +999 12 34 56 78 90"),
    ("PHONE", "call the host 192.0.2.77 for it"),
    ("PHONE", "call 12345678901234 times"),
    ("CREDIT_CARD", "4111 1111 1111 1112 has a wrong check digit"),
    ("CREDIT_CARD", "0000000000000000 and 1234567890123456"),
    ("CREDIT_CARD", "a right check digit has 1234567812345670, whose issuer there is not, and 44444444444444444"),
    ("IBAN", "DE00 3704 0044 0532 0130 00 is wrong, AB12CDEF too"),
    ("IP_ADDRESS", "version 1.2.3.4, 127.0.0.1, 0.0.0.0, mask 255.255.255.0, Chrome/120.0.0.0, 999.1.1.1"),
    ("IP_ADDRESS", "at 12:30:45 std::vector and a::b"),
    ("URL", "see https://docs.python.org/3/library/asyncio.html and https://example.org/a?page=2"),
    ("ADDRESS", "I ate 3 pizzas in the park and wrote 2 pages. Chapter 4 Road map. In 2024 Apple grew."),
    (
        "ADDRESS",
        "the 2012 National Book Critics Circle Award; _ADDRESS: Final = 4; (address: IPv4Address | str) -> str",
    ),
    ("ADDRESS", "On March 12, 1985 Maria came. It costs $42 per Square foot"),
    ("ID", 'licence="Apache-2.0", NO_RESERVATION = 204'),
    ("ID", "my passport 2019 ran out, the visa 12/03/2020 did not; letter no. 12/03/2020, case 1/2"),
    ("ID", "in case 2021 was bad, the account is fine, policy matters, order 66"),
    ("SECRET", "def login(user, password): return 123-456"),
    ("SECRET", "password = os.environ['PASSWORD1']"),
    ("DATE_TIME", "three weeks ago, tomorrow, on Monday, for 90 days, at 10:30, version 3.11.2"),
    ("DATE_TIME", "I may 3 times march 40 miles; 2024-13-45 is no date"),
]


@pytest.mark.parametrize(("label", "text", "expected"), FOUND)
def test_finds(label: str, text: str, expected: str) -> None:
    assert found(text, label) == [expected]


@pytest.mark.parametrize(("label", "text"), LEFT_ALONE)
def test_leaves_alone(label: str, text: str) -> None:
    assert found(text, label) == []


def test_letters_are_no_digits_where_no_check_digit_says_so() -> None:
    assert found("take 5lll llll llll llll for it", "CREDIT_CARD") == []
    assert found("to DE8837O4OO44O532Ol3OOO today", "IBAN") == []


def test_phone_regions_decide_which_national_forms_count() -> None:
    text = "ask for 0912 345 678 there"
    assert list(PhoneRecogniser(("US",)).find(Page(text))) == []
    assert [mention.end - mention.start for mention in PhoneRecogniser(("TW",)).find(Page(text))] == [12]


def test_two_numbers_are_two_mentions() -> None:
    assert found("+48 601 234 567, +48 601 234 568", "PHONE") == ["+48 601 234 567", "+48 601 234 568"]
    assert found("a@b.example,c@d.example", "EMAIL") == ["a@b.example", "c@d.example"]


@pytest.mark.parametrize("mark", ["{})", "{}.", "({})"])
def test_the_number_of_an_item_is_no_part_of_it(mark: str) -> None:
    text = f"call {mark.format(1)} 212-555-0143\n{mark.format(12)} 212-555-0144 or {mark.format(3)} (212) 555-0145"
    assert [number[-8:] for number in found(text, "PHONE")] == ["555-0143", "555-0144", "555-0145"]


def test_numbers_beyond_those_that_a_plan_is_asked_about_are_found_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def matches(_: PhoneRecogniser, candidate: str, region: str) -> bool:
        asked.append((candidate, region))
        return region == "DE"

    monkeypatch.setattr(PhoneRecogniser, "_matches_plan", matches)
    numbers = [f"030/{number:07}" for number in range(1_234_567, 1_234_567 + 3 * 2_000)]
    mentions = list(PhoneRecogniser().find(Page("; ".join(numbers))))
    assert len(mentions) == len(numbers)
    assert len(asked) == 2_000
