"""What a request does when attempts fail: who is asked next, with what, over which relays, and what is told of it.

Plan, vault, directory and rings are the real ones; what an attempt brings is a script.
"""

import random
from collections.abc import Callable, Sequence
from itertools import zip_longest
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from attrs import define, field

from inference.engine import PREFIX
from peernet.client.events import (
    Answered,
    Event,
    FragmentContinued,
    FragmentFailed,
    FragmentRestarted,
    FragmentSent,
    FragmentText,
    Planned,
)
from peernet.client.fragment import Attempt, AttemptFailed, Exchange, LaneUse, Outcome
from peernet.client.network import NetworkView
from peernet.client.parameters import Sampling
from peernet.client.request import Asked, Request
from peernet.core import serving
from peernet.core.dht.records import HostOffer, PeerRecord
from peernet.core.directory import Directory, Listing
from peernet.core.identity import Keypair
from peernet.core.ring.paths import ProfileUnavailable, TooFewRelays, weaker_profiles
from peernet.core.suite import MixedSuite
from peernet.node.config import ClientConfig, NetworkConfig
from privacy.mention import Mention
from privacy.planning import ChatMessage, ExposurePolicy, Level, plan
from privacy.pseudonyms import Conversation, Style

SUITE = MixedSuite()
BOOTSTRAP = "/ip4/127.1.1.1/tcp/1/p2p/12D3KooWLMXaph7x7hMHYVuS2F7m7qi9w8CAE95SyWbjLqnCyY7X"
MODEL = "scripted"
PROMPT = (
    "1. Write a short thank-you note to Maria Kowalska for the lunch in Lisbon.\n"
    "2. Explain in two sentences why drinking enough water every day is good for your health."
)
MENTIONS = [Mention(PROMPT.index("Maria"), PROMPT.index(" for the"), "PERSON", 1.0, "test")]


def address(number: int, behind: Sequence[int] = ()) -> tuple[str, ...]:
    """Where a peer is reached: directly, or through the relays with these numbers."""
    peers = [Keypair.from_seed(b"request peer %019d" % relay, SUITE).peer_id for relay in behind]
    circuits = [f"{address(relay)[0]}/p2p/{peer}/p2p-circuit" for relay, peer in zip(behind, peers, strict=True)]
    return tuple(circuits) or (f"/ip4/127.{number}.1.1/tcp/9",)


def listing(
    number: int, *roles: str, flags: Sequence[str] = (), region: str = "", behind: Sequence[int] = ()
) -> Listing:
    keys = Keypair.from_seed(b"request peer %019d" % number, SUITE)
    times = (1, 1, 1 << 40)  # it does not expire
    addresses = address(number, behind)
    record = PeerRecord(keys.public_key, *times, addresses, bytes(32), b"operator %d" % number, b"", roles, region)
    offers = ()
    if "host" in roles:
        digests = (bytes(32), bytes(32), "none")
        offers = (
            HostOffer(keys.public_key, *times, MODEL, *digests, 2048, 2, 5, 2, region, ("log",), b"", tuple(flags)),
        )
    return Listing(record, b"", offers)


@define
class World:
    """One request of two fragments, its attempts by a script, and all that happened."""

    request: Request
    network: NetworkView
    events: list[Event] = field(factory=list)
    tried: list[Attempt] = field(factory=list)

    def attempts(self, ordinal: int) -> list[Attempt]:
        return [attempt for attempt in self.tried if attempt.fragment.ordinal == ordinal]

    def of(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]


