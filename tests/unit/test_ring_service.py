"""Rings over loopback sockets: real peers forward them, an endpoint answers on them, and all of it ends."""

import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import count
from typing import Any

import pytest
import structlog
import trio
import trio.testing
from attrs import evolve, frozen

from peernet.core.dht.records import HostOffer, PeerRecord, sign_record
from peernet.core.errors import RemoteProtocolError
from peernet.core.identity import Keypair, PeerId
from peernet.core.ring.cells import (
    CellType,
    SealedCell,
)
from peernet.core.ring.endings import Blame, Ending, blame
from peernet.core.ring.hop import Hop
from peernet.core.ring.ring import BACK, OUT, WINDOW_CELLS, CellOut, Join, RingEnd, join_cookie
from peernet.core.suite import MixedSuite
from peernet.core.wire import encode
from peernet.net.addresses import TcpAddress
from peernet.net.limits import Limits
from peernet.net.rings import RingChannel, RingFailed, RingHop, RingLimits, building, open_ring
from peernet.net.rings.building import _ClientLeg, _open_leg
from peernet.net.rings.channel import VERDICT_S
from peernet.net.streams import PeerStream
from peernet.net.swarm import Swarm
from peernet.node.config import NetworkConfig
from peernet.node.peer import RECORD_LIFETIME_S, Peer, PeerKeys, now_s

SUITE = MixedSuite()
ENDPOINT = 2
"""The endpoint's place on both arcs of a world."""

_numbers = count(1)


@pytest.fixture(autouse=True)
def _quiet_log():
    with structlog.testing.capture_logs():
        yield


def new_peer(*roles: str, limits: RingLimits | None = None) -> Peer:
    number = next(_numbers)
    keys = PeerKeys(
        Keypair.from_seed(b"ring peer %022d" % number, SUITE),
        Keypair.from_seed(b"ring operator %018d" % number, SUITE),
        b"ring onion %021d" % number,
    )
    network = NetworkConfig(test=True, listen=f"/ip4/127.91.{number % 250}.1/tcp/0")
    peer = Peer(keys, network, roles)
    if limits is not None:
        peer.rings._limits = limits
    return peer


@frozen
class World:
    """A guard, two middles and an endpoint, and a client's swarm."""

    client: Swarm
    guard: Peer
    forward: Peer
    backward: Peer
    endpoint: Peer

    @property
    def peers(self) -> tuple[Peer, ...]:
        return (self.guard, self.forward, self.backward, self.endpoint)

    @property
    def out(self) -> list[RingHop]:
        return [hop(self.guard), hop(self.forward), hop(self.endpoint)]

    @property
    def back(self) -> list[RingHop]:
        return [hop(self.guard), hop(self.backward), hop(self.endpoint)]

    async def open(
        self,
        out: Sequence[RingHop] | None = None,
        back: Sequence[RingHop] | None = None,
        service: str = "echo",
        timeout_s: float = 5.0,
    ) -> RingChannel:
        return await open_ring(self.client, SUITE, out or self.out, back or self.back, service, timeout_s=timeout_s)

    async def wait_until_nothing_is_left(self) -> None:
        """No leg, no waiting join, and no stream of a ring, anywhere."""
        await until(lambda: all(not peer.rings.legs and not peer.rings._pending for peer in self.peers))
        await until(lambda: all(not connection.stream_count for connection in self.client.connections.values()))
        for peer in self.peers:
            # The sweep, the listener, and what each connection has.
            busy = [c for c in peer.swarm.connections.values() if c.stream_count]
            await until(lambda busy=busy: not any(c.stream_count for c in busy))


def hop(peer: Peer) -> RingHop:
    onion_key = SUITE.x25519_public(peer.onion_secrets()[0])
    return RingHop(peer.peer_id, tuple(peer.swarm.listening), onion_key, peer.signed_record())


async def until(holds: Callable[[], bool]) -> None:
    with trio.fail_after(5):
        while not holds():  # noqa: ASYNC110  (what is waited for passes through the kernel)
            await trio.sleep(0.001)


