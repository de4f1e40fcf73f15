"""yamux's frames: the header, and the queue of those that go out.

A frame is a header of 12 bytes (version 0, type, flags, stream id, length, big endian) and, for data, `length` bytes.
Writes on one stream in a row become one data frame, as far as it holds them: its header is written when it can grow
no more, which is when another frame follows or the bytes are asked for.

Source: hashicorp/yamux, spec.md, "Framing".
"""

import struct
from typing import Final

from peernet.core.errors import RemoteProtocolError

__all__ = [
    "ACK",
    "DATA",
    "FIN",
    "GO_AWAY",
    "GO_AWAY_INTERNAL_ERROR",
    "GO_AWAY_NORMAL",
    "GO_AWAY_PROTOCOL_ERROR",
    "HEADER",
    "HEADER_SIZE",
    "INITIAL_WINDOW",
    "MAX_FRAME_DATA",
    "MAX_UINT32",
    "PING",
    "RST",
    "SYN",
    "WINDOW_UPDATE",
    "FrameQueue",
]

HEADER: Final = struct.Struct(">BBHII")
HEADER_SIZE: Final = HEADER.size
INITIAL_WINDOW: Final = 256 * 1024
MAX_FRAME_DATA: Final = 65535 - 16 - HEADER_SIZE
"""Bytes of data in one of our frames; with its header it fills a Noise message, and so is opened with one call. The
other side's frames are bounded by the window alone."""
MAX_UINT32: Final = 2**32 - 1

DATA: Final = 0
WINDOW_UPDATE: Final = 1
PING: Final = 2
GO_AWAY: Final = 3

SYN: Final = 1
ACK: Final = 2
FIN: Final = 4
RST: Final = 8

GO_AWAY_NORMAL: Final = 0
GO_AWAY_PROTOCOL_ERROR: Final = 1
GO_AWAY_INTERNAL_ERROR: Final = 2


class FrameQueue:
    """Frames that wait to be sent, in pieces; `max_replies` of them may be answers to the remote."""

    __slots__ = ("_last_id", "_last_index", "_last_size", "_max_replies", "_replies", "data_size", "parts")

    def __init__(self, max_replies: int) -> None:
        self._max_replies = max_replies
        self.parts: list[bytes | memoryview] = []
        """Headers and data in turn; a data frame that can still grow has an empty header."""
        self.data_size = 0
        """Bytes of streams among them."""
        self._replies = 0
        self._last_id = 0
        """The stream of the data frame that can still grow; 0 where there is none."""
        self._last_index = 0
        self._last_size = 0

    def add(self, kind: int, flags: int, stream_id: int, length: int) -> None:
        """Queues a frame without data."""
        if self._last_id:
            self._finish_data()
        self.parts.append(HEADER.pack(0, kind, flags, stream_id, length))

    def add_reply(self, kind: int, flags: int, stream_id: int, length: int) -> None:
        """Queues a frame that the remote has caused; raises `RemoteProtocolError` when it causes too many."""
        self._replies += 1
        if self._replies > self._max_replies:
            raise RemoteProtocolError("the peer causes replies faster than it takes them", reason="flood")
        self.add(kind, flags, stream_id, length)

    def add_data(self, stream_id: int, data: bytes) -> None:
        """Queues data of a stream, behind what was queued of it just before."""
        size = len(data)
        self.data_size += size
        last_id = self._last_id
        if last_id == stream_id and self._last_size + size <= MAX_FRAME_DATA:
            self.parts.append(data)
            self._last_size += size
        elif not last_id and size <= MAX_FRAME_DATA:
            self._begin_data(stream_id, data)
        else:
            self._add_over_frames(stream_id, data)

    def take(self, max_size: int) -> list[bytes]:
        """All of it, handed over in pieces of at most `max_size` bytes: each is copied together only once."""
        if not self.parts:
            return []
        if self._last_id:
            self._finish_data()
        if self.data_size + HEADER_SIZE * len(self.parts) <= max_size:
            # All of it fits into one piece: every part is data, or a header.
            pieces = [b"".join(self.parts)]
        else:
            pieces = self._cut(max_size)
        self.parts.clear()
        self.data_size = self._replies = 0
        return pieces

    def _cut(self, max_size: int) -> list[bytes]:
        pieces: list[bytes] = []
        piece: list[bytes | memoryview] = []
        room = max_size
        for part in self.parts:
            while len(part) > room:
                piece.append(memoryview(part)[:room])
                part = memoryview(part)[room:]  # noqa: PLW2901 - the rest of it is what the loop goes on with
                pieces.append(b"".join(piece))
                piece = []
                room = max_size
            piece.append(part)
            room -= len(part)
        pieces.append(b"".join(piece))
        return pieces

    def _add_over_frames(self, stream_id: int, data: bytes) -> None:
        """Queues data that the last frame does not hold, or not all of it."""
        offset = 0
        whole = memoryview(data)
        if self._last_id == stream_id:
            offset = MAX_FRAME_DATA - self._last_size
            self.parts.append(whole[:offset])
            self._last_size = MAX_FRAME_DATA
        while offset < len(data):
            if self._last_id:
                self._finish_data()
            part = data if not offset and len(data) <= MAX_FRAME_DATA else whole[offset : offset + MAX_FRAME_DATA]
            self._begin_data(stream_id, part)
            offset += len(part)

    def _begin_data(self, stream_id: int, part: bytes | memoryview) -> None:
        """Begins a data frame, which may grow; its header is written when it is finished."""
        self._last_id = stream_id
        self._last_index = len(self.parts)
        self._last_size = len(part)
        self.parts += (b"", part)

    def _finish_data(self) -> None:
        """Writes the header of the data frame that could still grow."""
        self.parts[self._last_index] = HEADER.pack(0, DATA, 0, self._last_id, self._last_size)
        self._last_id = 0