Script = Callable[[World, Attempt, Outcome], None]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., World]:
    def make(
        script: Script,
        *,
        hosts: Sequence[Sequence[str]] = ((PREFIX,),) * 4,
        relays: int = 12,
        level: Level = Level.STANDARD,
        max_share: float = 0.7,
        seed: int = 1,
        style: Style = "tag",
        client_config: ClientConfig | None = None,
        regions: Sequence[str] = ("", ""),
        behind: Sequence[Sequence[int]] = (),
    ) -> World:
        config = NetworkConfig(test=True, bootstrap=(BOOTSTRAP,))
        network = NetworkView(config, tmp_path / f"guards {seed}.json", clock=lambda: 1)
        network._random = cast("Any", random.Random(seed))
        network.directory = Directory(
            1,
            (
                listing(250, "bootstrap"),
                *(listing(100 + number, "relay", region=regions[0]) for number in range(relays)),
                *(
                    listing(10 + number, "host", flags=flags, region=regions[1], behind=carriers)
                    for number, (flags, carriers) in enumerate(zip_longest(hosts, behind, fillvalue=()))
                ),
            ),
        )
        chosen = network.hosts_of(MODEL, bytes(32), ["log"])
        chosen.sort(key=lambda host: host.listing.record.addresses)
        client = SimpleNamespace(
            network=network,
            config=client_config or ClientConfig(),
            tokenizer=None,
            screener=None,
            ledger=SimpleNamespace(logs=[SimpleNamespace(origin="log")]),
            linger=lambda _: None,
            purse=None,
        )
        policy = ExposurePolicy(level, max_share)
        made = plan([ChatMessage("user", PROMPT)], [MENTIONS], len(chosen), policy)
        vault = Conversation(random.Random(seed), style=style)
        vault.link(PROMPT, MENTIONS)
        events: list[Event] = []
        asked = Asked(PROMPT, MENTIONS, Sampling(), ())
        request = Request(cast("Any", client), cast("Any", None), vault, {}, events.append, asked, made, 0.0)
        found = World(request, network, events)

        async def run(exchange: Exchange, attempt: Attempt, outcome: Outcome, sending: Callable[[], None]) -> None:
            found.tried.append(attempt)
            outcome.answer_as_sent = outcome.kept = attempt.kept
            sending()
            before = outcome.answer
            try:
                script(found, attempt, outcome)
            finally:
                if new := outcome.answer.removeprefix(before):
                    exchange.emit(FragmentText(attempt.fragment.ordinal, new))

        monkeypatch.setattr(Exchange, "run", run)
        random.Random(seed).shuffle(chosen)
        by_flags = sorted(chosen, key=lambda host: host.offer.flags, reverse=True)
        places = {fragment.slot: by_flags[number] for number, fragment in enumerate(made.fragments)}
        request.prepare(places, chosen)
        return found

    return make


def write(attempt: Attempt, outcome: Outcome, text: str, *, shown: str | None = None) -> None:
    """Goes on by `text`, as an attempt does; nothing is held back."""
    outcome.lanes.append(LaneUse(10, 2, 30))
    outcome.answer += text if shown is None else shown
    outcome.answer_as_sent = outcome.kept = attempt.kept + text


def whole(attempt: Attempt, outcome: Outcome) -> None:
    write(attempt, outcome, "and all.")
    outcome.whole = True


def dies_once(text: str) -> Script:
    """The host of the first fragment dies behind `text`; all others answer."""

    def script(world: World, attempt: Attempt, outcome: Outcome) -> None:
        if attempt.fragment.ordinal == 0 and len(world.attempts(0)) == 1:
            write(attempt, outcome, text)
            raise AttemptFailed("the host died", peer=attempt.host.peer)
        whole(attempt, outcome)

    return script


async def test_the_standby_goes_on_in_its_own_words_for_whom_it_is_about(world: Callable[..., World]):
    def script(world: World, attempt: Attempt, outcome: Outcome) -> None:
        if attempt.fragment.ordinal == 0 and len(world.attempts(0)) == 1:
            (name,) = attempt.view.mapping()
            write(attempt, outcome, f"Dear {name}, thank you ", shown="Dear Maria Kowalska, thank you ")
            raise AttemptFailed("the host died", peer=attempt.host.peer)
        whole(attempt, outcome)

    found = world(script)
    answered = await found.request.run()
    first, second = found.attempts(0)
    (ours,), (theirs,) = second.view.mapping(), first.view.mapping()
    assert second.prefix == f"Dear {ours}, thank you"
    assert ours != theirs
    assert found.of(FragmentContinued) == [
        FragmentContinued(0, first.host.peer, second.host.peer, "the host died", words=5)
    ]
    assert found.of(FragmentRestarted) == []
    assert "Dear Maria Kowalska, thank you and all." in answered.text
    report = answered.fragments[0]
    assert (report.restarts, report.continuations, report.failure) == (0, 1, None)
    assert (report.prompt_tokens, report.answer_tokens, report.amount_microcredits) == (20, 4, 60)
    seen = {host.host: host for host in answered.exposure.hosts}
    assert (seen[second.host.peer].standby, seen[second.host.peer].continued) == (True, (0,))
    assert (seen[first.host.peer].standby, seen[first.host.peer].continued) == (False, ())
    assert seen[second.host.peer].identifiers_masked == {"PERSON": 1}


