"""Pages and API of money: a person buys, redeems, withdraws, is paid; an operator refunds, gives, reads the books."""

import base64
import csv
import hashlib
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from attrs import define, field

from bootstrap.issuing import SigningRefused
from bootstrap.money.codes import make_codes
from bootstrap.money.earnings import Settlement
from bootstrap.money.journal import balance_of, house, move, person
from bootstrap.money.settings import MICROCREDITS
from bootstrap.money.statements import neutral
from bootstrap.portal.money_jobs import count_earnings, finish_withdrawals, run_cashier
from bootstrap.portal.office import Office
from bootstrap.portal.pages import credits_about, credits_column, credits_text, month_name
from bootstrap.refusal import Refused
from tests.browsing import Browser, new_office
from tests.money_house import KnownHosts, quiet
from tests.people_made import add_account, signed_in, token_for

NOW_S = 1_795_800_000
DAY_S = 24 * 3600


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    made = new_office(tmp_path)
    made.now_s = lambda: NOW_S
    # The provider is as good as none of them is: its faults have tests of their own.
    object.__setattr__(made.cashier.provider, "faults", quiet())
    yield made
    made.database.close()


def pass_time(office: Office, seconds: int) -> None:
    at_s = office.now_s() + seconds
    office.now_s = lambda: at_s


async def later(office: Office, seconds: int = 6) -> None:
    pass_time(office, seconds)
    await run_cashier(office)


@pytest.fixture
def ann(office: Office) -> str:
    return add_account(office.database, "ann@example.org")


def has(office: Office, kind: str, account: str) -> int:
    return office.database.read(lambda transaction: balance_of(transaction, person(kind, account)))


def give(office: Office, account: str, kind: str, credits_: int) -> None:
    source = house({"bought": "sold", "granted": "given", "earned": "settled"}[kind])
    office.database.write(
        lambda transaction: move(
            transaction, f"test/{kind}/{account}", credits_ * MICROCREDITS, debit=source,
            credit=person(kind, account), about="test", now_s=office.now_s(),
        )
    )  # fmt: skip


async def pay(browser: Browser, choice: str = "pay") -> None:
    """From the page of a purchase to the provider's, and back."""
    link = browser.page.text.partition('class="button" href="http')[2].partition('"')[0]
    assert link, browser.text
    await browser.open("http" + link.replace("&amp;", "&"))
    assert "No money moves here" in browser.text
    await browser.submit("/test-provider", choice=choice)


async def test_a_person_buys_credits(office: Office, ann: str):
    browser = signed_in(office, ann)
    await browser.open("/credits")
    await browser.submit("/purchases", pack="10")
    assert "waits to be paid" in browser.text
    await pay(browser)
    await later(office, 0)
    await browser.open(str(browser.page.url))
    assert "clearing" in browser.text
    assert has(office, "bought", ann) == 0
    await later(office)
    await browser.open("/credits")
    assert "10 bought, 0 given" in browser.text
    await browser.open("/dashboard")
    assert "credits to spend" in browser.text


async def test_the_hosted_page_has_no_field_for_a_card(office: Office, ann: str):
    browser = signed_in(office, ann)
    await browser.open("/credits")
    await browser.submit("/purchases", pack="10")
    link = browser.page.text.partition('class="button" href="')[2].partition('"')[0]
    page = (await browser.open(link)).text
    main = page[page.index("<main") : page.index("</main>")]
    assert {part.split('"')[0] for part in main.split('name="')[1:]} == {"csrf_token", "checkout", "choice"}
    assert (await browser.open("/test-provider?checkout=none")).status_code == 404


async def test_a_purchase_is_given_back(office: Office, ann: str):
    browser = signed_in(office, ann)
    await browser.open("/credits")
    await browser.submit("/purchases", pack="10")
    await pay(browser)
    await later(office, 0)
    await later(office)
    await browser.open(str(browser.page.url))
    await browser.submit(browser.page.url.path + "/regret")
    assert "Your money is on its way back" in browser.text
    await later(office)
    assert has(office, "bought", ann) == 0


