"""Attacks on a request: a host that keeps everything, a relay that flips a bit, a host that is killed.

Rules:

1. What hosts wrote, by their notebooks, is compared with what was shown, with the names put back as the client puts
   them back: a model spells a placeholder in its own way (`[Location_E4]` for `LOCATION_E4`), and makes up some.
2. Where in an answer a fault hits is chance. A scene whose fault hit none of an answer's text is played again, at most
   `MAX_ASKS` or `MAX_KILLS` times; any other outcome is told as it is.
"""

import re
import signal
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from attrs import frozen

from peernet.cli.adversaries.flipping_relay import FLIPPED_CELL, allow_another
from peernet.cli.adversaries.notebook import (
    CELL,
    CONNECTION,
    FLIPPED,
    HEARD,
    LEG,
    ONWARD,
    SAID,
    Note,
    everything_in,
)
from peernet.cli.attack.scene import Claim, Telling, quoted
from peernet.cli.attack.stage import Asked, Stage
from peernet.cli.drawing import short
from peernet.client.events import (
    AnswerText,
    Event,
    FragmentContinued,
    FragmentFailed,
    FragmentPlanned,
    FragmentReport,
    FragmentRestarted,
    FragmentText,
    Planned,
    ReceiptProven,
    RingBuilt,
)
from peernet.client.seam import MIN_REPEATED, MIN_REPEATED_WORDS
from peernet.core.ring.cells import CELL_SIZE
from peernet.core.serving import Ask, Delta, FromClient, FromHost, Pay
from privacy.exposure import share
from privacy.restoring import Restorer, placeholders_in, restore

__all__ = ["PLANTED", "SHORT_PROMPT", "curious_host", "flipping_relay", "killed_host"]

FLIPPING_RELAY: Final = ("-m", "peernet.cli.adversaries.flipping_relay")
FLIPPERS: Final = 6
MAX_ASKS: Final = 8
"""With 6 of 12 middles hostile, 23 % of requests of two parts miss them, and 8 in a row do once in 140,000 runs."""
MAX_KILLS: Final = 4
"""How often a host is killed, or was to be, until one is that has not said everything yet."""
PIECES_BEFORE_KILL: Final = 10
WORDS_AT_SEAM: Final = 4
"""How many words are shown on either side of where one answer was taken over by another."""
BROKEN_CELL: Final = "a relay broke the ring: bad_tag"
DEAD_HOST: Final = "the host or its connections ended: lost"
STRETCH: Final = 24
"""How many characters of a text in a row count as having read it."""
MIN_STRETCH: Final = 8
"""Texts with fewer are not looked for in cells: those are noise, and a megabyte of noise has any two bytes."""

PLANTED: Final = (
    "Maria Kowalska",
    "maria.kowalska@example.org",
    "+1 415 555 0132",
    "Northwind Traders",
    "James Whitfield",
    "221 Baker Street",
    "4111 1111 1111 1111",
)
"""What identifies somebody in the prompts, and must reach no host and no relay."""

_MARIA, _MAIL, _PHONE, _COMPANY, _JAMES, _STREET, _CARD = PLANTED

PROMPT: Final = f"""\
1. Write a short thank-you note to {_MARIA} ({_MAIL}, {_PHONE}) of {_COMPANY} Ltd for the lunch in Lisbon.
2. Rewrite this more politely: {_JAMES}, {_STREET}, London NW1 6XE, wants the bank to block the card {_CARD}.
3. Explain in two sentences why drinking enough water every day is good for your health.
"""
_PLANTED_SHORT: Final = (_MARIA, _COMPANY)
SHORT_PROMPT: Final = f"""\
1. Write a short thank-you note to {_MARIA} of {_COMPANY} Ltd for the lunch in Lisbon.
2. Explain in two sentences why drinking enough water every day is good for your health.
"""

_PLACEHOLDER: Final = re.compile(r"\b[A-Z][A-Z_]*_[A-Z]\d+\b")


# --- a curious host --------------------------------------------------------------------------------------------------