async def echo(ring: RingChannel) -> None:
    while (message := await ring.receive()) is not None:
        await ring.send(message)


@asynccontextmanager
async def world(limits: RingLimits | None = None) -> AsyncIterator[World]:
    client = Swarm(SUITE, Keypair.from_seed(secrets.token_bytes(32), SUITE), bind="127.91.251.1", limits=Limits())
    peers = [new_peer(role, limits=limits) for role in ("relay", "relay", "relay", "host")]
    peers[3].rings.serve("echo", echo)
    async with trio.open_nursery() as nursery:
        await nursery.start(client.run)
        for peer in peers:
            await nursery.start(peer.swarm.run)
            await peer.listen()
        yield World(client, *peers)
        nursery.cancel_scope.cancel()


def dead_hop(address: TcpAddress | None = None) -> RingHop:
    """A peer with a proper record, where nobody listens; or where `address` is."""
    peer = new_peer("relay")
    peer.swarm.listening.append(address or TcpAddress("127.91.255.1", 9))
    return hop(peer)


async def failure_of(opening) -> RingFailed:
    with pytest.raises(RingFailed) as raised:
        await opening
    return raised.value


async def cells_of(leg: _ClientLeg) -> list[SealedCell]:
    found: list[SealedCell] = []
    with trio.fail_after(5):
        while (cells := await leg.receive()) is not None:
            found += cells
    return found


async def test_a_ring_carries_messages_both_ways_and_leaves_nothing_behind():
    async with world() as w:
        ring = await w.open()
        for message in (b"hello", b"", b"x" * 200_000, b"again"):
            await ring.send(message)
            assert await ring.receive() == message
        assert w.guard.rings.legs == 2
        assert w.forward.rings.legs == w.backward.rings.legs == 1
        assert w.endpoint.rings.legs == 2
        ring.end()
        await ring.finished.wait()
        assert ring.ended == "done"
        await w.wait_until_nothing_is_left()
        with pytest.raises(RingFailed):
            await ring.send(b"late")
        assert await ring.receive() is None


async def test_many_rings_at_once_do_not_mix():
    async with world() as w:
        answers = {}

        async def use(number: int) -> None:
            ring = await w.open()
            text = b"%d " % number * 2000
            await ring.send(text)
            answers[number] = await ring.receive() == text
            ring.end()

        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(use, number)
        assert answers == dict.fromkeys(range(20), True)
        await w.wait_until_nothing_is_left()


@pytest.mark.parametrize("size", [10, 5_000, 250_000])
async def test_an_endpoint_that_ends_right_behind_its_answer_is_heard_to_the_end(size: int):
    async def answer(ring: RingChannel) -> None:
        await ring.receive()
        for number in range(5):
            await ring.send(b"%d" % number)
        await ring.send(bytes(size))

    async with world() as w:
        w.endpoint.rings.serve("answer", answer)
        for _ in range(5):
            ring = await w.open(service="answer")
            await ring.send(b"go")
            found = []
            with trio.fail_after(5):
                while (message := await ring.receive()) is not None:
                    found.append(message)
                    # What the client says meanwhile must not end its ring either.
                    with suppress(RingFailed):
                        await ring.send(b"thank you")
            assert found == [b"0", b"1", b"2", b"3", b"4", bytes(size)]
            assert ring.ended == "done"
        await w.wait_until_nothing_is_left()


async def test_a_message_to_an_end_that_has_gone_does_not_hide_what_it_said_last():
    async def refuse(ring: RingChannel) -> None:
        await ring.receive()
        await ring.send(b"more")
        await ring.send(b"refused, and why")

    async with world() as w:
        w.endpoint.rings.serve("refuse", refuse)
        ring = await w.open(service="refuse")
        await ring.send(b"go")
        await ring.finished.wait()
        assert await ring.receive() == b"more"
        await ring.send(b"a voucher")
        assert await ring.receive() == b"refused, and why"
        with pytest.raises(RingFailed):
            await ring.send(b"a voucher")


