"""Pages of credits and payments: balance, price list, purchases, subscriptions, codes, statements."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, cast

import trio
from attrs import frozen
from markupsafe import Markup
from starlette.responses import Response

from bootstrap.database import Transaction
from bootstrap.money.codes import redeem_code
from bootstrap.money.journal import PERSON_KINDS, balance_of, person
from bootstrap.money.letters import credits_said, in_credits_said
from bootstrap.money.purchases import purchase, purchase_owner, purchases_of, start_purchase
from bootstrap.money.refunds import may_be_regretted, refunds_of, regret_purchase
from bootstrap.money.settings import MICROCREDITS
from bootstrap.money.statements import Kind, UsageDay, months_of, statement, statement_csv, usage_by_day
from bootstrap.money.subscriptions import (
    cancel_subscription,
    start_subscription,
    subscription,
    subscription_owner,
    subscriptions_of,
)
from bootstrap.portal.access import SIGNED_IN, Rule, owned
from bootstrap.portal.bodies import text
from bootstrap.portal.cards import Card
from bootstrap.portal.charts import Point, bar_chart
from bootstrap.portal.pages import NOTICES, day
from bootstrap.portal.routes import Page, page
from bootstrap.portal.visit import Visit
from bootstrap.refusal import Refused

__all__ = [
    "BALANCE_CARD",
    "ROUTES",
    "ChoosePack",
    "ChoosePlan",
    "Redeem",
    "balances",
    "begin_purchase",
    "begin_subscription",
    "call_provider",
    "chosen_kind",
    "chosen_month",
    "stop_subscription",
]

USAGE_DAYS: Final = 30
DAY_S: Final = 24 * 3600
SPENDING: Final = Rule(signed_in=True, restricted=False)

NOTICES.update(
    redeemed="The code is redeemed, and its credits are yours.",
    subscription_cancelled="Your subscription ends with the month that is paid for.",
    given_back="Your money is on its way back. The credits go when it has arrived at the payment provider.",
)


@frozen
class ChoosePack:
    """What is bought."""

    pack: str = text(at_most=20, at_least=1)


@frozen
class ChoosePlan:
    """What is subscribed to."""

    plan: str = text(at_most=20, at_least=1)


@frozen
class Redeem:
    """A code."""

    code: str = text(at_most=60, at_least=1)


def balances(transaction: Transaction, account_id: str) -> dict[str, int]:
    """What is in a person's books, in microcredits, and what is on its way."""
    found = {kind: balance_of(transaction, person(kind, account_id)) for kind in PERSON_KINDS}
    row = transaction.row(
        "SELECT CAST(coalesce(sum(microcredits), 0) AS BIGINT) FROM purchase"
        " WHERE account_id = :account AND state = 'paid'",
        account=account_id,
    )
    return {**found, "clearing": int(row[0]) if row else 0}


async def call_provider(visit: Visit, key: str) -> None:
    """Makes a call that was just written down at once; where it has no answer, the cashier's job makes it again."""
    cashier = visit.office.cashier
    await trio.to_thread.run_sync(cashier.call, key, visit.now_s, limiter=visit.office.threads)


async def begin_purchase(visit: Visit, pack: str) -> str:
    """A purchase; returns its id."""
    config = visit.office.cashier.config
    name = await visit.write(
        partial(start_purchase, config=config, account_id=visit.account_id, pack=pack, now_s=visit.now_s)
    )
    await call_provider(visit, f"purchase/{name}")
    return name


async def begin_subscription(visit: Visit, plan: str) -> str:
    """A subscription; returns its id."""
    config = visit.office.cashier.config
    name = await visit.write(
        partial(start_subscription, config=config, account_id=visit.account_id, plan=plan, now_s=visit.now_s)
    )
    await call_provider(visit, f"subscription/{name}")
    return name


async def stop_subscription(visit: Visit) -> None:
    """Cancels the subscription that the path names."""
    name = visit.parameters["subscription"]
    await visit.write(partial(cancel_subscription, subscription_id=name, now_s=visit.now_s))
    await call_provider(visit, f"cancel/{name}")


def chosen_kind(visit: Visit) -> Kind:
    """Which statement the query asks for; raises `Refused` (`bad_body`)."""
    kind = visit.query.get("kind", "credits")
    if kind not in {"credits", "earnings"}:
        raise Refused("a statement is of credits or of earnings", reason="bad_body", field="kind")
    return cast("Kind", kind)


def chosen_month(visit: Visit) -> str:
    """The month that the query asks for; by default this one."""
    return visit.query.get("month") or f"{datetime.fromtimestamp(visit.now_s, UTC):%Y-%m}"