async def curious_host(stage: Stage) -> Telling:
    """Every host keeps what it can; the notebook of the one that got the bank letter is opened."""
    asked = await stage.ask(PROMPT)
    exposed = {host.host: host for host in asked.answered.exposure.hosts}
    read = [_read(stage.notes_of(fragment.host), fragment) for fragment in asked.answered.fragments]
    shown = read[1]
    said_share = exposed[shown.fragment.host].share_of_words
    own_share = share(PROMPT, shown.texts)
    agrees = all(exposed[one.fragment.host].share_of_words == share(PROMPT, one.texts) for one in read)
    exact = all(one.texts == [one.fragment.text_sent] for one in read)
    return Telling(
        f"Host {short(shown.fragment.host)} does its work, and keeps every byte, key, address and time that reaches "
        f"it: {len(shown.everything):,} bytes. So do the other two.",
        outcome=(
            Claim(
                "The request was answered in full: a host that only reads breaks no rule.",
                asked.answered.complete,
            ),
        ),
        caught=(
            Claim(
                f"your exposure receipt, which reckons with it: {said_share:.0%} of your words were this host's to "
                f"read. Counted in its notebook: {own_share:.0%}. The other two agree as well",
                agrees,
            ),
            Claim("its notebook has the one fragment that your client says it sent, byte for byte", exact),
        ),
        learned=_what_it_learned(shown),
        not_learned=_what_it_did_not(stage, asked, read, shown),
        verdict="It has one masked fragment, and nobody to pin it on.",
    )


@frozen
class _Reading:
    """One host's notebook, read against the fragment that it was sent."""

    fragment: FragmentReport
    notes: tuple[Note, ...]
    everything: bytes
    asks: tuple[Ask, ...]
    vouchers: int

    @property
    def texts(self) -> list[str]:
        """The texts that it was sent."""
        return [turn.content for ask in self.asks for turn in ask.turns if turn.role != "system"]

    @property
    def neighbours(self) -> list[str]:
        """Who opened legs of rings to it."""
        return sorted({note.peer for note in self.notes if note.kind == LEG})

    @property
    def time_s(self) -> float:
        """From the first to the last thing that it noted of a ring."""
        times = [note.at_s for note in self.notes if note.kind in {LEG, HEARD, SAID}]
        return max(times) - min(times)


def _read(notes: tuple[Note, ...], fragment: FragmentReport) -> _Reading:
    heard = [FromClient.decode(note.data) for note in notes if note.kind == HEARD]
    asks = tuple(message for message in heard if isinstance(message, Ask))
    vouchers = sum(isinstance(message, Pay) for message in heard)
    return _Reading(fragment, notes, everything_in(notes), asks, vouchers)


def _what_it_learned(shown: _Reading) -> tuple[Claim, ...]:
    met = " and ".join(map(short, shown.neighbours))
    return (
        Claim(f"its fragment, masked: {quoted(shown.texts[-1])}", bool(shown.texts)),
        Claim(
            f"the relays next to it, {met}; a key that paid for this one answer, with {shown.vouchers} vouchers; "
            f"when, and for how long ({shown.time_s:.1f} s)",
            bool(shown.neighbours) and shown.vouchers > 0,
        ),
    )


def _what_it_did_not(stage: Stage, asked: Asked, read: Sequence[_Reading], shown: _Reading) -> tuple[Claim, ...]:
    others = [one for one in read if one is not shown]
    met = {note.address.rpartition("/")[2] for note in shown.notes if note.kind in {LEG, CONNECTION}}
    client = stage.client.network.swarm.peer_id
    receipts = {event.ordinal: event.receipt for event in asked.events if isinstance(event, ReceiptProven)}
    lanes = {ordinal: receipt.voucher.lane_key for ordinal, receipt in receipts.items()}
    own = lanes.pop(shown.fragment.ordinal, b"")
    return (
        _absent(PLANTED, [one.everything for one in read], "in none of the three notebooks"),
        Claim(
            "the other two fragments",
            not any(_has_read(shown.everything, one.fragment.text_sent, known=shown.texts) for one in others),
        ),
        Claim(
            f"your address, {stage.client_host} (it met {len(met)} others); your client's key; your guards",
            bool(met)
            and not _has_address(shown.everything, stage.client_host)
            and not any(key in shown.everything for key in (client.public_key, str(client).encode()))
            and not set(asked.answered.exposure.guards).intersection(shown.neighbours),
        ),
        Claim(
            "an account: none is behind the key that paid, and each fragment has a key of its own",
            own in shown.everything
            and len({own, *lanes.values()}) == len(read)
            and not any(key in shown.everything for key in lanes.values()),
        ),
    )


