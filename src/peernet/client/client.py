"""The client: what all its conversations share, and how it is opened.

A prompt goes in and an answer comes out; `session` has the order of things in between, `request` what happens once a
message has been cut into fragments, `fragment` one attempt at one of them.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from inference.models import read_installed
from inference.tokenizer import Tokenizer
from peernet.client.network import HostChoice, NetworkView
from peernet.client.session import ChatSession, PromptRefused
from peernet.core.errors import RemoteProtocolError, UserError
from peernet.core.ledger.notes import VerifierKey
from peernet.net.tasks import background_nursery
from peernet.node.config import ClientConfig, NetworkConfig
from peernet.node.home import Home
from privacy.detection import Detector
from privacy.planning import ExposurePolicy, Level
from privacy.screening import Screener

__all__ = ["ChatSession", "Client", "PromptRefused", "open_client"]


class Client:
    """A running client; made by `open_client`."""

    def __init__(
        self,
        network: NetworkView,
        config: ClientConfig,
        detector: Detector,
        tokenizer: Tokenizer,
        log_key: VerifierKey,
    ) -> None:
        self.network = network
        self.config = config
        self.detector = detector
        self.tokenizer = tokenizer
        self.log_key = log_key
        self.screener = Screener()
        self.policy = ExposurePolicy(Level(config.policy))

    @asynccontextmanager
    async def conversation(self) -> AsyncIterator[ChatSession]:
        """A conversation with a vault of its own, which is wiped at its end."""
        session = ChatSession(self)
        try:
            yield session
        finally:
            session.wipe()

    def hosts(self) -> list[HostChoice]:
        """The hosts that serve the configured model as this client counts it, from the current directory."""
        return self.network.hosts_of(self.config.model, self.tokenizer.digest, self.log_key.name)


@asynccontextmanager
async def open_client(
    network: NetworkConfig, config: ClientConfig, home: Home, *, detector: Detector | None = None
) -> AsyncIterator[Client]:
    """A client of `network`; raises `UserError` when it cannot be one, with what to do."""
    if not network.ledger:
        raise UserError("no ledger is configured: give its key with --ledger KEY, or --network FILE")
    try:
        log_key = VerifierKey.parse(network.ledger)
    except RemoteProtocolError as error:
        raise UserError(f"--ledger {network.ledger!r} is no verifier key: {error}") from error
    if config.policy not in set(Level):
        raise UserError(f"there is no exposure policy {config.policy!r}: choose strict, standard or open")
    model = read_installed(home.models / config.model)
    tokenizer = await trio.to_thread.run_sync(Tokenizer.load, model.folder)
    view = NetworkView(network, home.state / "guards.json")
    async with background_nursery() as nursery:
        await nursery.start(view.swarm.run)
        # First what may be wrong with the network: the detector takes a second or two.
        await view.fetch_directory()
        if detector is None:
            detector = await trio.to_thread.run_sync(Detector.load)
        yield Client(view, config, detector, tokenizer, log_key)
