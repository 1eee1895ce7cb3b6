"""Containers on the real engine: how they start, what they get, how they end, and what is said about it."""

from __future__ import annotations

import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from docker import DockerClient

from capabilities.numbers import NUMBERS
from tests.integration.docker_rig import Rig, wait_for
from workers import volumes
from workers.executors.base import Cause, ExecutorError, State
from workers.executors.base_image import REFERENCE
from workers.executors.docker import spec


def test_exit_codes_and_causes(rig: Rig) -> None:
    for command, cause, code, words in (
        (["true"], Cause.COMPLETED, 0, "exit code 0"),
        (["sh", "-c", "exit 3"], Cause.EXIT_CODE, 3, "exit code 3"),
        (["sh", "-c", "kill -SEGV $$"], Cause.EXIT_CODE, 139, "SIGSEGV"),
        (["sh", "-c", "exit 127"], Cause.EXIT_CODE, 127, "exit code 127"),
        (["no-such-program"], Cause.START_FAILED, 127, "exec no-such-program failed"),
    ):
        found, _ = rig.run(*command)
        assert (found.cause, found.exit_code) == (cause, code)
        assert words in found.detail
        assert found.started_at is not None and found.ended_at is not None
        assert found.started_at <= found.ended_at


def test_a_start_that_the_engine_refuses_speaks_and_leaves_nothing(
    rig: Rig, docker_client: DockerClient
) -> None:
    request = rig.request("true", params={"working_directory": "not/absolute"})
    with pytest.raises(ExecutorError, match="absolute path") as refusal:
        rig.docker.start(request)
    assert refusal.value.cause is Cause.START_FAILED
    request = rig.request("true", params={"user": "nobody-knows-me"})
    with pytest.raises(ExecutorError, match="nobody-knows-me"):
        rig.docker.start(request)
    assert rig.docker.executions(rig.node) == []


def test_out_of_memory_is_told_apart_from_a_kill(rig: Rig, docker_client: DockerClient) -> None:
    found, _ = rig.run("sh", "-c", "x=aaaaaaaa; while true; do x=$x$x; done", ram_bytes=16 << 20)
    assert (found.cause, found.exit_code) == (Cause.OOM_KILLED, 137)
    assert str(16 << 20) in found.detail
    execution_id = rig.start("sleep", "600")
    docker_client.containers.get(spec.container_name(rig.node, execution_id)).kill()
    found = rig.ended(execution_id)
    assert (found.cause, found.exit_code) == (Cause.KILLED, 137)


