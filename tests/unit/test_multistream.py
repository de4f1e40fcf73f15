"""multistream-select: agreements, refusals, limits, and bytes that come early."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peernet.core.errors import LocalProtocolError, RemoteProtocolError
from peernet.core.multistream import MAX_PROPOSALS, Dialer, Listener
from peernet.core.wire import frame

HEADER = b"\x13/multistream/1.0.0\n"
NA = b"\x03na\n"


def message(text: str) -> bytes:
    return frame(text.encode() + b"\n")


def talk(dialer: Dialer, listener: Listener) -> None:
    while (request := dialer.data_to_send()) or listener.selected is None:
        listener.receive(request)
        dialer.receive(listener.data_to_send())


def test_the_bytes_of_an_agreement() -> None:
    dialer, listener = Dialer(["/noise"]), Listener({"/noise"})
    request = dialer.data_to_send()
    assert request == HEADER + b"\x07/noise\n"
    assert listener.data_to_send() == b""
    listener.receive(request)
    assert listener.selected == "/noise"
    answer = listener.data_to_send()
    assert answer == HEADER + b"\x07/noise\n"
    dialer.receive(answer)
    assert dialer.selected == "/noise"
    assert dialer.leftover() == listener.leftover() == b""


def test_the_best_common_protocol_is_taken() -> None:
    dialer, listener = Dialer(["/c", "/b", "/a"]), Listener(["/a", "/b"])
    talk(dialer, listener)
    assert dialer.selected == listener.selected == "/b"


def test_a_predicate_decides() -> None:
    dialer, listener = Dialer(["/other/1", "/peernet/x/1"]), Listener(lambda name: name.startswith("/peernet/"))
    talk(dialer, listener)
    assert dialer.selected == listener.selected == "/peernet/x/1"


def test_nothing_in_common() -> None:
    dialer, listener = Dialer(["/a", "/b"]), Listener(["/c"])
    with pytest.raises(RemoteProtocolError, match="speaks none of /a, /b") as raised:
        talk(dialer, listener)
    assert raised.value.reason == "no_protocol"


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=50), st.binary(max_size=50), st.lists(st.integers(1, 9), min_size=1, max_size=20))
def test_optimistic_data_arrives_untouched_however_it_is_cut(data: bytes, answer: bytes, cuts: list[int]) -> None:
    def pieces(whole: bytes) -> list[bytes]:
        out, offset, turn = [], 0, 0
        while offset < len(whole):
            size = cuts[turn % len(cuts)]
            out.append(whole[offset : offset + size])
            offset, turn = offset + size, turn + 1
        return out

    dialer, listener = Dialer(["/peernet/x/1"]), Listener({"/peernet/x/1"})
    for piece in pieces(dialer.data_to_send() + data):
        listener.receive(piece)
    assert listener.selected == "/peernet/x/1"
    assert listener.leftover() == data
    for piece in pieces(listener.data_to_send() + answer):
        dialer.receive(piece)
    assert dialer.selected == "/peernet/x/1"
    assert dialer.leftover() == answer
    assert dialer.leftover() == b""


def test_ls_gets_a_refusal_and_the_negotiation_goes_on() -> None:
    listener = Listener({"/a"})
    listener.receive(HEADER + message("ls"))
    assert listener.data_to_send() == HEADER + NA
    listener.receive(message("/a"))
    assert listener.selected == "/a"


def test_proposals_are_bounded() -> None:
    listener = Listener({"/a"})
    listener.receive(HEADER + message("/b") * (MAX_PROPOSALS - 1))
    with pytest.raises(RemoteProtocolError) as raised:
        listener.receive(message("/b"))
    assert raised.value.reason == "too_many_proposals"
    with pytest.raises(LocalProtocolError):
        Dialer(["/a"] * (MAX_PROPOSALS + 1))
    with pytest.raises(LocalProtocolError):
        Dialer([])


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (message("/multistream/2.0.0"), "bad_multistream"),
        (b"\x05GET /", "bad_multistream"),
        (b"GET / HTTP/1.1\r\nHost: somewhere.example\r\n\r\n" * 3, "bad_multistream"),
        (HEADER + b"\x03/a!", "bad_multistream"),
        (HEADER + b"\x03\xff\xfe\n", "bad_multistream"),
        (HEADER + b"\x00", "bad_length"),
        (HEADER + b"\x81\x08", "bad_length"),
        (b"\xff\xff\xff", "bad_length"),
        (HEADER + b"\x80\x00", "bad_length"),
    ],
)
def test_garbage_to_a_listener(data: bytes, reason: str) -> None:
    with pytest.raises(RemoteProtocolError) as raised:
        Listener({"/a"}).receive(data)
    assert raised.value.reason == reason


def test_an_answer_that_was_not_proposed() -> None:
    with pytest.raises(RemoteProtocolError) as raised:
        Dialer(["/a", "/b"]).receive(HEADER + message("/b"))
    assert raised.value.reason == "bad_multistream"


def test_the_longest_message_is_let_through_and_leftovers_wait_for_an_agreement() -> None:
    listener = Listener({"/a"})
    listener.receive(HEADER + message("/" + "b" * 1022))
    assert listener.data_to_send() == HEADER + NA
    with pytest.raises(LocalProtocolError):
        listener.leftover()
    with pytest.raises(LocalProtocolError):
        Dialer(["/" + "b" * 1023])


def test_bytes_behind_a_refused_proposal_are_a_refusal_and_no_broken_protocol() -> None:
    listener = Listener({"/a"})
    with pytest.raises(RemoteProtocolError) as raised:
        listener.receive(HEADER + message("/b") + b"\x02\x91\x01")
    assert raised.value.reason == "no_protocol"
    assert listener.data_to_send() == HEADER + NA
