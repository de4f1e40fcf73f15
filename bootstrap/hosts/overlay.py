"""The registry's view of the network, from the bootstrap node that it runs beside (`HostNetwork`)."""

from collections.abc import Collection, Mapping
from typing import Final

from bootstrap.directory import DirectoryService
from bootstrap.hosts.network import SeenHost
from bootstrap.service import BootstrapService
from peernet.core.dht.records import HostOffer, PeerRecord
from peernet.core.errors import ConnectionFailed, RemoteProtocolError
from peernet.core.identity import PeerId
from peernet.net.addresses import dialable
from peernet.node.peer import Peer

__all__ = ["OverlayHosts"]

HOST: Final = "host"


class OverlayHosts:
    """See `HostNetwork`.

    Args:
        peer: the bootstrap node's.
        service: what settles lanes, and crawls for the directory.
    """

    def __init__(self, peer: Peer, service: BootstrapService) -> None:
        self._peer = peer
        self._service = service
        self._directory: DirectoryService = service.directory

    def seen_hosts(self) -> Mapping[bytes, SeenHost]:
        regions: dict[bytes, str] = {}
        models: dict[bytes, dict[str, bytes]] = {}
        for body in self._directory.crawled:
            if isinstance(body, PeerRecord) and HOST in body.roles:
                regions.setdefault(body.public_key, body.region)
            elif isinstance(body, HostOffer):
                regions[body.public_key] = body.region
                models.setdefault(body.public_key, {})[body.model] = body.model_digest
        return {key: SeenHost(region, models.get(key, {})) for key, region in regions.items()}

    async def round_trip_s(self, peer_key: bytes) -> float | None:
        record = self._directory.record_of(peer_key)
        if record is None:
            return None
        addresses = dialable(record.addresses, allow_private=self._peer.network.test)
        try:
            return await self._peer.pings.ping(PeerId.from_public_key(peer_key), addresses)
        except (ConnectionFailed, RemoteProtocolError):
            return None

    def leave_out(self, peer_keys: Collection[bytes]) -> None:
        self._directory.left_out = frozenset(peer_keys)

    def refuse_lanes(self, lane_keys: Collection[bytes]) -> None:
        self._service.refused_lanes = frozenset(lane_keys)
