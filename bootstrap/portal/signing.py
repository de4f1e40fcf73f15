"""How a request proves who makes it: the steps that pages and API share.

A password is hashed between two transactions, and few are at a time: whoever would have the service hash for nothing
is stopped by the limits that are counted in the first one.
"""

from collections.abc import Callable
from functools import partial
from typing import Final, TypeVar
from urllib.parse import urlsplit

import trio
from attrs import frozen
from starlette.responses import Response

from bootstrap.database import Transaction
from bootstrap.people import accounts
from bootstrap.people.accounts import Account, Wanted, account_of
from bootstrap.people.addresses import parse_address
from bootstrap.people.limits import SIGN_UP_LIMITS, count_attempt
from bootstrap.people.links import find_link
from bootstrap.people.names import checked_name, checked_profile
from bootstrap.people.password_rules import check_password
from bootstrap.people.sessions import begin_session, end_session, prove_session
from bootstrap.people.signing_in import (
    KNOWN_BROWSER_S,
    Attempt,
    begin_attempt,
    end_attempt,
    remember_browser,
    wrong_password,
)
from bootstrap.people.tokens import prove_token
from bootstrap.portal.bodies import flag, is_odd, text
from bootstrap.portal.visit import Visit
from bootstrap.refusal import Refused

__all__ = [
    "BROWSER_COOKIE",
    "PASSWORD_SIZE",
    "SignUp",
    "change_password",
    "choose_password",
    "known_browser",
    "prove",
    "safe_next",
    "sign_in",
    "sign_up",
    "try_own_password",
    "try_password",
    "verify",
]

BROWSER_COOKIE: Final = "peernet-browser"
"""Says that somebody has signed in with this browser before (`people.signing_in`)."""
PASSWORD_SIZE: Final = 512
"""Characters that a field takes; what a password may have is checked after (`people.password_rules`)."""
MAX_WAITING: Final = 50
"""How many requests wait to hash at a time."""
MAX_NEXT_LENGTH: Final = 500

Result = TypeVar("Result")


@frozen
class SignUp:
    """What somebody says who asks for an account."""

    email: str = text(at_most=320, at_least=1)
    display_name: str = text(at_most=200, at_least=1)
    password: str = text(at_most=PASSWORD_SIZE, at_least=1)
    notice_version: str = text(at_most=40)
    of_age: bool = flag()
    accepts_notice: bool = flag()
    profile: str = text(at_most=4000, default="")


async def sign_up(visit: Visit, wanted: SignUp) -> None:
    """Asks for an account. It says nothing of whether the address has one already; raises `Refused`."""
    office = visit.office
    if not wanted.of_age:
        raise Refused("an account is for people who are 13 or older", reason="too_young", field="of_age")
    if not wanted.accepts_notice or wanted.notice_version != office.notice_version:
        raise Refused("read and accept the privacy notice", reason="accept_first", field="accepts_notice")
    address = parse_address(wanted.email)
    name, profile = checked_name(wanted.display_name), checked_profile(wanted.profile)
    local, _, domain = address.key.partition("@")
    check_password(wanted.password, name, address.key, local, domain.partition(".")[0])
    prefix = visit.origin.ip_prefix
    await visit.write(partial(count_attempt, limits=SIGN_UP_LIMITS, subject=prefix, now_s=visit.now_s))
    asked = Wanted(address, name, profile, await _hash(visit, wanted.password), office.notice_version)
    await visit.write(
        partial(accounts.sign_up, letters=office.letters, wanted=asked, origin=visit.origin, now_s=visit.now_s)
    )


async def sign_in(visit: Visit, email: str, password: str) -> str:
    """Begins a session of this visit; returns what the browser's cookie is to hold. Raises `Refused`."""
    return _take(visit, await try_password(visit, parse_address(email).key, password, partial(_begin, visit)))


async def verify(visit: Visit, key: str, password: str) -> str:
    """Confirms an address by its link and the account's password, and signs in with it; raises `Refused`."""

    def find(transaction: Transaction) -> Account:
        link = find_link(transaction, "verify", key, visit.now_s)
        if link is None:
            raise Refused("this link was used, or is too old: sign in, and have it sent again", reason="bad_link")
        return account_of(transaction, link.account_id)

    def end(transaction: Transaction, attempt: Attempt) -> tuple[str, str]:
        assert attempt.account_id is not None
        accounts.confirm_address(transaction, key, attempt.account_id, visit.origin, visit.now_s)
        return _begin(visit, transaction, attempt)

    return _take(visit, await try_password(visit, (await visit.read(find)).email_key, password, end))


async def try_own_password(visit: Visit, password: str, end: Callable[[Transaction, Attempt], Result]) -> Result:
    """Tries the password of whoever is signed in already; `end` is what is then done. Raises `Refused`."""
    account = await visit.read(partial(account_of, account_id=visit.account_id))
    return await try_password(visit, account.email_key, password, end)


