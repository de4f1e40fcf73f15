"""The directory: the relays and hosts of the network, in a snapshot that a quorum of the bootstrap nodes signs.

A client chooses its guards, relays and hosts from it locally, so that choosing tells nobody anything. Each record in
it is signed by its own peer; the bootstrap nodes' signatures say that they found these peers in the DHT at that time.

Rules:

1. A snapshot is the sorted list of its records and a time. Its *seal* is the time, its SHA-256, and the signatures
   over both; it counts with those of `quorum_of(n)` different nodes among the n that the reader is configured with.
   What others have signed beside them is passed over.
2. Who knows no newer one goes by a snapshot for `MAX_AGE_S`; a client that has nothing else for `MAX_KEPT_AGE_S`, and
   says so from `OVERDUE_S` on, since bootstrap nodes sign every `RENEW_S` at least.
3. Records are opened as of the snapshot's own time. One that does not open is passed over, not trusted; whether one
   still holds is for who uses it (`Listing.holds`). Of several records of one peer, or offers of one host for one
   model, the newest counts.
4. Fresh records from elsewhere (a live lookup) replace older ones of the same peers, and may add hosts; those are not
   `vouched` for, and never serve as relays.
5. At most `MAX_RECORDS`; of more peers than fit, the same ones whoever makes the snapshot. A peer's record stays the
   one of the snapshot before while it says the same and holds for half of its life, so that little changes.

Source: design section 4.
"""

import hashlib
from collections.abc import Collection, Iterable, Mapping
from typing import Final

import attrs
from attrs import field, frozen

from peernet.core.dht.records import (
    FUTURE_TOLERANCE_S,
    MAX_INTEGER,
    MAX_RECORD_SIZE,
    Body,
    HostOffer,
    PeerRecord,
    dht_id,
    open_record,
)
from peernet.core.errors import RemoteProtocolError
from peernet.core.identity import Keypair, PeerId
from peernet.core.quorum import quorum_of
from peernet.core.suite import SIGNATURE_SIZE, CipherSuite
from peernet.core.wire import decode, encode

__all__ = [
    "MAX_AGE_S",
    "MAX_KEPT_AGE_S",
    "MAX_RECORDS",
    "MAX_SNAPSHOT_SIZE",
    "OVERDUE_S",
    "RENEW_S",
    "Directory",
    "Listing",
    "Seal",
    "Signature",
    "SignedDirectory",
    "Snapshot",
    "carry_over",
    "check_age",
    "check_seal",
    "fitting",
    "make_snapshot",
    "open_directory",
    "open_snapshot",
    "read_snapshot",
    "sign_directory",
    "sign_seal",
    "signers",
    "snapshot_digest",
]

RENEW_S: Final = 300
"""A snapshot is signed anew at this age, even where nothing has changed."""
OVERDUE_S: Final = 3 * RENEW_S
"""From this age on something keeps the bootstrap nodes from signing, and the client's receipt says so."""
MAX_AGE_S: Final = 3600
MAX_KEPT_AGE_S: Final = 23 * 3600
"""While nothing newer is to be had. A record was signed up to an hour before its snapshot, and the onion key in it is
accepted for a day at least: so long a guard of that snapshot can be entered by, whoever else is gone."""
MAX_RECORDS: Final = 20_000
MAX_SNAPSHOT_SIZE: Final = MAX_RECORDS * (MAX_RECORD_SIZE + 3) + 16
"""About 20 MB; with records as they are, 20,000 take 6 MB, and 4 MB on the wire."""
MAX_SIGNATURES: Final = 64
MAX_UNVOUCHED: Final = 256
"""Hosts that live lookups may add."""
DIGEST_SIZE: Final = 32

_SEAL_PREFIX: Final = b"peernet/directory/1\x00"


@frozen
class Snapshot:
    """What is signed: the time, and every record as opaque signed bytes, strictly ascending: peers before offers."""

    issued_at_s: int
    records: tuple[bytes, ...] = field(repr=False)


def _is_signature(_: object, __: object, value: bytes) -> None:
    if len(value) != SIGNATURE_SIZE:
        raise ValueError(f"a signature of {len(value)} bytes instead of {SIGNATURE_SIZE}")


