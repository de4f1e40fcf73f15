"""The iterative lookup, as a state machine without I/O.

Rules:

1. The driver sends what `next_queries` returns and reports each outcome by `on_reply` or `on_failure`; after every
   report it asks again. Nothing proceeds in rounds: a slow peer holds up only its own place.
2. The search runs over disjoint paths: the seeds are dealt out, every path follows only what its own peers told it,
   has at most alpha queries under way, and no peer is asked on two of them. An attacker who owns one path thus
   does not own the others.
3. A path looks at its window: the k closest candidates it has heard of that have not failed, at most 3 of one
   network prefix. It is done when each of the window was asked, by whichever path, and nothing is under way.
4. Candidates are verified records; an id is computed from the key, never read from a message. A reply that breaks
   the protocol counts as a failure of who sent it. Records that are merely outdated are passed over.
5. Candidates a path, queries and values are bounded.

The driver's view: `next_queries` -> [`on_reply` | `on_failure` | `on_timer`] -> `next_queries` ... until `finished`.
Times are Unix seconds and arguments. Source: design section 4; S/Kademlia section 4.4 for disjoint paths.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from enum import Enum
from typing import Final

from attrs import define, field, frozen

from peernet.core.dht.contact import ID_SIZE, Contact, PrefixCounter, first_diverse
from peernet.core.dht.messages import FindNode, FindValue, Nodes, Reply, Values
from peernet.core.dht.records import OutdatedRecord, RecordVerifier, VerifiedRecord
from peernet.core.dht.table import ALPHA, MAX_PER_PREFIX_IN_RESULT, K
from peernet.core.errors import LocalProtocolError, RemoteProtocolError

__all__ = ["MAX_PATHS", "MAX_QUERIES", "MAX_VALUES", "QUERY_TIMEOUT_S", "Lookup", "LookupResult", "Query"]

MAX_PATHS: Final = 8
MAX_QUERIES: Final = 256
MAX_VALUES: Final = 512
WINDOWS_KEPT: Final = 4  # a path remembers this many times k candidates
QUERY_TIMEOUT_S: Final = 5.0


@frozen
class Query:
    """A request to be sent to a peer."""

    contact: Contact
    request: FindNode | FindValue


@frozen
class LookupResult:
    """What a lookup found so far; final once it is finished."""

    closest: tuple[Contact, ...]
    """The k closest that answered, closest first, at most 3 of one prefix."""
    values: tuple[VerifiedRecord, ...]
    """The newest record of each owner, for a lookup of values."""
    queries: int
    failures: int
    hops: int
    """How many peers had to be asked one after another to learn of the closest; 1 when it was a seed."""


class _State(Enum):
    ASKED = "asked"
    ANSWERED = "answered"
    FAILED = "failed"


@define
class _Path:
    """One path's candidates by distance, and its queries under way."""

    order: list[int] = field(factory=list)
    """Those that have not failed, closest first, bounded."""
    heard: set[int] = field(factory=set)
    """Every one that it was told of, at most k a query."""
    under_way: int = 0


