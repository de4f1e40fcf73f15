"""The HTTP status of a refusal, by its reason."""

from typing import Final

from bootstrap.refusal import Refused

__all__ = ["STATUS", "status_of"]

STATUS: Final = {
    "not_found": 404,
    "sign_in": 401,
    "wrong_password": 403,
    "forbidden_scope": 403,
    "verify_address": 403,
    "accept_notice": 403,
    "suspended": 403,
    "prove_again": 403,
    "crossed": 403,
    "too_many": 429,
    "too_large": 413,
    "wrong_type": 415,
    "bad_body": 422,
    "bad_address": 422,
    "bad_name": 422,
    "bad_password": 422,
    "bad_scope": 422,
    "bad_signature": 403,
    "too_few_credits": 402,
    "too_young": 422,
    "bad_link": 410,
    "busy": 503,
}


def status_of(refusal: Refused) -> int:
    """The status; 409 where there is no better one: what was asked for does not fit what is."""
    return STATUS.get(refusal.reason, 409)
