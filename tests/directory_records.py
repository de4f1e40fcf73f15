"""Signed records for tests of the directory, made by the dozen."""

import hashlib
from collections.abc import Iterable

from peernet.core.dht.records import Body, HostOffer, PeerRecord, open_record, operator_statement, sign_record
from peernet.core.identity import Keypair
from peernet.core.suite import MixedSuite

__all__ = ["HOST", "NOW", "RELAY", "STRANGER", "SUITE", "bodies_of", "keypair", "offer", "peer_record"]

SUITE = MixedSuite()
NOW = 1_800_000_000


def keypair(name: str) -> Keypair:
    """A key pair that goes with a name."""
    return Keypair.from_seed(hashlib.sha256(name.encode()).digest(), SUITE)


STRANGER = keypair("stranger")
OPERATOR = keypair("operator")
RELAY = keypair("relay")
HOST = keypair("host")


def peer_record(
    owner: Keypair,
    *roles: str,
    sequence: int = NOW,
    region: str = "",
    issued: int = NOW,
    address: str = "/ip4/203.0.113.7/tcp/4101",
) -> bytes:
    """A peer's signed record, which holds for an hour."""
    body = PeerRecord(
        public_key=owner.public_key,
        sequence=sequence,
        issued_at_s=issued,
        expires_at_s=issued + 3600,
        addresses=(address,),
        onion_key=b"k" * 32,
        operator_key=OPERATOR.public_key,
        operator_signature=OPERATOR.sign(operator_statement(owner.public_key)),
        roles=roles,
        region=region,
    )
    return sign_record(body, owner)


def offer(owner: Keypair, model: str, *, sequence: int = NOW, answer_price: int = 5, issued: int = NOW) -> bytes:
    """A host's signed offer, which holds for an hour."""
    body = HostOffer(
        public_key=owner.public_key,
        sequence=sequence,
        issued_at_s=issued,
        expires_at_s=issued + 3600,
        model=model,
        model_digest=bytes(32),
        tokenizer_digest=bytes(32),
        quantisation="",
        context_tokens=2048,
        prompt_price=2,
        answer_price=answer_price,
        capacity=1,
        region="",
        issuers=("log",),
        payout_key=b"p" * 32,
        flags=(),
    )
    return sign_record(body, owner)


def bodies_of(records: Iterable[bytes], now_s: int = NOW) -> dict[bytes, Body]:
    """The records, opened."""
    return {signed: open_record(signed, now_s, SUITE) for signed in records}
