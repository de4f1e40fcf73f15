"""The ledger explorer: logs and who cosigned them, entries, proofs that the reader's own browser verifies, raw files.

The files are served under `/ledger/` as C2SP tlog-tiles has them (`checkpoint`, `tile/...`; a mirrored log below
`mirror/`), so that other people's verifiers work on them. The pages say nothing that is not in those files.
"""

from typing import Final

from starlette.responses import PlainTextResponse, Response

from bootstrap.portal.access import EVERYBODY
from bootstrap.portal.routes import Page, page
from bootstrap.portal.visit import Visit
from bootstrap.public.ledger_view import LedgerView
from bootstrap.refusal import NotFound
from peernet.core.ledger.tiles import CHECKPOINT_PATH, ResourceNotFound

__all__ = ["ENTRIES_SHOWN", "ROUTES"]

ENTRIES_SHOWN: Final = 15
MAX_PAGE_DIGITS: Final = 12
FOR_EVER: Final = "public, max-age=31536000, immutable"
A_MOMENT: Final = "public, max-age=2"


async def _ledger(visit: Visit) -> Response:
    ledger = visit.office.ledger
    if ledger is None:
        return visit.page("ledger/none.html")
    size = await ledger.size()
    count = max(1, -(-size // ENTRIES_SHOWN))
    number = min(_number(visit.query.get("page", "1")), count)
    end = size - (number - 1) * ENTRIES_SHOWN
    entries = await ledger.entries(max(0, end - ENTRIES_SHOWN), end)
    return visit.page(
        "ledger/logs.html",
        logs=await ledger.logs(),
        size=size,
        entries=entries[::-1],
        page=number,
        count=count,
        asked="",
        missed=False,
    )


async def _find(visit: Visit) -> Response:
    asked = visit.query.get("q", "").strip()[:200]
    found = await _view(visit).find(asked)
    if len(found) == 1:
        return visit.go(f"/ledger/entries/{found[0]}")
    ledger = _view(visit)
    entries = [entry for index in found for entry in await ledger.entries(index, index + 1)]
    return visit.page("ledger/found.html", asked=asked, entries=entries)


async def _entry(visit: Visit) -> Response:
    ledger, index = _view(visit), _index(visit)
    try:
        entries, proof = await ledger.entries(index, index + 1), await ledger.proof(index)
    except ResourceNotFound:
        raise NotFound from None
    logs = await ledger.logs()
    return visit.page(
        "ledger/entry.html", entry=entries[0], size=await ledger.size(), proof=proof.decode(), log=logs[0], logs=logs
    )


async def _proof(visit: Visit) -> Response:
    try:
        return PlainTextResponse(await _view(visit).proof(_index(visit)))
    except ResourceNotFound:
        raise NotFound from None


async def _check(visit: Visit) -> Response:
    return visit.page("ledger/check.html", logs=await _view(visit).logs())


async def _checkpoint(visit: Visit) -> Response:
    return await _file(visit, CHECKPOINT_PATH)


async def _tile(visit: Visit) -> Response:
    return await _file(visit, f"tile/{visit.parameters['path']}")


async def _mirror(visit: Visit) -> Response:
    return await _file(visit, f"mirror/{visit.parameters['path']}")


async def _file(visit: Visit, path: str) -> Response:
    """A file of a log as it is: what never changes may be kept for ever."""
    try:
        data = await _view(visit).read(path)
    except ResourceNotFound:
        raise NotFound from None
    name = path.rpartition("/")[2]
    if name == CHECKPOINT_PATH:
        return PlainTextResponse(data, headers={"cache-control": A_MOMENT})
    kept = FOR_EVER if "tile/" in path else A_MOMENT
    return Response(data, media_type="application/octet-stream", headers={"cache-control": kept})


def _view(visit: Visit) -> LedgerView:
    if visit.office.ledger is None:
        raise NotFound
    return visit.office.ledger


def _index(visit: Visit) -> int:
    text = visit.parameters["index"]
    if not (text.isascii() and text.isdigit() and len(text) <= 18 and str(int(text)) == text):
        raise NotFound
    return int(text)


def _number(text: str) -> int:
    return max(1, int(text)) if text.isascii() and text.isdigit() and len(text) <= MAX_PAGE_DIGITS else 1


ROUTES: Final[tuple[Page, ...]] = (
    page("GET", "/ledger", _ledger, EVERYBODY, "The ledger: checkpoints, cosigners, the newest entries"),
    page("GET", "/ledger/find", _find, EVERYBODY, "Entries by their index or their lane"),
    page("GET", "/ledger/check", _check, EVERYBODY, "Verify a proof that somebody gave you"),
    page("GET", "/ledger/entries/{index}", _entry, EVERYBODY, "An entry, and its proof"),
    page("GET", "/ledger/entries/{index}/proof", _proof, EVERYBODY, "An entry's proof, as C2SP tlog-proof"),
    page("GET", "/ledger/checkpoint", _checkpoint, EVERYBODY, "The newest checkpoint, as C2SP tlog-tiles"),
    page("GET", "/ledger/tile/{path:path}", _tile, EVERYBODY, "A tile or a bundle of entries, as C2SP tlog-tiles"),
    page("GET", "/ledger/mirror/{path:path}", _mirror, EVERYBODY, "A file of another log that is mirrored here"),
)
