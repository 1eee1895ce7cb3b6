"""A second person on the site: sees nothing of the first one's, does her own work, and can be shut out at once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.envelopes import client_of
from tests.support.require import ROOT, require
from tests.support.site import Site

HELLO = str(ROOT / "examples" / "hello.yaml")
SERVICE = (
    "allocations:\n  sleeper:\n    type: service\n    executor: docker\n"
    "    resources: {cpu: {cores: 0.25}, ram: {size: 64MiB}, disk: {size: 64MiB}}\n"
    "    execution: {type: docker, image: 'dms.local/base:1', cmd: [sh, -c, 'echo secret; sleep 600']}\n"
    "nodes:\n  here:\n    allocations: [sleeper]\n"
    "    ports: [{public: 0, private: 8080, allocation: sleeper}]\n"
)
WAIT_S = 30.0


@dataclass
class Bob:
    """The second person, from another machine: address and token are all that he has."""

    site: Site
    token: str

    @property
    def where(self) -> tuple[str, ...]:
        return ("--url", self.site.url, "--token", self.token)

    def json(self, *args: str, check: bool = True) -> Any:
        return self.site.json(*args, *self.where, check=check)

    def get(self, path: str) -> httpx.Response:
        with client_of(self.site, self.token) as http:
            return http.get(path)


@pytest.fixture(scope="module")
def onboarded(site: Site) -> Site:
    require("docker")
    site.cli("onboard", "--cpu", "1", "--ram", "4GiB", "--disk", "10GiB", "--no-gpu")
    return site


@pytest.fixture(scope="module")
def bob(onboarded: Site) -> Bob:
    onboarded.cli("user", "add", "bob")
    return Bob(onboarded, str(onboarded.json("user", "token", "bob")["token"]))


@pytest.fixture(scope="module")
def hers(onboarded: Site, bob: Bob, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give the id of a service that the administrator runs."""
    spec: Path = tmp_path_factory.mktemp("hers") / "service.yaml"
    spec.write_text(SERVICE)
    answer = onboarded.json("deploy", "-f", str(spec), "--wait")
    assert answer["status"] == "Running", answer
    yield answer["id"]
    onboarded.cli("shutdown", answer["id"], "--wait")


def status_of(site: Site, token: str) -> int:
    with client_of(site, token) as http:
        return http.get("/me/").status_code


def test_he_sees_nothing_of_hers(onboarded: Site, bob: Bob, hers: str) -> None:
    admin = client_of(onboarded, onboarded.token)
    lists = ("deployments", "allocations", "events", "bids", "reservations", "ports")
    with admin, client_of(onboarded, bob.token) as his:
        for name in lists:
            assert admin.get(f"/{name}/").json()["total"] > 0, name
            page = his.get(f"/{name}/")
            assert (page.status_code, page.json()["total"], page.json()["items"]) == (200, 0, []), name
        allocation = admin.get("/allocations/").json()["items"][0]["id"]
        one = {
            name: admin.get(f"/{name}/").json()["items"][0]["id"] for name in ("events", "bids", "audit")
        } | {"reservations": allocation, "allocations": allocation, "deployments": hers}
        for name, key in one.items():
            assert admin.get(f"/{name}/{key}/").status_code == 200, name
            assert his.get(f"/{name}/{key}/").status_code == 404, name
        assert his.get(f"/deployments/{hers}/events/").status_code == 404
        assert "secret" in admin.get(f"/allocations/{allocation}/logs").text
        for query in ("", "?follow=true", "?tail=1"):
            assert his.get(f"/allocations/{allocation}/logs{query}").status_code == 404
        assert his.get("/deployments/service/").status_code == 404
        for name in ("audit", "grants"):
            text = his.get(f"/{name}/").text
            assert hers not in text
            assert all(item["owner"] == "bob" for item in his.get("/grants/").json()["items"])
        for name in ("nodes", "tokens"):
            assert hers not in his.get(f"/{name}/").text
        assert his.get("/tokens/").json()["total"] == 1
        node = his.get("/nodes/").json()["items"][0]["id"]
        for part in ("events", "samples", "ledger"):
            assert hers not in his.get(f"/nodes/{node}/{part}/").text


def test_behaviors_tell_him_no_more_than_lists_do(bob: Bob, hers: str) -> None:
    with client_of(bob.site, bob.token) as his:
        for name, member in (
            ("status", "ID"),
            ("manifest", "ID"),
            ("info", "ID"),
            ("shutdown", "ID"),
            ("logs", "EnsembleID"),
        ):
            answers = [
                his.post(f"/dms/node/deployment/{name}", json={member: key})
                for key in (hers, hers[:12], "sleeper", "f" * 64)
            ]
            assert {answer.status_code for answer in answers} == {404}, name
            assert {answer.json()["type"] for answer in answers} == {"urn:dms:problem:not_found"}
        listed = his.post("/dms/node/deployment/list", json={}).json()
        assert (listed["Deployments"], listed["Total"]) == ({}, 0)
        assert his.post("/dms/node/allocations/list", json={}).json()["allocations"] == []
        for kind in ("allocated", "free", "onboarded"):
            assert hers not in his.post(f"/dms/node/resources/{kind}", json={}).text
    assert bob.json("get", "deployments")["total"] == 0
    for words in (("show", hers), ("logs", hers), ("shutdown", hers)):
        done = bob.site.cli(*words, *bob.where, check=False)
        assert done.returncode == 1
        assert "secret" not in done.stdout


