"""Noise beyond the vectors: limits, errors and whose fault they are."""

import pytest
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from peernet.core.errors import LocalProtocolError, RemoteProtocolError
from peernet.core.noise import CLOSE_AT_NONCE, MAX_MESSAGE_SIZE, MAX_NONCE, PATTERNS, CipherState, HandshakeState
from peernet.core.suite import MixedSuite

SUITE = MixedSuite()
KEYS = [bytes([number]) * 32 for number in range(1, 6)]
XX = "Noise_XX_25519_ChaChaPoly_SHA256"


def xx(*, initiator: bool, prologue: bytes = b"") -> HandshakeState:
    static, ephemeral = (KEYS[0], KEYS[1]) if initiator else (KEYS[2], KEYS[3])
    return HandshakeState(SUITE, XX, initiator=initiator, static=static, ephemeral=ephemeral, prologue=prologue)


def finished_pair() -> tuple[HandshakeState, HandshakeState]:
    initiator, responder = xx(initiator=True), xx(initiator=False)
    responder.read_message(initiator.write_message())
    initiator.read_message(responder.write_message())
    responder.read_message(initiator.write_message())
    return initiator, responder


def test_both_sides_learn_keys_hash_and_ciphers() -> None:
    initiator, responder = finished_pair()
    assert initiator.finished
    assert responder.finished
    assert initiator.handshake_hash == responder.handshake_hash
    assert initiator.remote_static == SUITE.x25519_public(KEYS[2])
    assert responder.remote_static == SUITE.x25519_public(KEYS[0])
    (send, receive), (responder_send, responder_receive) = initiator.split(), responder.split()
    assert responder_receive.decrypt(send.encrypt(b"there", b"ad"), b"ad") == b"there"
    assert receive.decrypt(responder_send.encrypt(b"back")) == b"back"


def test_a_different_prologue_fails() -> None:
    initiator, responder = xx(initiator=True, prologue=b"a"), xx(initiator=False, prologue=b"b")
    responder.read_message(initiator.write_message())
    with pytest.raises(RemoteProtocolError) as raised:
        initiator.read_message(responder.write_message())
    assert raised.value.reason == "bad_tag"


@pytest.mark.parametrize("position", [0, 31, 32, 60, 80, 95])
def test_any_flipped_bit_of_the_second_message_ends_the_handshake(position: int) -> None:
    initiator, responder = xx(initiator=True), xx(initiator=False)
    responder.read_message(initiator.write_message())
    message = responder.write_message(b"payload")
    flipped = bytearray(message)
    flipped[position] ^= 1
    with pytest.raises(RemoteProtocolError):
        initiator.read_message(bytes(flipped))
    with pytest.raises(LocalProtocolError):
        initiator.read_message(message)
    with pytest.raises(LocalProtocolError):
        initiator.write_message()


@pytest.mark.parametrize("size", [0, 31])
def test_a_message_that_ends_inside_a_key(size: int) -> None:
    with pytest.raises(RemoteProtocolError) as raised:
        xx(initiator=False).read_message(bytes(size))
    assert raised.value.reason == "too_short"


def test_a_low_order_key_is_refused() -> None:
    responder = xx(initiator=False)
    responder.read_message(bytes(32))
    with pytest.raises(RemoteProtocolError) as raised:
        responder.write_message()
    assert raised.value.reason == "bad_key"


def test_message_size_is_limited_on_both_ways() -> None:
    initiator, responder = xx(initiator=True), xx(initiator=False)
    largest = initiator.write_message(bytes(MAX_MESSAGE_SIZE - 32))
    assert len(largest) == MAX_MESSAGE_SIZE
    responder.read_message(largest)
    with pytest.raises(LocalProtocolError):
        responder.write_message(bytes(MAX_MESSAGE_SIZE - 95))
    with pytest.raises(RemoteProtocolError) as raised:
        xx(initiator=False).read_message(largest + b"\0")
    assert raised.value.reason == "too_long"


def test_turns_are_kept_and_split_happens_once() -> None:
    initiator = xx(initiator=True)
    with pytest.raises(LocalProtocolError):
        initiator.read_message(bytes(32))
    with pytest.raises(LocalProtocolError):
        initiator.split()
    with pytest.raises(LocalProtocolError):
        _ = initiator.handshake_hash
    initiator.write_message()
    with pytest.raises(LocalProtocolError):
        initiator.write_message()
    done, _ = finished_pair()
    done.split()
    with pytest.raises(LocalProtocolError):
        done.split()


@pytest.mark.parametrize(
    "protocol",
    [
        "Noise_YY_25519_ChaChaPoly_SHA256",
        "Noise_XX_448_ChaChaPoly_SHA256",
        "Noise_XX_25519_AESGCM_SHA256",
        "Noise_XX_25519_ChaChaPoly_MD5",
        "Noise_XXpsk4_25519_ChaChaPoly_SHA256",
        "Noise_XXfallback_25519_ChaChaPoly_SHA256",
        "XX",
    ],
)
def test_protocols_that_we_do_not_have(protocol: str) -> None:
    with pytest.raises(LocalProtocolError):
        HandshakeState(SUITE, protocol, initiator=True, static=KEYS[0], ephemeral=KEYS[1], psks=KEYS[:1])


