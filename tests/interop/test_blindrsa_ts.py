"""Blind signatures with another implementation, @cloudflare/blindrsa-ts on node: each side is client and signer once.

Skipped until `make blindrsa` was run, which needs node and npm.
"""

import base64
import json
import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from peernet.core.credits.blind_rsa import SALT_SIZE, blind, blind_sign, finalize, prepare, verify
from tests.issuers import KEYS

KEY = KEYS[0]
FOLDER = Path(__file__).resolve().parents[2] / ".npm-blindrsa"
PROGRAM = Path(__file__).with_name("blind_rsa_peer.mjs")
TIMEOUT_S = 60


def number(value):
    return base64.urlsafe_b64encode(value.to_bytes((value.bit_length() + 7) // 8)).rstrip(b"=").decode()


def jwk():
    """The key as RFC 7517 has it."""
    d = pow(KEY.exponent, -1, (KEY.p - 1) * (KEY.q - 1))
    return {
        "kty": "RSA",
        "n": number(KEY.p * KEY.q),
        "e": number(KEY.exponent),
        "d": number(d),
        "p": number(KEY.p),
        "q": number(KEY.q),
        "dp": number(rsa.rsa_crt_dmp1(d, KEY.p)),
        "dq": number(rsa.rsa_crt_dmq1(d, KEY.q)),
        "qi": number(rsa.rsa_crt_iqmp(KEY.p, KEY.q)),
    }


def ask(step, **given):
    """One step of the other implementation."""
    if not (FOLDER / "node_modules").exists() or shutil.which("node") is None:
        pytest.skip("blindrsa-ts is not here: 'make blindrsa' fetches it, and needs node and npm")
    request = {name: base64.b64encode(value).decode() for name, value in given.items()}
    done = subprocess.run(
        ["node", PROGRAM, FOLDER],
        input=json.dumps({"step": step, "key": jwk(), **request}).encode(),
        capture_output=True,
        check=False,
        timeout=TIMEOUT_S,
    )
    assert done.returncode == 0, done.stderr.decode()
    found = json.loads(done.stdout)
    return {name: base64.b64decode(value) if isinstance(value, str) else value for name, value in found.items()}


def test_they_sign_and_verify_what_we_blind():
    prepared = prepare(b"a message", b"\x01" * 32)
    blinded, inverse = blind(KEY.public, prepared, b"\x02" * SALT_SIZE, 2**1000 + 1)
    signed = ask("sign", blinded=blinded)["signature"]
    assert signed == blind_sign(KEY, blinded, 7)
    signature = finalize(KEY.public, prepared, signed, inverse)
    assert ask("verify", prepared=prepared, signature=signature)["holds"] is True
    assert ask("verify", prepared=prepared + b"x", signature=signature)["holds"] is False


def test_we_sign_and_verify_what_they_blind():
    made = ask("blind", message=b"a message")
    assert (made["prepared"][32:], len(made["prepared"])) == (b"a message", 41)
    signed = blind_sign(KEY, made["blinded"], 7)
    theirs = ask("finalize", prepared=made["prepared"], signature=signed, inverse=made["inverse"])["signature"]
    assert theirs == finalize(KEY.public, made["prepared"], signed, int.from_bytes(made["inverse"]))
    assert verify(KEY.public, made["prepared"], theirs)
