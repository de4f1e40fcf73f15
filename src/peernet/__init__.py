"""peernet: a peer-to-peer network for private LLM inference.

    async with peernet.open_client() as client:
        async for text in client.chat([{"role": "user", "content": "..."}]):
            print(text, end="")

The names below are loaded when first used, so that `import peernet` costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from peernet._version import __version__

if TYPE_CHECKING:
    from peernet.client.client import Client, LanguageRefused, NoHosts, PromptRefused, UnknownModel, open_client
    from peernet.client.events import Answered
    from peernet.client.reply import Reply
    from peernet.core.errors import PeernetError, UserError
    from peernet.core.identity import PeerId
    from peernet.node.config import ClientConfig, NetworkConfig
    from privacy.detection import DetectionFailed
    from privacy.exposure import ExposureReceipt
    from privacy.planning import ChatMessage, PlanRefused

_LAZY = {
    "Answered": "peernet.client.events",
    "ChatMessage": "privacy.planning",
    "Client": "peernet.client.client",
    "ClientConfig": "peernet.node.config",
    "DetectionFailed": "privacy.detection",
    "ExposureReceipt": "privacy.exposure",
    "LanguageRefused": "peernet.client.client",
    "NetworkConfig": "peernet.node.config",
    "NoHosts": "peernet.client.client",
    "PeerId": "peernet.core.identity",
    "PeernetError": "peernet.core.errors",
    "PlanRefused": "privacy.planning",
    "PromptRefused": "peernet.client.client",
    "Reply": "peernet.client.reply",
    "UnknownModel": "peernet.client.client",
    "UserError": "peernet.core.errors",
    "open_client": "peernet.client.client",
}

__all__ = [
    "Answered", "ChatMessage", "Client", "ClientConfig", "DetectionFailed", "ExposureReceipt",
    "LanguageRefused", "NetworkConfig", "NoHosts", "PeerId", "PeernetError", "PlanRefused", "PromptRefused", "Reply",
    "UnknownModel", "UserError", "__version__", "open_client",
]  # fmt: skip


def __getattr__(name: str) -> object:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'peernet' has no attribute {name!r}")
