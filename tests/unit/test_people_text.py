"""Addresses, names and passwords: what is taken, and what is the same."""

from typing import ClassVar, Literal

import pytest
from argon2 import PasswordHasher

from bootstrap.people.addresses import parse_address
from bootstrap.people.names import checked_name, checked_profile
from bootstrap.people.password_rules import check_password
from bootstrap.people.passwords import Passwords
from bootstrap.refusal import Refused
from tests.browsing import QUICK


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Ann@Example.ORG", "ann@example.org"),
        (" ann@example.org ", "ann@example.org"),
        ("ann@bücher.example", "ann@xn--bcher-kva.example"),
        ("ann@BÜCHER.example", "ANN@bu\u0308cher.example"),  # composed or not
        ("ann@example\u3002org", "ann@example.org"),  # an ideographic full stop
        ("ann@ｅｘａｍｐｌｅ.org", "ann@example.org"),  # full-width letters
    ],
)
def test_spellings_of_one_mailbox_are_one(one: str, other: str):
    assert parse_address(one).key == parse_address(other).key


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a.nn@example.org", "ann@example.org"),
        ("ann+x@example.org", "ann@example.org"),
        ("ann@example.org", "ann@sub.example.org"),
        ("ann@faß.example", "ann@fass.example"),  # two names since IDNA 2008
    ],
)
def test_what_some_services_take_for_one_stays_two(one: str, other: str):
    assert parse_address(one).key != parse_address(other).key


def test_mail_goes_to_what_was_typed():
    assert parse_address("Ann.B@Bücher.example").text == "Ann.B@xn--bcher-kva.example"


@pytest.mark.parametrize(
    "given",
    [
        "", "ann", "@example.org", "ann@", "ann@localhost", "ann@127.0.0.1", "ann@[127.0.0.1]", "ann@example..org",
        "ann@.example.org", "ann@example.org.", "a nn@example.org", "ann@exa mple.org", '"ann"@example.org',
        "ann@b@example.org", ".ann@example.org", "ann.@example.org", "a..nn@example.org", "ann@-x.example",
        "ann@x_y.example", "ann\n@example.org", "ann@example.org\nbcc: bob@example.org",
        "аnn@example.org",
        "ann\u200b@example.org", "ann@exam\u202eple.org", "ann@xn--a.example", f"{'a' * 65}@example.org",
        f"ann@{'a' * 64}.org", f"ann@{'.'.join(['abcdefgh'] * 40)}", "<ann@example.org>",
        "ann@example.org,bob@example.org",
        "' OR 1=1 --", "ann@\ud800.org", "\0ann@example.org", "ann@" + "ü" * 250,
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused(given: str):
    with pytest.raises(Refused, match="no e-mail address") as told:
        parse_address(given)
    assert told.value.field == "email"


@pytest.mark.parametrize("given", ["Ann", "Ann-Marie O'Neill", "Łukasz Żak", "李小龍", "محمد", "Nguyễn Văn A", "R2"])
def test_names_of_the_world_are_taken(given: str):
    assert checked_name(given) == given


@pytest.mark.parametrize(
    "given",
    [
        "Ann\u202enimda", "\u2066Ann", "A\u200bnn", "A\u200dnn", "\ufeffAnn", "A\u00adnn", "\u2060", "Ann\x00",
        "Ann\x1b[31m",
        "\ud800", "\ue000", "\u3164", "\u2800", "...", "   ", "🙂", "A" + "\u0301" * 5, "A" * 61, "\u061cAnn",
        "Ann\U000e0041",
    ],
)  # fmt: skip
def test_names_that_mislead_are_refused(given: str):
    with pytest.raises(Refused) as told:
        checked_name(given)
    assert told.value.field == "display_name"


def test_a_name_is_one_line_in_composed_form():
    assert checked_name(" A\u030angstro\u0308m \n  B ") == "Ångström B"


def test_a_profile_has_lines_and_nothing_hidden():
    assert checked_profile("one\r\ntwo ") == "one\ntwo"
    assert checked_profile("") == ""
    for given in ("a\u202eb", "x" * 1001):
        with pytest.raises(Refused):
            checked_profile(given)


@pytest.mark.parametrize(
    "given",
    [
        "password12", "Password123!", "P@ssw0rd123", "1234567890", "0987654321", "qwertyuiop", "aaaaaaaaaaaa",
        "qwertyuiopqwertyuiop",
        "abcabcabcabc", "121212121212", "letmein12345", "iloveyou2024", "dragondragon", "sunshine!!!!", "abcdefghijkl",
        "monkeydragon", "ＰＡＳＳＷＯＲＤ123", "!!password!!", "super-secret", "welcome_2026", "ann@example.org",
        "annelies99", "exampletown1",
    ],
)  # fmt: skip
def test_the_first_that_anybody_would_try_are_refused(given: str):
    with pytest.raises(Refused, match="first passwords") as told:
        check_password(given, "Annelies", "ann@example.org", "ann", "exampletown")
    assert told.value.field == "password"


@pytest.mark.parametrize(
    "given", ["seven violet umbrellas", "kjw93hd-20x", "correct horse battery", "ééééé ñandú", "x" + "ab" * 63 + "y!"]
)
def test_others_are_taken_whatever_they_are_made_of(given: str):
    check_password(given, "Annelies", "ann@example.org", "ann")


def test_a_password_has_a_length():
    for given in ("short9ch.", "x1" * 129):
        with pytest.raises(Refused, match="10 to 256"):
            check_password(given)
    check_password("a phrase of words that goes on and on " * 6)


def test_a_password_is_one_however_it_is_typed():
    passwords = Passwords(QUICK)
    kept = passwords.hash("Ångström caf\u00e9s")
    assert passwords.holds("A\u030angstro\u0308m cafe\u0301s", kept)
    assert not passwords.holds("ångström cafés", kept)
    assert not passwords.holds("Ångström cafés", None)
    assert not passwords.holds("Ångström cafés", "not a hash")


def test_what_is_kept_is_argon2id_with_a_servers_parameters():
    kept = Passwords().hash("seven violet umbrellas")
    assert kept.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert Passwords().is_old(Passwords(QUICK).hash("seven violet umbrellas"))
    assert not Passwords().is_old(kept)


class Spy(PasswordHasher):
    """Writes down what hashes it checks, without their salts."""

    checked: ClassVar[list[str]] = []

    def verify(self, hash: str | bytes, password: str | bytes) -> Literal[True]:  # noqa: A002  (as its parent has it)
        self.checked.append(str(hash).rpartition("$")[0].rpartition("$")[0])
        return super().verify(hash, password)


def test_nobodys_password_takes_the_same_work():
    passwords = Passwords(QUICK)
    passwords._hasher = Spy.from_parameters(QUICK)
    kept = passwords.hash("seven violet umbrellas")
    assert not passwords.holds("x", None)
    assert not passwords.holds("x", kept)
    assert len(Spy.checked) == 2
    assert Spy.checked[0] == Spy.checked[1]
