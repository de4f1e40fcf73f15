"""What each host saw of a prompt: how it is counted, and the receipt that says so.

Rules (promise P3; design section 6, step 8):

1. A share is counted in content words: words without stop words, case-folded, as a multiset. It is computed from the
   exact texts that were sent to a host, over everything it got: fragments, shared context, earlier turns, retries.
   A text sent twice to one host told it nothing new and counts once.
2. A word that a placeholder hides was not given to the host: it stays in the denominator and never enters the
   numerator. The placeholder itself counts as no word at all. A host that got the whole of a masked prompt therefore
   shows a share below 1; `mode` is what says that it got the whole.
3. Where the count cannot be exact it errs towards more exposure.
4. A receipt holds numbers, ids of hosts and relays, and labels; never a word of the prompt (P5). What its JSON says
   is in docs/privacy.md.
5. What all hosts saw together is counted as if they were one: what two of them were given is given once.
6. Where a host or a relay is, is its own claim, and called so.
"""

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import cached_property
from typing import Any, Final, Literal

from attrs import field, frozen, validators

from privacy.mention import LABELS

__all__ = [
    "COLUMNS", "ExposureReceipt", "ExposureTotals", "HostExposure", "Mode", "RelayUse", "content_words",
    "sentence_spans", "share", "share_of_sentences", "without_placeholders", "word_set",
]  # fmt: skip

Mode = Literal["tasks", "shards", "whole"]


def word_set(text: str) -> frozenset[str]:
    """The words of `text`, which stand between white space, as a set: for word lists in source."""
    return frozenset(text.split())


STOP_WORDS: Final = word_set(
    """
    a about above after again all also am an and any are aren't as at be because been before being below between both
    but by can can't cannot could couldn't did didn't do does doesn't doing don't down during each few for from further
    had hadn't has hasn't have haven't having he he'd he'll he's her here here's hers herself him himself his how how's
    i i'd i'll i'm i've if in into is isn't it it's its itself just let's me more most my myself no nor not now of off
    on once only or other our ours ourselves out over own please same shall she she'd she'll she's should shouldn't so
    some such than that that's the their theirs them themselves then there there's these they they'd they'll they're
    they've this those through to too under until up us very was wasn't we we'd we'll we're we've were weren't what
    what's when when's where where's which while who who's whom whose why why's will with won't would wouldn't you
    you'd you'll you're you've your yours yourself yourselves
    """
)

# Scripts that put no spaces between words are counted by the character.
_SPACELESS: Final = "぀-ヿ㐀-䶿一-鿿"
_WORD: Final = re.compile(rf"[{_SPACELESS}]|(?:(?![{_SPACELESS}])[^\W_])+(?:'[^\W_]+)*")
_TAG: Final = re.compile(rf"(?<![^\W_])(?:{'|'.join(sorted(LABELS, key=len, reverse=True))})_[A-Z]\d+(?![^\W_])")
_SEEN_SENTENCE_SHARE: Final = 0.5


def _words(text: str) -> list[str]:
    return [word.removesuffix("'s") for word in _WORD.findall(text.replace("’", "'").casefold())]


def content_words(text: str) -> Counter[str]:
    """The case-folded words of `text` that are not stop words, with how often each occurs; a possessive 's is cut."""
    return Counter(word for word in _words(text) if word not in STOP_WORDS)


def without_placeholders(text: str, placeholders: Collection[str] | None) -> str:
    """`text` without the placeholders in use; if they are None, without whatever looks like a tag."""
    if placeholders is None:
        return _TAG.sub(" ", text)
    if not placeholders:
        return text
    known = "|".join(re.escape(name) for name in sorted(placeholders, key=len, reverse=True))
    return re.sub(rf"(?<![^\W_])(?:{known})(?![^\W_])", " ", text)


def share(original_text: str, sent_texts: Iterable[str], placeholders: Collection[str] | None = None) -> float:
    """The fraction, 0 to 1, of the content words of `original_text` that a host was given.

    `sent_texts` are the exact texts that it got. `placeholders` are those in use; without them, whatever looks like a
    tag (`PERSON_K7`) is one. Where the original has no content word at all, all of its words count; where it has no
    word, any text is the whole.
    """
    return _Given(sent_texts, placeholders).share_of(original_text)


