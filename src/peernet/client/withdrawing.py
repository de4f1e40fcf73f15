"""Withdrawing credits: from a portal over HTTP, and from a file.

Theory of operation. The portal knows whose account is charged, and signs blinded messages: it never sees a credit.
What is asked is on the disk before it leaves (`Withdrawal`), so a withdrawal whose answer is lost is asked for again
under the same id and gets the same signatures.

    GET  {portal}/api/v1/credits/keys           -> {"keys": [{"proof": base64, ...}]}
    POST {portal}/api/v1/credits/withdrawals    Authorization: Bearer TOKEN
         {"request_id": hex, "class": "bought", "denomination": N, "blinded": [base64, ...]} -> {"signatures":
         [base64, ...]}

Of a key only `proof` is read, where the log announced it: all else is in there. A request id is 32 bytes: the first
16 of the key's id, then 16 random ones, so that the issuer signs with the key that the messages were blinded for, or
not at all.

A file of credits is JSON: {"proofs": [base64, ...], "credits": [[key id, serial, randomizer, signature], ...]}, the
proofs of their keys and each credit's four parts in base64.
"""

import base64
import binascii
import json
import secrets
import urllib.error
import urllib.request
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import urlsplit

from attrs import field, frozen

from peernet.client.credits import finish_credits, keys_in, open_issuer_key
from peernet.client.purse import Purse, Withdrawal
from peernet.core.credits.blind_rsa import PublicKey
from peernet.core.credits.credits import DENOMINATIONS, Credit, blinded_credits, check_credit, spread
from peernet.core.errors import PeernetError, RemoteProtocolError, UserError
from peernet.core.ledger.entries import IssuerKey
from peernet.core.ledger.policy import LedgerPolicy
from peernet.core.suite import CipherSuite
from peernet.node.peer import now_s

__all__ = ["Portal", "WithdrawalFailed", "import_credits", "withdraw"]

TIMEOUT_S: Final = 30.0
MAX_ANSWER_SIZE: Final = 1 << 20
MAX_FILE_SIZE: Final = 16 << 20
MAX_A_REQUEST: Final = 100
RANDOM_SIZE: Final = 16
MAX_DETAIL: Final = 300
NOT_SIGNED: Final = "not_signed"
"""The portal's word for a withdrawal that its issuer will never sign: the amount is back in the account."""
REFUSED_FOR_GOOD: Final = frozenset({400, 402, 409, 422})
"""Answers to what was asked for the first time after which nothing was signed."""


class WithdrawalFailed(PeernetError):
    """A withdrawal did not come through; nothing is lost by it."""


