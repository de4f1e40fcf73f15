"""Gating: who is allowed and denied, by peer id and by network."""

import pytest

from peernet.core.errors import UserError
from peernet.core.identity import Keypair
from peernet.core.suite import MixedSuite
from peernet.net.gating import AllowDeny

SUITE = MixedSuite()
ONE = Keypair.from_seed(bytes(31) + b"1", SUITE).peer_id
TWO = Keypair.from_seed(bytes(31) + b"2", SUITE).peer_id


def test_an_empty_gate_lets_everybody_pass():
    gate = AllowDeny.parse([], [])
    assert gate.may_accept("203.0.113.7")
    assert gate.may_accept(None)
    assert gate.may_dial(ONE, "203.0.113.7")
    assert gate.may_stay(ONE, None)


def test_who_is_denied_is_denied_by_peer_or_network_even_if_allowed():
    gate = AllowDeny.parse([str(ONE), "203.0.113.0/24"], [str(ONE), "203.0.113.64/26", "2001:db8::/32"])
    assert not gate.may_stay(ONE, "203.0.113.1")
    assert not gate.may_accept("203.0.113.65")
    assert not gate.may_dial(TWO, "203.0.113.65")
    assert not gate.may_accept("2001:db8:1::1")
    assert gate.may_accept("203.0.113.1")
    assert gate.may_stay(TWO, "203.0.113.1")


def test_with_a_list_of_the_allowed_nobody_else_passes():
    gate = AllowDeny.parse(["203.0.113.0/24"], [])
    assert gate.may_accept("203.0.113.1")
    assert not gate.may_accept("198.51.100.1")
    assert not gate.may_accept(None)
    assert gate.may_dial(ONE, "203.0.113.1")
    assert not gate.may_dial(ONE, "198.51.100.1")


def test_an_allowed_peer_may_come_from_anywhere_and_another_is_found_out_after_its_handshake():
    gate = AllowDeny.parse([str(ONE), "203.0.113.7"], [])
    assert gate.may_accept("198.51.100.1")
    assert gate.may_stay(ONE, "198.51.100.1")
    assert not gate.may_stay(TWO, "198.51.100.1")
    assert gate.may_stay(TWO, "203.0.113.7")
    assert not gate.may_dial(TWO, None)


def test_an_ipv4_address_is_the_same_when_ipv6_wraps_it():
    gate = AllowDeny.parse([], ["203.0.113.0/24"])
    assert not gate.may_accept("::ffff:203.0.113.9")
    assert not gate.may_accept("64:ff9b::203.0.113.9")
    assert gate.may_accept("::ffff:198.51.100.9")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("example.org", "no peer id"),
        ("12D3KooWnonsense", "no peer id"),
        ("203.0.113.7/24", "the network is 203.0.113.0/24"),
        ("", "no peer id"),
    ],
)
def test_what_is_neither_is_named_with_what_it_should_be(text: str, said: str):
    with pytest.raises(UserError, match=f"^deny: .*{said}"):
        AllowDeny.parse([], [text])
