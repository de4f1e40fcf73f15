"""P6, for signing in: of where somebody is, the IP prefix and the browser's family are kept, and nothing finer."""

from pathlib import Path

from tests.browsing import Browser, new_office
from tests.people_made import PASSWORD, add_account, key_in, mails

ADDRESS = "203.0.113.77"
AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0.3-odd"


async def test_signing_in_keeps_a_prefix_and_a_family_alone(tmp_path: Path) -> None:
    office = new_office(tmp_path)
    add_account(office.database, "known@example.org")
    async with Browser(office, client=ADDRESS, agent=AGENT) as browser:
        await browser.open("/sign-up")
        await browser.submit(
            "/sign-up",
            email="ann@example.org",
            display_name="Ann",
            password=PASSWORD,
            of_age="yes",
            accepts_notice="yes",
        )
        await browser.open(f"/verify?key={key_in(mails(office.database)[0][2])}")
        await browser.submit("/verify", password=PASSWORD)
        assert "Firefox" in (await browser.open("/account/sessions")).text
        await browser.open("/sign-in")
        await browser.submit("/sign-in", email="known@example.org", password="not the password")
    kept = {
        table: office.database.read(lambda transaction, table=table: transaction.rows(f"SELECT * FROM {table}"))
        for table in office.database.tables()
    }
    assert kept["session"]
    assert kept["attempt_count"]
    assert {prefix for (prefix,) in _column(office, "session", "ip_prefix")} == {"ip4/cb0071"}
    assert {family for (family,) in _column(office, "session", "browser_family")} == {"Firefox"}
    for table, rows in kept.items():
        assert ADDRESS not in repr(rows), table
        assert "128.0" not in repr(rows), table
    office.database.close()
    for path in tmp_path.rglob("*.sqlite*"):
        assert ADDRESS.encode() not in path.read_bytes()


def _column(office, table: str, column: str) -> list[tuple[str]]:
    return office.database.read(lambda transaction: transaction.rows(f"SELECT {column} FROM {table}"))