async def test_ending_a_ring_whose_out_arc_is_over_already_is_no_crash():
    async with world() as w:
        ring = await w.open()
        # A cell for the arc may have been on its way to be sealed when the arc ended.
        ring._legs[OUT].arc.end()
        await ring.send(b"for nobody")
        await until(lambda: not ring._end.blocked)
        assert ring.ended is None
        ring.end()
        await ring.finished.wait()
        await w.wait_until_nothing_is_left()
        assert w.client.counters["task_crashed"] == 0


async def test_the_client_ending_a_ring_ends_it_for_the_endpoint():
    heard: list[bytes | None] = []

    async def listen(ring: RingChannel) -> None:
        while (message := await ring.receive()) is not None:
            heard.append(message)
        heard.append(None)

    async with world() as w:
        w.endpoint.rings.serve("listen", listen)
        ring = await w.open(service="listen")
        await ring.send(b"words")
        ring.end("cancelled")
        await until(lambda: heard == [b"words", None])
        await w.wait_until_nothing_is_left()


async def test_a_sender_waits_for_a_reader_who_does_not_read():
    go_on = trio.Event()
    got = []

    async def slow(ring: RingChannel) -> None:
        await go_on.wait()
        while (message := await ring.receive()) is not None:
            got.append(message)

    async with world() as w:
        w.endpoint.rings.serve("slow", slow)
        ring = await w.open(service="slow")
        sent = 0
        with trio.move_on_after(0.2):
            while True:
                await ring.send(bytes(1000))
                sent += 1
        # The window's cells, and one message that waits behind them.
        assert sent <= WINDOW_CELLS + 2
        go_on.set()
        await until(lambda: len(got) == sent)
        ring.end()


@pytest.mark.parametrize("arc", [OUT, BACK])
@pytest.mark.parametrize("place", [0, 1, 2])
async def test_a_dead_peer_is_named_by_the_hop_before_it_and_quickly(arc: int, place: int):
    async with world() as w:
        hops = {OUT: w.out, BACK: w.back}
        hops[arc][place] = dead_hop()
        with trio.fail_after(2):
            error = await failure_of(w.open(hops[OUT], hops[BACK]))
        assert (error.arc, error.hop, error.reason) == (arc, max(place - 1, 0), "unreachable")
        await w.wait_until_nothing_is_left()


async def test_a_peer_that_does_not_answer_is_given_up_before_the_client_gives_up():
    async with world(RingLimits(build_timeout_s=0.3)) as w:
        (listener,) = await trio.open_tcp_listeners(0, host="127.91.252.1")
        async with listener:
            address = TcpAddress("127.91.252.1", listener.socket.getsockname()[1])
            error = await failure_of(w.open([hop(w.guard), dead_hop(address), hop(w.endpoint)]))
            assert (error.arc, error.hop, error.reason) == (OUT, 0, "unreachable")
        await w.wait_until_nothing_is_left()


async def test_one_arc_failing_ends_the_other_that_is_still_being_built():
    async with world() as w:
        (listener,) = await trio.open_tcp_listeners(0, host="127.91.253.1")
        async with listener:
            stalled = dead_hop(TcpAddress("127.91.253.1", listener.socket.getsockname()[1]))
            began = trio.current_time()
            error = await failure_of(
                w.open([hop(w.guard), dead_hop(), hop(w.endpoint)], [hop(w.guard), stalled, hop(w.endpoint)])
            )
            assert error.arc == OUT
            assert trio.current_time() - began < 2
            await until(lambda: not w.client.connections[w.guard.peer_id].stream_count)
            assert len(w.client._nursery.child_tasks) == 3  # the sweep, the flusher and the connection
            w.guard.rings._limits = RingLimits()


