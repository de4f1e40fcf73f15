"""The API about hosts: what hosts send, signed with their keys, and what their operators see and do.

What a host sends needs no account: its signature is what counts, and a browser's cookies say nothing there.
"""

import re
from functools import partial
from typing import Any, Final

from attrs import asdict, evolve, frozen
from starlette.responses import Response

from bootstrap.database import Transaction
from bootstrap.hosts.agreement import agreement
from bootstrap.hosts.codes import CODE_PATTERN, LIFETIME_S, new_code
from bootstrap.hosts.figures import Host, Served
from bootstrap.hosts.ownership import owner_of_sanction
from bootstrap.hosts.registering import Declared, DeclaredModel, Registration, register_host
from bootstrap.hosts.reports import take_abuse_report, take_service_report
from bootstrap.hosts.speeds import Speed
from bootstrap.hosts.standing import retire_host
from bootstrap.portal.access import EVERYBODY, Rule, owned
from bootstrap.portal.bodies import many, text, whole
from bootstrap.portal.hosts_pages import (
    MAX_NAME,
    Appeal,
    HostSettings,
    OneHost,
    appeal_by,
    change_settings,
    look_at_host,
    overview_of,
    own,
    status_of_network,
)
from bootstrap.portal.routes import Page, api
from bootstrap.portal.visit import Visit
from bootstrap.refusal import NotFound, Refused
from peernet.core.errors import UserError
from peernet.core.host_statements import AbuseReport, HostAgreement, ServiceReport
from peernet.core.host_trials import FAILURES
from peernet.core.identity import PeerId
from peernet.core.suite import MixedSuite

__all__ = ["ROUTES"]

HEX_KEY: Final = "[0-9a-f]{64}"
HEX_SIGNATURE: Final = "[0-9a-f]{128}"
PEER_ID: Final = "[1-9A-HJ-NP-Za-km-z]{40,64}"
PORTAL: Final = r"https?://[^\s/]{1,250}"
MAX_MODELS: Final = 32
MAX_GPUS: Final = 16
MAX_COUNT: Final = 2**52
MAX_TIME_S: Final = 2**40
_MODEL: Final = re.compile(r"([ -~]{1,128}) ([0-9a-f]{64})")
_SUITE: Final = MixedSuite()

MINE: Final = Rule(signed_in=True, scope="hosts")
APPEALS: Final = owned(lambda transaction, path: owner_of_sanction(transaction, path["sanction"]), scope="hosts")


@frozen
class Register:
    """A host that signs the agreement."""

    portal: str = text(at_most=300, pattern=PORTAL)
    version: str = text(at_most=20, at_least=1)
    digest: str = text(at_most=64, pattern=HEX_KEY)
    code: str = text(at_most=19, pattern=CODE_PATTERN)
    peer_id: str = text(at_most=64, pattern=PEER_ID)
    payout_key: str = text(at_most=64, pattern=HEX_KEY)
    signature: str = text(at_most=128, pattern=HEX_SIGNATURE)
    payout_signature: str = text(at_most=128, pattern=HEX_SIGNATURE)
    name: str = text(at_most=MAX_NAME, at_least=1)
    cores: int = whole(at_least=1, at_most=100_000)
    memory_mib: int = whole(at_least=0, at_most=2**40)
    engine: str = text(at_most=40, at_least=1)
    software: str = text(at_most=60, at_least=1)
    gpus: tuple[str, ...] = many(at_most=MAX_GPUS, each_at_most=100, default=())
    models: tuple[str, ...] = many(at_most=MAX_MODELS, each_at_most=200, default=())
    """Each a name, a space, and the digest of the weights in hexadecimal digits."""


@frozen
class Report:
    """How a host has served (`core.host_statements.ServiceReport`)."""

    portal: str = text(at_most=300, pattern=PORTAL)
    from_s: int = whole(at_least=0, at_most=MAX_TIME_S)
    until_s: int = whole(at_least=0, at_most=MAX_TIME_S)
    requests: int = whole(at_least=0, at_most=MAX_COUNT)
    errors: int = whole(at_least=0, at_most=MAX_COUNT)
    prompt_tokens: int = whole(at_least=0, at_most=MAX_COUNT)
    answer_tokens: int = whole(at_least=0, at_most=MAX_COUNT)
    first_tokens: int = whole(at_least=0, at_most=MAX_COUNT)
    first_token_ms: int = whole(at_least=0, at_most=MAX_COUNT)
    later_tokens: int = whole(at_least=0, at_most=MAX_COUNT)
    later_tokens_ms: int = whole(at_least=0, at_most=MAX_COUNT)
    signature: str = text(at_most=128, pattern=HEX_SIGNATURE)


