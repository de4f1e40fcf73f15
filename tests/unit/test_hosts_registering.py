"""Registering a host: both keys sign, for this portal, this version, this text, and a code that is good once."""

import threading

import pytest
from attrs import evolve

from bootstrap.database import Database, Transaction
from bootstrap.hosts.agreement import CURRENT_VERSION, agreement, versions
from bootstrap.hosts.codes import LIFETIME_S, MAX_OPEN, new_code
from bootstrap.hosts.registering import register_host
from bootstrap.hosts.standing import retire_host
from bootstrap.refusal import NotFound, Refused
from peernet.core.host_statements import sign_payout_key
from tests.registered_hosts import ORIGIN, SUITE, add_account, add_host, keys_of, registration

NOW_S = 1_000


def register(transaction: Transaction, sent: object, now_s: int = NOW_S) -> str:
    return register_host(transaction, sent, SUITE, ORIGIN, now_s)


def code_of(database: Database, account: str = "ann") -> str:
    return database.write(lambda transaction: new_code(transaction, account, NOW_S))


@pytest.fixture
def ann(database: Database) -> Database:
    database.write(lambda transaction: [add_account(transaction, name) for name in ("ann", "bob")])
    return database


def refusal(database: Database, sent: object, now_s: int = NOW_S) -> str:
    with pytest.raises(Refused) as told:
        database.write(lambda transaction: register(transaction, sent, now_s))
    rows = database.read(lambda transaction: transaction.rows("SELECT id FROM host"))
    assert rows == []
    return told.value.reason


def test_a_registered_host_has_an_owner_a_payout_key_and_a_signature_on_record(ann: Database):
    code = code_of(ann)
    host = ann.write(lambda transaction: register(transaction, registration(keys_of(1), code)))

    def look(transaction: Transaction) -> tuple[object, ...]:
        return (
            transaction.row("SELECT account_id, state FROM host WHERE id = :id", id=host),
            transaction.row("SELECT account_id, host_id FROM payout_key"),
            transaction.row("SELECT version, digest FROM host_agreement WHERE host_id = :id", id=host),
            transaction.row("SELECT role FROM account_role WHERE account_id = 'ann'"),
            transaction.row("SELECT name, source FROM host_model"),
        )

    assert ann.read(look) == (
        ("ann", "active"),
        ("ann", host),
        (CURRENT_VERSION, agreement().digest),
        ("host",),
        ("small", "declared"),
    )


def test_a_code_is_good_once(ann: Database):
    code = code_of(ann)
    ann.write(lambda transaction: register(transaction, registration(keys_of(1), code)))
    with pytest.raises(Refused) as told:
        ann.write(lambda transaction: register(transaction, registration(keys_of(2), code)))
    assert told.value.reason == "bad_code"


def test_a_code_is_good_for_half_an_hour(ann: Database):
    assert refusal(ann, registration(keys_of(1), code_of(ann)), NOW_S + LIFETIME_S) == "bad_code"


def test_a_made_up_code_is_none(ann: Database):
    assert refusal(ann, registration(keys_of(1), "AAAA-AAAA-AAAA-AAAA")) == "bad_code"


def test_a_refused_registration_leaves_the_code_good(ann: Database):
    code = code_of(ann)
    assert refusal(ann, registration(keys_of(1), code, version="2020-01")) == "old_agreement"
    ann.write(lambda transaction: register(transaction, registration(keys_of(1), code)))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"version": "2020-01"}, "old_agreement"),
        ({"digest": b"\x05" * 32}, "other_text"),
        ({"portal": "https://evil.example"}, "other_portal"),
        ({"payout_key": keys_of(1).peer.public_key}, "same_key"),
    ],
)
def test_a_statement_of_something_else_is_refused(ann: Database, changes: dict, reason: str):
    assert refusal(ann, registration(keys_of(1), code_of(ann), **changes)) == reason


def test_another_key_signs_for_no_host(ann: Database):
    code = code_of(ann)
    assert refusal(ann, registration(keys_of(1), code, signer=keys_of(2))) == "bad_signature"
    good = registration(keys_of(1), code)
    # Each signature alone, and one of the two in the place of the other.
    other = sign_payout_key(good.statement, keys_of(2).payout.seed, SUITE)
    assert refusal(ann, evolve(good, payout_signature=other)) == "bad_signature"
    assert refusal(ann, evolve(good, signature=good.payout_signature)) == "bad_signature"
    assert refusal(ann, evolve(good, payout_signature=b"")) == "bad_signature"


