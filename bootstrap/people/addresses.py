"""E-mail addresses: which are taken, and when two of them are one mailbox.

The part before the @ is an RFC 5321 dot-string of ASCII characters. It is compared without regard to case, since no
mail service in use tells `Ann` from `ann`; dots and plus signs are left alone, since services differ in them. The
domain is compared as IDNA has it (RFC 5891, mapped as UTS 46 has it), so that its two spellings are one.
"""

import re
from typing import Final

import idna
from attrs import frozen

from bootstrap.refusal import Refused

__all__ = ["MAX_ADDRESS_LENGTH", "Address", "parse_address"]

MAX_ADDRESS_LENGTH: Final = 254
"""RFC 5321, 4.5.3.1.3, as erratum 1690 of RFC 3696 reads it."""
MAX_LOCAL_LENGTH: Final = 64
_LOCAL: Final = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_LABEL: Final = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")


@frozen(repr=False)
class Address:
    """One address."""

    text: str
    """As it was given, with its domain in ASCII: what mail is sent to."""
    key: str
    """The same for all spellings of one mailbox."""


def parse_address(given: str, *, field: str = "email") -> Address:
    """The address in what a person typed; raises `Refused` where it is none that mail can be sent to."""
    given = given.strip()
    local, at, domain = given.rpartition("@")
    fits = bool(at) and len(given) <= MAX_ADDRESS_LENGTH and len(local) <= MAX_LOCAL_LENGTH
    name = _domain(domain) if fits and _LOCAL.fullmatch(local) else None
    if name is None or len(local) + len(name) >= MAX_ADDRESS_LENGTH:
        raise Refused("that is no e-mail address: it looks like ann@example.org", reason="bad_address", field=field)
    return Address(f"{local}@{name}", f"{local.lower()}@{name}")


def _domain(given: str) -> str | None:
    try:
        name = idna.encode(given, uts46=True).decode().lower()
    except (idna.IDNAError, UnicodeError):
        return None
    labels = name.split(".")
    # A number at the end is an IP address, to which no mail of ours goes.
    if len(labels) < 2 or labels[-1].isdigit() or not all(_LABEL.fullmatch(label) for label in labels):
        return None
    return name
