"""The portal's ASGI application: from a request to its handler, and from whatever happens to an answer.

Rules:

1. A request is for us: its Host header names us, its body is bounded, and a browser that changes something does so
   from our own page (`crossing`).
2. The route's rule is checked before its handler runs, in the transaction that finds out who asks (`access`).
3. Every answer carries the headers that keep other people's programs out of our pages.
4. Whatever breaks ends here; it is logged and counted by its type alone.

Source: W3C Content Security Policy, OWASP's secure headers, RFC 9457 (problem details).
"""

import time
from collections.abc import Sequence
from contextlib import aclosing
from functools import partial
from http import HTTPStatus
from typing import Final
from urllib.parse import quote, urlsplit

import structlog
import trio
from attrs import frozen
from starlette.applications import Starlette
from starlette.datastructures import FormData, Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Message, Receive, Scope, Send

from bootstrap.database import DatabaseBusy, Transaction
from bootstrap.people.sessions import rotate_session, visitor_of_session
from bootstrap.people.tokens import note_token_use, visitor_of_token
from bootstrap.people.visitor import ANYBODY, Visitor
from bootstrap.portal.access import EVERYBODY, check_rule
from bootstrap.portal.bodies import is_odd
from bootstrap.portal.crossing import FORM_COOKIE, TOKEN_FIELD, TOKEN_HEADER
from bootstrap.portal.office import Office
from bootstrap.portal.origins import origin_of
from bootstrap.portal.routes import Page, page
from bootstrap.portal.statuses import status_of
from bootstrap.portal.visit import SESSION_COOKIE, Visit
from bootstrap.refusal import NotFound, Refused

__all__ = ["Portal"]

log = structlog.get_logger()

GO_INSTEAD: Final = {
    "sign_in": "/sign-in",
    "verify_address": "/verify",
    "accept_notice": "/notice",
    "prove_again": "/prove",
}
"""Where somebody who looks at a page is sent instead."""

POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "font-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS: Final = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=()",
}
_FORM_TYPE: Final = "application/x-www-form-urlencoded"
_BROKE: Final = Refused("something broke here; it was counted", reason="bug")


