"""Signed records: what is opened, what is refused and why, and that each is verified once."""

import attrs
import pytest

from peernet.core.dht.records import (
    FUTURE_TOLERANCE_S,
    MAX_LIFETIME_S,
    MAX_RECORD_SIZE,
    OFFER,
    PEER,
    PROVIDER,
    HostOffer,
    OutdatedRecord,
    PeerRecord,
    ProviderRecord,
    RecordVerifier,
    SignedRecord,
    dht_id,
    offer_key,
    open_record,
    operator_statement,
    provider_key,
    record_key,
    sign_record,
    work_bits,
)
from peernet.core.errors import LocalProtocolError, RemoteProtocolError
from peernet.core.identity import Keypair
from peernet.core.suite import MixedSuite
from peernet.core.wire import decode, encode

SUITE = MixedSuite()
PEER_KEYS = Keypair.from_seed(bytes([1]) * 32, SUITE)
OPERATOR_KEYS = Keypair.from_seed(bytes([2]) * 32, SUITE)
OTHER_KEYS = Keypair.from_seed(bytes([3]) * 32, SUITE)
NOW_S = 1_000_000

PEER_RECORD = PeerRecord(
    public_key=PEER_KEYS.public_key,
    sequence=1,
    issued_at_s=NOW_S,
    expires_at_s=NOW_S + 3600,
    addresses=("/ip4/203.0.113.7/tcp/4001", "/dns4/host.example.org/tcp/443/tls/ws"),
    onion_key=bytes([9]) * 32,
    operator_key=OPERATOR_KEYS.public_key,
    operator_signature=OPERATOR_KEYS.sign(operator_statement(PEER_KEYS.public_key)),
    roles=("host", "relay"),
    region="eu",
)
HOST_OFFER = HostOffer(
    public_key=PEER_KEYS.public_key,
    sequence=2,
    issued_at_s=NOW_S,
    expires_at_s=NOW_S + 600,
    model="smollm2-135m-instruct",
    model_digest=bytes([4]) * 32,
    tokenizer_digest=bytes([5]) * 32,
    quantisation="Q8_0",
    context_tokens=2048,
    prompt_price=1,
    answer_price=4,
    capacity=2,
    region="eu",
    issuers=("log.example.org/a",),
    payout_key=bytes([6]) * 32,
    flags=("prefix",),
)
PROVIDER_RECORD = ProviderRecord(PEER_KEYS.public_key, 3, NOW_S, NOW_S + 600, provider_key("smollm2-135m-instruct"))


def signed_anyway(body, keypair=PEER_KEYS, *, kind=None):
    """What a hostile peer sends: signed properly, whatever the body says."""
    number = kind or {PeerRecord: PEER, HostOffer: OFFER, ProviderRecord: PROVIDER}[type(body)]
    encoded = encode(body)
    signature = keypair.sign(b"peernet/dht/record/1\x00" + bytes((number,)) + encoded)
    return encode(SignedRecord(number, encoded, signature))


@pytest.mark.parametrize("body", [PEER_RECORD, HOST_OFFER, PROVIDER_RECORD])
def test_a_signed_record_opens_to_its_body(body):
    signed = sign_record(body, PEER_KEYS)
    assert len(signed) <= MAX_RECORD_SIZE
    assert open_record(signed, NOW_S, SUITE) == body
    assert signed == signed_anyway(body)


@pytest.mark.parametrize("body", [PEER_RECORD, HOST_OFFER, PROVIDER_RECORD])
def test_no_byte_of_a_record_can_be_changed(body):
    signed = sign_record(body, PEER_KEYS)
    for position in range(len(signed)):
        changed = bytearray(signed)
        changed[position] ^= 1
        with pytest.raises(RemoteProtocolError):
            open_record(bytes(changed), NOW_S, SUITE)


def test_a_signature_by_another_key_is_refused():
    with pytest.raises(RemoteProtocolError) as caught:
        open_record(signed_anyway(PEER_RECORD, OTHER_KEYS), NOW_S, SUITE)
    assert caught.value.reason == "bad_signature"


def test_a_signature_does_not_carry_over_to_another_kind():
    envelope = decode(SignedRecord, sign_record(PROVIDER_RECORD, PEER_KEYS))
    for kind in (0, PEER, OFFER, 4, 255, 256, -1):
        with pytest.raises(RemoteProtocolError):
            open_record(encode(attrs.evolve(envelope, kind=kind)), NOW_S, SUITE)


def test_an_operator_who_did_not_sign_for_the_peer_cannot_be_named():
    for statement in (b"", PEER_KEYS.public_key, operator_statement(OTHER_KEYS.public_key)):
        body = attrs.evolve(PEER_RECORD, operator_signature=OPERATOR_KEYS.sign(statement))
        with pytest.raises(RemoteProtocolError) as caught:
            open_record(signed_anyway(body), NOW_S, SUITE)
        assert caught.value.reason == "bad_operator"


