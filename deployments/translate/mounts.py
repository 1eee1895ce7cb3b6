"""Volumes of a service: named ones, binds and what has no counterpart."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass, field
from typing import Any

from deployments.ensemble.names import VOLUME
from deployments.ensemble.problems import Mark
from deployments.ensemble.tree import Mapping, Scalar, Tree
from deployments.translate.notes import Files, Notes, Part

_UNFIT = re.compile(r"[^A-Za-z0-9_.-]+")
_ENGINE = re.compile(r"/(?:var/)?run/(?:docker|containerd)[./]")
_FREE_OPTIONS = frozenset({"rw", "ro", "z", "Z", "nocopy", "consistent", "cached", "delegated", ""})


@dataclass(slots=True)
class Sources:
    """The file's own volumes: which name stands for which source; `project` goes before names, as compose does it."""

    notes: Notes
    project: str
    declared: dict[str, str] = field(default_factory=dict)
    marks: dict[str, Mark] = field(default_factory=dict)

    def named(self, name: str) -> str:
        """Return the source of the volume `name`."""
        return self.declared.get(name) or volume_name(f"{self.project}_{name}" if self.project else name)

    def read(self, root: Part) -> None:
        """Take the root's `volumes`."""
        volumes = root.part("volumes")
        for name in volumes.node.items if volumes else ():
            assert volumes is not None
            self.declared[name] = volume_name(f"{self.project}_{name}" if self.project else name)
            one = volumes.part(name)
            if one is not None:
                self._one(name, one)

    def _one(self, name: str, one: Part) -> None:
        if said := one.text("name"):
            self.declared[name] = volume_name(said)
        if one.true("external"):
            self.declared[name] = volume_name(one.text("name") or name)
            one.lost(
                "external", "what an external volume holds; on a node it begins empty in the owner's folder"
            )
        driver = one.text("driver")
        if driver and driver != "local":
            one.lost("driver", f"the driver {driver[:40]}: a local volume stands for it")
        options = one.part("driver_opts")
        if options is not None:
            device = options.text("device")
            if device.startswith("/") and options.text("type") in ("", "none"):
                self.declared[name] = posixpath.normpath(device).replace("//", "/")
                one.lost(
                    "driver_opts",
                    f"the folder {device[:80]} is the host's: the node's owner must allow it",
                    "or leave driver_opts out for a volume in the owner's folder",
                )
            else:
                one.lost("driver_opts", "a local volume without options stands for it")
        one.rest(silent=frozenset({"labels"}))


def volume_name(text: str) -> str:
    """Return `text` as a volume's name."""
    name = _UNFIT.sub("-", text).lstrip("_.-")[:120] or "volume"
    assert VOLUME.fullmatch(name)
    return name


@dataclass(frozen=True, slots=True)
class _Mount:
    kind: str
    source: str
    target: str
    read_only: bool


def read_mounts(service: Part, sources: Sources, files: Files) -> list[dict[str, Any]]:
    """Return the volumes of a service as the ensemble has them."""
    found: dict[str, dict[str, Any]] = {}
    for path, item in service.rows("volumes"):
        mount = _mount(service.notes, path, item)
        if mount is None:
            continue
        notes, mark = service.notes, item.mark
        if not mount.target.startswith("/"):
            notes.lost(path, mark, f"{mount.target[:60]!r} is no absolute path inside", "begin it with /")
            continue
        source = _source(mount, path, mark, sources, files)
        if source is None:
            continue
        target = posixpath.normpath(mount.target).replace("//", "/")
        if target in found:
            notes.lost(path, mark, f"{target} is mounted twice: this one counts, the earlier one does not")
        found[target] = {"type": "local", "src": source, "mount_destination": target} | (
            {"read_only": True} if mount.read_only else {}
        )
    return list(found.values())


def _mount(notes: Notes, path: str, item: Tree) -> _Mount | None:
    if isinstance(item, Mapping):
        part = Part(notes, path, item)
        mount = _Mount(
            part.text("type") or "volume", part.text("source"), part.text("target"), part.true("read_only")
        )
        part.rest(silent=frozenset({"bind", "volume", "consistency", "tmpfs"}))
        return mount
    if not isinstance(item, Scalar) or not item.text:
        notes.lost(path, item.mark, "no volume that can be read", "such as data:/data")
        return None
    pieces = item.text.split(":")
    if len(pieces) == 1:
        return _Mount("volume", "", pieces[0], False)
    if len(pieces) > 3:
        notes.lost(path, item.mark, "no volume that can be read", "such as data:/data:ro")
        return None
    options = pieces[2].split(",") if len(pieces) == 3 else []
    for option in options:
        if option not in _FREE_OPTIONS:
            notes.lost(path, item.mark, f"the option {option[:40]}")
    source = pieces[0]
    kind = "bind" if source.startswith(("/", ".", "~")) or "/" in source else "volume"
    return _Mount(kind, source, pieces[1], "ro" in options)


def _source(mount: _Mount, path: str, mark: Mark, sources: Sources, files: Files) -> str | None:
    notes = sources.notes
    if mount.kind == "volume":
        if mount.source:
            return sources.named(mount.source)
        notes.lost(path, mark, "a volume without a name: the container's own disk takes its place")
        return None
    if mount.kind != "bind":
        notes.lost(path, mark, f"{mount.kind[:20]} mounts: the container's own disk takes its place")
        return None
    if _ENGINE.search(mount.source):
        notes.lost(path, mark, "the engine's socket: a workload does not get it")
        return None
    if mount.source.startswith("/"):
        folder = posixpath.normpath(mount.source).replace("//", "/")
        notes.lost(
            path,
            mark,
            f"{folder[:80]} is kept, but is the host's: the node's owner must allow it",
            "use a named volume",
        )
        return folder
    if _is_file(mount, files):
        notes.lost(
            path, mark, f"the file {mount.source[:80]}", "build it into the image, or put it into a volume"
        )
        return None
    last = posixpath.basename(posixpath.normpath(mount.source)).strip(".~") or "folder"
    name = sources.named(f"{last}-bind" if last in sources.declared else last)
    notes.lost(
        path,
        mark,
        f"what {mount.source[:80]} holds here: it becomes the volume {name}, empty at first",
        "copy the files into it once, or build them into the image",
    )
    return name


def _is_file(mount: _Mount, files: Files) -> bool:
    """Say whether one file is mounted: it is there, or both names end like a file's."""
    if files(mount.source) is not None:
        return True
    return bool(posixpath.splitext(mount.source)[1] and posixpath.splitext(mount.target)[1])
