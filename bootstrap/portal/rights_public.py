"""Pages for everybody: policies, retention, providers, authorities' requests, writing to the operator."""

from functools import partial
from typing import Final

from attrs import frozen
from starlette.responses import Response

from bootstrap.database import Transaction
from bootstrap.money.providers import PROVIDERS
from bootstrap.people.addresses import parse_address
from bootstrap.portal.access import EVERYBODY
from bootstrap.portal.office import Office
from bootstrap.portal.rights_bodies import ChildReport, ContactMessage
from bootstrap.portal.routes import Handler, Page, page
from bootstrap.portal.visit import Visit
from bootstrap.refusal import Refused
from bootstrap.retention.classes import CLASSES, DAY_S
from bootstrap.rights.children import DECIDED_WITHIN_S, file_report
from bootstrap.rights.contact import TOPICS, write_message
from bootstrap.rights.lawful import LAWFUL_KINDS, YearCount, lawful_counts
from bootstrap.rights.providers import Provider, providers

__all__ = ["POLICIES", "ROUTES", "Policy", "filed_report", "providers_of", "written_message"]


@frozen
class Policy:
    """A text in versions, the newest first: `templates/policies/NAME-VERSION.html`."""

    name: str
    title: str
    versions: tuple[str, ...]

    @property
    def path(self) -> str:
        """Where the newest is."""
        return f"/policies/{self.name}"


POLICIES: Final = (
    Policy("privacy", "Privacy notice", ("2026-11",)),
    Policy("terms", "Terms", ("2026-11",)),
    Policy("acceptable-use", "Acceptable use", ("2026-11",)),
)


def providers_of(office: Office) -> tuple[Provider, ...]:
    """Who receives data, as this operator has configured it."""
    payments = [
        Provider(each.name, each.purpose, each.data, each.where) for each in PROVIDERS[office.cashier.config.provider]
    ]
    return providers(
        mail=office.config.mail_provider, hosting=office.config.hosting_provider, payments=tuple(payments)
    )


def _policy_page(policy: Policy, version: str) -> Handler:
    async def show(visit: Visit) -> Response:
        return visit.page(
            "policies/policy.html",
            policy=policy,
            version=version,
            policies=POLICIES,
            text=f"policies/{policy.name}-{version}.html",
            periods=visit.office.periods,
            day_s=DAY_S,
        )

    return show


async def _retention(visit: Visit) -> Response:
    return visit.page("policies/retention.html", classes=CLASSES, periods=visit.office.periods, day_s=DAY_S)


async def _providers(visit: Visit) -> Response:
    return visit.page("policies/providers.html", providers=providers_of(visit.office))


async def _lawful(visit: Visit) -> Response:
    counts = await visit.read(partial(lawful_counts, now_s=visit.now_s))
    years: dict[int, list[YearCount]] = {}
    for count in counts:
        years.setdefault(count.year, []).append(count)
    return visit.page("policies/lawful.html", years=years, kinds=LAWFUL_KINDS)


def _address_of(transaction: Transaction, account_id: str) -> str:
    row = transaction.row("SELECT email FROM account WHERE id = :id", id=account_id)
    return row[0] if row else ""


async def _contact_form(visit: Visit) -> Response:
    typed = {}
    if visit.visitor.account_id is not None:
        typed["reply_to"] = await visit.read(partial(_address_of, account_id=visit.visitor.account_id))
    return visit.page("rights/contact.html", refusal=None, typed=typed, topics=TOPICS)


async def written_message(visit: Visit, body: ContactMessage) -> str:
    """Writes a message down; returns its number."""
    return await visit.write(
        partial(
            write_message,
            account_id=visit.visitor.account_id,
            reply_to=parse_address(body.reply_to, field="reply_to").text,
            topic=body.topic,
            words=body.words,
            trap=body.website,
            origin=visit.origin,
            now_s=visit.now_s,
        )
    )


async def _contact(visit: Visit) -> Response:
    try:
        number = await written_message(visit, visit.body(ContactMessage))
    except Refused as refusal:
        return visit.again("rights/contact.html", refusal, topics=TOPICS)
    return visit.page("rights/received.html", number=number, what="message", days=30)


async def _report_form(visit: Visit) -> Response:
    return visit.page("rights/report.html", refusal=None, typed={})


async def filed_report(visit: Visit, body: ChildReport) -> str:
    """Writes a report down; returns its number."""
    return await visit.write(
        partial(
            file_report,
            about=body.about,
            words=body.words,
            reporter=parse_address(body.reporter, field="reporter").text if body.reporter else "",
            trap=body.website,
            origin=visit.origin,
            now_s=visit.now_s,
        )
    )


async def _report(visit: Visit) -> Response:
    try:
        number = await filed_report(visit, visit.body(ChildReport))
    except Refused as refusal:
        return visit.again("rights/report.html", refusal)
    return visit.page("rights/received.html", number=number, what="report", days=DECIDED_WITHIN_S // DAY_S)


def _policy_routes() -> tuple[Page, ...]:
    made = []
    for policy in POLICIES:
        made.append(page("GET", policy.path, _policy_page(policy, policy.versions[0]), EVERYBODY, policy.title))
        made += [
            page(
                "GET",
                f"{policy.path}/{version}",
                _policy_page(policy, version),
                EVERYBODY,
                f"{policy.title}, version {version}",
            )
            for version in policy.versions
        ]
    return tuple(made)


ROUTES: Final[tuple[Page, ...]] = (
    *_policy_routes(),
    page("GET", "/retention", _retention, EVERYBODY, "How long data are kept"),
    page("GET", "/providers", _providers, EVERYBODY, "Who else receives data"),
    page("GET", "/lawful-requests", _lawful, EVERYBODY, "Authorities' requests, counted"),
    page("GET", "/contact", _contact_form, EVERYBODY, "Writing to the operator"),
    page("POST", "/contact", _contact, EVERYBODY, "Write to the operator", body=ContactMessage),
    page("GET", "/report-child", _report_form, EVERYBODY, "Reporting a child's account"),
    page("POST", "/report-child", _report, EVERYBODY, "Report a child's account", body=ChildReport),
)
