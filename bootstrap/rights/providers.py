"""Who else receives data so that the service works: a list for everybody to read, made from what is configured."""

from attrs import frozen

__all__ = ["Provider", "providers"]


@frozen
class Provider:
    """Somebody who receives data."""

    name: str
    purpose: str
    data: tuple[str, ...]
    """What they receive, in words."""
    where: str
    """In which country, or on whose machine."""


def providers(*, mail: str, hosting: str, payments: tuple[Provider, ...] = ()) -> tuple[Provider, ...]:
    """The list.

    Args:
        mail: who carries the mails, as `name, country`; empty for the operator itself.
        hosting: whose machine the service runs on, likewise.
        payments: the payment providers, who say themselves what they receive.
    """
    return (
        _named(mail, "Sending e-mail", ("your e-mail address", "what the mails say")),
        _named(
            hosting,
            "Running the machine",
            ("everything that the operator keeps, on its disks", "your IP address, while you are connected"),
        ),
        *payments,
    )


def _named(said: str, purpose: str, data: tuple[str, ...]) -> Provider:
    name, _, where = (part.strip() for part in said.partition(","))
    if not name:
        return Provider("The operator itself", purpose, data, "on the operator's own machine")
    return Provider(name, purpose, data, where or "not said")