def test_limits_labels_and_confinement_reach_the_kernel(rig: Rig, docker_client: DockerClient) -> None:
    request = rig.request("sleep", "600", cpu_centicores=25, ram_bytes=32 << 20, attempt=2)
    rig.docker.start(request)
    container = docker_client.containers.get(spec.container_name(rig.node, request.execution_id))
    config = container.attrs["HostConfig"]
    assert config["NanoCpus"] == 250_000_000
    assert config["Memory"] == config["MemorySwap"] == 32 << 20
    assert config["PidsLimit"] == NUMBERS.container_pids_max
    assert config["LogConfig"] == {
        "Type": "json-file",
        "Config": {"max-size": str(NUMBERS.log_max_bytes // 2), "max-file": "2"},
    }
    assert config["RestartPolicy"]["Name"] in ("", "no")
    assert container.labels == {
        "dms.node": rig.node,
        "dms.deployment": rig.deployment,
        "dms.allocation": request.allocation_id,
        "dms.execution": request.execution_id,
        "dms.attempt": "2",
        "dms.type": "task",
    } | {key: value for key, value in container.labels.items() if key == "dms.content"}
    output = container.exec_run(["grep", "-E", "NoNewPrivs|CapBnd", "/proc/self/status"]).output
    assert isinstance(output, bytes)
    status = output.decode()
    assert "NoNewPrivs:\t1" in status
    bounding = int(status.split("CapBnd:")[1].split()[0], 16)
    for bit in (13, 18, 27, 29):  # NET_RAW, SYS_CHROOT, MKNOD, AUDIT_WRITE
        assert not bounding >> bit & 1
    assert bounding >> 0 & 1  # CHOWN


def test_a_fork_bomb_meets_the_limit_of_processes(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    limited = replace(NUMBERS, container_pids_max=16)
    monkeypatch.setattr("workers.executors.docker.launch.NUMBERS", limited)
    found, log = rig.run("sh", "-c", "for i in $(seq 40); do sleep 9 & done; echo survived")
    assert "fork" in log.lower()


def test_environment_entrypoint_directory_user_and_hosts(rig: Rig) -> None:
    params = {
        "entrypoint": [
            "sh",
            "-c",
            'echo "$GREETING|$(pwd)|$(id -u)|$1|$(grep -c peer.test /etc/hosts)|$(hostname)"',
        ],
        "cmd": ["zero", "two words"],
        "environment": ["GREETING=a=b c", "EMPTY="],
        "working_directory": "/tmp",
        "user": "65534",
        "restart_policy": "always",
    }
    found, log = rig.run(params=params, hosts={"peer.test": "10.1.2.3"}, dns_name="web")
    assert (found.cause, log) == (Cause.COMPLETED, "a=b c|/tmp|65534|two words|1|web\n")


def test_provision_scripts_run_in_order_before_the_command(rig: Rig) -> None:
    scripts = (("b first", b"echo one > /tmp/seen"), ("a", b"#!/bin/sh\necho two >> /tmp/seen"))
    params = {"entrypoint": ["sh", "-c"], "cmd": ['cat /tmp/seen; echo "$0|$1"', "a b", "c'd"]}
    found, log = rig.run(params=params, scripts=scripts)
    assert (found.cause, log) == (Cause.COMPLETED, "one\ntwo\na b|c'd\n")
    found, log = rig.run("echo", "never", scripts=(("bad one", b"exit 5"), ("next", b"echo never")))
    assert (found.cause, found.exit_code) == (Cause.EXIT_CODE, 5)
    assert log == "dms: provision script bad one ended with code 5\n"


def test_provision_scripts_keep_the_images_own_command(rig: Rig, docker_client: DockerClient) -> None:
    rig.run("true")
    tag = f"dms-test/{rig.deployment}:1"
    container = docker_client.containers.create("dms.local/base:1")
    container.commit(
        repository=tag.split(":")[0], tag="1", changes='ENTRYPOINT ["echo","own"]\nCMD ["words"]'
    )
    container.remove()
    try:
        _, log = rig.run(params={"image": tag, "cmd": []}, scripts=(("s", b"echo before"),))
        assert log == "before\nown words\n"
    finally:
        rig.clean(docker_client)
        docker_client.images.remove(tag)


def test_starting_twice_adopts(rig: Rig) -> None:
    request = rig.request("sleep", "600")
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: rig.docker.start(request), range(4)))
    assert {execution.state for execution in found} == {State.RUNNING}
    assert len(rig.docker.executions(rig.node)) == 1
    # Another process of the same node adopts too, and an ended execution is not started again.
    twin = Rig(rig.home)
    twin.node, twin.docker = rig.node, type(rig.docker)(rig.node, rig.home)
    assert twin.docker.start(request).state is State.RUNNING
    rig.docker.stop(request.execution_id, 1)
    assert twin.docker.start(request).cause is Cause.STOPPED


def test_stop_asks_first_and_kills_after_the_grace(rig: Rig) -> None:
    polite = rig.start(
        "sh", "-c", "trap 'echo bye; exit 0' TERM; echo ready; while true; do sleep 0.05; done"
    )
    wait_for(lambda: "ready" in rig.text(polite), "the trap")
    found = rig.docker.stop(polite, 10)
    assert (found.state, found.cause, found.exit_code) == (State.EXITED, Cause.STOPPED, 0)
    assert rig.text(polite).endswith("bye\n")
    deaf = rig.start("sh", "-c", "trap '' TERM; echo ready; while true; do sleep 0.05; done")
    wait_for(lambda: "ready" in rig.text(deaf), "the trap")
    found = rig.docker.stop(deaf, 1)
    assert (found.cause, found.exit_code) == (Cause.STOPPED, 137)
    assert rig.docker.stop(deaf, 1).cause is Cause.STOPPED
    rig.docker.remove(deaf)
    rig.docker.remove(deaf)
    assert rig.docker.inspect(deaf).state is State.GONE
    assert rig.docker.stop(deaf, 1).state is State.GONE


def test_a_kill_is_remembered_with_its_reason_by_other_processes_too(rig: Rig) -> None:
    execution_id = rig.start("sleep", "600")
    rig.docker.kill(execution_id, Cause.DISK_LIMIT, "wrote 2 GiB of 1 GiB")
    again = type(rig.docker)(rig.node, rig.home)
    found = rig.ended(execution_id)
    assert again.inspect(execution_id) == found
    assert (found.cause, found.detail) == (Cause.DISK_LIMIT, "wrote 2 GiB of 1 GiB")
    ended = rig.start("true")
    rig.ended(ended)
    rig.docker.kill(ended, Cause.DISK_LIMIT, "too late")
    assert rig.docker.inspect(ended).cause is Cause.COMPLETED


def test_disk_use_is_measured_with_the_owners_volumes(rig: Rig) -> None:
    mounts = volumes.mounts(
        [
            {"type": "local", "name": "data", "src": "data", "mount_destination": "/data"},
            {"type": "local", "name": "look", "src": "look", "mount_destination": "/look", "read_only": True},
        ],
        home=rig.home,
        owner_did="did:key:owner",
        allowances=(),
    )
    write = "dd if=/dev/zero of=/tmp/a bs=1M count=5; dd if=/dev/zero of=/data/b bs=1M count=3; touch /look/c"
    execution_id = rig.start("sh", "-c", f"({write}) 2>&1; echo done; sleep 600", mounts=mounts)
    wait_for(lambda: "done" in rig.text(execution_id), "the writing")
    assert "Read-only file system" in rig.text(execution_id)
    used = rig.docker.disk_used_bytes(execution_id)
    assert 8 << 20 <= used < 9 << 20
    assert (mounts[0].source / "b").stat().st_size == 3 << 20
    assert rig.docker.disk_used_bytes("no-such-execution") == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may measure the engine's own volumes")
def test_volumes_of_the_image_count_and_go_with_the_container(rig: Rig, docker_client: DockerClient) -> None:
    rig.run("true")
    repository = f"dms-test/{rig.deployment}"
    container = docker_client.containers.create(REFERENCE)
    container.commit(repository=repository, tag="1", changes="VOLUME /vol")
    container.remove()
    try:
        write = "dd if=/dev/zero of=/vol/a bs=1M count=4 2>/dev/null; echo done; sleep 600"
        execution_id = rig.start(params={"image": f"{repository}:1", "cmd": ["sh", "-c", write]})
        wait_for(lambda: "done" in rig.text(execution_id), "the writing")
        assert 4 << 20 <= rig.docker.disk_used_bytes(execution_id) < 5 << 20
        name = spec.container_name(rig.node, execution_id)
        (mount,) = docker_client.containers.get(name).attrs["Mounts"]
        rig.docker.remove(execution_id)
        assert mount["Name"] not in {volume.name for volume in docker_client.volumes.list()}
    finally:
        rig.clean(docker_client)
        docker_client.images.remove(f"{repository}:1")


def test_nodes_on_one_engine_do_not_see_each_other(rig: Rig, other: Rig) -> None:
    mine, theirs = rig.start("sleep", "600"), other.start("sleep", "600")
    assert [found.execution_id for found in rig.docker.executions(rig.node)] == [mine]
    assert [found.execution_id for found in other.docker.executions(other.node)] == [theirs]
    assert rig.docker.inspect(theirs).state is State.GONE
    rig.docker.kill(theirs, Cause.KILLED, "not mine")
    rig.docker.remove(theirs)
    assert other.running(theirs)
    with pytest.raises(ExecutorError):
        rig.docker.start(other.request("true"))


def test_what_the_owner_has_not_enabled_is_refused_again(rig: Rig) -> None:
    for params in (
        {"privileged": True},
        {"network_mode": "host"},
        {"devices": ["/dev/kmsg"]},
        {"cap_add": ["SYS_ADMIN"]},
        {"volumes": ["/var/run/docker.sock:/s"]},
        {"HostConfig": {"PidMode": "host"}},
    ):
        with pytest.raises(ExecutorError) as refusal:
            rig.docker.start(rig.request("true", params=params))
        assert refusal.value.cause is Cause.CONFINEMENT
    params = {"cap_add": ["NET_RAW"]}
    allowed = frozenset({"kernel_capabilities"})
    _, log = rig.run("grep", "CapEff", "/proc/self/status", params=params, allowances=allowed)
    assert int(log.split()[1], 16) >> 13 & 1


def test_fifty_starts_from_eight_threads(rig: Rig) -> None:
    requests = [rig.request("sleep", "600", dns_name=f"a{n}") for n in range(50)]
    rig.docker.start(requests[0])
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(rig.docker.start, requests))
    assert {execution.state for execution in found} == {State.RUNNING}
    assert len({execution.priv_addr for execution in found}) == 50
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda request: rig.docker.remove(request.execution_id), requests))
    assert rig.docker.executions(rig.node) == []


def test_watch_reports_each_end_once_and_what_ended_unseen(rig: Rig, other: Rig) -> None:
    before = rig.start("true")
    rig.ended(before)
    seen: list[str] = []
    stop = threading.Event()
    watcher = threading.Thread(target=rig.docker.watch, args=(rig.node, seen.append, stop))
    watcher.start()
    try:
        wait_for(lambda: before in seen, "the end before the watch")
        other.start("true")
        later = rig.start("sh", "-c", "exit 1")
        wait_for(lambda: later in seen, "the end during the watch")
    finally:
        stop.set()
        watcher.join(10)
    assert not watcher.is_alive()
    assert seen == [before, later]


def test_causes_survive_as_files_and_go_with_the_container(rig: Rig) -> None:
    execution_id = rig.start("sleep", "600")
    rig.docker.stop(execution_id, 0)
    folder: Path = rig.home / "work" / "causes"
    kept = [json.loads(path.read_text()) for path in folder.iterdir()]
    assert kept == [{"cause": "stopped", "detail": "stopped on request"}]
    rig.docker.remove(execution_id)
    assert list(folder.iterdir()) == []
