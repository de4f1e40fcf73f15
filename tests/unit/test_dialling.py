"""Dial races on the mock clock: the order, the stagger, the first success, and nothing left of the others."""

import pytest
import trio
import trio.testing
from attrs import define, evolve, field

from peernet.core.errors import ConnectionFailed, RemoteProtocolError
from peernet.net.addresses import Address, parse_address
from peernet.net.dialling import MAX_TOLD, Target, interleaved, race
from peernet.net.limits import Limits

LIMITS = Limits()


@define
class Made:
    """What an attempt made."""

    name: str
    closed: bool = False

    def close(self) -> None:
        self.closed = True


@define
class World:
    """Addresses that answer after some time, or fail, or do neither."""

    behaviour: dict[str, tuple[float, Exception | None]]
    names: dict[str, tuple[float, list[str]]] = field(factory=dict)
    begun: list[tuple[float, str]] = field(factory=list)
    cancelled: list[str] = field(factory=list)
    made: list[Made] = field(factory=list)
    at_once: int = 0
    most_at_once: int = 0

    async def attempt(self, target: Target) -> Made:
        self.begun.append((round(trio.current_time() - self.start, 6), target.ip))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            delay, error = self.behaviour.get(target.ip, (float("inf"), None))
            await trio.sleep(delay)
            if error is not None:
                raise error
        except trio.Cancelled:
            self.cancelled.append(target.ip)
            raise
        finally:
            self.at_once -= 1
        self.made.append(Made(target.ip))
        return self.made[-1]

    async def resolve(self, address: Address) -> list[str]:
        if not address.is_name:
            return [address.host]
        delay, ips = self.names.get(address.host, (0, []))
        await trio.sleep(delay)
        if not ips:
            raise ConnectionFailed("no such name")
        return ips

    start: float = 0.0

    async def race(self, *texts: str, limits: Limits = LIMITS) -> Made:
        self.start = trio.current_time()
        return await race([parse_address(text) for text in texts], self.resolve, self.attempt, limits)

    @property
    def took(self) -> float:
        return round(trio.current_time() - self.start, 6)


def tcp(number: int) -> str:
    return f"/ip4/192.0.2.{number}/tcp/1"


def test_the_order_is_preference_then_families_in_turn_six_first():
    texts = [
        "/ip4/192.0.2.1/tcp/1/ws",
        "/ip4/192.0.2.2/tcp/1",
        "/ip4/192.0.2.3/tcp/1",
        "/ip6/2001:db8::4/tcp/1",
        "/ip6/2001:db8::5/tcp/1/tls/ws",
        "/ip4/192.0.2.6/tcp/1",
        "/ip6/2001:db8::7/tcp/1",
    ]
    targets = [Target(address, address.host) for address in map(parse_address, texts)]
    order = [texts.index(str(target.address)) for target in interleaved(targets)]
    assert order == [3, 1, 6, 2, 5, 4, 0]


async def test_the_first_success_wins_and_the_others_are_cancelled(autojump_clock: trio.testing.MockClock):
    world = World({"192.0.2.2": (0.1, None)})
    won = await world.race(tcp(1), tcp(2), tcp(3))
    assert won.name == "192.0.2.2"
    assert world.took == 0.35
    # The third would have started at 0.5.
    assert world.begun == [(0, "192.0.2.1"), (0.25, "192.0.2.2")]
    assert world.cancelled == ["192.0.2.1"]


async def test_an_earlier_attempt_may_still_win(autojump_clock: trio.testing.MockClock):
    world = World({"192.0.2.1": (0.6, None)})
    assert (await world.race(tcp(1), tcp(2), tcp(3))).name == "192.0.2.1"
    assert [begun for begun, _ in world.begun] == [0, 0.25, 0.5]
    assert sorted(world.cancelled) == ["192.0.2.2", "192.0.2.3"]


async def test_after_a_failure_the_next_starts_at_once(autojump_clock: trio.testing.MockClock):
    world = World({"192.0.2.1": (0.05, OSError("refused")), "192.0.2.2": (0.1, None)})
    assert (await world.race(tcp(1), tcp(2))).name == "192.0.2.2"
    assert world.begun[1][0] == 0.05
    assert world.took == 0.15


async def test_when_all_fail_every_reason_is_told_once_and_no_more_than_so_many(
    autojump_clock: trio.testing.MockClock,
):
    errors = [OSError("refused"), trio.TooSlowError(), ConnectionFailed("gone"), RemoteProtocolError("x", reason="y")]
    world = World({f"192.0.2.{number}": (0.1, error) for number, error in enumerate(errors, 1)})
    with pytest.raises(ConnectionFailed) as failed:
        await world.race(*map(tcp, range(1, 5)), "/dns4/nowhere.example/tcp/1")
    for number, said in enumerate(("refused", "no answer in time", "gone", "x"), 1):
        assert f"{tcp(number)}: {said}" in str(failed.value)
    assert "no such name" in str(failed.value)
    world = World({f"192.0.2.{number}": (0, OSError("no")) for number in range(1, 17)})
    with pytest.raises(ConnectionFailed) as failed:
        await world.race(*map(tcp, range(1, 17)))
    assert str(failed.value).count("192.0.2") == MAX_TOLD


