"""Private swarms on real sockets: members talk, others fail in their handshake, and somebody is told what to check."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

import pytest
import structlog
import trio

from peernet.core.errors import ConnectionFailed, UserError
from peernet.core.identity import Keypair
from peernet.core.suite import MixedSuite
from peernet.net.addresses import parse_address
from peernet.net.limits import Limits
from peernet.net.streams import PeerStream
from peernet.net.swarm import Swarm
from peernet.net.swarm_key import load_swarm_key, make_swarm_key
from peernet.node.config import NetworkConfig
from peernet.node.peer import swarm_of

SUITE = MixedSuite()
ECHO = "/test/echo/1"
KEY, OTHER_KEY = b"k" * 32, b"o" * 32
_numbers = count(1)


def new_swarm(key: bytes | None) -> Swarm:
    number = next(_numbers)
    keypair = Keypair.from_seed(b"private swarm %018d" % number, SUITE)
    return Swarm(SUITE, keypair, bind=f"127.83.{number}.1", limits=Limits(), swarm_key=key)


async def echo(stream: PeerStream) -> None:
    while data := await stream.receive_some():
        await stream.send_all(data)


@asynccontextmanager
async def running(*swarms: Swarm) -> AsyncIterator[None]:
    async with trio.open_nursery() as nursery:
        for swarm in swarms:
            swarm.handle(ECHO, echo)
            await nursery.start(swarm.run)
            for suffix in ("", "/ws"):
                await swarm.listen(parse_address(f"/ip4/{swarm._bind}/tcp/0{suffix}"))
        yield
        nursery.cancel_scope.cancel()


async def until(holds) -> None:
    """Waits for the other side of a socket, which no event of ours announces."""
    with trio.fail_after(5):
        while not holds():  # noqa: ASYNC110  (what is waited for happens in the kernel)
            await trio.sleep(0.001)


@pytest.mark.parametrize("place", [0, 1])
async def test_members_talk_over_every_transport(place: int):
    one, two = new_swarm(KEY), new_swarm(KEY)
    async with running(one, two):
        async with await one.open_stream(two.peer_id, [two.listening[place]], ECHO) as stream:
            await stream.send_all(b"hello")
            assert await stream.receive_some() == b"hello"
        assert not [name for name in two.counters if name.startswith("handshake_failed")]


@pytest.mark.parametrize(
    ("ours", "theirs", "said", "reasons"),
    [
        (KEY, OTHER_KEY, "check that both have the same swarm key", ("closed", "bad_tag")),
        (KEY, None, "check that both have the same swarm key", ("bad_tag", "closed")),
        (None, KEY, "belong to a private swarm: then give its key with --swarm-key", ("closed", "bad_tag")),
    ],
)
async def test_another_key_or_none_is_a_counted_failure_that_says_what_to_check(
    ours: bytes | None, theirs: bytes | None, said: str, reasons: tuple[str, str]
):
    one, two = new_swarm(ours), new_swarm(theirs)
    with structlog.testing.capture_logs() as logged:
        async with running(one, two):
            with pytest.raises(ConnectionFailed, match=said):
                await one.connect(two.peer_id, two.listening[:1])
            assert one.counters[f"dial:tcp:{reasons[0]}"] == 1
            await until(lambda: two.counters[f"handshake_failed:{reasons[1]}"] == 1)
            await until(lambda: one.connection_count == two.connection_count == 0)
            # The next one within the minute is counted, and not logged again.
            third = new_swarm(ours)
            async with running(third):
                with pytest.raises(ConnectionFailed, match=said):
                    await third.connect(two.peer_id, two.listening[:1])
                await until(lambda: two.counters[f"handshake_failed:{reasons[1]}"] == 2)
    hints = [line["event"] for line in logged if "private swarm" in line["event"]]
    assert len(hints) == 2 * (ours is not None) + (theirs is not None)
    assert all("check that its --swarm-key names the same key" in hint for hint in hints)


def test_the_key_comes_from_the_file_of_the_configuration(tmp_path: Path):
    make_swarm_key(tmp_path / "swarm.key")
    keypair = Keypair.from_seed(bytes(32), SUITE)
    swarm = swarm_of(NetworkConfig(swarm_key=str(tmp_path / "swarm.key")), keypair, SUITE)
    assert swarm._upgrader._swarm_key == load_swarm_key(tmp_path / "swarm.key")
    assert swarm_of(NetworkConfig(), keypair, SUITE)._upgrader._swarm_key is None
    with pytest.raises(UserError, match="cannot be read"):
        swarm_of(NetworkConfig(swarm_key=str(tmp_path / "missing")), keypair, SUITE)