async def test_a_ring_that_is_not_built_in_time_and_one_that_nobody_waits_for_leave_nothing():
    async with world(RingLimits(build_timeout_s=0.3)) as w:
        (listener,) = await trio.open_tcp_listeners(0, host="127.91.254.1")
        async with listener:
            stalled = dead_hop(TcpAddress("127.91.254.1", listener.socket.getsockname()[1]))
            path = [hop(w.guard), stalled, hop(w.endpoint)]
            error = await failure_of(w.open(path, timeout_s=0.05))
            assert (error.reason, error.hop) == ("timeout", None)
            with trio.move_on_after(0.05) as scope:
                await w.open(path)
            assert scope.cancelled_caught
            await w.wait_until_nothing_is_left()


async def test_a_private_address_is_refused_outside_test_networks():
    async with world() as w:
        w.guard.rings._allow_private = False
        error = await failure_of(w.open())
        assert (error.hop, error.reason) == (0, "unreachable")
        assert not [name for name in w.guard.swarm.counters if name.startswith("dial:")]
        assert w.forward.peer_id not in w.guard.swarm.connections
        await w.wait_until_nothing_is_left()


def forged(peer: Peer) -> bytes:
    record = bytearray(peer.signed_record())
    record[-1] ^= 1
    return bytes(record)


def expired(peer: Peer) -> bytes:
    issued = now_s() - 2 * RECORD_LIFETIME_S
    body = evolve(peer._record(), issued_at_s=issued, expires_at_s=issued + RECORD_LIFETIME_S)
    return sign_record(body, peer.keys.identity)


def unowned(peer: Peer) -> bytes:
    body: PeerRecord = evolve(peer._record(), operator_key=peer.keys.identity.public_key)
    return sign_record(body, peer.keys.identity)


def no_peer(peer: Peer) -> bytes:
    now = now_s()
    offer = HostOffer(
        peer.keys.identity.public_key,
        now,
        now,
        now + 60,
        "m",
        bytes(32),
        bytes(32),
        "",
        1,
        1,
        1,
        1,
        "",
        (),
        bytes(32),
        (),
    )
    return sign_record(offer, peer.keys.identity)


@pytest.mark.parametrize(
    ("record_of", "reason"),
    [
        (forged, "bad_signature"),
        (expired, "expired"),
        (unowned, "bad_operator"),
        (no_peer, "bad_record"),
        (lambda _: b"junk", "bad_message"),
        (lambda _: b"", "bad_message"),
    ],
)
async def test_a_relay_extends_to_peers_in_signed_records_alone(record_of: Callable[[Peer], bytes], reason: str):
    async with world() as w:
        out = [hop(w.guard), evolve(hop(w.forward), record=record_of(w.forward)), hop(w.endpoint)]
        error = await failure_of(w.open(out))
        assert (error.arc, error.hop, error.reason) == (OUT, 0, reason)
        assert w.guard.rings.counters[f"extension_failed:{reason}"] == 1
        await w.wait_until_nothing_is_left()


async def test_a_relay_does_not_extend_to_itself_or_back_to_where_the_arc_comes_from():
    async with world() as w:
        for path in ([w.guard, w.guard, w.endpoint], [w.guard, w.forward, w.guard, w.endpoint]):
            error = await failure_of(w.open([*map(hop, path)]))
            assert error.reason == "bad_extension"
            assert error.hop == len(path) - 3
        await w.wait_until_nothing_is_left()


async def test_a_peer_without_the_role_does_not_forward():
    async with world() as w:
        error = await failure_of(w.open([hop(w.guard), hop(w.endpoint), hop(w.forward)]))
        assert (error.hop, error.reason) == (1, "no_relay")
        await w.wait_until_nothing_is_left()


async def test_an_onion_key_that_is_not_the_peers_names_the_hop_before():
    async with world() as w:
        wrong = evolve(hop(w.forward), onion_key=SUITE.x25519_public(b"w" * 32))
        error = await failure_of(w.open([hop(w.guard), wrong, hop(w.endpoint)]))
        assert (error.hop, error.reason) == (0, "lost")
        unusable = evolve(hop(w.guard), onion_key=bytes(32))
        error = await failure_of(w.open([unusable, hop(w.forward), hop(w.endpoint)]))
        assert (error.hop, error.reason) == (None, "bad_key")
        await w.wait_until_nothing_is_left()


