"""Credits: bearer amounts of a few fixed sizes, which nobody can tie to whom they were signed for.

Theory of operation. A credit is a random serial with the issuer's signature of it, made blind. Whoever holds it may
spend it, once: the log that redeems it writes its serial down. An issuer has a key for each epoch, class and
denomination, so what a signature says is what its key was announced for; nothing else distinguishes two credits of
one key.

Rules:

1. `bought` credits are signed for money that has cleared, `granted` ones for nothing. They are never mixed, so what
   was given away does not turn into what somebody paid for.
2. An amount is made up of denominations. What does not fill the smallest one is no credit.
3. All secrets of a batch follow from one seed of 32 random bytes: a client that has it on its disk can ask again
   after a crash, with the same blinded messages, and gets the same credits.

Source: design section 8; RFC 9474.
"""

import hashlib
from collections.abc import Iterable, Sequence
from itertools import combinations_with_replacement
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
    "digest_of_blinded",
    "fewest_covering",
    "in_denominations",
]

BOUGHT: Final = "bought"
GRANTED: Final = "granted"
CLASSES: Final = (BOUGHT, GRANTED)
DENOMINATIONS: Final = (1_000, 10_000, 100_000, 1_000_000)
"""In microcredits."""
SERIAL_SIZE: Final = 32
KEY_ID_SIZE: Final = 32
SEED_SIZE: Final = 32
MAX_CREDITS_A_LANE: Final = 16

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


def fewest_covering(available: Sequence[int], amount_microcredits: int) -> tuple[int, ...] | None:
    """The fewest of these denominations that add up to at least this amount, and of those the least above it.

    None where all of them, or `MAX_CREDITS_A_LANE`, do not.
    """
    owned = {denomination: list(available).count(denomination) for denomination in sorted(set(available))}
    for count in range(1, min(len(available), MAX_CREDITS_A_LANE) + 1):
        # The first that covers is the least above: were there a lesser one, it would be less by the first's smallest
        # denomination or a multiple of it, since each divides the next, and the first would cover without that.
        for chosen in combinations_with_replacement(owned, count):
            if sum(chosen) >= amount_microcredits and all(
                chosen.count(denomination) <= number for denomination, number in owned.items()
            ):
                return chosen
    return None
