"""Settling: receipts go to the ledger, and none is lost when the ledger cannot be reached.

Each settlement is written to the host's state folder before it is submitted and removed once the log has taken it;
what is left there is submitted again when the host starts and every `RETRY_INTERVAL_S`. The files hold amounts, keys
and counts: never text.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import structlog
import trio

from peernet.core.errors import ConnectionFailed, PeernetError, RemoteProtocolError
from peernet.core.ledger.messages import LEDGER_PROTOCOL, LedgerMessages, Rejected, SettleLane, SettleResult
from peernet.core.metering import Settlement
from peernet.core.wire import decode, encode
from peernet.net.addresses import PeerAddress
from peernet.net.messages import MessageStream
from peernet.net.swarm import Swarm
from peernet.node.home import write_secret

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
    """Submits a host's settlements to a bootstrap node.

    Args:
        swarm: the host's connections.
        ledgers: the bootstrap nodes that keep the log, tried in order.
        folder: where settlements wait.
    """

    def __init__(self, swarm: Swarm, ledgers: Sequence[PeerAddress], folder: Path) -> None:
        self._swarm = swarm
        self._ledgers = tuple(ledgers)
        self._folder = folder

    @property
    def waiting(self) -> int:
        """How many settlements the log has not taken yet."""
        return len(list(self._folder.glob("*.settlement")))

    async def settle(self, settlement: Settlement) -> bytes:
        """The settlement's proof in the log.

        Raises `SettlementRejected`, or `ConnectionFailed` when no ledger answers: it is then kept and tried again.
        """
        path = self._folder / f"{settlement.receipt.voucher.lane_key.hex()}.settlement"
        write_secret(path, encode(settlement))
        try:
            proof = await self._submit(settlement)
        except SettlementRejected:
            _move(path, ".rejected")
            raise
        path.unlink(missing_ok=True)  # the retry may have been quicker
        return proof

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

    async def _submit(self, settlement: Settlement) -> bytes:
        failure = ConnectionFailed("no bootstrap node is configured to settle with")
        for ledger in self._ledgers:
            try:
                with trio.fail_after(TIMEOUT_S):
                    return await self._submit_to(ledger, settlement)
            except (ConnectionFailed, RemoteProtocolError, trio.TooSlowError) as error:
                failure = ConnectionFailed(f"the ledger of {ledger.peer} does not answer: {error}")
        raise failure

    async def _submit_to(self, ledger: PeerAddress, settlement: Settlement) -> bytes:
        async with await self._swarm.open_stream(ledger.peer, [ledger.address], LEDGER_PROTOCOL) as stream:
            messages = MessageStream(stream, LedgerMessages)
            await messages.send(SettleLane(settlement))
            await stream.close_sending()
            reply = await messages.receive()
        if isinstance(reply, SettleResult):
            return reply.proof
        if isinstance(reply, Rejected) and reply.reason != "busy":
            raise SettlementRejected(reply)
        raise ConnectionFailed("the ledger gave no result")


def _move(path: Path, suffix: str) -> None:
    """Sets a settlement aside; it may have been done before."""
    if path.exists():
        path.rename(path.with_suffix(suffix))