def share_of_sentences(
    original_text: str, sent_texts: Iterable[str], placeholders: Collection[str] | None = None
) -> float:
    """The fraction, 0 to 1, of the sentences of `original_text` of which a host was given at least half the words."""
    given = _Given(sent_texts, placeholders)
    sentences = [original_text[start:end] for start, end in sentence_spans(original_text)]
    if not sentences:
        return 0.0
    seen = [sentence for sentence in sentences if given.share_of(sentence) >= _SEEN_SENTENCE_SHARE]
    return len(seen) / len(sentences)


class _Given:
    """The words that a host was given, counted once for all that they are compared with."""

    def __init__(self, sent_texts: Iterable[str], placeholders: Collection[str] | None) -> None:
        self._texts = [without_placeholders(text, placeholders) for text in dict.fromkeys(sent_texts)]

    def share_of(self, original_text: str) -> float:
        """See `share`."""
        whole, given = content_words(original_text), self._content_words
        if not whole:
            whole, given = Counter(_words(original_text)), self._words
        if not whole:
            return 1.0 if any(text.strip() for text in self._texts) else 0.0
        return (whole & given).total() / whole.total()

    @cached_property
    def _content_words(self) -> Counter[str]:
        return Counter(word for text in self._texts for word in content_words(text).elements())

    @cached_property
    def _words(self) -> Counter[str]:
        return Counter(word for text in self._texts for word in _words(text))


_ABBREVIATIONS: Final = word_set(
    """
    mr mrs ms dr prof st sr jr mt ft vs etc e.g i.e eg ie cf no nr approx inc ltd co corp fig vol p pp a.m p.m u.s u.k
    dept est ave rd blvd gen sen rep gov capt sgt col lt rev hon al ca ul tel
    """
)
_QUOTED: Final = re.compile(
    r'"[^"\n]{1,2000}"|“[^”]{1,4000}”|„[^”"]{1,4000}[”"]|«[^»]{1,4000}»|`[^`\n]{1,2000}`'
    r"|(?<!\w)'[^'\n]{1,400}'(?!\w)|(?<!\w)‘[^’\n]{1,400}’(?!\w)|\([^()\n]{1,400}\)"
)
_STOP: Final = re.compile(r"(?:[.?!…]+[\"'”’»)\]*_]*(?=\s|$))|[。？！]+|(?:[.?!:…][\"'”’»)*_]*)?\n\s*\n|:[*_]*\s*\n")
_SPACE: Final = re.compile(r"\s*")


def sentence_spans(text: str, keep_whole: Iterable[tuple[int, int]] = ()) -> list[tuple[int, int]]:
    """The sentences of `text` as `(start, end)` code-point ranges, without the white space around them.

    A sentence ends at its full stop, question or exclamation mark, at a colon that ends a line, and at an empty line.
    None ends inside quotation marks, brackets or a range of `keep_whole` (a mention: "Dr. John Smith").
    """
    protected = sorted([*(match.span() for match in _QUOTED.finditer(text)), *keep_whole])
    spans: list[tuple[int, int]] = []
    start = 0
    next_protected = 0
    for match in _STOP.finditer(text):
        mark = match.start()
        while next_protected < len(protected) and protected[next_protected][1] <= mark:
            next_protected += 1
        # Ranges may nest, so the first one that is not over yet need not be the one around the mark.
        inside = any(first <= mark < last for first, last in protected[next_protected : next_protected + 4])
        blank_line = "\n" in match.group() and not match.group().startswith(":")
        if (inside and not blank_line) or not _ends_sentence(text, start, match):
            continue
        _append_stripped(spans, text, start, match.end())
        start = match.end()
    _append_stripped(spans, text, start, len(text))
    return spans


def _append_stripped(spans: list[tuple[int, int]], text: str, start: int, end: int) -> None:
    piece = text[start:end]
    if piece.strip():
        first = start + len(piece) - len(piece.lstrip())
        spans.append((first, start + len(piece.rstrip())))


