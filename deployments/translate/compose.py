"""A compose file to an ensemble: read, group, write, and prove by parsing that it validates."""

from __future__ import annotations

import re
from collections.abc import Mapping as Variables
from typing import Any

from capabilities.numbers import NUMBERS, Numbers
from deployments.ensemble.load import load
from deployments.ensemble.parse import parse
from deployments.ensemble.problems import Mark, Problem, Report, join
from deployments.ensemble.tree import Mapping, Scalar, Tree, kind
from deployments.translate.assemble import Assembly, assemble
from deployments.translate.emit import header, lines
from deployments.translate.environment import read_dotenv
from deployments.translate.interpolation import interpolated
from deployments.translate.merge import extended
from deployments.translate.mounts import Sources
from deployments.translate.notes import Files, Notes, Part, Translation, no_files
from deployments.translate.service import Service, read_service

ROOT_SILENT = frozenset({"version", "name", "services", "volumes", "networks"})
ROOT_WHY = {
    "secrets": "secrets: put them into `environment` or a volume",
    "configs": "configs: put them into a volume or the image",
    "include": "other files: translate them one by one, or merge them with `docker compose config`",
}
_PROJECT = re.compile(r"[^a-z0-9_-]+")


def translate(
    source: str | bytes,
    *,
    project: str = "",
    environ: Variables[str, str] | None = None,
    files: Files = no_files,
    profiles: frozenset[str] = frozenset(),
    numbers: Numbers = NUMBERS,
) -> Translation:
    """Return the ensemble of a compose file, or every reason why there is none; never raises for any text.

    `files` reads what lies beside the file, `environ` are the caller's variables (`.env` stands behind them).
    """
    notes = Notes()
    report = Report()
    root = load(source, report, numbers=numbers, literal=True)
    if report.errors or not isinstance(root, Mapping):
        return _refused(notes, report.errors or [_no_map(root)])
    variables = read_dotenv(files(".env") or "") | dict(environ or {})
    # Fragments under x-.. are only read where an alias brings them in.
    root = Mapping(
        {key: item for key, item in root.items.items() if not key.startswith("x-")}, root.mark, root.marks
    )
    tree = interpolated(root, "", variables, notes)
    assert isinstance(tree, Mapping)
    top = Part(notes, "", tree)
    sources = Sources(notes, _PROJECT.sub("", (top.text("name") or project).lower()).strip("_-"))
    sources.read(top)
    _networks(top)
    services = _services(top, sources, files, variables, profiles)
    top.rest(why=ROOT_WHY, silent=ROOT_SILENT)
    if notes.errors:
        return _refused(notes, notes.errors)
    found = assemble(services, sources.project, notes, (numbers.port_range_from, numbers.port_range_to))
    if notes.errors:
        return _refused(notes, notes.errors)
    return _proved(found, notes)


def _proved(found: Assembly, notes: Notes) -> Translation:
    text = "\n".join([*_head(notes), *lines(found.tree)]) + "\n"
    parsed = parse(text)
    if parsed.ensemble is None:
        return _refused(notes, [_traced(error, found) for error in parsed.errors])
    order = sorted(notes.not_carried, key=lambda problem: (problem.line, problem.column))
    return Translation(text, parsed.ensemble, (), tuple(order), tuple(notes.assumed))


def _head(notes: Notes) -> list[str]:
    order = sorted(notes.not_carried, key=lambda problem: (problem.line, problem.column))
    return [
        "# Translated from a compose file by ./dms translate.",
        "#",
        *header("Not carried over, or not as it was written:", order),
        *header("Assumed, because the file does not say it:", notes.assumed),
    ]


def _traced(error: Problem, found: Assembly) -> Problem:
    """Return an error in the ensemble as one in the compose file: at the service that it comes from."""
    path, mark = "services", Mark(1, 1)
    for prefix, place in found.places.items():
        if error.path == prefix or error.path.startswith((f"{prefix}.", f"{prefix}[")):
            path, mark = place
    return Problem(path, mark.line, mark.column, f"{error.path}: {error.message}", error.hint)


def _refused(notes: Notes, errors: list[Problem]) -> Translation:
    order = sorted(errors, key=lambda problem: (problem.line, problem.column))
    return Translation(None, None, tuple(order), tuple(notes.not_carried), tuple(notes.assumed))


def _no_map(root: Tree | None) -> Problem:
    mark = root.mark if root is not None else Mark(1, 1)
    said = "the file is empty" if root is None else f"a compose file is a map, not {kind(root)}"
    return Problem("", mark.line, mark.column, said, "write `services:` with a service under it")


def _services(
    top: Part, sources: Sources, files: Files, variables: Variables[str, str], profiles: frozenset[str]
) -> list[Service]:
    notes = top.notes
    section = top.take("services")
    if not isinstance(section, Mapping) or not section.items:
        mark = top.mark("services")
        notes.refuse(
            "services",
            Mark(max(1, mark.line), max(1, mark.column)),
            "there are no services",
            "write `services: {web: {image: ..}}`",
        )
        return []
    whole: dict[str, Mapping] = {}
    for name, node in section.items.items():
        path = join("services", name)
        if not isinstance(node, Mapping):
            notes.refuse(path, section.mark_of(name), f"a service is a map, not {kind(node)}")
            continue

        def prepare(tree: Tree, where: str) -> Tree:
            return interpolated(tree, where, variables, notes)

        whole[name] = extended(node, path, section, files, notes, prepare)
    wanted = _wanted(whole, profiles)
    found = []
    for name, node in whole.items():
        path, mark = join("services", name), section.mark_of(name)
        if name not in wanted:
            notes.lost(
                path, mark, "its profile is not chosen: the service is left out", "--profile NAME takes it in"
            )
            continue
        service = read_service(name, Part(notes, path, node), sources, files, variables)
        service.mark = mark
        if service.replicas == 0:
            notes.lost(path, mark, "0 copies are asked for: the service is left out")
            continue
        found.append(service)
    if not found and not notes.errors:
        notes.refuse(
            "services", top.mark("services"), "every service is left out", "choose a profile with --profile"
        )
    return found


def _wanted(services: dict[str, Mapping], profiles: frozenset[str]) -> set[str]:
    """Return the services of no or a chosen profile, and whatever they wait for."""
    waiting = [
        name
        for name, node in services.items()
        if not (own := _texts(node.items.get("profiles"))) or own & profiles or "*" in profiles
    ]
    found: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in found or name not in services:
            continue
        found.add(name)
        waiting += _texts(services[name].items.get("depends_on"))
    return found


def _texts(node: Tree | None) -> set[str]:
    if isinstance(node, Mapping):
        return set(node.items)
    if isinstance(node, Scalar):
        return {node.text} if node.value is not None else set()
    return {item.text for item in node.items if isinstance(item, Scalar)} if node is not None else set()


def _networks(top: Part) -> None:
    networks = top.part("networks")
    for name in networks.node.items if networks else ():
        assert networks is not None
        one: Any = networks.part(name)
        if one is not None:
            one.rest(why={"external": "an external network: the ensemble's own takes its place"})
