"""What stands against a host, and what follows from it.

Rules:

1. A sanction is given by a person with the operator's role, or by an inspection, for one of `REASONS` and with an
   explanation that the host's operator reads. It is in force until it ends: by appeal, lifted, or lapsed.
2. A host is removed while a removal is in force, suspended while a suspension or `STRIKES` strikes are, else active.
   Who retired a host keeps what stands against it.
3. A removal is given to a host that has been suspended for `APPEAL_WITHIN_S`, with no appeal open: whoever is removed
   could be heard before. Forfeitures have a module of their own (`forfeiting`).
4. A host's standing is told to whoever lists hosts: see `left_out`.
5. Everything is told to the host's operator by mail, and noted in the access log, in the same transaction.
6. Nobody ends what stands against a host of their own while another operator could (`check_not_own_host`).

Source: promise P7, sections 4 and 5 of the host agreement.
"""

from collections.abc import Mapping
from typing import Final

from bootstrap.database import Transaction
from bootstrap.ids import new_id
from bootstrap.mail.outbox import queue_mail
from bootstrap.people.access_log import note_access
from bootstrap.people.sessions import Origin
from bootstrap.refusal import NotFound, Refused

__all__ = [
    "APPEAL_WITHIN_S",
    "REASONS",
    "STRIKES",
    "STRIKE_LAPSES_S",
    "check_not_own_host",
    "end_sanction",
    "give_strike",
    "lapse_strikes",
    "left_out",
    "lift_suspension",
    "other_operators",
    "record_sanction",
    "remove_host",
    "retire_host",
    "settle_standing",
    "suspend_host",
    "tell_operator_of_host",
]

DAY_S: Final = 24 * 3600
STRIKES: Final = 3
"""So many in force suspend a host."""
STRIKE_LAPSES_S: Final = 180 * DAY_S
APPEAL_WITHIN_S: Final = 14 * DAY_S
"""How long a sanction can be appealed against; nothing final happens before that is over."""
MAX_SANCTIONS: Final = 200
"""Against one host, ever: what is beyond it is a case for removal."""

REASONS: Final[Mapping[str, str]] = {
    "stores_text": "stores what it is given or answers",
    "passes_on": "passes fragments on to others",
    "other_model": "serves another model than it offers",
    "changes_answers": "changes answers",
    "false_counts": "counts tokens falsely",
    "false_claims": "declares its hardware or region falsely",
    "no_screening": "does not screen",
    "unreliable": "breaks off answers again and again",
    "harm": "puts people in harm's way",
    "other": "another breach of the agreement",
}
"""Why a sanction is given: a word, and how it is said to people."""

_SAID: Final[Mapping[str, str]] = {
    "strike": "has been given a strike",
    "suspension": "has been suspended",
    "removal": "has been removed",
    "forfeiture": "is to forfeit the earnings that are not paid yet",
}


def give_strike(
    transaction: Transaction,
    host_id: str,
    *,
    reason: str,
    explanation: str,
    now_s: int,
    by: str | None,
    origin: Origin | None = None,
) -> str:
    """Gives a strike, and returns its id. `by` is the operator's account; None for an inspection."""
    state = _state(transaction, host_id)
    if state == "removed":
        raise Refused("this host was removed: a strike would say nothing", reason="wrong_state")
    return record_sanction(
        transaction,
        host_id,
        "strike",
        reason=reason,
        explanation=explanation,
        now_s=now_s,
        by=by,
        origin=origin,
        lapses_at_s=now_s + STRIKE_LAPSES_S,
    )


def suspend_host(
    transaction: Transaction,
    host_id: str,
    *,
    reason: str,
    explanation: str,
    now_s: int,
    by: str,
    origin: Origin | None = None,
) -> str:
    """Suspends a host at once, until the suspension is lifted, and returns the sanction's id."""
    if _in_force(transaction, host_id, "suspension", now_s):
        raise Refused("this host is suspended already", reason="wrong_state")
    if _state(transaction, host_id) == "removed":
        raise Refused("this host was removed", reason="wrong_state")
    return record_sanction(
        transaction, host_id, "suspension", reason=reason, explanation=explanation, now_s=now_s, by=by, origin=origin
    )


