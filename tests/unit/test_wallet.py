"""Funding a lane: in any log that the host accepts, and in another one when its node is down or lies."""

from contextlib import ExitStack
from types import SimpleNamespace

import pytest
from attrs import evolve

from peernet.client.wallet import LaneRefused, LedgerUnreachable, fund_lane
from peernet.core.ledger.messages import CREDITS_ONLY, LaneMessages, LaneOpened, Rejected
from peernet.core.ledger.policy import compose_policy
from peernet.core.ring.paths import PathPeer, RingPath
from peernet.net.rings import RingFailed
from peernet.node.peer import now_s
from tests.ledger_nodes import SUITE, nodes_in

PEERS = (
    "12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp",
    "12D3KooWQYhTNQdmr3ArTeUHRYzFg94BKyTkoWBDWez9kSCVe2Xo",
)
RELAYS = tuple(PathPeer(name, name.encode(), frozenset()) for name in ("guard", "out", "back"))
PATH = RingPath(RELAYS[:2], (RELAYS[0], RELAYS[2]), PathPeer("host", b"host", frozenset()))


class Ledger:
    """One node at the end of a lane ring: grants, or does what it is told instead."""

    def __init__(self, log):
        self.log = log
        self.says = None
        self.ended = None

    async def send(self, message):
        request = LaneMessages.decode(message)
        self.reply = self.says or LaneOpened(self.log.inclusion_proof(self.log.append_one(request, now_s())))

    async def receive(self):
        return LaneMessages.encode(self.reply)

    def end(self):
        pass


class Network:
    """As much of a client's view as funding needs."""

    suite = SUITE

    def __init__(self, ledgers):
        self.ledgers = ledgers
        self.down = {}
        self.unlisted = set()
        self.asked = []

    def ledger_path(self, path, node):
        return (
            None
            if str(node) in self.unlisted
            else RingPath(path.out, path.back, PathPeer(str(node), b"", frozenset()))
        )

    async def open_ring(self, path, service):
        peer = path.endpoint.peer
        self.asked.append(peer)
        if peer in self.down:
            raise RingFailed("no ring", reason="unreachable", hop=self.down[peer])
        return self.ledgers[peer]


@pytest.fixture
def setting(tmp_path):
    with ExitStack() as stack:
        nodes, _ = nodes_in(tmp_path, stack, "ab")
        urls = [f"/ip4/127.0.0.1/tcp/1/p2p/{peer}" for peer in PEERS]
        policy = compose_policy([evolve(node.member, url=url) for node, url in zip(nodes, urls, strict=True)])
        network = Network({peer: Ledger(node.new_log()) for peer, node in zip(PEERS, nodes, strict=True)})
        offer = SimpleNamespace(payout_key=b"\x01" * 32, prompt_price=2, answer_price=5, issuers=("a", "b"))
        yield network, offer, policy


async def fund(setting):
    network, offer, policy = setting
    return await fund_lane(network, PATH, offer, 100, policy)


async def test_lanes_are_spread_over_the_logs(setting):
    origins = {(await fund(setting)).lane.log_origin for _ in range(30)}
    assert origins == {"a", "b"}


async def test_only_logs_that_the_host_accepts_are_asked(setting):
    setting[1].issuers = ("b", "c")
    lane = await fund(setting)
    assert (lane.lane.log_origin, lane.finality.final) == ("b", False)
    setting[1].issuers = ("c",)
    with pytest.raises(LedgerUnreachable, match="lists no node"):
        await fund(setting)


@pytest.mark.parametrize("down", PEERS)
async def test_where_one_node_is_down_another_one_grants(setting, down):
    network = setting[0]
    network.down = {down: 1}  # the last relay could not reach it
    for _ in range(6):
        assert (await fund(setting)).lane.log_origin == {PEERS[0]: "b", PEERS[1]: "a"}[down]
    network.down = dict.fromkeys(PEERS, 1)
    with pytest.raises(LedgerUnreachable) as raised:
        await fund(setting)
    assert raised.value.ring is not None


async def test_where_a_relay_failed_no_other_node_is_asked_over_it(setting):
    network = setting[0]
    network.down = dict.fromkeys(PEERS, 0)
    with pytest.raises(LedgerUnreachable):
        await fund(setting)
    assert len(network.asked) == 1


@pytest.mark.parametrize(
    "says", [LaneOpened(b"no proof"), Rejected("busy", "later"), Rejected(CREDITS_ONLY, "credits")]
)
async def test_a_node_that_lies_or_is_busy_or_wants_credits_is_passed_over(setting, says):
    setting[0].ledgers[PEERS[0]].says = says
    for _ in range(6):
        assert (await fund(setting)).lane.log_origin == "b"


async def test_a_grant_of_another_nodes_log_is_none(setting):
    network = setting[0]
    network.ledgers[PEERS[0]].log = network.ledgers[PEERS[1]].log
    for _ in range(6):
        await fund(setting)
    assert all(network.asked[place + 1] == PEERS[1] for place, peer in enumerate(network.asked) if peer == PEERS[0])


async def test_a_cap_that_one_operator_refuses_is_not_asked_of_all(setting):
    for ledger in setting[0].ledgers.values():
        ledger.says = Rejected("over_grant", "too much")
    with pytest.raises(LaneRefused, match="shorter answer"):
        await fund(setting)
    assert len(setting[0].asked) == 1


async def test_a_node_that_the_directory_does_not_list_is_passed_over(setting):
    setting[0].unlisted = {PEERS[1]}
    assert (await fund(setting)).lane.log_origin == "a"
