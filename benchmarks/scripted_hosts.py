"""A client with all but sockets: screening, detection, vault, plan, rings, merging and receipt are the real ones.

An attempt to answer a fragment goes to a script instead of around its ring. The script gets what the host's engine
would get, to the byte, and its answer is restored, streamed and merged as any other.
"""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, cast
from unittest import mock

import trio

from inference.models import DEFAULT_MODEL, installed
from inference.tokenizer import Tokenizer
from peernet.client.client import Client
from peernet.client.events import FragmentText
from peernet.client.fragment import Attempt, Exchange, LaneUse, Outcome
from peernet.client.network import HostChoice, NetworkView
from peernet.client.seam import AnswerText
from peernet.client.session import CountedModel
from peernet.core.dht.records import HostOffer, PeerRecord
from peernet.core.directory import Directory, Listing
from peernet.core.errors import UserError
from peernet.core.identity import Keypair
from peernet.core.suite import MixedSuite
from peernet.node.config import ClientConfig, NetworkConfig
from privacy.detection import Detector
from privacy.screening import Screen

__all__ = ["Script", "scripted_client"]

Script = Callable[[Attempt], str]
"""What a host writes, given what it gets."""

MODELS: Final = Path(__file__).resolve().parent.parent / ".cache" / "models"
RELAYS: Final = 60
CONTEXT_TOKENS: Final = 8192
PATIENCE_S: Final = 600.0
_PIECE_CHARS: Final = 7
"""How much of an answer comes at once: little enough to cut placeholders."""
_LOG: Final = "log"


class _Standing(NetworkView):
    """A network that is as its directory says."""

    async def make_ready(self, model: str, hosts: Callable[[], Collection[HostChoice]]) -> None:
        """Nothing is missing."""


@contextmanager
def scripted_client(hosts: int, script: Script, detector: Detector, folder: Path) -> Iterator[Client]:
    """A client of a network of `hosts` hosts that all answer by `script`; `folder` is for its state.

    Raises `UserError` where the default model, whose tokens are counted, is not installed.
    """
    model = next((model for model in installed(MODELS) if model.name == DEFAULT_MODEL), None)
    if model is None:
        raise UserError(f"the model {DEFAULT_MODEL} is not in {MODELS}: 'make setup' pulls it there")
    counted = CountedModel(model.name, Tokenizer.load(model.folder))
    suite = MixedSuite()
    names = ("bootstrap", *["relay"] * RELAYS, *["host"] * hosts)
    listings = [_listing(number, role, counted, suite) for number, role in enumerate(names)]
    bootstrap = f"/ip4/127.1.1.1/tcp/1/p2p/{listings[0].peer}"
    network = _Standing(NetworkConfig(test=True, bootstrap=(bootstrap,)), folder / "guards.json", clock=lambda: 1)
    network.directory = Directory(1, tuple(listings))
    # Nobody waits: a busy machine is no reason to send nothing.
    config = ClientConfig(
        max_answer_tokens=CONTEXT_TOKENS, detection_timeout_s=PATIENCE_S, screening_timeout_s=PATIENCE_S
    )
    screener = Screen.configured(config.screening, config.screening_timeout_s)
    screener.load()
    ledger = cast("Any", SimpleNamespace(logs=[SimpleNamespace(origin=_LOG)]))
    client = Client(network, config, detector, screener, counted, ledger, MODELS, cast("trio.Nursery", None))

    async def run(exchange: Exchange, attempt: Attempt, outcome: Outcome, sending: Callable[[], None]) -> None:
        outcome.answer_as_sent = outcome.kept = attempt.kept
        sending()
        text = AnswerText(attempt.view.mapping(), attempt.kept)
        written = script(attempt)
        pieces = [written[place : place + _PIECE_CHARS] for place in range(0, len(written), _PIECE_CHARS)]
        for number, piece in enumerate([*pieces, None]):
            shown = text.finish(cut=False) if piece is None else text.feed(piece)
            outcome.answer_as_sent, outcome.kept = text.as_sent, text.kept
            outcome.answer += shown
            if shown:
                exchange.emit(FragmentText(attempt.fragment.ordinal, shown))
            if number % 8 == 0:
                await trio.lowlevel.checkpoint()
        outcome.lanes.append(LaneUse())
        outcome.whole = True

    with mock.patch.object(Exchange, "run", run):
        yield client


def _listing(number: int, role: str, model: CountedModel, suite: MixedSuite) -> Listing:
    keys = Keypair.from_seed(b"exposure benchmark %013d" % number, suite)
    times = (1, 1, 1 << 40)  # it does not expire
    addresses = (f"/ip4/127.{number + 1}.1.1/tcp/9",)
    record = PeerRecord(keys.public_key, *times, addresses, bytes(32), b"operator %d" % number, b"", (role,), "")
    offers: tuple[HostOffer, ...] = ()
    if role == "host":
        digests = (bytes(32), model.tokenizer.digest, "none")
        offer = HostOffer(keys.public_key, *times, model.name, *digests, CONTEXT_TOKENS, 2, 5, 2, "", (_LOG,), b"", ())
        offers = (offer,)
    return Listing(record, b"", offers)