async def test_yesterdays_onion_key_still_works():
    async with world() as w:
        out = [
            evolve(each, onion_key=SUITE.x25519_public(peer.onion_secrets()[1]))
            for each, peer in zip(w.out, (w.guard, w.forward, w.endpoint), strict=True)
        ]
        ring = await w.open(out)
        await ring.send(b"hello")
        assert await ring.receive() == b"hello"
        ring.end()


async def test_a_service_that_is_not_served_is_refused_by_the_endpoint():
    async with world() as w:
        ring = await w.open(service="other")
        with trio.fail_after(5):
            assert await ring.receive() is None
        assert ring.ended == "bad_join"
        await w.wait_until_nothing_is_left()


async def two_legs(w: World) -> tuple[_ClientLeg, _ClientLeg]:
    legs = await _open_leg(w.client, SUITE, w.out), await _open_leg(w.client, SUITE, w.back)
    for leg in legs:
        await leg.build()
    return legs


def join(role: int, nonce: bytes, cookie: bytes, service: str = "echo") -> bytes:
    return encode(Join(role, service, nonce, cookie))


@pytest.mark.parametrize("wrong", ["cookie", "swapped", "role", "nonce", "service"])
async def test_a_join_that_does_not_fit_is_refused_on_both_arcs(wrong: str):
    async with world() as w:
        w.endpoint.rings.serve("other", echo)
        out, back = await two_legs(w)
        hashes = out.arc.handshake_hash, back.arc.handshake_hash
        nonce = b"n" * 16
        cookie = join_cookie(SUITE, nonce, *(hashes[::-1] if wrong == "swapped" else hashes))
        if wrong == "cookie":
            cookie = b"c" * 32
        await out.send(CellType.JOIN, join(OUT, nonce, cookie))
        await until(lambda: len(w.endpoint.rings._pending) == 1)
        role = OUT if wrong == "role" else BACK
        other = b"m" * 16 if wrong == "nonce" else nonce
        await back.send(CellType.JOIN, join(role, other, cookie, "other" if wrong == "service" else "echo"))
        for leg in (out, back):
            assert (await cells_of(leg))[0] == SealedCell(CellType.END, b"bad_join")
            leg.close()
        assert w.endpoint.rings.counters["joined"] == 0
        await w.wait_until_nothing_is_left()


async def test_a_join_of_garbage_is_refused():
    async with world() as w:
        out, back = await two_legs(w)
        await out.send(CellType.JOIN, b"garbage")
        assert (await cells_of(out))[0] == SealedCell(CellType.END, b"bad_message")
        await back.send(CellType.DATA, b"before any join")
        assert (await cells_of(back))[0] == SealedCell(CellType.END, b"lost")
        for leg in (out, back):
            leg.close()
        await w.wait_until_nothing_is_left()


async def test_a_join_without_a_partner_ends_after_its_time():
    async with world(RingLimits(join_timeout_s=0.05)) as w:
        out, back = await two_legs(w)
        await out.send(CellType.JOIN, join(OUT, b"n" * 16, b"c" * 32))
        assert (await cells_of(out))[0] == SealedCell(CellType.END, b"no_partner")
        assert w.endpoint.rings.counters["join_without_partner"] == 1
        for leg in (out, back):
            leg.close()
        await w.wait_until_nothing_is_left()


async def test_a_join_whose_client_has_gone_waits_no_longer():
    async with world() as w:
        out, back = await two_legs(w)
        await out.send(CellType.JOIN, join(OUT, b"n" * 16, b"c" * 32))
        await until(lambda: len(w.endpoint.rings._pending) == 1)
        out.close()
        back.close()
        await w.wait_until_nothing_is_left()


