"""A portal as an operator has it, for tests of its face: a ledger of four nodes, figures, people, a real server."""

import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any, Final

import trio
from attrs import define, frozen

from bootstrap.database import Transaction
from bootstrap.log import Log
from bootstrap.people.sessions import begin_session
from bootstrap.portal.office import Office
from bootstrap.portal.routes import Page
from bootstrap.portal.serving import open_office, run_portal
from bootstrap.portal.settings import PortalConfig
from bootstrap.portal.table import ROUTES
from bootstrap.public.figures import Figures
from bootstrap.public.ledger_view import NodeLedger
from peernet.core.ledger.checkpoint import read_unverified
from peernet.core.ledger.messages import mirror_prefix
from peernet.core.ledger.notes import parse_note
from peernet.core.ledger.policy import LedgerPolicy
from peernet.core.ledger.tiles import CHECKPOINT_PATH
from peernet.core.metering import GrantRequest, Lane, LaneTerms, Settlement, sign_receipt, sign_voucher
from tests.ledger_nodes import SUITE, LedgerNode, entries_of, nodes_in, seed_of
from tests.people_made import FROM, add_account

__all__ = ["FIGURES", "SITE_NOW_S", "FixedFigures", "Site", "new_person", "running_site", "site_ledger", "site_office"]

SITE_NOW_S: Final = 1_795_737_600
"""27 November 2026, at midnight."""
NODES: Final = ("alder.example", "birch.example", "cedar.example", "elder.example")
NONCE: Final = b"\x0a" * 32
FIGURES: Final = Figures(
    at_s=SITE_NOW_S,
    directory_at_s=SITE_NOW_S - 40,
    relays=128,
    hosts=37,
    models=("llama-3.3-70b-instruct", "qwen2.5-32b-instruct", "smollm2-135m-instruct"),
    regions=("ap-south", "eu-central", "eu-north", "us-east"),
    entries=18_204,
    settlements=4_312,
    settled_microcredits=96_400_250,
    tokens=2_811_904,
    tokens_since_s=SITE_NOW_S - 9 * 3600,
)


class FixedFigures:
    """Figures that stay."""

    async def current(self) -> Figures:
        return FIGURES


def lane_requests(count: int) -> Iterator[GrantRequest | Settlement]:
    """Lanes of one host, two of three settled."""
    payout = seed_of("payout")
    terms = LaneTerms(SUITE.ed25519_public(payout), 20, 50, 64)
    for number in range(count):
        seed = seed_of(f"lane {number}")
        request = GrantRequest(SUITE.ed25519_public(seed), 50_000, SITE_NOW_S + 7200, terms.commit(NONCE))
        yield request
        if number % 3 < 2:
            lane = Lane(NODES[0], request.lane_key, terms, request.cap_microcredits, request.expires_at_s)
            voucher = sign_voucher(lane, 40 + number, 90 + 7 * (number % 60), seed, SUITE)
            yield Settlement(sign_receipt(voucher, NONCE, payout, SUITE), terms, NONCE)


def cosigned_note(own: LedgerNode, log: Log, others: Sequence[LedgerNode]) -> bytes:
    """The log's checkpoint, with the cosignatures of its own node and of these."""
    note = parse_note(log.checkpoint())
    for cosigner in (own.witness, own.validator):
        note = note.with_signature(cosigner.sign(note.text, SITE_NOW_S, SUITE))
    for other in others:
        mirror = other.mirror_of(own)
        for line in (
            mirror.witness(0, (), log.checkpoint(), SITE_NOW_S + 2),
            mirror.extend(entries_of(log), log.checkpoint(), SITE_NOW_S + 3),
        ):
            note = note.with_signature(line)
    return note.encode()


