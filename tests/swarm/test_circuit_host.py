"""A host that nobody can dial answers a fragment: the rings to it end with a circuit, and its relays stand on none."""

from pathlib import Path

import pytest
import trio

from peernet.core.dht.records import PeerRecord
from peernet.core.prefixes import address_prefix
from peernet.net.addresses import CircuitAddress, parse_address
from tests.swarm.scripted_peer import Script
from tests.swarm.support import client_of, next_network, scripted_swarm

pytestmark = [pytest.mark.swarm, pytest.mark.usefixtures("forked")]

RELAYS = 8
LISTED_WITHIN_S = 40.0


async def test_a_fragment_is_answered_by_a_host_that_is_reached_through_relays_only(tmp_path: Path) -> None:
    network = next_network()
    # What the host announces is closed, so that it is as if behind a firewall; it listens for nobody elsewhere.
    closed = ("--announce", f"/ip4/127.{network}.11.1/tcp/9")
    script = Script(answers={"plants": "Because of their chlorophyll."})
    async with scripted_swarm(
        tmp_path, script, hosts=1, relays=RELAYS, network=network, host_options=closed
    ) as swarm, client_of(swarm) as client:  # fmt: skip
        (host,) = (listing for listing in client.network.directory.listings if listing.offers)
        with trio.fail_after(LISTED_WITHIN_S):
            while sum("p2p-circuit" in address for address in host.record.addresses) < 2:
                await trio.sleep(0.1)
                await client.network.fetch_directory()
                (host,) = (listing for listing in client.network.directory.listings if listing.offers)
        circuits = [parse_address(address) for address in host.record.addresses]
        assert len(circuits) == 2
        relays = {circuit.relay for circuit in circuits if isinstance(circuit, CircuitAddress)}
        assert len(relays) == 2
        async with client.conversation() as session:
            answered = await session.ask("Why are plants green?", lambda _: None)
        assert answered.complete
        assert "chlorophyll" in answered.text
        (fragment,) = answered.fragments
        assert fragment.host == str(host.peer)
        hops = {*fragment.out, *fragment.back}
        assert len(hops) >= 3
        # The host's own relays count as its network: none of them is on the ring.
        assert not hops & {str(relay) for relay in relays}
        records = {str(listing.peer): listing.record for listing in client.network.directory.listings}
        assert all(prefixes(host.record).isdisjoint(prefixes(records[hop])) for hop in hops)


def prefixes(record: PeerRecord) -> set[str]:
    return set(map(address_prefix, record.addresses))