async def test_the_oldest_waiting_join_makes_room():
    async with world(RingLimits(pending_joins=2)) as w:
        legs = [*await two_legs(w), *await two_legs(w)]
        for number, leg in enumerate(legs[:3]):
            await leg.send(CellType.JOIN, join(OUT, b"n" * 16, bytes([number]) * 32))
            await until(lambda number=number: bytes([number]) * 32 in w.endpoint.rings._pending)
        assert (await cells_of(legs[0]))[0] == SealedCell(CellType.END, b"no_partner")
        assert len(w.endpoint.rings._pending) == 2
        for leg in legs:
            leg.close()
        await w.wait_until_nothing_is_left()


async def test_a_cookie_works_once():
    async with world(RingLimits(join_timeout_s=0.3)) as w:
        out, back = await two_legs(w)
        third, fourth = await two_legs(w)
        nonce = b"n" * 16
        cookie = join_cookie(SUITE, nonce, out.arc.handshake_hash, back.arc.handshake_hash)
        await out.send(CellType.JOIN, join(OUT, nonce, cookie))
        await back.send(CellType.JOIN, join(BACK, nonce, cookie))
        await until(lambda: w.endpoint.rings.counters["joined"] == 1)
        await third.send(CellType.JOIN, join(OUT, nonce, cookie))
        assert (await cells_of(third))[0] == SealedCell(CellType.END, b"no_partner")
        # The ring that the cookie was for goes on.
        await out.send(CellType.DATA, b"\x05hello")
        with trio.fail_after(5):
            assert await back.receive() == [SealedCell(CellType.DATA, b"\x05hello")]
        assert w.endpoint.rings.counters["joined"] == 1
        for leg in (out, back, third, fourth):
            leg.close()
        await w.wait_until_nothing_is_left()


async def test_legs_are_bounded_per_neighbour_and_in_total():
    async with world() as w:
        w.forward.rings._limits = RingLimits(legs_per_neighbour=2)
        rings = [await w.open() for _ in range(2)]
        error = await failure_of(w.open())
        # The guard's extension succeeded, then the middle closed the leg.
        assert (error.arc, error.hop) == (OUT, 0)
        assert w.forward.rings.counters["leg_refused"] == 1
        assert w.forward.rings.legs == 2
        rings[0].end()
        await until(lambda: w.forward.rings.legs == 1)
        rings.append(await w.open())
        w.guard.rings._limits = RingLimits(legs=4)
        error = await failure_of(w.open())
        assert (error.hop, error.reason) == (0, "closed")
        for ring in rings:
            ring.end()
        await w.wait_until_nothing_is_left()


@pytest.mark.parametrize("name", ["forward", "backward"])
async def test_killing_a_relay_in_the_middle_ends_the_ring_on_both_ends(name: str):
    ended = trio.Event()

    async def wait_for_end(ring: RingChannel) -> None:
        while await ring.receive() is not None:
            pass
        ended.set()

    async with world() as w:
        w.endpoint.rings.serve("wait", wait_for_end)
        ring = await w.open(service="wait")
        await until(lambda: w.endpoint.rings.counters["joined"] == 1)
        killed: Peer = getattr(w, name)
        for connection in killed.swarm.connections.values():
            connection.close()
        with trio.fail_after(5):
            assert await ring.receive() is None
            await ended.wait()
            await ring.finished.wait()
        # The endpoint, which lives, says which arc it lost; the guard says whom it lost on it.
        arc = OUT if name == "forward" else BACK
        assert ring.ended == ("arc_lost" if arc == OUT else "lost")
        assert blame(ring.endings, ENDPOINT) == Blame(endpoint=False, suspects=frozenset({(arc, 1)}))
        await w.wait_until_nothing_is_left()


async def test_killing_the_endpoint_or_the_guard_ends_the_ring():
    guards = frozenset({(OUT, 0), (BACK, 0)})
    for name, verdict in (("endpoint", Blame(endpoint=True)), ("guard", Blame(endpoint=False, suspects=guards))):
        async with world() as w:
            ring = await w.open()
            await until(lambda w=w: w.endpoint.rings.counters["joined"] == 1)
            killed: Peer = getattr(w, name)
            for connection in killed.swarm.connections.values():
                connection.close()
            began = trio.current_time()
            with trio.fail_after(5):
                assert await ring.receive() is None
                await ring.finished.wait()
            # Both arcs have spoken: nobody waited for the time to be up.
            assert trio.current_time() - began < VERDICT_S
            assert blame(ring.endings, ENDPOINT) == verdict
            await w.wait_until_nothing_is_left()


