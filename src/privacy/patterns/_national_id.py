"""Numbers that states give to people and companies, by shape, checksum and, where these prove little, by their name.

Theory of operation. A candidate is reduced to its shape: each digit a 9, each letter an A, marks as they are. A table
says which numbers have this shape, how each is proven, and by which words it is called. So a text is read once, and
only what has a number's shape is validated.

Rules: a shape that other numbers have too (eleven digits in a row) counts only behind a word that names it, in
English or the language of its country; one that is seldom anything else (`123.456.789-09` with two check digits)
counts alone. `python-stdnum` has the checksums.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from importlib import import_module
from typing import Final

from attrs import frozen

from privacy.exposure import word_set
from privacy.mention import Mention
from privacy.patterns._recogniser import Page, apart, mention_of, words_before


def _is_nino(number: str) -> bool:
    """British national insurance numbers: prefixes that HMRC gives out (manual NIM39110)."""
    return (
        re.fullmatch(r"(?!BG|GB|KN|NK|NT|TN|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z]\d{6}[A-D]", number.replace(" ", ""))
        is not None
    )


def _is_nric(number: str) -> bool:
    """Singapore's NRIC and FIN: a weighted sum, and a letter for its remainder."""
    weighed = sum(weight * int(digit) for weight, digit in zip((2, 7, 6, 5, 4, 3, 2), number[1:8], strict=True))
    offset = {"S": 0, "T": 4, "F": 0, "G": 4}.get(number[0])
    if offset is None:
        return False
    letters = "JZIHGFEDCBA" if number[0] in "ST" else "XWUTRQPNMLK"
    return letters[(weighed + offset) % 11] == number[8]


def _is_said(number: str) -> bool:
    """Nothing is to be proven: the words before it decide."""
    return bool(number)


_OWN: Final[Mapping[str, Callable[[str], bool]]] = {"nino": _is_nino, "nric": _is_nric, "said": _is_said}

_ALONE: Final = """
    es.dni           99999999A 99999999-A
    es.nie           A9999999A A-9999999A A-9999999-A A9999999-A
    us.ssn           999-99-9999
    us.itin          999-99-9999
    it.codicefiscale AAAAAA99A99A999A
    fr.nir           999999999999999 9_99_99_99_999_999_99 9_99_99_9A_999_999_99
    fi.hetu          999999-9999 999999-999A 999999A9999 999999A999A 999999+999A
    se.personnummer  999999-9999 99999999-9999 999999+9999
    dk.cpr           999999-9999
    is_.kennitala    999999-9999
    no.fodselsnummer 999999_99999
    br.cpf           999.999.999-99
    br.cnpj          99.999.999/9999-99
    cl.rut           99.999.999-9 9.999.999-9 99.999.999-A 9.999.999-A
    ar.cuit          99-99999999-9
    mx.curp          AAAA999999AAAAAA99 AAAA999999AAAAAAA9
    mx.rfc           AAAA999999AA9 AAAA999999A99 AAAA9999999A9 AAAA999999AAA AAAA999999999 AAAA9999999AA
    be.nn            99.99.99-999.99
    ch.ssn           999.9999.9999.99
    ch.uid           AAA-999.999.999
    cz.rc            999999/9999
    my.nric          999999-99-9999
    kr.rrn           999999-9999999
    cn.ric           999999999999999999 99999999999999999A
    th.pin           9-9999-99999-99-9
    pk.cnic          99999-9999999-9
    do.cedula        999-9999999-9
    in_.pan          AAAAA9999A
    in_.gstin        99AAAAA9999A9A9 99AAAAA9999AAAA
    nino             AA999999A AA_99_99_99_A AA_999999_A
    nric             A9999999A
"""
"""Numbers that need no name: the module in `stdnum`, or a function of ours, and the shapes; `_` is a space."""

