"""Which host has which place in a conversation: one place a host, whatever happened in earlier turns.

Hosts that share a circuit relay have places in one request only where there are no others.
"""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from peernet.client.client import ChatSession
from peernet.core.ring.paths import PathPeer
from peernet.node.config import ClientConfig
from privacy.mention import Mention


def bind(
    places: dict[int, str], hosts: str, slots: int, behind: dict[str, str] | None = None, strangers: str = ""
) -> dict[int, str]:
    """Binds hosts that are named by letters; `behind` has the circuit relays of some, named so too."""

    def path_peer(host: Any) -> PathPeer:
        carriers = (behind or {}).get(host.peer, "")
        return PathPeer(
            host.peer, host.peer.encode(), frozenset(), tuple(PathPeer(c, c.encode(), frozenset()) for c in carriers)
        )

    client = SimpleNamespace(config=ClientConfig(), network=SimpleNamespace(path_peer=path_peer))
    session = ChatSession(cast("Any", client), cast("Any", None))
    session._places = dict(places)
    made = SimpleNamespace(fragments=[SimpleNamespace(slot=slot) for slot in range(slots)])
    here = [SimpleNamespace(peer=peer, listing=SimpleNamespace(vouched=peer not in strangers)) for peer in hosts]
    bound = session._bind_places(cast("Any", made), cast("Any", here))
    assert session._places | {slot: host.peer for slot, host in bound.items()} == session._places
    return {slot: host.peer for slot, host in bound.items()}


@pytest.mark.parametrize(("style", "is_tag"), [("tag", True), ("surrogate", False)])
def test_a_conversation_has_the_style_that_its_client_is_set_to(style: str, is_tag: bool) -> None:
    client = SimpleNamespace(config=ClientConfig(pseudonyms=style))
    session = ChatSession(cast("Any", client), cast("Any", None))
    masked = session._vault.view("host").mask("Ann Lee", [Mention(0, 7, "PERSON", 1.0, "test")])
    assert masked.text.startswith("PERSON_") is is_tag
    assert "Ann" not in masked.text


def test_a_place_stays_with_its_host() -> None:
    assert bind({0: "C", 1: "A", 2: "B"}, "ABC", 3) == {0: "C", 1: "A", 2: "B"}


def test_a_host_that_is_gone_is_replaced_by_one_without_a_place() -> None:
    assert bind({0: "X", 1: "A"}, "ABC", 2)[1] == "A"
    assert bind({0: "X", 1: "A"}, "ABC", 2)[0] in {"B", "C"}


@pytest.mark.parametrize("hosts", ["ABC", "CBA", "BACD"])
def test_a_standby_that_took_over_does_not_keep_two_places(hosts: str) -> None:
    """The plan counts shares a slot: two slots with one host would let it see more than the policy allows."""
    bound = bind({0: "A", 1: "A", 2: "B"}, hosts, 3)
    assert bound[0] == "A"
    assert len(set(bound.values())) == 3


def test_where_all_hosts_have_places_they_are_still_distinct() -> None:
    assert sorted(bind({0: "A", 5: "B"}, "AB", 2).values()) == ["A", "B"]


def test_hosts_behind_one_circuit_relay_serve_no_request_together_where_there_are_others() -> None:
    assert bind({}, "ABC", 2, {"A": "x", "B": "x"}) == {0: "A", 1: "C"}
    assert bind({}, "ABCD", 2, {"A": "xy", "B": "x", "C": "y", "D": "y"}) == {0: "B", 1: "C"}


def test_a_host_that_has_a_place_counts_too() -> None:
    assert bind({0: "B"}, "ABC", 2, {"A": "x", "B": "x"}) == {0: "B", 1: "C"}


def test_where_there_are_no_others_they_do() -> None:
    assert bind({}, "AB", 2, {"A": "x", "B": "x"}) == {0: "A", 1: "B"}


def test_no_stranger_is_asked_for_it() -> None:
    """Whoever can say that a host is there could otherwise get a part by calling it apart."""
    assert bind({}, "ABC", 2, {"A": "x", "B": "x"}, strangers="C") == {0: "A", 1: "B"}


def test_a_circuit_relay_that_is_a_host_itself_is_apart_from_whom_it_carries() -> None:
    assert bind({}, "ABC", 2, {"B": "A"}) == {0: "A", 1: "C"}
