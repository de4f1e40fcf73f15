"""Connections and streams against raw trio TCP and py-libp2p, all under one harness that is not ours.

The harness runs server and client in processes of their own over loopback, and counts the CPU time of both. Each stack
is run several times, in turn with the others, and the median is told: machines drift. CPU figures are the mean of both
sides. py-libp2p is run where its environment was made (`make libp2p`), and for fewer operations, since it is slow.

A connect is compared with what the machine itself asks for, too: raw trio's connect, and the public-key cryptography
of one handshake on both sides, which is measured here between the runs.
"""

import json
import os
import secrets
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from attrs import frozen

from benchmarks.overlay_adapter import LIMITS
from benchmarks.report import Figure
from peernet.core.errors import UserError
from peernet.core.identity import Keypair
from peernet.core.suite import KEY_SIZE, CipherSuite, MixedSuite

CHECKOUT: Final = Path(__file__).resolve().parents[1]
HARNESS: Final = CHECKOUT.parent / "shared" / "tools" / "overlay_bench"
LIBP2P_PYTHON: Final = CHECKOUT / ".venv-libp2p" / "bin" / "python"
ROUNDS: Final = 5
HANDSHAKES: Final = 500
"""Of how many the cryptography is measured in each round."""
TIMEOUT_S: Final = 300

Results = Mapping[str, Any]


@frozen
class _Stack:
    name: str
    python: Path
    adapter: str
    options: tuple[str, ...] = ()
    rounds: int = ROUNDS


PEERNET: Final = _Stack("peernet", Path(sys.executable), "benchmarks.overlay_adapter")
RAW: Final = _Stack("raw trio TCP", Path(sys.executable), "adapter_rawtcp")
LIBP2P: Final = _Stack("py-libp2p", LIBP2P_PYTHON, "adapter_libp2p", ("--quick",), rounds=1)


@frozen
class _Row:
    """A measure and its targets.

    `target` is a value on the machine that the targets were set on, or with `is_ratio_to_raw` a ratio to raw trio TCP.
    `target_to_libp2p` is the same, as a ratio to what py-libp2p took on that machine: it holds on any.
    """

    name: str
    unit: str
    measure: Callable[[Results], float]
    target: float
    target_to_libp2p: float | None
    smaller_is_better: bool = True
    is_ratio_to_raw: bool = False


def figures() -> Iterator[Figure]:
    """CPU of a connect, an echo and a byte in bulk; memory of an idle connection."""
    if not HARNESS.exists():
        raise UserError(
            f"the benchmark's harness is not at {HARNESS}: this one runs where it stands beside the checkout"
        )
    stacks = [PEERNET, RAW] + ([LIBP2P] if LIBP2P_PYTHON.exists() else [])
    runs: dict[_Stack, list[Results]] = {stack: [] for stack in stacks}
    cryptography_ms: list[float] = []
    for turn in range(ROUNDS):
        cryptography_ms.append(_cryptography_ms())
        for stack in stacks:
            if turn < stack.rounds:
                runs[stack].append(_run(stack))

    def median(stack: _Stack, measure: Callable[[Results], float]) -> float | None:
        values = [measure(results) for results in runs.get(stack, ())]
        return statistics.median(values) if values else None

    connect, raw = median(PEERNET, _connect_ms), median(RAW, _connect_ms)
    assert connect is not None
    assert raw is not None
    yield connect_figure(connect, raw, statistics.median(cryptography_ms))
    for row in ROWS:
        value = median(PEERNET, row.measure)
        assert value is not None
        conditions = {"rounds": ROUNDS, "connections_per_prefix": LIMITS.connections_per_prefix}
        smaller = row.smaller_is_better
        yield Figure(
            row.name,
            value,
            row.unit,
            RAW.name,
            median(RAW, row.measure),
            row.target,
            smaller,
            conditions,
            bounds_value=not row.is_ratio_to_raw,
        )
        if LIBP2P in runs:
            reference = median(LIBP2P, row.measure)
            yield Figure(row.name, value, row.unit, LIBP2P.name, reference, row.target_to_libp2p, smaller, conditions)


