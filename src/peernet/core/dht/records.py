"""Records: what a peer signs about itself for others to hold, and how they are checked.

Rules:

1. A body says who it is by (a raw Ed25519 key), which version it is (`sequence`), and from when to when it holds
   (Unix seconds). The envelope carries kind, body and a signature over a prefix of its own, the kind and the body.
2. Everything is canonical (`peernet.core.wire`) and a signed record is at most 1,024 bytes.
3. A record is opened, never just decoded: size, form, signature, every field's bounds, and the time.
4. Expiry is absolute. No record holds for longer than `MAX_LIFETIME_S`, none comes from the future.
5. A peer record names its operator, who has signed a statement naming the peer's key: operators are counted apart
   in rings and quotas, and one cannot be claimed without its key.
6. Where a record belongs in the DHT follows from its body: peer records under the owner's id, offers under a digest
   of owner and model, provider records under the key that they name.

Records travel as opaque bytes and are verified once: `RecordVerifier` remembers, within a bound, what it has seen.
Source: design section 4; RFC 8032 for the signatures.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import Final, TypeAlias

from attrs import field, frozen

from peernet.core.dht.contact import ID_SIZE, Contact, address_prefix
from peernet.core.errors import LocalProtocolError, RemoteProtocolError
from peernet.core.identity import Keypair, PeerId
from peernet.core.suite import KEY_SIZE, SIGNATURE_SIZE, CipherSuite
from peernet.core.wire import decode, encode

__all__ = [
    "FUTURE_TOLERANCE_S",
    "MAX_ADDRESSES",
    "MAX_ADDRESS_LENGTH",
    "MAX_INTEGER",
    "MAX_LIFETIME_S",
    "MAX_NAME_LENGTH",
    "MAX_RECORD_SIZE",
    "OFFER",
    "PEER",
    "PROVIDER",
    "Body",
    "HostOffer",
    "OutdatedRecord",
    "PeerRecord",
    "ProviderRecord",
    "RecordVerifier",
    "SignedRecord",
    "VerifiedRecord",
    "dht_id",
    "offer_key",
    "open_record",
    "operator_statement",
    "provider_key",
    "record_key",
    "sign_record",
    "work_bits",
]

PEER: Final = 1
OFFER: Final = 2
PROVIDER: Final = 3

MAX_RECORD_SIZE: Final = 1000
"""Under 1 KiB, so that a peer record fits the cell that tells a relay to extend to it."""

MAX_LIFETIME_S: Final = 24 * 3600
FUTURE_TOLERANCE_S: Final = 300
MAX_ADDRESSES: Final = 8
MAX_ADDRESS_LENGTH: Final = 192  # a circuit address with two peer ids is about 150
MAX_NAME_LENGTH: Final = 128
MAX_WORD_LENGTH: Final = 32
MAX_LIST_LENGTH: Final = 8
MAX_INTEGER: Final = 2**53 - 1  # what every reader's number type holds exactly
DIGEST_SIZE: Final = 32
ROLES: Final = frozenset({"relay", "host", "bootstrap"})
VERIFIED_CAPACITY: Final = 4096

_RECORD_PREFIX: Final = b"peernet/dht/record/1\x00"
_OPERATOR_PREFIX: Final = b"peernet/operator/1\x00"
_WORK_PREFIX: Final = b"peernet/work/1\x00"


class OutdatedRecord(RemoteProtocolError):
    """A record whose time is over or has not come: nobody's fault, since clocks differ and records travel."""


@frozen
class PeerRecord:
    """Where a peer is and what it does."""

    public_key: bytes
    sequence: int
    issued_at_s: int
    expires_at_s: int
    addresses: tuple[str, ...]
    """Multiaddr texts, preferred first."""
    onion_key: bytes
    """X25519 public key of ring handshakes."""
    operator_key: bytes
    operator_signature: bytes
    """The operator's, over `operator_statement(public_key)`."""
    roles: tuple[str, ...]
    """Of `relay`, `host`, `bootstrap`, sorted."""
    region: str
    """As claimed by the peer."""


