"""`extends`: one service takes over what another says, here or in another file."""

from __future__ import annotations

from collections.abc import Callable

from deployments.ensemble.load import load
from deployments.ensemble.problems import Mark, Report, join
from deployments.ensemble.tree import Mapping, Scalar, Sequence, Tree
from deployments.translate.notes import Files, Notes, Part

MAX_DEPTH = 16
_REPLACED = frozenset({"command", "entrypoint", "test"})
_PAIRS = frozenset({"environment", "labels", "annotations", "extra_hosts", "sysctls"})
# What compose does not take over from the other service.
_OWN = frozenset({"depends_on", "links", "volumes_from", "extends", "profiles"})


def extended(
    service: Mapping,
    path: str,
    services: Mapping,
    files: Files,
    notes: Notes,
    prepare: Callable[[Tree, str], Tree],
    depth: int = 0,
) -> Mapping:
    """Return the service with what it extends under it. `prepare` replaces the variables of another file."""
    node = service.items.get("extends")
    if node is None:
        return service
    at, mark = join(path, "extends"), service.mark_of("extends")
    rest = Mapping(
        {key: item for key, item in service.items.items() if key != "extends"}, service.mark, service.marks
    )
    if depth >= MAX_DEPTH:
        notes.refuse(at, mark, "services extend each other in a circle", "let one of them extend nothing")
        return rest
    name, file = node.text if isinstance(node, Scalar) else "", ""
    if isinstance(node, Mapping):
        part = Part(notes, at, node)
        name, file = part.text("service"), part.text("file")
    if file:
        found = _other(file, at, mark, files, notes, prepare)
        if found is None:
            return rest
        services = found
    base = services.items.get(name)
    if not isinstance(base, Mapping):
        notes.refuse(at, mark, f"no service {name[:60]!r} to extend", "name one that is there")
        return rest
    base_path = path if file else f"services.{name}"
    base = extended(base, base_path, services, files, notes, prepare, depth + 1)
    kept = {key: item for key, item in base.items.items() if key not in _OWN}
    return merged(Mapping(kept, base.mark, base.marks), rest)


def _other(
    file: str, path: str, mark: Mark, files: Files, notes: Notes, prepare: Callable[[Tree, str], Tree]
) -> Mapping | None:
    text = files(file)
    if text is None:
        notes.refuse(path, mark, f"the file {file[:80]} cannot be read", "put it where `extends` says")
        return None
    report = Report()
    root = load(text, report, literal=True)
    if report.errors:
        first = report.errors[0]
        notes.refuse(path, mark, f"{file[:80]} line {first.line}: {first.message}", first.hint)
        return None
    services = root.items.get("services") if isinstance(root, Mapping) else None
    if not isinstance(services, Mapping):
        notes.refuse(path, mark, f"{file[:80]} has no services", "name a compose file")
        return None
    # The lines of another file would be taken for lines of this one: everything stands where `extends` does.
    found = prepare(_placed(services, mark), path)
    return found if isinstance(found, Mapping) else None


def _placed(node: Tree, mark: Mark) -> Tree:
    if isinstance(node, Mapping):
        return Mapping({key: _placed(item, mark) for key, item in node.items.items()}, mark, {})
    if isinstance(node, Sequence):
        return Sequence([_placed(item, mark) for item in node.items], mark)
    return Scalar(node.text, node.value, mark, node.units)


def merged(base: Mapping, over: Mapping) -> Mapping:
    """Return `over` on top of `base`: maps are merged, lists joined, commands replaced."""
    items = dict(base.items)
    marks = dict(base.marks)
    for key, item in over.items.items():
        below = items.get(key)
        if key in _PAIRS and below is not None:
            below, item = _pairs(below), _pairs(item)
        if isinstance(below, Mapping) and isinstance(item, Mapping):
            item = merged(below, item)
        elif isinstance(below, Sequence) and isinstance(item, Sequence) and key not in _REPLACED:
            item = Sequence([*below.items, *item.items], item.mark)
        items[key] = item
        marks[key] = over.mark_of(key)
    return Mapping(items, over.mark, marks)


def _pairs(node: Tree) -> Tree:
    """Return a list of KEY=VALUE as a map."""
    if not isinstance(node, Sequence):
        return node
    items: dict[str, Tree] = {}
    marks: dict[str, Mark] = {}
    for item in node.items:
        if isinstance(item, Scalar):
            key, equals, value = item.text.partition("=")
            items[key] = Scalar(value, value if equals else None, item.mark)
            marks[key] = item.mark
    return Mapping(items, node.mark, marks)