async def test_surrogates_are_counted_as_masked_and_handed_over_as_such(world: Callable[..., World]):
    def script(world: World, attempt: Attempt, outcome: Outcome) -> None:
        if attempt.fragment.ordinal == 0 and len(world.attempts(0)) == 1:
            write(attempt, outcome, f"Dear {given_name(attempt)}, thank you ", shown="Dear Maria, thank you ")
            raise AttemptFailed("the host died", peer=attempt.host.peer)
        whole(attempt, outcome)

    def given_name(attempt: Attempt) -> str:
        return next(name for name, original in attempt.view.mapping().items() if original == "Maria")

    found = world(script, style="surrogate")
    answered = await found.request.run()
    first, second = found.attempts(0)
    assert second.prefix == f"Dear {given_name(second)}, thank you"
    assert given_name(first) != given_name(second)
    assert "Maria" not in first.text_sent + second.text_sent
    assert "PERSON" not in first.text_sent + second.text_sent
    seen = {host.host: host for host in answered.exposure.hosts}
    for attempt in (first, second):
        exposed = seen[attempt.host.peer]
        assert (exposed.identifiers_masked, exposed.identities_seen) == ({"PERSON": 1}, 0)
    (planned,) = found.of(Planned)
    assert given_name(first) in planned.fragments[0].surrogates
    assert given_name(first) not in repr(planned)


async def test_what_a_standby_was_told_of_the_answer_counts_as_seen(world: Callable[..., World]):
    """The first host's answer speaks of the other fragment: who goes on from it has seen that, too."""
    shares = []
    for text in ("Thank you", "Drinking enough water every day is good for your health"):
        answered = await world(dies_once(text)).request.run()
        (standby,) = [host for host in answered.exposure.hosts if host.standby]
        shares.append(standby.share_of_words)
        assert answered.fragments[0].share == standby.share_of_words
    assert shares[1] > shares[0] + 0.2


@pytest.mark.parametrize("seed", range(8))
async def test_among_equals_one_that_can_go_on_is_asked(world: Callable[..., World], seed: int):
    found = world(dies_once("Thank you"), hosts=((PREFIX,), (PREFIX,), (), (), (PREFIX,)), seed=seed)
    await found.request.run()
    assert found.attempts(0)[1].prefix == "Thank you"
    assert len(found.of(FragmentContinued)) == 1


@pytest.mark.parametrize("seed", range(4))
async def test_a_host_that_has_seen_nothing_comes_before_one_that_can_go_on(world: Callable[..., World], seed: int):
    found = world(dies_once("Thank you"), hosts=((PREFIX,), (PREFIX,), ()), seed=seed)
    answered = await found.request.run()
    second = found.attempts(0)[1]
    assert (second.host.offer.flags, second.prefix, second.kept) == ((), None, "")
    assert len(found.of(FragmentRestarted)) == 1
    assert "Thank you" not in answered.text
    assert (answered.fragments[0].restarts, answered.fragments[0].continuations) == (1, 0)
    # What was void was paid for all the same.
    assert answered.fragments[0].amount_microcredits == 60


async def test_under_strict_an_answer_that_tells_too_much_is_not_handed_on(world: Callable[..., World]):
    telling = "Drinking enough water every day is good for your health, in two sentences: explain"
    for level, kept in ((Level.STRICT, ""), (Level.STANDARD, telling)):
        found = world(dies_once(telling), level=level)
        await found.request.run()
        assert found.attempts(0)[1].kept == kept


