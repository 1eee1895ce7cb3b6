"""Nothing forbidden passes in any spelling, and nothing harmless is refused."""

from __future__ import annotations

import posixpath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.confinement import ALLOWANCES, ensemble_violations, violations
from deployments.hostpaths import host_path, reaches_engine

FORBIDDEN: list[tuple[str, Any, str]] = [
    ("privileged", True, "privileged"),
    ("privileged", "yes", "privileged"),
    ("network_mode", "host", "host_namespaces"),
    ("network_mode", "container:abc", "host_namespaces"),
    ("network_mode", " HOST ", "host_namespaces"),
    ("network_mode", "ns:/proc/1/ns/net", "host_namespaces"),
    ("net", "host", "host_namespaces"),
    ("pid_mode", "host", "host_namespaces"),
    ("pid", "container:abc", "host_namespaces"),
    ("ipc_mode", "host", "host_namespaces"),
    ("uts_mode", "host", "host_namespaces"),
    ("userns_mode", "host", "host_namespaces"),
    ("cgroupns", "host", "host_namespaces"),
    ("host_network", True, "host_namespaces"),
    ("devices", ["/dev/kvm"], "devices"),
    ("device_requests", [{"count": -1}], "devices"),
    ("device_cgroup_rules", ["a *:* rwm"], "devices"),
    ("gpus", "all", "devices"),
    ("cap_add", ["SYS_ADMIN"], "kernel_capabilities"),
    ("capabilities", ["ALL"], "kernel_capabilities"),
    ("security_opt", ["seccomp=unconfined"], "security_options"),
    ("sysctls", {"kernel.shmmax": 1}, "security_options"),
    ("cgroup_parent", "/", "security_options"),
    ("group_add", ["docker"], "security_options"),
    ("runtime", "sysbox", "security_options"),
    ("oom_kill_disable", True, "security_options"),
    ("volumes_from", ["other"], "host_paths"),
    ("volumes", ["/etc:/etc:ro"], "host_paths"),
    ("volumes", {"/etc": {"bind": "/etc"}}, "host_paths"),
    ("binds", ["../../x:/x"], "host_paths"),
    ("mounts", [{"type": "bind", "source": "/etc", "target": "/etc"}], "host_paths"),
    ("mounts", ["type=bind,source=/etc,target=/etc"], "host_paths"),
    ("volumes", [{"driver_opts": {"o": "bind", "device": "/etc"}}], "host_paths"),
    ("env_file", "/etc/shadow", "host_paths"),
    ("volumes", ["/var/run/docker.sock:/d"], "docker_socket"),
    ("mounts", [{"Source": "unix:///run/docker.sock"}], "docker_socket"),
]

SOCKETS = [
    "/var/run/docker.sock",
    "//var/run/../run/docker.sock",
    "/run/./docker.sock",
    "/run",
    "/var/run/",
    "/var",
    "/",
    "///",
    "/home/../run",
    "/proc/1/root/run/docker.sock",
    "/proc/self/cwd",
    "/run/user/1000/docker.sock",
    "/somewhere/else/DOCKER.SOCK",
    "$XDG_RUNTIME_DIR",
    "unix:///var/run/docker.sock",
    "/var/run/../../run",
]


def spellings(name: str) -> st.SearchStrategy[str]:
    """Return strategies for one option's name as Go, snake, compose and camel case write it."""
    words = name.split("_")
    camel = "".join(word.title() for word in words)
    return st.sampled_from(
        [name, "-".join(words), camel, camel[0].lower() + camel[1:], name.upper(), "".join(words)]
    )


@given(st.data(), st.sampled_from(FORBIDDEN), st.booleans())
def test_forbidden_options_are_refused_in_every_spelling(
    data: st.DataObject, case: tuple[str, Any, str], nested: bool
) -> None:
    name, value, allowance = case
    params: dict[str, Any] = {data.draw(spellings(name)): value}
    if nested:
        params = {"image": "x", data.draw(spellings("host_config")): params}
    reasons = violations(params, [], (), path="allocations.web")
    assert f"confinement.{allowance}" in {reason.check for reason in reasons}
    for reason in reasons:
        assert reason.path.startswith("allocations.web.execution.params.")
        assert reason.message
        assert "owner" in reason.hint
    assert not violations(params, [], set(ALLOWANCES), path="allocations.web")


