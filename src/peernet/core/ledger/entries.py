"""The entries of the metering ledger: what a leaf says, and all that it says.

Rules:

1. An entry is the canonical msgpack array `[kind, field, ...]`; two byte strings never mean the same entry.
2. A leaf holds amounts, the lane, the payout key, times no finer than a minute, and a commitment to the rest: nothing
   else that would tie it to a person, a prompt or a peer. A lane key is fresh and a payout key is no peer key.
3. A commitment hides by a nonce of 32 random bytes, which those hold who may open it, and never the log.
4. Whoever submits names the entry, by its lane: so a submission that is sent again finds the entry it made.

Source: design section 8.
"""

import hashlib
from typing import Final

from attrs import frozen

from peernet.core.errors import LocalProtocolError, RemoteProtocolError
from peernet.core.wire import MessageSet

__all__ = [
    "COMMITMENT_SIZE",
    "NONCE_SIZE",
    "TIME_GRAIN_S",
    "Entry",
    "Grant",
    "Settle",
    "coarse_time_s",
    "commitment",
    "decode_entry",
    "encode_entry",
    "submission_id",
]

COMMITMENT_SIZE: Final = 32
NONCE_SIZE: Final = 32
TIME_GRAIN_S: Final = 60
MAX_ENCODED_SIZE: Final = 512

_COMMITMENT_DOMAIN = b"peernet commitment v1\x00"


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


Entry = Grant | Settle

_ENTRIES = MessageSet({1: Grant, 2: Settle})


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
    """What an entry is known by before it has an index: its kind and its lane."""
    return (b"grant:" if isinstance(entry, Grant) else b"settle:") + entry.lane_key


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