# --- a relay that flips a bit ----------------------------------------------------------------------------------------


async def flipping_relay(stage: Stage) -> Telling:
    """Hostile relays join, and one flips one bit of an answer."""
    flippers = await _start_flippers(stage)
    attack = (
        f"{FLIPPERS} hostile relays have joined the {stage.swarm.plan.relays} honest ones, after you had chosen your "
        f"guards. The first of them to carry an answer flips a single bit of it, in cell {FLIPPED_CELL}"
    )
    tried: list[Asked] = []
    while len(tried) < MAX_ASKS:
        asked = await stage.ask(SHORT_PROMPT)
        tried.append(asked)
        notes = {peer: stage.notes_of(peer) for peer in flippers}
        flip = _flip_since(asked.began_at_s, notes)
        if flip is None:
            continue
        culprit, cells = flip
        if not _hit_nothing(asked, _said_after(stage, asked)):
            attack += f": {short(culprit)}, at request {len(tried)}."
            return _flipped(stage, tried, notes, culprit, cells, attack)
        allow_another(stage.folder / "notebooks")
    return Telling.failed(attack, f"in {MAX_ASKS} requests none of them altered an answer", _course(tried[-1]))


def _flip_since(since_s: float, notes: Mapping[str, Iterable[Note]]) -> tuple[str, bytes] | None:
    """Which relay has flipped a bit since then, and the cell before and after that."""
    for peer, noted in notes.items():
        for note in noted:
            if note.kind == FLIPPED and note.at_s >= since_s:
                return peer, note.data
    return None


def _flipped(
    stage: Stage,
    tried: Sequence[Asked],
    notes: dict[str, tuple[Note, ...]],
    culprit: str,
    flip: bytes,
    attack: str,
) -> Telling:
    asked = tried[-1]
    handover = _handover(asked)
    if handover is None:
        return Telling.failed(attack, "no answer was taken over in mid-text", _course(asked))
    reason = handover.continued.reason
    cells = [note for noted in notes.values() for note in noted if note.kind == CELL]
    everything = everything_in(note for noted in notes.values() for note in noted)
    before = sorted({note.peer for note in notes[culprit] if note.kind == LEG})
    beyond = sorted({note.peer for note in notes[culprit] if note.kind == ONWARD})
    hosts = [peer for peer in beyond if any(host.peer == peer for host in stage.client.hosts())]
    bits = _bits(flip)
    return Telling(
        attack,
        outcome=_after_the_flip(stage, asked, handover, culprit),
        caught=(
            Claim(
                f"the seal that every cell has: {bits} bit of {8 * CELL_SIZE:,} was different, so your client ended "
                f"the ring, which ran over that relay: “{reason}”",
                bits == 1 and reason == BROKEN_CELL and culprit in _middles(asked.events, handover.continued),
            ),
        ),
        learned=(
            Claim(
                f"{len(cells):,} cells of {CELL_SIZE:,} bytes that look like noise, their times, and who stood next "
                f"to it: guard {', '.join(map(short, before))}, host {', '.join(map(short, hosts))}, and "
                "bootstrap nodes",
                bool(cells and before and hosts),
            ),
        ),
        not_learned=(
            _absent(PLANTED, [everything], "in none of these cells"),
            Claim(
                "any text, even masked: no fragment, no answer",
                not any(_has_read(everything, text) for text in _texts_of(stage, tried)),
            ),
            Claim(
                f"your address, {stage.client_host}: your guards alone meet you",
                not _has_address(everything, stage.client_host),
            ),
        ),
        verdict="One bit was enough to be found out, and not enough to change a word.",
    )


async def _start_flippers(stage: Stage) -> list[str]:
    plan, swarm = stage.swarm.plan, stage.swarm
    listening = [word for number in range(FLIPPERS) for word in ("--listen", plan.address(150 + number))]
    notebooks = ("--notebook", str(stage.folder / "notebooks"))
    home = ("--home", str(stage.folder / "flippers"), "--network", str(swarm.network_file))
    words = ("relay", *home, "--separate-operators", *notebooks, *listening)
    member = await swarm.start("flippers", words, (plan.command[0], *FLIPPING_RELAY))
    await stage.wait_directory(relays=plan.relays + FLIPPERS)
    return member.peers