@given(st.sampled_from(FORBIDDEN), st.sampled_from(sorted(ALLOWANCES)))
def test_one_allowance_enables_nothing_else(case: tuple[str, Any, str], other: str) -> None:
    name, value, allowance = case
    if other == allowance:
        return
    reasons = violations({name: value}, [], {other}, path="a")
    assert f"confinement.{allowance}" in {reason.check for reason in reasons}


@pytest.mark.parametrize("source", SOCKETS)
def test_every_way_to_the_engines_socket_needs_its_own_allowance(source: str) -> None:
    volume = {"type": "local", "src": source, "mount_destination": "/x"}
    reasons = violations({}, [volume], {"host_paths"}, path="a")
    assert [reason.check for reason in reasons] == ["confinement.docker_socket"]
    assert reasons[0].path == "a.volumes[0].src"


@given(st.lists(st.sampled_from(["..", ".", "", "x", "run", "var", "docker.sock"]), max_size=8))
def test_a_path_whose_plain_form_is_the_socket_never_passes(parts: list[str]) -> None:
    path = "/" + "/".join(parts)
    assert host_path(path) == "outside"
    if posixpath.normpath("/" + path.lstrip("/")) in {
        "/run/docker.sock",
        "/var/run/docker.sock",
        "/run",
        "/",
    }:
        assert reaches_engine(path)


HARMLESS = st.fixed_dictionaries(
    {},
    optional={
        "image": st.sampled_from(["registry/web:1", "busybox"]),
        "cmd": st.lists(st.sampled_from(["--privileged", "/var/run/docker.sock", "host"])),
        "environment": st.dictionaries(
            st.sampled_from(["PRIVILEGED", "NETWORK_MODE", "DEVICES"]), st.just("host")
        ),
        "working_directory": st.just("/srv"),
        "user": st.just("1000:1000"),
        "privileged": st.sampled_from([False, None, "false", 0, ""]),
        "network_mode": st.sampled_from(["bridge", "none", "", None]),
        "cap_add": st.sampled_from([[], None]),
        "cap_drop": st.just(["ALL"]),
        "devices": st.just([]),
        "runtime": st.sampled_from(["runc", "kata"]),
        "restart_policy": st.just("no"),
        "security_opt": st.just([]),
    },
)


@given(
    HARMLESS,
    st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,20}", fullmatch=True).filter(lambda s: "sock" not in s),
)
def test_harmless_executions_pass(params: dict[str, Any], name: str) -> None:
    volume = {"type": "local", "src": name, "mount_destination": "/data", "read_only": False}
    assert violations(params, [volume], (), path="a") == ()
    allocation = {
        "executor": "docker",
        "resources": {"gpus": [{"vendor": "NVIDIA"}]},
        "execution": {"type": "docker", **params},
        "volume": [volume],
    }
    assert ensemble_violations({"version": "V1", "allocations": {"web": allocation}}, ()) == ()


def test_an_ensemble_is_walked_whole() -> None:
    document = {
        "V1": {
            "allocations": {
                "a": {"execution": {"type": "docker", "params": {"privileged": True}}},
                "b": {"execution": {"type": "docker", "Privileged": True}, "volume": [{"src": "/etc"}]},
                "c": {"volumes": {"src": "/root"}},
                "d": None,
            }
        }
    }
    assert [reason.path for reason in ensemble_violations(document, ())] == [
        "allocations.a.execution.params.privileged",
        "allocations.b.execution.Privileged",
        "allocations.b.volume[0].src",
        "allocations.c.volumes.src",
    ]


def test_the_owners_folder_is_no_host_path() -> None:
    inside = {"src": "/srv/dms/volumes/me/data"}
    sly = {"src": "/srv/dms/volumes/me/../you/data"}
    folder = "/srv/dms/volumes/me"
    assert violations({}, [inside], (), path="a", owner_folder=folder) == ()
    assert violations({}, [sly], (), path="a", owner_folder=folder)
    assert violations({}, [{"src": folder + "x"}], (), path="a", owner_folder=folder)


def test_nesting_too_deep_is_refused() -> None:
    params: dict[str, Any] = {"privileged": True}
    for _ in range(500):
        params = {"more": params}
    assert violations(params, [], (), path="a")


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_any_document_is_answered(value: Any) -> None:
    violations({"volumes": value, "x": value, "network_mode": value}, [{"src": value}], (), path="a")
    ensemble_violations({"allocations": value}, ())
