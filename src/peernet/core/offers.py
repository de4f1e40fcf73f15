"""Asking a host for its offers: `/peernet/offers/1`, one request and one reply."""

from typing import Final

from attrs import frozen

from peernet.core.wire import MessageSet

__all__ = ["OFFERS_PROTOCOL", "GetOffers", "OfferMessages", "Offers"]

OFFERS_PROTOCOL: Final = "/peernet/offers/1"


@frozen
class GetOffers:
    """What do you serve?"""


@frozen
class Offers:
    """Signed `HostOffer` records, one a model."""

    records: tuple[bytes, ...]


OfferMessages: Final = MessageSet({1: GetOffers, 2: Offers})
