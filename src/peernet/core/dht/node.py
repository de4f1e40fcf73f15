"""One DHT node: its table, its store, and what it answers.

Rules:

1. Who only asks (a client, or a peer whose record we have not seen) is answered and forgotten: without a record
   that belongs to the session's key nobody enters the table.
2. A peer enters when it asked us or answered us, never because a third one named it; it leaves on a failure, when it
   was silent for a refresh interval and does not answer a ping, and when its record expires.
3. The node sends nothing by itself: `take_pings` says whom to ping, `stale_targets` what to look up.
4. Its driver joins by asking the bootstrap nodes for its own id and then looking it up; publishes every
   `REPUBLISH_INTERVAL_S`; and every `UPKEEP_INTERVAL_S` expires, pings and refreshes. All drivers have these numbers
   from here, so that a simulation keeps the pace of a node.

Times are Unix seconds. Source: design section 4.
"""

from collections.abc import Callable, Iterable
from typing import Final

from peernet.core.dht.contact import Contact
from peernet.core.dht.lookup import Lookup
from peernet.core.dht.messages import (
    FindNode,
    FindValue,
    Nodes,
    Ping,
    Pong,
    Reply,
    Request,
    Store,
    Stored,
    Values,
)
from peernet.core.dht.records import OutdatedRecord, RecordVerifier
from peernet.core.dht.store import RecordStore
from peernet.core.dht.table import REFRESH_INTERVAL_S, K, RoutingTable
from peernet.core.errors import RemoteProtocolError

__all__ = ["ENOUGH_GREETED", "MAX_PINGS", "PATHS", "REPUBLISH_INTERVAL_S", "UPKEEP_INTERVAL_S", "DhtNode"]

MAX_PINGS: Final = 32

PATHS: Final = 2
"""Disjoint paths of a node's lookups."""
UPKEEP_INTERVAL_S: Final = 30.0
REPUBLISH_INTERVAL_S: Final = 1200.0
ENOUGH_GREETED: Final = 8
"""How many peers must answer before a joining node waits for no more."""


class DhtNode:
    """The node `own_id` (20 bytes); `verifier` may be shared by nodes of one process."""

    def __init__(self, own_id: bytes, verifier: RecordVerifier, now_s: float, *, k: int = K) -> None:
        self.own_id = own_id
        self.verifier = verifier
        self.table = RoutingTable(own_id, now_s, k)
        self.store = RecordStore(own_id)
        self._k = k
        self._pings: dict[bytes, Contact] = {}

    def greet(self, signed: bytes, session_key: bytes, now_s: float, *, observed: str | None = None) -> Contact:
        """The contact of the peer record that the peer behind a session sent about itself.

        `observed` is the multiaddr at which the session found it, under which it then counts. Raises
        `RemoteProtocolError` when the record is not in order or not of the session's key.
        """
        contact = self.verifier.contact(signed, now_s)
        if contact.public_key != session_key:
            raise RemoteProtocolError("a peer introduced itself with another's record", reason="bad_record")
        return contact if observed is None else contact.observed_at(observed)

    def handle(self, request: Request, sender: Contact | None, now_s: float) -> Reply:
        """The reply to a request; `sender` is the contact made by `greet`, None for a client.

        Raises `RemoteProtocolError` for a `Store` of a record that is not in order.
        """
        if sender is not None:
            self.heard_from(sender, now_s)
        match request:
            case Ping():
                return Pong()
            case FindNode(target=target):
                return Nodes(self._closest(target, sender, now_s))
            case FindValue(kind=kind, key=key):
                values = self.store.get(kind, key, now_s, K)
                return Values(tuple(value.signed for value in values), self._closest(key, sender, now_s))
            case Store(record=signed):
                return Stored(self._put(signed, now_s))

    def heard_from(self, contact: Contact, now_s: float) -> None:
        """Notes that a serving peer asked us or answered us."""
        self._pings.pop(contact.id, None)
        addition = self.table.add_contact(contact, now_s)
        if addition.ping is not None:
            self._want_ping(addition.ping)

    def lost(self, contact: Contact) -> None:
        """Notes that a peer did not answer, or broke the protocol: it leaves the table."""
        self._pings.pop(contact.id, None)
        self.table.remove_contact(contact)

    def take_pings(self) -> list[Contact]:
        """The peers to be pinged now; report each by `heard_from` or `lost`."""
        pings = list(self._pings.values())
        self._pings.clear()
        return pings

    def lookup(
        self,
        target: bytes,
        now_s: float,
        *,
        kind: int | None = None,
        paths: int = 1,
        wanted: int | None = None,
        seeds: Iterable[Contact] = (),
    ) -> Lookup:
        """A lookup that begins with our contacts closest to `target`, and with `seeds`, for who is joining."""
        self.table.touch(target, now_s)
        known = self.table.find_neighbors(target, self._k, now_s=now_s)
        return Lookup(
            target,
            (*known, *seeds),
            self.verifier,
            k=self._k,
            kind=kind,
            paths=paths,
            wanted=wanted,
            own_id=self.own_id,
        )

    def stale_targets(
        self, now_s: float, random_bytes: Callable[[int], bytes], *, age_s: float = REFRESH_INTERVAL_S
    ) -> list[bytes]:
        """A random id in each bucket that no lookup went into for `age_s`: look them up to refresh the table."""
        return [bucket.id_within(random_bytes) for bucket in self.table.lonely_buckets(now_s, age_s)]

    def expire(self, now_s: float, *, age_s: float = REFRESH_INTERVAL_S) -> None:
        """Drops expired records and contacts, and asks for pings of the contacts that were silent for `age_s`."""
        self.store.expire(now_s)
        self.table.expire(now_s)
        for contact in self.table.silent_contacts(now_s, age_s):
            self._want_ping(contact)

    def good_records(self) -> tuple[bytes, ...]:
        """The signed records of the contacts, to begin again from after a restart."""
        return tuple(contact.record for contact in self.table.contacts())

    def _want_ping(self, contact: Contact) -> None:
        if len(self._pings) < MAX_PINGS:
            self._pings[contact.id] = contact

    def _closest(self, target: bytes, sender: Contact | None, now_s: float) -> tuple[bytes, ...]:
        exclude = sender.id if sender is not None else None
        closest = self.table.find_neighbors(target, self._k, exclude, now_s=now_s)
        return tuple([contact.record for contact in closest])

    def _put(self, signed: bytes, now_s: float) -> bool:
        try:
            record = self.verifier.open(signed, now_s)
        except OutdatedRecord:
            return False
        return self.store.put(record, now_s)
