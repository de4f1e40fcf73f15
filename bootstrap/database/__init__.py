"""The operator's database: accounts, money, hosts and privacy rights. The ledger has a store of its own.

Rules:

1. All access is by `read` and `write`, which run a function in one transaction. What it reads is one moment's state,
   and a `write` is as if it had run alone. It may run several times until it succeeds, so it has no other effects:
   a mail or a payment is a row in an outbox, which somebody else delivers.
2. Statements are written once for both kinds of database, with `:name` for values, never put together from
   input; no literal in one has a colon.
3. A column is an INTEGER of 64 bits, a TEXT or a BLOB. Times are whole seconds of the Unix epoch (`*_at_s`), amounts
   integers in microcredits or in a currency's smallest unit, truth is 0 or 1, ids are random text.
4. The schema is what the numbered scripts in `migrations/` make, one after the other.
5. Every column has a class of data with a period of retention (`bootstrap.retention`).

`open_database` opens SQLite by a path and PostgreSQL by a URL. Both pass `tests/unit/test_database.py`.
"""

from bootstrap.database.opening import open_database
from bootstrap.database.port import Database, DatabaseBusy, Row, Transaction, UniqueViolation, Value

__all__ = ["Database", "DatabaseBusy", "Row", "Transaction", "UniqueViolation", "Value", "open_database"]