def _ends_sentence(text: str, start: int, match: re.Match[str]) -> bool:
    mark = match.group()
    if not mark.startswith(".") or mark.startswith("..") or "\n" in mark:
        return True
    word = re.search(r"\S*$", text[max(start, match.start() - 32) : match.start()])
    last = word.group().strip("(\"'“‘*_").casefold() if word else ""
    if last in _ABBREVIATIONS or (len(last) == 1 and last.isalpha() and last != "i"):
        return False
    if last.isdigit() and not text[start : match.start()].strip().removesuffix(word.group() if word else ""):
        return False  # the marker of a numbered item
    following = _SPACE.match(text, match.end())
    after = text[following.end() : following.end() + 1] if following else ""
    return not after.islower()


def _unit_interval() -> Any:
    return field(validator=validators.and_(validators.ge(0.0), validators.le(1.0)))


def _counted(counts: Mapping[str, int]) -> dict[str, int]:
    return dict(counts)


@frozen
class HostExposure:
    """What one host saw of one request."""

    host: str
    """The peer id of the host."""
    region: str
    """As the host claims it."""
    fragments: tuple[int, ...]
    """The ordinals of the fragments that it got."""
    mode: Mode
    """`whole` where it got all that was sent of the request."""
    share_of_words: float = _unit_interval()
    """See `share`."""
    share_of_sentences: float = _unit_interval()
    """See `share_of_sentences`."""
    identifiers_in_clear: Mapping[str, int] = field(factory=dict, converter=_counted)
    """How many identifiers it was given as they are, by label."""
    identifiers_masked: Mapping[str, int] = field(factory=dict, converter=_counted)
    """How many it was given as placeholders, by label."""
    retries: int = 0
    """How often it was sent a fragment again."""
    standby: bool = False
    """Whether it came in for another host."""
    continued: tuple[int, ...] = ()
    """The ordinals of those fragments of which it was given what another host had answered so far."""

    @property
    def identities_seen(self) -> int:
        """Identities that it was given in clear."""
        return sum(self.identifiers_in_clear.values())

    def to_json(self) -> dict[str, Any]:
        """A dictionary that `json` can write."""
        return {
            "host": self.host,
            "region_claimed": self.region,
            "fragments": list(self.fragments),
            "mode": self.mode,
            "share_of_words": round(self.share_of_words, 4),
            "share_of_sentences": round(self.share_of_sentences, 4),
            "identities_seen": self.identities_seen,
            "identifiers_in_clear": dict(sorted(self.identifiers_in_clear.items())),
            "identifiers_masked": dict(sorted(self.identifiers_masked.items())),
            "retries": self.retries,
            "standby": self.standby,
            "continued": list(self.continued),
        }


@frozen
class RelayUse:
    """A relay that carried rings of a request: what it did, and where it claims to be. It saw no text."""

    relay: str
    """Its peer id."""
    region: str
    """As the relay claims it."""
    role: Literal["guard", "middle"]
    """A guard knows the client's address; a middle knows a guard and a host."""
    fragments: tuple[int, ...]
    """The ordinals of the fragments that it carried."""

    def to_json(self) -> dict[str, Any]:
        """A dictionary that `json` can write."""
        return {
            "relay": self.relay,
            "region_claimed": self.region,
            "role": self.role,
            "fragments": list(self.fragments),
        }


@frozen
class ExposureTotals:
    """What all hosts of a request saw together, as one host would have that had been given all of it."""

    share_of_words: float = _unit_interval()
    share_of_sentences: float = _unit_interval()
    identifiers_found: Mapping[str, int] = field(factory=dict, converter=_counted)
    """How many were found in the request, by label."""
    identifiers_in_clear: Mapping[str, int] = field(factory=dict, converter=_counted)
    """How many some host was given as they are."""
    identifiers_masked: Mapping[str, int] = field(factory=dict, converter=_counted)
    """How many some host was given as placeholders."""

    def to_json(self) -> dict[str, Any]:
        """A dictionary that `json` can write."""
        return {
            "share_of_words": round(self.share_of_words, 4),
            "share_of_sentences": round(self.share_of_sentences, 4),
            "identifiers_found": dict(sorted(self.identifiers_found.items())),
            "identifiers_in_clear": dict(sorted(self.identifiers_in_clear.items())),
            "identifiers_masked": dict(sorted(self.identifiers_masked.items())),
        }


