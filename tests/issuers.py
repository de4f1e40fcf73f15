"""Issuers of credits for tests: keys that are kept, credits under them, and what a log says of both."""

from collections.abc import Sequence
from functools import cached_property
from typing import Final

from attrs import frozen

from peernet.core.credits.blind_rsa import PrivateKey, blind_sign
from peernet.core.credits.credits import BOUGHT, Credit, blinded_credits
from peernet.core.ledger.entries import ChangePart, IssuerKey, Redeem
from peernet.core.metering import ChangeRequest, sign_change
from peernet.core.suite import MixedSuite
from tests.vectors.blind_rsa import kept_keys

__all__ = ["KEYS", "SUITE", "TestIssuer", "change_request", "lane_seed", "redeem_of"]

SUITE: Final = MixedSuite()
KEYS: Final = kept_keys()
MASK: Final = 5
"""The signer's mask hides its key from who measures it, which nobody does here."""


@frozen(slots=False)
class TestIssuer:
    """One issuer key, and whoever has its private half."""

    __test__ = False

    private: PrivateKey = KEYS[0]
    denomination: int = 1_000
    credit_class: str = BOUGHT
    issue_from_s: int = 60
    issue_until_s: int = 6_000
    redeem_until_s: int = 60_000
    at_s: int = 60

    @cached_property
    def key(self) -> IssuerKey:
        """What the log announces."""
        return IssuerKey(
            self.credit_class,
            self.denomination,
            self.private.public.to_bytes(),
            self.issue_from_s,
            self.issue_until_s,
            self.redeem_until_s,
            self.at_s,
        )

    def credits(self, count: int, seed: bytes = b"\x31" * 32) -> list[Credit]:
        """Credits that are signed blind, the same for the same seed."""
        made = blinded_credits(self.private.public, self.key.key_id, seed, count)
        return [one.finish(self.sign(one.blinded)) for one in made]

    def sign(self, blinded: bytes) -> bytes:
        """One blind signature."""
        return blind_sign(self.private, blinded, MASK)


def lane_seed(number: int) -> bytes:
    """The seed of a lane key that no other number has."""
    return number.to_bytes(32, "big")


def redeem_of(number: int, cap: int, spent: Sequence[Credit], expires_at_s: int = 3_600, at_s: int = 120) -> Redeem:
    """The entry that funds lane `number`."""
    return Redeem(SUITE.ed25519_public(lane_seed(number)), cap, expires_at_s, at_s, bytes(32), tuple(spent))


def change_request(number: int, *parts: tuple[bytes, int], blinded: Sequence[bytes] = (b"blinded",)) -> ChangeRequest:
    """What asks for the change of lane `number`."""
    return sign_change(lane_seed(number), tuple(ChangePart(*part) for part in parts), tuple(blinded), SUITE)
