"""The swarm's promise, on real processes: what was captured at every host and relay, against what was asked.

One request with planted identities goes through one bootstrap node, eight relays and three hosts with the real model.
Everything that the engines were given, every cell that a relay forwarded and every byte on every socket is recorded
by `tests/swarm/recorded.py`, and the claims are computed from those bytes, not from what the client says of itself.
"""

import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trio
from attrs import frozen

from inference.models import DEFAULT_MODEL
from peernet.cli.asking import result_of
from peernet.cli.local_swarm import SwarmPlan, running_swarm
from peernet.client.client import open_client
from peernet.client.events import Answered, Event, FragmentText
from peernet.core.directory import Directory
from peernet.node.config import ClientConfig, NetworkConfig, load_table
from peernet.node.home import Home
from tests.model_files import CACHE, pulled_model
from tests.swarm.recorded import QUOTE

pytestmark = [pytest.mark.swarm, pytest.mark.usefixtures("forked")]

PROMPT = """\
1. Write a thank-you note to Maria Kowalska (maria.kowalska@example.org, +1 415 555 0132) of Northwind Traders Ltd.
2. Ask the bank to block card 4111 1111 1111 1111 of James Whitfield, 221 Baker Street, London NW1 6XE, today.
3. Tell Maria Kowalska in two sentences why plants are green, and why leaves turn brown every autumn.
"""

PLANTED = {
    "name": "Maria Kowalska",
    "name of another": "James Whitfield",
    "e-mail": "maria.kowalska@example.org",
    "phone": "+1 415 555 0132",
    "card": "4111 1111 1111 1111",
    "address": "221 Baker Street",
    "company": "Northwind Traders",
}
"""What must reach nobody, and must be back in the answer."""

PARTS = (
    "Maria",
    "Kowalska",
    "Whitfield",
    "kowalska@",
    "555 0132",
    "4155550132",
    "41111111",
    "Baker Street",
    "NW1 6XE",
)
"""Parts of it that must reach nobody either."""

PLACEHOLDER = re.compile(r"\b[A-Z_]+_[A-Z]\d+\b")

STOP_WORDS = frozenset(
    ["a", "an", "and", "are", "as", "at", "be", "by", "for", "from", "in", "is", "it", "of", "on", "or", "that", "the",
     "their", "this", "to", "was", "why", "with"]
)  # fmt: skip


@frozen
class Run:
    """One request, and everything that was captured of it."""

    answered: Answered
    events: tuple[Event, ...]
    directory: Directory
    engines: dict[str, list[dict[str, Any]]]
    """The calls of each host's engine, by process."""
    cells: dict[str, bytes]
    wires: dict[str, bytes]
    audit: dict[str, Any]
    relay_process: str


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    pulled_model()
    folder = tmp_path_factory.mktemp("swarm")
    record = folder / "record"
    record.mkdir()
    os.environ["PEERNET_TEST_RECORD"] = str(record)
    try:
        yield trio.run(_ask, folder, record)
    finally:
        del os.environ["PEERNET_TEST_RECORD"]


