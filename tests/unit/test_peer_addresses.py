"""What a peer tells others of where it is: nothing that they cannot dial."""

from pathlib import Path

import pytest
import trio
import trustme

from peernet.core.dht.records import PeerRecord, open_record
from peernet.core.errors import UserError
from peernet.core.identity import Keypair
from peernet.core.suite import MixedSuite
from peernet.net.addresses import parse_address
from peernet.node.config import NetworkConfig
from peernet.node.home import Home
from peernet.node.peer import Peer, PeerKeys, now_s, running_peer, swarm_of

SUITE = MixedSuite()


def peer(folder: Path, **network: object) -> Peer:
    return Peer(PeerKeys.of(Home.at(folder), SUITE), NetworkConfig(test=True, **network), ["relay"])  # type: ignore[arg-type]


def recorded(one: Peer) -> tuple[str, ...]:
    record = open_record(one.signed_record(), now_s(), SUITE)
    assert isinstance(record, PeerRecord)
    return record.addresses


async def test_a_peer_says_where_it_listens(tmp_path: Path) -> None:
    one = peer(tmp_path, listen="/ip4/127.45.1.1/tcp/0")
    async with running_peer(one, join=False):
        (address,) = recorded(one)
        assert address.startswith("/ip4/127.45.1.1/tcp/")
        assert not address.endswith("/tcp/0")
        with trio.fail_after(2):
            stream = await trio.open_tcp_stream("127.45.1.1", int(address.rpartition("/")[2]))
        await stream.aclose()


async def test_a_peer_says_what_its_operator_announces(tmp_path: Path) -> None:
    one = peer(tmp_path, listen="/ip4/127.45.2.1/tcp/0", announce=("/ip4/203.0.113.7/tcp/4101",))
    async with running_peer(one, join=False):
        assert recorded(one) == ("/ip4/203.0.113.7/tcp/4101",)
        assert str(one.addresses[0]) == f"/ip4/203.0.113.7/tcp/4101/p2p/{one.peer_id}"


async def test_a_peer_that_nobody_could_dial_does_not_start(tmp_path: Path) -> None:
    one = peer(tmp_path)
    with pytest.raises(UserError, match="--announce"):
        async with running_peer(one, join=False):
            pass


async def test_everywhere_is_fine_with_an_announced_address(tmp_path: Path) -> None:
    one = peer(tmp_path, announce=("/ip4/203.0.113.7/tcp/4101",))
    async with running_peer(one, join=False):
        assert recorded(one) == ("/ip4/203.0.113.7/tcp/4101",)


def test_an_announced_address_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="multiaddr"):
        peer(tmp_path, announce=("my.house:4101",))


def certificate_files(folder: Path, *names: str) -> dict[str, str]:
    """The settings for a certificate of these names, and the authority that issued it."""
    authority = trustme.CA()
    issued = authority.issue_cert(*names)
    issued.private_key_and_cert_chain_pem.write_to_path(folder / "both.pem")
    authority.cert_pem.write_to_path(folder / "authority.pem")
    return {"tls_certificate": str(folder / "both.pem"), "tls_authority": str(folder / "authority.pem")}


async def test_a_peer_listens_on_several_transports_and_says_all_of_them(tmp_path: Path) -> None:
    tls = certificate_files(tmp_path, "127.45.3.1")
    one = peer(tmp_path, listen=tuple(f"/ip4/127.45.3.1/tcp/0{over}" for over in ("/wss", "/ws", "")), **tls)
    async with running_peer(one, join=False):
        secure, plain, tcp = recorded(one)
        assert secure.endswith("/tls/ws")
        assert plain.endswith("/ws")
        assert tcp.startswith("/ip4/127.45.3.1/tcp/")
        assert one.swarm._bind == "127.45.3.1"
        (tmp_path / "two").mkdir()
        two = peer(tmp_path / "two", listen="/ip4/127.45.4.1/tcp/0", tls_authority=tls["tls_authority"])
        async with running_peer(two, join=False):
            for address in (secure, plain, tcp):
                connection = await two.swarm.connect(one.peer_id, [parse_address(address)])
                assert connection.observed == "/ip4/127.45.3.1"
                assert one.swarm.connection_count >= 1
                connection.close()
                await connection.closed.wait()


async def test_one_address_that_nobody_could_dial_is_enough_not_to_start(tmp_path: Path) -> None:
    one = peer(tmp_path, listen=("/ip4/127.45.5.1/tcp/0", "/ip4/0.0.0.0/tcp/0/ws"))
    with pytest.raises(UserError, match=r"cannot dial /ip4/0\.0\.0\.0/tcp/0/ws.*--announce"):
        async with running_peer(one, join=False):
            pass


async def test_a_peer_that_should_listen_over_tls_without_a_certificate_does_not_start(tmp_path: Path) -> None:
    one = peer(tmp_path, listen="/ip4/127.45.5.1/tcp/0/tls/ws")
    with pytest.raises(UserError, match="--tls-certificate FILE"):
        async with running_peer(one, join=False):
            pass


async def test_behind_a_reverse_proxy_the_proxys_name_is_announced(tmp_path: Path) -> None:
    """Nothing can be dialled from a loopback address, so connections do not leave from it."""
    network = NetworkConfig(
        listen=("/ip4/127.0.0.1/tcp/0/ws",), announce=("/dns4/peer.example/tcp/443/wss",), behind_proxy=True
    )
    one = Peer(PeerKeys.of(Home.at(tmp_path), SUITE), network, ["relay"])
    async with running_peer(one, join=False):
        assert recorded(one) == ("/dns4/peer.example/tcp/443/tls/ws",)
        assert one.swarm._bind is None
        assert str(one.swarm.listening[0]).startswith("/ip4/127.0.0.1/tcp/")


@pytest.mark.parametrize(
    ("test", "listen", "bind"),
    [
        (False, ("/ip4/0.0.0.0/tcp/1",), None),
        (False, ("/ip6/::/tcp/1", "/ip4/203.0.113.7/tcp/1/ws"), "203.0.113.7"),
        (False, ("/ip4/127.0.0.1/tcp/1/ws", "/ip4/192.168.1.7/tcp/1"), "192.168.1.7"),
        (False, ("/ip6/::1/tcp/1/ws",), None),
        (True, ("/ip4/127.45.6.1/tcp/1/ws", "/ip4/127.45.7.1/tcp/1"), "127.45.6.1"),
    ],
)
def test_connections_leave_from_the_first_definite_address(
    test: bool, listen: tuple[str, ...], bind: str | None
) -> None:
    keys = Keypair.from_seed(b"k" * 32, SUITE)
    assert swarm_of(NetworkConfig(test=test, listen=listen), keys, SUITE)._bind == bind


def test_no_more_addresses_than_a_record_holds(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="at most 8 addresses, not 9"):
        peer(tmp_path, listen=[f"/ip4/127.45.8.1/tcp/{port}/ws" for port in range(4101, 4110)])
