"""The entries of the metering ledger: what a leaf says, and all that it says.

Rules:

1. An entry is the canonical msgpack array `[kind, field, ...]`; two byte strings never mean the same entry.
2. A leaf holds amounts, the lane, the payout key, times no finer than a minute, and a commitment to the rest: nothing
   else that would tie it to a person, a prompt or a peer. A lane key is fresh and a payout key is no peer key.
3. A commitment hides by a nonce of 32 random bytes, which those hold who may open it, and never the log.
4. Whoever submits names the entry, by its lane or issuer key: so a submission that is sent again finds the entry it
   made.
5. Credits are issued in numbers alone: who got how many is no entry. A redeemed credit is written down whole, so that
   everybody can verify its signature; whom it was signed for nobody can tell from it (docs/credits.md).

Source: design section 8.
"""

import hashlib
from typing import Final

from attrs import evolve, frozen

from peernet.core.credits.credits import Credit
from peernet.core.errors import LocalProtocolError, RemoteProtocolError
from peernet.core.wire import MessageSet, encode

__all__ = [
    "COMMITMENT_SIZE",
    "NONCE_SIZE",
    "TIME_GRAIN_S",
    "Change",
    "ChangePart",
    "Entry",
    "Funding",
    "Grant",
    "Issue",
    "IssuerKey",
    "Redeem",
    "Settle",
    "coarse_time_s",
    "commitment",
    "decode_entry",
    "encode_entry",
    "grant_id",
    "settle_id",
    "submission_id",
]

COMMITMENT_SIZE: Final = 32
NONCE_SIZE: Final = 32
TIME_GRAIN_S: Final = 60
MAX_ENCODED_SIZE: Final = 8192
"""A lane of sixteen credits takes six thousand."""

_COMMITMENT_DOMAIN = b"peernet commitment v1\x00"
_CHANGE_DOMAIN = b"peernet change v1\x00"
_KEY_DOMAIN = b"peernet issuer key v1\x00"


@frozen
class Grant:
    """An operator funds a lane."""

    lane_key: bytes
    """The lane's fresh Ed25519 key, 32 bytes."""
    cap_microcredits: int
    expires_at_s: int
    """Seconds of the Unix epoch, a multiple of `TIME_GRAIN_S`."""
    at_s: int
    """When the log took the entry, likewise."""
    commitment: bytes
    """To the lane's terms: `LaneTerms` of metering."""


@frozen
class Settle:
    """A host is owed what a lane's last voucher says."""

    lane_key: bytes
    payout_key: bytes
    amount_microcredits: int
    at_s: int
    commitment: bytes
    """To the receipt: `Receipt` of metering."""


@frozen
class IssuerKey:
    """The log's operator announces a key that credits will be signed with, before it signs any."""

    credit_class: str
    """`bought` or `granted`."""
    denomination_microcredits: int
    """What a credit under this key is worth."""
    modulus: bytes
    """Of an RSA key of 2048 bits, big-endian; its exponent is 65537."""
    issue_from_s: int
    """Credits are signed from here on, ..."""
    issue_until_s: int
    """... to before here, and redeemed ..."""
    redeem_until_s: int
    """... to before here."""
    at_s: int

    @property
    def key_id(self) -> bytes:
        """The 32 bytes that the key, with all that is announced of it, is known by."""
        return hashlib.sha256(_KEY_DOMAIN + encode(evolve(self, at_s=0))).digest()


@frozen
class Issue:
    """So many credits are signed under a key, or will be: written before they are, and for many people at once."""

    key_id: bytes
    total: int
    """In all, change not included; each entry says more than the one before."""
    at_s: int


@frozen
class Redeem:
    """Credits fund a lane."""

    lane_key: bytes
    cap_microcredits: int
    """What the credits are worth together."""
    expires_at_s: int
    at_s: int
    commitment: bytes
    """To the lane's terms, as a grant's."""
    credits: tuple[Credit, ...]


@frozen
class ChangePart:
    """So many credits under one key."""

    key_id: bytes
    count: int


@frozen
class Change:
    """What is left of a lane that credits funded returns as credits, signed blind."""

    lane_key: bytes
    parts: tuple[ChangePart, ...]
    at_s: int
    blinded_digest: bytes
    """Of the blinded messages, so that they alone are signed for it (`credits.digest_of_blinded`)."""
    signature: bytes
    """By the lane key."""

    def signed_bytes(self) -> bytes:
        """What the lane key signs."""
        return _CHANGE_DOMAIN + encode(evolve(self, at_s=0, signature=b""))


Funding = Grant | Redeem
"""Whatever funds a lane."""
Entry = Grant | Settle | IssuerKey | Issue | Redeem | Change

_ENTRIES = MessageSet({1: Grant, 2: Settle, 3: IssuerKey, 4: Issue, 5: Redeem, 6: Change})


def encode_entry(entry: Entry) -> bytes:
    """The bytes that are hashed into a leaf."""
    return _ENTRIES.encode(entry)


def decode_entry(data: bytes) -> Entry:
    """The entry in `data`; raises `RemoteProtocolError` when it is none, or not in canonical form."""
    entry: Entry = _ENTRIES.decode(data, max_size=MAX_ENCODED_SIZE)
    if _ENTRIES.encode(entry) != data:
        raise RemoteProtocolError("an entry is not in canonical form", reason="not_canonical")
    return entry


def submission_id(entry: Entry) -> bytes:
    """What an entry is known by before it has an index: its kind, and its lane or key."""
    match entry:
        case Grant() | Redeem():
            return grant_id(entry.lane_key)
        case Settle():
            return settle_id(entry.lane_key)
        case Change():
            return b"change:" + entry.lane_key
        case IssuerKey():
            return b"issuer-key:" + entry.key_id
        case Issue():
            return b"issue:" + entry.key_id + b"%d" % entry.total


def grant_id(lane_key: bytes) -> bytes:
    """What the entry that funds a lane is known by, with or without credits: a lane is funded once."""
    return b"grant:" + lane_key


def settle_id(lane_key: bytes) -> bytes:
    """What the entry that settles a lane is known by."""
    return b"settle:" + lane_key


def commitment(nonce: bytes, data: bytes) -> bytes:
    """The 32-byte commitment to `data`; `nonce` is 32 random bytes, used once.

    Raises `LocalProtocolError` for a nonce of another length.
    """
    if len(nonce) != NONCE_SIZE:
        raise LocalProtocolError(f"a commitment's nonce has {NONCE_SIZE} bytes, not {len(nonce)}")
    return hashlib.sha256(_COMMITMENT_DOMAIN + nonce + data).digest()


def coarse_time_s(now_s: float) -> int:
    """The last full minute, in seconds of the Unix epoch: the finest time that enters the log."""
    return int(now_s) // TIME_GRAIN_S * TIME_GRAIN_S
