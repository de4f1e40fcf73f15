"""Pages of one's own account: profile, address, password, sessions, API tokens, and who looked at what is in it."""

from collections.abc import Mapping
from functools import partial
from typing import Final

from attrs import frozen
from starlette.responses import Response

from bootstrap.database import Transaction, UniqueViolation
from bootstrap.people import accounts
from bootstrap.people.access_log import Access, accesses_about, note_access
from bootstrap.people.accounts import account_of
from bootstrap.people.addresses import parse_address
from bootstrap.people.names import checked_name, checked_profile
from bootstrap.people.sessions import end_session, end_sessions, owner_of_session, sessions_of
from bootstrap.people.tokens import (
    MAX_DAYS,
    SCOPES,
    end_token,
    make_token,
    owner_of_token,
    tokens_of,
)
from bootstrap.portal import signing
from bootstrap.portal.access import SIGNED_IN, Rule, owned
from bootstrap.portal.bodies import flag, many, text, whole
from bootstrap.portal.pages import NOTICES
from bootstrap.portal.routes import Page, page
from bootstrap.portal.signing import PASSWORD_SIZE
from bootstrap.portal.visit import Visit
from bootstrap.refusal import Refused

__all__ = [
    "ROUTES",
    "ChangePassword",
    "MakeToken",
    "NewAddress",
    "Profile",
    "before_of",
    "change_profile",
    "confirm_new_address",
    "end_others",
    "make_one_token",
    "owner_of_session_here",
    "owner_of_token_here",
    "start_email_change",
    "stop_session",
    "stop_token",
    "who_did_it",
]

FRESH: Final = Rule(signed_in=True, fresh=True)

NOTICES.update(
    profile_saved="Your profile is saved.",
    address_asked="Open the link that was sent to the new address.",
    address_changed="Your address is changed.",
    password_changed="Your password is changed, and your other sessions are ended.",  # noqa: S106
    session_ended="That session is ended.",
    sessions_ended="All other sessions are ended.",
    token_ended="That token is good for nothing any more.",  # noqa: S106
)


@frozen
class Profile:
    """What others are shown of a person."""

    display_name: str = text(at_most=200, at_least=1)
    profile: str = text(at_most=4000, default="")


@frozen
class NewAddress:
    """Another e-mail address."""

    email: str = text(at_most=320, at_least=1)


@frozen
class ChangePassword:
    """A new password, by whoever knows the old one."""

    password: str = text(at_most=PASSWORD_SIZE, at_least=1)
    new_password: str = text(at_most=PASSWORD_SIZE, at_least=1)
    end_tokens: bool = flag(default=False)


@frozen
class MakeToken:
    """An API token that is to be made."""

    name: str = text(at_most=60, at_least=1)
    days: int = whole(at_least=1, at_most=MAX_DAYS)
    scopes: tuple[str, ...] = many(at_most=len(SCOPES), each_at_most=20)


@frozen
class _Key:
    key: str = text(at_most=200, at_least=1)


@frozen
class _EndSessions:
    everywhere: bool = flag()


async def _account(visit: Visit) -> Response:
    account = await visit.read(partial(account_of, account_id=visit.account_id))
    return visit.page("people/account.html", account=account, refusal=None, typed=None)


async def change_profile(visit: Visit, body: Profile) -> None:
    """Changes name and profile; raises `Refused`."""
    name, profile = checked_name(body.display_name), checked_profile(body.profile)
    await visit.write(
        partial(
            accounts.change_profile, account_id=visit.account_id, display_name=name, profile=profile,
            origin=visit.origin, now_s=visit.now_s,
        )
    )  # fmt: skip


async def _profile(visit: Visit) -> Response:
    try:
        await change_profile(visit, visit.body(Profile))
    except Refused as refusal:
        account = await visit.read(partial(account_of, account_id=visit.account_id))
        return visit.again("people/account.html", refusal, account=account)
    return visit.go("/account", "profile_saved")


