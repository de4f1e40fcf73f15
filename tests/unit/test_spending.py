"""Lanes that are paid for with credits: asked again after a crash, refused, changed; over rings that end in memory."""

from contextlib import ExitStack
from types import SimpleNamespace

import pytest
import trio
from attrs import evolve

from bootstrap import issuing
from bootstrap.issuing import CreditIssuer
from bootstrap.issuing_store import IssuingStore
from bootstrap.log import Log
from bootstrap.store import LedgerStore
from peernet.client import credits as credits_module
from peernet.client import wallet
from peernet.client.credits import CreditsFailed, PurseKeeper, keys_in, open_issuer_key
from peernet.client.purse import Purse
from peernet.client.wallet import LaneRefused, LedgerUnreachable, fund_lane
from peernet.core.credits.blind_rsa import PublicKey
from peernet.core.credits.credits import BOUGHT, CLASSES, blinded_credits
from peernet.core.errors import RemoteProtocolError
from peernet.core.ledger.entries import Change, ChangePart, Redeem, Settle, decode_entry, settle_id
from peernet.core.ledger.messages import (
    CREDITS_ONLY,
    AskKeys,
    AskSettlement,
    ChangeGiven,
    IssuerKeys,
    LaneMessages,
    LaneOpened,
    Rejected,
    SettlementProof,
)
from peernet.core.ledger.notes import LOG_KEY, VerifierKey
from peernet.core.ledger.policy import compose_policy, one_log_policy
from peernet.core.ledger.rules import SETTLE_GRACE_S, RuleViolation
from peernet.core.metering import ChangeRequest, GrantRequest, Settlement, sign_receipt, sign_voucher
from peernet.core.ring.paths import PathPeer, RingPath
from peernet.net.rings import RingFailed
from tests.issuers import KEYS, SUITE
from tests.ledger_nodes import entries_of, nodes_in

NODE = "12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp"
ORIGIN = "log.example/one"
LOG_SEED, PAYOUT_SEED = b"\x61" * 32, b"\x22" * 32
BEGIN_S = 1_000_020
EPOCH_S = 30 * 24 * 3600
OFFER = SimpleNamespace(
    payout_key=SUITE.ed25519_public(PAYOUT_SEED), prompt_price=1, answer_price=1, issuers=(ORIGIN,)
)
RELAYS = tuple(PathPeer(name, name.encode(), frozenset()) for name in ("guard", "out", "back"))
PATH = RingPath(RELAYS[:2], (RELAYS[0], RELAYS[2]), PathPeer("host", b"host", frozenset()))


class Ledger:
    """A bootstrap node that takes credits alone, at the end of every ring."""

    suite = SUITE

    def __init__(self, folder, clock):
        self.clock = clock
        new = not (folder / "ledger.sqlite").exists()
        self.store = LedgerStore(folder / "ledger.sqlite", create=new)
        self.kept = IssuingStore(folder / "issuing.sqlite", create=new)
        self.log = Log(self.store, ORIGIN, LOG_SEED, SUITE)
        self.issuer = CreditIssuer(self.kept, self.log, self.submit, self.prove, EPOCH_S, CLASSES, lambda: clock.now_s)
        self.lost_before = self.lost_after = 0
        """How many requests never arrive, and how many answers."""
        self.rings = 0
        self.asked = []

    async def submit(self, submission):
        return self.log.append_one(submission, self.clock.now_s)

    async def prove(self, index):
        return self.log.inclusion_proof(index)

    def entries(self, kind):
        return [entry for entry in map(decode_entry, entries_of(self.log)) if isinstance(entry, kind)]

    async def answer(self, request):
        try:
            match request:
                case GrantRequest():
                    return Rejected(CREDITS_ONLY, "credits alone")
                case ChangeRequest():
                    return ChangeGiven(tuple(await self.issuer.change(request)))
                case AskKeys():
                    keys = self.issuer.keys()
                    return IssuerKeys(
                        tuple(key.proof for key in keys if key.entry.credit_class == request.credit_class)
                    )
                case AskSettlement():
                    index = self.log.index_of(settle_id(request.lane_key))
                    if index is None:
                        return Rejected("not_settled", "later")
                    return SettlementProof(await self.prove(index))
                case _:
                    return LaneOpened(await self.prove(await self.submit(request)))
        except RuleViolation as violation:
            return Rejected(violation.reason, str(violation))

    # As much of a client's view as funding needs.

    def plan_rings(self, hosts, profile):
        return [PATH for _ in hosts]

    def ledger_path(self, path, node):
        return RingPath(path.out, path.back, PathPeer(str(node), b"", frozenset()))

    async def open_ring(self, path, service):
        self.rings += 1
        return Ring(self)


