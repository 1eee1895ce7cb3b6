"""What no way in lets pass: forbidden options by three ways, and nonsense sent to every behavior."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.envelopes import Signer, client_of
from tests.support.owner import node_settings
from tests.support.require import ROOT
from tests.support.site import Site

NEW = "/dms/node/deployment/new"

# One line of an execution or of an allocation: where it stands, what it is called, and what would enable it.
FORBIDDEN: tuple[tuple[str, Any, str], ...] = (
    ("privileged", True, "privileged"),
    ("network_mode", "host", "host_namespaces"),
    ("pid", "host", "host_namespaces"),
    ("ipc", "host", "host_namespaces"),
    ("uts", "host", "host_namespaces"),
    ("devices", ["/dev/kmsg:/dev/kmsg"], "devices"),
    ("cap_add", ["SYS_ADMIN"], "kernel_capabilities"),
    ("security_opt", ["seccomp=unconfined"], "security_options"),
    ("volumes", ["/var/run/docker.sock:/var/run/docker.sock"], "docker_socket"),
    ("volumes", ["/etc:/host"], "host_paths"),
)
IDS = [f"{name}-{allowance}" for name, _, allowance in FORBIDDEN]


def ensemble(name: str, value: Any) -> dict[str, Any]:
    execution: dict[str, Any] = {"type": "docker", "image": "dms.local/base:1", "cmd": ["true"]}
    allocation: dict[str, Any] = {
        "type": "task",
        "executor": "docker",
        "resources": {"cpu": {"cores": 0.25}, "ram": {"size": "64MiB"}, "disk": {"size": "64MiB"}},
        "execution": execution,
    }
    (allocation if name == "volumes" else execution)[name] = value
    return {"allocations": {"evil": allocation}, "nodes": {"here": {"allocations": ["evil"]}}}


@pytest.fixture(scope="module")
def root(site: Site) -> Signer:
    return Signer.of_node(site)


@pytest.fixture(scope="module")
def http(site: Site) -> Any:
    with client_of(site, site.token) as client:
        yield client


def deployments(http: httpx.Client) -> int:
    return int(http.get("/deployments/").json()["total"])


def named(problem: dict[str, Any], name: str, allowance: str) -> None:
    """Check that a refusal names the option, where it stands, and how the node's owner would enable it."""
    assert problem["type"] == "urn:dms:problem:confinement"
    assert problem["status"] == 403
    errors = {error["check"]: error for error in problem["errors"]}
    error = errors[f"confinement.{allowance}"]
    assert error["path"].startswith("allocations.evil.")
    assert name.removesuffix("s") in error["path"]
    assert f"{allowance!r} to the node's allowances" in error["hint"]


@pytest.mark.parametrize(("name", "value", "allowance"), FORBIDDEN, ids=IDS)
def test_a_forbidden_option_is_refused_by_every_way_in(
    http: httpx.Client, site: Site, root: Signer, tmp_path: Path, name: str, value: Any, allowance: str
) -> None:
    before = deployments(http)
    document = ensemble(name, value)
    for body in (document, json.dumps(document)):
        answer = http.post(NEW, json={"Ensemble": body})
        assert answer.status_code == 403, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        named(answer.json(), name, allowance)
    named(root.invoke(root.envelope(NEW, {"Ensemble": document})), name, allowance)
    file = tmp_path / "evil.json"
    file.write_text(json.dumps(document))
    done = site.cli("deploy", "-f", str(file), "--json", check=False)
    assert done.returncode == 1
    named(json.loads(done.stdout), name, allowance)
    assert deployments(http) == before


def test_what_the_owner_enables_is_let_in_and_that_alone(http: httpx.Client, site: Site) -> None:
    node_settings(site, location={}, allowances=["host_namespaces"])
    try:
        answer = http.post(NEW, json={"Ensemble": ensemble("network_mode", "host")})
        assert answer.status_code == 200, answer.text
        refused = http.post(NEW, json={"Ensemble": ensemble("privileged", True)})
        assert refused.status_code == 403
    finally:
        node_settings(site, location={})
    assert http.post(NEW, json={"Ensemble": ensemble("network_mode", "host")}).status_code == 403


def deep(levels: int) -> bytes:
    return b'{"Ensemble":' + b"[" * levels + b"]" * levels + b"}"


