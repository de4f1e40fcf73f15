"""What `peernet doctor` finds out about the network: each check says what is so, and what to do where it is not.

Rules:

1. The check-up has a key of its own for each run, listens where the node would, publishes nothing, and is in no
   table: it disturbs nobody, and a node that is running keeps its place.
2. Every wait is bounded. A check that could not be made says so, and is not taken for a good one.
3. Whatever is not in order has advice: what a person does about it on which machine, with the port in it.
"""

import secrets
import socket
from collections.abc import Callable, Iterable, Sequence
from statistics import median
from typing import Final

import trio
from attrs import frozen

from peernet.core.autonat import Reachability
from peernet.core.dht.messages import (
    MAX_REPLY_SIZE,
    PROTOCOL,
    FindNode,
    Nodes,
    decode_reply,
    encode_message,
)
from peernet.core.dht.records import FUTURE_TOLERANCE_S, PeerRecord, SignedRecord, open_record
from peernet.core.errors import ConnectionFailed, RemoteProtocolError, UserError
from peernet.core.identity import Keypair, PeerId
from peernet.core.ring.paths import PathPeer
from peernet.core.suite import CipherSuite
from peernet.core.wire import decode
from peernet.net.addresses import (
    Address,
    WebSocketAddress,
    addresses_by_peer,
    parse_address,
    parse_peer_address,
)
from peernet.net.messages import Frames
from peernet.net.reachability.autonat import AutonatClient
from peernet.net.reachability.keeper import RelayCandidate, ReservationKeeper
from peernet.net.swarm import Swarm
from peernet.net.tasks import background_nursery
from peernet.node.config import NetworkConfig
from peernet.node.peer import swarm_of
from peernet.node.reachability import is_wildcard, relay_candidates

__all__ = ["Finding", "check_network", "could_serve"]

ASK_TIMEOUT_S: Final = 6.0
RESERVE_TIMEOUT_S: Final = 16.0
"""Relays are asked one after the other, and each may take its time to be no good."""
SERVERS_ASKED: Final = 4
CLOCK_TOLERANCE_S: Final = 120
"""A record may be a minute old when it is handed out, and take a while."""

OK: Final = "ok"
NOTE: Final = "note"
"""Not as it could be, and no reason not to serve."""
WRONG: Final = "wrong"
UNKNOWN: Final = "unknown"
"""It could not be found out."""


@frozen
class Finding:
    """One thing that was looked at."""

    check: str
    """`python`, `packages`, `keys`, `model`, `listen`, `bootstrap`, `clock`, `reach` or `relays`."""
    state: str
    """`ok`, `note`, `wrong` or `unknown`."""
    what: str
    advice: str = ""


def could_serve(findings: Iterable[Finding]) -> bool:
    """Whether a host with these findings could serve: nothing is wrong, and others reach it, if through relays."""
    found = tuple(findings)
    reached = any(finding.check in {"reach", "relays"} and finding.state == OK for finding in found)
    in_order = all(finding.state not in {WRONG, UNKNOWN} for finding in found if finding.check != "bootstrap")
    answered = any(finding.check == "bootstrap" and finding.state == OK for finding in found)
    return reached and in_order and answered


async def check_network(
    network: NetworkConfig, suite: CipherSuite, now_s: Callable[[], int], report: Callable[[Finding], None]
) -> None:
    """Looks at everything that has to do with the network, and reports each finding as it comes."""
    identity = Keypair.from_seed(secrets.token_bytes(32), suite)
    swarm = swarm_of(network, identity, suite)
    checkup = _Checkup(network, suite, identity, swarm, now_s, report)
    async with background_nursery() as nursery:
        await nursery.start(swarm.run)
        await checkup.listen()
        await checkup.ask_bootstraps()
        await checkup.reach()


