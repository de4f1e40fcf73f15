"""`peernet identity`: who this node is, and where its keys are; and the key of a private swarm, which many share."""

import argparse
import json
from pathlib import Path

from peernet.cli.options import add_home, home_of

HELP = "show this node's keys and where they are kept"


def configure(parser: argparse.ArgumentParser) -> None:
    """The options."""
    add_home(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument(
        "--make-swarm-key",
        type=Path,
        metavar="FILE",
        help="write a fresh key of a private swarm instead, for the --swarm-key FILE of all its members",
    )


def run(arguments: argparse.Namespace) -> int:
    """Shows the public side of the keys, which are made on first use; or makes a swarm key."""
    if arguments.make_swarm_key is not None:
        from peernet.net.swarm_key import make_swarm_key

        make_swarm_key(arguments.make_swarm_key)
        made = str(arguments.make_swarm_key)
        text = f"{made} is the key of a new private swarm: give it to its members, who run with --swarm-key FILE"
        print(json.dumps({"swarm_key_file": made}) if arguments.json else text)
        return 0
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
