"""P4: a lane is paid for, and nothing that its issuer was given to sign, nor the ledger, ties it to who bought the
credits.

A network whose operator funds no lane for nothing; a client that has credits asks, and gets its change back. What the
issuer was given and gave, what the log shows, and what relays forwarded is compared byte by byte, and with the
issuer's own private keys.
"""

from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest
import trio
from attrs import frozen

from bootstrap import issuing
from bootstrap.issuing_store import IssuingKey, IssuingStore
from peernet.client import credits as credits_module
from peernet.client.purse import Purse
from peernet.core.credits.blind_rsa import PrivateKey
from peernet.core.credits.credits import BOUGHT, Credit
from peernet.core.ledger.entries import Change, Entry, Grant, Issue, Redeem, decode_entry
from tests.issuing_home import prepare_issuer
from tests.policy.test_p04_unlinkability import PROMPT, leaves_of
from tests.policy.whole_network import POLL_S, READY_TIMEOUT_S, Seen, detector, running_network

pytestmark = pytest.mark.swarm

CREDITS = 4
"""Of 10,000 microcredits: one more than the request has fragments."""


@frozen
class Signed:
    """What the issuer had before it, each time it signed."""

    key: PrivateKey
    blinded: bytes
    signature: bytes


@frozen
class Run:
    """One request of three fragments, paid for with credits, and its change."""

    signed: tuple[Signed, ...]
    entries: tuple[Entry, ...]
    keys: dict[bytes, IssuingKey]
    seen: dict[str, Seen]
    change: list[Credit]

    @property
    def redeemed(self) -> list[Credit]:
        """The credits that the log shows, and those that it will show when they are spent."""
        spent = [credit for entry in self.entries if isinstance(entry, Redeem) for credit in entry.credits]
        return [*spent, *self.change]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    finder = detector()
    signed: list[Signed] = []

    async def ask(monkeypatch: pytest.MonkeyPatch) -> Run:
        folder = tmp_path_factory.mktemp("network")
        purse_path = folder / "client" / "state" / "purse.sqlite"
        monkeypatch.setattr(credits_module, "PAUSE_S", (0.0, 0.1))
        await prepare_issuer(folder / "bootstrap-1", "peernet.local/log", {purse_path: CREDITS})
        async with running_network(folder, monkeypatch) as network, network.client(finder) as client:
            async with client.conversation() as session:
                answered = await session.ask(PROMPT, lambda _: None)
            assert answered.complete, answered.answer
            assert client.purse is not None
            with trio.fail_after(READY_TIMEOUT_S):
                while client.purse.lanes():  # noqa: ASYNC110  (another task takes their change)
                    await trio.sleep(POLL_S)
        return _run(folder, purse_path, network.seen, tuple(signed))

    with pytest.MonkeyPatch.context() as monkeypatch:
        _record(monkeypatch, signed)
        yield trio.run(ask, monkeypatch)


def _record(monkeypatch: pytest.MonkeyPatch, signed: list[Signed]) -> None:
    """Writes down what the private keys are used for."""
    sign = issuing.blind_sign

    def recorded(key: PrivateKey, blinded: bytes, mask: int) -> bytes:
        signature = sign(key, blinded, mask)
        signed.append(Signed(key, blinded, signature))
        return signature

    monkeypatch.setattr(issuing, "blind_sign", recorded)


def _run(folder: Path, purse_path: Path, seen: dict[str, Seen], signed: tuple[Signed, ...]) -> Run:
    leaves = [leaf for path in folder.rglob("ledger.sqlite") for leaf in leaves_of(path)]
    (keys,) = folder.rglob("issuing.sqlite")
    with IssuingStore(keys) as store:
        kept = {key.key_id: key for key in store.all_keys()}
    purse = Purse(purse_path)
    rows = purse._rows("SELECT key_id, serial, randomizer, signature FROM credit")
    assert purse.balance()[BOUGHT][10_000] == CREDITS - 3
    purse.close()
    return Run(signed, tuple(map(decode_entry, leaves)), kept, seen, [Credit(*row) for row in rows])


def test_every_lane_was_paid_for_and_had_its_change(run: Run) -> None:
    assert not any(isinstance(entry, Grant) for entry in run.entries)
    assert len([entry for entry in run.entries if isinstance(entry, Redeem)]) == 3
    assert len([entry for entry in run.entries if isinstance(entry, Change)]) == 3
    assert len(run.signed) == len(run.redeemed)


def test_the_issuer_has_seen_nothing_of_a_credit(run: Run) -> None:
    """Neither its parts, nor what they are made of: an issuer can raise a signature to the power of e again."""
    given = [part for signed in run.signed for part in (signed.blinded, signed.signature)]
    for credit in run.redeemed:
        number = int.from_bytes(credit.signature)
        public = run.keys[credit.key_id].private.public
        encoded = pow(number, public.exponent, public.modulus).to_bytes(public.size)
        for part in (credit.serial, credit.randomizer, credit.signature, encoded):
            assert not any(part in other for other in given)


def test_no_credit_belongs_more_to_one_signing_than_to_another(run: Run) -> None:
    """Between any credit and any signing under its key there is a factor that makes one of the other, and all of these
    factors look the same: whoever has the private key finds each, and learns nothing by it."""
    factors = []
    for signed, credit in product(run.signed, run.redeemed):
        key = run.keys[credit.key_id].private
        if key != signed.key:
            continue
        modulus = key.public.modulus
        factor = int.from_bytes(signed.signature) * pow(int.from_bytes(credit.signature), -1, modulus) % modulus
        factors.append(factor)
    assert len(factors) > CREDITS
    assert len(set(factors)) == len(factors)
    assert min(factors).bit_length() > 1_900


def test_the_log_counts_what_is_issued_in_blocks(run: Run) -> None:
    totals = [entry.total for entry in run.entries if isinstance(entry, Issue)]
    assert totals
    assert all(total % issuing.BLOCK == 0 for total in totals)


def test_relays_forward_credits_unseen(run: Run) -> None:
    serials = [credit.serial for credit in run.redeemed]
    for name, seen in run.seen.items():
        if name.startswith("relay"):
            assert not any(serial in bytes(captured) for captured in (seen.cells, seen.wire) for serial in serials)