def lift_suspension(
    transaction: Transaction, host_id: str, *, now_s: int, by: str, origin: Origin | None = None
) -> None:
    """Ends the suspensions in force; strikes stay, and may keep the host suspended."""
    check_not_own_host(transaction, host_id, by)
    lifted = transaction.rows(
        "SELECT id FROM sanction WHERE host_id = :host AND kind = 'suspension' AND ended_at_s IS NULL", host=host_id
    )
    if not lifted:
        raise Refused("no suspension is in force: strikes end by appeal, or lapse", reason="wrong_state")
    for (sanction_id,) in lifted:
        end_sanction(transaction, sanction_id, "lifted", now_s)
    _note(transaction, "host_suspension_lifted", host_id, now_s, by, origin)
    tell_operator_of_host(transaction, host_id, "the suspension of your host has been lifted", "", now_s)


def remove_host(
    transaction: Transaction,
    host_id: str,
    *,
    reason: str,
    explanation: str,
    now_s: int,
    by: str,
    origin: Origin | None = None,
) -> str:
    """Removes a host for good, as rule 3 has it, and returns the sanction's id."""
    row = transaction.row("SELECT state, state_at_s FROM host WHERE id = :host", host=host_id)
    if row is None:
        raise NotFound("such host")
    state, since_s = row
    if state != "suspended":
        raise Refused("only a suspended host can be removed: suspend it first", reason="wrong_state")
    if now_s < since_s + APPEAL_WITHIN_S:
        raise Refused(
            "its operator can still appeal: a host is removed after 14 days of suspension", reason="too_soon"
        )
    if open_appeals(transaction, host_id):
        raise Refused("an appeal is open: decide it first", reason="appeal_open")
    return record_sanction(
        transaction, host_id, "removal", reason=reason, explanation=explanation, now_s=now_s, by=by, origin=origin
    )


def retire_host(transaction: Transaction, host_id: str, now_s: int) -> None:
    """Its own operator takes a host out; what it has earned, and what stands against it, stays."""
    state = _state(transaction, host_id)
    if state == "removed":
        raise Refused("this host was removed: there is nothing to retire", reason="wrong_state")
    transaction.execute(
        "UPDATE host SET retired_at_s = :now, named_in_public = 0 WHERE id = :host AND retired_at_s IS NULL",
        host=host_id,
        now=now_s,
    )


def record_sanction(
    transaction: Transaction,
    host_id: str,
    kind: str,
    *,
    reason: str,
    explanation: str,
    now_s: int,
    by: str | None,
    origin: Origin | None = None,
    lapses_at_s: int | None = None,
) -> str:
    """Writes a sanction, draws what follows from it, and tells the host's operator; returns its id."""
    if reason not in REASONS:
        raise Refused(f"a reason is one of {', '.join(REASONS)}", reason="bad_body", field="reason")
    _state(transaction, host_id)
    row = transaction.row("SELECT count(*) FROM sanction WHERE host_id = :host", host=host_id)
    assert row is not None
    if row[0] >= MAX_SANCTIONS:
        raise Refused(f"{MAX_SANCTIONS} sanctions stand in this host's book: that is enough", reason="too_many")
    sanction_id = new_id()
    transaction.execute(
        "INSERT INTO sanction (id, host_id, kind, reason, explanation, source, given_by, given_at_s, lapses_at_s)"
        " VALUES (:id, :host, :kind, :reason, :explanation, :source, :by, :now, :lapses)",
        id=sanction_id,
        host=host_id,
        kind=kind,
        reason=reason,
        explanation=explanation,
        source="inspection" if by is None else "operator",
        by=by,
        now=now_s,
        lapses=lapses_at_s,
    )
    settle_standing(transaction, host_id, now_s)
    _note(transaction, f"host_{kind}", host_id, now_s, by, origin)
    said = f"your host {_SAID[kind]}"
    why = f"The reason: it {REASONS[reason]}.\n\n{explanation}\n\nYou can appeal within 14 days, on the host's page."
    tell_operator_of_host(transaction, host_id, said, why, now_s)
    return sanction_id


def end_sanction(transaction: Transaction, sanction_id: str, why: str, now_s: int) -> None:
    """Ends a sanction, and draws what follows from that."""
    transaction.execute(
        "UPDATE sanction SET ended_at_s = :now, ended_why = :why WHERE id = :id AND ended_at_s IS NULL",
        id=sanction_id,
        why=why,
        now=now_s,
    )
    row = transaction.row("SELECT host_id FROM sanction WHERE id = :id", id=sanction_id)
    if row is not None:
        settle_standing(transaction, row[0], now_s)