class _Checkup:
    def __init__(
        self,
        network: NetworkConfig,
        suite: CipherSuite,
        identity: Keypair,
        swarm: Swarm,
        now_s: Callable[[], int],
        report: Callable[[Finding], None],
    ) -> None:
        self._network = network
        self._suite = suite
        self._identity = identity
        self._swarm = swarm
        self._now_s = now_s
        self._report = report
        self._client = AutonatClient(swarm)
        self._records: dict[bytes, PeerRecord] = {}
        self._clocks: list[int] = []

    # --- listening ---------------------------------------------------------------------------------------------------

    async def listen(self) -> None:
        for text in self._network.listen:
            address = parse_address(text)
            try:
                listening = await self._swarm.listen(address)
            except UserError as error:
                advice = "If it is your own peernet that runs there, end it for as long as the doctor looks."
                self._report(Finding("listen", WRONG, str(error), advice))
                continue
            if address.port:
                self._report(Finding("listen", OK, f"{listening} can be listened on"))
            else:
                advice = f"Choose one, so that a router can forward it: --listen {_with_port(text, 4101)}"
                what = f"{address} can be listened on, at another port each time"
                self._report(Finding("listen", NOTE, what, advice))

    # --- bootstrap nodes, and the clock ------------------------------------------------------------------------------

    async def ask_bootstraps(self) -> None:
        if not self._network.bootstrap:
            advice = "Give the network's file with --network FILE, or an address with --bootstrap ADDRESS."
            self._report(Finding("bootstrap", WRONG, "no bootstrap node is configured", advice))
            return
        places = addresses_by_peer(map(parse_peer_address, self._network.bootstrap))
        async with trio.open_nursery() as nursery:
            for peer, addresses in places.items():
                nursery.start_soon(self._ask_bootstrap, peer, addresses)
        self._check_clock()

    async def _ask_bootstrap(self, peer: PeerId, addresses: Sequence[Address]) -> None:
        try:
            with trio.fail_after(ASK_TIMEOUT_S):
                await self._learn_records(peer, addresses)
        except (ConnectionFailed, RemoteProtocolError, trio.TooSlowError) as error:
            what = f"the bootstrap node at {addresses[0]} does not answer ({_short(error)})"
            advice = (
                "Check that this machine is online, that its firewall lets it connect out, and that the address is "
                "the one that the network's operator gives."
            )
            self._report(Finding("bootstrap", WRONG, what, advice))
            return
        self._report(Finding("bootstrap", OK, f"the bootstrap node at {addresses[0]} answers"))

    async def _learn_records(self, peer: PeerId, addresses: Sequence[Address]) -> None:
        """Asks for peers, as any member of the DHT does, and goes by what the node says of itself for the time."""
        async with await self._swarm.open_stream(peer, addresses, PROTOCOL) as stream:
            frames = Frames(stream, MAX_REPLY_SIZE)
            await frames.send(b"", encode_message(FindNode(self._identity.peer_id.dht_id)))
            await stream.close_sending()
            introduction, reply = await frames.receive(), await frames.receive()
        if introduction is None or reply is None:
            raise ConnectionFailed("it closed the stream before it answered")
        own = self._opened(introduction)
        self._clocks.append(own.issued_at_s - self._now_s())
        answer = decode_reply(reply)
        for signed in answer.records if isinstance(answer, Nodes) else ():
            record = self._opened(signed)
            self._records[record.public_key] = record

    def _opened(self, signed: bytes) -> PeerRecord:
        """A peer record, whatever the time is here: the clock is what is in question."""
        body = decode(PeerRecord, decode(SignedRecord, signed).body)
        record = open_record(signed, body.issued_at_s, self._suite)
        if not isinstance(record, PeerRecord):
            raise RemoteProtocolError("a record of a peer was due", reason="bad_record")
        return record

    def _check_clock(self) -> None:
        if not self._clocks:
            what = "nobody answered whose clock this one could be compared with"
            self._report(
                Finding("clock", UNKNOWN, what, "See to the bootstrap nodes first, then ask the doctor again.")
            )
            return
        off_s = round(median(self._clocks))
        if abs(off_s) <= CLOCK_TOLERANCE_S:
            self._report(Finding("clock", OK, "the clock is right, as far as others can tell"))
            return
        way = "behind" if off_s > 0 else "ahead of"
        bad = abs(off_s) > FUTURE_TOLERANCE_S
        advice = "Switch on network time: 'sudo timedatectl set-ntp true' on Linux, or in the system's settings."
        what = f"the clock is {abs(off_s)} s {way} that of others" + (", who refuse what it signs" if bad else "")
        self._report(Finding("clock", WRONG if bad else NOTE, what, advice))

    # --- being reached -----------------------------------------------------------------------------------------------

    async def reach(self) -> None:
        announced = [parse_address(text) for text in self._network.announce]
        addresses = announced or self._swarm.listening
        if not self._swarm.listening or not self._known_peers():
            return  # what was found before says why nobody can be asked
        findings = [await self._reach_one(address, announced=bool(announced)) for address in addresses]
        reached = any(finding.state == OK for finding in findings)
        relays = None if reached else await self._find_relays()
        # Who is reached through relays serves all the same.
        softened = reached or (relays is not None and relays.state == OK)
        for finding in findings:
            state = NOTE if softened and finding.state in {WRONG, UNKNOWN} else finding.state
            self._report(Finding(finding.check, state, finding.what, finding.advice))
        if relays is not None:
            self._report(relays)

    def _known_peers(self) -> list[tuple[PeerId, Sequence[Address]]]:
        known: dict[PeerId, Sequence[Address]] = {}
        if self._clocks:
            known |= addresses_by_peer(map(parse_peer_address, self._network.bootstrap))
        for candidate in self._relays():
            known[candidate.peer] = candidate.addresses
        return list(known.items())

    def _relays(self) -> list[RelayCandidate]:
        return relay_candidates(self._records.values(), allow_private=self._network.test)

    async def _reach_one(self, address: Address, *, announced: bool) -> Finding:
        over = f"{_version(address)}, {_transport(address)}"
        if is_wildcard(address):
            what = f"{address} is no address that others could be told"
            return Finding("reach", WRONG, what, _advice_on_naming(address))
        if not (self._network.test or address.is_name or address.is_global):
            what = f"{address} is an address of your own network only: nobody outside can dial it"
            return Finding("reach", WRONG, what, _advice_on_naming(address))
        outcomes = await self._outcomes(address)
        reached, closed = map(outcomes.count, (Reachability.REACHABLE, Reachability.UNREACHABLE))
        tried = reached + closed
        if reached > closed:
            return Finding("reach", OK, f"{address} is open ({over}): {reached} of {tried} peers dialled it")
        if closed:
            what = f"{address} is closed to others ({over}): {closed} of {tried} that tried did not get in"
            return Finding("reach", WRONG, what, _advice_on_opening(address, self._listening_for(address)))
        if Reachability.ELSEWHERE in outcomes:
            what = f"others do not see this machine at {address} ({over}), and so did not dial it"
            advice = (
                "Right behind a reverse proxy. Otherwise check the address that you announce."
                if announced
                else _advice_on_naming(address)
            )
            return Finding("reach", NOTE if announced else WRONG, what, advice)
        return Finding("reach", UNKNOWN, f"nobody could tell whether {address} is open ({over})", "Try again later.")

    def _listening_for(self, address: Address) -> Address:
        """Where this machine listens for those who come to `address`: at its port, else over its transport."""
        listening = self._swarm.listening
        same_port = [own for own in listening if own.port == address.port]
        same_kind = [own for own in listening if type(own) is type(address)]
        return (same_port or same_kind or listening)[0]

    async def _outcomes(self, address: Address) -> list[Reachability]:
        """What as many peers as are asked say of an address, those who say something."""
        outcomes: list[Reachability] = []

        async def ask(peer: PeerId, places: Sequence[Address]) -> None:
            try:
                outcome = await self._client.ask(peer, places, address)
            except (ConnectionFailed, RemoteProtocolError):
                return  # others are asked as well
            if outcome is not Reachability.UNKNOWN:
                outcomes.append(outcome)

        known = self._known_peers()
        async with trio.open_nursery() as nursery:
            for peer, places in secrets.SystemRandom().sample(known, min(SERVERS_ASKED, len(known))):
                nursery.start_soon(ask, peer, places)
        return outcomes

    async def _find_relays(self) -> Finding:
        """Whether relays would keep places for this machine."""
        wanted = self._network.relay_reservations
        if not wanted:
            advice = "Open a port as said above, or allow relays with --relay-reservations 2."
            return Finding("relays", WRONG, "relays are switched off (--relay-reservations 0)", advice)
        own = PathPeer(str(self._identity.peer_id), self._identity.public_key, frozenset())
        enough = trio.Event()

        def look() -> None:
            if len(keeper.relays) >= wanted:
                enough.set()

        keeper = ReservationKeeper(self._swarm, self._suite, self._relays, lambda: own, self._now_s, look)
        kept: tuple[PeerId, ...] = ()
        async with background_nursery() as nursery:
            nursery.start_soon(keeper.keep, wanted)
            with trio.move_on_after(RESERVE_TIMEOUT_S):
                await enough.wait()
            kept = keeper.relays
        if not kept:
            what = f"none of {len(self._relays())} relays keeps a place for this machine"
            return Finding(
                "relays", WRONG, what, "Open a port as said above, or try again when there are more relays."
            )
        few = f" of {wanted} wanted" if len(kept) < wanted else ""
        names = "relay" if len(kept) == 1 else "relays"
        return Finding("relays", OK, f"a host here is reached through {len(kept)}{few} {names} of different operators")


