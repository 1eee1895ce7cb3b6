"""The virtual environment: made on first use, filled from the lock, checked in a millisecond ever after.

Standard library only. It stands beside the checkout (`.venv`), or in DMS_HOME where the checkout cannot be written.
A stamp in it says which lock and which Python it was made for; when either changed it is brought up to date.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from dmsweb.home import Home


class SetUpFault(Exception):
    """The environment cannot be made: one sentence, with what to do."""


def interpreter(root: str | os.PathLike[str]) -> str:
    """Return the environment's Python, with the locked packages installed; SetUpFault when that fails."""
    checkout = Path(root)
    folder = place(checkout) / (".venv" if os.access(checkout, os.W_OK) else "venv")
    ensure(folder, checkout, "requirements.txt")
    return str(folder / "bin" / "python")


def place(checkout: Path) -> Path:
    """Return where built things go: the checkout, or DMS_HOME where that cannot be written."""
    return checkout if os.access(checkout, os.W_OK) else Home.from_environment().root


def ensure(folder: Path, checkout: Path, lock: str) -> bool:
    """Bring the environment up to date with one lock file; False when nothing was to do."""
    requirements = checkout / lock
    stamp = folder / f".dms-{Path(lock).stem}"
    if _fresh(folder, stamp, _stamp(checkout, requirements)):
        return False
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / ".dms-lock").open("w") as guard:
            fcntl.flock(guard, fcntl.LOCK_EX)  # a second start waits for the first
            if not _usable(folder):
                _create(folder)
            expected = _stamp(checkout, requirements)
            if not _fresh(folder, stamp, expected):
                _install(folder, checkout, requirements)
                stamp.write_text(expected)
    except OSError as error:
        raise SetUpFault(
            f"cannot write {folder} ({error.strerror or error}); choose another DMS_HOME"
        ) from None
    return True


def _stamp(checkout: Path, requirements: Path) -> str:
    digest = hashlib.sha256(requirements.read_bytes()).hexdigest()
    return f"{checkout}\n{digest}\n"


def _fresh(folder: Path, stamp: Path, expected: str) -> bool:
    try:
        return stamp.read_text() == expected and _usable(folder)
    except OSError:
        return False


def _usable(folder: Path) -> bool:
    """Say whether the environment's Python exists and is still of the version its packages lie under."""
    python = folder / "bin" / "python"
    try:
        made_for = (folder / "pyvenv.cfg").read_text().partition("version = ")[2].split(".")[:2]
    except OSError:
        return False
    if not os.access(python, os.X_OK) or not (folder / "lib" / f"python{'.'.join(made_for)}").is_dir():
        return False
    if Path(os.path.realpath(python)) == Path(os.path.realpath(sys.executable)):
        return made_for == [str(part) for part in sys.version_info[:2]]
    return True


def _create(folder: Path) -> None:
    _say(f"making the virtual environment {folder}")
    done = subprocess.run(
        [sys.executable, "-m", "venv", "--clear", str(folder)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        shutil.rmtree(folder / "bin", ignore_errors=True)
        if "ensurepip" in done.stdout + done.stderr:
            raise SetUpFault(
                "this Python cannot make virtual environments; install python3-venv (apt-get install python3-venv)"
            )
        raise SetUpFault(f"making {folder} failed: {(done.stderr or done.stdout).strip()}")


def _install(folder: Path, checkout: Path, requirements: Path) -> None:
    count = sum(1 for line in requirements.read_text().splitlines() if line[:1].isalnum())
    _say(f"installing {count} locked packages from {requirements.name}")
    command = [
        str(folder / "bin" / "python"),
        "-m",
        "pip",
        "install",
        "--disable-pip-version-check",
        "--no-deps",
    ]
    with subprocess.Popen(
        [*command, "--require-hashes", "--progress-bar", "off", "-r", str(requirements)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as pip:
        tail: list[str] = []
        seen = 0
        for line in pip.stdout or ():
            tail = [*tail[-20:], line.rstrip()]
            word = (
                line.partition(": ")[2]
                if line.startswith("Requirement")
                else line.removeprefix("Collecting ")
            )
            if line.startswith(("Collecting ", "Requirement already satisfied: ")):
                seen += 1
                _progress(seen, count, word.split("=")[0].split()[0])
            elif line.startswith("Installing collected"):
                _progress(count, count, "installing")
    _progress(0, 0, "")
    if pip.returncode:
        raise SetUpFault("installing the packages failed:\n  " + "\n  ".join(tail[-8:]))
    for site in folder.glob("lib/python*/site-packages"):
        (site / "dmsweb.pth").write_text(f"{checkout}\n")


def _progress(done: int, total: int, what: str) -> None:
    if sys.stderr.isatty():
        text = f"  {done}/{total} {what}"[:78] if total else ""
        sys.stderr.write(f"\r\033[K{text}")
        sys.stderr.flush()
    elif total and (done % 10 == 0 or done == total):
        _say(f"  {done}/{total} {what}")


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
