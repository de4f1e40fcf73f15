"""Settling: each receipt to the log that its lane was granted in, and on the disk until it is final."""

from contextlib import ExitStack

import pytest
from attrs import evolve

from peernet.core.errors import ConnectionFailed, RemoteProtocolError
from peernet.core.ledger.messages import GrantProof, Rejected, SettleResult
from peernet.core.ledger.notes import parse_note
from peernet.core.ledger.policy import compose_policy
from peernet.core.metering import LaneOpening, Settlement, open_lane, sign_receipt, sign_voucher
from peernet.host.settling import SettlementRejected, Settler
from tests.ledger_nodes import NOW_S, SUITE, TERMS, grant_request, nodes_in

NONCE = b"\x0a" * 32


class InMemory(Settler):
    """A settler whose bootstrap nodes answer here."""

    replies: list[object]
    asked: list[str]

    async def _ask_node(self, ledger, request):
        self.asked.append(str(ledger.peer))
        reply = self.replies.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return reply


PEERS = (
    "12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp",
    "12D3KooWQYhTNQdmr3ArTeUHRYzFg94BKyTkoWBDWez9kSCVe2Xo",
)


@pytest.fixture
def setting(tmp_path):
    """A settler of two logs, a settlement in the second of them, and proofs that it is final and promised."""
    with ExitStack() as stack:
        nodes, _ = nodes_in(tmp_path, stack, "ab")
        urls = [f"/ip4/127.0.0.1/tcp/1/p2p/{peer}" for peer in PEERS]
        policy = compose_policy([evolve(node.member, url=url) for node, url in zip(nodes, urls, strict=True)])
        log = nodes[1].new_log()
        granted = log.inclusion_proof(log.append_one(grant_request(1), NOW_S))
        lane = open_lane(LaneOpening(granted, TERMS, NONCE), log.verifier_key, SUITE)
        voucher = sign_voucher(lane, 10, 4, (1).to_bytes(32, "big"), SUITE)
        settlement = Settlement(sign_receipt(voucher, NONCE, b"\x03" * 32, SUITE), TERMS, NONCE)
        index = log.append_one(settlement, NOW_S)
        note = parse_note(log.checkpoint())
        promised = note.with_signature(nodes[0].validator.sign(note.text, NOW_S, SUITE))
        final = promised.with_signature(nodes[1].validator.sign(note.text, NOW_S, SUITE))
        settler = InMemory(None, policy, (), tmp_path / "settlements", SUITE)
        settler.replies, settler.asked = [], []
        proofs = [log.inclusion_proof(index, each.encode()) for each in (promised, final)]
        yield settler, settlement, lane, *proofs


async def test_a_settlement_goes_to_the_log_of_its_lane_and_is_done_when_final(setting):
    settler, settlement, _, _, final = setting
    settler.replies = [SettleResult(final)]
    assert await settler.settle(settlement) == final
    assert settler.asked == [PEERS[1]]
    assert settler.waiting == 0


async def test_what_is_only_promised_stays_until_it_is_final(setting):
    settler, settlement, _, promised, final = setting
    settler.replies = [SettleResult(promised), SettleResult(final)]
    assert await settler.settle(settlement) == promised
    assert settler.waiting == 1
    assert await settler.settle(settlement) == final
    assert settler.waiting == 0


async def test_a_log_that_is_down_is_waited_for_and_no_other_is_asked(setting):
    settler, settlement, *_ = setting
    settler.replies = [ConnectionFailed("down")]
    with pytest.raises(ConnectionFailed, match="does not answer"):
        await settler.settle(settlement)
    assert settler.asked == [PEERS[1]]
    assert settler.waiting == 1


@pytest.mark.parametrize("reply", [SettleResult(b"no proof"), GrantProof(b""), RemoteProtocolError("?")])
async def test_an_answer_that_is_none_leaves_the_settlement_where_it_is(setting, reply):
    settler, settlement, *_ = setting
    settler.replies = [reply]
    with pytest.raises(ConnectionFailed):
        await settler.settle(settlement)
    assert settler.waiting == 1


async def test_a_refused_settlement_is_set_aside(setting):
    settler, settlement, *_ = setting
    settler.replies = [SettlementRejected(Rejected("settled_twice", "again"))]
    with pytest.raises(SettlementRejected):
        await settler.settle(settlement)
    assert settler.waiting == 0
    assert len(list(settler._folder.glob("*.rejected"))) == 1


async def test_a_grant_is_proven_again_by_the_lanes_own_log(setting):
    settler, _, lane, promised, _ = setting
    settler.replies = [GrantProof(promised), SettlementRejected(Rejected("not_granted", "?"))]
    assert await settler.prove_grant(lane) == promised
    with pytest.raises(ConnectionFailed):
        await settler.prove_grant(lane)
    assert settler.asked == [PEERS[1]] * 2
