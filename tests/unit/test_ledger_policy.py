"""The policy: what is a file of C2SP tlog-policy, and which cosignatures make a checkpoint final."""

import pytest
from attrs import evolve

from peernet.core.errors import RemoteProtocolError, UserError
from peernet.core.ledger.checkpoint import Checkpoint, sign_checkpoint
from peernet.core.ledger.merkle import EMPTY_ROOT
from peernet.core.ledger.notes import COSIGNER_KEY, LOG_KEY, VerifierKey, parse_note, sign_note
from peernet.core.ledger.policy import PolicyMember, compose_policy, one_log_policy, parse_policy
from peernet.core.suite import MixedSuite
from peernet.node.config import NetworkConfig
from peernet.node.policy import node_of, policy_of

SUITE = MixedSuite()
NODE = "/ip4/127.0.0.1/tcp/1/p2p/12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp"


def seed_of(name):
    return SUITE.hash("SHA256", name.encode())


def key(name, kind=COSIGNER_KEY):
    return VerifierKey(name, kind, SUITE.ed25519_public(seed_of(name)))


def member(name):
    return PolicyMember(key(name, LOG_KEY), key(f"{name}/witness"), key(f"{name}/validator"), f"{NODE}")


def cosigned(origin, *names):
    note = parse_note(sign_checkpoint(Checkpoint(origin, 0, EMPTY_ROOT), seed_of(origin), SUITE))
    for name in names:
        note = note.with_signature(sign_note(note.text, name, seed_of(name), SUITE, timestamp_s=1))
    return note.encode()


FOUR = compose_policy([member(name) for name in "dcba"])

SPECIFICATION = f"""\
# the example of tlog-policy, with tabs and blanks where it allows them
log {key("example.org/log", LOG_KEY).text()}  https://example.org/

\twitness X1 {key("x1").text()}
witness X2 {key("x2").text()} https://x2.example/
witness\tX3\t{key("x3").text()}
group X-witnesses 2 X1 X2 X3
witness Y1 {key("y1").text()}
witness Y2 {key("y2").text()}
group Y-witnesses any Y1 Y2
group X-and-Y all X-witnesses Y-witnesses
  quorum X-and-Y  """


@pytest.mark.parametrize(
    ("names", "final"),
    [("", False), ("X1", False), ("X1 X2", False), ("X1 X2 Y2", True), ("X3 X1 Y1", True), ("X1 Y1 Y2", False)],
)
def test_groups_of_groups_are_judged_as_the_specification_says(names, final):
    assert parse_policy(SPECIFICATION).judge(names.split()).final is final


def test_a_policy_is_written_as_it_is_read():
    policy = parse_policy(SPECIFICATION)
    assert policy.logs[0].url == "https://example.org/"
    assert parse_policy(policy.text()) == policy
    assert parse_policy(FOUR.text()) == FOUR


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no quorum line"),
        ("quorum none\nquorum none", "line 2: there is a quorum line already"),
        ("quorum x", "x is not defined above"),
        ("quorum x\nwitness x {a}", "line 1: x is not defined above"),
        ("witness none {a}\nquorum none", "none is defined already"),
        ("witness x {a}\nwitness x {b}\nquorum x", "line 2: x is defined already"),
        ("witness x {a}\nwitness y {a}\nquorum x", "stands on another line"),
        ("witness x {log}\nquorum x", "of type 0x01, not 0x04"),
        ("log {a}\nquorum none", "of type 0x04, not 0x01"),
        ("log {log}\nlog {log}\nquorum none", "line 2"),
        ("log {a}x\nquorum none", "line 1"),
        ("log\nquorum none", "not as many words"),
        ("log {log} a b\nquorum none", "not as many words"),
        ("witness x {a}\ngroup g 1\nquorum x", "not as many words"),
        ("witness x {a}\ngroup g 2 x\nquorum g", "2 of 1"),
        ("witness x {a}\ngroup g 0 x\nquorum g", "not all, any or a number"),
        ("witness x {a}\ngroup g 01 x\nquorum g", "not all, any or a number"),
        ("witness x {a}\ngroup g some x\nquorum g", "not all, any or a number"),
        ("witness x {a}\ngroup g any x x\nquorum g", "x is a member twice"),
        ("witness x {a}\ngroup g any x\ngroup h any x g\nquorum h", "x is a member twice"),
        ("witness x {a}\ngroup g any g x\nquorum g", "g is not defined above"),
        ("frob x\nquorum none", "line 1: 'frob'"),
        ("quorum none\r\n", "control characters"),
        ("quorum none\n" + "#" * 70_000, "over 65536 bytes"),
    ],
)
def test_what_is_no_policy_is_refused(text, why):
    text = text.format(a=key("a").text(), b=key("b").text(), log=key("log", LOG_KEY).text())
    with pytest.raises(RemoteProtocolError, match=why) as refused:
        parse_policy(text)
    assert refused.value.reason == "bad_policy"


