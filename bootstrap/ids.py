"""Ids of rows: random, so that they say nothing of order, number or person."""

import base64
import secrets
from typing import Final

__all__ = ["ID_PATTERN", "new_id"]

ID_SIZE: Final = 15
ID_PATTERN: Final = r"[a-z2-7]{24}"


def new_id() -> str:
    """120 random bits as 24 letters and digits."""
    return base64.b32encode(secrets.token_bytes(ID_SIZE)).decode().lower()
