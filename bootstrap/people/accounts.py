"""Accounts: from asking for one to changing what is in it.

Rules:

1. Whether an address has an account is told to nobody but whoever reads that address: asking for an account, for a
   new password and for another address say and do the same in both cases, and send one mail.
2. An account is its person's once a link in a mail to its address was opened by whoever knows its password, or a new
   password was chosen by such a link. Whoever signs up with somebody else's address gains nothing.
3. Passwords come as hashes, which are made outside of the transaction.
4. A new password ends what was begun with the old one: by mail all sessions, API tokens, links and known browsers; by
   the person in a session the other sessions.
"""

from typing import Final

from attrs import field, frozen

from bootstrap.database import Row, Transaction
from bootstrap.ids import new_id
from bootstrap.people.access_log import note_access
from bootstrap.people.addresses import Address, parse_address
from bootstrap.people.letters import Letters
from bootstrap.people.limits import MAIL_LIMITS, MAIL_PREFIX_LIMITS, count_attempt, may_attempt
from bootstrap.people.links import find_link, make_link, use_link
from bootstrap.people.origin import Origin
from bootstrap.people.sessions import end_sessions
from bootstrap.people.tokens import end_tokens
from bootstrap.refusal import NotFound, Refused

__all__ = [
    "Account",
    "Wanted",
    "accept_notice",
    "account_by_address",
    "account_of",
    "change_password",
    "change_profile",
    "choose_password",
    "confirm_address",
    "confirm_new_address",
    "resend_link",
    "restore_account",
    "sign_up",
    "start_email_change",
    "start_recovery",
    "suspend_account",
]

_COLUMNS: Final = (
    "id, email, email_key, display_name, profile, password_hash, state, created_at_s, verified_at_s, notice_version,"
    " notice_at_s"
)


@frozen(repr=False)
class Account:
    """One account, as it is in the database."""

    id: str
    email: str
    email_key: str
    display_name: str
    profile: str
    password_hash: str
    state: str
    created_at_s: int
    verified_at_s: int | None
    notice_version: str
    notice_at_s: int

    @property
    def guessable(self) -> tuple[str, ...]:
        """What no password of this account may be made of."""
        local, _, domain = self.email_key.partition("@")
        return (self.display_name, self.email_key, local, domain.partition(".")[0])


@frozen
class Wanted:
    """The account that somebody asks for."""

    address: Address = field(repr=False)
    display_name: str = field(repr=False)
    profile: str = field(repr=False)
    password_hash: str = field(repr=False)
    notice_version: str


def account_of(transaction: Transaction, account_id: str) -> Account:
    """The account with this id; raises `NotFound`."""
    row = transaction.row(
        f"SELECT {_COLUMNS} FROM account WHERE id = :id AND state <> 'erased'",  # noqa: S608  (fixed names)
        id=account_id,
    )
    if row is None:
        raise NotFound("account")
    return _account(row)


def account_by_address(transaction: Transaction, key: str) -> Account | None:
    """The account with this address (`Address.key`)."""
    row = transaction.row(
        f"SELECT {_COLUMNS} FROM account WHERE email_key = :key AND state <> 'erased'",  # noqa: S608
        key=key,
    )
    return None if row is None else _account(row)


def sign_up(transaction: Transaction, letters: Letters, wanted: Wanted, origin: Origin, now_s: int) -> None:
    """Makes an account that waits for its link to be opened, or tells whoever has one at this address."""
    if not may_attempt(transaction, MAIL_LIMITS, wanted.address.key, now_s):
        return
    account_id = new_id()
    made = transaction.execute(
        "INSERT INTO account (id, email, email_key, display_name, profile, password_hash, state, created_at_s,"
        " notice_version, notice_at_s) VALUES (:id, :email, :key, :name, :profile, :hash, 'unverified', :now,"
        " :notice, :now) ON CONFLICT (email_key) DO NOTHING",
        id=account_id,
        email=wanted.address.text,
        key=wanted.address.key,
        name=wanted.display_name,
        profile=wanted.profile,
        hash=wanted.password_hash,
        notice=wanted.notice_version,
        now=now_s,
    )
    if not made:
        letters.has_account(transaction, wanted.address.text, now_s)
        return
    _note_notice(transaction, account_id, wanted.notice_version, now_s)
    note_access(transaction, "account_made", now_s=now_s, by=account_id, about=account_id, origin=origin)
    secret = make_link(transaction, "verify", account_id, wanted.address.key, now_s)
    letters.verify(transaction, wanted.address.text, secret, now_s)


