"""All parts of the service that keep data about people. A test finds tables that none of them knows of."""

from typing import Final

from bootstrap.rights.domain import Domain

__all__ = ["DOMAINS"]

DOMAINS: Final[tuple[Domain, ...]] = ()
"""In the order in which they are erased: what hangs on an account goes before the account."""
