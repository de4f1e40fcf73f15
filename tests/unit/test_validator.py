"""The validating service: what a log that asks is answered, and what it takes to have a log read whole."""

from contextlib import ExitStack
from types import SimpleNamespace

import pytest
import trio

from bootstrap.validator import LOOK_INTERVAL_S, ValidatorService
from peernet.core.errors import ConnectionFailed
from peernet.core.ledger.messages import AddCheckpoint, Conflict, Cosigned, Rejected, mirror_prefix
from peernet.core.ledger.notes import parse_signature_lines
from peernet.core.ledger.tiles import ResourceNotFound
from tests.ledger_nodes import NOW_S, ask_for, entries_of, grant_request, nodes_in


class Reader:
    """Reads a log's entries in memory; may be cut off from it."""

    def __init__(self, log):
        self.log = log
        self.read = []

    async def read_entries(self, start, end):
        self.read.append((start, end))
        if self.log is None:
            raise ConnectionFailed("down")
        return entries_of(self.log)[start:end]


@pytest.fixture
def setting(tmp_path):
    with ExitStack() as stack:
        (a, b), _ = nodes_in(tmp_path, stack, "ab")
        log = a.new_log()
        log.append([grant_request(1), grant_request(2)], NOW_S)
        reader, heard = Reader(log), []
        peer = SimpleNamespace(swarm=SimpleNamespace(handle=lambda *_: None))
        service = ValidatorService(peer, {"a": (b.mirror_of(a), reader)}, heard.append)
        yield service, log, reader, heard, a


def names(reply):
    assert isinstance(reply, Cosigned)
    return [line.name for line in parse_signature_lines(reply.lines)]


async def test_a_log_gets_both_cosignatures_and_is_served(setting):
    service, log, _, heard, _ = setting
    assert names(await service.add_checkpoint(ask_for(log, 0))) == ["b/witness", "b/validator"]
    assert heard == ["a"]
    assert service.read(f"{mirror_prefix('a')}tile/0/000.p/2") == log.read("tile/0/000.p/2")
    with pytest.raises(ResourceNotFound):
        service.read(f"{mirror_prefix('c')}checkpoint")
    conflict = await service.add_checkpoint(ask_for(log, 1))
    assert isinstance(conflict, Conflict)
    assert conflict.size == 2


async def test_without_its_entries_the_witness_alone_signs(setting):
    service, log, reader, *_ = setting
    reader.log = None
    assert names(await service.add_checkpoint(ask_for(log, 0))) == ["b/witness"]
    reader.log = log
    assert names(await service.add_checkpoint(ask_for(log, 2))) == ["b/witness", "b/validator"]
    assert reader.read == [(0, 2), (0, 2)]


async def test_what_is_wrong_is_said_by_a_word(setting):
    service, log, _, _, a = setting
    other = a.new_log().checkpoint().replace(b"a\n0", b"c\n0", 1)
    for request, reason in (
        (AddCheckpoint(0, (), b"nothing"), "bad_note"),
        (AddCheckpoint(0, (), other), "unknown_log"),
        (AddCheckpoint(0, (), log.checkpoint().replace(b"\n2\n", b"\n3\n", 1)), "bad_signature"),
        (AddCheckpoint(9, (), log.checkpoint()), "bad_request"),
    ):
        reply = await service.add_checkpoint(request)
        assert isinstance(reply, Rejected)
        assert reply.reason == reason


async def test_a_fork_is_looked_for_and_then_refused(setting, autojump_clock):
    service, log, reader, _, a = setting
    await service.add_checkpoint(ask_for(log, 0))
    fork = a.new_log()
    fork.append([grant_request(number) for number in (1, 7, 8)], NOW_S)
    reader.log = fork
    reply = await service.add_checkpoint(ask_for(fork, 2))
    assert isinstance(reply, Rejected)
    assert reply.reason == "refused"
    again = await service.add_checkpoint(ask_for(log, 2))
    assert isinstance(again, Rejected)
    assert again.reason == "refused"
    assert service.read(f"{mirror_prefix('a')}refused")


async def test_a_wrong_proof_has_a_log_read_whole_only_now_and_then(setting, autojump_clock):
    service, log, reader, *_ = setting
    await service.add_checkpoint(ask_for(log, 0))
    log.append([grant_request(3)], NOW_S)
    forged = AddCheckpoint(2, (bytes(32),), log.checkpoint())
    for _ in range(5):
        reply = await service.add_checkpoint(forged)
        assert isinstance(reply, Rejected)
        assert reply.reason == "bad_proof"
    assert reader.read[1:] == [(0, 3)]
    await trio.sleep(LOOK_INTERVAL_S)
    await service.add_checkpoint(forged)
    assert reader.read[1:] == [(0, 3)] * 2
    assert names(await service.add_checkpoint(ask_for(log, 2))) == ["b/witness", "b/validator"]
