"""All parts of the service that keep data about people. A test finds tables that none of them knows of."""

from typing import Final

from bootstrap.hosts.rights import HOSTS
from bootstrap.money.rights import MONEY
from bootstrap.people.rights import PEOPLE
from bootstrap.rights.domain import Domain
from bootstrap.rights.own import RIGHTS

__all__ = ["DOMAINS"]

DOMAINS: Final[tuple[Domain, ...]] = (MONEY, HOSTS, RIGHTS, PEOPLE)
"""In the order in which they are erased: what hangs on an account goes before the account."""
