"""What a run leaves behind: a folder with a manifest, tables and one plot, and a summary for the terminal.

| file | what |
|---|---|
| `manifest.json` | scenario, seed, versions, digests, and the figures of the whole run |
| `metrics.csv` | a row for each stretch of time |
| `adversaries.csv` | for each hostile share, what was linked, and what chance gives |
| `guards.csv` | for each hostile share and day, how many clients have met a hostile guard |
| `plot.png` | the four pictures of it |

Nothing in it depends on when or where it was made, but the plot on matplotlib's version: it is not part of the digest.
"""

import csv
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import attrs
from attrs import asdict, frozen

from peernet._version import __version__
from peernet.core.errors import UserError
from simulations.adversaries import (
    DayOfClients,
    WeeksReport,
    fragments_together,
    fragments_whole,
    linked_by_chance,
    linked_by_path_by_chance,
    met_by_chance,
)
from simulations.metrics import Figures
from simulations.running import Colluders, Results
from simulations.scenario import Scenario

__all__ = ["AdversaryRow", "adversary_rows", "empty_folder", "summary_lines", "write_report"]


@frozen
class AdversaryRow:
    """What colluders of a share f could tell, measured and by chance."""

    source: str
    """`hour`: what they saw in the event run, churn and failed rings included. `weeks`: clients followed for days."""
    share: float
    rings: int
    linked_by_path: float
    """A guard and the middle next to it."""
    by_path_expected: float
    two_f_squared: float
    by_path_error: float | None
    """One standard error, where clients are many enough to tell."""
    linked: float
    """Those, and a guard with the host by timing."""
    linked_expected: float
    linked_error: float | None
    requests: int
    together: float
    """Of the requests, those of which hosts in one hand got more than one fragment."""
    together_expected: float
    whole: float
    """Those of which they got all."""
    whole_expected: float
    met: float
    """Of the clients, those that had a hostile guard at the end of the run."""
    met_expected: float