class Ring:
    def __init__(self, ledger):
        self.ledger, self.ended, self.reply = ledger, None, None

    async def send(self, message):
        ledger = self.ledger
        ledger.asked.append(LaneMessages.decode(message))
        if ledger.lost_before:
            ledger.lost_before -= 1
            raise RingFailed("lost", reason="lost")
        self.reply = LaneMessages.encode(await ledger.answer(ledger.asked[-1]))
        if ledger.lost_after:
            ledger.lost_after -= 1
            raise RingFailed("lost", reason="lost")

    async def receive(self):
        return self.reply

    def end(self):
        pass


class Setting:
    """A ledger, a policy of it alone, and a purse."""

    def __init__(self, folder, clock):
        self.clock = clock
        self.ledger = Ledger(folder, clock)
        self.policy = one_log_policy(
            VerifierKey(ORIGIN, LOG_KEY, SUITE.ed25519_public(LOG_SEED)), f"/ip4/127.0.0.1/tcp/1/p2p/{NODE}"
        )
        self.purse = Purse(folder / "purse.sqlite")
        self.keeper = PurseKeeper(self.purse, self.ledger, self.policy, "private")

    async def withdraw(self, count, number=1):
        seed = number.to_bytes(32, "big")
        issued = self.ledger.issuer.keys()
        entries = [key.entry for key in issued]
        key = next(key for key in entries if (key.credit_class, key.denomination_microcredits) == (BOUGHT, 1_000))
        made = blinded_credits(PublicKey.from_bytes(key.modulus), key.key_id, seed, count)
        signed = await self.ledger.issuer.sign(
            key.key_id[:16] + seed[16:], BOUGHT, 1_000, [one.blinded for one in made]
        )
        found = [one.finish(signature) for one, signature in zip(made, signed, strict=True)]
        self.purse.add_keys(ORIGIN, [key])
        self.purse.add_credits(found)
        return found

    async def fund(self, cap=2_500, purse=None):
        return await fund_lane(self.ledger, PATH, OFFER, cap, self.policy, purse or self.purse)

    async def settle(self, lane, tokens):
        receipt = sign_receipt(sign_voucher(lane.lane, tokens, 0, lane.seed, SUITE), bytes(32), PAYOUT_SEED, SUITE)
        await self.ledger.submit(Settlement(receipt, lane.opening.terms, lane.opening.terms_nonce))
        self.purse.lane_settled(lane.lane.lane_key)

    async def resolve(self):
        for lane in self.keeper.due():
            await self.keeper.resolve(lane, ["host"])

    def owns(self):
        """What the free credits are worth, in microcredits."""
        return sum(worth * count for worth, count in self.purse.balance().get(BOUGHT, {}).items())


@pytest.fixture
async def setting(tmp_path, monkeypatch):
    clock = SimpleNamespace(now_s=BEGIN_S)
    monkeypatch.setattr(issuing, "_new_key", lambda: KEYS[0])
    for module in (wallet, credits_module):
        monkeypatch.setattr(module, "now_s", lambda: clock.now_s)
    setting = Setting(tmp_path, clock)
    await setting.ledger.issuer.renew()
    yield setting
    setting.purse.close()
    setting.ledger.store.close()
    setting.ledger.kept.close()


async def test_without_credits_one_clear_error_says_what_to_do(setting):
    with pytest.raises(LaneRefused, match="peernet wallet withdraw") as raised:
        await setting.fund()
    assert raised.value.reason == CREDITS_ONLY
    assert not setting.purse._path.exists()


async def test_a_lane_is_funded_by_the_credits_that_cover_it_most_closely(setting):
    await setting.withdraw(5)
    lane = await setting.fund(2_500)
    assert lane.lane.cap_microcredits == 3_000
    assert setting.owns() == 2_000
    (entry,) = setting.ledger.entries(Redeem)
    assert (entry.lane_key, len(entry.credits)) == (lane.lane.lane_key, 3)


async def test_too_few_credits_are_not_spent(setting):
    await setting.withdraw(2)
    with pytest.raises(LaneRefused, match="too few credits"):
        await setting.fund(2_500)
    assert setting.owns() == 2_000


