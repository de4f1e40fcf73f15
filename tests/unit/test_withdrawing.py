"""Withdrawing from a portal, and importing from a file: nothing paid for is lost, and nothing else is believed."""

import base64
import json

import pytest

from peernet.cli.main import main
from peernet.client import withdrawing
from peernet.client.purse import Purse
from peernet.client.withdrawing import Portal, WithdrawalFailed, import_credits, withdraw
from peernet.core.credits.blind_rsa import PublicKey
from peernet.core.credits.credits import BOUGHT, GRANTED, check_credit
from peernet.core.errors import UserError
from peernet.core.ledger.checkpoint import Checkpoint, sign_checkpoint
from peernet.core.ledger.entries import encode_entry
from peernet.core.ledger.merkle import leaf_hash
from peernet.core.ledger.notes import LOG_KEY, VerifierKey
from peernet.core.ledger.policy import one_log_policy
from peernet.core.ledger.proofs import LogProof
from peernet.core.metering import RedeemRequest
from tests.issuers import KEYS, SUITE, TestIssuer
from tests.portal import TOKEN, StandInPortal, running_portal

ORIGIN, LOG_SEED = "log.example/one", b"\x61" * 32
KEY = VerifierKey(ORIGIN, LOG_KEY, SUITE.ed25519_public(LOG_SEED))
POLICY = one_log_policy(KEY, "")
FOR_EVER = {"issue_until_s": 2**40 // 60 * 60, "redeem_until_s": 2**41 // 60 * 60}
TINY = TestIssuer(KEYS[2], 100, **FOR_EVER)
SMALL = TestIssuer(**FOR_EVER)
LARGE = TestIssuer(KEYS[1], 10_000, **FOR_EVER)
GIFTS = TestIssuer(KEYS[2], credit_class=GRANTED, **FOR_EVER)
ISSUERS = {issuer.key.key_id: issuer for issuer in (TINY, SMALL, LARGE, GIFTS)}


def announced(issuer, seed=LOG_SEED):
    leaf = encode_entry(issuer.key)
    note = sign_checkpoint(Checkpoint(ORIGIN, 1, leaf_hash(leaf)), seed, SUITE)
    return LogProof(0, (), note, leaf).encode()


def sign(request_id, credit_class, denomination, blinded):
    (issuer,) = [issuer for key_id, issuer in ISSUERS.items() if request_id.startswith(key_id[:16])]
    assert (issuer.credit_class, issuer.denomination) == (credit_class, denomination)
    return [issuer.sign(message) for message in blinded]


@pytest.fixture
def portal():
    with running_portal(StandInPortal([announced(issuer) for issuer in ISSUERS.values()], sign)) as portal:
        yield portal


@pytest.fixture
def purse(tmp_path):
    purse = Purse(tmp_path / "home" / "state" / "purse.sqlite")
    yield purse
    purse.close()


def get(purse, portal, amount, credit_class=BOUGHT, **options):
    return withdraw(purse, Portal.at(portal.url, portal.token), amount, credit_class, POLICY, SUITE, **options)


def test_credits_come_that_pay_any_part_of_the_amount(purse, portal):
    assert get(purse, portal, 32_000) == 23
    assert purse.balance() == {BOUGHT: {100: 10, 1_000: 11, 10_000: 2}}
    for key_id, *parts in purse._rows("SELECT key_id, serial, randomizer, signature FROM credit"):
        issuer = ISSUERS[key_id]
        check_credit(withdrawing.Credit(key_id, *parts), PublicKey.from_bytes(issuer.key.modulus))


def test_a_denomination_and_a_class_may_be_asked_for(purse, portal):
    get(purse, portal, 10_000, denomination=1_000)
    get(purse, portal, 1_000, GRANTED, denomination=1_000)
    assert purse.balance() == {BOUGHT: {1_000: 10}, GRANTED: {1_000: 1}}


def test_what_is_signed_says_nothing_of_the_credits(purse, portal):
    get(purse, portal, 3_000)
    sent = json.dumps(portal.asked)
    kept = [part for row in purse._rows("SELECT serial, randomizer, signature FROM credit") for part in row]
    assert not any(base64.b64encode(part).decode() in sent or part.hex() in sent for part in kept)


def test_a_withdrawal_whose_answer_is_lost_is_finished_the_next_time(purse, portal):
    portal.loses_answers = 1
    with pytest.raises(WithdrawalFailed, match="again"):
        get(purse, portal, 3_000)
    assert purse.balance() == {}
    assert get(Purse(purse._path), portal, 3_000) == 12
    assert portal.asked[0] in portal.asked[1:]
    assert len(portal.asked) == 3
    assert purse.withdrawals() == []
    assert purse.balance() == {BOUGHT: {100: 10, 1_000: 2}}


def test_what_is_refused_after_some_credits_came_is_said_and_forgotten(purse, portal):
    """The account had fewer credits than all of them."""
    ask = portal.answer

    def answer(method, path, body, *rest):
        if method == "POST" and len(portal.asked) == 1:
            return 409, {"reason": "too_few_credits", "detail": "there are fewer"}
        return ask(method, path, body, *rest)

    portal.answer = answer
    with pytest.raises(UserError, match=r"2 credits are in the purse; of the others, .* \(there are fewer\)"):
        get(purse, portal, 32_000)
    assert purse.balance() == {BOUGHT: {10_000: 2}}
    assert purse.withdrawals() == []


def test_the_seed_is_on_the_disk_before_anything_is_asked(purse, portal):
    seen = []
    portal.sign = lambda *asked: seen.append(len(Purse(purse._path).withdrawals())) or sign(*asked)
    get(purse, portal, 1_000)
    assert seen == [1]


def test_what_is_refused_the_first_time_is_forgotten_and_what_is_refused_later_is_not(purse, portal):
    ask = portal.answer
    too_few = {"reason": "too_few_credits", "detail": "there are\x1b fewer"}
    portal.answer = lambda method, *rest: (409, too_few) if method == "POST" else ask(method, *rest)
    with pytest.raises(UserError, match=r"signed nothing \(there are fewer\)"):
        get(purse, portal, 3_000)
    assert purse.withdrawals() == []
    portal.answer = ask
    portal.loses_answers = 1
    with pytest.raises(WithdrawalFailed):
        get(purse, portal, 3_000)
    portal.fails_with = 402
    with pytest.raises(UserError):
        get(purse, portal, 3_000)
    portal.fails_with = 0
    assert get(purse, portal, 3_000) == 12


def test_what_is_back_in_the_account_is_forgotten(purse, portal):
    portal.loses_answers = 1
    with pytest.raises(WithdrawalFailed):
        get(purse, portal, 3_000)
    ask = portal.answer
    back = {"reason": "not_signed", "detail": "its key may be over"}
    portal.answer = lambda method, *rest: (409, back) if method == "POST" else ask(method, *rest)
    with pytest.raises(UserError, match="its key may be over"):
        get(purse, portal, 1_000)
    assert purse.withdrawals() == []


def test_a_portal_that_signs_something_else_is_found_out(purse, portal):
    portal.sign = lambda *asked: [signature[::-1] for signature in sign(*asked)]
    with pytest.raises(WithdrawalFailed, match="something else"):
        get(purse, portal, 1_000)
    portal.sign = sign
    assert get(purse, portal, 1_000) == 10


@pytest.mark.parametrize(
    ("code", "error"), [(500, WithdrawalFailed), (404, WithdrawalFailed), (302, WithdrawalFailed), (403, UserError)]
)
def test_a_portal_in_trouble_is_one_clear_error(purse, portal, code, error):
    portal.fails_with = code
    with pytest.raises(error):
        get(purse, portal, 1_000)
    assert portal.asked == []


@pytest.mark.parametrize("answer", [[], {}, {"keys": 3}, {"keys": [{}]}, {"keys": [{"proof": "%"}]}, "x"])
def test_an_answer_in_another_form_is_none(purse, portal, answer):
    portal.answer = lambda *_: (200, answer)
    with pytest.raises(WithdrawalFailed):
        get(purse, portal, 1_000)


def test_keys_of_another_network_are_not_believed(purse, portal):
    portal.proofs = [announced(SMALL, b"\x62" * 32)]
    with pytest.raises(UserError, match="not to be trusted"):
        get(purse, portal, 1_000)


def test_what_cannot_be_withdrawn_is_said(purse, portal):
    for amount, options in ((1_550, {}), (0, {}), (-1_000, {}), (11_000, {"denomination": 10_000}), (1_000_000, {})):
        with pytest.raises(UserError):
            get(purse, portal, amount, **options)
    assert purse.withdrawals() == []


@pytest.mark.parametrize(
    ("url", "token"),
    [
        ("http://portal.example", TOKEN),
        ("ftp://portal.example", TOKEN),
        ("https://", TOKEN),
        ("https://a:b@portal.example", TOKEN),
        ("https://portal.example?x", TOKEN),
        ("https://portal.example", ""),
        ("https://portal.example", "two\nlines"),
    ],
)
def test_a_token_goes_nowhere_in_the_clear(url, token):
    with pytest.raises(UserError):
        Portal.at(url, token)
    assert Portal.at("https://portal.example/", TOKEN) == Portal("https://portal.example", TOKEN)
    assert TOKEN not in repr(Portal("https://portal.example", TOKEN))


def lane_of(cap, spent):
    return RedeemRequest(bytes(32), cap, 3_600, bytes(32), spent)


def file_of(found, proofs):
    rows = [[credit.key_id, credit.serial, credit.randomizer, credit.signature] for credit in found]
    encoded = [[base64.b64encode(part).decode() for part in row] for row in rows]
    return json.dumps({"proofs": [base64.b64encode(proof).decode() for proof in proofs], "credits": encoded}).encode()


def test_the_credits_of_a_file_are_verified(purse):
    whole = file_of(SMALL.credits(2), [announced(SMALL)])
    assert import_credits(purse, whole, POLICY, SUITE) == 2
    assert import_credits(purse, whole, POLICY, SUITE) == 0
    for wrong in (
        b"",
        b"[]",
        b"{}",
        b"[" * 100_000,
        whole.replace(b'"credits"', b'"others"'),
        file_of(SMALL.credits(1), []),
        file_of(LARGE.credits(1), [announced(SMALL)]),
        file_of([withdrawing.Credit(SMALL.key.key_id, bytes(32), bytes(32), bytes(256))], [announced(SMALL)]),
        file_of(SMALL.credits(1), [announced(SMALL, b"\x62" * 32)]),
    ):
        with pytest.raises(UserError, match="this file"):
            import_credits(purse, wrong, POLICY, SUITE)
    assert purse.balance() == {BOUGHT: {1_000: 2}}


def test_the_command_withdraws_imports_and_shows(purse, portal, tmp_path, capsys, monkeypatch):
    where = ("--home", str(tmp_path / "home"))
    network = (*where, "--ledger", KEY.text())
    monkeypatch.setenv("PEERNET_PORTAL_TOKEN", TOKEN)
    assert main(["wallet", "withdraw", "12000", "--portal", portal.url, *network]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == "21 credits added"
    assert [line.split(maxsplit=1)[1] for line in shown[1:]] == ["12000 microcredits", "10 of 100, 11 of 1000"]
    (tmp_path / "file.json").write_bytes(file_of(SMALL.credits(1), [announced(SMALL)]))
    assert main(["wallet", "import", str(tmp_path / "file.json"), "--json", *network]) == 0
    assert json.loads(capsys.readouterr().out)["microcredits"] == 13_000
    lane = purse.begin_lane(ORIGIN, 1_000, bytes(32), 100.0, lane_of)
    assert lane is not None
    assert main(["wallet", "balance", *where]) == 0
    assert "1 lanes asked for" in capsys.readouterr().out
    monkeypatch.delenv("PEERNET_PORTAL_TOKEN")
    for words, said in (
        (["withdraw", "1000", *network], "which portal?"),
        (["withdraw", "1000", "--portal", portal.url, *network], "PEERNET_PORTAL_TOKEN"),
        (["withdraw", "1000", "--portal", portal.url, "--denomination", "7", *network], "choose one of 100, 1000"),
        (["import", str(tmp_path / "gone"), *network], "gone"),
    ):
        assert main(["wallet", *words]) == 1
        assert said in capsys.readouterr().err