async def test_a_relay_that_calls_a_living_endpoint_gone_is_suspected_itself(monkeypatch: pytest.MonkeyPatch):
    """It says `lost` to the client, and towards the endpoint all is as before."""
    monkeypatch.setattr(building, "VERDICT_S", 0.05)
    lie, ended = trio.Event(), trio.Event()

    async def wait_for_end(ring: RingChannel) -> None:
        while await ring.receive() is not None:
            pass
        ended.set()

    async with world() as w:
        liar = w.backward.rings
        honest = liar._pump

        async def pump(stream: PeerStream, onward: PeerStream, hop: Hop, *rest: Any) -> tuple[str, bytes]:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(honest, stream, onward, hop, *rest)
                await lie.wait()
                await liar._end_towards_client(stream, hop, "lost")
                await ended.wait()
                nursery.cancel_scope.cancel()
            return "client_gone", b""

        liar._pump = pump
        w.endpoint.rings.serve("wait", wait_for_end)
        ring = await w.open(service="wait")
        await until(lambda: w.endpoint.rings.counters["joined"] == 1)
        lie.set()
        with trio.fail_after(5):
            assert await ring.receive() is None
            assert not ended.is_set()
            await ring.finished.wait()
        assert ring.endings == {BACK: Ending(1, "lost")}
        assert blame(ring.endings, ENDPOINT) == Blame(endpoint=False, suspects=frozenset({(BACK, 1)}))
        await w.wait_until_nothing_is_left()


async def test_a_leg_that_says_nothing_ends_after_its_time():
    async with world(RingLimits(command_timeout_s=0.05)) as w:
        async with await w.client.open_stream(w.guard.peer_id, w.guard.swarm.listening, "/peernet/ring/1") as stream:
            with trio.fail_after(5), pytest.raises(Exception, match="reset"):
                await stream.receive_some()
        await w.wait_until_nothing_is_left()


async def test_a_ring_on_which_nothing_passes_ends():
    async with world() as w:
        for peer in w.peers:
            peer.rings._limits = RingLimits(idle_timeout_s=0.5)
        ring = await w.open()
        began = trio.current_time()
        while trio.current_time() - began < 0.8:
            await ring.send(b"still here")
            assert await ring.receive() == b"still here"
        with trio.fail_after(5):
            assert await ring.receive() is None
        await w.wait_until_nothing_is_left()


async def test_a_forwarder_alone_bounds_a_ring_on_which_nothing_passes():
    async with world() as w:
        w.forward.rings._limits = RingLimits(idle_timeout_s=0.1)
        ring = await w.open()
        with trio.fail_after(5):
            assert await ring.receive() is None
        assert w.forward.rings.counters["arc_ended:idle"] == 1
        await w.wait_until_nothing_is_left()


async def test_a_handler_that_fails_ends_its_ring_alone():
    async def crash(ring: RingChannel) -> None:
        await ring.receive()
        raise ZeroDivisionError

    async def refuse(ring: RingChannel) -> None:
        await ring.receive()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            raise RemoteProtocolError("a bad request", reason="bad_request")

    async def talk_on(ring: RingChannel) -> None:
        async with trio.open_nursery():
            while True:
                await ring.send(b"x" * 1000)

    async with world() as w:
        for name, handler in (("crash", crash), ("refuse", refuse), ("talk_on", talk_on)):
            w.endpoint.rings.serve(name, handler)
        standing = await w.open()
        for name in ("crash", "refuse"):
            ring = await w.open(service=name)
            await ring.send(b"go")
            with trio.fail_after(5):
                assert await ring.receive() is None
        ring = await w.open(service="talk_on")
        await ring.receive()
        ring.end()
        await until(lambda: w.endpoint.rings.counters["ring_ended"] == 1)
        assert w.endpoint.swarm.counters["handler_crashed"] == 1
        assert w.endpoint.swarm.counters["stream_failed:bad_request"] == 1
        await standing.send(b"hello")
        assert await standing.receive() == b"hello"
        standing.end()
        await w.wait_until_nothing_is_left()


