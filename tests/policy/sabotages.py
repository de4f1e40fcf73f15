"""The sabotages: for each promise that is built, ways to break the code that its test must notice.

`python -m tests.policy.sabotages [NAME ...]` breaks a copy of the tree for each, and runs the test there. A
test that stays green guards nothing, and is a failure; so is a sabotage that no longer fits the code, and one under
which something else breaks than what the test asserts.
"""

import shutil
import sys
import tempfile
from collections.abc import Sequence
from importlib.util import cache_from_source
from pathlib import Path
from typing import Final

from attrs import frozen

from tests.policy.forked_pytest import TIMED_OUT, Run, ended, prepare, started

__all__ = ["SABOTAGES", "Sabotage"]

ROOT: Final = Path(__file__).resolve().parents[2]
COPIED: Final = ("src", "bootstrap", "simulations", "tests", "docs", "README.md", "pyproject.toml")
TIMEOUT_S: Final = 240
AT_ONCE: Final = 2
REASON_LENGTH: Final = 90
_ASSERTED: Final = ("AssertionError", "E       assert", "DID NOT RAISE")
"""What pytest says of a test that failed by what it asserts, and not on its way there."""


@frozen
class Change:
    """One passage of a file, and what stands there instead."""

    path: str
    old: str
    new: str


@frozen
class Sabotage:
    """A way to break a promise."""

    name: str
    promise: int
    about: str
    test: str
    """The test that must turn red: `FILE::NAME` below `tests/policy`."""
    changes: tuple[Change, ...]


SESSION: Final = "src/peernet/client/session.py"
REQUEST: Final = "src/peernet/client/request.py"
NETWORK: Final = "src/peernet/client/network.py"
RECEIPT: Final = "src/peernet/client/receipt.py"
PURGING: Final = "bootstrap/retention/purging.py"
SCREEN: Final = "src/privacy/screening/screen.py"
HOST: Final = "src/peernet/host/service.py"
ENTRIES: Final = "src/peernet/core/ledger/entries.py"
REGISTERING: Final = "bootstrap/hosts/registering.py"
STANDING: Final = "bootstrap/hosts/standing.py"
FORFEITING: Final = "bootstrap/hosts/forfeiting.py"
SUITE: Final = "src/peernet/core/suite.py"
CASHIER: Final = "bootstrap/money/cashier.py"
PURCHASES: Final = "bootstrap/money/purchases.py"
JOURNAL: Final = "bootstrap/money/journal.py"
REFUSED: Final = "partial(_refused, call=call, now_s=now_s))\n            return False"
ACCESS: Final = "bootstrap/portal/access.py"

