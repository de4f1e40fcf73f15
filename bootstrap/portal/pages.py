"""Pages from Jinja templates: everything is escaped, and what is not given is an error."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse, Response

from bootstrap.portal.visit import NOTICE_COOKIE

if TYPE_CHECKING:
    from bootstrap.portal.visit import Visit

__all__ = ["NOTICES", "Pages"]

NOTICES: Final[dict[str, str]] = {
    "signed_in": "Welcome back.",
    "signed_out": "You are signed out.",
    "saved": "Saved.",
}
"""What the next page says after a form, by a word. Each part of the portal adds its own."""


class Pages:
    """The templates of one portal."""

    def __init__(self, site: Mapping[str, object]) -> None:
        self.notices = NOTICES
        self._environment = Environment(
            loader=PackageLoader("bootstrap.portal", "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.globals["site"] = dict(site)
        self._environment.filters.update(
            day=day,
            moment=moment,
            month=month_name,
            network=network,
            credits=credits_text,
            credits_about=credits_about,
            credits_column=credits_column,
            number=number,
            counted=counted,
            noun=noun,
            in_credits=in_credits,
            money=money,
        )

    def response(self, visit: "Visit", template: str, status: int, values: Mapping[str, Any]) -> Response:
        """The page; it says, once, what the form before it did."""
        noticed = visit.request.cookies.get(NOTICE_COOKIE, "")
        notice = self.notices.get(noticed)
        html = self._environment.get_template(template).render(visit=visit, notice=notice, **values)
        response = HTMLResponse(html, status)
        if noticed:
            response.delete_cookie(NOTICE_COOKIE)
        return response

    def text(self, template: str, **values: Any) -> str:
        """A mail, or another text that is no page; templates whose names end in .txt are not escaped by hand."""
        return self._environment.get_template(template).render(**values)


def day(at_s: int) -> str:
    """A date, in UTC, as 27 November 2026."""
    at = datetime.fromtimestamp(at_s, UTC)
    return f"{at.day} {at:%B %Y}"


def moment(at_s: int) -> str:
    """A date and time, in UTC."""
    return f"{datetime.fromtimestamp(at_s, UTC):%Y-%m-%d %H:%M} UTC"


def network(prefix: str) -> str:
    """An IP prefix as people know it: 203.0.113.… for `ip4/cb0071`."""
    kind, _, digits = prefix.partition("/")
    if kind == "ip4" and len(digits) == 6:
        return f"{'.'.join(str(each) for each in bytes.fromhex(digits))}.…"
    if kind == "ip6" and len(digits) == 12:
        return f"{':'.join(digits[at : at + 4].lstrip('0') or '0' for at in (0, 4, 8))}:…"
    return "unknown"


def number(value: float) -> str:
    """A number with thin spaces between its thousands."""
    return f"{value:,}".replace(",", "\u202f")


def noun(count: int | str, one: str, more: str = "") -> str:
    """The word behind a number as it is shown: `one` behind 1, behind any other `more`, by default with an s."""
    return one if str(count) == "1" else more or f"{one}s"


def counted(count: int, one: str, more: str = "") -> str:
    """So many of something: 1 host, 2 hosts, 0 entries."""
    return f"{number(count)} {noun(count, one, more)}"


def credits_text(microcredits: int) -> str:
    """An amount in credits, exactly: 1.25 for 1,250,000 microcredits."""
    sign, size = ("\u2212" if microcredits < 0 else ""), abs(microcredits)
    whole, rest = divmod(size, 1_000_000)
    fraction = f"{rest:06d}".rstrip("0")
    return f"{sign}{number(whole)}{'.' + fraction.ljust(2, '0') if fraction else ''}"


def in_credits(microcredits: int) -> str:
    """An exact amount with its unit: 1 credit, 1.25 credits."""
    shown = credits_text(microcredits)
    return f"{shown} {noun(shown, 'credit')}"


def credits_about(microcredits: int) -> str:
    """An amount at a glance: whole hundredths of a credit, and never more than there is."""
    size = abs(microcredits) // 10_000 * 10_000
    return credits_text(size if microcredits >= 0 else -size)


def credits_column(microcredits: int) -> str:
    """An exact amount with all six decimals, for a column whose points stand below each other."""
    sign, size = ("\u2212" if microcredits < 0 else ""), abs(microcredits)
    return f"{sign}{number(size // 1_000_000)}.{size % 1_000_000:06d}"


def month_name(month: str) -> str:
    """November 2026 for 2026-11."""
    return f"{datetime.strptime(month, '%Y-%m').replace(tzinfo=UTC):%B %Y}"


def money(cents: int, currency: str = "EUR") -> str:
    """An amount of money from its smallest unit, for currencies with two decimals."""
    sign, size = ("\u2212" if cents < 0 else ""), abs(cents)
    return f"{sign}{number(size // 100)}.{size % 100:02d} {currency}"
