"""People for tests: accounts made without the work that signing up is."""

from typing import Any

from bootstrap.database import Database, Transaction

__all__ = ["everything", "make_account", "make_host"]


def make_account(
    database: Database,
    name: str = "ann",
    *roles: str,
    state: str = "active",
    notice: str = "2026-11",
    profile: str = "",
    now_s: int = 1_000_000,
) -> str:
    """An account with the address `NAME@mail.example`; returns its id."""
    account_id = f"{name}-account"

    def work(transaction: Transaction) -> None:
        transaction.execute(
            "INSERT INTO account (id, email, email_key, display_name, profile, password_hash, state, created_at_s,"
            " verified_at_s, notice_version, notice_at_s)"
            " VALUES (:id, :email, :email, :name, :profile, :hash, :state, :now, :now, :notice, :now)",
            id=account_id,
            email=f"{name}@mail.example",
            name=f"{name.title()} of Example",
            profile=profile,
            hash=f"hash of {name}",
            state=state,
            notice=notice,
            now=now_s,
        )
        for role in roles:
            transaction.execute(
                "INSERT INTO account_role VALUES (:id, :role, :now)", id=account_id, role=role, now=now_s
            )

    database.write(work)
    return account_id


def make_host(database: Database, account: str, *, name: str = "lake", now_s: int = 1_000_000) -> str:
    """A host of the account, named in public, with all that can be known of one; returns its id."""
    host_id = f"host of {account}"
    key = account.encode()

    def work(transaction: Transaction) -> None:
        transaction.execute(
            "INSERT INTO host (id, account_id, peer_key, name, named_in_public, state, state_at_s, registered_at_s,"
            " cores, memory_mib, gpus, engine, software, region)"
            " VALUES (:id, :account, :key, :name, 1, 'active', :now, :now, 8, 1024, :gpus, 'embedded', '1', :region)",
            id=host_id, account=account, key=key, name=name, now=now_s, gpus=f"GPU of {account}",
            region=f"region of {account}",
        )  # fmt: skip
        transaction.execute(
            "INSERT INTO payout_key VALUES (:key, :account, :id, 1)", key=key, account=account, id=host_id
        )
        transaction.execute(
            "INSERT INTO host_agreement VALUES (:id, :id, :account, '1', :key, 'p', 'c', :key, :key, :key, :now)",
            id=host_id, account=account, key=key, now=now_s,
        )  # fmt: skip
        transaction.execute(
            "INSERT INTO host_model VALUES (:id, :name, 'declared', :key, 1)",
            id=host_id,
            key=key,
            name=f"model of {account}",
        )
        transaction.execute("INSERT INTO host_measured VALUES (:id, 1, 1, 1, 1, 1)", id=host_id)
        transaction.execute(f"INSERT INTO host_trial VALUES (:id, 'm'{', 1' * 22})", id=host_id)
        transaction.execute("INSERT INTO host_trial_due VALUES (:id, 1)", id=host_id)
        transaction.execute("INSERT INTO host_reported VALUES (:id, 1, 1, 1, 1, 1, 1, 1, 1, 1)", id=host_id)
        transaction.execute("INSERT INTO abuse_report VALUES (:id, :id, :key, 'x', 1, 1)", id=host_id, key=key)
        transaction.execute(
            "INSERT INTO sanction (id, host_id, kind, reason, explanation, source, given_at_s)"
            " VALUES (:id, :id, 'strike', 'slow', 'a secret explanation', 'operator', 1)",
            id=host_id,
        )
        transaction.execute(
            "INSERT INTO appeal (id, sanction_id, host_id, account_id, words, made_at_s)"
            " VALUES (:id, :id, :id, :account, 'My secret words.', 1)",
            id=host_id, account=account,
        )  # fmt: skip

    database.write(work)
    return host_id


def everything(database: Database, *, but: tuple[str, ...] = ()) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of all tables, some left out."""

    def look(transaction: Transaction) -> dict[str, list[tuple[Any, ...]]]:
        return {table: transaction.rows(f"SELECT * FROM {table}") for table in tables}

    tables = sorted(set(database.tables()) - {"schema_version", *but})
    return database.read(look)
