"""One request, as handlers see it: who asks, what it carries, the database, and how to answer."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

import trio
from attrs import define, field
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from bootstrap.database import Transaction
from bootstrap.people.origin import Origin
from bootstrap.people.visitor import Visitor
from bootstrap.portal.bodies import from_form, from_json
from bootstrap.portal.routes import Page
from bootstrap.portal.statuses import status_of
from bootstrap.refusal import Refused

if TYPE_CHECKING:
    from bootstrap.portal.office import Office

__all__ = ["NOTICE_COOKIE", "SESSION_COOKIE", "Visit"]

SESSION_COOKIE: Final = "peernet-session"
NOTICE_COOKIE: Final = "peernet-notice"
"""Which of `NOTICES` the next page shows: a word, and no text that somebody else could put there."""

Result = TypeVar("Result")
Body = TypeVar("Body")


@define
class Visit:
    """One request to a route, let through by its rule."""

    office: "Office"
    request: Request
    route: Page
    visitor: Visitor
    origin: Origin
    now_s: int
    csrf_token: str = field(repr=False)
    raw_body: bytes = field(default=b"", repr=False)
    form: FormData | None = field(default=None, repr=False)
    session_secret: str | None = field(default=None, repr=False)
    """Set by a handler: the new session's cookie; empty ends it."""

    @property
    def account_id(self) -> str:
        """The account behind the request, which the route's rule made sure of."""
        assert self.visitor.account_id is not None
        return self.visitor.account_id

    @property
    def parameters(self) -> Mapping[str, str]:
        """What the path names."""
        return cast("Mapping[str, str]", self.request.path_params)

    @property
    def query(self) -> Mapping[str, str]:
        """What stands behind the path's question mark."""
        return self.request.query_params

    def body(self, kind: type[Body]) -> Body:
        """What the request carries, from a form or from JSON; raises `Refused`."""
        if self.route.kind == "api":
            return from_json(kind, self.raw_body)
        form = self.form or FormData()
        lists = {name: [value for value in form.getlist(name) if isinstance(value, str)] for name in form}
        return from_form(kind, form, lists)

    async def read(self, work: Callable[[Transaction], Result]) -> Result:
        """What `work` finds in the database."""
        return await trio.to_thread.run_sync(self.office.database.read, work, limiter=self.office.threads)

    async def write(self, work: Callable[[Transaction], Result]) -> Result:
        """What `work` returns once it is committed; it may run more than once (`bootstrap.database`)."""
        return await trio.to_thread.run_sync(self.office.database.write, work, limiter=self.office.threads)

    def page(self, template: str, status: int = 200, **values: Any) -> Response:
        """A page from a template, which has `visit` besides `values`."""
        return self.office.pages.response(self, template, status, values)

    def again(self, template: str, refusal: Refused, **values: Any) -> Response:
        """The page of a form that was refused, with what was typed (`typed`), but never a password."""
        form = self.form or FormData()
        typed = {name: value for name, value in form.items() if isinstance(value, str) and "password" not in name}
        response = self.page(template, status_of(refusal), refusal=refusal, **{**values, "typed": typed})
        if refusal.retry_after_s is not None:
            response.headers["retry-after"] = str(refusal.retry_after_s)
        return response

    def go(self, path: str, notice: str | None = None) -> Response:
        """Sends the browser to another page of ours after a form; `notice` is one of `NOTICES`."""
        assert path.startswith("/"), path
        assert not path.startswith(("//", "/\\")), path
        response = RedirectResponse(path, status_code=303)
        if notice is not None:
            assert notice in self.office.pages.notices, notice
            secure = self.office.config.secure
            response.set_cookie(NOTICE_COOKIE, notice, max_age=60, httponly=True, samesite="lax", secure=secure)
        return response

    def json(self, value: object, status: int = 200) -> Response:
        """An answer of the API."""
        return JSONResponse(value, status)
