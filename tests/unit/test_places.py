"""Which host has which place in a conversation: one place a host, whatever happened in earlier turns."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from peernet.client.client import ChatSession
from peernet.node.config import ClientConfig
from privacy.mention import Mention


def bind(places: dict[int, str], hosts: str, slots: int) -> dict[int, str]:
    session = ChatSession(cast("Any", SimpleNamespace(config=ClientConfig())), cast("Any", None))
    session._places = dict(places)
    made = SimpleNamespace(fragments=[SimpleNamespace(slot=slot) for slot in range(slots)])
    bound = session._bind_places(cast("Any", made), cast("Any", [SimpleNamespace(peer=peer) for peer in hosts]))
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
