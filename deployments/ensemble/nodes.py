"""One node: which allocations sit together, their ports, and where the node may be."""

from __future__ import annotations

from deployments.ensemble.fields import Context, Fields, Shape, fields
from deployments.ensemble.model import (
    CONTINENTS,
    NODE_RECOVERIES,
    PROTOCOLS,
    LocationSpec,
    NodeSpec,
    Place,
    PortSpec,
)
from deployments.ensemble.names import NODE_NAME
from deployments.ensemble.problems import Mark, join
from deployments.ensemble.tree import Sequence, Tree

_NODE = Shape(
    "a node",
    frozenset({"allocations", "ports", "location", "peer", "redundancy", "failure_recovery"}),
)
_PORT = Shape("a port", frozenset({"public", "private", "allocation", "protocol"}))
_LOCATION = Shape("location", frozenset({"accept", "reject"}))
_PLACE = Shape(
    "a location", frozenset({"continent", "country", "city", "asn", "isp"}), {"region": "continent"}
)

MAX_PORT = 65_535
LOWEST_PUBLIC = 1_025
MAX_REDUNDANCY = 100
_PUBLIC_HINT = f"0 for any free port, or {LOWEST_PUBLIC} to {MAX_PORT}"


def read_node(
    context: Context, name: str, node: Tree, mark: Mark, provider_range: tuple[int, int]
) -> NodeSpec | None:
    """Return the node `name`, None when it is no map. `provider_range`: the ports providers usually offer."""
    path = join("nodes", name)
    if not NODE_NAME.fullmatch(name):
        context.report.error(
            path,
            mark,
            f"{name[:80]!r} is no name for a node",
            "letters, digits and inner hyphens, at most 63; no dots: ids are written node.allocation",
        )
    top = fields(context, _NODE, node, path, mark)
    if top is None:
        return None
    hint = "the names of the allocations on it: `allocations: [NAME]`"
    allocations = top.texts("allocations", required=hint)
    held = top.find("allocations")
    if isinstance(held, Sequence) and not held.items:
        top.error("allocations", "a node needs at least one allocation", hint)
    ports = tuple(
        port
        for item_path, item in top.rows(
            "ports", single="write `ports:` as a list, `- ` before its first member"
        )
        if (port := _port(context, item, item_path, provider_range))
    )
    return NodeSpec(
        name=name,
        allocations=allocations,
        ports=ports,
        location=_location(top),
        peer=top.text("peer"),
        redundancy=top.integer("redundancy", 0, MAX_REDUNDANCY),
        failure_recovery=top.choice("failure_recovery", NODE_RECOVERIES, "stay_down"),
    )


def _port(context: Context, item: Tree, path: str, provider_range: tuple[int, int]) -> PortSpec | None:
    port = fields(context, _PORT, item, path)
    if port is None:
        return None
    public = port.integer("public", 0, MAX_PORT, required=_PUBLIC_HINT)
    low, high = provider_range
    if 0 < public < LOWEST_PUBLIC:
        port.error("public", f"public port {public} is reserved", _PUBLIC_HINT)
    elif public and not low <= public <= high:
        port.report.warn(
            join(path, "public"),
            port.items["public"].mark,
            f"public port {public} is outside the range that providers offer ({low}-{high})",
            f"0 for any free port, or {low} to {high}",
        )
    return PortSpec(
        public=public,
        private=port.integer("private", 1, MAX_PORT, required=f"the port inside, 1 to {MAX_PORT}"),
        allocation=port.text("allocation", required="the allocation that listens on it"),
        protocol=port.choice("protocol", PROTOCOLS, "tcp"),
    )


def _location(top: Fields) -> LocationSpec | None:
    location = top.child("location", _LOCATION)
    if location is None:
        return None
    return LocationSpec(_places(location, "accept"), _places(location, "reject"))


def _places(location: Fields, key: str) -> tuple[Place, ...]:
    found = []
    for path, item in location.rows(key):
        place = fields(location.context, _PLACE, item, path)
        if place is None:
            continue
        city, country = place.text("city"), place.text("country")
        if city and not country:
            place.error("city", "a city needs its `country`", "write `country: US` beside it")
        found.append(
            Place(
                continent=place.choice(
                    "continent", CONTINENTS, "", required=f"one of: {', '.join(CONTINENTS)}"
                ),
                country=country,
                city=city,
                asn=place.integer("asn", 0, (1 << 32) - 1),
                isp=place.text("isp"),
            )
        )
    return tuple(found)
