"""Credits: signing and checking against OpenSSL alone, the memory of a redeemed credit, and what change costs.

Change costs what is lost with each answer, and what the issuer signs for it.
"""

import random
import secrets
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator

from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA384

from benchmarks.report import Figure
from peernet.core.credits.blind_rsa import KEY_BITS, PUBLIC_EXPONENT, PrivateKey, blind_sign
from peernet.core.credits.credits import (
    DENOMINATIONS,
    Credit,
    blinded_credits,
    check_credit,
    closest_covering,
    in_denominations,
    spread,
)
from peernet.core.ledger.credit_rules import CreditState

SIGNATURES = 60
CHECKS = 1_000
SERIALS = 100_000
KEY_ID = bytes(32)
LANES = 2_000
WITHDRAWN = 10_000_000
LARGE_UNIT = 1_000
"""What change was made up of before there were credits of 100."""


def figures() -> Iterator[Figure]:
    """Ours are in Python around OpenSSL's verification; the private operation is ours as a whole."""
    openssl = rsa.generate_private_key(PUBLIC_EXPONENT, KEY_BITS)
    numbers = openssl.private_numbers()
    key = PrivateKey(numbers.p, numbers.q)
    (made,) = blinded_credits(key.public, KEY_ID, secrets.token_bytes(32), 1)

    def sign() -> bytes:
        return blind_sign(key, made.blinded, secrets.randbelow(key.public.modulus - 1) + 1)

    credit = made.finish(sign())
    pss = padding.PSS(padding.MGF1(SHA384()), 48)
    conditions = {"bits": KEY_BITS, "signatures": SIGNATURES, "checks": CHECKS}
    yield Figure(
        "credits_blind_sign",
        _a_second(sign, SIGNATURES),
        "blind signatures per CPU-second",
        "OpenSSL's RSA-PSS signatures per CPU-second",
        _a_second(lambda: openssl.sign(credit.prepared, pss, SHA384()), SIGNATURES),
        0.03,
        False,
        conditions,
    )
    public = openssl.public_key()
    yield Figure(
        "credits_check",
        _a_second(lambda: check_credit(credit, key.public), CHECKS),
        "credits checked per CPU-second",
        "OpenSSL's RSA-PSS verifications per CPU-second",
        _a_second(lambda: public.verify(credit.signature, credit.prepared, pss, SHA384()), CHECKS),
        0.6,
        False,
        conditions,
    )
    yield Figure(
        "credits_memory",
        _bytes_a_serial(),
        "bytes a redeemed credit",
        "the serial alone",
        32.0,
        6.0,
        True,
        {"credits": SERIALS},
    )
    lost, signed = _change_of(DENOMINATIONS[0])
    lost_before, signed_before = _change_of(LARGE_UNIT)
    asked = {"lanes": LANES, "prompt": "20-500 tokens", "answer": "10-180 tokens"}
    yield Figure(
        "credits_lost",
        lost,
        "microcredits lost an answer",
        f"with change in units of {LARGE_UNIT}",
        lost_before,
        0.12,
        True,
        asked,
    )
    yield Figure(
        "credits_change",
        signed,
        "blind signatures of change an answer",
        f"with change in units of {LARGE_UNIT}",
        signed_before,
        None,
        True,
        asked,
    )


def _a_second(call: Callable[[], object], count: int) -> float:
    call()
    began = time.process_time()
    for _ in range(count):
        call()
    return count / (time.process_time() - began)


def _bytes_a_serial() -> float:
    state = CreditState()
    tracemalloc.start()
    state.redeem([Credit(KEY_ID, secrets.token_bytes(32), b"", b"") for _ in range(SERIALS)])
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert state.keys[KEY_ID].redeemed == SERIALS
    return size / SERIALS


def _change_of(unit: int) -> tuple[float, float]:
    """What is lost, and how many credits are signed, for each of many answers paid from one purse.

    Prices are those that a host has by default. Raises `AssertionError` where the purse pays no more.
    """
    draw = random.Random(7)
    purse = Counter({each: count for each, count in spread(WITHDRAWN).items() if each >= unit})
    lost = signed = 0
    for _ in range(LANES):
        prompt, answer = draw.randint(20, 500), draw.randint(10, 180)
        chosen = closest_covering(list(purse.elements()), 2 * prompt + 5 * (120 + 64))
        assert chosen is not None
        purse.subtract(chosen)
        left = sum(chosen) - 2 * prompt - 5 * answer
        change = in_denominations(left // unit * unit)
        purse.update(change)
        lost += left % unit
        signed += sum(change.values())
    return lost / LANES, signed / LANES
