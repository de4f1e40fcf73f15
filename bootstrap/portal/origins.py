"""Where a request comes from, as coarsely as it may be kept: the IP prefix and the browser's family (promise P6)."""

import re
from typing import Final

from starlette.requests import Request

from bootstrap.people.origin import Origin
from bootstrap.portal.settings import PortalConfig
from peernet.core.prefixes import ip_prefix

__all__ = ["browser_family", "origin_of"]

_FAMILIES: Final = (
    # The first that matches: browsers claim to be their forefathers, too.
    (re.compile(r"Edg/"), "Edge"),
    (re.compile(r"OPR/"), "Opera"),
    (re.compile(r"Firefox/"), "Firefox"),
    (re.compile(r"Chrom(e|ium)/"), "Chrome"),
    (re.compile(r"Safari/"), "Safari"),
)


def origin_of(request: Request, config: PortalConfig) -> Origin:
    """The prefix and the family of a request; a proxy is believed where the operator said so."""
    host = request.client.host if request.client else ""
    forwarded = request.headers.get("x-forwarded-for", "")
    if config.behind_proxy and forwarded:
        # The last is what the proxy saw itself.
        host = forwarded.rpartition(",")[2].strip()
    return Origin(_prefix(host), browser_family(request.headers.get("user-agent", "")))


def browser_family(user_agent: str) -> str:
    """`Firefox`, `Chrome` ... or `other`."""
    return next((family for pattern, family in _FAMILIES if pattern.search(user_agent[:400])), "other")


def _prefix(host: str) -> str:
    try:
        return ip_prefix(host)
    except ValueError:
        return "unknown"
