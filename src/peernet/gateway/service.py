"""The gateway as a service: its routes, the chat page's among them, and what runs beside the requests.

Rules:

1. Nothing of a request is logged, neither its path nor its text; the server's own logs are off.
2. The directory is fetched on a timer, so that fetching it tells nobody when somebody asks.
3. Conversations are wiped when nobody goes on with them, and all of them at the end.
"""

import os
import socket
from http import HTTPStatus
from typing import Any, Final, cast

import structlog
import trio
from hypercorn.config import Config
from hypercorn.trio import serve
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from peernet.client.client import ChatSession, Client
from peernet.core.errors import PeernetError, UserError
from peernet.gateway.access import Access
from peernet.gateway.chat_page import PAGE_PATHS, page_routes
from peernet.gateway.completions import Completions
from peernet.gateway.conversations import Conversations
from peernet.gateway.errors import ApiError, bug, refusal_of
from peernet.gateway.exposures import Exposures
from peernet.gateway.settings import GatewaySettings

__all__ = ["Gateway"]

SWEEP_INTERVAL_S: Final = 30.0
KEEP_ALIVE_S: Final = 75.0
"""Longer than programs keep idle connections, so that it is they who close them."""

log = structlog.get_logger()


class Gateway:
    """The OpenAI-compatible API over one client."""

    def __init__(self, client: Client, settings: GatewaySettings) -> None:
        self._client = client
        self._settings = settings
        self._conversations: Conversations[ChatSession] = Conversations(trio.current_time)
        self._exposures = Exposures()
        self.app = Access(self._routes(), settings.known_names, settings.origins, settings.api_key, PAGE_PATHS)
        """The whole as an ASGI application."""

    async def run(self, listener: socket.socket) -> None:
        """Serves until it is cancelled."""
        config = Config()
        # The server closes what it is given.
        config.bind = [f"fd://{os.dup(listener.fileno())}"]
        config.accesslog = None
        config.errorlog = None
        config.include_server_header = False
        config.keep_alive_timeout = KEEP_ALIVE_S
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._renew_directory)
                nursery.start_soon(self._sweep)
                # Starlette's and hypercorn's types of ASGI differ in names alone.
                await serve(cast("Any", self.app), config, mode="asgi")
        finally:
            self._conversations.wipe()

    def _routes(self) -> Starlette:
        completions = Completions(
            self._client, self._settings, self._conversations, self._exposures, self._count_failure
        )
        return Starlette(
            routes=[
                *page_routes(),
                Route("/v1/models", self._list_models, methods=["GET"]),
                Route("/v1/models/{model:path}", self._show_model, methods=["GET"]),
                Route("/v1/chat/completions", completions, methods=["POST"]),
                Route("/v1/exposure/{identity}", self._show_exposure, methods=["GET"]),
            ],
            exception_handlers={
                ApiError: _explain,
                PeernetError: _explain,
                HTTPException: _explain,
                Exception: _explain,
            },
        )

    def _count_failure(self, kind: str) -> None:
        self.app.failures[kind] += 1

    # --- routes ------------------------------------------------------------------------------------------------------

    async def _list_models(self, _: Request) -> Response:
        return JSONResponse({"object": "list", "data": [self._model(name) for name in self._client.models()]})

    async def _show_model(self, request: Request) -> Response:
        name = request.path_params["model"]
        if name not in self._client.models():
            raise ApiError(404, f"there is no model {name[:80]!r} here", param="model", code="model_not_found")
        return JSONResponse(self._model(name))

    def _model(self, name: str) -> dict[str, Any]:
        issued_at_s = self._client.network.directory.issued_at_s
        return {"id": name, "object": "model", "created": issued_at_s, "owned_by": "peernet"}

    async def _show_exposure(self, request: Request) -> Response:
        receipt = self._exposures.get(request.path_params["identity"])
        if receipt is None:
            message = "there is no receipt of that id, or not any more: receipts are kept in memory for a while"
            raise ApiError(404, message, param="id", code="exposure_not_found")
        return JSONResponse(receipt)

    # --- beside the requests -----------------------------------------------------------------------------------------

    async def _renew_directory(self) -> None:
        while True:
            await trio.sleep(self._settings.directory_interval_s)
            try:
                await self._client.network.fetch_directory()
            except UserError as error:
                log.warning("the directory of before serves on", error=str(error))

    async def _sweep(self) -> None:
        while True:
            await trio.sleep(SWEEP_INTERVAL_S)
            self._conversations.expire()


async def _explain(_: Request, error: Exception) -> Response:
    """Every error in OpenAI's form."""
    match error:
        case ApiError():
            shown = error
        case HTTPException():
            phrase = HTTPStatus(error.status_code).phrase.lower()
            shown = ApiError(error.status_code, f"{phrase}: see the list of endpoints", code=phrase.replace(" ", "_"))
        case PeernetError():
            shown = refusal_of(error)
        case _:
            shown = bug(error)
    return JSONResponse(shown.body, shown.status, shown.headers)
