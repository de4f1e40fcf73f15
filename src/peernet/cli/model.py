"""`peernet model pull|add|convert|list`: the models on this machine."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from peernet.cli.options import add_home, home_of

if TYPE_CHECKING:
    from inference.models import Progress

HELP = "fetch, add and list models"


def configure(parser: argparse.ArgumentParser) -> None:
    """The options."""
    actions = parser.add_subparsers(metavar="ACTION", dest="action", required=True)
    pull = actions.add_parser("pull", help="fetch a model of the catalogue, or verify the one that is here")
    pull.add_argument("name", nargs="?", default="smollm2-135m-instruct", help="default: %(default)s")
    listing = actions.add_parser("list", help="the models that are installed, and those that can be pulled")
    adding = actions.add_parser("add", help="say how a model is counted that a server of yours has")
    adding.add_argument("name", metavar="NAME", help="what hosts and clients call it")
    about = "tokenizer.json and tokenizer_config.json; default: the tokenizer of smollm2-135m-instruct"
    adding.add_argument("--tokenizer", type=Path, metavar="FOLDER", help=about)
    adding.add_argument(
        "--context-tokens", type=int, metavar="N", help="prompt and answer together, if that is unsaid"
    )
    converting = actions.add_parser("convert", help="make the folder that vLLM loads, ahead of need")
    converting.add_argument("name", nargs="?", default="smollm2-135m-instruct", help="default: %(default)s")
    converting.add_argument(
        "--engine-python", type=Path, metavar="PYTHON", help="the interpreter of vLLM's environment"
    )
    for action in (pull, listing, adding, converting):
        add_home(action)
        action.add_argument("--models", type=Path, metavar="DIR", help="where models are kept")


def run(arguments: argparse.Namespace) -> int:
    """Pulls or lists."""
    folder = arguments.models if arguments.models is not None else home_of(arguments).models
    match arguments.action:
        case "pull":
            return _pull(arguments, folder)
        case "add":
            return _add(arguments, folder)
        case "convert":
            return _convert(arguments, folder)
        case _:
            return _list(folder)


def _pull(arguments: argparse.Namespace, folder: Path) -> int:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn
    from rich.progress import Progress as ProgressBar

    from inference.models import pull

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with ProgressBar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(arguments.name, total=None)

        def report(step: "Progress") -> None:
            total = step.total_bytes or None
            bar.update(task, description=f"{arguments.name}: {step.stage}", completed=step.done_bytes, total=total)

        # Who pulls a model that is there may have been told that it has changed.
        path = pull(arguments.name, folder, verify=True, progress=report)
    print(f"{arguments.name} is installed: {path}")
    return 0


def _add(arguments: argparse.Namespace, folder: Path) -> int:
    from inference.models import DEFAULT_MODEL, add, pull

    source = arguments.tokenizer if arguments.tokenizer is not None else pull(DEFAULT_MODEL, folder).parent
    model = add(arguments.name, folder, source, context_tokens=arguments.context_tokens)
    print(
        f"{model.name} is counted with the tokenizer in {source}, up to {model.context_tokens} tokens\n"
        f"whoever asks it counts the same way if their tokenizer has this digest: {model.tokenizer_digest}"
    )
    return 0


def _convert(arguments: argparse.Namespace, folder: Path) -> int:
    import sys
    from functools import partial

    import trio

    from inference.models import read_installed
    from inference.vllm import converted

    python = (arguments.engine_python or Path(sys.executable)).absolute()
    path = trio.run(partial(converted, read_installed(folder / arguments.name), python))
    print(f"{arguments.name} is converted for vLLM: {path}")
    return 0


def _list(folder: Path) -> int:
    from inference.models import CATALOGUE, installed

    here = {model.name: model for model in installed(folder)} if folder.exists() else {}
    for model in here.values():
        if not model.file:
            print(f"{model.name:28} added       its weights are a server's; counted with {model.folder}")
            continue
        size_mb = model.path.stat().st_size / 1e6
        print(f"{model.name:28} installed   {model.quantisation:8} {size_mb:6.0f} MB   {model.path}")
    for entry in CATALOGUE:
        if entry.name not in here:
            print(f"{entry.name:28} available   peernet model pull {entry.name}")
    return 0
