"""Validating the others' logs: a bootstrap node takes their checkpoints, fetches the entries, replays and cosigns.

It serves
- `WITNESS_PROTOCOL`: another node's log submits a checkpoint, and gets the cosignatures that it earns;
- below `mirror_prefix` on `TLOG_PROTOCOL`: what it mirrors, for those who find the log's own node down, and the proof
  of why it refuses a log.

Requests need no authentication but the log's signature on the checkpoint. One at a time is worked on for each log, and
`MAX_WAITING` wait; more are told to come again.
"""

import math
from collections.abc import Callable, Mapping
from typing import Final

import structlog
import trio
from attrs import define, field

from bootstrap.mirror import LogRefused, Mirror, StandsElsewhere
from bootstrap.reading import LogReader
from peernet.core.errors import ConnectionFailed, RemoteProtocolError
from peernet.core.ledger.checkpoint import read_unverified
from peernet.core.ledger.messages import (
    WITNESS_PROTOCOL,
    AddCheckpoint,
    Conflict,
    Cosigned,
    Rejected,
    WitnessMessages,
    mirror_prefix,
)
from peernet.core.ledger.notes import NoteSignature, encode_signature_lines
from peernet.core.ledger.tiles import ResourceNotFound
from peernet.net.messages import MessageStream
from peernet.net.streams import PeerStream
from peernet.node.peer import Peer, now_s

__all__ = ["REFUSED", "ValidatorService"]

MAX_WAITING: Final = 16
LOOK_INTERVAL_S: Final = 10.0
"""How often a log is read whole to see whether it has forked, at most: anybody can send a proof that is wrong."""
REFUSED: Final = "refused"
"""The word for a log of which nothing is cosigned any more."""

log = structlog.get_logger()


@define
class _Mirrored:
    """A log that is followed, and where its entries come from."""

    mirror: Mirror
    reader: LogReader
    looked_at_s: float = -math.inf
    lock: trio.Lock = field(factory=trio.Lock)


class ValidatorService:
    """The mirrors of one node.

    Args:
        peer: the node, not yet listening.
        mirrors: each with the reader of its log's own node.
        heard_from: is told the name of each log that asked for a cosignature and got one: its node runs.
    """

    def __init__(
        self, peer: Peer, mirrors: Mapping[str, tuple[Mirror, LogReader]], heard_from: Callable[[str], None]
    ) -> None:
        self._heard_from = heard_from
        self._mirrored = {origin: _Mirrored(mirror, reader) for origin, (mirror, reader) in mirrors.items()}
        self._prefixes = {mirror_prefix(origin): mirrored.mirror for origin, mirrored in self._mirrored.items()}
        peer.swarm.handle(WITNESS_PROTOCOL, self._serve)

    def read(self, path: str) -> bytes:
        """What is served under a path of a mirror; raises `ResourceNotFound`. Call it in a thread."""
        for prefix, mirror in self._prefixes.items():
            if path.startswith(prefix):
                return mirror.read(path.removeprefix(prefix))
        raise ResourceNotFound(f"no mirror serves {path}")

    async def add_checkpoint(self, request: AddCheckpoint) -> Cosigned | Conflict | Rejected:
        """What becomes of a request for cosignatures."""
        try:
            mirrored = self._mirrored[read_unverified(request.checkpoint).origin]
        except KeyError:
            return Rejected("unknown_log", "this log is not in our policy")
        except RemoteProtocolError as error:
            return Rejected(error.reason, str(error))
        if mirrored.lock.statistics().tasks_waiting >= MAX_WAITING:
            return Rejected("busy", "this log has too many checkpoints waiting")
        async with mirrored.lock:
            try:
                return await self._cosign(mirrored, request)
            except StandsElsewhere as error:
                return Conflict(error.size, error.checkpoint)
            except LogRefused as error:
                log.warning("a log is refused", log=mirrored.mirror.log_key.name, reason=error.refusal.reason)
                return Rejected(REFUSED, str(error))
            except RemoteProtocolError as error:
                return Rejected(error.reason, str(error))

    async def _cosign(self, mirrored: _Mirrored, request: AddCheckpoint) -> Cosigned:
        mirror, note = mirrored.mirror, request.checkpoint
        try:
            witnessed = await trio.to_thread.run_sync(mirror.witness, request.old_size, request.proof, note, now_s())
        except RemoteProtocolError as error:
            if error.reason == "bad_proof":
                await self._look_for_fork(mirrored, note)
            raise
        validated = await self._validate(mirrored, note)
        self._heard_from(mirror.log_key.name)
        lines = (witnessed,) if validated is None else (witnessed, validated)
        return Cosigned(encode_signature_lines(lines))

    async def _validate(self, mirrored: _Mirrored, note: bytes) -> NoteSignature | None:
        """The validator's cosignature; None while the entries cannot be had, or do not fit."""
        mirror = mirrored.mirror
        try:
            entries = await mirrored.reader.read_entries(mirror.size, read_unverified(note).size)
            return await trio.to_thread.run_sync(mirror.extend, entries, note, now_s())
        except (ConnectionFailed, RemoteProtocolError, ResourceNotFound) as error:
            log.warning("a log's entries cannot be validated", log=mirror.log_key.name, error=str(error))
            return None

    async def _look_for_fork(self, mirrored: _Mirrored, note: bytes) -> None:
        """Whether a checkpoint that does not continue ours is of another history: its own node has to show it."""
        if trio.current_time() - mirrored.looked_at_s < LOOK_INTERVAL_S:
            return
        mirrored.looked_at_s = trio.current_time()
        try:
            entries = await mirrored.reader.read_entries(0, read_unverified(note).size)
        except (ConnectionFailed, RemoteProtocolError, ResourceNotFound):
            return
        await trio.to_thread.run_sync(mirrored.mirror.refuse_if_forked, entries, note)

    async def _serve(self, stream: PeerStream) -> None:
        messages = MessageStream(stream, WitnessMessages)
        while (request := await messages.receive()) is not None:
            if not isinstance(request, AddCheckpoint):
                raise RemoteProtocolError("a checkpoint was due", reason="bad_message")
            await messages.send(await self.add_checkpoint(request))
