"""The pages in a real browser on a real site: log in, deploy from the editor, watch it run, follow its log, stop it."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.browser import TIMEOUT_MS, Visitor, visitor
from tests.support.require import require
from tests.support.site import Site

SERVICE = """\
metadata:
  name: counter
allocations:
  ticker:
    type: service
    executor: process
    resources:
      cpu: {cores: 0.25}
      ram: {size: 64MiB}
      disk: {size: 64MiB}
    execution:
      type: process
      cmd: ["sh", "-c", "i=0; while true; do echo tick $i; i=$((i+1)); sleep 0.5; done"]
nodes:
  here:
    allocations: [ticker]
"""
WINDOWS = [(1440, "light"), (1440, "dark"), (390, "light"), (390, "dark")]


def test_a_stranger_is_asked_to_log_in(site: Site, browser: Browser) -> None:
    with visitor(browser, site) as window:
        page = window.open("/deployments/")
        assert page.url.endswith("/login/?next=/deployments/")
        page.get_by_label("Name").fill("admin")
        page.get_by_label("Password").fill("wrong")
        page.get_by_role("button", name="Log in").click()
        expect(page.get_by_role("alert")).to_contain_text("correct")


def test_the_editor_marks_the_wrong_line_while_typing(window: Visitor) -> None:
    page = window.open("/deployments/new/")
    page.locator("#source").fill(SERVICE.replace("type: service", "type: servant"))
    expect(page.locator("#verdict")).to_contain_text("problem")
    expect(page.locator("#gutter .mark-error").first).to_have_text("5")
    page.locator(".problem-line").first.click()
    assert page.evaluate("getSelection().toString() || document.activeElement.id") is not None
    page.locator("#source").fill(SERVICE)
    expect(page.locator("#verdict")).to_have_text("valid")
    page.get_by_role("link", name="hello-process").click()
    expect(page.locator("#source")).to_have_value(re.compile("hello from"))
    expect(page.locator("#verdict")).to_have_text("valid")


def test_deploy_watch_follow_and_shut_down(site: Site, window: Visitor) -> None:
    require("bwrap")
    page = window.open("/deployments/new/")
    page.locator("#source").fill(SERVICE)
    page.get_by_role("button", name="Deploy", exact=True).click()
    page.wait_for_url(re.compile(r"/deployments/[0-9a-f]{64}/"))
    # If this is lost the page has been reloaded; everything below happens without.
    page.evaluate("window.stayed = true")
    head = page.locator("#deployment-head .page-title")
    expect(head).to_contain_text("Running", timeout=2 * TIMEOUT_MS)
    expect(page.locator("#allocations")).to_contain_text("running")
    expect(page.locator(".leg-done")).to_have_count(5)
    log = page.locator("#log-text")
    expect(log).to_contain_text("tick 3")
    page.get_by_role("button", name="Pause").click()
    page.get_by_label("Search in the log").fill("tick 2")
    expect(log.locator("mark").first).to_have_text("tick 2")
    page.get_by_label("Search in the log").fill("")
    page.get_by_role("button", name="Resume").click()
    expect(log).to_contain_text("tick 8")
    assert page.evaluate("window.stayed") is True
    other = window.context.new_page()
    other.goto(f"{site.url}/")
    expect(other.locator("#running")).to_contain_text("counter")
    other.evaluate("window.stayed = true")
    page.get_by_role("button", name="Shut down").click()
    expect(page.get_by_role("dialog")).to_contain_text("Stops 1 allocation on 1 machine")
    page.get_by_role("button", name="Shut it down").click()
    expect(head).to_contain_text("Completed", timeout=2 * TIMEOUT_MS)
    key = page.url.rstrip("/").rpartition("/")[2]
    expect(other.locator(f"#row-{key}")).to_contain_text("Completed")
    assert other.evaluate("window.stayed") is True


def test_a_lost_connection_is_shown_and_caught_up(window: Visitor) -> None:
    # The page believes that its socket cannot be opened, until it can.
    window.page.add_init_script(
        "const Real = WebSocket; window.cut = true;"
        "window.WebSocket = class extends Real { constructor(url) { super(window.cut ? url + 'nowhere/' : url); } };"
    )
    page = window.open("/")
    expect(page.locator("#lost")).to_contain_text("Connection lost, catching up")
    page.evaluate("window.cut = false")
    expect(page.locator("#lost")).to_be_hidden()
    expect(page.locator("html[data-live=on]")).to_be_attached()
    window.complaints.clear()


def test_keyboard(window: Visitor) -> None:
    page = window.open("/")
    page.keyboard.press("g")
    page.keyboard.press("d")
    page.wait_for_url("**/deployments/")
    page.keyboard.press("/")
    expect(page.locator("#q")).to_be_focused()
    page.locator("#q").blur()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog", name="Keyboard")).to_be_hidden()
    page.keyboard.press("g")
    page.keyboard.press("n")
    page.wait_for_url("**/nodes/")


def test_the_theme_is_kept(window: Visitor) -> None:
    page = window.open("/")
    page.locator(".avatar-button").click()
    page.locator("label", has_text="dark").click()
    expect(page.locator("html")).to_have_attribute("data-bs-theme", "dark")
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-bs-theme", "dark")


def test_a_token_is_made_and_revoked(window: Visitor) -> None:
    page = window.open("/account/tokens/")
    page.get_by_label("What it is for").fill("browser test")
    page.get_by_role("button", name="Create token").click()
    expect(page.locator("#secret")).to_have_text(re.compile(r"\w{20,}"))
    page.get_by_role("button", name=re.compile("Revoke browser test")).click()
    expect(page.get_by_role("status").first).to_be_attached()
    expect(page.locator("body")).to_contain_text("The token is revoked")


@pytest.mark.parametrize(("width", "theme"), WINDOWS)
def test_every_page_is_accessible_and_fits(
    site: Site, browser: Browser, cookies: str, width: int, theme: str
) -> None:
    with visitor(browser, site) as stranger:
        stranger.open("/login/")
        assert stranger.violations() == []
    items = site.json("get", "deployments")["items"]
    node = f"/nodes/{site.document['node_id']}/"
    paths = [
        "/",
        "/deployments/",
        "/deployments/?q=nothing",
        "/deployments/new/?example=hello",
        "/nodes/",
        node,
    ]
    paths += [f"{node}onboard/", f"{node}capability/", "/account/tokens/", "/audit/"]
    paths += ["/capabilities/?who=admin&can=/dms/node/drain"]
    paths += [f"/deployments/{item['id']}/" for item in items[:1]]
    with visitor(browser, site, width=width, theme=theme, state=cookies) as window:
        for path in paths:
            page = window.open(path)
            page.wait_for_load_state()
            assert window.violations() == [], path
            assert window.overflow() <= 0, path
        assert window.complaints == []


def test_no_page_carries_more_script_and_style_than_it_may(site: Site, window: Visitor) -> None:
    sizes: dict[str, int] = {}
    for path in ("/", "/deployments/new/"):
        window.open(path)
        urls = window.page.evaluate(
            "[...document.querySelectorAll('script[src], link[rel=stylesheet]')].map((e) => e.src || e.href)"
        )
        for url in urls:
            answer = window.context.request.get(url, headers={"Accept-Encoding": "gzip"})
            assert answer.ok, url
            sizes[url] = int(answer.headers.get("content-length") or len(answer.body()))
        assert sum(sizes[url] for url in urls) <= 250_000
