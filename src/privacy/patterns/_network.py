"""Addresses of the network: IP and hardware addresses, and what in URLs names a person.

Rules: an address that can point to nobody (loopback, netmask, version number) is left alone; so is a link to a
document. Of a link that tells something about somebody only that counts: the credentials, the values of personal
keys; a link to a profile, to "my website" or to the home page of a site that is not widely known counts as a whole.
"""

import ipaddress
import re
from collections.abc import Iterator
from functools import cache
from urllib.parse import urlsplit

from attrs import frozen

from privacy._lists import words_of
from privacy.exposure import word_set
from privacy.mention import Mention
from privacy.patterns._recogniser import DIGIT, Page, mention_of, words_before


@frozen
class IpAddressRecogniser:
    """IPv4 and IPv6 addresses that can point to somebody: not loopback, netmasks or version numbers."""

    name = "ip_address"
    _v4 = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}(?!\w|\.\d)")
    _v6 = re.compile(r"(?<![\w:.])[0-9A-Fa-f:]{6,39}(?:\.\d{1,3}){0,3}(?![\w:])")
    _not_before = word_set(
        "version versions sections chapters clauses articles rfc "
        "v ver release build firmware section chapter clause article paragraph rule update "
        "upgrade netmask mask subnetmask oid"
    )

    def find(self, page: Page) -> Iterator[Mention]:
        text = page.text
        if not page.digits:
            return
        found = [span for span in self._v4_spans(page) if self._is_v4(text, *span)] if text.count(".") >= 3 else []
        if text.count(":") >= 2:
            found += [match.span() for match in self._v6.finditer(text) if self._is_v6(match.group())]
        for start, end in sorted(found):
            yield mention_of(start, end, "IP_ADDRESS", self.name)

    def _v4_spans(self, page: Page) -> Iterator[tuple[int, int]]:
        text = page.text
        for start, end in page.numbers:
            if end - start > 3 or text[end : end + 1] != "." or (start and text[start - 1] == "."):
                continue
            if match := self._v4.match(text, start):
                yield match.span()

    def _is_v4(self, text: str, start: int, end: int) -> bool:
        shown = text[start:end]
        try:
            address = ipaddress.IPv4Address(shown)
        except ValueError:
            return False
        if address.is_loopback or address.is_unspecified or shown.startswith("255."):
            return False
        # `Chrome/120.0.0.0` is a version, `//10.0.0.1` a host.
        product = re.search(r"[A-Za-z]/$", text[max(0, start - 2) : start])
        return product is None and self._not_before.isdisjoint(words_before(text, start)[-2:])

    def _is_v6(self, candidate: str) -> bool:
        if candidate.count(":") < 2 or not DIGIT.search(candidate):
            return False
        try:
            address = ipaddress.IPv6Address(candidate)
        except ValueError:
            return False
        return not (address.is_loopback or address.is_unspecified)


@frozen
class MacAddressRecogniser:
    """Hardware addresses: six octets with colons or hyphens, or three groups of four with dots (IEEE 802, EUI-48)."""

    name = "mac_address"
    _octets = re.compile(
        r"(?<![\w:.-])[0-9A-Fa-f]{2}(?:(?::[0-9A-Fa-f]{2}){5}(?:(?::[0-9A-Fa-f]{2}){2})?|(?:-[0-9A-Fa-f]{2}){5})(?![\w:-])"
    )
    _dotted = re.compile(r"(?<![\w:.-])[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}(?![\w.-])")

    def find(self, page: Page) -> Iterator[Mention]:
        text = page.text
        spans: list[tuple[int, int]] = []
        if text.count(":") >= 5 or text.count("-") >= 5:
            spans += [match.span() for match in self._octets.finditer(text)]
        if text.count(".") >= 2:
            spans += [match.span() for match in self._dotted.finditer(text)]
        for start, end in sorted(spans):
            # All zeros and all ones are nobody's; six numbers of two digits may also be a time with a date.
            shown = text[start:end].casefold()
            if len(set(shown) - set(":-.")) > 1 and (not shown.replace("-", "").isdigit() or ":" in shown):
                yield mention_of(start, end, "MAC_ADDRESS", self.name)


