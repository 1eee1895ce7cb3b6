"""Browser libraries and static files: `npm ci`, copies in static/vendor, one sprite of icons, collectstatic.

Nothing third-party is committed and nothing comes from a CDN. Each step has a stamp and is skipped when nothing
changed. Run as `python -m dmsweb.launch.assets` by people who work on the pages.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from dmsweb.launch.environment import SetUpFault, place
from dmsweb.launch.npm import npm_ci

ROOT = Path(__file__).resolve().parents[2]
ICONS = Path(__file__).with_name("icons.txt")
COPIES = {
    "@tabler/core/dist/css/tabler.min.css": "tabler.min.css",
    "idiomorph/dist/idiomorph.min.js": "idiomorph.min.js",
    "@xterm/xterm/lib/xterm.js": "xterm.js",
    "@xterm/xterm/css/xterm.css": "xterm.css",
    "@xterm/addon-fit/lib/addon-fit.js": "xterm-addon-fit.js",
    "@xterm/addon-unicode11/lib/addon-unicode11.js": "xterm-addon-unicode11.js",
    "uplot/dist/uPlot.iife.min.js": "uPlot.iife.min.js",
    "uplot/dist/uPlot.min.css": "uPlot.min.css",
}
# The manifest storage looks for what these comments name, and the maps are not copied.
SOURCE_MAP = re.compile(rb"(/\*# sourceMappingURL=.*?\*/|^//# sourceMappingURL=.*$)", re.MULTILINE)


def assets(progress: Callable[[str], None]) -> None:
    """Bring static files up to date; SetUpFault when the libraries cannot be installed."""
    folder = place(ROOT)
    modules, vendor, collected = folder / "node_modules", folder / "static" / "vendor", folder / "staticfiles"
    vendor.mkdir(parents=True, exist_ok=True)
    with (vendor / ".dms-lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        locked = _digest([ROOT / "package-lock.json"])
        if _step(modules / ".dms-stamp", locked):
            progress("installing the browser libraries")
            npm_ci(ROOT, folder)
            _done(modules / ".dms-stamp", locked)
        wanted = _digest([ROOT / "package-lock.json", ICONS, Path(__file__)])
        if _step(vendor / ".dms-stamp", wanted) or not (vendor / "icons.svg").exists():
            copy_vendor(modules, vendor)
            _done(vendor / ".dms-stamp", wanted)
        content = _listing(_files(ROOT / "static"), _files(vendor)) + _digest([ROOT / "requirements.txt"])
        if _step(collected / ".dms-stamp", content):
            progress("collecting static files")
            _collect()
            _done(collected / ".dms-stamp", content)


def copy_vendor(modules: Path, vendor: Path) -> None:
    """Copy what pages use out of `modules` and draw the sprite."""
    vendor.mkdir(parents=True, exist_ok=True)
    for source, name in COPIES.items():
        _replace(vendor / name, SOURCE_MAP.sub(b"", (modules / source).read_bytes()))
    names = [line for line in ICONS.read_text().split("\n") if line and not line.startswith("#")]
    _replace(
        vendor / "icons.svg", sprite(modules / "@tabler" / "icons" / "icons" / "outline", names).encode()
    )


def sprite(folder: Path, names: Iterable[str]) -> str:
    """Return one SVG with a symbol for each icon, its id the icon's name."""
    symbols = []
    for name in sorted(set(names)):
        text = (folder / f"{name}.svg").read_text()
        drawing = re.sub(r"\s+", " ", text.partition(">")[2].rpartition("</svg>")[0]).strip()
        drawing = drawing.replace('<path stroke="none" d="M0 0h24v24H0z" fill="none" />', "").strip()
        symbols.append(
            f'<symbol id="{name}" viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2" '
            f'stroke-linecap="round" stroke-linejoin="round">{drawing}</symbol>'
        )
    return '<svg xmlns="http://www.w3.org/2000/svg">\n' + "\n".join(symbols) + "\n</svg>\n"


def _collect() -> None:
    command = [sys.executable, str(ROOT / "manage.py"), "collectstatic", "--noinput", "--verbosity", "0"]
    environment = {**os.environ, "DMS_LOG_LEVEL": "ERROR"}
    if subprocess.run(command, check=False, stdout=sys.stderr, env=environment).returncode:
        raise SetUpFault("collecting the static files failed; the lines above say why")


def _replace(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}")
    temporary.write_bytes(content)
    temporary.replace(path)


def _digest(files: list[Path]) -> str:
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))


def _listing(*groups: list[Path]) -> str:
    lines = (f"{path} {path.stat().st_size} {path.stat().st_mtime_ns}" for group in groups for path in group)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _step(stamp: Path, expected: str) -> bool:
    """Say whether a step is to be done."""
    try:
        return stamp.read_text() != expected
    except OSError:
        return True


def _done(stamp: Path, content: str) -> None:
    stamp.write_text(content)


if __name__ == "__main__":
    assets(lambda text: print(text, file=sys.stderr))  # noqa: T201
