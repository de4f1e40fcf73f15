"""The routing table of one node: PyPI `kademlia`'s buckets, with what 2.2.3 gets wrong put right.

Rules:

1. Buckets are aligned binary intervals of the 160-bit id space, both ends included; together they cover it once.
   Only the bucket around our own id splits.
2. A contact enters when it has answered or asked us as a server, never by hearsay. A bucket keeps its contacts in
   the order in which they were last heard from.
3. A full bucket keeps what it has: the newcomer waits in the replacement cache (at most k), and the contact that was
   silent longest is handed to the caller to be pinged. Only when the caller says it is dead does a newcomer move up.
4. At most 2 contacts of one network prefix are in a bucket (and 2 in its cache), at most 3 in a result.
5. Results are exact: the k closest contacts that rule 4 admits, in order of distance.
6. A newer record of a contact replaces an older one, never the other way round.
7. Time is an argument, Unix seconds; pings are the caller's.

What the base does instead, and why nothing of it is inherited unseen: `find_neighbors` returns the first k of a walk
around the target's bucket; `get_bucket_for` compares an inclusive end with `<`; `split` drops the overflow into new
buckets with a fresh clock; `KBucket` reads the clock; a full bucket starts an asyncio task; the cache is five times k.
Source: design section 4; Kademlia sections 2.2 to 2.4.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator
from enum import Enum
from typing import Final

from attrs import frozen
from kademlia.node import Node
from kademlia.routing import KBucket
from kademlia.routing import RoutingTable as KademliaRoutingTable

from peernet.core.dht.contact import ID_BITS, ID_SIZE, Contact, PrefixCounter, first_diverse
from peernet.core.errors import LocalProtocolError

__all__ = [
    "ALPHA",
    "MAX_PER_PREFIX_IN_BUCKET",
    "MAX_PER_PREFIX_IN_RESULT",
    "REFRESH_INTERVAL_S",
    "Addition",
    "Bucket",
    "K",
    "Outcome",
    "RoutingTable",
]

K: Final = 20
ALPHA: Final = 3
MAX_PER_PREFIX_IN_BUCKET: Final = 2
MAX_PER_PREFIX_IN_RESULT: Final = 3
REFRESH_INTERVAL_S: Final = 3600.0
PING_INTERVAL_S: Final = 10.0  # a full bucket asks for one ping in this time, however many newcomers knock
MAX_ID: Final = 2**ID_BITS - 1


class Outcome(Enum):
    """What became of a contact that was offered to the table."""

    ADDED = "added"
    REFRESHED = "refreshed"
    WAITING = "waiting"
    """The bucket is full: it is in the replacement cache."""
    TOO_SIMILAR = "too_similar"
    """Its network prefix is there twice already."""
    OURSELVES = "ourselves"


@frozen
class Addition:
    """The outcome of adding a contact, and whom to ping, if anybody, to learn whether it can be replaced."""

    outcome: Outcome
    ping: Contact | None = None


_WITHOUT_PING: Final = {outcome: Addition(outcome) for outcome in Outcome}


class Bucket(KBucket):  # type: ignore[misc]  # kademlia ships no types
    """The contacts of one interval of ids, the one heard from longest ago first, and those waiting for a place."""

    range: tuple[int, int]
    nodes: dict[bytes, Contact]
    replacement_nodes: dict[bytes, Contact]
    ksize: int
    last_updated: float

    def __init__(self, lowest: int, highest: int, ksize: int, now_s: float) -> None:
        super().__init__(lowest, highest, ksize, replacementNodeFactor=1)
        self.touch_last_updated(now_s)
        # Plain dictionaries keep the order too, at a third of the memory.
        self.nodes = {}
        self.replacement_nodes = {}
        self.last_seen_s: dict[bytes, float] = {}
        self.next_ping_s = now_s

    def touch_last_updated(self, now_s: float = 0.0) -> None:
        """Notes that a lookup went into this interval."""
        self.last_updated = now_s

    def has_in_range(self, node: Node) -> bool:
        """Whether the id of `node` lies in this interval, its ends included."""
        return bool(self.range[0] <= node.long_id <= self.range[1])

    def id_within(self, random_bytes: Callable[[int], bytes]) -> bytes:
        """An id of this interval, from the caller's randomness."""
        # The interval's size is a power of two, so the remainder is uniform.
        offset = int.from_bytes(random_bytes(ID_SIZE)) % (self.range[1] - self.range[0] + 1)
        return (self.range[0] + offset).to_bytes(ID_SIZE)

    def head(self) -> Contact:
        """The contact heard from longest ago."""
        return next(iter(self.nodes.values()))

    def depth(self) -> int:
        """The number of leading bits that the ids of this interval share."""
        return ID_BITS - (self.range[1] - self.range[0]).bit_length()

    def split(self) -> tuple["Bucket", "Bucket"]:
        """The two halves, with every contact, the waiting ones and the times carried over."""
        middle = (self.range[0] + self.range[1]) // 2
        lower = Bucket(self.range[0], middle, self.ksize, self.last_updated)
        upper = Bucket(middle + 1, self.range[1], self.ksize, self.last_updated)
        for node_id, contact in self.nodes.items():
            half = lower if contact.long_id <= middle else upper
            half.nodes[node_id] = contact
            half.last_seen_s[node_id] = self.last_seen_s[node_id]
        for node_id, contact in self.replacement_nodes.items():
            half = lower if contact.long_id <= middle else upper
            half.replacement_nodes[node_id] = contact
            half.last_seen_s[node_id] = self.last_seen_s[node_id]
        lower.promote()
        upper.promote()
        return lower, upper

    def add_node(self, node: Contact, now_s: float) -> Outcome:
        """Takes a contact that was heard from just now, as far as there is room for it."""
        known = self.nodes.get(node.id)
        if known is not None:
            return self._refresh(self.nodes, known, node, now_s)
        if len(self.nodes) < self.ksize and self._fits(self.nodes, node):
            self.replacement_nodes.pop(node.id, None)
            self.nodes[node.id] = node
            self.last_seen_s[node.id] = now_s
            return Outcome.ADDED
        if len(self.nodes) < self.ksize:
            return Outcome.TOO_SIMILAR
        return self._wait(node, now_s)

    def remove_node(self, node: Node) -> None:
        """Forgets a contact; who waits and was heard from last takes its place."""
        self.replacement_nodes.pop(node.id, None)
        self.nodes.pop(node.id, None)
        self.last_seen_s.pop(node.id, None)
        self.promote()

    def promote(self) -> None:
        """Fills free places from the replacement cache, most recently seen first."""
        if not self.replacement_nodes or len(self.nodes) >= self.ksize:
            return
        counter = PrefixCounter(MAX_PER_PREFIX_IN_BUCKET, self.nodes.values())
        for contact in reversed(list(self.replacement_nodes.values())):
            if len(self.nodes) >= self.ksize:
                break
            if counter.admit(contact):
                del self.replacement_nodes[contact.id]
                self.nodes[contact.id] = contact
        self.nodes = dict(sorted(self.nodes.items(), key=lambda item: self.last_seen_s[item[0]]))

    def _refresh(self, place: dict[bytes, Contact], known: Contact, node: Contact, now_s: float) -> Outcome:
        newest = node if node.sequence >= known.sequence else known
        if newest.prefixes != known.prefixes and not self._fits(place, newest):
            # It moved to a network that has its share: the peer is what it is now, or it is nothing.
            self.remove_node(known)
            return Outcome.TOO_SIMILAR
        del place[node.id]
        place[node.id] = newest
        self.last_seen_s[node.id] = now_s
        return Outcome.REFRESHED

    def _wait(self, node: Contact, now_s: float) -> Outcome:
        known = self.replacement_nodes.get(node.id)
        if known is not None:
            outcome = self._refresh(self.replacement_nodes, known, node, now_s)
            return Outcome.WAITING if outcome is Outcome.REFRESHED else outcome
        if not self._fits(self.replacement_nodes, node):
            return Outcome.TOO_SIMILAR
        self.replacement_nodes[node.id] = node
        self.last_seen_s[node.id] = now_s
        if len(self.replacement_nodes) > self.max_replacement_nodes:
            oldest = next(iter(self.replacement_nodes))
            del self.replacement_nodes[oldest], self.last_seen_s[oldest]
        return Outcome.WAITING

    @staticmethod
    def _fits(place: dict[bytes, Contact], node: Contact) -> bool:
        for prefix in node.prefixes:
            sharing = 0
            for contact in place.values():
                if prefix in contact.prefixes and contact.id != node.id:
                    sharing += 1
            if sharing >= MAX_PER_PREFIX_IN_BUCKET:
                return False
        return True


