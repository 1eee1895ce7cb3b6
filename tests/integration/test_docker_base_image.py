"""The reserved image: built from this machine when it is missing or stale, once, whoever asks."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from docker import DockerClient

from tests.integration.docker_rig import Rig
from workers.executors import base_image, base_image_files, registry
from workers.executors.base import Cause, ExecutorError
from workers.executors.docker import image
from workers.executors.docker.engine import Engine


@pytest.fixture
def reserved(monkeypatch: pytest.MonkeyPatch, docker_client: DockerClient) -> Iterator[str]:
    """A reserved name of this test's own, so that others keep theirs."""
    name = f"dms.local/base-{uuid.uuid4().hex}:1"
    monkeypatch.setattr(base_image, "REFERENCE", name)
    yield name
    for found in docker_client.images.list(name=name):
        docker_client.images.remove(name, force=True)
        assert found.id


def obtain(name: str, home: Path) -> None:
    image.obtain(
        Engine(),
        name,
        lock_path=home / "run" / "lock",
        timeout_s=60,
        progress=lambda note: None,
        cancelled=lambda: False,
    )


def test_it_is_built_once_by_many_and_replaced_when_stale(
    reserved: str, docker_client: DockerClient, tmp_path: Path
) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: obtain(reserved, tmp_path), range(4)))
    built = docker_client.images.get(reserved)
    obtain(reserved, tmp_path)
    assert docker_client.images.get(reserved).id == built.id
    layer = base_image_files.busybox_layer() or base_image_files.machine_layer()
    assert layer is not None and built.labels["dms.content"] == layer.digest()
    # Somebody's older one under the name.
    repository, _, tag = reserved.rpartition(":")
    stale = base_image_files.Layer().tar()
    docker_client.api.import_image_from_data(stale, repository=repository, tag=tag)
    old = docker_client.images.get(reserved).id
    obtain(reserved, tmp_path)
    fresh = docker_client.images.get(reserved)
    assert fresh.labels["dms.content"] == layer.digest()
    assert old not in {found.id for found in docker_client.images.list(all=True)}
    if built.id != fresh.id:
        docker_client.images.remove(str(built.id), force=True)


def test_it_has_what_it_promises(rig: Rig, machine_image: str) -> None:
    script = "mkdir /tmp/w; echo hi > /tmp/w/f; httpd -f -p 81 -h /tmp/w & p=$!; "
    script += "for i in $(seq 50); do wget -q -O - http://127.0.0.1:81/f 2>/dev/null && break; sleep 0.1; done; kill $p"
    for name in (base_image.REFERENCE, machine_image):
        _, log = rig.run(params={"image": name, "cmd": ["sh", "-c", script]}, ram_bytes=128 << 20)
        assert "hi\n" in log, name


def test_a_machine_unlike_the_engine_says_so(
    reserved: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base_image.platform, "machine", lambda: "riscv64")  # type: ignore[attr-defined]
    with pytest.raises(ExecutorError, match="riscv64") as refusal:
        obtain(reserved, tmp_path)
    assert refusal.value.cause is Cause.IMAGE_MISSING


def test_the_registry_of_executors_gives_one_instance_a_process() -> None:
    first = registry.executors("did:key:registry-test")
    assert registry.executors("did:key:registry-test") is first
    assert {"docker", "process"} == set(first)
    assert registry.executors("did:key:another") is not first
    report = registry.availability_report("did:key:registry-test")
    assert report["docker"].available and report["docker"].version
