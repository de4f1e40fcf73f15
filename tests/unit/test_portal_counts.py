"""Numbers with their words on the pages: 1 host, 2 hosts, and never 1 hosts."""

import re
from pathlib import Path

import pytest

import bootstrap.portal
from bootstrap.money.letters import in_credits_said
from bootstrap.portal.pages import counted, credits_about, in_credits, noun

TEMPLATES = Path(bootstrap.portal.__file__).parent / "templates"
PLURAL_BEHIND_A_NUMBER = re.compile(
    r"(?:\|(?:number|credits|credits_about|length)|//[^}|]*|\b(?:count|cores|attempts)) \}\}(?:</p>\s*<p>)?"
    r"\s*(?!of its)(?:[a-z]+ )?[a-z]+s\b"
)


def test_one_is_one_and_everything_else_is_more():
    said = [counted(number, "entry", "entries") for number in (0, 1, 2, 1_001)]
    assert said == ["0 entries", "1 entry", "2 entries", "1\u202f001 entries"]
    assert [noun(number, "host") for number in (1, 11)] == ["host", "hosts"]


@pytest.mark.parametrize(
    ("microcredits", "said"), [(1_000_000, "1 credit"), (1, "0.000001 credits"), (1_250_000, "1.25 credits")]
)
def test_an_amount_has_its_unit(microcredits: int, said: str):
    assert in_credits(microcredits) == said
    assert in_credits_said(microcredits) == said


def test_the_word_fits_the_amount_as_it_is_shown():
    assert noun(credits_about(1_009_999), "credit") == "credit"
    assert noun(credits_about(1_010_000), "credit") == "credits"


def test_no_template_writes_a_plural_behind_a_number_by_itself():
    found = [
        (path.name, match[0])
        for path in sorted(TEMPLATES.rglob("*.html"))
        for match in PLURAL_BEHIND_A_NUMBER.finditer(path.read_text("utf-8"))
    ]
    assert found == []
