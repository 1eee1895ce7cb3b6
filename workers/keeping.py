"""How long kept logs stay: by time, by the size of all on the node, and not at all without their deployment."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from capabilities.numbers import NUMBERS
from deployments import states
from deployments.models import Deployment
from workers.kept import PREFIX, root

logger = logging.getLogger(__name__)
# A folder younger than that may belong to a row that is not committed yet.
YOUNG_S = 600.0


@dataclass(frozen=True, slots=True)
class Kept:
    """The log of one attempt: when it was last written, and how many bytes it holds."""

    folder: Path
    at: float
    size: int


def too_much(kept: Iterable[Kept], *, now: float, most_s: float, most_bytes: int) -> list[Kept]:
    """Return what has to go: what is too old, and then the oldest until the rest is not too much."""
    newest_first = sorted(kept, key=lambda one: one.at, reverse=True)
    gone, held = [], 0
    for one in newest_first:
        held += one.size
        if now - one.at > most_s or held > most_bytes:
            gone.append(one)
    return gone


def folder_remove(deployment_id: str) -> None:
    """Remove a deployment's folder with all its logs; harmless when there is none."""
    shutil.rmtree(root() / deployment_id, ignore_errors=True)


def sweep(now: datetime) -> int:
    """Remove what is kept of nobody, too long, or too much; return how many folders."""
    if not root().is_dir():
        return 0
    folders = {path.name: path for path in root().iterdir() if path.is_dir()}
    states_of = dict(Deployment.objects.filter(pk__in=list(folders)).values_list("pk", "status"))
    gone = 0
    ended: list[Kept] = []
    for name, path in folders.items():
        if name not in states_of:
            if now.timestamp() - path.stat().st_mtime > YOUNG_S:
                folder_remove(name)
                gone += 1
        elif states_of[name] in states.TERMINAL:
            ended += _attempts(path)
    for one in too_much(
        ended, now=now.timestamp(), most_s=NUMBERS.log_kept_s, most_bytes=NUMBERS.log_kept_max_bytes
    ):
        logger.info("removing the kept log %s", one.folder)
        shutil.rmtree(one.folder, ignore_errors=True)
        gone += 1
    return gone


def _attempts(folder: Path) -> Iterator[Kept]:
    """Yield each attempt's log, and an allocation's folder itself where an earlier release kept the files there."""
    for allocation in folder.iterdir():
        if not allocation.is_dir():
            continue
        old = allocation / "stdout.log"
        found = (
            [allocation] if old.is_file() and not old.is_symlink() else list(allocation.glob(f"{PREFIX}*"))
        )
        for one in found:
            files = [path.stat() for path in one.rglob("*") if path.is_file() and not path.is_symlink()]
            if files:
                yield Kept(one, max(stat.st_mtime for stat in files), sum(stat.st_size for stat in files))