@pytest.mark.parametrize("text", ["", " ", "\n"])
async def test_with_nothing_shown_it_starts_anew(world: Callable[..., World], text: str):
    found = world(dies_once(text))
    await found.request.run()
    assert found.attempts(0)[1].prefix is None
    assert len(found.of(FragmentRestarted)) == 1


async def test_a_broken_ring_costs_no_viewer(world: Callable[..., World]):
    def script(world: World, attempt: Attempt, outcome: Outcome) -> None:
        if attempt.fragment.ordinal == 0 and len(world.attempts(0)) == 1:
            write(attempt, outcome, "Thank you ")
            suspects = frozenset({attempt.path.back[1].peer})
            raise AttemptFailed("a relay died", peer=None, suspects=suspects)
        whole(attempt, outcome)

    found = world(script)
    answered = await found.request.run()
    first, second = found.attempts(0)
    assert second.host == first.host
    assert second.kept == "Thank you "
    assert first.path.back[1] not in (*second.path.out, *second.path.back)
    (host,) = [host for host in answered.exposure.hosts if 0 in host.fragments]
    assert (host.standby, host.retries, host.continued) == (False, 1, ())
    (continued,) = found.of(FragmentContinued)
    assert continued.host == continued.failed_host


async def test_two_standbys_in_a_row_each_go_on(world: Callable[..., World]):
    def script(world: World, attempt: Attempt, outcome: Outcome) -> None:
        number = len(world.attempts(0))
        if attempt.fragment.ordinal == 0 and number < 3:
            write(attempt, outcome, f"part {number} ")
            raise AttemptFailed("the host died", peer=attempt.host.peer)
        whole(attempt, outcome)

    found = world(script)
    answered = await found.request.run()
    assert [attempt.prefix for attempt in found.attempts(0)] == [None, "part 1", "part 1 part 2"]
    assert len({attempt.host.peer for attempt in found.attempts(0)}) == 3
    assert "part 1 part 2 and all." in answered.text
    assert answered.fragments[0].continuations == 2


async def test_a_standby_that_says_nothing_changes_nothing(world: Callable[..., World]):
    def script(world: World, attempt: Attempt, outcome: Outcome) -> None:
        number = len(world.attempts(0))
        if attempt.fragment.ordinal == 0 and number == 1:
            (name,) = attempt.view.mapping()
            write(attempt, outcome, f"Dear {name}, ", shown="Dear Maria Kowalska, ")
        if attempt.fragment.ordinal == 0 and number < 3:
            raise AttemptFailed("the host died", peer=attempt.host.peer)
        whole(attempt, outcome)

    found = world(script)
    answered = await found.request.run()
    for attempt in found.attempts(0)[1:]:
        (name,) = attempt.view.mapping()
        assert attempt.kept == f"Dear {name}, "
    assert "Dear Maria Kowalska, and all." in answered.text


async def test_what_nobody_could_finish_stays_and_is_called_unfinished(world: Callable[..., World]):
    def script(_: World, attempt: Attempt, outcome: Outcome) -> None:
        if attempt.fragment.ordinal == 0:
            write(attempt, outcome, "More ")
            raise AttemptFailed("the host died", peer=attempt.host.peer)
        write(attempt, outcome, "Bad words")
        outcome.drop_text()  # as screening does
        raise AttemptFailed("the answer was withheld", peer=None, final=True)

    found = world(script)
    answered = await found.request.run()
    assert not answered.complete
    assert "More More More …\n\n[This part could not be finished: the host died]" in answered.text
    assert "[This part could not be answered: the answer was withheld]" in answered.text
    assert "Bad" not in answered.text
    assert [fragment.unfinished for fragment in answered.fragments] == [True, False]
    assert len(found.of(FragmentFailed)) == 2
    assert found.request.remember() == {}


