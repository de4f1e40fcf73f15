"""What goes wrong, as OpenAI's clients expect it: an HTTP status and `{"error": {message, type, param, code}}`.

Rules:

1. The status says who can do something about it: 4xx the program, 429 later, 5xx nobody just now. Their clients try
   again on 408, 409, 429 and 5xx by themselves.
2. A message says what was wrong and what to do, and holds nothing of a prompt or an answer. Errors that we did not
   foresee show their type alone.
3. As far as OpenAI has a code for it, ours is the same one (`context_length_exceeded`, `model_not_found`).

Source: OpenAI's API reference, "Error codes".
"""

from typing import Any, Final

from attrs import frozen

from peernet.client.client import LanguageRefused, NoHosts, PromptRefused, UnknownModel
from peernet.client.events import Answered
from peernet.core import serving
from peernet.core.errors import LocalProtocolError, PeernetError, UserError
from peernet.core.ring.paths import ProfileUnavailable, TooFewRelays
from privacy.detection import DetectionFailed
from privacy.planning import PlanRefused
from privacy.screening import ScreeningFailed

__all__ = ["ApiError", "bug", "failure_of", "invalid"]

INVALID: Final = "invalid_request_error"
UNAVAILABLE: Final = "service_unavailable_error"
RETRY_AFTER_S: Final = 2


@frozen
class ApiError(Exception):
    """An error object and its HTTP status."""

    status: int
    message: str
    kind: str = INVALID
    """OpenAI's `type`."""
    param: str | None = None
    """The field of the request that is to blame."""
    code: str | None = None
    retry_after_s: int | None = None

    @property
    def body(self) -> dict[str, Any]:
        """What the client gets."""
        param = None if self.param is None else _sendable(self.param)
        return {"error": {"message": _sendable(self.message), "type": self.kind, "param": param, "code": self.code}}

    @property
    def headers(self) -> dict[str, str]:
        """Those that go with it."""
        return {} if self.retry_after_s is None else {"retry-after": str(self.retry_after_s)}


def _sendable(text: str) -> str:
    """What it quotes of a request may hold half a surrogate pair, which JSON can say and UTF-8 cannot."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def invalid(message: str, param: str | None = None, code: str | None = None) -> ApiError:
    """A request that cannot be served as it is."""
    return ApiError(400, message, param=param, code=code)


def unavailable(message: str, code: str) -> ApiError:
    """Something that may be there again in a moment."""
    return ApiError(503, message, UNAVAILABLE, code=code, retry_after_s=RETRY_AFTER_S)


def bug(error: BaseException) -> ApiError:
    """What we did not foresee; nothing of it but its type is shown."""
    return ApiError(500, f"a bug in peernet ({type(error).__name__}): please report it", "server_error", code="bug")


def refusal_of(error: PeernetError) -> ApiError:
    """Why nothing was sent."""
    match error:
        case PromptRefused():
            return invalid(str(error), "messages", "content_filter")
        case LanguageRefused():
            return invalid(str(error), "messages", "unsupported_language")
        case PlanRefused():
            return invalid(str(error), "messages", "exposure_policy")
        case UnknownModel():
            return ApiError(404, str(error), param="model", code="model_not_found")
        case NoHosts():
            return unavailable(str(error), "no_host")
        case TooFewRelays():
            return unavailable(str(error), "too_few_relays")
        case ProfileUnavailable():
            return unavailable(str(error), "profile_unavailable")
        case DetectionFailed():
            return unavailable(str(error), "detection_failed")
        case ScreeningFailed():
            return unavailable(str(error), "screening_failed")
        case LocalProtocolError():
            return bug(error)
        case UserError():
            return unavailable(str(error), "network")
        case _:
            return unavailable(f"the network failed ({type(error).__name__}): try again", "network")


def failure_of(answered: Answered) -> ApiError | None:
    """Why a request has no answer at all; None where some part of it was answered."""
    if any(fragment.failure is None for fragment in answered.fragments):
        return None
    reasons = {fragment.failure_reason for fragment in answered.fragments}
    message = "; ".join(dict.fromkeys(fragment.failure or "" for fragment in answered.fragments))
    if reasons == {serving.CONTEXT}:
        return invalid(message, "messages", "context_length_exceeded")
    if reasons == {serving.SCREENED}:
        return invalid(message, "messages", "content_filter")
    if reasons == {serving.BAD_REQUEST}:
        return invalid(message, code="refused_by_host")
    if reasons == {serving.LANE}:
        return invalid(message, "max_tokens", "lane_refused")
    return unavailable(f"no host answered: {message}", "hosts_failed")
