"""What is held about a person by their hosts: exported, erased, locked (`bootstrap.rights`).

When an account goes its hosts are retired, and what was declared and measured about them goes. What was signed, and
what operators decided, stays for as long as claims may be made: under the account's random id and the host's key,
since a host that was removed must not come back under another account.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from bootstrap.database import Transaction
from bootstrap.rights.domain import Domain, Locked, Pending
from bootstrap.rights.shapes import NUMBER, TEXT, listing, maybe, record

__all__ = ["HOSTS"]

YEARS_S: Final = 3 * 365 * 24 * 3600
_OWN: Final = "host_id IN (SELECT id FROM host WHERE account_id = :account)"
_EXPORTED: Final[Mapping[str, tuple[str, str]]] = {
    "hosts": (
        (
            "id name named_in_public state state_at_s registered_at_s retired_at_s cores memory_mib gpus engine"
            " software region measured_at_s answered_at_s"
        ),
        "FROM host WHERE account_id = :account ORDER BY registered_at_s, id",
    ),
    "models": ("host_id name source seen_at_s", f"FROM host_model WHERE {_OWN} ORDER BY host_id, name, source"),
    "agreements": (
        "host_id version portal signed_at_s",
        "FROM host_agreement WHERE account_id = :account ORDER BY signed_at_s, id",
    ),
    "measured": (
        "host_id hour_at_s tries answers round_trip_us slowest_us",
        f"FROM host_measured WHERE {_OWN} ORDER BY host_id, hour_at_s",
    ),
    "tried": (
        (
            "host_id model hour_at_s tries answers timed_out refused cut_off unreached prompt_tokens answer_tokens"
            " first_tokens first_token_us slowest_first_us later_tokens later_us longest_gap_us short_prompts"
            " short_tokens short_us long_prompts long_tokens long_us price_microcredits"
        ),
        f"FROM host_trial WHERE {_OWN} ORDER BY host_id, model, hour_at_s",
    ),
    "reported": (
        (
            "host_id hour_at_s requests errors prompt_tokens answer_tokens first_tokens first_token_ms later_tokens"
            " later_tokens_ms"
        ),
        f"FROM host_reported WHERE {_OWN} ORDER BY host_id, hour_at_s",
    ),
    "abuse_reported": (
        "host_id category count reported_at_s",
        f"FROM abuse_report WHERE {_OWN} ORDER BY reported_at_s, id",
    ),
    "sanctions": (
        "id host_id kind reason explanation given_at_s lapses_at_s ended_at_s ended_why amount_microcredits",
        f"FROM sanction WHERE {_OWN} ORDER BY given_at_s, id",
    ),
    "appeals": (
        "sanction_id words made_at_s decided_at_s outcome explanation",
        "FROM appeal WHERE account_id = :account ORDER BY made_at_s, id",
    ),
}
"""What is exported: the columns, and of which rows."""
_TEXTS: Final = frozenset(
    [
        "id",
        "host_id",
        "model",
        "name",
        "state",
        "gpus",
        "engine",
        "software",
        "region",
        "source",
        "version",
        "portal",
        "category",
        "kind",
        "reason",
        "sanction_id",
    ]
)
_OPTIONAL: Final = frozenset(
    ["retired_at_s", "lapses_at_s", "ended_at_s", "amount_microcredits", "decided_at_s"],
)
_OPTIONAL_TEXTS: Final = frozenset(["ended_why", "outcome", "explanation", "words"])


def _shape(column: str) -> Mapping[str, Any]:
    if column in _OPTIONAL_TEXTS:
        return maybe(TEXT)
    if column in _TEXTS:
        return TEXT
    return maybe(NUMBER) if column in _OPTIONAL else NUMBER


def _export(transaction: Transaction, account_id: str) -> Mapping[str, Any]:
    found: dict[str, Any] = {}
    for name, (columns, rest) in _EXPORTED.items():
        names = columns.split()
        rows = transaction.rows(f"SELECT {', '.join(names)} {rest}", account=account_id)
        found[name] = [dict(zip(names, row, strict=True)) for row in rows]
    keys = transaction.rows(
        "SELECT host_id, public_key, registered_at_s FROM payout_key WHERE account_id = :account"
        " ORDER BY registered_at_s, host_id",
        account=account_id,
    )
    found["payout_keys"] = [
        {"host_id": host_id, "public_key": bytes(key).hex(), "registered_at_s": at_s} for host_id, key, at_s in keys
    ]
    return found


def _erase(transaction: Transaction, account_id: str, now_s: int) -> None:
    # What is put together here is a condition of our own.
    for change in (
        "DELETE FROM registration_code WHERE account_id = :account",
        f"DELETE FROM host_model WHERE {_OWN}",  # noqa: S608
        f"DELETE FROM host_measured WHERE {_OWN}",  # noqa: S608
        f"DELETE FROM host_trial WHERE {_OWN}",  # noqa: S608
        f"DELETE FROM host_trial_due WHERE {_OWN}",  # noqa: S608
        f"DELETE FROM host_reported WHERE {_OWN}",  # noqa: S608
        f"UPDATE sanction SET explanation = '' WHERE {_OWN}",  # noqa: S608
        "UPDATE appeal SET words = '', explanation = '' WHERE account_id = :account",
    ):
        transaction.execute(change, account=account_id)
    transaction.execute(
        "UPDATE host SET name = '', named_in_public = 0, cores = 0, memory_mib = 0, gpus = '', engine = '',"
        " software = '', region = '', retired_at_s = coalesce(retired_at_s, :now) WHERE account_id = :account",
        account=account_id,
        now=now_s,
    )


def _locked(transaction: Transaction, account_id: str) -> Sequence[Locked]:
    kept = []
    signed = transaction.row(
        "SELECT count(*), max(signed_at_s) FROM host_agreement WHERE account_id = :account", account=account_id
    )
    why = "For as long as claims may be made from it: the host's key, and what it signed."
    if signed is not None and signed[0]:
        kept.append(Locked(f"{signed[0]} signed host agreements", why, int(signed[1]) + YEARS_S))
    against = transaction.row(
        f"SELECT count(*), max(given_at_s) FROM sanction WHERE {_OWN}",  # noqa: S608  (a condition of our own)
        account=account_id,
    )
    why = "For as long as claims may be made from it, without its words; a removed host's key, so that it stays out."
    if against is not None and against[0]:
        kept.append(Locked(f"{against[0]} strikes and other sanctions", why, int(against[1]) + YEARS_S))
    return kept


def _pending(transaction: Transaction, account_id: str) -> Sequence[Pending]:
    found = []
    serving = transaction.row(
        "SELECT count(*) FROM host WHERE account_id = :account AND retired_at_s IS NULL AND state <> 'removed'",
        account=account_id,
    )
    if serving is not None and serving[0]:
        said = "host of yours is" if serving[0] == 1 else "hosts of yours are"
        found.append(Pending(f"{serving[0]} {said} registered, and will be taken out of the registry."))
    appeals = transaction.row(
        "SELECT count(*) FROM appeal WHERE account_id = :account AND decided_at_s IS NULL", account=account_id
    )
    if appeals is not None and appeals[0]:
        found.append(Pending("An appeal of yours is not decided: with the account it has no words any more."))
    return found


HOSTS: Final = Domain(
    name="hosts",
    title="Your hosts",
    tables=frozenset({"registration_code", "host", "payout_key", "host_agreement", "appeal"}),
    schema=record(
        **{
            name: listing(record(**{column: _shape(column) for column in columns.split()}))
            for name, (columns, _) in _EXPORTED.items()
        },
        payout_keys=listing(record(host_id=TEXT, public_key=TEXT, registered_at_s=NUMBER)),
    ),
    export=_export,
    erase=_erase,
    locked=_locked,
    pending=_pending,
)