async def prove(visit: Visit, password: str) -> None:
    """Proves once more who is signed in, for this session or this token; raises `Refused`."""

    def end(transaction: Transaction, attempt: Attempt) -> None:
        end_attempt(transaction, attempt, visit.now_s, action="proved")
        if visit.visitor.token is not None:
            prove_token(transaction, visit.visitor.token, visit.now_s)
        elif visit.visitor.session is not None:
            prove_session(transaction, visit.visitor.session, visit.now_s)

    await try_own_password(visit, password, end)
    # A secret that somebody may have seen before is not good for what only the person may do.
    visit.visitor = visit.visitor.used()


async def change_password(visit: Visit, password: str, new_password: str, *, tokens_too: bool) -> None:
    """Changes the password of whoever is signed in and knows it; raises `Refused`."""
    account = await visit.read(partial(account_of, account_id=visit.account_id))
    check_password(new_password, *account.guessable, field="new_password")

    def note(transaction: Transaction, attempt: Attempt) -> str:
        end_attempt(transaction, attempt, visit.now_s, action="proved")
        return attempt.password_hash or ""

    checked_hash = await try_own_password(visit, password, note)
    new_hash = await _hash(visit, new_password)
    await visit.write(
        lambda transaction: accounts.change_password(
            transaction, visit.office.letters, account.id, checked_hash, new_hash, visit.origin, visit.now_s,
            session=visit.visitor.session, tokens_too=tokens_too,
        )
    )  # fmt: skip
    visit.visitor = visit.visitor.used()


async def choose_password(visit: Visit, key: str, password: str) -> None:
    """Ends a recovery with a new password; raises `Refused`."""

    def find(transaction: Transaction) -> Account:
        link = find_link(transaction, "recover", key, visit.now_s)
        if link is None:
            raise Refused("this link was used, or is too old: ask for a new one", reason="bad_link")
        return account_of(transaction, link.account_id)

    account = await visit.read(find)
    check_password(password, *account.guessable)
    new_hash = await _hash(visit, password)
    await visit.write(
        partial(
            accounts.choose_password, letters=visit.office.letters, secret=key, password_hash=new_hash,
            origin=visit.origin, now_s=visit.now_s,
        )
    )  # fmt: skip


def known_browser(visit: Visit, response: Response, secret: str) -> Response:
    """The response, which has the browser keep that somebody has signed in with it."""
    secure = visit.office.config.secure
    response.set_cookie(
        BROWSER_COOKIE, secret, max_age=KNOWN_BROWSER_S, httponly=True, samesite="lax", secure=secure, path="/"
    )
    return response


def safe_next(path: str, otherwise: str) -> str:
    """Where to go on after signing in: a path of ours, and nobody else's."""
    parts = urlsplit(path) if len(path) <= MAX_NEXT_LENGTH and path[:1] == "/" and not is_odd(path) else None
    if parts is None or parts.scheme or parts.netloc or path[1:2] in {"/", "\\"} or any(c in path for c in "\\\n\r\t"):
        return otherwise
    return path


async def try_password(
    visit: Visit, address_key: str, password: str, end: Callable[[Transaction, Attempt], Result]
) -> Result:
    """Counts a try, checks the password, and does what it was for; raises `Refused`."""
    office, now_s = visit.office, visit.now_s
    browser = visit.request.cookies.get(BROWSER_COOKIE)
    attempt = await visit.write(
        partial(begin_attempt, address_key=address_key, browser=browser, origin=visit.origin, now_s=now_s)
    )
    if not await _hashing(visit, partial(office.passwords.holds, password, attempt.password_hash)):
        raise wrong_password()
    done = await visit.write(partial(_swapped, end, attempt))
    await _renew(visit, attempt, password)
    return done


def _swapped(end: Callable[[Transaction, Attempt], Result], attempt: Attempt, transaction: Transaction) -> Result:
    return end(transaction, attempt)


async def _renew(visit: Visit, attempt: Attempt, password: str) -> None:
    """Hashes a password anew whose hash was made with other parameters, now that it is at hand."""
    kept = attempt.password_hash
    if kept is None or not visit.office.passwords.is_old(kept):
        return
    renewed = await _hash(visit, password)
    await visit.write(
        lambda transaction: transaction.execute(
            "UPDATE account SET password_hash = :new WHERE id = :id AND password_hash = :old",
            new=renewed,
            id=attempt.account_id,
            old=kept,
        )
    )


def _begin(visit: Visit, transaction: Transaction, attempt: Attempt) -> tuple[str, str]:
    account_id = end_attempt(transaction, attempt, visit.now_s)
    if visit.visitor.session is not None:
        end_session(transaction, visit.visitor.session)
    session = begin_session(transaction, account_id, visit.origin, visit.now_s)
    return session, remember_browser(transaction, account_id, attempt.browser, visit.now_s)


def _take(visit: Visit, begun: tuple[str, str]) -> str:
    visit.session_secret, browser = begun
    return browser


async def _hash(visit: Visit, password: str) -> str:
    return await _hashing(visit, partial(visit.office.passwords.hash, password))


async def _hashing(visit: Visit, work: Callable[[], Result]) -> Result:
    limiter = visit.office.hashing
    if limiter.statistics().tasks_waiting >= MAX_WAITING:
        raise Refused("too many people are signing in: try again in a minute", reason="busy", retry_after_s=60)
    return await trio.to_thread.run_sync(work, limiter=limiter)