async def test_what_is_refused_is_said_on_the_page(office: Office, ann: str):
    browser = signed_in(office, ann)
    await browser.open("/credits")
    answer = await browser.submit("/codes", code="WRONG-CODE")
    assert answer.status_code == 409
    assert "That is no code" in browser.text
    assert 'value="WRONG-CODE"' in browser.page.text
    await browser.submit("/purchases", pack="7")
    assert "not in the price list" in browser.text


async def test_a_code_is_redeemed(office: Office, ann: str):
    (code,) = office.database.write(
        lambda transaction: make_codes(transaction, 1, 3 * MICROCREDITS, "x", NOW_S + DAY_S, by="op", now_s=NOW_S)
    )
    browser = signed_in(office, ann)
    await browser.open("/credits")
    await browser.submit("/codes", code=code)
    assert "0 bought, 3 given" in browser.text


async def test_a_person_subscribes_and_cancels(office: Office, ann: str):
    browser = signed_in(office, ann)
    await browser.open("/credits")
    await browser.submit("/subscriptions", plan="basic")
    path = browser.page.url.path
    await pay(browser)
    for _ in range(3):
        await later(office)
    await browser.open(path)
    assert "active" in browser.text
    assert has(office, "bought", ann) == 20 * MICROCREDITS
    await browser.submit(path + "/cancel")
    assert "ends soon" in browser.text


async def test_a_host_operator_is_paid(office: Office, ann: str):
    browser = signed_in(office, ann)
    give(office, ann, "earned", 100)
    await browser.open("/earnings")
    await browser.submit("/payouts")
    assert "tell the payment provider first" in browser.text.lower()
    await browser.submit("/payee")
    await pay(browser, "agree")
    await later(office, 0)
    await browser.open("/earnings")
    assert "knows where you are paid" in browser.text
    await browser.submit("/payouts")
    assert "on its way" in browser.text
    await later(office)
    await browser.open(str(browser.page.url))
    assert "Payout of 40.00 EUR" in browser.text
    assert has(office, "earned", ann) == 0


async def test_a_payout_asks_again_who_it_is(office: Office, ann: str):
    give(office, ann, "earned", 100)
    browser = signed_in(office, ann)
    await browser.open("/earnings")
    office.database.write(lambda transaction: transaction.execute("UPDATE session SET proved_at_s = 1"))
    await browser.submit("/payouts")
    assert browser.page.url.path == "/prove"


async def test_a_statement_says_what_came_and_went(office: Office, ann: str):
    give(office, ann, "bought", 5)
    browser = signed_in(office, ann)
    await browser.open("/statements?month=2026-11")
    assert browser.text.count("Closing balance 5") == 1
    answer = await browser.http.get("/statements/csv?month=2026-11")
    assert "attachment" in answer.headers["content-disposition"]
    rows = list(csv.reader(io.StringIO(answer.text)))
    assert rows[0] == ["date", "what", "credits", "money", "currency"]
    assert rows[-1][2] == "5"
    assert (await browser.open("/statements?month=2026-13")).status_code == 422
    assert (await browser.open("/statements?kind=all")).status_code == 422
    before = await browser.open("/statements?month=2026-10")
    assert before.status_code == 200
    assert "Closing balance 0" in browser.text


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\t=1", "\r=1"])
def test_no_cell_is_a_formula(text: str):
    assert neutral(text) == "'" + text
    assert neutral("a=1") == "a=1"


async def test_an_operator_refunds_gives_and_makes_codes(office: Office, ann: str):
    operator = signed_in(office, add_account(office.database, "op@example.org", roles=("operator",)))
    browser = signed_in(office, ann)
    await browser.open("/credits")
    await browser.submit("/purchases", pack="10")
    name = browser.page.url.path.rpartition("/")[2]
    await pay(browser)
    await later(office, 0)
    await later(office)
    await operator.open(f"/desk/purchases/{name}")
    await operator.submit(f"/desk/purchases/{name}/refund", amount="9.00", reason="a bad week")
    assert "at most 500 cents" in operator.text.lower()
    await operator.submit(f"/desk/purchases/{name}/refund", amount="2.00", reason="a bad week")
    assert has(office, "bought", ann) == 6 * MICROCREDITS
    await operator.open("/desk/gifts")
    await operator.submit("/desk/grants", account=ann, credits="1.5", reason="for a talk")
    assert has(office, "granted", ann) == 1_500_000
    await operator.submit("/desk/grants", account="nobody", credits="1.5", reason="for a talk")
    assert "There is no account of that id" in operator.text
    await operator.submit("/desk/codes", count="2", credits="x", label="fair", days="9")
    assert "Write credits, such as 12.5" in operator.text
    await operator.submit("/desk/codes", count="2", credits="4", label="<b>fair</b>", days="9")
    assert "shown here once" in operator.text
    assert "<b>fair" not in operator.page.text
    await operator.open("/desk/money")
    assert "Trial balance" in operator.page.text
    await operator.open("/desk")
    assert "calls wait for the payment provider" in operator.text


