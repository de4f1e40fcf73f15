"""Pages on the way in: making an account, confirming an address, signing in and out, a new password, the notice."""

from functools import partial
from typing import Final

from attrs import frozen
from starlette.responses import Response

from bootstrap.database import Transaction
from bootstrap.people import accounts
from bootstrap.people.addresses import parse_address
from bootstrap.people.links import find_link
from bootstrap.people.sessions import end_session
from bootstrap.portal import signing
from bootstrap.portal.access import EVERYBODY, Rule
from bootstrap.portal.bodies import flag, text
from bootstrap.portal.pages import NOTICES
from bootstrap.portal.routes import Page, page
from bootstrap.portal.signing import PASSWORD_SIZE, SignUp, known_browser, safe_next
from bootstrap.portal.visit import Visit
from bootstrap.refusal import Refused

__all__ = ["ROUTES", "SETTLING"]

SETTLING: Final = Rule(signed_in=True, settling=True)
"""For people who still have something to do before the rest is open to them."""
AFTER_SIGNING_IN: Final = "/dashboard"
KEY_SIZE: Final = 200

NOTICES.update(
    verified="Your address is confirmed. Welcome.",
    link_sent="The link is on its way.",
    password_chosen="Your password is changed. Sign in with the new one.",  # noqa: S106  (what a page says)
    proved="Thank you. Please go on.",
    notice_accepted="Thank you.",
)


@frozen
class _SignIn:
    email: str = text(at_most=320, at_least=1)
    password: str = text(at_most=PASSWORD_SIZE, at_least=1)
    next: str = text(at_most=signing.MAX_NEXT_LENGTH, default="")


@frozen
class _Prove:
    password: str = text(at_most=PASSWORD_SIZE, at_least=1)
    next: str = text(at_most=signing.MAX_NEXT_LENGTH, default="")


@frozen
class _Key:
    key: str = text(at_most=KEY_SIZE, at_least=1)
    password: str = text(at_most=PASSWORD_SIZE, default="")


@frozen
class _Email:
    email: str = text(at_most=320, at_least=1)


@frozen
class _Notice:
    notice_version: str = text(at_most=40)
    accepts_notice: bool = flag()
    next: str = text(at_most=signing.MAX_NEXT_LENGTH, default="")


async def _sign_up_form(visit: Visit) -> Response:
    return visit.page("people/sign_up.html", refusal=None, typed={})


async def _sign_up(visit: Visit) -> Response:
    try:
        await signing.sign_up(visit, visit.body(SignUp))
    except Refused as refusal:
        return visit.again("people/sign_up.html", refusal)
    return visit.page("people/mail_sent.html", what="account")


async def _sign_in_form(visit: Visit) -> Response:
    return visit.page("people/sign_in.html", refusal=None, typed={"next": visit.query.get("next", "")})


async def _sign_in(visit: Visit) -> Response:
    try:
        body = visit.body(_SignIn)
        browser = await signing.sign_in(visit, body.email, body.password)
    except Refused as refusal:
        return visit.again("people/sign_in.html", refusal)
    return known_browser(visit, visit.go(safe_next(body.next, AFTER_SIGNING_IN), "signed_in"), browser)


async def _sign_out(visit: Visit) -> Response:
    assert visit.visitor.session is not None
    await visit.write(partial(end_session, handle=visit.visitor.session))
    visit.session_secret = ""
    return visit.go("/", "signed_out")


async def _verify_form(visit: Visit) -> Response:
    """Says that a mail was sent, or has its link confirmed: opening it changes nothing."""
    return visit.page("people/verify.html", refusal=None, key=_key_of(visit))


async def _verify(visit: Visit) -> Response:
    body = None
    try:
        body = visit.body(_Key)
        browser = await signing.verify(visit, body.key, body.password)
    except Refused as refusal:
        return visit.again("people/verify.html", refusal, key=body.key if body else "")
    return known_browser(visit, visit.go(AFTER_SIGNING_IN, "verified"), browser)


async def _verify_again(visit: Visit) -> Response:
    letters, now_s = visit.office.letters, visit.now_s
    await visit.write(partial(accounts.resend_link, letters=letters, account_id=visit.account_id, now_s=now_s))
    return visit.go("/verify", "link_sent")


