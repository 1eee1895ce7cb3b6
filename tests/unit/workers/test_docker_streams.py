"""Log frames, pull events, addresses, discovery: without an engine."""

from __future__ import annotations

import os
import socket
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.executors.base import Cause, ExecutorError
from workers.executors.docker.causes import Causes
from workers.executors.docker.engine import Engine, candidates, obstacle
from workers.executors.docker.pulling import Progress, failure
from workers.executors.docker.streams import frames
from workers.executors.docker.subnets import free_subnet


def framed(stream: int, payload: bytes) -> bytes:
    return bytes([stream, 0, 0, 0]) + len(payload).to_bytes(4, "big") + payload


@given(st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(min_size=1, max_size=40))), st.data())
def test_frames_survive_any_cut(parts: list[tuple[int, bytes]], data: st.DataObject) -> None:
    body = b"".join(framed(stream, payload) for stream, payload in parts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=8)))
    chunks = [body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    assert list(frames(chunks)) == parts


def test_the_last_words_of_a_broken_stream_are_kept() -> None:
    body = framed(1, b"whole") + framed(2, b"cut off here")[:-4]
    assert list(frames([body])) == [(1, b"whole"), (2, b"cut off ")]


def event(layer: str, status: str, current: int = 0, total: int = 0) -> dict[str, Any]:
    return {"id": layer, "status": status, "progressDetail": {"current": current, "total": total}}


def test_progress_rises_from_layer_to_layer() -> None:
    seen = Progress()
    told = [
        seen.feed(event(*parts))
        for parts in (
            ("latest", "Pulling from app"),
            ("a", "Pulling fs layer"),
            ("b", "Pulling fs layer"),
            ("a", "Downloading", 50, 100),
            ("a", "Downloading", 100, 100),
            ("a", "Download complete"),
            ("a", "Extracting", 50, 100),
            ("a", "Pull complete"),
            ("b", "Already exists"),
        )
    ]
    assert told == [None, None, None, 20, 40, None, 45, 50, 100]


def test_retrying_ends_when_the_layer_goes_on() -> None:
    seen = Progress()
    for status, retrying in (
        ("Pulling fs layer", False),
        ("Retrying in 5 seconds", True),
        ("Waiting", True),
        ("Downloading", False),
        ("Retrying in 1 second", True),
        ("Download complete", False),
    ):
        seen.feed(event("a", status))
        assert seen.retrying is retrying


@given(
    st.lists(
        st.builds(
            event,
            st.sampled_from("abc"),
            st.sampled_from(["Pulling fs layer", "Downloading", "Extracting", "Pull complete", "Waiting"]),
            st.integers(0, 100),
            st.integers(0, 100),
        )
    )
)
def test_progress_never_falls_nor_leaves_its_range(events: list[dict[str, Any]]) -> None:
    seen = Progress()
    told = [percent for entry in events if (percent := seen.feed(entry)) is not None]
    assert told == sorted(set(told)) and all(0 < percent <= 100 for percent in told)


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("manifest for x:9 not found: manifest unknown: manifest unknown", Cause.IMAGE_MISSING),
        ("no matching manifest for linux/arm64 in the manifest list entries", Cause.IMAGE_MISSING),
        (
            "pull access denied for x, repository does not exist or may require login",
            Cause.IMAGE_UNAUTHORIZED,
        ),
        ('Head "http://r/v2/x/manifests/1": no basic auth credentials', Cause.IMAGE_UNAUTHORIZED),
        ("unauthorized: authentication required", Cause.IMAGE_UNAUTHORIZED),
        ("dial tcp 127.0.0.1:5000: connect: connection refused", Cause.REGISTRY_UNREACHABLE),
        ("dial tcp: lookup registry.test: no such host", Cause.REGISTRY_UNREACHABLE),
        ("net/http: TLS handshake timeout", Cause.REGISTRY_UNREACHABLE),
        ("unexpected EOF", Cause.REGISTRY_UNREACHABLE),
        ("toomanyrequests: You have reached your pull rate limit", Cause.REGISTRY_UNREACHABLE),
        ("write /var/lib/docker/tmp: no space left on device", Cause.START_FAILED),
    ],
)
def test_failures_by_name(text: str, cause: Cause) -> None:
    error = failure("x:9", text)
    assert error.cause is cause and text in error.detail
    assert error.transient is (cause is Cause.REGISTRY_UNREACHABLE)


def test_a_free_subnet_overlaps_nothing() -> None:
    pool = IPv4Network("10.9.0.0/22")
    taken = [IPv4Network("10.9.0.0/24"), IPv4Network("10.9.2.128/25"), IPv4Network("172.17.0.0/16")]
    assert free_subnet(pool, 24, taken) == IPv4Network("10.9.1.0/24")
    assert free_subnet(pool, 24, [*taken, IPv4Network("10.9.1.0/24")]) == IPv4Network("10.9.3.0/24")
    assert free_subnet(pool, 24, [IPv4Network("10.0.0.0/8")]) is None


def test_where_engines_are_looked_for() -> None:
    assert candidates({"DOCKER_HOST": "tcp://far:2376"}, 7) == ["tcp://far:2376"]
    found = candidates({}, 7)
    assert found[0] == "unix:///var/run/docker.sock"
    assert "unix:///run/podman/podman.sock" in found
    assert "unix:///run/user/7/podman/podman.sock" in found
    assert "unix:///my/run/podman/podman.sock" in candidates({"XDG_RUNTIME_DIR": "/my/run"}, 7)


def test_why_an_engine_cannot_be_used(tmp_path: Path) -> None:
    missing = Engine({"DOCKER_HOST": f"unix://{tmp_path}/none.sock"}).availability()
    assert not missing.available and "no engine socket" in missing.detail and missing.hint
    (tmp_path / "file").touch()
    found = obstacle(f"unix://{tmp_path}/file")
    assert found is not None and "not a socket" in found.detail
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "dead.sock"))
    dead_engine = Engine({"DOCKER_HOST": f"unix://{tmp_path}/dead.sock"})
    found = dead_engine.availability()
    assert not found.available and found.detail.endswith("does not answer: connection refused")
    assert "systemctl" in found.hint
    with pytest.raises(ExecutorError) as refusal:
        dead_engine.client()
    assert (refusal.value.cause, refusal.value.transient) == (Cause.ENGINE_UNREACHABLE, True)
    nonsense = Engine({"DOCKER_HOST": "nonsense://x"}).availability()
    assert not nonsense.available and "DOCKER_HOST" in nonsense.hint


def test_no_permission_names_the_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "s"))
        monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may do everything
        found = obstacle(f"unix://{tmp_path}/s")
    assert found is not None and "usermod -aG docker" in found.hint


def test_the_first_cause_is_kept(tmp_path: Path) -> None:
    causes = Causes(tmp_path / "causes")
    assert causes.recall("e") is None
    assert causes.remember("e", Cause.STOPPED, "asked") and not causes.remember("e", Cause.KILLED, "later")
    assert Causes(tmp_path / "causes").recall("e") == (Cause.STOPPED, "asked")
    causes.forget("e")
    causes.forget("e")
    assert causes.recall("e") is None
