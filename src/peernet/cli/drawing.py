"""Drawing a request as it happens: what was found, where it went, what came back, and what each host saw.

On a terminal the answers stream side by side, with what each host has been given so far below them; elsewhere the same
is printed line by line as it happens, without control codes.
"""

import os
import re
from pathlib import Path
from typing import Final

from rich import box
from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from peernet.cli.asking import finality_of
from peernet.client.events import (
    Answered,
    Event,
    FragmentContinued,
    FragmentDone,
    FragmentFailed,
    FragmentPlanned,
    FragmentRestarted,
    FragmentSent,
    FragmentText,
    LaneFunded,
    Masked,
    PeersFound,
    Planned,
    ReceiptProven,
    RingBuilt,
    Screened,
)
from privacy.exposure import COLUMNS, ExposureReceipt, RelayUse

__all__ = ["RequestDrawing", "clean", "console_of", "save_svg", "shares_of", "short"]

_COLOURS: Final = ("cyan", "magenta", "green", "yellow", "blue", "bright_red")
PRINT_WIDTH: Final = 110

_PANEL_WIDTH: Final = 36
"""What a fragment needs beside others."""

_STANDBY: Final = COLUMNS.index("standby")

_BAR_WIDTH: Final = 24

_CONTROL_FREE: Final = dict.fromkeys(c for c in (*range(32), *range(0x7F, 0xA0)) if c not in {9, 10})
"""C1 as well: to some terminals U+009B begins a command as ESC [ does."""


def console_of(*, quiet: bool = False, record: bool = False) -> Console:
    """The console to draw on: as wide as the terminal, or `PRINT_WIDTH` where the output is no terminal."""
    console = Console(quiet=quiet, record=record)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = PRINT_WIDTH
    return console


def short(peer: str) -> str:
    """The end of a peer id: enough to tell peers of a small swarm apart."""
    return f"…{peer[-6:]}"


def clean(text: str) -> str:
    """Text from afar, without the control codes that could rule a terminal."""
    return text.translate(_CONTROL_FREE)


def shares_of(exposure: ExposureReceipt) -> str:
    """What share of the words each host saw, the largest first, and all of them together."""
    hosts = sorted(exposure.hosts, key=lambda host: host.share_of_words, reverse=True)
    said = ", ".join(f"{short(host.host)} {host.share_of_words:.0%}" for host in hosts)
    if exposure.totals is not None and len(hosts) > 1:
        said += f" (all {len(hosts)} together {exposure.totals.share_of_words:.0%})"
    return said


