"""Published ports: short and long form, ranges, UDP."""

from __future__ import annotations

import re
from dataclasses import dataclass

from deployments.ensemble.problems import Mark
from deployments.ensemble.tree import Mapping, Scalar, Tree
from deployments.translate.notes import Notes, Part

_SHORT = re.compile(
    r"(?:(?:(?P<host>\[[0-9A-Fa-f:.]*\]|[^:\[\]]+):)?(?P<published>[0-9-]*):)?(?P<target>[0-9-]+)(?:/(?P<protocol>\w+))?"
)
_RANGE = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?")
MAX_PORT = 65_535
MAX_RANGE = 1_000


@dataclass(frozen=True, slots=True)
class Port:
    """One port; `published` 0: any."""

    published: int
    target: int
    protocol: str
    path: str
    mark: Mark


def read_ports(service: Part) -> list[Port]:
    """Return the ports of a service; what cannot be carried is in the notes."""
    found: list[Port] = []
    for path, item in service.rows("ports"):
        found += _port(service.notes, path, item)
    return found


def _port(notes: Notes, path: str, item: Tree) -> list[Port]:
    if isinstance(item, Mapping):
        part = Part(notes, path, item)
        host, published = part.text("host_ip"), part.text("published")
        target, protocol = part.text("target"), part.text("protocol") or "tcp"
        part.rest(silent=frozenset({"mode", "name", "app_protocol"}))
    elif isinstance(item, Scalar) and (match := _SHORT.fullmatch(item.text)):
        host, published = match["host"] or "", match["published"] or ""
        target, protocol = match["target"], match["protocol"] or "tcp"
    else:
        notes.lost(path, item.mark, "no port that can be read", "such as 8080:80 or 53:53/udp")
        return []
    protocol = protocol.lower()
    if protocol not in ("tcp", "udp"):
        notes.lost(path, item.mark, f"the protocol {protocol[:20]}: ports are tcp or udp")
        return []
    inside, outside = _range(target), _range(published) if published else None
    if not inside or (published and not outside) or inside[0] < 1:
        notes.lost(
            path, item.mark, "the numbers are no ports", f"1 to {MAX_PORT}, at most {MAX_RANGE} in a range"
        )
        return []
    if host and host not in ("0.0.0.0", "[::]", "::"):
        notes.lost(
            path, item.mark, f"bound to {host[:60]} only: published ports are open on the node's address"
        )
    if outside and len(outside) != len(inside):
        if len(inside) != 1:
            notes.lost(path, item.mark, "the two ranges differ in length", "give both the same length")
            return []
        outside = outside[:1]
    publics = outside or [0] * len(inside)
    return [
        Port(public, private, protocol, path, item.mark)
        for public, private in zip(publics, inside, strict=True)
    ]


def _range(text: str) -> list[int] | None:
    match = _RANGE.fullmatch(text)
    if match is None:
        return None
    first = int(match[1])
    last = int(match[2] or match[1])
    if not 0 <= first <= last <= MAX_PORT or last - first >= MAX_RANGE:
        return None
    return list(range(first, last + 1))


def public_ports(
    ports: list[tuple[str, Port]], notes: Notes, reach: tuple[int, int]
) -> list[dict[str, int | str]]:
    """Return a node's ports as the ensemble has them; what nodes do not offer becomes any free port (0)."""
    taken: set[tuple[int, str]] = set()
    found: list[dict[str, int | str]] = []
    for allocation, port in ports:
        public = port.published
        if public and not reach[0] <= public <= reach[1]:
            notes.lost(
                port.path,
                port.mark,
                f"public port {public} is outside what nodes offer ({reach[0]}-{reach[1]}): any free port instead",
                "./dms show tells which; write a port of that range to choose it",
            )
            public = 0
        elif public and (public, port.protocol) in taken:
            notes.lost(
                port.path, port.mark, f"public port {public}/{port.protocol} is taken already: any free port"
            )
            public = 0
        taken.add((public, port.protocol))
        found.append(
            {"public": public, "private": port.target, "allocation": allocation, "protocol": port.protocol}
        )
    return found
