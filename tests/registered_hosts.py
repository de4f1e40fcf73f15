"""Hosts for tests of the registry: accounts, signed registrations, and a network that answers as it is told."""

from collections.abc import Collection, Mapping

from attrs import define, evolve, field, frozen

from bootstrap.database import Transaction
from bootstrap.hosts.agreement import CURRENT_VERSION, agreement
from bootstrap.hosts.codes import new_code
from bootstrap.hosts.network import SeenHost
from bootstrap.hosts.registering import Declared, DeclaredModel, Registration, register_host
from peernet.core.host_statements import HostAgreement, sign, sign_payout_key
from peernet.core.identity import Keypair
from peernet.core.suite import MixedSuite

__all__ = ["ORIGIN", "SUITE", "FakeNetwork", "HostKeys", "add_account", "add_host", "keys_of", "registration"]

SUITE = MixedSuite()
ORIGIN = "http://127.0.0.1:8470"
DECLARED = Declared(
    cores=8,
    memory_mib=32_768,
    gpus=("Testcard 9000",),
    engine="embedded",
    software="peernet/1",
    models=(DeclaredModel("small", b"\x01" * 32),),
)


@frozen
class HostKeys:
    """The two keys of a host."""

    peer: Keypair
    payout: Keypair


def keys_of(number: int) -> HostKeys:
    """A host's keys, the same for the same number."""
    return HostKeys(*(Keypair.from_seed(bytes([kind, *number.to_bytes(3, "big")]) * 8, SUITE) for kind in (1, 2)))


def add_account(transaction: Transaction, name: str, *roles: str, state: str = "active", notice: str = "1") -> str:
    """An account whose id, name and address are `name`."""
    transaction.execute(
        "INSERT INTO account (id, email, email_key, display_name, password_hash, state, created_at_s, notice_version,"
        " notice_at_s) VALUES (:id, :email, :email, :id, '', :state, 1, :notice, 1)",
        id=name,
        email=f"{name}@example.org",
        state=state,
        notice=notice,
    )
    for role in roles:
        transaction.execute("INSERT INTO account_role VALUES (:id, :role, 1)", id=name, role=role)
    return name


def registration(keys: HostKeys, code: str, *, signer: HostKeys | None = None, **changes: object) -> Registration:
    """What a host sends; `changes` are to the statement, and `signer` signs in its place."""
    statement = HostAgreement(
        ORIGIN, CURRENT_VERSION, agreement().digest, code, keys.peer.public_key, keys.payout.public_key
    )
    statement = evolve(statement, **changes)
    by = signer or keys
    return Registration(
        statement,
        sign(statement, by.peer.seed, SUITE),
        sign_payout_key(statement, by.payout.seed, SUITE),
        "cellar",
        DECLARED,
    )


def add_host(transaction: Transaction, account_id: str, number: int = 1, now_s: int = 1_000) -> str:
    """A host of this account, registered as hosts are; returns its id."""
    code = new_code(transaction, account_id, now_s)
    return register_host(transaction, registration(keys_of(number), code), SUITE, ORIGIN, now_s)


@define
class FakeNetwork:
    """A `HostNetwork` that answers as it is told."""

    seen: dict[bytes, SeenHost] = field(factory=dict)
    round_trips_s: dict[bytes, float] = field(factory=dict)
    left_out: frozenset[bytes] = frozenset()
    refused: frozenset[bytes] = frozenset()

    def seen_hosts(self) -> Mapping[bytes, SeenHost]:
        return self.seen

    async def round_trip_s(self, peer_key: bytes) -> float | None:
        return self.round_trips_s.get(peer_key)

    def leave_out(self, peer_keys: Collection[bytes]) -> None:
        self.left_out = frozenset(peer_keys)

    def refuse_lanes(self, lane_keys: Collection[bytes]) -> None:
        self.refused = frozenset(lane_keys)