@frozen
class Abuse:
    """What a host refused (`core.host_statements.AbuseReport`): no text."""

    portal: str = text(at_most=300, pattern=PORTAL)
    peer_id: str = text(at_most=64, pattern=PEER_ID)
    lane_key: str = text(at_most=64, pattern=HEX_KEY)
    category: str = text(at_most=40, pattern=r"[a-z_]{1,40}")
    count: int = whole(at_least=1, at_most=1_000_000)
    signature: str = text(at_most=128, pattern=HEX_SIGNATURE)


# --- what hosts send -------------------------------------------------------------------------------------------------


async def _agreement(visit: Visit) -> Response:
    now = agreement()
    return visit.json({"version": now.version, "digest": now.digest.hex(), "text": now.text})


async def _register(visit: Visit) -> Response:
    body = visit.body(Register)
    statement = HostAgreement(
        portal=body.portal,
        version=body.version,
        digest=bytes.fromhex(body.digest),
        code=body.code,
        peer_key=_peer_key(body.peer_id),
        payout_key=bytes.fromhex(body.payout_key),
    )
    declared = Declared(
        cores=body.cores,
        memory_mib=body.memory_mib,
        gpus=[" ".join(gpu.split()) for gpu in body.gpus],
        engine=body.engine,
        software=body.software,
        models=[_model(each) for each in body.models],
    )
    sent = Registration(
        statement, bytes.fromhex(body.signature), bytes.fromhex(body.payout_signature), body.name, declared
    )
    register = partial(register_host, sent=sent, suite=_SUITE, origin=visit.office.origin, now_s=visit.now_s)
    host_id = await visit.write(register)
    return visit.json({"host": host_id}, 201)


async def _report(visit: Visit) -> Response:
    body = visit.body(Report)
    values = asdict(body)
    signature = bytes.fromhex(values.pop("signature"))

    def take(transaction: Transaction) -> None:
        row = transaction.row("SELECT peer_key FROM host WHERE id = :id", id=visit.parameters["host"])
        if row is None:
            raise NotFound
        report = ServiceReport(peer_key=bytes(row[0]), **values)
        take_service_report(transaction, report, signature, _SUITE, visit.office.origin, visit.now_s)

    await visit.write(take)
    return visit.json({"taken": True}, 201)


async def _abuse(visit: Visit) -> Response:
    body = visit.body(Abuse)
    report = AbuseReport(body.portal, _peer_key(body.peer_id), bytes.fromhex(body.lane_key), body.category, body.count)
    await visit.write(
        partial(
            take_abuse_report,
            report=report,
            signature=bytes.fromhex(body.signature),
            suite=_SUITE,
            origin=visit.office.origin,
            now_s=visit.now_s,
        )
    )
    return visit.json({"taken": True}, 201)


def _peer_key(given: str) -> bytes:
    try:
        return PeerId.parse(given).public_key
    except UserError as error:
        raise Refused("this is no peer id", reason="bad_body", field="peer_id") from error


def _model(given: str) -> DeclaredModel:
    match = _MODEL.fullmatch(given)
    if match is None:
        raise Refused("a model is a name, a space and 64 hexadecimal digits", reason="bad_body", field="models")
    return DeclaredModel(match[1], bytes.fromhex(match[2]))


# --- what operators of hosts see and do ------------------------------------------------------------------------------


async def _status(visit: Visit) -> Response:
    status = await status_of_network(visit)
    return visit.json(
        {
            "registered": status.registered,
            "up": status.up,
            "suspended": status.suspended,
            "uptime": status.uptime,
            "models": [{"name": name, "hosts": count} for name, count in status.models],
            "measured": [{"model": model, **_told(speed)} for model, speed in status.speeds.items()],
            "claimed_regions": [{"region": region, "hosts": count} for region, count in status.regions],
            "named": [{"name": name, "up": up} for name, up in status.named],
        }
    )


async def _code(visit: Visit) -> Response:
    code = await visit.write(partial(new_code, account_id=visit.account_id, now_s=visit.now_s))
    return visit.json({"code": code, "portal": visit.office.origin, "expires_in_s": LIFETIME_S}, 201)


async def _list(visit: Visit) -> Response:
    overview = await visit.read(partial(overview_of, visit=visit))
    hosts = [
        {
            **_facts(host, visit.now_s),
            **_figures(overview.served.get(host.id, Served()), overview.speeds.get(host.id, Speed())),
            "settled": asdict(overview.earned[host.id]) if host.id in overview.earned else None,
        }
        for host in overview.hosts
    ]
    return visit.json({"hosts": hosts})


async def _host(visit: Visit) -> Response:
    one = await visit.read(partial(look_at_host, visit=visit, host_id=visit.parameters["host"]))
    return visit.json(_whole(one, visit.now_s))