@frozen
class HostOffer:
    """The terms on which a host serves one model. Prices are microcredits a token."""

    public_key: bytes
    sequence: int
    issued_at_s: int
    expires_at_s: int
    model: str
    model_digest: bytes
    tokenizer_digest: bytes
    quantisation: str
    context_tokens: int
    prompt_price: int
    answer_price: int
    capacity: int
    """Requests served at the same time."""
    region: str
    issuers: tuple[str, ...]
    """Origins of the logs whose credits are taken."""
    payout_key: bytes
    flags: tuple[str, ...]
    """Capabilities, such as `prefix`."""


@frozen
class ProviderRecord:
    """That a peer has what `key` (20 bytes) stands for; see `provider_key`."""

    public_key: bytes
    sequence: int
    issued_at_s: int
    expires_at_s: int
    key: bytes


Body: TypeAlias = PeerRecord | HostOffer | ProviderRecord

_KINDS: Final[Mapping[int, type[Body]]] = {PEER: PeerRecord, OFFER: HostOffer, PROVIDER: ProviderRecord}


@frozen
class SignedRecord:
    """The envelope: the kind's number, the canonical body, the signature by the body's key."""

    kind: int
    body: bytes
    signature: bytes


@frozen
class VerifiedRecord:
    """A record that was opened: its bytes as they came, and what they say."""

    signed: bytes
    kind: int
    body: Body
    key: bytes
    """Where it belongs in the DHT, 20 bytes."""
    owner: bytes
    """The DHT id of who signed it."""
    contact: Contact | None = field(default=None, eq=False)
    """For a peer record: the peer as a contact."""


def dht_id(public_key: bytes) -> bytes:
    """The 20-byte DHT id of a raw Ed25519 key."""
    return PeerId.from_public_key(public_key).dht_id


def provider_key(model: str) -> bytes:
    """The DHT key under which the hosts of a model are found."""
    return hashlib.sha256(b"model:" + model.encode()).digest()[:ID_SIZE]


def offer_key(public_key: bytes, model: str) -> bytes:
    """The DHT key of one host's offer for one model, so that its offers for two models do not replace each other."""
    return hashlib.sha256(b"offer:" + public_key + model.encode()).digest()[:ID_SIZE]


def record_key(body: Body) -> bytes:
    """The DHT key under which a record belongs."""
    if isinstance(body, ProviderRecord):
        return body.key
    if isinstance(body, HostOffer):
        return offer_key(body.public_key, body.model)
    return dht_id(body.public_key)


def work_bits(public_key: bytes) -> int:
    """The work that a key shows: leading zero bits of a digest of it, found by making keys until one fits.

    It limits how fast one machine can join under many keys, and is no defence against many machines.
    """
    digest = hashlib.sha256(_WORK_PREFIX + public_key).digest()
    return 8 * len(digest) - int.from_bytes(digest).bit_length()


def operator_statement(public_key: bytes) -> bytes:
    """What an operator signs to take responsibility for a peer."""
    return _OPERATOR_PREFIX + public_key


def sign_record(body: Body, keypair: Keypair) -> bytes:
    """The signed record of `body`.

    Raises `LocalProtocolError` when the key is not the body's, or others would refuse the record whenever they see it.
    """
    if body.public_key != keypair.public_key:
        raise LocalProtocolError("a record is signed by the key that it names")
    try:
        _check(body)
    except RemoteProtocolError as error:
        raise LocalProtocolError(f"others would refuse this record: {error}") from error
    kind = next(number for number, kind in _KINDS.items() if kind is type(body))
    encoded = encode(body)
    signed = encode(SignedRecord(kind, encoded, keypair.sign(_signed_bytes(kind, encoded))))
    if len(signed) > MAX_RECORD_SIZE:
        raise LocalProtocolError(f"a record of {len(signed)} bytes, over {MAX_RECORD_SIZE}: list fewer addresses")
    return signed


def open_record(signed: bytes, now_s: float, suite: CipherSuite) -> Body:
    """The body of a signed record, after every check of this module.

    Raises `OutdatedRecord` when only the time is wrong, `RemoteProtocolError` for everything else.
    """
    envelope, body = _decode_signed(signed)
    _check_time(body, now_s)
    _verify(envelope, body, suite)
    return body