SABOTAGES: Final = (
    Sabotage(
        "client-does-not-screen",
        1,
        "the client sends what its screening refuses",
        "test_p01_screening.py::test_a_harmful_prompt_is_refused_before_anything_leaves",
        (Change(SESSION, "if not verdict.allowed:", "if False:"),),
    ),
    Sabotage(
        "host-does-not-screen",
        1,
        "the host hands everything to its engine",
        "test_p01_screening.py::test_a_host_screens_what_reaches_it",
        (Change(HOST, "            if not verdict.allowed:", "            if False:"),),
    ),
    Sabotage(
        "answer-is-not-screened",
        1,
        "the client shows whatever a host writes",
        "test_p01_screening.py::test_an_answer_is_screened",
        (Change("src/peernet/client/fragment.py", "        if not verdict.allowed:", "        if False:"),),
    ),
    Sabotage(
        "screening-fails-open",
        1,
        "a classifier that raises is taken for one that found nothing",
        "test_p01_screening.py::test_screening_that_breaks_sends_nothing",
        (
            Change(
                SCREEN,
                '        raise ScreeningFailed(f"screening failed',
                '        return Verdict(allowed=True)\n        raise ScreeningFailed(f"screening failed',
            ),
        ),
    ),
    Sabotage(
        "screening-times-out-open",
        1,
        "a classifier that hangs is taken for one that found nothing",
        "test_p01_screening.py::test_screening_that_hangs_sends_nothing",
        (Change(SCREEN, "        raise self._late()\n\n    def", "        return Verdict(allowed=True)\n\n    def"),),
    ),
    Sabotage(
        "nothing-is-masked",
        2,
        "fragments travel with the originals in them",
        "test_p02_anonymisation.py::test_no_identifier_leaves_the_client",
        (
            Change(
                REQUEST,
                "view.mask(fragment.prompt.text, fragment.prompt.mentions)",
                "view.mask(fragment.prompt.text, ())",
            ),
        ),
    ),
    Sabotage(
        "detection-fails-open",
        2,
        "a detector that raises is taken for one that found nothing",
        "test_p02_anonymisation.py::test_detection_that_raises_sends_nothing",
        (
            Change(
                SESSION,
                "        return await self._in_time(partial(self._client.detector.detect_all, texts))",
                "        try:\n"
                "            return await self._in_time(partial(self._client.detector.detect_all, texts))\n"
                "        except DetectionFailed:\n"
                "            return [[] for _ in texts]",
            ),
        ),
    ),
    Sabotage(
        "detection-times-out-open",
        2,
        "a detector that hangs is taken for one that found nothing",
        "test_p02_anonymisation.py::test_detection_that_hangs_sends_nothing",
        (
            Change(
                SESSION,
                '        raise DetectionFailed(f"looking',
                '        return [[]]\n        raise DetectionFailed(f"looking',
            ),
        ),
    ),
    Sabotage(
        "unknown-languages-pass",
        2,
        "a prompt in a language without a recogniser is sent as any other, and nobody is told",
        "test_p02_anonymisation.py::test_a_language_without_a_recogniser_is_sent_in_parts_or_not_at_all",
        (Change(SESSION, "return evolve(policy, level=Level.STRICT), (notice,)", "return policy, ()"),),
    ),
    Sabotage(
        "one-host-gets-everything",
        3,
        "every fragment goes to the same host",
        "test_p03_exposure.py::test_no_host_gets_the_whole_or_more_than_half",
        (
            Change(
                SESSION,
                "zip(free, self._apart(list(here.values()), list(bound.values()), len(free)), strict=True)",
                "(slot, hosts[0]) for slot in free",
            ),
        ),
    ),
    Sabotage(
        "receipt-flatters",
        3,
        "the receipt says half of what a host saw",
        "test_p03_exposure.py::test_the_receipt_says_what_each_host_saw",
        (
            Change(
                RECEIPT,
                "share_of_words=self.share_of(original)",
                "share_of_words=self.share_of(original) / 2",
            ),
        ),
    ),
    Sabotage(
        "standby-is-not-counted",
        3,
        "the receipt leaves out who came in for another host",
        "test_p03_exposure.py::test_a_standby_has_seen_it_and_so_has_the_host_that_stalled",
        (
            Change(
                RECEIPT,
                "return tuple(sight.exposure(original, fragments, mode) for sight in _sights(sent))",
                "return tuple(sight.exposure(original, fragments, mode) for sight in _sights(sent)"
                " if not sight.sent[0].standby)",
            ),
        ),
    ),
    Sabotage(
        "relays-are-shared",
        4,
        "the same two relays carry all fragments",
        "test_p04_unlinkability.py::test_no_relay_but_a_guard_has_two_fragments",
        (
            Change(
                "src/peernet/core/ring/paths.py",
                "own = middles[2 * middles_an_arc * number : 2 * middles_an_arc * (number + 1)]",
                "own = middles[: 2 * middles_an_arc]",
            ),
        ),
    ),
    Sabotage(
        "warm-arcs-are-reused",
        4,
        "ways that were lent to a request stay ready for the next one",
        "test_p04_unlinkability.py::test_arcs_that_were_ready_are_lent_to_one_request_and_used_once",
        (
            Change(
                "src/peernet/client/arcs.py",
                "if ready.way not in (*fitted.taken, *fitted.conflicting)]",
                "if ready.way not in fitted.conflicting]",
            ),
        ),
    ),
    Sabotage(
        "warm-arcs-know-no-rules",
        4,
        "a way that is ready takes any place in a request, whatever else stands there",
        "test_p04_unlinkability.py::test_ways_that_are_ready_stand_on_no_two_fragments",
        (
            Change(
                "src/peernet/core/ring/warm.py",
                "fitting = free if not met else [place for place in free if met == [place]]",
                "fitting = free",
            ),
        ),
    ),
    Sabotage(
        "fragments-start-together",
        4,
        "all fragments of a request leave at the same moment",
        "test_p04_timing.py::test_the_fragments_of_a_request_do_not_start_together",
        (Change(REQUEST, "await trio.sleep(start_s)", "await trio.lowlevel.checkpoint()"),),
    ),
    Sabotage(
        "paced-rings-end-early",
        4,
        "a paced ring ends when its answer does, and not when its class is full",
        "test_p04_timing.py::test_a_relay_cannot_tell_two_paced_answers_of_a_class",
        (
            Change(
                "src/peernet/core/ring/pacing.py",
                "at_boundary = not self._pace.total or self._sent == class_of(self._sent, self._pace.total)",
                "at_boundary = True",
            ),
        ),
    ),
    Sabotage(
        "placeholders-are-global",
        4,
        "one person has the same placeholder at every host",
        "test_p04_unlinkability.py::test_two_hosts_cannot_match_their_placeholders",
        (Change(REQUEST, "view = self._vault.view(host.peer)", 'view = self._vault.view("all")'),),
    ),
    Sabotage(
        "credits-are-not-blinded",
        4,
        "the issuer signs what a credit is made of as it is, and knows it when it comes back",
        "test_p04_credits.py::test_the_issuer_has_seen_nothing_of_a_credit",
        (
            Change(
                "src/peernet/core/credits/credits.py",
                "    factor = int.from_bytes(stream) % (key.modulus - 1) + 1",
                "    factor = 1",
            ),
        ),
    ),
    Sabotage(
        "credits-are-blinded-alike",
        4,
        "every credit is blinded by the same factor",
        "test_p04_credits.py::test_no_credit_belongs_more_to_one_signing_than_to_another",
        (
            Change(
                "src/peernet/core/credits/credits.py",
                "    factor = int.from_bytes(stream) % (key.modulus - 1) + 1",
                '    factor = int.from_bytes(hashlib.shake_256(b"").digest(256)) % (key.modulus - 1) + 1',
            ),
        ),
    ),
    Sabotage(
        "payout-key-is-the-peer-key",
        4,
        "a host is paid to the key that it is known by",
        "test_p04_unlinkability.py::test_the_ledger_ties_nothing_to_a_peer_or_to_another_fragment",
        (Change("src/peernet/cli/host.py", 'home.seed("payout")', 'home.seed("identity")'),),
    ),
    Sabotage(
        "fallback-is-silent",
        4,
        "a request goes by a weaker profile, and nobody is told",
        "test_p04_unlinkability.py::test_a_weaker_profile_is_told_of_before_anything_is_sent_and_in_the_receipt",
        (Change(REQUEST, "if self._profile == asked or self._unavailable is None:", "if True:"),),
    ),
    Sabotage(
        "fallback-is-not-asked-for",
        4,
        "a weaker profile is taken wherever the network is too small, allowed or not",
        "test_p04_unlinkability.py::test_a_weaker_profile_is_never_taken_unasked",
        (
            Change(
                REQUEST,
                "weaker_profiles(config.profile) if config.profile_fallback else ()",
                "weaker_profiles(config.profile)",
            ),
        ),
    ),
    Sabotage(
        "host-logs-the-prompt",
        5,
        "a host logs what it is asked",
        "test_p05_no_text_kept.py::test_text_is_at_client_and_host_only_and_in_no_file",
        (
            Change(
                HOST,
                "        messages, parameters = self._check_request(ask)",
                '        log.info("asked", turns=[turn.content for turn in ask.turns])\n'
                "        messages, parameters = self._check_request(ask)",
            ),
        ),
    ),
    Sabotage(
        "host-keeps-the-prompt",
        5,
        "a host writes what it is asked into its state folder",
        "test_p05_no_text_kept.py::test_text_is_at_client_and_host_only_and_in_no_file",
        (
            Change(
                HOST,
                "        messages, parameters = self._check_request(ask)",
                "        self._settler._folder.mkdir(parents=True, exist_ok=True)\n"
                '        (self._settler._folder / "asked").write_text(ask.turns[-1].content)\n'
                "        messages, parameters = self._check_request(ask)",
            ),
        ),
    ),
    Sabotage(
        "ledger-times-are-fine",
        6,
        "the ledger keeps the second of every entry",
        "test_p06_metadata.py::test_what_is_kept_has_coarse_times_and_no_addresses_of_clients",
        (
            Change(ENTRIES, "TIME_GRAIN_S: Final = 60", "TIME_GRAIN_S: Final = 1"),
            # Odd, so that it is no full minute by chance.
            Change(ENTRIES, "return int(now_s) // TIME_GRAIN_S * TIME_GRAIN_S", "return int(now_s) | 1"),
        ),
    ),
    Sabotage(
        "agreement-is-not-signed",
        7,
        "whoever sends a peer id registers it, whether its key has signed or not",
        "test_p07_hosts.py::test_no_host_is_registered_without_its_keys_under_this_version_of_the_text",
        (Change(REGISTERING, "    if not is_signed(statement, sent.signature, suite):", "    if False:"),),
    ),
    Sabotage(
        "old-agreements-are-taken",
        7,
        "a host may sign a version that is no longer in force",
        "test_p07_hosts.py::test_no_host_is_registered_without_its_keys_under_this_version_of_the_text",
        (Change(REGISTERING, "    if statement.version != CURRENT_VERSION:", "    if False:"),),
    ),
    Sabotage(
        "asks-after-sending",
        7,
        "the agreement is signed and sent whatever the person says",
        "test_p07_hosts.py::test_hosts_are_told_the_restrictions_before_anything_is_signed",
        (Change("src/peernet/host/registration.py", "    if not agreed(offered):", "    if False:"),),
    ),
    Sabotage(
        "strikes-do-nothing",
        7,
        "strikes are written down, and nothing follows from them",
        "test_p07_hosts.py::test_strikes_suspend_a_host_and_are_told_to_its_operator",
        (Change(STANDING, "    suspended = struck or _in_force", "    suspended = _in_force"),),
    ),
    Sabotage(
        "suspended-hosts-are-listed",
        7,
        "the directory does not care who is suspended",
        "test_p07_hosts.py::test_a_suspended_host_is_in_no_directory_of_this_node",
        (
            Change(
                "bootstrap/directory.py",
                "for signed, body in crawled.items() if body.public_key not in self.left_out}",
                "for signed, body in crawled.items()}",
            ),
        ),
    ),
    Sabotage(
        "forfeits-before-the-appeal",
        7,
        "earnings are forfeited as soon as two operators agree",
        "test_p07_hosts.py::test_nothing_is_forfeited_before_the_appeal_delay_or_while_an_appeal_is_open",
        (Change(FORFEITING, "        return given_at_s + APPEAL_WITHIN_S", "        return given_at_s"),),
    ),
    Sabotage(
        "forfeits-while-an-appeal-is-open",
        7,
        "an appeal holds up nothing",
        "test_p07_hosts.py::test_nothing_is_forfeited_before_the_appeal_delay_or_while_an_appeal_is_open",
        (Change(FORFEITING, " or open_appeals(transaction, host_id):", ":"),),
    ),
    Sabotage(
        "one-operator-is-enough",
        7,
        "an operator agrees with themselves",
        "test_p07_hosts.py::test_one_operator_forfeits_nothing_alone_where_there_is_another",
        (Change(FORFEITING, "    if by in {given_by, owner}:", "    if by == owner:"),),
    ),
    Sabotage(
        "operators-judge-themselves",
        7,
        "whoever gave a strike decides the appeal against it",
        "test_p07_hosts.py::test_whoever_gave_a_sanction_does_not_judge_the_appeal",
        (
            Change(
                "bootstrap/hosts/appeals.py",
                "    if by == given_by and other_operators(transaction, by, account_id):",
                "    if False:",
            ),
        ),
    ),
    Sabotage(
        "nothing-is-encrypted",
        11,
        "sessions carry the plaintext with an empty tag",
        "test_p11_encrypted.py::test_no_socket_carries_readable_text",
        (
            Change(
                SUITE,
                "self.seal = self._cipher.encrypt",
                "self.seal = lambda nonce, plaintext, associated: bytes(plaintext) + bytes(16)",
            ),
            Change(
                SUITE,
                "self._open = self._cipher.decrypt",
                "self._open = lambda nonce, ciphertext, associated: bytes(ciphertext[:-16])",
            ),
            Change(
                SUITE,
                "return self._cipher.decrypt_into(nonce, ciphertext, associated, out[:size])",
                "return (out.__setitem__(slice(size), ciphertext[:size]), size)[1]",
            ),
        ),
    ),
    Sabotage(
        "any-peer-will-do",
        11,
        "whoever answers at an address is taken for the peer that was meant",
        "test_p11_encrypted.py::test_a_peer_with_another_key_is_hung_up_on",
        (
            Change(
                "src/peernet/core/connection.py",
                "if self._expected_peer is not None and peer_id != self._expected_peer:",
                "if False:",
            ),
        ),
    ),
    Sabotage(
        "receipt-hides-the-region",
        12,
        "the receipt does not say where a host claims to be",
        "test_p12_notice.py::test_the_receipt_names_the_region_that_each_host_claims",
        (Change(RECEIPT, "region=host.offer.region", 'region=""'),),
    ),
    Sabotage(
        "host-regions-are-ignored",
        12,
        "hosts are asked wherever they claim to be",
        "test_p12_notice.py::test_only_hosts_that_claim_a_region_of_the_bound_are_given_anything",
        (Change(NETWORK, "host for host in hosts if self._host_regions.admits(*host.claimed_regions)", "*hosts"),),
    ),
    Sabotage(
        "relay-regions-are-ignored",
        12,
        "relays are used wherever they claim to be",
        "test_p12_notice.py::test_only_relays_that_claim_a_region_of_the_bound_carry_anything",
        (
            Change(
                NETWORK,
                "for listing in self.directory.relays if self._relay_regions.admits(listing.record.region)",
                "for listing in self.directory.relays",
            ),
        ),
    ),
    Sabotage(
        "portal-forgets-tls",
        11,
        "the portal has a certificate, and serves without it",
        "test_p11_portal.py::test_with_a_certificate_the_portal_is_served_over_tls",
        (Change("bootstrap/portal/serving.py", "    if portal.tls_certificate:", "    if False:"),),
    ),
    Sabotage(
        "cookies-travel-in-the-clear",
        11,
        "cookies go to whoever asks without TLS, too",
        "test_p11_portal.py::test_cookies_never_travel_in_the_clear",
        (
            Change(
                "bootstrap/portal/settings.py",
                'return bool(self.tls_certificate) or self.public_url.startswith("https://")',
                "return False",
            ),
        ),
    ),
    Sabotage(
        "transparency-page-promises-too-much",
        12,
        "the portal no longer says what hosts can read",
        "test_p12_notice.py::test_the_portal_says_what_hosts_can_read_where_people_look",
        (
            Change(
                "bootstrap/portal/templates/public/transparency.html",
                "can read the masked fragment that the host answers,</strong> in whatever country they are.",
                "can read nothing that would tell who you are.</strong>",
            ),
        ),
    ),
    Sabotage(
        "transparency-page-hides-what-is-missed",
        12,
        "the portal tells of masking what it finds, and not what it misses",
        "test_p12_notice.py::test_the_portal_says_what_hosts_can_read_where_people_look",
        (
            Change(
                "bootstrap/portal/templates/public/transparency.html",
                '{{ "%.1f" % (100 - set.found_permille / 10) }} %',
                "little",
            ),
        ),
    ),
    Sabotage(
        "readme-promises-too-much",
        12,
        "the first page no longer says what hosts can read",
        "test_p12_notice.py::test_the_readme_says_what_hosts_can_read_and_that_detection_is_not_perfect",
        (Change("README.md", "Hosts can read the masked fragment that they answer", "Hosts can read nothing"),),
    ),
    Sabotage(
        "sign-in-keeps-the-whole-address",
        6,
        "a session is kept with the address that it comes from",
        "test_p06_sign_in.py::test_signing_in_keeps_a_prefix_and_a_family_alone",
        (Change("bootstrap/portal/origins.py", "        return ip_prefix(host)", "        return host"),),
    ),
    Sabotage(
        "sign-in-keeps-the-browsers-version",
        6,
        "a session is kept with all that the browser says of itself",
        "test_p06_sign_in.py::test_signing_in_keeps_a_prefix_and_a_family_alone",
        (
            Change(
                "bootstrap/portal/origins.py",
                "    return next((family for",
                "    return user_agent\n    return next((family for",
            ),
        ),
    ),
    Sabotage(
        "passwords-are-plain",
        8,
        "the database has passwords as they were typed",
        "test_p08_accounts.py::test_a_password_is_kept_as_an_argon2id_hash_and_nowhere_else",
        (
            Change(
                "bootstrap/people/passwords.py",
                "        return self._hasher.hash(_normal(password))",
                "        return _normal(password)",
            ),
            Change(
                "bootstrap/people/passwords.py",
                "            return self._hasher.verify(",
                "            return kept == _normal(password) or self._hasher.verify(",
            ),
            Change(
                "bootstrap/people/passwords.py",
                "        return self._hasher.check_needs_rehash(kept)",
                "        return False",
            ),
        ),
    ),
    Sabotage(
        "children-may-join",
        8,
        "nobody is asked for their age",
        "test_p08_accounts.py::test_whoever_is_under_13_gets_no_account",
        (Change("bootstrap/portal/signing.py", "    if not wanted.of_age:", "    if False:"),),
    ),
    Sabotage(
        "notice-change-is-silent",
        8,
        "a new privacy notice is in force for people who have not accepted it",
        "test_p08_accounts.py::test_a_new_notice_is_announced_and_accepted_before_anything_else",
        (Change(ACCESS, "    if visitor.notice_version != notice_version:", "    if False:"),),
    ),
    Sabotage(
        "addresses-are-not-confirmed",
        8,
        "whoever signs up with somebody's address has an account in that name",
        "test_p08_accounts.py::test_an_account_is_its_persons_once_the_address_is_confirmed",
        (Change(ACCESS, '    if visitor.state == "unverified":', "    if False:"),),
    ),
    Sabotage(
        "recovery-leaves-thieves-in",
        8,
        "a new password by mail ends no session and no token",
        "test_p08_accounts.py::test_a_new_password_by_mail_ends_what_a_thief_has",
        (
            Change(
                "bootstrap/people/accounts.py",
                "    end_sessions(transaction, account.id)\n    end_tokens(transaction, account.id)\n",
                "",
            ),
        ),
    ),
    Sabotage(
        "sign-up-tells-who-has-an-account",
        8,
        "asking for an account says of an address that it has one",
        "test_p08_accounts.py::test_who_has_an_account_is_told_to_nobody",
        (
            Change(
                "bootstrap/people/accounts.py",
                "        letters.has_account(transaction, wanted.address.text, now_s)\n        return\n",
                '        raise Refused("this address has an account", reason="taken", field="email")\n',
            ),
        ),
    ),
    Sabotage(
        "children-stay",
        8,
        "a report of a child's account is decided, and erases nothing",
        "test_p08_accounts.py::test_a_childs_account_is_reported_by_anybody_and_erased",
        (
            Change(
                "bootstrap/rights/children.py",
                "        erase_child(transaction, account_id, by=by, now_s=now_s)",
                "        assert erase_child",
            ),
        ),
    ),
    Sabotage(
        "any-role-will-do",
        11,
        "the desk's pages are there for everybody who is signed in",
        "test_p11_roles.py::test_what_is_for_a_role_is_not_there_for_others",
        (Change(ACCESS, "    if rule.roles and not rule.roles & visitor.roles:", "    if False:"),),
    ),
    Sabotage(
        "anybodys-things-are-everybodys",
        11,
        "whoever knows a thing's id may do with it what its owner may",
        "test_p11_roles.py::test_nobody_ends_another_persons_session",
        (
            Change(
                ACCESS,
                "    if rule.owner is not None and rule.owner(transaction, parameters) != visitor.account_id:",
                "    if False:",
            ),
        ),
    ),
    Sabotage(
        "timeout-is-a-failure",
        10,
        "a payout without an answer is put back, and may have been paid",
        "test_p10_payments.py::test_a_payout_that_timed_out_is_neither_lost_nor_paid_twice",
        (Change(CASHIER, "partial(note_try, call=call, now_s=now_s))\n            return False", REFUSED),),
    ),
    Sabotage(
        "duplicate-webhooks-count-twice",
        10,
        "each word of the provider moves money, whether it was heard before or not",
        "test_p10_payments.py::test_what_the_provider_says_twice_counts_once",
        (
            Change(PURCHASES, "if _RANK[fact.state] <= _RANK[bought.state]:", "if False:"),
            Change(
                JOURNAL,
                "        key=key,\n        debit=debit.id,",
                "        key=__import__('secrets').token_hex(8),\n        debit=debit.id,",
            ),
        ),
    ),
    Sabotage(
        "credits-before-clearing",
        10,
        "credits are given for what is paid and has not cleared",
        "test_p10_payments.py::test_credits_are_there_only_once_the_payment_has_cleared",
        (Change(PURCHASES, 'if fact.state == "cleared":', 'if fact.state in {"paid", "cleared"}:'),),
    ),
    Sabotage(
        "a-card-number-is-asked-for",
        10,
        "the page of the test provider has a field for a card",
        "test_p10_payments.py::test_a_card_number_that_somebody_types_anyway_is_kept_nowhere",
        (
            Change(
                "bootstrap/portal/templates/money/test_provider.html",
                '<p><button name="choice" value="pay">',
                '<p><input name="card_number"><button name="choice" value="pay">',
            ),
        ),
    ),
    Sabotage(
        "bank-accounts-are-kept",
        10,
        "the account at which somebody is paid has a column",
        "test_p10_payments.py::test_no_column_and_no_field_is_for_a_card_or_a_bank_account",
        (
            Change(
                "bootstrap/database/migrations/0002_money.sql",
                "CREATE TABLE payee (",
                "CREATE TABLE payee (\n    iban TEXT,",
            ),
        ),
    ),
    Sabotage(
        "provider-list-is-silent",
        10,
        "the list of providers does not say what they receive",
        "test_p10_payments.py::test_providers_are_listed_with_what_they_receive",
        (
            Change(
                "bootstrap/money/providers.py",
                '"the amount and the number of credits of a purchase, subscription, refund or payout",',
                '"some of it",',
            ),
        ),
    ),
    Sabotage(
        "purge-does-nothing",
        6,
        "the purge deletes no rows",
        "test_p06_retention.py::test_what_is_past_its_period_is_gone",
        (Change(PURGING, "        if not rule.empties:\n", "        if not rule.empties:\n            return 0\n"),),
    ),
    Sabotage(
        "purge-empties-nothing",
        6,
        "the IP prefix of a sign-in stays where the row stays",
        "test_p06_retention.py::test_what_is_past_its_period_is_gone",
        (Change(PURGING, "        sets = ", "        return 0\n        sets = "),),
    ),
    Sabotage(
        "purge-is-not-run",
        6,
        "the service never purges by itself",
        "test_p06_retention.py::test_the_service_does_it_by_itself",
        (Change("bootstrap/portal/jobs.py", '    Job("purge", 3600.0, purge_old),\n', ""),),
    ),
    Sabotage(
        "backups-outlive-their-data",
        6,
        "a backup is kept for as long as the longest-lived of what it holds",
        "test_p06_retention.py::test_no_backup_outlives_what_is_in_it",
        (Change("bootstrap/backups.py", "min((periods or", "max((periods or"),),
    ),
    Sabotage(
        "backups-are-not-pruned",
        6,
        "the node leaves all backups where they are, though it was told where",
        "test_p06_retention.py::test_a_node_that_knows_the_folder_has_no_backup_when_its_time_is_over",
        (Change("bootstrap/portal/jobs.py", '    Job("backups", PRUNE_EVERY_S, prune_backups),\n', ""),),
    ),
    Sabotage(
        "reporter-is-kept",
        8,
        "what a reporter wrote of a child stays after the decision",
        "test_p08_children.py::test_a_childs_account_is_erased_and_so_is_what_the_reporter_wrote",
        (Change("bootstrap/rights/children.py", "about = '', words = '', reporter = '', ", ""),),
    ),
    Sabotage(
        "notice-is-not-announced",
        8,
        "nobody is mailed about a new notice",
        "test_p08_children.py::test_a_new_notice_is_announced_to_everybody_once",
        (Change("bootstrap/rights/notices.py", "notice_version <> :version", "notice_version = :version"),),
    ),
    Sabotage(
        "export-leaves-out-a-domain",
        9,
        "the export says nothing of a person's hosts",
        "test_p09_rights.py::test_an_export_has_everything_that_is_held",
        (Change("bootstrap/rights/domains.py", "(MONEY, HOSTS, RIGHTS, PEOPLE)", "(MONEY, RIGHTS, PEOPLE)"),),
    ),
    Sabotage(
        "deletion-keeps-the-address",
        9,
        "an erased account keeps its e-mail address",
        "test_p09_rights.py::test_after_a_deletion_nothing_says_who_it_was",
        (Change("bootstrap/people/rights.py", "SET email = '', email_key", "SET email_key"),),
    ),
    Sabotage(
        "deletion-keeps-the-hosts",
        9,
        "an erased account's hosts keep what was declared of them",
        "test_p09_rights.py::test_after_a_deletion_nothing_says_who_it_was",
        (Change("bootstrap/hosts/rights.py", " memory_mib = 0, gpus = '',", " memory_mib = 0,"),),
    ),
    Sabotage(
        "deletion-is-at-once",
        9,
        "there are no days in which a deletion can be called off",
        "test_p09_rights.py::test_after_a_deletion_nothing_says_who_it_was",
        (Change("bootstrap/rights/deletion.py", "COOLING_OFF_S: Final = 7 * DAY_S", "COOLING_OFF_S: Final = 0"),),
    ),
    Sabotage(
        "receipts-do-not-wait-for-the-copy",
        9,
        "a deletion is confirmed before another disk knows of it",
        "test_p09_rights.py::test_a_deletion_is_confirmed_once_it_is_written_down_on_the_other_disk",
        (Change("bootstrap/rights/deletion.py", "now_s=now_s, held=True)", "now_s=now_s)"),),
    ),
    Sabotage(
        "rights-without-proof",
        9,
        "a session that was left open is enough for everything",
        "test_p09_rights.py::test_nothing_of_it_is_done_for_whoever_has_not_proved_who_they_are",
        (Change("bootstrap/portal/privacy_pages.py", "settling=True, fresh=True,", "settling=True, fresh=False,"),),
    ),
    Sabotage(
        "objection-changes-nothing",
        9,
        "an objection is written down, and the use goes on",
        "test_p09_rights.py::test_every_right_is_done_without_anybody",
        (
            Change(
                "bootstrap/rights/choices.py",
                "    if chosen.at_once:\n        _end_use(transaction, account_id, purpose, now_s)\n",
                "    if chosen.at_once:\n",
            ),
        ),
    ),
    Sabotage(
        "requests-have-no-receipt",
        9,
        "nobody is mailed the number of a request",
        "test_p09_rights.py::test_every_request_has_a_receipt_a_deadline_and_a_log",
        (
            Change(
                "bootstrap/rights/requests.py",
                '    _write_to(transaction, account_id, f"Privacy request {request.id}", _receipt(request), now_s)\n',
                "",
            ),
        ),
    ),
    Sabotage(
        "messages-are-dropped",
        9,
        "whoever writes is thanked, and forgotten",
        "test_p09_rights.py::test_anybody_can_write_and_a_person_answers",
        (Change("bootstrap/rights/contact.py", "    if trap:\n", "    if True:\n"),),
    ),
    Sabotage(
        "one-person-closes-a-lawful-request",
        10,
        "whoever enters an authority's request closes it, too",
        "test_p10_lawful.py::test_a_request_is_entered_by_one_and_closed_by_another_and_counted_in_public",
        (Change("bootstrap/rights/lawful.py", "    if request.entered_by == by:", "    if False:"),),
    ),
    Sabotage(
        "zeros-are-left-out",
        10,
        "the public counts are silent where there is nothing to count",
        "test_p10_lawful.py::test_zeros_are_shown_too",
        (
            Change(
                "bootstrap/portal/rights_public.py",
                "    for count in counts:\n",
                "    for count in (each for each in counts if each.received):\n",
            ),
        ),
    ),
    Sabotage(
        "providers-are-not-listed",
        10,
        "the payment provider is left out of the list",
        "test_p10_lawful.py::test_everybody_can_read_who_receives_what",
        (Change("bootstrap/rights/providers.py", "        *payments,\n", ""),),
    ),
)


