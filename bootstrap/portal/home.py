"""What everybody may read about the network: the first page, how it works, and what others can see (promise P12)."""

from typing import Final

from attrs import frozen
from starlette.responses import Response

from bootstrap.portal.access import EVERYBODY
from bootstrap.portal.routes import Page, page
from bootstrap.portal.visit import Visit
from bootstrap.public.figures import Figures

__all__ = ["MASKING", "ROUTES", "MaskingFigure"]


@frozen
class MaskingFigure:
    """How much of what identifies people is masked in one collection of texts, as `docs/leaks.md` has it."""

    name: str
    about: str
    documents: int
    found_permille: int


MASKING: Final = (
    MaskingFigure("presidio_synth_v2", "Made-up sentences with names, addresses, numbers", 1500, 953),
    MaskingFigure("pii_anon_clinical", "Notes as of hospitals", 1000, 987),
    MaskingFigure("pii_anon_adversarial", "Identifiers that are hard to see", 1000, 984),
    MaskingFigure("pii_syn_nano", "Short texts of many kinds", 149, 841),
    MaskingFigure("uner_ewt_dev", "What people write on the web", 318, 888),
)
SEEN: Final = (
    ("A host", "One masked fragment, and its own answer", "Your address, your account, the other fragments"),
    ("Your guard (the first relay)", "Your address; when, and how much", "The host, any text"),
    ("The other relays", "Their two neighbours; when, and how much", "Your address, any text"),
    ("This bootstrap node", "Your account; that some lane is funded", "Which lanes are yours, any text"),
    ("Readers of the ledger", "Lanes, payout keys, amounts, minutes", "Who asked, any text"),
    ("Who watches your line", "That you use peernet; when, and how much", "Hosts, any text"),
)


async def _home(visit: Visit) -> Response:
    return visit.page("home.html", figures=await _figures(visit))


async def _how(visit: Visit) -> Response:
    return visit.page("public/how.html")


async def _transparency(visit: Visit) -> Response:
    return visit.page("public/transparency.html", figures=await _figures(visit), seen=SEEN, sets=MASKING)


async def _figures(visit: Visit) -> Figures | None:
    return None if visit.office.figures is None else await visit.office.figures.current()


ROUTES: Final[tuple[Page, ...]] = (
    page("GET", "/", _home, EVERYBODY, "The first page, with figures of the network"),
    page("GET", "/how", _how, EVERYBODY, "How the network works"),
    page("GET", "/transparency", _transparency, EVERYBODY, "What others can see, and what is not promised"),
)
