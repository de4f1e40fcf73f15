"""Pictures of the portal for the documentation: `make screenshots` writes them to docs/screenshots.

The pages are real ones, of a portal that runs on this machine with a ledger of four nodes; figures and people are
made up. Each picture has a palette of its own and no metadata.
"""

import io
import sys
import tempfile
from pathlib import Path
from typing import Final

from attrs import frozen
from PIL import Image
from playwright.sync_api import Browser

from bootstrap.portal.visit import SESSION_COOKIE
from tests.browser.chromium import PHONE, WIDE, chromium_path, open_context, running_chromium
from tests.portal_site import Site, new_person, running_site

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
    Picture("credits", "/credits", person=True),
    Picture("desk", "/desk", person=True),
    Picture("privacy", "/privacy", person=True),
)


def main() -> int:
    """Writes them all."""
    if chromium_path() is None:
        print("no Chromium here: apt-get install chromium fonts-liberation", file=sys.stderr)
        return 1
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, running_site(Path(folder)) as site, running_chromium() as chromium:
        secret = new_person(site.office, "ann", "Ann Example", "host", "operator", "auditor")
        for picture in PICTURES:
            png = compressed(taken(chromium, site, picture, secret))
            (FOLDER / f"{picture.name}.png").write_bytes(png)
            print(f"docs/screenshots/{picture.name}.png {len(png):,} bytes")
    return 0


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
    raise SystemExit(main())
