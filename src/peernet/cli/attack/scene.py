"""A scene: an attack that was carried out, what caught it, and what the attacker knows now.

Rules:

1. A claim is computed from what was recorded. One that does not hold is shown as such, and fails the demo.
2. Every scene is told in the same order, in words for people who do not know cryptography.
"""

from typing import Any, Final

from attrs import frozen
from rich import box
from rich.console import Console, Group
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

__all__ = ["Claim", "Scene", "Telling", "draw_scene", "quoted"]

MAX_QUOTE: Final = 160


@frozen
class Claim:
    """A statement about what happened, and whether what was recorded bears it out."""

    text: str
    holds: bool
    recorded: tuple[tuple[str, str], ...] = ()
    """What was compared, each with a word for what it is: told where the claim does not hold, to find out why."""

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        recorded = {} if self.holds or not self.recorded else {"recorded": dict(self.recorded)}
        return {"claim": self.text, "holds": self.holds} | recorded


@frozen
class Telling:
    """What came of an attack."""

    attack: str = ""
    """Who misbehaved, and how."""
    outcome: tuple[Claim, ...] = ()
    """What became of the request, or of the log."""
    caught: tuple[Claim, ...] = ()
    """How it was caught: the checks that failed, in their own words."""
    learned: tuple[Claim, ...] = ()
    not_learned: tuple[Claim, ...] = ()
    verdict: str = ""

    @classmethod
    def failed(cls, attack: str, why: str, recorded: tuple[tuple[str, str], ...] = ()) -> "Telling":
        """Of an attack that did not go as it should, why, and what is known of it."""
        return cls(attack, (Claim(why, False, recorded),))

    @property
    def ok(self) -> bool:
        """Whether it was caught as it should be: every claim holds, and one says how it was caught."""
        claims = (*self.outcome, *self.caught, *self.learned, *self.not_learned)
        return bool(self.caught) and all(claim.holds for claim in claims)


@frozen
class Scene:
    """One attack, told."""

    name: str
    """For programs."""
    title: str
    told: Telling
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        told = self.told
        parts = {
            "outcome": told.outcome,
            "caught": told.caught,
            "learned": told.learned,
            "not_learned": told.not_learned,
        }
        return {
            "name": self.name,
            "title": self.title,
            "ok": told.ok,
            "attack": told.attack,
            "verdict": told.verdict,
            "seconds": self.seconds,
        } | {name: [claim.to_json() for claim in claims] for name, claims in parts.items()}


def quoted(text: str, limit: int = MAX_QUOTE) -> str:
    """The beginning of a text, in quotation marks, on one line and without control codes."""
    line = "".join(character for character in " ".join(text.split()) if character.isprintable())
    return f"“{line if len(line) <= limit else line[: limit - 1] + '…'}”"


def draw_scene(console: Console, number: int, scene: Scene) -> None:
    """Prints a scene."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True, min_width=len("what happened"))
    table.add_column(ratio=1)
    told = scene.told
    if told.attack:
        table.add_row("attack", Text(told.attack))
    for label, claims in (
        ("what happened", told.outcome),
        ("caught by", told.caught),
        ("learned", told.learned),
        ("not learned", told.not_learned),
    ):
        if claims:
            table.add_row(label, Group(*map(_line, claims)))
    colour = "green" if told.ok else "red"
    verdict = told.verdict if told.ok else "Not as it should be: see what has a ✗."
    console.print(
        Panel(
            Group(table, Text(), Text(verdict, style=f"bold {colour}")),
            title=f"[bold]{number}. {escape(scene.title)}[/]",
            title_align="left",
            subtitle=f"[dim]{scene.seconds:.1f} s[/]",
            subtitle_align="right",
            border_style=colour,
            box=box.ROUNDED,
        )
    )


def _line(claim: Claim) -> Table:
    line = Table.grid(padding=(0, 1))
    line.add_column(no_wrap=True)
    line.add_column()
    line.add_row("[green]✓[/]" if claim.holds else "[bold red]✗[/]", Text(claim.text))
    for what, text in () if claim.holds else claim.recorded:
        line.add_row("", Text(f"{what}: {text!r}", style="dim"))
    return line
