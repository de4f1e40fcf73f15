"""Issuing credits: keys for each epoch, announced in the log, and blind signatures under them.

Theory of operation. For each class and denomination there is a key that signs for one epoch, and whose credits are
redeemed until the end of the next: so two epochs overlap. A key is announced in the log before it signs, and the log
says that credits are issued before they are: in blocks of `BLOCK`, with at least one block ahead of what was handed
out. The blocks are written once a minute, whatever is asked for in between, so that no entry belongs to one
withdrawal; only when more than a block goes within a minute is the next one written at once.

What the blocks tell a reader of the log: that within some minute a multiple of `BLOCK` was passed. The number of
credits of one withdrawal, its time, and how many there were, are not in it.

Whoever does the accounts calls `sign`, once a purchase has cleared: `Issuing` is all that there is between the two. It
gets blinded messages and no name. A request is idempotent by its id, since a signature is repeatable.

A client that goes on to spend what it just withdrew is found by that: nothing here waits for it (docs/credits.md).
"""

import secrets
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol

import structlog
import trio
from attrs import evolve, frozen
from cryptography.hazmat.primitives.asymmetric import rsa

from bootstrap.issuing_store import IssuingKey, IssuingStore, SigningRefused
from bootstrap.log import Log, Submission
from peernet.core.credits.blind_rsa import KEY_BITS, PUBLIC_EXPONENT, PrivateKey, blind_sign
from peernet.core.credits.credits import CLASSES, DENOMINATIONS, digest_of_blinded
from peernet.core.errors import UserError
from peernet.core.ledger.entries import Issue, IssuerKey, coarse_time_s, submission_id
from peernet.core.ledger.rules import RuleViolation
from peernet.core.metering import ChangeRequest
from peernet.node.peer import now_s

__all__ = [
    "BLOCK",
    "MAX_A_REQUEST",
    "REQUEST_ID_SIZE",
    "CreditIssuer",
    "IssuedKey",
    "Issuing",
    "SigningRefused",
]

BLOCK: Final = 256
MAX_A_REQUEST: Final = 100
REQUEST_ID_SIZE: Final = 32
KEY_PREFIX_SIZE: Final = 16
"""A request id begins with so much of the id of the key that its messages were blinded for; the rest is random."""
ROUND_S: Final = 60.0
RETRY_S: Final = 1.0
AHEAD_PARTS: Final = 10
"""The next key is announced when a tenth of an epoch is left."""
MAX_WAITING: Final = 64
DAY_S: Final = 24 * 3600

log = structlog.get_logger()


@frozen
class IssuedKey:
    """A key that signs, and where it was announced."""

    entry: IssuerKey
    proof: bytes
    """C2SP tlog-proof with the entry."""


class Issuing(Protocol):
    """What the accounts' side calls."""

    def keys(self) -> Sequence[IssuedKey]:
        """The keys that sign now, one for each class and denomination."""
        ...

    async def sign(
        self, request_id: bytes, credit_class: str, denomination: int, blinded: Sequence[bytes]
    ) -> list[bytes]:
        """The blind signatures of at most `MAX_A_REQUEST` blinded messages, in their order.

        `request_id` is the client's (32 bytes), and the same request under it gets the same answer: so a lost answer
        is asked for again. Raises `SigningRefused`, after which nothing was signed.
        """
        ...


