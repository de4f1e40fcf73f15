"""P6, as far as there is data to keep: the ledger's times are coarse, and no file of others names the client."""

from pathlib import Path

import pytest

from peernet.core.ledger.entries import Grant, decode_entry
from tests.policy.test_p04_unlinkability import leaves_of
from tests.policy.whole_network import detector, running_network

pytestmark = pytest.mark.swarm


async def test_what_is_kept_has_coarse_times_and_no_addresses_of_clients(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finder = detector()
    async with (
        running_network(tmp_path, monkeypatch) as network,
        network.client(finder) as client,
        client.conversation() as session,
    ):
        await session.ask("What is a good name for a boat?", lambda _: None)
    entries = [decode_entry(leaf) for path in tmp_path.rglob("ledger.sqlite") for leaf in leaves_of(path)]
    assert entries
    times = [entry.at_s for entry in entries] + [entry.expires_at_s for entry in entries if isinstance(entry, Grant)]
    assert [time % 60 for time in times] == [0] * len(times)
    others = {name: content for name, content in network.files().items() if not name.startswith("client")}
    assert others
    for name, content in others.items():
        assert network.client_address.encode() not in content, name
        assert str(client.network.swarm.peer_id).encode() not in content, name
