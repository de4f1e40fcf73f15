"""Pages about hosts: for those who run them, and the public status and agreement."""

import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

from attrs import evolve, frozen
from starlette.responses import Response

from bootstrap.database import Transaction
from bootstrap.hosts.agreement import CURRENT_VERSION, Agreement, agreement, versions
from bootstrap.hosts.appeals import make_appeal
from bootstrap.hosts.codes import LIFETIME_S, new_code
from bootstrap.hosts.earnings import Earned
from bootstrap.hosts.estimate import Estimate, estimate, price_of
from bootstrap.hosts.figures import (
    DAY_S,
    Day,
    Host,
    HostDetails,
    NetworkStatus,
    Served,
    days_of,
    host_details,
    hosts_of,
    network_status,
    served_by,
    total_of,
)
from bootstrap.hosts.ownership import owner_of_host, owner_of_sanction
from bootstrap.hosts.registering import checked_host_name
from bootstrap.hosts.speeds import Speed, doubts_of, speeds_of_account, speeds_of_models, sum_of_speeds
from bootstrap.hosts.standing import APPEAL_WITHIN_S, REASONS, retire_host
from bootstrap.portal.access import EVERYBODY, SIGNED_IN, Rule, owned
from bootstrap.portal.bodies import flag, from_form, text, whole
from bootstrap.portal.cards import Card
from bootstrap.portal.charts import Point, bar_chart, line_chart
from bootstrap.portal.pages import NOTICES
from bootstrap.portal.pages import day as day_of
from bootstrap.portal.routes import Page, page
from bootstrap.portal.visit import Visit
from bootstrap.refusal import NotFound, Refused

__all__ = [
    "HOSTS_CARD",
    "MAX_NAME",
    "ROUTES",
    "Appeal",
    "HostSettings",
    "OneHost",
    "Overview",
    "look_at_host",
    "overview_of",
    "own",
]

CHART_DAYS: Final = 30
OVERVIEW_DAYS: Final = 7
MAX_NAME: Final = 60

own: Final = owned(lambda transaction, path: owner_of_host(transaction, path["host"]), scope="hosts")
"""Only whoever runs the host."""
UNRESTRICTED: Final = Rule(signed_in=True, restricted=False, scope="hosts")

NOTICES.update(
    host_saved="The host's settings are saved.",
    host_retired="The host is retired. What it has earned stays yours.",
    appeal_made="Your appeal is with the operators. A person decides, and you are told by e-mail.",
)


@frozen
class HostSettings:
    """What an operator may change about a host."""

    name: str = text(at_most=MAX_NAME, at_least=1)
    named_in_public: bool = flag(default=False)


@frozen
class Appeal:
    """Why a sanction should be undone."""

    words: str = text(at_most=4000, at_least=10)


@frozen
class PowerCost:
    """What a person types for the estimate."""

    watts: int = whole(at_least=1, at_most=100_000)
    price_per_kwh: str = text(at_most=20, at_least=1)


@frozen
class Overview:
    """All of an operator's hosts."""

    hosts: Sequence[Host]
    served: Mapping[str, Served]
    """Of the last `OVERVIEW_DAYS`."""
    earned: Mapping[str, Earned]
    speeds: Mapping[str, Speed]
    """Of the same days."""

    @property
    def total(self) -> Served:
        """Over all hosts."""
        return total_of(list(self.served.values()))

    @property
    def earned_total(self) -> Earned:
        """Over all hosts."""
        every = list(self.earned.values())
        return Earned(
            sum(each.all_time for each in every),
            sum(each.last_30_days for each in every),
            sum(each.unpaid for each in every),
        )


@frozen
class OneHost:
    """A host, as its operator sees it."""

    details: HostDetails
    days: Sequence[Day]
    earned: Earned
    speeds: Sequence[tuple[str, Speed]]
    """By model, over the same days."""

    @property
    def total(self) -> Served:
        """Over all days."""
        return total_of([day.served for day in self.days])

    @property
    def speed(self) -> Speed:
        """Over all days and models."""
        return sum_of_speeds([day.speed for day in self.days])

    @property
    def doubts(self) -> Sequence[str]:
        """Where what is declared and what is measured hardly go together."""
        return doubts_of(self.details.host.gpus, self.details.models, self.speed)


def overview_of(transaction: Transaction, visit: Visit) -> Overview:
    """What the list of one's own hosts shows."""
    account_id, now_s = visit.account_id, visit.now_s
    return Overview(
        hosts_of(transaction, account_id),
        served_by(transaction, account_id, now_s - OVERVIEW_DAYS * DAY_S),
        visit.office.earnings.of_hosts(transaction, account_id, now_s),
        speeds_of_account(transaction, account_id, now_s - OVERVIEW_DAYS * DAY_S),
    )