@pytest.mark.parametrize("seed", range(10))
async def test_relays_of_failed_attempts_carry_no_other_fragment(world: Callable[..., World], seed: int):
    """Whatever fails, and in whatever order: no relay but a guard carries two fragments of a request."""
    chance = random.Random(seed)

    def script(_: World, attempt: Attempt, outcome: Outcome) -> None:
        write(attempt, outcome, "Some ")
        relay = chance.choice([*attempt.path.out[1:], *attempt.path.back[1:]])
        blamed = attempt.host.peer if chance.random() < 0.5 else None
        raise AttemptFailed("it failed", peer=blamed, suspects=frozenset({relay.peer}))

    found = world(script, hosts=((PREFIX,),) * 8, relays=chance.choice([6, 9, 14]), seed=seed)
    await found.request.run()
    carried = [
        {peer.peer for attempt in found.attempts(n) for peer in (*attempt.path.out[1:], *attempt.path.back[1:])}
        for n in (0, 1)
    ]
    assert all(len(found.attempts(n)) > 1 for n in (0, 1))
    assert all(carried)
    assert not carried[0] & carried[1]


async def test_the_report_is_of_the_last_host(world: Callable[..., World]):
    found = world(dies_once("Thank you"))
    answered: Answered = await found.request.run()
    assert answered.fragments[0].host == found.attempts(0)[1].host.peer
    assert found.request.remember()[0] == answered.fragments[0].host


# --- the receipt -----------------------------------------------------------------------------------------------------


async def test_what_all_saw_together_is_counted_once(world: Callable[..., World]):
    """The first fragment went to two hosts: together they have seen no more of it than one."""
    calm = await world(lambda _, attempt, outcome: whole(attempt, outcome)).request.run()
    failed = await world(dies_once("")).request.run()
    assert len(failed.exposure.hosts) == len(calm.exposure.hosts) + 1
    for answered in (calm, failed):
        totals = answered.exposure.totals
        assert totals is not None
        assert totals.share_of_words == pytest.approx(calm.exposure.totals.share_of_words)
        assert totals.share_of_words < 1.0  # two words of it are a name
        assert totals.identifiers_found == totals.identifiers_masked == {"PERSON": 1}
        assert totals.identifiers_in_clear == {}
    shares = [host.share_of_words for host in calm.exposure.hosts]
    assert calm.exposure.totals.share_of_words == pytest.approx(sum(shares))
    assert (failed.exposure.standbys, failed.exposure.retries) == (1, 0)
    assert calm.exposure.largest_view.share_of_words == calm.exposure.largest_share == max(shares)


async def test_an_identifier_that_leaves_in_clear_is_told_by_its_kind(world: Callable[..., World]):
    found = world(dies_once("I know Maria Kowalska"))
    answered = await found.request.run()
    seen = {host.host: host for host in answered.exposure.hosts}
    first, second = (attempt.host.peer for attempt in found.attempts(0))
    # What a host came up with in clear is in clear for the one that goes on from it.
    assert seen[second].identifiers_in_clear == {"PERSON": 1}
    assert seen[second].identities_seen == 1
    assert seen[first].identifiers_in_clear == {}
    assert answered.exposure.totals.identifiers_in_clear == {"PERSON": 1}


async def test_who_carried_what_is_told_with_the_regions_that_they_claim(world: Callable[..., World]):
    found = world(dies_once("Thank you"), regions=("eu-relays", "eu-hosts"))
    exposure = (await found.request.run()).exposure
    paths = [attempt.path for attempt in found.tried]
    used = {relay.relay: relay for relay in exposure.relays}
    guards = {arc[0].peer for path in paths for arc in (path.out, path.back)}
    assert {peer for peer, relay in used.items() if relay.role == "guard"} == guards == set(exposure.guards)
    for attempt in found.tried:
        for relay in (*attempt.path.out[1:], *attempt.path.back[1:]):
            assert (used[relay.peer].role, used[relay.peer].fragments) == ("middle", (attempt.fragment.ordinal,))
    assert {relay.region for relay in exposure.relays} == {"eu-relays"}
    assert exposure.to_json()["regions_claimed"] == {"hosts": ["eu-hosts"], "relays": ["eu-relays"]}


