"""Dialling back on loopback sockets: what is told, what is never dialled, and what is not believed."""

import pytest
import structlog
import trio

from peernet.core.autonat import (
    DIAL_BACK_PROTOCOL,
    DIAL_REQUEST_PROTOCOL,
    MAX_MESSAGE_SIZE,
    DialBack,
    DialBackLimits,
    DialDataRequest,
    DialRequest,
    DialResponse,
    DialStatus,
    Reachability,
    ResponseStatus,
    decode_message,
    encode_dial_back,
    encode_message,
)
from peernet.core.errors import ConnectionFailed, RemoteProtocolError
from peernet.core.prefixes import ip_prefix
from peernet.net.addresses import TcpAddress, encode_address, parse_address
from peernet.net.messages import Frames
from peernet.net.reachability.autonat import MAX_NAMES, RESOLVE_TIMEOUT_S, Answer, AutonatClient, AutonatServer
from tests.swarms_in_process import new_keypair, new_swarm, running, until


@pytest.fixture(autouse=True)
def _quiet_log():
    with structlog.testing.capture_logs():
        yield


class Resolver:
    """Knows one name."""

    def __init__(self, *ips: str) -> None:
        self.known = list(ips)
        self.asked = 0

    async def ips(self, name: str, lookup: str) -> list[str]:
        self.asked += 1
        if name != "asker.example":
            raise OSError("no such name")
        return self.known


def server_on(swarm, *, limits=None, allow_private=True, resolver=None):
    """A server, and the swarms that it has dialled back with."""
    dialled = []

    def dialler():
        dialled.append(new_swarm(host=swarm._bind))
        return dialled[-1]

    server = AutonatServer(
        swarm, dialler, allow_private=allow_private, limits=limits or DialBackLimits(), resolver=resolver
    )
    return server, dialled


async def test_an_address_that_is_open_is_reachable():
    asker, server_swarm = new_swarm(), new_swarm()
    server, dialled = server_on(server_swarm)
    client = AutonatClient(asker)
    async with running(asker, server_swarm):
        (own,) = asker.listening
        assert await client.ask(server_swarm.peer_id, server_swarm.listening, own) is Reachability.REACHABLE
        assert server.counters["answered:dialled_ok"] == 1
        assert client._probes == {}
        # The dial-back came from a key of its own, and nothing of it is left.
        (once,) = dialled
        assert once.peer_id not in {asker.peer_id, server_swarm.peer_id}
        assert once.connection_count == 0
        await until(lambda: asker.connection_count == 1)
        assert set(asker.connections) == {server_swarm.peer_id}


async def test_an_address_that_is_closed_is_unreachable():
    asker, server_swarm = new_swarm(), new_swarm()
    server, _ = server_on(server_swarm)
    client = AutonatClient(asker)
    async with running(server_swarm, silent=(asker,)):
        closed = TcpAddress(asker._bind, 9)
        assert await client.ask(server_swarm.peer_id, server_swarm.listening, closed) is Reachability.UNREACHABLE
        assert server.counters["answered:dialled_e_dial_error"] == 1


async def test_somebody_else_at_the_address_is_a_failed_dial():
    asker = new_swarm()
    other, server_swarm = new_swarm(host=asker._bind), new_swarm()
    server_on(server_swarm)
    client = AutonatClient(asker)
    async with running(other, server_swarm, silent=(asker,)):
        (theirs,) = other.listening
        assert await client.ask(server_swarm.peer_id, server_swarm.listening, theirs) is Reachability.UNREACHABLE


async def test_another_ip_address_than_the_askers_is_never_dialled():
    """Also where it is listening, so that only the rule can be why nobody came."""
    asker, victim, server_swarm = new_swarm(), new_swarm(), new_swarm()
    server, dialled = server_on(server_swarm)
    client = AutonatClient(asker)
    async with running(asker, victim, server_swarm):
        (theirs,) = victim.listening
        assert await client.ask(server_swarm.peer_id, server_swarm.listening, theirs) is Reachability.ELSEWHERE
        assert server.counters["answered:e_dial_refused"] == 1
        assert dialled == []
        assert victim.connection_count == 0


async def hears(stream):
    """What the other side says until it ends the stream, in order or by a reset."""
    heard = b""
    try:
        while data := await stream.receive_some():
            heard += data
    except ConnectionFailed:
        return heard
    return heard


async def ask_raw(asker, server_swarm, *addresses):
    """The reply to a request with these addresses, text or bytes."""
    encoded = tuple(text if isinstance(text, bytes) else encode_address(parse_address(text)) for text in addresses)
    places = server_swarm.listening
    async with await asker.open_stream(server_swarm.peer_id, places, DIAL_REQUEST_PROTOCOL) as stream:
        frames = Frames(stream, MAX_MESSAGE_SIZE)
        await frames.send(encode_message(DialRequest(encoded, 5)))
        reply = await frames.receive()
    assert reply is not None
    return decode_message(reply)