def test_his_own_work_runs_and_she_sees_it(onboarded: Site, bob: Bob, hers: str) -> None:
    answer = bob.json("deploy", "-f", HELLO, "--wait")
    assert answer["status"] == "Completed", answer
    shown = bob.json("show", answer["id"])
    assert [item["status"] for item in shown["allocations"]] == ["completed"]
    assert "hello" in bob.site.cli("logs", answer["id"], *bob.where).stdout
    assert [item["id"] for item in bob.json("get", "deployments")["items"]] == [answer["id"]]
    everything = {item["id"]: item["owner"] for item in onboarded.json("get", "deployments")["items"]}
    assert set(everything) == {hers, answer["id"]}
    assert everything[answer["id"]] == bob.get("/me/").json()["did"]
    assert everything[hers] != everything[answer["id"]]


def test_what_he_may_not_do_names_the_missing_capability(bob: Bob) -> None:
    asked = {"NumCpu": 1}
    with client_of(bob.site, bob.token) as his:
        for path in ("/dms/node/onboarding/onboard", "/dms/node/onboarding/offboard"):
            refused = his.post(path, json=asked)
            assert refused.status_code == 403
            assert refused.headers["content-type"] == "application/problem+json"
            assert refused.json()["capability"] == path
            assert path in refused.json()["hint"]
        allowed = {entry["path"]: entry["allowed"] for entry in his.get("/behaviors/").json()["behaviors"]}
        assert not allowed["/dms/node/onboarding/onboard"]
        assert allowed["/dms/node/deployment/new"]
        assert his.get("/me/").json()["root"] is False
    done = bob.site.cli("offboard", *bob.where, check=False)
    assert done.returncode == 1
    assert "/dms/node/onboarding/offboard" in done.stderr


def test_a_granted_capability_counts_at_once_and_ends_at_once(onboarded: Site, bob: Bob) -> None:
    path = "/dms/node/onboarding"
    onboarded.cli("cap", "grant", "bob", path, "--days", "1")
    with client_of(onboarded, bob.token) as his:
        # Allowed now, and refused for what it asks.
        assert his.post(f"{path}/onboard", json={"unknown": 1}).status_code == 400
        listed = [row for row in onboarded.json("cap", "list")["items"] if row["capabilities"] == [path]]
        onboarded.cli("cap", "revoke", str(listed[0]["id"]))
        assert his.post(f"{path}/onboard", json={"unknown": 1}).status_code == 403
    assert onboarded.cli("cap", "grant", "nobody", path, check=False).returncode == 1
    assert onboarded.cli("cap", "grant", "did:key:zzz", path, check=False).returncode == 1
    assert onboarded.cli("cap", "grant", "bob", "no-path", check=False).returncode == 2


def test_a_revoked_token_is_dead_at_once(onboarded: Site, bob: Bob) -> None:
    token = str(onboarded.json("user", "token", "bob", "--label", "lost")["token"])
    assert status_of(onboarded, token) == 200
    with client_of(onboarded, bob.token) as his:
        keys = {item["name"]: item["token_key"] for item in his.get("/tokens/").json()["items"]}
        with client_of(onboarded, onboarded.token) as admin:
            assert admin.delete(f"/tokens/{keys['lost']}/").status_code == 404
        assert his.delete(f"/tokens/{keys['lost']}/").status_code == 204
    assert status_of(onboarded, token) == 401
    for bad in (token[:-1], "x", "é"):
        with client_of(onboarded, "") as http:
            answer = http.get("/me/", headers=[(b"Authorization", f"Bearer {bad}".encode())])
        assert answer.status_code == 401
        assert answer.json()["hint"]


def test_an_expired_token_is_refused(onboarded: Site, bob: Bob) -> None:
    before = onboarded.environment
    onboarded.environment = {**before, "DMS_API_TOKEN_LIFETIME_S": "0.5"}
    try:
        token = str(onboarded.json("user", "token", "bob")["token"])
    finally:
        onboarded.environment = before
    limit = time.monotonic() + WAIT_S
    while status_of(onboarded, token) != 401:
        assert time.monotonic() < limit
        time.sleep(0.1)


def test_a_disabled_account_is_shut_out_until_it_is_enabled(onboarded: Site, bob: Bob) -> None:
    onboarded.cli("user", "disable", "bob")
    assert status_of(onboarded, bob.token) == 401
    done = onboarded.cli("get", "deployments", *bob.where, check=False)
    assert done.returncode == 1
    link = onboarded.json("user", "login-link", "bob")["login_url"]
    with httpx.Client(trust_env=False) as http:
        assert http.post(link).status_code in (403, 405)
    listed = {item["name"]: item["active"] for item in onboarded.json("user", "list")["items"]}
    assert listed == {"admin": True, "bob": False}
    onboarded.cli("user", "enable", "bob")
    assert status_of(onboarded, bob.token) == 200
    last = onboarded.cli("user", "disable", "admin", check=False)
    assert last.returncode == 1
    assert "only administrator" in last.stderr