async def start_email_change(visit: Visit, body: NewAddress) -> None:
    """Sends a link to the new address; raises `Refused`."""
    address = parse_address(body.email)
    await visit.write(
        partial(
            accounts.start_email_change, letters=visit.office.letters, account_id=visit.account_id, address=address,
            now_s=visit.now_s,
        )
    )  # fmt: skip


async def confirm_new_address(visit: Visit, key: str) -> None:
    """Gives the account the address that the link was sent to; raises `Refused`."""
    try:
        await visit.write(
            partial(
                accounts.confirm_new_address, letters=visit.office.letters, secret=key, account_id=visit.account_id,
                origin=visit.origin, now_s=visit.now_s,
            )
        )  # fmt: skip
    except UniqueViolation as error:
        # Somebody made an account with it at this moment.
        raise Refused("this address has an account by now", reason="bad_link") from error


async def _email_form(visit: Visit) -> Response:
    return visit.page("people/email.html", refusal=None, typed={})


async def _email(visit: Visit) -> Response:
    try:
        await start_email_change(visit, visit.body(NewAddress))
    except Refused as refusal:
        return visit.again("people/email.html", refusal)
    return visit.go("/account", "address_asked")


async def _confirm_form(visit: Visit) -> Response:
    return visit.page("people/email_confirm.html", refusal=None, key=visit.query.get("key", "")[:200])


async def _confirm(visit: Visit) -> Response:
    body = None
    try:
        body = visit.body(_Key)
        await confirm_new_address(visit, body.key)
    except Refused as refusal:
        return visit.again("people/email_confirm.html", refusal, key=body.key if body else "")
    return visit.go("/account", "address_changed")


async def _password_form(visit: Visit) -> Response:
    return visit.page("people/password.html", refusal=None)


async def _password(visit: Visit) -> Response:
    try:
        body = visit.body(ChangePassword)
        await signing.change_password(visit, body.password, body.new_password, tokens_too=body.end_tokens)
    except Refused as refusal:
        return visit.again("people/password.html", refusal)
    return visit.go("/account", "password_changed")


async def _sessions(visit: Visit) -> Response:
    sessions = await visit.read(partial(sessions_of, account_id=visit.account_id, now_s=visit.now_s))
    return visit.page("people/sessions.html", sessions=sessions)


def owner_of_session_here(transaction: Transaction, path: Mapping[str, str]) -> str | None:
    """Whose session a path names."""
    return owner_of_session(transaction, path["session"])


def owner_of_token_here(transaction: Transaction, path: Mapping[str, str]) -> str | None:
    """Whose token a path names."""
    return owner_of_token(transaction, path["token"])


async def stop_session(visit: Visit) -> None:
    """Ends the session that the path names."""
    handle = visit.parameters["session"]

    def work(transaction: Transaction) -> None:
        end_session(transaction, handle)
        _note(transaction, visit, "sessions_ended")

    await visit.write(work)
    if handle == visit.visitor.session:
        visit.session_secret = ""


async def end_others(visit: Visit, *, everywhere: bool) -> int:
    """Ends a person's other sessions, or all; returns how many."""

    def work(transaction: Transaction) -> int:
        _note(transaction, visit, "sessions_ended")
        return end_sessions(transaction, visit.account_id, but=None if everywhere else visit.visitor.session)

    ended = await visit.write(work)
    if everywhere and visit.visitor.session is not None:
        visit.session_secret = ""
    return ended


async def _end_session(visit: Visit) -> Response:
    await stop_session(visit)
    return visit.go("/" if visit.session_secret == "" else "/account/sessions", "session_ended")


async def _end_sessions(visit: Visit) -> Response:
    body = visit.body(_EndSessions)
    await end_others(visit, everywhere=body.everywhere)
    return visit.go("/", "signed_out") if body.everywhere else visit.go("/account/sessions", "sessions_ended")


async def make_one_token(visit: Visit, body: MakeToken) -> tuple[str, str]:
    """Makes an API token, and tells its person by mail; returns its id and its secret. Raises `Refused`."""

    def work(transaction: Transaction) -> tuple[str, str]:
        token_id, secret = make_token(transaction, visit.account_id, body.name, body.scopes, body.days, visit.now_s)
        visit.office.letters.token_made(transaction, account_of(transaction, visit.account_id).email, visit.now_s)
        _note(transaction, visit, "token_made", f"token/{token_id}")
        return token_id, secret

    return await visit.write(work)


