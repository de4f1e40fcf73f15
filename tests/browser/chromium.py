"""Chromium of the system, without a window, driven by Playwright; and axe-core, which finds what keeps people out."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import resources
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

__all__ = ["PHONE", "WIDE", "Watched", "axe_problems", "chromium_path", "open_context", "running_chromium"]

PHONE: Final = (360, 740)
WIDE: Final = (1280, 900)
NAMES: Final = ("chromium", "chromium-browser", "google-chrome")
TAGS: Final = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
TIMEOUT_MS: Final = 10_000


def chromium_path() -> str | None:
    """Where it is; None where there is none."""
    return next((path for name in NAMES if (path := shutil.which(name)) is not None), None)


@contextmanager
def running_chromium() -> Iterator[Browser]:
    """A browser for some tests; skips them where the machine has none."""
    path = chromium_path()
    if path is None:
        pytest.skip("no Chromium here: apt-get install chromium fonts-liberation")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


class Watched:
    """A page that notes what must not happen on it: errors, and requests to anybody else."""

    def __init__(self, page: Page, origin: str) -> None:
        self.page = page
        self.problems: list[str] = []
        page.on("console", lambda message: self._say(message.type in {"error", "warning"}, message.text))
        page.on("pageerror", lambda error: self._say(True, str(error)))
        page.on("request", lambda request: self._say(not request.url.startswith((origin + "/", "data:")), request.url))

    def _say(self, wrong: bool, words: str) -> None:
        if wrong:
            self.problems.append(f"{self.page.url}: {words}")


def open_context(
    browser: Browser,
    origin: str,
    *,
    size: tuple[int, int] = WIDE,
    dark: bool = False,
    cookies: dict[str, str] | None = None,
) -> BrowserContext:
    """A window of its own, with these cookies."""
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme="dark" if dark else "light",
        reduced_motion="reduce",
        has_touch=size == PHONE,
        bypass_csp=False,
    )
    context.set_default_timeout(TIMEOUT_MS)
    context.add_cookies([{"name": name, "value": value, "url": origin} for name, value in (cookies or {}).items()])
    return context


def axe_problems(page: Page, rules: Sequence[str] = ()) -> list[str]:
    """What axe-core has to say about the page: against WCAG 2.2 AA and its own best practices, or some rules."""
    # Evaluated through the debugger, so that the page's policy against foreign scripts stays in force.
    if not page.evaluate("'axe' in window"):
        page.evaluate(_axe())
    found: dict[str, Any] = page.evaluate(
        "runOnly => axe.run(document, {runOnly, resultTypes: ['violations']})",
        {"type": "rule", "values": list(rules)} if rules else {"type": "tag", "values": list(TAGS)},
    )
    return [
        f"{rule['id']}: {rule['help']}: {node['html'][:160]} ({node['failureSummary'][:300]})"
        for rule in found["violations"]
        for node in rule["nodes"]
    ]


def _axe() -> str:
    return resources.files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8")
