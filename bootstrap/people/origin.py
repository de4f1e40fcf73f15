"""Where somebody is, as coarsely as it is kept (promise P6)."""

from attrs import frozen

__all__ = ["Origin"]


@frozen
class Origin:
    """Where a request comes from."""

    ip_prefix: str
    browser_family: str
