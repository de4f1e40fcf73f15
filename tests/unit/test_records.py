"""Numbers that stand in a person's record, and figures that stand in a table."""

import pytest

from privacy._records import record_numbers
from privacy.mention import Mention


def numbers(text: str, *personal: str) -> list[str]:
    """What is found in `text`, in which `personal` were found before."""
    mentions = sorted(
        Mention(text.index(shown), text.index(shown) + len(shown), "PERSON", 0.9, "spacy") for shown in personal
    )
    return [text[mention.start : mention.end] for mention in record_numbers(text, mentions)]


@pytest.mark.parametrize("mark", ["|", "\t", ";", ","])
def test_the_numbers_of_a_record_are_a_persons(mark: str) -> None:
    row = mark.join(
        ["Ann Lee", "212-555-0143", "4000-0000-0090-5649", "P7L124477", '"10318201"', "paid", "2024-01-02"]
    )
    assert numbers(row, "Ann Lee", "212-555-0143") == ["4000-0000-0090-5649", "P7L124477", "10318201"]


def test_each_line_is_read_by_itself() -> None:
    text = "name|phone|account|x\nAnn Lee|212-555-0143|10318201|y\r\ntotal|3|10318202|z\n"
    assert numbers(text, "Ann Lee", "212-555-0143") == ["10318201"]


@pytest.mark.parametrize(
    "row",
    [
        "Ann Lee|10318201|10318202|10318203",  # one identifier: a table of figures about somebody
        "Ann Lee and 212-555-0143 owe 10318201",  # no fields
        "Ann Lee|212-555-0143|10318201",  # too few
        "Ann Lee|212-555-0143|1 250 000|3.14159|x",
        "Ann Lee|212-555-0143|2024-01-02|12/31/1999|2024-01-02T10:30:00Z",
        "Ann Lee|212-555-0143|ABCDEF12|AB123|x",  # too few digits, too few characters
        "Ann Lee|212-555-0143|12|ABCDEF|see 10318201 there",
        "Ann Lee|212-555-0143|10318201|x" + "y" * 4_000,
    ],
)
def test_other_fields_are_left_alone(row: str) -> None:
    assert numbers(row, *(shown for shown in ("Ann Lee", "212-555-0143") if shown in row)) == []


def test_a_row_in_which_places_and_dates_alone_were_found_is_no_persons() -> None:
    row = "Oslo|2024-01-02|10318201|x"
    mentions = [Mention(0, 4, "LOCATION", 0.9, "spacy"), Mention(5, 15, "DATE_TIME", 0.9, "pattern:date")]
    assert list(record_numbers(row, mentions)) == []


def test_two_identifiers_in_one_field_are_one() -> None:
    assert numbers("Ann Lee 212-555-0143|10318201|10318202|x", "Ann Lee", "212-555-0143") == []