class RecordVerifier:
    """Opens records and remembers those that were in order, so that each costs one verification.

    At most `capacity` are remembered, the oldest forgotten first. The time is checked every time. Peers whose
    keys show less than `least_work_bits` of `work_bits` are refused.
    """

    def __init__(self, suite: CipherSuite, *, capacity: int = VERIFIED_CAPACITY, least_work_bits: int = 0) -> None:
        self._suite = suite
        self._capacity = capacity
        self._least_work_bits = least_work_bits
        self._verified: OrderedDict[bytes, VerifiedRecord] = OrderedDict()
        self.verifications = 0

    def open(self, signed: bytes, now_s: float) -> VerifiedRecord:
        """The record; raises as `open_record` does. Its `signed` is one object for equal records."""
        record = self._verified.get(signed)
        if record is not None:
            _check_time(record.body, now_s)
            return record
        envelope, body = _decode_signed(signed)
        _check_time(body, now_s)
        if isinstance(body, PeerRecord) and work_bits(body.public_key) < self._least_work_bits:
            raise RemoteProtocolError("the key of a peer carries too little work", reason="little_work")
        self.verifications += 1
        _verify(envelope, body, self._suite)
        record = _verified_record(bytes(signed), envelope.kind, body)
        self._verified[record.signed] = record
        if len(self._verified) > self._capacity:
            self._verified.popitem(last=False)
        return record

    def contact(self, signed: bytes, now_s: float) -> Contact:
        """The peer that signed this peer record; raises as `open_record` does, and for records of other kinds."""
        contact = self.open(signed, now_s).contact
        if contact is None:
            raise RemoteProtocolError("a record of a peer was due, another kind came", reason="bad_record")
        return contact

    def contacts(self, records: Iterable[bytes], now_s: float) -> list[Contact]:
        """The peers of a list of peer records, outdated ones left out; raises as `contact` does for the rest."""
        contacts = []
        verified = self._verified
        for signed in records:
            known = verified.get(signed)
            # What was verified came from no later than now: only its end is still in question.
            if known is not None and known.contact is not None:
                if known.contact.expires_at_s > now_s:
                    contacts.append(known.contact)
                continue
            try:
                contacts.append(self.contact(signed, now_s))
            except OutdatedRecord:
                continue
        return contacts

    def __len__(self) -> int:
        return len(self._verified)


def _verified_record(signed: bytes, kind: int, body: Body) -> VerifiedRecord:
    owner = dht_id(body.public_key)
    contact = None
    if isinstance(body, PeerRecord):
        contact = Contact(
            owner,
            public_key=body.public_key,
            record=signed,
            sequence=body.sequence,
            expires_at_s=body.expires_at_s,
            prefixes=tuple(dict.fromkeys(address_prefix(address) for address in body.addresses)),
        )
    return VerifiedRecord(signed, kind, body, record_key(body), owner, contact)


def _signed_bytes(kind: int, body: bytes) -> bytes:
    return _RECORD_PREFIX + bytes((kind,)) + body


def _decode_signed(signed: bytes) -> tuple[SignedRecord, Body]:
    envelope = decode(SignedRecord, signed, max_size=MAX_RECORD_SIZE)
    kind = _KINDS.get(envelope.kind)
    if kind is None:
        raise RemoteProtocolError(f"unknown kind of record {envelope.kind}", reason="bad_record")
    body = decode(kind, envelope.body, max_size=MAX_RECORD_SIZE)
    _check(body)
    return envelope, body


def _verify(envelope: SignedRecord, body: Body, suite: CipherSuite) -> None:
    if not suite.verify(body.public_key, _signed_bytes(envelope.kind, envelope.body), envelope.signature):
        raise RemoteProtocolError("the signature of a record is not its owner's", reason="bad_signature")
    if isinstance(body, PeerRecord):
        statement = operator_statement(body.public_key)
        if not suite.verify(body.operator_key, statement, body.operator_signature):
            raise RemoteProtocolError("the operator of a peer did not sign for it", reason="bad_operator")


