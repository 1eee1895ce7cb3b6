"""Provision scripts: run inside the container, in order, before its own command. Pure.

They are copied into the created container (so that a remote engine works too) with a wrapper that runs them
and then replaces itself by the command, whose words it passes on unchanged.
"""

from __future__ import annotations

import io
import re
import shlex
import tarfile
from collections.abc import Sequence

FOLDER = ".dms"
WRAPPER = f"/{FOLDER}/run"


def archive(scripts: Sequence[tuple[str, bytes]]) -> bytes:
    """Return a tar to unpack at `/`: the scripts under their order and name, and the wrapper."""
    files: list[tuple[str, bytes]] = []
    lines = ["#!/bin/sh"]
    for index, (name, body) in enumerate(scripts):
        path = f"{FOLDER}/provision/{index:03d}-{re.sub(r'[^A-Za-z0-9._-]', '_', name)[:80]}"
        files.append((path, body))
        # A script with an interpreter line is run by that interpreter, any other by sh.
        run = f"/{path}" if body.startswith(b"#!") else f"/bin/sh /{path}"
        message = shlex.quote(f"dms: provision script {name} ended with code")
        lines.append(f'{run} || {{ code=$?; echo {message} "$code" >&2; exit "$code"; }}')
    lines.append('exec "$@"')
    files.append((f"{FOLDER}/run", ("\n".join(lines) + "\n").encode()))
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for folder in (FOLDER, f"{FOLDER}/provision"):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(entry)
        for path, body in files:
            entry = tarfile.TarInfo(path)
            entry.mode, entry.size = 0o755, len(body)
            tar.addfile(entry, io.BytesIO(body))
    return buffer.getvalue()


def wrapped(command: Sequence[str]) -> list[str]:
    """Return the command line that runs the scripts first."""
    return ["/bin/sh", WRAPPER, *command]
