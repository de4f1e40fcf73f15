"""A client's exchange with a host, both real, over a ring in memory: what it says, what is paid, and how it ends.

Engines answer by a script, lanes are of a log that grants everything, and time is trio's mock clock.
"""

import math
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from types import SimpleNamespace
from typing import Any, cast

import pytest
import trio
import trio.testing
from attrs import evolve

import peernet.client.fragment as fragment_module
from benchmarks.engine_tokens import EngineTokens
from benchmarks.ready_log import ReadyLog
from inference.engine import Parameters
from inference.scripted import ScriptedEngine
from peernet.client.events import Event, FragmentText
from peernet.client.fragment import Attempt, AttemptFailed, Exchange, Outcome
from peernet.client.network import HostChoice
from peernet.client.wallet import FundedLane
from peernet.core import serving
from peernet.core.identity import Keypair
from peernet.core.ledger.policy import LedgerPolicy
from peernet.core.ring.cells import CellType, SealedCell
from peernet.core.ring.endings import Ending
from peernet.core.ring.pacing import ring_end
from peernet.core.ring.paths import PathPeer, RingPath
from peernet.core.ring.ring import BACK, OUT, CellOut
from peernet.core.serving import Turn
from peernet.core.suite import MixedSuite
from peernet.host.service import HostService
from peernet.net.rings import RingChannel
from peernet.node.config import HostConfig, NetworkConfig
from peernet.node.peer import Peer, PeerKeys
from privacy.mention import Mention
from privacy.pseudonyms import Conversation
from privacy.screening import Screen

__all__ = ["DIED", "NAME", "Client", "Host", "Leg", "arc", "fails", "fund_here", "hosts_of"]

SUITE = MixedSuite()
LOG = ReadyLog("log.example/one", b"\x01" * 32)
NAME = "Maria Kowalska"
PROMPT = f"Thank {NAME} for lunch, and thank her again."
MENTIONS = [Mention(PROMPT.index(NAME), PROMPT.index(NAME) + len(NAME), "PERSON", 1.0, "test")]
WINDOW_TOKENS = 32
DIED = {OUT: Ending(2, "lost"), BACK: Ending(2, "lost")}
"""What the relays beside a host say when it dies: both are the second on their arcs here."""


class Leg:
    """One arc between the two ends of a ring, without relays."""

    def __init__(
        self,
        send: trio.MemorySendChannel[SealedCell],
        receive: trio.MemoryReceiveChannel[SealedCell],
        note: Callable[[], None],
    ) -> None:
        self._note = note
        self._send = send
        self._receive = receive
        self.ending: Ending | None = None

    async def receive(self) -> list[SealedCell] | None:
        try:
            return [await self._receive.receive()]
        except (trio.EndOfChannel, trio.ClosedResourceError):
            return None

    async def send(self, kind: CellType, body: bytes) -> None:
        self._note()
        try:
            await self._send.send(SealedCell(kind, body))
        except trio.BrokenResourceError:
            await trio.lowlevel.checkpoint()

    def send_now(self, cells: Sequence[CellOut]) -> bool:
        for cell in cells:
            self._note()
            with suppress(trio.BrokenResourceError):
                self._send.send_nowait(SealedCell(cell.type, cell.body))
        return True

    def close(self) -> None:
        self._send.close()
        self._receive.close()


def arc(note: Callable[[int], None] = lambda _: None) -> tuple[Leg, Leg]:
    """The client's end and the host's; `note` is told of each cell, 1 for one to the host and -1 for one from it."""
    towards, back = (trio.open_memory_channel[SealedCell](math.inf) for _ in range(2))
    return Leg(towards[0], back[1], partial(note, 1)), Leg(back[0], towards[1], partial(note, -1))


