"""The relay's end of a live lookup: it searches the DHT for whoever asks over a ring.

It knows the guard that the ring came through and what is asked, and not who asks. Rules:

1. At most `MAX_QUESTIONS` a ring, `AT_ONCE` lookups at a time, and `A_MINUTE` over all rings; more are declined.
2. An answer takes `LOOKUP_TIME_S` at most: it is what was found by then.
3. Records go back as they were signed, and nothing else does.
"""

import random
from collections import Counter
from collections.abc import Callable
from typing import Final

import trio

from peernet.core.dht.records import OFFER, PEER, PROVIDER, VerifiedRecord, offer_key, provider_key
from peernet.core.errors import RemoteProtocolError
from peernet.core.lookups import (
    LOOKUP_SERVICE,
    MAX_FOUND,
    MAX_QUESTIONS,
    Declined,
    FindHosts,
    FindPeers,
    Found,
    LookupMessages,
)
from peernet.net.rings import RingChannel, RingFailed, RingService
from peernet.node.discovery import Discovery

__all__ = ["LookupService"]

AT_ONCE: Final = 8
A_MINUTE: Final = 240
PERIOD_S: Final = 60.0
LOOKUP_TIME_S: Final = 4.0
QUESTION_TIMEOUT_S: Final = 10.0
MAX_HOSTS: Final = MAX_FOUND // 2
"""Each is a peer record and an offer."""


class LookupService:
    """Answers the questions of rings that end here.

    Args:
        rings: the node's part in rings.
        discovery: its part in the DHT.
        own_record: its current signed peer record, which is news to some who ask.
    """

    def __init__(self, rings: RingService, discovery: Discovery, own_record: Callable[[], bytes]) -> None:
        self._discovery = discovery
        self._own_record = own_record
        self._random = random.SystemRandom()
        self._under_way = 0
        self._left = A_MINUTE
        self._period_ends = float("-inf")
        self.counters: Counter[str] = Counter()
        rings.serve(LOOKUP_SERVICE, self._serve)

    async def _serve(self, ring: RingChannel) -> None:
        for _ in range(MAX_QUESTIONS):
            with trio.move_on_after(QUESTION_TIMEOUT_S) as waiting:
                message = await ring.receive()
            if waiting.cancelled_caught or message is None:
                return
            question = LookupMessages.decode(message)
            if not isinstance(question, FindPeers | FindHosts):
                raise RemoteProtocolError("a question was due", reason="bad_message")
            try:
                await ring.send(LookupMessages.encode(await self._answer(question)))
            except RingFailed:
                self.counters["gone"] += 1
                return

    async def _answer(self, question: FindPeers | FindHosts) -> Found | Declined:
        if not self._admit():
            self.counters["declined"] += 1
            return Declined()
        self._under_way += 1
        try:
            if isinstance(question, FindPeers):
                found = await self._find_peers(question.target)
            else:
                found = await self._find_hosts(question.model)
        finally:
            self._under_way -= 1
        self.counters["answered"] += 1
        return Found(tuple(dict.fromkeys(found))[:MAX_FOUND])

    def _admit(self) -> bool:
        """Whether one more lookup is within the bounds; it is counted then."""
        now = trio.current_time()
        if now >= self._period_ends:
            self._left, self._period_ends = A_MINUTE, now + PERIOD_S
        if self._under_way >= AT_ONCE or not self._left:
            return False
        self._left -= 1
        return True

    async def _find_peers(self, target: bytes) -> list[bytes]:
        result = await self._discovery.find_values(PEER, target, within_s=LOOKUP_TIME_S)
        # What others hold of the peer itself may be newer than where it was last seen; then who answered just now.
        held = [value.signed for value in result.values]
        return [self._own_record(), *held, *(contact.record for contact in result.closest)]

    async def _find_hosts(self, model: str) -> list[bytes]:
        ends_at = trio.current_time() + LOOKUP_TIME_S
        found: list[bytes] = []
        result = await self._discovery.find_values(PROVIDER, provider_key(model), within_s=LOOKUP_TIME_S / 2)
        providers = self._random.sample(result.values, min(MAX_HOSTS, len(result.values)))

        async def look_up(provider: VerifiedRecord) -> None:
            left_s = ends_at - trio.current_time()
            peers = await self._discovery.find_values(PEER, provider.owner, within_s=left_s / 2)
            # Only hosts that have answered just now: who is gone leaves records behind for an hour.
            records = [contact.record for contact in peers.closest if contact.id == provider.owner]
            if records:
                key = offer_key(provider.body.public_key, model)
                offers = await self._discovery.find_values(OFFER, key, within_s=left_s / 2)
                found.extend((*records, *(offer.signed for offer in offers.values)))

        async with trio.open_nursery() as nursery:
            for provider in providers:
                nursery.start_soon(look_up, provider)
        return found
