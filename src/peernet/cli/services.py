"""Running in the foreground: readiness, signals, and an end that leaves nothing behind.

A node that serves others ends in two steps: a first signal asks it to finish what it serves, which takes a bounded
time; a second one ends it at once. Before it is ready, and for other commands, the first one does that.
"""

import argparse
import json
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import trio
    from prometheus_client.registry import Collector

    from peernet.net.swarm import Swarm
    from peernet.node.peer import Peer

__all__ = [
    "EXIT_INTERRUPTED",
    "Ending",
    "add_metrics",
    "add_service",
    "announce",
    "finish",
    "run_service",
    "run_until_signal",
    "serve_metrics",
]

EXIT_INTERRUPTED: Final = 130


def add_service(parser: argparse.ArgumentParser) -> None:
    """The options of every service."""
    parser.add_argument("--json", action="store_true", help="print one JSON object when ready")
    parser.add_argument(
        "--supervised", action="store_true", help="end when standard input closes, as a supervisor's child does"
    )


def add_metrics(parser: argparse.ArgumentParser) -> None:
    """`--metrics`."""
    parser.add_argument(
        "--metrics", metavar="ADDRESS", help="serve /metrics for Prometheus on this machine, such as on 127.0.0.1:9101"
    )


async def serve_metrics(
    arguments: argparse.Namespace, peers: "Sequence[Peer]", nursery: "trio.Nursery", *more: "Collector"
) -> None:
    """Serves the metrics of `peers`, and `more`, in `nursery`, if the command line asks for that.

    Raises `UserError`.
    """
    if arguments.metrics is None:
        return
    from functools import partial

    from peernet.net.metrics import registry_of
    from peernet.net.metrics_page import MetricsPage, parse_page_address

    host, port = parse_page_address(arguments.metrics)
    services = [service for peer in peers for service in (*peer.reachability.measured, peer.rings.measured)]
    registry = registry_of([peer.swarm for peer in peers], services)
    for collector in more:
        registry.register(collector)
    page = MetricsPage(registry)
    await nursery.start(partial(page.serve, host, port))


class Ending:
    """How a node is asked to finish."""

    def __init__(self) -> None:
        self._asked: trio.Event | None = None

    def ask(self) -> bool:
        """Asks; False if nobody waits for that, or did already: then the whole must be cancelled."""
        if self._asked is None or self._asked.is_set():
            return False
        self._asked.set()
        return True

    async def wait(self) -> None:
        """Waits until the node is asked to finish."""
        import trio

        self._asked = trio.Event()
        await self._asked.wait()


async def finish(swarms: "Sequence[Swarm]") -> None:
    """Lets what is being served come to its end, for a bounded time."""
    import trio

    if any(swarm.resources.streams for swarm in swarms):
        print("finishing what is being served; a second Ctrl-C ends at once", file=sys.stderr, flush=True)
    async with trio.open_nursery() as nursery:
        for swarm in swarms:
            nursery.start_soon(swarm.drain)


def announce(arguments: argparse.Namespace, text: str, **facts: Any) -> None:
    """Says that the service is ready: `facts` as one JSON line for programs, or `text` for people."""
    print(json.dumps({"event": "ready", **facts}) if arguments.json else text, flush=True)


def run_service(
    arguments: argparse.Namespace, service: Callable[[], Awaitable[None]], ending: Ending | None = None
) -> int:
    """Runs `service` until a signal or its supervisor ends it, which is how it should end: exit code 0.

    With `ending` a first signal asks the service to finish. A supervisor that goes ends it at once.
    """
    import trio

    async def supervised() -> int:
        async with trio.open_nursery() as nursery:
            if arguments.supervised:
                nursery.start_soon(_wait_stdin, nursery.cancel_scope)
            await service()
            nursery.cancel_scope.cancel()
        return 0

    code = run_until_signal(supervised, ending)
    return 0 if code == EXIT_INTERRUPTED else code


def run_until_signal(main: Callable[[], Awaitable[int]], ending: Ending | None = None) -> int:
    """Runs `main` on trio and returns its exit code; Ctrl-C, SIGTERM and a closed terminal cancel it in good order.

    With `ending` the first of them asks it to finish, if it can.
    """
    import trio

    _log_to_stderr()
    codes: list[int] = []

    async def watched() -> None:
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_wait_signal, signals, nursery.cancel_scope, ending)
                codes.append(await main())
                nursery.cancel_scope.cancel()

    trio.run(watched)
    return codes[0] if codes else EXIT_INTERRUPTED


async def _wait_signal(signals: AsyncIterator[int], whole: "trio.CancelScope", ending: Ending | None) -> None:
    async for _ in signals:
        if ending is None or not ending.ask():
            whole.cancel()
            return


async def _wait_stdin(whole: "trio.CancelScope") -> None:
    import trio

    async with trio.lowlevel.FdStream(sys.stdin.fileno()) as stdin:
        while await stdin.receive_some(1024):
            pass
    whole.cancel()


def _log_to_stderr() -> None:
    import structlog

    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.KeyValueRenderer(key_order=["timestamp", "level", "event"]),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