@define
class FakeIssuer:
    """An issuer that keeps the contract of `Issuing`, and signs by hashing."""

    refusals: list[SigningRefused] = field(factory=list)
    asked: list[bytes] = field(factory=list)

    def keys(self) -> Sequence[object]:
        return ()

    async def sign(self, request_id: bytes, credit_class: str, denomination: int, blinded: Sequence[bytes]):
        self.asked.append(request_id)
        if self.refusals:
            raise self.refusals.pop()
        return [hashlib.shake_256(credit_class.encode() + each).digest(256) for each in blinded]


def asking(number: int = 1, count: int = 2, **changed: object) -> dict[str, object]:
    blinded = [base64.b64encode(bytes([number, each]) * 128).decode() for each in range(count)]
    return {
        "request_id": bytes([number]).hex() * 32, "class": "bought", "denomination": 1_000_000, "blinded": blinded,
    } | changed  # fmt: skip


WITHDRAW = "/api/v1/credits/withdrawals"


async def test_a_wallet_withdraws_and_may_ask_again(office: Office, ann: str):
    office.issuer = FakeIssuer()
    give(office, ann, "bought", 5)
    program, token = Browser(office), f"Bearer {token_for(office, ann, 'credits')}"
    first = await program.call("POST", WITHDRAW, asking(), authorization=token)
    assert first.status_code == 200, first.text
    assert len(first.json()["signatures"]) == 2
    again = await program.call("POST", WITHDRAW, asking(), authorization=token)
    assert again.json() == first.json()
    assert has(office, "bought", ann) == 3 * MICROCREDITS
    assert len(office.issuer.asked) == 1
    other = await program.call("POST", WITHDRAW, asking(denomination=100_000), authorization=token)
    assert other.json()["reason"] == "request_id_taken"
    much = await program.call("POST", WITHDRAW, asking(2, 4), authorization=token)
    assert (much.status_code, much.json()["reason"]) == (402, "too_few_credits")
    granted = await program.call("POST", WITHDRAW, asking(3, **{"class": "granted"}), authorization=token)
    assert granted.json()["reason"] == "too_few_credits"
    page = await signed_in(office, ann).open("/credits")
    assert "2 credits</td>" in page.text
    usage = await program.call("GET", "/api/v1/usage", authorization=token)
    assert [day["withdrawn_microcredits"] for day in usage.json()["days"]] == [2 * MICROCREDITS]


@pytest.mark.parametrize(
    "change",
    [
        {"request_id": "00"},
        {"denomination": 7},
        {"class": "earned"},
        {"blinded": []},
        {"blinded": ["AAAA"]},
        {"blinded": ["not base64!"]},
    ],
)
async def test_a_withdrawal_that_is_none_takes_nothing(office: Office, ann: str, change: dict[str, object]):
    office.issuer = FakeIssuer()
    give(office, ann, "bought", 5)
    token = f"Bearer {token_for(office, ann, 'credits')}"
    answer = await Browser(office).call("POST", WITHDRAW, asking(**change), authorization=token)
    assert answer.status_code == 422, answer.text
    assert has(office, "bought", ann) == 5 * MICROCREDITS