async def test_of_several_addresses_the_first_that_may_be_dialled_is_and_no_other():
    asker, server_swarm = new_swarm(), new_swarm()
    server, dialled = server_on(server_swarm)
    async with running(asker, server_swarm):
        relay = new_keypair().peer_id
        response = await ask_raw(
            asker,
            server_swarm,
            b"\xff\xff",
            "/ip4/127.1.1.1/tcp/9",
            f"/ip4/{asker._bind}/tcp/9/p2p/{relay}/p2p-circuit",
            f"/ip4/{asker._bind}/tcp/0",
            f"/ip4/{asker._bind}/tcp/9",
            str(asker.listening[0]),
        )
        assert response == DialResponse(ResponseStatus.OK, 4, DialStatus.E_DIAL_ERROR)
        assert len(dialled) == 1
        assert server._budget.running == 0


async def test_an_address_wrapped_in_ipv6_is_the_askers_own():
    asker, server_swarm = new_swarm(), new_swarm()
    server_on(server_swarm)
    async with running(asker, server_swarm):
        wrapped = f"/ip6/::ffff:{asker._bind}/tcp/{asker.listening[0].port}"
        response = await ask_raw(asker, server_swarm, wrapped)
        assert response.address_index == 0
        assert response.status == ResponseStatus.OK
        # Nobody waits for the nonce, so it was refused there; but the dial found the asker.
        assert response.dial_status == DialStatus.E_DIAL_BACK_ERROR


async def test_a_name_is_dialled_where_it_leads_to_the_asker_and_there_only():
    asker, victim, server_swarm = new_swarm(), new_swarm(), new_swarm()
    resolver = Resolver("127.1.1.1", asker._bind)
    _, dialled = server_on(server_swarm, resolver=resolver)
    client = AutonatClient(asker)
    async with running(asker, victim, server_swarm):
        named = parse_address(f"/dns4/asker.example/tcp/{asker.listening[0].port}")
        assert await client.ask(server_swarm.peer_id, server_swarm.listening, named) is Reachability.REACHABLE
        resolver.known = [victim._bind]
        assert await client.ask(server_swarm.peer_id, server_swarm.listening, named) is Reachability.ELSEWHERE
        unknown = parse_address(f"/dns4/nobody.example/tcp/{asker.listening[0].port}")
        assert await client.ask(server_swarm.peer_id, server_swarm.listening, unknown) is Reachability.ELSEWHERE
        assert resolver.asked == 3
        assert len(dialled) == 1


async def test_names_that_lead_nowhere_take_a_bounded_time_and_few_lookups(autojump_clock):
    """However many there are in a request: each would hold one of the few dials that a server makes at once."""
    autojump_clock.autojump_threshold = 0.2
    asker, server_swarm = new_swarm(), new_swarm()
    resolver = Resolver()
    asked = []

    async def hang(name, _lookup):
        asked.append(name)
        await trio.sleep_forever()

    resolver.ips = hang
    server, _ = server_on(server_swarm, resolver=resolver)
    async with running(asker, server_swarm):
        names = [f"/dns4/host-{number}.example/tcp/9" for number in range(16)]
        began = trio.current_time()
        assert await ask_raw(asker, server_swarm, *names) == DialResponse(ResponseStatus.E_DIAL_REFUSED)
        assert trio.current_time() - began < RESOLVE_TIMEOUT_S + 1
        assert server._budget.running == 0
        asked.clear()

        async def find_nothing(name, _lookup):
            asked.append(name)
            return []

        resolver.ips = find_nothing
        own = str(asker.listening[0])
        response = await ask_raw(asker, server_swarm, *names[:15], own)
        assert len(asked) == MAX_NAMES
        assert (response.status, response.address_index) == (ResponseStatus.OK, 15)


async def test_an_answer_comes_from_the_network_of_the_server_whatever_it_says_of_itself():
    asker, server_swarm = new_swarm(), new_swarm()
    server_on(server_swarm)
    client = AutonatClient(asker)
    async with running(asker, server_swarm):
        elsewhere = TcpAddress("127.1.1.1", 9)
        answer = await client.answer(server_swarm.peer_id, (elsewhere, *server_swarm.listening), asker.listening[0])
        assert answer == Answer(Reachability.REACHABLE, ip_prefix(server_swarm._bind))


async def test_outside_test_networks_private_addresses_are_not_dialled():
    asker, server_swarm = new_swarm(), new_swarm()
    _, dialled = server_on(server_swarm, allow_private=False)
    client = AutonatClient(asker)
    async with running(asker, server_swarm):
        (own,) = asker.listening
        assert await client.ask(server_swarm.peer_id, server_swarm.listening, own) is Reachability.ELSEWHERE
        assert dialled == []


