"""What people type becomes an address, a name or a place to go on to, or is refused; and it is the same every time."""

import unicodedata
from urllib.parse import urljoin, urlsplit

from hypothesis import example, given
from hypothesis import strategies as st

from bootstrap.people.addresses import MAX_ADDRESS_LENGTH, parse_address
from bootstrap.people.names import checked_name, checked_profile
from bootstrap.people.password_rules import check_password
from bootstrap.portal.signing import safe_next
from bootstrap.refusal import Refused

ODD = "@.+-_'\"<>()[]\\,;: \t\r\n\0\u00ad\u200b\u202e\u3002\uff0eaAßİıｅée\u0301фñ1"
TYPED = st.text(st.sampled_from(ODD) | st.characters(), max_size=80)


@given(TYPED | st.builds("{}@{}.{}".format, TYPED, TYPED, TYPED))
def test_an_address_is_plain_and_stays_what_it_is(given_: str):
    try:
        address = parse_address(given_)
    except Refused:
        return
    for text in (address.text, address.key):
        assert text.isascii()
        assert text.isprintable()
        assert text.count("@") == 1
        assert not set(text) & set(' <>()[]\\,;:"')
        assert len(text) <= MAX_ADDRESS_LENGTH
    again = parse_address(address.text)
    assert again.text == address.text
    assert again.key == address.key == parse_address(address.key).key
    assert parse_address(address.text.upper()).key == address.key


@given(TYPED)
def test_a_name_has_nothing_hidden_and_stays_what_it_is(given_: str):
    try:
        name = checked_name(given_)
    except Refused:
        return
    assert checked_name(name) == name
    assert name == name.strip()
    assert unicodedata.is_normalized("NFC", name)
    assert not {unicodedata.category(character) for character in name} & {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}


@given(TYPED)
def test_a_profile_stays_what_it_is(given_: str):
    try:
        profile = checked_profile(given_)
    except Refused:
        return
    assert checked_profile(profile) == profile


@given(st.text(st.sampled_from("/\\:@?#.evil\t\r\n\0 ") | st.characters(), max_size=30))
@example("//evil.example")
@example("/\\evil.example")
@example("/\t/evil.example")
@example("https:evil.example")
def test_one_goes_on_to_a_page_of_ours(path: str):
    here = "https://peernet.example/sign-in"
    # Browsers take tabs and line ends out, and a backslash for a slash.
    there = safe_next(path, "/dashboard").replace("\\", "/")
    there = there.translate({ord(character): None for character in "\t\r\n"})
    parts = urlsplit(urljoin(here, there))
    assert (parts.scheme, parts.netloc) == ("https", "peernet.example")


@given(st.text(max_size=300), st.text(max_size=40))
def test_a_password_is_taken_or_refused_with_a_word(password: str, own: str):
    try:
        check_password(password, own)
    except Refused:
        return
    assert 10 <= len(unicodedata.normalize("NFKC", password)) <= 256
