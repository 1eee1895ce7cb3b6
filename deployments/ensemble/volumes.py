"""The volumes of an allocation: `volume` items, or `volumes` that refine the root's volumes."""

from __future__ import annotations

from deployments.ensemble.fields import Context, Fields, Shape, fields
from deployments.ensemble.model import VolumeSpec
from deployments.ensemble.names import VOLUME
from deployments.ensemble.problems import join
from deployments.ensemble.resources import merge
from deployments.ensemble.tree import Mapping, Scalar, Sequence, Tree

_VOLUME = Shape(
    "a volume",
    frozenset(
        {
            "type",
            "name",
            "src",
            "mount_destination",
            "read_only",
            "servers",
            "client_private_key",
            "client_pem",
            "client_ca",
        }
    ),
    {"mountpoint": "mount_destination", "source": "src", "readonly": "read_only"},
)
TYPES = ("local", "glusterfs")


def named(node: Tree | None) -> dict[str, Tree]:
    """Return the root's volumes or templates by name: a map of maps, or a list of maps with `name`."""
    if isinstance(node, Mapping):
        return dict(node.items)
    found: dict[str, Tree] = {}
    if isinstance(node, Sequence):
        for item in node.items:
            name = item.items.get("name") if isinstance(item, Mapping) else None
            if isinstance(name, Scalar):
                found[name.text] = item
    return found


def read_volumes(parent: Fields, roots: dict[str, Tree]) -> tuple[VolumeSpec, ...]:
    """Return the volumes of the allocation whose members are `parent`."""
    context = parent.context
    rows = parent.rows("volume", single="write `volume:` as a list, `- ` before its first member")
    node = parent.find("volumes")
    if isinstance(node, Mapping):
        path = join(parent.path, "volumes")
        rows = rows + [(join(path, key), _with_name(key, item)) for key, item in node.items.items()]
    elif node is not None:
        rows = rows + parent.rows("volumes")
    volumes: list[VolumeSpec] = []
    taken: dict[str, str] = {}
    for path, item in rows:
        volume = _read(context, item, path, roots)
        if volume is None:
            continue
        if volume.mount_destination in taken:
            context.report.error(
                path,
                item.mark,
                f"{volume.mount_destination} is mounted twice",
                f"{taken[volume.mount_destination]} is there already",
            )
        taken[volume.mount_destination] = path
        volumes.append(volume)
    return tuple(volumes)


def _with_name(name: str, item: Tree) -> Tree:
    if isinstance(item, Mapping) and "name" not in item.items:
        return Mapping(item.items | {"name": Scalar(name, name, item.mark)}, item.mark, item.marks)
    return item


def _read(context: Context, item: Tree, path: str, roots: dict[str, Tree]) -> VolumeSpec | None:
    if isinstance(item, Scalar) and isinstance(item.value, str):
        short = _short(context, item, path, roots)
        if short is None:
            return None
        item = short
    name = item.items.get("name") if isinstance(item, Mapping) else None
    if isinstance(item, Mapping) and isinstance(name, Scalar):
        root = roots.get(name.text)
        if isinstance(root, Mapping) and root is not item:
            item = merge(context, _with_name(name.text, root), item, path)  # type: ignore[arg-type]
            item.items["name"] = name
    volume = fields(context, _VOLUME, item, path, hint="write `- name:mountpoint` or a map")
    return None if volume is None else _volume(volume)


def _short(context: Context, item: Scalar, path: str, roots: dict[str, Tree]) -> Mapping | None:
    """Return the map that `name:mountpoint` stands for."""
    name, colon, mountpoint = item.text.partition(":")
    if not (name and colon and mountpoint) or ":" in mountpoint:
        context.report.error(
            path, item.mark, f"{item.text[:80]!r} is not name:mountpoint", "such as data:/data"
        )
        return None
    texts = {"name": name, "mount_destination": mountpoint}
    if name not in roots:
        texts |= {"type": "local", "src": name}
    return Mapping({key: Scalar(text, text, item.mark) for key, text in texts.items()}, item.mark)


def _volume(volume: Fields) -> VolumeSpec:
    kind = volume.choice("type", TYPES, "", required=f"one of: {', '.join(TYPES)}")
    destination = volume.text("mount_destination", required="where it appears, such as /data")
    if destination and not destination.startswith("/"):
        volume.error("mount_destination", f"{destination[:80]!r} is not absolute", "begin it with /")
    src = volume.text("src", required="a volume's name or an absolute path" if kind == "local" else "")
    if kind == "local" and src:
        _check_source(volume, src)
    hint = "the addresses of the servers, such as [192.0.2.10]" if kind == "glusterfs" else ""
    servers = volume.texts("servers", required=hint)
    if kind == "glusterfs" and not servers and isinstance(volume.items.get("servers"), Sequence):
        volume.error("servers", "glusterfs needs a server", hint)
    return VolumeSpec(
        type=kind,
        mount_destination=destination,
        name=volume.text("name"),
        src=src,
        read_only=bool(volume.boolean("read_only")),
        servers=servers,
        client_private_key=volume.text("client_private_key", may_be_empty=True),
        client_pem=volume.text("client_pem", may_be_empty=True),
        client_ca=volume.text("client_ca", may_be_empty=True),
    )


def _check_source(volume: Fields, src: str) -> None:
    if "/" in src:
        if not src.startswith("/"):
            volume.error("src", f"{src[:80]!r} is a relative path", "an absolute path, or a volume's name")
        elif ".." in src.split("/"):
            volume.error("src", "the path climbs with ..", "write the path it leads to")
    elif not VOLUME.fullmatch(src):
        volume.error("src", f"{src[:80]!r} is no volume name", "letters, digits, and inside also _ . -")