class RequestDrawing:
    """Draws one request's events on a console."""

    def __init__(self, console: Console, prompt: str) -> None:
        self._console = console
        self._prompt = prompt
        self._plan: Planned | None = None
        self._answers: dict[int, str] = {}
        self._states: dict[int, str] = {}
        self._rings: dict[int, RingBuilt] = {}
        self._seen: dict[str, FragmentSent] = {}
        """What each host has been given so far: its newest."""
        self._receipts: list[ReceiptProven] = []
        self._live: Live | None = None

    def close(self) -> None:
        """Stops drawing, wherever it is."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def on_event(self, event: Event) -> None:
        """Takes the next event."""
        match event:
            case Masked():
                self._draw_prompt(event)
            case PeersFound():
                self._console.print(f"[dim]directory: {event.relays} relays, {event.hosts} hosts of {event.model}[/]")
            case Planned():
                self._draw_plan(event)
            case Answered():
                self._draw_answered(event)
            case _:
                self._follow(event)

    def _follow(self, event: Event) -> None:
        """Events of the fragments under way."""
        match event:
            case LaneFunded():
                promised = "" if event.finality.final else f" ({event.finality.describe()})"
                self._states[event.ordinal] = (
                    f"lane of {event.cap_microcredits} µcr funded{promised}, building its ring"
                )
                self._note(event.ordinal, f"lane of {event.cap_microcredits} µcr funded{promised}")
            case RingBuilt():
                self._rings[event.ordinal] = event
                self._states[event.ordinal] = f"ring built in {event.build_s * 1000:.0f} ms"
                out, back = _ways(event)
                self._note(event.ordinal, f"{self._states[event.ordinal]}: {out}, and {back}")
            case FragmentSent():
                self._seen[event.host] = event
                standby = " (a standby)" if event.standby else ""
                said = f"{event.share:.0%} of your words so far"
                self._note(event.ordinal, f"sent to {short(event.host)}{standby}, who has now {said}")
            case FragmentText():
                self._answers[event.ordinal] = self._answers.get(event.ordinal, "") + clean(event.text)
                self._states[event.ordinal] = "answering"
            case FragmentRestarted():
                self._answers[event.ordinal] = ""
                self._states[event.ordinal] = f"{event.reason}; again on {short(event.host)}"
                self._say(
                    f"[yellow]fragment {event.ordinal + 1}:[/] host {short(event.failed_host)} failed "
                    f"({escape(event.reason)}); it starts again on {short(event.host)}"
                )
            case FragmentContinued():
                self._states[event.ordinal] = f"going on at {short(event.host)}"
                self._say(f"[yellow]fragment {event.ordinal + 1}:[/] {escape(_continued(event))}")
            case FragmentDone():
                tokens = event.prompt_tokens + event.answer_tokens
                self._states[event.ordinal] = f"done: {tokens} tokens, {event.amount_microcredits} µcr"
                self._note(event.ordinal, self._states[event.ordinal])
            case FragmentFailed():
                self._states[event.ordinal] = f"failed: {event.reason}"
                self._note(event.ordinal, self._states[event.ordinal])
            case ReceiptProven():
                self._receipts.append(event)
            case Screened():
                self._console.print("[dim]screened: nothing to refuse[/]")
        if self._live is not None:
            self._live.update(self._fragments())

    def _note(self, ordinal: int, text: str) -> None:
        """A line for where nothing moves: on a terminal the panels say the same."""
        if not self._console.is_terminal:
            self._console.print(f"[dim]fragment {ordinal + 1}: {escape(clean(text))}[/]", soft_wrap=True)

    def _say(self, text: str) -> None:
        (self._live.console if self._live is not None else self._console).print(text)

    def _print(self, table: Table) -> None:
        self._console.print()
        self._console.print(table)

    def _draw_prompt(self, masked: Masked) -> None:
        text = Text(clean(self._prompt).strip())
        labels = list(masked.counts)
        for label, found in masked.mentions:
            colour = _COLOURS[labels.index(label) % len(_COLOURS)]
            text.highlight_words([found], style=f"bold {colour}")
        legend = Text("found on your machine: ", style="dim")
        for position, (label, count) in enumerate(masked.counts.items()):
            legend.append(f"{count} {label}  ", style=f"bold {_COLOURS[position % len(_COLOURS)]}")
        if not masked.counts:
            legend = Text("no identifier found", style="dim")
        self._console.print(
            Panel(Group(text, Text(), legend), title="your prompt", title_align="left", box=box.ROUNDED)
        )
        for notice in masked.notices:
            self._console.print(f"[yellow]{escape(notice)}[/]")

    def _draw_plan(self, plan: Planned) -> None:
        self._plan = plan
        about = f"plan: {plan.mode}, policy {plan.policy}, profile {plan.profile}"
        if plan.profile_asked not in {"", plan.profile}:
            about += f" instead of {plan.profile_asked}"
        if plan.reason:
            about += f" ({plan.reason})"
        table = Table(title=about, title_justify="left", box=box.SIMPLE_HEAD, expand=True, title_style="bold")
        table.add_column("fragment", justify="right")
        table.add_column("to host")
        table.add_column("share", justify="right")
        table.add_column("what leaves your machine")
        for fragment in plan.fragments:
            table.add_row(
                str(fragment.ordinal + 1), short(fragment.host), f"{fragment.share:.0%}", _placeholders(fragment)
            )
        self._print(table)
        for notice in plan.notices:
            self._console.print(f"[bold yellow]{escape(notice)}[/]")
        if self._console.is_terminal:
            self._live = Live(self._fragments(), console=self._console, refresh_per_second=12, transient=True)
            self._live.start()

    def _fragments(self) -> RenderableType:
        assert self._plan is not None
        panels = [self._fragment_panel(fragment) for fragment in self._plan.fragments]
        if self._console.width < _PANEL_WIDTH * len(panels):
            return Group(*panels, self._views())
        beside = Table.grid(expand=True)
        for _ in panels:
            beside.add_column(ratio=1)
        beside.add_row(*panels)
        return Group(beside, self._views())

    def _views(self) -> RenderableType:
        """What each host has been given so far, as bars."""
        bars = Table.grid(padding=(0, 1))
        for host, seen in self._seen.items():
            filled = round(seen.share * _BAR_WIDTH)
            bar = Text("━" * filled, style="bold") + Text("━" * (_BAR_WIDTH - filled), style="dim")
            standby = ", a standby" if seen.standby else ""
            bars.add_row(Text(f" {short(host)} has seen", style="dim"), bar, Text(f"{seen.share:.0%}{standby}"))
        return bars

    def _fragment_panel(self, fragment: FragmentPlanned) -> Panel:
        colour = _COLOURS[fragment.ordinal % len(_COLOURS)]
        state = self._states.get(fragment.ordinal, "funding a lane over a ring")
        answer = self._answers.get(fragment.ordinal, "")
        return Panel(
            Group(self._ring(fragment.ordinal), Text(answer or " "), Text(state, style="dim italic")),
            title=f"fragment {fragment.ordinal + 1}",
            border_style=colour,
            box=box.ROUNDED,
        )

    def _ring(self, ordinal: int) -> Text:
        ring = self._rings.get(ordinal)
        if ring is None:
            return Text("ring: …", style="dim")
        return Text("\n".join(_ways(ring)), style="dim")

    def _draw_answered(self, answered: Answered) -> None:
        self.close()
        if self._console.is_terminal:
            self._draw_rings()
        self._console.print(
            Panel(
                _with_headings(answered.text),
                title="the answer, names restored on your machine",
                title_align="left",
                border_style="green" if answered.complete else "yellow",
                box=box.ROUNDED,
            )
        )
        self._draw_exposure(answered)
        self._draw_ledger(answered)

    def _draw_rings(self) -> None:
        table = Table(title="rings", title_justify="left", box=box.SIMPLE_HEAD, title_style="bold", expand=True)
        for heading in ("fragment", "out: you → guard → relay → host", "back: you ← guard ← relay ← host", "built in"):
            table.add_column(heading)
        for ordinal, ring in sorted(self._rings.items()):
            out = " → ".join([*map(short, ring.out), short(ring.host)])
            back = " ← ".join([*map(short, ring.back), short(ring.host)])
            table.add_row(str(ordinal + 1), out, back, f"{ring.build_s * 1000:.0f} ms")
        self._print(table)

    def _draw_exposure(self, answered: Answered) -> None:
        exposure = answered.exposure
        table = Table(
            title="what each host saw", title_justify="left", box=box.SIMPLE_HEAD, title_style="bold", expand=True
        )
        rows = exposure.rows(short)
        # What is the same of all is no column: it would take the room of what is not.
        shown = [number for number in range(_STANDBY) if any(row[number] for row in rows) or number == 0]
        for number in shown:
            table.add_column(COLUMNS[number])
        for number, row in enumerate(rows):
            is_total = number == len(exposure.hosts)
            if is_total:
                table.add_section()
            named = row[0] + (" (standby)" if row[_STANDBY] and not is_total else "")
            table.add_row(clean(named), *(clean(row[number]) for number in shown[1:]), style="dim" if is_total else "")
        self._print(table)
        for host in exposure.hosts:
            if host.continued:
                parts = ", ".join(str(ordinal + 1) for ordinal in host.continued)
                self._console.print(
                    f"[dim]{short(host.host)} also read what was answered of fragment {parts} before[/]"
                )
        if (largest := exposure.largest_view) is not None:
            share = f"{largest.share_of_words:.0%} of your words"
            self._console.print(f"[dim]the largest single view is that of {short(largest.host)}: {share}[/]")
        self._draw_relays(exposure)
        for notice in exposure.notices:
            self._console.print(f"[yellow]{escape(notice)}[/]")

    def _draw_relays(self, exposure: ExposureReceipt) -> None:
        guards = [relay for relay in exposure.relays if relay.role == "guard"]
        middles = [relay for relay in exposure.relays if relay.role == "middle"]
        named = ", ".join(map(_claims, guards)) or "none"
        what = "your address and your hosts" if exposure.profile == "fast" else "your address"
        self._console.print(f"[dim]guards {escape(named)} know {what}, and none of your words[/]")
        if middles:
            named = ", ".join(map(_claims, middles))
            self._console.print(f"[dim]middles {escape(named)} know a guard and a host, and none of your words[/]")

    def _draw_ledger(self, answered: Answered) -> None:
        table = Table(title="ledger", title_justify="left", box=box.SIMPLE_HEAD, title_style="bold", expand=True)
        for heading in ("fragment", "prompt", "answer", "paid", "log", "receipt in it", "quorum"):
            table.add_column(heading, no_wrap=heading in {"log", "receipt in it"}, overflow="fold")
        for fragment in answered.fragments:
            proven = "—" if fragment.receipt_index is None else f"entry {fragment.receipt_index}, proof verified"
            colour = "green" if fragment.finality is not None and fragment.finality.final else "yellow"
            table.add_row(
                str(fragment.ordinal + 1),
                f"{fragment.prompt_tokens} tokens",
                f"{fragment.answer_tokens} tokens",
                f"{fragment.amount_microcredits} µcr",
                clean(fragment.receipt_log or "—"),
                proven,
                f"[{colour}]{escape(finality_of(fragment) or '—')}[/]",
            )
        self._print(table)
        newest = max(self._receipts, key=lambda receipt: receipt.size, default=None)
        if newest is not None:
            note = clean(newest.checkpoint.decode("utf-8", "replace").strip())
            self._console.print("[bold]the log's signed checkpoint[/]")
            # As it is, so that it can be copied and verified elsewhere.
            self._console.print(Text(note, style="dim"), soft_wrap=True)


def _ways(ring: RingBuilt) -> tuple[str, str]:
    """The two arcs of a ring, from here."""
    out = " → ".join(["you", *map(short, ring.out), short(ring.host)])
    return out, " ← ".join(["you", *map(short, ring.back), short(ring.host)])


def _claims(relay: RelayUse) -> str:
    return f"{short(relay.relay)} (claims {clean(relay.region)})" if relay.region else short(relay.relay)


def _continued(event: FragmentContinued) -> str:
    """What a continuation was, in plain words."""
    after = f"after {event.words} word{'' if event.words == 1 else 's'}"
    if event.host == event.failed_host:
        return f"the ring to host {short(event.host)} broke {after}; it goes on from there over another one"
    return f"host {short(event.failed_host)} was lost {after} ({event.reason}); {short(event.host)} goes on from there"


def _with_headings(answer: str) -> Text:
    """The answer, with the headings of its parts in bold instead of in asterisks."""
    text = Text()
    for line in clean(answer).splitlines(keepends=True):
        heading = line.startswith("**") and line.rstrip().endswith("**")
        text.append(line.replace("**", "") if heading else line, style="bold" if heading else "")
    return text


def save_svg(console: Console, path: Path, title: str = "peernet demo") -> None:
    """Saves what a recording console printed as a picture that asks for nothing from elsewhere."""
    template = re.sub(r"@font-face \{\{.*?\}\}|<!--.*?-->", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    console.save_svg(str(path), title=title, code_format=template)


def _placeholders(fragment: FragmentPlanned) -> Text:
    """The masked text, its placeholders standing out."""
    text = Text(clean(fragment.text_sent))
    text.highlight_regex(r"\b[A-Z][A-Z_]+_[A-Z]\d+\b", style="bold reverse")
    text.highlight_words([name for name in fragment.surrogates if name in fragment.text_sent], style="bold reverse")
    return text
