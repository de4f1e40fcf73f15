"""`peernet operator`: what the operator of a bootstrap node does beside running it: the first operator, backups."""

import argparse
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from peernet.cli.options import add_home, config_file, home_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bootstrap.backups import Backup

HELP = "back up, restore and look after a bootstrap node"


def configure(parser: argparse.ArgumentParser) -> None:
    """The options."""
    actions = parser.add_subparsers(metavar="ACTION", dest="action", required=True)
    backup = actions.add_parser("backup", help="copy all databases of a node, which may be running")
    add_home(backup)
    backup.add_argument("--to", type=Path, required=True, metavar="FOLDER", help="a new folder in it has the backup")
    backup.add_argument("--with-keys", action="store_true", help="copy the node's keys, too: keep it like the keys")
    restore = actions.add_parser("restore", help="put a backup back, while the node does not run")
    add_home(restore)
    restore.add_argument("backup", type=Path, metavar="FOLDER", help="the backup, with its backup.json")
    restore.add_argument(
        "--erasures", type=Path, metavar="FILE", help="the copy of erasures, if not where the configuration names it"
    )
    promote = actions.add_parser("promote", help="let somebody with an account work at the portal's desk")
    add_home(promote)
    promote.add_argument("email", metavar="EMAIL", help="the account's address, which its person has confirmed")
    purge = actions.add_parser("purge", help="delete the data that are past their time, as the running node does")
    add_home(purge)
    purge.add_argument("--dry-run", action="store_true", help="only count them")
    prune = actions.add_parser("prune", help="delete the backups that are past their time, as the running node does")
    prune.add_argument("folder", type=Path, metavar="FOLDER", help="the folder that the backups are in")


def run(arguments: argparse.Namespace) -> int:
    """Does the action."""
    from bootstrap.backups import back_up, prune, restore

    now_s = int(time.time())
    match arguments.action:
        case "backup":
            home = home_of(arguments)
            target = arguments.to / f"{datetime.fromtimestamp(now_s, UTC):%Y-%m-%dT%H%M%SZ}"
            made = back_up(
                home,
                target,
                now_s,
                with_keys=arguments.with_keys,
                postgres=_postgres(arguments),
                periods=_periods(arguments),
            )
            print(f"{target}: {_about(made)}")
        case "restore":
            put = restore(
                arguments.backup,
                home_of(arguments),
                postgres=_postgres(arguments),
                operator=_operators(arguments),
                erasures=_erasures(arguments),
                now_s=now_s,
            )
            print(f"restored from {arguments.backup}: {_about(put)}")
            print("when the node starts, it asks the others for its own log first, and signs nothing if it is behind")
        case "promote":
            print(_promote(arguments))
        case "purge":
            _purge(arguments, now_s)
        case _:
            for gone in prune(arguments.folder, now_s):
                print(f"deleted {gone}, which was past its time")
    return 0


def _promote(arguments: argparse.Namespace) -> str:
    """Gives an account the role `operator`; raises `UserError`."""
    from bootstrap.database import Transaction, open_database
    from bootstrap.people.accounts import account_by_address
    from bootstrap.people.addresses import parse_address
    from bootstrap.people.roles import give_role
    from bootstrap.portal.settings import PortalConfig
    from bootstrap.refusal import Refused
    from peernet.core.errors import UserError
    from peernet.node.config import load_table

    config: PortalConfig = load_table(config_file(arguments), "portal", PortalConfig, {})
    try:
        address = parse_address(arguments.email)
    except Refused as error:
        raise UserError(str(error)) from error

    def work(transaction: Transaction) -> None:
        account = account_by_address(transaction, address.key)
        if account is None:
            raise UserError("no account has this address: make one in the portal first")
        if account.state != "active":
            # Else whoever signed up first with the operator's address would be the operator.
            raise UserError(f"the account is {account.state}: the link that was sent to it must be opened first")
        give_role(transaction, account.id, "operator", int(time.time()), by=None)

    database = open_database(config.database or str(home_of(arguments).state / "operator.sqlite"))
    try:
        database.write(work)
    finally:
        database.close()
    return "done: the desk is at /desk, once the person has signed in"


def _purge(arguments: argparse.Namespace, now_s: int) -> None:
    from bootstrap.database import open_database
    from bootstrap.retention.purging import due_counts, purge

    database = open_database(_operators(arguments) or str(home_of(arguments).state / "operator.sqlite"))
    try:
        periods = _periods(arguments)
        if arguments.dry_run:
            counts = database.read(lambda transaction: due_counts(transaction, periods, now_s))
        else:
            counts = purge(database, periods, now_s)
    finally:
        database.close()
    for name, rows in counts.items():
        days = periods[name] // (24 * 3600)
        print(f"{name}: {rows} rows {'are' if arguments.dry_run else 'were'} past {days} days")


def _periods(arguments: argparse.Namespace) -> "Mapping[str, int]":
    from bootstrap.retention.periods import RetentionConfig, chosen_periods
    from peernet.node.config import load_table

    return chosen_periods(load_table(config_file(arguments), "retention", RetentionConfig, {}))


def _operators(arguments: argparse.Namespace) -> str:
    """Where the configuration says that the operator's database is; empty for where it is by default."""
    from bootstrap.portal.settings import PortalConfig
    from peernet.node.config import load_table

    return load_table(config_file(arguments), "portal", PortalConfig, {}).database


def _erasures(arguments: argparse.Namespace) -> Path | None:
    """The copy of erasures, where there is one."""
    from bootstrap.portal.settings import PortalConfig
    from peernet.node.config import load_table

    configured = load_table(config_file(arguments), "portal", PortalConfig, {}).erasures_copy
    return arguments.erasures or (Path(configured) if configured else None)


def _postgres(arguments: argparse.Namespace) -> list[str]:
    """The databases that the configuration has in PostgreSQL; one that both name is one."""
    from bootstrap.service import BootstrapConfig
    from peernet.node.config import load_table

    path = config_file(arguments)
    found = [
        _operators(arguments),
        load_table(path, "bootstrap", BootstrapConfig, {}).database,
    ]
    return list(dict.fromkeys(url for url in found if url.startswith(("postgresql://", "postgres://"))))


def _about(backup: "Backup") -> str:
    ledger = "the ledger in PostgreSQL" if backup.ledger_size is None else f"a ledger of {backup.ledger_size} entries"
    until = f"{datetime.fromtimestamp(backup.expires_at_s, UTC):%Y-%m-%d}"
    return f"{len(backup.files)} files, {ledger}; to be deleted by {until}"
