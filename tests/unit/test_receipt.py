"""The receipt's counting, from what was sent."""

from types import SimpleNamespace
from typing import Any, cast

from peernet.client.receipt import Sent, share_seen, totals_of
from peernet.core.serving import Turn

ORIGINAL = "Thank the person who mended Harriet's boat"


def sent(host: str, text: str, hidden: tuple[str, ...] | None) -> Sent:
    view = SimpleNamespace(hidden_words=hidden, masked_in=lambda _: [], identities_in_clear=lambda _: [])
    attempt = SimpleNamespace(host=SimpleNamespace(peer=host), view=view, turns=(Turn("user", text),), prefix=None)
    return Sent(cast("Any", attempt), standby=False)


def test_each_hosts_own_placeholders_are_no_words_that_were_given() -> None:
    """Of five words, three were given; a tag and a borrowed name are not the two others."""
    tag, surrogate = sent("one", "Thank PERSON_K7's boat", None), sent("two", "Who mended Person's", ("Person",))
    assert share_seen(ORIGINAL, [tag]) == 2 / 5
    assert share_seen(ORIGINAL, [surrogate]) == 1 / 5
    assert totals_of(ORIGINAL, [tag, surrogate], {}).share_of_words == 3 / 5
