"""Each rule of the format: what is refused, where, and what is said; units, defaults, templates, order."""

import json
from typing import Any

import pytest

from capabilities.refusal import Refusal
from deployments.ensemble import levels, parse, parse_document
from deployments.ensemble.document import allocation_document
from deployments.ensemble.endpoint import Endpoint, http_endpoint, own_names
from deployments.ensemble.manifest import allocation_id, allocation_manifest, split_manifest_key
from deployments.ensemble.model import HealthcheckSpec, RestartSpec

BASE: dict[str, Any] = {
    "allocations": {
        "a": {
            "type": "service",
            "executor": "docker",
            "resources": {"cpu": {"cores": 1}, "ram": {"size": 1}, "disk": {"size": 1}},
            "execution": {"type": "docker", "image": "alpine"},
        }
    },
    "nodes": {"n": {"allocations": ["a"]}},
}


def changed(path: str, value: object) -> dict[str, Any]:
    """Return the base ensemble with one member set; `None` removes it."""
    document: dict[str, Any] = json.loads(json.dumps(BASE))
    *way, last = path.split("/")
    place = document
    for key in way:
        place = place.setdefault(key, {})
    place[last] = value
    if value is None:
        del place[last]
    return document


def errors_of(document: object) -> list[tuple[str, str]]:
    return [(error.path, error.message) for error in parse(json.dumps(document)).errors]


A = "allocations/a"
R = f"{A}/resources"
X = f"{A}/execution"
H = f"{A}/healthcheck"
HEALTH = "allocations.a.healthcheck"
SECOND = BASE["allocations"]["a"]


