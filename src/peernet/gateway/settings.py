"""Where the gateway listens, whom it serves, and its bounds.

Rules: on this machine alone by default. Another address has to be asked for twice, and then every program must know
the API key, since whoever reaches the gateway asks in its user's name.
"""

import ipaddress
from pathlib import Path
from typing import Final, Self

from attrs import field, frozen
from attrs.validators import ge

from peernet.core.errors import UserError

__all__ = ["GatewaySettings", "Listening"]

LOCAL_NAMES: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})


@frozen
class Listening:
    """A TCP address and port, or a Unix socket."""

    host: str = "127.0.0.1"
    """An IP address without brackets; empty for a Unix socket."""
    port: int = 8080
    path: Path | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """`127.0.0.1:8080`, `[::1]:8080`, `localhost:8080`, or `unix:PATH`; raises `UserError`."""
        if text.startswith("unix:") and len(text) > len("unix:"):
            return cls("", 0, Path(text.removeprefix("unix:")).absolute())
        host, _, port = text.rpartition(":")
        host = "127.0.0.1" if host == "localhost" else host
        bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
        try:
            ipaddress.ip_address(bare)
            number = int(port)
        except ValueError:
            number = -1
        if not 0 <= number <= 65535 or (":" in bare and bare == host):
            raise UserError(f"--listen {text!r}: give ADDRESS:PORT such as 127.0.0.1:8080, or unix:PATH")
        return cls(bare, number)

    @property
    def is_local(self) -> bool:
        """Whether only programs of this machine reach it."""
        return self.path is not None or ipaddress.ip_address(self.host).is_loopback

    @property
    def place(self) -> str:
        """Its address for people."""
        if self.path is not None:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@frozen
class GatewaySettings:
    """All that is set about a gateway."""

    listening: Listening = Listening()
    api_key: str | None = field(default=None, repr=False)
    """What every program has to show; None only where the gateway is local."""
    host_names: frozenset[str] = frozenset()
    """Further names that the gateway goes by, as in a Host header without its port."""
    origins: frozenset[str] = frozenset()
    """Web pages that may use it: `https://chat.example.org`."""
    parallel: int = field(default=4, validator=ge(1))
    """Requests at a time; who comes then is told to come again."""
    max_answer_tokens: int = field(default=1024, validator=ge(1))
    """Of a whole answer, where the program does not say."""
    directory_interval_s: float = 60.0
    """How often the directory is fetched anew, whether anybody asks or not."""

    def __attrs_post_init__(self) -> None:
        if not self.listening.is_local and not self.api_key:
            raise UserError("a gateway that other machines can reach needs an API key")

    @property
    def known_names(self) -> frozenset[str] | None:
        """The names that a request may use for this gateway; None where no web page can reach it."""
        if self.listening.path is not None:
            return None
        host = self.listening.host
        return LOCAL_NAMES | self.host_names | {f"[{host}]" if ":" in host else host}
