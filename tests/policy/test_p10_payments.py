"""P10: payments go through the provider; no card number reaches us, and who receives data is listed."""

import re
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from bootstrap.money.journal import balance_of, person
from bootstrap.money.payouts import payouts_of
from bootstrap.money.purchases import purchases_of
from bootstrap.money.settings import MICROCREDITS
from bootstrap.portal.money_jobs import run_cashier
from bootstrap.portal.office import Office
from bootstrap.portal.table import ROUTES
from tests.browsing import Browser, forms_in, new_office
from tests.money_house import House, quiet
from tests.people_made import add_account, signed_in

CARD = "4111 1111 1111 1111"
PAYS = re.compile(r"card|cvc|cvv|iban|bic\b|bank|sort_code|routing_number|account_number|expiry|holder", re.IGNORECASE)
DAY_S = 24 * 3600


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    made = new_office(tmp_path)
    object.__setattr__(made.cashier.provider, "faults", quiet())
    yield made
    made.database.close()


@pytest.fixture
def house(office: Office) -> House:
    return House(office.database)


def test_no_column_and_no_field_is_for_a_card_or_a_bank_account(office: Office):
    columns = [f"{table}.{name}" for table, names in office.database.tables().items() for name in names]
    assert len(columns) > 100
    assert [name for name in columns if PAYS.search(name)] == []
    fields = [
        f"{route.path} {each.name}" for route in ROUTES if route.body is not None for each in attrs.fields(route.body)
    ]
    assert len(fields) > 20
    assert [name for name in fields if PAYS.search(name.partition(" ")[2])] == []


async def filled_with_a_card(browser: Browser, path: str) -> None:
    """Sends every form of a page with the card's number in every field that a person can type in or change."""
    await browser.open(path)
    for form in forms_in(browser.page.text):
        if form.method == "post" and form.action != "/sign-out":
            values = {name: CARD for name in form.values if name != "csrf_token"}
            await browser.open(path)
            await browser.submit(form.action, **values)


async def test_a_card_number_that_somebody_types_anyway_is_kept_nowhere(office: Office, tmp_path: Path):
    ann = add_account(office.database)
    browser = signed_in(office, ann)
    await browser.open("/credits")
    await browser.submit("/purchases", pack="10")
    bought = browser.page.url.path
    hosted = re.search(r'href="(http[^"]*/test-provider[^"]*)"', browser.page.text)
    assert hosted is not None
    await browser.open(hosted[1])
    main = browser.page.text.partition("<main")[2].partition("</main>")[0]
    typed = re.findall(r"<(?:input|textarea|select)[^>]*>", main)
    assert typed, "the provider's page has a form"
    assert all('type="hidden"' in each for each in typed), "nothing can be typed on the test provider's page"
    for path in ("/credits", bought, hosted[1], "/earnings", "/statements"):
        await filled_with_a_card(browser, path)
    await run_cashier(office)
    kept = "".join(path.read_bytes().decode("latin-1") for path in tmp_path.rglob("*") if path.is_file())
    assert "purchase/" in kept
    assert CARD not in kept
    assert CARD.replace(" ", "") not in kept


def has(house: House, kind: str) -> int:
    return house.database.read(lambda transaction: balance_of(transaction, person(kind, "ann")))


def test_credits_are_there_only_once_the_payment_has_cleared(house: House):
    from bootstrap.money.purchases import start_purchase

    house.account("ann")
    name = house.write(start_purchase, house.config, "ann", "10", house.now_s)
    house.step()
    house.pay(f"purchase/{name}")
    house.step()
    assert [each.state for each in house.read(purchases_of, "ann")] == ["paid"]
    assert has(house, "bought") == 0
    house.step(10)
    assert [each.state for each in house.read(purchases_of, "ann")] == ["cleared"]
    assert has(house, "bought") == 10 * MICROCREDITS


def test_a_payout_that_timed_out_is_neither_lost_nor_paid_twice(office: Office):
    from bootstrap.money.payouts import ask_payout

    house = House(office.database, faults=quiet(timeout_after=1.0))
    house.account("ann")
    house.payee("ann")
    house.earn("ann", 100, at_s=house.now_s - 60 * DAY_S)
    house.write(ask_payout, house.config, house.hosts, "ann", house.now_s)
    house.settle(seconds=3_700, times=15)
    house.assert_books_balance()
    paid = house.read(
        lambda transaction: transaction.rows("SELECT state, amount FROM offline_thing WHERE kind = 'payout'")
    )
    assert paid == [("paid", 4_000)]
    assert [each.state for each in house.read(payouts_of, "ann")] == ["paid"]
    assert (has(house, "earned"), has(house, "paying")) == (0, 0)


def test_what_the_provider_says_twice_counts_once(office: Office):
    from bootstrap.money.purchases import start_purchase

    house = House(office.database, faults=quiet(event_twice=1.0, event_late=0.5))
    house.account("ann")
    name = house.write(start_purchase, house.config, "ann", "10", house.now_s)
    house.step()
    house.pay(f"purchase/{name}")
    house.settle(seconds=61, times=8)
    assert has(house, "bought") == 10 * MICROCREDITS
    house.assert_books_balance()


async def test_providers_are_listed_with_what_they_receive(office: Office):
    browser = Browser(office)
    await browser.open("/providers")
    assert browser.page.status_code == 200
    for word in ("the amount and the number of credits", "no card, no bank account", "your e-mail address"):
        assert word in browser.text
