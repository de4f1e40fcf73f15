"""The client: what all its conversations share, and how it is opened.

A prompt goes in and an answer comes out; `session` has the order of things in between, `request` what happens once a
message has been cut into fragments, `fragment` one attempt at one of them.
"""

from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from functools import partial
from pathlib import Path
from typing import Final

import trio

from inference.models import installed, read_installed
from inference.tokenizer import Tokenizer
from peernet.client.configuration import client_config, home_at, network_config
from peernet.client.credits import PurseKeeper
from peernet.client.events import Answered
from peernet.client.history import conversation_of
from peernet.client.network import HostChoice, NetworkView
from peernet.client.parameters import Sampling
from peernet.client.purse import Purse
from peernet.client.reply import Reply
from peernet.client.request import Emit
from peernet.client.session import ChatSession, CountedModel, LanguageRefused, NoHosts, PromptRefused
from peernet.core.errors import UserError
from peernet.core.ledger.policy import LedgerPolicy
from peernet.core.regions import RegionBound
from peernet.net.rings import RingChannel
from peernet.net.tasks import background_nursery
from peernet.node.config import ClientConfig, NetworkConfig
from peernet.node.home import Home
from peernet.node.policy import policy_of
from privacy.detection import SUPPORTED_LANGUAGES, Detector
from privacy.planning import ChatMessage, ExposurePolicy, Level
from privacy.screening import Guard, Screen

__all__ = ["ChatSession", "Client", "LanguageRefused", "NoHosts", "PromptRefused", "UnknownModel", "open_client"]


MAX_DETECTIONS: Final = 4
"""How many detections run at once; one that was given up counts until its thread has ended."""


class UnknownModel(UserError):
    """Nobody offers such a model, or this client cannot count its tokens."""


class Client:
    """A running client; made by `open_client`."""

    def __init__(
        self,
        network: NetworkView,
        config: ClientConfig,
        detector: Detector,
        screener: Screen,
        model: CountedModel,
        ledger: LedgerPolicy,
        models: Path,
        nursery: trio.Nursery,
        purse: Purse | None = None,
    ) -> None:
        self.network = network
        self.config = config
        self.detector = detector
        self.ledger = ledger
        self.purse = purse
        self.screener = screener
        self.policy = ExposurePolicy(Level(config.policy))
        self.detections = trio.CapacityLimiter(MAX_DETECTIONS)
        self._model = model
        self._counted = {model.name: model}
        self._models = models
        self._nursery = nursery
        self._lingering: set[RingChannel] = set()

    def chat(
        self,
        messages: Sequence[ChatMessage | Mapping[str, str]],
        *,
        model: str | None = None,
        max_tokens: int | None = None,
        temperature: float | None = None,
        top_p: float | None = None,
        seed: int | None = None,
        stop: str | list[str] | None = None,
    ) -> Reply:
        """The answer to a whole conversation, its text as it streams: `async for text in client.chat(messages)`.

        `messages` are `ChatMessage` or dictionaries with `role` (`system`, `user` or `assistant`) and `content`; the
        last one is the user's. Without `model` it is the configured one. `max_tokens` is for the whole answer,
        `temperature` 0 to 2, `top_p` 0 to 1. Raises `UserError` for what cannot be asked; reading the reply raises
        what `ChatSession.ask` does, and `UnknownModel`.
        """
        conversation = conversation_of([_message(message) for message in messages])
        sampling = Sampling.of(max_tokens=max_tokens, temperature=temperature, top_p=top_p, seed=seed, stop=stop)
        return Reply(self._nursery, partial(self._answer, conversation, model, sampling))

    @asynccontextmanager
    async def conversation(
        self, model: str | None = None, history: Sequence[ChatMessage] = ()
    ) -> AsyncIterator[ChatSession]:
        """A conversation with a vault of its own, which is wiped at its end.

        `history` is what was said before, in the order of `history.conversation_of`. Raises `UnknownModel`.
        """
        session = ChatSession(self, await self.counted(model), history)
        try:
            yield session
        finally:
            session.wipe()

    async def counted(self, name: str | None = None) -> CountedModel:
        """The model of that name, or the configured one, with its tokenizer; raises `UnknownModel`."""
        if name is None:
            return self._model
        if name not in self._counted:
            if name not in self.models():
                raise UnknownModel(
                    f"there is no model {name!r} here: a host must offer it, and 'peernet model pull' have installed"
                    " it, since the client counts its tokens"
                )
            tokenizer = await trio.to_thread.run_sync(Tokenizer.load, self._models / name)
            self._counted[name] = CountedModel(name, tokenizer)
        return self._counted[name]

    def models(self) -> list[str]:
        """The models that can be asked for now: installed here, so that tokens can be counted, and offered."""
        return [
            model.name
            for model in installed(self._models)
            if self.network.hosts_of(model.name, bytes.fromhex(model.tokenizer_digest), self._issuers)
        ]

    def hosts(self, model: CountedModel | None = None, answer_tokens: int | None = None) -> list[HostChoice]:
        """The hosts that serve a model (the configured one) as this client counts it, from the current directory.

        Ordered for answers of so many tokens at most, or as many as the client is configured for.
        """
        wanted = model or self._model
        at_most = self.config.max_answer_tokens if answer_tokens is None else answer_tokens
        return self.network.hosts_of(wanted.name, wanted.tokenizer.digest, self._issuers, at_most)

    def linger(self, ring: RingChannel) -> None:
        """Remembers a ring that is ended and still fills its class; see `wait_for_rings`."""
        self._lingering = {other for other in self._lingering if not other.finished.is_set()}
        if ring.lingers:
            self._lingering.add(ring)

    @property
    def rings_linger(self) -> bool:
        """Whether a paced ring still fills its class; see `wait_for_rings`."""
        return any(not ring.finished.is_set() for ring in self._lingering)

    async def wait_for_rings(self) -> None:
        """Waits until every paced ring has filled its class: a client that left earlier would show when it was done.

        Each is over at its boundary, and a farewell later at the latest.
        """
        for ring in tuple(self._lingering):
            await ring.finished.wait()

    def hosts_elsewhere(self, model: CountedModel) -> Counter[str]:
        """How many hosts of a model are not asked for the regions that they claim, by these claims."""
        return self.network.hosts_elsewhere(model.name, model.tokenizer.digest, self._issuers)

    @property
    def _issuers(self) -> list[str]:
        return [log.origin for log in self.ledger.logs]

    async def _answer(
        self, messages: Sequence[ChatMessage], model: str | None, sampling: Sampling, emit: Emit
    ) -> Answered:
        async with self.conversation(model, messages[:-1]) as session:
            return await session.ask(messages[-1].content, emit, sampling)