COLUMNS: Final = (
    "host", "claims to be in", "fragments", "of your words", "of your sentences", "in clear", "masked", "again",
    "standby",
)  # fmt: skip
"""The headings of `ExposureReceipt.rows`."""


@frozen
class ExposureReceipt:
    """Which host saw what share of one request: it comes with every answer."""

    hosts: tuple[HostExposure, ...]
    mode: Mode
    policy: str
    """`strict`, `standard` or `open`."""
    profile: str
    """`private`, `fast` or `paced`: the one that the rings were of."""
    guards: tuple[str, ...] = ()
    """The peer ids of the guards that carried the rings: they know the client's address and no text."""
    notices: tuple[str, ...] = ()
    """What else the user should know, in fixed sentences of ours: a stale directory, history left out."""
    profile_asked: str = ""
    """The profile that was asked for; another one than `profile` where the network was too small for it."""
    relays: tuple[RelayUse, ...] = ()
    """All relays of all rings, the guards first."""
    totals: ExposureTotals | None = None
    """None where nothing was counted."""

    @property
    def largest_view(self) -> HostExposure | None:
        """The host that saw most of the words; None where nothing was sent."""
        return max(self.hosts, key=lambda host: host.share_of_words, default=None)

    @property
    def largest_share(self) -> float:
        """The share of words of the host that saw most; 0 where nothing was sent."""
        return 0.0 if self.largest_view is None else self.largest_view.share_of_words

    @property
    def retries(self) -> int:
        """How often hosts were sent a fragment again, over all hosts."""
        return sum(host.retries for host in self.hosts)

    @property
    def standbys(self) -> int:
        """How many hosts came in for another one."""
        return sum(host.standby for host in self.hosts)

    @property
    def weakened(self) -> bool:
        """Whether the rings were of a weaker profile than was asked for."""
        return self.profile_asked not in {"", self.profile}

    def to_json(self) -> dict[str, Any]:
        """A dictionary that `json` can write."""
        largest = self.largest_view
        return {
            "mode": self.mode,
            "policy": self.policy,
            "profile": self.profile,
            "profile_asked": self.profile_asked or self.profile,
            "largest_share": round(self.largest_share, 4),
            "largest_view": None if largest is None else largest.host,
            "totals": {
                "hosts": len(self.hosts),
                "retries": self.retries,
                "standbys": self.standbys,
                **({} if self.totals is None else self.totals.to_json()),
            },
            "guards": list(self.guards),
            "relays": [relay.to_json() for relay in self.relays],
            "regions_claimed": {
                "hosts": _regions(host.region for host in self.hosts),
                "relays": _regions(relay.region for relay in self.relays),
            },
            "hosts": [host.to_json() for host in self.hosts],
            "notices": list(self.notices),
        }

    def rows(self, name: Callable[[str], str] = str) -> list[tuple[str, ...]]:
        """A table of strings under `COLUMNS`: a row a host, and of several hosts one for all; `name` shortens ids."""
        rows: list[tuple[str, ...]] = [
            (
                name(host.host),
                host.region,
                ", ".join(str(ordinal + 1) for ordinal in host.fragments),
                f"{host.share_of_words:.0%}",
                f"{host.share_of_sentences:.0%}",
                _kinds(host.identifiers_in_clear),
                _kinds(host.identifiers_masked),
                str(host.retries or ""),
                "yes" if host.standby else "",
            )
            for host in self.hosts
        ]
        totals = self.totals
        if totals is not None and len(rows) > 1:
            rows.append((
                f"all {len(rows)} together",
                "",
                "",
                f"{totals.share_of_words:.0%}",
                f"{totals.share_of_sentences:.0%}",
                _kinds(totals.identifiers_in_clear),
                _kinds(totals.identifiers_masked),
                str(self.retries or ""),
                str(self.standbys or ""),
            ))  # fmt: skip
        return rows


def _kinds(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {label}" for label, count in sorted(counts.items())) or "none"


def _regions(claims: Iterable[str]) -> list[str]:
    return sorted({claim for claim in claims if claim})
