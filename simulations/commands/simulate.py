"""`peernet simulate`: runs a scenario and writes down what it found."""

import argparse
import gc
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from simulations.latency import RoundTrips
    from simulations.running import Results
    from simulations.scenario import Scenario

    Draw = Callable[[Path, Scenario, int, Results], None]

HELP = "simulate the network with its own protocol code"

DEFAULT_SEED = 1


def configure(parser: argparse.ArgumentParser) -> None:
    """The options."""
    parser.add_argument("scenario", type=Path, metavar="SCENARIO", help="a TOML file, as in simulations/scenarios")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="write the results into DIR")
    parser.add_argument(
        "--seed", type=int, default=DEFAULT_SEED, metavar="N", help="the same seed gives the same run (1)"
    )
    parser.add_argument("--nodes", type=int, metavar="N", help="as many nodes, instead of the scenario's")
    parser.add_argument(
        "--duration-s", type=float, metavar="SECONDS", help="as much simulated time, instead of the scenario's"
    )
    parser.add_argument(
        "--latency",
        type=Path,
        metavar="FILE",
        help="measured round trips in milliseconds instead of the scenario's: JSON as cloudping publishes it, or a "
        "square of numbers",
    )


def run(arguments: argparse.Namespace) -> int:
    """Simulates."""
    draw = _drawing()
    from simulations.report import empty_folder, summary_lines, write_report
    from simulations.running import run_scenario
    from simulations.scenario import load_scenario

    scenario = load_scenario(arguments.scenario)
    if arguments.nodes is not None:
        scenario = scenario.with_nodes(arguments.nodes)
    if arguments.duration_s is not None:
        scenario = scenario.with_duration(arguments.duration_s)
    round_trips, latency = _latency(arguments.latency)
    folder = empty_folder(arguments.out)
    began_s = time.process_time()

    def tell(progress: str) -> None:
        print(f"{time.process_time() - began_s:6.1f} s  {progress}", file=sys.stderr, flush=True)

    with _garbage_collected_rarely():
        results = run_scenario(scenario, arguments.seed, round_trips=round_trips, progress=tell)
    cpu_s = time.process_time() - began_s
    write_report(folder, scenario, arguments.seed, results, latency=latency)
    draw(folder / "plot.png", scenario, arguments.seed, results)
    for line in summary_lines(scenario, arguments.seed, results):
        print(line)
    print(f"{results.deliveries:,} deliveries in {cpu_s:.1f} s of CPU: {results.deliveries / cpu_s:,.0f} a second")
    print(f"written to {folder}")
    return 0


def _drawing() -> "Draw":
    """What draws the plot; asked for before the run, since it may not be installed."""
    from peernet.core.errors import UserError

    try:
        from simulations.plot import draw
    except ImportError as error:
        raise UserError(
            f"{error.name or 'matplotlib'} is missing, which plots need: install peernet with its extra 'simulate'"
        ) from error
    return draw


def _latency(path: Path | None) -> "tuple[RoundTrips | None, str]":
    """Round trips of a file, and what the manifest says of where they are from."""
    if path is None:
        return None, "the scenario's table"
    import hashlib

    from simulations.latency import read_matrix

    round_trips = read_matrix(path)
    return round_trips, f"{path.name}, SHA-256 {hashlib.sha256(path.read_bytes()).hexdigest()}"


@contextmanager
def _garbage_collected_rarely() -> "Iterator[None]":
    """A run makes few cycles and many objects: looking for the former often costs a tenth of it."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