class Host:
    """A host's service and the ring to it; it can be killed."""

    def __init__(self, number: int, engine: ScriptedEngine) -> None:
        keys = PeerKeys(*(Keypair.from_seed((b"%d %d" % (number, n)).ljust(32), SUITE) for n in (1, 2)), bytes(32))
        peer = Peer(keys, NetworkConfig(test=True), ("host",))
        self.settler = ReadyLog(LOG.name, LOG.seed)
        self.engine = engine
        payout = (b"payout %d" % number).ljust(32)
        self.service = HostService(peer, engine, HostConfig(), LOG.policy, cast("Any", self.settler), payout)
        listing = SimpleNamespace(peer=peer.peer_id)
        self.choice = HostChoice(cast("Any", listing), self.service._offer())
        self.alive = trio.CancelScope()
        self.endings = dict(DIED)
        self._legs: list[Leg] = []

    async def ring(self, nursery: trio.Nursery, service: str = serving.INFER) -> RingChannel:
        out, back = arc(), arc()
        self._legs = [out[0], back[0]]
        self.alive = trio.CancelScope()
        ring = RingChannel(ring_end(service, client=True), out[0], back[0], verdict_s=0.5)
        nursery.start_soon(ring.run)
        served = RingChannel(ring_end(service, client=False), out[1], back[1])
        nursery.start_soon(self._serve, served, self.alive)
        await trio.lowlevel.checkpoint()
        return ring

    async def _serve(self, ring: RingChannel, alive: trio.CancelScope) -> None:
        with alive:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(ring.run)
                await self.service._serve(ring)
                ring.end()

    def kill(self) -> None:
        """The host ends at once, and its arcs end as `endings` says."""
        for number, leg in zip((OUT, BACK), self._legs, strict=True):
            leg.ending = self.endings.get(number)
        self.alive.cancel()

    def lose_ring(self) -> None:
        """Both arcs break, and the host lives."""
        for leg in self._legs:
            leg.ending = Ending(0, "closed")
            leg.close()


def fund_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on lanes are of a log that grants everything, and screens are loaded."""
    monkeypatch.setattr(fragment_module, "fund_lane", _fund)
    # The mock clock does not wait for a thread that reads a model.
    Screen().load()


async def _fund(_: object, __: RingPath, offer: Any, cap: int, ___: LedgerPolicy, ____: object) -> FundedLane:
    await trio.lowlevel.checkpoint()
    return LOG.lane(offer, cap, WINDOW_TOKENS)


class Client:
    """A client, what it has of its one fragment, and what it told."""

    def __init__(self, hosts: Sequence[Host], nursery: trio.Nursery, parameters: Parameters) -> None:
        self._vault = Conversation(random.Random(1))
        self._hosts = {host.choice.peer: host for host in hosts}
        self._nursery = nursery
        self._last: Attempt | None = None
        self.events: list[Event] = []
        self.outcome = Outcome()
        tokens = EngineTokens(hosts[0].engine)
        network = SimpleNamespace(suite=SUITE, open_ring=self._open_ring)
        self._parameters = parameters
        self._exchange = Exchange(
            cast("Any", network), cast("Any", tokens), Screen(), LOG.policy, self.events.append, 0.0
        )
        self.standings = self._exchange.standings

    def paced(self) -> None:
        """From now on its rings are to be paced."""
        self._exchange = evolve(self._exchange, paced=True)

    async def _open_ring(self, path: RingPath, service: str) -> RingChannel:
        return await self._hosts[path.endpoint.peer].ring(self._nursery, service)

    async def ask(self, host: Host) -> None:
        """One attempt at `host`, going on from what there is; raises `AttemptFailed`."""
        view = self._vault.view(host.choice.peer)
        turns = (Turn("user", view.mask(PROMPT, MENTIONS).text),)
        guard, out, back, endpoint = (
            PathPeer(name, name.encode(), frozenset()) for name in ("guard", "F", "R", host.choice.peer)
        )
        path = RingPath((guard, out), (guard, back), endpoint)
        kept = view.translate(self.outcome.kept, self._last.view) if self._last is not None else ""
        fragment: Any = SimpleNamespace(ordinal=0)
        self._last = Attempt(fragment, host.choice, path, turns, view, self._parameters, kept)
        with trio.fail_after(1000):
            await self._exchange.run(self._last, self.outcome, lambda: None)

    def name_at(self, host: Host) -> str:
        """What `host` calls the one person that this is about."""
        (name,) = self._vault.view(host.choice.peer).mapping()
        return name

    @property
    def shown(self) -> str:
        """All that was ever shown, in a row."""
        return "".join(event.text for event in self.events if isinstance(event, FragmentText))


@asynccontextmanager
async def hosts_of(
    *engines: ScriptedEngine, max_tokens: int = 200, stop: tuple[str, ...] = ()
) -> AsyncIterator[tuple[Client, list[Host]]]:
    hosts = []
    for number, engine in enumerate(engines):
        await engine.load()
        hosts.append(Host(number, engine))
    async with trio.open_nursery() as nursery:
        yield Client(hosts, nursery, Parameters(max_tokens=max_tokens, temperature_thousandths=0, stop=stop)), hosts
        nursery.cancel_scope.cancel()


async def fails(client: Client, host: Host) -> AttemptFailed:
    """Asks a host that stalls, kills it there, and gives the failure."""
    failures: list[AttemptFailed] = []

    async def ask() -> None:
        with pytest.raises(AttemptFailed) as raised:
            await client.ask(host)
        failures.append(raised.value)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        await trio.testing.wait_all_tasks_blocked()
        host.kill()
    return failures[0]