def settle_standing(transaction: Transaction, host_id: str, now_s: int) -> str:
    """Brings the host's state in line with rule 2, and returns it."""
    removed = _in_force(transaction, host_id, "removal", now_s) > 0
    struck = _in_force(transaction, host_id, "strike", now_s) >= STRIKES
    suspended = struck or _in_force(transaction, host_id, "suspension", now_s) > 0
    state = "removed" if removed else "suspended" if suspended else "active"
    transaction.execute(
        "UPDATE host SET state = :state, state_at_s = :now WHERE id = :host AND state <> :state",
        host=host_id,
        state=state,
        now=now_s,
    )
    return state


def lapse_strikes(transaction: Transaction, now_s: int) -> int:
    """Ends what has lapsed; returns how many sanctions did."""
    lapsed = transaction.rows(
        "SELECT id FROM sanction WHERE ended_at_s IS NULL AND kind = 'strike' AND lapses_at_s <= :now LIMIT 100",
        now=now_s,
    )
    for (sanction_id,) in lapsed:
        end_sanction(transaction, sanction_id, "lapsed", now_s)
    return len(lapsed)


def left_out(transaction: Transaction) -> frozenset[bytes]:
    """The peer keys of hosts that this node must not list."""
    rows = transaction.rows("SELECT peer_key FROM host WHERE state IN ('suspended', 'removed')")
    return frozenset(key for (key,) in rows)


def open_appeals(transaction: Transaction, host_id: str) -> int:
    """How many appeals of a host wait for a decision."""
    row = transaction.row("SELECT count(*) FROM appeal WHERE host_id = :host AND decided_at_s IS NULL", host=host_id)
    assert row is not None
    number: int = row[0]
    return number


def check_not_own_host(transaction: Transaction, host_id: str, by: str) -> None:
    """Raises `Refused` (`own_case`) where the host is the decider's own, and another operator could decide."""
    row = transaction.row("SELECT account_id FROM host WHERE id = :host", host=host_id)
    if row is not None and row[0] == by and other_operators(transaction, by):
        raise Refused("this host is your own: another operator decides about it", reason="own_case")


def other_operators(transaction: Transaction, account_id: str | None, and_not: str | None = None) -> int:
    """How many people with the operator's role there are besides one, or two."""
    row = transaction.row(
        "SELECT count(*) FROM account_role JOIN account ON account.id = account_role.account_id"
        " WHERE role = 'operator' AND account.state = 'active' AND account.id NOT IN (:account, :other)",
        account=account_id or "",
        other=and_not or "",
    )
    assert row is not None
    number: int = row[0]
    return number


def tell_operator_of_host(transaction: Transaction, host_id: str, what: str, more: str, now_s: int) -> None:
    """Mails the person who runs a host; nobody, once their account is erased."""
    row = transaction.row(
        "SELECT account.email, host.name FROM host JOIN account ON account.id = host.account_id"
        " WHERE host.id = :host AND account.state <> 'erased'",
        host=host_id,
    )
    if row is None:
        return
    email, name = row
    body = f"Hello,\n\n{what}: {name}.\n\n{more}\n".replace("\n\n\n", "\n\n")
    queue_mail(transaction, to=email, subject=what[0].upper() + what[1:], body=body, now_s=now_s)


def _in_force(transaction: Transaction, host_id: str, kind: str, now_s: int) -> int:
    row = transaction.row(
        "SELECT count(*) FROM sanction WHERE host_id = :host AND kind = :kind AND ended_at_s IS NULL"
        " AND (lapses_at_s IS NULL OR lapses_at_s > :now)",
        host=host_id,
        kind=kind,
        now=now_s,
    )
    assert row is not None
    number: int = row[0]
    return number


def _state(transaction: Transaction, host_id: str) -> str:
    row = transaction.row("SELECT state FROM host WHERE id = :host", host=host_id)
    if row is None:
        raise NotFound("such host")
    state: str = row[0]
    return state


def _note(
    transaction: Transaction, action: str, host_id: str, now_s: int, by: str | None, origin: Origin | None
) -> None:
    owner = transaction.row("SELECT account_id FROM host WHERE id = :host", host=host_id)
    about = owner[0] if owner else None
    note_access(transaction, action, now_s=now_s, by=by, about=about, thing=f"host/{host_id}", origin=origin)