@pytest.mark.parametrize(
    ("path", "value", "where", "said"),
    [
        ("allocations", None, "allocations", "at least one allocation"),
        ("allocations", {}, "allocations", "at least one allocation"),
        ("nodes", None, "nodes", "at least one node"),
        ("version", "V2", "version", "unknown version"),
        ("escalation_strategy", "panic", "escalation_strategy", "redeploy, teardown"),
        ("subnet", {}, "subnet.join", "needs `join`"),
        ("subnet", {"join": "maybe"}, "subnet.join", "true or false"),
        ("contracts", {"c": {"did": "key:x"}}, "contracts.c.did", "no DID"),
        ("contracts", {"c": {"did": "did:x", "host": "h"}}, "contracts.c.host", "no DID"),
        ("exclude_peers", [""], "exclude_peers[0]", "empty"),
        ("metadata", {"k": ["x"]}, "metadata.k", "text"),
        ("edges", [{"edges": ["n"]}], "edges[0].edges", "exactly two"),
        ("edges", [{"edges": ["n", "m"]}], "edges[0]", "no node 'm'"),
        ("edges", [{"S": "n", "T": "n"}], "edges[0]", "another"),
        ("supervisor", {"strategy": "Never"}, "supervisor.strategy", "OneForOne"),
        ("supervisor", {"allocations": ["b"]}, "supervisor.allocations[0]", "no allocation 'b'"),
        (f"{A}/type", "job", "allocations.a.type", "service, task"),
        (f"{A}/executor", None, "allocations.a.executor", "needs `executor`"),
        (f"{A}/executor", "dockr", "allocations.a.executor", "docker"),
        (f"{X}/type", "process", "allocations.a.execution.type", "the executor is docker"),
        (f"{X}/type", "wasm", "allocations.a.execution.type", "unsupported execution type"),
        (X, None, "allocations.a.execution", "needs `execution`"),
        (f"{X}/image", None, "allocations.a.execution.image", "needs `image`"),
        (f"{X}/image", "Not An Image", "allocations.a.execution.image", "no image name"),
        (f"{X}/cmd", "echo hi", "allocations.a.execution.cmd", "list of words"),
        (f"{X}/environment", ["1A=x"], "allocations.a.execution.environment[0]", "KEY=VALUE"),
        (f"{X}/environment", {"A": "x"}, "allocations.a.execution.environment", "must be a list"),
        (f"{X}/working_directory", "", "allocations.a.execution.working_directory", "empty"),
        (f"{X}/restart_policy", "sometimes", "allocations.a.execution.restart_policy", "on-failure"),
        (f"{X}/privileged", "perhaps", "allocations.a.execution.privileged", "true or false"),
        (f"{A}/dns_name", "", "allocations.a.dns_name", "empty"),
        (f"{A}/dns_name", "under_score", "allocations.a.dns_name", "no host name"),
        (f"{A}/failure_recovery", "restart", "allocations.a.failure_recovery", "one_for_one"),
        (f"{A}/depends_on", ["a"], "allocations.a.depends_on[0]", "depends on itself"),
        (f"{A}/depends_on", ["b"], "allocations.a.depends_on[0]", "no allocation 'b'"),
        (f"{A}/provision", ["setup"], "allocations.a.provision[0]", "no script 'setup'"),
        (f"{A}/keys", [{"type": "rsa", "file": "f"}], "allocations.a.keys[0].type", "ssh, gpg"),
        (f"{A}/keys", [{"type": "gpg", "file": "f"}], "allocations.a.keys[0].dest", "needs `dest`"),
        (f"{A}/healthcheck", {"type": "udp"}, "allocations.a.healthcheck.type", "command, http, tcp"),
        (H, {"type": "tcp"}, f"{HEALTH}.port", "needs `port`"),
        (H, {"type": "tcp", "port": 70000}, f"{HEALTH}.port", "65535"),
        (H, {"type": "http", "endpoint": "http://10.0.0.1/"}, f"{HEALTH}.endpoint", "not the allocation"),
        (H, {"type": "http", "endpoint": "//example.com/"}, f"{HEALTH}.endpoint", "neither a path nor"),
        (H, {"type": "http", "endpoint": "https://localhost/"}, f"{HEALTH}.endpoint", "neither a path nor"),
        (H, {"type": "http", "endpoint": "http://u@localhost/"}, f"{HEALTH}.endpoint", "neither a path nor"),
        (H, {"type": "http", "endpoint": "/x y"}, f"{HEALTH}.endpoint", "without blanks"),
        (H, {"type": "http", "endpoint": "http://a:80/", "port": 81}, f"{HEALTH}.endpoint", "port 80"),
        (H, {"type": "http", "endpoint": "/", "status": "fine"}, f"{HEALTH}.status", "no HTTP status"),
        (
            H,
            {"type": "tcp", "port": 1, "response": {"type": "regex", "value": "x"}},
            f"{HEALTH}.response.type",
            "contains",
        ),
        (H, {"type": "tcp", "port": 1, "retries": 0}, f"{HEALTH}.retries", "from 1"),
        (H, {"type": "tcp", "port": 1, "timeout": "2h"}, f"{HEALTH}.timeout", "at most 60s"),
        (H, {"type": "tcp", "port": 1, "timeout": "0s"}, f"{HEALTH}.timeout", "positive"),
        (H, {"type": "tcp", "port": 1, "start_period": "soon"}, f"{HEALTH}.start_period", "duration"),
        (f"{A}/restart", {"max": -1}, "allocations.a.restart.max", "from 0"),
        (f"{A}/restart", {"within": 10}, "allocations.a.restart.within", "nanoseconds"),
        (
            f"{A}/restart",
            {"backoff": "1m", "backoff_max": "1s"},
            "allocations.a.restart.backoff_max",
            "shorter than backoff",
        ),
        (f"{A}/retry", 2, "allocations.a.retry", "service is not retried"),
        (f"{A}/ready_when", "completed", "allocations.a.ready_when", "a service does not complete"),
        (f"{A}/ready_when", "healthy", "allocations.a.ready_when", "healthy"),
        (f"{A}/max_runtime", "forever", "allocations.a.max_runtime", "duration"),
        ("max_runtime", "0s", "max_runtime", "positive"),
        (f"{A}/healthcheck", {"type": "command"}, "allocations.a.healthcheck.exec", "needs `exec`"),
        (f"{A}/healthcheck", {"type": "command", "exec": []}, "allocations.a.healthcheck.exec", "command"),
        (f"{A}/healthcheck", {"type": "http"}, "allocations.a.healthcheck.endpoint", "needs `endpoint`"),
        (
            f"{A}/healthcheck",
            {"type": "http", "endpoint": "x", "interval": 30},
            "allocations.a.healthcheck.interval",
            "nanoseconds",
        ),
        (f"{A}/volume", [{"type": "nfs"}], "allocations.a.volume[0].type", "glusterfs"),
        (f"{A}/volume", ["data"], "allocations.a.volume[0]", "name:mountpoint"),
        (
            f"{A}/volume",
            [{"type": "local", "src": "./d", "mount_destination": "/d"}],
            "allocations.a.volume[0].src",
            "relative",
        ),
        (
            f"{A}/volume",
            [{"type": "local", "src": "/a/../b", "mount_destination": "/d"}],
            "allocations.a.volume[0].src",
            "climbs",
        ),
        (
            f"{A}/volume",
            [{"type": "glusterfs", "mount_destination": "/d"}],
            "allocations.a.volume[0].servers",
            "needs `servers`",
        ),
        (R, None, "allocations.a.resources", "needs `resources`"),
        (R, "small", "allocations.a.resources", "no template 'small'"),
        (f"{R}/cpu", None, "allocations.a.resources.cpu", "needs `cpu`"),
        (f"{R}/cpu", {"cores": 0}, "allocations.a.resources.cpu.cores", "positive"),
        (f"{R}/cpu", {"cores": "many"}, "allocations.a.resources.cpu.cores", "valid number"),
        (f"{R}/ram", {"size": -1}, "allocations.a.resources.ram.size", "positive"),
        (f"{R}/gpus", "all", "allocations.a.resources.gpus", "must be a list"),
        ("nodes/n/allocations", [], "nodes.n.allocations", "at least one"),
        ("nodes/n/allocations", ["b"], "nodes.n.allocations[0]", "no allocation 'b'"),
        ("nodes/m", {"allocations": ["a"]}, "nodes.m.allocations[0]", "on node n already"),
        ("nodes/n/peer", "", "nodes.n.peer", "empty"),
        ("nodes/n/redundancy", -1, "nodes.n.redundancy", "from 0"),
        ("nodes/n/redundancy", 1.5, "nodes.n.redundancy", "whole number"),
        ("nodes/n/failure_recovery", "one_for_one", "nodes.n.failure_recovery", "stay_down"),
        ("nodes/n/location", {"accept": [{}]}, "nodes.n.location.accept[0].continent", "needs `continent`"),
        (
            "nodes/n/location",
            {"reject": [{"continent": "Atlantis"}]},
            "nodes.n.location.reject[0].continent",
            "Europe",
        ),
        (
            "nodes/n/location",
            {"accept": [{"continent": "Europe", "city": "Rome"}]},
            "nodes.n.location.accept[0].city",
            "country",
        ),
        ("nodes/n/ports", [{"private": 80, "allocation": "a"}], "nodes.n.ports[0].public", "needs `public`"),
        (
            "nodes/n/ports",
            [{"public": 80, "private": 80, "allocation": "a"}],
            "nodes.n.ports[0].public",
            "reserved",
        ),
        (
            "nodes/n/ports",
            [{"public": 70000, "private": 80, "allocation": "a"}],
            "nodes.n.ports[0].public",
            "65535",
        ),
        (
            "nodes/n/ports",
            [{"public": 0, "private": 0, "allocation": "a"}],
            "nodes.n.ports[0].private",
            "from 1",
        ),
        (
            "nodes/n/ports",
            [{"public": 0, "private": 80, "allocation": "b"}],
            "nodes.n.ports[0].allocation",
            "no allocation 'b'",
        ),
        (
            "nodes/n/ports",
            [{"public": 0, "private": 80, "allocation": "a", "protocol": "sctp"}],
            "nodes.n.ports[0].protocol",
            "tcp, udp",
        ),
    ],
)
def test_each_rule_is_refused_at_its_place(path, value, where, said):
    found = errors_of(changed(path, value))
    assert any(at == where and said in message for at, message in found), found


