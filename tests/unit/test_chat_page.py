"""The chat page's files: who gets them, under which policy, and what is not in them."""

import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from peernet.gateway.chat_page import PAGE_PATHS
from tests.asgi import ask
from tests.unit.test_gateway_service import gateway

STATIC = files("peernet.gateway") / "static"
NAVIGATES = {"sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}


def words_of(name: str) -> str:
    return STATIC.joinpath(name).read_text("utf-8")


@pytest.mark.parametrize("path", sorted(PAGE_PATHS))
async def test_every_file_has_a_strict_policy(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    async with gateway(tmp_path, monkeypatch) as opened:
        answer = await ask(opened.app, "GET", path)
    assert answer.status == 200
    rules = dict(rule.split(" ", 1) for rule in answer.headers["content-security-policy"].split("; "))
    assert rules == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self'",
        "connect-src": "'self'",
        "form-action": "'none'",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cross-origin-opener-policy"] == "same-origin"
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"


async def test_each_file_has_its_type_and_nothing_beside_them_is_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    async with gateway(tmp_path, monkeypatch) as opened:
        kinds = {path: (await ask(opened.app, "GET", path)).headers["content-type"] for path in PAGE_PATHS}
        others = ["/static/", "/static/chat.html", "/static/../service.py", "/static/%2e%2e/service.py", "/chat.js"]
        assert [(await ask(opened.app, "GET", path)).status for path in others] == [404] * len(others)
    assert kinds["/"] == "text/html; charset=utf-8"
    assert kinds["/static/chat.js"] == "text/javascript; charset=utf-8"
    assert kinds["/static/chat.css"] == "text/css; charset=utf-8"
    assert kinds["/static/mark.svg"] == "image/svg+xml"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_the_page_is_only_fetched(method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    async with gateway(tmp_path, monkeypatch) as opened:
        assert (await ask(opened.app, method, "/")).status == 405


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"sec-fetch-site": "none"}, 200),
        ({"sec-fetch-site": "cross-site", **NAVIGATES}, 200),
        ({"sec-fetch-site": "cross-site", **NAVIGATES, "sec-fetch-dest": "iframe"}, 403),
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "script"}, 403),
        ({"sec-fetch-site": "same-site", "sec-fetch-mode": "cors", "sec-fetch-dest": "empty"}, 403),
        ({"sec-fetch-site": "cross-site", **NAVIGATES, "origin": "https://stranger.example.com"}, 403),
        ({"sec-fetch-site": "cross-site", **NAVIGATES, "host": "stranger.example.com"}, 403),
    ],
)
async def test_a_link_may_lead_to_the_page_and_no_other_page_may_use_it(
    headers: dict[str, str], status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    async with gateway(tmp_path, monkeypatch) as opened:
        assert (await ask(opened.app, "GET", "/", headers=headers)).status == status


async def test_a_link_leads_to_no_part_of_the_api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    headers = {"sec-fetch-site": "cross-site", **NAVIGATES}
    async with gateway(tmp_path, monkeypatch) as opened:
        for path in ("/v1/models", "/v1/exposure/chatcmpl-x"):
            assert (await ask(opened.app, "GET", path, headers=headers)).error["code"] == "cross_origin"
        assert (await ask(opened.app, "POST", "/", {}, headers)).error["code"] == "cross_origin"


async def test_with_a_key_the_page_is_served_without_it_and_the_api_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    async with gateway(tmp_path, monkeypatch, api_key="the-key") as opened:
        assert (await ask(opened.app, "GET", "/")).status == 200
        assert (await ask(opened.app, "GET", "/static/chat.js")).status == 200
        assert (await ask(opened.app, "GET", "/v1/models")).status == 401
        assert (await ask(opened.app, "POST", "/", {})).status == 401


def test_the_page_names_its_own_files_alone():
    page = words_of("chat.html")
    named = re.findall(r'(?:src|href)="([^"#]+)"', page)
    scripts = [name for name in (path.rpartition("/")[2] for path in PAGE_PATHS) if name.endswith(".js")]
    for name in scripts:
        named += re.findall(r'from "([^"]+)"', words_of(name))
    assert set(named) == PAGE_PATHS - {"/"}
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", page)
    # Fields without names: no form can put words into an address.
    assert not re.search(r"<(?:input|textarea|select)[^>]*\sname=", page)


@pytest.mark.parametrize("name", ["chat.js", "api.js", "elements.js", "exposure.js"])
def test_no_script_makes_markup_of_text_or_keeps_anything(name: str):
    forbidden: Any = re.compile(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|\beval\b|Function\(|srcdoc"
        r"|localStorage|sessionStorage|indexedDB|document\.cookie|caches\.|location\.(?:search|hash|href)"
    )
    assert forbidden.findall(words_of(name)) == []


def test_every_file_of_the_folder_is_served():
    served = {path.rpartition("/")[2] or "chat.html" for path in PAGE_PATHS}
    assert {file.name for file in STATIC.iterdir()} == served