async def stop_token(visit: Visit) -> None:
    """Ends the token that the path names."""
    token_id = visit.parameters["token"]

    def work(transaction: Transaction) -> None:
        end_token(transaction, token_id)
        _note(transaction, visit, "token_ended", f"token/{token_id}")

    await visit.write(work)


async def _tokens(visit: Visit) -> Response:
    tokens = await visit.read(partial(tokens_of, account_id=visit.account_id, now_s=visit.now_s))
    return visit.page("people/tokens.html", tokens=tokens, scopes=SCOPES, refusal=None, typed={}, ticked=())


async def _make_token(visit: Visit) -> Response:
    try:
        _, secret = await make_one_token(visit, visit.body(MakeToken))
    except Refused as refusal:
        tokens = await visit.read(partial(tokens_of, account_id=visit.account_id, now_s=visit.now_s))
        ticked = visit.form.getlist("scopes") if visit.form else ()
        return visit.again("people/tokens.html", refusal, tokens=tokens, scopes=SCOPES, ticked=ticked)
    return visit.page("people/token_made.html", secret=secret)


async def _end_token(visit: Visit) -> Response:
    await stop_token(visit)
    return visit.go("/account/tokens", "token_ended")


async def _log(visit: Visit) -> Response:
    before = before_of(visit)
    lines = await visit.read(partial(accesses_about, account_id=visit.account_id, before=before))
    return visit.page("people/log.html", lines=[(line, who_did_it(line, visit.account_id)) for line in lines])


def who_did_it(line: Access, reader: str) -> str:
    """Who did it, for whom it is about: that it was an operator, and not which."""
    if line.by_account_id is None:
        return "the service"
    return "you" if line.by_account_id == reader else "somebody who works for the operator"


def before_of(visit: Visit) -> tuple[int, str] | None:
    """Where a list goes on: the time and the id of the last line of the page before."""
    at, _, last = visit.query.get("before", "").partition("-")
    if not at.isascii() or not at.isdigit() or len(at) > 15 or len(last) > 40:
        return None
    return int(at), "".join(character for character in last if character.isascii() and character.isalnum())


def _note(transaction: Transaction, visit: Visit, action: str, thing: str = "") -> None:
    me = visit.account_id
    note_access(transaction, action, now_s=visit.now_s, by=me, about=me, thing=thing, origin=visit.origin)


ROUTES: Final[tuple[Page, ...]] = (
    page("GET", "/account", _account, SIGNED_IN, "One's own account"),
    page("POST", "/account/profile", _profile, SIGNED_IN, "Change name and profile", body=Profile),
    page("GET", "/account/email", _email_form, FRESH, "Change the e-mail address"),
    page("POST", "/account/email", _email, FRESH, "Change the e-mail address", body=NewAddress),
    page("GET", "/account/email/confirm", _confirm_form, SIGNED_IN, "Confirm the new e-mail address"),
    page("POST", "/account/email/confirm", _confirm, SIGNED_IN, "Confirm the new e-mail address", body=_Key),
    page("GET", "/account/password", _password_form, SIGNED_IN, "Change the password"),
    page("POST", "/account/password", _password, SIGNED_IN, "Change the password", body=ChangePassword),
    page("GET", "/account/sessions", _sessions, SIGNED_IN, "One's own sessions"),
    page("POST", "/account/sessions/end", _end_sessions, SIGNED_IN, "End sessions", body=_EndSessions),
    page("POST", "/account/sessions/{session}/end", _end_session, owned(owner_of_session_here), "End a session"),
    page("GET", "/account/tokens", _tokens, SIGNED_IN, "One's own API tokens"),
    page("POST", "/account/tokens", _make_token, FRESH, "Make an API token", body=MakeToken),
    page("POST", "/account/tokens/{token}/end", _end_token, owned(owner_of_token_here), "End an API token"),
    page("GET", "/account/log", _log, SIGNED_IN, "Who looked at one's data, and what was done"),
)