async def _recover_form(visit: Visit) -> Response:
    return visit.page("people/recover.html", refusal=None, typed={})


async def _recover(visit: Visit) -> Response:
    try:
        address = parse_address(visit.body(_Email).email)
        await visit.write(
            partial(
                accounts.start_recovery, letters=visit.office.letters, address=address, origin=visit.origin,
                now_s=visit.now_s,
            )
        )  # fmt: skip
    except Refused as refusal:
        return visit.again("people/recover.html", refusal)
    return visit.page("people/mail_sent.html", what="password")


async def _choose_form(visit: Visit) -> Response:
    key = _key_of(visit)

    def look(transaction: Transaction) -> None:
        if find_link(transaction, "recover", key, visit.now_s) is None:
            raise Refused("this link was used, or is too old: ask for a new one", reason="bad_link")

    await visit.read(look)
    return visit.page("people/choose.html", refusal=None, key=key)


async def _choose(visit: Visit) -> Response:
    body = None
    try:
        body = visit.body(_Key)
        await signing.choose_password(visit, body.key, body.password)
    except Refused as refusal:
        return visit.again("people/choose.html", refusal, key=body.key if body else "")
    visit.session_secret = ""
    return visit.go("/sign-in", "password_chosen")


async def _prove_form(visit: Visit) -> Response:
    return visit.page("people/prove.html", refusal=None, typed={"next": visit.query.get("next", "")})


async def _prove(visit: Visit) -> Response:
    try:
        body = visit.body(_Prove)
        await signing.prove(visit, body.password)
    except Refused as refusal:
        return visit.again("people/prove.html", refusal)
    return visit.go(safe_next(body.next, AFTER_SIGNING_IN), "proved")


async def _notice_form(visit: Visit) -> Response:
    return visit.page("people/notice.html", refusal=None, typed={"next": visit.query.get("next", "")})


async def _notice(visit: Visit) -> Response:
    try:
        body = visit.body(_Notice)
        if not body.accepts_notice or body.notice_version != visit.office.notice_version:
            raise Refused("read and accept the privacy notice", reason="accept_first", field="accepts_notice")
        await visit.write(
            partial(
                accounts.accept_notice, account_id=visit.account_id, version=body.notice_version,
                origin=visit.origin, now_s=visit.now_s,
            )
        )  # fmt: skip
    except Refused as refusal:
        return visit.again("people/notice.html", refusal)
    return visit.go(safe_next(body.next, AFTER_SIGNING_IN), "notice_accepted")


def _key_of(visit: Visit) -> str:
    return visit.query.get("key", "")[:KEY_SIZE]


ROUTES: Final[tuple[Page, ...]] = (
    page("GET", "/sign-up", _sign_up_form, EVERYBODY, "Ask for an account"),
    page("POST", "/sign-up", _sign_up, EVERYBODY, "Ask for an account", body=SignUp),
    page("GET", "/sign-in", _sign_in_form, EVERYBODY, "Sign in"),
    page("POST", "/sign-in", _sign_in, EVERYBODY, "Sign in", body=_SignIn),
    page("POST", "/sign-out", _sign_out, SETTLING, "Sign out in this browser"),
    page("GET", "/verify", _verify_form, EVERYBODY, "Confirm an e-mail address"),
    page("POST", "/verify", _verify, EVERYBODY, "Confirm an e-mail address", body=_Key),
    page("POST", "/verify/again", _verify_again, SETTLING, "Have the link sent again"),
    page("GET", "/recover", _recover_form, EVERYBODY, "Ask for a new password"),
    page("POST", "/recover", _recover, EVERYBODY, "Ask for a new password", body=_Email),
    page("GET", "/recover/new", _choose_form, EVERYBODY, "Choose a new password"),
    page("POST", "/recover/new", _choose, EVERYBODY, "Choose a new password", body=_Key),
    page("GET", "/prove", _prove_form, SETTLING, "Prove again who you are"),
    page("POST", "/prove", _prove, SETTLING, "Prove again who you are", body=_Prove),
    page("GET", "/notice", _notice_form, SETTLING, "Read and accept the privacy notice"),
    page("POST", "/notice", _notice, SETTLING, "Accept the privacy notice", body=_Notice),
)
