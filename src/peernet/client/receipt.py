"""The exposure receipt of one request, counted from what was sent (promise P3).

Rules:

1. What a host was sent it has seen, from the moment it left: failed attempts count, and so does the beginning of an
   answer that a standby was given to go on from. A host's earlier turns count as well: it has them in front of it.
2. One host has one view. Over all hosts, each is counted with its own placeholders left out, and what two hosts were
   given is given once.
3. Circuit relays of hosts see who calls these, and when: where they could put two parts together, it is said.
4. Every relay of every ring that was planned is named, whether its ring came to stand or not.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import permutations

from attrs import field, frozen

from peernet.client.fragment import Attempt
from privacy.exposure import (
    ExposureTotals,
    HostExposure,
    Mode,
    RelayUse,
    share,
    share_of_sentences,
    without_placeholders,
)
from privacy.pseudonyms import Identity, by_label

__all__ = ["Sent", "carried_together", "host_exposures", "relay_uses", "share_seen", "totals_of"]


@frozen
class Sent:
    """An attempt in which a fragment left for its host."""

    attempt: Attempt
    standby: bool
    """Whether its host came in for another one: what it goes on from is then news to it."""


@frozen
class _Sight:
    """What one host was sent of a request."""

    sent: tuple[Sent, ...]
    texts: tuple[str, ...] = field(repr=False)

    @classmethod
    def of(cls, sent: Sequence[Sent]) -> "_Sight":
        texts = [turn.content for each in sent for turn in each.attempt.turns if turn.role != "system"]
        texts += [each.attempt.prefix for each in sent if each.standby and each.attempt.prefix]
        return cls(tuple(sent), tuple(texts))

    def share_of(self, original: str) -> float:
        return share(original, self.texts, self.sent[0].attempt.view.hidden_words)

    def exposure(self, original: str, fragments: int, mode: Mode) -> HostExposure:
        attempts = [each.attempt for each in self.sent]
        host, view = attempts[0].host, attempts[0].view
        ordinals = tuple(sorted({attempt.fragment.ordinal for attempt in attempts}))
        came_in = [each.attempt for each in self.sent if each.standby]
        return HostExposure(
            host=host.peer,
            region=host.offer.region,
            fragments=ordinals,
            mode="whole" if len(ordinals) == fragments else mode,
            share_of_words=self.share_of(original),
            share_of_sentences=share_of_sentences(original, self.texts, view.hidden_words),
            identifiers_in_clear=by_label(self.in_clear()),
            identifiers_masked=by_label(self.masked()),
            retries=len(self.sent) - len(ordinals),
            standby=bool(came_in),
            continued=tuple(sorted({attempt.fragment.ordinal for attempt in came_in if attempt.prefix})),
        )

    def in_clear(self) -> list[Identity]:
        return self.sent[0].attempt.view.identities_in_clear(self.texts)

    def masked(self) -> list[Identity]:
        return self.sent[0].attempt.view.masked_in(self.texts)

    def words(self) -> list[str]:
        """The texts without the placeholders that only this host has."""
        hidden = self.sent[0].attempt.view.hidden_words
        return [without_placeholders(text, hidden) for text in self.texts]


def host_exposures(original: str, sent: Sequence[Sent], fragments: int, mode: Mode) -> tuple[HostExposure, ...]:
    """What each host saw of a request that was divided so, in the order in which they were first sent something."""
    return tuple(sight.exposure(original, fragments, mode) for sight in _sights(sent))


def share_seen(original: str, sent: Sequence[Sent]) -> float:
    """The share of words that one host has been given in all of `sent`, which is to it alone."""
    return _Sight.of(sent).share_of(original)


def totals_of(original: str, sent: Sequence[Sent], found: Mapping[str, int]) -> ExposureTotals:
    """What all hosts saw together; `found` is how many identifiers there were, by label."""
    sights = _sights(sent)
    texts = [text for sight in sights for text in sight.words()]
    return ExposureTotals(
        share_of_words=share(original, texts, ()),
        share_of_sentences=share_of_sentences(original, texts, ()),
        identifiers_found=found,
        identifiers_in_clear=by_label(identity for sight in sights for identity in sight.in_clear()),
        identifiers_masked=by_label(identity for sight in sights for identity in sight.masked()),
    )


def relay_uses(attempts: Iterable[Attempt], region_of: Callable[[str], str]) -> tuple[RelayUse, ...]:
    """The relays of all rings, the guards first, each with the fragments that it carried."""
    guards: dict[str, set[int]] = {}
    middles: dict[str, set[int]] = {}
    for attempt in attempts:
        for arc in (attempt.path.out, attempt.path.back):
            for place, relay in enumerate(arc):
                (middles if place else guards).setdefault(relay.peer, set()).add(attempt.fragment.ordinal)
    return (
        *(RelayUse(peer, region_of(peer), "guard", tuple(sorted(guards[peer]))) for peer in sorted(guards)),
        *(RelayUse(peer, region_of(peer), "middle", tuple(sorted(middles[peer]))) for peer in sorted(middles)),
    )


def carried_together(attempts: Sequence[Attempt]) -> tuple[str, ...]:
    """What the user is told where circuit relays could put parts of a request together, in fixed sentences."""
    notices = []
    pairs = [(one, other) for one, other in permutations(attempts, 2) if one.fragment != other.fragment]
    ends = [(one.path.endpoint, other.path.endpoint) for one, other in pairs]
    if any(one.peer != other.peer and one.is_carried_beside(other) for one, other in ends):
        notices.append(
            "Two hosts of this request are reached through one circuit relay, or through relays in one hand, which see"
            " that both are called at that time, and none of your words."
        )
    if any(
        one.path.endpoint.is_carried_beside(relay)
        for one, other in pairs
        for relay in (*other.path.out[1:], *other.path.back[1:])
    ):
        notices.append(
            "A relay of one part of this request is in one hand with a circuit relay of another part's host: it sees"
            " that both parts are on their way at that time, and none of your words."
        )
    return tuple(notices)


def _sights(sent: Sequence[Sent]) -> list[_Sight]:
    by_host: dict[str, list[Sent]] = {}
    for each in sent:
        by_host.setdefault(each.attempt.host.peer, []).append(each)
    return [_Sight.of(of_host) for of_host in by_host.values()]
