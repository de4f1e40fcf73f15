"""A whole network in one process: the real commands, each with its own loopback address, and all that each one saw.

The commands `peernet bootstrap`, `relay` and `host` run beside each other on one trio loop, on real sockets, and a
client asks them. Only the engines are scripted. What a member was given is written down under its name: a context
variable says whose code runs, since every task inherits it from the command that it belongs to.
"""

import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any, Final, cast

import pytest
import trio
from attrs import define, evolve, field, frozen

import peernet.cli.host
from inference.engine import Generation, Message, Parameters
from inference.models import read_installed
from inference.tokenizer import Tokenizer
from peernet.cli.main import _parse
from peernet.client.client import Client, open_client
from peernet.core.ring.hop import Hop
from peernet.core.ring.warm import ARCS_A_WAY
from peernet.net import swarm as net_swarm
from peernet.node.config import ClientConfig, HostConfig, NetworkConfig, load_table
from peernet.node.home import Home
from privacy.detection import Detector
from tests.model_files import CACHE, pulled_model
from tests.swarm.scripted_peer import Script, ScriptedModel

__all__ = ["CLIENT", "POLL_S", "READY_TIMEOUT_S", "Seen", "WholeNetwork", "detector", "running_network"]

CLIENT: Final = "client"
HOSTS: Final = 3
RELAYS: Final = 8
FIRST_HOST: Final = 10
FIRST_RELAY: Final = 100
"""The third byte of the first one's address."""
READY_TIMEOUT_S: Final = 30.0
POLL_S: Final = 0.02

_member: ContextVar[str] = ContextVar("member", default="")
_networks = count(os.getpid())


@define
class Seen:
    """What one member was given."""

    engine: list[str] = field(factory=list)
    """Every text of every call of its engine."""
    cells: bytearray = field(factory=bytearray)
    """Every ring cell that it took, and every one that it gave on."""
    wire: bytearray = field(factory=bytearray)
    """Every byte that its sockets read and wrote."""
    neighbours: set[str] = field(factory=set)
    """The addresses at the other ends of its connections."""

    def __contains__(self, text: str) -> bool:
        """Whether `text` was in anything of it, in whatever case."""
        wanted = text.casefold()
        return any(wanted in given.casefold() for given in self.engine) or any(
            wanted.encode() in bytes(captured).lower() for captured in (self.cells, self.wire)
        )


@frozen
class WholeNetwork:
    """A network that runs, and what was seen in it."""

    folder: Path
    number: int
    """The second byte of its loopback addresses."""
    seen: dict[str, Seen]
    network: NetworkConfig
    relays: int = RELAYS

    @property
    def client_address(self) -> str:
        """Where the client's connections come from, and nobody else's."""
        return f"127.{self.number}.200.1"

    def of(self, kind: str) -> dict[str, Seen]:
        """The members of one kind: `bootstrap`, `relay`, `host`."""
        return {name: seen for name, seen in self.seen.items() if name.partition("-")[0] == kind}

    def name_at(self, address: str) -> str:
        """The member that listens at a multiaddr."""
        place = int(address.split("/")[2].split(".")[2])
        for kind, first in (("relay", FIRST_RELAY), ("host", FIRST_HOST)):
            if place >= first:
                return f"{kind}-{place - first}"
        return f"bootstrap-{place}"

    def sent(self) -> int:
        """How many bytes have passed on the client's own sockets."""
        return len(self.seen[CLIENT].wire)

    def files(self) -> dict[str, bytes]:
        """Every file that any member has written."""
        paths = [path for path in self.folder.rglob("*") if path.is_file()]
        return {str(path.relative_to(self.folder)): path.read_bytes() for path in paths}

    @asynccontextmanager
    async def client(
        self, finder: Detector, config: ClientConfig | None = None, warm_ways: int = 0
    ) -> AsyncIterator[Client]:
        """A client that knows all hosts and relays, and has arcs ready over so many ways."""
        # Those leave the client at times of their own, and most tests ask what leaves it because of a prompt.
        configured = evolve(config or ClientConfig(), warm_ways=warm_ways)
        home = Home(self.folder / "client" / "config", self.folder / "client" / "state", CACHE)
        with _as_member(CLIENT):
            async with open_client(self.network, configured, home, detector=finder) as client:
                with trio.fail_after(READY_TIMEOUT_S):
                    while not self._knows_all(client):
                        await trio.sleep(POLL_S)
                        await client.network.fetch_directory()
                    while client.network.ready_arcs < warm_ways * ARCS_A_WAY:  # noqa: ASYNC110  (relays build them)
                        await trio.sleep(POLL_S)
                yield client

    def _knows_all(self, client: Client) -> bool:
        """Whether its directory has every host and relay, whichever of them it may use."""
        directory = client.network.directory
        return len(directory.hosts_of(client.config.model)) == HOSTS and len(directory.relays) == self.relays


