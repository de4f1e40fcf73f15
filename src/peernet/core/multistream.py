"""multistream-select 1.0: agreeing on a protocol at the start of a connection or stream.

A message is an unsigned varint with the length, then the text, which ends in a newline. Both sides begin with
`/multistream/1.0.0`. The dialer proposes; the listener echoes what it accepts and answers `na` to anything else, and
the dialer proposes the next. After the echo the bytes belong to the protocol.

Rules:

1. The dialer sends the header and its first proposal together, without waiting. A dialer with one protocol may send
   the protocol's own bytes right behind them (optimistic negotiation): if the listener refuses, they were lost.
   What a listener that refused reads then is no proposal, and no fault of the dialer's: it ends as a refusal does.
2. The listener says nothing until the dialer's header has come, and answers `ls`, which later revisions dropped, with
   `na`, as for any protocol that it does not have.
3. A message has at most `MAX_MESSAGE_SIZE` bytes, a negotiation at most `MAX_PROPOSALS` proposals.
4. Bytes that come after the agreement are kept untouched: `leftover()` hands them over.

Source: multiformats, "multistream-select"; libp2p, "Connection establishment".
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from typing import Final

from peernet.core.errors import LocalProtocolError, RemoteProtocolError
from peernet.core.wire import decode_varint, frame

__all__ = ["MAX_MESSAGE_SIZE", "MAX_PROPOSALS", "Dialer", "Listener"]

MAX_MESSAGE_SIZE: Final = 1024
MAX_PROPOSALS: Final = 32

_HEADER: Final = "/multistream/1.0.0"
_REFUSAL: Final = "na"
_MAX_LENGTH_SIZE: Final = 2


def _encode(text: str) -> bytes:
    message = text.encode("utf-8") + b"\n"
    if len(message) > MAX_MESSAGE_SIZE:
        raise LocalProtocolError(f"a multistream message has at most {MAX_MESSAGE_SIZE} bytes, not {len(message)}")
    return frame(message)


_HEADER_BYTES: Final = _encode(_HEADER)
_REFUSAL_BYTES: Final = _encode(_REFUSAL)


class _Negotiation(ABC):
    """What both sides share: buffers, messages and the header."""

    __slots__ = ("_inbox", "_outbox", "_saw_header", "selected")

    def __init__(self) -> None:
        self._inbox = bytearray()
        self._outbox = bytearray()
        self._saw_header = False
        self.selected: str | None = None
        """The protocol agreed on; None until then."""

    def receive(self, data: bytes | bytearray | memoryview) -> None:
        """Takes bytes as they come; raises `RemoteProtocolError` for a broken or failed negotiation."""
        self._inbox += data
        while self.selected is None:
            text = self._next_message()
            if text is None:
                return
            if self._saw_header:
                self._handle(text)
            elif text == _HEADER:
                self._saw_header = True
                self._handle_header()
            else:
                raise RemoteProtocolError("the peer does not speak multistream-select 1.0", reason="bad_multistream")

    def data_to_send(self) -> bytes:
        """The bytes to send, handed over."""
        data = bytes(self._outbox)
        self._outbox.clear()
        return data

    def leftover(self) -> bytes:
        """What came after the agreement, handed over."""
        if self.selected is None:
            raise LocalProtocolError("no protocol is agreed on, so no bytes are left over")
        data = bytes(self._inbox)
        self._inbox.clear()
        return data

    def _next_message(self) -> str | None:
        header = decode_varint(self._inbox, max_size=_MAX_LENGTH_SIZE)
        if header is None:
            return None
        size, start = header
        if not 1 <= size <= MAX_MESSAGE_SIZE:
            raise RemoteProtocolError(f"a multistream message of {size} bytes", reason="bad_length")
        end = start + size
        if len(self._inbox) < end:
            return None
        message = bytes(self._inbox[start:end])
        del self._inbox[:end]
        if message[-1:] != b"\n":
            raise RemoteProtocolError("a multistream message without its newline", reason="bad_multistream")
        try:
            return message[:-1].decode("utf-8")
        except UnicodeDecodeError as error:
            raise RemoteProtocolError("a multistream message is not text", reason="bad_multistream") from error

    @abstractmethod
    def _handle_header(self) -> None: ...

    @abstractmethod
    def _handle(self, text: str) -> None: ...


class Dialer(_Negotiation):
    """Proposes `protocols` in order, the best first."""

    __slots__ = ("_proposed", "_protocols")

    def __init__(self, protocols: Sequence[str]) -> None:
        super().__init__()
        if not 1 <= len(protocols) <= MAX_PROPOSALS:
            raise LocalProtocolError(f"a dialer proposes 1 to {MAX_PROPOSALS} protocols, not {len(protocols)}")
        self._protocols = tuple(protocols)
        self._proposed = 0
        self._outbox += _HEADER_BYTES + _encode(self._protocols[0])

    def _handle_header(self) -> None:
        """The first proposal is already on its way."""

    def _handle(self, text: str) -> None:
        if text == self._protocols[self._proposed]:
            self.selected = text
            return
        if text != _REFUSAL:
            raise RemoteProtocolError("the peer answered with a protocol not proposed", reason="bad_multistream")
        self._proposed += 1
        if self._proposed == len(self._protocols):
            raise RemoteProtocolError(f"the peer speaks none of {', '.join(self._protocols)}", reason="no_protocol")
        self._outbox += _encode(self._protocols[self._proposed])


class Listener(_Negotiation):
    """Accepts the first proposal that is among `protocols`, or that the predicate says yes to."""

    __slots__ = ("_accepts", "_refused")

    def __init__(self, protocols: Collection[str] | Callable[[str], bool]) -> None:
        super().__init__()
        self._accepts = protocols if callable(protocols) else protocols.__contains__
        self._refused = 0

    def receive(self, data: bytes | bytearray | memoryview) -> None:
        try:
            super().receive(data)
        except RemoteProtocolError as error:
            if self._refused and error.reason != "too_many_proposals":
                raise RemoteProtocolError("the peer proposes nothing that we serve", reason="no_protocol") from error
            raise

    def _handle_header(self) -> None:
        self._outbox += _HEADER_BYTES

    def _handle(self, text: str) -> None:
        if self._accepts(text):
            self._outbox += _encode(text)
            self.selected = text
            return
        self._refused += 1
        if self._refused == MAX_PROPOSALS:
            raise RemoteProtocolError(f"{MAX_PROPOSALS} proposals, none of them ours", reason="too_many_proposals")
        self._outbox += _REFUSAL_BYTES
