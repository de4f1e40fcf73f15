"""The desk's pages about hosts, for operators: strikes, suspension, removal, forfeiture, appeals, reports of abuse.

Each decision is a page's form and a route of the API, which do the same.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from attrs import asdict, frozen
from starlette.responses import Response

from bootstrap.database import Transaction
from bootstrap.hosts.abuse import refuse_lane, reported_lanes
from bootstrap.hosts.appeals import decide_appeal, open_appeals_of_all
from bootstrap.hosts.figures import DAY_S, host_details, search_hosts
from bootstrap.hosts.forfeiting import (
    ask_forfeiture,
    due_at_s,
    open_forfeitures,
    second_forfeiture,
    withdraw_forfeiture,
)
from bootstrap.hosts.speeds import trial_costs
from bootstrap.hosts.standing import (
    APPEAL_WITHIN_S,
    REASONS,
    STRIKES,
    give_strike,
    lift_suspension,
    other_operators,
    remove_host,
    suspend_host,
)
from bootstrap.people.access_log import note_access
from bootstrap.portal.access import with_role
from bootstrap.portal.bodies import one_of, text
from bootstrap.portal.cards import Card
from bootstrap.portal.hosts_pages import look_at_host
from bootstrap.portal.pages import NOTICES
from bootstrap.portal.routes import Page, api, page
from bootstrap.portal.visit import Visit
from bootstrap.refusal import NotFound, Refused

__all__ = ["HOSTS_DESK_CARD", "ROUTES"]

PAGE_SIZE: Final = 50
MAX_PAGE: Final = 10_000
LANE_PATTERN_LENGTH: Final = 64
COST_DAYS: Final = 30
STATES: Final = ("active", "suspended", "removed")

OPERATORS: Final = with_role("operator", "auditor")
CAREFUL: Final = with_role("operator", fresh=True)
BY_TOKEN: Final = with_role("operator", "auditor", scope="desk")
CAREFUL_BY_TOKEN: Final = with_role("operator", fresh=True, scope="desk")

NOTICES.update(
    host_decided="Done. The host's operator has been told.",
    appeal_decided="The appeal is decided, and the host's operator has been told.",
    lane_refused="This node settles nothing more for that lane.",
)


@frozen
class Sanction:
    """Why a sanction is given."""

    reason: str = one_of(*REASONS)
    explanation: str = text(at_most=2000, at_least=10)


@frozen
class Decision:
    """How an appeal is decided."""

    outcome: str = one_of("granted", "rejected")
    explanation: str = text(at_most=2000, at_least=10)


# --- what is decided -------------------------------------------------------------------------------------------------


def _sanction(give: Callable[..., str], transaction: Transaction, visit: Visit, body: Sanction) -> None:
    give(
        transaction,
        visit.parameters["host"],
        reason=body.reason,
        explanation=body.explanation,
        now_s=visit.now_s,
        by=visit.account_id,
        origin=visit.origin,
    )


def _lift(transaction: Transaction, visit: Visit) -> None:
    lift_suspension(transaction, visit.parameters["host"], now_s=visit.now_s, by=visit.account_id, origin=visit.origin)


def _second(transaction: Transaction, visit: Visit) -> None:
    second_forfeiture(
        transaction, visit.parameters["sanction"], by=visit.account_id, now_s=visit.now_s, origin=visit.origin
    )


def _withdraw(transaction: Transaction, visit: Visit) -> None:
    withdraw_forfeiture(
        transaction, visit.parameters["sanction"], by=visit.account_id, now_s=visit.now_s, origin=visit.origin
    )


def _decide(transaction: Transaction, visit: Visit, body: Decision) -> None:
    decide_appeal(
        transaction,
        visit.parameters["appeal"],
        granted=body.outcome == "granted",
        explanation=body.explanation,
        by=visit.account_id,
        now_s=visit.now_s,
        origin=visit.origin,
    )


def _refuse_lane(transaction: Transaction, visit: Visit) -> None:
    lane = visit.parameters["lane"]
    if len(lane) != LANE_PATTERN_LENGTH or not set(lane) <= set("0123456789abcdef"):
        raise NotFound("such lane")
    refuse_lane(transaction, bytes.fromhex(lane), by=visit.account_id, now_s=visit.now_s, origin=visit.origin)


SANCTIONS: Final[Mapping[str, tuple[Callable[..., str], str]]] = {
    "strike": (give_strike, "Give a strike"),
    "suspend": (suspend_host, "Suspend a host"),
    "remove": (remove_host, "Remove a host that was suspended for the appeal delay"),
    "forfeit": (ask_forfeiture, "Ask for a host's unpaid earnings to be forfeited"),
}

# --- pages -----------------------------------------------------------------------------------------------------------


def _number(given: str) -> int:
    return min(int(given), MAX_PAGE) if given.isascii() and given.isdigit() and 0 < len(given) < 7 else 1


async def _list(visit: Visit) -> Response:
    state = visit.query.get("state", "")
    words = visit.query.get("q", "")[:80].replace("\x00", "")
    number = max(1, _number(visit.query.get("page", "")))
    hosts = await visit.read(
        partial(
            search_hosts,
            state=state if state in STATES else "",
            text=words.strip(),
            limit=PAGE_SIZE + 1,
            offset=(number - 1) * PAGE_SIZE,
        )
    )
    return visit.page(
        "hosts/desk_list.html",
        hosts=hosts[:PAGE_SIZE],
        more=len(hosts) > PAGE_SIZE,
        number=number,
        state=state,
        words=words,
        states=STATES,
    )


def _look(transaction: Transaction, visit: Visit) -> dict[str, Any]:
    """A host for the desk; that somebody looked is noted."""
    one = look_at_host(transaction, visit, visit.parameters["host"])
    host = one.details.host
    note_access(
        transaction,
        "host_viewed",
        now_s=visit.now_s,
        by=visit.account_id,
        about=host.account_id,
        thing=f"host/{host.id}",
        origin=visit.origin,
    )
    return {"one": one, "host": host, "reasons": REASONS, "strikes": STRIKES, "appeal_within_s": APPEAL_WITHIN_S}


async def _host(visit: Visit) -> Response:
    shown = await visit.write(partial(_look, visit=visit))
    return visit.page("hosts/desk_host.html", refusal=None, typed={}, action="", **shown)


def _sanction_page(action: str, give: Callable[..., str]) -> Callable[[Visit], Any]:
    async def handle(visit: Visit) -> Response:
        try:
            await visit.write(partial(_sanction, give, visit=visit, body=visit.body(Sanction)))
        except NotFound:
            raise
        except Refused as refusal:
            shown = await visit.write(partial(_look, visit=visit))
            return visit.again("hosts/desk_host.html", refusal, action=action, **shown)
        return visit.go(f"/desk/hosts/{visit.parameters['host']}", "host_decided")

    return handle


async def _lift_one(visit: Visit) -> Response:
    await visit.write(partial(_lift, visit=visit))
    return visit.go(f"/desk/hosts/{visit.parameters['host']}", "host_decided")


def _waiting(transaction: Transaction, visit: Visit) -> dict[str, Any]:
    """What waits for a decision."""
    forfeitures = []
    for each in open_forfeitures(transaction):
        alone = not other_operators(transaction, each["given_by"], each["account_id"])
        due_s = due_at_s(each["given_at_s"], seconded=each["seconded_by"] is not None, alone=alone)
        forfeitures.append({**each, "due_at_s": due_s, "own": each["given_by"] == visit.account_id})
    return {"appeals": open_appeals_of_all(transaction), "forfeitures": forfeitures, "reasons": REASONS}


async def _appeals(visit: Visit) -> Response:
    return visit.page(
        "hosts/desk_appeals.html", refusal=None, typed={}, **await visit.read(partial(_waiting, visit=visit))
    )


async def _decide_one(visit: Visit) -> Response:
    try:
        await visit.write(partial(_decide, visit=visit, body=visit.body(Decision)))
    except NotFound:
        raise
    except Refused as refusal:
        return visit.again("hosts/desk_appeals.html", refusal, **await visit.read(partial(_waiting, visit=visit)))
    return visit.go("/desk/appeals", "appeal_decided")


async def _second_one(visit: Visit) -> Response:
    await visit.write(partial(_second, visit=visit))
    return visit.go("/desk/appeals", "host_decided")


async def _withdraw_one(visit: Visit) -> Response:
    await visit.write(partial(_withdraw, visit=visit))
    return visit.go("/desk/appeals", "host_decided")


async def _card(visit: Visit) -> Mapping[str, object]:
    waiting = await visit.read(partial(_waiting, visit=visit))
    since_s = visit.now_s - COST_DAYS * DAY_S
    return {
        "appeals": len(waiting["appeals"]),
        "forfeitures": len(waiting["forfeitures"]),
        "minutes": visit.office.config.measure_speed_minutes,
        "models": await visit.office.trier.models(),
        "costs": await visit.read(partial(trial_costs, since_s=since_s)),
        "days": COST_DAYS,
    }


HOSTS_DESK_CARD: Final = Card("Hosts", "hosts/desk_card.html", _card)


async def _abuse(visit: Visit) -> Response:
    number = _number(visit.query.get("page", ""))
    lanes = await visit.read(partial(reported_lanes, limit=PAGE_SIZE + 1, offset=(number - 1) * PAGE_SIZE))
    return visit.page("hosts/desk_abuse.html", lanes=lanes[:PAGE_SIZE], more=len(lanes) > PAGE_SIZE, number=number)


async def _refuse_one(visit: Visit) -> Response:
    await visit.write(partial(_refuse_lane, visit=visit))
    return visit.go("/desk/abuse", "lane_refused")


# --- the API ---------------------------------------------------------------------------------------------------------


def _seen(transaction: Transaction, visit: Visit) -> dict[str, Any]:
    _look(transaction, visit)
    details = host_details(transaction, visit.parameters["host"])
    host = details.host
    return {
        "id": host.id,
        "account": host.account_id,
        "peer_id": host.peer_id,
        "name": host.name,
        "state": host.state,
        "standing": host.standing(visit.now_s),
        "sanctions": [dict(each) for each in details.sanctions],
    }


async def _api_host(visit: Visit) -> Response:
    return visit.json(await visit.write(partial(_seen, visit=visit)))


def _api_sanction(give: Callable[..., str]) -> Callable[[Visit], Any]:
    async def handle(visit: Visit) -> Response:
        await visit.write(partial(_sanction, give, visit=visit, body=visit.body(Sanction)))
        return visit.json(await visit.write(partial(_seen, visit=visit)))

    return handle


async def _api_lift(visit: Visit) -> Response:
    await visit.write(partial(_lift, visit=visit))
    return visit.json(await visit.write(partial(_seen, visit=visit)))


async def _api_waiting(visit: Visit) -> Response:
    waiting = await visit.read(partial(_waiting, visit=visit))
    return visit.json({"appeals": waiting["appeals"], "forfeitures": waiting["forfeitures"]})


async def _api_decide(visit: Visit) -> Response:
    body = visit.body(Decision)
    await visit.write(partial(_decide, visit=visit, body=body))
    return visit.json({"outcome": body.outcome})


async def _api_second(visit: Visit) -> Response:
    await visit.write(partial(_second, visit=visit))
    return visit.json({"seconded": True})


async def _api_withdraw(visit: Visit) -> Response:
    await visit.write(partial(_withdraw, visit=visit))
    return visit.json({"withdrawn": True})


async def _api_abuse(visit: Visit) -> Response:
    lanes = await visit.read(partial(reported_lanes, limit=PAGE_SIZE))
    return visit.json({"lanes": [{**asdict(lane), "lane_key": lane.lane_key.hex()} for lane in lanes]})


async def _api_refuse(visit: Visit) -> Response:
    await visit.write(partial(_refuse_lane, visit=visit))
    return visit.json({"refused": True})


_DESK: Final = "/api/v1/desk"

ROUTES: Final[tuple[Page, ...]] = (
    page("GET", "/desk/hosts", _list, OPERATORS, "Hosts, by state, name or peer id"),
    page("GET", "/desk/hosts/{host}", _host, OPERATORS, "A host"),
    *(
        page("POST", f"/desk/hosts/{{host}}/{name}", _sanction_page(name, give), CAREFUL, about, body=Sanction)
        for name, (give, about) in SANCTIONS.items()
    ),
    page("POST", "/desk/hosts/{host}/lift", _lift_one, CAREFUL, "Lift a suspension"),
    page("GET", "/desk/appeals", _appeals, OPERATORS, "Appeals and forfeitures that wait for a decision"),
    page("POST", "/desk/appeals/{appeal}", _decide_one, CAREFUL, "Decide an appeal", body=Decision),
    page("POST", "/desk/forfeitures/{sanction}/second", _second_one, CAREFUL, "Agree to a forfeiture"),
    page("POST", "/desk/forfeitures/{sanction}/withdraw", _withdraw_one, CAREFUL, "Drop a forfeiture"),
    page("GET", "/desk/abuse", _abuse, OPERATORS, "Lanes that hosts have reported"),
    page("POST", "/desk/abuse/{lane}/refuse", _refuse_one, CAREFUL, "Settle nothing more for a lane"),
    api("GET", f"{_DESK}/hosts/{{host}}", _api_host, BY_TOKEN, "A host"),
    *(
        api("POST", f"{_DESK}/hosts/{{host}}/{name}", _api_sanction(give), CAREFUL_BY_TOKEN, about, body=Sanction)
        for name, (give, about) in SANCTIONS.items()
    ),
    api("POST", f"{_DESK}/hosts/{{host}}/lift", _api_lift, CAREFUL_BY_TOKEN, "Lift a suspension"),
    api("GET", f"{_DESK}/appeals", _api_waiting, BY_TOKEN, "Appeals and forfeitures that wait for a decision"),
    api("POST", f"{_DESK}/appeals/{{appeal}}", _api_decide, CAREFUL_BY_TOKEN, "Decide an appeal", body=Decision),
    api("POST", f"{_DESK}/forfeitures/{{sanction}}/second", _api_second, CAREFUL_BY_TOKEN, "Agree to a forfeiture"),
    api("POST", f"{_DESK}/forfeitures/{{sanction}}/withdraw", _api_withdraw, CAREFUL_BY_TOKEN, "Drop a forfeiture"),
    api("GET", f"{_DESK}/abuse", _api_abuse, BY_TOKEN, "Lanes that hosts have reported"),
    api("POST", f"{_DESK}/abuse/{{lane}}/refuse", _api_refuse, CAREFUL_BY_TOKEN, "Settle nothing more for a lane"),
)
