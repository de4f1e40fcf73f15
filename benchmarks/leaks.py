"""`make leaks`: writes docs/leaks.md, the scoreboard of what would leak, ours beside Presidio's in one run."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from benchmarks.detect import (
    CHECKOUT,
    DATA,
    IGNORED,
    SETS,
    SHORT_CHARS,
    Document,
    Run,
    Spans,
    heeded,
    read_gold,
    run_ours,
    run_presidio,
    score,
)
from benchmarks.disguises import disguised
from peernet.core.errors import UserError

PAGE: Final = CHECKOUT / "docs" / "leaks.md"
PRIVACY_PAGE: Final = CHECKOUT / "docs" / "privacy.md"
_BEGIN: Final = "<!-- by set: written by `make leaks` -->"
_END: Final = "<!-- end -->"
LEAST_SPANS: Final = 20
"""Kinds with fewer are not in the table: a share of them says little."""
_HEAD: Final = """# What would leak

Made by `make leaks`, which measures everything anew; nothing here is typed by hand. Ours is the detector as shipped,
with one configuration for all sets; Presidio is `presidio-analyzer` 2.2.366 as it recommends, with organisations, over
the packaged English model that ours was trained from. *Found* is the share of identifying letters and digits that is
masked, *precision* the share of what is masked that identifies somebody, *whole* the share of identifiers that are
masked wholly, *harmless hit* the share of documents without any in which something is masked. The sets are described
in [privacy.md](privacy.md); nothing was trained on them. What is bold is better.
"""


def main() -> int:
    """Measures, and writes the page."""
    if not DATA.exists():
        raise UserError(
            f"the development sets are not at {DATA}: the page is made where they stand beside the checkout"
        )
    names = list(SETS)
    sets = [read_gold(DATA / name / "data.jsonl", IGNORED.get(name, frozenset())) for name in names]
    masks = disguised()
    everything = [*sets, *masks.values()]
    short = [document.text for documents in sets for document in documents if len(document.text) <= SHORT_CHARS][:600]
    ours = run_ours(everything, short)
    theirs = run_presidio(everything, short)
    lines = [
        _HEAD,
        *_by_set(names, sets, ours, theirs),
        *_by_kind(names, sets, ours, theirs),
        *_by_disguise(masks, ours.predicted[len(sets) :], theirs.predicted[len(sets) :]),
        *_speed(ours, theirs, len(short)),
    ]
    PAGE.write_text("\n".join(lines) + "\n", encoding="utf-8")
    _put_in(PRIVACY_PAGE, list(_by_set(names, sets, ours, theirs))[1:-1])
    print(f"{PAGE.relative_to(CHECKOUT)} is written, and the table of {PRIVACY_PAGE.relative_to(CHECKOUT)}")
    return 0


def _put_in(page: Path, lines: Sequence[str]) -> None:
    """Puts `lines` between the marks of a page."""
    text = page.read_text(encoding="utf-8")
    before, begin, rest = text.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise UserError(f"{page} has no place for the table: it wants the lines {_BEGIN} and {_END}")
    page.write_text("\n".join([before + begin, *lines, end + after]), encoding="utf-8")


def _by_set(names: Sequence[str], sets: Sequence[Sequence[Document]], ours: Run, theirs: Run) -> Iterator[str]:
    yield "## By set\n"
    yield "| set | documents | found | precision | whole | harmless hit |"
    yield "|---|---|---|---|---|---|"
    for place, (name, documents) in enumerate(zip(names, sets, strict=True)):
        mine = score(documents, heeded(name, ours.predicted[place])).named()
        other = score(documents, heeded(name, theirs.predicted[place])).named()
        cells = [
            _pair(mine[what], other[what], smaller=what == "harmless hit") if what in mine else "–"
            for what in ("found", "precision", "whole", "harmless hit")
        ]
        yield f"| {name} | {len(documents)} | {' | '.join(cells)} |"
    yield ""


def _pair(ours: float, theirs: float, *, smaller: bool = False) -> str:
    mine, other = f"{ours:.3f}", f"{theirs:.3f}"
    if mine == other:
        return f"{mine} / {other}"
    return f"**{mine}** / {other}" if (ours < theirs) == smaller else f"{mine} / **{other}**"


def _by_kind(names: Sequence[str], sets: Sequence[Sequence[Document]], ours: Run, theirs: Run) -> Iterator[str]:
    yield f"## By kind\n\nThe share masked wholly of each kind that a set names at least {LEAST_SPANS} times.\n"
    yield "| set | kind | identifiers | whole |"
    yield "|---|---|---|---|"
    for place, (name, documents) in enumerate(zip(names, sets, strict=True)):
        kinds = sorted({span["type"] for document in documents for span in document.owed})
        for kind in kinds:
            only = [
                Document(d.id, d.text, [span for span in d.owed if span["type"] == kind], d.neutral) for d in documents
            ]
            count = sum(len(document.owed) for document in only)
            if count >= LEAST_SPANS:
                mine = score(only, heeded(name, ours.predicted[place])).whole
                other = score(only, heeded(name, theirs.predicted[place])).whole
                yield f"| {name} | {kind} | {count} | {_pair(mine, other)} |"
    yield ""


def _by_disguise(
    masks: Mapping[str, Sequence[Document]], ours: Sequence[Mapping[str, Spans]], theirs: Sequence[Mapping[str, Spans]]
) -> Iterator[str]:
    yield "## In disguise\n"
    yield "E-mail addresses, telephone, card and account numbers, written so that they are overlooked: the share"
    yield "that is masked wholly.\n"
    yield "| disguise | identifiers | whole |"
    yield "|---|---|---|"
    for (name, documents), mine, other in zip(masks.items(), ours, theirs, strict=True):
        yield f"| {name} | {len(documents)} | {_pair(score(documents, mine).whole, score(documents, other).whole)} |"
    yield ""


def _speed(ours: Run, theirs: Run, count: int) -> Iterator[str]:
    yield f"## Speed\n\nMilliseconds of CPU a prompt, over {count} prompts of at most {SHORT_CHARS} characters.\n"
    yield "| | ours | Presidio | ratio |"
    yield "|---|---|---|---|"
    for name, mine, other in (
        ("one by one", ours.short_s, theirs.short_s),
        ("many at once", ours.batched_s, theirs.batched_s),
    ):
        yield f"| {name} | {mine * 1e3:.2f} | {other * 1e3:.2f} | {other / mine:.1f} |"


if __name__ == "__main__":
    sys.exit(main())