def _are_signatures(_: object, __: object, value: tuple["Signature", ...]) -> None:
    if len(value) > MAX_SIGNATURES:
        raise ValueError(f"{len(value)} signatures, over {MAX_SIGNATURES}")


def _is_digest(_: object, __: object, value: bytes) -> None:
    if len(value) != DIGEST_SIZE:
        raise ValueError(f"a digest of {len(value)} bytes instead of {DIGEST_SIZE}")


def _is_time(_: object, __: object, value: int) -> None:
    if not 0 <= value <= MAX_INTEGER:
        raise ValueError("a time is out of range")


@frozen
class Signature:
    """One bootstrap node's signature of a snapshot's time and digest."""

    public_key: bytes
    signature: bytes = field(validator=_is_signature, repr=False)


@frozen
class Seal:
    """What a snapshot is known and trusted by."""

    issued_at_s: int = field(validator=_is_time)
    digest: bytes = field(validator=_is_digest)
    signatures: tuple[Signature, ...] = field(validator=_are_signatures, repr=False)


@frozen
class SignedDirectory:
    """A seal and the canonical bytes of its snapshot, which `open_directory` compares with it."""

    seal: Seal
    snapshot: bytes = field(repr=False)


@frozen
class Listing:
    """A peer of the directory: its opened record, and the record's bytes for those who extend to it."""

    record: PeerRecord
    signed: bytes
    offers: tuple[HostOffer, ...] = ()
    vouched: bool = True
    """Whether the snapshot lists it; who is known from a live lookup alone is vouched for by nobody."""

    @property
    def peer(self) -> PeerId:
        """The peer's id."""
        return PeerId.from_public_key(self.record.public_key)

    def holds(self, now_s: float) -> bool:
        """Whether others take its record as valid."""
        return self.record.expires_at_s > now_s


@frozen
class Directory:
    """An opened snapshot, with what is known beyond it."""

    issued_at_s: int
    listings: tuple[Listing, ...]
    bodies: Mapping[bytes, Body] = field(factory=dict, repr=False, eq=False)
    """Every record of the snapshot that opened, so that the next snapshot costs only what is new in it."""
    passed_over: int = 0
    """How many of the snapshot's records did not open."""
    _by_key: Mapping[bytes, Listing] = field(init=False, repr=False, eq=False)

    @_by_key.default
    def _index(self) -> dict[bytes, Listing]:
        return {listing.record.public_key: listing for listing in self.listings}

    @property
    def relays(self) -> tuple[Listing, ...]:
        """The peers that forward for others."""
        return self._vouched("relay")

    @property
    def bootstraps(self) -> tuple[Listing, ...]:
        """The peers that keep a ledger."""
        return self._vouched("bootstrap")

    def hosts_of(self, model: str) -> tuple[tuple[Listing, HostOffer], ...]:
        """The hosts that offer `model`, each with that offer."""
        return tuple((listing, offer) for listing in self.listings for offer in listing.offers if offer.model == model)

    def listing_of(self, peer: str) -> Listing | None:
        """The listing of the peer whose id is `peer`; raises `UserError` for what is no peer id."""
        return self._by_key.get(PeerId.parse(peer).public_key)

    def renewed(self, fresh: Mapping[bytes, Body]) -> "Directory":
        """This directory with the newer of `fresh` (opened records by their bytes) in the place of older ones.

        Peers that it does not list are added if they are hosts, `MAX_UNVOUCHED` of them at most.
        """
        listed = {listing.record.public_key: listing for listing in self.listings}
        records = _newest_records(fresh)
        unvouched = sum(not listing.vouched for listing in self.listings)
        for key, (record, signed) in records.items():
            known = listed.get(key)
            if known is not None:
                if known.record.sequence < record.sequence:
                    listed[key] = attrs.evolve(known, record=record, signed=signed)
            elif "host" in record.roles and unvouched < MAX_UNVOUCHED:
                listed[key] = Listing(record, signed, vouched=False)
                unvouched += 1
        for key, of_host in _newest_offers(fresh).items():
            if key in listed:
                newest = {offer.model: offer for offer in listed[key].offers}
                for model, offer in of_host.items():
                    if model not in newest or newest[model].sequence < offer.sequence:
                        newest[model] = offer
                listed[key] = attrs.evolve(listed[key], offers=tuple(newest.values()))
        return attrs.evolve(self, listings=tuple(listed.values()))

    def _vouched(self, role: str) -> tuple[Listing, ...]:
        return tuple(listing for listing in self.listings if listing.vouched and role in listing.record.roles)


