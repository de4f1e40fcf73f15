"""Gathering cosignatures: when an entry is final, who holds it up and who does not, and what a restored log may do."""

import shutil
from contextlib import ExitStack

import pytest
import trio

from bootstrap import cosigning
from bootstrap.cosigning import CosignedLog, OtherNode, RolledBack
from bootstrap.log import Log
from bootstrap.mirror import LogRefused, StandsElsewhere
from bootstrap.store import LedgerStore
from peernet.core.errors import ConnectionFailed, RemoteProtocolError
from peernet.core.ledger.checkpoint import read_unverified
from peernet.core.ledger.messages import Conflict, Cosigned, Rejected
from peernet.core.ledger.notes import Note, encode_signature_lines, parse_note
from tests.ledger_nodes import NOW_S, SUITE, entries_of, grant_request, nodes_in, seed_of

WAIT_S = 1.0


class Others:
    """The other nodes of `a`, as their mirrors answer; some may be down, slow, or forge."""

    def __init__(self, nodes, log):
        self.nodes = nodes
        self.log = log
        self.down = set()
        self.slow_s = {}
        self.forging = set()
        self.only_witness = set()
        self.asked = 0

    def all(self):
        return [OtherNode(n.name, (n.member.witness, n.member.validator), self._submit_to(n)) for n in self.nodes[1:]]

    def _submit_to(self, node):
        async def submit(request):
            self.asked += 1
            if node.name in self.down:
                raise ConnectionFailed("down")
            await trio.sleep(self.slow_s.get(node.name, 0.01))
            mirror = node.mirror_of(self.nodes[0])
            note = request.checkpoint
            try:
                lines = [mirror.witness(request.old_size, request.proof, note, NOW_S)]
                if node.name not in self.only_witness:
                    entries = entries_of(self.log)[mirror.size : read_unverified(note).size]
                    lines.append(mirror.extend(entries, note, NOW_S))
            except StandsElsewhere as error:
                return Conflict(error.size, error.checkpoint)
            except LogRefused:
                return Rejected("refused", "refused")
            if node.name in self.forging:
                lines = [Note("", (line,)).signatures[0] for line in lines]
                lines[-1] = type(lines[-1])(lines[-1].name, lines[-1].key_id, bytes(72))
            return Cosigned(encode_signature_lines(lines))

        return submit


@pytest.fixture
def setting(tmp_path):
    with ExitStack() as stack:
        nodes, policy = nodes_in(tmp_path, stack)
        log = nodes[0].new_log()
        yield nodes, policy, log, Others(nodes, log)


def cosigned_log(nodes, policy, log, others, *, fresh=True):
    return CosignedLog(log, policy, (nodes[0].witness, nodes[0].validator), others.all(), SUITE, fresh=fresh)


async def append(cosigned, log, *numbers):
    """Appends as the service does; the proof's checkpoint of the last entry, and how long it took."""
    began = trio.current_time()
    index = log.append([grant_request(number) for number in numbers], NOW_S)[-1]
    cosigned.appended()
    note = await cosigned.checkpoint_over(index, WAIT_S)
    return note, trio.current_time() - began


async def test_an_entry_is_final_after_one_exchange_with_the_quorum(setting, autojump_clock, nursery):
    _, policy, log, _ = setting
    cosigned = cosigned_log(*setting)
    nursery.start_soon(cosigned.run)
    note, took_s = await append(cosigned, log, 1)
    assert policy.finality(note, SUITE).final
    assert took_s < 0.1
    await trio.sleep(1)
    assert len(policy.finality(cosigned.newest(), SUITE).cosigned) == 4


async def test_nothing_is_polled(setting, autojump_clock, nursery):
    _, _, log, others = setting
    cosigned = cosigned_log(*setting)
    nursery.start_soon(cosigned.run)
    await append(cosigned, log, 1)
    await trio.sleep(1)
    asked = others.asked
    await trio.sleep(3600)
    assert others.asked == asked


