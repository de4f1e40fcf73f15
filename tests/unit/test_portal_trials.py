"""Hosts are asked in turns, by a job of the portal; what was measured is told apart from what hosts report."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import pytest
import trio
from attrs import define, evolve, field
from prometheus_client import CollectorRegistry, generate_latest

from bootstrap.hosts.questions import MAX_ANSWER_TOKENS
from bootstrap.hosts.trials import record_trial
from bootstrap.people.sessions import Origin, begin_session
from bootstrap.portal import hosts_jobs
from bootstrap.portal.hosts_jobs import run_trier, try_hosts
from bootstrap.portal.jobs import JOBS
from bootstrap.portal.office import Office
from bootstrap.portal.settings import PortalConfig
from bootstrap.portal.visit import SESSION_COOKIE
from peernet.core.host_trials import HostTrial
from tests.browsing import Browser, new_office
from tests.registered_hosts import add_account, add_host, keys_of

NOW_S = 1_000 * 24 * 3600 + 7_200
DIGEST = b"\x01" * 32
"""As `add_host` declares it."""
ANSWERED = HostTrial(
    "answered",
    prompt_tokens=20,
    answer_tokens=51,
    first_token_s=0.321,
    later_tokens=50,
    later_s=2.0,
    longest_gap_s=0.25,
    price_microcredits=300_000,
)


@define
class FakeTrier:
    """A `HostTrier` that finds what it is told to find."""

    found: dict[bytes, HostTrial] = field(factory=dict)
    counted: Sequence[str] = ("small",)
    asked: list[tuple[bytes, str, str, int, int]] = field(factory=list)
    at_once: int = 0
    most_at_once: int = 0
    ran: int = 0

    async def run(self) -> None:
        await trio.lowlevel.checkpoint()
        self.ran += 1

    async def models(self) -> Sequence[str]:
        return self.counted

    async def ask(
        self, peer_key: bytes, model: str, text: str, *, max_tokens: int, at_most_microcredits: int
    ) -> HostTrial:
        self.asked.append((peer_key, model, text, max_tokens, at_most_microcredits))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await trio.sleep(0.01)
        self.at_once -= 1
        return self.found.get(peer_key, HostTrial("unreached"))


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    made = new_office(tmp_path)
    made.now_s = lambda: NOW_S
    made.trier = FakeTrier()

    def set_up(transaction) -> None:
        for name, *roles in (("ann",), ("olga", "operator")):
            add_account(transaction, name, *roles, notice=made.notice_version)

    made.database.write(set_up)
    yield made
    made.database.close()


def due_host(office: Office, number: int = 1, model: str = "small") -> str:
    """A host that answers pings, offers a model, and has its turn."""

    def work(transaction) -> str:
        host = add_host(transaction, "ann", number, NOW_S)
        transaction.execute("UPDATE host SET answered_at_s = :now WHERE id = :id", now=NOW_S, id=host)
        transaction.execute(
            "INSERT INTO host_model VALUES (:id, :model, 'offered', :d, 1)", id=host, model=model, d=DIGEST
        )
        transaction.execute("INSERT INTO host_trial_due VALUES (:id, 0)", id=host)
        return host

    return office.database.write(work)


def rows(office: Office, sql: str):
    return office.database.read(lambda transaction: transaction.rows(sql))


def browse(office: Office, name: str) -> Browser:
    browser = Browser(office)
    begin = partial(begin_session, account_id=name, origin=Origin("203.0.113.0/24", "Firefox"), now_s=NOW_S)
    browser.http.cookies.set(SESSION_COOKIE, office.database.write(begin))
    return browser


def keep(office: Office, host: str, *trials: HostTrial) -> None:
    for trial in trials:
        office.database.write(partial(record_trial, host_id=host, model="small", trial=trial, now_s=NOW_S))


# --- the job ---------------------------------------------------------------------------------------------------------


async def test_whose_turn_it_is_is_asked_once_and_what_came_of_it_is_kept(office: Office):
    due_host(office)
    office.trier.found[keys_of(1).peer.public_key] = ANSWERED
    await try_hosts(office)
    await try_hosts(office)
    ((key, model, text, max_tokens, most),) = office.trier.asked
    assert (key, model, most) == (keys_of(1).peer.public_key, "small", 5_000)
    assert 0 < max_tokens <= MAX_ANSWER_TOKENS
    assert rows(office, "SELECT model, tries, answers, first_token_us FROM host_trial") == [("small", 1, 1, 321_000)]
    ((due,),) = rows(office, "SELECT due_at_s FROM host_trial_due")
    assert NOW_S + 30 * 60 <= due <= NOW_S + 90 * 60
    assert text not in repr(rows(office, "SELECT * FROM host_trial"))


async def test_a_host_that_is_not_reached_has_a_failure_and_its_next_turn(office: Office):
    due_host(office)
    await try_hosts(office)
    assert rows(office, "SELECT tries, answers, unreached FROM host_trial") == [(1, 0, 1)]
    assert rows(office, "SELECT due_at_s FROM host_trial_due")[0][0] > NOW_S


async def test_where_no_lane_is_granted_and_there_are_no_credits_nothing_is_held_against_the_host(office: Office):
    due_host(office)
    office.trier.found[keys_of(1).peer.public_key] = HostTrial("not_paid")
    await try_hosts(office)
    assert rows(office, "SELECT * FROM host_trial") == []
    assert rows(office, "SELECT tries, not_tried FROM network_trial") == [(0, 1)]
    desk = browse(office, "olga")
    await desk.open("/desk")
    assert "1 more could not be asked" in desk.text


async def test_few_hosts_are_asked_at_once(office: Office, monkeypatch: pytest.MonkeyPatch):
    for number in range(1, 5):
        due_host(office, number)
    await try_hosts(office)
    assert len(office.trier.asked) == 4
    assert office.trier.most_at_once == hosts_jobs.TRIES_AT_ONCE


@pytest.mark.parametrize("reason", ["off", "no_model", "other_model"])
async def test_nobody_is_asked_where_it_is_off_or_tokens_cannot_be_counted(office: Office, reason: str):
    due_host(office)
    if reason == "off":
        office.config = evolve(office.config, measure_speed_minutes=0)
    else:
        office.trier.counted = () if reason == "no_model" else ("large",)
    await try_hosts(office)
    assert office.trier.asked == []
    assert rows(office, "SELECT * FROM network_trial") == []


def test_an_interval_that_makes_no_sense_is_refused():
    for wrong in ({"measure_speed_minutes": -1}, {"measure_speed_microcredits": 0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            PortalConfig(**wrong)


async def test_the_client_that_asks_is_run_by_a_job(office: Office):
    assert {hosts_jobs.run_trier, hosts_jobs.try_hosts} <= {job.run for job in JOBS}
    await run_trier(office)
    assert office.trier.ran == 1


async def test_metrics_count_questions_by_what_became_of_them(office: Office):
    due_host(office)
    due_host(office, 2)
    office.trier.found[keys_of(1).peer.public_key] = ANSWERED
    await try_hosts(office)
    registry = CollectorRegistry()
    registry.register(office.metrics)
    told = generate_latest(registry).decode()
    assert 'peernet_host_trials_total{outcome="answered"} 1.0' in told
    assert 'peernet_host_trials_total{outcome="unreached"} 1.0' in told
    assert "peernet_host_trials_microcredits_total 300000.0" in told


# --- what is shown ---------------------------------------------------------------------------------------------------


async def test_measured_and_reported_speeds_stand_apart(office: Office):
    host = due_host(office)
    keep(office, host, ANSWERED, ANSWERED, ANSWERED, HostTrial("refused"))
    browser = browse(office, "ann")
    await browser.open(f"/hosts/{host}")
    for said in ("321 ms to the first token, measured by this node's questions",
                 "not known to the first token, reported by the host", "0 too slow, 1 refused",
                 "answers: 25.0 a second; prompts: not known", "Time between tokens, measured",
                 "Machine, as the host's software found it 8 cores", "Engine, as declared embedded"):  # fmt: skip
        assert said in browser.text, said
    assert "Worth a look" not in browser.text
    told = (await browser.http.get(f"/api/v1/hosts/{host}")).json()
    assert told["speeds"][0]["answer_tokens_per_s"] == 25
    assert told["days"][-1]["measured"]["first_token_ms"] == 321
    assert told["days"][-1]["reported"]["first_token_ms"] is None
    assert told["days"][-1]["measured"]["failures"]["refused"] == 1
    assert (told["doubts"], told["found_by_its_software"]["gpus"]) == ([], ["Testcard 9000"])
    await browser.open("/hosts")
    assert "321 ms" in browser.text
    (listed,) = (await browser.http.get("/api/v1/hosts")).json()["hosts"]
    assert (listed["measured"]["questions"], listed["measured"]["failure_rate"]) == (4, 0.25)


async def test_a_doubt_is_a_remark_and_changes_nothing_of_the_hosts_standing(office: Office):
    host = due_host(office)
    keep(office, host, *[evolve(ANSWERED, later_s=200.0)] * 5)
    browser, desk = browse(office, "ann"), browse(office, "olga")
    for page, each in ((f"/hosts/{host}", browser), (f"/desk/hosts/{host}", desk)):
        await each.open(page)
        assert "slower than a processor alone usually is" in each.text
        assert "A remark and no strike" in each.text or "This is a remark and no strike" in each.text
    assert rows(office, "SELECT state FROM host") == [("active",)]
    assert rows(office, "SELECT * FROM sanction") == []


async def test_everybody_sees_how_fast_models_are_and_not_whose_host_it_was(office: Office):
    host = due_host(office)
    keep(office, host, ANSWERED, ANSWERED, ANSWERED)
    browser = Browser(office)
    await browser.open("/status")
    assert "small 1 321 ms 25.0 a second" in browser.text
    assert host not in browser.page.text
    told = (await browser.http.get("/api/v1/status")).json()
    (measured,) = told["measured"]
    assert (measured["model"], measured["questions"], measured["first_token_ms"]) == ("small", 3, 321)


async def test_the_desk_tells_what_measuring_costs(office: Office):
    host = due_host(office)
    desk = browse(office, "olga")
    office.trier.counted = ()
    await desk.open("/desk")
    assert "no model is installed for this node to count with" in desk.text
    keep(office, host, ANSWERED, HostTrial("timed_out", price_microcredits=50_000))
    await desk.open("/desk")
    assert "2 questions in 30 days, of which 1 failed, cost 0.35 credits" in desk.text
    await desk.open(f"/desk/hosts/{host}")
    assert "Questions to it cost, 30 days 0.35 credits" in desk.text
    office.config = evolve(office.config, measure_speed_minutes=0)
    await desk.open("/desk")
    assert "measure_speed_minutes is 0" in desk.text