def connect_figure(connect_ms: float, raw_ms: float, cryptography_ms: float) -> Figure:
    """A connect beside what any encrypted one costs on this machine; for comparison only."""
    return Figure(
        "connect_cpu",
        connect_ms,
        "ms, both sides, with the closing",
        f"{RAW.name} + cryptography",
        raw_ms + cryptography_ms,
        None,
        True,
        {"rounds": ROUNDS, "raw_ms": round(raw_ms, 4), "cryptography_ms": round(cryptography_ms, 4)},
    )


def handshake_cryptography(suite: CipherSuite) -> Callable[[], None]:
    """What does the public-key cryptography of one XX handshake, of both sides, each time that it is called.

    A side makes its ephemeral key, computes three shared secrets (ee, es and se), and verifies that the other's
    identity has signed its static key.
    """
    secret, message = secrets.token_bytes(KEY_SIZE), secrets.token_bytes(KEY_SIZE)
    public = suite.x25519_public(secrets.token_bytes(KEY_SIZE))
    identity = Keypair.from_seed(secrets.token_bytes(KEY_SIZE), suite)
    signature = identity.sign(message)

    def once() -> None:
        for _ in ("initiator", "responder"):
            suite.x25519_public(secret)
            for _ in ("ee", "es", "se"):
                suite.x25519(secret, public)
            suite.verify(identity.public_key, message, signature)

    return once


def _cryptography_ms() -> float:
    """CPU time of one handshake's, in this process."""
    once = handshake_cryptography(MixedSuite())
    once()
    began = time.process_time()
    for _ in range(HANDSHAKES):
        once()
    return (time.process_time() - began) / HANDSHAKES * 1e3


def _run(stack: _Stack) -> Results:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(HARNESS), str(CHECKOUT)])}
    done = subprocess.run(  # noqa: S603  (the programs are named above)
        [str(stack.python), "bench_core.py", stack.adapter, *stack.options],
        cwd=HARNESS,
        env=environment | {"PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    if done.returncode:
        raise UserError(f"the benchmark of {stack.name} failed: {done.stderr.strip().splitlines()[-1:]}")
    results: Results = json.loads(done.stdout)
    return results


def _connect_ms(results: Results) -> float:
    return float(sum(results["handshake_seq"]["cpu_ms_client_server_per_conn_incl_close"]))


def _echo_us(results: Results) -> float:
    return float(statistics.mean(results["echo_64B"]["cpu_us_client_server"]))


def _bulk_of(size: int) -> Callable[[Results], float]:
    def of(results: Results) -> float:
        # Both sides' CPU time together, halved: a side's rate alone would hide what the other one pays.
        return float(statistics.harmonic_mean(results[f"bulk_{size}B"]["MB_per_cpu_s_client_server"]))

    return of


def _idle_kib(results: Results) -> float:
    return float(results["rss"]["server_KiB_per_conn"])


ROWS: Final = (
    _Row("connect_cpu", "ms, both sides, with the closing", _connect_ms, 1.5, 1.5 / 13),
    _Row("echo_64_cpu", "us a side", _echo_us, 1.5, None, is_ratio_to_raw=True),
    _Row("bulk_65536", "MB per CPU-second of a side", _bulk_of(65536), 900, 900 / 165, smaller_is_better=False),
    _Row("bulk_16384", "MB per CPU-second of a side", _bulk_of(16384), 700, 700 / 105, smaller_is_better=False),
    _Row("bulk_1024", "MB per CPU-second of a side", _bulk_of(1024), 400, 400 / 7, smaller_is_better=False),
    _Row("idle_connection", "KiB, listening side", _idle_kib, 20, 20 / 61),
)
