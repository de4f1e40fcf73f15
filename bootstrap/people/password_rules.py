"""Which passwords are taken: long ones that are not among the first that anybody would try.

NIST SP 800-63B, 3.1.1.2: a length, no rules about kinds of characters, no expiry, and a list of what is common. A list
of whole passwords would hold few that are long enough; so ours holds the words that they are made of
(`common_passwords.txt`), and a password is refused that has nothing besides one or two such words, digits and signs
around them, and letters that were replaced by digits as everybody does it.
"""

import re
import unicodedata
from collections.abc import Iterable
from functools import cache
from importlib import resources
from typing import Final

from bootstrap.refusal import Refused

__all__ = ["MAX_PASSWORD_LENGTH", "MIN_PASSWORD_LENGTH", "check_password"]

MIN_PASSWORD_LENGTH: Final = 10
MAX_PASSWORD_LENGTH: Final = 256
MIN_OWN_WORD: Final = 4
LONGEST_REPEATED: Final = 4
_AS_LETTERS: Final = str.maketrans("013457@$!", "oleastasi")
_ROWS: Final = ("abcdefghijklmnopqrstuvwxyz", "01234567890", "qwertyuiop", "asdfghjkl", "zxcvbnm", "qwertzuiop")
_EDGE: Final = re.compile(r"^[\W\d_]+|[\W\d_]+$")


def check_password(password: str, *own: str, field: str = "password") -> None:
    """Raises `Refused` where it is too short, too long, or too easily guessed.

    Args:
        password: what was typed.
        own: what everybody who knows the person would try: the name, the parts of the address.
        field: the form's.
    """
    length = len(unicodedata.normalize("NFKC", password))
    if not MIN_PASSWORD_LENGTH <= length <= MAX_PASSWORD_LENGTH:
        raise Refused(
            f"a password has {MIN_PASSWORD_LENGTH} to {MAX_PASSWORD_LENGTH} characters: a few words in a row are good",
            reason="bad_password",
            field=field,
        )
    folded = unicodedata.normalize("NFKC", password).casefold()
    words = _common() | {word for word in map(_joined, own) if len(word) >= MIN_OWN_WORD}
    if _repeats(folded) or _walks(folded) or _made_of(folded, words):
        raise Refused(
            "that is one of the first passwords that anybody would try: take a few words that only you would put "
            "together",
            reason="bad_password",
            field=field,
        )


def _repeats(text: str) -> bool:
    """Whether it is a short piece again and again."""
    return any(text == (text[:size] * (len(text) // size + 1))[: len(text)] for size in range(1, LONGEST_REPEATED + 1))


def _walks(text: str) -> bool:
    """Whether it is a run of the alphabet, the digits or a row of keys, forwards or backwards, once or again."""
    return any(text in row * len(text) or text in row[::-1] * len(text) for row in _ROWS)


def _made_of(text: str, words: Iterable[str]) -> bool:
    """Whether all but the digits and signs at the ends is one of the words, or two."""
    bare = _EDGE.sub("", text)
    for core in {text, bare, bare.translate(_AS_LETTERS), _EDGE.sub("", text.translate(_AS_LETTERS))}:
        joined = _joined(core)
        if joined in words or any(joined[:at] in words and joined[at:] in words for at in range(1, len(joined))):
            return True
    return False


def _joined(text: str) -> str:
    """The letters and digits of a text alone."""
    return re.sub(r"[\W_]+", "", text.casefold())


@cache
def _common() -> frozenset[str]:
    listed = (resources.files("bootstrap") / "people" / "common_passwords.txt").read_text("utf-8")
    return frozenset(line for line in listed.splitlines() if line and not line.startswith("#"))
