"""What stands at the top and at the bottom of every page."""

from collections.abc import Iterable
from typing import Final

from attrs import frozen

from bootstrap.people.visitor import Visitor

__all__ = ["FOOTER", "MENU", "Entry", "Group", "Menu", "menu_for"]


@frozen
class Entry:
    """One link."""

    name: str
    path: str
    signed_in: bool | None = None
    """Whether it is for people who are signed in, or for those who are not; None for all."""
    role: str | None = None
    """Whether it is only for people with this role."""


@frozen
class Group:
    """Entries under a heading, beside the pages of an account."""

    name: str
    entries: tuple[Entry, ...]


@frozen
class Menu:
    """What one visitor may go to."""

    main: tuple[Entry, ...]
    """At the top: what is for everybody, and the way to one's own pages."""
    groups: tuple[Group, ...]
    """One's own pages, and those of one's roles; nothing for whoever is not signed in."""


DASHBOARD: Final = Entry("Dashboard", "/dashboard", signed_in=True)
DESK: Final = "/desk"
MENU: Final[tuple[Entry, ...]] = (
    Entry("How it works", "/how"),
    Entry("Ledger", "/ledger"),
    Entry("Transparency", "/transparency"),
    Entry("Status", "/status"),
    DASHBOARD,
    Entry("Credits", "/credits", signed_in=True),
    Entry("Earnings", "/earnings", signed_in=True),
    Entry("Statements", "/statements", signed_in=True),
    Entry("Hosts", "/hosts", signed_in=True),
    Entry("Account", "/account", signed_in=True),
    Entry("Sessions", "/account/sessions", signed_in=True),
    Entry("API tokens", "/account/tokens", signed_in=True),
    Entry("Who looked at my data", "/account/log", signed_in=True),
    Entry("Desk", DESK, signed_in=True, role="operator"),
    Entry("Desk", DESK, signed_in=True, role="auditor"),
    Entry("People", "/desk/people", signed_in=True, role="operator"),
    Entry("Money", "/desk/money", signed_in=True, role="operator"),
    Entry("Money", "/desk/money", signed_in=True, role="auditor"),
    Entry("Codes and grants", "/desk/gifts", signed_in=True, role="operator"),
    Entry("All hosts", "/desk/hosts", signed_in=True, role="operator"),
    Entry("All hosts", "/desk/hosts", signed_in=True, role="auditor"),
    Entry("Appeals", "/desk/appeals", signed_in=True, role="operator"),
    Entry("Appeals", "/desk/appeals", signed_in=True, role="auditor"),
    Entry("Abuse", "/desk/abuse", signed_in=True, role="operator"),
    Entry("Abuse", "/desk/abuse", signed_in=True, role="auditor"),
    Entry("Access log", "/desk/access-log", signed_in=True, role="operator"),
    Entry("Access log", "/desk/access-log", signed_in=True, role="auditor"),
    Entry("Privacy", "/privacy", signed_in=True),
    *(
        Entry(name, path, signed_in=True, role=role)
        for name, path in (
            ("Requests", "/desk/privacy"),
            ("Authorities", "/desk/lawful-requests"),
            ("Retention", "/desk/retention"),
        )
        for role in ("operator", "auditor")
    ),
)
FOOTER: Final[tuple[Entry, ...]] = (
    Entry("How it works", "/how"),
    Entry("Transparency", "/transparency"),
    Entry("Host agreement", "/agreement"),
    Entry("API", "/developers"),
    Entry("Privacy notice", "/policies/privacy"),
    Entry("Terms", "/policies/terms"),
    Entry("Acceptable use", "/policies/acceptable-use"),
    Entry("Retention", "/retention"),
    Entry("Providers", "/providers"),
    Entry("Authorities’ requests", "/lawful-requests"),
    Entry("Contact", "/contact"),
)


def menu_for(visitor: Visitor, entries: Iterable[Entry] = MENU) -> Menu:
    """The entries that are for this visitor, each once: at the top, of the account, of the roles."""
    shown = {
        entry.path: entry
        for entry in entries
        if entry.signed_in in {None, visitor.signed_in} and (entry.role is None or entry.role in visitor.roles)
    }
    if not visitor.signed_in:
        return Menu(tuple(shown.values()), ())
    main = [entry for entry in shown.values() if entry.signed_in is None and entry.role is None]
    main += [entry for entry in shown.values() if entry.path in {DASHBOARD.path, DESK}]
    account = tuple(entry for entry in shown.values() if entry.signed_in and entry.role in {None, "host"})
    desk = tuple(entry for entry in shown.values() if entry.role in {"operator", "auditor"})
    groups = (Group("Your account", account), Group("Operator’s desk", desk))
    return Menu(tuple(main), tuple(group for group in groups if group.entries))