@cache
def _public_sites() -> frozenset[str]:
    return frozenset(words_of("public_sites"))


def is_public_site(host: str) -> bool:
    """Whether `host` is of a site that everybody knows, or stands for none (RFC 2606): it tells of nobody."""
    labels = host.casefold().removesuffix(".").split(".")
    return any(".".join(labels[place:]) in _public_sites() for place in range(len(labels)))


@frozen
class UrlRecogniser:
    """What in URLs names somebody: credentials, values of personal keys, a profile, "my website", a site's home page.

    Links to documentation or news stay readable. Source: RFC 3986.
    """

    name = "url"
    _candidate = re.compile(
        r"(?<!\w)(?:[a-z][a-z+]{1,20})://[^\s<>\"'`\]}|\\]{3,2000}|(?<![\w@.])www\.[^\s<>\"'`\]}|\\]{3,500}",
        re.IGNORECASE,
    )
    _personal_value = re.compile(
        r"(?<=[?&;])(?:[a-z]{1,12}[_.-])?(?:user|username|user_?id|uid|email|e-?mail|mail|name|first_?name|last_?name|"
        r"full_?name|surname|phone|tel|mobile|ssn|dob|birth_?date|address|street|zip|account|acct|customer(?:_?id)?|"
        r"patient(?:_?id)?|member(?:_?id)?|token|access_token|session|session_?id|sid|api_?key|auth|signature|sig|secret|"
        r"password|pwd|q)=(?P<value>[^&\s;#]+)",
        re.IGNORECASE,
    )
    _profile = re.compile(
        r"(?:linkedin\.com/(?:in|pub)|facebook\.com|instagram\.com|twitter\.com|/x\.com|tiktok\.com|/t\.me|threads\.net|"
        r"medium\.com|reddit\.com/u(?:ser)?|youtube\.com/(?:user|c)|github\.com|gitlab\.com|bsky\.app/profile)/"
        r"@?[\w.-]{2,}/?\Z|/(?:~|users?/|profiles?/|members?/|people/)[\w.-]{2,}",
        re.IGNORECASE,
    )
    _home_page = re.compile(
        r"(?:https?://)?(?P<host>(?:[^\W_](?:[\w-]{0,62}[^\W_])?\.){1,5}[^\W\d_]{2,24})/?", re.IGNORECASE
    )
    _contact = re.compile(r"@|%40|%2B", re.IGNORECASE)
    _context = word_set("website homepage webpage blog portfolio site domain")
    _owner = word_set("my her his website homepage")

    def find(self, page: Page) -> Iterator[Mention]:
        text = page.text
        if "://" not in text and "www" not in page.vocabulary:
            return
        for match in self._candidate.finditer(text):
            end = match.end()
            if "{" in match.group():
                continue  # code that makes one
            while text[end - 1] in ".,;:!?)":
                end -= 1
            if self._is_whole(text[match.start() : end], text, match.start()):
                yield mention_of(match.start(), end, "URL", self.name)
            else:
                for start, stop, label in self._parts(text[match.start() : end]):
                    yield mention_of(match.start() + start, match.start() + stop, label, self.name)

    def _is_whole(self, url: str, text: str, start: int) -> bool:
        if self._profile.search(url.partition("?")[0]):
            return True
        if (home := self._home_page.fullmatch(url)) and not is_public_site(home["host"]):
            return True
        words = words_before(text, start)[-4:]
        return not self._context.isdisjoint(words) and not self._owner.isdisjoint(words)

    def _parts(self, url: str) -> Iterator[tuple[int, int, str]]:
        """Where in `url` something stands that is somebody's."""
        try:
            netloc = urlsplit(url if "://" in url else f"//{url}").netloc
        except ValueError:
            yield 0, len(url), "URL"  # a port or a bracket that is none: nothing is known of its parts
            return
        if "@" in netloc:
            start = url.index("://") + 3 if "://" in url else 0
            yield start, start + netloc.rindex("@"), "SECRET" if ":" in netloc.rpartition("@")[0] else "URL"
        for match in self._personal_value.finditer(url):
            # A search ("q=") is personal where it holds a way to reach somebody.
            if match.group()[:2].casefold() != "q=" or self._contact.search(match["value"]):
                yield *match.span("value"), "URL"