def test_the_base_is_valid():
    assert errors_of(BASE) == []


@pytest.mark.parametrize("name", ["under_score", "dotted.name", "-x", "x-", "a" * 64, "ä", ""])
def test_names_of_allocations(name):
    document = {"allocations": {name: SECOND}, "nodes": {"n": {"allocations": [name or "x"]}}}
    assert any("no name for an allocation" in message for _, message in errors_of(document))


def test_names_that_differ_in_case_only_and_equal_dns_names():
    document = {
        "allocations": {"web": SECOND, "Web": SECOND},
        "nodes": {"n": {"allocations": ["web", "Web"]}},
    }
    messages = [message for _, message in errors_of(document)]
    assert any("differ in case only" in message for message in messages)
    assert any("duplicate dns_name" in message for message in messages)


def test_cycle_names_its_members():
    document = {
        "allocations": {
            name: SECOND | {"depends_on": [on]} for name, on in (("a", "b"), ("b", "c"), ("c", "a"))
        },
        "nodes": {"n": {"allocations": ["a", "b", "c"]}},
    }
    ((path, message),) = errors_of(document)
    assert path == "allocations.a.depends_on"
    assert "a -> b -> c -> a" in message


def test_dependencies_stay_on_one_node():
    document = {
        "allocations": {"a": SECOND, "b": SECOND | {"depends_on": ["a"]}},
        "nodes": {"n": {"allocations": ["a"]}, "m": {"allocations": ["b"]}},
    }
    ((path, message),) = errors_of(document)
    assert path == "allocations.b.depends_on[0]"
    assert "node m" in message