class Portal:
    """The application, over an office and the table of its routes."""

    def __init__(self, office: Office, routes: Sequence[Page]) -> None:
        self.office = office
        self._paths: dict[str, dict[str, Page]] = {}
        for route in routes:
            methods = self._paths.setdefault(route.path, {})
            if route.method in methods:
                raise ValueError(f"two routes for {route.method} {route.path}")
            methods[route.method] = route
        self._app = Starlette(
            routes=[
                *(Route(path, _Endpoint(self, methods)) for path, methods in self._paths.items()),
                Mount("/static", StaticFiles(packages=[("bootstrap.portal", "static")])),
            ],
            exception_handlers={HTTPException: self._explain_http, Exception: self._explain_break},
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One HTTP request, or the server's beginning and end."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close"})
            return
        reply = _Reply(send, secure=self.office.config.secure)
        try:
            if not self._is_ours(Headers(scope=scope)):
                refusal = Refused("the Host header names somebody else", reason="wrong_host")
                await self._fail(scope, refusal, 421)(scope, receive, reply.send)
                return
            await self._app(scope, receive, reply.send)
        except Exception as error:  # noqa: BLE001  (the outermost task of a request)
            kind = type(error).__name__
            self.office.metrics.crashes["request", kind] += 1
            log.warning("a request broke", error=kind)
            # Starlette has answered, and handed the error on, unless it broke outside of it.
            if not reply.started:
                await self._fail(scope, _BROKE, 500)(scope, receive, reply.send)

    async def handle(self, route: Page, request: Request) -> Response:
        """The answer to a request for this route."""
        office = self.office
        cookie = request.cookies.get(FORM_COOKIE)
        form_cookie = cookie or office.guard.new_cookie()
        now_s = office.now_s()
        visit = Visit(office, request, route, ANYBODY, origin_of(request, office.config), now_s, "")
        secret = request.cookies.get(SESSION_COOKIE)
        try:
            visit.visitor = await visit.read(partial(self._let_in, request, route, now_s))
            visit.csrf_token = office.guard.token(form_cookie, visit.visitor.session)
            await _take_body(visit)
            if route.method != "GET" and visit.visitor.token is None:
                self._check_crossing(visit, cookie)
            response = await route.handler(visit)
        except Refused as refusal:
            visit.csrf_token = visit.csrf_token or office.guard.token(form_cookie, visit.visitor.session)
            response = self._refuse(visit, refusal)
        except DatabaseBusy:
            response = self._refuse(visit, Refused("too much is going on: try again in a minute", reason="busy"))
        if response.headers.get("cache-control", "").startswith("public"):
            # It may be kept and shown to others: so it carries nobody's cookie.
            return response
        if visit.visitor.use_is_due:
            await self._note_use(visit, secret)
        self._set_cookies(response, visit, None if cookie else form_cookie)
        return response

    async def _note_use(self, visit: Visit, secret: str | None) -> None:
        """Notes that the session or the token was used; a session's secret is replaced where that is due."""
        visitor, now_s = visit.visitor, visit.now_s
        try:
            if visitor.token is not None:
                await visit.write(partial(note_token_use, token_id=visitor.token, now_s=now_s))
            elif secret and visitor.session and visit.session_secret is None:
                visit.session_secret = await visit.write(partial(rotate_session, secret=secret, now_s=now_s))
        except DatabaseBusy:
            # What the request was for is done; the next one notes it.
            self.office.metrics.crashes["request", "DatabaseBusy"] += 1

    def _let_in(self, request: Request, route: Page, now_s: int, transaction: Transaction) -> Visitor:
        visitor = self._visitor(request, route, transaction, now_s)
        parameters = request.path_params
        if any(is_odd(value) for value in parameters.values()):
            raise NotFound
        check_rule(route.rule, visitor, transaction, parameters, now_s, notice_version=self.office.notice_version)
        return visitor

    def _visitor(self, request: Request, route: Page, transaction: Transaction, now_s: int) -> Visitor:
        shown = request.headers.get("authorization", "")
        if shown and route.kind == "api":
            scheme, _, token = shown.partition(" ")
            visitor = visitor_of_token(transaction, token.strip(), now_s) if scheme.lower() == "bearer" else None
            if visitor is None:
                raise Refused("this API token is none, or is over: make a new one", reason="sign_in")
            return visitor
        secret = request.cookies.get(SESSION_COOKIE)
        if secret:
            return visitor_of_session(transaction, secret, now_s) or ANYBODY
        return ANYBODY

    def _check_crossing(self, visit: Visit, cookie: str | None) -> None:
        self.office.guard.check_origin(visit.request.headers)
        if visit.route.kind == "api" and SESSION_COOKIE not in visit.request.cookies:
            return  # nobody's browser vouches for anything here
        shown = visit.request.headers.get(TOKEN_HEADER, "")
        if visit.form is not None:
            field = visit.form.get(TOKEN_FIELD)
            shown = field if isinstance(field, str) else ""
        self.office.guard.check(cookie, visit.visitor.session, shown)

    def _refuse(self, visit: Visit, refusal: Refused) -> Response:
        status = status_of(refusal)
        if visit.route.kind == "api":
            return _problem(refusal, status)
        there = GO_INSTEAD.get(refusal.reason)
        if there is not None and visit.route.path != there:
            has_page = "GET" in self._paths.get(visit.route.path, {})
            before = _path_of(visit.request) if has_page else "/"
            return RedirectResponse(f"{there}?next={quote(before)}", status_code=303)
        response = visit.page("refused.html", status, refusal=refusal, code=status)
        if refusal.retry_after_s is not None:
            response.headers["retry-after"] = str(refusal.retry_after_s)
        return response

    async def _explain_break(self, request: Request, _: Exception) -> Response:
        return self._fail(request.scope, _BROKE, 500)

    def _fail(self, scope: Scope, refusal: Refused, status: int) -> Response:
        """The answer where no visit came about: a page for browsers, which needs nothing else of us."""
        if scope["path"].startswith("/api/") or "text/html" not in Headers(scope=scope).get("accept", ""):
            return _problem(refusal, status)
        return HTMLResponse(self.office.pages.text("failed.html", refusal=refusal, code=status), status)

    async def _explain_http(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        missing = error.status_code == HTTPStatus.NOT_FOUND
        refusal = Refused(
            "there is no such page here" if missing else HTTPStatus(error.status_code).phrase.lower(),
            reason="not_found" if missing else "refused",
        )
        if request.url.path.startswith("/api/"):
            response = _problem(refusal, error.status_code)
        else:
            route = page("GET", "/", _nowhere, EVERYBODY, "none")
            visit = Visit(self.office, request, route, ANYBODY, origin_of(request, self.office.config), 0, "")
            await self._recognise(visit)
            response = visit.page("refused.html", error.status_code, refusal=refusal, code=error.status_code)
        response.headers.update(error.headers or {})
        return response

    async def _recognise(self, visit: Visit) -> None:
        """Finds out who looks at a page that is not there, so that their menu is."""
        try:
            visit.visitor = await visit.read(
                partial(self._visitor, visit.request, visit.route, now_s=self.office.now_s())
            )
        except DatabaseBusy:
            return
        cookie = visit.request.cookies.get(FORM_COOKIE, "")
        visit.csrf_token = self.office.guard.token(cookie, visit.visitor.session)

    def _set_cookies(self, response: Response, visit: Visit, form_cookie: str | None) -> None:
        secure = self.office.config.secure
        if form_cookie is not None and visit.route.kind == "page":
            response.set_cookie(FORM_COOKIE, form_cookie, httponly=True, samesite="lax", secure=secure)
        if visit.session_secret:
            response.set_cookie(SESSION_COOKIE, visit.session_secret, httponly=True, samesite="lax", secure=secure)
        elif visit.session_secret == "":
            response.delete_cookie(SESSION_COOKIE)

    def _is_ours(self, headers: Headers) -> bool:
        named = headers.getlist("host")
        return len(named) == 1 and named[0].lower() == urlsplit(self.office.origin).netloc


@frozen
class _Endpoint:
    """The routes of one path, by method."""

    portal: Portal
    methods: dict[str, Page]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        route = self.methods.get(method)
        if route is None:
            allowed = ", ".join(sorted(self.methods))
            raise HTTPException(HTTPStatus.METHOD_NOT_ALLOWED, headers={"allow": allowed})
        began_s = time.perf_counter()
        response = await self.portal.handle(route, Request(scope, receive))
        took_s = time.perf_counter() - began_s
        self.portal.office.metrics.answered(method, route.path, response.status_code, took_s)
        await response(scope, receive, send)


class _Reply:
    """Sends an answer, with the headers that all of them carry."""

    def __init__(self, send: Send, *, secure: bool) -> None:
        self._send = send
        self._secure = secure
        self.started = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
            # What a person sees is theirs: no cache keeps it. Style and scripts are everybody's.
            headers.setdefault("cache-control", "no-store")
            if self._secure:
                headers.setdefault("strict-transport-security", "max-age=31536000")
        await self._send(message)


def _path_of(request: Request) -> str:
    """The path and the query that a browser is to come back to."""
    return f"{request.url.path}?{request.url.query}" if request.url.query else request.url.path


async def _take_body(visit: Visit) -> None:
    """Reads the request's body, up to the route's bound; raises `Refused` (`too_large`, `wrong_type`)."""
    request, route = visit.request, visit.route
    if route.method == "GET":
        return
    body = bytearray()
    async with aclosing(request.stream()) as parts:
        async for part in parts:
            body += part
            if len(body) > route.max_body_bytes:
                raise Refused(f"the body is over {route.max_body_bytes} bytes", reason="too_large")
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if route.kind == "api":
        if body and kind != "application/json":
            raise Refused("the body of an API request is application/json", reason="wrong_type")
        visit.raw_body = bytes(body)
        return
    if kind != _FORM_TYPE:
        raise Refused("a form is sent as forms are", reason="wrong_type")
    visit.form = await _form_of(bytes(body), request)


async def _form_of(body: bytes, request: Request) -> FormData:
    async def once() -> Message:
        await trio.lowlevel.checkpoint()
        return {"type": "http.request", "body": body, "more_body": False}

    return await Request(request.scope, once).form(max_fields=200)


def _problem(refusal: Refused, status: int) -> Response:
    """A refusal for programs (RFC 9457)."""
    problem: dict[str, object] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": str(refusal),
        "reason": refusal.reason,
    }
    if refusal.field is not None:
        problem["field"] = refusal.field
    headers = {} if refusal.retry_after_s is None else {"retry-after": str(refusal.retry_after_s)}
    if status == HTTPStatus.UNAUTHORIZED:
        headers["www-authenticate"] = "Bearer"
    return JSONResponse(problem, status, headers, media_type="application/problem+json")


async def _nowhere(visit: Visit) -> Response:
    raise AssertionError(visit.route.path)