class RoutingTable(KademliaRoutingTable):  # type: ignore[misc]  # kademlia ships no types
    """The contacts of the node `own_id` (20 bytes), k a bucket."""

    buckets: list[Bucket]
    ksize: int

    def __init__(self, own_id: bytes, now_s: float, k: int = K) -> None:
        self._started_s = now_s
        super().__init__(None, k, Node(_valid_id(own_id)))

    def flush(self) -> None:
        """Empties the table."""
        self.buckets = [Bucket(0, MAX_ID, self.ksize, self._started_s)]
        self._ends = [MAX_ID]
        # No contact expires before the one, and none was heard from before the other: most upkeep looks no further.
        self._nothing_over_before_s = float("inf")
        self._all_heard_since_s = float("inf")

    def split_bucket(self, index: int) -> None:
        """Halves a bucket."""
        super().split_bucket(index)
        self._ends = [bucket.range[1] for bucket in self.buckets]

    def get_bucket_for(self, node: Node) -> int:
        """The index of the one bucket whose interval holds the id of `node`."""
        return bisect_left(self._ends, node.long_id)

    def bucket_of(self, node_id: bytes) -> Bucket:
        """The bucket whose interval holds `node_id`."""
        return self.buckets[bisect_left(self._ends, int.from_bytes(_valid_id(node_id)))]

    def add_contact(self, node: Contact, now_s: float) -> Addition:
        """Takes a contact that was heard from at `now_s`; see `Outcome`.

        `ping` is set when the bucket is full: ping that contact, then call `add_contact` for it if it answers and
        `remove_contact` if it does not.
        """
        if node.long_id == self.node.long_id:
            return _WITHOUT_PING[Outcome.OURSELVES]
        index = self.get_bucket_for(node)
        bucket = self.buckets[index]
        while node.id not in bucket.nodes and len(bucket.nodes) >= self.ksize and self._may_split(bucket):
            self.split_bucket(index)
            index = self.get_bucket_for(node)
            bucket = self.buckets[index]
        outcome = bucket.add_node(node, now_s)
        self._nothing_over_before_s = min(self._nothing_over_before_s, node.expires_at_s)
        self._all_heard_since_s = min(self._all_heard_since_s, now_s)
        if outcome is not Outcome.WAITING or now_s < bucket.next_ping_s:
            return _WITHOUT_PING[outcome]
        bucket.next_ping_s = now_s + PING_INTERVAL_S
        return Addition(outcome, ping=bucket.head())

    def is_new_node(self, node: Node) -> bool:
        """Whether no bucket holds `node`."""
        return node.id not in self.buckets[self.get_bucket_for(node)].nodes

    def remove_contact(self, node: Node) -> None:
        """Forgets a contact that is dead or broke the protocol; a waiting one takes its place."""
        self.buckets[self.get_bucket_for(node)].remove_node(node)

    def find_neighbors(
        self, node: Node | bytes, k: int | None = None, exclude: bytes | None = None, *, now_s: float
    ) -> list[Contact]:
        """The k contacts closest to an id, closest first, at most 3 of one prefix.

        The target's own contact counts like any other; `exclude` is the id of one that does not, and neither does
        one whose record has expired at `now_s`.
        """
        target = int.from_bytes(_valid_id(node)) if isinstance(node, bytes) else node.long_id
        wanted = k or self.ksize
        found: list[Contact] = []
        # Distances to the members of two aligned intervals never interleave: whole buckets come in order.
        for bucket in sorted(self.buckets, key=lambda bucket: bucket.range[0] ^ target):
            by_distance = {
                contact.long_id ^ target: contact for contact in bucket.nodes.values() if contact.expires_at_s > now_s
            }
            if exclude is not None:
                by_distance.pop(int.from_bytes(exclude) ^ target, None)
            found += [by_distance[distance] for distance in sorted(by_distance)]
            if len(found) >= wanted:
                closest = first_diverse(found, wanted, MAX_PER_PREFIX_IN_RESULT)
                if len(closest) == wanted:
                    return closest
        return first_diverse(found, wanted, MAX_PER_PREFIX_IN_RESULT)

    def contacts(self) -> Iterator[Contact]:
        """Every contact in the buckets, waiting ones left out: what is worth keeping over a restart."""
        for bucket in self.buckets:
            yield from bucket.nodes.values()

    def touch(self, target: bytes, now_s: float) -> None:
        """Notes that a lookup for `target` was made."""
        self.bucket_of(target).touch_last_updated(now_s)

    def lonely_buckets(self, now_s: float, age_s: float = REFRESH_INTERVAL_S) -> list[Bucket]:
        """The buckets into which no lookup went for `age_s` seconds or longer."""
        return [bucket for bucket in self.buckets if now_s - bucket.last_updated >= age_s]

    def silent_contacts(self, now_s: float, age_s: float = REFRESH_INTERVAL_S) -> list[Contact]:
        """The contacts not heard from for `age_s` seconds or longer, to be pinged or removed."""
        if now_s - self._all_heard_since_s < age_s:
            return []
        heard_s = [(bucket.last_seen_s[contact.id], contact) for bucket in self.buckets for contact in _all_of(bucket)]
        self._all_heard_since_s = min((seen_s for seen_s, _ in heard_s), default=float("inf"))
        return [
            contact
            for bucket in self.buckets
            for contact in bucket.nodes.values()
            if now_s - bucket.last_seen_s[contact.id] >= age_s
        ]

    def expire(self, now_s: float) -> list[Contact]:
        """Removes the contacts whose records have expired, waiting ones too; returns them."""
        if now_s < self._nothing_over_before_s:
            return []
        everybody = [contact for bucket in self.buckets for contact in _all_of(bucket)]
        expired = [contact for contact in everybody if contact.expires_at_s <= now_s]
        for contact in expired:
            self.remove_contact(contact)
        left_s = (contact.expires_at_s for contact in everybody if contact.expires_at_s > now_s)
        self._nothing_over_before_s = min(left_s, default=float("inf"))
        return expired

    def _may_split(self, bucket: Bucket) -> bool:
        return bucket.has_in_range(self.node) and bucket.depth() < ID_BITS

    def __len__(self) -> int:
        return sum(len(bucket.nodes) for bucket in self.buckets)


def _all_of(bucket: Bucket) -> Iterator[Contact]:
    """The contacts of a bucket, those that wait too."""
    yield from bucket.nodes.values()
    yield from bucket.replacement_nodes.values()


def _valid_id(node_id: bytes) -> bytes:
    if type(node_id) is not bytes or len(node_id) != ID_SIZE:
        raise LocalProtocolError(f"a DHT id is {ID_SIZE} bytes, got {node_id!r}")
    return node_id
