"""Behind a proxy that ends TLS: cookies are Secure, redirects stay https, WebSockets pass, the local CLI works."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

from tests.support.require import require
from tests.support.site import Site, running_site
from tests.support.tls_proxy import tls_proxy

pytestmark = [pytest.mark.xdist_group("site-tls"), pytest.mark.timeout(180)]


@dataclass(frozen=True)
class Public:
    """A site and its public address."""

    site: Site
    url: str
    trust: ssl.SSLContext

    def browser(self) -> httpx.Client:
        return httpx.Client(
            base_url=self.url, verify=self.trust, trust_env=False, headers={"Referer": f"{self.url}/"}
        )


@pytest.fixture(scope="module")
def public(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Public]:
    require("assets")
    folder: Path = tmp_path_factory.mktemp("tls")
    with tls_proxy(folder) as proxy:
        url = f"https://localhost:{proxy.port}"
        with running_site({"DMS_PUBLIC_URL": url}) as site:
            proxy.upstream = ("127.0.0.1", site.document["port"])
            yield Public(site, url, ssl.create_default_context(cafile=str(proxy.certificate)))


def log_in(public: Public, browser: httpx.Client) -> None:
    found = re.search(r"password: (\S+)", public.site.first_output)
    assert found
    page = browser.get("/login/")
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)
    assert token
    form = {"username": "admin", "password": found[1], "csrfmiddlewaretoken": token[1]}
    answer = browser.post("/login/", data=form)
    assert answer.status_code == 302, answer.text


def test_cookies_are_secure_and_redirects_stay_https(public: Public) -> None:
    with public.browser() as browser:
        log_in(public, browser)
        cookies = list(browser.cookies.jar)
        assert len(cookies) == 2
        assert all(cookie.secure for cookie in cookies)
        assert browser.get("/").status_code == 200
        assert "max-age" in browser.get("/").headers["Strict-Transport-Security"]
    with public.browser() as stranger:
        answer = stranger.get("/", follow_redirects=True)
        assert answer.url.scheme == "https"
        assert all(hop.url.scheme == "https" for hop in answer.history)


def test_a_visitor_without_tls_is_sent_to_https(public: Public) -> None:
    port = public.site.document["port"]
    answer = httpx.get(f"http://127.0.0.1:{port}/login/", trust_env=False)
    assert answer.status_code == 301
    assert answer.headers["Location"].startswith("https://")


def test_websockets_pass_and_foreign_origins_do_not(public: Public) -> None:
    with public.browser() as browser:
        log_in(public, browser)
        cookie = "; ".join(f"{cookie.name}={cookie.value}" for cookie in browser.cookies.jar)
    address = public.url.replace("https://", "wss://") + "/ws/live/"
    headers = {"Cookie": cookie}
    with connect(
        address, ssl=public.trust, origin=Origin(public.url), additional_headers=headers, proxy=None
    ) as socket:
        socket.send('{"subscribe": []}')
        assert "subscribed" in str(socket.recv(10))
    with pytest.raises(InvalidStatus):
        connect(
            address,
            ssl=public.trust,
            origin=Origin("https://foreign.example"),
            additional_headers=headers,
            proxy=None,
        )
    with pytest.raises(InvalidStatus):
        connect(address, ssl=public.trust, origin=Origin(public.url), proxy=None)


def test_the_local_command_line_works(public: Public) -> None:
    assert public.site.json("get", "nodes")["total"] == 1