def _after_the_flip(stage: Stage, asked: Asked, handover: "_Handover", culprit: str) -> tuple[Claim, ...]:
    continued = handover.continued
    planned, report = _planned(asked, continued.ordinal), asked.answered.fragments[continued.ordinal]
    notes = stage.notes_of(planned.host, asked.began_at_s)
    exchanges = _exchanges(notes, planned.text_sent)
    broken, whole = (exchanges[0].said, exchanges[-1]) if len(exchanges) == 2 else ("", None)
    behind = _behind(asked.prompt, planned.text_sent)
    planned_hosts = {fragment.host for fragment in _all_planned(asked)}
    viewers = asked.answered.exposure.hosts
    return (
        Claim(
            f"You had seen {continued.words} words of the answer, as the host wrote them, and never the altered cell.",
            # An altered one would not be what the host wrote. It may have held nothing but white space.
            bool(handover.before) and _squeezed(restore(broken, behind)).startswith(_squeezed(handover.before)),
            (("written", broken), ("shown", handover.before)),
        ),
        Claim(
            f"Its ring alone had broken, so the same host, {short(report.host)}, went on from there, over a fresh "
            f"ring without that relay. At the seam no word is missing or said twice: {handover.seam}.",
            asked.answered.complete
            and continued.host == continued.failed_host == report.host == planned.host
            and (report.continuations, report.restarts) == (1, 0)
            and culprit not in {*report.out, *report.back}
            and whole is not None
            and _goes_on(handover, whole, behind, cut=report.finish_reason == "length"),
            (*_compared(handover, whole), *_course(asked)),
        ),
        Claim(
            f"So nobody else has read it: {len(viewers)} hosts for {len(planned_hosts)} fragments, as planned.",
            {viewer.host for viewer in viewers} == planned_hosts
            and len(planned_hosts) == len(asked.answered.fragments)
            and not any(viewer.standby for viewer in viewers),
        ),
    )


def _middles(events: Iterable[Event], continued: FragmentContinued) -> set[str]:
    """The relays, guards left out, of the ring that broke."""
    for event in events:
        if isinstance(event, RingBuilt) and (event.ordinal, event.host) == (continued.ordinal, continued.failed_host):
            return {*event.out[1:], *event.back[1:]}
    return set()


def _bits(cells: bytes) -> int:
    """In how many bits two cells, one after the other, are different."""
    before, after = cells[:CELL_SIZE], cells[CELL_SIZE:]
    return sum((one ^ other).bit_count() for one, other in zip(before, after, strict=True))


# --- a host that is killed -------------------------------------------------------------------------------------------


async def killed_host(stage: Stage) -> Telling:
    """A host is killed while its answer is on the screen."""
    for _ in range(MAX_KILLS):
        asked, planned, was_killed = await _ask_and_kill(stage)
        name = _member(stage, planned.host)
        process = stage.swarm.member(name).process
        if not _hit_nothing(asked, _said_after(stage, asked)):
            attack = (
                f"Host {short(planned.host)} is killed without warning (process {process.pid}, SIGKILL), "
                f"{PIECES_BEFORE_KILL} pieces into its answer."
            )
            handover = _handover(asked)
            if handover is None or await process.wait() != -signal.SIGKILL:
                return Telling.failed(attack, "its answer was not taken over in mid-text", _course(asked))
            return _killed(stage, asked, handover, planned, attack)
        if was_killed:
            await stage.start_host_again(name)
    return Telling.failed(
        f"A host is to be killed, {PIECES_BEFORE_KILL} pieces into its answer.",
        f"in {MAX_KILLS} requests its answer was over before",
        _course(asked),
    )


async def _ask_and_kill(stage: Stage) -> tuple[Asked, FragmentPlanned, bool]:
    """A request, the first host of which is killed as soon as so much of its answer is shown; and whether it was."""
    planned: list[FragmentPlanned] = []
    shown: list[str] = []

    def kill(event: Event) -> None:
        if isinstance(event, Planned):
            planned.extend(event.fragments)
        elif isinstance(event, FragmentText) and event.ordinal == 0:
            shown.append(event.text)
            if len(shown) == PIECES_BEFORE_KILL:
                stage.swarm.kill(_member(stage, planned[0].host))

    asked = await stage.ask(SHORT_PROMPT, kill)
    return asked, planned[0], len(shown) >= PIECES_BEFORE_KILL


