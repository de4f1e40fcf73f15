"""The cipher suites: the vectors of the RFCs, agreement with each other, and what they do with bad input."""

import hmac

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peernet.core.errors import LocalProtocolError, RemoteProtocolError
from peernet.core.suite import CipherSuite, MixedSuite, SodiumSuite

SUITES = [SodiumSuite(), MixedSuite()]
EACH = pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.name)

# RFC 7748 section 5.2 and 6.1: the points whose multiples are all of small order.
P = 2**255 - 19
LOW_ORDER = [
    *(value.to_bytes(32, "little") for value in (0, 1, P - 1, P, P + 1)),
    bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
]


def reason(raising) -> str:
    with pytest.raises(RemoteProtocolError) as raised:
        raising()
    return raised.value.reason


@EACH
def test_x25519_of_rfc_7748(suite: CipherSuite):
    alice = bytes.fromhex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a")
    secret = bytes.fromhex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb")
    bob = bytes.fromhex("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f")
    assert suite.x25519_public(secret) == bob
    shared = "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"
    assert suite.x25519(secret, alice).hex() == shared


@EACH
def test_ed25519_of_rfc_8032(suite: CipherSuite):
    seed = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    public = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
    signature = bytes.fromhex(
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe"
        "24655141438e7a100b"
    )
    assert suite.ed25519_public(seed) == public
    assert suite.sign(seed, b"") == signature
    assert suite.verify(public, b"", signature)


@EACH
def test_chacha20_poly1305_of_rfc_8439(suite: CipherSuite):
    key = bytes(range(0x80, 0xA0))
    nonce = bytes.fromhex("070000004041424344454647")
    associated = bytes.fromhex("50515253c0c1c2c3c4c5c6c7")
    text = (
        b"Ladies and Gentlemen of the class of '99: "
        b"If I could offer you only one tip for the future, sunscreen would be it."
    )
    sealed = suite.aead(key).seal(nonce, text, associated)
    assert sealed[:16].hex() == "d31a8d34648e60db7b86afbc53ef7ec2"
    assert sealed[-16:].hex() == "1ae10b594f09e26a7e902ecbd0600691"
    assert suite.aead(key).open(nonce, sealed, associated) == text


@EACH
def test_the_keystream_is_chacha20_from_block_zero_and_keeps_its_place(suite: CipherSuite):
    # RFC 8439 appendix A.1, test vectors 1 and 2.
    blocks = (
        "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7"
        "da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586"
        "9f07e7be5551387a98ba977c732d080dcb0f29a048e3656912c6533e32ee7aed"
        "29b721769ce64e43d57133b074d839d531ed1f28510afb45ace10a1f4b794d6f"
    )
    stream = suite.keystream(bytes(32))
    assert (stream.update(bytes(1)) + stream.update(bytes(100)) + stream.update(bytes(27))).hex() == blocks


@EACH
def test_hashes(suite: CipherSuite):
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert suite.hash("SHA256", b"abc").hex() == digest
    # RFC 4231, test case 2.
    mac = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    assert suite.hmac("SHA256", b"Jefe", b"what do ya want for nothing?").hex() == mac
    assert [len(suite.hash(name, b"")) for name in ("SHA512", "BLAKE2s", "BLAKE2b")] == [64, 32, 64]


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(["SHA256", "SHA512", "BLAKE2s", "BLAKE2b"]),
    st.binary(max_size=300),
    st.binary(max_size=300),
)
def test_hmac_is_that_of_the_standard_library(name: str, key: bytes, data: bytes):
    expected = hmac.digest(key, data, name.lower())
    assert [suite.hmac(name, key, data) for suite in SUITES] == [expected] * len(SUITES)


KEYS = st.binary(min_size=32, max_size=32)


