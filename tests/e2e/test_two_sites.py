"""Strangers, members, and strangers again: three sites on one machine, told apart by home and port."""

from __future__ import annotations

import base64
import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import httpx
import pytest
from playwright.sync_api import expect

from capabilities.tokens import Token, TokenList, issue
from tests.e2e.browser import Visitor, chromium, log_in, visitor
from tests.support.envelopes import Signer
from tests.support.services import wait_for
from tests.support.site import Site, running_site

pytestmark = pytest.mark.xdist_group("two_sites")
HELLO = "/public/hello"


@pytest.fixture(scope="module")
def sites():
    """A, B and C, started together."""
    with ExitStack() as stack:
        made = [stack.enter_context(running_site(start=False)) for _ in range(3)]
        with ThreadPoolExecutor(3) as pool:
            list(pool.map(lambda site: site.up(), made))
        yield made


def did(site: Site) -> str:
    return str(site.document["did"])


def calls(site: Site, dest: str, path: str = HELLO) -> tuple[int, str]:
    """Return exit code and problem of a call as the site's node."""
    done = site.cli("actor", "cmd", path, "--dest", dest, check=False)
    return done.returncode, done.stderr


def granted(site: Site, subject: str) -> list[int]:
    """Return the numbers of the tokens that a site has issued to a DID and not revoked."""
    listed = site.json("cap", "list")["items"]
    return [item["id"] for item in listed if item["subject"] == subject and not item["revoked_at"]]


def join(guest: Site, host: Site) -> None:
    """Let a site join another one; harmless when it has: each test may be the first."""
    guest.cli("join", invited(host), "--yes")


def invited(site: Site, *options: str) -> str:
    return str(site.json("invite", *options)["Link"])


def altered(link: str, **changes: Any) -> str:
    """Return the link with members changed, as somebody on its way could."""
    address, _, packed = link.partition("#")
    document = json.loads(base64.urlsafe_b64decode(packed + "=" * (-len(packed) % 4))) | changes
    return f"{address}#{base64.urlsafe_b64encode(json.dumps(document).encode()).decode()}"


def test_strangers_are_told_what_is_missing(sites):
    a, b, _ = sites
    code, text = calls(b, a.url)
    assert code == 1
    assert "no token for /public/hello" in text
    assert "capability /public/hello" in text
    code, text = calls(b, did(a))
    assert code == 1
    assert "no address" in text
    code, text = calls(b, "http://127.0.0.1:9")
    assert code == 1
    assert "no connection" in text
    code, text = calls(b, "http://192.0.2.1:8765")
    assert code == 1
    assert "plain HTTP is for this machine alone" in text


def test_a_link_joins_two_sites_and_no_third(sites):
    a, b, c = sites
    link = invited(a, "--can", "/dms/node/onboarding/status", "--note", "b")
    assert "invitation of this site itself" in a.cli("join", link, "--yes", check=False).stderr
    refused = b.cli("join", altered(link, can=["/dms/node"]), "--yes", check=False)
    assert refused.returncode == 1
    assert "altered" in refused.stderr

    asked = b.cli("join", link, check=False)
    assert asked.returncode == 1
    assert "nothing has been changed" in asked.stderr
    assert "ask who the site is" in asked.stderr
    assert not b.json("peers", "list")["Peers"]

    assert b.json("join", link, "--yes")["DID"] == did(a)
    assert b.json("join", link, "--yes")["DID"] == did(a)
    assert calls(b, did(a)) == (0, "")
    assert calls(a, did(b)) == (0, "")
    assert b.json("actor", "cmd", "/dms/node/onboarding/status", "--dest", did(a))["onboarded"] is False
    code, text = calls(a, did(b), "/dms/node/onboarding/status")
    assert code == 1
    assert "may not invoke /dms/node/onboarding/status" in text

    refused = c.cli("join", link, "--yes", check=False)
    assert refused.returncode == 1
    assert "used by another site" in refused.stderr
    (known,) = b.json("peers", "list")["Peers"]
    assert (known["did"], known["state"], known["via"]) == (did(a), "reachable", "joined")
    assert len(granted(a, did(b))) == 1


def test_it_is_the_same_over_rest(sites):
    a, b, _ = sites
    join(b, a)
    with httpx.Client(headers={"Authorization": f"Bearer {b.token}"}, trust_env=False, timeout=30) as client:
        request = {"Dest": did(a), "Behavior": HELLO}
        answer = client.post(f"{b.url}/api/v1/dms/node/peers/invoke", json=request)
        assert answer.json()["Payload"]["DID"]["uri"] == did(a)
        request["Behavior"] = "/dms/node/onboarding/offboard"
        answer = client.post(f"{b.url}/api/v1/dms/node/peers/invoke", json=request)
        assert answer.status_code == 403
        assert answer.json()["capability"] == "/dms/node/onboarding/offboard"
        assert client.get(f"{b.url}/api/v1/peers/").json()["items"][0]["did"] == did(a)


