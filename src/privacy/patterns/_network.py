"""Addresses of the network: IP addresses, and URLs that name a person.

Rules: an address that can point to nobody (loopback, netmask, version number) is left alone; so is a link to a
document, unless it holds credentials, a personal key or a profile.
"""

import ipaddress
import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from attrs import frozen

from privacy.exposure import word_set
from privacy.mention import Mention
from privacy.patterns._recogniser import DIGIT, mention_of, words_before


@frozen
class IpAddressRecogniser:
    """IPv4 and IPv6 addresses that can point to somebody: not loopback, netmasks or version numbers."""

    name = "ip_address"
    _v4 = re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?!\w|\.\d)")
    _v6 = re.compile(r"(?<![\w:.])[0-9A-Fa-f:]{6,39}(?:\.\d{1,3}){0,3}(?![\w:])")
    _not_before = word_set(
        "version versions v ver release build firmware section chapter clause article paragraph rule update "
        "upgrade netmask mask subnetmask oid"
    )

    def find(self, text: str) -> Iterator[Mention]:
        found = [match.span() for match in self._v4.finditer(text) if self._is_v4(text, match)] if "." in text else []
        if text.count(":") >= 2:
            found += [match.span() for match in self._v6.finditer(text) if self._is_v6(match.group())]
        for start, end in sorted(found):
            yield mention_of(start, end, "IP_ADDRESS", self.name)

    def _is_v4(self, text: str, match: re.Match[str]) -> bool:
        try:
            address = ipaddress.IPv4Address(match.group())
        except ValueError:
            return False
        if address.is_loopback or address.is_unspecified or match.group().startswith("255."):
            return False
        # `Chrome/120.0.0.0` is a version, `//10.0.0.1` a host.
        product = re.search(r"[A-Za-z]/$", text[max(0, match.start() - 2) : match.start()])
        return product is None and self._not_before.isdisjoint(words_before(text, match.start())[-2:])

    def _is_v6(self, candidate: str) -> bool:
        if candidate.count(":") < 2 or not DIGIT.search(candidate):
            return False
        try:
            address = ipaddress.IPv6Address(candidate)
        except ValueError:
            return False
        return not (address.is_loopback or address.is_unspecified)


@frozen
class UrlRecogniser:
    """URLs that name a person: credentials or personal keys in them, a profile page, or "my website".

    Links to documentation or news stay readable. Source: RFC 3986.
    """

    name = "url"
    _candidate = re.compile(
        r"(?<!\w)(?:https?|ftp|wss?)://[^\s<>\"'`\]}|\\]{3,2000}|(?<![\w@.])www\.[^\s<>\"'`\]}|\\]{3,500}",
        re.IGNORECASE,
    )
    _personal_key = re.compile(
        r"[?&;](?:user|username|user_?id|uid|email|e-?mail|mail|name|first_?name|last_?name|phone|tel|mobile|ssn|dob|"
        r"id|account|acct|customer|token|access_token|session|sid|key|api_?key|auth|password|pwd|code)=[^&\s]",
        re.IGNORECASE,
    )
    _profile = re.compile(
        r"(?:linkedin\.com/(?:in|pub)|facebook\.com|instagram\.com|twitter\.com|x\.com|tiktok\.com|t\.me|"
        r"medium\.com|reddit\.com/u(?:ser)?|youtube\.com/(?:user|c))/@?[\w.-]{2,}|/(?:~|users?/|profiles?/|"
        r"members?/|people/)[\w.-]{2,}",
        re.IGNORECASE,
    )
    _context = word_set("website homepage webpage blog portfolio site domain")
    _owner = word_set("my our his her their website homepage")

    def find(self, text: str) -> Iterator[Mention]:
        lowered = text.lower()
        if "://" not in lowered and "www." not in lowered:
            return
        for match in self._candidate.finditer(text):
            end = match.end()
            while text[end - 1] in ".,;:!?)":
                end -= 1
            if self._is_personal(text[match.start() : end], text, match.start()):
                yield mention_of(match.start(), end, "URL", self.name)

    def _is_personal(self, url: str, text: str, start: int) -> bool:
        try:
            parts = urlsplit(url if "://" in url else f"//{url}")
        except ValueError:
            return True
        if "@" in parts.netloc or "@" in parts.query or "%40" in parts.query:
            return True
        if self._personal_key.search(f"?{parts.query}" if parts.query else "") or self._profile.search(url):
            return True
        words = set(words_before(text, start)[-5:])
        return not self._context.isdisjoint(words) and not self._owner.isdisjoint(words)