@settings(max_examples=60, deadline=None)
@given(KEYS, KEYS, st.binary(min_size=12, max_size=12), st.binary(max_size=300), st.binary(max_size=40))
def test_both_suites_compute_the_same(key: bytes, other: bytes, nonce: bytes, text: bytes, associated: bytes):
    sodium, mixed = SUITES
    public = sodium.x25519_public(other)
    assert mixed.x25519_public(other) == public
    assert sodium.x25519(key, public) == mixed.x25519(key, public)
    assert sodium.sign(key, text) == mixed.sign(key, text)
    sealed = sodium.aead(key).seal(nonce, text, associated)
    assert mixed.aead(key).seal(nonce, text, associated) == sealed
    assert mixed.aead(key).open(nonce, sealed, associated) == sodium.aead(key).open(nonce, sealed, associated) == text
    assert sodium.keystream(key).update(text) == mixed.keystream(key).update(text)


@EACH
@pytest.mark.parametrize("public", LOW_ORDER, ids=lambda key: key.hex()[:8])
def test_a_key_of_low_order_is_refused(suite: CipherSuite, public: bytes):
    assert reason(lambda: suite.x25519(b"s" * 32, public)) == "bad_key"


@EACH
@pytest.mark.parametrize("size", [0, 1, 31, 33, 64])
def test_keys_of_other_lengths_never_reach_the_library(suite: CipherSuite, size: int):
    assert reason(lambda: suite.x25519(b"s" * 32, bytes([9]) * size)) == "bad_key"
    with pytest.raises(LocalProtocolError):
        suite.x25519(bytes(size), b"\x09" + bytes(31))
    with pytest.raises(LocalProtocolError):
        suite.x25519_public(bytes(size))


@EACH
def test_whatever_is_altered_fails_to_open(suite: CipherSuite):
    key, nonce = b"k" * 32, b"n" * 12
    sealed = suite.aead(key).seal(nonce, b"text", b"associated")
    for position in range(len(sealed)):
        altered = bytearray(sealed)
        altered[position] ^= 0x80
        assert reason(lambda altered=bytes(altered): suite.aead(key).open(nonce, altered, b"associated")) == "bad_tag"
    for ciphertext, associated in ((sealed, b""), (sealed[:-1], b"associated"), (b"", b"associated")):
        assert reason(lambda c=ciphertext, a=associated: suite.aead(key).open(nonce, c, a)) == "bad_tag"


@EACH
def test_what_is_opened_into_a_buffer_is_what_is_opened(suite: CipherSuite):
    aead, nonce = suite.aead(b"k" * 32), b"n" * 12
    buffer = memoryview(bytearray(b"-" * 100))
    for text in (b"", b"x", bytes(range(80)), bytes(range(100))):
        sealed = aead.seal(nonce, text, b"associated")
        size = aead.open_into(nonce, sealed, b"associated", buffer)
        assert bytes(buffer[:size]) == text == aead.open(nonce, memoryview(sealed), b"associated")
        altered = bytes((sealed[0] ^ 1,)) + sealed[1:]
        for bad in (altered, sealed[:-1], sealed[:15], b""):
            assert reason(lambda bad=bad: aead.open_into(nonce, bad, b"associated", buffer)) == "bad_tag"


@EACH
def test_malformed_signatures_and_keys_are_just_false(suite: CipherSuite):
    public = suite.ed25519_public(b"s" * 32)
    signature = suite.sign(b"s" * 32, b"text")
    assert suite.verify(public, b"text", signature)
    assert not suite.verify(public, b"other", signature)
    assert not suite.verify(suite.ed25519_public(b"t" * 32), b"text", signature)
    assert not suite.verify(public[:-1], b"text", signature)
    assert not suite.verify(public, b"text", signature[:-1])
    assert not suite.verify(public, b"text", signature + b"\0")
    assert not suite.verify(b"\xff" * 32, b"text", signature)
    # RFC 8032 section 8.4: S + L is the same number and must not be accepted as a second signature.
    order = 2**252 + 27742317777372353535851937790883648493
    scalar = int.from_bytes(signature[32:], "little") + order
    assert not suite.verify(public, b"text", signature[:32] + scalar.to_bytes(32, "little"))
    # The neutral element as a key would verify anything.
    assert not suite.verify(b"\x01" + bytes(31), b"text", b"\x01" + bytes(63))
