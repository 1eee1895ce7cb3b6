"""A real browser on a running site: logged in by a one-time link, with what its console complains about kept."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Error, Page, expect, sync_playwright

from tests.support.require import require
from tests.support.site import Site

ROOT = Path(__file__).resolve().parents[2]
AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
IMPACTS = ("serious", "critical")
TIMEOUT_MS = 30_000


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run the distribution's chromium."""
    program = require("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(program), args=FLAGS)
        yield browser
        browser.close()


@dataclass
class Visitor:
    """One browser window on the site."""

    site: Site
    context: BrowserContext
    page: Page
    complaints: list[str] = field(default_factory=list)
    disturbed: bool = False

    def heard(self, message: ConsoleMessage) -> None:
        """Keep what the console complains about."""
        if "ERR_NETWORK_CHANGED" in message.text:
            # Containers of other tests come and go with their interfaces; the browser then drops what it loads.
            self.disturbed = True
        elif message.type == "error":
            self.complaints.append(f"{self.page.url}: {message.text}")

    def open(self, path: str) -> Page:
        """Go to a path of the site."""
        self.disturbed = False
        try:
            self.page.goto(f"{self.site.url}{path}")
        except Error as error:
            if "ERR_NETWORK_CHANGED" not in error.message:
                raise
            self.disturbed = True
        if self.disturbed:
            self.page.goto(f"{self.site.url}{path}")
        return self.page

    def violations(self) -> list[str]:
        """What axe-core finds on the page that is serious or critical, one line each."""
        session = self.context.new_cdp_session(self.page)
        session.send("Runtime.evaluate", {"expression": AXE.read_text()})
        found = self.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        return [
            f"{self.page.url} {violation['id']}: {node['html'][:200]} {node['failureSummary'][:200]}"
            for violation in found["violations"]
            if violation["impact"] in IMPACTS
            for node in violation["nodes"][:3]
        ]

    def overflow(self) -> int:
        """How many pixels the page is wider than the window."""
        return int(self.page.evaluate("document.documentElement.scrollWidth - window.innerWidth"))


@contextmanager
def visitor(
    browser: Browser, site: Site, *, width: int = 1440, theme: str = "light", state: str = ""
) -> Iterator[Visitor]:
    """A window of `width` pixels; `state`: the cookies of somebody who is logged in already, as JSON."""
    context = browser.new_context(
        viewport={"width": width, "height": 900},
        color_scheme="dark" if theme == "dark" else "light",
        storage_state=json.loads(state) if state else None,
    )
    context.set_default_timeout(TIMEOUT_MS)
    expect.set_options(timeout=TIMEOUT_MS)
    page = context.new_page()
    window = Visitor(site, context, page)
    page.on("console", window.heard)
    page.on("pageerror", lambda error: window.complaints.append(f"{page.url}: {error}"))
    try:
        yield window
    finally:
        context.close()


def log_in(window: Visitor) -> str:
    """Log in with a one-time link; return the cookies for further windows."""
    link = window.site.json("user", "login-link")["login_url"]
    window.page.goto(link)
    window.page.get_by_role("button", name="Log in").click()
    window.page.wait_for_selector(".avatar-button")
    return json.dumps(window.context.storage_state())
