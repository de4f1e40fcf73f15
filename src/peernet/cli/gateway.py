"""`peernet gateway`: an OpenAI-compatible API on this machine for programs as they are, and a chat page for people."""

import argparse
import os
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from peernet.cli.options import (
    add_choice,
    add_home,
    add_network,
    add_profile,
    add_pseudonyms,
    home_of,
    network_of,
    table_of,
)
from peernet.cli.services import add_service, announce, run_service

if TYPE_CHECKING:
    from peernet.gateway.settings import GatewaySettings

HELP = "let programs for OpenAI's API ask the network, and people on a chat page"


def configure(parser: argparse.ArgumentParser) -> None:
    """The options."""
    add_home(parser)
    add_network(parser, listens=False, binds=False)
    parser.add_argument("--models", type=Path, metavar="DIR", help="where models are kept, instead of the home")
    api = parser.add_argument_group("API")
    about = "ADDRESS:PORT or unix:PATH; default: %(default)s"
    api.add_argument("--listen", dest="api_listen", metavar="PLACE", default="127.0.0.1:8080", help=about)
    about = "let other machines use it: with an address in --listen that they reach, and with --api-key-file"
    api.add_argument("--allow-remote", action="store_true", help=about)
    about = "a file with the key that every program must show; one is made where there is none"
    api.add_argument("--api-key-file", type=Path, metavar="FILE", help=about)
    about = "let the web pages of this origin use it, such as https://chat.example.org (repeatable)"
    api.add_argument("--allow-origin", action="append", default=[], metavar="ORIGIN", help=about)
    about = "a further name that it is reached by, such as host.docker.internal (repeatable)"
    api.add_argument("--allow-host", action="append", default=[], metavar="NAME", help=about)
    api.add_argument("--parallel", type=int, default=4, metavar="N", help="requests at a time; default: %(default)s")
    about = "of a whole answer, where the program does not say; default: %(default)s"
    api.add_argument("--max-answer-tokens", type=int, dest="default_tokens", default=1024, metavar="N", help=about)
    group = parser.add_argument_group("request")
    add_profile(group)
    group.add_argument("--policy", choices=("strict", "standard", "open"), help="how much one host may see")
    add_pseudonyms(group)
    add_choice(group)
    about = "how freely the model chooses, where the program does not say"
    group.add_argument("--temperature-thousandths", type=int, metavar="N", help=about)
    add_service(parser)


def run(arguments: argparse.Namespace) -> int:
    """Serves until it is ended."""
    from peernet.core.errors import UserError

    if find_spec("hypercorn") is None or find_spec("starlette") is None:
        raise UserError("the gateway needs two more packages: pip install 'peernet[client,gateway]'")
    settings = _settings(arguments)
    return run_service(arguments, partial(_serve, arguments, settings))


def _settings(arguments: argparse.Namespace) -> "GatewaySettings":
    from peernet.core.errors import UserError
    from peernet.gateway.settings import GatewaySettings, Listening

    listening = Listening.parse(arguments.api_listen)
    if not listening.is_local and not (arguments.allow_remote and arguments.api_key_file):
        raise UserError(
            f"--listen {arguments.api_listen} lets other machines ask in your name: if that is what you want, say "
            "--allow-remote and --api-key-file FILE"
        )
    try:
        return GatewaySettings(
            listening=listening,
            api_key=_api_key(arguments.api_key_file) if arguments.api_key_file else None,
            host_names=frozenset(name.lower() for name in arguments.allow_host),
            origins=frozenset(origin.rstrip("/") for origin in arguments.allow_origin),
            parallel=arguments.parallel,
            max_answer_tokens=arguments.default_tokens,
        )
    except ValueError as error:
        raise UserError(f"{error.args[0]}") from error


def _api_key(file: Path) -> str:
    """The key in a file that only its owner can read, made on first use."""
    import secrets
    import stat

    from peernet.core.errors import UserError
    from peernet.node.home import write_secret

    try:
        if not file.exists():
            write_secret(file, secrets.token_urlsafe(32).encode() + b"\n")
        mode = stat.S_IMODE(file.stat().st_mode)
        key = file.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"the API key file {file} cannot be used: {error}") from error
    if mode & 0o077:
        raise UserError(f"the API key file {file} can be read by others (mode {mode:o}): run 'chmod 600 {file}'")
    if len(key) < 16:
        raise UserError(f"the API key in {file} has under 16 characters: remove the file, and one will be made")
    return key


async def _serve(arguments: argparse.Namespace, settings: "GatewaySettings") -> None:
    from attrs import evolve

    from peernet.client.client import open_client
    from peernet.gateway.listening import base_url, listening_socket, page_url
    from peernet.gateway.service import Gateway
    from peernet.node.config import ClientConfig

    home = home_of(arguments)
    if arguments.models is not None:
        home = evolve(home, models=arguments.models)
    config: ClientConfig = table_of(arguments, "client", ClientConfig)
    with listening_socket(settings.listening) as listener:
        async with open_client(network_of(arguments), config, home) as client:
            url, page = base_url(listener), page_url(listener)
            announce(
                arguments,
                _usage(url, page, settings, arguments.api_key_file, client.models()),
                base_url=url,
                chat_page=page,
                listening=settings.listening.place,
                models=client.models(),
                policy=config.policy,
                pseudonyms=config.pseudonyms,
                profile=config.profile,
                pid=os.getpid(),
            )
            await Gateway(client, settings).run(listener)


def _usage(url: str, page: str | None, settings: "GatewaySettings", key_file: Path | None, models: list[str]) -> str:
    where = f" on the socket {settings.listening.path}" if settings.listening.path is not None else ""
    key = f'"$(cat {key_file})"' if key_file is not None else "none"
    chat = "" if page is None else f"chat in your browser, beside each answer what each host saw: {page}\n"
    return (
        f"{chat}programs for OpenAI's API may now ask at {url}{where}\n"
        f"  export OPENAI_BASE_URL={url} OPENAI_API_KEY={key}\n"
        f"models: {', '.join(models) or 'none is offered at the moment'}\n"
        "what each host saw of a request: /v1/exposure/ID, with the id of its answer. Ctrl-C ends the gateway."
    )