class CreditIssuer:
    """The issuer of one node; an `Issuing`.

    Args:
        store: its keys.
        ledger: the node's log.
        submit: writes an entry, and returns its index.
        prove: the proof of the entry at an index.
        epoch_s: how long a key signs; its credits are redeemed for as long again after that. A multiple of a minute.
        classes: of credits that it signs.
        now: seconds of the Unix epoch.
    """

    def __init__(
        self,
        store: IssuingStore,
        ledger: Log,
        submit: Callable[[Submission], Awaitable[int]],
        prove: Callable[[int], Awaitable[bytes]],
        epoch_s: int,
        classes: Sequence[str] = CLASSES,
        now: Callable[[], float] = now_s,
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._issued = {key_id: key.issued for key_id, key in ledger.issuer_keys.items()}
        """What the log says of each key that it has announced: nobody but this issuer writes that."""
        self._begun_s = ledger.last_at_s
        self._submit = submit
        self._prove = prove
        self._epoch_s = epoch_s
        self._classes = tuple(classes)
        self._now = now
        self._keys = {key.key_id: key for key in store.all_keys()}
        self._proofs: dict[bytes, bytes] = {}
        self._lock = trio.Lock()
        """Held while anything is written to the store, or keys change."""
        self._signing = trio.CapacityLimiter(1)
        self._waiting = 0
        self._check_whole(ledger)
        for key in self._keys.values():
            if key.handed_out < 0:
                # Of a copy that was put back. All that the log says is issued may have been.
                key.handed_out = self._issued.get(key.key_id, 0)
                store.set_count(key.key_id, key.handed_out)

    async def run(self) -> None:
        """Makes keys, announces them, and writes blocks ahead of need, until cancelled."""
        while True:
            try:
                await self.renew()
            except RuleViolation as violation:
                # A log that has just started takes nothing yet; or a minute ended between a key and its announcement.
                log.warning("issuer keys are renewed later", reason=violation.reason)
                await trio.sleep(RETRY_S)
            else:
                await trio.sleep(ROUND_S)

    async def renew(self) -> None:
        """One round of it; raises `RuleViolation` when the log does not take an entry now."""
        async with self._lock:
            await self._delete_old()
            for credit_class in self._classes:
                for denomination in DENOMINATIONS:
                    await self._renew_key(credit_class, denomination)
            for key in list(self._keys.values()):
                announced = await self._announce(key)
                if self._signs(announced):
                    await self._issue(announced, announced.handed_out)
        async with trio.open_nursery() as nursery:
            for key in self._keys.values():
                if self._log_time_s() < key.entry.issue_until_s:
                    nursery.start_soon(self._prove_key, key)

    def keys(self) -> list[IssuedKey]:
        """The keys that sign now, one for each class and denomination."""
        newest: dict[tuple[str, int], IssuingKey] = {}
        for key in sorted(self._keys.values(), key=lambda key: key.entry.issue_from_s):
            if self._signs(key) and key.key_id in self._proofs:
                newest[key.entry.credit_class, key.entry.denomination_microcredits] = key
        return [IssuedKey(key.entry, self._proofs[key.key_id]) for key in newest.values()]

    async def sign(
        self, request_id: bytes, credit_class: str, denomination: int, blinded: Sequence[bytes]
    ) -> list[bytes]:
        if len(request_id) != REQUEST_ID_SIZE:
            raise SigningRefused(f"a request id has {REQUEST_ID_SIZE} bytes", reason="bad_request")
        if not 0 < len(blinded) <= MAX_A_REQUEST:
            raise SigningRefused(f"{len(blinded)} messages, not 1 to {MAX_A_REQUEST}", reason="bad_request")
        key = self._key_of(request_id, credit_class, denomination)
        _check_blinded(key, blinded)
        await self._hand_out(request_id, key, blinded)
        return await self._sign([(key, message) for message in blinded])

    async def change(self, request: ChangeRequest) -> list[bytes]:
        """The blind signatures that are the change of a lane; raises `RuleViolation` when the log does not give it."""
        asked = len(request.blinded)
        keys = [self._keys.get(part.key_id) for part in request.parts for _ in range(min(part.count, asked))]
        counts = [part.count for part in request.parts]
        if min(counts, default=0) < 1 or not len(keys) == asked == sum(counts):
            raise RuleViolation("change has as many blinded messages as its parts count", reason="bad_change")
        jobs = []
        for key, message in zip(keys, request.blinded, strict=True):
            if key is None:
                raise RuleViolation("change under a key that is not this node's", reason="unknown_key")
            jobs.append((key, message))
        try:
            for key, message in jobs:
                _check_blinded(key, [message])
            await self._submit(request)
            return await self._sign(jobs)
        except SigningRefused as error:
            raise RuleViolation(str(error), reason=error.reason) from error

    async def _hand_out(self, request_id: bytes, key: IssuingKey, blinded: Sequence[bytes]) -> None:
        digest = digest_of_blinded(blinded)
        async with self._lock:
            if await trio.to_thread.run_sync(self._store.key_of_request, request_id, digest) is not None:
                return
            if not self._signs(key):
                raise SigningRefused(
                    "the key of this request signs no more, or not yet: ask for the keys, and again", reason="key_over"
                )
            try:
                if key.handed_out + len(blinded) > self._issued[key.key_id]:
                    await self._issue(key, key.handed_out + len(blinded))
            except RuleViolation as violation:
                raise SigningRefused(f"the log cannot say that it issues: {violation}", reason="busy") from violation
            await trio.to_thread.run_sync(self._store.hand_out, request_id, key.key_id, digest, len(blinded))
            key.handed_out += len(blinded)

    async def _sign(self, jobs: Sequence[tuple[IssuingKey, bytes]]) -> list[bytes]:
        if self._waiting >= MAX_WAITING:
            raise SigningRefused("more is asked to be signed than this machine can: try again", reason="busy")
        self._waiting += 1
        try:
            return await trio.to_thread.run_sync(_sign_all, jobs, limiter=self._signing)
        finally:
            self._waiting -= 1

    def _key_of(self, request_id: bytes, credit_class: str, denomination: int) -> IssuingKey:
        for key in self._keys.values():
            entry = key.entry
            kind = (entry.credit_class, entry.denomination_microcredits)
            if request_id.startswith(key.key_id[:KEY_PREFIX_SIZE]) and kind == (credit_class, denomination):
                return key
        raise SigningRefused(
            "a request id begins with the key, of this class and denomination, that it is for: ask for the keys",
            reason="unknown_key",
        )

    def _signs(self, key: IssuingKey) -> bool:
        in_time = key.entry.issue_from_s <= self._log_time_s() < key.entry.issue_until_s
        return in_time and key.key_id in self._issued

    def _log_time_s(self) -> int:
        return max(coarse_time_s(self._now()), self._begun_s)

    async def _renew_key(self, credit_class: str, denomination: int) -> None:
        """Makes the next key where none signs, or the last one will soon be over."""
        ends = [
            key.entry.issue_until_s
            for key in self._keys.values()
            if (key.entry.credit_class, key.entry.denomination_microcredits) == (credit_class, denomination)
        ]
        now = self._log_time_s()
        if max(ends, default=0) - now > self._epoch_s // AHEAD_PARTS:
            return
        private = await trio.to_thread.run_sync(_new_key)
        begin = max(self._log_time_s(), *ends) if ends else self._log_time_s()
        end = begin + self._epoch_s
        modulus = private.public.to_bytes()
        entry = IssuerKey(credit_class, denomination, modulus, begin, end, end + self._epoch_s, 0)
        await trio.to_thread.run_sync(self._store.add_key, entry, private)
        self._keys[entry.key_id] = IssuingKey(entry, private, 0)

    async def _announce(self, key: IssuingKey) -> IssuingKey:
        if key.key_id in self._issued:
            return key
        if key.entry.issue_from_s < self._log_time_s():
            # The minute in which it was to begin is over. Nobody has seen it, so it begins anew.
            begin = self._log_time_s()
            end = begin + self._epoch_s
            later = evolve(key.entry, issue_from_s=begin, issue_until_s=end, redeem_until_s=end + self._epoch_s)
            await trio.to_thread.run_sync(self._replace, key.key_id, later, key.private)
            del self._keys[key.key_id]
            key = self._keys[later.key_id] = IssuingKey(later, key.private, 0)
        await self._submit(key.entry)
        self._issued[key.key_id] = 0
        return key

    async def _prove_key(self, key: IssuingKey) -> None:
        """Fetches the proof anew, until and after it is final."""
        index = await trio.to_thread.run_sync(self._ledger.index_of, submission_id(key.entry))
        assert index is not None
        self._proofs[key.key_id] = await self._prove(index)

    def _replace(self, key_id: bytes, entry: IssuerKey, private: PrivateKey) -> None:
        self._store.delete_key(key_id)
        self._store.add_key(entry, private)

    async def _issue(self, key: IssuingKey, handed_out: int) -> None:
        """Has the log say that a block more is issued than the one that is begun."""
        total = (handed_out // BLOCK + 2) * BLOCK
        if self._issued[key.key_id] < total:
            await self._submit(Issue(key.key_id, total, 0))
            self._issued[key.key_id] = total

    async def _delete_old(self) -> None:
        for key in list(self._keys.values()):
            if key.entry.redeem_until_s <= self._log_time_s():
                await trio.to_thread.run_sync(self._store.delete_key, key.key_id)
                del self._keys[key.key_id]
                self._proofs.pop(key.key_id, None)

    def _check_whole(self, ledger: Log) -> None:
        """Raises `UserError` where keys are missing that the log says still sign."""
        for key_id, announced in ledger.issuer_keys.items():
            if key_id not in self._keys and announced.may_sign(self._log_time_s()):
                raise UserError(
                    "issuer keys that the log has announced are missing from issuing.sqlite: restore it from a backup."
                    " Without them no credits can be issued until these keys' time is over"
                )


def _check_blinded(key: IssuingKey, blinded: Sequence[bytes]) -> None:
    public = key.private.public
    for message in blinded:
        if len(message) != public.size or not 0 < int.from_bytes(message) < public.modulus:
            raise SigningRefused("a blinded message is no number below its key's modulus", reason="bad_blinded")


def _sign_all(jobs: Sequence[tuple[IssuingKey, bytes]]) -> list[bytes]:
    signatures = []
    for key, message in jobs:
        mask = secrets.randbelow(key.private.public.modulus - 1) + 1
        signatures.append(blind_sign(key.private, message, mask))
    return signatures


def _new_key() -> PrivateKey:
    numbers = rsa.generate_private_key(PUBLIC_EXPONENT, KEY_BITS).private_numbers()
    return PrivateKey(numbers.p, numbers.q)
