"""A hop: its table of states, whom it answers, and what is left of it afterwards."""

import pytest

from peernet.core.errors import LocalProtocolError, RemoteProtocolError
from peernet.core.noise import CipherState, HandshakeState
from peernet.core.ring.cells import (
    CELL_SIZE,
    HANDSHAKE_PROLOGUE,
    HANDSHAKE_PROTOCOL,
    CellType,
    SealedCell,
    handshake_cell,
    handshake_message,
    layer_of,
    open_cell,
    seal_cell,
)
from peernet.core.ring.hop import Extend, Hop, HopState, Joined, Opened, SendBack, SendOn
from peernet.core.suite import MixedSuite

SUITE = MixedSuite()
TODAY, YESTERDAY, OTHER = b"t" * 32, b"y" * 32, b"o" * 32


def new_hop() -> Hop:
    return Hop(SUITE, (TODAY, YESTERDAY), b"e" * 32)


def initiator(secret: bytes = TODAY, prologue: bytes = HANDSHAKE_PROLOGUE) -> HandshakeState:
    return HandshakeState(
        SUITE,
        HANDSHAKE_PROTOCOL,
        initiator=True,
        prologue=prologue,
        remote_static=SUITE.x25519_public(secret),
        ephemeral=b"c" * 32,
    )


def shaken(hop: Hop, secret: bytes = TODAY) -> tuple[CipherState, CipherState, bytes]:
    """The client's ciphers to and from the hop, and the handshake's hash."""
    handshake = initiator(secret)
    (answer,) = hop.receive(handshake_cell(handshake.write_message()))
    assert isinstance(answer, SendBack)
    assert len(answer.cell) == CELL_SIZE
    handshake.read_message(handshake_message(answer.cell))
    to_hop, from_hop = handshake.split()
    return to_hop, from_hop, handshake.handshake_hash


def reason(raising) -> str:
    with pytest.raises(RemoteProtocolError) as raised:
        raising()
    return raised.value.reason


def holds_nothing(hop: Hop) -> bool:
    keys = (hop._to_client, hop._from_client, hop._layer_out, hop._layer_back)
    return hop.state is HopState.ENDED and keys == (None, None, None, None)


@pytest.mark.parametrize("secret", [TODAY, YESTERDAY])
def test_the_onion_keys_of_today_and_yesterday_are_answered(secret: bytes):
    hop = new_hop()
    shaken(hop, secret)
    assert hop.state is HopState.COMMAND


@pytest.mark.parametrize(
    "cell",
    [
        handshake_cell(initiator(OTHER).write_message()),
        handshake_cell(initiator(prologue=b"/peernet/ring/2").write_message()),
        bytes(CELL_SIZE),
        b"\x01".ljust(CELL_SIZE, b"\0"),
        b"\xff" * CELL_SIZE,
    ],
    ids=["another key", "another prologue", "zeros", "low order", "noise"],
)
def test_a_handshake_that_is_not_for_us_ends_the_hop(cell: bytes):
    hop = new_hop()
    assert reason(lambda: hop.receive(cell)) == "onion_key"
    assert holds_nothing(hop)


def test_a_forwarder_takes_its_layer_off_and_puts_it_on_and_looks_into_nothing():
    hop = new_hop()
    to_hop, from_hop, _ = shaken(hop)
    layer_out, layer_back = layer_of(SUITE, to_hop), layer_of(SUITE, from_hop)
    assert hop.receive(seal_cell(to_hop, CellType.EXTEND, b"record")) == [Extend(b"record")]
    assert hop.state is HopState.FORWARD
    for number in range(5):
        cell = bytes([number]) * CELL_SIZE
        assert hop.receive(layer_out.update(cell)) == [SendOn(cell)]
        (back,) = hop.receive_back(cell)
        assert isinstance(back, SendBack)
        assert back.cell != cell
        assert layer_back.update(back.cell) == cell