async def _settings(visit: Visit) -> Response:
    host_id, body = visit.parameters["host"], visit.body(HostSettings)
    await visit.write(partial(change_settings, host_id=host_id, body=body))
    return await _host(visit)


async def _retire(visit: Visit) -> Response:
    await visit.write(partial(retire_host, host_id=visit.parameters["host"], now_s=visit.now_s))
    return await _host(visit)


async def _appeal(visit: Visit) -> Response:
    appeal_id = await visit.write(partial(appeal_by, visit=visit, body=visit.body(Appeal)))
    return visit.json({"appeal": appeal_id}, 201)


def _facts(host: Host, now_s: int) -> dict[str, Any]:
    return {
        "id": host.id,
        "peer_id": host.peer_id,
        "name": host.name,
        "named_in_public": host.named_in_public,
        "standing": host.standing(now_s),
        "registered_at_s": host.registered_at_s,
        "found_by_its_software": {
            "cores": host.cores,
            "memory_mib": host.memory_mib,
            "gpus": [gpu for gpu in host.gpus.split("\n") if gpu],
            "software": host.software,
        },
        "declared": {
            "engine": host.engine,
            "region": host.region,
        },
    }


def _told(speed: Speed) -> dict[str, Any]:
    """What this node's own questions to hosts found."""
    return {
        "questions": speed.tries,
        "failure_rate": speed.failure_rate,
        "first_token_ms": speed.first_token_ms,
        "inter_token_ms": speed.inter_token_ms,
        "answer_tokens_per_s": speed.answer_tokens_per_s,
    }


def _told_whole(speed: Speed) -> dict[str, Any]:
    return {
        **_told(speed),
        "prompt_tokens_per_s": speed.prompt_tokens_per_s,
        "slowest_first_token_ms": speed.slowest_first_ms,
        "longest_gap_ms": speed.longest_gap_ms,
        "failures": {word: getattr(speed, word) for word in FAILURES},
    }


def _figures(served: Served, speed: Speed) -> dict[str, Any]:
    return {
        "measured": {
            "pings": served.tries,
            "uptime": served.uptime,
            "round_trip_ms": served.round_trip_ms,
            **_told_whole(speed),
        },
        "reported": {
            "requests": served.requests,
            "error_rate": served.error_rate,
            "prompt_tokens": served.prompt_tokens,
            "answer_tokens": served.answer_tokens,
            "first_token_ms": served.first_token_ms,
            "inter_token_ms": served.inter_token_ms,
        },
    }


def _whole(one: OneHost, now_s: int) -> dict[str, Any]:
    details = one.details
    hidden = {"given_by", "seconded_by"}
    return {
        **_facts(details.host, now_s),
        "models": [
            {"name": name, "source": source, "digest": digest, "seen_at_s": at}
            for name, source, digest, at in details.models
        ],
        "speeds": [{"model": model, **_told_whole(speed)} for model, speed in one.speeds],
        "doubts": list(one.doubts),
        "agreements": [
            {"version": version, "digest": digest, "signed_at_s": at} for version, digest, at in details.agreements
        ],
        "payout_keys": [{"key": key, "registered_at_s": at} for key, at in details.payout_keys],
        # Who decided is the operators' own business; that somebody did is not.
        "sanctions": [{key: value for key, value in each.items() if key not in hidden} for each in details.sanctions],
        "settled": asdict(one.earned),
        "days": [{"at_s": day.at_s, **_figures(day.served, day.speed)} for day in one.days],
    }


ROUTES: Final[tuple[Page, ...]] = (
    api("GET", "/api/v1/agreement", _agreement, EVERYBODY, "The host agreement in force"),
    api("POST", "/api/v1/hosts", _register, EVERYBODY, "Register a host, which signs the agreement", body=Register),
    api("POST", "/api/v1/hosts/{host}/report", _report, EVERYBODY, "A host's own report, signed by it", body=Report),
    api("POST", "/api/v1/abuse", _abuse, EVERYBODY, "What a host refused, by lane, signed by it", body=Abuse),
    api("GET", "/api/v1/status", _status, EVERYBODY, "Hosts, models and uptime of the network"),
    api("GET", "/api/v1/hosts", _list, MINE, "All of one's own hosts"),
    api("POST", "/api/v1/hosts/codes", _code, evolve(MINE, restricted=False), "A code to register a host with"),
    api("GET", "/api/v1/hosts/{host}", _host, own, "One of one's own hosts"),
    api("PUT", "/api/v1/hosts/{host}", _settings, own, "A host's name, and where it is said", body=HostSettings),
    api("POST", "/api/v1/hosts/{host}/retire", _retire, own, "Take a host out"),
    api("POST", "/api/v1/sanctions/{sanction}/appeal", _appeal, APPEALS, "Appeal against a sanction", body=Appeal),
)