def test_a_signature_is_for_what_it_signed(ann: Database):
    code, other_code = code_of(ann), code_of(ann)
    good = registration(keys_of(1), code)
    for changes in (
        {"code": other_code},
        {"peer_key": keys_of(3).peer.public_key},
        {"payout_key": keys_of(3).payout.public_key},
    ):
        changed = evolve(good, statement=evolve(good.statement, **changes))
        assert refusal(ann, changed) == "bad_signature"


def test_another_accounts_host_cannot_be_taken(ann: Database):
    ann.write(lambda transaction: add_host(transaction, "ann"))
    code = code_of(ann, "bob")
    with pytest.raises(Refused) as told:
        ann.write(lambda transaction: register(transaction, registration(keys_of(1), code)))
    assert told.value.reason == "taken"


def test_a_payout_key_is_one_hosts(ann: Database):
    ann.write(lambda transaction: add_host(transaction, "ann"))
    code = code_of(ann, "bob")
    borrowed = evolve(keys_of(2), payout=keys_of(1).payout)
    with pytest.raises(Refused) as told:
        ann.write(lambda transaction: register(transaction, registration(borrowed, code)))
    assert told.value.reason == "taken"
    assert ann.read(lambda transaction: transaction.rows("SELECT account_id FROM payout_key")) == [("ann",)]


def test_signing_again_keeps_the_host_and_brings_it_back_from_retirement(ann: Database):
    first = ann.write(lambda transaction: add_host(transaction, "ann"))
    ann.write(lambda transaction: retire_host(transaction, first, NOW_S))
    assert ann.write(lambda transaction: add_host(transaction, "ann")) == first
    assert ann.read(lambda transaction: transaction.row("SELECT retired_at_s FROM host")) == (None,)
    assert len(ann.read(lambda transaction: transaction.rows("SELECT id FROM host_agreement"))) == 2


def test_a_removed_host_does_not_come_back(ann: Database):
    host = ann.write(lambda transaction: add_host(transaction, "ann"))
    ann.write(lambda transaction: transaction.execute("UPDATE host SET state = 'removed' WHERE id = :id", id=host))
    with pytest.raises(Refused) as told:
        ann.write(lambda transaction: add_host(transaction, "ann"))
    assert told.value.reason == "removed"


def test_an_account_that_is_suspended_registers_nothing(ann: Database):
    code = code_of(ann)
    ann.write(lambda transaction: transaction.execute("UPDATE account SET state = 'suspended' WHERE id = 'ann'"))
    assert refusal(ann, registration(keys_of(1), code)) == "suspended"


def test_codes_are_few_and_kept_as_hashes(ann: Database):
    codes = [code_of(ann) for _ in range(MAX_OPEN)]
    with pytest.raises(Refused) as told:
        code_of(ann)
    assert told.value.reason == "too_many"
    kept = ann.read(lambda transaction: transaction.rows("SELECT * FROM registration_code"))
    assert not any(code in repr(kept) for code in codes)
    later = NOW_S + LIFETIME_S
    ann.write(lambda transaction: new_code(transaction, "ann", later))


@pytest.mark.parametrize("hosts", [(1, 1), (1, 2)])
def test_two_registrations_at_once_are_as_if_one_came_first(ann: Database, hosts: tuple[int, int]):
    """Of one host by two accounts, and of two hosts by one code."""
    same_host = hosts[0] == hosts[1]
    codes = (code_of(ann), code_of(ann, "bob")) if same_host else (code_of(ann),) * 2
    done: list[str] = []
    refused: list[str] = []
    ready = threading.Barrier(2)

    def work(place: int) -> None:
        sent = registration(keys_of(hosts[place]), codes[place])
        ready.wait()
        try:
            done.append(ann.write(lambda transaction: register(transaction, sent)))
        except Refused as error:
            refused.append(error.reason)

    threads = [threading.Thread(target=work, args=(place,)) for place in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(done) == 1
    assert refused == ["taken" if same_host else "bad_code"]
    assert len(ann.read(lambda transaction: transaction.rows("SELECT id FROM host"))) == 1


def test_the_agreement_says_what_hosts_must_know():
    text = " ".join(agreement().text.split())
    for said in ("do not store", "Inspections", "Three strikes", "Appeal", "Payouts", "Regions", "28 days"):
        assert said in text
    assert CURRENT_VERSION in versions()
    with pytest.raises(NotFound):
        agreement("1999-01")