@pytest.mark.parametrize(("down", "final"), [("b", True), ("bc", False), ("bcd", False)])
async def test_one_of_four_may_be_down_and_not_two(setting, down, final, autojump_clock, nursery):
    _, policy, log, others = setting
    others.down = set(down)
    cosigned = cosigned_log(*setting)
    nursery.start_soon(cosigned.run)
    note, took_s = await append(cosigned, log, 1)
    finality = policy.finality(note, SUITE)
    assert (finality.final, len(finality.cosigned)) == (final, 4 - len(down))
    assert took_s == pytest.approx(0.01, abs=0.05) if final else took_s == WAIT_S


async def test_who_comes_back_catches_up_and_makes_it_final(setting, autojump_clock, nursery):
    nodes, policy, log, others = setting
    others.down = {"b", "c"}
    cosigned = cosigned_log(*setting)
    nursery.start_soon(cosigned.run)
    for number in range(1, 6):
        note, _ = await append(cosigned, log, number)
        assert not policy.finality(note, SUITE).final
    others.down = set()
    note = await cosigned.checkpoint_over(4, cosigning.MAX_PAUSE_S + 1)
    assert policy.finality(note, SUITE).final
    await trio.sleep(cosigning.MAX_PAUSE_S)
    assert {node.mirror_of(nodes[0]).size for node in nodes[1:]} == {5}


async def test_who_comes_back_and_asks_us_is_asked_at_once(setting, autojump_clock, nursery):
    _, policy, log, others = setting
    others.down = {"b", "c"}
    cosigned = cosigned_log(*setting)
    nursery.start_soon(cosigned.run)
    await append(cosigned, log, 1)
    await trio.sleep(10 * cosigning.MAX_PAUSE_S)
    others.down = {"c"}
    cosigned.heard_from("b")
    cosigned.heard_from("nobody that we know")
    assert policy.finality(await cosigned.checkpoint_over(0, 0.1), SUITE).final


async def test_a_slow_node_holds_up_nobody(setting, autojump_clock, nursery):
    nodes, policy, log, others = setting
    others.slow_s["d"] = 5.0
    cosigned = cosigned_log(*setting)
    nursery.start_soon(cosigned.run)
    for number in range(1, 20):
        note, took_s = await append(cosigned, log, number)
        assert policy.finality(note, SUITE).final
        assert took_s < 0.1
    await trio.sleep(60)
    assert nodes[3].mirror_of(nodes[0]).size == 19


async def test_under_load_every_entry_becomes_final(setting, autojump_clock, nursery):
    """Many appends while a round is under way: all nodes cosign the same targets."""
    _, policy, log, others = setting
    others.slow_s = {"b": 0.05, "c": 0.08, "d": 0.3}
    cosigned = cosigned_log(*setting)
    nursery.start_soon(cosigned.run)
    notes = []

    async def one(number):
        await trio.sleep(number * 0.013)
        notes.append((await append(cosigned, log, number))[0])

    async with trio.open_nursery() as appenders:
        for number in range(1, 60):
            appenders.start_soon(one, number)
    assert len(notes) == 59
    assert all(policy.finality(note, SUITE).final for note in notes)


async def test_a_forged_cosignature_does_not_count_and_spoils_nothing(setting, autojump_clock, nursery):
    _, policy, log, others = setting
    others.forging = {"d"}
    cosigned = cosigned_log(*setting)
    nursery.start_soon(cosigned.run)
    note, _ = await append(cosigned, log, 1)
    await trio.sleep(5)
    for each in (note, cosigned.newest()):
        assert policy.finality(each, SUITE).cosigned == ("a/validator", "b/validator", "c/validator")


async def test_witnesses_alone_make_nothing_final(setting, autojump_clock, nursery):
    _, policy, log, others = setting
    others.only_witness = {"b", "c", "d"}
    cosigned = cosigned_log(*setting)
    nursery.start_soon(cosigned.run)
    note, _ = await append(cosigned, log, 1)
    assert policy.finality(note, SUITE).describe() == "not final: 1 of the 3 needed"
    others.only_witness = set()
    assert policy.finality(await cosigned.checkpoint_over(0, 20), SUITE).final