def test_cells_that_come_together_pass_in_one_step_as_they_do_one_by_one():
    hop = new_hop()
    to_hop, from_hop, _ = shaken(hop)
    layer_out, layer_back = layer_of(SUITE, to_hop), layer_of(SUITE, from_hop)
    hop.receive(seal_cell(to_hop, CellType.EXTEND, b"record"))
    cells = bytes(range(256)) * (3 * CELL_SIZE // 256)
    assert hop.pass_on(layer_out.update(cells[:CELL_SIZE])) == cells[:CELL_SIZE]
    assert hop.pass_on(layer_out.update(cells)) == cells
    assert hop.receive(layer_out.update(cells[:CELL_SIZE])) == [SendOn(cells[:CELL_SIZE])]
    assert layer_back.update(hop.pass_back(cells)) == cells


def test_the_end_of_a_forwarder_wears_its_layer_behind_what_went_before():
    hop = new_hop()
    to_hop, from_hop, _ = shaken(hop)
    layer_back = layer_of(SUITE, from_hop)
    hop.receive(seal_cell(to_hop, CellType.EXTEND, b"record"))
    (passed,) = hop.receive_back(b"\7" * CELL_SIZE)
    (end,) = hop.extension_failed("lost")
    assert layer_back.update(passed.cell) == b"\7" * CELL_SIZE
    assert open_cell(from_hop, layer_back.update(end.cell)) == SealedCell(CellType.END, b"lost")
    assert holds_nothing(hop)
    assert hop.extension_failed("lost") == []
    assert hop.receive(bytes(CELL_SIZE)) == hop.receive_back(bytes(CELL_SIZE)) == []


def test_an_endpoint_opens_and_seals_without_a_layer():
    hop = new_hop()
    to_hop, from_hop, handshake_hash = shaken(hop)
    assert hop.receive(seal_cell(to_hop, CellType.JOIN, b"join")) == [Joined(b"join", handshake_hash)]
    assert hop.state is HopState.ENDPOINT
    assert hop.receive(seal_cell(to_hop, CellType.DATA, b"in")) == [Opened(SealedCell(CellType.DATA, b"in"))]
    (answer,) = hop.send(CellType.DATA, b"out")
    assert open_cell(from_hop, answer.cell) == SealedCell(CellType.DATA, b"out")
    hop.end()
    assert holds_nothing(hop)
    assert hop.receive(seal_cell(to_hop, CellType.DATA, b"late")) == []
    with pytest.raises(LocalProtocolError):
        hop.send(CellType.DATA, b"late")


@pytest.mark.parametrize("kind", [CellType.DATA, CellType.WINDOW, CellType.END])
def test_the_first_command_extends_or_joins(kind: CellType):
    hop = new_hop()
    to_hop, _, _ = shaken(hop)
    assert reason(lambda: hop.receive(seal_cell(to_hop, kind, b""))) == "bad_command"
    assert holds_nothing(hop)


def test_a_command_that_does_not_open_ends_the_hop():
    hop = new_hop()
    shaken(hop)
    assert reason(lambda: hop.receive(bytes(CELL_SIZE))) == "bad_tag"
    assert holds_nothing(hop)


def test_a_replayed_first_message_gets_no_further_than_the_handshake():
    recorded = handshake_cell(initiator().write_message())
    first, second = Hop(SUITE, (TODAY,), b"1" * 32), Hop(SUITE, (TODAY,), b"2" * 32)
    (answer,), (other,) = first.receive(recorded), second.receive(recorded)
    assert answer.cell != other.cell
    handshake = initiator()
    handshake.write_message()
    handshake.read_message(handshake_message(answer.cell))
    command = seal_cell(handshake.split()[0], CellType.EXTEND, b"record")
    assert first.receive(command) == [Extend(b"record")]
    assert reason(lambda: second.receive(command)) == "bad_tag"


def test_a_tampered_cell_ends_an_endpoint():
    hop = new_hop()
    to_hop, _, _ = shaken(hop)
    hop.receive(seal_cell(to_hop, CellType.JOIN, b"join"))
    cell = bytearray(seal_cell(to_hop, CellType.DATA, b"text"))
    cell[9] ^= 1
    assert reason(lambda: hop.receive(bytes(cell))) == "bad_tag"
    assert holds_nothing(hop)


def test_our_own_mistakes_are_our_own():
    hop = new_hop()
    cells = bytes(2 * CELL_SIZE)
    early = [lambda: hop.receive(b"short"), lambda: hop.receive_back(bytes(CELL_SIZE))]
    for wrong in (*early, lambda: hop.pass_on(cells), lambda: hop.pass_back(cells)):
        with pytest.raises(LocalProtocolError):
            wrong()
    with pytest.raises(LocalProtocolError):
        hop.send(CellType.DATA, b"")
    forwarder = new_hop()
    forwarder.receive(seal_cell(shaken(forwarder)[0], CellType.EXTEND, b"record"))
    for cut in (lambda: forwarder.pass_on(cells[:-1]), lambda: forwarder.pass_back(cells[:-1])):
        with pytest.raises(LocalProtocolError):
            cut()
    assert hop.extension_failed("lost") == []
