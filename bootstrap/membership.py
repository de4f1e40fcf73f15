"""Who keeps the ledger together: how the bootstrap nodes of a network come to one policy.

Each node writes what it adds (its log, its witness, its validator, its address) into a draft beside the file that
`--write-network` names. When the draft has as many as the network is to have, it becomes the file: the policy that all
peers of the network are given. On one machine the nodes share the draft; between machines operators hand it on, for it
holds nothing secret. The file appears whole or not at all: a policy with fewer members would ask for fewer
cosignatures.

A node that is started again finds itself in the file; its address may be another one then.
"""

import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import trio
from attrs import evolve

from peernet.core.errors import RemoteProtocolError, UserError
from peernet.core.ledger.policy import LedgerPolicy, PolicyMember, compose_policy
from peernet.node.config import NetworkConfig, load_table
from peernet.node.policy import policy_of

__all__ = ["draft_of", "network_toml", "write_member"]

FILE_MODE: Final = 0o644
POLL_S: Final = 0.1


async def write_member(file: Path, member: PolicyMember, nodes: int, *, test: bool) -> NetworkConfig:
    """Adds a node to the network of `nodes` bootstrap nodes; returns the network when all of them are there.

    Raises `UserError` when the file or the draft is another network's, or is full.
    """
    with _locked(file.parent):
        if not _renew(file, member, nodes, test=test):
            _add_to_draft(file, member, nodes, test=test)
    await _wait_for(trio.Path(file))
    network: NetworkConfig = load_table(file, "network", NetworkConfig, {})
    if member not in policy_of(network).members():
        raise UserError(f"{file} was written without this node: remove it and {draft_of(file)}, and start all again")
    return network


async def _wait_for(file: trio.Path) -> None:
    while not await file.exists():  # noqa: ASYNC110  (another process makes the file: it has no event for us)
        await trio.sleep(POLL_S)


def draft_of(file: Path) -> Path:
    """Where the members are collected until all are there."""
    return file.with_name(f"{file.name}.draft")


def network_toml(policy: LedgerPolicy, *, test: bool) -> str:
    """The `[network]` table that others join by."""
    addresses = [member.url for member in policy.members()]
    text = policy.text()
    lines = [
        "[network]",
        f"bootstrap = {json.dumps(addresses)}",
        # Literal, for people to read; a name with three apostrophes in it takes the other form.
        f"policy = '''\n{text}'''" if "'''" not in text else f"policy = {json.dumps(text, ensure_ascii=False)}",
        f"test = {str(test).lower()}",
        "",
    ]
    return "\n".join(lines)


def _renew(file: Path, member: PolicyMember, nodes: int, *, test: bool) -> bool:
    """Whether the file was there with this node in it, or stands for this node alone; it then has its address."""
    known = _members(file)
    if any(_same_node(other, member) for other in known):
        if len(known) != nodes:
            raise UserError(f"{file} has {len(known)} bootstrap nodes, not {nodes}: say so with --bootstraps")
        members = [member if _same_node(other, member) else other for other in known]
    elif nodes == 1:
        members = [member]
    elif file.exists():
        raise UserError(
            f"{file} is there already, without this node: remove it to begin a new network of {nodes} bootstrap nodes"
        )
    else:
        return False
    _replace(file, network_toml(_compose(members), test=test))
    return True


def _add_to_draft(file: Path, member: PolicyMember, nodes: int, *, test: bool) -> None:
    draft = draft_of(file)
    others = [other for other in _members(draft) if not _same_node(other, member)]
    if len(others) >= nodes:
        raise UserError(f"{draft} has {len(others)} bootstrap nodes already: remove it if they are of another network")
    policy = _compose([*others, member])
    complete = len(others) + 1 == nodes
    _replace(file if complete else draft, network_toml(policy, test=test))
    if complete:
        draft.unlink(missing_ok=True)


def _members(file: Path) -> list[PolicyMember]:
    if not file.exists():
        return []
    network: NetworkConfig = load_table(file, "network", NetworkConfig, {})
    return list(policy_of(network).members()) if network.policy else []


def _same_node(one: PolicyMember, other: PolicyMember) -> bool:
    return evolve(one, url="") == evolve(other, url="")


def _compose(members: Sequence[PolicyMember]) -> LedgerPolicy:
    try:
        return compose_policy(members)
    except RemoteProtocolError as error:
        raise UserError(
            f"these bootstrap nodes do not make a policy: {error}. Give each a name of its own with --origin, and "
            "keys of its own with --home"
        ) from error


def _replace(file: Path, text: str) -> None:
    part = file.with_name(f"{file.name}.part")
    part.write_text(text, "utf-8")
    part.chmod(FILE_MODE)
    part.replace(file)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Holds the folder for one node at a time."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except FileNotFoundError as error:
        raise UserError(f"the folder {folder} does not exist: make it first") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