async def test_what_is_left_of_a_settled_lane_comes_back_and_can_be_spent(setting):
    await setting.withdraw(3)
    await setting.settle(await setting.fund(2_500), 800)
    await setting.resolve()
    assert setting.owns() == 2_200
    assert setting.purse.lanes() == []
    (change,) = setting.ledger.entries(Change)
    assert [part.count for part in change.parts] == [2, 2]
    await setting.fund(2_000)


async def test_too_little_is_left_for_change(setting):
    await setting.withdraw(1)
    await setting.settle(await setting.fund(700), 901)
    await setting.resolve()
    assert (setting.purse.lanes(), setting.owns()) == ([], 0)
    assert setting.ledger.entries(Change) == []


async def test_a_lane_that_nobody_settles_comes_back_a_day_after_its_expiry(setting):
    await setting.withdraw(3)
    await setting.fund(2_500)
    await setting.resolve()
    assert setting.owns() == 0
    setting.clock.now_s += wallet.LANE_LIFETIME_S + SETTLE_GRACE_S
    await setting.resolve()
    assert setting.owns() == 0
    setting.clock.now_s += 121
    await setting.resolve()
    assert setting.owns() == 3_000


async def test_a_settlement_that_the_client_did_not_see_is_found(setting):
    """The host settles, and its receipt is lost on the way to the client."""
    await setting.withdraw(3)
    lane = await setting.fund(2_500)
    await setting.settle(lane, 800)
    setting.purse._rows("UPDATE lane SET settled = 0")
    assert setting.keeper.due() == []
    setting.clock.now_s += credits_module.ASK_AGAIN_S + 1
    await setting.resolve()
    assert setting.owns() == 2_200


@pytest.mark.parametrize("arrived", [False, True])
async def test_after_a_crash_the_ledger_says_what_became_of_the_credits(setting, arrived):
    await setting.withdraw(3)
    setting.ledger.lost_before, setting.ledger.lost_after = int(not arrived), int(arrived)
    with pytest.raises(LedgerUnreachable):
        await setting.fund(2_500)
    assert (setting.owns(), len(setting.ledger.entries(Redeem))) == (0, int(arrived))
    setting.keeper = PurseKeeper(Purse(setting.purse._path), setting.ledger, setting.policy, "private")
    setting.clock.now_s += wallet.LANE_LIFETIME_S - 60
    assert setting.keeper.due() == [], "before its expiry nobody asks"
    setting.clock.now_s += 181
    await setting.resolve()
    assert setting.owns() == (0 if arrived else 3_000)
    setting.clock.now_s += SETTLE_GRACE_S
    await setting.resolve()
    assert setting.owns() == 3_000
    assert len(setting.ledger.entries(Redeem)) == int(arrived)


@pytest.mark.parametrize("lost", ["lost_before", "lost_after"])
@pytest.mark.parametrize("at", [0, 1, 2])
async def test_change_whose_answer_is_lost_is_asked_for_again(setting, lost, at):
    await setting.withdraw(3)
    await setting.settle(await setting.fund(2_500), 800)
    send = Ring.send

    async def sometimes(ring, message):
        if len(setting.ledger.asked) - before == at:
            setattr(setting.ledger, lost, 1)
        await send(ring, message)

    before = len(setting.ledger.asked)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Ring, "send", sometimes)
        with pytest.raises(RingFailed):
            await setting.resolve()
    assert setting.owns() == 0
    setting.keeper = PurseKeeper(Purse(setting.purse._path), setting.ledger, setting.policy, "private")
    await setting.resolve()
    assert setting.owns() == 2_200
    assert len(setting.ledger.entries(Change)) == 1


async def test_change_is_asked_for_again_under_the_key_that_it_was_asked_for_first(setting):
    await setting.withdraw(3)
    await setting.settle(await setting.fund(2_500), 800)
    (lane,) = setting.purse.lanes()
    change = setting.ledger.issuer.change

    async def lose(request):
        await change(request)
        raise RingFailed("lost", reason="lost")

    setting.ledger.issuer.change = lose
    with pytest.raises(RingFailed):
        await setting.resolve()
    setting.ledger.issuer.change = change
    setting.clock.now_s += EPOCH_S
    await setting.ledger.issuer.renew()
    await setting.resolve()
    assert setting.owns() == 2_200
    assert lane.change_parts == ()