async def test_a_server_has_enough_of_a_prefix_at_some_time():
    asker, server_swarm = new_swarm(), new_swarm()
    server, dialled = server_on(server_swarm, limits=DialBackLimits(requests_per_prefix=2))
    client = AutonatClient(asker)
    async with running(asker, server_swarm):
        (own,) = asker.listening
        asked = [await client.ask(server_swarm.peer_id, server_swarm.listening, own) for _ in range(3)]
        assert asked == [Reachability.REACHABLE, Reachability.REACHABLE, Reachability.UNKNOWN]
        assert server.counters["answered:e_request_rejected"] == 1
        assert len(dialled) == 2


# --- what is not believed --------------------------------------------------------------------------------------------


async def test_a_server_that_claims_a_success_and_never_came_is_not_believed():
    asker, liar = new_swarm(), new_swarm()
    client = AutonatClient(asker)

    async def lie(stream):
        await Frames(stream).receive()
        await Frames(stream).send(encode_message(DialResponse(ResponseStatus.OK, 0, DialStatus.OK)))

    liar.handle(DIAL_REQUEST_PROTOCOL, lie)
    async with running(asker, liar):
        with pytest.raises(RemoteProtocolError) as raised:
            await client.ask(liar.peer_id, liar.listening, asker.listening[0])
        assert raised.value.reason == "no_dial_back"


async def test_a_nonce_over_the_connection_that_the_asker_dialled_proves_nothing():
    asker, liar = new_swarm(), new_swarm()
    client = AutonatClient(asker)

    async def lie(stream):
        data = await Frames(stream).receive()
        request = decode_message(data)
        async with await liar.open_stream(stream.peer, (), DIAL_BACK_PROTOCOL) as back:
            await Frames(back).send(encode_dial_back(DialBack(request.nonce)))
            await back.close_sending()
            assert await hears(back) == b""
        await Frames(stream).send(encode_message(DialResponse(ResponseStatus.OK, 0, DialStatus.OK)))

    liar.handle(DIAL_REQUEST_PROTOCOL, lie)
    async with running(asker, liar):
        with pytest.raises(RemoteProtocolError) as raised:
            await client.ask(liar.peer_id, liar.listening, asker.listening[0])
        assert raised.value.reason == "no_dial_back"
        assert asker.counters["stream_failed:bad_dial_back"] == 1


async def test_a_server_that_wants_data_gets_none():
    asker, greedy = new_swarm(), new_swarm()
    client = AutonatClient(asker)
    got = []

    async def want(stream):
        await Frames(stream).receive()
        await Frames(stream).send(encode_message(DialDataRequest(0, 100_000)))
        got.append(await stream.receive_some())

    greedy.handle(DIAL_REQUEST_PROTOCOL, want)
    async with running(asker, greedy):
        with pytest.raises(RemoteProtocolError) as raised:
            await client.ask(greedy.peer_id, greedy.listening, asker.listening[0])
        assert raised.value.reason == "wants_data"
        await until(lambda: got or greedy.counters["stream_ended"])
        assert got in ([], [b""])


@pytest.mark.parametrize("data", [b"\x00", b"\x03abc", b"\xff\xff\x7f", b"\x02\x12\x00"])
async def test_what_is_no_dial_request_ends_its_stream_alone(data):
    asker, server_swarm = new_swarm(), new_swarm()
    _, dialled = server_on(server_swarm)
    client = AutonatClient(asker)
    async with running(asker, server_swarm):
        places = server_swarm.listening
        async with await asker.open_stream(server_swarm.peer_id, places, DIAL_REQUEST_PROTOCOL) as stream:
            await stream.send_all(data)
            assert await hears(stream) == b""
        failed = [name for name in server_swarm.counters if name.startswith("stream_failed:")]
        assert len(failed) == 1
        assert dialled == []
        assert await client.ask(server_swarm.peer_id, places, asker.listening[0]) is Reachability.REACHABLE


async def test_a_server_that_never_answers_is_given_up(autojump_clock):
    """On the mock clock: sockets on loopback are faster than its threshold."""
    autojump_clock.autojump_threshold = 0.2
    asker, silent_server = new_swarm(), new_swarm()
    client = AutonatClient(asker)

    async def say_nothing(_stream):
        await trio.sleep_forever()

    silent_server.handle(DIAL_REQUEST_PROTOCOL, say_nothing)
    async with running(asker, silent_server):
        with pytest.raises(ConnectionFailed, match="in time"):
            await client.ask(silent_server.peer_id, silent_server.listening, asker.listening[0])
        assert client._probes == {}
