"""Proofs that travel alone: an entry's place in a log, with the signed checkpoint that it leads to.

```
c2sp.org/tlog-proof@v1
extra <base64>                 (optional, not authenticated by itself)
index <decimal>
<base64 of a hash>             (as many as the path has, the leaf's sibling first)
                               (an empty line)
<the checkpoint, verbatim>
```

Our logs put the entry's own bytes into the extra line: an entry carries the log's time, which its submitter does not
know, and nothing in it is secret. It is authenticated by the path, since the leaf is hashed from it.

Source: C2SP tlog-proof v1.
"""

from typing import Final

from attrs import frozen

from peernet.core.errors import LocalProtocolError, RemoteProtocolError
from peernet.core.ledger.checkpoint import Checkpoint, open_checkpoint, parse_decimal, read_unverified
from peernet.core.ledger.merkle import HASH_SIZE, leaf_hash, verify_inclusion
from peernet.core.ledger.notes import MAX_NOTE_SIZE, VerifierKey, decode_base64, encode_base64
from peernet.core.suite import CipherSuite

__all__ = ["LogProof", "open_entry_proof", "origin_of_proof", "verify_proof"]

HEADER: Final = "c2sp.org/tlog-proof@v1"
MAX_PATH: Final = 63
MAX_PROOF_SIZE: Final = 2 * MAX_NOTE_SIZE


@frozen
class LogProof:
    """An inclusion proof and its checkpoint, as parsed or made; nothing here is verified."""

    index: int
    path: tuple[bytes, ...]
    checkpoint: bytes
    """The signed note."""
    extra: bytes | None = None

    def encode(self) -> bytes:
        """The proof's bytes; raises `LocalProtocolError` for an empty extra, which no line can carry."""
        if self.extra is not None and not self.extra:
            raise LocalProtocolError("the extra data of a proof is None or some bytes")
        lines = [HEADER]
        if self.extra is not None:
            lines.append(f"extra {encode_base64(self.extra)}")
        lines.append(f"index {self.index}")
        lines.extend(encode_base64(part) for part in self.path)
        return "".join(f"{line}\n" for line in lines).encode() + b"\n" + self.checkpoint

    @classmethod
    def parse(cls, data: bytes) -> "LogProof":
        """The proof in `data`; raises `RemoteProtocolError` (`bad_proof`) when it is none within our limits."""
        if len(data) > MAX_PROOF_SIZE:
            raise _bad(f"a proof of {len(data)} bytes, over {MAX_PROOF_SIZE}")
        head, parting, checkpoint = data.partition(b"\n\n")
        if not parting or not head.isascii():
            raise _bad("a proof has no empty line, or more than ASCII, before its checkpoint")
        lines = head.decode("ascii").split("\n")
        if lines.pop(0) != HEADER:
            raise _bad(f"a proof begins with {HEADER}")
        extra = None
        if lines and lines[0].startswith("extra "):
            extra = decode_base64(lines.pop(0).removeprefix("extra "))
            if not extra:
                raise _bad("a proof's extra line is empty")
        if not lines or not lines[0].startswith("index "):
            raise _bad("a proof has no index")
        index = parse_decimal(lines.pop(0).removeprefix("index "))
        if len(lines) > MAX_PATH:
            raise _bad(f"a proof with {len(lines)} hashes, over {MAX_PATH}")
        path = tuple(decode_base64(line) for line in lines)
        if any(len(part) != HASH_SIZE for part in path):
            raise _bad(f"a hash in a proof is not of {HASH_SIZE} bytes")
        return cls(index, path, checkpoint, extra)


def verify_proof(proof: LogProof, entry: bytes, log_key: VerifierKey, suite: CipherSuite) -> Checkpoint:
    """The checkpoint, signed by `log_key`, under which `entry` is shown to stand at `proof.index`.

    Raises `RemoteProtocolError` when the signature or the path does not hold.
    """
    checkpoint = open_checkpoint(proof.checkpoint, log_key, suite)
    verify_inclusion(leaf_hash(entry), proof.index, checkpoint.size, proof.path, checkpoint.root)
    return checkpoint


def open_entry_proof(data: bytes, log_key: VerifierKey, suite: CipherSuite) -> tuple[bytes, Checkpoint]:
    """The entry that a proof of our logs carries as its extra, shown to be in the log, and the checkpoint.

    Raises `RemoteProtocolError` when there is no entry, or the signature or the path does not hold.
    """
    proof = LogProof.parse(data)
    if proof.extra is None:
        raise _bad("a proof does not carry its entry")
    return proof.extra, verify_proof(proof, proof.extra, log_key, suite)


def origin_of_proof(data: bytes) -> str:
    """The log that a proof says to be of; nothing is verified. Raises `RemoteProtocolError` for no proof."""
    return read_unverified(LogProof.parse(data).checkpoint).origin


def _bad(message: str) -> RemoteProtocolError:
    return RemoteProtocolError(message, reason="bad_proof")