@pytest.mark.parametrize(("nodes", "needed"), [("a", 1), ("ab", 2), ("abc", 3), ("abcd", 3), ("abcdefg", 5)], ids=str)
def test_our_policies_ask_for_two_f_and_one(nodes, needed):
    policy = compose_policy([member(name) for name in nodes])
    names = [f"{name}/validator" for name in nodes]
    assert not policy.judge(names[: needed - 1]).final
    assert policy.judge(names[:needed]).final
    assert {found.log.name for found in policy.members()} == set(nodes)


def test_two_nodes_with_one_key_or_name_make_no_policy():
    other = evolve(member("b"), validator=key("a/validator"))
    with pytest.raises(RemoteProtocolError, match=r"another line|defined already"):
        compose_policy([member("a"), other])


def test_a_checkpoint_is_final_with_three_of_four_validators():
    at_two = FOUR.finality(cosigned("a", "a/validator", "b/validator"), SUITE)
    assert (at_two.final, at_two.describe()) == (False, "not final: 2 of the 3 needed")
    at_three = FOUR.finality(cosigned("a", "a/validator", "b/validator", "d/validator"), SUITE)
    assert (at_three.final, at_three.describe()) == (True, "final (3 of 4)")
    assert at_three.cosigned == ("a/validator", "b/validator", "d/validator")


def test_witnesses_never_count_for_finality():
    names = [f"{name}/witness" for name in "abcd"]
    assert FOUR.finality(cosigned("a", *names, "a/validator", "a/validator"), SUITE).cosigned == ("a/validator",)


def test_cosignatures_without_the_logs_own_count_for_nothing():
    note = parse_note(cosigned("a", "a/validator", "b/validator", "c/validator"))
    with pytest.raises(RemoteProtocolError) as refused:
        FOUR.finality(evolve(note, signatures=note.signatures[1:]).encode(), SUITE)
    assert refused.value.reason == "unsigned"


def test_a_wrong_cosignature_spoils_the_note():
    note = parse_note(cosigned("a", "a/validator", "b/validator", "c/validator"))
    forged = evolve(note.signatures[-1], signature=bytes(72))
    with pytest.raises(RemoteProtocolError) as refused:
        FOUR.finality(evolve(note, signatures=(*note.signatures[:-1], forged)).encode(), SUITE)
    assert refused.value.reason == "bad_signature"


def test_a_log_whose_signature_was_verified_is_enough_only_where_nobody_else_is_asked_for():
    alone = one_log_policy(key("a", LOG_KEY))
    assert alone.finality(cosigned("a"), SUITE, opened_by_log=True) == alone.finality(cosigned("a"), SUITE)
    assert not FOUR.finality(cosigned("a", "a/validator"), SUITE, opened_by_log=True).final
    forged = parse_note(cosigned("a", "a/validator"))
    forged = evolve(forged, signatures=(forged.signatures[0], evolve(forged.signatures[1], signature=bytes(72))))
    with pytest.raises(RemoteProtocolError):
        FOUR.finality(forged.encode(), SUITE, opened_by_log=True)


def test_another_log_is_not_known():
    with pytest.raises(RemoteProtocolError) as refused:
        FOUR.finality(cosigned("e", "a/validator"), SUITE)
    assert refused.value.reason == "unknown_log"


def test_a_key_alone_is_a_policy_of_the_logs_word():
    finality = one_log_policy(key("a", LOG_KEY)).finality(cosigned("a"), SUITE)
    assert finality.final
    assert finality.describe() == "on the log's word alone"


def test_the_configured_policy():
    assert policy_of(NetworkConfig(policy=FOUR.text())) == FOUR
    assert str(node_of(FOUR.logs[0])) == NODE
    alone = policy_of(NetworkConfig(ledger=key("a", LOG_KEY).text(), bootstrap=(NODE,)))
    assert alone == one_log_policy(key("a", LOG_KEY), NODE)
    assert node_of(one_log_policy(key("a", LOG_KEY), "https://a.example/").logs[0]) is None
    for network, why in (
        (NetworkConfig(), "no ledger is configured"),
        (NetworkConfig(policy="frob"), "line 1"),
        (NetworkConfig(policy="quorum none"), "names no log"),
        (NetworkConfig(ledger="x"), "is no verifier key"),
    ):
        with pytest.raises(UserError, match=why):
            policy_of(network)