def nonsense(members: list[str]) -> list[bytes]:
    """Return bodies that no behavior can like, made for the members that it knows."""
    values: list[Any] = [None, True, -1, 1e308, "x" * 70_000, "nul \x00", [], [[]], {}, {"a": {"b": [1]}}]
    return [
        *(json.dumps(dict.fromkeys(members, value)).encode() for value in values),
        *(b'{"%s": %s}' % (name.encode(), text) for name in members[:1] for text in (b"NaN", b"1" * 5000)),
        b"{}",
        b"[]",
        b"null",
        b'"text"',
        b"{",
        b"\xff\xfe",
        b'{"unknown": 1}',
        b'{"a\\u0000b": 1}',
        b'{"\\ud800": "\\udfff"}',
        deep(100),
        deep(20_000),
    ]


# Not given nonsense: what takes an empty request and changes the machine.
ACTS_ON_NOTHING = {"/dms/node/onboarding/offboard"}


def test_nonsense_is_refused_and_never_breaks_anything(http: httpx.Client) -> None:
    # With a row to look at, lookups by the ids that are given really happen.
    hello = (ROOT / "examples" / "hello.yaml").read_text()
    assert http.post(NEW, json={"Ensemble": hello}).status_code == 200
    broken: list[str] = []
    catalogue = http.get("/behaviors/").json()["behaviors"]
    assert len(catalogue) >= 17
    for entry in catalogue:
        if entry["path"] in ACTS_ON_NOTHING:
            continue
        for body in nonsense(sorted(entry["request"].get("properties", {}))):
            answer = http.post(entry["path"], content=body, headers={"Content-Type": "application/json"})
            kind = answer.headers["content-type"]
            if answer.status_code >= 500 or (answer.is_error and kind != "application/problem+json"):
                broken.append(f"{entry['path']} {body[:60]!r}: {answer.status_code} {kind}")
    assert broken == []
    for body in nonsense(["name"]):
        answer = http.post("/tokens/", content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code < 500, body[:60]


def test_a_search_for_a_book_is_refused(http: httpx.Client) -> None:
    for name in ("deployments", "events", "allocations", "nodes", "audit"):
        answer = http.get(f"/{name}/", params={"search": "x" * 60_000})
        assert answer.status_code == 400, name
        assert answer.headers["content-type"] == "application/problem+json"
        assert [error["path"] for error in answer.json()["errors"]] == ["search"]
        assert http.get(f"/{name}/", params={"search": "x" * 255}).status_code == 200


def test_a_body_beyond_the_bound_is_refused(http: httpx.Client) -> None:
    for path in (NEW, "/public/hello", "/actor/invoke"):
        answer = http.post(path, content=b" " * (4 << 20), headers={"Content-Type": "application/json"})
        assert answer.status_code in (400, 413), path
        assert answer.headers["content-type"] == "application/problem+json"
    large = json.dumps({"Ensemble": "# " + "x" * (2 << 20)}).encode()
    answer = http.post(NEW, content=large, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 413)
    assert answer.json()["detail"]


def test_envelopes_that_are_none_are_refused(root: Signer) -> None:
    for body in (b"", b"{", b"[]", b"null", b'"x"', b'{"nonce": 1e400}', b"{}", deep(20_000), b"\xff"):
        for verb in ("send", "invoke", "broadcast"):
            answer = root.post(verb, body)
            assert 400 <= answer.status_code < 500, (verb, body[:40], answer.text)
            assert answer.headers["content-type"] == "application/problem+json"
    hurt = root.invoke(root.envelope(NEW, {"Ensemble": "nul \x00"}))
    assert hurt["status"] == 400


def test_the_schema_is_openapi_3_1_and_knows_every_behavior(http: httpx.Client, site: Site) -> None:
    answer = http.get(f"{site.url}/api/schema/", headers={"Accept": "application/json"})
    schema = answer.raise_for_status().json()
    assert schema["openapi"].startswith("3.1.")
    catalogue = http.get("/behaviors/").json()["behaviors"]
    missing = [entry["path"] for entry in catalogue if f"/api/v1{entry['path']}" not in schema["paths"]]
    assert missing == []
    assert "/api/v1/actor/handle" in schema["paths"]