async def test_an_answer_that_nobody_takes_is_given_up():
    async def flood(ring: RingChannel) -> None:
        await ring.receive()
        await ring.send(bytes(250_000))

    async with world() as w:
        w.endpoint.rings.serve("flood", flood)
        out, back = await two_legs(w)
        nonce = b"n" * 16
        cookie = join_cookie(SUITE, nonce, out.arc.handshake_hash, back.arc.handshake_hash)
        await out.send(CellType.JOIN, join(OUT, nonce, cookie, "flood"))
        await back.send(CellType.JOIN, join(BACK, nonce, cookie, "flood"))
        await out.send(CellType.DATA, b"\x02go")
        # No window is ever granted: the endpoint ends within its farewell, here cut short by the client.
        cells: list[SealedCell] = []
        with trio.fail_after(5):
            while len(cells) < WINDOW_CELLS:
                cells += await back.receive() or []
        assert {cell.type for cell in cells} == {CellType.DATA}
        for leg in (out, back):
            leg.close()
        await w.wait_until_nothing_is_left()
        assert w.endpoint.swarm.counters["handler_crashed"] == 0


async def test_the_peers_know_no_more_than_their_neighbours():
    async with world() as w:
        ring = await w.open()
        await ring.send(b"hello")
        await ring.receive()
        neighbours: dict[str, set[PeerId]] = {
            "guard": {w.client.peer_id, w.forward.peer_id, w.backward.peer_id},
            "forward": {w.guard.peer_id, w.endpoint.peer_id},
            "backward": {w.guard.peer_id, w.endpoint.peer_id},
            "endpoint": {w.forward.peer_id, w.backward.peer_id},
        }
        for name, known in neighbours.items():
            peer: Peer = getattr(w, name)
            assert set(peer.swarm.connections) == known
        assert set(w.client.connections) == {w.guard.peer_id}
        ring.end()


class SilentLeg:
    """A client's leg on which nothing comes but, in the end, how it ended."""

    def __init__(self) -> None:
        self.ending: Ending | None = None
        self._over = trio.Event()

    def end(self, hop: int, reason: str) -> None:
        self.ending = Ending(hop, reason)
        self._over.set()

    async def receive(self) -> list[SealedCell] | None:
        await self._over.wait()
        return None

    async def send(self, kind: CellType, body: bytes) -> None:
        await trio.lowlevel.checkpoint()

    def send_now(self, cells: Sequence[CellOut]) -> bool:
        return False

    def close(self) -> None:
        pass


async def test_a_ring_that_ended_with_one_arc_hears_the_others_last_word(autojump_clock: trio.testing.MockClock):
    out, back = SilentLeg(), SilentLeg()
    ring = RingChannel(RingEnd(client=True), out, back, verdict_s=VERDICT_S)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ring.run)
        back.end(1, "lost")
        assert await ring.receive() is None  # who reads is told at once
        assert not ring.finished.is_set()
        # A killed host's connections end together, and its two relays' words come by different ways.
        await trio.sleep(1.0)
        assert not ring.finished.is_set()
        out.end(1, "lost")
        with trio.fail_after(VERDICT_S / 4):
            await ring.finished.wait()
    assert blame(ring.endings, ENDPOINT) == Blame(endpoint=True)


async def test_the_wait_for_the_other_arc_is_bounded(autojump_clock: trio.testing.MockClock):
    for verdict_s in (VERDICT_S, 0.0):
        out, back = SilentLeg(), SilentLeg()
        ring = RingChannel(RingEnd(client=True), out, back, verdict_s=verdict_s)
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ring.run)
            back.end(1, "lost")
            await ring.finished.wait()
        assert trio.current_time() - began == pytest.approx(verdict_s)
        assert ring.ended == "closed"
