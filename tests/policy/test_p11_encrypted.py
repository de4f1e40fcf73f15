"""P11, between peers: all that passes is encrypted, whoever answers is who was called, and no bit can be changed."""

from pathlib import Path

import pytest

from peernet.core.errors import ConnectionFailed
from peernet.core.offers import OFFERS_PROTOCOL
from peernet.net.addresses import dialable
from tests.policy.whole_network import CLIENT, detector, running_network

pytestmark = pytest.mark.swarm

QUESTION = "Which quokkasail would suit a boat of six metres?"


async def test_no_socket_carries_readable_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    finder = detector()
    async with running_network(tmp_path, monkeypatch) as network, network.client(finder) as client:
        async with client.conversation() as session:
            answered = await session.ask(QUESTION, lambda _: None)
        assert answered.complete
        assert any(QUESTION in seen.engine for seen in network.of("host").values())
        for name, seen in network.seen.items():
            captured = bytes(seen.wire)
            assert len(captured) > 1024, name
            assert b"quokkasail" not in captured, name
            # What peers say of themselves is public, and still not said in the clear.
            assert b"smollm2" not in captured, name


async def test_a_peer_with_another_key_is_hung_up_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running_network(tmp_path, monkeypatch) as network, network.client(detector()) as client:
        meant, other = client.network.directory.hosts_of(client.config.model)[:2]
        addresses = dialable(other[0].record.addresses, allow_private=True)
        with pytest.raises(ConnectionFailed):
            async with await client.network.swarm.open_stream(meant[0].peer, addresses, OFFERS_PROTOCOL):
                pass
        assert network.seen[CLIENT].wire