@asynccontextmanager
async def open_client(
    network: NetworkConfig | Path | str | None = None,
    config: ClientConfig | None = None,
    home: Home | Path | str | None = None,
    *,
    models: Path | str | None = None,
    policy: str | None = None,
    profile: str | None = None,
    pseudonyms: str | None = None,
    model: str | None = None,
    detector: Detector | None = None,
    guard: Guard | None = None,
) -> AsyncIterator[Client]:
    """A client of `network`; raises `UserError` when it cannot be one, with what to do.

    Args:
        network: itself, a file with a table `[network]`, or by default that table of the home's `config.toml`.
        config: by default the table `[client]` of the home's `config.toml`.
        home: where that and the client's state are; by default the platform's folders.
        models: where models are, if not in the home.
        policy: `strict`, `standard` or `open`, on top of the configuration.
        profile: `private`, `fast` or `paced`, on top of the configuration.
        pseudonyms: `tag` or `surrogate`, on top of the configuration.
        model: what is asked for where a request does not say, on top of the configuration.
        detector: one that is loaded already.
        guard: a model that is asked about each prompt and answer, too (`privacy.screening.engine_guard`).
    """
    home = home_at(home, models)
    network = network_config(network, home)
    config = client_config(config, home, policy=policy, profile=profile, pseudonyms=pseudonyms, model=model)
    ledger = policy_of(network)
    screener = Screen.configured(config.screening, config.screening_timeout_s, guard)
    if config.policy not in set(Level):
        raise UserError(f"there is no exposure policy {config.policy!r}: choose strict, standard or open")
    unknown = sorted(set(config.languages) - set(SUPPORTED_LANGUAGES))
    if unknown:
        known = ", ".join(SUPPORTED_LANGUAGES)
        raise UserError(f"names are not recognised in the language {unknown[0]!r}: set languages to some of {known}")
    folder = read_installed(home.models / config.model).folder
    counted = CountedModel(config.model, await trio.to_thread.run_sync(Tokenizer.load, folder))
    view = NetworkView(
        network,
        home.state / "guards.json",
        home.state / "directory.bin",
        host_regions=RegionBound(config.host_regions),
        relay_regions=RegionBound(config.relay_regions),
    )
    with closing(Purse(home.state / "purse.sqlite")) as purse:
        async with background_nursery() as nursery:
            await nursery.start(view.swarm.run)
            # First what may be wrong with the network: the detector takes a second or two.
            await view.start()
            nursery.start_soon(view.keep_fresh)
            nursery.start_soon(view.keep_arcs, config.profile, config.warm_ways)
            if detector is None:
                load = partial(Detector.load, languages=config.languages)
                detector = await trio.to_thread.run_sync(load)
            await trio.to_thread.run_sync(screener.load)
            client = Client(view, config, detector, screener, counted, ledger, home.models, nursery, purse)
            nursery.start_soon(PurseKeeper(purse, view, ledger, config.profile).run, client.hosts)
            yield client
            await client.wait_for_rings()


def _message(message: ChatMessage | Mapping[str, str]) -> ChatMessage:
    if isinstance(message, ChatMessage):
        return message
    role, content = message.get("role"), message.get("content")
    if not isinstance(role, str) or not isinstance(content, str):
        raise UserError("a message has a role and a content, both text")
    extra = sorted(set(message) - {"role", "content"})
    if extra:
        raise UserError(f"a message has a role and a content, and here {extra[0]!r}, which would be left out")
    return ChatMessage(role, content)
