"""`peernet model pull|list`: the models on this machine."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from peernet.cli.options import add_home, home_of

if TYPE_CHECKING:
    from inference.models import Progress

HELP = "fetch and list models"


def configure(parser: argparse.ArgumentParser) -> None:
    """The options."""
    actions = parser.add_subparsers(metavar="ACTION", dest="action", required=True)
    pull = actions.add_parser("pull", help="fetch a model of the catalogue, or verify the one that is here")
    pull.add_argument("name", nargs="?", default="smollm2-135m-instruct", help="default: %(default)s")
    listing = actions.add_parser("list", help="the models that are installed, and those that can be pulled")
    for action in (pull, listing):
        add_home(action)
        action.add_argument("--models", type=Path, metavar="DIR", help="where models are kept")


def run(arguments: argparse.Namespace) -> int:
    """Pulls or lists."""
    folder = arguments.models if arguments.models is not None else home_of(arguments).models
    return _pull(arguments, folder) if arguments.action == "pull" else _list(folder)


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


def _list(folder: Path) -> int:
    from inference.models import CATALOGUE, installed

    here = {model.name: model for model in installed(folder)} if folder.exists() else {}
    for model in here.values():
        size_mb = model.path.stat().st_size / 1e6
        print(f"{model.name:28} installed   {model.quantisation:8} {size_mb:6.0f} MB   {model.path}")
    for entry in CATALOGUE:
        if entry.name not in here:
            print(f"{entry.name:28} available   peernet model pull {entry.name}")
    return 0
