"""The privacy layer: everything that happens to a prompt before it leaves the client, and to the answers after.

screen -> detect -> pseudonyms -> plan -> (rings) -> restore -> exposure receipt. It knows nothing of the network.
"""

from privacy.screening import Screen

__all__ = ["Screen"]
