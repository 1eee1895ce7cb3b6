"""The terminal page in a real browser: type, see, resize, paste, leave by keyboard, end, come back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.browser import Visitor, visitor
from tests.e2e.working import deploy, ensemble, reached, shut_down
from tests.support.site import Site

SIZE = "window.dmsTerminal.size()"
TEXT = "window.dmsTerminal.text()"


@pytest.fixture(scope="module")
def deployment(site: Site, cookies: str) -> Iterator[str]:
    """A sandboxed service that waits."""
    made = deploy(site, ensemble("while :; do sleep 0.2; done", executor="process"), Name="waits")
    reached(site, made, "Running")
    yield made
    shut_down(site, made)


def shows(page: Page, text: str) -> None:
    """Wait until the terminal shows `text`."""
    page.wait_for_function(f"text => {TEXT}.includes(text)", arg=text)


def connected(window: Visitor, deployment: str) -> Page:
    page = window.open(f"/deployments/{deployment}/terminal/here.one/")
    expect(page.locator("#terminal-state")).to_have_text("connected")
    return page


def test_a_running_allocation_leads_to_its_terminal_and_answers(window: Visitor, deployment: str) -> None:
    page = window.open(f"/deployments/{deployment}/")
    page.get_by_role("link", name="Terminal in here.one").click()
    expect(page.locator("#terminal-state")).to_have_text("connected")
    page.keyboard.type("echo an''swer-$((6*7)) ; tty\n")
    shows(page, "answer-42")
    shows(page, "/dev/pts/")
    window.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.evaluate("text => navigator.clipboard.writeText(text)", "printf '%s|%s|\\n' 'ä漢字😀é' e''nd")
    page.get_by_role("button", name="Paste").click()
    shows(page, "e''nd")
    page.keyboard.press("Enter")
    shows(page, "ä漢字😀é|end|")
    # Colours come as classes, and as inline styles that the policy lets a script set.
    page.keyboard.type("printf '\\033[38;2;10;200;30mtrue''colour\\033[0m\\n'\n")
    shows(page, "truecolour")
    colour = (
        "[...document.querySelectorAll('.xterm-rows span')].some(s => s.style.color === 'rgb(10, 200, 30)')"
    )
    page.wait_for_function(colour)
    page.keyboard.type("exit 7\n")
    expect(page.locator("#terminal-state")).to_have_text("exit code 7")
    expect(page.get_by_role("button", name="New shell")).to_be_focused()


def test_the_shell_follows_the_windows_size(window: Visitor, deployment: str) -> None:
    page = connected(window, deployment)
    before = page.evaluate(SIZE)
    page.keyboard.type("stty size; echo fir''st\n")
    shows(page, "first")
    assert f"\n{before[0]} {before[1]}\n" in page.evaluate(TEXT)
    page.set_viewport_size({"width": 800, "height": 700})
    page.wait_for_function(f"before => {SIZE}[1] !== before", arg=before[1])
    after = page.evaluate(SIZE)
    wanted = f"{after[0]} {after[1]}"
    page.keyboard.type(f"until stty size | grep -x '{wanted}'; do sleep 0.1; done; echo sec''ond\n")
    shows(page, "second")


def test_the_keyboard_is_not_trapped_and_the_end_is_a_click(window: Visitor, deployment: str) -> None:
    page = connected(window, deployment)
    page.keyboard.press("Tab")
    expect(page.locator(".xterm-helper-textarea")).to_be_focused()
    page.keyboard.press("Control+Shift+X")
    expect(page.get_by_role("button", name="End")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#terminal-state")).to_have_text("ended")
    page.get_by_role("button", name="New shell").click()
    expect(page.locator("#terminal-state")).to_have_text("connected")
    page.keyboard.type("echo ag''ain\n")
    shows(page, "again")


def test_a_flood_is_held_up_and_can_be_ended(window: Visitor, deployment: str) -> None:
    page = connected(window, deployment)
    page.keyboard.type("yes flooding\n")
    shows(page, "flooding\nflooding")
    page.keyboard.press("Control+C")
    page.keyboard.type("echo o''ver\n")
    shows(page, "over")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_is_usable_on_a_phone_and_clean(
    site: Site, browser: Browser, cookies: str, deployment: str, theme: str
) -> None:
    with visitor(browser, site, state=cookies, width=390, theme=theme) as window:
        page = connected(window, deployment)
        page.keyboard.type("sleep 100\n")
        shows(page, "sleep 100")
        page.get_by_role("button", name="Ctrl+C").click()
        page.keyboard.type("echo fr''ee\n")
        shows(page, "free")
        assert window.overflow() <= 0
        assert window.violations() == []
        assert window.complaints == []