@frozen
class Portal:
    """Where an account is, and the token to it."""

    url: str
    token: str = field(repr=False)

    @classmethod
    def at(cls, url: str, token: str) -> "Portal":
        """Checks both; raises `UserError`."""
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.username:
            raise UserError(f"{url!r} is no portal: give its address, such as https://portal.example")
        if parts.scheme == "http" and not _is_this_machine(parts.hostname):
            raise UserError(f"{url!r}: a token is sent by https:// only, but for a portal on this machine")
        if not token or not token.isascii() or not token.isprintable() or " " in token:
            raise UserError("the portal's token is empty or no token: make one on your account's page")
        return cls(url.rstrip("/"), token)

    def ask(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """The portal's JSON object; raises `WithdrawalFailed`, and `UserError` with what it refuses for good."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Accept": "application/json", "Authorization": f"Bearer {self.token}"}
        if data is not None:
            headers["Content-Type"] = "application/json"
        request = urllib.request.Request(f"{self.url}/api/v1/credits/{path}", data, headers)  # noqa: S310  (`at` checks)
        try:
            with _opener().open(request, timeout=TIMEOUT_S) as answer:
                content = answer.read(MAX_ANSWER_SIZE + 1)
        except urllib.error.HTTPError as error:
            with error:
                raise _refusal(error.code, error.read(MAX_ANSWER_SIZE)) from error
        except OSError as error:
            raise WithdrawalFailed(f"the portal {self.url} cannot be reached: run the command again") from error
        if len(content) > MAX_ANSWER_SIZE:
            raise WithdrawalFailed(f"the portal {self.url} answers more than it may")
        try:
            found = json.loads(content)
        except ValueError as error:
            raise WithdrawalFailed(f"the portal {self.url} does not answer as a portal: is it its address?") from error
        if not isinstance(found, dict):
            raise WithdrawalFailed(f"the portal {self.url} does not answer as a portal: is it its address?")
        return found


class _RefusedForGood(UserError):
    """The portal signs nothing of this; `reason` is its word for why."""

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


def withdraw(
    purse: Purse,
    portal: Portal,
    amount_microcredits: int,
    credit_class: str,
    policy: LedgerPolicy,
    suite: CipherSuite,
    *,
    denomination: int | None = None,
) -> int:
    """Finishes what was begun at this portal, then withdraws; returns how many credits came.

    Raises `UserError` and `WithdrawalFailed`; what is under way then stays so, and is finished the next time.
    """
    came = sum(_finish_earlier(purse, portal, one) for one in purse.withdrawals() if one.portal == portal.url)
    if came:
        return came  # what was asked before, most likely: the answer was lost
    proofs = _blobs(portal.ask("keys"), "keys", "proof")
    counts = spread(amount_microcredits)
    if denomination is not None:
        counts = {denomination: amount_microcredits // denomination}
    if sum(worth * count for worth, count in counts.items()) != amount_microcredits or not any(counts.values()):
        smallest = DENOMINATIONS[0] if denomination is None else denomination
        raise UserError(f"{amount_microcredits} microcredits are no number of credits: the smallest one is {smallest}")
    keys = _keys_of(proofs, credit_class, purse, policy, suite)
    for worth in counts:
        if worth not in keys:
            raise UserError(f"this portal issues no {credit_class} credits of {worth} microcredits now")
    begun = [
        _withdrawal(portal, keys[worth].key_id, min(MAX_A_REQUEST, count - first))
        for worth, count in counts.items()
        for first in range(0, count, MAX_A_REQUEST)
    ]
    # All at once, so that what comes after an answer that is lost is asked for the next time, too.
    purse.begin_withdrawals(begun)
    for place, withdrawal in enumerate(begun):
        try:
            came += _finish(purse, portal, withdrawal)
        except _RefusedForGood as refused:
            for unsigned in begun[place:]:
                purse.end_withdrawal(unsigned.request_id)
            if came:
                raise UserError(f"{came} credits are in the purse; of the others, {refused}") from refused
            raise
    return came


def _withdrawal(portal: Portal, key_id: bytes, count: int) -> Withdrawal:
    request_id = key_id[:RANDOM_SIZE] + secrets.token_bytes(RANDOM_SIZE)
    return Withdrawal(request_id, portal.url, key_id, secrets.token_bytes(32), count)


def import_credits(purse: Purse, content: bytes, policy: LedgerPolicy, suite: CipherSuite) -> int:
    """Adds the credits of a file; returns how many were not there yet. Raises `UserError` for a file that is none."""
    try:
        if len(content) > MAX_FILE_SIZE:
            raise ValueError("too long")
        found = json.loads(content)
        proofs = [base64.b64decode(text, validate=True) for text in found["proofs"]]
        rows = [[base64.b64decode(part, validate=True) for part in row] for row in found["credits"]]
        parts = [Credit(*row) for row in rows]
    except (ValueError, TypeError, KeyError, binascii.Error, RecursionError) as error:
        raise UserError("this file holds no credits: it is not in the form of docs/credits.md") from error
    try:
        opened = [open_issuer_key(proof, policy, suite) for proof in proofs]
        keys = {key.key_id: key for _, key in opened}
        for credit in parts:
            if credit.key_id not in keys:
                raise UserError("this file has a credit without its key")
            check_credit(credit, PublicKey.from_bytes(keys[credit.key_id].modulus))
    except RemoteProtocolError as error:
        raise UserError(f"this file holds no credits of this network: {error}") from error
    for origin, key in opened:
        purse.add_keys(origin, [key])
    return purse.add_credits(parts)


def _keys_of(
    proofs: Sequence[bytes], credit_class: str, purse: Purse, policy: LedgerPolicy, suite: CipherSuite
) -> dict[int, IssuerKey]:
    try:
        alike = [proof for proof in proofs if open_issuer_key(proof, policy, suite)[1].credit_class == credit_class]
        origin, keys = keys_in(alike, policy, suite, now_s())
    except RemoteProtocolError as error:
        raise UserError(f"the portal's keys are not to be trusted in this network: {error}") from error
    purse.add_keys(origin, list(keys.values()))
    return keys


def _finish_earlier(purse: Purse, portal: Portal, withdrawal: Withdrawal) -> int:
    """Of one that is refused now it is not known whether it was signed then: it stays, unless the portal says so."""
    try:
        return _finish(purse, portal, withdrawal)
    except _RefusedForGood as refused:
        if refused.reason == NOT_SIGNED:
            purse.end_withdrawal(withdrawal.request_id)
        return 0


def _finish(purse: Purse, portal: Portal, withdrawal: Withdrawal) -> int:
    key = purse.issuer_key(withdrawal.key_id)
    made = blinded_credits(PublicKey.from_bytes(key.modulus), key.key_id, withdrawal.seed, withdrawal.count)
    body = {
        "request_id": withdrawal.request_id.hex(),
        "class": key.credit_class,
        "denomination": key.denomination_microcredits,
        "blinded": [base64.b64encode(one.blinded).decode() for one in made],
    }
    found = portal.ask("withdrawals", body)
    try:
        signed = finish_credits(made, _blobs(found, "signatures"))
    except RemoteProtocolError as error:
        raise WithdrawalFailed("the portal signs something else than it was asked to: tell whoever runs it") from error
    purse.end_withdrawal(withdrawal.request_id, signed)
    return len(signed)


def _blobs(answer: dict[str, Any], name: str, inner: str | None = None) -> list[bytes]:
    try:
        items = answer[name]
        if not isinstance(items, list):
            raise TypeError(name)
        return [base64.b64decode(item if inner is None else item[inner], validate=True) for item in items]
    except (KeyError, TypeError, ValueError) as error:
        raise WithdrawalFailed(f"the portal's answer has no {name}, or in another form") from error


def _refusal(code: int, content: bytes) -> PeernetError:
    reason, said = _problem(content)
    if code in {401, 403}:
        return UserError(f"the portal does not let this token do that{said}: see your account's page")
    if code in REFUSED_FOR_GOOD:
        return _RefusedForGood(
            f"the portal refuses this withdrawal (HTTP {code}), and has signed nothing{said}", reason
        )
    return WithdrawalFailed(f"the portal is in trouble (HTTP {code}){said}: run the command again in a while")


def _problem(content: bytes) -> tuple[str, str]:
    """The word and the explanation of an answer of RFC 9457; empty where there are none."""
    try:
        found = json.loads(content)
        reason, detail = found["reason"], found["detail"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return "", ""
    if not isinstance(reason, str) or not isinstance(detail, str):
        return "", ""
    shown = "".join(character for character in detail if character.isprintable())[:MAX_DETAIL]
    return reason, f" ({shown})"


def _opener() -> urllib.request.OpenerDirector:
    """Follows no redirection: it would take the token elsewhere."""

    class _Stays(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_: Any) -> None:
            return None

    return urllib.request.build_opener(_Stays)


def _is_this_machine(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
