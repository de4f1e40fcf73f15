"""Options that commands share, and how they become configuration."""

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from attrs import evolve

from peernet.core.ring.paths import PROFILES
from peernet.node.config import PSEUDONYMS, NetworkConfig, load_table
from peernet.node.home import Home

__all__ = [
    "add_choice",
    "add_home",
    "add_network",
    "add_profile",
    "add_pseudonyms",
    "addresses_in",
    "config_file",
    "home_of",
    "network_of",
    "table_of",
]


def add_home(parser: argparse.ArgumentParser) -> None:
    """`--home`."""
    parser.add_argument("--home", type=Path, metavar="DIR", help="keep keys, configuration, state and models in DIR")


def add_network(parser: argparse.ArgumentParser, *, listens: bool, binds: bool = True) -> None:
    """The options about the network that this node belongs to; without `--listen` where a command has its own."""
    group = parser.add_argument_group("network")
    group.add_argument(
        "--network",
        type=Path,
        metavar="FILE",
        help="a TOML file with a [network] table, as 'peernet bootstrap' writes",
    )
    group.add_argument(
        "--bootstrap", action="append", metavar="ADDRESS", help="/ip4/../tcp/../p2p/12D3KooW.. (repeatable)"
    )
    group.add_argument("--ledger", metavar="KEY", help="the ledger's verifier key (origin+hash+key)")
    group.add_argument(
        "--test-network",
        action="store_true",
        default=None,
        help="dial addresses that are not on the public Internet, such as 127.0.0.1",
    )
    group.add_argument("--region", metavar="NAME", help="the region that this node says it is in")
    group.add_argument(
        "--tls-authority", metavar="FILE", help="trust these certificates, too, when dialling /tls/ws (PEM)"
    )
    group.add_argument(
        "--swarm-key", metavar="FILE", help="the key of a private swarm ('peernet identity --make-swarm-key FILE')"
    )
    if listens:
        _add_listening(group)
    about = "where to listen (repeatable)" if listens else "the address that connections leave from"
    about += ", such as /ip4/0.0.0.0/tcp/4101 or /ip4/../ws"
    if binds:
        group.add_argument("--listen", action="append", metavar="ADDRESS", help=about)


def _add_listening(group: argparse._ArgumentGroup) -> None:
    about = "where others reach this node, if not where it listens (repeatable)"
    group.add_argument("--announce", action="append", metavar="ADDRESS", help=about)
    group.add_argument("--tls-certificate", metavar="FILE", help="the certificate to listen on /tls/ws with (PEM)")
    group.add_argument("--tls-key", metavar="FILE", help="its key, if not in the same file (PEM)")
    group.add_argument(
        "--relay-reservations",
        type=int,
        metavar="N",
        help="hosts: how many relays to be reached through where others cannot dial this machine (2; 0 for none)",
    )
    group.add_argument(
        "--no-circuits",
        action="store_false",
        dest="circuits",
        default=None,
        help="relays: keep no places for hosts that cannot be dialled",
    )
    group.add_argument(
        "--behind-proxy",
        action="store_true",
        default=None,
        help="believe the X-Forwarded-For of a reverse proxy on this machine or network",
    )
    who = "a peer id, an IP address, or a network such as 203.0.113.0/24 (repeatable)"
    group.add_argument("--allow", action="append", metavar="WHO", help=f"connect with nobody but these: {who}")
    group.add_argument("--deny", action="append", metavar="WHO", help=f"never connect with these: {who}")
    group.add_argument(
        "--limits",
        choices=("home", "busy"),
        help="how much this node bears: home, or busy for one that many lean on",
    )


def add_profile(group: argparse._ArgumentGroup) -> None:
    """`--profile`."""
    about = "relays on each arc: guard and middle, or guard; paced: as private, at a cadence, which takes longer"
    group.add_argument("--profile", choices=tuple(PROFILES), help=about)


def add_pseudonyms(group: argparse._ArgumentGroup) -> None:
    """`--pseudonyms`."""
    about = "what hosts read in place of names: PERSON_K7, or realistic names that are nobody's (default: tag)"
    group.add_argument("--pseudonyms", choices=PSEUDONYMS, help=about)


def add_choice(group: argparse._ArgumentGroup) -> None:
    """What a client takes of the network: regions, and a weaker profile where it has to."""
    about = "ask only hosts that claim one of these regions, such as eu or eu-central,ch"
    group.add_argument("--host-regions", type=_regions, metavar="REGIONS", help=about)
    about = "use only relays that claim one of these regions"
    group.add_argument("--relay-regions", type=_regions, metavar="REGIONS", help=about)
    group.add_argument(
        "--allow-weaker-profile",
        action="store_true",
        dest="profile_fallback",
        default=None,
        help="go by the next profile down where the network is too small for yours, and say so",
    )


def _regions(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def addresses_in(texts: Iterable[str]) -> tuple[str, ...]:
    """All addresses of several options; one option may hold some, with commas between them."""
    return tuple(address for text in texts for address in text.split(","))


def home_of(arguments: argparse.Namespace) -> Home:
    """The node's folders."""
    return Home.at(arguments.home)


def config_file(arguments: argparse.Namespace) -> Path:
    """The node's configuration file."""
    return home_of(arguments).config / "config.toml"


def network_of(arguments: argparse.Namespace) -> NetworkConfig:
    """The network: the node's own file, `--network FILE` on top, flags on top of both."""
    network = load_table(config_file(arguments), "network", NetworkConfig, {})
    if arguments.network is not None:
        from peernet.core.errors import UserError

        if not arguments.network.exists():
            raise UserError(
                f"there is no file {arguments.network}: 'peernet bootstrap --write-network FILE' makes one"
            )
        network = load_table(arguments.network, "network", NetworkConfig, {})
    flags: dict[str, Any] = {
        "bootstrap": tuple(arguments.bootstrap) if arguments.bootstrap else None,
        "ledger": arguments.ledger,
        # A key on the command line is the whole policy.
        "policy": "" if arguments.ledger else None,
        "test": arguments.test_network,
        "region": arguments.region,
        "announce": tuple(arguments.announce) if getattr(arguments, "announce", None) else None,
        "listen": addresses_in(arguments.listen) if getattr(arguments, "listen", None) else None,
        "tls_authority": arguments.tls_authority,
        "tls_certificate": getattr(arguments, "tls_certificate", None),
        "tls_key": getattr(arguments, "tls_key", None),
        "behind_proxy": getattr(arguments, "behind_proxy", None),
        "swarm_key": arguments.swarm_key,
        "allow": tuple(arguments.allow) if getattr(arguments, "allow", None) else None,
        "deny": tuple(arguments.deny) if getattr(arguments, "deny", None) else None,
        "limits": getattr(arguments, "limits", None),
        "relay_reservations": getattr(arguments, "relay_reservations", None),
        "circuits": getattr(arguments, "circuits", None),
    }
    try:
        return evolve(network, **{name: value for name, value in flags.items() if value is not None})
    except ValueError as error:
        from peernet.core.errors import UserError

        # attrs gives the field and the bound as further arguments, which are not for people.
        raise UserError(f"an option of this command is out of its range: {error.args[0]}") from error


def table_of(arguments: argparse.Namespace, table: str, kind: type[Any]) -> Any:
    """A role's table of the configuration file, with the flags of the same names on top."""
    return load_table(config_file(arguments), table, kind, vars(arguments))