def _first_day_s(now_s: int) -> int:
    return (now_s // DAY_S - USAGE_DAYS + 1) * DAY_S


def _chart(days: Sequence[UsageDay], now_s: int) -> Markup | None:
    """The last days' withdrawals as bars, with a table of them; None where there were none."""
    if not days:
        return None
    by_day = {each.day_at_s: each for each in days}
    points = []
    for at_s in range(_first_day_s(now_s), now_s + 1, DAY_S):
        found = by_day.get(at_s, UsageDay(at_s, 0, 0))
        shown = in_credits_said(found.withdrawn)
        if found.returned:
            shown += f", {credits_said(found.returned)} of them came back"
        points.append(Point(day(at_s), (found.withdrawn - found.returned) / MICROCREDITS, shown))
    return bar_chart("usage", "Credits that left your account, by day", points, unit="credits")


def _overview(transaction: Transaction, account_id: str, now_s: int) -> dict[str, Any]:
    return {
        "has": balances(transaction, account_id),
        "purchases": purchases_of(transaction, account_id, most=10),
        "subscriptions": [each for each in subscriptions_of(transaction, account_id) if each.state != "ended"],
        "usage": _chart(usage_by_day(transaction, account_id, _first_day_s(now_s)), now_s),
    }


async def _credits(visit: Visit) -> Response:
    return await _credits_page(visit, None)


async def _credits_page(visit: Visit, refusal: Refused | None) -> Response:
    config = visit.office.cashier.config
    found = await visit.read(partial(_overview, account_id=visit.account_id, now_s=visit.now_s))
    values = {**found, "packs": config.price_list, "plans": config.plan_list, "currency": config.currency}
    if refusal is not None:
        return visit.again("money/credits.html", refusal, **values)
    return visit.page("money/credits.html", refusal=None, typed={}, **values)


async def _buy(visit: Visit) -> Response:
    try:
        name = await begin_purchase(visit, visit.body(ChoosePack).pack)
    except Refused as refusal:
        return await _credits_page(visit, refusal)
    return visit.go(f"/purchases/{name}")


def _show_purchase(transaction: Transaction, visit: Visit) -> dict[str, Any]:
    bought = purchase(transaction, visit.parameters["purchase"])
    return {
        "bought": bought,
        "refunds": refunds_of(transaction, bought.id),
        "may_regret": may_be_regretted(transaction, bought, visit.now_s),
    }


async def _purchase(visit: Visit) -> Response:
    found = await visit.read(partial(_show_purchase, visit=visit))
    return visit.page("money/purchase.html", refusal=None, **found)


async def _regret(visit: Visit) -> Response:
    name = visit.parameters["purchase"]
    try:
        refund = await visit.write(partial(regret_purchase, purchase_id=name, now_s=visit.now_s))
    except Refused as refusal:
        found = await visit.read(partial(_show_purchase, visit=visit))
        return visit.again("money/purchase.html", refusal, **found)
    await call_provider(visit, f"refund/{refund}")
    return visit.go(f"/purchases/{name}", "given_back")


async def _subscribe(visit: Visit) -> Response:
    try:
        name = await begin_subscription(visit, visit.body(ChoosePlan).plan)
    except Refused as refusal:
        return await _credits_page(visit, refusal)
    return visit.go(f"/subscriptions/{name}")


async def _subscription(visit: Visit) -> Response:
    found = await visit.read(partial(subscription, subscription_id=visit.parameters["subscription"]))
    return visit.page("money/subscription.html", subscription=found)


async def _cancel(visit: Visit) -> Response:
    await stop_subscription(visit)
    return visit.go(f"/subscriptions/{visit.parameters['subscription']}", "subscription_cancelled")


async def _redeem(visit: Visit) -> Response:
    try:
        code = visit.body(Redeem).code
        await visit.write(partial(redeem_code, account_id=visit.account_id, typed=code, now_s=visit.now_s))
    except Refused as refusal:
        return await _credits_page(visit, refusal)
    return visit.go("/credits", "redeemed")


async def _statements(visit: Visit) -> Response:
    kind, month = chosen_kind(visit), chosen_month(visit)
    made = await visit.read(partial(statement, account_id=visit.account_id, kind=kind, month=month))
    months = await visit.read(partial(months_of, account_id=visit.account_id, now_s=visit.now_s))
    return visit.page("money/statements.html", made=made, months=months, kind=kind)


async def _statement_csv(visit: Visit) -> Response:
    kind, month = chosen_kind(visit), chosen_month(visit)
    made = await visit.read(partial(statement, account_id=visit.account_id, kind=kind, month=month))
    headers = {"content-disposition": f'attachment; filename="peernet-{kind}-{month}.csv"'}
    return Response(statement_csv(made), media_type="text/csv; charset=utf-8", headers=headers)


async def _balance_card(visit: Visit) -> Mapping[str, object]:
    return {"has": await visit.read(partial(balances, account_id=visit.account_id))}


BALANCE_CARD: Final = Card("Credits", "money/balance_card.html", _balance_card)

ROUTES: Final[tuple[Page, ...]] = (
    page("GET", "/credits", _credits, SIGNED_IN, "One's own credits, and the price list"),
    page("POST", "/purchases", _buy, SPENDING, "Buy credits", body=ChoosePack),
    page("GET", "/purchases/{purchase}", _purchase, owned(purchase_owner), "One of one's own purchases"),
    page("POST", "/purchases/{purchase}/regret", _regret, owned(purchase_owner), "Give a purchase back"),
    page("POST", "/subscriptions", _subscribe, SPENDING, "Subscribe to credits", body=ChoosePlan),
    page("GET", "/subscriptions/{subscription}", _subscription, owned(subscription_owner), "One's own subscription"),
    page("POST", "/subscriptions/{subscription}/cancel", _cancel, owned(subscription_owner), "Cancel it"),
    page("POST", "/codes", _redeem, SPENDING, "Redeem a code", body=Redeem),
    page("GET", "/statements", _statements, SIGNED_IN, "One's own statements, month by month"),
    page("GET", "/statements/csv", _statement_csv, SIGNED_IN, "A statement as a table for spreadsheets"),
)
