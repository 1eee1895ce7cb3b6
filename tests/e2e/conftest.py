"""A browser, somebody logged in on the module's site, and a window of hers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.e2e.browser import Visitor, chromium, log_in, visitor
from tests.e2e.working import onboard_when_free
from tests.support.site import Site


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The distribution's chromium."""
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def cookies(site: Site, browser: Browser) -> str:
    """Somebody is logged in and the machine is onboarded."""
    onboard_when_free(site)
    with visitor(browser, site) as window:
        return log_in(window)


@pytest.fixture
def window(site: Site, browser: Browser, cookies: str) -> Iterator[Visitor]:
    """A window that has nothing to complain about in the end."""
    with visitor(browser, site, state=cookies) as opened:
        yield opened
        assert opened.complaints == []
