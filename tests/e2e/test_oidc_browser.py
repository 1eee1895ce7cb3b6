"""Logging in through a provider that is a process of its own, in a real browser: refused, invited, connected, down."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.browser import Visitor, log_in, visitor
from tests.support.oidc_process import RunningProvider, running_provider
from tests.support.site import Site, running_site

PHONE = 390
# Pages that refuse are errors in the console, too.
REFUSALS = ("403", "503")


@pytest.fixture(scope="module")
def provider() -> Iterator[RunningProvider]:
    with running_provider() as running:
        yield running


@pytest.fixture(scope="module")
def site(provider: RunningProvider) -> Iterator[Site]:
    """A site that lets this provider vouch for people."""
    with running_site(provider.environment) as running:
        yield running


@pytest.fixture
def phone(site: Site, browser: Browser) -> Iterator[Visitor]:
    """A window as narrow as a phone's."""
    with visitor(browser, site, width=PHONE) as window:
        yield window
        # The provider's own pages want things from the network.
        ours = [text for text in window.complaints if text.startswith(site.url)]
        assert [text for text in ours if not any(code in text for code in REFUSALS)] == []


def vouch(page: Page, sub: str, *, deny: bool = False) -> None:
    """Log in at the provider."""
    expect(page.get_by_role("heading", name="Authorize Client")).to_be_visible()
    if deny:
        page.get_by_role("button", name="Deny").click()
    else:
        page.locator("input[name=sub]").fill(sub)
        page.get_by_role("button", name="Authorize").click()


def fine(window: Visitor) -> None:
    assert window.violations() == []
    assert window.overflow() <= 0


def log_out(window: Visitor) -> None:
    window.page.locator(".avatar-button").click()
    window.page.get_by_role("button", name="Log out").click()
    window.page.get_by_role("button", name="Continue with Acme").wait_for()


def test_a_provider_vouches_for_people(site: Site, phone: Visitor, provider: RunningProvider) -> None:
    page = phone.open("/login/")
    fine(phone)
    page.get_by_role("button", name="Continue with Acme").click()
    vouch(page, "", deny=True)
    expect(page.get_by_text("Acme was told not to let you in here.")).to_be_visible()
    fine(phone)

    # Known there, unknown here.
    page.get_by_role("link", name="Back to the login").click()
    page.get_by_role("button", name="Continue with Acme").click()
    vouch(page, "paula")
    expect(page.get_by_role("heading", name="No account here yet")).to_be_visible()
    fine(phone)

    # With an invitation: an account; and from then on without.
    page.goto(site.json("user", "invite", "--role", "viewer")["link"])
    page.get_by_role("button", name="Continue with Acme").click()
    vouch(page, "paula")
    page.wait_for_selector(".avatar-button")
    assert sorted(row["role"] for row in site.json("user", "list")["items"]) == ["admin", "viewer"]
    log_out(phone)
    page.get_by_role("button", name="Continue with Acme").click()
    vouch(page, "paula")
    page.wait_for_selector(".avatar-button")


def test_who_has_an_account_connects_it_and_a_dead_provider_is_said(
    site: Site, phone: Visitor, provider: RunningProvider
) -> None:
    log_in(phone)
    page = phone.open("/account/connections/")
    expect(page.get_by_text("None yet.")).to_be_visible()
    fine(phone)
    page.get_by_role("button", name="Connect Acme").click()
    vouch(page, "the admin")
    expect(page.get_by_role("button", name="Disconnect Acme")).to_be_visible()
    fine(phone)
    log_out(phone)
    page.get_by_role("button", name="Continue with Acme").click()
    vouch(page, "the admin")
    page.wait_for_selector(".avatar-button")
    log_out(phone)

    provider.stop()
    page.get_by_role("button", name="Continue with Acme").click()
    expect(page.get_by_text("Acme cannot be reached.")).to_be_visible()
    fine(phone)
