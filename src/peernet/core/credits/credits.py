"""Credits: bearer amounts of a few fixed sizes, which nobody can tie to whom they were signed for.

Theory of operation. A credit is a random serial with the issuer's signature of it, made blind. Whoever holds it may
spend it, once: the log that redeems it writes its serial down. An issuer has a key for each epoch, class and
denomination, so what a signature says is what its key was announced for; nothing else distinguishes two credits of
one key.

Rules:

1. `bought` credits are signed for money that has cleared, `granted` ones for nothing. They are never mixed, so what
   was given away does not turn into what somebody paid for.
2. An amount is made up of denominations, each of which divides the next. What does not fill the smallest one is no
   credit.
3. Each credit costs its issuer a signature and the log some 350 bytes, so change is the fewest credits. A lane is paid
   for as closely as can be, since the rest of it is locked until it is settled, and then by the fewest. Where small
   ones pile up, they are spent first.
4. All secrets of a batch follow from one seed of 32 random bytes: a client that has it on its disk can ask again
   after a crash, with the same blinded messages, and gets the same credits.

Source: design section 8; RFC 9474.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Final

from attrs import field, frozen

from peernet.core.credits.blind_rsa import (
    MODULUS_SIZE,
    PREFIX_SIZE,
    SALT_SIZE,
    PublicKey,
    blind,
    finalize,
    prepare,
    verify,
)
from peernet.core.errors import LocalProtocolError, RemoteProtocolError

__all__ = [
    "BOUGHT",
    "CLASSES",
    "DENOMINATIONS",
    "GRANTED",
    "KEY_ID_SIZE",
    "MAX_CREDITS_A_LANE",
    "SERIAL_SIZE",
    "BlindedCredit",
    "Credit",
    "blinded_credits",
    "check_credit",
    "closest_covering",
    "digest_of_blinded",
    "in_denominations",
    "spread",
]

BOUGHT: Final = "bought"
GRANTED: Final = "granted"
CLASSES: Final = (BOUGHT, GRANTED)
DENOMINATIONS: Final = (100, 1_000, 10_000, 100_000, 1_000_000)
"""In microcredits."""
SERIAL_SIZE: Final = 32
KEY_ID_SIZE: Final = 32
SEED_SIZE: Final = 32
MAX_CREDITS_A_LANE: Final = 16
MANY: Final = 20
"""So many credits of one denomination, beside those that a lane takes, are more than are needed for anything."""

_CREDIT_DOMAIN = b"peernet credit v1\x00"
_SECRETS_DOMAIN = b"peernet credit secrets v1\x00"
_BLINDED_DOMAIN = b"peernet blinded messages v1\x00"


@frozen
class Credit:
    """A bearer credit: whoever has it can spend it."""

    key_id: bytes
    """Of the issuer key, which says class and denomination; 32 bytes."""
    serial: bytes = field(repr=False)
    """32 random bytes."""
    randomizer: bytes = field(repr=False)
    """32 random bytes: the prefix of RFC 9474's randomized variant."""
    signature: bytes = field(repr=False)
    """Of 256 bytes: by the issuer key, over `prepared`."""

    @property
    def prepared(self) -> bytes:
        """What the issuer key signs."""
        return prepare(_CREDIT_DOMAIN + self.serial, self.randomizer)


@frozen
class BlindedCredit:
    """A credit on its way: what is sent to be signed, and what makes a credit of the answer."""

    key: PublicKey = field(repr=False)
    unsigned: Credit = field(repr=False)
    blinded: bytes = field(repr=False)
    """What the issuer gets."""
    inverse: int = field(repr=False)

    def finish(self, blind_signature: bytes) -> Credit:
        """The credit; raises `RemoteProtocolError` (`bad_signature`) when the issuer gave something else."""
        unsigned = self.unsigned
        signature = finalize(self.key, unsigned.prepared, blind_signature, self.inverse)
        return Credit(unsigned.key_id, unsigned.serial, unsigned.randomizer, signature)


def check_credit(credit: Credit, key: PublicKey) -> None:
    """Checks sizes and signature; raises `RemoteProtocolError`: `bad_credit`."""
    sizes = (len(credit.serial), len(credit.randomizer), len(credit.signature))
    if sizes != (SERIAL_SIZE, PREFIX_SIZE, MODULUS_SIZE):
        raise RemoteProtocolError("a credit's serial, randomizer or signature has another length", reason="bad_credit")
    if not verify(key, credit.prepared, credit.signature):
        raise RemoteProtocolError("a credit's signature does not verify", reason="bad_credit")


