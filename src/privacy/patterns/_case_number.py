"""Numbers of court cases, dockets and applications, by the forms that courts give them.

Rules: a form of its own counts alone (`1:19-cv-01234`, an ECLI, `II SA/Gd 1234/99`); a number with a slash or a
grouped one counts behind "no.", "case", "RG" and the like, and so do those listed after it.

Sources: US district courts' CM/ECF numbers; the European Case Law Identifier (OJ 2011/C 127/01); the European Court
of Human Rights' and the Court of Justice's numbers; German, Polish, French, Spanish and Danish registers.
"""

import re
from collections.abc import Iterator
from typing import Final

from attrs import frozen

from privacy.exposure import word_set
from privacy.mention import Mention
from privacy.patterns._recogniser import Page, apart, mention_of

_NUMBER: Final = (
    r"(?:[A-Z]{1,4}[ -]?)?\d{1,7}(?:/\d{1,7}){1,2}(?:-[A-Z]{2,4})?|\d{1,2}[-/]\d{2}[.,]\d{3}|"
    r"\d{4,8}[-–]\d{1,6}(?:[-–]\d{1,6})?"
)


@frozen
class CaseNumberRecogniser:
    """Numbers of proceedings: alone in their own forms, and behind the words that announce them."""

    name = "case_number"
    _docket = re.compile(
        r"(?<![\w:-])(?:\d:)?\d{2}-(?:cv|cr|mc|mj|md|ap|bk|po|misc|civ|crim)-\d{2,6}(?:-[A-Z]{2,4}){0,3}(?![\w-])",
        re.IGNORECASE,
    )
    _docket_kinds = word_set("cv cr mc mj md ap bk po misc civ crim")
    _state_docket = re.compile(r"(?<![\w-])(?:19|20)?\d{2}-[A-Z]{2,4}-?\d{4,7}(?:-[A-Z]{1,3})?(?![\w-])")
    _ecli = re.compile(r"(?<!\w)ECLI:[A-Z]{2}:[A-Z0-9]{1,7}:\d{4}:[A-Z0-9.]{1,25}(?<!\.)")
    _european = re.compile(r"(?<![\w-])[CTF]-\d{1,4}/\d{2}(?: [A-Z]{1,2}\b)?(?![\w/])")
    _register = re.compile(
        r"(?<![\w/])(?:[IVX]{1,5}|\d{1,3})[ \u00a0][A-Z][A-Za-z]{0,4}"
        r"(?:[/-][A-Z][A-Za-z]{0,2}|\(?[a-z]{1,3}\)?)?[ \u00a0]\d{1,5}/\d{2,4}(?![\w/])"
    )
    _danish = re.compile(r"(?<![\w/-])[A-ZÆØÅ]{1,3}-\d{1,6}/\d{4}(?:-[A-ZÆØÅ]{2,4})?(?![\w/])")
    _words = word_set(
        "no nos nr nrs num nums núm número números numéro numéros numero number numbers n case cases application "
        "applications docket dockets file files dossier rg pourvoi pourvois recurso recursos expediente autos "
        "procedimiento rollo sentencia sag sagen sags aktenzeichen az gz zaaknummer rolnummer ref reference "
        "petition appeal"
    )
    _listed = re.compile(
        rf"\w{{1,14}}(?:['’]s)?[.:]?[ \t\u00a0]?(?:n?[°º#]|(?:nos?|nrs?|n)\.)?"
        rf"[ \t\u00a0]?(?P<first>{_NUMBER})(?![\w/])"
    )
    _next = re.compile(rf"(?:,[ \t]|[ \t](?:and|et|und|y|og|e|i|&)[ \t])(?P<number>{_NUMBER})(?![\w/])")
    _max_listed = 200
    _full_date = re.compile(r"\d{1,2}/\d{1,2}/\d{2,4}|(?:19|20)\d\d[-–](?:19|20)?\d\d|\d{4}[-/]\d{1,2}[-/]\d{1,2}")

    def find(self, page: Page) -> Iterator[Mention]:
        text = page.text
        if page.digits < 3 or not ("/" in text or "-" in text or "ECLI" in text):
            return
        for start, end in apart(self._spans(page)):
            yield mention_of(start, end, "ID", self.name)

    def _spans(self, page: Page) -> Iterator[tuple[int, int]]:
        text = page.text
        alone = [self._state_docket] if "-" in text else []
        if page.vocabulary & self._docket_kinds:
            alone.append(self._docket)
        if "/" in text:
            alone += [self._european, self._register, self._danish]
        if "ECLI" in text:
            alone.append(self._ecli)
        for expression in alone:
            yield from (match.span() for match in expression.finditer(text))
        for place in page.places(self._words):
            match = self._listed.match(text, place)
            if match is None or not self._is_number(match["first"]):
                continue
            yield match.span("first")
            end = match.end()
            for _ in range(self._max_listed):
                if (following := self._next.match(text, end)) is None or not self._is_number(following["number"]):
                    break
                yield following.span("number")
                end = following.end()

    def _is_number(self, number: str) -> bool:
        """Whether it is neither a date nor a fraction."""
        return self._full_date.fullmatch(number) is None and sum(map(str.isdigit, number)) >= 3
