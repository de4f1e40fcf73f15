"""`python -m tests.vectors.blind_rsa`: writes `blind_rsa.json`, our vectors of blind signatures and credits.

The keys in it are kept, since making one draws randomness; all other secrets are digests of a label. What follows from
them is written by the code, and read by `test_blind_rsa.py`.
"""

import json
from pathlib import Path
from typing import Any, Final

from peernet.core.credits.blind_rsa import SALT_SIZE, PrivateKey, blind, blind_sign, finalize, prepare
from peernet.core.credits.credits import BOUGHT, blinded_credits
from peernet.core.ledger.entries import IssuerKey, Redeem, encode_entry
from peernet.core.suite import MixedSuite

__all__ = ["VECTORS", "blind_rsa_vectors", "kept_keys"]

VECTORS: Final = Path(__file__).with_name("blind_rsa.json")
SUITE: Final = MixedSuite()


def secret(label: str, size: int = 32) -> bytes:
    """Bytes that stand for random ones."""
    blocks = (SUITE.hash("SHA256", f"peernet credits vectors: {label} {place}".encode()) for place in range(size))
    return b"".join(blocks)[:size]


def kept_keys() -> list[PrivateKey]:
    """The keys of the file, which nothing but tests uses."""
    return [PrivateKey(int(p, 16), int(q, 16)) for p, q in json.loads(VECTORS.read_text("utf-8"))["keys"]]


def blind_rsa_vectors(keys: list[PrivateKey]) -> dict[str, Any]:
    """The whole file, for these keys."""
    key = keys[0]
    message, prefix, salt = b"a message", secret("prefix"), secret("salt", SALT_SIZE)
    factor = int.from_bytes(secret("factor", 256)) % key.public.modulus
    prepared = prepare(message, prefix)
    blinded, inverse = blind(key.public, prepared, salt, factor)
    signed = blind_sign(key, blinded, int.from_bytes(secret("mask", 256)) % key.public.modulus)
    announced = IssuerKey(BOUGHT, 1_000, key.public.to_bytes(), 600, 6_000, 60_000, 540)
    made = blinded_credits(key.public, announced.key_id, secret("batch"), 2)
    signed_credits = tuple(one.finish(blind_sign(key, one.blinded, 3)) for one in made)
    lane = Redeem(secret("lane"), 2_000, 7_200, 660, secret("commitment"), signed_credits)
    return {
        "keys": [[f"{key.p:x}", f"{key.q:x}"] for key in keys],
        "signature": {
            "message": message.hex(),
            "prefix": prefix.hex(),
            "salt": salt.hex(),
            "factor": f"{factor:x}",
            "blinded": blinded.hex(),
            "blind_signature": signed.hex(),
            "signature": finalize(key.public, prepared, signed, inverse).hex(),
        },
        "batch": {
            "seed": secret("batch").hex(),
            "issuer_key": encode_entry(announced).hex(),
            "key_id": announced.key_id.hex(),
            "blinded": [one.blinded.hex() for one in made],
            "redeem": encode_entry(lane).hex(),
        },
    }


if __name__ == "__main__":
    VECTORS.write_text(json.dumps(blind_rsa_vectors(kept_keys()), indent=1) + "\n", "utf-8")
