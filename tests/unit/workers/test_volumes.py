"""Volumes stay in their owner's folder, whatever the source says and whatever lies there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.executors.base import Cause, ExecutorError
from workers.volumes import mounts, named_folder, owner_folder, used_bytes

OWNER = "did:key:owner"


def made(home: Path, allowances: tuple[str, ...] = (), **volume: Any) -> Path:
    volume = {"type": "local", "mount_destination": "/data"} | volume
    (mount,) = mounts([volume], home=home, owner_did=OWNER, allowances=allowances)
    return mount.source


def refused(home: Path, allowances: tuple[str, ...] = (), **volume: Any) -> Cause:
    with pytest.raises(ExecutorError) as refusal:
        made(home, allowances, **volume)
    return refusal.value.cause


def test_named_volumes_belong_to_their_owner(tmp_path: Path) -> None:
    mine = made(tmp_path, src="data")
    assert mine == owner_folder(tmp_path, OWNER) / "data" and mine.is_dir()
    assert made(tmp_path, src="data") == mine == made(tmp_path, src=str(mine))
    theirs = named_folder(tmp_path, "did:key:other", "data")
    assert theirs != mine
    assert mine.parent.stat().st_mode & 0o077 == 0  # nobody else on the machine gets in
    assert refused(tmp_path, src=str(theirs)) is Cause.CONFINEMENT
    assert refused(tmp_path, ("host_paths",), src=str(theirs)) is Cause.CONFINEMENT


@pytest.mark.parametrize(
    "source", ["..", ".", "", ".hidden", "a/../../b", "../b", "a b", "~", "$HOME", "a\0b", "/", "/etc", "a/b"]
)
def test_ways_out_are_refused(tmp_path: Path, source: str) -> None:
    assert refused(tmp_path, src=source) is Cause.CONFINEMENT


@given(st.text(max_size=30))
def test_no_name_leaves_the_folder(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    home = tmp_path_factory.getbasetemp() / "volumes-home"
    try:
        folder = made(home, src=name)
    except ExecutorError:
        return
    assert folder.resolve().parent == owner_folder(home, OWNER).resolve()


def test_links_are_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    folder = owner_folder(tmp_path, OWNER)
    folder.mkdir(parents=True)
    (folder / "data").symlink_to(outside)
    assert refused(tmp_path, src="data") is Cause.CONFINEMENT
    (folder / "data").unlink()
    folder.rmdir()
    folder.symlink_to(outside)
    assert refused(tmp_path, src="data") is Cause.CONFINEMENT
    assert list(outside.iterdir()) == []


def test_host_paths_need_the_node_owners_allowance(tmp_path: Path) -> None:
    home, shared = tmp_path / "home", tmp_path / "shared"
    home.mkdir()
    shared.mkdir()
    (shared / "back").symlink_to(home)
    allowed = ("host_paths",)
    assert refused(home, src=str(shared)) is Cause.CONFINEMENT
    assert made(home, allowed, src=str(shared)) == shared
    assert refused(home, allowed, src=f"{shared}/../home") is Cause.CONFINEMENT
    for own in (home, home / "secrets", shared / "back", tmp_path, Path("/")):
        assert refused(home, allowed, src=str(own)) is Cause.CONFINEMENT
    for engine in ("/var/run/docker.sock", "/run", "/var/run"):
        assert refused(home, allowed, src=engine) is Cause.CONFINEMENT
    assert refused(home, allowed, src=str(shared / "none")) is Cause.START_FAILED


def test_destinations_and_kinds(tmp_path: Path) -> None:
    volume = {"type": "local", "name": "data", "src": "data"}
    (mount,) = mounts([volume], home=tmp_path, owner_did=OWNER, allowances=())
    assert (mount.destination, mount.read_only) == ("/data", False)
    for wrong in ("data", "/", "//", "/a/../..", "/proc/x", "/dev", "/sys"):
        refused(tmp_path, src="data", mount_destination=wrong)
    assert refused(tmp_path, type="glusterfs", src="data") is Cause.START_FAILED


def test_use_is_counted_once_and_not_through_links(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 100_000)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "same").hardlink_to(tmp_path / "a")
    (tmp_path / "out").symlink_to("/usr")
    assert 100_000 <= used_bytes(tmp_path) < 150_000
    assert used_bytes(tmp_path / "none") == 0
