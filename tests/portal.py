"""A portal that is not ours, as far as wallets know it: it signs what the right token asks for."""

import base64
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from attrs import define, field

__all__ = ["StandInPortal", "running_portal"]

TOKEN = "token-of-an-account"


@define(slots=False)
class StandInPortal:
    """What it answers, and what it was asked."""

    proofs: Sequence[bytes]
    sign: Callable[[bytes, str, int, list[bytes]], list[bytes]]
    """Request id, class, denomination and blinded messages; the blind signatures."""
    token: str = TOKEN
    url: str = ""
    asked: list[dict[str, Any]] = field(factory=list)
    fails_with: int = 0
    """An HTTP code, in place of an answer."""
    loses_answers: int = 0
    """How many times it signs, and the answer does not arrive."""

    def answer(self, method: str, path: str, token: str, body: bytes) -> tuple[int, object]:
        """The HTTP code, and the JSON."""
        if token != f"Bearer {self.token}":
            return 401, {}
        if self.fails_with:
            return self.fails_with, {}
        if (method, path) == ("GET", "/api/v1/credits/keys"):
            return 200, {"keys": [{"proof": base64.b64encode(proof).decode()} for proof in self.proofs]}
        assert (method, path) == ("POST", "/api/v1/credits/withdrawals")
        asked = json.loads(body)
        self.asked.append(asked)
        blinded = [base64.b64decode(text) for text in asked["blinded"]]
        signed = self.sign(bytes.fromhex(asked["request_id"]), asked["class"], asked["denomination"], blinded)
        if self.loses_answers:
            self.loses_answers -= 1
            return 503, {}
        return 200, {"signatures": [base64.b64encode(signature).decode() for signature in signed]}


@contextmanager
def running_portal(portal: StandInPortal) -> Iterator[StandInPortal]:
    """The portal on a port of this machine."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            code, found = portal.answer(self.command, self.path, self.headers.get("Authorization", ""), body)
            content = json.dumps(found).encode()
            self.send_response(code)
            if code == 302:
                self.send_header("Location", f"{portal.url}/elsewhere")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_GET  # noqa: N815  (http.server calls it so)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        portal.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield portal
        finally:
            server.shutdown()
            thread.join()
