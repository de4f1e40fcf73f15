"""The same swarm over TCP, WebSockets, and WebSockets over TLS, mixed: rings go from one to the other."""

from pathlib import Path

import pytest
import trustme
from trio import SSLStream

from peernet.client.events import Answered
from peernet.core.directory import Directory
from peernet.net.connection import PeerConnection
from peernet.net.transports.dialled_websocket import DialledWebSocket
from tests.swarm.scripted_peer import Script
from tests.swarm.support import client_of, next_network, run, scripted_swarm

pytestmark = [pytest.mark.swarm, pytest.mark.usefixtures("forked")]

HOSTS, RELAYS = 3, 8
TRANSPORTS = ("", "/ws", "/tls/ws")
PROMPT = (
    "1. Write a short thank-you note to Maria Kowalska for the lunch in Lisbon.\n"
    "2. Write two sentences that ask my bank to block the card 4111 1111 1111 1111.\n"
    "3. Explain in two sentences why drinking enough water every day is good for your health."
)


def transport_of(address: str) -> str:
    """What stands after the port."""
    protocols = address.split("/")[5:]
    return "".join(f"/{protocol}" for protocol in protocols)


def spoken(connection: PeerConnection) -> str:
    """The transport that is under a connection, from what it is made of."""
    transport = connection._transport
    if not isinstance(transport, DialledWebSocket):
        return ""
    return "/tls/ws" if isinstance(transport._meter._below, SSLStream) else "/ws"


async def test_a_prompt_is_answered_over_rings_of_mixed_transports(tmp_path: Path) -> None:
    network = next_network()
    numbers = (1, *(11 + host for host in range(HOSTS)), *(100 + relay for relay in range(RELAYS)))
    authority = trustme.CA()
    issued = authority.issue_cert(*(f"127.{network}.{number}.1" for number in numbers))
    issued.private_key_and_cert_chain_pem.write_to_path(tmp_path / "both.pem")
    trusted = str(tmp_path / "authority.pem")
    authority.cert_pem.write_to_path(trusted)
    files = ("--tls-certificate", str(tmp_path / "both.pem"), "--tls-authority", trusted)
    script = Script(answers={"thank-you": "Thank you for the lunch.", "card": "Please block it."})
    async with (
        scripted_swarm(
            tmp_path,
            script,
            hosts=HOSTS,
            relays=RELAYS,
            network=network,
            transports=TRANSPORTS,
            peer_options=files,
        ) as swarm,
        client_of(swarm, tls_authority=trusted) as client,
    ):
        async with client.conversation() as session:
            answered = await session.ask(PROMPT, lambda _: None)
        assert answered.complete
        check_rings(answered, client.network.directory)
        # The client's own connections are what the addresses say: to its guards, and to the bootstrap node.
        listed = {listing.peer: listing.record for listing in client.network.directory.listings}
        connections = client.network.swarm.connections
        assert len(connections) >= 2
        for peer, connection in connections.items():
            assert spoken(connection) == transport_of(listed[peer].addresses[0])
        audit = await run("ledger", "audit", "--network", swarm.network_file, "--home", tmp_path / "auditor", "--json")
        assert audit.code == 0


def check_rings(answered: Answered, directory: Directory) -> None:
    addresses = {str(listing.peer): listing.record.addresses for listing in directory.listings}
    assert len(addresses) == 1 + HOSTS + RELAYS
    # Nobody has a second address by which the rings could have gone.
    assert all(len(known) == 1 for known in addresses.values())
    over = {peer: transport_of(known[0]) for peer, known in addresses.items()}
    assert set(over.values()) == set(TRANSPORTS)
    assert [len([relay for relay in directory.relays if over[str(relay.peer)] == name]) for name in TRANSPORTS] == [
        2,
        3,
        3,
    ]
    # Three fragments went to three hosts, one of each transport, so each of them carried a ring's last two legs.
    assert len(answered.fragments) == HOSTS
    assert {over[fragment.host] for fragment in answered.fragments} == set(TRANSPORTS)
    hops = {peer for fragment in answered.fragments for peer in (*fragment.out, *fragment.back)}
    assert len(hops) >= 7
    assert len({over[peer] for peer in hops}) >= 2