async def _ask(folder: Path, record: Path) -> Run:
    plan = SwarmPlan(
        folder=folder,
        models=CACHE,
        model=DEFAULT_MODEL,
        network=30 + os.getpid() % 60,
        command=(sys.executable, "-m", "tests.swarm.recorded"),
    )
    events: list[Event] = []
    async with running_swarm(plan) as swarm:
        network = load_table(swarm.network_file, "network", NetworkConfig, {})
        config = ClientConfig(max_answer_tokens=160)
        home = Home(folder / "client" / "config", folder / "client" / "state", CACHE)
        async with open_client(network, config, home) as client:
            while len(client.hosts()) < 3 or len(client.network.directory.relays) < 8:
                await trio.sleep(0.1)
                await client.network.fetch_directory()
            async with client.conversation() as session:
                answered = await session.ask(PROMPT, events.append)
        command = [sys.executable, "-m", "peernet", "ledger", "audit", "--json", "--home", str(folder / "auditor")]
        audit = await trio.run_process(
            [*command, "--network", str(swarm.network_file)],
            capture_stdout=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        relay_process = str(swarm.member("relays").process.pid)
        return Run(
            answered=answered,
            events=tuple(events),
            directory=client.network.directory,
            engines={
                path.stem.partition("-")[2]: [json.loads(line) for line in path.read_text("utf-8").splitlines()]
                for path in record.glob("engine-*.jsonl")
            },
            cells={path.stem.partition("-")[2]: path.read_bytes() for path in record.glob("cells-*.bin")},
            wires={path.stem.partition("-")[2]: path.read_bytes() for path in record.glob("wire-*.bin")},
            audit=json.loads(audit.stdout),
            relay_process=relay_process,
        )


def everything_given(calls: list[dict[str, Any]]) -> str:
    """All text that an engine was given, in whatever field."""
    return json.dumps(calls, ensure_ascii=False)


def content_words(text: str) -> Counter[str]:
    """Counted here independently of the code under test."""
    return Counter(word for word in re.findall(r"[a-z0-9]+", text.lower()) if word not in STOP_WORDS)


def test_every_part_was_answered(run: Run) -> None:
    assert run.answered.complete
    assert len(run.answered.fragments) == 3


def test_at_least_three_hosts_took_part(run: Run) -> None:
    assert len([calls for calls in run.engines.values() if calls]) >= 3
    assert len({fragment.host for fragment in run.answered.fragments}) >= 3


@pytest.mark.parametrize("planted", [*PLANTED.values(), *PARTS])
def test_no_planted_value_reached_a_host(run: Run, planted: str) -> None:
    assert run.engines
    for calls in run.engines.values():
        assert planted.casefold() not in everything_given(calls).casefold()


def test_no_planted_value_reached_a_relay_or_a_wire(run: Run) -> None:
    assert run.relay_process in run.cells
    assert len(run.cells[run.relay_process]) >= 100 * 1024
    for captured in (*run.cells.values(), *run.wires.values()):
        folded = captured.lower()
        for planted in (*PLANTED.values(), *PARTS):
            assert planted.lower().encode() not in folded


def test_relays_and_wires_carry_no_text_at_all(run: Run) -> None:
    """Not even the masked text: what the hosts' engines got stands in no cell and on no socket."""
    given = [content for calls in run.engines.values() for call in calls for _, content in call["messages"]]
    assert len(given) >= 3
    for content in given:
        for captured in (run.cells[run.relay_process], *run.wires.values()):
            assert content[:24].encode() not in captured


def test_no_host_saw_more_than_half(run: Run) -> None:
    """Computed from what its engine was given, over all calls of one host."""
    original = content_words(PROMPT)
    shares = []
    for calls in run.engines.values():
        given: Counter[str] = Counter()
        for call in calls:
            for _, content in call["messages"]:
                given.update(content_words(content))
        shares.append((original & given).total() / original.total())
    assert len(shares) >= 3
    assert max(shares) <= 0.5
    # A host that got a fragment got something of it: the measure itself can see.
    assert min(shares) > 0.05


def test_the_client_tells_exactly_what_each_host_got(run: Run) -> None:
    claimed = sorted(fragment.text_sent for fragment in run.answered.fragments)
    given = sorted(call["messages"][-1][1] for calls in run.engines.values() for call in calls)
    assert claimed == given


def test_the_originals_are_back_in_the_answer(run: Run) -> None:
    for planted in PLANTED.values():
        assert planted in run.answered.text
    assert run.answered.text.count(QUOTE) == 3
    # The model may make up placeholders of its own; of those that stood for something none is left.
    sent = {name for calls in run.engines.values() for name in PLACEHOLDER.findall(everything_given(calls))}
    assert len(sent) >= len(PLANTED)
    assert sent.isdisjoint(PLACEHOLDER.findall(run.answered.text))


def test_placeholders_of_two_hosts_have_nothing_in_common(run: Run) -> None:
    seen = [set(PLACEHOLDER.findall(everything_given(calls))) for calls in run.engines.values() if calls]
    assert len(set().union(*seen)) == sum(map(len, seen))
    # Maria Kowalska is in two fragments, and so has two placeholders.
    assert sum(len([name for name in names if name.startswith("PERSON_")]) for names in seen) == 3


def test_the_answers_streamed(run: Run) -> None:
    for ordinal in range(3):
        assert len([e for e in run.events if isinstance(e, FragmentText) and e.ordinal == ordinal]) >= 10


def test_guards_middles_and_hosts_are_distinct(run: Run) -> None:
    """In peer, operator and /24, as design section 5 asks; checked on the records themselves."""
    rings = [(fragment.out, fragment.back, fragment.host) for fragment in run.answered.fragments]
    guards = {arc[0] for out, back, _ in rings for arc in (out, back)}
    middles = [peer for out, back, _ in rings for peer in (*out[1:], *back[1:])]
    hosts = [host for _, _, host in rings]
    assert all(len(out) == len(back) == 2 for out, back, _ in rings)
    assert 1 <= len(guards) <= 2
    assert len(middles) == 6
    assert len({*guards, *middles, *hosts}) == len(guards) + 6 + 3
    records = {str(listing.peer): listing.record for listing in run.directory.listings}
    used = [records[peer] for peer in (*guards, *middles, *hosts)]
    assert len({record.operator_key for record in used}) == len(used)
    prefixes = {record.addresses[0].split("/")[2].rpartition(".")[0] for record in used}
    assert len(prefixes) == len(used)


def test_every_receipt_is_in_the_log_and_the_log_verifies(run: Run) -> None:
    receipts = [fragment.receipt_index for fragment in run.answered.fragments]
    assert None not in receipts
    assert len(set(receipts)) == 3
    assert run.audit["ok"], run.audit["problems"]
    assert run.audit["settlements"] == 3
    assert run.audit["grants"] == 3
    assert run.audit["total_microcredits"] == sum(f.amount_microcredits for f in run.answered.fragments)
    assert run.audit["origin"] == run.answered.log_origin


def test_no_ledger_process_saw_a_prompt(run: Run) -> None:
    """Promise P5, as far as bytes can show it: the bootstrap node has no engine, and its sockets carry no text."""
    assert len(run.wires) == 5
    assert len(run.engines) == 3


def test_the_result_for_programs(run: Run) -> None:
    result = result_of(run.answered, 1.0)
    assert set(result) >= {"answer", "fragments", "rings", "identifiers", "usage", "ledger", "timings"}
    assert all(set(fragment) >= {"host", "mode", "share", "text_sent"} for fragment in result["fragments"])
    assert all(set(ring) == {"out", "back"} for ring in result["rings"])
    assert set(result["ledger"]) >= {"origin", "size", "receipts", "proofs_verified"}
    assert result["ledger"]["receipts"] == result["ledger"]["proofs_verified"] == 3
    assert set(result["timings"]) == {"ready_s", "first_token_ms", "total_s"}
    assert result["identifiers"]["PERSON"] == 2
    assert json.loads(json.dumps(result)) == result
