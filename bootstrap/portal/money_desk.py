"""The desk's pages of money: the books, what waits for the provider, refunds, codes and grants."""

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from attrs import frozen
from starlette.responses import Response

from bootstrap.database import Transaction
from bootstrap.money.codes import MAX_AT_ONCE, make_codes, newest_codes
from bootstrap.money.grants import grant_credits
from bootstrap.money.journal import books
from bootstrap.money.outbox import waiting_calls
from bootstrap.money.payouts import newest_payouts
from bootstrap.money.purchases import newest_purchases, purchase
from bootstrap.money.refunds import ask_refund, refunds_of
from bootstrap.people.access_log import ACTIONS, note_access
from bootstrap.portal.access import with_role
from bootstrap.portal.amounts import cents_in, microcredits_in
from bootstrap.portal.bodies import text, whole
from bootstrap.portal.cards import Card
from bootstrap.portal.money_pages import call_provider
from bootstrap.portal.pages import NOTICES
from bootstrap.portal.routes import Page, api, page
from bootstrap.portal.visit import Visit
from bootstrap.refusal import Refused

__all__ = ["MONEY_CARD", "ROUTES"]

DAY_S: Final = 24 * 3600
READERS: Final = with_role("operator", "auditor")
CAREFUL: Final = with_role("operator", fresh=True)
API_READERS: Final = with_role("operator", "auditor", scope="desk")
API_CAREFUL: Final = with_role("operator", fresh=True, scope="desk")

NOTICES.update(
    refund_asked="The refund is asked of the payment provider.",
    credits_given="The credits are given, and the person is told.",
)
ACTIONS.update(
    refund_asked="Refund asked",
    codes_made="Redeem codes made",
    credits_granted="Credits given",
    payout_asked="Payout asked",
    earnings_forfeited="Earnings forfeited",
    purchase_viewed="Purchase looked at",
)


@frozen
class _RefundForm:
    amount: str = text(at_most=20, at_least=1)
    reason: str = text(at_most=300, at_least=3)


@frozen
class _Refund:
    cents: int = whole(at_least=1)
    reason: str = text(at_most=300, at_least=3)


@frozen
class _CodesForm:
    count: int = whole(at_least=1, at_most=MAX_AT_ONCE)
    credits: str = text(at_most=20, at_least=1)
    label: str = text(at_most=60, at_least=1)
    days: int = whole(at_least=1, at_most=3_650)


@frozen
class _Codes:
    count: int = whole(at_least=1, at_most=MAX_AT_ONCE)
    microcredits: int = whole(at_least=1, at_most=10**13)
    label: str = text(at_most=60, at_least=1)
    days: int = whole(at_least=1, at_most=3_650)


@frozen
class _GrantForm:
    account: str = text(at_most=40, at_least=1)
    credits: str = text(at_most=20, at_least=1)
    reason: str = text(at_most=300, at_least=3)


@frozen
class _Grant:
    account: str = text(at_most=40, at_least=1)
    microcredits: int = whole(at_least=1, at_most=10**13)
    reason: str = text(at_most=300, at_least=3)


def _desk(transaction: Transaction) -> dict[str, Any]:
    waiting, attempts = waiting_calls(transaction)
    return {
        "books": books(transaction),
        "waiting": waiting,
        "attempts": attempts,
        "purchases": newest_purchases(transaction, most=50),
        "payouts": newest_payouts(transaction, most=50),
    }


async def _money(visit: Visit) -> Response:
    found = await visit.read(_desk)
    cashier = visit.office.cashier
    found |= {"disagreements": cashier.disagreements.total(), "loses": cashier.config.pays_more_than_it_takes}
    return visit.page("money/desk.html", **found)


def _look(transaction: Transaction, visit: Visit) -> dict[str, Any]:
    """A purchase of somebody; that an operator looked at it is noted."""
    bought = purchase(transaction, visit.parameters["purchase"])
    note_access(
        transaction,
        "purchase_viewed",
        now_s=visit.now_s,
        by=visit.account_id,
        about=bought.account_id,
        thing=f"purchase/{bought.id}",
        origin=visit.origin,
    )
    return {"bought": bought, "refunds": refunds_of(transaction, bought.id)}


async def _purchase(visit: Visit) -> Response:
    found = await visit.write(partial(_look, visit=visit))
    return visit.page("money/desk_purchase.html", refusal=None, typed={}, **found)


async def _refund_of(visit: Visit, cents: int, reason: str) -> str:
    name = await visit.write(
        partial(
            ask_refund,
            purchase_id=visit.parameters["purchase"],
            cents=cents,
            reason=reason,
            by=visit.account_id,
            now_s=visit.now_s,
            origin=visit.origin,
        )
    )
    await call_provider(visit, f"refund/{name}")
    return name


