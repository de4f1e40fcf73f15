"""Paths: who stands where on the rings of one request.

Rules (design section 5):

1. A client enters by few guards, which carry all of its rings.
2. The middles of a request's rings are distinct from one another, from the guards and from the hosts: in peer, in
   operator and in address prefix (/24 for IPv4, /48 for IPv6). So no relay but the guard carries two fragments. Where
   a peer is reached through others (a host's circuit relays), these count as it does: they see who calls it, and when.
   The hosts are apart from one another in the same way as far as there are such (`apart_first`).
3. Profiles `private` and `paced` have a guard and a middle on each arc; `fast` the guard alone on both.
4. The choice is uniform among what the rules allow, with randomness handed in, and made locally from the directory:
   choosing tells nobody anything.
5. Too few peers is `TooFewRelays`, which says how many more it would take; nothing is relaxed quietly. Whoever allows
   a weaker profile instead is told that it was taken (`weaker_profiles`).
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol, TypeVar

from attrs import field, frozen

from peernet.core.errors import UserError

__all__ = [
    "GUARDS",
    "PROFILES",
    "PathPeer",
    "ProfileUnavailable",
    "RingPath",
    "TooFewRelays",
    "apart_first",
    "choose_guards",
    "choose_paths",
    "weaker_profiles",
]

PROFILES: Final = {"private": 1, "fast": 0, "paced": 1}
"""Each profile with its number of middles an arc."""

_STRONGEST_FIRST: Final = ("paced", "private", "fast")

GUARDS: Final = 2

_PASSES: Final = 16
_FEW: Final = 4
_WEIGHED: Final = 64

T = TypeVar("T")


class Random(Protocol):
    """What the choice needs of `random.Random`."""

    def sample(self, candidates: Sequence[T], /, k: int) -> list[T]:
        """`k` distinct items in random order."""
        ...

    def choice(self, candidates: Sequence[T], /) -> T:
        """One item."""
        ...


@frozen
class PathPeer:
    """A peer as the rules see it."""

    peer: str
    operator: bytes
    prefixes: frozenset[str]
    """As `core.prefixes` has them: of every address that it claims."""
    carriers: tuple["PathPeer", ...] = ()
    """The circuit relays that it is reached through."""

    def conflicts_with(self, others: Iterable["PathPeer"]) -> bool:
        """Whether any of `others` is the same peer, of the same operator, or in the same address prefix.

        So it is where that holds of a carrier of either.
        """
        for other in others:
            if self.peer == other.peer or self.operator == other.operator or self.prefixes & other.prefixes:
                return True
            if other.carriers and self.conflicts_with(other.carriers):
                return True
            if self.carriers and other.conflicts_with(self.carriers):
                return True
        return False

    def is_carried_beside(self, other: "PathPeer") -> bool:
        """Whether a circuit relay of this peer's conflicts with `other`, or with a circuit relay of that one's."""
        return any(carrier.conflicts_with((other,)) for carrier in self.carriers)


@frozen
class RingPath:
    """The relays of one ring, guard first on each arc, and the endpoint.

    `apart` has whom else the endpoint was chosen with in mind: hosts and middles of the request's other rings.
    """

    out: tuple[PathPeer, ...]
    back: tuple[PathPeer, ...]
    endpoint: PathPeer
    apart: tuple[PathPeer, ...] = field(default=(), eq=False, repr=False)

    def allows(self, endpoint: PathPeer) -> bool:
        """Whether the endpoint of this path may be `endpoint` now: where it was when the path was chosen, or apart.

        What it conflicted with then was weighed then.
        """
        others = [peer for peer in self.apart if peer.peer != endpoint.peer]
        news = [peer for peer in (*self.out, *self.back, *others) if not self.endpoint.conflicts_with((peer,))]
        return not endpoint.conflicts_with(news)


class ProfileUnavailable(UserError):
    """The network cannot give a request its profile now; `lacks` says in a few words what is missing."""

    def __init__(self, message: str, lacks: str) -> None:
        super().__init__(message)
        self.lacks = lacks


class TooFewRelays(ProfileUnavailable):
    """The network has too few relays for the profile under the diversity rules.

    `regions` are those that the client bounds relays to, as words.
    """

    def __init__(self, needed: int, usable: int, profile: str, regions: str = "") -> None:
        self.needed = needed
        self.usable = usable
        self.profile = profile
        self.missing = needed - usable
        among = f" that claim to be in {regions}" if regions else ""
        wider = "take more regions into relay_regions, " if regions else ""
        super().__init__(
            f"profile '{profile}' needs {needed} relays of different operators and networks{among} for this request, "
            f"and {usable} can be used: {self.missing} more are missing. Wait for more relays, start some with "
            f"'peernet relay', {wider}ask for fewer fragments, choose --profile fast (its guard sees your host), or "
            "--allow-weaker-profile, which does so only where it has to.",
            f"{self.missing} more relay{'' if self.missing == 1 else 's'} of different operators and networks{among}",
        )


def weaker_profiles(profile: str) -> tuple[str, ...]:
    """The profiles that may stand in for `profile` where the user allows it, the next one down first."""
    if profile not in _STRONGEST_FIRST:
        return ()
    weaker = _STRONGEST_FIRST[_STRONGEST_FIRST.index(profile) + 1 :]
    return tuple(name for name in weaker if name in PROFILES)


def apart_first(
    candidates: Sequence[T], taken: Sequence[PathPeer], count: int, path_peer: Callable[[T], PathPeer]
) -> list[T]:
    """All candidates: first, in their order, up to `count` that conflict neither with one another nor with `taken`.

    Where the first one stands in the way of too many, others are tried in its place; the first of the longest rows
    that were found is taken. Only the first `_WEIGHED` candidates are looked at.
    """
    peers = [path_peer(candidate) for candidate in candidates[:_WEIGHED]]
    best: list[int] = []
    for start in range(min(len(peers), _PASSES)):
        row: list[int] = []
        for place in (start, *range(start), *range(start + 1, len(peers))):
            if len(row) < count and not peers[place].conflicts_with((*taken, *(peers[other] for other in row))):
                row.append(place)
        best = max(best, row, key=len)
        if len(best) == count:
            break
    best.sort()
    return [candidates[place] for place in (*best, *(other for other in range(len(candidates)) if other not in best))]


def choose_guards(relays: Sequence[PathPeer], avoid: Sequence[PathPeer], random: Random) -> tuple[PathPeer, ...]:
    """Up to `GUARDS` relays that conflict neither with each other nor with `avoid` (the hosts about to be used)."""
    return tuple(_pick_distinct(relays, avoid, GUARDS, random))


def choose_paths(
    relays: Sequence[PathPeer],
    guards: Sequence[PathPeer],
    endpoints: Sequence[PathPeer],
    profile: str,
    random: Random,
) -> list[RingPath]:
    """One ring for each endpoint, all rules kept over the whole request.

    Raises `TooFewRelays`, and `UserError` for a profile that there is not.
    """
    if profile not in PROFILES:
        raise UserError(f"there is no profile {profile!r}: choose {' or '.join(PROFILES)}")
    middles_an_arc = PROFILES[profile]
    needed = 2 * middles_an_arc * len(endpoints)
    if not guards:
        raise TooFewRelays(needed + 1, 0, profile)
    middles = _pick_distinct(relays, (*guards, *endpoints), needed, random)
    if len(middles) < needed:
        raise TooFewRelays(needed + len(guards), len(middles) + len(guards), profile)
    paths = []
    for number, endpoint in enumerate(endpoints):
        own = middles[2 * middles_an_arc * number : 2 * middles_an_arc * (number + 1)]
        out, back = own[:middles_an_arc], own[middles_an_arc:]
        paths.append(RingPath((random.choice(guards), *out), (random.choice(guards), *back), endpoint))
    return paths


def _pick_distinct(
    relays: Sequence[PathPeer], taken: Sequence[PathPeer], count: int, random: Random
) -> list[PathPeer]:
    """Up to `count` relays in random order, without conflict among themselves and with `taken`.

    One greedy pass can paint itself into a corner where operators and prefixes overlap crosswise; the best of
    `_PASSES` passes is taken, which a real directory needs once. The first pass looks at a few relays only, since in a
    large directory they are enough.
    """
    best: list[PathPeer] = []
    for drawn in (min(len(relays), _FEW * (count + 1)), *[len(relays)] * _PASSES):
        chosen: list[PathPeer] = []
        for relay in random.sample(relays, drawn):
            if len(chosen) == count:
                break
            if not relay.conflicts_with((*taken, *chosen)):
                chosen.append(relay)
        if len(chosen) == count:
            return chosen
        best = max(best, chosen, key=len)
    return best
