"""`peernet wallet`: the credits of this machine, and how more get here."""

import argparse
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from peernet.cli.options import add_home, add_network, home_of, network_of, table_of

if TYPE_CHECKING:
    from peernet.client.purse import Purse

HELP = "show, withdraw and import the credits that pay for lanes"
TOKEN: Final = "PEERNET_PORTAL_TOKEN"  # noqa: S105  (a variable's name)


def configure(parser: argparse.ArgumentParser) -> None:
    """The options."""
    actions = parser.add_subparsers(metavar="ACTION", dest="action", required=True)
    balance = actions.add_parser("balance", help="what is in the purse, and what is under way")
    add_home(balance)
    imported = actions.add_parser("import", help="add the credits of a file, once they are verified")
    imported.add_argument("file", type=Path, metavar="FILE")
    withdrawn = actions.add_parser("withdraw", help="have a portal sign credits, and charge your account")
    withdrawn.add_argument("amount_microcredits", type=int, metavar="MICROCREDITS", nargs="?", default=100_000)
    withdrawn.add_argument(
        "--portal", metavar="URL", help="the portal's address, if not in [client] of the configuration"
    )
    withdrawn.add_argument(
        "--token-file", type=Path, metavar="FILE", help=f"a file with the portal's token, if not in {TOKEN}"
    )
    withdrawn.add_argument("--class", dest="credit_class", choices=("bought", "granted"), default="bought")
    withdrawn.add_argument(
        "--denomination",
        type=int,
        metavar="N",
        help="of every credit; without it, some of each that pay any amount closely",
    )
    for action in (imported, withdrawn):
        add_home(action)
        add_network(action, listens=False)
    for action in (balance, imported, withdrawn):
        action.add_argument("--json", action="store_true", help="print one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """Does one of these; the balance is printed after it."""
    from contextlib import closing

    from peernet.client.purse import Purse

    with closing(Purse(home_of(arguments).state / "purse.sqlite")) as purse:
        added = {"import": _import, "withdraw": _withdraw}.get(arguments.action)
        count = None if added is None else added(arguments, purse)
        facts = _facts(purse)
        if arguments.json:
            print(json.dumps(facts if count is None else {"added": count, **facts}))
        else:
            if count is not None:
                print(f"{count} credits added")
            _print(facts)
    return 0


def _import(arguments: argparse.Namespace, purse: "Purse") -> int:
    from peernet.client.withdrawing import import_credits
    from peernet.core.suite import MixedSuite
    from peernet.node.policy import policy_of

    content = arguments.file.read_bytes()
    return import_credits(purse, content, policy_of(network_of(arguments)), MixedSuite())


def _withdraw(arguments: argparse.Namespace, purse: "Purse") -> int:
    from peernet.client.withdrawing import Portal, withdraw
    from peernet.core.credits.credits import DENOMINATIONS
    from peernet.core.errors import UserError
    from peernet.core.suite import MixedSuite
    from peernet.node.config import ClientConfig
    from peernet.node.policy import policy_of

    config: ClientConfig = table_of(arguments, "client", ClientConfig)
    if not config.portal:
        raise UserError("which portal? Give its address with --portal URL, or as portal in [client] of config.toml")
    if arguments.denomination not in {None, *DENOMINATIONS}:
        raise UserError(f"--denomination {arguments.denomination}: choose one of {', '.join(map(str, DENOMINATIONS))}")
    if arguments.token_file is not None:
        token = arguments.token_file.read_text("utf-8").strip()
    else:
        token = os.environ.get(TOKEN, "")
        if not token:
            raise UserError(f"the portal's token is missing: put it into {TOKEN}, or a file, with --token-file FILE")
    return withdraw(
        purse,
        Portal.at(config.portal, token),
        arguments.amount_microcredits,
        arguments.credit_class,
        policy_of(network_of(arguments)),
        MixedSuite(),
        denomination=arguments.denomination,
    )


def _facts(purse: "Purse") -> dict[str, Any]:
    balance = purse.balance()
    lanes = purse.lanes()
    return {
        "microcredits": sum(worth * count for kinds in balance.values() for worth, count in kinds.items()),
        "credits": {
            credit_class: {str(worth): count for worth, count in kinds.items()}
            for credit_class, kinds in balance.items()
        },
        "lanes_asked_for": sum(not lane.funded for lane in lanes),
        "lanes_with_change_to_come": sum(lane.funded for lane in lanes),
        "withdrawals_under_way": len(purse.withdrawals()),
    }


def _print(facts: dict[str, Any]) -> None:
    print(f"{'balance':14} {facts['microcredits']} microcredits")
    for credit_class, kinds in facts["credits"].items():
        print(f"{credit_class:14} " + ", ".join(f"{count} of {worth}" for worth, count in kinds.items()))
    for name in ("lanes_asked_for", "lanes_with_change_to_come", "withdrawals_under_way"):
        if facts[name]:
            print(f"{facts[name]} {name.replace('_', ' ')}")
