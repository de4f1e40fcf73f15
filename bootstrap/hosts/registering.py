"""Registering a host: two signatures under the agreement tie a peer key and a payout key to an account.

Rules:

1. The version that is signed is the one in force, and the digest that of its text here.
2. The peer key and the payout key are two keys, and each signs; the payout key is no other host's.
3. The statement names this portal and the code, so it is good here and once (`core.host_statements`).
4. A peer key belongs to one account for good. Registering it again from there signs a newer version, brings a payout
   key of its own choice, or ends its retirement; it changes nothing about sanctions, and a removed host stays removed.
"""

from collections.abc import Sequence
from typing import Final

from attrs import evolve, frozen

from bootstrap.database import Transaction
from bootstrap.hosts.agreement import CURRENT_VERSION, agreement
from bootstrap.hosts.codes import take_code
from bootstrap.ids import new_id
from bootstrap.people.access_log import note_access
from bootstrap.people.names import checked_name
from bootstrap.refusal import Refused
from peernet.core.host_statements import HostAgreement, is_signed, proves_payout_key
from peernet.core.suite import CipherSuite

__all__ = ["MAX_HOSTS", "Declared", "DeclaredModel", "Registration", "checked_host_name", "register_host"]

MAX_HOSTS: Final = 500
"""Of one account."""


@frozen
class DeclaredModel:
    """A model that the host says it serves."""

    name: str
    digest: bytes


@frozen
class Declared:
    """What `peernet host` found out about its machine."""

    cores: int
    memory_mib: int
    gpus: Sequence[str]
    engine: str
    software: str
    models: Sequence[DeclaredModel]


@frozen
class Registration:
    """What a host sends to be registered."""

    statement: HostAgreement
    signature: bytes
    payout_signature: bytes
    name: str
    declared: Declared


def register_host(transaction: Transaction, sent: Registration, suite: CipherSuite, origin: str, now_s: int) -> str:
    """Registers the host, and returns its id; raises `Refused`.

    `origin` is this portal's own.
    """
    statement = sent.statement
    _check_statement(sent, suite, origin)
    sent = evolve(sent, name=checked_host_name(sent.name))
    account_id = take_code(transaction, statement.code, now_s)
    account = transaction.row("SELECT state FROM account WHERE id = :id", id=account_id)
    if account is None or account[0] != "active":
        raise Refused("this account cannot register hosts now: see the portal", reason="suspended")
    known = transaction.row("SELECT id, account_id, state FROM host WHERE peer_key = :key", key=statement.peer_key)
    if known is None:
        host_id = _new_host(transaction, sent, account_id, now_s)
    else:
        host_id, owner, state = known
        if owner != account_id:
            raise Refused(
                "this host is registered already, with another account: make the host a new key to move it",
                reason="taken",
            )
        if state == "removed":
            raise Refused("this host was removed for good", reason="removed")
        _renew_host(transaction, sent, host_id)
    _tie_payout_key(transaction, statement.payout_key, account_id, host_id, now_s)
    _keep_signature(transaction, sent, account_id, host_id, now_s)
    _declare_models(transaction, sent.declared.models, host_id, now_s)
    transaction.execute(
        "INSERT INTO account_role (account_id, role, given_at_s) VALUES (:account, 'host', :now)"
        " ON CONFLICT (account_id, role) DO NOTHING",
        account=account_id,
        now=now_s,
    )
    note_access(transaction, "host_registered", now_s=now_s, by=account_id, about=account_id, thing=f"host/{host_id}")
    return host_id


def checked_host_name(given: str) -> str:
    """A host's name to show; raises `Refused`."""
    try:
        return checked_name(given)
    except Refused as refusal:
        said = str(refusal).replace("a display name", "a name")
        raise Refused(said, reason=refusal.reason, field="name") from refusal


