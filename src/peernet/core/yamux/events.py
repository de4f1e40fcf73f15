"""What a yamux session tells its application about what has come."""

from attrs import define, frozen

__all__ = [
    "DataReceived",
    "GoneAway",
    "PongReceived",
    "RemoteClosed",
    "SendWindowOpened",
    "StreamOpened",
    "StreamRefused",
    "StreamReset",
    "YamuxEvent",
]


@frozen
class StreamOpened:
    """The remote opened a stream."""

    stream_id: int


@frozen
class StreamRefused:
    """The remote opened a stream that was reset at once; it is not there."""

    stream_id: int
    reason: str
    """Why, in a word that can be counted: `going_away`, `session_streams` (too many at once) or `session_backlog`."""


@define
class DataReceived:
    """Bytes of a stream, in order; never empty."""

    # Not frozen: one is made for each frame, and freezing it would double what that costs.

    stream_id: int
    data: bytes


@frozen
class SendWindowOpened:
    """A stream whose send window was used up can send again."""

    stream_id: int


@frozen
class RemoteClosed:
    """The remote sends nothing more on this stream."""

    stream_id: int


@frozen
class StreamReset:
    """The remote killed this stream; it is forgotten."""

    stream_id: int


@frozen
class PongReceived:
    """The answer to our ping."""

    value: int


@frozen
class GoneAway:
    """The remote takes no new streams; `code` is one of the GO_AWAY constants, or what it made up."""

    code: int


YamuxEvent = (
    StreamOpened
    | StreamRefused
    | DataReceived
    | SendWindowOpened
    | RemoteClosed
    | StreamReset
    | PongReceived
    | GoneAway
)
