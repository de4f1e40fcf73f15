"""Which requests a browser may make on somebody's behalf: none that another site began.

Rules:

1. A request that changes something, and comes with our cookies, carries a token that only our own pages have: an HMAC
   over the cookie `peernet-form`, which every browser has of its own, and the session.
2. Its Origin header, where there is one, is ours; `Sec-Fetch-Site`, where there is one, says `same-origin`.
3. The API takes an API token instead, which no browser sends by itself; a session's cookie works there, too, under the
   same rules with the header `X-CSRF-Token`. Where a request to the API has neither, nobody is acted for.

Source: OWASP's rules on cross-site request forgery (signed double submit), W3C Fetch Metadata.
"""

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from typing import Final

from attrs import field, frozen

from bootstrap.refusal import Refused

__all__ = ["FORM_COOKIE", "TOKEN_FIELD", "TOKEN_HEADER", "CrossingGuard"]

FORM_COOKIE: Final = "peernet-form"
TOKEN_FIELD: Final = "csrf_token"  # noqa: S105  (names, and no secrets)
TOKEN_HEADER: Final = "x-csrf-token"  # noqa: S105


@frozen
class CrossingGuard:
    """Makes and checks the tokens of one service."""

    key: bytes = field(repr=False)
    """32 secret bytes of this service."""
    origin: str
    """Ours, as browsers write it: scheme, host, port."""

    @staticmethod
    def new_cookie() -> str:
        """For a browser that has none yet."""
        return secrets.token_urlsafe(18)

    def token(self, cookie: str, session: str | None) -> str:
        """What the forms of a page carry that is sent to this browser; `session` is the session's handle."""
        said = f"peernet form v1\0{session or ''}\0{cookie}".encode("utf-8", "replace")
        return hmac.new(self.key, said, hashlib.sha256).hexdigest()

    def check_origin(self, headers: Mapping[str, str]) -> None:
        """Raises `Refused` (`crossed`) where a browser says that another site made the request."""
        origin, site = headers.get("origin"), headers.get("sec-fetch-site")
        # "null" is what browsers send where a page's policy is to tell nobody: then the other signs decide.
        if origin not in {None, "null", self.origin} or site not in {None, "same-origin", "none"}:
            raise Refused("another site began this: open the page here, and try again", reason="crossed")

    def check(self, cookie: str | None, session: str | None, shown: str) -> None:
        """Raises `Refused` (`crossed`) unless one of our own pages made the request."""
        if not cookie or not hmac.compare_digest(
            shown.encode("utf-8", "replace"), self.token(cookie, session).encode()
        ):
            raise Refused("the page was open for too long, or cookies are off: load it again", reason="crossed")