def test_what_is_revoked_counts_no_longer(sites):
    a, b, _ = sites
    join(b, a)
    held = granted(a, did(b))
    assert held
    for token in held:
        a.cli("cap", "revoke", str(token))
    code, text = calls(b, did(a))
    assert code == 1
    assert "revoked" in text


def test_a_token_with_any_field_altered_is_refused_with_the_reason(sites):
    """A trusts C for /public; carol, who has an account nowhere, holds a token of C and writes to A."""
    a, b, c = sites
    a.cli("join", invited(c), "--yes")
    carol = Signer(a)
    listed = json.loads(c.cli("cap", "grant", carol.did, "/public/hello").stdout)
    given = listed["tok"][0]["dms"]

    def said(**changes: Any) -> str:
        parent = Token.parse({"dms": given | changes})
        question = carol.envelope(HELLO)
        token = issue(
            carol.key,
            action="invoke",
            subject=carol.did,
            capabilities=(HELLO,),
            expires_ns=question.expires_ns,
            audience=did(a),
            chain=parent,
        )
        signed = replace(question, capabilities=TokenList((token,)).encode(), signature=b"").sign(carol.key)
        answer = carol.invoke(signed)
        return "" if answer.get("DID") else str(answer["detail"])

    assert said() == ""
    for changes in (
        {"cap": ["/public"]},
        {"exp": given["exp"] + 1},
        {"nonce": base64.b64encode(b"another one!").decode()},
        {"depth": 7},
        {"topic": ["/nunet/hello"]},
        {"aud": {"uri": did(a)}},
        {"iss": {"uri": did(b)}},
        {"sig": base64.b64encode(bytes(64)).decode()},
    ):
        assert "signature verification failed on the token of" in said(**changes), changes
    assert "delegates what was given to" in said(sub={"uri": did(b)})
    assert "chain is of delegations" in said(act="invoke")
    assert "expired" in said(exp=1)


def test_what_an_organisation_revokes_is_told_to_who_was_down(sites):
    """B is a member of C's network, which A trusts; C revokes B's membership while A is down."""
    a, b, c = sites
    a.cli("peers", "end", did(b), check=False)
    join(a, c)
    join(b, c)
    there, organisation = did(a), did(c)
    assert calls(b, there) == (0, "")
    port = str(a.document["port"])
    a.cli("down")
    code, text = calls(b, there)
    assert code == 1
    assert "no connection" in text
    held = granted(c, did(b))
    assert held
    for token in held:
        c.cli("cap", "revoke", str(token))
    a.up("--port", port)

    def refused() -> bool:
        code, text = calls(b, there)
        return code == 1 and "may not invoke /public/hello" in text

    wait_for(refused, timeout_s=20, what="the revocation at A", every_s=0.2)
    peers = {peer["did"]: peer for peer in a.json("peers", "list")["Peers"]}
    assert peers[organisation]["state"] == "reachable"


def test_the_same_in_the_browser(sites):
    """An invitation made on A's page is used on B's, shown on both, and ended on A's."""
    a, b, _ = sites
    with chromium() as browser, visitor(browser, a) as at_a, visitor(browser, b, width=390) as at_b:
        for window in (at_a, at_b):
            log_in(window)
        page = at_a.open("/peers/")
        page.get_by_label("Whom it is for").fill("the lab of B")
        page.get_by_role("button", name="Make a link").click()
        link = page.locator("#invitation-link").inner_text()
        clean(at_a)

        page = at_b.open("/peers/")
        page.get_by_label("Invitation link").fill(altered(link, want=["/dms/node"]))
        page.get_by_role("button", name="Look at it").click()
        expect(page.get_by_role("alert")).to_contain_text("altered")
        # The browser itself complains of the answer 400, and of nothing else.
        assert ["400" in complaint for complaint in at_b.complaints] == [True]
        at_b.complaints.clear()
        page.get_by_label("Invitation link").fill(link)
        page.get_by_role("button", name="Look at it").click()
        expect(page.get_by_role("heading", name="It may here")).to_be_visible()
        clean(at_b)
        page.get_by_role("button", name="Join", exact=True).click()
        expect(page.locator("#peers")).to_contain_text(did(a)[-4:])
        clean(at_b)
        page.get_by_role("button", name="Say hello to").first.click()
        expect(page.get_by_role("status").first).to_contain_text("It answered")
        assert calls(b, did(a)) == (0, "")

        page = at_a.open("/peers/")
        row = page.locator("#peers tr", has=page.locator(f"[title='{did(b)}']"))
        row.get_by_role("button", name="End").click()
        page.get_by_role("button", name="End it").click()
        expect(page.get_by_role("status").first).to_contain_text("revoked")
        code, text = calls(b, did(a))
        assert code == 1
        assert "may not invoke /public/hello" in text
        opened = at_a.open(f"/join/#{link.partition('#')[2]}")
        expect(opened.locator("[data-invitation]").first).to_contain_text(link[-8:])
        clean(at_a)


def clean(window: Visitor) -> None:
    assert window.violations() == []
    assert window.overflow() <= 0
    assert window.complaints == []
