"""How bootstrap nodes come to one policy: each writes itself down, and the file appears when all have."""

import tomllib

import pytest
import trio
from attrs import evolve

from bootstrap.membership import draft_of, network_toml, write_member
from peernet.core.errors import UserError
from peernet.core.ledger.policy import compose_policy, parse_policy
from peernet.node.config import NetworkConfig, load_table
from tests.ledger_nodes import nodes_in


@pytest.fixture
def members(tmp_path):
    found = [node.member for node in nodes_in(tmp_path, None)[0]]
    return [evolve(member, url=f"/ip4/127.0.0.{number}/tcp/1") for number, member in enumerate(found)]


@pytest.fixture
def file(tmp_path):
    return tmp_path / "network.toml"


async def start_all(file, members):
    networks = []

    async def start(member):
        networks.append(await write_member(file, member, len(members), test=True))

    async with trio.open_nursery() as nursery:
        for member in members:
            nursery.start_soon(start, member)
    return networks


async def test_the_file_appears_when_all_are_there(file, members):
    networks = await start_all(file, members)
    assert len({network.policy for network in networks}) == 1
    assert parse_policy(networks[0].policy) == compose_policy(members)
    assert networks[0].bootstrap == tuple(member.url for member in members)
    assert networks[0].test
    assert not draft_of(file).exists()


async def test_nobody_goes_on_with_fewer(file, members, nursery):
    """A policy of three would ask for fewer cosignatures than that of four."""
    done = []

    async def start(member):
        await write_member(file, member, 4, test=True)
        done.append(member)

    for member in members[:3]:
        nursery.start_soon(start, member)
    await trio.testing.wait_all_tasks_blocked(0.02)
    assert not file.exists()
    assert len(parse_policy(load_table(draft_of(file), "network", NetworkConfig, {}).policy).logs) == 3
    with trio.fail_after(5):
        await write_member(file, members[3], 4, test=True)
    assert file.exists()


async def test_a_node_that_starts_again_has_its_address_renewed(file, members):
    await start_all(file, members)
    moved = evolve(members[1], url="/ip4/127.0.0.9/tcp/9")
    network = await write_member(file, moved, 4, test=True)
    assert parse_policy(network.policy) == compose_policy([members[0], moved, *members[2:]])


async def test_one_node_alone_needs_nobody(file, members):
    for member in members[:2]:
        network = await write_member(file, member, 1, test=False)
        assert parse_policy(network.policy).judge([member.validator.name]).describe() == "final (1 of 1)"


async def test_what_does_not_fit_together_says_so(file, members):
    await start_all(file, members[:2])
    with pytest.raises(UserError, match="is there already, without this node"):
        await write_member(file, members[2], 2, test=True)
    with pytest.raises(UserError, match="has 2 bootstrap nodes, not 4"):
        await write_member(file, members[0], 4, test=True)
    file.unlink()
    draft_of(file).write_text(network_toml(compose_policy(members[:2]), test=True))
    with pytest.raises(UserError, match="has 2 bootstrap nodes already"):
        await write_member(file, members[3], 2, test=True)
    twin = evolve(members[3], log=members[0].log)
    with pytest.raises(UserError, match="do not make a policy"):
        await write_member(file, twin, 3, test=True)
    with pytest.raises(UserError, match="does not exist"):
        await write_member(file.parent / "gone" / "network.toml", members[0], 2, test=True)


def test_the_file_is_read_as_it_was_written(members):
    policy = compose_policy(members)
    read = tomllib.loads(network_toml(policy, test=True))["network"]
    assert read["policy"] == policy.text()
    odd = evolve(members[0], url="'''")
    policy = compose_policy([odd])
    assert tomllib.loads(network_toml(policy, test=True))["network"]["policy"] == policy.text()
