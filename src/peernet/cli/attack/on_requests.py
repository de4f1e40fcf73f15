"""Attacks on a request: a host that keeps everything, a relay that flips a bit, a host that is killed.

Where in an answer a fault hits is chance. A scene whose fault hit none of an answer's text is played again, at most
`MAX_ASKS` or `MAX_KILLS` times; any other outcome is told as it is.
"""

import signal
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
from peernet.cli.attack.finding import absent, has_address, has_read
from peernet.cli.attack.handover import (
    PLACEHOLDER,
    Exchange,
    Handover,
    all_planned,
    behind_placeholders,
    compared,
    course_of,
    exchanges_over,
    goes_on,
    handover_in,
    hit_nothing,
    planned_of,
    said_after,
    squeezed,
    texts_of,
)
from peernet.cli.attack.planted import PLANTED, PLANTED_SHORT, PROMPT, SHORT_PROMPT
from peernet.cli.attack.scene import Claim, Telling, quoted
from peernet.cli.attack.stage import Asked, Stage
from peernet.cli.drawing import short
from peernet.client.events import (
    Event,
    FragmentContinued,
    FragmentPlanned,
    FragmentReport,
    FragmentText,
    Planned,
    ReceiptProven,
    RingBuilt,
)
from peernet.core.ring.cells import CELL_SIZE
from peernet.core.serving import Ask, FromClient, Pay
from privacy.exposure import share
from privacy.restoring import placeholders_in, restore

__all__ = ["curious_host", "flipping_relay", "killed_host"]

