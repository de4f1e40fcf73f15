"""A lane that hosts reported, and whose settlement an operator stopped, is settled no more; all others are."""

from typing import Any, cast

import trio
import trio.testing

from bootstrap.log import Log
from bootstrap.service import BootstrapService
from bootstrap.store import LedgerStore
from peernet.core.ledger.messages import LedgerMessages, Rejected, SettleLane, SettleResult
from peernet.net.messages import MessageStream
from tests.unit.test_ledger_store import NOW_S, ORIGIN, SEED, SUITE, settlement


async def test_a_lane_that_was_refused_is_settled_no_more(tmp_path):
    with LedgerStore(tmp_path / "ledger.sqlite", create=True) as store:
        log = Log(store, ORIGIN, SEED, SUITE)
        refused, other = settlement(log, 1), settlement(log, 2)
        service: Any = object.__new__(BootstrapService)
        service.refused_lanes = frozenset({refused.receipt.voucher.lane_key})

        async def submit(submission):
            await trio.lowlevel.checkpoint()
            return log.append_one(submission, NOW_S)

        async def prove(index):
            await trio.lowlevel.checkpoint()
            return log.inclusion_proof(index)

        service.submit, service.prove = submit, prove
        ours, theirs = trio.testing.memory_stream_pair()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(service._serve_settlement, theirs)
            messages = MessageStream(cast("Any", ours), LedgerMessages)
            before = log.size
            await messages.send(SettleLane(refused))
            answer = await messages.receive()
            assert isinstance(answer, Rejected)
            assert (answer.reason, log.size) == ("refused_lane", before)
            await messages.send(SettleLane(other))
            assert isinstance(await messages.receive(), SettleResult)
            assert log.size == before + 1
            await ours.send_eof()