async def test_another_persons_request_id_is_another_request(office: Office, ann: str):
    """Two accounts with one request id: the second neither gets the first's signatures, nor loses by trying."""
    office.issuer = FakeIssuer()
    bob = add_account(office.database, "bob@example.org")
    give(office, ann, "bought", 5)
    first = await Browser(office).call(
        "POST", WITHDRAW, asking(), authorization=f"Bearer {token_for(office, ann, 'credits')}"
    )
    second = await Browser(office).call(
        "POST", WITHDRAW, asking(), authorization=f"Bearer {token_for(office, bob, 'credits')}"
    )
    assert first.status_code == 200
    assert second.json()["reason"] == "too_few_credits"


async def test_a_job_finishes_what_a_crash_left(office: Office, ann: str):
    busy = SigningRefused("later", reason="busy")
    office.issuer = FakeIssuer(refusals=[busy, busy])
    give(office, ann, "bought", 5)
    token = f"Bearer {token_for(office, ann, 'credits')}"
    answer = await Browser(office).call("POST", WITHDRAW, asking(), authorization=token)
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "5"
    assert has(office, "bought", ann) == 3 * MICROCREDITS
    pass_time(office, 60)
    await finish_withdrawals(office)  # the issuer is still busy
    await finish_withdrawals(office)
    answer = await Browser(office).call("POST", WITHDRAW, asking(), authorization=token)
    assert len(answer.json()["signatures"]) == 2
    assert len(office.issuer.asked) == 3
    pass_time(office, 8 * DAY_S)
    await finish_withdrawals(office)
    answer = await Browser(office).call("POST", WITHDRAW, asking(), authorization=token)
    assert answer.json()["reason"] == "forgotten"
    kept = office.database.read(lambda transaction: transaction.rows("SELECT blinded, signatures FROM withdrawal"))
    assert kept == [(None, None)]


async def test_what_the_issuer_never_signs_comes_back(office: Office, ann: str):
    office.issuer = FakeIssuer(refusals=[SigningRefused("over", reason="key_over")])
    give(office, ann, "bought", 5)
    token = f"Bearer {token_for(office, ann, 'credits')}"
    for _ in range(2):
        answer = await Browser(office).call("POST", WITHDRAW, asking(), authorization=token)
        assert answer.json()["reason"] == "not_signed"
    assert has(office, "bought", ann) == 5 * MICROCREDITS
    assert len(office.issuer.asked) == 1


@define
class LateIssuer(FakeIssuer):
    """An issuer that signs, and is asked once more before its answer is there: that time it refuses for good."""

    office: Office = field(kw_only=True)

    async def sign(self, request_id: bytes, credit_class: str, denomination: int, blinded: Sequence[bytes]):
        signatures = await super().sign(request_id, credit_class, denomination, blinded)
        self.refusals.append(SigningRefused("over", reason="key_over"))
        pass_time(self.office, 60)
        await finish_withdrawals(self.office)
        return signatures


async def test_what_came_back_while_it_was_signed_is_handed_out_to_nobody(office: Office, ann: str):
    """Else the credits would be in the account, and in the wallet as well."""
    office.issuer = LateIssuer(office=office)
    give(office, ann, "bought", 5)
    token = f"Bearer {token_for(office, ann, 'credits')}"
    for _ in range(2):
        answer = await Browser(office).call("POST", WITHDRAW, asking(), authorization=token)
        assert answer.json()["reason"] == "not_signed"
    assert has(office, "bought", ann) == 5 * MICROCREDITS
    kept = office.database.read(lambda transaction: transaction.rows("SELECT state, signatures FROM withdrawal"))
    assert kept == [("returned", None)]


async def test_without_an_issuer_nothing_is_withdrawn(office: Office, ann: str):
    token = f"Bearer {token_for(office, ann, 'credits')}"
    answer = await Browser(office).call("POST", WITHDRAW, asking(), authorization=token)
    assert answer.json()["reason"] == "no_issuer"
    assert (await Browser(office).call("GET", "/api/v1/credits/keys")).json()["reason"] == "no_issuer"