async def _refund(visit: Visit) -> Response:
    try:
        asked = visit.body(_RefundForm)
        await _refund_of(visit, cents_in(asked.amount, "amount"), asked.reason)
    except Refused as refusal:
        found = await visit.write(partial(_look, visit=visit))
        return visit.again("money/desk_purchase.html", refusal, **found)
    return visit.go(f"/desk/purchases/{visit.parameters['purchase']}", "refund_asked")


async def _gifts(visit: Visit) -> Response:
    return await _gifts_page(visit, None)


async def _gifts_page(visit: Visit, refusal: Refused | None, made: tuple[str, ...] = ()) -> Response:
    codes = await visit.read(newest_codes)
    if refusal is not None:
        return visit.again("money/desk_gifts.html", refusal, codes=codes, made=())
    return visit.page("money/desk_gifts.html", refusal=None, typed={}, codes=codes, made=made)


async def _new_codes(visit: Visit, asked: _Codes) -> list[str]:
    return await visit.write(
        partial(
            make_codes,
            count=asked.count,
            microcredits=asked.microcredits,
            label=asked.label,
            expires_at_s=visit.now_s + asked.days * DAY_S,
            by=visit.account_id,
            now_s=visit.now_s,
            origin=visit.origin,
        )
    )


async def _codes(visit: Visit) -> Response:
    try:
        asked = visit.body(_CodesForm)
        microcredits = microcredits_in(asked.credits, "credits")
        made = await _new_codes(visit, _Codes(asked.count, microcredits, asked.label, asked.days))
    except Refused as refusal:
        return await _gifts_page(visit, refusal)
    return await _gifts_page(visit, None, tuple(made))


async def _give(visit: Visit, asked: _Grant) -> str:
    return await visit.write(
        partial(
            grant_credits,
            account_id=asked.account,
            microcredits=asked.microcredits,
            reason=asked.reason,
            by=visit.account_id,
            now_s=visit.now_s,
            origin=visit.origin,
        )
    )


async def _grant(visit: Visit) -> Response:
    try:
        asked = visit.body(_GrantForm)
        await _give(visit, _Grant(asked.account, microcredits_in(asked.credits, "credits"), asked.reason))
    except Refused as refusal:
        return await _gifts_page(visit, refusal)
    return visit.go("/desk/gifts", "credits_given")


async def _api_books(visit: Visit) -> Response:
    found = await visit.read(_desk)
    totals = [
        {"kind": each.kind, "unit": each.unit, "side": each.side, "balance": each.balance} for each in found["books"]
    ]
    return visit.json({"books": totals, "calls_waiting": found["waiting"]})


async def _api_refund(visit: Visit) -> Response:
    asked = visit.body(_Refund)
    return visit.json({"refund": await _refund_of(visit, asked.cents, asked.reason)}, 202)


async def _api_codes(visit: Visit) -> Response:
    return visit.json({"codes": await _new_codes(visit, visit.body(_Codes))}, 201)


async def _api_grant(visit: Visit) -> Response:
    return visit.json({"grant": await _give(visit, visit.body(_Grant))}, 201)


async def _money_card(visit: Visit) -> Mapping[str, object]:
    waiting, _ = await visit.read(waiting_calls)
    provider = visit.office.cashier.provider.name
    return {"waiting": waiting, "disagreements": visit.office.cashier.disagreements.total(), "provider": provider}


MONEY_CARD: Final = Card("Money", "money/desk_card.html", _money_card)

ROUTES: Final[tuple[Page, ...]] = (
    page("GET", "/desk/money", _money, READERS, "The books, purchases and payouts"),
    page("GET", "/desk/purchases/{purchase}", _purchase, READERS, "A purchase"),
    page("POST", "/desk/purchases/{purchase}/refund", _refund, CAREFUL, "Refund a purchase", body=_RefundForm),
    page("GET", "/desk/gifts", _gifts, with_role("operator"), "Codes and grants"),
    page("POST", "/desk/codes", _codes, CAREFUL, "Make redeem codes", body=_CodesForm),
    page("POST", "/desk/grants", _grant, CAREFUL, "Give somebody credits", body=_GrantForm),
    api("GET", "/api/v1/desk/books", _api_books, API_READERS, "The trial balance"),
    api("POST", "/api/v1/desk/purchases/{purchase}/refund", _api_refund, API_CAREFUL, "Refund", body=_Refund),
    api("POST", "/api/v1/desk/codes", _api_codes, API_CAREFUL, "Make redeem codes", body=_Codes),
    api("POST", "/api/v1/desk/grants", _api_grant, API_CAREFUL, "Give somebody credits", body=_Grant),
)
