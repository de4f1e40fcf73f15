"""The directory: the relays and hosts of the network, signed by a bootstrap node, fetched whole.

A client chooses its guards, relays and hosts from it locally, so that choosing tells nobody anything. Each record in
it is signed by its own peer; the snapshot's signature says that the bootstrap node found them in the DHT at that
time. Rules: a snapshot is signed by a key that the client was configured with, is not older than `MAX_AGE_S`, and a
record in it that does not open is skipped, not trusted. Of several records of one peer, or offers of one host for one
model, the newest counts.
"""

from collections.abc import Iterable
from typing import Final

from attrs import frozen

from peernet.core.dht.records import HostOffer, PeerRecord, ProviderRecord, open_record
from peernet.core.errors import RemoteProtocolError
from peernet.core.identity import Keypair, PeerId
from peernet.core.suite import CipherSuite
from peernet.core.wire import MAX_ITEMS, MAX_MESSAGE_SIZE, MessageSet, decode, encode

__all__ = ["DIRECTORY_PROTOCOL", "Directory", "DirectoryMessages", "GetDirectory", "Listing", "SignedDirectory"]

DIRECTORY_PROTOCOL: Final = "/peernet/directory/1"
MAX_AGE_S: Final = 3600
FUTURE_TOLERANCE_S: Final = 300
MAX_RECORDS: Final = MAX_ITEMS
MAX_SNAPSHOT_SIZE: Final = MAX_MESSAGE_SIZE - 1024
"""What is left in a message besides the keys and the signature around the snapshot."""

_RECORD_OVERHEAD: Final = 3

_PREFIX: Final = b"peernet/directory/1\x00"


@frozen
class GetDirectory:
    """Asks for the newest snapshot."""


@frozen
class Snapshot:
    """What is signed: the time, and every record as opaque signed bytes, peers before offers."""

    issued_at_s: int
    records: tuple[bytes, ...]


@frozen
class SignedDirectory:
    """A snapshot's canonical bytes, who signed, and the signature."""

    snapshot: bytes
    public_key: bytes
    signature: bytes


DirectoryMessages: Final = MessageSet({1: GetDirectory, 2: SignedDirectory})


@frozen
class Listing:
    """A peer of the directory: its opened record, and the record's bytes for those who extend to it."""

    record: PeerRecord
    signed: bytes
    offers: tuple[HostOffer, ...] = ()

    @property
    def peer(self) -> PeerId:
        """The peer's id."""
        return PeerId.from_public_key(self.record.public_key)


@frozen
class Directory:
    """An opened snapshot."""

    issued_at_s: int
    listings: tuple[Listing, ...]

    @property
    def relays(self) -> tuple[Listing, ...]:
        """The peers that forward for others."""
        return tuple(listing for listing in self.listings if "relay" in listing.record.roles)

    @property
    def bootstraps(self) -> tuple[Listing, ...]:
        """The peers that keep a ledger."""
        return tuple(listing for listing in self.listings if "bootstrap" in listing.record.roles)

    def hosts_of(self, model: str) -> tuple[tuple[Listing, HostOffer], ...]:
        """The hosts that offer `model`, each with that offer."""
        return tuple((listing, offer) for listing in self.listings for offer in listing.offers if offer.model == model)


def sign_directory(records: Iterable[bytes], now_s: int, keypair: Keypair) -> SignedDirectory:
    """The snapshot of `records`, signed; of more than one message can carry, the first ones."""
    fitting: list[bytes] = []
    size = 0
    for record in records:
        size += len(record) + _RECORD_OVERHEAD
        if size > MAX_SNAPSHOT_SIZE or len(fitting) == MAX_RECORDS:
            break
        fitting.append(record)
    snapshot = encode(Snapshot(now_s, tuple(fitting)))
    return SignedDirectory(snapshot, keypair.public_key, keypair.sign(_PREFIX + snapshot))


def open_directory(signed: SignedDirectory, trusted: Iterable[bytes], now_s: int, suite: CipherSuite) -> Directory:
    """The directory; raises `RemoteProtocolError` when it is not signed by one of `trusted`, or is too old."""
    if signed.public_key not in set(trusted):
        raise RemoteProtocolError("a directory is signed by a key that is not configured", reason="untrusted")
    if not suite.verify(signed.public_key, _PREFIX + signed.snapshot, signed.signature):
        raise RemoteProtocolError("a directory's signature is wrong", reason="bad_signature")
    snapshot = decode(Snapshot, signed.snapshot)
    if not now_s - MAX_AGE_S <= snapshot.issued_at_s <= now_s + FUTURE_TOLERANCE_S:
        raise RemoteProtocolError("a directory is too old, or from the future", reason="stale")
    peers: dict[bytes, tuple[PeerRecord, bytes]] = {}
    offers: dict[bytes, dict[str, HostOffer]] = {}
    for record in snapshot.records:
        try:
            body = open_record(record, now_s, suite)
        except RemoteProtocolError:
            continue
        if isinstance(body, PeerRecord):
            if body.public_key not in peers or peers[body.public_key][0].sequence < body.sequence:
                peers[body.public_key] = (body, record)
        elif isinstance(body, HostOffer):
            of_host = offers.setdefault(body.public_key, {})
            if body.model not in of_host or of_host[body.model].sequence < body.sequence:
                of_host[body.model] = body
        else:
            assert isinstance(body, ProviderRecord)  # found hosts by; the offers say more
    listings = (Listing(body, record, tuple(offers.get(key, {}).values())) for key, (body, record) in peers.items())
    return Directory(snapshot.issued_at_s, tuple(listings))