async def test_the_api_does_what_the_pages_do(office: Office, ann: str):
    program = Browser(office)
    token = f"Bearer {token_for(office, ann, 'credits', 'hosts', proved=True)}"
    prices = (await program.call("GET", "/api/v1/prices")).json()
    assert prices["packs"][0] == {"pack": "10", "microcredits": 10 * MICROCREDITS, "cents": 500}
    bought = (await program.call("POST", "/api/v1/purchases", {"pack": "10"}, authorization=token)).json()
    assert bought["state"] == "open"
    assert bought["url"].startswith("http://127.0.0.1:8470/test-provider?checkout=")
    checkout = bought["url"].partition("=")[2]
    assert office.cashier.provider.choose(checkout, "pay")
    await later(office, 0)
    await later(office)
    shown = await program.call("GET", f"/api/v1/purchases/{bought['purchase']}", authorization=token)
    assert shown.json()["state"] == "cleared"
    assert len((await program.call("GET", "/api/v1/purchases", authorization=token)).json()["purchases"]) == 1
    balance = (await program.call("GET", "/api/v1/balance", authorization=token)).json()
    assert balance["bought_microcredits"] == 10 * MICROCREDITS
    made = await program.call("POST", "/api/v1/subscriptions", {"plan": "plus"}, authorization=token)
    assert made.status_code == 201
    path = f"/api/v1/subscriptions/{made.json()['subscription']}/cancel"
    assert (await program.call("POST", path, {}, authorization=token)).json()["cancelled"] is True
    said = (await program.call("GET", "/api/v1/statements?month=2026-11", authorization=token)).json()
    assert [(line["what"], line["cents"]) for line in said["lines"]] == [("Credits bought", 500)]
    assert (await program.call("POST", "/api/v1/payee", {}, authorization=token)).json()["state"] == "open"
    earned = (await program.call("GET", "/api/v1/earnings", authorization=token)).json()
    assert earned["payable_cents"] == 0
    refused = await program.call("POST", "/api/v1/payouts", {}, authorization=token)
    assert refused.json()["reason"] == "no_payee"


async def test_a_provider_s_event_needs_its_signature(office: Office):
    program = Browser(office)
    body = json.dumps({"id": "x", "key": "purchase/none"}).encode()
    for signature, status in (("00", 403), (office.cashier.provider._signature(body), 200)):
        answer = await program.http.post(
            "/api/v1/payment-events",
            content=body,
            headers={"content-type": "application/json", "peernet-signature": signature},
        )
        assert answer.status_code == status, answer.text


@define
class FakeLog:
    entries: list[Settlement]
    name: str = "log.example/1"

    def settlements(self, start: int, most: int):
        end = min(len(self.entries), start + most)
        return self.entries[start:end], max(start, end)


async def test_the_job_reads_the_log_once_and_gives_to_late_owners(office: Office, ann: str):
    hosts = KnownHosts({b"a" * 32: ann})
    object.__setattr__(office.cashier, "hosts", hosts)
    log = FakeLog([Settlement(0, b"a" * 32, 5, NOW_S), Settlement(1, b"b" * 32, 7, NOW_S)])
    office.settlements = log
    await count_earnings(office)
    await count_earnings(office)
    assert has(office, "earned", ann) == 5
    hosts.owners[b"b" * 32] = ann
    log.entries.append(Settlement(2, b"a" * 32, 11, NOW_S))
    await count_earnings(office)
    assert has(office, "earned", ann) == 23


@pytest.mark.parametrize("typed", ["", "0", "-1", "1e3", "1.0000001", "NaN", "99999999999", "1,2,3", "٣"])
def test_an_amount_that_is_none_is_refused(typed: str):
    from bootstrap.portal.amounts import microcredits_in

    with pytest.raises(Refused):
        microcredits_in(typed, "credits")


def test_amounts_are_shown_exactly_or_as_less():
    assert [credits_text(n) for n in (0, 1_250_000, 9_634_510)] == ["0", "1.25", "9.63451"]
    assert [credits_about(n) for n in (9_999_999, 40_000_000, 4_999, -1_239_999)] == ["9.99", "40", "0", "\u22121.23"]
    exact = ["9.634510", "\u22120.000001", "1\u202f234.000000"]
    assert [credits_column(n) for n in (9_634_510, -1, 1_234_000_000)] == exact
    assert month_name("2026-11") == "November 2026"


def test_amounts_are_exact():
    from bootstrap.portal.amounts import cents_in, microcredits_in

    assert microcredits_in(" 12.000001 ", "credits") == 12_000_001
    assert cents_in("1 234,5", "amount") == 123_450
