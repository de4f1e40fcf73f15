"""Strikes, suspension, removal, forfeiture and appeals: what follows from what, when, and by whom."""

from collections.abc import Mapping

import pytest
from attrs import define, field

from bootstrap.database import Database, Transaction
from bootstrap.hosts.appeals import decide_appeal, make_appeal
from bootstrap.hosts.earnings import Earned, NoEarnings
from bootstrap.hosts.forfeiting import (
    ALONE_S,
    ask_forfeiture,
    carry_out_forfeitures,
    payouts_wait,
    second_forfeiture,
    withdraw_forfeiture,
)
from bootstrap.hosts.standing import (
    APPEAL_WITHIN_S,
    STRIKE_LAPSES_S,
    STRIKES,
    give_strike,
    lapse_strikes,
    left_out,
    lift_suspension,
    remove_host,
    retire_host,
    suspend_host,
)
from bootstrap.people.roles import give_role
from bootstrap.refusal import NotFound, Refused
from tests.registered_hosts import add_account, add_host, keys_of

NOW_S = 1_000_000
WHY = {"reason": "stores_text", "explanation": "A log file was found."}


@define
class Purse(NoEarnings):
    """Earnings that can be forfeited once."""

    unpaid: int = 700
    done: list[str] = field(factory=list)

    def forfeit(self, transaction: Transaction, *, account_id: str, host_id: str, key: str, now_s: int) -> int:
        self.done.append(key)
        taken, self.unpaid = self.unpaid, 0
        return taken

    def of_hosts(self, transaction: Transaction, account_id: str, now_s: int) -> Mapping[str, Earned]:
        return {"any": Earned(unpaid=self.unpaid)}


class Desk:
    """Ann runs a host; olga and omar are operators."""

    def __init__(self, database: Database, *operators: str) -> None:
        self.database = database

        def set_up(transaction: Transaction) -> str:
            add_account(transaction, "ann")
            add_account(transaction, "bob")
            for name in operators:
                add_account(transaction, name, "operator")
            return add_host(transaction, "ann", now_s=NOW_S)

        self.host = database.write(set_up)

    def do(self, work, *args: object, at: int = NOW_S, **values: object):
        return self.database.write(lambda transaction: work(transaction, *args, now_s=at, **values))

    def strike(self, by: str | None = "olga", at: int = NOW_S) -> str:
        return self.do(give_strike, self.host, by=by, at=at, **WHY)

    def suspend(self, at: int = NOW_S) -> str:
        return self.do(suspend_host, self.host, by="olga", at=at, **WHY)

    def appeal(self, sanction: str, at: int = NOW_S, by: str = "ann") -> str:
        return self.do(make_appeal, sanction, by, "It was not so.", at=at)

    def decide(self, appeal: str, *, granted: bool, by: str = "omar", at: int = NOW_S) -> None:
        self.do(decide_appeal, appeal, granted=granted, explanation="We looked.", by=by, at=at)

    def refused(self, work, *args: object, at: int = NOW_S, **values: object) -> str:
        with pytest.raises(Refused) as told:
            self.do(work, *args, at=at, **values)
        return told.value.reason

    def one(self, sql: str, **values) -> object:
        row = self.database.read(lambda transaction: transaction.row(sql, **values))
        return None if row is None else row[0]

    @property
    def state(self) -> object:
        return self.one("SELECT state FROM host")

    @property
    def left_out(self) -> frozenset[bytes]:
        return self.database.read(left_out)


@pytest.fixture
def desk(database: Database) -> Desk:
    return Desk(database, "olga", "omar")


def test_three_strikes_suspend_and_a_mail_tells_of_each(desk: Desk):
    for number in range(STRIKES):
        assert desk.state == "active"
        assert not desk.left_out
        desk.strike()
        assert desk.one("SELECT count(*) FROM mail WHERE recipient = 'ann@example.org'") == number + 1
    assert desk.state == "suspended"
    assert desk.left_out == {keys_of(1).peer.public_key}
    assert "A log file was found." in str(desk.one("SELECT body FROM mail"))
    assert desk.one("SELECT count(*) FROM access_log WHERE about_account_id = 'ann' AND action = 'host_strike'") == 3


def test_strikes_lapse_and_the_host_is_back(desk: Desk):
    for number in range(STRIKES):
        desk.strike(at=NOW_S + number)
    assert desk.do(lapse_strikes, at=NOW_S + STRIKE_LAPSES_S - 1) == 0
    assert desk.do(lapse_strikes, at=NOW_S + STRIKE_LAPSES_S) == 1
    assert desk.state == "active"


def test_an_inspection_gives_strikes_by_the_same_way(desk: Desk):
    desk.strike(by=None)
    assert desk.one("SELECT source FROM sanction") == "inspection"


