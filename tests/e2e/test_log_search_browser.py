"""The log on the page: searched as a whole where it is kept, safe to look at, with times, deleted in the end."""

from __future__ import annotations

import json

from playwright.sync_api import Browser, expect

from tests.e2e.browser import log_in, visitor
from tests.e2e.working import deploy, ensemble, onboard_when_free, reached
from tests.support.services import wait_for
from tests.support.site import Site

# The first lines are older than what the page loads; one steers a terminal, one is very long.
SCRIPT = (
    "echo needle-at-the-start; seq 1 5000; printf '\\033[31mred\\033[0m\\033[2J\\n'; "
    "head -c 9000 /dev/zero | tr '\\0' x; echo; echo last-line"
)


def test_a_whole_log_is_searched_and_goes_with_its_deployment(site: Site, browser: Browser) -> None:
    onboard_when_free(site)
    key = deploy(site, ensemble(SCRIPT, kind="task", executor="process"))
    reached(site, key, "Completed")
    found = site.cli("logs", key, "--search", "NEEDLE", "--ignore-case", "--timestamps").stdout
    assert found.endswith("Z needle-at-the-start\n") and found.count("\n") == 1
    assert site.cli("logs", key, "--since", "1ms").stdout == ""
    assert site.json("logs", key, "--search", "last", "--attempt", "1")["Stdout"] == "last-line\n"
    assert site.cli("logs", key, "--previous", check=False).returncode == 1
    exported = site.cli("get", "events", "--deployment", key, "--kind", "status", "--export", "jsonl").stdout
    assert {json.loads(line)["kind"] for line in exported.splitlines()} == {"status"}
    assert site.json("prune", "--before", "7d", "--dry-run")["Total"] == 0
    with visitor(browser, site, width=390) as window:
        log_in(window)
        page = window.open(f"/deployments/{key}/")
        text = page.locator("#log-text")
        expect(text).to_contain_text("last-line")
        expect(text).to_contain_text("more characters, in the download")
        expect(text).not_to_contain_text("needle-at-the-start")
        assert "\x1b" not in (text.text_content() or "")
        page.locator("#log-search").fill("NEEDLE")
        expect(text).to_contain_text("No line matches")
        page.locator("#log-whole").click()
        expect(text.locator("mark")).to_have_text("needle")
        page.locator("#log-search").fill("")
        page.locator("#log-times").click()
        expect(text).to_contain_text("Z last-line")
        assert window.overflow() <= 0
        assert window.violations() == []
        other = page.context.new_page()
        other.goto(page.url)
        expect(other.locator("html")).to_have_attribute("data-live", "on")
        page.get_by_role("button", name="Delete").first.click()
        expect(page.locator("#delete-dialog")).to_contain_text("A line for each allocation")
        page.get_by_role("button", name="Delete it").click()
        page.wait_for_url("**/deployments/")
        # Whoever else looked at it is led to the list, and told.
        other.wait_for_url("**/deployments/")
        expect(other.get_by_role("status").filter(has_text="has been deleted.")).to_be_visible()
        other.close()
        # The page may still ask for itself once when it hears of the deletion, before it is left.
        assert [said for said in window.complaints if "404" not in said] == []
    kept = site.home / "work" / "deployments" / key
    wait_for(lambda: not kept.exists(), timeout_s=60, what="its folder removed")
    assert "needle" not in site.cli("logs", key, check=False).stdout
