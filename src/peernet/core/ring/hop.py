"""A hop: what a relay, or the endpoint of an arc, does with the cells of one inbound leg.

Rules (`cells` has the theory):

    state        on a cell from the client's side          on a cell from the far side
    HANDSHAKE    Noise_NK message 1 -> message 2 back      (there is none yet)
    COMMAND      EXTEND -> FORWARD, JOIN -> ENDPOINT       (there is none yet)
    FORWARD      off with our layer, hand it on            on with our layer, hand it back
    ENDPOINT     open it, report it                        (there is none)
    ENDED        ignored                                   ignored

1. Anything else is a `RemoteProtocolError`, which ends the hop; the owner then closes both legs.
2. A hop extends once, only to the peer whose signed record the command carries; whether it may is the owner's
   decision (`extension_failed`).
3. The onion key of the day before is still accepted, by trying it when today's does not fit.
4. A hop keeps two keystreams, two counters and no list of anything.
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
    check_whole,
    handshake_cell,
    handshake_message,
    layer_of,
    open_cell,
    seal_cell,
)
from peernet.core.suite import CipherSuite, Keystream

__all__ = ["Extend", "Hop", "HopState", "Joined", "Opened", "SendBack", "SendOn"]


class HopState(Enum):
    """Where a hop stands; the module's table says what each state allows."""

    HANDSHAKE = auto()
    COMMAND = auto()
    FORWARD = auto()
    ENDPOINT = auto()
    ENDED = auto()


@frozen
class SendBack:
    """Send this cell towards the client."""

    cell: bytes


@frozen
class SendOn:
    """Send this cell on, away from the client."""

    cell: bytes


@frozen
class Extend:
    """Open a leg to the peer of this signed record; the cells to send on follow."""

    record: bytes


@frozen
class Joined:
    """This arc ends here: `body` is an encoded `ring.Join`, `handshake_hash` what its cookie must be bound to."""

    body: bytes
    handshake_hash: bytes


@frozen
class Opened:
    """A sealed cell for this endpoint."""

    cell: SealedCell


HopEvent = SendBack | SendOn | Extend | Joined | Opened


class Hop:
    """One inbound leg, from its first cell to its end.

    Args:
        suite: the primitives.
        onion_secrets: this peer's X25519 onion secrets, the newest first.
        ephemeral: 32 fresh random bytes, for this leg only.
    """

    def __init__(self, suite: CipherSuite, onion_secrets: Sequence[bytes], ephemeral: bytes) -> None:
        self._suite = suite
        self._onion_secrets = tuple(onion_secrets)
        self._ephemeral = ephemeral
        self._state = HopState.HANDSHAKE
        self._to_client: CipherState | None = None
        self._from_client: CipherState | None = None
        self._layer_out: Keystream | None = None
        self._layer_back: Keystream | None = None
        self._handshake_hash = b""

    @property
    def state(self) -> HopState:
        """Where this hop stands."""
        return self._state

    def receive(self, cell: bytes) -> list[HopEvent]:
        """Takes one cell from the client's side; raises `RemoteProtocolError` for what the state does not allow."""
        check_size(cell)
        try:
            return self._receive(cell)
        except RemoteProtocolError:
            self.end()
            raise

    def receive_back(self, cell: bytes) -> list[HopEvent]:
        """Takes one cell from the far side of a forwarder."""
        check_size(cell)
        if self._state is HopState.ENDED:
            return []
        if self._state is not HopState.FORWARD:
            raise LocalProtocolError(f"a cell from the far side in state {self._state.name}")
        assert self._layer_back is not None
        return [SendBack(self._layer_back.update(cell))]

    def pass_on(self, cells: bytes) -> bytes:
        """Whole cells on their way out through a forwarder, our layer off; one step for all that came together."""
        check_whole(cells)
        if self._layer_out is None:
            raise LocalProtocolError(f"cells to pass on in state {self._state.name}")
        return self._layer_out.update(cells)

    def pass_back(self, cells: bytes) -> bytes:
        """Whole cells on their way back through a forwarder, our layer on."""
        check_whole(cells)
        if self._layer_back is None:
            raise LocalProtocolError(f"cells to pass back in state {self._state.name}")
        return self._layer_back.update(cells)

    def extension_failed(self, reason: str) -> list[HopEvent]:
        """Ends, and tells the client why there is no next leg any more, under our layer like every cell."""
        if self._state is not HopState.FORWARD:
            return []
        assert self._to_client is not None
        assert self._layer_back is not None
        cell = self._layer_back.update(seal_cell(self._to_client, CellType.END, reason.encode()))
        self.end()
        return [SendBack(cell)]

    def send(self, kind: CellType, body: bytes) -> list[HopEvent]:
        """Seals a cell from this endpoint to the client."""
        if self._state is not HopState.ENDPOINT:
            raise LocalProtocolError(f"only an endpoint sends sealed cells, not a hop in state {self._state.name}")
        assert self._to_client is not None
        return [SendBack(seal_cell(self._to_client, kind, body))]

    def end(self) -> None:
        """Forgets the keys; every later cell is ignored."""
        self._state = HopState.ENDED
        self._to_client = self._from_client = None
        self._layer_out = self._layer_back = None

    def _receive(self, cell: bytes) -> list[HopEvent]:
        if self._state is HopState.FORWARD:
            assert self._layer_out is not None
            return [SendOn(self._layer_out.update(cell))]
        if self._state is HopState.ENDPOINT:
            assert self._from_client is not None
            return [Opened(open_cell(self._from_client, cell))]
        if self._state is HopState.HANDSHAKE:
            return self._shake_hands(cell)
        if self._state is HopState.COMMAND:
            return self._obey(cell)
        return []

    def _shake_hands(self, cell: bytes) -> list[HopEvent]:
        message = handshake_message(cell)
        handshake = self._responder(message)
        answer = handshake.write_message()
        self._to_client, self._from_client = handshake.split()
        self._handshake_hash = handshake.handshake_hash
        self._onion_secrets, self._ephemeral = (), b""
        self._state = HopState.COMMAND
        return [SendBack(handshake_cell(answer))]

    def _responder(self, message: bytes) -> HandshakeState:
        for secret in self._onion_secrets:
            handshake = HandshakeState(
                self._suite,
                HANDSHAKE_PROTOCOL,
                initiator=False,
                prologue=HANDSHAKE_PROLOGUE,
                static=secret,
                ephemeral=self._ephemeral,
            )
            try:
                handshake.read_message(message)
            except RemoteProtocolError:
                continue
            return handshake
        raise RemoteProtocolError("a ring handshake fits none of our onion keys", reason="onion_key")

    def _obey(self, cell: bytes) -> list[HopEvent]:
        assert self._from_client is not None
        command = open_cell(self._from_client, cell)
        if command.type is CellType.EXTEND:
            assert self._to_client is not None
            self._layer_out = layer_of(self._suite, self._from_client)
            self._layer_back = layer_of(self._suite, self._to_client)
            self._from_client = None  # what comes from the client now passes
            self._state = HopState.FORWARD
            return [Extend(command.body)]
        if command.type is CellType.JOIN:
            self._state = HopState.ENDPOINT
            return [Joined(command.body, self._handshake_hash)]
        raise RemoteProtocolError(f"a hop's first command was {command.type.name}", reason="bad_command")
