"""An arc: the client's end of half a ring, built outward one hop at a time.

Rules:

1. The next hop's handshake goes out when the one before has answered; message 1 carries nothing. What the client has
   to say (the command, and on the finished arc everything else) follows message 2, since message 1 can be replayed.
2. A cell to hop i is wrapped in the layers of hops i-1 ... 1; a cell from it comes in the same layers.
3. The only sealed cell that a forwarding hop ever sends is END. So a cell that does not open under the newest hop's
   keys is tried under the others', nearest first, and ends the arc either way.
4. The client applies no layer for the endpoint: those cells are sealed alone.
5. Whatever breaks the protocol ends the arc, and an ended arc has no keys and says nothing more.
6. An arc may be built before its endpoint is known: it then waits behind its last relay, which has no command yet, and
   is extended to one endpoint, once. Nothing comes on an arc that waits but the END of one of its hops.
"""

from collections.abc import Sequence
from enum import Enum, auto

from attrs import frozen

from peernet.core.errors import LocalProtocolError, RemoteProtocolError
from peernet.core.noise import CipherState, HandshakeState
from peernet.core.ring.cells import (
    HANDSHAKE_PROLOGUE,
    HANDSHAKE_PROTOCOL,
    CellType,
    SealedCell,
    check_size,
    handshake_cell,
    handshake_message,
    layer_of,
    open_cell,
    reason_of,
    seal_cell,
)
from peernet.core.suite import CipherSuite, Keystream

__all__ = ["Arc", "ArcBuilt", "ArcCell", "ArcEnded", "ArcEvent", "ArcHop", "ArcWaiting"]


@frozen
class ArcHop:
    """One peer of an arc: its onion key, the signed record that the hop before it is told, 32 fresh random bytes."""

    onion_key: bytes
    record: bytes
    ephemeral: bytes


@frozen
class ArcBuilt:
    """All hops have answered, the endpoint too."""


@frozen
class ArcWaiting:
    """All relays have answered, and the endpoint is not known yet."""


@frozen
class ArcCell:
    """A sealed cell from the endpoint."""

    cell: SealedCell


@frozen
class ArcEnded:
    """A hop ended the arc. `hop` counts from 0 at the guard."""

    hop: int
    reason: str


ArcEvent = ArcBuilt | ArcWaiting | ArcCell | ArcEnded


class _State(Enum):
    IDLE = auto()
    BUILDING = auto()
    WAITING = auto()
    BUILT = auto()
    ENDED = auto()


@frozen
class _Link:
    """What the client shares with a hop that has answered."""

    to_hop: CipherState
    from_hop: CipherState
    layer_out: Keystream
    layer_back: Keystream


