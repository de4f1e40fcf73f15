"""The tree of errors.

Two of them tell whose fault a broken protocol is, after h11: `LocalProtocolError` is a bug of ours,
`RemoteProtocolError` is what the other side did, and is taken for hostile until shown otherwise. `UserError` is for
what a person can put right: its message says what was wrong and what to do, and a command prints it as it stands.
"""


class PeernetError(Exception):
    """The root of every error that peernet raises on purpose."""


class ProtocolError(PeernetError):
    """A protocol was broken, by one side or the other."""


class LocalProtocolError(ProtocolError):
    """We asked a state machine for something that its state does not allow: a bug of ours."""


class RemoteProtocolError(ProtocolError):
    """The other side broke the protocol; what it sent is not to be trusted any further.

    `reason` is a short fixed word for counting in metrics (never data that the peer chose).
    """

    def __init__(self, message: str, *, reason: str = "protocol") -> None:
        super().__init__(message)
        self.reason = reason


class ConnectionFailed(PeernetError):
    """A peer could not be reached, or a connection to it ended: nobody broke a protocol."""


class UserError(PeernetError):
    """Something that the person running the command can put right; the message says how."""