def test_keys_must_fit_the_protocol() -> None:
    nk = "Noise_NK_25519_ChaChaPoly_SHA256"
    public = SUITE.x25519_public(KEYS[2])
    HandshakeState(SUITE, nk, initiator=True, remote_static=public, ephemeral=KEYS[1])
    HandshakeState(SUITE, "Noise_N_25519_ChaChaPoly_SHA256", initiator=False, static=KEYS[2])
    with pytest.raises(LocalProtocolError, match="needs the other's static key"):
        HandshakeState(SUITE, nk, initiator=True, ephemeral=KEYS[1])
    with pytest.raises(LocalProtocolError, match="does not take the other's static key"):
        HandshakeState(SUITE, XX, initiator=True, static=KEYS[0], remote_static=public, ephemeral=KEYS[1])
    with pytest.raises(LocalProtocolError, match="needs its static key"):
        HandshakeState(SUITE, nk, initiator=False, ephemeral=KEYS[1])
    with pytest.raises(LocalProtocolError, match="needs an ephemeral key"):
        HandshakeState(SUITE, XX, initiator=True, static=KEYS[0])
    with pytest.raises(LocalProtocolError, match="takes 0 pre-shared keys"):
        HandshakeState(SUITE, XX, initiator=True, static=KEYS[0], ephemeral=KEYS[1], psks=KEYS[:1])
    with pytest.raises(LocalProtocolError, match="has 32 bytes, not 5"):
        HandshakeState(SUITE, XX, initiator=True, static=b"short", ephemeral=KEYS[1])


def test_psk4_has_its_place_in_a_pattern_of_four_messages() -> None:
    name = "Noise_X1Xpsk4_25519_ChaChaPoly_BLAKE2s"
    initiator, responder = (
        HandshakeState(SUITE, name, initiator=way, static=KEYS[0], ephemeral=KEYS[1], psks=[psk])
        for way, psk in ((True, KEYS[4]), (False, KEYS[4]))
    )
    for writer, reader in [(initiator, responder), (responder, initiator)] * 2:
        assert reader.read_message(writer.write_message(b"x")) == b"x"
    assert initiator.finished


def test_a_different_pre_shared_key_fails() -> None:
    name = "Noise_XXpsk3_25519_ChaChaPoly_SHA256"
    initiator, responder = (
        HandshakeState(SUITE, name, initiator=way, static=KEYS[0], ephemeral=KEYS[1], psks=[psk])
        for way, psk in ((True, KEYS[3]), (False, KEYS[4]))
    )
    responder.read_message(initiator.write_message())
    initiator.read_message(responder.write_message())
    with pytest.raises(RemoteProtocolError):
        responder.read_message(initiator.write_message())


def test_every_pattern_has_only_known_tokens_in_alternating_messages() -> None:
    for lines in PATTERNS.values():
        messages = lines[lines.index("...") + 1 :] if "..." in lines else lines
        assert [line[:2] for line in messages] == [("->", "<-")[number % 2] for number in range(len(messages))]
        assert {token for line in messages for token in line[3:].split(", ")} <= {"e", "s", "ee", "es", "se", "ss"}


def test_a_failed_decryption_does_not_advance_the_nonce() -> None:
    send, receive = CipherState(SUITE, KEYS[0]), CipherState(SUITE, KEYS[0])
    sealed = send.encrypt(b"one")
    for bad in (b"", sealed[:-1], sealed + b"\0", bytes(len(sealed))):
        with pytest.raises(RemoteProtocolError) as raised:
            receive.decrypt(bad)
        assert raised.value.reason == "bad_tag"
        assert receive.nonce == 0
    assert receive.decrypt(sealed) == b"one"
    assert receive.nonce == 1


def test_nonces_end_before_the_reserved_one() -> None:
    send, receive = CipherState(SUITE, KEYS[0]), CipherState(SUITE, KEYS[0])
    send.nonce = receive.nonce = MAX_NONCE - 1
    assert receive.decrypt(send.encrypt(b"last")) == b"last"
    with pytest.raises(LocalProtocolError):
        send.encrypt(b"one more")
    with pytest.raises(RemoteProtocolError) as raised:
        receive.decrypt(bytes(32))
    assert raised.value.reason == "nonces_used_up"


def test_a_cipher_must_close_long_before() -> None:
    cipher = CipherState(SUITE, KEYS[0])
    cipher.nonce = CLOSE_AT_NONCE - 2
    seen = []
    for _ in range(3):
        seen.append(cipher.must_close)
        cipher.encrypt(b"")
    assert seen == [False, False, True]
    assert CLOSE_AT_NONCE < MAX_NONCE >> 20


def test_rekeying_both_sides_goes_on_and_one_side_does_not() -> None:
    send, receive = CipherState(SUITE, KEYS[0]), CipherState(SUITE, KEYS[0])
    receive.decrypt(send.encrypt(b"before"))
    send.rekey()
    sealed = send.encrypt(b"after")
    with pytest.raises(RemoteProtocolError):
        receive.decrypt(sealed)
    receive.rekey()
    assert receive.decrypt(sealed) == b"after"
    assert receive.nonce == 2


def test_the_next_key_is_what_section_4_2_says() -> None:
    cipher = CipherState(SUITE, KEYS[0])
    cipher.rekey()
    key = ChaCha20Poly1305(KEYS[0]).encrypt(bytes(4) + b"\xff" * 8, bytes(32), b"")[:32]
    assert cipher.encrypt(b"x") == ChaCha20Poly1305(key).encrypt(bytes(12), b"x", b"")