def test_a_record_ends_at_its_expiry_and_not_a_second_later():
    signed = sign_record(PROVIDER_RECORD, PEER_KEYS)
    open_record(signed, PROVIDER_RECORD.expires_at_s - 0.5, SUITE)
    with pytest.raises(OutdatedRecord) as caught:
        open_record(signed, PROVIDER_RECORD.expires_at_s, SUITE)
    assert caught.value.reason == "expired"


def test_a_record_may_come_from_the_future_only_as_far_as_clocks_differ():
    signed = sign_record(PROVIDER_RECORD, PEER_KEYS)
    open_record(signed, NOW_S - FUTURE_TOLERANCE_S, SUITE)
    with pytest.raises(OutdatedRecord) as caught:
        open_record(signed, NOW_S - FUTURE_TOLERANCE_S - 1, SUITE)
    assert caught.value.reason == "from_future"


@pytest.mark.parametrize("lifetime_s", [-1, 0, MAX_LIFETIME_S + 1])
def test_no_record_holds_for_longer_than_the_longest_life(lifetime_s):
    body = attrs.evolve(PROVIDER_RECORD, expires_at_s=NOW_S + lifetime_s)
    with pytest.raises(RemoteProtocolError) as caught:
        open_record(signed_anyway(body), NOW_S, SUITE)
    assert caught.value.reason == "bad_lifetime"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"addresses": ()}, "bad_address"),
        ({"addresses": ("/ip4/203.0.113.7/tcp/1",) * 9}, "bad_address"),
        ({"addresses": ("/ip4/203.0.113.700/tcp/1",)}, "bad_address"),
        ({"addresses": ("/ip4/203.0.113.7/tcp/1\n",)}, "bad_text"),
        ({"addresses": ("/dns4/exämple.org/tcp/1",)}, "bad_text"),
        ({"addresses": ("/dns4/" + "x" * 192,)}, "bad_text"),
        ({"onion_key": bytes(31)}, "bad_record"),
        ({"operator_key": bytes(33)}, "bad_record"),
        ({"operator_signature": bytes(63)}, "bad_record"),
        ({"roles": ("king",)}, "bad_record"),
        ({"roles": ("relay", "host")}, "bad_record"),
        ({"roles": ("host", "host")}, "bad_record"),
        ({"region": "\x1b[2J"}, "bad_text"),
        ({"region": "x" * 33}, "bad_text"),
        ({"sequence": -1}, "bad_record"),
        ({"sequence": 2**53}, "bad_record"),
        ({"sequence": True}, "bad_message"),
        ({"region": b"eu"}, "bad_message"),
    ],
)
def test_peer_records_out_of_bounds_are_refused(changes, reason):
    with pytest.raises(RemoteProtocolError) as caught:
        open_record(signed_anyway(attrs.evolve(PEER_RECORD, **changes)), NOW_S, SUITE)
    assert caught.value.reason == reason


@pytest.mark.parametrize("address", ["/ip4/203.0.113.700/tcp/1", "/ip6/2001:db8:beef/tcp/1", "/dns4/secret.0x7/tcp/1"])
def test_a_refusal_does_not_quote_the_address_that_it_refuses(address):
    """It may be logged by whoever asked, and the address is somebody else's."""
    with pytest.raises(RemoteProtocolError) as caught:
        open_record(signed_anyway(attrs.evolve(PEER_RECORD, addresses=(address,))), NOW_S, SUITE)
    assert caught.value.reason == "bad_address"
    assert address.split("/")[2] not in str(caught.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"model": ""},
        {"model": "x" * 129},
        {"model_digest": bytes(20)},
        {"tokenizer_digest": b""},
        {"prompt_price": -1},
        {"answer_price": 2**53},
        {"capacity": -1},
        {"issuers": ("a",) * 9},
        {"issuers": ("",)},
        {"payout_key": bytes(31)},
        {"flags": ("\x00",)},
    ],
)
def test_offers_out_of_bounds_are_refused(changes):
    body = attrs.evolve(HOST_OFFER, **changes)
    with pytest.raises(RemoteProtocolError):
        open_record(signed_anyway(body), NOW_S, SUITE)
    with pytest.raises(LocalProtocolError):
        sign_record(body, PEER_KEYS)


def test_a_provider_record_names_20_bytes():
    with pytest.raises(RemoteProtocolError):
        open_record(signed_anyway(attrs.evolve(PROVIDER_RECORD, key=bytes(21))), NOW_S, SUITE)


def test_a_record_over_the_size_is_neither_signed_nor_opened():
    body = attrs.evolve(PEER_RECORD, addresses=("/dns4/" + "x" * 150,) * 6)
    with pytest.raises(LocalProtocolError):
        sign_record(body, PEER_KEYS)
    with pytest.raises(RemoteProtocolError) as caught:
        open_record(signed_anyway(body), NOW_S, SUITE)
    assert caught.value.reason == "too_long"