class Lookup:
    """Searches for the k peers closest to `target`, and with a `kind` for the records of that kind under it.

    `seeds` are the contacts to begin with and `own_id` the node that is never a candidate (None for a client). With
    `wanted`, a search for values ends as soon as so many owners' records are found.
    """

    def __init__(
        self,
        target: bytes,
        seeds: Iterable[Contact],
        verifier: RecordVerifier,
        *,
        k: int = K,
        alpha: int = ALPHA,
        paths: int = 1,
        kind: int | None = None,
        wanted: int | None = None,
        own_id: bytes | None = None,
        query_timeout_s: float = QUERY_TIMEOUT_S,
    ) -> None:
        if type(target) is not bytes or len(target) != ID_SIZE:
            raise LocalProtocolError(f"a DHT id is {ID_SIZE} bytes, got {target!r}")
        if not 1 <= paths <= MAX_PATHS or not 1 <= k <= K or alpha < 1:
            raise LocalProtocolError(f"1 to {MAX_PATHS} paths, k of 1 to {K} and alpha of at least 1, please")
        self.target = target
        self._target = int.from_bytes(target)
        self._verifier = verifier
        self._k = k
        self._alpha = alpha
        self._kind = kind
        self._wanted = MAX_VALUES if wanted is None else min(wanted, MAX_VALUES)
        self._own_id = own_id
        self._query_timeout_s = query_timeout_s
        self._request = FindNode(target) if kind is None else FindValue(kind, target)
        self._paths = [_Path() for _ in range(paths)]
        # All by distance to the target, which tells peers apart as their ids do.
        self._contacts: dict[int, Contact] = {}
        self._hops: dict[int, int] = {}
        self._states: dict[int, _State] = {}
        self._under_way: dict[int, tuple[_Path, float]] = {}
        self._values: dict[bytes, VerifiedRecord] = {}
        self._queries = 0
        self._failures = 0
        # While no prefix has more candidates than a result may, all of them are admitted and nobody has to count.
        self._by_prefix: dict[str, int] = {}
        self._crowded = False
        self._deal(seeds)

    def next_queries(self, now_s: float) -> list[Query]:
        """The requests to send now; empty while answers are awaited, and when the lookup is finished."""
        queries: list[Query] = []
        if self._found_enough():
            return queries
        for path in self._paths:
            if path.under_way >= self._alpha:
                continue
            for distance in self._unasked(path):
                if path.under_way >= self._alpha or self._queries >= MAX_QUERIES:
                    break
                self._states[distance] = _State.ASKED
                self._under_way[distance] = (path, now_s + self._query_timeout_s)
                path.under_way += 1
                self._queries += 1
                queries.append(Query(self._contacts[distance], self._request))
        return queries

    def on_reply(self, contact: Contact, message: Reply, now_s: float) -> None:
        """Takes an answer; pass `contact.observed_at(address)` to count the peer where it really is.

        An answer after the timeout is passed over. Raises `RemoteProtocolError` for a reply that breaks the
        protocol: the peer has then failed, and the lookup goes on without it.
        """
        distance = contact.long_id ^ self._target
        if not self._is_awaited(distance):
            return
        try:
            values, contacts = self._open(message, now_s)
        except RemoteProtocolError:
            self._fail(distance)
            raise
        path = self._end_query(distance)
        self._states[distance] = _State.ANSWERED
        if contact.prefixes != self._contacts[distance].prefixes:
            self._count_prefixes(contact)
        self._contacts[distance] = contact
        for value in values:
            self._keep(value)
        hops = self._hops[distance] + 1
        self._consider(path, contacts, hops)

    def on_failure(self, contact: Contact) -> None:
        """The peer could not be asked or did not answer."""
        distance = contact.long_id ^ self._target
        if self._is_awaited(distance):
            self._fail(distance)

    def next_timer(self) -> float | None:
        """When `on_timer` is due, in Unix seconds; None while no query is under way."""
        return min((deadline_s for _, deadline_s in self._under_way.values()), default=None)

    def on_timer(self, now_s: float) -> list[Contact]:
        """Gives up the queries that are overdue; returns the peers that did not answer."""
        overdue = [distance for distance, (_, deadline_s) in self._under_way.items() if deadline_s <= now_s]
        silent = [self._contacts[distance] for distance in overdue]
        for distance in overdue:
            self._fail(distance)
        return silent

    @property
    def finished(self) -> bool:
        """Whether nothing is left to ask or to wait for."""
        if self._found_enough():
            return True
        if self._under_way:
            return False
        return self._queries >= MAX_QUERIES or not any(True for path in self._paths for _ in self._unasked(path))

    @property
    def result(self) -> LookupResult:
        """What was found so far."""
        answered = sorted(distance for distance, state in self._states.items() if state is _State.ANSWERED)
        contacts = [self._contacts[distance] for distance in answered]
        closest = first_diverse(contacts, self._k, MAX_PER_PREFIX_IN_RESULT)
        return LookupResult(
            closest=tuple(closest),
            values=tuple(self._values.values()),
            queries=self._queries,
            failures=self._failures,
            hops=self._hops[answered[0]] if answered else 0,
        )

    def _deal(self, seeds: Iterable[Contact]) -> None:
        by_distance = sorted(seeds, key=lambda contact: contact.long_id ^ self._target)
        for index, contact in enumerate(by_distance):
            self._consider(self._paths[index % len(self._paths)], (contact,), 1)

    def _found_enough(self) -> bool:
        return self._kind is not None and len(self._values) >= self._wanted

    def _unasked(self, path: _Path) -> Iterator[int]:
        """Those in the path's window that nobody has asked, closest first."""
        states = self._states
        if not self._crowded:
            for distance in path.order[: self._k]:
                if distance not in states:
                    yield distance
            return
        admit = PrefixCounter(MAX_PER_PREFIX_IN_RESULT).admit
        contacts = self._contacts
        left = self._k
        for distance in path.order:
            if not admit(contacts[distance]):
                continue
            if distance not in states:
                yield distance
            left -= 1
            if not left:
                return

    def _is_awaited(self, distance: int) -> bool:
        if distance not in self._states:
            raise LocalProtocolError(f"no query of this lookup went to {self._contacts.get(distance)}")
        return distance in self._under_way

    def _end_query(self, distance: int) -> _Path:
        path, _ = self._under_way.pop(distance)
        path.under_way -= 1
        return path

    def _fail(self, distance: int) -> None:
        self._end_query(distance)
        self._states[distance] = _State.FAILED
        self._failures += 1
        for path in self._paths:
            position = bisect_left(path.order, distance)
            if position < len(path.order) and path.order[position] == distance:
                del path.order[position]

    def _open(self, message: Reply, now_s: float) -> tuple[list[VerifiedRecord], list[Contact]]:
        if self._kind is None:
            if not isinstance(message, Nodes):
                raise RemoteProtocolError(f"Nodes were due, not {type(message).__name__}", reason="bad_reply")
            return [], self._open_contacts(message.records, now_s)
        if not isinstance(message, Values):
            raise RemoteProtocolError(f"Values were due, not {type(message).__name__}", reason="bad_reply")
        values = list(self._open_values(message.records, now_s))
        return values, self._open_contacts(message.closer, now_s)

    def _open_contacts(self, records: tuple[bytes, ...], now_s: float) -> list[Contact]:
        self._check_count(records)
        return self._verifier.contacts(records, now_s)

    def _open_values(self, records: tuple[bytes, ...], now_s: float) -> Iterator[VerifiedRecord]:
        self._check_count(records)
        for signed in records:
            try:
                record = self._verifier.open(signed, now_s)
            except OutdatedRecord:
                continue
            if record.kind != self._kind or record.key != self.target:
                raise RemoteProtocolError("a record that does not belong under this key", reason="bad_reply")
            yield record

    @staticmethod
    def _check_count(records: tuple[bytes, ...]) -> None:
        if len(records) > K:
            raise RemoteProtocolError(f"a reply of {len(records)} records, over {K}", reason="bad_reply")

    def _keep(self, value: VerifiedRecord) -> None:
        known = self._values.get(value.owner)
        if known is None:
            if len(self._values) < MAX_VALUES:
                self._values[value.owner] = value
        elif value.body.sequence > known.body.sequence:
            self._values[value.owner] = value

    def _consider(self, path: _Path, candidates: Iterable[Contact], hops: int) -> None:
        order, heard, contacts = path.order, path.heard, self._contacts
        most = WINDOWS_KEPT * self._k
        for contact in candidates:
            distance = contact.long_id ^ self._target
            if distance not in heard:
                heard.add(distance)
                if contact.id == self._own_id or self._states.get(distance) is _State.FAILED:
                    continue
                if len(order) >= most:
                    if distance > order[-1]:
                        continue
                    del order[-1]
                insort(order, distance)
                self._hops.setdefault(distance, hops)
            known = contacts.get(distance)
            if known is None or (
                contact is not known and distance not in self._states and contact.sequence > known.sequence
            ):
                contacts[distance] = contact
                if known is None or contact.prefixes != known.prefixes:
                    self._count_prefixes(contact)

    def _count_prefixes(self, contact: Contact) -> None:
        for prefix in contact.prefixes:
            count = self._by_prefix[prefix] = self._by_prefix.get(prefix, 0) + 1
            self._crowded = self._crowded or count > MAX_PER_PREFIX_IN_RESULT