def main(names: Sequence[str]) -> int:
    """Runs the named sabotages, or all; 0 when each was noticed as it should be, else 1."""
    unknown = sorted(set(names) - {sabotage.name for sabotage in SABOTAGES})
    if unknown:
        print(f"there is no sabotage {unknown[0]!r}; there are {', '.join(each.name for each in SABOTAGES)}")
        return 2
    chosen = [sabotage for sabotage in SABOTAGES if not names or sabotage.name in names]
    prepare()
    with tempfile.TemporaryDirectory(prefix="peernet-sabotage-") as folder:
        outcomes = _try_all(chosen, Path(folder))
    for sabotage in chosen:
        print(f"P{sabotage.promise:<3} {sabotage.name:<28} {outcomes[sabotage.name].says}")
    noticed = sum(outcome.noticed for outcome in outcomes.values())
    print(f"{noticed} of {len(chosen)} sabotages noticed")
    return 0 if noticed == len(chosen) else 1


@frozen
class Outcome:
    """How a sabotage went: whether its test turned red as it should, and what it said."""

    noticed: bool
    says: str


def _try_all(sabotages: Sequence[Sabotage], folder: Path) -> dict[str, Outcome]:
    """The outcome of each by its name; some are tried at a time, each on a copy that is whole again afterwards."""
    outcomes: dict[str, Outcome] = {}
    running: dict[Run, tuple[Sabotage, Path]] = {}
    trees = [folder / str(number) for number in range(AT_ONCE)]
    for tree in trees:
        _copy(tree)
    waiting = list(reversed(sabotages))
    while waiting or running:
        while waiting and trees:
            sabotage, tree = waiting.pop(), trees.pop()
            begun = _begin(sabotage, tree)
            if isinstance(begun, Run):
                running[begun] = (sabotage, tree)
            else:
                outcomes[sabotage.name] = begun
                trees.append(_whole_again(sabotage, tree))
        for run in ended(list(running)) if running else ():
            sabotage, tree = running.pop(run)
            outcomes[sabotage.name] = _judge(run.code, run.said.read_text("utf-8", "replace"))
            trees.append(_whole_again(sabotage, tree))
    return outcomes


