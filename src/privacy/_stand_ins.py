"""Numbers and addresses that are nobody's, in the format of the ones that they stand in for.

Rules: what stands in must not reach or charge anybody.

1. Telephone numbers are 555-0100 to 555-0199 of some area of North America, which are kept free for fiction.
2. Domains are example.com, .net and .org (RFC 2606); IP addresses those for documentation (RFC 5737, RFC 3849).
3. Card numbers fail Luhn's check, and IBANs have check digits that no bank gives out. A published test number
   would pass, and a program or a model may take it for what it is; and there are too few to give each host its own.
4. Other ids keep their letters' case and their marks, and get other letters and digits; one in the form of a US social
   security number begins with 666, which was never given out.
"""

import ipaddress
import re
import string
from collections.abc import Sequence
from typing import Final, Protocol

_AREAS: Final = (
    201, 202, 203, 205, 206, 207, 208, 209, 212, 213, 214, 215, 216, 217, 218, 219, 224, 225, 228, 229, 231, 234, 239,
    240, 248, 251, 252, 253, 254, 256, 260, 262, 267, 269, 270, 276, 281, 301, 302, 303, 304, 305, 307, 308, 309, 310,
    312, 313, 314, 315, 316, 317, 318, 319, 320, 321, 323, 325, 330, 331, 334, 336, 337, 339, 347, 351, 352, 360, 361,
    386, 401, 402, 404, 405, 406, 407, 408, 409, 410, 412, 413, 414, 415, 417, 419, 423, 425, 430, 432, 434, 435, 440,
)  # fmt: skip
_DOMAINS: Final = ("example.com", "example.net", "example.org")
_IPV4: Final = ("192.0.2", "198.51.100", "203.0.113")
_MIN_ID: Final = 5
_MIN_CARD: Final = 8
_SSN: Final = re.compile(r"\d{3}([- ]?)\d{2}\1\d{4}")
_SEPARATOR: Final = re.compile(r"(?<=\d)[ .-](?=\d)")


class Randomness(Protocol):
    """What is asked of a `random.Random` or `random.SystemRandom`."""

    def randrange(self, start: int, /) -> int:
        """A number from 0 up to `start`, which is excluded."""
        ...


def pick(rng: Randomness, choices: Sequence[str]) -> str:
    return choices[rng.randrange(len(choices))]


def domain(rng: Randomness) -> str:
    return pick(rng, _DOMAINS)


def phone(rng: Randomness, core: str, before: str) -> tuple[str, str]:
    """A telephone number for `core`, which stands behind `before`, and its national part."""
    area = _AREAS[rng.randrange(len(_AREAS))]
    line = f"01{rng.randrange(100):02}"
    found = _SEPARATOR.search(core)
    joint = found.group() if found else "" if core.isdigit() else " "
    if "(" in before and ")" in core:
        national = f"{area}) 555-{line}"
    elif "(" in core:
        national = f"({area}) 555-{line}"
    else:
        national = joint.join((str(area), "555", line))
    abroad = before.endswith("+") or core.startswith("00")
    return (f"1{joint or ('' if core.isdigit() else ' ')}{national}" if abroad else national), national.lstrip("(")


def card(rng: Randomness, core: str) -> str | None:
    """A card number of the same length and grouping that fails Luhn's check; None for what is too short for one."""
    size = sum(char.isdigit() for char in core)
    if size < _MIN_CARD:
        return None
    digits = [rng.randrange(10) for _ in range(size)]
    digits[0] = 4 + rng.randrange(2)
    if _luhn(digits) == 0:
        digits[-1] = (digits[-1] + 1) % 10
    given = iter(digits)
    return "".join(str(next(given)) if char.isdigit() else char for char in core)


def _luhn(digits: Sequence[int]) -> int:
    doubled = [digit * 2 - 9 * (digit > 4) for digit in digits[-2::-2]]
    return (sum(digits[-1::-2]) + sum(doubled)) % 10


def iban(rng: Randomness, core: str) -> str | None:
    """An IBAN of the same country, length and grouping that is none."""
    if not core.isascii() or not re.match(r"[A-Za-z]{2}\d{2}[\w -]{8,40}$", core) or "_" in core:
        return None
    made = core[:2] + "00" + _scrambled(rng, core[4:])
    # Nobody is given these digits, but one number in 97 would still pass.
    passes = int("".join(str(int(char, 36)) for char in re.sub(r"\W", "", made[4:] + made[:4]))) % 97 == 1
    return core[:2] + "01" + made[4:] if passes else made


def identifier(rng: Randomness, core: str) -> str | None:
    """An id of the same form; None for one so short that it might be another thing."""
    if sum(char.isalnum() for char in core) < _MIN_ID or not any(char.isdigit() for char in core):
        return None
    scrambled = _scrambled(rng, core)
    return "666" + scrambled[3:] if _SSN.fullmatch(core) else scrambled


def _scrambled(rng: Randomness, core: str) -> str:
    shown = []
    for char in core:
        if char.isdigit():
            shown.append(str(rng.randrange(10)))
        elif char.isalpha():
            letter = string.ascii_lowercase[rng.randrange(26)]
            shown.append(letter.upper() if char.isupper() else letter)
        else:
            shown.append(char)
    return "".join(shown)


def ip_address(rng: Randomness, core: str) -> str | None:
    """An address for documentation of the same version."""
    try:
        version = ipaddress.ip_address(core).version
    except ValueError:
        return None
    if version == 4:
        return f"{pick(rng, _IPV4)}.{1 + rng.randrange(254)}"
    return f"2001:db8::{1 + rng.randrange(0xFFFF):x}:{1 + rng.randrange(0xFFFF):x}"


def web_address(rng: Randomness, core: str, words: Sequence[str]) -> str:
    """A page of an example domain, with a scheme and a path where `core` has them."""
    scheme, mark, rest = core.rpartition("://")
    path = f"/{pick(rng, words)}{rng.randrange(10_000)}" if "/" in rest.rstrip("/") else ""
    return f"{scheme}{mark}{pick(rng, words)}{rng.randrange(100)}.{domain(rng)}{path}"
