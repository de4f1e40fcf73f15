"""What class each column of the tables of money is of, and how it goes when its time is over."""

from collections.abc import Mapping
from typing import Final

from bootstrap.retention.purge import Purge

__all__ = ["COLUMNS", "PURGES"]

_PAYMENT: Final[Mapping[str, str]] = {
    "book": "id account_id kind unit side debits credits",
    "movement": "key debit_book credit_book amount about at_s",
    "subscription": "id account_id plan microcredits cents currency state cancelled url period_ends_at_s started_at_s"
    " ended_at_s",
    "purchase": "id account_id subscription_id period provider_key microcredits cents currency state refunded_cents"
    " dispute taken_microcredits url started_at_s changed_at_s",
    "refund": "id purchase_id cents reason by_account_id state at_s",
    "payout": "id account_id microcredits cents currency state asked_at_s changed_at_s",
    "earning": "log position payout_key microcredits settled_at_s account_id",
    "redeem_code": "id code_hash microcredits label by_account_id made_at_s expires_at_s account_id redeemed_at_s",
    "credit_grant": "id account_id microcredits reason by_account_id at_s",
}
_USAGE: Final[Mapping[str, str]] = {
    "withdrawal": "id account_id request_id class denomination amount state at_s blinded signatures blinded_hash",
}
_PSEUDONYM: Final[Mapping[str, str]] = {"payee": "account_id state url changed_at_s"}
_SERVICE: Final[Mapping[str, str]] = {
    "earning_cursor": "log position",
    "provider_call": "key kind about amount currency description made_at_s attempts next_try_at_s",
    "provider_watch": "key next_look_at_s until_s",
    # The offline provider's own: it has what a provider elsewhere has, which is no word about who anybody is.
    "offline_thing": "key kind token made calls state amount currency description return_to parent fate refunded"
    " dispute periods cancelled period_ends_at_s next_at_s",
    "offline_refund": "key payment amount",
    "offline_event": "id key due_at_s",
}

COLUMNS: Final[Mapping[str, str]] = {
    f"{table}.{column}": data_class
    for data_class, tables in (
        ("payment", _PAYMENT),
        ("usage", _USAGE),
        ("pseudonym", _PSEUDONYM),
        ("service", _SERVICE),
    )
    for table, columns in tables.items()
    for column in columns.split()
}

PURGES: Final = (
    Purge("usage", "withdrawal", aged_by="at_s", only="state <> 'debited'"),
    Purge("payment", "refund", aged_by="at_s"),
    Purge(
        "payment",
        "purchase",
        aged_by="started_at_s",
        only="NOT EXISTS (SELECT 1 FROM refund WHERE purchase_id = purchase.id)",
    ),
    Purge(
        "payment",
        "subscription",
        aged_by="ended_at_s",
        only="NOT EXISTS (SELECT 1 FROM purchase WHERE subscription_id = subscription.id)",
    ),
    Purge("payment", "payout", aged_by="asked_at_s"),
    Purge("payment", "earning", aged_by="settled_at_s", key=("log", "position")),
    Purge("payment", "redeem_code", aged_by="made_at_s"),
    Purge("payment", "credit_grant", aged_by="at_s"),
    Purge("payment", "movement", aged_by="at_s", key="key"),
)
"""The books themselves stay: what was bought long ago and is not spent is still somebody's. They say a random id."""
