"""Rings on trio: legs that forward, ends that talk, and the client's building of both arcs.

`core.ring` holds the protocol. `channel` is one end of a joined ring, `building` how a client gets one, `service` what
every other peer does for rings: forwarding, and joining those that end at it.
"""

from peernet.net.rings.building import RingHop, WarmArc, open_ring, warm_arc
from peernet.net.rings.channel import RingChannel, RingFailed
from peernet.net.rings.service import RING_PROTOCOL, RingLimits, RingService

__all__ = [
    "RING_PROTOCOL",
    "RingChannel",
    "RingFailed",
    "RingHop",
    "RingLimits",
    "RingService",
    "WarmArc",
    "open_ring",
    "warm_arc",
]