async def test_each_host_is_told_of_as_its_fragment_leaves(world: Callable[..., World]):
    found = world(dies_once("Drinking enough water every day is good for your health"))
    answered = await found.request.run()
    seen = {host.host: host for host in answered.exposure.hosts}
    last = {event.host: event for event in found.of(FragmentSent)}
    assert {host: event.share for host, event in last.items()} == {
        host: exposure.share_of_words for host, exposure in seen.items()
    }
    assert {host for host, event in last.items() if event.standby} == {
        host for host, exposure in seen.items() if exposure.standby
    }


# --- profiles --------------------------------------------------------------------------------------------------------


async def test_a_network_too_small_for_the_profile_is_refused(world: Callable[..., World]):
    with pytest.raises(TooFewRelays, match=r"profile 'private' needs 6 relays .* 4 can be used: 2 more are missing"):
        world(dies_once(""), relays=4)


async def test_or_the_next_profile_down_is_taken_and_plan_and_receipt_say_so(world: Callable[..., World]):
    found = world(dies_once("Thank you"), relays=4, client_config=ClientConfig(profile_fallback=True))
    answered = await found.request.run()
    (planned,) = found.of(Planned)
    assert (planned.profile, planned.profile_asked) == ("fast", "private")
    (notice,) = planned.notices
    assert notice.startswith(
        "This request goes by profile 'fast', which is weaker than the 'private' asked for: for that one the network "
        "lacks 2 more relays"
    )
    assert "Its guards see your address and your hosts" in notice
    exposure = answered.exposure
    assert (exposure.profile, exposure.profile_asked, exposure.weakened) == ("fast", "private", True)
    assert exposure.notices[0] == notice
    assert (exposure.to_json()["profile"], exposure.to_json()["profile_asked"]) == ("fast", "private")
    # Standbys, too: no ring of this request has a middle.
    assert len(found.attempts(0)) == 2
    assert {len(arc) for attempt in found.tried for arc in (attempt.path.out, attempt.path.back)} == {1}


async def test_where_the_network_is_large_enough_nothing_is_weakened(world: Callable[..., World]):
    found = world(dies_once(""), client_config=ClientConfig(profile_fallback=True))
    answered = await found.request.run()
    assert (answered.exposure.profile, answered.exposure.weakened) == ("private", False)
    assert answered.exposure.notices == found.of(Planned)[0].notices == ()
    assert {len(arc) for attempt in found.tried for arc in (attempt.path.out, attempt.path.back)} == {2}


async def test_a_network_too_small_for_any_profile_is_refused_for_the_one_that_was_asked_for(
    world: Callable[..., World],
):
    with pytest.raises(TooFewRelays, match="profile 'private' needs"):
        world(dies_once(""), relays=0, client_config=ClientConfig(profile_fallback=True))


def test_profiles_are_taken_from_the_strongest_down():
    assert weaker_profiles("paced") == ("private", "fast")
    assert weaker_profiles("private") == ("fast",)
    assert weaker_profiles("fast") == weaker_profiles("unheard of") == ()


PACED = (PREFIX, serving.PACED_FLAG)


async def test_hosts_that_keep_no_cadence_are_refused_for_it_or_the_next_profile_down_is_taken(
    world: Callable[..., World],
):
    with pytest.raises(ProfileUnavailable, match=r"1 of the 2 for this request do not: 1 more host that answers at a"):
        world(dies_once(""), hosts=(PACED, (PREFIX,)), client_config=ClientConfig(profile="paced"))
    config = ClientConfig(profile="paced", profile_fallback=True)
    found = world(dies_once(""), hosts=(PACED, (PREFIX,)), client_config=config)
    (planned,) = found.of(Planned)
    assert (planned.profile, planned.profile_asked) == ("private", "paced")
    assert "lacks 1 more host that answers at a cadence. The sizes and times of its cells show." in planned.notices[0]


async def test_a_standby_in_profile_paced_keeps_the_cadence_too(world: Callable[..., World]):
    config = ClientConfig(profile="paced", paced_start_ms=0)
    hosts = (PACED, PACED, (PREFIX,), PACED)
    for seed in range(4):
        found = world(dies_once("Thank you"), hosts=hosts, client_config=config, seed=seed)
        await found.request.run()
        assert len(found.attempts(0)) == 2
        assert all(serving.PACED_FLAG in attempt.host.offer.flags for attempt in found.tried)
