"""The receipt's counting, from what was sent."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from peernet.client.receipt import Sent, host_exposures, share_seen, totals_of
from peernet.core.serving import Turn
from privacy.exposure import Mode

ORIGINAL = "Thank the person who mended Harriet's boat"


def sent(host: str, text: str, hidden: tuple[str, ...] | None, ordinal: int = 0) -> Sent:
    view = SimpleNamespace(hidden_words=hidden, masked_in=lambda _: [], identities_in_clear=lambda _: [])
    attempt = SimpleNamespace(
        fragment=SimpleNamespace(ordinal=ordinal),
        host=SimpleNamespace(peer=host, offer=SimpleNamespace(region="")),
        view=view,
        turns=(Turn("user", text),),
        prefix=None,
    )
    return Sent(cast("Any", attempt), standby=False)


def test_each_hosts_own_placeholders_are_no_words_that_were_given() -> None:
    """Of five words, three were given; a tag and a borrowed name are not the two others."""
    tag, surrogate = sent("one", "Thank PERSON_K7's boat", None), sent("two", "Who mended Person's", ("Person",))
    assert share_seen(ORIGINAL, [tag]) == 2 / 5
    assert share_seen(ORIGINAL, [surrogate]) == 1 / 5
    assert totals_of(ORIGINAL, [tag, surrogate], {}).share_of_words == 3 / 5


@pytest.mark.parametrize("mode", ["tasks", "shards"])
def test_a_host_that_was_sent_every_fragment_had_the_whole(mode: Mode) -> None:
    """One after the other, since it came in for others: how the request was divided is then no comfort."""
    all_of_it = [sent("one", "Thank the person", None, 0), sent("one", "who mended Harriet's boat", None, 1)]
    other = sent("two", "who mended Harriet's boat", None, 1)
    exposures = host_exposures(ORIGINAL, [*all_of_it, other], 2, mode)
    assert [(exposure.host, exposure.mode) for exposure in exposures] == [("one", "whole"), ("two", mode)]
