"""The API of accounts: what the pages do, for programs.

A program shows an API token. Its first one it gets by address and password (`POST /api/v1/tokens/first`), which proves
at the same time who the person is; later, `POST /api/v1/prove` does, for what is asked again.
"""

from functools import partial
from typing import Any, Final

from attrs import asdict, frozen
from starlette.responses import Response

from bootstrap.database import Transaction
from bootstrap.people import accounts
from bootstrap.people.access_log import accesses_about, note_access
from bootstrap.people.accounts import account_of
from bootstrap.people.addresses import parse_address
from bootstrap.people.roles import roles_of
from bootstrap.people.sessions import sessions_of
from bootstrap.people.signing_in import Attempt, end_attempt
from bootstrap.people.tokens import MAX_DAYS, SCOPES, make_token, tokens_of
from bootstrap.portal import account_pages, signing
from bootstrap.portal.access import EVERYBODY, Rule, owned
from bootstrap.portal.account_pages import ChangePassword, MakeToken, NewAddress, Profile
from bootstrap.portal.bodies import flag, many, text, whole
from bootstrap.portal.routes import Page, api
from bootstrap.portal.signing import PASSWORD_SIZE, SignUp
from bootstrap.portal.visit import Visit
from bootstrap.refusal import Refused

__all__ = ["ROUTES"]

ACCOUNT: Final = Rule(signed_in=True, scope="account")
FRESH: Final = Rule(signed_in=True, scope="account", fresh=True)
SENT: Final = {"sent": True, "says": "what to do next is in a mail to that address"}


@frozen
class _Key:
    key: str = text(at_most=200, at_least=1)


@frozen
class _KeyAndPassword:
    key: str = text(at_most=200, at_least=1)
    password: str = text(at_most=PASSWORD_SIZE, at_least=1)


@frozen
class _Email:
    email: str = text(at_most=320, at_least=1)


@frozen
class _Password:
    password: str = text(at_most=PASSWORD_SIZE, at_least=1)


@frozen
class _Notice:
    notice_version: str = text(at_most=40, at_least=1)


@frozen
class _EndSessions:
    everywhere: bool = flag(default=False)


@frozen
class _FirstToken:
    email: str = text(at_most=320, at_least=1)
    password: str = text(at_most=PASSWORD_SIZE, at_least=1)
    name: str = text(at_most=60, at_least=1)
    days: int = whole(at_least=1, at_most=MAX_DAYS)
    scopes: tuple[str, ...] = many(at_most=len(SCOPES), each_at_most=20)


async def _sign_up(visit: Visit) -> Response:
    await signing.sign_up(visit, visit.body(SignUp))
    return visit.json(SENT, 202)


async def _verify(visit: Visit) -> Response:
    body = visit.body(_KeyAndPassword)
    await signing.verify(visit, body.key, body.password)
    visit.session_secret = None  # a program has no use for it, and the session ends by itself
    return visit.json({"verified": True})


async def _recover(visit: Visit) -> Response:
    address = parse_address(visit.body(_Email).email)
    await visit.write(
        partial(
            accounts.start_recovery, letters=visit.office.letters, address=address, origin=visit.origin,
            now_s=visit.now_s,
        )
    )  # fmt: skip
    return visit.json(SENT, 202)


async def _choose(visit: Visit) -> Response:
    body = visit.body(_KeyAndPassword)
    await signing.choose_password(visit, body.key, body.password)
    return visit.json({"changed": True})


async def _first_token(visit: Visit) -> Response:
    body = visit.body(_FirstToken)

    def end(transaction: Transaction, attempt: Attempt) -> tuple[str, str]:
        account_id = end_attempt(transaction, attempt, visit.now_s)
        made = make_token(transaction, account_id, body.name, body.scopes, body.days, visit.now_s, proved=True)
        visit.office.letters.token_made(transaction, account_of(transaction, account_id).email, visit.now_s)
        note_access(
            transaction, "token_made", now_s=visit.now_s, by=account_id, about=account_id, thing=f"token/{made[0]}",
            origin=visit.origin,
        )  # fmt: skip
        return made

    key = parse_address(body.email).key
    token_id, secret = await signing.try_password(visit, key, body.password, end)
    return visit.json({"id": token_id, "token": secret}, 201)


async def _prove(visit: Visit) -> Response:
    await signing.prove(visit, visit.body(_Password).password)
    return visit.json({"proved": True})


async def _account(visit: Visit) -> Response:
    def look(transaction: Transaction) -> dict[str, Any]:
        account = account_of(transaction, visit.account_id)
        return {
            "id": account.id,
            "email": account.email,
            "display_name": account.display_name,
            "profile": account.profile,
            "state": account.state,
            "roles": sorted(roles_of(transaction, account.id)),
            "created_at_s": account.created_at_s,
            "notice_version": account.notice_version,
            "notice_in_force": visit.office.notice_version,
        }

    return visit.json(await visit.read(look))


async def _profile(visit: Visit) -> Response:
    await account_pages.change_profile(visit, visit.body(Profile))
    return await _account(visit)


async def _email(visit: Visit) -> Response:
    await account_pages.start_email_change(visit, visit.body(NewAddress))
    return visit.json(SENT, 202)