# --- making and signing ----------------------------------------------------------------------------------------------


def fitting(found: Mapping[bytes, Body]) -> dict[bytes, Body]:
    """`found`, or of more records than fit those of as many peers as do: the same ones, whoever has found them."""
    if len(found) <= MAX_RECORDS:
        return dict(found)
    of_peer: dict[bytes, dict[bytes, Body]] = {}
    for signed, body in found.items():
        of_peer.setdefault(body.public_key, {})[signed] = body
    fit: dict[bytes, Body] = {}
    for key in sorted(of_peer, key=dht_id):
        if len(fit) + len(of_peer[key]) > MAX_RECORDS:
            break
        fit |= of_peer[key]
    return fit


def make_snapshot(found: Iterable[bytes], issued_at_s: int) -> bytes:
    """The canonical bytes of the snapshot of these records, `MAX_RECORDS` of them at most."""
    records = tuple(sorted(set(found)))
    assert len(records) <= MAX_RECORDS
    return encode(Snapshot(issued_at_s, records))


def carry_over(found: Mapping[bytes, Body], before: Mapping[bytes, Body], now_s: int) -> dict[bytes, Body]:
    """`found`, each record replaced by that of `before` which says the same, while that holds for half of its life."""
    said_before = {_said(body): (signed, body) for signed, body in before.items() if _is_young(body, now_s)}
    return dict(said_before.get(_said(body), (signed, body)) for signed, body in found.items())


def snapshot_digest(snapshot: bytes) -> bytes:
    """What the signatures of a snapshot are over, together with its time: its SHA-256."""
    return hashlib.sha256(snapshot).digest()


def sign_seal(issued_at_s: int, digest: bytes, keypair: Keypair) -> Signature:
    """One node's signature."""
    return Signature(keypair.public_key, keypair.sign(_sealed_bytes(issued_at_s, digest)))


def sign_directory(snapshot: bytes, keypairs: Iterable[Keypair]) -> SignedDirectory:
    """The snapshot, sealed by all of `keypairs`."""
    issued_at_s, digest = read_snapshot(snapshot).issued_at_s, snapshot_digest(snapshot)
    signatures = tuple(sign_seal(issued_at_s, digest, keypair) for keypair in keypairs)
    return SignedDirectory(Seal(issued_at_s, digest, signatures), snapshot)


# --- checking and opening --------------------------------------------------------------------------------------------


def signers(seal: Seal, trusted: Collection[bytes], suite: CipherSuite) -> frozenset[bytes]:
    """Those of the `trusted` keys whose signature the seal bears; each counts once, whatever else is there."""
    message = _sealed_bytes(seal.issued_at_s, seal.digest)
    valid: set[bytes] = set()
    for signature in seal.signatures:
        key = signature.public_key
        if key in trusted and key not in valid and suite.verify(key, message, signature.signature):
            valid.add(key)
    return frozenset(valid)


def check_seal(seal: Seal, trusted: Collection[bytes], suite: CipherSuite) -> None:
    """Raises `RemoteProtocolError` (`no_quorum`) where too few of the `trusted` keys have signed."""
    distinct = frozenset(trusted)
    if not distinct:
        raise RemoteProtocolError("a directory came, and no bootstrap node is configured", reason="no_quorum")
    needed = quorum_of(len(distinct))
    valid = len(signers(seal, distinct, suite))
    if valid < needed:
        raise RemoteProtocolError(
            f"a directory is signed by {valid} of the {len(distinct)} configured bootstrap nodes, and {needed} must",
            reason="no_quorum",
        )


def check_age(issued_at_s: int, now_s: float, max_age_s: int = MAX_AGE_S) -> None:
    """Raises `RemoteProtocolError` (`stale`) for a directory that is too old, or from the future."""
    if not now_s - max_age_s <= issued_at_s <= now_s + FUTURE_TOLERANCE_S:
        raise RemoteProtocolError("a directory is too old, or from the future", reason="stale")


