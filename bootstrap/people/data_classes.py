"""What class each column of the tables of people is of (`bootstrap.retention`)."""

from collections.abc import Mapping
from typing import Final

from bootstrap.retention.purge import Purge

__all__ = ["COLUMNS", "PURGES"]

COLUMNS: Final[Mapping[str, str]] = {
    "account.id": "pseudonym",
    "account.email": "identity",
    "account.email_key": "identity",
    "account.display_name": "identity",
    "account.profile": "identity",
    "account.password_hash": "credentials",
    "account.state": "pseudonym",
    "account.created_at_s": "pseudonym",
    "account.verified_at_s": "pseudonym",
    "account.notice_version": "consent",
    "account.notice_at_s": "consent",
    "account_role.account_id": "pseudonym",
    "account_role.role": "pseudonym",
    "account_role.given_at_s": "pseudonym",
    "session.id": "credentials",
    "session.account_id": "sign_in_security",
    "session.created_at_s": "sign_in_security",
    "session.seen_at_s": "sign_in_security",
    "session.rotated_at_s": "sign_in_security",
    "session.previous_id": "credentials",
    "session.proved_at_s": "sign_in_security",
    "session.ip_prefix": "sign_in_security",
    "session.browser_family": "sign_in_security",
    "mail.id": "mail",
    "mail.recipient": "mail",
    "mail.subject": "mail",
    "mail.body": "mail",
    "mail.queued_at_s": "mail",
    "mail.attempts": "mail",
    "mail.next_try_at_s": "mail",
    "access_log.id": "access_log",
    "access_log.at_s": "access_log",
    "access_log.by_account_id": "access_log",
    "access_log.about_account_id": "access_log",
    "access_log.action": "access_log",
    "access_log.object": "access_log",
    "access_log.ip_prefix": "sign_in_security",
}

PURGES: Final = (
    Purge("mail", "mail", "queued_at_s"),
    Purge("sign_in_security", "session", "seen_at_s"),
    Purge("sign_in_security", "access_log", "at_s", {"ip_prefix": ""}, "ip_prefix <> ''"),
    Purge("access_log", "access_log", "at_s"),
)
