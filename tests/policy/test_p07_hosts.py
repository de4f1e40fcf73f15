"""P7, but for inspections: hosts sign what they are told, strikes count, and nothing is final before an appeal."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trio
from attrs import define, evolve, field

from bootstrap.database import Database, Transaction
from bootstrap.hosts.agreement import agreement
from bootstrap.hosts.appeals import decide_appeal, make_appeal
from bootstrap.hosts.codes import new_code
from bootstrap.hosts.earnings import NoEarnings
from bootstrap.hosts.forfeiting import ALONE_S, ask_forfeiture, carry_out_forfeitures, second_forfeiture
from bootstrap.hosts.overlay import OverlayHosts
from bootstrap.hosts.registering import register_host
from bootstrap.hosts.standing import APPEAL_WITHIN_S, STRIKES, give_strike, left_out, suspend_host
from bootstrap.portal.hosts_jobs import measure_hosts, tell_network
from bootstrap.refusal import Refused
from peernet.core.errors import UserError
from peernet.core.host_statements import HostAgreement
from peernet.core.identity import Keypair
from peernet.host.portal_client import PortalClient
from peernet.host.registration import Machine, Offered, register
from tests.browsing import Browser, new_office
from tests.directory_network import Network, until
from tests.registered_hosts import ORIGIN, SUITE, HostKeys, add_account, add_host, keys_of, registration

NOW_S = 1_000_000
WHY: dict[str, str] = {"reason": "stores_text", "explanation": "A log file was found."}


@pytest.fixture
def people(sqlite_database: Database) -> Database:
    def set_up(transaction: Transaction) -> None:
        add_account(transaction, "ann")
        for name in ("olga", "omar"):
            add_account(transaction, name, "operator")

    sqlite_database.write(set_up)
    return sqlite_database


def do(database: Database, work: Any, *args: object, at: int = NOW_S, **values: object) -> Any:
    return database.write(lambda transaction: work(transaction, *args, now_s=at, **values))


def new_host(database: Database) -> str:
    return database.write(lambda transaction: add_host(transaction, "ann", now_s=NOW_S))


# --- told and signed -------------------------------------------------------------------------------------------------


async def test_hosts_are_told_the_restrictions_before_anything_is_signed(tmp_path: Path) -> None:
    office = new_office(tmp_path)
    try:
        browser = Browser(office)
        page = " ".join((await browser.open("/agreement")).text.split())
        served = (await browser.http.get("/api/v1/agreement")).json()
    finally:
        office.database.close()
    for said in ("You do not store what your host is given", "You do not try to find out who asked",
                 "The operator may send prompts of its own", "A person decides, not a program"):  # fmt: skip
        assert said in page
        assert said in " ".join(served["text"].split())
    sent: list[object] = []

    class Listening(PortalClient):
        async def post(self, path: str, body: dict[str, object]) -> Any:
            sent.append(body)
            return {"host": "made"}

    keys = keys_of(1)
    with pytest.raises(UserError, match="not accepted"):
        await register(
            Listening(ORIGIN),
            Offered(served["version"], served["text"], bytes.fromhex(served["digest"])),
            code="AAAA-AAAA-AAAA-AAAA",
            name="cellar",
            identity=keys.peer,
            payout=keys.payout,
            machine=Machine(1, 1, ()),
            engine="embedded",
            models=[],
            suite=SUITE,
            agreed=lambda _: False,
        )
    assert sent == []


def test_no_host_is_registered_without_its_keys_under_this_version_of_the_text(people: Database) -> None:
    code = do(people, lambda transaction, now_s: new_code(transaction, "ann", now_s))
    good = registration(keys_of(1), code)
    wrong = (
        registration(keys_of(1), code, signer=keys_of(2)),
        evolve(good, signature=registration(keys_of(2), code).signature),
        evolve(good, payout_signature=good.signature),
        registration(keys_of(1), code, digest=bytes(32)),
        registration(keys_of(1), code, version="2020-01"),
        registration(keys_of(1), code, portal="https://elsewhere.example"),
    )
    for sent in wrong:
        with pytest.raises(Refused):
            people.write(lambda transaction, sent=sent: register_host(transaction, sent, SUITE, ORIGIN, NOW_S))
    people.write(lambda transaction: register_host(transaction, good, SUITE, ORIGIN, NOW_S))
    row = people.read(lambda transaction: transaction.row("SELECT version, digest FROM host_agreement"))
    assert row == (agreement().version, agreement().digest)
    assert isinstance(good.statement, HostAgreement)


# --- strikes ---------------------------------------------------------------------------------------------------------


def test_strikes_suspend_a_host_and_are_told_to_its_operator(people: Database) -> None:
    host = new_host(people)
    for _ in range(STRIKES):
        assert people.read(left_out) == frozenset()
        do(people, give_strike, host, by="olga", **WHY)
    assert people.read(left_out) == {keys_of(1).peer.public_key}
    told = people.read(lambda transaction: transaction.rows("SELECT recipient, body FROM mail"))
    assert [to for to, _ in told] == ["ann@example.org"] * STRIKES
    assert all("You can appeal" in body for _, body in told)


async def test_a_suspended_host_is_in_no_directory_of_this_node(tmp_path: Path) -> None:
    office = new_office(tmp_path / "portal")
    async with trio.open_nursery() as nursery:
        network = Network(tmp_path, nursery)
        await network.start_all("bootstrap 0", "relay 0", "host 0")
        await until(lambda: "host 0" in network.listed("bootstrap 0"))
        service = network.services["bootstrap 0"]
        beside = SimpleNamespace(directory=service, refused_lanes=frozenset())
        office.hosts = OverlayHosts(network.peers["bootstrap 0"], beside)  # type: ignore[arg-type]
        identity = network.keys("host 0").identity
        keys = HostKeys(identity, Keypair.from_seed(bytes(32), SUITE))

        def set_up(transaction: Transaction) -> str:
            add_account(transaction, "ann")
            add_account(transaction, "olga", "operator")
            sent = registration(keys, new_code(transaction, "ann", office.now_s()))
            return register_host(transaction, sent, SUITE, ORIGIN, office.now_s())

        host = office.database.write(set_up)
        await measure_hosts(office)
        answers = office.database.read(lambda transaction: transaction.row("SELECT answers FROM host_measured"))
        assert answers == (1,)
        do(office.database, suspend_host, host, by="olga", at=office.now_s(), **WHY)
        await tell_network(office)
        with trio.move_on_after(20):
            await until(lambda: "host 0" not in network.listed("bootstrap 0"), 20)
        assert "host 0" not in network.listed("bootstrap 0")
        # It still answers: what is left out is measured, so that an appeal can be judged.
        assert await office.hosts.round_trip_s(identity.public_key) is not None
        nursery.cancel_scope.cancel()
    office.database.close()


# --- nothing final before an appeal ----------------------------------------------------------------------------------


@define
class Purse(NoEarnings):
    """Earnings that can be forfeited."""

    taken: list[str] = field(factory=list)

    def forfeit(self, transaction: Transaction, *, account_id: str, host_id: str, key: str, now_s: int) -> int:
        self.taken.append(host_id)
        return 1


def forfeited(database: Database, at: int) -> list[str]:
    purse = Purse()
    do(database, carry_out_forfeitures, purse, at=at)
    return purse.taken


def test_nothing_is_forfeited_before_the_appeal_delay_or_while_an_appeal_is_open(people: Database) -> None:
    host = new_host(people)
    do(people, suspend_host, host, by="olga", **WHY)
    asked = do(people, ask_forfeiture, host, by="olga", **WHY)
    do(people, second_forfeiture, asked, by="omar")
    due = NOW_S + APPEAL_WITHIN_S
    assert forfeited(people, due - 1) == []
    appeal = people.write(lambda transaction: make_appeal(transaction, asked, "ann", "It was not so.", due - 1))
    assert forfeited(people, due + APPEAL_WITHIN_S) == []
    do(people, decide_appeal, appeal, granted=False, explanation="It was so.", by="omar", at=due)
    assert forfeited(people, due) == [host]


def test_one_operator_forfeits_nothing_alone_where_there_is_another(people: Database) -> None:
    host = new_host(people)
    do(people, suspend_host, host, by="olga", **WHY)
    asked = do(people, ask_forfeiture, host, by="olga", **WHY)
    with pytest.raises(Refused):
        do(people, second_forfeiture, asked, by="olga")
    assert forfeited(people, NOW_S + 10 * ALONE_S) == []


def test_whoever_gave_a_sanction_does_not_judge_the_appeal(people: Database) -> None:
    host = new_host(people)
    strike = do(people, give_strike, host, by="olga", **WHY)
    appeal = people.write(lambda transaction: make_appeal(transaction, strike, "ann", "It was not so.", NOW_S))
    decision = {"granted": True, "explanation": "We looked."}
    with pytest.raises(Refused, match="another operator decides"):
        do(people, decide_appeal, appeal, by="olga", **decision)
    do(people, decide_appeal, appeal, by="omar", **decision)
    row = people.read(lambda transaction: transaction.row("SELECT ended_why FROM sanction WHERE id = :id", id=strike))
    assert row == ("appeal",)
