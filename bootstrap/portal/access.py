"""Who may call a route. Every route has a `Rule`; one without is no route.

A rule says three things: who (everybody, people with an account, people with a role), whose things (the `owner` of
what the path names), and how sure the service is of the person (`fresh`: proved again within the last minutes).
Whoever may not see a thing is told the same as when there is none.
"""

from collections.abc import Callable, Mapping
from typing import Final

from attrs import evolve, frozen

from bootstrap.database import Transaction
from bootstrap.people.tokens import SCOPES
from bootstrap.people.visitor import ROLES, Visitor
from bootstrap.refusal import NotFound, Refused

__all__ = ["EVERYBODY", "FRESH_S", "SIGNED_IN", "Owner", "Rule", "check_rule", "owned", "with_role"]

FRESH_S: Final = 10 * 60
"""How long proving who one is lasts, for what needs it."""

Owner = Callable[[Transaction, Mapping[str, str]], str | None]
"""From a path's parameters to the id of the account that the thing belongs to; None where there is no such thing."""


@frozen
class Rule:
    """Who may call a route."""

    signed_in: bool
    roles: frozenset[str] = frozenset()
    """Any of these is enough; none asked for where it is empty."""
    owner: Owner | None = None
    fresh: bool = False
    """Whether the person must have proved who they are within `FRESH_S`, in this session or with this API token."""
    scope: str | None = None
    """What an API token must be good for; None where no token will do."""
    settling: bool = False
    """Whether those may come, too, who have not verified their address or accepted the newest notice yet."""
    restricted: bool = True
    """Whether those may come, too, whose data are restricted at their wish, or who are suspended."""

    def __attrs_post_init__(self) -> None:
        unknown = (self.roles - set(ROLES)) | ({self.scope} - SCOPES.keys() - {None})
        if unknown or (not self.signed_in and (self.roles or self.owner or self.fresh)):
            raise ValueError(f"not a rule: {self}")


EVERYBODY: Final = Rule(signed_in=False, settling=True)
SIGNED_IN: Final = Rule(signed_in=True)


def owned(owner: Owner, *, fresh: bool = False, scope: str | None = None) -> Rule:
    """Only whoever the thing belongs to."""
    return Rule(signed_in=True, owner=owner, fresh=fresh, scope=scope)


def with_role(*roles: str, fresh: bool = False, scope: str | None = None) -> Rule:
    """Only people with one of these roles, and not while their own account is suspended or restricted."""
    return evolve(SIGNED_IN, restricted=False, roles=frozenset(roles), fresh=fresh, scope=scope)


def check_rule(
    rule: Rule,
    visitor: Visitor,
    transaction: Transaction,
    parameters: Mapping[str, str],
    now_s: int,
    *,
    notice_version: str,
) -> None:
    """Raises `Refused` unless the visitor may.

    Its `reason` is `sign_in`, `forbidden_scope`, `verify_address`, `accept_notice`, `suspended`, `prove_again`, or
    `not_found` where the thing is somebody else's, or only for people with another role.
    """
    if not rule.signed_in:
        return
    if not visitor.signed_in:
        raise Refused("sign in first", reason="sign_in")
    if visitor.scopes is not None and (rule.scope is None or rule.scope not in visitor.scopes):
        raise Refused("this API token is not for that: make one that is", reason="forbidden_scope")
    if rule.roles and not rule.roles & visitor.roles:
        raise NotFound
    if rule.owner is not None and rule.owner(transaction, parameters) != visitor.account_id:
        raise NotFound
    if not rule.settling:
        _check_settled(visitor, notice_version)
    if not rule.restricted and visitor.state != "active":
        raise Refused(f"this account is {visitor.state}: see the privacy centre", reason="suspended")
    if rule.fresh and not visitor.proved_within(FRESH_S, now_s):
        raise Refused("prove once more who you are, with your password", reason="prove_again")


def _check_settled(visitor: Visitor, notice_version: str) -> None:
    if visitor.state == "unverified":
        raise Refused("open the link in the e-mail that was sent to you first", reason="verify_address")
    if visitor.notice_version != notice_version:
        raise Refused("the privacy notice has changed: read and accept it first", reason="accept_notice")