class Arc:
    """The client's side of one arc; the first hop's leg is the owner's stream to the guard.

    Args:
        suite: the primitives.
        hops: guard first, endpoint last; two at least.
        whole: whether the endpoint is among them; otherwise the relays alone, and the arc waits for `extend`.
    """

    def __init__(self, suite: CipherSuite, hops: Sequence[ArcHop], *, whole: bool = True) -> None:
        if len(hops) < 1 + whole:
            raise LocalProtocolError("an arc has a guard and an endpoint at least")
        self._suite = suite
        self._hops = tuple(hops)
        self._whole = whole
        self._links: list[_Link] = []
        self._hops_built = 0
        self._handshake: HandshakeState | None = None
        self._handshake_hash = b""
        self._outbox: list[bytes] = []
        self._state = _State.IDLE

    @property
    def built(self) -> bool:
        """Whether the endpoint has answered and nothing has ended since."""
        return self._state is _State.BUILT

    @property
    def waiting(self) -> bool:
        """Whether all relays have answered, the endpoint is still to come, and nothing has ended since."""
        return self._state is _State.WAITING

    @property
    def hops_built(self) -> int:
        """How many hops have answered, also once the arc has ended."""
        return self._hops_built

    @property
    def handshake_hash(self) -> bytes:
        """The hash of the handshake with the endpoint, once built."""
        if self._state is not _State.BUILT:
            raise LocalProtocolError("an arc has its handshake hash once it is built")
        return self._handshake_hash

    def start(self) -> None:
        """Queues the guard's handshake; raises `RemoteProtocolError` when its onion key is unusable."""
        if self._state is not _State.IDLE:
            raise LocalProtocolError("an arc starts once")
        self._state = _State.BUILDING
        try:
            self._shake_hands()
        except RemoteProtocolError:
            self.end()
            raise

    def extend(self, endpoint: ArcHop) -> None:
        """Names the endpoint of an arc that waits; raises `RemoteProtocolError` when its onion key is unusable."""
        if self._state is not _State.WAITING:
            raise LocalProtocolError("an arc is extended once, while it waits for its endpoint")
        self._hops = (*self._hops, endpoint)
        self._whole = True
        self._state = _State.BUILDING
        try:
            self._extend()
        except RemoteProtocolError:
            self.end()
            raise

    def cells_to_send(self) -> list[bytes]:
        """The cells for the guard since the last call, in order."""
        cells, self._outbox = self._outbox, []
        return cells

    def receive(self, cell: bytes) -> list[ArcEvent]:
        """Takes a cell from the guard; raises `RemoteProtocolError` when no hop of ours can have sent it."""
        check_size(cell)
        try:
            if self._state in {_State.BUILDING, _State.WAITING}:
                return self._receive_building(cell)
            if self._state is _State.BUILT:
                return self._receive_built(cell)
        except RemoteProtocolError:
            self.end()
            raise
        return []

    def send(self, kind: CellType, body: bytes) -> None:
        """Queues a sealed cell for the endpoint."""
        if self._state is not _State.BUILT:
            raise LocalProtocolError("cells are sent on a built arc")
        self._outbox.append(self._wrap(seal_cell(self._links[-1].to_hop, kind, body), len(self._links) - 1))

    def end(self) -> None:
        """Forgets the keys; later cells are ignored."""
        self._state = _State.ENDED
        self._links.clear()
        self._outbox.clear()
        self._handshake = None

    def _receive_building(self, cell: bytes) -> list[ArcEvent]:
        bare = cell
        for position, link in enumerate(self._links):
            bare = link.layer_back.update(bare)
            ended = self._try_end(position, bare)
            if ended:
                return ended
        if self._handshake is None:
            raise RemoteProtocolError("a cell came on an arc that waits for its endpoint", reason="bad_cell")
        self._handshake.read_message(handshake_message(bare))
        self._add_link(self._handshake)
        if len(self._links) < len(self._hops):
            self._extend()
            return []
        self._handshake_hash = self._handshake.handshake_hash
        self._handshake = None
        if not self._whole:
            self._state = _State.WAITING
            return [ArcWaiting()]
        self._state = _State.BUILT
        return [ArcBuilt()]

    def _receive_built(self, cell: bytes) -> list[ArcEvent]:
        stages = [cell]
        for link in self._links[:-1]:
            stages.append(link.layer_back.update(stages[-1]))
        try:
            opened = open_cell(self._links[-1].from_hop, stages[-1])
        except RemoteProtocolError:
            for position in range(len(self._links) - 1):
                ended = self._try_end(position, stages[position + 1])
                if ended:
                    return ended
            raise
        if opened.type is CellType.END:
            last = len(self._links) - 1
            self.end()
            return [ArcEnded(last, reason_of(opened.body))]
        return [ArcCell(opened)]

    def _try_end(self, position: int, cell: bytes) -> list[ArcEvent]:
        """The END that hop `position` sent, if `cell`, bared to it, is one."""
        try:
            opened = open_cell(self._links[position].from_hop, cell)
        except RemoteProtocolError:
            return []
        if opened.type is not CellType.END:
            raise RemoteProtocolError("a forwarding hop sent more than an end", reason="bad_cell")
        self.end()
        return [ArcEnded(position, reason_of(opened.body))]

    def _shake_hands(self) -> None:
        hop = self._hops[len(self._links)]
        self._handshake = HandshakeState(
            self._suite,
            HANDSHAKE_PROTOCOL,
            initiator=True,
            prologue=HANDSHAKE_PROLOGUE,
            remote_static=hop.onion_key,
            ephemeral=hop.ephemeral,
        )
        message = self._handshake.write_message()
        self._outbox.append(self._wrap(handshake_cell(message), len(self._links)))

    def _extend(self) -> None:
        newest = len(self._links) - 1
        command = seal_cell(self._links[newest].to_hop, CellType.EXTEND, self._hops[newest + 1].record)
        self._outbox.append(self._wrap(command, newest))
        self._shake_hands()

    def _add_link(self, handshake: HandshakeState) -> None:
        to_hop, from_hop = handshake.split()
        layers = layer_of(self._suite, to_hop), layer_of(self._suite, from_hop)
        self._links.append(_Link(to_hop, from_hop, *layers))
        self._hops_built += 1

    def _wrap(self, cell: bytes, hop: int) -> bytes:
        """`cell` for hop number `hop`, in the layers of the hops before it, the guard's outermost."""
        for link in reversed(self._links[:hop]):
            cell = link.layer_out.update(cell)
        return cell
