"""What the overlay's benchmark compares a connect with is what a connect needs."""

import json
from collections import Counter

from benchmarks.overlay import connect_figure, handshake_cryptography
from peernet.core.connection import Connection, NoiseIdentity
from peernet.core.identity import Keypair
from peernet.core.suite import MixedSuite


class CountingSuite(MixedSuite):
    """The primitives, and how often those with public keys were asked for."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()

    def x25519_public(self, secret: bytes) -> bytes:
        self.calls["base multiplication"] += 1
        return super().x25519_public(secret)

    def x25519(self, secret: bytes, public: bytes) -> bytes:
        self.calls["multiplication"] += 1
        return super().x25519(secret, public)

    def sign(self, seed: bytes, message: bytes) -> bytes:
        self.calls["signature"] += 1
        return super().sign(seed, message)

    def verify(self, public: bytes, message: bytes, signature: bytes) -> bool:
        self.calls["verification"] += 1
        valid = super().verify(public, message, signature)
        self.calls["valid"] += valid
        return valid


def of_a_handshake() -> Counter[str]:
    """What both sides of one connection ask for."""
    suite = CountingSuite()
    dialler, listener = (
        NoiseIdentity.of(Keypair.from_seed(bytes([number]) * 32, suite), bytes([number]) * 32, suite)
        for number in (1, 2)
    )
    suite.calls.clear()  # identities are made once, for all connections
    here = Connection(suite, dialler, initiator=True, ephemeral_secret=b"3" * 32)
    there = Connection(suite, listener, initiator=False, ephemeral_secret=b"4" * 32)
    while not (here.established and there.established):
        there.receive(here.data_to_send())
        here.receive(there.data_to_send())
    return suite.calls


def test_the_cryptography_that_is_measured_is_that_of_a_handshake() -> None:
    suite = CountingSuite()
    once = handshake_cryptography(suite)
    suite.calls.clear()
    once()
    assert suite.calls == of_a_handshake()


def test_a_connect_is_compared_with_the_sum_and_held_to_nothing() -> None:
    line = json.loads(connect_figure(3.0, 0.7, 0.5).line())
    assert (line["name"], line["reference"]) == ("connect_cpu", "raw trio TCP + cryptography")
    assert (line["value"], line["reference_value"], line["ratio"]) == (3.0, 1.2, 2.5)
    assert line["target"] is line["met"] is None