def _check_time(body: Body, now_s: float) -> None:
    if body.expires_at_s <= now_s:
        raise OutdatedRecord(f"a record expired {now_s - body.expires_at_s:.0f} s ago", reason="expired")
    if body.issued_at_s > now_s + FUTURE_TOLERANCE_S:
        raise OutdatedRecord(f"a record issued {body.issued_at_s - now_s:.0f} s from now", reason="from_future")


def _check(body: Body) -> None:
    """Raises `RemoteProtocolError` for a field that no record may have, whatever the time."""
    _require_length("public_key", body.public_key, KEY_SIZE)
    _require_integer("sequence", body.sequence)
    _require_integer("issued_at_s", body.issued_at_s)
    _require_integer("expires_at_s", body.expires_at_s)
    if not 0 < body.expires_at_s - body.issued_at_s <= MAX_LIFETIME_S:
        raise RemoteProtocolError(
            f"a record holds for 1 to {MAX_LIFETIME_S} s, not {body.expires_at_s - body.issued_at_s}",
            reason="bad_lifetime",
        )
    _CHECKS[type(body)](body)


def _check_peer(body: PeerRecord) -> None:
    _require_length("onion_key", body.onion_key, KEY_SIZE)
    _require_length("operator_key", body.operator_key, KEY_SIZE)
    _require_length("operator_signature", body.operator_signature, SIGNATURE_SIZE)
    if not 1 <= len(body.addresses) <= MAX_ADDRESSES:
        raise RemoteProtocolError(f"a peer has 1 to {MAX_ADDRESSES} addresses", reason="bad_address")
    for address in body.addresses:
        _require_text("an address", address, MAX_ADDRESS_LENGTH)
        try:
            address_prefix(address)
        except ValueError as error:
            # What is refused may be logged; whose address it is is nobody's business.
            raise RemoteProtocolError("an address leads to no IP address or name", reason="bad_address") from error
    if not ROLES.issuperset(body.roles) or list(body.roles) != sorted(set(body.roles)):
        raise RemoteProtocolError("roles are relay, host or bootstrap, each once, sorted", reason="bad_record")
    _require_text("region", body.region, MAX_WORD_LENGTH, least=0)


def _check_offer(body: HostOffer) -> None:
    _require_text("model", body.model, MAX_NAME_LENGTH)
    _require_length("model_digest", body.model_digest, DIGEST_SIZE)
    _require_length("tokenizer_digest", body.tokenizer_digest, DIGEST_SIZE)
    _require_text("quantisation", body.quantisation, MAX_WORD_LENGTH, least=0)
    for name in ("context_tokens", "prompt_price", "answer_price", "capacity"):
        _require_integer(name, getattr(body, name))
    _require_text("region", body.region, MAX_WORD_LENGTH, least=0)
    _require_texts("issuers", body.issuers, MAX_NAME_LENGTH)
    _require_length("payout_key", body.payout_key, KEY_SIZE)
    _require_texts("flags", body.flags, MAX_WORD_LENGTH)


def _check_provider(body: ProviderRecord) -> None:
    _require_length("key", body.key, ID_SIZE)


_CHECKS: Final[Mapping[type, Callable[..., None]]] = {
    PeerRecord: _check_peer,
    HostOffer: _check_offer,
    ProviderRecord: _check_provider,
}


def _require_length(name: str, value: bytes, size: int) -> None:
    if len(value) != size:
        raise RemoteProtocolError(f"{name} has {len(value)} bytes instead of {size}", reason="bad_record")


def _require_integer(name: str, value: int) -> None:
    if not 0 <= value <= MAX_INTEGER:
        raise RemoteProtocolError(f"{name} is out of range", reason="bad_record")


def _require_text(name: str, value: str, most: int, least: int = 1) -> None:
    if not least <= len(value) <= most or not value.isascii() or not value.isprintable():
        raise RemoteProtocolError(f"{name} is {least} to {most} printable ASCII characters", reason="bad_text")


def _require_texts(name: str, values: tuple[str, ...], most: int) -> None:
    if len(values) > MAX_LIST_LENGTH:
        raise RemoteProtocolError(f"{name} has {len(values)} entries, over {MAX_LIST_LENGTH}", reason="bad_record")
    for value in values:
        _require_text(name, value, most)