async def test_without_an_address_there_is_no_race():
    with pytest.raises(ConnectionFailed, match="no address that we can dial"):
        await World({}).race()


async def test_names_are_resolved_within_the_race(autojump_clock: trio.testing.MockClock):
    """A literal address does not wait for a name, and what the name leads to stands where the name stood."""
    names = {"peer.example": (0.1, ["192.0.2.9", "2001:db8::9"])}
    world = World({}, names)
    with trio.move_on_after(1.1):
        await world.race("/ip4/192.0.2.1/tcp/1/ws", "/ip4/192.0.2.2/tcp/1/ws", "/dns/peer.example/tcp/1")
    # The second WebSocket is less preferred than TCP, which came in time.
    assert world.begun == [(0, "192.0.2.1"), (0.25, "2001:db8::9"), (0.5, "192.0.2.9"), (0.75, "192.0.2.2")]


async def test_a_name_that_nobody_resolves_in_time_is_given_up(autojump_clock: trio.testing.MockClock):
    world = World({}, {"peer.example": (float("inf"), [])})
    with pytest.raises(ConnectionFailed, match=r"peer\.example/tcp/1: no answer in time"):
        await world.race("/dns/peer.example/tcp/1")
    assert world.took == LIMITS.dial_timeout_s


async def test_addresses_and_attempts_at_once_are_bounded(autojump_clock: trio.testing.MockClock):
    many = {f"192.0.2.{number}": (10.0, OSError("late")) for number in range(1, 41)}
    world = World(many, {"peer.example": (0, [f"198.51.100.{number}" for number in range(20)])})
    limits = evolve(LIMITS, dial_addresses=6, dial_attempts_at_once=3)
    with pytest.raises(ConnectionFailed), trio.move_on_after(100):
        await world.race(*map(tcp, range(1, 41)), "/dns/peer.example/tcp/1", limits=limits)
    assert len(world.begun) == 6
    assert world.most_at_once == 3


async def test_of_two_that_succeed_in_one_moment_the_second_is_closed():
    both = trio.Event()
    world = World({})

    async def together(target: Target) -> Made:
        with trio.CancelScope(shield=True):
            await both.wait()
        world.made.append(Made(target.ip))
        return world.made[-1]

    async def let_go() -> None:
        while len(world.begun) < 2:
            await trio.lowlevel.checkpoint()
        both.set()

    async def attempt(target: Target) -> Made:
        world.begun.append((0, target.ip))
        return await together(target)

    limits = evolve(LIMITS, dial_stagger_s=0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(let_go)
        won = await race([parse_address(tcp(1)), parse_address(tcp(2))], world.resolve, attempt, limits)
    (lost,) = [made for made in world.made if made is not won]
    assert lost.closed
    assert not won.closed


async def test_a_race_that_is_cancelled_leaves_no_attempt(autojump_clock: trio.testing.MockClock):
    world = World({})
    with trio.move_on_after(0.3):
        await world.race(tcp(1), tcp(2))
    assert sorted(world.cancelled) == ["192.0.2.1", "192.0.2.2"]
    assert world.at_once == 0


async def test_who_is_cancelled_in_the_moment_of_success_gets_nothing():
    made = []
    with trio.CancelScope() as whole:

        async def attempt(target: Target) -> Made:
            made.append(Made(target.ip))
            whole.cancel()
            return made[0]

        await race([parse_address(tcp(1)), parse_address(tcp(2))], World({}).resolve, attempt, LIMITS)
    assert whole.cancelled_caught
    assert made[0].closed


async def test_an_error_that_no_attempt_may_raise_is_not_swallowed():
    async def attempt(_: Target) -> Made:
        raise ZeroDivisionError

    with pytest.RaisesGroup(ZeroDivisionError):
        await race([parse_address(tcp(1)), parse_address(tcp(2))], World({}).resolve, attempt, LIMITS)
    with pytest.raises(ZeroDivisionError):
        await race([parse_address(tcp(1))], World({}).resolve, attempt, LIMITS)


async def test_one_address_is_dialled_without_a_race_and_fails_like_one():
    async def attempt(target: Target) -> Made:
        if target.ip == "127.0.0.2":
            raise trio.TooSlowError
        return Made(target.ip)

    won = await race([parse_address("/ip4/127.0.0.1/tcp/9")], World({}).resolve, attempt, LIMITS)
    assert won == Made("127.0.0.1")
    assert not won.closed
    with pytest.raises(ConnectionFailed, match=r"127\.0\.0\.2/tcp/9: no answer in time"):
        await race([parse_address("/ip4/127.0.0.2/tcp/9")], World({}).resolve, attempt, LIMITS)
