"""A browser for tests of the portal, without a network: it keeps cookies and sends the forms that it was shown."""

import re
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
from argon2 import Parameters, Type

from bootstrap.people.passwords import Passwords
from bootstrap.portal.app import Portal
from bootstrap.portal.office import Office
from bootstrap.portal.serving import open_office, portal_of
from bootstrap.portal.settings import PortalConfig
from tests.databases import OPERATORS, new_sqlite

__all__ = ["ORIGIN", "QUICK", "Browser", "Form", "forms_in", "new_office"]

ORIGIN = "http://127.0.0.1:8470"
QUICK = Parameters(Type.ID, 19, 16, 32, 1, 8, 1)
"""Argon2id with as little work as it can have: a test that is about something else does not wait for it."""


def new_office(folder: Path, database: str = "", **settings: Any) -> Office:
    """An office on a new database, whose clock stands where `office.now_s` says."""
    config = PortalConfig(listen="127.0.0.1:8470", database=database or _sqlite_in(folder), **settings)
    office = open_office(config, folder, bytes(range(32)))
    office.passwords = Passwords(QUICK)
    return office


def _sqlite_in(folder: Path) -> str:
    """The database that is there, or a new one."""
    there = folder / OPERATORS
    return str(there) if there.exists() else new_sqlite(folder)


_FIELDS = frozenset({"input", "button", "textarea", "select"})


class Form:
    """A form of a page."""

    def __init__(self, action: str, method: str) -> None:
        self.action = action
        self.method = method
        self.values: dict[str, str] = {}


class _Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[Form] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        of = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.found.append(Form(of.get("action", ""), of.get("method", "get")))
        elif tag in _FIELDS and self.found and of.get("name") and (of.get("type") != "checkbox" or "checked" in of):
            self.found[-1].values.setdefault(of["name"], of.get("value", ""))


def forms_in(html: str) -> list[Form]:
    parser = _Forms()
    parser.feed(html)
    return parser.found


class Browser:
    """One person's browser. `page` is what it shows."""

    def __init__(self, portal: Portal | Office, *, client: str = "203.0.113.7", agent: str = "Firefox/128.0") -> None:
        app = portal if isinstance(portal, Portal) else portal_of(portal)
        transport = httpx.ASGITransport(app, raise_app_exceptions=True, client=(client, 4711))
        self.http = httpx.AsyncClient(transport=transport, base_url=ORIGIN, headers={"user-agent": agent})
        self.page = httpx.Response(204)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.http.aclose()

    async def open(self, path: str) -> httpx.Response:
        """Shows a page, wherever it sends the browser."""
        self.page = await self.http.get(path, follow_redirects=True)
        return self.page

    async def submit(self, action: str, **values: str) -> httpx.Response:
        """Sends the form of the page with this action, with these values in its fields."""
        form = next((form for form in forms_in(self.page.text) if form.action == action), None)
        assert form is not None, f"no form for {action} on {self.page.url}: {self.text[:500]}"
        sent = {**form.values, **values}
        headers = {"origin": ORIGIN, "sec-fetch-site": "same-origin"}
        self.page = await self.http.post(action, data=sent, headers=headers, follow_redirects=True)
        return self.page

    async def call(self, method: str, path: str, body: object = None, **headers: str) -> httpx.Response:
        """A request to the API, as a program makes it."""
        sent: Mapping[str, str] = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.http.request(method, path, json=body, headers=sent)

    @property
    def text(self) -> str:
        """The page as a person reads it, in one line."""
        bare = re.sub(r"<(script|style).*?</\1>|<[^>]*>", " ", self.page.text, flags=re.DOTALL)
        return re.sub(r"\s+", " ", bare).strip()
