"""The log's intake: settlements a CPU-second, against half the bare Ed25519 verifications (each brings two)."""

import secrets
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.report import Figure
from bootstrap.log import Log
from bootstrap.store import LedgerStore
from peernet.core.ledger.entries import coarse_time_s
from peernet.core.metering import (
    ClientMeter,
    GrantRequest,
    HostMeter,
    LaneOpening,
    LaneTerms,
    Settlement,
    open_lane,
)
from peernet.core.suite import MixedSuite

LANES = 1000
BATCH = 250


def figures() -> Iterator[Figure]:
    """Settlements taken, signatures and disk included."""
    suite = MixedSuite()
    message, seed = b"m" * 200, secrets.token_bytes(32)
    signature, public = suite.sign(seed, message), suite.ed25519_public(seed)
    began = time.process_time()
    for _ in range(LANES):
        suite.verify(public, message, signature)
    verifications = LANES / (time.process_time() - began)
    with tempfile.TemporaryDirectory() as folder, LedgerStore(Path(folder) / "ledger", create=True) as store:
        log = Log(store, "bench.example/log", secrets.token_bytes(32), suite)
        settlements = _settlements(log, suite)
        now_s = time.time()
        began = time.process_time()
        for start in range(0, LANES, BATCH):
            outcomes = log.append(settlements[start : start + BATCH], now_s)
            assert all(isinstance(outcome, int) for outcome in outcomes)
        taken = LANES / (time.process_time() - began)
    yield Figure(
        "ledger_ingest",
        taken,
        "settlements per CPU-second",
        "Ed25519 verifies per CPU-second / 2",
        verifications / 2,
        0.6,
        False,
        {"settlements": LANES, "batch": BATCH, "store": "SQLite, synchronous=FULL"},
    )


def _settlements(log: Log, suite: MixedSuite) -> list[Settlement]:
    payout_seed = secrets.token_bytes(32)
    terms = LaneTerms(suite.ed25519_public(payout_seed), 2, 5, 64)
    lanes = [(secrets.token_bytes(32), secrets.token_bytes(32)) for _ in range(LANES)]
    expiry = coarse_time_s(time.time() + 3600)
    requests = [GrantRequest(suite.ed25519_public(seed), 10_000, expiry, terms.commit(nonce)) for seed, nonce in lanes]
    indexes = log.append(requests, time.time())
    settlements = []
    for (seed, nonce), index in zip(lanes, indexes, strict=True):
        assert isinstance(index, int)
        lane = open_lane(LaneOpening(log.inclusion_proof(index), terms, nonce), log.verifier_key, suite)
        client = ClientMeter(lane, seed, suite, voucher_every_tokens=16)
        host = HostMeter(lane, terms.host_payout_key, suite)
        client.prompt(100)
        host.prompt(100)
        host.voucher(client.voucher())
        settlements.append(Settlement(host.receipt(secrets.token_bytes(32), payout_seed), terms, nonce))
    return settlements
