"""Appeals: a host's operator asks for a sanction to be undone, and a person decides.

Rules:

1. There is one appeal against a sanction, within `APPEAL_WITHIN_S`, by whoever runs the host.
2. A person with the operator's role decides, with a reason that is told. It is not the one who runs the host where
   there is another operator, and not the one who gave the sanction where there is one besides these two.
3. An appeal that is granted ends the sanction; one that is rejected leaves it.
4. While an appeal is open, nothing that cannot be undone happens to the host (`standing`, `forfeiting`).
"""

from typing import Any, Final

from bootstrap.database import Transaction
from bootstrap.hosts.standing import (
    APPEAL_WITHIN_S,
    check_not_own_host,
    end_sanction,
    other_operators,
    tell_operator_of_host,
)
from bootstrap.ids import new_id
from bootstrap.people.access_log import note_access
from bootstrap.people.sessions import Origin
from bootstrap.refusal import NotFound, Refused

__all__ = ["decide_appeal", "make_appeal", "open_appeals_of_all"]

MAX_LISTED: Final = 100


def make_appeal(transaction: Transaction, sanction_id: str, account_id: str, words: str, now_s: int) -> str:
    """Appeals against a sanction of one's own host; returns the appeal's id."""
    row = transaction.row(
        "SELECT sanction.host_id, sanction.given_at_s, sanction.ended_at_s FROM sanction"
        " JOIN host ON host.id = sanction.host_id WHERE sanction.id = :id AND host.account_id = :account",
        id=sanction_id,
        account=account_id,
    )
    if row is None:
        raise NotFound
    host_id, given_at_s, ended_at_s = row
    if ended_at_s is not None:
        raise Refused("this is over: there is nothing to appeal against", reason="over")
    if now_s > given_at_s + APPEAL_WITHIN_S:
        raise Refused("the 14 days for an appeal are over", reason="too_late")
    appeal_id = new_id()
    made = transaction.execute(
        "INSERT INTO appeal (id, sanction_id, host_id, account_id, words, made_at_s)"
        " VALUES (:id, :sanction, :host, :account, :words, :now) ON CONFLICT (sanction_id) DO NOTHING",
        id=appeal_id,
        sanction=sanction_id,
        host=host_id,
        account=account_id,
        words=words,
        now=now_s,
    )
    if not made:
        raise Refused("you have appealed against this already", reason="twice")
    note_access(
        transaction, "appeal_made", now_s=now_s, by=account_id, about=account_id, thing=f"sanction/{sanction_id}"
    )
    return appeal_id


def decide_appeal(
    transaction: Transaction,
    appeal_id: str,
    *,
    granted: bool,
    explanation: str,
    by: str,
    now_s: int,
    origin: Origin | None = None,
) -> None:
    """Decides an open appeal; raises `Refused`."""
    row = transaction.row(
        "SELECT appeal.sanction_id, appeal.host_id, appeal.account_id, appeal.decided_at_s, sanction.given_by"
        " FROM appeal JOIN sanction ON sanction.id = appeal.sanction_id WHERE appeal.id = :id",
        id=appeal_id,
    )
    if row is None:
        raise NotFound("such appeal")
    sanction_id, host_id, account_id, decided_at_s, given_by = row
    if decided_at_s is not None:
        raise Refused("this appeal has been decided", reason="over")
    check_not_own_host(transaction, host_id, by)
    if by == given_by and other_operators(transaction, by, account_id):
        raise Refused("another operator decides this: it is about what you decided", reason="own_case")
    transaction.execute(
        "UPDATE appeal SET decided_by = :by, decided_at_s = :now, outcome = :outcome, explanation = :explanation"
        " WHERE id = :id AND decided_at_s IS NULL",
        id=appeal_id,
        by=by,
        now=now_s,
        outcome="granted" if granted else "rejected",
        explanation=explanation,
    )
    if granted:
        end_sanction(transaction, sanction_id, "appeal", now_s)
    note_access(
        transaction,
        "appeal_granted" if granted else "appeal_rejected",
        now_s=now_s,
        by=by,
        about=account_id,
        thing=f"sanction/{sanction_id}",
        origin=origin,
    )
    said = "your appeal has been granted" if granted else "your appeal has been rejected"
    tell_operator_of_host(transaction, host_id, said, explanation, now_s)


def open_appeals_of_all(transaction: Transaction) -> list[dict[str, Any]]:
    """Those that wait for a decision, the oldest first."""
    names = (
        "id", "host_id", "host_name", "words", "made_at_s", "kind", "reason", "explanation", "given_by", "given_at_s",
    )  # fmt: skip
    rows = transaction.rows(
        "SELECT appeal.id, host.id, host.name, words, made_at_s, kind, reason, sanction.explanation, given_by,"
        " given_at_s FROM appeal JOIN sanction ON sanction.id = appeal.sanction_id"
        " JOIN host ON host.id = appeal.host_id WHERE decided_at_s IS NULL ORDER BY made_at_s LIMIT :most",
        most=MAX_LISTED,
    )
    return [dict(zip(names, row, strict=True)) for row in rows]