def test_a_body_in_another_encoding_of_the_same_values_is_refused():
    encoded = encode(PROVIDER_RECORD)
    # The sequence 3 as a 16-bit number instead of the shortest form.
    padded = encoded.replace(PROVIDER_RECORD.public_key + b"\x03", PROVIDER_RECORD.public_key + b"\xcd\x00\x03")
    assert padded != encoded
    signature = PEER_KEYS.sign(b"peernet/dht/record/1\x00" + bytes((PROVIDER,)) + padded)
    with pytest.raises(RemoteProtocolError) as caught:
        open_record(encode(SignedRecord(PROVIDER, padded, signature)), NOW_S, SUITE)
    assert caught.value.reason == "not_canonical"


def test_only_the_key_in_the_body_signs_it():
    with pytest.raises(LocalProtocolError):
        sign_record(PEER_RECORD, OTHER_KEYS)


def test_keys_follow_from_bodies():
    assert record_key(PEER_RECORD) == dht_id(PEER_KEYS.public_key) == PEER_KEYS.peer_id.dht_id
    assert record_key(PROVIDER_RECORD) == provider_key("smollm2-135m-instruct")
    assert record_key(HOST_OFFER) == offer_key(PEER_KEYS.public_key, HOST_OFFER.model)
    assert record_key(HOST_OFFER) != record_key(attrs.evolve(HOST_OFFER, model="other"))


def test_the_provider_key_is_the_digest_that_the_design_names():
    # printf 'model:m' | sha256sum
    assert provider_key("m").hex() == "68c4066d9c38a9e8fb3f4dec8f51087efb7a5e8e"


class CountingSuite(MixedSuite):
    def __init__(self):
        self.verified = 0

    def verify(self, public, message, signature):
        self.verified += 1
        return super().verify(public, message, signature)


def test_a_record_is_verified_once_and_its_time_every_time():
    suite = CountingSuite()
    verifier = RecordVerifier(suite)
    signed = sign_record(PROVIDER_RECORD, PEER_KEYS)
    first = verifier.open(signed, NOW_S)
    again = verifier.open(bytes(bytearray(signed)), NOW_S)
    assert suite.verified == 1
    assert again is first
    assert first.body == PROVIDER_RECORD
    with pytest.raises(OutdatedRecord):
        verifier.open(signed, PROVIDER_RECORD.expires_at_s)


def test_what_failed_is_not_remembered_as_verified():
    verifier = RecordVerifier(SUITE)
    for _ in range(2):
        with pytest.raises(RemoteProtocolError):
            verifier.open(signed_anyway(PEER_RECORD, OTHER_KEYS), NOW_S)
    assert len(verifier) == 0


def test_the_memory_of_verified_records_is_bounded():
    verifier = RecordVerifier(SUITE, capacity=3)
    for sequence in range(10):
        verifier.open(sign_record(attrs.evolve(PROVIDER_RECORD, sequence=sequence), PEER_KEYS), NOW_S)
    assert len(verifier) == 3
    assert verifier.verifications == 10


def test_a_contact_is_made_of_the_key_and_the_claimed_addresses():
    signed = sign_record(PEER_RECORD, PEER_KEYS)
    contact = RecordVerifier(SUITE).contact(signed, NOW_S)
    assert contact.id == PEER_KEYS.peer_id.dht_id
    assert contact.record == signed
    assert contact.prefixes == ("ip4/cb0071", "dns/example.org")
    with pytest.raises(RemoteProtocolError):
        RecordVerifier(SUITE).contact(sign_record(PROVIDER_RECORD, PEER_KEYS), NOW_S)


def test_a_list_of_contacts_leaves_out_outdated_records_and_nothing_else():
    verifier = RecordVerifier(SUITE)
    signed = sign_record(PEER_RECORD, PEER_KEYS)
    for _ in range(2):  # the second time from memory
        assert [contact.record for contact in verifier.contacts((signed,), NOW_S)] == [signed]
        assert verifier.contacts((signed,), PEER_RECORD.expires_at_s) == []
    provider = sign_record(PROVIDER_RECORD, PEER_KEYS)
    verifier.open(provider, NOW_S)
    with pytest.raises(RemoteProtocolError):
        verifier.contacts((provider,), NOW_S)


def test_work_is_counted_in_leading_zero_bits_and_asked_for():
    works = {seed: work_bits(Keypair.from_seed(bytes([seed]) * 32, SUITE).public_key) for seed in range(64)}
    assert max(works.values()) >= 3
    assert min(works.values()) == 0
    enough = work_bits(PEER_KEYS.public_key)
    signed = sign_record(PEER_RECORD, PEER_KEYS)
    RecordVerifier(SUITE, least_work_bits=enough).open(signed, NOW_S)
    with pytest.raises(RemoteProtocolError) as caught:
        RecordVerifier(SUITE, least_work_bits=enough + 1).open(signed, NOW_S)
    assert caught.value.reason == "little_work"
