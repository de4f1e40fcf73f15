"""Where others see a peer: counted by network, by the newest word, within bounds."""

import pytest

from peernet.core.observed import LEAST_OBSERVERS, OBSERVATION_LIFETIME_S, ObservedIps

ONE, TWO, SIX = "203.0.113.7", "203.0.113.8", "2001:db8::7"


def observed(*said: tuple[str, str], at_s: float = 0.0) -> ObservedIps:
    """What the networks, of the second words, have said."""
    ips = ObservedIps()
    for ip, prefix in said:
        ips.record(ip, prefix, at_s)
    return ips


def test_one_network_is_not_enough_however_often_it_says_it():
    assert LEAST_OBSERVERS == 2
    assert observed((ONE, "a"), (ONE, "a"), (ONE, "a")).agreed(0.0) == ()
    assert observed((ONE, "a"), (ONE, "b")).agreed(0.0) == (ONE,)


def test_of_each_ip_version_the_one_that_most_name_counts():
    ips = observed((TWO, "a"), (TWO, "b"), (ONE, "c"), (ONE, "d"), (ONE, "e"), (SIX, "f"), (SIX, "g"))
    assert set(ips.agreed(0.0)) == {ONE, SIX}


def test_an_ipv4_address_in_an_ipv6_one_is_that_address():
    assert observed((ONE, "a"), (f"::ffff:{ONE}", "b")).agreed(0.0) == (ONE,)


def test_a_voice_grows_old_and_its_newest_word_counts():
    ips = observed((ONE, "a"), (ONE, "b"))
    assert ips.agreed(OBSERVATION_LIFETIME_S - 1) == (ONE,)
    assert ips.agreed(OBSERVATION_LIFETIME_S) == ()
    for prefix in ("a", "b"):
        ips.record(TWO, prefix, 10.0)
    assert ips.agreed(10.0) == (TWO,)


def test_a_round_outweighs_what_was_so_before_the_address_changed_and_what_is_remembered_is_bounded():
    ips = observed(*((ONE, f"network {number}") for number in range(1000)))
    assert len(ips._seen) == 8
    for number in range(5):
        ips.record(TWO, f"another {number}", 1.0)
    assert ips.agreed(1.0)[0] == TWO


def test_what_is_no_ip_address_is_refused():
    with pytest.raises(ValueError, match="host"):
        ObservedIps().record("host", "a", 0.0)
