"""Cards: what a dashboard shows of each part of the service, from the modules that have them.

```
async def _balance(visit: Visit) -> Mapping[str, object]:
    return {"balance": await visit.read(partial(balance_of, account_id=visit.account_id))}

CARDS = (Card("Credits", "money/balance_card.html", _balance),)
```

A template of a card is what stands between `<section class="card">` and its end, below the heading; it has `visit` and
what its function gave. `bootstrap.portal.dashboards` has the list.
"""

from collections.abc import Awaitable, Callable, Mapping

from attrs import frozen

from bootstrap.portal.visit import Visit

__all__ = ["Card", "ShownCard", "shown_cards"]


@frozen
class Card:
    """One of them."""

    name: str
    """Its heading."""
    template: str
    values: Callable[[Visit], Awaitable[Mapping[str, object]]]
    roles: frozenset[str] = frozenset()
    """Any of these is enough to see it; nobody needs one where it is empty."""
    wide: bool = False
    """Whether it stands in a row of its own, for charts and tables."""


@frozen
class ShownCard:
    """A card with what it shows, for a template."""

    card: Card
    values: Mapping[str, object]


async def shown_cards(visit: Visit, cards: tuple[Card, ...]) -> list[ShownCard]:
    """Those that are for this visitor, in order."""
    mine = [card for card in cards if not card.roles or card.roles & visit.visitor.roles]
    return [ShownCard(card, await card.values(visit)) for card in mine]