def blinded_credits(key: PublicKey, key_id: bytes, seed: bytes, count: int) -> list[BlindedCredit]:
    """`count` credits to be signed under `key`.

    They follow from `seed`, which is secret and fresh for each batch. Raises `LocalProtocolError` for one that is not
    of 32 bytes.
    """
    if len(seed) != SEED_SIZE:
        raise LocalProtocolError(f"the seed of a batch has {SEED_SIZE} bytes, not {len(seed)}")
    return [_blinded(key, key_id, seed, place) for place in range(count)]


def _blinded(key: PublicKey, key_id: bytes, seed: bytes, place: int) -> BlindedCredit:
    # 16 bytes more than the modulus has, so that the factor is as good as uniform.
    sizes = (SERIAL_SIZE, PREFIX_SIZE, SALT_SIZE, key.size + 16)
    stream = hashlib.shake_256(_SECRETS_DOMAIN + seed + key_id + place.to_bytes(4)).digest(sum(sizes))
    serial, stream = stream[: sizes[0]], stream[sizes[0] :]
    randomizer, stream = stream[: sizes[1]], stream[sizes[1] :]
    salt, stream = stream[: sizes[2]], stream[sizes[2] :]
    factor = int.from_bytes(stream) % (key.modulus - 1) + 1
    unsigned = Credit(key_id, serial, randomizer, b"")
    blinded, inverse = blind(key, unsigned.prepared, salt, factor)
    return BlindedCredit(key, unsigned, blinded, inverse)


def digest_of_blinded(blinded: Iterable[bytes]) -> bytes:
    """32 bytes that stand for a row of blinded messages, each of any length."""
    digest = hashlib.sha256(_BLINDED_DOMAIN)
    for message in blinded:
        digest.update(hashlib.sha256(message).digest())
    return digest.digest()


def in_denominations(amount_microcredits: int) -> dict[int, int]:
    """The fewest credits that add up to at most this amount: how many of each denomination, the largest first.

    Less than the smallest denomination is left.
    """
    counts = {}
    for denomination in reversed(DENOMINATIONS):
        count, amount_microcredits = divmod(max(0, amount_microcredits), denomination)
        if count:
            counts[denomination] = count
    return counts


def spread(amount_microcredits: int) -> dict[int, int]:
    """The fewest credits, worth exactly this amount, that pay any lesser multiple of the smallest one exactly.

    How many of each denomination, the largest first: 9 to 18 of each but the largest, or as many as there is room
    for. What does not fill the smallest denomination is left.
    """
    left = max(0, amount_microcredits)
    counts = {}
    for small, large in pairwise(DENOMINATIONS):
        fits, ratio = left // small, large // small
        # Nine of them, and then as many as leave whole credits of the next denomination.
        count = min(fits, ratio - 1 + (fits + 1) % ratio)
        if count:
            counts[small] = count
        left -= count * small
    if left // DENOMINATIONS[-1]:
        counts[DENOMINATIONS[-1]] = left // DENOMINATIONS[-1]
    return dict(reversed(counts.items()))


def closest_covering(available: Sequence[int], amount_microcredits: int) -> tuple[int, ...] | None:
    """Which of these denominations pay this amount: the least that they can be worth, and then the fewest.

    The smallest ones are first. Where there are `MANY` of a denomination, some stand in for one of the next. None
    where all of them, or `MAX_CREDITS_A_LANE`, do not cover the amount.
    """
    owned = Counter(available)
    coverings: list[Counter[int]] = []
    taken: Counter[int] = Counter()
    left = max(1, amount_microcredits)
    for denomination in sorted(owned, reverse=True):
        # As many as fit are never too many: smaller ones that are worth as much would be more. Then either one more
        # covers the rest, or smaller ones do.
        fits = min(owned[denomination], left // denomination)
        if left > 0 and owned[denomination] > fits:
            coverings.append(taken + Counter({denomination: fits + 1}))
        taken[denomination] = fits
        left -= fits * denomination
    if left <= 0:
        coverings.append(taken)
    few = [covering for covering in coverings if covering.total() <= MAX_CREDITS_A_LANE]
    if not few:
        return None
    chosen = min(few, key=lambda covering: (sum(covering.elements()), covering.total()))
    for small, large in pairwise(DENOMINATIONS):
        ratio = large // small
        while (
            chosen[large] > 0
            and owned[small] - chosen[small] >= MANY
            and chosen.total() + ratio - 1 <= MAX_CREDITS_A_LANE
        ):
            chosen[small] += ratio
            chosen[large] -= 1
    return tuple(sorted(chosen.elements()))
