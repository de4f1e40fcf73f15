"""Pages of earnings and payouts, and the hosted page of the offline payment provider."""

from collections.abc import Mapping
from functools import partial
from typing import Any, Final, cast

import trio
from attrs import frozen
from starlette.responses import Response

from bootstrap.database import Transaction
from bootstrap.money.earnings import earnings_of
from bootstrap.money.offline import CHOICES, Choice, HostedPage, OfflineProvider
from bootstrap.money.payouts import ask_payout, payee_of, payout, payout_owner, payouts_of, start_payee
from bootstrap.portal.access import EVERYBODY, SIGNED_IN, Rule, owned
from bootstrap.portal.bodies import one_of, text
from bootstrap.portal.cards import Card
from bootstrap.portal.money_pages import call_provider
from bootstrap.portal.pages import NOTICES
from bootstrap.portal.routes import Page, page
from bootstrap.portal.visit import Visit
from bootstrap.refusal import NotFound, Refused

__all__ = ["EARNINGS_CARD", "ROUTES", "begin_payee", "begin_payout", "overview"]

PAYOUT: Final = Rule(signed_in=True, fresh=True, restricted=False)

NOTICES.update(payout_asked="Your payout is on its way to the payment provider.")


@frozen
class _Choose:
    checkout: str = text(at_most=40, at_least=1)
    choice: str = one_of(*CHOICES)


def overview(transaction: Transaction, visit: Visit) -> dict[str, Any]:
    """What an account has earned, its payouts, and where they go."""
    cashier = visit.office.cashier
    return {
        "have": earnings_of(transaction, visit.account_id, cashier.config, cashier.hosts, visit.now_s),
        "payouts": payouts_of(transaction, visit.account_id),
        "payee": payee_of(transaction, visit.account_id),
    }


async def begin_payout(visit: Visit) -> str:
    """Asks for all that may be paid out; returns the payout's id."""
    cashier = visit.office.cashier
    name = await visit.write(
        partial(
            ask_payout,
            config=cashier.config,
            hosts=cashier.hosts,
            account_id=visit.account_id,
            now_s=visit.now_s,
            origin=visit.origin,
        )
    )
    await call_provider(visit, f"payout/{name}")
    return name


async def begin_payee(visit: Visit) -> None:
    """Has the provider make its page for this person."""
    await visit.write(partial(start_payee, account_id=visit.account_id, now_s=visit.now_s))
    await call_provider(visit, f"payee/{visit.account_id}")


async def _earnings(visit: Visit) -> Response:
    return await _earnings_page(visit, None)


async def _earnings_page(visit: Visit, refusal: Refused | None) -> Response:
    values = {**await visit.read(partial(overview, visit=visit)), "config": visit.office.cashier.config}
    if refusal is not None:
        return visit.again("money/earnings.html", refusal, **values)
    return visit.page("money/earnings.html", refusal=None, **values)


async def _payout(visit: Visit) -> Response:
    found = await visit.read(partial(payout, payout_id=visit.parameters["payout"]))
    return visit.page("money/payout.html", payout=found)


async def _ask(visit: Visit) -> Response:
    try:
        name = await begin_payout(visit)
    except Refused as refusal:
        return await _earnings_page(visit, refusal)
    return visit.go(f"/payouts/{name}", "payout_asked")


async def _payee(visit: Visit) -> Response:
    await begin_payee(visit)
    return visit.go("/earnings")


async def _hosted(visit: Visit) -> Response:
    shown = await _hosted_page(visit, visit.query.get("checkout", ""))
    return visit.page("money/test_provider.html", shown=shown, checkout=visit.query.get("checkout", ""))


async def _choose(visit: Visit) -> Response:
    chosen = visit.body(_Choose)
    shown = await _hosted_page(visit, chosen.checkout)
    provider = _offline(visit)
    choose = partial(provider.choose, chosen.checkout, cast("Choice", chosen.choice))
    await trio.to_thread.run_sync(choose, limiter=visit.office.threads)
    there = shown.return_to.removeprefix(visit.office.origin)
    return visit.go(there if there.startswith("/") else "/credits")


async def _hosted_page(visit: Visit, token: str) -> HostedPage:
    provider = _offline(visit)
    shown = await trio.to_thread.run_sync(provider.hosted_page, token, limiter=visit.office.threads)
    if shown is None:
        raise NotFound("page for that")
    return shown


def _offline(visit: Visit) -> OfflineProvider:
    provider = visit.office.cashier.provider
    if not isinstance(provider, OfflineProvider):
        raise NotFound
    return provider


async def _earnings_card(visit: Visit) -> Mapping[str, object]:
    return await visit.read(partial(overview, visit=visit))


EARNINGS_CARD: Final = Card("Earnings", "money/earnings_card.html", _earnings_card)

ROUTES: Final[tuple[Page, ...]] = (
    page("GET", "/earnings", _earnings, SIGNED_IN, "What one's own hosts have earned, and payouts"),
    page("POST", "/payouts", _ask, PAYOUT, "Ask for a payout"),
    page("GET", "/payouts/{payout}", _payout, owned(payout_owner), "One of one's own payouts"),
    page("POST", "/payee", _payee, PAYOUT, "Tell the payment provider where one is paid"),
    page("GET", "/test-provider", _hosted, EVERYBODY, "The page of the offline payment provider"),
    page("POST", "/test-provider", _choose, EVERYBODY, "What a tester chooses there", body=_Choose),
)