FLIPPING_RELAY: Final = ("-m", "peernet.cli.adversaries.flipping_relay")
FLIPPERS: Final = 6
MAX_ASKS: Final = 8
"""With 6 of 12 middles hostile, 23 % of requests of two parts miss them, and 8 in a row do once in 140,000 runs."""
MAX_KILLS: Final = 4
"""How often a host is killed, or was to be, until one is that has not said everything yet."""
PIECES_BEFORE_KILL: Final = 10
BROKEN_CELL: Final = "a relay broke the ring: bad_tag"
DEAD_HOST: Final = "the host or its connections ended: lost"


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
        absent(PLANTED, [one.everything for one in read], "in none of the three notebooks"),
        Claim(
            "the other two fragments",
            not any(has_read(shown.everything, one.fragment.text_sent, known=shown.texts) for one in others),
        ),
        Claim(
            f"your address, {stage.client_host} (it met {len(met)} others); your client's key; your guards",
            bool(met)
            and not has_address(shown.everything, stage.client_host)
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
        if not hit_nothing(asked, said_after(stage, asked)):
            attack += f": {short(culprit)}, at request {len(tried)}."
            return _flipped(stage, tried, notes, culprit, cells, attack)
        allow_another(stage.folder / "notebooks")
    return Telling.failed(attack, f"in {MAX_ASKS} requests none of them altered an answer", course_of(tried[-1]))


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
    handover = handover_in(asked)
    if handover is None:
        return Telling.failed(attack, "no answer was taken over in mid-text", course_of(asked))
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
            absent(PLANTED, [everything], "in none of these cells"),
            Claim(
                "any text, even masked: no fragment, no answer",
                not any(has_read(everything, text) for text in texts_of(stage, tried)),
            ),
            Claim(
                f"your address, {stage.client_host}: your guards alone meet you",
                not has_address(everything, stage.client_host),
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


def _after_the_flip(stage: Stage, asked: Asked, handover: Handover, culprit: str) -> tuple[Claim, ...]:
    continued = handover.continued
    planned, report = planned_of(asked, continued.ordinal), asked.answered.fragments[continued.ordinal]
    notes = stage.notes_of(planned.host, asked.began_at_s)
    exchanges = exchanges_over(notes, planned.text_sent)
    broken, whole = (exchanges[0].said, exchanges[-1]) if len(exchanges) == 2 else ("", None)
    behind = behind_placeholders(asked.prompt, planned.text_sent)
    planned_hosts = {fragment.host for fragment in all_planned(asked)}
    viewers = asked.answered.exposure.hosts
    return (
        Claim(
            f"You had seen {continued.words} words of the answer, as the host wrote them, and never the altered cell.",
            # An altered one would not be what the host wrote. It may have held nothing but white space.
            bool(handover.before) and squeezed(restore(broken, behind)).startswith(squeezed(handover.before)),
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
            and goes_on(handover, whole, behind, cut=report.finish_reason == "length"),
            (*compared(handover, whole), *course_of(asked)),
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
        if not hit_nothing(asked, said_after(stage, asked)):
            attack = (
                f"Host {short(planned.host)} is killed without warning (process {process.pid}, SIGKILL), "
                f"{PIECES_BEFORE_KILL} pieces into its answer."
            )
            handover = handover_in(asked)
            if handover is None or await process.wait() != -signal.SIGKILL:
                return Telling.failed(attack, "its answer was not taken over in mid-text", course_of(asked))
            return _killed(stage, asked, handover, planned, attack)
        if was_killed:
            await stage.start_host_again(name)
    return Telling.failed(
        f"A host is to be killed, {PIECES_BEFORE_KILL} pieces into its answer.",
        f"in {MAX_KILLS} requests its answer was over before",
        course_of(asked),
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


def _killed(stage: Stage, asked: Asked, handover: Handover, planned: FragmentPlanned, attack: str) -> Telling:
    continued = handover.continued
    report, other = asked.answered.fragments
    exposed = {host.host: host for host in asked.answered.exposure.hosts}
    notes = {peer: stage.notes_of(peer, asked.began_at_s) for peer in (planned.host, report.host)}
    read = {peer: everything_in(noted) for peer, noted in notes.items()}
    common = set(PLACEHOLDER.findall(planned.text_sent)) & set(PLACEHOLDER.findall(report.text_sent))
    taken_over = exchanges_over(notes[report.host], report.text_sent)
    given = (taken_over[0].ask.prefix or "") if taken_over else ""
    standby_share = exposed[report.host].share_of_words if report.host in exposed else 0.0
    behind = behind_placeholders(asked.prompt, report.text_sent)
    masked = "in placeholders of its own" if placeholders_in(given, behind) else "with no name in it"
    return Telling(
        attack,
        outcome=_after_the_kill(asked, handover, taken_over, planned.host),
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
                and squeezed(restore(given, behind)) == squeezed(handover.before)
                and not placeholders_in(given, set(PLACEHOLDER.findall(planned.text_sent))),
                (("given", given), ("shown", handover.before)),
            ),
        ),
        not_learned=(
            absent(PLANTED_SHORT, list(read.values()), "in neither notebook"),
            Claim("the other fragment", not any(has_read(one, other.text_sent) for one in read.values())),
            Claim("that their placeholders mean the same: they have none in common", not common),
        ),
        verdict="You lost some seconds and not a word, and you are told who else has read it.",
    )


def _after_the_kill(
    asked: Asked, handover: Handover, exchanges: Sequence[Exchange], planned_host: str
) -> tuple[Claim, ...]:
    """What the client has; `exchanges` are those of the host that went on."""
    continued, report = handover.continued, asked.answered.fragments[0]
    behind = behind_placeholders(asked.prompt, report.text_sent)
    return (
        Claim(
            f"The {continued.words} words that you had seen stayed, and host {short(report.host)} went on from "
            "them, over a fresh ring. The whole answer is there, paid for and proven (entry "
            f"{report.receipt_index} of {report.receipt_log}).",
            asked.answered.complete
            and asked.answered.text.startswith(handover.answer_before)
            and continued.host == report.host != planned_host
            and (report.continuations, report.restarts) == (1, 0)
            and report.receipt_index is not None,
        ),
        Claim(
            f"At the seam no word is missing or said twice: {handover.seam}.",
            len(exchanges) == 1 and goes_on(handover, exchanges[0], behind, cut=report.finish_reason == "length"),
            (*compared(handover, exchanges[0] if exchanges else None), *course_of(asked)),
        ),
    )


def _member(stage: Stage, peer: str) -> str:
    """The process that a peer runs in."""
    return next(member.name for member in stage.swarm.members if peer in member.peers)