def test_processes_need_a_command_and_have_no_ports():
    document = changed(X, {"type": "process"})
    document["allocations"]["a"]["executor"] = "process"
    assert errors_of(document) == [("allocations.a.execution.cmd", "process execution needs `cmd`")]
    document["allocations"]["a"]["execution"]["cmd"] = ["true"]
    document["nodes"]["n"]["ports"] = [{"public": 0, "private": 1, "allocation": "a"}]
    document["allocations"]["a"]["healthcheck"] = {"type": "tcp", "port": 1}
    found = errors_of(document)
    assert {path for path, _ in found} == {"nodes.n.ports[0]", "allocations.a.healthcheck.type"}
    assert all("no network" in message for _, message in found)


@pytest.mark.parametrize(
    ("endpoint", "port", "expected"),
    [
        ("/health?x=1#top", 8080, Endpoint(8080, "/health?x=1")),
        ("/", 0, Endpoint(80, "/")),
        ("http://localhost:81", 0, Endpoint(81, "/", "localhost:81")),
        ("http://web.internal/x", 8080, Endpoint(8080, "/x", "web.internal")),
        ("http://[::1]:5/x?y", 5, Endpoint(5, "/x?y", "[::1]:5")),
    ],
)
def test_endpoints_of_the_allocation_itself(endpoint, port, expected):
    assert http_endpoint(endpoint, port, own_names("a", "web")) == expected


def test_health_and_lifetime_are_typed_and_left_out_of_documents_without_them():
    document = changed(H, {"type": "http", "endpoint": "/", "status": 204, "timeout": "2s", "retries": 5})
    document["allocations"]["a"] |= {"restart": {"max": 2, "backoff": "0s"}, "max_runtime": "1d"}
    document["max_runtime"] = "90m"
    ensemble = parse(json.dumps(document)).required()
    spec = ensemble.allocations["a"]
    assert spec.healthcheck == HealthcheckSpec(
        "http", endpoint="/", status="204", timeout_ns=2 * 10**9, retries=5
    )
    assert spec.restart == RestartSpec(2, 600 * 10**9, 0, 60 * 10**9)
    assert (spec.max_runtime_s, ensemble.max_runtime_s) == (86_400.0, 5_400.0)
    assert parse_document(ensemble.document()).required() == ensemble
    plain = allocation_document(parse(json.dumps(BASE)).required().allocations["a"])
    assert not plain.keys() & {"restart", "retry", "max_runtime", "healthcheck", "ready_when"}


@pytest.mark.parametrize(
    ("policy", "own", "expected"),
    [
        ("no", "", "stay_down"),
        ("always", "", "one_for_one"),
        ("on-failure", "", "one_for_one"),
        ("always", "rest_for_one", "rest_for_one"),
        ("unless-stopped", "stay_down", "stay_down"),
    ],
)
def test_dockers_word_for_restarting_is_acted_on(policy, own, expected):
    document = changed(f"{A}/execution/restart_policy", policy)
    if own:
        document["allocations"]["a"]["failure_recovery"] = own
    assert parse(json.dumps(document)).required().allocations["a"].failure_recovery == expected


def test_a_restart_that_nothing_asks_for_is_warned_of():
    document = changed(f"{A}/restart", {"max": 3})
    (warning,) = parse(json.dumps(document)).warnings
    assert "stay_down" in warning.message
    document["allocations"]["a"]["failure_recovery"] = "one_for_one"
    assert parse(json.dumps(document)).warnings == ()


def test_members_of_another_kind_of_check_are_named():
    parsed = parse(json.dumps(changed(H, {"type": "tcp", "port": 1, "endpoint": "/", "status": 200})))
    assert [warning.path for warning in parsed.warnings] == [f"{HEALTH}.endpoint", f"{HEALTH}.status"]


def test_null_executor_needs_no_quotes():
    text = json.dumps(changed(X, {})).replace('"executor": "docker"', '"executor": null')
    text = text.replace('"execution": {}', '"execution": {"type": null, "x": 1}')
    spec = parse(text).required().allocations["a"]
    assert (spec.executor, spec.execution.type, spec.execution.params) == ("null", "null", {"x": 1})


def test_unknown_execution_members_are_passed_through_with_a_warning():
    parsed = parse(json.dumps(changed(f"{X}/args", ["x"])))
    assert parsed.required().allocations["a"].execution.params["args"] == ["x"]
    (warning,) = parsed.warnings
    assert "`cmd`" in warning.hint


