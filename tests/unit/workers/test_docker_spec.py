"""Requests as the engine's documents, GPUs as options, ends as causes: without an engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.executors.base import Cause, ExecutionRequest, ExecutorError, Mount, PortBinding, State
from workers.executors.docker import ending, provision, spec
from workers.executors.docker.gpu import gpu_options

AROUND = spec.Surroundings(
    network="dms-net", bind_address="0.0.0.0", pids_max=64, log_max_bytes=1000, host_config={}
)


def request(**changes: Any) -> ExecutionRequest:
    values: dict[str, Any] = {
        "execution_id": "e",
        "allocation_id": "d_n.a",
        "deployment_id": "d",
        "attempt": 1,
        "node_did": "did:key:n",
        "owner_did": "did:key:o",
        "type": "task",
        "params": {"image": "app"},
        "cpu_centicores": 150,
        "ram_bytes": 1 << 30,
        "disk_bytes": 1 << 30,
        "dns_name": "web",
        "work_dir": Path("/nowhere"),
    }
    return ExecutionRequest(**(values | changes))


def test_ports_mounts_and_limits() -> None:
    ports = (PortBinding(20000, 80), PortBinding(20001, 80), PortBinding(20000, 53, "udp"))
    mounts = (Mount(Path("/v/data"), "/data", True),)
    document = spec.container(request(ports=ports, mounts=mounts, hosts={"db": "10.0.0.2"}), AROUND)
    config = document["HostConfig"]
    assert config["PortBindings"] == {
        "80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "20000"}, {"HostIp": "0.0.0.0", "HostPort": "20001"}],
        "53/udp": [{"HostIp": "0.0.0.0", "HostPort": "20000"}],
    }
    assert set(document["ExposedPorts"]) == {"80/tcp", "53/udp"}
    assert config["Mounts"] == [{"Type": "bind", "Source": "/v/data", "Target": "/data", "ReadOnly": True}]
    assert config["ExtraHosts"] == ["db:10.0.0.2"]
    assert (config["NanoCpus"], config["Memory"]) == (1_500_000_000, 1 << 30)
    aliases = document["NetworkingConfig"]["EndpointsConfig"]["dms-net"]["Aliases"]
    assert aliases == ["web", "web.internal"]


@given(cpu=st.integers(0, 10_000), ram=st.integers(0, 1 << 40))
def test_no_request_is_without_limits(cpu: int, ram: int) -> None:
    config = spec.container(request(cpu_centicores=cpu, ram_bytes=ram), AROUND)["HostConfig"]
    assert config["NanoCpus"] > 0 and config["Memory"] == config["MemorySwap"] >= spec.RAM_MIN_BYTES
    assert config["PidsLimit"] == 64 and config["SecurityOpt"] == ["no-new-privileges"]
    assert not {"Privileged", "PidMode", "IpcMode", "CapAdd", "Devices"} & set(config)


def test_what_only_the_owner_can_enable_needs_the_allowance() -> None:
    asked = {
        "image": "app",
        "privileged": True,
        "cap_add": ["NET_RAW"],
        "network_mode": "host",
        "pid": "host",
    }
    with pytest.raises(ExecutorError) as refusal:
        spec.refuse_unconfined(request(params=asked))
    assert refusal.value.cause is Cause.CONFINEMENT
    for word in ("privileged", "cap_add", "network_mode", "pid"):
        assert word in refusal.value.detail
    # Even without that check nothing of it reaches the engine.
    config = spec.container(request(params=asked), AROUND)["HostConfig"]
    assert not {"Privileged", "PidMode", "CapAdd"} & set(config) and config["NetworkMode"] == "dms-net"
    allowed = frozenset({"privileged", "kernel_capabilities", "host_namespaces"})
    document = spec.container(request(params=asked, allowances=allowed), AROUND)
    config = document["HostConfig"]
    assert config["Privileged"] and config["CapAdd"] == ["NET_RAW"]
    assert (config["NetworkMode"], config["PidMode"]) == ("host", "host")
    assert "NetworkingConfig" not in document


@pytest.mark.parametrize(
    ("params", "image", "line"),
    [
        ({}, {"Entrypoint": ["/e"], "Cmd": ["c"]}, ["/e", "c"]),
        ({"cmd": ["x"]}, {"Entrypoint": ["/e"], "Cmd": ["c"]}, ["/e", "x"]),
        ({"entrypoint": ["/x"]}, {"Entrypoint": ["/e"], "Cmd": ["c"]}, ["/x"]),
        ({"entrypoint": ["/x"], "cmd": ["y z"]}, {}, ["/x", "y z"]),
        ({}, {"Entrypoint": None, "Cmd": None}, []),
    ],
)
def test_the_command_line_follows_the_engines_rule(
    params: dict[str, Any], image: dict[str, Any], line: list[str]
) -> None:
    assert spec.command_line(params, image) == line
    assert provision.wrapped(line)[2:] == line


def test_a_text_where_a_list_belongs_is_refused() -> None:
    for name in ("cmd", "entrypoint", "environment"):
        with pytest.raises(ExecutorError, match=f"execution.{name}"):
            spec.container(request(params={"image": "app", name: "a b"}), AROUND)
    with pytest.raises(ExecutorError, match="execution.image"):
        spec.container(request(params={}), AROUND)


def gpu(vendor: str, **fields: Any) -> dict[str, Any]:
    return {"vendor": vendor, "index": 0, "uuid": "", "pci_address": ""} | fields


def test_gpus_by_vendor() -> None:
    nodes = {"0000:03:00.0": ["/dev/dri/card1", "/dev/dri/renderD129"], "": []}

    def options(*gpus: dict[str, Any]) -> dict[str, Any]:
        return gpu_options(gpus, nodes_of=nodes.__getitem__, groups_of=lambda paths: ["44", "107"])

    assert options() == {}
    assert options(gpu("NVIDIA", uuid="GPU-1"), gpu("NVIDIA", index=3)) == {
        "DeviceRequests": [{"Driver": "nvidia", "DeviceIDs": ["GPU-1", "3"], "Capabilities": [["gpu"]]}]
    }
    amd = options(gpu("AMD/ATI", pci_address="0000:03:00.0"))
    assert [d["PathOnHost"] for d in amd["Devices"]] == ["/dev/kfd", "/dev/dri/card1", "/dev/dri/renderD129"]
    assert amd["GroupAdd"] == ["44", "107"]
    intel = options(gpu("Intel", pci_address="0000:03:00.0"))
    assert [d["PathOnHost"] for d in intel["Devices"]] == ["/dev/dri/card1", "/dev/dri/renderD129"]
    for wrong, word in (
        ((gpu("NVIDIA"), gpu("Intel")), "several vendors"),
        ((gpu("Unknown"),), "UNKNOWN"),
        ((gpu("AMD/ATI"),), "driver"),
    ):
        with pytest.raises(ExecutorError, match=word):
            options(*wrong)


@pytest.mark.parametrize(
    ("code", "oom", "error", "cause"),
    [
        (0, False, "", Cause.COMPLETED),
        (0, True, "", Cause.COMPLETED),
        (137, True, "", Cause.OOM_KILLED),
        (137, False, "", Cause.KILLED),
        (1, True, "", Cause.EXIT_CODE),
        (143, False, "", Cause.EXIT_CODE),
        (127, False, "exec: not found", Cause.START_FAILED),
        (127, False, "", Cause.EXIT_CODE),
        (255, False, "", Cause.EXIT_CODE),
    ],
)
def test_causes(code: int, oom: bool, error: str, cause: Cause) -> None:
    assert ending.why(code, oom=oom, error=error, memory_bytes=1)[0] is cause


def test_times_and_states_of_an_inspection() -> None:
    document = {
        "State": {
            "Status": "exited",
            "ExitCode": 0,
            "StartedAt": "2026-01-02T03:04:05.123456789Z",
            "FinishedAt": "2026-01-02T03:04:05.1Z",
        },
        "NetworkSettings": {"Networks": {"a": {"IPAddress": ""}, "b": {"IPAddress": "10.0.0.9"}}},
    }
    found = ending.execution(document)
    assert (found.state, found.priv_addr) == (State.EXITED, "10.0.0.9")
    assert found.started_at is not None and found.started_at.microsecond == 123456
    assert found.ended_at == found.started_at  # never before the start
    assert ending.moment("0001-01-01T00:00:00Z") is None
    assert ending.moment("2026-01-02T03:04:05.5+02:00") == ending.moment("2026-01-02T01:04:05.500000000Z")
    assert ending.execution({"State": {"Status": "paused"}}).state is State.RUNNING
