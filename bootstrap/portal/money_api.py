"""The API of credits, payments and payouts: what the pages do, for programs, and what a wallet withdraws.

Amounts are integers: credits in microcredits, money in the currency's smallest unit.
"""

import base64
import binascii
from functools import partial
from typing import Any, Final, cast

import trio
from attrs import frozen
from starlette.responses import Response

from bootstrap.database import Transaction
from bootstrap.issuing import MAX_A_REQUEST, IssuedKey, Issuing, SigningRefused
from bootstrap.money.codes import redeem_code
from bootstrap.money.payouts import Payout, payout, payout_owner
from bootstrap.money.purchases import Purchase, purchase, purchase_owner, purchases_of
from bootstrap.money.statements import statement, statement_json, usage_by_day
from bootstrap.money.subscriptions import Subscription, subscription, subscription_owner, subscriptions_of
from bootstrap.money.withdrawals import CreditClass, Withdrawal, begin_withdrawal, finish_withdrawal, withdrawal
from bootstrap.portal.access import EVERYBODY, Rule, owned
from bootstrap.portal.bodies import many, one_of, text, whole
from bootstrap.portal.money_pages import (
    ChoosePack,
    ChoosePlan,
    Redeem,
    balances,
    begin_purchase,
    begin_subscription,
    chosen_kind,
    chosen_month,
    stop_subscription,
)
from bootstrap.portal.payout_pages import begin_payee, begin_payout, overview
from bootstrap.portal.routes import Page, api
from bootstrap.portal.visit import Visit
from bootstrap.refusal import Refused

__all__ = ["ROUTES"]

MINE: Final = Rule(signed_in=True, scope="credits")
SPENDING: Final = Rule(signed_in=True, scope="credits", restricted=False)
EARNED: Final = Rule(signed_in=True, scope="hosts")
PAYOUT: Final = Rule(signed_in=True, scope="hosts", fresh=True, restricted=False)
USAGE_DAYS: Final = 90
DAY_S: Final = 24 * 3600
RETRY_AFTER_S: Final = 5
SIGNATURE_HEADER: Final = "peernet-signature"


@frozen
class _Withdraw:
    request_id: str = text(at_least=64, at_most=64, pattern="[0-9a-f]*")
    class_: str = one_of("bought", "granted")
    denomination: int = whole(at_least=1)
    blinded: tuple[str, ...] = many(at_least=1, at_most=MAX_A_REQUEST, each_at_most=344)


async def _balance(visit: Visit) -> Response:
    has = await visit.read(partial(balances, account_id=visit.account_id))
    return visit.json({f"{kind}_microcredits": amount for kind, amount in has.items()})


async def _prices(visit: Visit) -> Response:
    config = visit.office.cashier.config
    packs = [{"pack": each.name, "microcredits": each.microcredits, "cents": each.cents} for each in config.price_list]
    plans = [{"plan": each.name, "microcredits": each.microcredits, "cents": each.cents} for each in config.plan_list]
    return visit.json({"currency": config.currency, "packs": packs, "plans_a_month": plans})


async def _buy(visit: Visit) -> Response:
    name = await begin_purchase(visit, visit.body(ChoosePack).pack)
    return visit.json(_purchase_json(await visit.read(partial(purchase, purchase_id=name))), 201)


async def _purchases(visit: Visit) -> Response:
    found = await visit.read(partial(purchases_of, account_id=visit.account_id))
    return visit.json({"purchases": [_purchase_json(each) for each in found]})


async def _purchase(visit: Visit) -> Response:
    found = await visit.read(partial(purchase, purchase_id=visit.parameters["purchase"]))
    return visit.json(_purchase_json(found))


async def _subscribe(visit: Visit) -> Response:
    name = await begin_subscription(visit, visit.body(ChoosePlan).plan)
    return visit.json(_subscription_json(await visit.read(partial(subscription, subscription_id=name))), 201)


async def _subscriptions(visit: Visit) -> Response:
    found = await visit.read(partial(subscriptions_of, account_id=visit.account_id))
    return visit.json({"subscriptions": [_subscription_json(each) for each in found]})


async def _cancel(visit: Visit) -> Response:
    await stop_subscription(visit)
    found = await visit.read(partial(subscription, subscription_id=visit.parameters["subscription"]))
    return visit.json(_subscription_json(found))


