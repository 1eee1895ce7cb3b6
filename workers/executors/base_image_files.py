"""The files of the base image, gathered from the machine; the same machine always gives the same bytes."""

from __future__ import annotations

import hashlib
import io
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path

TOOLS = re.findall(
    r"\S+",
    """sh basename base64 cat chmod chown cp cut date dd df dirname du echo env expr false find grep head
    hostname id kill ln ls md5sum mkdir mktemp mv nproc od printenv printf ps pwd readlink realpath rm rmdir sed
    seq sha256sum sleep sort stat sync tail tar tee test timeout touch tr true uname uniq wc which whoami xargs
    yes""",
)
SKIPPED = {
    "__pycache__",
    "site-packages",
    "dist-packages",
    "test",
    "tests",
    "idlelib",
    "turtledemo",
    "tkinter",
}
SKIPPED |= {"ensurepip", "lib2to3", "pydoc_data"}
FOLDERS = {"bin": 0o755, "etc": 0o755, "root": 0o700, "tmp": 0o1777, "var": 0o755, "var/tmp": 0o1777}
TEXTS = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n",
    "etc/group": "root:x:0:\nnogroup:x:65534:\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
}
HTTPD = """#!{python}
import argparse, functools, http.server
parser = argparse.ArgumentParser(add_help=False)
parser.add_argument("-f", action="store_true")
parser.add_argument("-v", action="store_true")
parser.add_argument("-p", default="80")
parser.add_argument("-h", dest="folder", default=".")
options = parser.parse_args()
address, _, port = options.p.rpartition(":")
handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=options.folder)
http.server.ThreadingHTTPServer((address, int(port)), handler).serve_forever()
"""
WGET = """#!{python}
import argparse, os, shutil, sys, urllib.request
parser = argparse.ArgumentParser()
parser.add_argument("-q", action="store_true")
parser.add_argument("-O", default="")
parser.add_argument("-T", type=float, default=60)
parser.add_argument("url")
options = parser.parse_args()
url = options.url if "://" in options.url else "http://" + options.url
name = options.O or os.path.basename(url.rstrip("/")) or "index.html"
try:
    with urllib.request.urlopen(url, timeout=options.T) as answer:
        out = sys.stdout.buffer if name == "-" else open(name, "wb")
        shutil.copyfileobj(answer, out)
        out.flush()
except OSError as error:
    sys.exit(f"wget: {{error}}")
"""


class Layer:
    """Files and links by their path in the image."""

    def __init__(self) -> None:
        self._files: dict[str, tuple[int, bytes]] = {}
        self._links: dict[str, str] = {}
        for path, text in TEXTS.items():
            self.add(path, text.encode())

    def add(self, path: str, content: bytes, mode: int = 0o644) -> None:
        """Put a file at `path` (without the leading slash)."""
        self._files[path] = (mode, content)

    def copy(self, source: Path, path: str = "") -> None:
        """Put the file `source` at `path`, or where it is on this machine; links are followed."""
        mode = 0o755 if os.access(source, os.X_OK) else 0o644
        self.add(path or str(source).lstrip("/"), source.read_bytes(), mode)

    def link(self, path: str, target: str) -> None:
        """Put a symbolic link at `path`, unless a file is there."""
        self._links[path] = target

    def tar(self) -> bytes:
        """Return the layer as a tar: sorted, owned by root, without times."""
        buffer = io.BytesIO()
        folders = dict(FOLDERS)
        for path in (*self._files, *self._links):
            for parent in Path(path).parents:
                if str(parent) != ".":
                    folders.setdefault(str(parent), 0o755)
        with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
            for folder in sorted(folders):
                entry = tarfile.TarInfo(folder)
                entry.type, entry.mode = tarfile.DIRTYPE, folders[folder]
                tar.addfile(entry)
            for path, (mode, content) in sorted(self._files.items()):
                entry = tarfile.TarInfo(path)
                entry.mode, entry.size = mode, len(content)
                tar.addfile(entry, io.BytesIO(content))
            for path, target in sorted(self._links.items()):
                if path not in self._files:
                    entry = tarfile.TarInfo(path)
                    entry.type, entry.linkname = tarfile.SYMTYPE, target
                    tar.addfile(entry)
        return buffer.getvalue()

    def digest(self) -> str:
        """Return the hash of the content, hex."""
        return hashlib.sha256(self.tar()).hexdigest()


def busybox_layer() -> Layer | None:
    """Return busybox with a link for each of its programs, or None where the machine has none."""
    found = shutil.which("busybox")
    if found is None:
        return None
    program = Path(found).resolve()
    listed = subprocess.run([program, "--list"], capture_output=True, text=True, timeout=10, check=False)
    applets = listed.stdout.split()
    if not {"sh", "wget", "httpd", "sleep"} <= set(applets):
        return None
    layer = Layer()
    layer.copy(program, "bin/busybox")
    for name in applets:
        if name != "busybox":
            layer.link(f"bin/{name}", "busybox")
    for library in libraries([program]):
        layer.copy(library)
    return layer


def machine_layer() -> Layer | None:
    """Return the machine's shell, tools and Python with what they load, or None without a shell."""
    tools = {name: Path(found).resolve() for name in TOOLS if (found := shutil.which(name))}
    if "sh" not in tools:
        return None
    python = Path(getattr(sys, "_base_executable", sys.executable)).resolve()
    standard = Path(sysconfig.get_path("stdlib", vars={"installed_base": sys.base_prefix})).resolve()
    layer = Layer()
    for name, program in tools.items():
        layer.copy(program, f"bin/{name}")
    layer.copy(python)
    layer.link("bin/python3", str(python))
    modules = list(_modules(standard))
    for module in modules:
        layer.copy(module)
    loaded = [python, *tools.values(), *(module for module in modules if ".so" in module.suffixes)]
    for library in libraries(loaded):
        layer.copy(library)
    layer.add("bin/httpd", HTTPD.format(python=python).encode(), 0o755)
    layer.add("bin/wget", WGET.format(python=python).encode(), 0o755)
    return layer


def libraries(programs: Iterable[Path]) -> list[Path]:
    """Return the shared libraries and the loader that the programs need; none for static programs."""
    ldd = shutil.which("ldd")
    if ldd is None:
        return []
    command = [ldd, *map(str, programs)]
    listed = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False).stdout
    found = re.findall(r"(?:=>\s+)?(/\S+)\s+\(0x", listed)
    return [Path(path) for path in sorted(set(found))]


def _modules(folder: Path) -> Iterator[Path]:
    for entry in sorted(folder.iterdir()):
        if entry.is_dir() and entry.name not in SKIPPED and not entry.name.startswith("config-"):
            yield from _modules(entry)
        elif entry.is_file() and (entry.suffix == ".py" or ".so" in entry.suffixes):
            yield entry