def _check_statement(sent: Registration, suite: CipherSuite, origin: str) -> None:
    statement = sent.statement
    if statement.version != CURRENT_VERSION:
        raise Refused(
            f"the agreement in force is version {CURRENT_VERSION}: read and sign that one",
            reason="old_agreement",
            field="version",
        )
    if statement.digest != agreement().digest:
        raise Refused(
            "what was signed is not the agreement's text: fetch it again", reason="other_text", field="digest"
        )
    if statement.portal != origin:
        raise Refused(f"what was signed is for another portal than {origin}", reason="other_portal", field="portal")
    if statement.peer_key == statement.payout_key:
        raise Refused("the payout key must not be the peer key", reason="same_key", field="payout_key")
    if not is_signed(statement, sent.signature, suite):
        raise Refused("the host's key has not signed this", reason="bad_signature", field="signature")
    if not proves_payout_key(statement, sent.payout_signature, suite):
        raise Refused("the payout key has not signed this", reason="bad_signature", field="payout_signature")


def _new_host(transaction: Transaction, sent: Registration, account_id: str, now_s: int) -> str:
    row = transaction.row(
        "SELECT count(*) FROM host WHERE account_id = :account AND retired_at_s IS NULL", account=account_id
    )
    assert row is not None
    if row[0] >= MAX_HOSTS:
        raise Refused(f"an account has at most {MAX_HOSTS} hosts", reason="too_many_hosts")
    host_id = new_id()
    declared = sent.declared
    made = transaction.execute(
        "INSERT INTO host (id, account_id, peer_key, name, state, state_at_s, registered_at_s, cores, memory_mib,"
        " gpus, engine, software) VALUES (:id, :account, :key, :name, 'active', :now, :now, :cores, :memory, :gpus,"
        " :engine, :software) ON CONFLICT (peer_key) DO NOTHING",
        id=host_id,
        account=account_id,
        key=sent.statement.peer_key,
        name=sent.name,
        now=now_s,
        cores=declared.cores,
        memory=declared.memory_mib,
        gpus="\n".join(declared.gpus),
        engine=declared.engine,
        software=declared.software,
    )
    if not made:
        raise Refused("this host is being registered by somebody else: try again", reason="taken")
    return host_id


def _renew_host(transaction: Transaction, sent: Registration, host_id: str) -> None:
    declared = sent.declared
    transaction.execute(
        "UPDATE host SET name = :name, cores = :cores, memory_mib = :memory, gpus = :gpus, engine = :engine,"
        " software = :software, retired_at_s = NULL WHERE id = :id",
        id=host_id,
        name=sent.name,
        cores=declared.cores,
        memory=declared.memory_mib,
        gpus="\n".join(declared.gpus),
        engine=declared.engine,
        software=declared.software,
    )


def _tie_payout_key(transaction: Transaction, key: bytes, account_id: str, host_id: str, now_s: int) -> None:
    taken = transaction.execute(
        "INSERT INTO payout_key (public_key, account_id, host_id, registered_at_s)"
        " VALUES (:key, :account, :host, :now) ON CONFLICT (public_key) DO NOTHING",
        key=key,
        account=account_id,
        host=host_id,
        now=now_s,
    )
    if not taken:
        row = transaction.row("SELECT host_id FROM payout_key WHERE public_key = :key", key=key)
        if row is None or row[0] != host_id:
            raise Refused(
                "this payout key is another host's: each host has one of its own", reason="taken", field="payout_key"
            )


def _keep_signature(transaction: Transaction, sent: Registration, account_id: str, host_id: str, now_s: int) -> None:
    statement = sent.statement
    transaction.execute(
        "INSERT INTO host_agreement (id, host_id, account_id, version, digest, portal, code, payout_key, signature,"
        " payout_signature, signed_at_s) VALUES (:id, :host, :account, :version, :digest, :portal, :code, :payout,"
        " :signature, :payout_signature, :now)",
        id=new_id(),
        host=host_id,
        account=account_id,
        version=statement.version,
        digest=statement.digest,
        portal=statement.portal,
        code=statement.code,
        payout=statement.payout_key,
        signature=sent.signature,
        payout_signature=sent.payout_signature,
        now=now_s,
    )


def _declare_models(transaction: Transaction, models: Sequence[DeclaredModel], host_id: str, now_s: int) -> None:
    transaction.execute("DELETE FROM host_model WHERE host_id = :host AND source = 'declared'", host=host_id)
    for model in {model.name: model for model in models}.values():
        transaction.execute(
            "INSERT INTO host_model (host_id, name, source, digest, seen_at_s)"
            " VALUES (:host, :name, 'declared', :digest, :now)",
            host=host_id,
            name=model.name,
            digest=model.digest,
            now=now_s,
        )
