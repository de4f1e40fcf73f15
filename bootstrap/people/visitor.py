"""Who makes a request, as far as the service knows."""

from typing import Final, Literal, Self

from attrs import evolve, frozen

__all__ = ["ANYBODY", "ROLES", "Role", "Visitor"]

Role = Literal["host", "operator", "auditor"]
ROLES: Final[tuple[Role, ...]] = ("host", "operator", "auditor")
"""Besides being a person: who runs hosts, who runs this node, and who may look at what the operators do."""


@frozen
class Visitor:
    """Whoever makes a request: a person with a session, a program with an API token, or anybody."""

    account_id: str | None = None
    display_name: str = ""
    roles: frozenset[str] = frozenset()
    state: str = ""
    """The account's: `unverified`, `active`, `restricted` or `suspended`."""
    notice_version: str = ""
    """The version of the privacy notice that the person has accepted last."""
    proved_at_s: int = 0
    """When the person last proved who they are, by password, in this session or with this token; 0 for never."""
    session: str | None = None
    """The handle of the session."""
    token: str | None = None
    """The id of the API token."""
    scopes: frozenset[str] | None = None
    """What an API token may be used for; None for a person's own session, which may all that the person may."""
    use_is_due: bool = False
    """Whether it is to be noted that the session or the token was used."""

    @property
    def signed_in(self) -> bool:
        """Whether there is an account behind it."""
        return self.account_id is not None

    def used(self) -> Self:
        """The same, with the secret due to be replaced."""
        return evolve(self, use_is_due=True)

    def proved_within(self, seconds: int, now_s: int) -> bool:
        """Whether the person has proved so recently who they are."""
        return self.proved_at_s > 0 and now_s - self.proved_at_s <= seconds


ANYBODY: Final = Visitor()