def _killed(stage: Stage, asked: Asked, handover: "_Handover", planned: FragmentPlanned, attack: str) -> Telling:
    continued = handover.continued
    report, other = asked.answered.fragments
    exposed = {host.host: host for host in asked.answered.exposure.hosts}
    notes = {peer: stage.notes_of(peer, asked.began_at_s) for peer in (planned.host, report.host)}
    read = {peer: everything_in(noted) for peer, noted in notes.items()}
    common = set(_PLACEHOLDER.findall(planned.text_sent)) & set(_PLACEHOLDER.findall(report.text_sent))
    taken_over = _exchanges(notes[report.host], report.text_sent)
    given = (taken_over[0].ask.prefix or "") if taken_over else ""
    standby_share = exposed[report.host].share_of_words if report.host in exposed else 0.0
    behind = _behind(asked.prompt, report.text_sent)
    masked = "in placeholders of its own" if placeholders_in(given, behind) else "with no name in it"
    return Telling(
        attack,
        outcome=(
            Claim(
                f"The {continued.words} words that you had seen stayed, and host {short(report.host)} went on from "
                "them, over a fresh ring. The whole answer is there, paid for and proven (entry "
                f"{report.receipt_index} of {report.receipt_log}).",
                asked.answered.complete
                and asked.answered.text.startswith(handover.answer_before)
                and continued.host == report.host != planned.host
                and (report.continuations, report.restarts) == (1, 0)
                and report.receipt_index is not None,
            ),
            Claim(
                f"At the seam no word is missing or said twice: {handover.seam}.",
                len(taken_over) == 1
                and _goes_on(handover, taken_over[0], behind, cut=report.finish_reason == "length"),
                (*_compared(handover, taken_over[0] if taken_over else None), *_course(asked)),
            ),
        ),
        caught=(
            Claim(
                f"the ring, which a death ends on both of its arcs: “{continued.reason}”",
                continued.failed_host == planned.host and continued.ordinal == 0 and continued.reason == DEAD_HOST,
            ),
            Claim(
                f"your exposure receipt, which counts one viewer more: {len(exposed)} hosts for 2 fragments, "
                f"{short(report.host)} as standby that went on, with {standby_share:.0%} of your words",
                {planned.host, report.host, other.host} == set(exposed)
                and len(exposed) == len(asked.answered.fragments) + 1
                and exposed[report.host].standby
                and exposed[report.host].continued == (0,)
                and standby_share == share(SHORT_PROMPT, [report.text_sent, given]),
            ),
        ),
        learned=(
            Claim(
                f"dead host and standby: the same fragment, masked: {quoted(report.text_sent)}",
                planned.text_sent.encode() in read[planned.host] and report.text_sent.encode() in read[report.host],
            ),
            Claim(
                f"the standby: what you had seen of the answer, {masked}: {quoted(given)}",
                bool(given)
                and _squeezed(restore(given, behind)) == _squeezed(handover.before)
                and not placeholders_in(given, set(_PLACEHOLDER.findall(planned.text_sent))),
                (("given", given), ("shown", handover.before)),
            ),
        ),
        not_learned=(
            _absent(_PLANTED_SHORT, list(read.values()), "in neither notebook"),
            Claim("the other fragment", not any(_has_read(one, other.text_sent) for one in read.values())),
            Claim("that their placeholders mean the same: they have none in common", not common),
        ),
        verdict="You lost some seconds and not a word, and you are told who else has read it.",
    )


def _member(stage: Stage, peer: str) -> str:
    """The process that a peer runs in."""
    return next(member.name for member in stage.swarm.members if peer in member.peers)


# --- looking for things in what was recorded -------------------------------------------------------------------------


def _absent(planted: Sequence[str], everywhere: Sequence[bytes], finding: str) -> Claim:
    """That none of `planted` is found, however it is written."""
    found = any(_finds(everything, text) for everything in everywhere for text in planted)
    return Claim(f"{', '.join(planted)}: {finding}", bool(everywhere) and all(everywhere) and not found)