def resend_link(transaction: Transaction, letters: Letters, account_id: str, now_s: int) -> None:
    """Sends the link again that confirms the account's address; raises `Refused` where that was done too often."""
    account = account_of(transaction, account_id)
    if account.state != "unverified":
        return
    count_attempt(transaction, MAIL_LIMITS, account.email_key, now_s)
    letters.verify(
        transaction, account.email, make_link(transaction, "verify", account_id, account.email_key, now_s), now_s
    )


def confirm_address(transaction: Transaction, secret: str, account_id: str, origin: Origin, now_s: int) -> None:
    """Whoever has proved to be this account's person has opened its link; raises `Refused` (`bad_link`)."""
    link = use_link(transaction, "verify", secret, now_s)
    account = account_of(transaction, account_id)
    if link.account_id != account_id or link.address != account.email_key:
        raise Refused("this link is for another account: sign out, and open it again", reason="bad_link")
    _become_active(transaction, account, now_s)
    note_access(transaction, "account_verified", now_s=now_s, by=account_id, about=account_id, origin=origin)


def start_recovery(transaction: Transaction, letters: Letters, address: Address, origin: Origin, now_s: int) -> None:
    """Sends a link to choose a new password by, or says that there is no account; once every while."""
    count_attempt(transaction, MAIL_PREFIX_LIMITS, origin.ip_prefix, now_s)
    if not may_attempt(transaction, MAIL_LIMITS, address.key, now_s):
        return
    account = account_by_address(transaction, address.key)
    if account is None:
        letters.no_account(transaction, address.text, now_s)
        return
    letters.recover(
        transaction, account.email, make_link(transaction, "recover", account.id, account.email_key, now_s), now_s
    )


def choose_password(
    transaction: Transaction, letters: Letters, secret: str, password_hash: str, origin: Origin, now_s: int
) -> str:
    """Ends a recovery, and all that somebody else may have begun; returns the account. Raises `Refused`."""
    link = use_link(transaction, "recover", secret, now_s)
    account = account_of(transaction, link.account_id)
    if account.email_key != link.address:
        raise Refused("this link is for an address that the account has no more", reason="bad_link")
    transaction.execute("UPDATE account SET password_hash = :hash WHERE id = :id", id=account.id, hash=password_hash)
    _become_active(transaction, account, now_s)
    end_sessions(transaction, account.id)
    end_tokens(transaction, account.id)
    transaction.execute("DELETE FROM known_browser WHERE account_id = :id", id=account.id)
    transaction.execute("DELETE FROM mail_link WHERE account_id = :id", id=account.id)
    letters.password_changed(transaction, account.email, now_s)
    note_access(transaction, "password_recovered", now_s=now_s, by=account.id, about=account.id, origin=origin)
    return account.id


def change_password(
    transaction: Transaction,
    letters: Letters,
    account_id: str,
    checked_hash: str,
    new_hash: str,
    origin: Origin,
    now_s: int,
    *,
    session: str | None = None,
    tokens_too: bool = False,
) -> None:
    """Gives the account a new password and ends its other sessions; raises `Refused`.

    Args:
        transaction: the one to do it in.
        letters: for the mail about it.
        account_id: whose.
        checked_hash: the hash that the old password was checked against; it must still be the account's.
        new_hash: of the new password.
        origin: where the request comes from.
        now_s: the time.
        session: the session that goes on.
        tokens_too: whether API tokens end as well.
    """
    account = account_of(transaction, account_id)
    changed = transaction.execute(
        "UPDATE account SET password_hash = :new WHERE id = :id AND password_hash = :old",
        id=account_id,
        new=new_hash,
        old=checked_hash,
    )
    if not changed:
        raise Refused("the password was changed meanwhile: sign in with the new one", reason="wrong_password")
    end_sessions(transaction, account_id, but=session)
    if tokens_too:
        end_tokens(transaction, account_id)
    transaction.execute("DELETE FROM mail_link WHERE account_id = :id AND purpose = 'recover'", id=account_id)
    letters.password_changed(transaction, account.email, now_s)
    note_access(transaction, "password_changed", now_s=now_s, by=account_id, about=account_id, origin=origin)


