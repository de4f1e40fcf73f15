"""Choosing the rings of a request: which relays may be used, guards first, then paths.

This is the whole of a client's policy about relays, from a directory that it already has. Rules:

1. A relay that conflicts with an endpoint that all rings share (the ledger's node, for lanes) stands on none of them.
2. Guards come first and are remembered, also where no path can be made with them then: asking again must not draw
   new ones.
3. Peers to avoid, since they failed or carry other fragments, are no middles. A guard among them is left out where
   there is another one, and not replaced: who makes rings fail must not be able to make a client choose new guards.
4. What is left is `paths`: distinct in peer, operator and network, or `TooFewRelays`.

Source: design section 5.
"""

from collections.abc import Collection, Mapping, Sequence

from peernet.core.ring.guards import GuardKeeper
from peernet.core.ring.paths import PathPeer, Random, RingPath, choose_guards, choose_paths

__all__ = ["choose_rings"]


def choose_rings(
    relays: Mapping[str, PathPeer],
    endpoints: Sequence[PathPeer],
    profile: str,
    guards: GuardKeeper,
    random: Random,
    *,
    shared: Sequence[PathPeer] = (),
    avoid: Collection[str] = (),
) -> list[RingPath]:
    """A ring to each of `endpoints`, over `relays` (by peer id).

    `shared` are endpoints of further rings over the same relays, `avoid` the ids of peers that have failed or carry
    other fragments. Raises `TooFewRelays`, and `UserError` for a profile that there is not.
    """
    listed = relays
    if shared:
        listed = {peer: relay for peer, relay in relays.items() if not relay.conflicts_with(shared)}
    allowed = [relay for relay in listed.values() if relay.peer not in avoid]

    def choose(candidates: Sequence[PathPeer]) -> Sequence[PathPeer]:
        return choose_guards([relay for relay in candidates if relay.peer not in avoid], endpoints, random)

    kept = guards.keep(listed, endpoints, choose)
    usable = [guard for guard in kept if guard.peer not in avoid] or kept
    return choose_paths(allowed, usable, endpoints, profile, random)
