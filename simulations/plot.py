"""The plot of a run: how long lookups and rings take, how they fare over time, and what colluders link.

Drawn without a display and without dates or versions in the file, so that two runs of one seed give one picture.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from simulations.adversaries import linked_by_chance, linked_by_path_by_chance
from simulations.running import Results
from simulations.scenario import Scenario

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw"]

POINTS = 50
"""How many points an expected curve has."""


def draw(path: Path, scenario: Scenario, seed: int, results: Results) -> None:
    """Writes the plot as a PNG."""
    figure = Figure(figsize=(11, 8), layout="constrained")
    FigureCanvasAgg(figure)
    times, course, linked, guards = figure.subplots(2, 2).flat
    figure.suptitle(f"{scenario.name}: {scenario.nodes.count} nodes, seed {seed}")
    _draw_times(times, results)
    _draw_course(course, results)
    _draw_linked(linked, scenario, results)
    _draw_guards(guards, results)
    figure.savefig(path, dpi=100, metadata={"Software": None})


def _draw_times(axes: "Axes", results: Results) -> None:
    axes.set(title="How long it takes", xlabel="seconds", ylabel="share done", ylim=(0, 1))
    _draw_distribution(axes, results.lookup_s, "lookup")
    _draw_distribution(axes, results.ring_build_s, "ring built")
    axes.legend(loc="lower right")


def _draw_distribution(axes: "Axes", values: Sequence[float], label: str) -> None:
    ordered = sorted(values)
    axes.step(ordered, [(rank + 1) / len(ordered) for rank in range(len(ordered))], where="post", label=label)


def _draw_course(axes: "Axes", results: Results) -> None:
    minutes = [row.time_s / 60 for row in results.rows]
    axes.set(title="Under churn", xlabel="minutes", ylabel="share", ylim=(0, 1.02))
    for label, values in (
        ("lookups that found it", [row.lookup_success for row in results.rows]),
        ("rings built", [row.rings_built for row in results.rows]),
        ("requests answered", [row.requests_answered for row in results.rows]),
        ("dead contacts in tables", [row.table_dead_share for row in results.rows]),
    ):
        axes.plot(minutes, [float("nan") if value is None else value for value in values], marker=".", label=label)
    axes.legend(loc="center right")


def _draw_linked(axes: "Axes", scenario: Scenario, results: Results) -> None:
    axes.set(title="Rings that colluders link", xlabel="hostile share f", ylabel="share of rings")
    most = max(scenario.adversaries.shares)
    curve = [most * point / POINTS for point in range(POINTS + 1)]
    profile = scenario.clients.profile
    axes.plot(curve, [linked_by_path_by_chance(f, profile) for f in curve], label="guard and middle, by chance")
    axes.plot(curve, [linked_by_chance(f, profile) for f in curve], label="or guard and host, by chance")
    axes.plot(curve, [2 * f * f for f in curve], linestyle=":", color="grey", label="2f²")
    shares = [weeks.share for weeks in results.weeks]
    for colour, values, errors in (
        ("C0", [weeks.by_path.value for weeks in results.weeks], [weeks.path_error for weeks in results.weeks]),
        ("C1", [weeks.linked.value for weeks in results.weeks], [weeks.linked_error for weeks in results.weeks]),
    ):
        axes.errorbar(shares, values, yerr=errors, fmt=f"{colour}o", capsize=3, label="measured, one standard error")
    axes.legend(loc="upper left")


def _draw_guards(axes: "Axes", results: Results) -> None:
    axes.set(title="Clients that ever had a hostile guard", xlabel="day", ylabel="share of clients", ylim=(0, 1.02))
    for number, weeks in enumerate(results.weeks):
        days = [day.day for day in weeks.days]
        colour = f"C{number}"
        axes.plot(days, [day.met_ever for day in weeks.days], color=colour, label=f"f = {weeks.share:g}")
        axes.plot(days, [day.met_ever_without_guards for day in weeks.days], color=colour, linestyle=":")
    axes.legend(loc="center right", title="dotted: new guards\nfor every request")