def _begin(sabotage: Sabotage, tree: Path) -> Run | Outcome:
    """A run of its test on a copy that is broken as it says."""
    for change in sabotage.changes:
        path = tree / change.path
        text = path.read_text("utf-8")
        if text.count(change.old) != 1:
            says = f"NO LONGER FITS: {change.path} has {text.count(change.old)} times {change.old!r}"
            return Outcome(noticed=False, says=says)
        _write(path, text.replace(change.old, change.new))
    return started(tree, f"tests/policy/{sabotage.test}", tree.with_suffix(".said"), TIMEOUT_S)


def _whole_again(sabotage: Sabotage, tree: Path) -> Path:
    for change in sabotage.changes:
        _write(tree / change.path, (ROOT / change.path).read_text("utf-8"))
    return tree


def _write(path: Path, text: str) -> None:
    """A source, without the bytecode of what it was before: that may look as new."""
    path.write_text(text, "utf-8")
    Path(cache_from_source(str(path))).unlink(missing_ok=True)


def _copy(tree: Path) -> None:
    """With the bytecode, which is of what is copied as long as that keeps its time."""
    tree.mkdir()
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, tree / name)
        else:
            shutil.copy2(source, tree / name)
    (tree / ".cache").symlink_to(ROOT / ".cache")


def _judge(code: int, said: str) -> Outcome:
    lines = [line.strip(" |") for line in said.splitlines()]
    asserted = [line for line in lines if any(word in line for word in _ASSERTED)]
    if code == 0:
        return Outcome(noticed=False, says="NOT NOTICED: the test stays green")
    if code == TIMED_OUT:
        return Outcome(noticed=False, says=f"NO ANSWER: the test took over {TIMEOUT_S} s")
    if code != 1 or not asserted:
        return Outcome(noticed=False, says=f"BROKEN OTHERWISE: pytest ended with {code}: {(lines or [''])[-1]}")
    return Outcome(noticed=True, says=f"noticed: {asserted[0].removeprefix('E').strip()[:REASON_LENGTH]}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