def empty_folder(path: Path) -> Path:
    """The folder for the report, made if it is not there; raises `UserError` when something is in it."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{path} cannot be made: {error.strerror or error}") from error
    if next(path.iterdir(), None) is not None:
        raise UserError(f"{path} is not empty, and nothing is overwritten: choose another --out, or empty it")
    return path


def adversary_rows(scenario: Scenario, results: Results) -> list[AdversaryRow]:
    """A row for each share, of the event run and of the weeks."""
    hour = [_row(scenario, "hour", seen, seen.met.value, None, None) for seen in results.colluders]
    weeks = [
        _row(scenario, "weeks", found, found.days[-1].met_now, found.path_error, found.linked_error)
        for found in results.weeks
    ]
    return [*hour, *weeks]


def _row(
    scenario: Scenario,
    source: str,
    found: Colluders | WeeksReport,
    met: float,
    path_error: float | None,
    linked_error: float | None,
) -> AdversaryRow:
    profile, fragments, share = scenario.clients.profile, scenario.clients.fragments, found.share
    return AdversaryRow(
        source=source,
        share=share,
        rings=found.by_path.count,
        linked_by_path=found.by_path.value,
        by_path_expected=linked_by_path_by_chance(share, profile),
        two_f_squared=2 * share * share,
        by_path_error=path_error,
        linked=found.linked.value,
        linked_expected=linked_by_chance(share, profile),
        linked_error=linked_error,
        requests=found.together.count,
        together=found.together.value,
        together_expected=fragments_together(share, fragments),
        whole=found.whole.value,
        whole_expected=fragments_whole(share, fragments),
        met=met,
        met_expected=met_by_chance(share),
    )


def write_report(folder: Path, scenario: Scenario, seed: int, results: Results, *, latency: str) -> None:
    """Writes the tables and the manifest; `latency` says where the round trips are from."""
    _write_csv(folder / "metrics.csv", Figures, results.rows)
    _write_csv(folder / "adversaries.csv", AdversaryRow, adversary_rows(scenario, results))
    _write_csv(folder / "guards.csv", DayOfClients, [day for weeks in results.weeks for day in weeks.days])
    manifest = {
        "scenario": scenario.name,
        "scenario_digest": scenario.digest,
        "settings": asdict(scenario),
        "latency": latency,
        "seed": seed,
        "peernet": __version__,
        "python": ".".join(map(str, sys.version_info[:3])),
        "digest": results.digest,
        "events": results.events,
        "deliveries": results.deliveries,
        "whole_run": asdict(results.whole),
        "ring_failures": dict(results.ring_failures),
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n", "utf-8")


def _write_csv(path: Path, kind: type[attrs.AttrsInstance], rows: Iterable[attrs.AttrsInstance]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([attribute.name for attribute in attrs.fields(kind)])
        writer.writerows(attrs.astuple(row, recurse=False) for row in rows)


def summary_lines(scenario: Scenario, seed: int, results: Results) -> Iterator[str]:
    """What a person wants to read first."""
    whole = results.whole
    yield f"{scenario.name}: {scenario.description}"
    yield (
        f"seed {seed}, {scenario.nodes.count} nodes, {scenario.run.duration_s / 3600:g} h after a warm-up of "
        f"{scenario.run.warm_up_s / 60:g} min; {whole.left} nodes left and {whole.joined} joined"
    )
    yield ""
    yield "Lookups"
    yield f"  made               {whole.lookups}, of which {_percent(whole.lookup_success)} found what they were for"
    yield f"  closest nodes      {_percent(whole.lookup_recall)} of the true k"
    yield f"  hops, queries      {_number(whole.lookup_hops)}, {_number(whole.lookup_queries)}"
    yield f"  unanswered         {_number(whole.lookup_failures)} queries of a lookup went to nodes that had left"
    yield f"  took               {_times(whole.lookup_p50_s, whole.lookup_p90_s, whole.lookup_p99_s)}"
    yield (
        f"  tables             {_number(whole.table_contacts)} contacts a node, "
        f"{_percent(whole.table_dead_share)} of them dead at the end"
    )
    yield f"  traffic            {_number(whole.deliveries_a_node_s, 3)} messages and cells a node and second"
    if whole.rings:
        yield ""
        yield f"Rings, profile {scenario.clients.profile}"
        yield f"  requests           {whole.requests}, {_percent(whole.requests_answered)} of them answered whole"
        yield f"  rings              {whole.rings}, {_percent(whole.rings_built)} built, {_failures(results)}"
        yield f"  building took      {_times(whole.ring_build_p50_s, whole.ring_build_p90_s, whole.ring_build_p99_s)}"
        yield f"  first answer       {_times(whole.first_answer_p50_s, whole.first_answer_p90_s)}"
        yield (
            f"  cells              {_number(whole.ring_cells_to_build, 0)} until both arcs stand, "
            f"{_number(whole.ring_cells, 0)} until answered"
        )
    yield from _adversary_lines(scenario, adversary_rows(scenario, results), results)
    yield ""
    yield f"digest  {results.digest}"


def _adversary_lines(scenario: Scenario, rows: Sequence[AdversaryRow], results: Results) -> Iterator[str]:
    titles: Mapping[str, str] = {
        "hour": "Colluders, by what they saw in this run",
        "weeks": f"Colluders, over {scenario.adversaries.days} days of {scenario.adversaries.clients} clients",
    }
    for source, title in titles.items():
        yield ""
        yield f"{title} (in brackets: by chance)"
        yield (
            "      f   linked by path       2f^2   or by timing         fragments together   all fragments        "
            "guard hostile"
        )
        for row in rows:
            if row.source != source:
                continue
            yield (
                f"  {row.share:5.2f}   {_beside(row.linked_by_path, row.by_path_expected)}"
                f"  {100 * row.two_f_squared:6.2f} %  {_beside(row.linked, row.linked_expected)}"
                f"  {_beside(row.together, row.together_expected)}  {_beside(row.whole, row.whole_expected)}"
                f"  {_beside(row.met, row.met_expected)}"
            )
    yield ""
    yield "Clients that ever had a hostile guard, and ever a ring linked (in brackets: with new guards every time)"
    for weeks in results.weeks:
        day = weeks.days[-1]
        yield (
            f"  {weeks.share:5.2f}   {_beside(day.met_ever, day.met_ever_without_guards)}"
            f"  {_beside(day.linked_ever, day.linked_ever_without_guards)}   {day.guards_ever:.1f} guards a client"
        )
    if scenario.adversaries.one_operator:
        yield "  The colluders of those days admit to one operator: the diversity rules keep two of them off one ring."


def _failures(results: Results) -> str:
    if not results.ring_failures:
        return "none failed"
    return "failed: " + ", ".join(f"{count} {reason}" for reason, count in results.ring_failures)


def _beside(value: float, expected: float) -> str:
    return f"{100 * value:6.2f} % ({100 * expected:6.2f} %)"


def _percent(value: float | None) -> str:
    return "none" if value is None else f"{100 * value:.1f} %"


def _number(value: float | None, digits: int = 1) -> str:
    return "none" if value is None else f"{value:.{digits}f}"


def _times(*quantiles: float | None) -> str:
    names = ("p50", "p90", "p99")
    return ", ".join(
        f"{name} {'none' if value is None else f'{value:.2f} s'}"
        for name, value in zip(names, quantiles, strict=False)
    )
