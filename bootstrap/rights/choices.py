"""What a person may choose: consents that can be withdrawn, and uses that can be objected to."""

from collections.abc import Mapping
from typing import Final

from attrs import frozen

from bootstrap.database import Transaction
from bootstrap.people.access_log import note_access
from bootstrap.refusal import Refused
from bootstrap.rights.requests import Request, decide_request, file_request, request_of

__all__ = [
    "CONSENTS",
    "OBJECTIONS",
    "Purpose",
    "consents_of",
    "decide_objection",
    "object_to",
    "objections_of",
    "objects_to",
    "withdraw_consent",
    "withdraw_objection",
]


@frozen
class Purpose:
    """One use of data that hangs on the person's choice."""

    name: str
    title: str
    about: str
    """What the service does for it, and with what."""
    at_once: bool = True
    """Whether the service ends it by itself; else an operator weighs it, and answers."""


CONSENTS: Final[Mapping[str, Purpose]] = {
    each.name: each
    for each in (
        Purpose("profile", "Your profile", "Keeping the text about yourself. Withdrawing deletes it."),
        Purpose(
            "host_name",
            "The names of your hosts",
            "Showing the names that you gave your hosts on the public status page. Withdrawing takes all of them off.",
        ),
    )
}
"""What happens only with consent, which is given where it is made use of: by writing a profile, by naming a host."""
_GIVEN: Final[Mapping[str, str]] = {
    "profile": "SELECT 1 FROM account WHERE id = :id AND profile <> ''",
    "host_name": "SELECT 1 FROM host WHERE account_id = :id AND named_in_public = 1",
}
_WITHDRAWN: Final[Mapping[str, str]] = {
    "profile": "UPDATE account SET profile = '' WHERE id = :id",
    "host_name": "UPDATE host SET named_in_public = 0 WHERE account_id = :id",
}

OBJECTIONS: Final[Mapping[str, Purpose]] = {
    each.name: each
    for each in (
        Purpose("usage_figures", "Usage figures", "Drawing your dashboard's charts from what you use."),
        Purpose(
            "sign_in_security",
            "Sign-in security",
            "Keeping the prefix of the IP address and the browser's family of sign-ins, for 30 days. It protects you "
            "and others, so an operator weighs your reasons.",
            at_once=False,
        ),
    )
}
"""What happens because the operator has an interest in it, and may be objected to."""


def consents_of(transaction: Transaction, account_id: str) -> frozenset[str]:
    """The names of what the person agrees to now."""
    return frozenset(purpose for purpose, sql in _GIVEN.items() if transaction.row(sql, id=account_id) is not None)


def withdraw_consent(transaction: Transaction, account_id: str, purpose: str, *, now_s: int) -> Request:
    """Withdraws a consent; what was done before stays right, and nothing is done from now on."""
    if purpose not in CONSENTS:
        raise Refused("there is no such choice", reason="bad_body", field="purpose")
    transaction.execute(_WITHDRAWN[purpose], id=account_id)
    return file_request(transaction, account_id, "consent", subject=purpose, now_s=now_s)


def objects_to(transaction: Transaction, account_id: str, purpose: str) -> bool:
    """Whether the person has objected to this use, and it has been ended."""
    assert purpose in OBJECTIONS, purpose
    return purpose in objections_of(transaction, account_id)


def objections_of(transaction: Transaction, account_id: str) -> frozenset[str]:
    """The names of the uses that have been ended so."""
    rows = transaction.rows("SELECT purpose FROM rights_objection WHERE account_id = :id", id=account_id)
    return frozenset(purpose for (purpose,) in rows)


def object_to(transaction: Transaction, account_id: str, purpose: str, words: str, *, now_s: int) -> Request:
    """Objects to a use: the service ends it at once, or an operator weighs what the person writes."""
    chosen = OBJECTIONS.get(purpose)
    if chosen is None:
        raise Refused("there is no such use", reason="bad_body", field="purpose")
    if chosen.at_once:
        _end_use(transaction, account_id, purpose, now_s)
        return file_request(transaction, account_id, "objection", subject=purpose, words=words, now_s=now_s)
    if not words:
        raise Refused("write why, so that it can be weighed", reason="bad_body", field="words")
    waiting = transaction.row(
        "SELECT 1 FROM rights_request WHERE account_id = :id AND kind = 'objection' AND subject = :purpose"
        " AND state = 'open'",
        id=account_id,
        purpose=purpose,
    )
    if waiting:
        raise Refused("you have objected already: the answer is being worked on", reason="answered")
    return file_request(transaction, account_id, "objection", subject=purpose, words=words, state="open", now_s=now_s)


def withdraw_objection(transaction: Transaction, account_id: str, purpose: str, *, now_s: int) -> None:
    """Lets a use go on that the person had objected to."""
    changed = transaction.execute(
        "DELETE FROM rights_objection WHERE account_id = :id AND purpose = :purpose", id=account_id, purpose=purpose
    )
    if changed:
        note_access(transaction, "objection_withdrawn", now_s=now_s, by=account_id, about=account_id, thing=purpose)


def decide_objection(
    transaction: Transaction, request_id: str, *, granted: bool, answer: str, by: str, now_s: int
) -> None:
    """An operator's answer to an objection; granted, the use ends. Raises `Refused`."""
    request = request_of(transaction, request_id)
    if request.kind != "objection":
        raise Refused("the service answers this request by itself", reason="answered")
    decide_request(transaction, request_id, granted=granted, answer=answer, by=by, now_s=now_s)
    if granted:
        _end_use(transaction, request.account_id, request.subject, now_s)


def _end_use(transaction: Transaction, account_id: str, purpose: str, now_s: int) -> None:
    transaction.execute(
        "INSERT INTO rights_objection (account_id, purpose, made_at_s) VALUES (:id, :purpose, :now)"
        " ON CONFLICT (account_id, purpose) DO NOTHING",
        id=account_id,
        purpose=purpose,
        now=now_s,
    )
    if purpose == "sign_in_security":
        transaction.execute(
            "UPDATE session SET ip_prefix = '', browser_family = '' WHERE account_id = :id", id=account_id
        )
