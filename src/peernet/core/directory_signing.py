"""How one snapshot of the directory gets the signatures of a quorum: `/peernet/directory-signing/1`.

```
proposer -> checker   Propose(issued_at_s, digest)
proposer <- checker   GetDirectory(what the checker has), or Refused
proposer -> checker   DirectoryHead, DirectoryPart ...      as in `directory_transfer`
proposer <- checker   Signed(signature), or Refused
proposer -> checker   Complete(signatures)                  once there is a quorum
```

Every bootstrap node crawls the DHT itself, and any may propose. Rules of a checker:

1. Only configured bootstrap nodes propose, each for itself.
2. The time is within `TIME_TOLERANCE_S` of the checker's clock, and later than whatever the checker has signed before.
   So no two snapshots of one time get a quorum, and whichever has the later time is the newer.
3. Every record opens, and none has expired.
4. Of the peers, and of the offers, that the checker has itself found alive, at most one in `LEFT_OUT` is missing,
   rounded up. That bounds what one proposer can censor; that it lists peers of its own, nobody can tell.
5. It lists nobody whom the checker's own operator has suspended. So a host is listed as long as a quorum of operators
   has not suspended it; one operator alone takes nobody out, and those who could block a quorum together do.

Whose turn it is follows from the last digest, so that it is nobody's for long, and a node that is down, or proposes
what others refuse, is passed by after `TURN_S`. Each member proposes at seconds of its own (`proposal_time`): of two
that propose at once the later time can have everybody's signature, and they cannot block each other by a tie.
"""

import hashlib
from collections.abc import Collection, Mapping
from typing import Final

from attrs import field, frozen

from peernet.core.dht.records import Body, HostOffer, PeerRecord
from peernet.core.directory import MAX_SIGNATURES, Directory, Signature
from peernet.core.directory_transfer import DirectoryHead, DirectoryPart, GetDirectory
from peernet.core.errors import RemoteProtocolError
from peernet.core.wire import MessageSet

__all__ = [
    "SIGNING_PROTOCOL",
    "TURN_S",
    "Alive",
    "Complete",
    "Propose",
    "Refused",
    "Signed",
    "SigningMessages",
    "check_listed",
    "check_proposed_time",
    "proposal_time",
    "turn_of",
]

SIGNING_PROTOCOL: Final = "/peernet/directory-signing/1"
TIME_TOLERANCE_S: Final = 120
LEFT_OUT: Final = 8
TURN_S: Final = 2.0
MAX_REASON_LENGTH: Final = 32


@frozen
class Propose:
    """Please sign this."""

    issued_at_s: int
    digest: bytes


@frozen
class Signed:
    """The checker's signature."""

    signature: Signature


def _is_reason(_: object, __: object, value: str) -> None:
    if not (0 < len(value) <= MAX_REASON_LENGTH and value.isascii() and value.replace("_", "").isalpha()):
        raise ValueError("a reason is a short word")


@frozen
class Refused:
    """The checker does not sign; a short word says why."""

    reason: str = field(validator=_is_reason)


def _are_signatures(_: object, __: object, value: tuple[Signature, ...]) -> None:
    if len(value) > MAX_SIGNATURES:
        raise ValueError(f"{len(value)} signatures, over {MAX_SIGNATURES}")


@frozen
class Complete:
    """The signatures of a quorum, the checker's among them."""

    signatures: tuple[Signature, ...] = field(validator=_are_signatures)


SigningMessages: Final = MessageSet(
    {1: Propose, 2: GetDirectory, 3: DirectoryHead, 4: DirectoryPart, 5: Signed, 6: Refused, 7: Complete}
)


@frozen
class Alive:
    """Who a checker has itself found alive: the keys of peers, and key and model of offers."""

    peers: frozenset[bytes] = frozenset()
    offers: frozenset[tuple[bytes, str]] = frozenset()

    @classmethod
    def of(cls, bodies: Collection[Body]) -> "Alive":
        """Those of whom these records are."""
        return cls(
            frozenset(body.public_key for body in bodies if isinstance(body, PeerRecord)),
            frozenset((body.public_key, body.model) for body in bodies if isinstance(body, HostOffer)),
        )

    def __and__(self, other: "Alive") -> "Alive":
        return Alive(self.peers & other.peers, self.offers & other.offers)


def check_proposed_time(issued_at_s: int, now_s: float, signed_at_s: int) -> None:
    """Rule 2; `signed_at_s` is the latest time that the checker has signed. Raises `RemoteProtocolError`."""
    if abs(issued_at_s - now_s) > TIME_TOLERANCE_S:
        raise RemoteProtocolError("a proposal's time is not that of our clock", reason="bad_time")
    if issued_at_s <= signed_at_s:
        raise RemoteProtocolError("a proposal is no newer than what was signed before", reason="not_newer")


def check_listed(proposed: Directory, alive: Alive, now_s: float, suspended: Collection[bytes] = frozenset()) -> None:
    """Rules 3 to 5; `suspended` are keys of peers. Raises `RemoteProtocolError`."""
    if proposed.passed_over:
        raise RemoteProtocolError("a proposal lists records that do not open", reason="bad_record")
    if any(body.expires_at_s <= now_s for body in proposed.bodies.values()):
        raise RemoteProtocolError("a proposal lists records that have expired", reason="expired")
    if any(body.public_key in suspended for body in proposed.bodies.values()):
        raise RemoteProtocolError("a proposal lists who is suspended here", reason="suspended")
    listed = Alive.of(proposed.bodies.values())
    for found, there in ((alive.peers, listed.peers), (alive.offers, listed.offers)):
        if len(found - there) > _may_be_missing(len(found)):
            raise RemoteProtocolError("a proposal leaves out too many that are alive", reason="left_out")


def proposal_time(member: bytes, members: Collection[bytes], earliest_s: int) -> int:
    """The first second from `earliest_s` on that is a member's own."""
    return earliest_s + (sorted(members).index(member) - earliest_s) % len(members)


def turn_of(member: bytes, members: Collection[bytes], last_digest: bytes) -> int:
    """When it is a member's turn (a key) to propose what follows `last_digest`: 0 is first."""
    order: Mapping[bytes, bytes] = {key: hashlib.sha256(last_digest + key).digest() for key in members}
    return sorted(members, key=order.__getitem__).index(member)


def _may_be_missing(count: int) -> int:
    return -(-count // LEFT_OUT)
