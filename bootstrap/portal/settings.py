"""What an operator decides about the portal: the table `[portal]` of the configuration."""

from urllib.parse import urlsplit

from attrs import field, frozen
from attrs.validators import ge, le

__all__ = ["PortalConfig"]


def _is_url(_: object, __: object, value: str) -> None:
    parts = urlsplit(value)
    if value and (parts.scheme not in {"http", "https"} or not parts.hostname or parts.path not in {"", "/"}):
        raise ValueError(f"public_url is such as https://peernet.example.org, not {value!r}")


@frozen
class PortalConfig:
    """What an operator decides about the portal."""

    listen: str = ""
    """Where to serve it, such as 127.0.0.1:8470; empty for no portal."""
    public_url: str = field(default="", validator=_is_url)
    """Where people reach it; by default at `listen`."""
    operator_name: str = "an operator of peernet"
    """Who is responsible: a person, a firm, an association."""
    contact_email: str = ""
    """Where people reach whoever is responsible."""
    database: str = field(default="", repr=False)
    """A path, or a postgresql:// URL; by default `operator.sqlite` in the node's state folder."""
    tls_certificate: str = ""
    """PEM files; without them the portal serves plain HTTP, for a reverse proxy on this machine."""
    tls_key: str = ""
    behind_proxy: bool = False
    """Whether to believe the X-Forwarded-For and -Proto of a reverse proxy."""
    erasures_copy: str = ""
    """A file on another disk that says, in keyed hashes, who was erased: for restoring after this disk is lost."""
    backups: str = ""
    """The folder that backups are taken into: the node deletes them in time. Empty where the operator does."""
    mail: str = field(default="", repr=False)
    """smtp://user:password@host:port, smtps://..., or a folder; by default `mail` in the node's state folder."""
    mail_from: str = "peernet@localhost"
    mail_provider: str = ""
    """Who carries the mails, as `name, country`; empty for the operator itself. People read it at /providers."""
    hosting_provider: str = ""
    """Whose machine this runs on, likewise."""
    measure_speed_minutes: int = field(default=60, validator=[ge(0), le(7 * 24 * 60)])
    """How often each registered host is asked a question to see how fast it serves, on the average; 0 for never."""
    measure_speed_microcredits: int = field(default=5_000, validator=[ge(1), le(1_000_000)])
    """What such a question may cost at most; a host that asks for more is not asked."""
    gateway_url: str = "http://127.0.0.1:8080"
    """Where people's own gateways have their chat page, by default; without a slash. The portal only links to it."""

    @property
    def secure(self) -> bool:
        """Whether people reach it over TLS."""
        return bool(self.tls_certificate) or self.public_url.startswith("https://")
