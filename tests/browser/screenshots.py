"""Pictures for the documentation, of the portal and the chat page: `make screenshots` writes them to docs/screenshots.

The pages are real ones: of a portal that runs on this machine with a ledger of four nodes, whose figures and people
are made up, and of a gateway before hosts that answer by a script. Each picture has a palette of its own and no
metadata. `python -m tests.browser.screenshots NAME ...` writes only those of these names.
"""

import io
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from attrs import evolve, frozen
from PIL import Image
from playwright.sync_api import Browser

from bootstrap.people.sessions import begin_session
from bootstrap.portal.office import Office
from bootstrap.portal.visit import SESSION_COOKIE
from tests.browser.chat_site import QUESTION, ChatSite, running_chat
from tests.browser.chromium import PHONE, WIDE, chromium_path, open_context, running_chromium
from tests.month_of_use import live_a_month
from tests.people_made import FROM
from tests.portal_site import SITE_NOW_S, Site, new_person, running_site

__all__ = ["PICTURES", "main"]

FOLDER: Final = Path(__file__).resolve().parents[2] / "docs" / "screenshots"
MAX_BYTES: Final = 120_000
COLOURS: Final = (128, 64, 32)
"""Of a picture's palette: fewer where it would be over `MAX_BYTES` else."""


@frozen
class Picture:
    """One of them."""

    name: str
    path: str
    person: bool = False
    """Whether somebody is signed in: one who may see everything."""
    size: tuple[int, int] = WIDE
    dark: bool = False
    whole: bool = False
    """Whether all of the page is in it, and not the first screen alone."""


PICTURES: Final = (
    Picture("home", "/", whole=True),
    Picture("home-phone", "/", size=PHONE),
    Picture("how-dark", "/how", dark=True),
    Picture("ledger", "/ledger"),
    Picture("entry", "/ledger/entries/3"),
    Picture("transparency", "/transparency", whole=True),
    Picture("sign-up", "/sign-up"),
    Picture("dashboard", "/dashboard", person=True),
    Picture("dashboard-phone-dark", "/dashboard", person=True, size=PHONE, dark=True),
    Picture("credits", "/credits", person=True, whole=True),
    Picture("hosts", "/hosts", person=True),
    Picture("host", "/hosts/{host}", person=True, whole=True),
    Picture("host-phone-dark", "/hosts/{host}", person=True, size=PHONE, dark=True),
    Picture("earnings", "/earnings", person=True),
    Picture("statements", "/statements?kind=earnings", person=True),
    Picture("desk", "/desk", person=True),
    Picture("privacy", "/privacy", person=True),
)


CHAT: Final = (
    Picture("chat", "/", size=(1280, 1240)),
    Picture("chat-phone-dark", "/", size=PHONE, dark=True),
)
"""Of the chat page, with a question answered."""


def main(names: Sequence[str]) -> int:
    """Writes them all, or those of these names."""
    if chromium_path() is None:
        print("no Chromium here: apt-get install chromium fonts-liberation", file=sys.stderr)
        return 1
    FOLDER.mkdir(exist_ok=True)
    portal, chat = ([each for each in some if not names or each.name in names] for some in (PICTURES, CHAT))
    with tempfile.TemporaryDirectory() as folder, running_chromium() as chromium:
        if portal:
            with running_site(Path(folder)) as site:
                secret, account = person_after_a_month(site.office)
                for picture in portal:
                    named = evolve(picture, path=picture.path.format(**account))
                    write(named, taken(chromium, site, named, secret))
        if chat:
            with running_chat(Path(folder)) as gateway:
                for picture in chat:
                    write(picture, taken_of_chat(chromium, gateway, picture))
    return 0


def write(picture: Picture, png: bytes) -> None:
    small = compressed(png)
    (FOLDER / f"{picture.name}.png").write_bytes(small)
    print(f"docs/screenshots/{picture.name}.png {len(small):,} bytes")


def taken_of_chat(chromium: Browser, site: ChatSite, picture: Picture) -> bytes:
    with open_context(chromium, site.url, size=picture.size, dark=picture.dark) as context:
        page = context.new_page()
        page.goto(site.url + picture.path)
        page.get_by_label("Your question").fill(QUESTION)
        page.get_by_role("button", name="Ask").click()
        page.locator(".badge.good").wait_for()
        page.locator(".text:not([aria-busy])").wait_for()
        page.evaluate("document.activeElement.blur()")
        page.locator(".panel").evaluate("panel => panel.scrollIntoView({block: 'start'})")
        return page.screenshot()


def person_after_a_month(office: Office) -> tuple[str, dict[str, str]]:
    """Somebody who may see everything, after a month of use; the cookie, and what paths may name."""
    secret = new_person(office, "ann", "Ann Example", "host", "operator", "auditor")
    new_person(office, "olga", "Olga Example", "operator")
    ids = {
        name: office.database.read(
            lambda transaction, email=f"{name}@example.org": transaction.row(
                "SELECT id FROM account WHERE email = :email", email=email
            )
        )[0]
        for name in ("ann", "olga")
    }
    live_a_month(office, ids["ann"], ids["olga"], SITE_NOW_S)
    office.database.write(
        lambda transaction: transaction.execute("DELETE FROM session WHERE account_id = :id", id=ids["ann"])
    )
    secret = office.database.write(lambda transaction: begin_session(transaction, ids["ann"], FROM, SITE_NOW_S))
    host = office.database.read(lambda transaction: transaction.row("SELECT id FROM host WHERE name = 'cellar'"))[0]
    return secret, {"host": host}


def taken(chromium: Browser, site: Site, picture: Picture, secret: str) -> bytes:
    cookies = {SESSION_COOKIE: secret} if picture.person else {}
    with open_context(chromium, site.url, size=picture.size, dark=picture.dark, cookies=cookies) as context:
        page = context.new_page()
        response = page.goto(site.url + picture.path)
        assert response is not None
        assert response.ok, picture.path
        if page.locator("#proof").count():
            page.locator("#verdict[data-result]").wait_for()
        return page.screenshot(full_page=picture.whole)


def compressed(png: bytes) -> bytes:
    """The picture with a palette, as small as it must be."""
    image = Image.open(io.BytesIO(png)).convert("RGB")
    written = b""
    for colours in COLOURS:
        out = io.BytesIO()
        image.quantize(colours, dither=Image.Dither.NONE).save(out, "PNG", optimize=True)
        written = out.getvalue()
        if len(written) <= MAX_BYTES:
            break
    return written


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
