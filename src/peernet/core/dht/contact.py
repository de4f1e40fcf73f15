"""A contact: one peer as the routing table and lookups know it, and the network prefixes that it counts for.

Rules:

1. A contact is made from a verified record only; its id is a digest of its key and never taken from a message.
2. A contact never changes. What a table knows about its liveness is the table's, so one contact serves many tables.
3. For diversity a peer counts under a /24 (IPv4) or a /48 (IPv6). Until a session has shown where it really is, it
   counts under every address that it claims; from then on under the observed one alone, so that nobody can take up
   the room of strangers' networks for long by claiming addresses there.

Source: design section 4; the base class is PyPI `kademlia`'s.
"""

from collections.abc import Iterable
from typing import Final

from kademlia.node import Node

from peernet.core.errors import LocalProtocolError
from peernet.core.prefixes import address_prefix

__all__ = ["ID_BITS", "ID_SIZE", "Contact", "PrefixCounter", "address_prefix", "first_diverse"]

ID_SIZE: Final = 20
ID_BITS: Final = 8 * ID_SIZE


class Contact(Node):  # type: ignore[misc]  # kademlia ships no types
    """One peer: id, key, its signed record as it came, and the prefixes that it counts under.

    `id` is 20 bytes (`LocalProtocolError` otherwise), `record` the signed bytes that are handed on to others,
    `expires_at_s` Unix time after which the record is void.
    """

    __slots__ = ("expires_at_s", "prefixes", "public_key", "record", "sequence")

    id: bytes
    long_id: int

    def __init__(
        self,
        node_id: bytes,
        *,
        public_key: bytes,
        record: bytes,
        sequence: int,
        expires_at_s: int,
        prefixes: tuple[str, ...],
    ) -> None:
        if type(node_id) is not bytes or len(node_id) != ID_SIZE:
            raise LocalProtocolError(f"a DHT id is {ID_SIZE} bytes, got {node_id!r}")
        super().__init__(node_id)
        self.public_key = public_key
        self.record = record
        self.sequence = sequence
        self.expires_at_s = expires_at_s
        self.prefixes = prefixes

    def observed_at(self, address: str) -> "Contact":
        """This contact, counted under the multiaddr at which a session found it, instead of those it claims."""
        prefixes = (address_prefix(address),)
        if prefixes == self.prefixes:
            return self
        return Contact(
            self.id,
            public_key=self.public_key,
            record=self.record,
            sequence=self.sequence,
            expires_at_s=self.expires_at_s,
            prefixes=prefixes,
        )

    def same_home_as(self, node: Node) -> bool:
        """Whether both are the same peer; the base class compares addresses, which contacts do not have."""
        return bool(self.id == node.id)

    def __repr__(self) -> str:
        return f"Contact({self.id.hex()})"


def first_diverse(contacts: list[Contact], most: int, limit: int) -> list[Contact]:
    """The first `most` contacts, leaving out each that shares a prefix with `limit` of those taken before it."""
    first = contacts[:most]
    prefixes = [prefix for contact in first for prefix in contact.prefixes]
    if len(set(prefixes)) == len(prefixes):
        return first  # no two share anything: nearly always so, and a third of the cost of counting
    admit = PrefixCounter(limit).admit
    taken: list[Contact] = []
    for contact in contacts:
        if admit(contact):
            taken.append(contact)
            if len(taken) == most:
                break
    return taken


class PrefixCounter:
    """Admits peers while fewer than `limit` of those admitted share a prefix with them."""

    __slots__ = ("_counts", "_limit")

    def __init__(self, limit: int, admitted: Iterable[Contact] = ()) -> None:
        self._counts: dict[str, int] = {}
        self._limit = limit
        for contact in admitted:
            for prefix in contact.prefixes:
                self._counts[prefix] = self._counts.get(prefix, 0) + 1

    def admit(self, contact: Contact) -> bool:
        """Whether `contact` still fits; it is counted if so."""
        counts = self._counts
        for prefix in contact.prefixes:
            if counts.get(prefix, 0) >= self._limit:
                return False
        for prefix in contact.prefixes:
            counts[prefix] = counts.get(prefix, 0) + 1
        return True
