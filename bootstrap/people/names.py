"""What people call themselves, and say of themselves: text that others are shown, and that must not mislead them.

Characters that nobody sees, that turn the direction of writing, or that have no meaning are refused, so that no name
looks like another one or reaches into the text around it. What is left is put into Unicode's composed form.
"""

import re
import unicodedata
from typing import Final

from bootstrap.refusal import Refused

__all__ = ["MAX_NAME_LENGTH", "MAX_PROFILE_LENGTH", "checked_name", "checked_profile"]

MAX_NAME_LENGTH: Final = 60
MAX_PROFILE_LENGTH: Final = 1000
MAX_MARKS: Final = 3
"""How many combining marks one character has at most: more is a tower that covers its neighbours."""
_HIDDEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_BLANK: Final = frozenset("\u115f\u1160\u3164\uffa0\u2800")
"""Letters and symbols that look like nothing at all."""
_SPACES: Final = re.compile(r"\s+")


def checked_name(given: str) -> str:
    """A name to show; raises `Refused`."""
    name = _SPACES.sub(" ", unicodedata.normalize("NFC", given)).strip()
    _check(name, "display_name", MAX_NAME_LENGTH)
    if not any(unicodedata.category(character)[0] in "LN" for character in name):
        raise Refused("a display name has a letter or a digit", reason="bad_name", field="display_name")
    return name


def checked_profile(given: str) -> str:
    """What somebody says of themselves, in lines; raises `Refused`."""
    text = unicodedata.normalize("NFC", given.replace("\r\n", "\n")).strip()
    _check(text, "profile", MAX_PROFILE_LENGTH)
    return text


def _check(text: str, field: str, most: int) -> None:
    if len(text) > most:
        raise Refused(f"this has at most {most} characters", reason="bad_name", field=field)
    marks = 0
    for character in text:
        category = unicodedata.category(character)
        marks = marks + 1 if category in {"Mn", "Me"} else 0
        hidden = (category in _HIDDEN and character != "\n") or character in _BLANK
        if hidden or marks > MAX_MARKS:
            raise Refused(
                "this has characters that cannot be seen or that change the text around them: leave them out",
                reason="bad_name",
                field=field,
            )
