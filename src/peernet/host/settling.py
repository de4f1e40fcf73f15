"""Settling: receipts go to the ledger, and none is lost when the ledger cannot be reached.

Each settlement goes to the log that its lane was granted in. It is written to the host's state folder before it is
submitted, and removed once its entry is final: until then the log's signature is a promise that the log could break.
What is left there is submitted again when the host starts and every `RETRY_INTERVAL_S`. The files hold amounts, keys
and counts: never text.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import structlog
import trio

from peernet.core.errors import ConnectionFailed, PeernetError, RemoteProtocolError
from peernet.core.ledger.messages import (
    LEDGER_PROTOCOL,
    GrantProof,
    LedgerMessages,
    ProveGrant,
    Rejected,
    SettleLane,
    SettleResult,
)
from peernet.core.ledger.policy import LedgerPolicy
from peernet.core.ledger.proofs import LogProof
from peernet.core.metering import Lane, Settlement
from peernet.core.suite import CipherSuite
from peernet.core.wire import decode, encode
from peernet.net.addresses import PeerAddress
from peernet.net.messages import MessageStream
from peernet.net.swarm import Swarm
from peernet.node.home import write_secret
from peernet.node.policy import node_of

__all__ = ["SettlementRejected", "Settler"]

RETRY_INTERVAL_S: Final = 60.0
TIMEOUT_S: Final = 10.0

log = structlog.get_logger()


class SettlementRejected(PeernetError):
    """The ledger refuses a settlement for good; `reason` is its word for why."""

    def __init__(self, rejected: Rejected) -> None:
        super().__init__(f"the ledger refused a settlement: {rejected.explanation}")
        self.reason = rejected.reason


class Settler:
    """Submits a host's settlements to the bootstrap nodes.

    Args:
        swarm: the host's connections.
        policy: the logs, and what makes an entry of theirs final.
        ledgers: the bootstrap nodes to ask, in order, where the policy does not say which one keeps a log.
        folder: where settlements wait.
        suite: the primitives.
    """

    def __init__(
        self, swarm: Swarm, policy: LedgerPolicy, ledgers: Sequence[PeerAddress], folder: Path, suite: CipherSuite
    ) -> None:
        self._swarm = swarm
        self._policy = policy
        self._ledgers = tuple(ledgers)
        self._folder = folder
        self._suite = suite

    @property
    def waiting(self) -> int:
        """How many settlements are not final yet."""
        return len(list(self._folder.glob("*.settlement")))

    async def settle(self, settlement: Settlement) -> bytes:
        """The settlement's proof in the log: final, or with the log's promise, and then asked for again later.

        Raises `SettlementRejected`, or `ConnectionFailed` when the ledger does not answer: it is then kept, too.
        """
        path = self._folder / f"{settlement.receipt.voucher.lane_key.hex()}.settlement"
        write_secret(path, encode(settlement))
        try:
            reply = await self._ask(settlement.receipt.voucher.log_origin, SettleLane(settlement))
        except SettlementRejected:
            _move(path, ".rejected")
            raise
        if not isinstance(reply, SettleResult):
            raise ConnectionFailed("the ledger gave no result")
        if self._is_final(reply.proof):
            path.unlink(missing_ok=True)  # the retry may have been quicker
        return reply.proof

    async def prove_grant(self, lane: Lane) -> bytes:
        """The proof of a lane's grant as it is now; raises `ConnectionFailed` when there is none."""
        try:
            reply = await self._ask(lane.log_origin, ProveGrant(lane.lane_key))
        except SettlementRejected as error:
            raise ConnectionFailed("the log does not know the lane's grant") from error
        if not isinstance(reply, GrantProof):
            raise ConnectionFailed("the ledger gave no proof")
        return reply.proof

    async def retry(self) -> None:
        """Submits what waits, now and then again, until cancelled."""
        while True:
            for path in sorted(self._folder.glob("*.settlement")):
                try:
                    await self.settle(decode(Settlement, path.read_bytes()))
                except (ConnectionFailed, SettlementRejected) as error:
                    log.warning("a settlement waits", error=str(error))
                except FileNotFoundError:
                    continue  # it has been settled meanwhile
                except RemoteProtocolError as error:
                    log.warning("a settlement's file is damaged and was set aside", file=path.name, error=error.reason)
                    _move(path, ".damaged")
            await trio.sleep(RETRY_INTERVAL_S)

    def _is_final(self, proof: bytes) -> bool:
        try:
            return self._policy.finality(LogProof.parse(proof).checkpoint, self._suite).final
        except RemoteProtocolError as error:
            raise ConnectionFailed(f"the ledger's proof does not hold: {error}") from error

    def _nodes_of(self, origin: str) -> tuple[PeerAddress, ...]:
        try:
            node = node_of(self._policy.log(origin))
        except RemoteProtocolError:
            return ()  # a lane from before the policy changed: its log is asked for in vain, and the file stays
        return self._ledgers if node is None else (node,)

    async def _ask(self, origin: str, request: object) -> object:
        failure = ConnectionFailed("no bootstrap node is known that keeps this log")
        for ledger in self._nodes_of(origin):
            try:
                with trio.fail_after(TIMEOUT_S):
                    return await self._ask_node(ledger, request)
            except (ConnectionFailed, RemoteProtocolError, trio.TooSlowError) as error:
                failure = ConnectionFailed(f"the ledger of {ledger.peer} does not answer: {error}")
        raise failure

    async def _ask_node(self, ledger: PeerAddress, request: object) -> object:
        async with await self._swarm.open_stream(ledger.peer, [ledger.address], LEDGER_PROTOCOL) as stream:
            messages = MessageStream(stream, LedgerMessages)
            await messages.send(request)
            await stream.close_sending()
            reply = await messages.receive()
        if isinstance(reply, Rejected):
            if reply.reason == "busy":
                raise ConnectionFailed("the ledger is busy")
            raise SettlementRejected(reply)
        return reply


def _move(path: Path, suffix: str) -> None:
    """Sets a settlement aside; it may have been done before."""
    if path.exists():
        path.rename(path.with_suffix(suffix))
