"""The records a node holds for others.

Rules:

1. A record is held under (kind, key, owner), all three taken from its body, and stays exactly as it was signed.
2. The newest sequence wins. Expiry is absolute: holding a record never lengthens its life.
3. Whatever replaced, expired or was pushed out leaves its sequence behind until no older record can still be valid,
   so that nobody brings an old one back.
4. Everything is bounded: per owner (more is refused), per key, and in total. Where there is no room, what is nearer
   to us stays: under one key the owners nearest to our id, so that the holders of a key keep different samples of
   a crowd and none can be filled from far away; in total the keys nearest to our id, which we are asked for.

Times are Unix seconds, handed in. Source: design section 4.
"""

import heapq
from collections import OrderedDict
from typing import Final

from peernet.core.dht.contact import ID_SIZE
from peernet.core.dht.records import FUTURE_TOLERANCE_S, MAX_LIFETIME_S, VerifiedRecord
from peernet.core.errors import LocalProtocolError

__all__ = ["MAX_PER_KEY", "MAX_PER_OWNER", "MAX_RECORDS", "MAX_REMEMBERED", "RecordStore"]

MAX_PER_OWNER: Final = 32
MAX_PER_KEY: Final = 64
MAX_RECORDS: Final = 8192
MAX_REMEMBERED: Final = 2 * MAX_RECORDS

Slot = tuple[int, bytes, bytes]
Place = tuple[int, bytes]


class RecordStore:
    """What the node `own_id` holds; the limits may be set lower, for tests and small machines."""

    def __init__(
        self,
        own_id: bytes,
        *,
        max_per_owner: int = MAX_PER_OWNER,
        max_per_key: int = MAX_PER_KEY,
        max_records: int = MAX_RECORDS,
        max_remembered: int = MAX_REMEMBERED,
    ) -> None:
        if len(own_id) != ID_SIZE:
            raise LocalProtocolError(f"a DHT id is {ID_SIZE} bytes, got {own_id!r}")
        self._own_id = int.from_bytes(own_id)
        self._max_per_owner = max_per_owner
        self._max_per_key = max_per_key
        self._max_records = max_records
        self._max_remembered = max_remembered
        self._places: dict[Place, dict[bytes, VerifiedRecord]] = {}
        self._count_of_owner: dict[bytes, int] = {}
        self._count = 0
        # Slot to (sequence, until when it is remembered); the oldest entry first.
        self._remembered: OrderedDict[Slot, tuple[int, float]] = OrderedDict()
        # (-distance of the key, kind, key): the farthest place first; places that are gone are skipped.
        self._farthest: list[tuple[int, int, bytes]] = []
        # No record and no remembered sequence is over before this.
        self._nothing_over_before_s = float("inf")

    def put(self, record: VerifiedRecord, now_s: float) -> bool:
        """Whether `record` is held now; false when it is outdated, or there is no room for it."""
        if record.body.expires_at_s <= now_s:
            return False
        place = (record.kind, record.key)
        held = self._places.get(place, {}).get(record.owner)
        if held is not None:
            return self._replace(held, record)
        remembered = self._remembered.get((*place, record.owner))
        if remembered is not None and record.body.sequence <= remembered[0]:
            return False
        if not self._make_room(record):
            return False
        self._insert(record)
        return True

    def get(self, kind: int, key: bytes, now_s: float, limit: int) -> list[VerifiedRecord]:
        """At most `limit` valid records of a kind under a key, those of the owners nearest to us first."""
        place = self._places.get((kind, key), {})
        valid = [record for record in place.values() if record.body.expires_at_s > now_s]
        return heapq.nsmallest(limit, valid, key=lambda record: self._distance(record.owner))

    def expire(self, now_s: float) -> int:
        """Drops what has expired, and sequences that need not be remembered; returns the number of records dropped."""
        if now_s < self._nothing_over_before_s:
            return 0
        expired = [
            record for place in self._places.values() for record in place.values() if record.body.expires_at_s <= now_s
        ]
        for record in expired:
            self._drop(record)
        for slot in [slot for slot, (_, until_s) in self._remembered.items() if until_s <= now_s]:
            del self._remembered[slot]
        records = (record.body.expires_at_s for place in self._places.values() for record in place.values())
        sequences = (until_s for _, until_s in self._remembered.values())
        self._nothing_over_before_s = min((*records, *sequences), default=float("inf"))
        return len(expired)

    def __len__(self) -> int:
        return self._count

    @property
    def remembered(self) -> int:
        """The number of sequences remembered of records that are no longer held."""
        return len(self._remembered)

    def _replace(self, held: VerifiedRecord, record: VerifiedRecord) -> bool:
        if record.body.sequence > held.body.sequence:
            self._places[held.kind, held.key][held.owner] = record
            self._nothing_over_before_s = min(self._nothing_over_before_s, record.body.expires_at_s)
            return True
        return record.signed == held.signed

    def _make_room(self, record: VerifiedRecord) -> bool:
        if self._count_of_owner.get(record.owner, 0) >= self._max_per_owner:
            return False
        owners = self._places.get((record.kind, record.key), {})
        if len(owners) >= self._max_per_key:
            farthest = max(owners, key=self._distance)
            if self._distance(farthest) < self._distance(record.owner):
                return False
            self._drop(owners[farthest])
        elif self._count >= self._max_records:
            place = self._farthest_place()
            if self._distance(place[1]) <= self._distance(record.key):
                return False
            owners = self._places[place]
            self._drop(owners[max(owners, key=self._distance)])
        return True

    def _insert(self, record: VerifiedRecord) -> None:
        place = (record.kind, record.key)
        if place not in self._places:
            self._places[place] = {}
            heapq.heappush(self._farthest, (-self._distance(record.key), record.kind, record.key))
        self._places[place][record.owner] = record
        self._nothing_over_before_s = min(self._nothing_over_before_s, record.body.expires_at_s)
        self._count_of_owner[record.owner] = self._count_of_owner.get(record.owner, 0) + 1
        self._count += 1
        self._remembered.pop((*place, record.owner), None)

    def _drop(self, record: VerifiedRecord) -> None:
        place = (record.kind, record.key)
        del self._places[place][record.owner]
        if not self._places[place]:
            del self._places[place]
            self._prune_farthest()
        self._count -= 1
        self._count_of_owner[record.owner] -= 1
        if not self._count_of_owner[record.owner]:
            del self._count_of_owner[record.owner]
        # An older record was issued before this one: by then its longest life is over.
        until_s = record.body.issued_at_s + MAX_LIFETIME_S + FUTURE_TOLERANCE_S
        self._remembered[*place, record.owner] = (record.body.sequence, until_s)
        if len(self._remembered) > self._max_remembered:
            self._remembered.popitem(last=False)

    def _farthest_place(self) -> Place:
        while True:
            _, kind, key = self._farthest[0]
            if (kind, key) in self._places:
                return kind, key
            heapq.heappop(self._farthest)

    def _prune_farthest(self) -> None:
        """Rebuilds the heap when most of it are places that are gone, which keeps it within twice what is held."""
        if len(self._farthest) > 2 * len(self._places) + 16:
            self._farthest = [(-self._distance(key), kind, key) for kind, key in self._places]
            heapq.heapify(self._farthest)

    def _distance(self, node_id: bytes) -> int:
        return int.from_bytes(node_id) ^ self._own_id
