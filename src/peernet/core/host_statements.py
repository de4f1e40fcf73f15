"""What a host signs for the operator of a bootstrap node: the host agreement, and its reports.

Rules:

1. A signature is over a domain of its own and the canonical bytes of one statement, so that no signature of one kind
   is good for another, or for anything else that the same key signs.
2. Each statement names the portal that it is for, as the host's operator wrote it: a portal cannot hand on to another
   one what was signed for it.
3. The host's peer key signs. The payout key signs the agreement, too, under a third domain: whoever registers a
   payout key has it.
4. A report holds counts, times no finer than a minute, and never text.

Source: promise P7; design section 9.
"""

from typing import Final

from attrs import frozen

from peernet.core.suite import CipherSuite
from peernet.core.wire import encode

__all__ = [
    "REPORT_GRAIN_S",
    "AbuseReport",
    "HostAgreement",
    "ServiceReport",
    "Statement",
    "is_signed",
    "proves_payout_key",
    "sign",
    "sign_payout_key",
]

REPORT_GRAIN_S: Final = 60


@frozen
class HostAgreement:
    """That a host's operator has read an agreement and keeps it."""

    portal: str
    """Scheme, host and port, in small letters: `https://peernet.example.org`."""
    version: str
    digest: bytes
    """SHA-256 of the agreement's text, as the host itself computed it."""
    code: str
    """What the portal showed to the person who registers the host."""
    peer_key: bytes
    payout_key: bytes


@frozen
class ServiceReport:
    """How a host has served since its last report. Sums, so that reports can be added up."""

    portal: str
    peer_key: bytes
    from_s: int
    """Seconds of the Unix epoch, full minutes."""
    until_s: int
    requests: int
    errors: int
    """Requests that the host could not finish, for reasons of its own."""
    prompt_tokens: int
    answer_tokens: int
    first_tokens: int
    """How many answers had a first token, and so a time until it."""
    first_token_ms: int
    """The sum of those times."""
    later_tokens: int
    """Tokens after the first of each answer."""
    later_tokens_ms: int
    """The sum of the times that they took."""


@frozen
class AbuseReport:
    """That a host refused what a lane asked for. Who reports the same again says the same."""

    portal: str
    peer_key: bytes
    lane_key: bytes
    category: str
    """One of the categories of screening: never text of the request."""
    count: int
    """How often, since the lane was opened."""


Statement = HostAgreement | ServiceReport | AbuseReport

_DOMAINS: Final[dict[type[Statement], bytes]] = {
    HostAgreement: b"peernet host agreement v1\x00",
    ServiceReport: b"peernet service report v1\x00",
    AbuseReport: b"peernet abuse report v1\x00",
}
_PAYOUT_DOMAIN: Final = b"peernet payout key v1\x00"


def sign(statement: Statement, peer_seed: bytes, suite: CipherSuite) -> bytes:
    """The host's signature of a statement: 64 bytes."""
    return suite.sign(peer_seed, _DOMAINS[type(statement)] + encode(statement))


def is_signed(statement: Statement, signature: bytes, suite: CipherSuite) -> bool:
    """Whether the statement's own `peer_key` signed it."""
    return suite.verify(statement.peer_key, _DOMAINS[type(statement)] + encode(statement), signature)


def sign_payout_key(agreement: HostAgreement, payout_seed: bytes, suite: CipherSuite) -> bytes:
    """The proof that the agreement's payout key is one's own."""
    return suite.sign(payout_seed, _PAYOUT_DOMAIN + encode(agreement))


def proves_payout_key(agreement: HostAgreement, signature: bytes, suite: CipherSuite) -> bool:
    """Whether it is such a proof."""
    return suite.verify(agreement.payout_key, _PAYOUT_DOMAIN + encode(agreement), signature)