def _version(address: Address) -> str:
    return "a name" if address.is_name else "IPv6" if ":" in address.host else "IPv4"


def _transport(address: Address) -> str:
    if not isinstance(address, WebSocketAddress):
        return "TCP"
    return "WebSocket over TLS" if address.tls else "WebSocket"


def _advice_on_opening(address: Address, listening: Address) -> str:
    if ":" in address.host:
        router = f"let TCP port {address.port} in to this machine{_local_address(socket.AF_INET6)}"
    else:
        inner = "" if listening.port == address.port else f"port {listening.port} of "
        local = _local_address(socket.AF_INET)
        router = f"forward TCP port {address.port} to {inner}this machine{local}"
    return (
        f"Router: {router}. Firewall of this machine: let it in, on Linux with 'sudo ufw allow {listening.port}/tcp'. "
        "Or do nothing: a host then uses relays."
    )


def _advice_on_naming(listening: Address) -> str:
    family = "ip6" if ":" in listening.host else "ip4"
    router = "lets TCP port {} in" if family == "ip6" else "forwards TCP port {}"
    where = _local_address(socket.AF_INET6 if family == "ip6" else socket.AF_INET)
    kind = str(listening).partition(f"/tcp/{listening.port}")[2]
    return (
        f"If your router {router.format(listening.port)} to this machine{where}, say so with --announce "
        f"/{family}/YOUR-PUBLIC-ADDRESS/tcp/{listening.port}{kind}. Or do nothing: a host then uses relays."
    )


def _local_address(family: socket.AddressFamily) -> str:
    """This machine's address in its own network, for a router's form; nothing where there is none."""
    documentation = "2001:db8::1" if family == socket.AF_INET6 else "192.0.2.1"
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((documentation, 9))  # nothing is sent
            return f" ({probe.getsockname()[0]})"
    except OSError:
        return ""


def _with_port(text: str, port: int) -> str:
    return text.replace("/tcp/0", f"/tcp/{port}")


def _short(error: BaseException) -> str:
    if isinstance(error, trio.TooSlowError):
        return "no answer in time"
    if isinstance(error, RemoteProtocolError):
        return f"it breaks the protocol: {error.reason}"
    # What went wrong at each address stands in brackets behind whom it was about.
    return str(error).partition(" (")[2].removesuffix(")") or str(error)
