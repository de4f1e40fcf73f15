"""What class each column of the tables of rights is of, and how the classes leave them (`bootstrap.retention`)."""

from collections.abc import Mapping
from typing import Final

from bootstrap.retention.purge import Purge

__all__ = ["COLUMNS", "PURGES"]


def _all(table: str, data_class: str, *columns: str) -> dict[str, str]:
    return {f"{table}.{column}": data_class for column in columns}


COLUMNS: Final[Mapping[str, str]] = {
    **_all("rights_request", "rights", "id", "account_id", "kind", "subject", "state", "words", "answer"),
    **_all("rights_request", "rights", "asked_at_s", "due_at_s", "acts_at_s", "ended_at_s"),
    **_all("rights_event", "rights", "id", "request_id", "at_s", "event", "by_account_id"),
    **_all("rights_objection", "consent", "account_id", "purpose", "made_at_s"),
    **_all("erasure", "pseudonym", "account_id", "erased_at_s", "why"),
    **_all("contact_message", "contact", "id", "account_id", "reply_to", "topic", "words", "state", "written_at_s"),
    **_all("contact_message", "contact", "due_at_s", "ended_at_s", "ended_by_account_id"),
    **_all("contact_message", "sign_in_security", "ip_prefix"),
    **_all("child_report", "contact", "about", "words", "reporter"),
    **_all("child_report", "rights", "id", "state", "reported_at_s", "due_at_s", "decided_at_s"),
    **_all("child_report", "rights", "decided_by_account_id", "account_id"),
    **_all("child_report", "sign_in_security", "ip_prefix"),
    **_all("notice_told", "consent", "account_id", "version", "told_at_s"),
    **_all("lawful_request", "lawful_request", "id", "received_at_s", "kind", "authority", "country", "summary"),
    **_all("lawful_request", "lawful_request", "state", "entered_at_s", "entered_by_account_id", "closed_at_s"),
    **_all("lawful_request", "lawful_request", "closed_by_account_id"),
    **_all("lawful_count", "service", "year", "kind", "received", "answered", "partly", "refused"),
}

PURGES: Final = (
    # Its events go with it.
    Purge("rights", "rights_request", "asked_at_s", only="state NOT IN ('open', 'waiting')"),
    Purge("contact", "contact_message", "written_at_s"),
    Purge("sign_in_security", "contact_message", "written_at_s", {"ip_prefix": ""}, "ip_prefix <> ''"),
    Purge(
        "contact",
        "child_report",
        "reported_at_s",
        {"about": "", "words": "", "reporter": ""},
        "(about <> '' OR words <> '' OR reporter <> '')",
    ),
    Purge("sign_in_security", "child_report", "reported_at_s", {"ip_prefix": ""}, "ip_prefix <> ''"),
    Purge("rights", "child_report", "decided_at_s"),
    Purge("lawful_request", "lawful_request", "received_at_s", only="state <> 'open'"),
)