@define
class SiteLedger:
    """The node's log, the mirrors of two others, and the files that it serves."""

    log: Log
    note: bytes
    policy: LedgerPolicy
    mirrors: dict[str, Any]

    async def read_file(self, path: str) -> bytes:
        await trio.lowlevel.checkpoint()
        if path == CHECKPOINT_PATH:
            return self.note
        for prefix, mirror in self.mirrors.items():
            if path.startswith(prefix):
                return mirror.read(path.removeprefix(prefix))
        return self.log.read(path)

    def view(self) -> NodeLedger:
        return NodeLedger(self.log, self.read_file, self.policy, SUITE)


def site_ledger(folder: Path, stack: ExitStack, lanes: int = 21) -> SiteLedger:
    """A log with so many lanes, final with three of four nodes, and a mirrored one that is not final yet."""
    nodes, policy = nodes_in(folder, stack, NODES)  # type: ignore[arg-type]
    own, other = nodes[0], nodes[1]
    log = own.new_log()
    log.append(list(lane_requests(lanes)), SITE_NOW_S - 600)
    note = cosigned_note(own, log, nodes[1:3] if lanes else ())
    theirs = other.new_log()
    theirs.append([next(lane_requests(1))], SITE_NOW_S - 500)
    mirror = own.mirror_of(other)
    mirror.witness(0, (), theirs.checkpoint(), SITE_NOW_S)
    mirror.extend(entries_of(theirs), theirs.checkpoint(), SITE_NOW_S)
    assert read_unverified(note).size == log.size
    return SiteLedger(log, note, policy, {mirror_prefix(other.name): mirror})


def new_person(office: Office, account: str, name: str, *roles: str, state: str = "active") -> str:
    """Somebody with an account; returns what their browser's cookie holds."""
    email = f"{account}@example.org"
    account_id = add_account(office.database, email, roles=roles, state=state, now_s=office.now_s())

    def work(transaction: Transaction) -> str:
        transaction.execute("UPDATE account SET display_name = :name WHERE id = :id", id=account_id, name=name)
        return begin_session(transaction, account_id, FROM, office.now_s())

    return office.database.write(work)


def site_office(folder: Path, ledger: SiteLedger, **settings: Any) -> Office:
    """An office with figures and this ledger, served at a free port of this machine."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    config = PortalConfig(
        **{
            "listen": f"127.0.0.1:{port}",
            "database": str(folder / "operator.sqlite"),
            "operator_name": "Alder Cooperative",
            "contact_email": "help@alder.example",
            **settings,
        }
    )
    office = open_office(config, folder, bytes(range(32)))
    office.figures = FixedFigures()
    office.ledger = ledger.view()
    return office


@frozen
class Site:
    """A portal that runs."""

    office: Office
    ledger: SiteLedger

    @property
    def url(self) -> str:
        return self.office.origin


@contextmanager
def running_site(folder: Path, routes: Sequence[Page] = ROUTES, *, lanes: int = 21, **settings: Any) -> Iterator[Site]:
    """A portal on a real socket, in a thread of its own."""
    with ExitStack() as stack:
        ledger = site_ledger(folder, stack, lanes)
        site = Site(site_office(folder, ledger, **settings), ledger)
        with served(site.office, routes):
            yield site


@contextmanager
def served(office: Office, routes: Sequence[Page] = ROUTES) -> Iterator[None]:
    """Serves this office in a thread; closes its database."""
    ready, failed = Event(), []
    leave = trio.Event()
    token: list[trio.lowlevel.TrioToken] = []

    async def serve() -> None:
        token.append(trio.lowlevel.current_trio_token())
        async with trio.open_nursery() as nursery:
            await nursery.start(run_portal, office, routes)
            ready.set()
            await leave.wait()
            nursery.cancel_scope.cancel()

    def run() -> None:
        try:
            trio.run(serve)
        except BaseException as error:  # noqa: BLE001  (handed to whoever waits)
            failed.append(error)
        finally:
            ready.set()

    thread = Thread(target=run, name="portal")
    thread.start()
    ready.wait(timeout=20)
    try:
        if failed:
            raise failed[0]
        yield
    finally:
        if token and thread.is_alive():
            token[0].run_sync_soon(leave.set)
        thread.join(timeout=20)
    if failed:
        raise failed[0]