def test_older_forms_are_accepted_and_named():
    document = changed("nodes/n/location", {"accept": [{"region": "Europe"}]})
    document["allocations"]["a"] |= {"dnsname": "x", "health_check": {"type": "command", "exec": ["true"]}}
    document["allocations"]["a"]["resources"]["cpu"] = {"cores": "2"}
    document["allocations"]["b"] = SECOND | {"depends_on": "a"}
    document["nodes"]["n"]["allocations"] = ["a", "b"]
    document["nodes"]["n"]["ports"] = {"public": 0, "private": 80, "allocation": "a"}
    parsed = parse(json.dumps(document))
    ensemble = parsed.required()
    assert ensemble.allocations["a"].dns_name == "x"
    assert ensemble.allocations["b"].depends_on == ("a",)
    assert ensemble.allocations["a"].resources.cpu_centicores == 200
    said = " ".join(f"{warning.message} {warning.hint}" for warning in parsed.warnings)
    for modern in (
        "dns_name",
        "healthcheck",
        "continent",
        "depends_on: [NAME]",
        "bare",
        "`ports:` as a list",
    ):
        assert modern in said
    assert len(parsed.warnings) == 6


def test_templates_of_resources_and_volumes():
    document = changed(R, {"name": "small", "ram": {"size": "2GiB"}})
    document["resources"] = {
        "small": {"cpu": {"cores": 0.25}, "ram": {"size": 1, "type": "x"}, "disk": {"size": 1}}
    }
    document["volumes"] = {"data": {"type": "local", "src": "shared", "read_only": True}}
    document["allocations"]["a"]["volumes"] = ["data:/data", "own:/own"]
    spec = parse(json.dumps(document)).required().allocations["a"]
    assert (spec.resources.cpu_centicores, spec.resources.ram_bytes) == (25, 2 << 30)
    assert spec.resources.details["ram"] == {"type": "x"}
    shared, own = spec.volumes
    assert (shared.src, shared.mount_destination, shared.read_only) == ("shared", "/data", True)
    assert (own.type, own.src, own.read_only) == ("local", "own", False)


def test_defaults():
    ensemble = parse(json.dumps(BASE)).required()
    spec, node = ensemble.allocations["a"], ensemble.nodes["n"]
    assert (spec.dns_name, spec.failure_recovery, node.failure_recovery) == ("a", "stay_down", "stay_down")
    assert levels(ensemble) == {"a": 0}
    assert ensemble.node_of("a") is node


def test_refusal_carries_every_error():
    with pytest.raises(Refusal) as caught:
        parse("allocations: {a: {}}").required()
    problem = caught.value.problem()
    assert problem["status"] == 422
    assert len(problem["errors"]) == len(problem["problems"]) > 3


def test_server_refuses_placeholders_and_takes_literals():
    parsed = parse(json.dumps(changed(f"{X}/cmd", ["${HOME}"])))
    (error,) = parsed.errors
    assert error.path == "allocations.a.execution.cmd[0]"
    assert "$${...}" in error.hint
    parsed = parse(json.dumps(changed(f"{X}/cmd", ["$${HOME}"])))
    assert parsed.required().allocations["a"].execution.params["cmd"] == ["${HOME}"]


@pytest.mark.parametrize("mark", ["{$contract}", "{{ name }}", "x-{{name}}"])
def test_template_marks_are_named(mark):
    (error,) = parse(json.dumps(changed("metadata", {"k": mark}))).errors
    assert mark.removeprefix("x-") in error.message


def test_go_templates_in_commands_are_left_alone():
    words = ["docker", "ps", "--format", "{{.Names}} {{ end }} {{json .}}"]
    parsed = parse(json.dumps(changed(f"{X}/cmd", words)))
    assert parsed.required().allocations["a"].execution.params["cmd"] == words


def test_manifest_of_an_allocation():
    spec = parse(json.dumps(BASE)).required().allocations["a"]
    manifest = allocation_manifest(
        id=allocation_id("e", "n", "a"),
        type=spec.type,
        node_id="n",
        handle={},
        dns_name=spec.dns_name,
        status="pending",
        ports=[{"public": 20000, "private": 80}, {"public": 20000, "private": 53, "protocol": "udp"}],
    )
    assert manifest["id"] == "e_n.a"
    assert manifest["dns_name"] == "a.internal"
    assert manifest["ports"] == {"20000": 80, "20000/udp": 53}
    assert split_manifest_key("n.a") == ("n", "a")
    assert allocation_document(spec)["resources"]["ram"]["size"] == 1 << 30
