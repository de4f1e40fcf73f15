"""People for tests: accounts made without the work that signing up is."""

from typing import Any

from bootstrap.database import Database, Transaction

__all__ = ["everything", "make_account"]


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


def everything(database: Database, *, but: tuple[str, ...] = ()) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of all tables, some left out."""

    def look(transaction: Transaction) -> dict[str, list[tuple[Any, ...]]]:
        return {table: transaction.rows(f"SELECT * FROM {table}") for table in tables}

    tables = sorted(set(database.tables()) - {"schema_version", *but})
    return database.read(look)
