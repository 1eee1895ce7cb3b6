"""The file of a backup: what was put in comes out, and nothing that was tampered with does."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from capabilities.refusal import Refusal
from dmsweb.backup import archive


@pytest.fixture
def packed(tmp_path: Path) -> bytes:
    (tmp_path / "a").write_bytes(b"secret")
    (tmp_path / "b").write_bytes(bytes(range(256)) * 9_000)
    (tmp_path / "c").write_bytes(b"{}")
    return pack(
        {
            "secrets/django": tmp_path / "a",
            "db/dms.sqlite3": tmp_path / "b",
            "ledger_aliases.json": tmp_path / "c",
        }
    )


def pack(files: dict[str, Path], **changes: Any) -> bytes:
    out = io.BytesIO()
    archive.write(out, {"format": archive.FORMAT, "files": archive.entries(files)} | changes, files)
    return out.getvalue()


def raw(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    """Return an archive as somebody else may write one."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for info, content in members:
            info.size = len(content) if info.isreg() else 0
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


def manifest_of(files: dict[str, Any], **changes: Any) -> tuple[tarfile.TarInfo, bytes]:
    document = {"format": archive.FORMAT, "files": files} | changes
    return tarfile.TarInfo(archive.MANIFEST), json.dumps(document).encode()


def entry(content: bytes) -> dict[str, Any]:
    import hashlib

    return {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def refused(content: bytes, into: Path) -> Refusal:
    with pytest.raises(Refusal) as caught:
        archive.read(io.BytesIO(content), into)
    return caught.value


def test_what_went_in_comes_out(packed: bytes, tmp_path: Path) -> None:
    into = tmp_path / "out"
    into.mkdir()
    manifest = archive.read(io.BytesIO(packed), into)
    assert set(manifest["files"]) == {"secrets/django", "db/dms.sqlite3", "ledger_aliases.json"}
    assert (into / "secrets" / "django").read_bytes() == b"secret"
    assert (into / "secrets" / "django").stat().st_mode & 0o777 == 0o600
    assert (into / "secrets").stat().st_mode & 0o077 == 0
    assert (into / "db" / "dms.sqlite3").read_bytes() == bytes(range(256)) * 9_000
    assert (into / "ledger_aliases.json").read_bytes() == b"{}"
    assert archive.read(io.BytesIO(packed)) == manifest


def test_every_cut_is_noticed(packed: bytes, tmp_path: Path) -> None:
    for length in (0, 1, 10, 100, len(packed) // 2, len(packed) - 4_000):
        assert refused(packed[:length], tmp_path).code in {"backup_damaged", "not_a_backup"}, length


def test_a_changed_byte_is_noticed(packed: bytes, tmp_path: Path) -> None:
    plain = bytearray(gzip.decompress(packed))
    plain[plain.index(b"\0secret\0") + 1] ^= 1
    assert "checksum" in refused(gzip.compress(bytes(plain)), tmp_path).detail


@pytest.mark.parametrize(
    "name",
    [
        "../evil",
        "/etc/passwd",
        "secrets/../../evil",
        "run/site.json",
        "secrets",
        "a\nb",
        "ledger_aliasesxjson",
    ],
)
def test_names_that_lead_elsewhere_are_refused(name: str, tmp_path: Path) -> None:
    content = b"x"
    answer = refused(raw(manifest_of({name: entry(content)}), (tarfile.TarInfo(name), content)), tmp_path)
    assert answer.code == "backup_damaged"
    assert not list(tmp_path.iterdir())


def test_links_and_strangers_are_refused(tmp_path: Path) -> None:
    link = tarfile.TarInfo("secrets/x")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    assert (
        refused(raw(manifest_of({"secrets/x": entry(b"")}), (link, b"")), tmp_path).code == "backup_damaged"
    )
    stranger = (tarfile.TarInfo("secrets/y"), b"y")
    assert "secrets/y" in refused(raw(manifest_of({}), stranger), tmp_path).detail
    assert "is missing" in refused(raw(manifest_of({"secrets/z": entry(b"z")})), tmp_path).detail


def test_what_is_no_backup_or_of_another_format_says_so(tmp_path: Path) -> None:
    assert refused(b"hello", tmp_path).code == "backup_damaged"
    assert refused(raw((tarfile.TarInfo("x"), b"x")), tmp_path).code == "not_a_backup"
    assert refused(raw(manifest_of({}, format=99)), tmp_path).code == "backup_newer"
    assert refused(raw((tarfile.TarInfo(archive.MANIFEST), b"[1]")), tmp_path).code == "backup_damaged"


def test_too_little_room_is_said_before_anything_is_written(tmp_path: Path) -> None:
    huge = {"db/dms.sqlite3": {"size": 1 << 60, "sha256": ""}}
    assert refused(raw(manifest_of(huge)), tmp_path).code == "insufficient_disk"
    assert not list(tmp_path.iterdir())
