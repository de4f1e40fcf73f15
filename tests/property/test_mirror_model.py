"""Mirrors and quorums against what they promise: honest logs become final, and no two histories of one log both do."""

import tempfile
from contextlib import ExitStack
from pathlib import Path

import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from bootstrap.cosigning import MAX_PAUSE_S, CosignedLog, OtherNode
from bootstrap.mirror import LogRefused, StandsElsewhere
from peernet.core.errors import ConnectionFailed, RemoteProtocolError
from peernet.core.ledger.checkpoint import read_unverified
from peernet.core.ledger.messages import Conflict, Cosigned, Rejected
from peernet.core.ledger.notes import encode_signature_lines, parse_note
from tests.ledger_nodes import NOW_S, SUITE, entries_of, grant_request, nodes_in

FINAL_WITHIN_S = MAX_PAUSE_S + 2
"""A node that was down may be left alone so long; then it is asked again."""


# Honest logs


def answering(node, of, log, down):
    async def submit(request):
        await trio.sleep(0.01)
        if node.name in down:
            raise ConnectionFailed("down")
        mirror = node.mirror_of(of)
        try:
            witnessed = mirror.witness(request.old_size, request.proof, request.checkpoint, NOW_S)
            entries = entries_of(log)[mirror.size : read_unverified(request.checkpoint).size]
            return Cosigned(encode_signature_lines((witnessed, mirror.extend(entries, request.checkpoint, NOW_S))))
        except StandsElsewhere as error:
            return Conflict(error.size, error.checkpoint)
        except LogRefused:
            return Rejected("refused", "refused")

    return submit


async def live(folder, steps):
    with ExitStack() as stack:
        nodes, policy = nodes_in(folder, stack)
        log, down = nodes[0].new_log(), set()
        others = [
            OtherNode(node.name, (node.member.witness, node.member.validator), answering(node, nodes[0], log, down))
            for node in nodes[1:]
        ]
        cosigned = CosignedLog(log, policy, (nodes[0].witness, nodes[0].validator), others, SUITE, fresh=True)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(cosigned.run)
            taken = 0
            for entries, silent, restarted in steps:
                down.clear()
                down.update(silent)
                if restarted is not None:
                    nodes[restarted].mirror_of(nodes[0], reopen=True)
                index = log.append([grant_request(taken + number) for number in range(1, entries + 1)], NOW_S)[-1]
                taken += entries
                cosigned.appended()
                note = await cosigned.checkpoint_over(index, FINAL_WITHIN_S)
                assert policy.finality(note, SUITE).final
                assert read_unverified(note).size > index
            nursery.cancel_scope.cancel()


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(1, 5), st.sampled_from([(), ("b",), ("c",), ("d",)]), st.sampled_from([None, None, 1, 2, 3])
        ),
        min_size=1,
        max_size=5,
    )
)
def test_an_honest_log_becomes_final_whichever_one_node_is_down(steps):
    with tempfile.TemporaryDirectory() as folder:
        trio.run(live, Path(folder), steps, clock=trio.testing.MockClock(autojump_threshold=0))


# A log that shows two histories


class Fork:
    """Both histories of one log, at every size: they part at entry `parting`."""

    def __init__(self, node, parting, size):
        self.notes = {}
        self.entries = {}
        self.proofs = {}
        for side in (0, 1):
            log = node.new_log()
            for number in range(size):
                log.append([grant_request(number + 1 + (100 if side and number >= parting else 0))], NOW_S)
                self.notes[side, number + 1] = log.checkpoint()
            self.entries[side] = entries_of(log)
            for old in range(1, size + 1):
                for new in range(old, size + 1):
                    self.proofs[side, old, new] = log.consistency_proof(old, new)

    def show(self, mirror, side, size):
        """Submits one checkpoint as well as it can be; returns whether the validator signed it."""
        note = self.notes[side, size]
        for _ in range(2):
            stands_at = getattr(self, "guess", 0)
            proof = self.proofs.get((side, stands_at, size), ())
            try:
                mirror.witness(stands_at, proof, note, NOW_S)
                mirror.extend(self.entries[side][mirror.size : size], note, NOW_S)
            except StandsElsewhere as error:
                self.guess = error.size
            except LogRefused:
                return False
            except RemoteProtocolError:
                try:
                    mirror.refuse_if_forked(self.entries[side][:size], note)
                except LogRefused:
                    return False
            else:
                return True
        return False


SIZE = 5


@settings(max_examples=30, deadline=None)
@given(
    st.integers(0, SIZE - 1),
    st.lists(
        st.tuples(st.integers(1, 3), st.integers(0, 1), st.integers(1, SIZE), st.booleans()), min_size=6, max_size=24
    ),
)
def test_no_two_histories_of_one_log_both_become_final(parting, shown):
    """The log's node lies as it likes, and its own validator signs everything: one liar of four."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        nodes, policy = nodes_in(Path(folder), stack)
        fork = Fork(nodes[0], parting, SIZE)
        signed = {key: {"a/validator"} for key in fork.notes}
        for number, side, size, restart in shown:
            node = nodes[number]
            if fork.show(node.mirror_of(nodes[0], reopen=restart), side, size):
                signed[side, size].add(f"{node.name}/validator")
        final = [key for key, names in signed.items() if policy.judge(names).final]
        beyond = {side for side, size in final if size > parting}
        assert len(beyond) <= 1
        # What was signed is what was mirrored: one text for each size up to where the histories part.
        assert all(
            parse_note(fork.notes[0, n]).text == parse_note(fork.notes[1, n]).text for n in range(1, parting + 1)
        )
