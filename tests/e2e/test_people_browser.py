"""A person in a real browser: invited, refused in words, with an authenticator app, with a passkey; and shut out."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import struct
import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from websockets.typing import Origin

from capabilities.numbers import NUMBERS
from tests.e2e.browser import Visitor, log_in, visitor
from tests.support.site import Site

PASSWORD = "correct horse battery"
WAIT_S = 30.0
LET_OUT = 4401
PHONE_PX = 390
ACCOUNT = (
    "/account/security/",
    "/account/logins/",
    "/account/email/",
    "/account/password/change/",
    "/account/2fa/",
    "/account/2fa/webauthn/",
    "/account/2fa/totp/activate/",
    "/account/connections/",
    "/people/",
    "/teams/",
)


def code_of(secret: str) -> str:
    """Return what an authenticator app shows now (RFC 6238)."""
    key = base64.b32decode(secret + "=" * (-len(secret) % 8))
    digest = hmac.new(key, struct.pack(">Q", int(time.time()) // 30), hashlib.sha1).digest()
    at = digest[-1] & 15
    return f"{(struct.unpack('>I', digest[at : at + 4])[0] & 0x7FFFFFFF) % 1_000_000:06d}"


@pytest.fixture
def named(site: Site, browser: Browser) -> Iterator[Visitor]:
    """A window that reaches the site by a name: browsers tie passkeys to one."""
    with visitor(browser, site) as window:
        yield window
        # A page that is refused is an error in the console, too.
        assert [text for text in window.complaints if "403" not in text] == []


def invited(site: Site, window: Visitor, name: str, role: str) -> Page:
    """Sign up by an invitation."""
    link = site.json("user", "invite", "--role", role)["link"]
    window.page.goto(link.replace("127.0.0.1", "localhost"))
    expect(window.page.get_by_role("heading", name="You are invited")).to_be_visible()
    assert window.violations() == []
    window.page.get_by_label("Name").fill(name)
    window.page.get_by_label("Password").fill(PASSWORD)
    window.page.get_by_role("button", name="Make my account").click()
    window.page.wait_for_selector(".avatar-button")
    return window.page


def log_out(page: Page, here: str) -> None:
    page.locator(".avatar-button").click()
    page.get_by_role("button", name="Log out").click()
    page.goto(f"{here}/login/")


def test_sign_up_by_invitation_and_a_refusal_that_names_what_is_missing(site: Site, named: Visitor) -> None:
    page = invited(site, named, "vera", "viewer")
    here = page.url.rstrip("/")
    assert page.get_by_label("New deployment").count() == 0
    page.goto(f"{here}/people/")
    expect(page.get_by_text("/dms/user/list")).to_be_visible()
    page.goto(f"{here}/deployments/new/")
    expect(page.get_by_text("/dms/node/deployment", exact=True)).to_be_visible()
    assert page.get_by_role("button", name="Deploy").count() == 0


def test_granting_and_revoking_on_the_page_of_capabilities(site: Site, browser: Browser) -> None:
    with visitor(browser, site) as hers, visitor(browser, site) as window:
        viewer = invited(site, hers, "wanda", "viewer")
        here = viewer.url.rstrip("/")
        viewer.goto(f"{here}/capabilities/")
        viewer.get_by_label("may do").fill("/dms/node/drain")
        viewer.get_by_role("button", name="Ask").click()
        expect(viewer.get_by_text("Missing:")).to_be_visible()
        assert hers.violations() == []

        log_in(window)
        page = window.open("/capabilities/?who=wanda&can=/dms/node/drain")
        page.get_by_role("link", name="Grant it").click()
        expect(page.locator("#subject")).to_have_value("wanda")
        page.get_by_role("button", name="Grant", exact=True).click()
        expect(page.get_by_text("Given to wanda")).to_be_visible()
        assert window.violations() == []
        viewer.reload()
        expect(viewer.locator("#check .state")).to_contain_text("allowed")

        granted = page.locator(".cap", has_text="/dms/node/drain").first
        granted.get_by_role("button", name=re.compile("Revoke token")).click()
        page.get_by_role("dialog").get_by_role("button", name="Revoke", exact=True).click()
        expect(page.get_by_text("it counts from now on")).to_be_visible()
        expect(page.locator(".cap", has_text="/dms/node/drain")).to_have_count(0)
        viewer.reload()
        expect(viewer.locator("#check .state").first).to_contain_text("refused")
        expect(viewer.locator("#check")).to_contain_text("revoked")
        assert window.complaints == []


def test_an_authenticator_app_and_a_passkey(site: Site, named: Visitor) -> None:
    page = invited(site, named, "dora", "deployer")
    here = page.url.rstrip("/")
    page.goto(f"{here}/account/2fa/totp/activate/")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Confirm").click()
    secret = page.locator("#authenticator_secret").input_value()
    assert named.violations() == []
    page.locator("input[name=code]").fill(code_of(secret))
    page.get_by_role("button", name="Activate").click()
    recovery = page.locator("#recovery_codes").input_value().split()[0]

    session = named.context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    session.send("WebAuthn.addVirtualAuthenticator", {"options": options})
    page.goto(f"{here}/account/2fa/webauthn/add/")
    page.locator("input[name=name]").fill("this laptop")
    page.locator("input[name=passwordless]").check()
    page.locator("#mfa_webauthn_add").click()
    page.wait_for_url("**/account/2fa/**")
    page.goto(f"{here}/account/2fa/webauthn/")
    expect(page.get_by_text("this laptop")).to_be_visible()

    # Password and a code.
    log_out(page, here)
    page.get_by_label("Name").fill("dora")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.locator("input[name=code]").fill(recovery)
    page.get_by_role("button", name="Sign In").click()
    page.wait_for_selector(".avatar-button")
    # The passkey alone.
    log_out(page, here)
    page.get_by_role("button", name="Use a passkey").click()
    page.wait_for_selector(".avatar-button")
    expect(page.get_by_text("Account of dora")).to_be_attached()


def test_the_pages_of_ones_own_account_fit_a_phone(site: Site, browser: Browser) -> None:
    with visitor(browser, site, width=PHONE_PX, theme="dark") as window:
        window.open("/account/password/reset/")
        assert (window.violations(), window.overflow()) == ([], 0)
        log_in(window)
        for path in ACCOUNT:
            page = window.open(path)
            page.wait_for_load_state()
            assert window.violations() == [], path
            assert window.overflow() <= 0, path
        assert window.complaints == []


def test_disabling_an_account_ends_its_socket_at_once(site: Site) -> None:
    site.cli("user", "add", "sam")
    headers = {"Authorization": f"Bearer {site.json('user', 'token', 'sam')['token']}"}
    address = f"{site.url.replace('http', 'ws', 1)}/ws/live/"
    with connect(address, origin=Origin(site.url), additional_headers=headers, proxy=None) as socket:
        socket.send('{"subscribe": []}')
        assert "subscribed" in str(socket.recv(timeout=WAIT_S))
        site.cli("user", "disable", "sam")
        # Looking again from time to time would take twice as long.
        with pytest.raises(ConnectionClosed) as caught:
            socket.recv(timeout=NUMBERS.socket_recheck_s / 2)
    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == LET_OUT
