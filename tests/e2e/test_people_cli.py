"""`user`, `audit`, `actor`, `invite` and `join` as black boxes on a site: what each prints, is worth, refuses."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.site import Site

HELLO = "/public/hello"
LIST = "/dms/node/deployment/list"
PRUNE = "/dms/node/deployment/prune"
ONBOARDED = "/dms/node/onboarding/status"


def dms(site: Site, *words: str, code: int = 0, stdin: str | None = None) -> Any:
    """Run a verb with --json and return the one document that it prints."""
    done = site.cli(*words, "--json", check=False, stdin=stdin)
    assert done.returncode == code, (words, done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    return json.loads(done.stdout)


def refused(site: Site, *words: str, code: int = 1, stdin: str | None = None) -> str:
    """Run what is to be refused; return the code of the problem, which says more than that."""
    problem = dms(site, *words, code=code, stdin=stdin)
    assert problem["detail"]
    return str(problem["type"]).removeprefix("urn:dms:problem:")


@pytest.fixture(scope="module")
def eve(site: Site) -> dict[str, Any]:
    """An account that may look at things."""
    made: dict[str, Any] = dms(site, "user", "add", "eve", "--role", "viewer")
    return made


@pytest.fixture(scope="module")
def at_hers(site: Site, eve: dict[str, Any]) -> tuple[str, ...]:
    """What she gives the command line to be herself, from wherever she is."""
    return ("--url", site.url, "--token", dms(site, "user", "token", "eve")["token"])


def logged_in(link: str) -> tuple[int, str]:
    """Use a login link as a browser does; return the status, and what the page says."""
    with httpx.Client(trust_env=False, follow_redirects=True, timeout=60) as http:
        http.get(link).raise_for_status()
        (token,) = (cookie.value for cookie in http.cookies.jar if "csrf" in cookie.name)
        answer = http.post(link, data={"csrfmiddlewaretoken": token}, headers={"Referer": link})
        return answer.status_code, answer.text


def test_an_account_and_the_link_that_lets_it_in_once(site: Site, eve: dict[str, Any]) -> None:
    assert (eve["role"], eve["admin"]) == ("viewer", False)
    status, page = logged_in(eve["login_url"])
    assert (status, "eve" in page) == (200, True)
    assert logged_in(eve["login_url"])[0] != 200
    again = dms(site, "user", "login-link", "eve")
    assert again["name"] == "eve"
    assert logged_in(again["login_url"])[0] == 200
    assert refused(site, "user", "login-link", "nobody") == "not_found"
    assert refused(site, "user", "add", "fay", "--password", stdin="short\n") == "invalid_request"
    accounts = {item["name"]: item for item in dms(site, "user", "list")["items"]}
    assert set(accounts) == {"admin", "eve"}
    shown = {"name": "eve", "did": eve["did"], "role": "viewer", "admin": False, "active": True}
    assert accounts["eve"] == shown


def test_a_role_counts_at_once(site: Site, eve: dict[str, Any], at_hers: tuple[str, ...]) -> None:
    assert dms(site, "actor", "cmd", PRUNE, "{}", *at_hers, code=1)["capability"] == PRUNE
    given = dms(site, "user", "role", "eve", "deployer")
    assert given == {"name": "eve", "role": "deployer", "admin": False, "did": eve["did"]}
    assert dms(site, "user", "role", "eve") == given
    # Now it is looked at what is asked, which is too little.
    assert refused(site, "actor", "cmd", PRUNE, "{}", *at_hers) == "invalid_request"
    assert refused(site, "user", "role", "admin", "viewer") == "last_administrator"


def test_a_token_lets_through_what_it_says(site: Site, eve: dict[str, Any]) -> None:
    made = dms(site, "user", "token", "eve", "--can", LIST, "--days", "2", "--label", "reader")
    assert (made["capabilities"], made["deployment"]) == ([LIST], "")
    where = ("--url", site.url, "--token", made["token"])
    assert dms(site, "actor", "cmd", LIST, *where)["Total"] == 0
    assert refused(site, "actor", "cmd", ONBOARDED, *where) == "not_authorized"
    assert refused(site, "user", "token", "eve", "--can", "/dms/user/add") == "not_authorized"
    assert refused(site, "user", "token", "eve", "--days", "0", code=2) == "usage"


def test_what_is_meant_for_another_site_does_not_happen_here(site: Site) -> None:
    where = ("--url", site.url, "--token", site.token)
    made = dms(site, "user", "add", "gus", *where)
    assert (made["role"], "login_url" in made) == ("deployer", False)
    assert dms(site, "user", "role", "gus", *where)["did"] == made["did"]
    for words in (
        ("user", "login-link", "gus"),
        ("user", "add", "hal", "--password"),
        ("cap", "grant", made["did"], "/dms"),
        ("audit", "list"),
    ):
        assert refused(site, *words, "--url", "http://127.0.0.1:9", "--token", "x") == "not_over_url", words


def test_the_log_is_listed_filtered_and_exported(
    site: Site, eve: dict[str, Any], at_hers: tuple[str, ...]
) -> None:
    assert refused(site, "actor", "cmd", "/dms/user/list", *at_hers) == "not_authorized"
    mine = ("audit", "list", "--who", eve["did"], "--path", "/dms/user")
    (entry,) = dms(site, *mine, "--outcome", "refused")["items"]
    assert (entry["actor"], entry["path"], entry["source"]) == (eve["did"], "/dms/user/list", "cli")
    assert dms(site, *mine, "--since", entry["at"], "--limit", "1")["items"] == [entry]
    assert dms(site, *mine, "--until", entry["at"]) == {"items": [], "total": 0}
    assert refused(site, "audit", "list", "--since", "soon") == "invalid_request"
    assert refused(site, "audit", "list", "--outcome", "odd", code=2) == "usage"
    lines = site.cli("audit", "export", "--path", "/dms/user/add").stdout.splitlines()
    assert "eve" in [json.loads(line)["request"]["Name"] for line in lines]


def test_messages_that_are_none(site: Site, tmp_path: Path) -> None:
    for words in (
        ("msg", HELLO, "--broadcast", "/nunet/hello", "--invoke"),
        ("msg", HELLO, "[]"),
        ("cmd", LIST, "{"),
        ("cmd", LIST, "--Nonsense", "1"),
    ):
        assert refused(site, "actor", *words, code=2) == "usage", words
    assert refused(site, "actor", "msg", HELLO, "--context", "nosuch") == "key_not_found"
    altered = json.dumps(dms(site, "actor", "msg", HELLO, "--invoke") | {"be": ONBOARDED})
    for verb in ("send", "invoke"):
        assert refused(site, "actor", verb, "-", stdin=altered) == "signature_verification_failed"
    assert refused(site, "actor", "send", str(tmp_path / "nowhere")) == "unreadable_file"
    assert refused(site, "actor", "broadcast", "-", stdin="", code=2) == "usage"
    assert "--Limit" in site.cli("actor", "cmd", LIST, "--help").stdout


def test_links_that_are_none(site: Site) -> None:
    made = dms(site, "invite", "--can", ONBOARDED, "--days", "1", "--note", "the lab")
    assert ONBOARDED in {one["path"] for one in made["They"]}
    assert made["Link"].startswith(site.url)
    assert refused(site, "invite", "--days", "0", code=2) == "usage"
    for option, member in (("--can", "Can"), ("--want", "Want")):
        problem = dms(site, "invite", option, "no path", code=1)
        assert [error["path"] for error in problem["errors"]] == [member]
    for link in ("nonsense", f"{site.url}/join/#e30", made["Link"][:-9]):
        assert refused(site, "join", link, "--yes") == "bad_invitation", link


def test_the_key_of_a_running_site_stays(site: Site) -> None:
    assert refused(site, "key", "delete", "dms", "--yes") == "key_in_use"
    assert refused(site, "key", "new", "dms", "--force") == "key_in_use"
    assert refused(site, "cap", "new", "no name") == "invalid_context"
    assert [item["name"] for item in dms(site, "key", "list")["items"]] == ["dms"]
    assert dms(site, "key", "did", "dms")["did"] == site.document["did"]


def test_an_entry_changed_behind_the_log_is_found(site: Site, eve: dict[str, Any]) -> None:
    verdict = dms(site, "audit", "verify")
    assert (verdict["verified"], verdict["faults"]) == (True, [])
    assert verdict["entries"] > 0
    assert verdict["head"]
    with closing(sqlite3.connect(site.home / "db" / "dms.sqlite3", timeout=60)) as rows, rows:
        (entry,) = rows.execute("SELECT min(id) FROM capabilities_auditentry").fetchone()
        rows.execute("UPDATE capabilities_auditentry SET outcome = 'odd' WHERE id = ?", [entry])
    found = dms(site, "audit", "verify", code=1)
    assert not found["verified"]
    assert [(fault["entry"], fault["what"]) for fault in found["faults"]] == [
        (entry, "the entry has been altered")
    ]


def test_with_the_site_down_what_needs_none_goes_on(site: Site, eve: dict[str, Any]) -> None:
    site.cli("down")
    done = site.cli("user", "role", "eve", "viewer", "--json")
    assert (json.loads(done.stdout)["role"], done.stderr) == ("viewer", "")
    path = "/dms/node/logger"
    assert dms(site, "cap", "grant", "eve", path, "--days", "1")["tok"]
    (held,) = [item["id"] for item in dms(site, "cap", "list")["items"] if item["capabilities"] == [path]]
    renewed = dms(site, "cap", "renew", str(held))["tok"][0]["dms"]
    assert (renewed["cap"], renewed["sub"]) == ([path], {"uri": eve["did"]})
    # The one that was renewed still lets her, when the earlier one does no more.
    assert dms(site, "cap", "revoke", str(held)) == {"id": held, "revoked": True}
    assert dms(site, "cap", "check", "--who", "eve", "--can", path)["Allowed"]
    assert refused(site, "cap", "renew", str(held)) == "token_revoked"
    assert refused(site, "actor", "cmd", HELLO) == "site_down"
