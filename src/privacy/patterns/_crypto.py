"""Addresses of cryptocurrencies, proven by the checksum that each kind carries.

Rules: Bitcoin and its kin by base58check or bech32; Ethereum's by the case of its letters, and where all are in one
case, or the form has no checksum, by a word before it. Private keys in the same alphabets are secrets.

Sources: Bitcoin's Base58Check; BIP-173 and BIP-350 (bech32, bech32m); EIP-55, with Keccak-256 as in the Keccak
submission (padding 0x01, not SHA-3's 0x06).
"""

import re
from collections.abc import Iterator
from typing import Final

import base58
from attrs import frozen

from privacy.exposure import word_set
from privacy.mention import Mention
from privacy.patterns._recogniser import Page, mention_of, words_before

_BECH32_ALPHABET: Final = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_BECH32_GENERATORS: Final = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_BECH32_CONSTANTS: Final = frozenset({1, 0x2BC830A3})
"""What the checksum of a bech32 and of a bech32m address leaves."""


@frozen
class CryptoAddressRecogniser:
    """Addresses of Bitcoin and its kin, of Ethereum and its kin, of Monero and Solana; private keys in their forms."""

    name = "crypto"
    _token = re.compile(r"(?<![^\W_])[0-9A-Za-z]{26,112}(?![^\W_])")
    _base58 = re.compile(r"[1-9A-HJ-NP-Za-km-z]{26,112}")
    _bech32 = re.compile(r"(?:bc|tb|bcrt|ltc|addr|cosmos)1[02-9ac-hj-np-z]{11,90}", re.IGNORECASE)
    _ethereum = re.compile(r"0x[0-9A-Fa-f]{40}")
    _monero = re.compile(r"[48][0-9AB][1-9A-HJ-NP-Za-km-z]{93}")
    _context = word_set(
        "ethereum eth wallet wallets address addresses erc20 usdt usdc polygon metamask solana sol phantom crypto "
        "cryptocurrency bitcoin btc monero xmr deposit donate donations send pay payment"
    )

    def find(self, page: Page) -> Iterator[Mention]:
        if not page.digits:
            return
        text = page.text
        for match in self._token.finditer(text):
            if label := self._label(match.group(), text, match.start()):
                yield mention_of(*match.span(), label, self.name)

    def _label(self, token: str, text: str, start: int) -> str | None:
        if self._ethereum.fullmatch(token):
            letters = token[2:]
            mixed = letters != letters.lower() and letters != letters.upper()
            good = (mixed and letters == _eip55(letters)) or self._is_told(text, start)
            return "CRYPTO_ADDRESS" if good else None
        if self._bech32.fullmatch(token):
            return "CRYPTO_ADDRESS" if _is_bech32(token) else None
        if not self._base58.fullmatch(token) or token.isalpha() or token.islower():
            return None
        if self._monero.fullmatch(token):
            return "CRYPTO_ADDRESS"
        if 26 <= len(token) <= 35 and _checked_size(token) == 21:
            return "CRYPTO_ADDRESS"
        if 50 <= len(token) <= 53 and _checked_size(token) in {33, 34}:
            return "SECRET"
        if 107 <= len(token) <= 112 and _checked_size(token) == 78:
            return "SECRET" if token[1:4] == "prv" else "CRYPTO_ADDRESS"
        # Solana's keys have no checksum: 32 bytes and a word before them.
        if 42 <= len(token) <= 44 and self._is_told(text, start):
            return "CRYPTO_ADDRESS" if len(base58.b58decode(token)) == 32 else None
        return None

    def _is_told(self, text: str, start: int) -> bool:
        return not self._context.isdisjoint(words_before(text, start)[-5:])


def _checked_size(token: str) -> int:
    """The bytes that base58check `token` holds, or 0 where its checksum is wrong."""
    try:
        return len(base58.b58decode_check(token))
    except ValueError:
        return 0


def _is_bech32(token: str) -> bool:
    if token.lower() != token and token.upper() != token:
        return False
    prefix, _, data = token.lower().rpartition("1")
    checksum = 1
    for value in [
        *(ord(c) >> 5 for c in prefix),
        0,
        *(ord(c) & 31 for c in prefix),
        *map(_BECH32_ALPHABET.find, data),
    ]:
        if value < 0:
            return False
        top, checksum = checksum >> 25, (checksum & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate(_BECH32_GENERATORS):
            checksum ^= generator if top >> bit & 1 else 0
    return checksum in _BECH32_CONSTANTS


def _eip55(letters: str) -> str:
    """The forty hexadecimal digits with the case that their hash demands."""
    digest = _keccak256(letters.lower().encode()).hex()
    return "".join(
        letter.upper() if int(nibble, 16) >= 8 else letter
        for letter, nibble in zip(letters.lower(), digest, strict=False)
    )


_MASK: Final = (1 << 64) - 1
_RATE: Final = 136
_ROTATIONS: Final = (
    (0, 36, 3, 41, 18), (1, 44, 10, 45, 2), (62, 6, 43, 15, 61), (28, 55, 25, 21, 56), (27, 20, 39, 8, 14)
)  # fmt: skip


def _round_constants() -> Iterator[int]:
    """The constants of iota, from the linear feedback shift register of the specification."""
    register = 1
    for _ in range(24):
        constant = 0
        for bit in range(7):
            constant |= (register & 1) << ((1 << bit) - 1)
            register = (register << 1) ^ (0x171 if register & 0x80 else 0)
        yield constant


def _keccak256(message: bytes) -> bytes:
    """Keccak-256 of at most one block (135 bytes)."""
    block = bytearray(message.ljust(_RATE, b"\0"))
    block[len(message)] ^= 0x01
    block[-1] ^= 0x80
    lanes = [[0] * 5 for _ in range(5)]
    for index in range(_RATE // 8):
        lanes[index % 5][index // 5] = int.from_bytes(block[8 * index : 8 * index + 8], "little")
    for constant in _round_constants():
        columns = [lane[0] ^ lane[1] ^ lane[2] ^ lane[3] ^ lane[4] for lane in lanes]
        turned = [[0] * 5 for _ in range(5)]
        for x in range(5):
            mixed = columns[x - 1] ^ _rotated(columns[(x + 1) % 5], 1)
            for y in range(5):
                turned[y][(2 * x + 3 * y) % 5] = _rotated(lanes[x][y] ^ mixed, _ROTATIONS[x][y])
        lanes = [
            [turned[x][y] ^ (~turned[(x + 1) % 5][y] & turned[(x + 2) % 5][y]) for y in range(5)] for x in range(5)
        ]
        lanes[0][0] ^= constant
    return b"".join(lanes[x][0].to_bytes(8, "little") for x in range(4))


def _rotated(lane: int, by: int) -> int:
    return (lane << by | lane >> (64 - by)) & _MASK
