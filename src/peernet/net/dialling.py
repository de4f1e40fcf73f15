"""Dialling a peer: its addresses race, one beside the other, and the first whose handshake is done wins.

Rules:

1. The order is that of preference (TCP, WebSockets, relays); among equals IPv6 and IPv4 take turns, IPv6 first. An
   attempt has the race for itself for the stagger, or until it fails, before the next one starts beside it.
2. Names are resolved within the race: what needs no name goes ahead meanwhile. What a name leads to stands where the
   name stood, by the same order.
3. The race returns at the first success. The others are cancelled before it returns; a second one that succeeded in
   the same moment is closed. When the last attempt has failed, all reasons are told.
4. How many addresses are tried, how many at a time, and for how long, is bounded.

Source: RFC 8305, "Happy Eyeballs Version 2", sections 4, 5 and 8.
"""

import os
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final, Generic, Protocol, TypeVar

import trio
from attrs import frozen

from peernet.core.errors import ConnectionFailed, RemoteProtocolError
from peernet.net.addresses import Address, preference
from peernet.net.limits import Limits

__all__ = ["DIAL_ERRORS", "MAX_TOLD", "Target", "interleaved", "race", "reason_of"]

DIAL_ERRORS: Final = (OSError, trio.TooSlowError, ConnectionFailed, RemoteProtocolError)
"""What an attempt may fail with."""
MAX_TOLD: Final = 8
"""How many reasons a failure tells."""


class Closable(Protocol):
    """What a race is for."""

    def close(self) -> None:
        """Ends it now."""


Won = TypeVar("Won", bound=Closable)


@frozen
class Target:
    """An address of a peer, and the IP address that it leads to."""

    address: Address
    ip: str

    def __str__(self) -> str:
        return f"{self.address} ({self.ip})" if self.address.is_name else str(self.address)


def interleaved(targets: Iterable[Target]) -> list[Target]:
    """The order in which they are tried (rule 1)."""
    places: dict[int, dict[bool, list[Target]]] = {}
    for target in targets:
        families = places.setdefault(preference(target.address), {True: [], False: []})
        families[":" in target.ip].append(target)
    ordered = []
    for level in sorted(places):
        six, four = places[level][True], places[level][False]
        while six or four:
            ordered += [family.pop(0) for family in (six, four) if family]
    return ordered


async def race(
    addresses: Sequence[Address],
    resolve: Callable[[Address], Awaitable[Sequence[str]]],
    attempt: Callable[[Target], Awaitable[Won]],
    limits: Limits,
) -> Won:
    """What the first successful attempt made; raises `ConnectionFailed` with the reasons when none is.

    Args:
        addresses: where the peer may be.
        resolve: the IP addresses of an address, which waits for names only; raises `ConnectionFailed`.
        attempt: a connection to a target; raises what `DIAL_ERRORS` names. Cancelled, it leaves nothing behind.
        limits: the bounds.
    """
    if len(addresses) == 1 and not addresses[0].is_name:
        return await _alone(Target(addresses[0], addresses[0].host), attempt)
    running = _Race(attempt, limits)
    try:
        async with trio.open_nursery() as nursery:
            running.nursery = nursery
            for address in addresses:
                if not address.is_name:
                    running.add(Target(address, ip) for ip in await resolve(address))
            for address in addresses:
                if address.is_name:
                    running.resolving += 1
                    nursery.start_soon(running.resolve, address, resolve)
            await running.run()
            nursery.cancel_scope.cancel()
    except BaseException:
        # Whoever wanted it has been cancelled just now.
        if running.won is not None:
            running.won.close()
        raise
    if running.won is None:
        told = running.failures[:MAX_TOLD]
        raise ConnectionFailed("; ".join(told) or "no address that we can dial")
    return running.won


async def _alone(target: Target, attempt: Callable[[Target], Awaitable[Won]]) -> Won:
    """What needs no race: there is one address, and it is no name."""
    try:
        return await attempt(target)
    except DIAL_ERRORS as error:
        raise ConnectionFailed(reason_of(target, error)) from error


class _Race(Generic[Won]):
    """The state of one race."""

    nursery: trio.Nursery

    def __init__(self, attempt: Callable[[Target], Awaitable[Won]], limits: Limits) -> None:
        self._attempt = attempt
        self._limits = limits
        self._waiting: list[Target] = []
        self._known: set[Target] = set()
        self._running = 0
        self._changed = trio.Event()
        self._next_at = -float("inf")
        self.resolving = 0
        self.failures: list[str] = []
        self.won: Won | None = None

    def add(self, targets: Iterable[Target]) -> None:
        """Further targets, each once, as many as the limit leaves room for."""
        for target in targets:
            if target not in self._known and len(self._known) < self._limits.dial_addresses:
                self._known.add(target)
                self._waiting.append(target)
        self._waiting = interleaved(self._waiting)

    async def resolve(self, address: Address, resolve: Callable[[Address], Awaitable[Sequence[str]]]) -> None:
        """What a name leads to joins the race."""
        try:
            with trio.fail_after(self._limits.dial_timeout_s):
                self.add(Target(address, ip) for ip in await resolve(address))
        except DIAL_ERRORS as error:
            self.failures.append(reason_of(address, error))
        finally:
            self.resolving -= 1
            self._changed.set()

    async def run(self) -> None:
        """Starts attempts until one has succeeded, or all have failed."""
        while self.won is None and (self._waiting or self._running or self.resolving):
            self._changed = trio.Event()
            may_start = bool(self._waiting) and self._running < self._limits.dial_attempts_at_once
            if may_start and trio.current_time() >= self._next_at:
                self._next_at = trio.current_time() + self._limits.dial_stagger_s
                self._running += 1
                self.nursery.start_soon(self._try, self._waiting.pop(0))
                continue
            with trio.move_on_at(self._next_at if may_start else float("inf")):
                await self._changed.wait()

    async def _try(self, target: Target) -> None:
        try:
            made = await self._attempt(target)
            if self.won is None:
                self.won = made
            else:
                made.close()
        except DIAL_ERRORS as error:
            self.failures.append(reason_of(target, error))
            # The next one need not wait for one that is over.
            self._next_at = -float("inf")
        finally:
            self._running -= 1
            self._changed.set()


def reason_of(where: object, error: BaseException) -> str:
    """What went wrong there, in words for a person."""
    if isinstance(error, trio.TooSlowError):
        return f"{where}: no answer in time"
    if isinstance(error, OSError) and error.errno is not None and error.errno > 0:
        return f"{where}: {os.strerror(error.errno)}"
    return f"{where}: {str(error) or type(error).__name__}"
