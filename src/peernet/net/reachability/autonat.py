"""AutoNAT v2 on streams: asking others to dial us back, and dialling back for others.

Rules, besides those of `core.autonat`:

1. The server dials back with a key of its own for each dial, from a swarm that exists for this dial only: the
   connection is used for nothing else, and neither side mistakes it for the server's ordinary one.
2. The server compares IP addresses after unwrapping and resolving: it dials the IP address that it sees the asker at,
   and no other, whatever the text of the address. Who comes through a relay is seen nowhere, and refused. Names cost
   a lookup, so only the first `MAX_NAMES` of a request count, and have `RESOLVE_TIMEOUT_S` together.
3. The asker takes a nonce only over a connection that somebody made to it directly: one that it has dialled itself,
   or that a relay brought, proves nothing.
"""

import secrets
from collections import Counter
from collections.abc import Callable, Sequence
from ipaddress import ip_address
from typing import Final

import trio
from attrs import evolve, frozen

from peernet.core.autonat import (
    DIAL_BACK_PROTOCOL,
    DIAL_REQUEST_PROTOCOL,
    MAX_MESSAGE_SIZE,
    DialBack,
    DialBackBudget,
    DialBackLimits,
    DialBackResponse,
    DialRequest,
    DialResponse,
    DialStatus,
    Probe,
    Reachability,
    ResponseStatus,
    decode_dial_back,
    decode_dial_back_response,
    decode_message,
    encode_dial_back,
    encode_dial_back_response,
    encode_message,
)
from peernet.core.errors import ConnectionFailed, RemoteProtocolError
from peernet.core.identity import PeerId
from peernet.core.prefixes import ip_prefix, unwrapped
from peernet.net.addresses import (
    Address,
    CircuitAddress,
    WebSocketAddress,
    decode_address,
    encode_address,
    is_global,
)
from peernet.net.messages import Frames
from peernet.net.reachability.circuits import is_relayed, observed_ip
from peernet.net.streams import PeerStream
from peernet.net.swarm import Swarm
from peernet.net.tasks import background_nursery
from peernet.net.transports.names import Resolver, SystemResolver

__all__ = ["Answer", "AutonatClient", "AutonatServer"]

REQUEST_TIMEOUT_S: Final = 5.0
DIAL_TIMEOUT_S: Final = 10.0
DIAL_BACK_TIMEOUT_S: Final = 5.0
RESOLVE_TIMEOUT_S: Final = 5.0
"""For all names of a request together."""
MAX_NAMES: Final = 2
"""How many names of one request are looked up: each lookup is work for others, at the asker's word."""
PROBE_TIMEOUT_S: Final = 30.0
"""All of a server's times together, and a little."""


@frozen
class Answer:
    """What one server says."""

    outcome: Reachability
    prefix: str
    """The network that the server is in, as it is really reached: what it says of itself may be anything."""


class AutonatClient:
    """Asks others whether they reach us.

    Args:
        swarm: the node's connections.
    """

    def __init__(self, swarm: Swarm) -> None:
        self._swarm = swarm
        self._probes: dict[int, Probe] = {}
        self.counters: Counter[str] = Counter()
        swarm.handle(DIAL_BACK_PROTOCOL, self._serve_dial_back)

    async def ask(self, server: PeerId, places: Sequence[Address], about: Address) -> Reachability:
        """Whether `server`, which is at `places`, reaches us at `about`; raises as `answer` does."""
        return (await self.answer(server, places, about)).outcome

    async def answer(self, server: PeerId, places: Sequence[Address], about: Address) -> Answer:
        """What `server`, which is at `places`, says of our address `about`.

        Raises `ConnectionFailed` when the server cannot be had, `RemoteProtocolError` for what is no honest answer.
        """
        probe = Probe(encode_address(about), secrets.randbelow(2**64 - 1) + 1)
        try:
            with trio.fail_after(PROBE_TIMEOUT_S):
                async with await self._swarm.open_stream(server, places, DIAL_REQUEST_PROTOCOL, direct=True) as stream:
                    if not about.is_name and (":" in about.host) != (":" in observed_ip(stream)):
                        raise ConnectionFailed(f"{server} is reached over the other IP version than {about}")
                    self._probes[probe.nonce] = probe
                    frames = Frames(stream, MAX_MESSAGE_SIZE)
                    await frames.send(probe.request())
                    reply = await frames.receive()
        except trio.TooSlowError as error:
            raise ConnectionFailed(f"{server} did not answer in time") from error
        finally:
            self._probes.pop(probe.nonce, None)
        if reply is None:
            raise ConnectionFailed(f"{server} closed the stream before it answered")
        outcome = probe.outcome(reply)
        self.counters[f"answered:{outcome.value}"] += 1
        return Answer(outcome, ip_prefix(observed_ip(stream)))

    async def _serve_dial_back(self, stream: PeerStream) -> None:
        frames = Frames(stream, MAX_MESSAGE_SIZE)
        with trio.fail_after(REQUEST_TIMEOUT_S):
            data = await frames.receive()
            if data is None:
                return
            probe = self._probes.get(decode_dial_back(data).nonce)
            if probe is None or is_relayed(stream) or not self._swarm.is_reached_by(stream.peer):
                raise RemoteProtocolError("a dial-back that proves nothing", reason="bad_dial_back")
            probe.arrived = True
            await frames.send(encode_dial_back_response(DialBackResponse()))


