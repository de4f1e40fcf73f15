"""The vectors of RFC 9474's authors: every step between message and signature is theirs, to the byte."""

import json

from peernet.core.credits.blind_rsa import PrivateKey, blind, blind_sign, finalize, verify
from tests.shared import shared_data


def test_every_published_vector_is_ours():
    vectors = json.loads(shared_data("vectors/blind_rsa/draft_rsabssa_sha384_pss.json").read_text("utf-8"))
    assert len(vectors) == 2
    for vector in vectors:
        number = {name: int(vector[name], 16) for name in ("p", "q", "n", "e", "d", "inv")}
        message, salt = bytes.fromhex(vector["msg"]), bytes.fromhex(vector["salt"])
        key = PrivateKey(number["p"], number["q"], number["e"])
        assert key.public.modulus == number["n"]
        assert key.raw(12345) == pow(12345, number["d"], number["n"])
        blinded, inverse = blind(key.public, message, salt, pow(number["inv"], -1, number["n"]))
        assert (blinded.hex(), inverse) == (vector["blinded_msg"], number["inv"])
        signed = blind_sign(key, blinded, 12345)
        assert signed.hex() == vector["blind_sig"]
        assert finalize(key.public, message, signed, inverse, salt_size=len(salt)).hex() == vector["sig"]
        assert verify(key.public, message, bytes.fromhex(vector["sig"]), salt_size=len(salt))