def read_snapshot(snapshot: bytes) -> Snapshot:
    """The decoded snapshot, its records unopened; raises `RemoteProtocolError` where it is not in order."""
    read = decode(Snapshot, snapshot, max_size=MAX_SNAPSHOT_SIZE, max_items=MAX_RECORDS)
    ascending = all(earlier < later for earlier, later in zip(read.records, read.records[1:], strict=False))
    if not ascending:
        raise RemoteProtocolError("a snapshot's records are not in order, each once", reason="bad_snapshot")
    return read


def open_snapshot(snapshot: Snapshot, suite: CipherSuite, known: Mapping[bytes, Body] | None = None) -> Directory:
    """The directory that the records make; those among `known` (opened before, by their bytes) need no verification.

    Verification takes about 0.2 ms a peer: for a large snapshot, run it in a thread.
    """
    bodies: dict[bytes, Body] = {}
    passed_over = 0
    for signed in snapshot.records:
        try:
            bodies[signed] = _open_known(signed, snapshot.issued_at_s, suite, known or {})
        except RemoteProtocolError:
            passed_over += 1
    offers = _newest_offers(bodies)
    listings = (
        Listing(record, signed, tuple(offers.get(key, {}).values()))
        for key, (record, signed) in _newest_records(bodies).items()
    )
    return Directory(snapshot.issued_at_s, tuple(listings), bodies, passed_over)


def open_directory(
    signed: SignedDirectory,
    trusted: Collection[bytes],
    now_s: float,
    suite: CipherSuite,
    *,
    max_age_s: int = MAX_AGE_S,
    known: Mapping[bytes, Body] | None = None,
) -> Directory:
    """The directory, after every check; raises `RemoteProtocolError` where it is not to be trusted, or too old."""
    check_seal(signed.seal, trusted, suite)
    check_age(signed.seal.issued_at_s, now_s, max_age_s)
    if snapshot_digest(signed.snapshot) != signed.seal.digest:
        raise RemoteProtocolError("a directory is not what its signatures are over", reason="bad_signature")
    snapshot = read_snapshot(signed.snapshot)
    if snapshot.issued_at_s != signed.seal.issued_at_s:
        raise RemoteProtocolError("a directory was not issued when its seal says", reason="bad_snapshot")
    return open_snapshot(snapshot, suite, known)


def _sealed_bytes(issued_at_s: int, digest: bytes) -> bytes:
    return _SEAL_PREFIX + issued_at_s.to_bytes(8) + digest


def _open_known(signed: bytes, now_s: int, suite: CipherSuite, known: Mapping[bytes, Body]) -> Body:
    body = known.get(signed)
    if body is None or not body.issued_at_s - FUTURE_TOLERANCE_S <= now_s < body.expires_at_s:
        return open_record(signed, now_s, suite)
    return body


def _newest_records(bodies: Mapping[bytes, Body]) -> dict[bytes, tuple[PeerRecord, bytes]]:
    newest: dict[bytes, tuple[PeerRecord, bytes]] = {}
    for signed, body in bodies.items():
        if isinstance(body, PeerRecord):
            known = newest.get(body.public_key)
            if known is None or known[0].sequence < body.sequence:
                newest[body.public_key] = (body, signed)
    return newest


def _newest_offers(bodies: Mapping[bytes, Body]) -> dict[bytes, dict[str, HostOffer]]:
    newest: dict[bytes, dict[str, HostOffer]] = {}
    for body in bodies.values():
        if isinstance(body, HostOffer):
            of_host = newest.setdefault(body.public_key, {})
            if body.model not in of_host or of_host[body.model].sequence < body.sequence:
                of_host[body.model] = body
    return newest


def _said(body: Body) -> tuple[object, ...]:
    """What a record says, without when."""
    said = attrs.astuple(attrs.evolve(body, sequence=0, issued_at_s=0, expires_at_s=0), recurse=False)
    return (type(body), *said)


def _is_young(body: Body, now_s: int) -> bool:
    return body.issued_at_s + body.expires_at_s > 2 * now_s