def _finds(everything: bytes, text: str) -> bool:
    """Whether a text is there, in whatever case, with or without spaces and signs."""
    folded = everything.lower()
    squeezed = re.sub(rb"[^a-z0-9]", b"", folded)
    return text.lower().encode() in folded or re.sub(r"[^a-z0-9]", "", text.lower()).encode() in squeezed


def _has_read(everything: bytes, text: str, known: Iterable[str] = ()) -> bool:
    """Whether any `STRETCH` characters of `text` in a row are there, but for those that are in `known` anyway."""
    stretches = {text[start : start + STRETCH] for start in range(max(1, len(text) - STRETCH + 1))}
    return any(part.encode() in everything for part in stretches if not any(part in one for one in known))


def _has_address(everything: bytes, host: str) -> bool:
    """Whether an IPv4 address is there, as text or as four bytes."""
    return host.encode() in everything or bytes(map(int, host.split("."))) in everything


def _planned(asked: Asked, ordinal: int) -> FragmentPlanned:
    return _all_planned(asked)[ordinal]


def _all_planned(asked: Asked) -> tuple[FragmentPlanned, ...]:
    (planned,) = [event for event in asked.events if isinstance(event, Planned)]
    return planned.fragments


def _behind(prompt: str, sent: str) -> dict[str, str]:
    """What stands behind the placeholders of a fragment: read off the request, where it is what was sent of it.

    Nothing where it is not.
    """
    names = _PLACEHOLDER.findall(sent)
    between = [re.escape(part) for part in _PLACEHOLDER.split(sent)]
    found = re.search(rf"{'(.+?)'.join(between)}$", prompt, re.MULTILINE)
    return {} if found is None else dict(zip(names, found.groups(), strict=True))


@frozen
class _Exchange:
    """One ring's exchange with a host, by the host's own notebook."""

    ask: Ask
    said: str


def _exchanges(notes: Sequence[Note], text_sent: str) -> list[_Exchange]:
    """The exchanges over a fragment, in order."""
    asks = {
        note.ring: message
        for note in notes
        if note.kind == HEARD
        and isinstance(message := FromClient.decode(note.data), Ask)
        and message.turns[-1].content == text_sent
    }
    said: dict[int, list[str]] = {ring: [] for ring in asks}
    for note in notes:
        if note.kind == SAID and note.ring in asks and isinstance(message := FromHost.decode(note.data), Delta):
            said[note.ring].append(message.text)
    return [_Exchange(asks[ring], "".join(said[ring])) for ring in sorted(asks)]


@frozen
class _Handover:
    """What was shown of a fragment's answer before an attempt failed, and what after it."""

    continued: FragmentContinued
    before: str
    after: str
    answer_before: str
    """What was shown by then of the whole answer."""

    @property
    def seam(self) -> str:
        """The last words before, and the first ones after."""
        before, after = self.before.split()[-WORDS_AT_SEAM:], self.after.split()[:WORDS_AT_SEAM]
        return f"“…{' '.join(before)}” and then “{' '.join(after)}…”"


def _handover(asked: Asked) -> _Handover | None:
    """Where somebody went on with an answer, if that happened once."""
    places = [place for place, event in enumerate(asked.events) if isinstance(event, FragmentContinued)]
    if len(places) != 1:
        return None
    continued = asked.events[places[0]]
    assert isinstance(continued, FragmentContinued)

    earlier, later = asked.events[: places[0]], asked.events[places[0] :]
    before, after = (_shown(events, continued.ordinal) for events in (earlier, later))
    answer_before = "".join(event.text for event in earlier if isinstance(event, AnswerText))
    return _Handover(continued, before, after, answer_before)


def _shown(events: Iterable[Event], ordinal: int) -> str:
    """What was shown of a fragment's answer."""
    return "".join(event.text for event in events if isinstance(event, FragmentText) and event.ordinal == ordinal)


def _said_after(stage: Stage, asked: Asked) -> str:
    """What the host wrote that went on with an answer, by its own notebook; nothing where none did."""
    handover = _handover(asked)
    if handover is None:
        return ""
    report = asked.answered.fragments[handover.continued.ordinal]
    exchanges = _exchanges(stage.notes_of(report.host, asked.began_at_s), report.text_sent)
    return exchanges[-1].said if exchanges else ""


