"""What `peernet chat` prints without `--explain`: the answer as it streams, and a few words about who saw what.

The answer alone goes to standard output, so that it can be piped on; everything about it goes to standard error. On a
terminal a line says what is being waited for until the first words come, and the headings of parts are bold. What is
explained at length is in `drawing`.
"""

import re
from typing import IO

from rich.console import Console
from rich.markup import escape
from rich.status import Status

from peernet.cli.drawing import clean, shares_of, short
from peernet.client.events import (
    Answered,
    AnswerText,
    Event,
    FragmentContinued,
    FragmentFailed,
    FragmentRestarted,
    LaneFunded,
    Masked,
    PeersFound,
    Planned,
    RingBuilt,
    Screened,
)

__all__ = ["AnswerStream", "summary_of"]


class AnswerStream:
    """Prints one request's answer to `out`, and on `console` what is to be said of it."""

    def __init__(self, out: IO[str], console: Console) -> None:
        self._out = out
        self._console = console
        self._headings = _Headings(bold=out.isatty())
        self._parts = 0
        self._said: list[str] = []
        self._rings: set[int] = set()
        self._line_open = False
        self._status: Status | None = None
        if console.is_terminal:
            self._status = console.status("[dim]screening[/]", spinner="dots")
            self._status.start()

    def close(self) -> None:
        """Stops drawing, wherever it is; the terminal's next line is free."""
        self._stop_waiting()
        self._write(self._headings.finish())
        if self._line_open:
            print(file=self._out, flush=True)
            self._line_open = False

    def on_event(self, event: Event) -> None:
        """Takes the next event."""
        match event:
            case AnswerText():
                self._stop_waiting()
                self._write(self._headings.feed(clean(event.text)))
            case Planned():
                self._parts = len(event.fragments)
                self._notice(event.notices)
                hosts = len({fragment.host for fragment in event.fragments})
                parts = f"{self._parts} parts" if self._parts > 1 else "it whole"
                self._wait(f"{event.profile} rings to {hosts} host{'s' if hosts > 1 else ''}, {parts}")
            case Answered():
                self.close()
                self._notice(event.exposure.notices)
                self._console.print(f"[dim]{escape(summary_of(event))}[/]", soft_wrap=True)
            case _:
                self._follow(event)

    def _write(self, text: str) -> None:
        if text:
            print(text, end="", file=self._out, flush=True)
            self._line_open = not text.endswith("\n")

    def _follow(self, event: Event) -> None:
        match event:
            case Screened():
                self._wait("looking for what identifies somebody")
            case Masked():
                self._notice(event.notices)
                found = sum(event.counts.values())
                self._wait(f"{found or 'no'} identifier{'' if found == 1 else 's'} found; choosing hosts")
            case PeersFound():
                self._wait(f"planning for {event.hosts} hosts and {event.relays} relays")
            case LaneFunded():
                self._wait("lanes funded, building rings")
            case RingBuilt():
                self._rings.add(event.ordinal)
                self._wait(f"{len(self._rings)} of {self._parts} rings stand, waiting for the first words")
            case FragmentContinued() | FragmentRestarted():
                self._wait(f"part {event.ordinal + 1} goes over to {short(event.host)}: {event.reason}")
            case FragmentFailed():
                self._wait(f"part {event.ordinal + 1} failed: {event.reason}")

    def _wait(self, what: str) -> None:
        if self._status is not None:
            self._status.update(f"[dim]{escape(what)}[/]")

    def _stop_waiting(self) -> None:
        if self._status is not None:
            self._status.stop()
            self._status = None

    def _notice(self, notices: tuple[str, ...]) -> None:
        """Each once: the receipt repeats those of the plan."""
        for notice in notices:
            if notice not in self._said:
                self._said.append(notice)
                self._console.print(f"[yellow]{escape(notice)}[/]", soft_wrap=True)


class _Headings:
    """Has the headings of an answer's parts, lines between asterisks, in bold; what may become one is held back."""

    def __init__(self, *, bold: bool) -> None:
        self._bold = bold
        self._at_start = True
        self._held = ""

    def feed(self, text: str) -> str:
        """What can be printed."""
        if not self._bold:
            return text
        shown = []
        for line in text.splitlines(keepends=True):
            if self._at_start:
                line = self._held + line  # noqa: PLW2901  (the whole line, as far as it has come)
                self._held = ""
                if not line.endswith("\n") and (line.startswith("**") or "**".startswith(line)):
                    self._held = line
                    continue
                line = _in_bold(line)  # noqa: PLW2901
            shown.append(line)
            self._at_start = line.endswith("\n")
        return "".join(shown)

    def finish(self) -> str:
        """What was held back."""
        held, self._held = self._held, ""
        return _in_bold(held)


def _in_bold(line: str) -> str:
    heading = re.fullmatch(r"\*\*([^*\n]+)\*\*(\s*)", line)
    return line if heading is None else f"\x1b[1m{heading[1]}\x1b[0m{heading[2]}"


def summary_of(answered: Answered) -> str:
    """Who saw what, in one line."""
    exposure, totals = answered.exposure, answered.exposure.totals
    said = [f"what each host saw of your words: {shares_of(exposure) or 'nothing was sent'}"]
    if totals is not None and exposure.hosts:
        masked, clear = sum(totals.identifiers_masked.values()), sum(totals.identifiers_in_clear.values())
        said.append(f"{masked or 'no'} identifier{'' if masked == 1 else 's'} masked")
        said.append(f"{clear} in clear" if clear else "none of those found in clear")
    if exposure.standbys:
        said.append(f"{exposure.standbys} standby{'' if exposure.standbys == 1 else 's'} came in")
    asked = f" instead of {exposure.profile_asked}" if exposure.weakened else ""
    return "; ".join([*said, f"profile {exposure.profile}{asked} (--explain shows more)"])
