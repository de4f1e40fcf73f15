"""Running in the foreground: readiness, signals, and an end that leaves nothing behind."""

import argparse
import json
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import trio

__all__ = ["EXIT_INTERRUPTED", "add_service", "announce", "run_service", "run_until_signal"]

EXIT_INTERRUPTED: Final = 130


def add_service(parser: argparse.ArgumentParser) -> None:
    """The options of every service."""
    parser.add_argument("--json", action="store_true", help="print one JSON object when ready")
    parser.add_argument(
        "--supervised", action="store_true", help="end when standard input closes, as a supervisor's child does"
    )


def announce(arguments: argparse.Namespace, text: str, **facts: Any) -> None:
    """Says that the service is ready: `facts` as one JSON line for programs, or `text` for people."""
    print(json.dumps({"event": "ready", **facts}) if arguments.json else text, flush=True)


def run_service(arguments: argparse.Namespace, service: Callable[[], Awaitable[None]]) -> int:
    """Runs `service` until a signal or its supervisor ends it, which is how it should end: exit code 0."""
    import trio

    async def supervised() -> int:
        async with trio.open_nursery() as nursery:
            if arguments.supervised:
                nursery.start_soon(_wait_stdin, nursery.cancel_scope)
            await service()
        return 0

    code = run_until_signal(supervised)
    return 0 if code == EXIT_INTERRUPTED else code


def run_until_signal(main: Callable[[], Awaitable[int]]) -> int:
    """Runs `main` on trio and returns its exit code; Ctrl-C, SIGTERM and a closed terminal cancel it in good order."""
    import trio

    _log_to_stderr()
    codes: list[int] = []

    async def watched() -> None:
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_wait_signal, signals, nursery.cancel_scope)
                codes.append(await main())
                nursery.cancel_scope.cancel()

    trio.run(watched)
    return codes[0] if codes else EXIT_INTERRUPTED


async def _wait_signal(signals: AsyncIterator[int], whole: "trio.CancelScope") -> None:
    async for _ in signals:
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