@asynccontextmanager
async def running_network(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    script: Script | None = None,
    host_options: Sequence[str] = (),
    relays: int = RELAYS,
    regions: Mapping[str, str] | None = None,
) -> AsyncIterator[WholeNetwork]:
    """One bootstrap node, eight relays and three hosts, each a command of its own.

    `regions` are those that members claim, by their names (`relay-0`, `host-0`).
    """
    pulled_model()
    seen: dict[str, Seen] = {CLIENT: Seen()}
    _record(monkeypatch, seen, script or Script())
    number = 30 + next(_networks) % 60
    network_file = folder / "network.toml"
    async with trio.open_nursery() as nursery:

        def start(name: str, kind: str, place: int, *words: object) -> None:
            seen[name] = Seen()
            home = ("--home", folder / name, "--listen", f"/ip4/127.{number}.{place}.1/tcp/0", "--json")
            claim = ("--region", regions[name]) if regions and name in regions else ()
            with _as_member(name):
                nursery.start_soon(_serve, [kind, *home, *claim, *words], name=name)

        crawling = ("--directory-interval-s", 1)
        start("bootstrap-1", "bootstrap", 1, "--test-network", "--write-network", network_file, *crawling)
        with trio.fail_after(READY_TIMEOUT_S):
            while not network_file.exists():  # noqa: ASYNC110  (a file wakes nobody)
                await trio.sleep(POLL_S)
        joining = ("--network", network_file)
        for place in range(relays):
            start(f"relay-{place}", "relay", FIRST_RELAY + place, *joining)
        for place in range(HOSTS):
            start(f"host-{place}", "host", FIRST_HOST + place, *joining, "--models", CACHE, *host_options)
        flags = {"listen": (f"/ip4/127.{number}.200.1/tcp/0",)}
        yield WholeNetwork(folder, number, seen, load_table(network_file, "network", NetworkConfig, flags), relays)
        nursery.cancel_scope.cancel()


@cache
def tokenizer(folder: Path) -> Tokenizer:
    """The real one of a model, loaded once: all hosts of all networks count with it."""
    return Tokenizer.load(folder)


def detector() -> Detector:
    """The real one, loaded once."""
    from tests.swarm.support import detector as load

    return load()


async def _serve(words: Sequence[object]) -> None:
    command, arguments = _parse([str(word) for word in words])
    serve = getattr(command, "serve", None) or cast("Any", command)._serve
    await serve(arguments)


@contextmanager
def _as_member(name: str) -> Iterator[None]:
    """What is started inside runs in the name of `name`."""
    token = _member.set(name)
    try:
        yield
    finally:
        _member.reset(token)


# --- writing down ----------------------------------------------------------------------------------------------------


def _record(monkeypatch: pytest.MonkeyPatch, seen: dict[str, Seen], script: Script) -> None:
    def mine() -> Seen:
        return seen.setdefault(_member.get(), Seen())

    async def load(arguments: Any, config: HostConfig) -> "RecordingEngine":
        model = read_installed(arguments.models / config.model)
        engine = RecordingEngine(model, tokenizer(model.folder), script, config.context_tokens)
        engine.given = mine().engine
        await engine.load()
        return engine

    def recording(method: Callable[[Hop, bytes], Any]) -> Callable[[Hop, bytes], Any]:
        def recorded(self: Hop, cell: bytes) -> Any:
            events = method(self, cell)
            mine().cells.extend(cell)
            for event in events:
                if isinstance(given_on := getattr(event, "cell", b""), bytes):
                    mine().cells.extend(given_on)
            return events

        return recorded

    def recording_passed(method: Callable[[Hop, bytes], bytes]) -> Callable[[Hop, bytes], bytes]:
        def recorded(self: Hop, cells: bytes) -> bytes:
            passed = method(self, cells)
            mine().cells.extend(cells + passed)
            return passed

        return recorded

    original = net_swarm.PeerConnection

    def connection(transport: Any, *arguments: Any, **options: Any) -> Any:
        mine().neighbours.add(options["observed"].rpartition("/")[2])
        return original(cast("Any", RecordingStream(transport, mine())), *arguments, **options)

    monkeypatch.setattr(peernet.cli.host, "_load_engine", load)
    monkeypatch.setattr(Hop, "receive", recording(Hop.receive))
    monkeypatch.setattr(Hop, "pass_on", recording_passed(Hop.pass_on))
    monkeypatch.setattr(Hop, "pass_back", recording_passed(Hop.pass_back))
    monkeypatch.setattr(net_swarm, "PeerConnection", connection)


class RecordingEngine(ScriptedModel):
    """A scripted engine; what it is given is written down."""

    given: list[str]

    @asynccontextmanager
    async def generate(
        self, messages: Sequence[Message], parameters: Parameters, prefix: str | None = None
    ) -> AsyncIterator[Generation]:
        self.given.extend([*(message.content for message in messages), *parameters.stop, prefix or ""])
        async with super().generate(messages, parameters, prefix) as generation:
            yield generation


class RecordingStream:
    """A transport; what passes is written down."""

    def __init__(self, stream: Any, seen: Seen) -> None:
        self._stream = stream
        self._seen = seen

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def send_now(self, buffers: list[bytes]) -> int:
        sent = self._stream.send_now(buffers)
        self._seen.wire.extend(b"".join(buffers)[:sent])
        return sent

    async def send_all(self, data: bytes) -> None:
        self._seen.wire.extend(data)
        await self._stream.send_all(data)

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        data = bytes(await self._stream.receive_some(max_bytes))
        self._seen.wire.extend(data)
        return data
