"""DMS_HOME: where everything of one site lives. Standard library only: the launcher and the supervisor use it too.

secrets/  Django secret, passphrase, site key, the local command line's token (files 0600)
key/ cap/ keystore files and saved contexts, in the reference's formats
db/       SQLite databases        run/  pid files, sockets, process table
log/      one file a process      work/ volumes, logs and sandboxes of allocations
"""

from __future__ import annotations

import hashlib
import os
import secrets
import tempfile
from dataclasses import dataclass
from pathlib import Path

FOLDERS = ("secrets", "key", "cap", "db", "run", "log", "work")
SOCKET_PATH_MAX = 100


@dataclass(frozen=True, slots=True)
class Home:
    """The folders of one site."""

    root: Path

    @classmethod
    def from_environment(cls) -> Home:
        """Return the home named by DMS_HOME, or ~/.dms."""
        return cls(Path(os.environ.get("DMS_HOME") or Path.home() / ".dms").expanduser().absolute())

    def create(self) -> None:
        """Make the folders, private to their owner; OSError when the place cannot be written."""
        for folder in ("", *FOLDERS):
            path = self.root / folder
            path.mkdir(parents=True, exist_ok=True)
        for folder in ("secrets", "key", "cap", "db", "run"):
            (self.root / folder).chmod(0o700)

    def path(self, *parts: str) -> Path:
        """Return a path below the home."""
        return self.root.joinpath(*parts)

    def socket(self, name: str) -> Path:
        """Return where the socket `name` is: in run/, or in a short private folder when that path is too long."""
        path = self.root / "run" / name
        if len(os.fsencode(path)) <= SOCKET_PATH_MAX:
            return path
        digest = hashlib.sha256(os.fsencode(self.root)).hexdigest()[:16]
        folder = Path(tempfile.gettempdir()) / f"dms-{os.getuid()}-{digest}"
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.stat().st_uid != os.getuid():
            raise PermissionError(
                f"{folder} belongs to somebody else; remove it or choose a shorter DMS_HOME"
            )
        return folder / name

    def secret(self, name: str, size: int = 48) -> str:
        """Return the secret `name`, made on first use, readable by its owner alone."""
        path = self.root / "secrets" / name
        try:
            return path.read_text().strip()
        except FileNotFoundError:
            text = secrets.token_urlsafe(size)
            write_private(path, text)
            return path.read_text().strip()


def write_private(path: Path, text: str) -> None:
    """Write `text` to `path` with mode 0600, whole or not at all; an existing file is kept when two race."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(temporary, path)
    except FileExistsError:
        pass
    finally:
        temporary.unlink()
