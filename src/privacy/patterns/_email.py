"""E-mail addresses, found by their `@`.

Rules: the search goes out from the mark in both directions, so that its time is linear; what is written to avoid
robots ("jan [at] firma [dot] pl") counts as well; the account of a program (`git@`) names nobody.
"""

import re
from collections.abc import Iterator

from attrs import frozen

from privacy.mention import Mention
from privacy.patterns._recogniser import Page, mention_of


@frozen
class EmailRecogniser:
    """E-mail addresses, by their `@` (also `%40` as in URLs) and a domain with a letter-only last label.

    Source: RFC 5321 section 4.1.2 without quoted local parts; international letters as in RFC 6531.
    """

    name = "email"
    _at = re.compile(r"@|%40|\s?[\[(]\s?at\s?[\])]\s?", re.IGNORECASE)
    _domain = re.compile(
        r"[^\W_](?:[\w-]{0,62})(?:(?:\.|\s?[\[(]\s?dot\s?[\])]\s?)[^\W_][\w-]{0,62}){0,8}"
        r"(?:\.|\s?[\[(]\s?dot\s?[\])]\s?)[^\W\d_]{2,24}(?![\w@])",
        re.IGNORECASE,
    )
    _local_marks = frozenset(".!#$%&'*+/=?^_`{|}~-")
    _program_accounts = frozenset({"git"})
    """`git@github.com:...` names a repository, not a person."""

    def find(self, page: Page) -> Iterator[Mention]:
        text, taken = page.text, 0
        if "@" not in text and "%40" not in text and "at" not in page.vocabulary:
            return
        for at in self._at.finditer(text):
            start = at.start()
            while start > taken and (text[start - 1].isalnum() or text[start - 1] in self._local_marks):
                start -= 1
            # Query strings and quotes put marks of the local part's alphabet before it; `key=value` is the usual one.
            local = text[start : at.start()]
            start += max(local.rfind(mark) for mark in "=/'`{}|&?") + 1
            while start < at.start() and not text[start].isalnum():
                start += 1
            domain = self._domain.match(text, at.end())
            if start == at.start() or domain is None or text[start : at.start()] in self._program_accounts:
                continue
            taken = domain.end()
            yield mention_of(start, domain.end(), "EMAIL", self.name)