async def _redeem(visit: Visit) -> Response:
    code = visit.body(Redeem).code
    given = await visit.write(partial(redeem_code, account_id=visit.account_id, typed=code, now_s=visit.now_s))
    return visit.json({"microcredits": given})


async def _statement(visit: Visit) -> Response:
    kind, month = chosen_kind(visit), chosen_month(visit)
    made = await visit.read(partial(statement, account_id=visit.account_id, kind=kind, month=month))
    return visit.json(statement_json(made))


async def _usage(visit: Visit) -> Response:
    since_s = (visit.now_s // DAY_S - USAGE_DAYS + 1) * DAY_S
    days = await visit.read(partial(usage_by_day, account_id=visit.account_id, since_s=since_s))
    said = [
        {"day_at_s": each.day_at_s, "withdrawn_microcredits": each.withdrawn, "returned_microcredits": each.returned}
        for each in days
    ]
    return visit.json({"days": said})


async def _keys(visit: Visit) -> Response:
    return visit.json({"keys": [_key_document(key) for key in list(_issuer(visit).keys())]})


def _key_document(key: IssuedKey) -> dict[str, object]:
    """Clients read the proof, people the rest."""
    return {
        "key_id": key.entry.key_id.hex(),
        "class": key.entry.credit_class,
        "denomination": key.entry.denomination_microcredits,
        "issue_from": key.entry.issue_from_s,
        "issue_until": key.entry.issue_until_s,
        "redeem_until": key.entry.redeem_until_s,
        "proof": base64.b64encode(key.proof).decode(),
    }


async def _withdraw(visit: Visit) -> Response:
    """Debits, then signs; a lost answer is asked for again with the same request id."""
    asked, issuer = visit.body(_Withdraw), _issuer(visit)
    name = await visit.write(
        partial(
            begin_withdrawal,
            account_id=visit.account_id,
            request_id=bytes.fromhex(asked.request_id),
            credit_class=cast("CreditClass", asked.class_),
            denomination=asked.denomination,
            blinded=[_bytes_in(each) for each in asked.blinded],
            now_s=visit.now_s,
        )
    )
    begun = await visit.read(partial(withdrawal, withdrawal_id=name))
    try:
        done = await finish_withdrawal(visit.write, issuer, begun, visit.now_s)
    except SigningRefused as refused:
        text = "the credits are set aside, and will be signed: ask again with the same request id"
        raise Refused(text, reason="busy", retry_after_s=RETRY_AFTER_S) from refused
    return visit.json({"signatures": [base64.b64encode(each).decode() for each in _signatures(done)]})


def _signatures(done: Withdrawal) -> tuple[bytes, ...]:
    if done.state == "returned":
        raise Refused(
            "the issuer does not sign that (its key may be over), and the credits are back in the account: ask for"
            " the keys, and again with a new request id",
            reason="not_signed",
        )
    if not done.signatures:
        raise Refused("that was signed long ago, and is not kept any more", reason="forgotten")
    return done.signatures


def _issuer(visit: Visit) -> Issuing:
    if visit.office.issuer is None:
        raise Refused("this node issues no bearer credits", reason="no_issuer")
    return visit.office.issuer


def _bytes_in(encoded: str) -> bytes:
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Refused("a blinded message is base64", reason="bad_body", field="blinded") from error


async def _earnings(visit: Visit) -> Response:
    found: dict[str, Any] = await visit.read(partial(_earned, visit=visit))
    return visit.json(found)


def _earned(transaction: Transaction, visit: Visit) -> dict[str, Any]:
    found = overview(transaction, visit)
    have, config = found["have"], visit.office.cashier.config
    return {
        "earned_microcredits": have.earned,
        "waiting_microcredits": have.waiting,
        "paying_microcredits": have.paying,
        "payable_microcredits": have.payable,
        "payable_cents": config.payout_cents(have.payable),
        "minimum_cents": config.payout_minimum_cents,
        "currency": config.currency,
        "held": have.held,
        "payee": {"state": found["payee"].state, "url": found["payee"].url},
        "payouts": [_payout_json(each) for each in found["payouts"]],
    }


async def _ask_payout(visit: Visit) -> Response:
    name = await begin_payout(visit)
    return visit.json(_payout_json(await visit.read(partial(payout, payout_id=name))), 201)


async def _payout(visit: Visit) -> Response:
    return visit.json(_payout_json(await visit.read(partial(payout, payout_id=visit.parameters["payout"]))))


async def _payee(visit: Visit) -> Response:
    await begin_payee(visit)
    found = await visit.read(partial(_earned, visit=visit))
    return visit.json(found["payee"], 202)


async def _event(visit: Visit) -> Response:
    """An event of the payment provider, which its signature speaks for."""
    signature = visit.request.headers.get(SIGNATURE_HEADER, "")
    receive = partial(visit.office.cashier.receive, visit.raw_body, signature, visit.now_s)
    if not await trio.to_thread.run_sync(receive, limiter=visit.office.threads):
        raise Refused("send it again", reason="busy", retry_after_s=RETRY_AFTER_S)
    return visit.json({"taken": True})


def _purchase_json(bought: Purchase) -> dict[str, Any]:
    return {
        "purchase": bought.id,
        "state": bought.state,
        "microcredits": bought.microcredits,
        "cents": bought.cents,
        "currency": bought.currency,
        "refunded_cents": bought.refunded_cents,
        "dispute": bought.dispute,
        "url": bought.url,
        "started_at_s": bought.started_at_s,
    }


def _subscription_json(found: Subscription) -> dict[str, Any]:
    return {
        "subscription": found.id,
        "plan": found.plan,
        "state": found.state,
        "cancelled": bool(found.cancelled),
        "microcredits": found.microcredits,
        "cents": found.cents,
        "currency": found.currency,
        "url": found.url,
        "period_ends_at_s": found.period_ends_at_s,
    }


def _payout_json(found: Payout) -> dict[str, Any]:
    return {
        "payout": found.id,
        "state": found.state,
        "microcredits": found.microcredits,
        "cents": found.cents,
        "currency": found.currency,
        "asked_at_s": found.asked_at_s,
    }


_PURCHASE: Final = owned(purchase_owner, scope="credits")
_SUBSCRIPTION: Final = owned(subscription_owner, scope="credits")
ROUTES: Final[tuple[Page, ...]] = (
    api("GET", "/api/v1/balance", _balance, MINE, "What is in one's own account"),
    api("GET", "/api/v1/prices", _prices, EVERYBODY, "The price list"),
    api("GET", "/api/v1/purchases", _purchases, MINE, "One's own purchases, the newest"),
    api("POST", "/api/v1/purchases", _buy, SPENDING, "Buy credits: `url` is where to pay", body=ChoosePack),
    api("GET", "/api/v1/purchases/{purchase}", _purchase, _PURCHASE, "One of one's own purchases"),
    api("GET", "/api/v1/subscriptions", _subscriptions, MINE, "One's own subscriptions"),
    api("POST", "/api/v1/subscriptions", _subscribe, SPENDING, "Subscribe to credits", body=ChoosePlan),
    api("POST", "/api/v1/subscriptions/{subscription}/cancel", _cancel, _SUBSCRIPTION, "Cancel at the month's end"),
    api("POST", "/api/v1/codes", _redeem, SPENDING, "Redeem a code", body=Redeem),
    api("GET", "/api/v1/statements", _statement, MINE, "A statement; query `kind` and `month`"),
    api("GET", "/api/v1/usage", _usage, MINE, "Credits that left the account and came back, by day"),
    api("GET", "/api/v1/credits/keys", _keys, EVERYBODY, "The issuer's keys that sign now, with their proofs"),
    api("POST", "/api/v1/credits/withdrawals", _withdraw, SPENDING, "Withdraw bearer credits", body=_Withdraw),
    api("GET", "/api/v1/earnings", _earnings, EARNED, "What one's own hosts have earned, and payouts"),
    api("POST", "/api/v1/payouts", _ask_payout, PAYOUT, "Ask for a payout of all that may be"),
    api("GET", "/api/v1/payouts/{payout}", _payout, owned(payout_owner, scope="hosts"), "One of one's own payouts"),
    api("POST", "/api/v1/payee", _payee, PAYOUT, "Tell the provider where one is paid: `url` is where"),
    api("POST", "/api/v1/payment-events", _event, EVERYBODY, "Events of the payment provider, signed by it"),
)
