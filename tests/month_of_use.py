"""A month of an operator's service, lived by the functions that real use calls, under a clock that is moved.

For pictures and for whoever wants pages that are full: somebody buys, subscribes, withdraws, runs three hosts of which
one is struck, is paid out, and asks about their data; others have accounts, write, and object.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

import trio
from attrs import evolve, frozen

from bootstrap.hosts.appeals import make_appeal
from bootstrap.hosts.codes import new_code
from bootstrap.hosts.measuring import Measured, record_round
from bootstrap.hosts.network import SeenHost
from bootstrap.hosts.registering import Declared, DeclaredModel, register_host
from bootstrap.hosts.reports import take_abuse_report, take_service_report
from bootstrap.hosts.standing import give_strike
from bootstrap.hosts.trials import record_trial
from bootstrap.money.earnings import Settlement, count_settlements, cursor_of
from bootstrap.money.offline import OfflineProvider
from bootstrap.money.payouts import ask_payout, start_payee
from bootstrap.money.purchases import start_purchase
from bootstrap.money.subscriptions import start_subscription
from bootstrap.money.withdrawals import Withdrawal, begin_withdrawal, finish_withdrawal, withdrawal
from bootstrap.portal.office import Office
from bootstrap.rights.choices import object_to
from bootstrap.rights.contact import write_message
from bootstrap.rights.requests import file_request
from peernet.core.host_statements import AbuseReport, ServiceReport, sign
from peernet.core.host_trials import ANSWERED, TIMED_OUT, HostTrial
from tests.people_made import FROM, add_account
from tests.registered_hosts import SUITE, HostKeys, keys_of, registration

__all__ = ["DAYS", "live_a_month"]

DAYS: Final = 30
DAY_S: Final = 24 * 3600
HOUR_S: Final = 3600
PINGS_EVERY_S: Final = HOUR_S
REPORTS_EVERY_S: Final = 6 * HOUR_S
TRIALS_EVERY_S: Final = 4 * HOUR_S
CREDIT: Final = 1_000_000
LOG: Final = "alder.example/peernet"


@frozen
class Machine:
    """One of the hosts."""

    name: str
    number: int
    declared: Declared
    region: str
    round_trip_ms: float
    first_token_ms: float
    inter_token_ms: float
    requests_a_day: int
    down_on: int
    """The day on which it is off for some hours."""

    @property
    def keys(self) -> HostKeys:
        return keys_of(self.number)


def _machine(name: str, number: int, gpu: str, model: str, region: str, *figures: float) -> Machine:
    declared = Declared(16, 65_536, (gpu,), "vllm", "peernet/0.1", (DeclaredModel(model, bytes([number]) * 32),))
    round_trip_ms, first_token_ms, inter_token_ms, requests, down_on = figures
    return Machine(
        name, number, declared, region, round_trip_ms, first_token_ms, inter_token_ms, int(requests), int(down_on)
    )


MACHINES: Final = (
    _machine("cellar", 1, "24 GiB card", "qwen2.5-32b-instruct", "eu-north", 18, 410, 31, 640, 12),
    _machine("attic", 2, "48 GiB card", "llama-3.3-70b-instruct", "eu-north", 22, 620, 44, 420, 19),
    _machine("workshop", 3, "8 GiB card", "smollm2-135m-instruct", "eu-central", 35, 120, 9, 210, 4),
)


class _Signer:
    """An issuer whose signatures nobody looks at: pictures show that credits left, and no credits."""

    async def sign(self, _: bytes, __: str, ___: int, blinded: Sequence[bytes]) -> tuple[bytes, ...]:
        await trio.lowlevel.checkpoint()
        return tuple(blinded)


class _Month:
    """The clock, and what is done under it."""

    def __init__(self, office: Office, account: str, start_s: int) -> None:
        self.office = office
        self.account = account
        self.now_s = start_s
        self.hosts: dict[str, str] = {}
        office.now_s = lambda: self.now_s
        provider = office.cashier.provider
        assert isinstance(provider, OfflineProvider)
        # The provider has a clock of its own, which is the same one, and a month without faults.
        faultless = dict.fromkeys(("timeout_before", "timeout_after", "event_lost", "event_twice", "event_late"), 0.0)
        self.provider = evolve(provider, now_s=lambda: self.now_s, faults=evolve(provider.faults, **faultless))
        self.cashier = evolve(office.cashier, provider=self.provider)

    def write(self, work: Callable[..., Any], *values: Any, **named: Any) -> Any:
        return self.office.database.write(lambda transaction: work(transaction, *values, **named))

    def settle(self) -> None:
        """The cashier's job, until nothing is due any more."""
        for _ in range(6):
            self.now_s += 60
            self.cashier.make_due_calls(self.now_s)
            self.provider.tick()
            self.provider.deliver(partial(self.cashier.receive, now_s=self.now_s))
            self.cashier.look_at_due(self.now_s)

    def choose(self, key: str, choice: Any) -> None:
        """What the person does on the provider's page."""
        self.settle()
        row = self.office.database.read(
            lambda transaction: transaction.row("SELECT token FROM offline_thing WHERE key = :key", key=key)
        )
        assert row is not None
        assert self.provider.choose(row[0], choice)
        self.settle()

    def buys(self, pack: str) -> None:
        name = self.write(start_purchase, self.cashier.config, self.account, pack, self.now_s)
        self.choose(f"purchase/{name}", "pay")

    def subscribes(self, plan: str) -> None:
        name = self.write(start_subscription, self.cashier.config, self.account, plan, self.now_s)
        self.choose(f"subscription/{name}", "pay")

    def withdraws(self, count: int, number: int) -> None:
        """So many credits of one each."""
        blinded = [bytes([number, place]) * 128 for place in range(count)]
        request = number.to_bytes(32, "big")
        name = self.write(begin_withdrawal, self.account, request, "bought", CREDIT, blinded, self.now_s)
        asked = self.office.database.read(partial(withdrawal, withdrawal_id=name))

        async def write(work: Callable[..., Withdrawal]) -> Withdrawal:
            await trio.lowlevel.checkpoint()
            return self.office.database.write(work)

        trio.run(finish_withdrawal, write, _Signer(), asked, self.now_s)

    def registers(self, machine: Machine) -> None:
        code = self.write(new_code, self.account, self.now_s)
        sent = registration(machine.keys, code, portal=self.office.origin)
        sent = evolve(sent, name=machine.name, declared=machine.declared)
        origin = self.office.origin
        self.hosts[machine.name] = self.write(register_host, sent, SUITE, origin, self.now_s)

    def is_measured(self, day: int) -> None:
        """One round of pings."""
        hour = self.now_s % DAY_S // HOUR_S
        measured, seen = [], {}
        for machine in MACHINES:
            key = machine.keys.peer.public_key
            down = day == machine.down_on and 2 <= hour < 9
            swing = 1 + 0.25 * math.sin(day * 1.7 + machine.number) + 0.1 * math.sin(hour)
            round_trip_us = None if down else round(machine.round_trip_ms * swing * 1000)
            measured.append(Measured(self.hosts[machine.name], key, round_trip_us))
            seen[key] = SeenHost(machine.region, {each.name: each.digest for each in machine.declared.models})
        self.write(record_round, measured, seen, self.now_s)

    def is_asked(self, machine: Machine, day: int) -> None:
        """One question of the node's own, to see how fast it is: a little slower than the host says."""
        swing = 1.1 + 0.2 * math.sin(day * 1.1 + self.now_s + machine.number)
        gap_s = machine.inter_token_ms * swing / 1000
        prompt_tokens = 20 + self.now_s // TRIALS_EVERY_S * 37 % 150
        first_token_s = machine.first_token_ms * swing * (0.9 + prompt_tokens / 900) / 1000
        trial = HostTrial(ANSWERED, prompt_tokens, 60, first_token_s, 59, 59 * gap_s, 3 * gap_s, 300)
        down = day == machine.down_on and 2 <= self.now_s % DAY_S // HOUR_S < 9
        model = machine.declared.models[0].name
        self.write(record_trial, self.hosts[machine.name], model, HostTrial(TIMED_OUT) if down else trial, self.now_s)

    def reports(self, machine: Machine, day: int) -> None:
        """What a host says of its last hours."""
        share = REPORTS_EVERY_S / DAY_S * (1 + 0.4 * math.sin(day * 0.9 + machine.number))
        requests = round(machine.requests_a_day * share)
        tokens = 180 * requests
        swing = 1 + 0.2 * math.sin(day * 1.3 + machine.number)
        report = ServiceReport(
            portal=self.office.origin,
            peer_key=machine.keys.peer.public_key,
            from_s=self.now_s - REPORTS_EVERY_S,
            until_s=self.now_s,
            requests=requests,
            errors=requests // 150,
            prompt_tokens=240 * requests,
            answer_tokens=tokens,
            first_tokens=requests,
            first_token_ms=round(machine.first_token_ms * swing) * requests,
            later_tokens=tokens - requests,
            later_tokens_ms=round(machine.inter_token_ms * swing * (tokens - requests)),
        )
        signature = sign(report, machine.keys.peer.seed, SUITE)
        self.write(take_service_report, report, signature, SUITE, self.office.origin, self.now_s)

    def earns(self, day: int) -> None:
        """What the log settles in a day."""
        start = self.office.database.read(partial(cursor_of, log=LOG))
        found = [
            Settlement(
                start + place,
                machine.keys.payout.public_key,
                round(machine.requests_a_day * 8_000 * (1 + 0.4 * math.sin(day * 0.9 + machine.number))),
                self.now_s,
            )
            for place, machine in enumerate(MACHINES)
        ]
        end, hosts = start + len(found), self.cashier.hosts
        assert self.write(count_settlements, LOG, found, start, end, hosts, self.now_s)

    def is_struck(self, by: str) -> None:
        """A strike, an appeal that waits, and a report of abuse."""
        why = "It broke off 14 answers within an hour, and said that it was ready."
        host = self.hosts["workshop"]
        sanction = self.write(give_strike, host, reason="unreliable", explanation=why, now_s=self.now_s, by=by)
        words = "The power failed that evening. It has had a battery since then."
        self.write(make_appeal, sanction, self.account, words, self.now_s)
        machine = MACHINES[0]
        report = AbuseReport(self.office.origin, machine.keys.peer.public_key, bytes(range(32)), "malware", 3)
        signature = sign(report, machine.keys.peer.seed, SUITE)
        self.write(take_abuse_report, report, signature, SUITE, self.office.origin, self.now_s)

    def passes(self, day: int) -> None:
        """A day."""
        end_s = self.now_s // DAY_S * DAY_S + DAY_S
        while self.now_s < end_s:
            self.now_s = (self.now_s // PINGS_EVERY_S + 1) * PINGS_EVERY_S
            self.is_measured(day)
            if self.now_s % TRIALS_EVERY_S == 0:
                for machine in MACHINES:
                    self.is_asked(machine, day)
            if self.now_s % REPORTS_EVERY_S == 0:
                for machine in MACHINES:
                    self.reports(machine, day)
        self.earns(day)


def live_a_month(office: Office, account: str, operator: str, now_s: int) -> None:
    """Has `account` live the month that ends now, under the desk of `operator`; then the clock stands still."""
    month = _Month(office, account, now_s - DAYS * DAY_S)
    month.buys("50")
    month.subscribes("basic")
    for machine in MACHINES:
        month.registers(machine)
    month.write(start_payee, account, month.now_s)
    month.choose(f"payee/{account}", "agree")
    for day in range(DAYS):
        if day % 3 != 1:
            month.withdraws(1 + (day * 7) % 3, day + 1)
        if day == 20:
            month.buys("10")
        if day == 21:
            month.write(ask_payout, month.cashier.config, month.cashier.hosts, account, month.now_s)
            month.settle()
        if day == DAYS - 2:
            month.is_struck(operator)
        month.passes(day)
    _others(office, now_s)
    month.write(file_request, account, "portability", now_s=now_s - 2 * DAY_S)
    month.now_s = now_s
    month.is_measured(DAYS)


def _others(office: Office, now_s: int) -> None:
    """People who only have accounts, and one who writes and objects."""
    for number in range(212):
        state = "unverified" if number % 19 == 0 else "active"
        add_account(office.database, f"person{number}@example.org", state=state, now_s=now_s - number * 9_000)
    bea = add_account(office.database, "bea@example.org", now_s=now_s - 9 * DAY_S)
    office.database.write(
        lambda transaction: object_to(
            transaction, bea, "sign_in_security", "I sign in from one place alone.", now_s=now_s - DAY_S
        )
    )
    office.database.write(
        lambda transaction: write_message(
            transaction,
            account_id=bea,
            reply_to="bea@example.org",
            topic="payments",
            words="Which of the two amounts of May is the right one?",
            trap="",
            origin=FROM,
            now_s=now_s - 2 * DAY_S,
        )
    )