async def _confirm(visit: Visit) -> Response:
    await account_pages.confirm_new_address(visit, visit.body(_Key).key)
    return await _account(visit)


async def _password(visit: Visit) -> Response:
    body = visit.body(ChangePassword)
    await signing.change_password(visit, body.password, body.new_password, tokens_too=body.end_tokens)
    return visit.json({"changed": True})


async def _notice(visit: Visit) -> Response:
    version = visit.body(_Notice).notice_version
    if version != visit.office.notice_version:
        raise Refused(f"the notice in force is {visit.office.notice_version}", reason="accept_first")
    await visit.write(
        partial(
            accounts.accept_notice, account_id=visit.account_id, version=version, origin=visit.origin,
            now_s=visit.now_s,
        )
    )  # fmt: skip
    return visit.json({"notice_version": version})


async def _sessions(visit: Visit) -> Response:
    sessions = await visit.read(partial(sessions_of, account_id=visit.account_id, now_s=visit.now_s))
    return visit.json({"sessions": [asdict(session) for session in sessions]})


async def _end_session(visit: Visit) -> Response:
    await account_pages.stop_session(visit)
    return visit.json({"ended": 1})


async def _end_sessions(visit: Visit) -> Response:
    ended = await account_pages.end_others(visit, everywhere=visit.body(_EndSessions).everywhere)
    return visit.json({"ended": ended})


async def _tokens(visit: Visit) -> Response:
    tokens = await visit.read(partial(tokens_of, account_id=visit.account_id, now_s=visit.now_s))
    return visit.json({"tokens": [asdict(token) for token in tokens]})


async def _make_token(visit: Visit) -> Response:
    body = visit.body(MakeToken)
    granted = visit.visitor.scopes
    if granted is not None and set(body.scopes) - granted:
        raise Refused("a token makes none that may more than itself", reason="forbidden_scope", field="scopes")
    token_id, secret = await account_pages.make_one_token(visit, body)
    return visit.json({"id": token_id, "token": secret}, 201)


async def _end_token(visit: Visit) -> Response:
    await account_pages.stop_token(visit)
    return visit.json({"ended": 1})


async def _log(visit: Visit) -> Response:
    before = account_pages.before_of(visit)
    lines = await visit.read(partial(accesses_about, account_id=visit.account_id, before=before))
    return visit.json(
        {
            "lines": [
                {
                    "id": line.id,
                    "at_s": line.at_s,
                    "action": line.action,
                    "by": account_pages.who_did_it(line, visit.account_id),
                    "thing": line.thing,
                }
                for line in lines
            ]
        }
    )


_OWN_SESSION: Final = owned(account_pages.owner_of_session_here, scope="account")
_OWN_TOKEN: Final = owned(account_pages.owner_of_token_here, scope="account")
_SETTLING: Final = Rule(signed_in=True, scope="account", settling=True)

ROUTES: Final[tuple[Page, ...]] = (
    api("POST", "/api/v1/accounts", _sign_up, EVERYBODY, "Ask for an account", body=SignUp),
    api("POST", "/api/v1/accounts/verify", _verify, EVERYBODY, "Confirm an address by a link", body=_KeyAndPassword),
    api("POST", "/api/v1/recovery", _recover, EVERYBODY, "Ask for a new password", body=_Email),
    api("POST", "/api/v1/recovery/finish", _choose, EVERYBODY, "Choose a new password", body=_KeyAndPassword),
    api("POST", "/api/v1/tokens/first", _first_token, EVERYBODY, "Make a token by password", body=_FirstToken),
    api("POST", "/api/v1/prove", _prove, _SETTLING, "Prove again who it is", body=_Password),
    api("POST", "/api/v1/notice", _notice, _SETTLING, "Accept the privacy notice", body=_Notice),
    api("GET", "/api/v1/account", _account, _SETTLING, "The account"),
    api("PUT", "/api/v1/account/profile", _profile, ACCOUNT, "Change name and profile", body=Profile),
    api("POST", "/api/v1/account/email", _email, FRESH, "Change the e-mail address", body=NewAddress),
    api("POST", "/api/v1/account/email/confirm", _confirm, ACCOUNT, "Confirm the new address", body=_Key),
    api("POST", "/api/v1/account/password", _password, ACCOUNT, "Change the password", body=ChangePassword),
    api("GET", "/api/v1/account/log", _log, ACCOUNT, "Who looked at the account's data"),
    api("GET", "/api/v1/sessions", _sessions, ACCOUNT, "The account's sessions"),
    api("DELETE", "/api/v1/sessions", _end_sessions, ACCOUNT, "End sessions", body=_EndSessions),
    api("DELETE", "/api/v1/sessions/{session}", _end_session, _OWN_SESSION, "End a session"),
    api("GET", "/api/v1/tokens", _tokens, ACCOUNT, "The account's API tokens"),
    api("POST", "/api/v1/tokens", _make_token, FRESH, "Make an API token", body=MakeToken),
    api("DELETE", "/api/v1/tokens/{token}", _end_token, _OWN_TOKEN, "End an API token"),
)
