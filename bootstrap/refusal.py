"""What an operator's service says no to: one error for all of it, which the portal and the API show as it stands."""

from peernet.core.errors import PeernetError

__all__ = ["NotFound", "Refused"]


class Refused(PeernetError):
    """A request is understood, and not done. The message is for the person: what was wrong, and what to do."""

    def __init__(
        self, message: str, *, reason: str, field: str | None = None, retry_after_s: int | None = None
    ) -> None:
        super().__init__(message)
        self.reason = reason
        """A short fixed word, for programs and for counting."""
        self.field = field
        """The field of the request that is at fault, where one is."""
        self.retry_after_s = retry_after_s
        """When it may be tried again, where waiting helps."""


class NotFound(Refused):
    """There is no such thing, or not for whoever asks: the two are not told apart."""

    def __init__(self, what: str = "that") -> None:
        super().__init__(f"there is no {what} here" if what != "that" else "there is nothing here", reason="not_found")