_NAMED: Final = """
    said             999-99-9999 999_99_9999 999999999            : ssn social security itin taxpayer
    us.ein           99-9999999                                   : ein employer tax fein tin
    in_.aadhaar      9999_9999_9999 999999999999 9999-9999-9999   : aadhaar aadhar uidai uid
    ca.sin           999-999-999 999_999_999 999999999            : sin nas insurance assurance
    au.tfn           999_999_999 999999999 99999999               : tfn tax
    au.abn           99_999_999_999 99999999999                   : abn business
    nz.ird           99-999-999 999-999-999 999999999             : ird
    gb.nhs           999_999_9999 999-999-9999 9999999999         : nhs health
    gb.utr           9999999999 99999_99999                       : utr
    gb.vat           AA999999999 AA_999_9999_99                   : vat
    ie.pps           9999999A 9999999AA                           : pps ppsn
    nl.bsn           999999999 9999.99.999                        : bsn burgerservicenummer sofinummer
    pl.pesel         99999999999                                  : pesel
    pl.nip           9999999999 999-999-99-99 999-99-99-999       : nip
    pl.regon         999999999 99999999999999                     : regon
    de.idnr          99999999999 99_999_999_999                   : steueridentifikationsnummer steuer idnr tin
    at.vnr           9999999999 9999_999999                       : sozialversicherungsnummer svnr vnr
    pt.nif           999999999 999_999_999                        : nif contribuinte nipc fiscal
    gr.amka          99999999999                                  : amka αμκα
    tr.tckimlik      99999999999                                  : kimlik tckn tc
    hr.oib           99999999999                                  : oib
    bg.egn           9999999999                                   : egn егн
    ee.ik            99999999999                                  : isikukood
    lt.asmens        99999999999                                  : asmens
    si.emso          9999999999999                                : emšo emso
    ru.inn           999999999999 9999999999                      : инн inn
    ua.rntrc         9999999999                                   : рнокпп іпн
    no.fodselsnummer 99999999999                                  : fødselsnummer personnummer fnr
    dk.cpr           9999999999 999999_9999                       : cpr personnummer
    se.personnummer  9999999999 999999999999                      : personnummer personnr pnr
    za.idnr          9999999999999 999999_9999_999                : id identity
    id.nik           9999999999999999                             : nik ktp
    il.idnr          999999999                                    : id teudat zehut
    mx.rfc           AAA999999AAA AAA999999A99 AAA999999999       : rfc
    br.cpf           99999999999                                  : cpf
    br.cnpj          99999999999999                               : cnpj
    cl.rut           99999999-9 9999999-9 99999999-A              : rut run
    co.nit           999999999-9 9999999999                       : nit
    ec.ci            9999999999                                   : cédula cedula
    pe.cui           99999999-9 99999999                          : dni cui
    ar.dni           99.999.999 99999999                          : dni
    ro.cnp           9999999999999                                : cnp
    es.cif           A99999999 A9999999A                          : cif
    fr.siren         999999999 999_999_999                        : siren
    fr.siret         99999999999999 999_999_999_99999             : siret
    fr.nif           9999999999999 99_99_999_999_999              : fiscal spi
    it.iva           99999999999 AA99999999999                    : iva
    be.vat           AA9999999999 9999999999 9999.999.999         : vat btw tva
    jp.in_           999999999999 9999_9999_9999                  : マイナンバー 個人番号
"""
"""Numbers that need a word before them: module, shapes, and after the colon the words, folded."""


@frozen
class _Kind:
    is_valid: Callable[[str], bool]
    words: frozenset[str]
    """Those one of which must stand before it; empty where the number proves itself."""


def _validator(name: str) -> Callable[[str], bool]:
    if name in _OWN:
        return _OWN[name]
    module = import_module(f"stdnum.{name}")
    check: Callable[[str], bool] = module.is_valid
    return check


@cache
def _kinds() -> Mapping[str, Sequence[_Kind]]:
    """The kinds of number by their shape."""
    kinds: dict[str, list[_Kind]] = {}
    for line in [*_ALONE.strip().splitlines(), *_NAMED.strip().splitlines()]:
        numbers, _, words = line.partition(":")
        module, *shapes = numbers.split()
        kind = _Kind(_validator(module), word_set(words))
        for shape in shapes:
            kinds.setdefault(shape.replace("_", " "), []).append(kind)
    return kinds


@frozen
class NationalIdRecogniser:
    """Numbers of some fifty countries' people, taxpayers and companies, proven as the table above says."""

    name = "national_id"
    _token = re.compile(r"(?<![\w.+/-])[A-Za-z]{0,6}-?\d[0-9A-Za-z./+-]{3,24}(?<![./+-])(?!\w)")
    _spaced = re.compile(r"(?<![\w.+/-])(?:[A-Z]{2} ?)?\d{1,6}(?:[ \u00a0][0-9A-Z]{1,6}){1,7}(?!\w)")
    _group_end = re.compile(r"\w(?=[ \u00a0]|\Z)")

    def find(self, page: Page) -> Iterator[Mention]:
        if page.digits < 4:
            return
        for start, end in apart(self._spans(page.text)):
            yield mention_of(start, end, "NATIONAL_ID", self.name)

    def _spans(self, text: str) -> Iterator[tuple[int, int]]:
        for match in self._token.finditer(text):
            if self._is_number(match.group(), text, match.start()):
                yield match.span()
        for match in self._spaced.finditer(text):
            ends = [end.end() for end in self._group_end.finditer(text, match.start(), match.end())]
            for end in reversed(ends):
                if self._is_number(text[match.start() : end], text, match.start()):
                    yield match.start(), end
                    break

    def _is_number(self, candidate: str, text: str, start: int) -> bool:
        kinds = _kinds().get(candidate.translate(_SHAPE))
        if kinds is None:
            return False
        number = candidate.upper().replace("\u00a0", " ").replace("\u2011", "-")
        words: frozenset[str] | None = None
        for kind in kinds:
            if kind.words:
                words = frozenset(words_before(text, start)[-5:]) if words is None else words
                if kind.words.isdisjoint(words):
                    continue
            if kind.is_valid(number):
                return True
        return False


_SHAPE: Final = str.maketrans(
    "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz\u00a0\u2011", "9" * 10 + "A" * 52 + " -"
)