def look_at_host(transaction: Transaction, visit: Visit, host_id: str) -> OneHost:
    """What the page of a host shows; raises `NotFound`."""
    details = host_details(transaction, host_id)
    earned = visit.office.earnings.of_hosts(transaction, details.host.account_id, visit.now_s)
    days = days_of(transaction, host_id, days=CHART_DAYS, now_s=visit.now_s)
    speeds = speeds_of_models(transaction, host_id, days[0].at_s)
    return OneHost(details, days, earned.get(host_id, Earned()), speeds)


def charts_of(days: Sequence[Day]) -> dict[str, Any]:
    """The charts of a host's last days."""

    def points(value: Any) -> list[Point]:
        return [Point(_short(day.at_s), value(day.served)) for day in days]

    def measured(value: Any) -> list[Point]:
        return [Point(_short(day.at_s), value(day.speed)) for day in days]

    def percent(share: float | None) -> float | None:
        return None if share is None else 100 * share

    return {
        "uptime": bar_chart(
            "uptime", "Uptime a day, measured", points(lambda served: percent(served.uptime)), unit="%", top=100
        ),
        "round_trip": line_chart(
            "round-trip", "Round trip of a ping, measured", points(lambda served: served.round_trip_ms), unit="ms"
        ),
        "first_token_measured": line_chart(
            "first-token-measured",
            "Time to the first token, measured by this node's questions",
            measured(lambda speed: speed.first_token_ms),
            unit="ms",
        ),
        "inter_token_measured": line_chart(
            "inter-token-measured",
            "Time between tokens, measured by this node's questions",
            measured(lambda speed: speed.inter_token_ms),
            unit="ms",
        ),
        "first_token": line_chart(
            "first-token", "Time to the first token, reported", points(lambda served: served.first_token_ms), unit="ms"
        ),
        "inter_token": line_chart(
            "inter-token", "Time between tokens, reported", points(lambda served: served.inter_token_ms), unit="ms"
        ),
        "tokens": bar_chart(
            "tokens",
            "Answer tokens served a day, reported",
            points(lambda served: served.answer_tokens if served.requests else None),
            unit="",
        ),
    }


def _short(at_s: int) -> str:
    words = day_of(at_s).split()
    return f"{words[0]} {words[1][:3]}"


# --- one's own hosts -------------------------------------------------------------------------------------------------


async def _list(visit: Visit) -> Response:
    overview = await visit.read(partial(overview_of, visit=visit))
    return visit.page("hosts/list.html", overview=overview, days=OVERVIEW_DAYS)