def test_a_reason_is_one_that_hosts_were_told(desk: Desk):
    assert desk.refused(give_strike, desk.host, reason="dislike", explanation="x", by="olga") == "bad_body"
    assert desk.refused(give_strike, "nowhere", by="olga", **WHY) == "not_found"


def test_a_suspension_is_lifted_and_strikes_are_not(desk: Desk):
    desk.suspend()
    assert desk.refused(suspend_host, desk.host, by="olga", **WHY) == "wrong_state"
    for _ in range(STRIKES):
        desk.strike()
    desk.do(lift_suspension, desk.host, by="omar")
    assert desk.state == "suspended"
    assert desk.refused(lift_suspension, desk.host, by="omar") == "wrong_state"


def test_a_retired_host_is_named_nowhere(desk: Desk):
    desk.database.write(lambda transaction: transaction.execute("UPDATE host SET named_in_public = 1"))
    desk.do(retire_host, desk.host)
    assert desk.one("SELECT named_in_public FROM host") == 0


def test_retiring_is_no_way_out_of_a_suspension(desk: Desk):
    desk.suspend()
    desk.do(lambda transaction, now_s: retire_host(transaction, desk.host, now_s))
    assert desk.left_out
    desk.do(lambda transaction, now_s: add_host(transaction, "ann", now_s=now_s))
    assert desk.state == "suspended"


def test_a_host_is_removed_only_after_the_appeal_delay(desk: Desk):
    assert desk.refused(remove_host, desk.host, by="olga", **WHY) == "wrong_state"
    sanction = desk.suspend()
    early, due = NOW_S + APPEAL_WITHIN_S - 1, NOW_S + APPEAL_WITHIN_S
    assert desk.refused(remove_host, desk.host, by="olga", at=early, **WHY) == "too_soon"
    appeal = desk.appeal(sanction, at=early)
    assert desk.refused(remove_host, desk.host, by="olga", at=due, **WHY) == "appeal_open"
    desk.decide(appeal, granted=False, at=due)
    desk.do(remove_host, desk.host, by="olga", at=due, **WHY)
    assert desk.state == "removed"
    assert desk.left_out
    assert desk.refused(give_strike, desk.host, by="olga", **WHY) == "wrong_state"


# --- appeals ---------------------------------------------------------------------------------------------------------


def test_a_granted_appeal_undoes_and_a_rejected_one_does_not(desk: Desk):
    strikes = [desk.strike() for _ in range(STRIKES)]
    desk.decide(desk.appeal(strikes[0]), granted=False)
    assert desk.state == "suspended"
    desk.decide(desk.appeal(strikes[1]), granted=True)
    assert desk.state == "active"
    assert desk.one("SELECT ended_why FROM sanction WHERE id = :id", id=strikes[1]) == "appeal"


def test_a_removal_can_be_undone_by_appeal(desk: Desk):
    desk.suspend()
    late = NOW_S + APPEAL_WITHIN_S
    removal = desk.do(remove_host, desk.host, by="olga", at=late, **WHY)
    desk.decide(desk.appeal(removal, at=late), granted=True, at=late)
    assert desk.state == "suspended"


def test_there_is_one_appeal_in_time_by_whose_host_it_is(desk: Desk):
    strike = desk.strike()
    assert desk.refused(lambda t, now_s: make_appeal(t, strike, "bob", "x", now_s)) == "not_found"
    late = NOW_S + APPEAL_WITHIN_S + 1
    assert desk.refused(lambda t, now_s: make_appeal(t, strike, "ann", "x", now_s), at=late) == "too_late"
    desk.appeal(strike)
    assert desk.refused(lambda t, now_s: make_appeal(t, strike, "ann", "x", now_s)) == "twice"


def test_whoever_gave_it_does_not_decide_the_appeal_unless_alone(desk: Desk, tmp_path):
    appeal = desk.appeal(desk.strike(by="olga"))
    assert desk.refused(decide_appeal, appeal, granted=False, explanation="x", by="olga") == "own_case"
    desk.decide(appeal, granted=False, by="omar")
    assert desk.refused(decide_appeal, appeal, granted=True, explanation="x", by="omar") == "over"
    assert desk.refused(decide_appeal, "none", granted=True, explanation="x", by="omar") == "not_found"


def test_an_operator_who_is_suspended_is_nobody_else(database: Database):
    desk = Desk(database, "olga", "omar")
    database.write(lambda transaction: transaction.execute("UPDATE account SET state = 'suspended' WHERE id = 'omar'"))
    desk.decide(desk.appeal(desk.strike()), granted=True, by="olga")
    assert desk.one("SELECT outcome FROM appeal") == "granted"


