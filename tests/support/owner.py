"""What the owner of a node sets in the Django admin, done as a browser does it: login link, form, save."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

import httpx

from tests.support.envelopes import client_of
from tests.support.site import Site

HIDDEN = re.compile(r'name="csrfmiddlewaretoken" value="([^"]+)"')


def node_settings(site: Site, *, location: dict[str, str], allowances: Sequence[str] = ()) -> None:
    """Set the node's location and allowances; AssertionError when the admin does not take them."""
    with client_of(site, site.token) as api:
        node = api.get("/nodes/").json()["items"][0]["id"]
    with httpx.Client(base_url=site.url, follow_redirects=True, timeout=60, trust_env=False) as browser:
        _submit(browser, str(site.json("user", "login-link")["login_url"]), {})
        form = {"location": json.dumps(location), "allowances": json.dumps(list(allowances))}
        answer = _submit(browser, f"/admin/node/node/{node}/change/", form)
        assert answer.url.path == "/admin/node/node/", answer.text[-2000:]


def _submit(browser: httpx.Client, url: str, form: dict[str, str]) -> httpx.Response:
    page = browser.get(url).raise_for_status()
    found = HIDDEN.search(page.text)
    assert found, page.text[-2000:]
    answer = browser.post(
        str(page.url),
        data={"csrfmiddlewaretoken": found[1], **form},
        headers={"Referer": str(page.url), "Origin": str(browser.base_url).rstrip("/")},
    )
    return answer.raise_for_status()