async def test_one_node_alone_is_its_own_quorum(tmp_path, autojump_clock, nursery):
    with ExitStack() as stack:
        nodes, policy = nodes_in(tmp_path, stack, "a")
        log = nodes[0].new_log()
        cosigned = cosigned_log(nodes, policy, log, Others(nodes, log), fresh=False)
        nursery.start_soon(cosigned.run)
        assert await cosigned.compared(0)
        note, took_s = await append(cosigned, log, 1)
        assert policy.finality(note, SUITE).describe() == "final (1 of 1)"
        assert took_s == 0


# After a restart


async def restored(setting, tmp_path, entries_then, entries_now):
    """Has a log grow with its mirrors from one number of entries to another, and gives the old copy of it."""
    nodes, _, log, _ = setting
    cosigned = cosigned_log(*setting)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(cosigned.run)
        for number in range(1, entries_then + 1):
            await append(cosigned, log, number)
        log._store._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        shutil.copy(tmp_path / "a-1.sqlite", tmp_path / "backup.sqlite")
        for number in range(entries_then + 1, entries_now + 1):
            await append(cosigned, log, number)
        await trio.sleep(1)
        nursery.cancel_scope.cancel()
    store = nodes[0].stack.enter_context(LedgerStore(tmp_path / "backup.sqlite"))
    return Log(store, "a", seed_of("a"), SUITE)


@pytest.mark.parametrize("then", [0, 2])
async def test_a_log_restored_from_an_old_backup_signs_nothing(setting, tmp_path, then, autojump_clock):
    nodes, policy, _, others = setting
    old = await restored(setting, tmp_path, then, 4)
    others.log = old
    cosigned = cosigned_log(nodes, policy, old, others, fresh=False)
    assert not await cosigned.compared(0)
    with pytest.raises(ExceptionGroup) as raised:
        await cosigned.run()
    (why,) = raised.value.exceptions
    assert isinstance(why, RolledBack)
    assert "with 4 entries" in str(why)
    assert f"it has {then}" in str(why)
    # Not even what it had: it cannot know whether that is the newest.
    assert b"a/validator" not in cosigned.newest()


async def test_a_log_restored_whole_goes_on_once_enough_have_answered(setting, tmp_path, autojump_clock, nursery):
    nodes, policy, _, others = setting
    whole = await restored(setting, tmp_path, 3, 3)
    others.log = whole
    others.down = {"b", "c"}
    cosigned = cosigned_log(nodes, policy, whole, others, fresh=False)
    nursery.start_soon(cosigned.run)
    assert not await cosigned.compared(10), "one answer may be the liar's"
    others.down = {"b"}
    assert await cosigned.compared(cosigning.MAX_PAUSE_S)
    note, _ = await append(cosigned, whole, 9)
    assert policy.finality(note, SUITE).final


async def test_a_conflict_that_our_key_did_not_sign_stops_nothing(setting, autojump_clock, nursery):
    nodes, policy, log, others = setting
    lies = parse_note(log.checkpoint().replace(b"\n0\n", b"\n7\n")).encode()

    async def lying(request):
        return Conflict(7, lies)

    honest = others.all()
    cosigned = CosignedLog(
        log,
        policy,
        (nodes[0].witness, nodes[0].validator),
        [*honest[:2], OtherNode("d", honest[2].keys, lying)],
        SUITE,
        fresh=False,
    )
    nursery.start_soon(cosigned.run)
    assert await cosigned.compared(5)
    note, _ = await append(cosigned, log, 1)
    assert policy.finality(note, SUITE).final


async def test_a_log_that_forked_is_told_so_and_left_alone(setting, autojump_clock, nursery):
    nodes, policy, log, others = setting
    cosigned = cosigned_log(*setting)
    nursery.start_soon(cosigned.run)
    await append(cosigned, log, 1)
    await trio.sleep(1)
    fork = nodes[0].new_log()
    fork.append([grant_request(9)], NOW_S)
    for node in nodes[1:]:
        with pytest.raises((LogRefused, RemoteProtocolError)):
            node.mirror_of(nodes[0]).witness(1, (), fork.checkpoint(), NOW_S)
    asked = others.asked
    note, _ = await append(cosigned, log, 2)
    assert not policy.finality(note, SUITE).final
    await trio.sleep(cosigning.REFUSED_PAUSE_S / 2)
    assert others.asked == asked + 3
