"""The Docker Engine of the test machine, and images made without any registry."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.require import require

if TYPE_CHECKING:
    from docker import DockerClient

APPLETS = [
    "sh",
    "cat",
    "echo",
    "ls",
    "sleep",
    "true",
    "false",
    "env",
    "id",
    "pwd",
    "mkdir",
    "rm",
    "cp",
    "mv",
    "touch",
    "head",
    "tail",
    "grep",
    "sed",
    "awk",
    "wc",
    "date",
    "hostname",
    "ps",
    "kill",
    "nc",
    "wget",
    "httpd",
    "nslookup",
    "ping",
    "dd",
    "sync",
    "seq",
    "tr",
    "sort",
    "test",
    "stat",
    "df",
    "mount",
    "umount",
    "timeout",
    "yes",
    "printf",
    "expr",
    "tee",
    "od",
    "nproc",
    "free",
]


def client() -> DockerClient:
    """Return a client of the engine that answers, or end the test with the reason."""
    import docker

    require("docker")
    return docker.from_env(timeout=60)


def busybox_image(docker_client: DockerClient, tag: str = "dms-test/busybox:latest") -> str:
    """Make sure that a small image with a shell exists under `tag`; return the tag."""
    from docker.errors import ImageNotFound

    try:
        docker_client.images.get(tag)
    except ImageNotFound:
        repository, _, version = tag.rpartition(":")
        docker_client.api.import_image_from_data(busybox_tar(), repository=repository, tag=version)
    return tag


def busybox_tar() -> bytes:
    """Return a root file system: one static busybox and links to it."""
    program = Path(require("busybox")).resolve()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for folder, mode in (
            ("bin", 0o755),
            ("etc", 0o755),
            ("tmp", 0o1777),
            ("proc", 0o555),
            ("sys", 0o555),
            ("dev", 0o755),
        ):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, mode
            tar.addfile(entry)
        entry = tarfile.TarInfo("bin/busybox")
        entry.mode, entry.size = 0o755, program.stat().st_size
        with program.open("rb") as file:
            tar.addfile(entry, file)
        for name in APPLETS:
            entry = tarfile.TarInfo(f"bin/{name}")
            entry.type, entry.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(entry)
        for name, text in (
            ("etc/passwd", "root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n"),
            ("etc/group", "root:x:0:\n"),
        ):
            entry = tarfile.TarInfo(name)
            entry.mode, entry.size = 0o644, len(text)
            tar.addfile(entry, io.BytesIO(text.encode()))
    return buffer.getvalue()