class AutonatServer:
    """Dials back for others.

    Args:
        swarm: the node's connections.
        dialler: makes a swarm with a fresh key, of the same network, that listens nowhere.
        allow_private: whether addresses that are not global are dialled: test networks only.
    """

    def __init__(
        self,
        swarm: Swarm,
        dialler: Callable[[], Swarm],
        *,
        allow_private: bool,
        limits: DialBackLimits,
        resolver: Resolver | None = None,
    ) -> None:
        self._dialler = dialler
        self._allow_private = allow_private
        self._budget = DialBackBudget(limits)
        self._resolver = resolver or SystemResolver()
        self.counters: Counter[str] = Counter()
        swarm.handle(DIAL_REQUEST_PROTOCOL, self._serve)

    @property
    def running(self) -> int:
        """Requests that are being served."""
        return self._budget.running

    async def _serve(self, stream: PeerStream) -> None:
        frames = Frames(stream, MAX_MESSAGE_SIZE)
        with trio.fail_after(REQUEST_TIMEOUT_S):
            data = await frames.receive()
        if data is None:
            return
        request = decode_message(data)
        if not isinstance(request, DialRequest):
            raise RemoteProtocolError("a dial request was due", reason="bad_autonat")
        response = await self._respond(stream, request)
        self.counters[f"answered:{_word(response)}"] += 1
        await frames.send(encode_message(response))

    async def _respond(self, stream: PeerStream, request: DialRequest) -> DialResponse:
        if is_relayed(stream):
            return DialResponse(ResponseStatus.E_DIAL_REFUSED)
        prefix = ip_prefix(observed_ip(stream))
        if not self._budget.begin(prefix, trio.current_time()):
            return DialResponse(ResponseStatus.E_REQUEST_REJECTED)
        try:
            chosen = None
            with trio.move_on_after(RESOLVE_TIMEOUT_S):
                chosen = await self._first_allowed(request.addresses, observed_ip(stream))
            if chosen is None:
                return DialResponse(ResponseStatus.E_DIAL_REFUSED)
            index, address = chosen
            return DialResponse(ResponseStatus.OK, index, await self._dial_back(stream.peer, address, request.nonce))
        finally:
            self._budget.end(prefix)

    async def _first_allowed(self, addresses: Sequence[bytes], observed: str) -> tuple[int, Address] | None:
        names = 0
        for index, encoded in enumerate(addresses):
            address = decode_address(encoded)
            if address is not None and address.is_name:
                names += 1
                if names > MAX_NAMES:
                    continue
            if (allowed := await self._allowed(address, observed)) is not None:
                return index, allowed
        return None

    async def _allowed(self, address: Address | None, observed: str) -> Address | None:
        """The address with the asker's own IP address in it, if that is where it leads; None if it is not dialled."""
        if address is None or isinstance(address, CircuitAddress) or not address.port:
            return None
        if not (self._allow_private or is_global(observed)):
            return None
        if address.is_name:
            try:
                found = await self._resolver.ips(address.host, address.lookup)
            except (OSError, UnicodeError):
                return None
            return _at_ip(address, observed) if any(_same_ip(ip, observed) for ip in found) else None
        return _at_ip(address, observed) if _same_ip(address.host, observed) else None

    async def _dial_back(self, peer: PeerId, address: Address, nonce: int) -> DialStatus:
        status = DialStatus.E_DIAL_ERROR
        async with background_nursery() as nursery:
            swarm = self._dialler()
            await nursery.start(swarm.run)
            try:
                with trio.fail_after(DIAL_TIMEOUT_S):
                    await swarm.connect(peer, (address,))
                status = DialStatus.E_DIAL_BACK_ERROR
                with trio.fail_after(DIAL_BACK_TIMEOUT_S):
                    async with await swarm.open_stream(peer, (), DIAL_BACK_PROTOCOL) as stream:
                        frames = Frames(stream, MAX_MESSAGE_SIZE)
                        await frames.send(encode_dial_back(DialBack(nonce)))
                        reply = await frames.receive()
                if reply is not None and decode_dial_back_response(reply).status == 0:
                    status = DialStatus.OK
            except (ConnectionFailed, RemoteProtocolError, trio.TooSlowError):
                self.counters[f"failed:{status.name.lower()}"] += 1
        return status


def _same_ip(one: str, other: str) -> bool:
    return unwrapped(ip_address(one)) == unwrapped(ip_address(other))


def _at_ip(address: Address, ip: str) -> Address:
    """The same place by IP address, so that nothing is resolved a second time."""
    if isinstance(address, WebSocketAddress) and address.tls:
        return evolve(address, host=ip, server_name=address.name)
    return evolve(address, host=ip)


def _word(response: DialResponse) -> str:
    if response.status == ResponseStatus.OK:
        return f"dialled_{DialStatus(response.dial_status).name.lower()}"
    return ResponseStatus(response.status).name.lower()