async def test_change_that_was_never_given_is_asked_for_under_the_next_key(setting):
    await setting.withdraw(3)
    await setting.settle(await setting.fund(2_500), 800)
    (lane,) = setting.purse.lanes()
    part = ChangePart(lane.request.credits[0].key_id, 2)
    setting.purse.begin_change(lane.request.lane_key, (part,))
    setting.clock.now_s += EPOCH_S
    await setting.ledger.issuer.renew()
    with pytest.raises(CreditsFailed):
        await setting.resolve()
    await setting.resolve()
    assert setting.owns() == 2_200


async def test_a_credit_that_was_spent_elsewhere_is_refused_and_the_others_are_not_lost(setting, tmp_path):
    found = await setting.withdraw(4)
    copy = Purse(tmp_path / "copy.sqlite")
    copy.add_keys(ORIGIN, [setting.purse.issuer_key(found[0].key_id)])
    copy.add_credits(found[:1])
    await setting.fund(500, copy)
    copy.close()
    with pytest.raises(LaneRefused):
        await setting.fund(3_500)
    assert setting.owns() == 4_000
    for _ in range(3):
        await setting.fund(500)
    with pytest.raises(LaneRefused):
        await setting.fund(500)
    assert setting.owns() == 0
    spent = [credit.serial for entry in setting.ledger.entries(Redeem) for credit in entry.credits]
    assert sorted(spent) == sorted(credit.serial for credit in found)


async def test_change_is_not_taken_under_a_key_that_is_not_final(setting, tmp_path):
    await setting.withdraw(3)
    await setting.settle(await setting.fund(2_500), 800)
    proof = setting.ledger.issuer.keys()[0].proof
    origin, key = open_issuer_key(proof, setting.policy, SUITE)
    assert (origin, key.at_s) == (ORIGIN, BEGIN_S)
    with ExitStack() as stack:
        _, policy = nodes_in(tmp_path, stack)
    members = [evolve(policy.members()[0], log=setting.ledger.log.verifier_key), *policy.members()[1:]]
    with pytest.raises(RemoteProtocolError) as raised:
        open_issuer_key(proof, compose_policy(members), SUITE)
    assert raised.value.reason == "not_final"
    other = one_log_policy(VerifierKey("other.example/log", LOG_KEY, SUITE.ed25519_public(LOG_SEED)), "x")
    with pytest.raises(RemoteProtocolError):
        open_issuer_key(proof, other, SUITE)
    with pytest.raises(RemoteProtocolError):
        open_issuer_key(setting.ledger.log.inclusion_proof(setting.ledger.log.size - 1), setting.policy, SUITE)


async def test_keys_of_two_classes_do_not_belong_together(setting):
    issued = setting.ledger.issuer.keys()
    proofs = [key.proof for key in issued]
    with pytest.raises(RemoteProtocolError):
        keys_in(proofs, setting.policy, SUITE, setting.clock.now_s)
    assert keys_in(proofs[:1], setting.policy, SUITE, setting.clock.now_s + EPOCH_S) == (ORIGIN, {})


async def test_an_issuer_that_signs_something_else_gives_no_change(setting):
    await setting.withdraw(3)
    await setting.settle(await setting.fund(2_500), 800)
    change = setting.ledger.issuer.change

    async def wrong(request):
        return [signature[::-1] for signature in await change(request)]

    setting.ledger.issuer.change = wrong
    with pytest.raises(RemoteProtocolError):
        await setting.resolve()
    setting.ledger.issuer.change = change
    await setting.resolve()
    assert setting.owns() == 2_200


async def test_where_no_host_is_nothing_is_asked(setting):
    await setting.withdraw(3)
    await setting.settle(await setting.fund(2_500), 800)
    with pytest.raises(CreditsFailed):
        await setting.keeper.resolve(setting.keeper.due()[0], [])


async def test_the_keeper_takes_change_by_itself_and_outlives_what_fails(setting, autojump_clock):
    await setting.withdraw(3)
    await setting.settle(await setting.fund(2_500), 800)
    setting.ledger.lost_before = 1
    with trio.fail_after(1_000):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(setting.keeper.run, lambda: ["host"])
            while setting.owns() < 2_200:  # noqa: ASYNC110  (by the mock clock)
                await trio.sleep(1)
            nursery.cancel_scope.cancel()
    assert setting.ledger.entries(Settle)
    assert evolve(setting.ledger.entries(Change)[0], at_s=0).parts[0].count == 2