def start_email_change(
    transaction: Transaction, letters: Letters, account_id: str, address: Address, now_s: int
) -> None:
    """Asks whoever reads the new address to confirm it, and tells the old one; raises `Refused`."""
    account = account_of(transaction, account_id)
    if address.key == account.email_key:
        raise Refused("that is the account's address already", reason="same_address", field="email")
    count_attempt(transaction, MAIL_LIMITS, f"account {account_id}", now_s)
    letters.email_will_change(transaction, account.email, now_s)
    if not may_attempt(transaction, MAIL_LIMITS, address.key, now_s):
        return
    secret = make_link(transaction, "change_email", account_id, address.text, now_s)
    other = account_by_address(transaction, address.key)
    if other is None:
        letters.change_email(transaction, address.text, secret, now_s)
    else:
        letters.address_is_taken(transaction, other.email, now_s)


def confirm_new_address(
    transaction: Transaction, letters: Letters, secret: str, account_id: str, origin: Origin, now_s: int
) -> None:
    """Gives the account the address that its link was sent to; raises `Refused` (`bad_link`)."""
    link = find_link(transaction, "change_email", secret, now_s)
    if link is not None and link.account_id != account_id:
        raise Refused("this link is for another account: sign in to that one first", reason="bad_link")
    link = use_link(transaction, "change_email", secret, now_s)
    account, address = account_of(transaction, account_id), parse_address(link.address)
    if account_by_address(transaction, address.key) is not None:
        raise Refused("this address has an account by now", reason="bad_link")
    transaction.execute(
        "UPDATE account SET email = :email, email_key = :key WHERE id = :id",
        id=account_id,
        email=address.text,
        key=address.key,
    )
    transaction.execute("DELETE FROM mail_link WHERE account_id = :id", id=account_id)
    letters.email_changed(transaction, account.email, now_s)
    note_access(transaction, "email_changed", now_s=now_s, by=account_id, about=account_id, origin=origin)


def change_profile(
    transaction: Transaction, account_id: str, display_name: str, profile: str, origin: Origin, now_s: int
) -> None:
    """Changes what others are shown; both were checked (`names`)."""
    transaction.execute(
        "UPDATE account SET display_name = :name, profile = :profile WHERE id = :id",
        id=account_id,
        name=display_name,
        profile=profile,
    )
    note_access(transaction, "profile_changed", now_s=now_s, by=account_id, about=account_id, origin=origin)


def accept_notice(transaction: Transaction, account_id: str, version: str, origin: Origin, now_s: int) -> None:
    """Notes that the person accepts this version of the privacy notice."""
    transaction.execute(
        "UPDATE account SET notice_version = :version, notice_at_s = :now WHERE id = :id",
        id=account_id,
        version=version,
        now=now_s,
    )
    _note_notice(transaction, account_id, version, now_s)
    thing = f"notice/{version}"
    note_access(
        transaction, "notice_accepted", now_s=now_s, by=account_id, about=account_id, thing=thing, origin=origin
    )


def suspend_account(
    transaction: Transaction, letters: Letters, account_id: str, reason: str, now_s: int, *, by: str, origin: Origin
) -> None:
    """An operator stops an account, and says why; its person keeps all rights about their data."""
    account = account_of(transaction, account_id)
    if account_id == by:
        raise Refused("that is your own account: another operator can do that", reason="own_account")
    if account.state != "active":
        raise Refused(f"this account is {account.state}, and cannot be suspended", reason="not_active")
    transaction.execute("UPDATE account SET state = 'suspended' WHERE id = :id", id=account_id)
    letters.suspended(transaction, account.email, reason, now_s)
    note_access(transaction, "account_suspended", now_s=now_s, by=by, about=account_id, origin=origin)


def restore_account(
    transaction: Transaction, letters: Letters, account_id: str, now_s: int, *, by: str, origin: Origin
) -> None:
    """An operator ends a suspension."""
    account = account_of(transaction, account_id)
    if account.state != "suspended":
        raise Refused("this account is not suspended", reason="not_suspended")
    transaction.execute("UPDATE account SET state = 'active' WHERE id = :id", id=account_id)
    letters.restored(transaction, account.email, now_s)
    note_access(transaction, "account_restored", now_s=now_s, by=by, about=account_id, origin=origin)


def _become_active(transaction: Transaction, account: Account, now_s: int) -> None:
    transaction.execute(
        "UPDATE account SET state = 'active', verified_at_s = :now WHERE id = :id AND state = 'unverified'",
        id=account.id,
        now=now_s,
    )


def _note_notice(transaction: Transaction, account_id: str, version: str, now_s: int) -> None:
    transaction.execute(
        "INSERT INTO notice_acceptance (account_id, version, at_s) VALUES (:id, :version, :now)"
        " ON CONFLICT (account_id, version) DO NOTHING",
        id=account_id,
        version=version,
        now=now_s,
    )


def _account(row: Row) -> Account:
    return Account(*row)
