"""Blind RSA signatures: our kept vectors, and what is refused."""

import json

import pytest

from peernet.core.credits.blind_rsa import (
    KEY_BITS,
    MODULUS_SIZE,
    PREFIX_SIZE,
    SALT_SIZE,
    PrivateKey,
    PublicKey,
    SigningFault,
    blind,
    blind_sign,
    finalize,
    prepare,
    verify,
)
from peernet.core.errors import LocalProtocolError, RemoteProtocolError
from tests.issuers import KEYS
from tests.vectors.blind_rsa import VECTORS, blind_rsa_vectors

KEY, OTHER = KEYS[0], KEYS[1]
PREPARED = prepare(b"message", b"\x01" * PREFIX_SIZE)
SALT = b"\x02" * SALT_SIZE
FACTOR = 2**1000 + 1


def signed() -> bytes:
    blinded, inverse = blind(KEY.public, PREPARED, SALT, FACTOR)
    return finalize(KEY.public, PREPARED, blind_sign(KEY, blinded, 7), inverse)


def test_the_code_writes_the_vectors_that_are_kept():
    assert blind_rsa_vectors(KEYS) == json.loads(VECTORS.read_text("utf-8"))


def test_a_signature_is_of_one_message_and_one_key():
    signature = signed()
    assert verify(KEY.public, PREPARED, signature)
    assert not verify(KEY.public, PREPARED + b"x", signature)
    assert not verify(OTHER.public, PREPARED, signature)
    assert not verify(KEY.public, PREPARED, bytes(MODULUS_SIZE))
    assert not verify(KEY.public, PREPARED, signature[1:])
    assert not verify(KEY.public, PREPARED, signature, salt_size=0)


def test_what_is_blinded_depends_on_the_factor_and_the_signature_does_not():
    blinded = {blind(KEY.public, PREPARED, SALT, FACTOR + extra)[0] for extra in range(4)}
    assert len(blinded) == 4
    signatures = set()
    for extra in range(4):
        message, inverse = blind(KEY.public, PREPARED, SALT, FACTOR + extra)
        signatures.add(finalize(KEY.public, PREPARED, blind_sign(KEY, message, 7), inverse))
    assert signatures == {signed()}


def test_the_mask_changes_nothing_of_the_signature():
    blinded, _ = blind(KEY.public, PREPARED, SALT, FACTOR)
    assert len({blind_sign(KEY, blinded, mask) for mask in (1, 7, KEY.public.modulus - 1)}) == 1


def test_the_mask_reaches_the_private_operation(monkeypatch):
    """It never computes on what somebody sent: its time would tell of the key."""
    computed = []
    raw = PrivateKey.raw
    monkeypatch.setattr(PrivateKey, "raw", lambda key, number: computed.append(number) or raw(key, number))
    blinded, _ = blind(KEY.public, PREPARED, SALT, FACTOR)
    blind_sign(KEY, blinded, 7)
    assert computed[0] != int.from_bytes(blinded)


def test_a_fault_does_not_leave(monkeypatch):
    """With one right half and one wrong one, the difference to the truth shares a prime with the modulus."""
    raw = PrivateKey.raw
    monkeypatch.setattr(PrivateKey, "raw", lambda key, number: (raw(key, number) + key.q) % key.public.modulus)
    blinded, _ = blind(KEY.public, PREPARED, SALT, FACTOR)
    with pytest.raises(SigningFault):
        blind_sign(KEY, blinded, 7)


@pytest.mark.parametrize("blinded", [b"", bytes(MODULUS_SIZE), b"\xff" * MODULUS_SIZE, b"\x01" * (MODULUS_SIZE + 1)])
def test_what_is_no_blinded_message_is_not_signed(blinded):
    with pytest.raises(RemoteProtocolError) as raised:
        blind_sign(KEY, blinded, 7)
    assert raised.value.reason == "bad_blinded"


def test_a_signer_that_gives_something_else_is_found_out():
    blinded, inverse = blind(KEY.public, PREPARED, SALT, FACTOR)
    right = blind_sign(KEY, blinded, 7)
    for wrong in (
        b"",
        right[:-1],
        bytes(MODULUS_SIZE),
        b"\xff" * MODULUS_SIZE,
        blind_sign(OTHER, b"\x01" * MODULUS_SIZE, 7),
    ):
        with pytest.raises(RemoteProtocolError) as raised:
            finalize(KEY.public, PREPARED, wrong, inverse)
        assert raised.value.reason == "bad_signature"


@pytest.mark.parametrize("factor", [0, KEY.public.modulus, KEY.p, -1])
def test_a_number_without_an_inverse_hides_nothing(factor):
    with pytest.raises(LocalProtocolError):
        blind(KEY.public, PREPARED, SALT, factor)
    with pytest.raises(LocalProtocolError):
        blind_sign(KEY, blind(KEY.public, PREPARED, SALT, FACTOR)[0], factor)


def test_a_randomizer_has_its_length():
    with pytest.raises(LocalProtocolError):
        prepare(b"", bytes(31))


def test_only_odd_numbers_of_the_right_length_are_keys():
    whole = KEY.public.to_bytes()
    assert PublicKey.from_bytes(whole) == KEY.public
    assert KEY.public.modulus.bit_length() == KEY_BITS
    for other in (b"", whole[1:], b"\x00" + whole, b"\x7f" + whole[1:], whole[:-1] + b"\x00"):
        with pytest.raises(RemoteProtocolError) as raised:
            PublicKey.from_bytes(other)
        assert raised.value.reason == "bad_key"


def test_a_private_key_does_not_show_itself():
    assert str(KEY.p) not in repr(KEY)
    assert str(KEY.q) not in repr(KEY)
