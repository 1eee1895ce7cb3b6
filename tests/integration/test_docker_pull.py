"""Pulls against a real registry: progress, and each way to fail by its name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from docker import DockerClient

from tests.integration.docker_registry import Registry, docker_config, push, registry, relay
from tests.integration.docker_rig import Rig, free_port
from workers.executors.base import Cause, ExecutorError
from workers.executors.docker import image
from workers.executors.docker.engine import Engine

LOGIN = {"username": "user", "password": "secret"}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with registry(tmp_path_factory.mktemp("registry")) as made:
        yield made


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, docker_client: DockerClient) -> Iterator[Registry]:
    with registry(tmp_path_factory.mktemp("guarded"), auth=True) as made:
        push(docker_client, f"{made.host}/team/tool:1", credentials=LOGIN)
        yield made


def refused(rig: Rig, reference: str) -> ExecutorError:
    with pytest.raises(ExecutorError) as refusal:
        rig.docker.start(rig.request(params={"image": reference, "cmd": []}))
    assert rig.docker.executions(rig.node) == []
    return refusal.value


def removed(client: DockerClient, reference: str) -> None:
    for found in client.images.list(name=reference):
        client.images.remove(str(found.id), force=True)


def test_pull_shows_progress_and_starts(rig: Rig, store: Registry, docker_client: DockerClient) -> None:
    with relay(store.port, 4 << 20) as slow:
        push(docker_client, f"{store.host}/app:1", size=6 << 20)
        reference = f"{slow.host}/app:1"
        try:
            found, _ = rig.run(params={"image": reference, "cmd": []})
        finally:
            rig.clean(docker_client)
            removed(docker_client, reference)
    assert found.cause is Cause.START_FAILED  # started, but the image holds no program
    percents = [int(note.split()[1]) for note in rig.notes]
    assert percents == sorted(percents) and percents[0] == 0 and percents[-1] == 100
    assert len([percent for percent in percents if 0 < percent < 100]) >= 3


def test_missing_images(rig: Rig, store: Registry) -> None:
    for reference in (f"{store.host}/no/such:1", f"{store.host}/app:no-such-tag", "dms.local/other:1"):
        error = refused(rig, reference)
        assert (error.cause, error.transient) == (Cause.IMAGE_MISSING, False), error.detail
        assert reference in error.detail


def test_credentials_come_from_the_operators_docker_config(
    rig: Rig, guarded: Registry, docker_client: DockerClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference = f"{guarded.host}/team/tool:1"
    folder = tmp_path / "docker"
    folder.mkdir()
    monkeypatch.setenv("DOCKER_CONFIG", str(folder))
    error = refused(rig, reference)
    assert error.cause is Cause.IMAGE_UNAUTHORIZED and "docker login" in error.detail
    docker_config(folder, guarded.host, "user", "wrong")
    assert refused(rig, reference).cause is Cause.IMAGE_UNAUTHORIZED
    docker_config(folder, guarded.host, "user", "secret")
    try:
        rig.start(params={"image": reference, "cmd": []})
        assert docker_client.images.get(reference)
    finally:
        rig.clean(docker_client)
        removed(docker_client, reference)


def test_no_registry_there(rig: Rig) -> None:
    error = refused(rig, f"127.0.0.1:{free_port()}/app:1")
    assert (error.cause, error.transient) == (Cause.REGISTRY_UNREACHABLE, True)


def test_registry_dies_in_the_middle(tmp_path: Path, docker_client: DockerClient) -> None:
    notes: list[str] = []
    with registry(tmp_path) as dying, relay(dying.port, 2 << 20) as slow:
        push(docker_client, f"{dying.host}/big:1", size=8 << 20)

        def progress(note: str) -> None:
            notes.append(note)
            dying.kill()
            slow.cut()

        with pytest.raises(ExecutorError) as refusal:
            image.pull(
                Engine(),
                f"{slow.host}/big:1",
                timeout_s=120,
                retry_s=2,
                progress=progress,
                cancelled=lambda: False,
            )
    assert "stopped answering" in refusal.value.detail
    assert (refusal.value.cause, refusal.value.transient) == (Cause.REGISTRY_UNREACHABLE, True)
    assert notes


def test_pull_can_be_cancelled_and_runs_out_of_time(store: Registry, docker_client: DockerClient) -> None:
    with relay(store.port, 1 << 20) as slow:
        push(docker_client, f"{store.host}/slow:1", size=8 << 20)
        notes: list[str] = []
        with pytest.raises(ExecutorError) as refusal:
            image.pull(
                Engine(),
                f"{slow.host}/slow:1",
                timeout_s=60,
                progress=notes.append,
                cancelled=lambda: bool(notes),
            )
        assert refusal.value.cause is Cause.STOPPED
        with pytest.raises(ExecutorError, match="longer than 1 s") as refusal:
            image.pull(
                Engine(),
                f"{slow.host}/slow:1",
                timeout_s=1,
                progress=lambda note: None,
                cancelled=lambda: False,
            )
        assert (refusal.value.cause, refusal.value.transient) == (Cause.REGISTRY_UNREACHABLE, True)
    assert not docker_client.images.list(name=f"{slow.host}/slow")