async def _code(visit: Visit) -> Response:
    code = await visit.write(partial(new_code, account_id=visit.account_id, now_s=visit.now_s))
    return visit.page("hosts/code.html", code=code, minutes=LIFETIME_S // 60, origin=visit.office.origin)


async def _host(visit: Visit) -> Response:
    return await _shown(visit, None)


async def _shown(visit: Visit, refusal: Refused | None) -> Response:
    """The host's page, with its estimate where the query asks for one."""
    one = await visit.read(partial(look_at_host, visit=visit, host_id=visit.parameters["host"]))
    guess: Estimate | None = None
    typed = {name: visit.query.get(name, "") for name in ("watts", "price_per_kwh")}
    if refusal is None and any(typed.values()):
        try:
            guess = _estimate(visit, one.earned)
        except Refused as wrong:
            refusal = wrong
    values: dict[str, Any] = {
        "one": one,
        "host": one.details.host,
        "charts": charts_of(one.days),
        "days": CHART_DAYS,
        "guess": guess,
        "asked": typed,
        "reasons": REASONS,
        "appeal_within_s": APPEAL_WITHIN_S,
        "current": CURRENT_VERSION,
    }
    if refusal is None:
        return visit.page("hosts/host.html", refusal=None, typed={}, **values)
    return visit.again("hosts/host.html", refusal, **values)


def _estimate(visit: Visit, earned: Earned) -> Estimate:
    asked = from_form(PowerCost, visit.query)
    return estimate(
        watts=asked.watts,
        price=price_of(asked.price_per_kwh),
        earned_microcredits=earned.last_30_days,
        earned_cents=visit.office.earnings.cents_of(earned.last_30_days),
    )


def change_settings(transaction: Transaction, host_id: str, body: HostSettings) -> None:
    """Saves a host's name, and whether the status page may say it."""
    transaction.execute(
        "UPDATE host SET name = :name, named_in_public = :named WHERE id = :id",
        id=host_id,
        name=checked_host_name(body.name),
        named=int(body.named_in_public),
    )


async def _settings(visit: Visit) -> Response:
    host_id = visit.parameters["host"]
    try:
        body = visit.body(HostSettings)
        await visit.write(partial(change_settings, host_id=host_id, body=body))
    except Refused as refusal:
        return await _shown(visit, refusal)
    return visit.go(f"/hosts/{host_id}", "host_saved")


async def _retire(visit: Visit) -> Response:
    host_id = visit.parameters["host"]
    await visit.write(partial(retire_host, host_id=host_id, now_s=visit.now_s))
    return visit.go(f"/hosts/{host_id}", "host_retired")


def _sanction(transaction: Transaction, visit: Visit) -> tuple[str, dict[str, Any]]:
    sanction_id = visit.parameters["sanction"]
    row = transaction.row("SELECT host_id FROM sanction WHERE id = :id", id=sanction_id)
    if row is None:
        raise NotFound
    details = host_details(transaction, row[0])
    return row[0], next(dict(each) for each in details.sanctions if each["id"] == sanction_id)


async def _appeal_page(visit: Visit) -> Response:
    host_id, sanction = await visit.read(partial(_sanction, visit=visit))
    return visit.page("hosts/appeal.html", host_id=host_id, sanction=sanction, reasons=REASONS, refusal=None, typed={})


async def _appeal(visit: Visit) -> Response:
    host_id, sanction = await visit.read(partial(_sanction, visit=visit))
    try:
        await visit.write(partial(appeal_by, visit=visit, body=visit.body(Appeal)))
    except Refused as refusal:
        return visit.again("hosts/appeal.html", refusal, host_id=host_id, sanction=sanction, reasons=REASONS)
    return visit.go(f"/hosts/{host_id}", "appeal_made")


def appeal_by(transaction: Transaction, visit: Visit, body: Appeal) -> str:
    """Makes the appeal that a request is about."""
    return make_appeal(transaction, visit.parameters["sanction"], visit.account_id, body.words, visit.now_s)


async def _card(visit: Visit) -> Mapping[str, object]:
    overview = await visit.read(partial(overview_of, visit=visit))
    up = sum(host.standing(visit.now_s) == "up" for host in overview.hosts)
    return {"overview": overview, "up": up, "days": OVERVIEW_DAYS}


HOSTS_CARD: Final = Card("Hosts", "hosts/card.html", _card)


# --- for everybody ---------------------------------------------------------------------------------------------------


async def status_of_network(visit: Visit) -> NetworkStatus:
    """What everybody may know of the hosts."""
    return await visit.read(partial(network_status, now_s=visit.now_s))


async def _status(visit: Visit) -> Response:
    status = await status_of_network(visit)
    hours = [Point(f"{(at // 3600) % 24:02}:00", 100 * share) for at, share in status.hours]
    chart = bar_chart(
        "network", "Pings that hosts have answered, an hour", hours, unit="%", top=100, x_label="Hour (UTC)"
    )
    return visit.page("hosts/status.html", known=status, chart=chart)


async def _agreement(visit: Visit) -> Response:
    return _show_agreement(visit, agreement())


async def _old_agreement(visit: Visit) -> Response:
    return _show_agreement(visit, agreement(visit.parameters["version"]))


def _show_agreement(visit: Visit, shown: Agreement) -> Response:
    return visit.page(
        "hosts/agreement.html",
        shown=shown,
        blocks=_blocks(shown.text),
        versions=versions(),
        current=CURRENT_VERSION,
    )


def _blocks(markdown: str) -> list[tuple[str, Any]]:
    """The agreement's paragraphs: its few kinds of Markdown, as `h1`, `h2`, `p` with a text or `ol` with texts."""
    blocks: list[tuple[str, Any]] = []
    for part in re.split(r"\n{2,}", markdown.strip()):
        words = " ".join(part.split())
        if part.startswith("#"):
            marks, _, title = words.partition(" ")
            blocks.append((f"h{len(marks)}", title))
        elif re.match(r"1\. ", part):
            blocks.append(("ol", [" ".join(item.split()) for item in re.split(r"(?m)^\d+\. ", part) if item.strip()]))
        else:
            blocks.append(("p", words))
    return blocks


APPEALS: Final = owned(lambda transaction, path: owner_of_sanction(transaction, path["sanction"]), scope="hosts")

ROUTES: Final[tuple[Page, ...]] = (
    page("GET", "/hosts", _list, SIGNED_IN, "All of one's own hosts"),
    page("POST", "/hosts/codes", _code, evolve(UNRESTRICTED, scope=None), "A code to register a host with"),
    page("GET", "/hosts/{host}", _host, own, "One of one's own hosts"),
    page("POST", "/hosts/{host}/settings", _settings, own, "A host's name, and where it is said", body=HostSettings),
    page("POST", "/hosts/{host}/retire", _retire, own, "Take a host out"),
    page("GET", "/hosts/sanctions/{sanction}/appeal", _appeal_page, APPEALS, "Appeal against a sanction"),
    page("POST", "/hosts/sanctions/{sanction}/appeal", _appeal, APPEALS, "Appeal against a sanction", body=Appeal),
    page("GET", "/status", _status, EVERYBODY, "Hosts, models and uptime of the network"),
    page("GET", "/agreement", _agreement, EVERYBODY, "The host agreement in force"),
    page("GET", "/agreement/{version}", _old_agreement, EVERYBODY, "A version of the host agreement"),
)
