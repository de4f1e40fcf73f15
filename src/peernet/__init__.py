"""peernet: a peer-to-peer network for private LLM inference.

The names below are loaded when first used, so that `import peernet` costs next to nothing.
"""

from importlib import import_module

from peernet._version import __version__

_LAZY = {
    "PeerId": "peernet.core.identity",
    "PeernetError": "peernet.core.errors",
}

__all__ = ["PeerId", "PeernetError", "__version__"]


def __getattr__(name: str) -> object:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'peernet' has no attribute {name!r}")
