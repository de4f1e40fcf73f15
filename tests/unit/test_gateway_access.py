"""Who may use the gateway: programs of this machine, and no web page that is looked at on it."""

from typing import Any

import pytest
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from peernet.core.errors import UserError
from peernet.gateway.access import Access
from peernet.gateway.errors import ApiError
from peernet.gateway.settings import GatewaySettings, Listening
from tests.asgi import Answer, ask

CHAT = "https://chat.example.org"
STRANGER = "https://stranger.example.com"


async def inside(scope: Scope, receive: Receive, send: Send) -> None:
    await JSONResponse({"ok": True})(scope, receive, send)


def access(app: Any = inside, **settings: Any) -> Access:
    chosen = GatewaySettings(**settings)
    return Access(app, chosen.known_names, chosen.origins, chosen.api_key)


async def get(app: Access, method: str = "GET", **headers: str) -> Answer:
    return await ask(app, method, "/v1/models", None, {name.replace("_", "-"): v for name, v in headers.items()})


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost:1", "localhost", "LOCALHOST:80", "[::1]:8080"])
async def test_a_program_of_this_machine_is_let_in(host: str) -> None:
    assert (await get(access(), host=host)).json == {"ok": True}


@pytest.mark.parametrize(
    "host", ["stranger.example.com:8080", "127.0.0.1.stranger.example.com", "127.0.0.2:8080", "", "localhost:80:80"]
)
async def test_a_strangers_name_for_this_machine_is_refused(host: str) -> None:
    answer = await get(access(), host=host)
    assert (answer.status, answer.error["code"]) == (403, "unknown_host")


async def test_a_name_that_was_allowed_is_ours() -> None:
    app = access(host_names=frozenset({"host.docker.internal"}))
    assert (await get(app, host="host.docker.internal:8080")).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": STRANGER},
        {"origin": "null"},
        {"origin": "http://localhost:3000"},
        {"origin": "http://127.0.0.1:8080.stranger.example.com"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
        {"origin": STRANGER, "sec_fetch_site": "same-origin"},
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
async def test_a_page_of_another_origin_is_refused(method: str, headers: dict[str, str]) -> None:
    answer = await get(access(origins=frozenset({CHAT})), method, **headers)
    assert (answer.status, answer.error["code"]) == (403, "cross_origin")
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("headers", [{"origin": "http://127.0.0.1:8080"}, {"sec_fetch_site": "none"}])
async def test_what_the_user_opens_is_let_in(headers: dict[str, str]) -> None:
    assert (await get(access(), **headers)).status == 200


async def test_an_allowed_page_gets_what_it_needs_to_read_the_answer() -> None:
    app = access(origins=frozenset({CHAT}))
    asked = await get(
        app,
        "OPTIONS",
        origin=CHAT,
        access_control_request_method="POST",
        access_control_request_headers="content-type",
    )
    assert asked.status == 204
    assert asked.headers["access-control-allow-origin"] == CHAT
    assert asked.headers["access-control-allow-headers"] == "content-type"
    answer = await get(app, origin=CHAT)
    assert answer.headers["access-control-allow-origin"] == CHAT
    assert "x-peernet-exposure" in answer.headers["access-control-expose-headers"]


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
async def test_what_a_form_can_send_is_refused(kind: str) -> None:
    answer = await get(access(), "POST", content_type=kind)
    assert (answer.status, answer.error["code"]) == (415, "unsupported_media_type")
    assert (await get(access(), "POST", content_type="application/json; charset=utf-8")).status == 200


@pytest.mark.parametrize("shown", ["", "Bearer wrong", "Bearer ", "the-key", "Basic the-key", "Bearer the-key\u00e9"])
async def test_without_the_key_nobody_is_let_in(shown: str) -> None:
    answer = await get(access(api_key="the-key"), authorization=shown)
    assert (answer.status, answer.error["code"]) == (401, "invalid_api_key")


async def test_with_the_key_one_is_let_in() -> None:
    assert (await get(access(api_key="the-key"), authorization="Bearer the-key")).status == 200


async def test_what_breaks_is_told_and_logged_by_its_type_alone(capsys: pytest.CaptureFixture[str]) -> None:
    async def broken(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise ValueError("a prompt about Maria")

    app = access(broken)
    answer = await get(app)
    assert (answer.status, answer.error["code"]) == (500, "bug")
    printed = capsys.readouterr()
    assert "Maria" not in answer.body.decode() + printed.out + printed.err
    assert "ValueError" in printed.out + printed.err
    assert app.failures == {"ValueError": 1}


async def test_an_error_of_ours_is_its_object() -> None:
    async def refusing(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise ApiError(429, "come again", "rate_limit_error", code="rate_limit_exceeded", retry_after_s=3)

    answer = await get(access(refusing))
    assert (answer.status, answer.headers["retry-after"]) == (429, "3")
    assert answer.error["type"] == "rate_limit_error"


# --- where it listens ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "place", "is_local"),
    [
        ("127.0.0.1:8080", "127.0.0.1:8080", True),
        ("127.3.2.1:0", "127.3.2.1:0", True),
        ("localhost:80", "127.0.0.1:80", True),
        ("[::1]:8080", "[::1]:8080", True),
        ("0.0.0.0:8080", "0.0.0.0:8080", False),
        ("[::]:8080", "[::]:8080", False),
        ("192.0.2.1:8080", "192.0.2.1:8080", False),
        ("unix:/run/x.sock", "unix:/run/x.sock", True),
    ],
)
def test_places_are_read(text: str, place: str, is_local: bool) -> None:
    listening = Listening.parse(text)
    assert (listening.place, listening.is_local) == (place, is_local)


@pytest.mark.parametrize("text", ["", "8080", "127.0.0.1", "::1:8080", "example.org:80", "127.0.0.1:65536", "unix:"])
def test_what_is_no_place_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="ADDRESS:PORT"):
        Listening.parse(text)


def test_other_machines_need_a_key() -> None:
    with pytest.raises(UserError, match="API key"):
        GatewaySettings(listening=Listening("0.0.0.0", 8080))
    assert "the-key" not in repr(GatewaySettings(api_key="the-key"))