def test_an_operator_alone_decides_and_it_is_on_record(database: Database):
    desk = Desk(database, "olga")
    desk.decide(desk.appeal(desk.strike()), granted=True, by="olga")
    assert desk.one("SELECT decided_by FROM appeal") == "olga"


def test_nobody_ends_what_stands_against_their_own_host(database: Database):
    desk = Desk(database, "olga")
    desk.do(give_role, "ann", "operator", by=None)
    desk.suspend()
    asked = desk.do(ask_forfeiture, desk.host, by="olga", **WHY)
    appeal = desk.appeal(asked)
    assert desk.refused(lift_suspension, desk.host, by="ann") == "own_case"
    assert desk.refused(withdraw_forfeiture, asked, by="ann") == "own_case"
    assert desk.refused(decide_appeal, appeal, granted=True, explanation="x", by="ann") == "own_case"
    assert desk.state == "suspended"
    # Olga asked for it, but there is nobody else: somebody has to decide.
    desk.decide(appeal, granted=False, by="olga")
    desk.do(lift_suspension, desk.host, by="olga")
    assert desk.state == "active"


def test_an_operator_who_runs_the_host_is_nobody_who_could_agree(database: Database):
    desk = Desk(database, "olga")
    desk.do(give_role, "ann", "operator", by=None)
    purse, asked = Purse(), ask(desk)
    assert desk.refused(second_forfeiture, asked, by="ann") == "own_case"
    assert carry_out(desk, purse, NOW_S + ALONE_S - 1) == 0
    assert carry_out(desk, purse, NOW_S + ALONE_S) == 1


# --- forfeiture ------------------------------------------------------------------------------------------------------


def ask(desk: Desk, at: int = NOW_S) -> str:
    desk.suspend(at=at)
    return desk.do(ask_forfeiture, desk.host, by="olga", at=at, **WHY)


def carry_out(desk: Desk, purse: Purse, at: int) -> int:
    return desk.do(carry_out_forfeitures, purse, at=at)


def test_an_active_host_forfeits_nothing(desk: Desk):
    assert desk.refused(ask_forfeiture, desk.host, by="olga", **WHY) == "wrong_state"


def test_forfeiture_takes_two_people_and_the_appeal_delay(desk: Desk):
    purse, asked = Purse(), ask(desk)
    assert desk.refused(ask_forfeiture, desk.host, by="omar", **WHY) == "twice"
    assert carry_out(desk, purse, NOW_S + 10 * ALONE_S) == 0  # nobody has agreed
    assert desk.refused(second_forfeiture, asked, by="olga") == "own_case"
    desk.do(second_forfeiture, asked, by="omar")
    assert carry_out(desk, purse, NOW_S + APPEAL_WITHIN_S - 1) == 0
    assert carry_out(desk, purse, NOW_S + APPEAL_WITHIN_S) == 1
    assert carry_out(desk, purse, NOW_S + APPEAL_WITHIN_S) == 0
    assert purse.done == [asked]
    assert desk.one("SELECT amount_microcredits FROM sanction WHERE id = :id", id=asked) == 700


def test_one_operator_waits_longer(database: Database):
    desk = Desk(database, "olga")
    purse, _ = Purse(), ask(desk)
    assert carry_out(desk, purse, NOW_S + ALONE_S - 1) == 0
    assert carry_out(desk, purse, NOW_S + ALONE_S) == 1


def test_nothing_is_forfeited_while_an_appeal_is_open(desk: Desk):
    purse, asked = Purse(), ask(desk)
    desk.do(second_forfeiture, asked, by="omar")
    appeal = desk.appeal(asked)
    due = NOW_S + APPEAL_WITHIN_S
    assert carry_out(desk, purse, due) == 0
    desk.decide(appeal, granted=True, at=due)
    assert carry_out(desk, purse, due) == 0
    assert purse.unpaid == 700


def test_a_forfeiture_can_be_withdrawn(desk: Desk):
    purse, asked = Purse(), ask(desk)
    desk.do(second_forfeiture, asked, by="omar")
    desk.do(withdraw_forfeiture, asked, by="olga")
    assert carry_out(desk, purse, NOW_S + APPEAL_WITHIN_S) == 0
    assert desk.refused(second_forfeiture, asked, by="omar") == "over"
    with pytest.raises(NotFound):
        desk.do(withdraw_forfeiture, asked, by="olga")


def test_payouts_wait_meanwhile(desk: Desk):
    def waits() -> bool:
        return desk.database.read(lambda transaction: payouts_wait(transaction, "ann"))

    assert not waits()
    desk.suspend()
    assert waits()
    desk.do(lift_suspension, desk.host, by="olga")
    assert not waits()
    asked = ask(desk)
    assert waits()
    desk.do(lift_suspension, desk.host, by="olga")
    assert waits()
    desk.do(withdraw_forfeiture, asked, by="olga")
    assert not waits()
