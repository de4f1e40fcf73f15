"""`peernet identity`: who this node is, and where its keys are."""

import argparse
import json

from peernet.cli.options import add_home, home_of

HELP = "show this node's keys and where they are kept"


def configure(parser: argparse.ArgumentParser) -> None:
    """The options."""
    add_home(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """Shows the public side of the keys, which are made on first use."""
    from peernet.core.suite import MixedSuite
    from peernet.node.peer import PeerKeys

    home = home_of(arguments)
    suite = MixedSuite()
    keys = PeerKeys.of(home, suite)
    facts = {
        "peer": str(keys.identity.peer_id),
        "operator_key": keys.operator.public_key.hex(),
        "payout_key": suite.ed25519_public(home.seed("payout")).hex(),
        "keys": str(home.config / "keys"),
        "state": str(home.state),
        "models": str(home.models),
    }
    if arguments.json:
        print(json.dumps(facts))
    else:
        for name, value in facts.items():
            print(f"{name.replace('_', ' '):14} {value}")
    return 0