def _hit_nothing(asked: Asked, said_after: str) -> bool:
    """Whether a fault hit none of an answer's text: it came before anything was shown of it, or when all was there.

    `said_after` is what the host wrote that went on from there.
    """
    handed = [event for event in asked.events if isinstance(event, FragmentContinued | FragmentRestarted)]
    if not asked.answered.complete or len(handed) > 1:
        return False
    for event in handed:
        place = asked.events.index(event)
        if isinstance(event, FragmentRestarted):
            return not _shown(asked.events[:place], event.ordinal)
        return not _shown(asked.events[place:], event.ordinal).strip() and not said_after.strip()
    return True


def _goes_on(handover: _Handover, exchange: _Exchange, behind: Mapping[str, str], *, cut: bool) -> bool:
    """Whether what a host was given, and what it wrote then, are together what was shown: no more and no less.

    But for what it said again, which is shown once, and, where the answer was cut at its length, for the beginning of
    one of its placeholders, which is never shown.
    """
    given = exchange.ask.prefix or ""
    said = exchange.said
    if (again := _said_again(given, said)) is not None:
        said = said.lstrip()[len(again) :]
    if not given or not handover.after or _squeezed(restore(given, behind)) != _squeezed(handover.before):
        return False
    restorer = Restorer(behind, after=handover.before)
    written, shown = _squeezed(restorer.feed(said) + restorer.finish()), _squeezed(handover.after)
    rest = written.removeprefix(shown)
    is_cut = cut and len(rest) > 1 and any(name.startswith(rest) for name in behind)
    return written.startswith(shown) and (not rest or is_cut)


def _said_again(given: str, said: str) -> str | None:
    """The end of what a host was given with which it began, where that counts as a repetition (`client.seam`)."""
    given, said = given.rstrip(), said.lstrip()
    places = [match.start() for match in re.finditer(r"(?<!\S)\S", given)]
    again = [
        given[place:] for place in places if len(given) - place >= MIN_REPEATED and said.startswith(given[place:])
    ]
    again = [text for text in again if len(text.split()) >= MIN_REPEATED_WORDS]
    return again[0] if len(again) == 1 and given.count(again[0]) == 1 else None


def _compared(handover: _Handover, exchange: _Exchange | None) -> tuple[tuple[str, str], ...]:
    """What `_goes_on` looks at, for whoever wants to know why it does not hold."""
    shown = (("shown before", handover.before), ("shown after", handover.after))
    if exchange is None:
        return (*shown, ("written", "nothing, by the notebook of the host that went on"))
    return (("given", exchange.ask.prefix or ""), ("written", exchange.said), *shown)


def _course(asked: Asked) -> tuple[tuple[str, str], ...]:
    """How a request went that did not go as it should."""
    failures = [
        f"{type(event).__name__} of {event.ordinal}: {event.reason}"
        for event in asked.events
        if isinstance(event, FragmentContinued | FragmentRestarted | FragmentFailed)
    ]
    pieces = Counter(event.ordinal for event in asked.events if isinstance(event, FragmentText))
    shown = ", ".join(f"{number} of {ordinal}" for ordinal, number in sorted(pieces.items()))
    return (("failures", "; ".join(failures) or "none"), ("pieces shown", shown), ("answer", asked.answered.text))


def _texts_of(stage: Stage, requests: Iterable[Asked]) -> list[str]:
    """What hosts were sent in these requests, and what they answered, by their own notebooks."""
    fragments = [fragment for asked in requests for fragment in asked.answered.fragments]
    exchanges = [_exchanges(stage.notes_of(fragment.host), fragment.text_sent) for fragment in fragments]
    answers = [exchange.said for exchanged in exchanges for exchange in exchanged]
    return _long_enough([*(fragment.text_sent for fragment in fragments), *answers])


def _long_enough(texts: Iterable[str]) -> list[str]:
    """Those that do not stand in noise by chance."""
    return [text for text in texts if len(text) >= MIN_STRETCH]


def _squeezed(text: str) -> str:
    """A text without white space: what a word's space is written with depends on who writes."""
    return "".join(text.split())
