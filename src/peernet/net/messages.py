"""Messages over one stream, each after its length: plain frames, or those of a `wire.MessageSet`."""

from typing import Any

from peernet.core.errors import ConnectionFailed
from peernet.core.wire import MAX_MESSAGE_SIZE, FrameReader, MessageSet, frame
from peernet.net.streams import PeerStream

__all__ = ["Frames", "MessageStream"]


class Frames:
    """A stream of length-prefixed byte strings, each of at most `max_size` bytes."""

    def __init__(self, stream: PeerStream, max_size: int = MAX_MESSAGE_SIZE) -> None:
        self._stream = stream
        self._reader = FrameReader(max_size)

    async def send(self, *messages: bytes) -> None:
        """Sends the messages, together."""
        await self._stream.send_all(b"".join(map(frame, messages)))

    async def receive(self) -> bytes | None:
        """The next message, or None at the end of the stream.

        Raises `RemoteProtocolError` for one that is too long, `ConnectionFailed` when the stream ends within one.
        """
        while (message := self._reader.next()) is None:
            data = await self._stream.receive_some()
            if not data:
                if self._reader.buffered:
                    raise ConnectionFailed("the stream ended within a message")
                return None
            self._reader.feed(data)
        return message

    def release(self) -> None:
        """Gives back what was read too far: from here on the stream carries something else."""
        self._stream.unread(self._reader.leftover())


class MessageStream:
    """A stream that carries the messages of one set."""

    def __init__(self, stream: PeerStream, messages: MessageSet, *, max_size: int = MAX_MESSAGE_SIZE) -> None:
        self._frames = Frames(stream, max_size)
        self._messages = messages

    async def send(self, message: object) -> None:
        """Sends one message."""
        await self._frames.send(self._messages.encode(message))

    async def receive(self) -> Any | None:
        """The next message, or None at the end of the stream; raises `RemoteProtocolError` for anything else."""
        data = await self._frames.receive()
        return None if data is None else self._messages.decode(data)
