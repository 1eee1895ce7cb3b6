"""Roles: named sets of capabilities. The table of those that every site has, and what makes a set a good one.

A role is worth what it holds and nothing else: whoever is given it gets a token over its paths, and the door, REST
and peers look at tokens alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from capabilities.chains import covered, implies
from capabilities.refusal import Reason

# Whoever holds it sees what everybody runs here, not only her own and her teams'; what she may do with it is
# decided by the other capabilities.
SEES_ALL = "/dms/site/deployments"
VIEWER, DEPLOYER, OPERATOR, ADMIN = "viewer", "deployer", "operator", "admin"
PATHS_MAX = 64
PATH = re.compile(r"^(?:/|(?:/[A-Za-z0-9._-]+){1,16})$")
NAME = re.compile(r"^[a-z][a-z0-9-]{0,31}$")
# What everybody needs to do anything: her own tokens, what she was granted and did.
# Who may change an organisation or a team is decided by her place in it; making one takes /dms/organisation/new.
OWN = (
    "/public",
    "/dms/cap/check",
    "/dms/cap/inspect",
    "/dms/me",
    "/dms/organisation/member",
    "/dms/organisation/remove",
    "/dms/team",
    "/dms/token",
)


@dataclass(frozen=True, slots=True)
class BuiltIn:
    """A role that every site has; it grows with the releases."""

    title: str
    capabilities: tuple[str, ...]


_LOOK = (
    "/dms/node/allocation/stats",
    "/dms/node/allocations/list",
    "/dms/node/benchmark/status",
    "/dms/node/capability/get",
    "/dms/node/container/list",
    "/dms/node/hardware",
    "/dms/node/onboarding/status",
    "/dms/node/quota/get",
    "/dms/node/resources",
)
# Everything about the machines; whom the site trusts (invite, join, accept) and speaking in its name is an admin's.
_MACHINE = (
    *(
        f"/dms/node/{name}"
        for name in (
            "allocation",
            "allocations",
            "benchmark",
            "capability",
            "container",
            "deployment",
            "drain",
            "hardware",
            "logger",
            "metrics",
            "onboarding",
            "preferences",
            "quota",
            "resources",
        )
    ),
    "/dms/node/peers/list",
    "/dms/node/peers/ping",
    "/dms/node/peers/self",
)
BUILT_IN: dict[str, BuiltIn] = {
    VIEWER: BuiltIn(
        "Looks at the machines and at what her teams run; changes nothing.",
        (
            *OWN,
            *_LOOK,
            *(f"/dms/node/deployment/{name}" for name in ("info", "list", "logs", "manifest", "status")),
        ),
    ),
    DEPLOYER: BuiltIn(
        "Deploys, and looks after what she and her teams run.",
        (*OWN, *_LOOK, "/dms/node/allocation", "/dms/node/container", "/dms/node/deployment"),
    ),
    OPERATOR: BuiltIn(
        "Runs the machines: what they offer, drain, quotas, logs, and whatever runs here.",
        (*OWN, *_MACHINE, SEES_ALL),
    ),
    ADMIN: BuiltIn("A root of this node: may do everything.", ("/",)),
}


def normal(paths: Iterable[str]) -> tuple[str, ...]:
    """Return the paths in order, each once, without those that another one implies."""
    wanted = sorted({path.strip() for path in paths})
    return tuple(
        path for path in wanted if not any(implies(other, path) for other in wanted if other != path)
    )


def same(one: Iterable[str], other: Iterable[str]) -> bool:
    """Say whether two sets of paths allow the same."""
    return normal(one) == normal(other)


def missing(held: Iterable[str], wanted: Iterable[str]) -> tuple[str, ...]:
    """Return those of `wanted` that no path of `held` implies."""
    paths = tuple(held)
    return tuple(path for path in wanted if not covered(paths, [path]))


def path_faults(paths: Iterable[str], field: str = "Capabilities") -> list[Reason]:
    """Return what is wrong with a set of paths, one reason each."""
    given = list(paths)
    hint = "a path begins with / and has no / at its end: /dms/node/deployment"
    found = [
        Reason("capability", f"{path[:80]!r} is no capability path", field, hint=hint)
        for path in given
        if not PATH.match(path) or len(path) > 255
    ]
    if not given:
        found.append(Reason("capability", "no capability is given", field, hint=hint))
    if len(given) > PATHS_MAX:
        found.append(
            Reason(
                "capability",
                "too many capabilities",
                field,
                needed=f"<= {PATHS_MAX}",
                available=f"{len(given)}",
            )
        )
    return found


def name_faults(name: str, field: str = "Name") -> list[Reason]:
    """Return what is wrong with the name of a role."""
    if NAME.match(name):
        return []
    hint = "small letters, digits and -, beginning with a letter, at most 32"
    return [Reason("name", f"{name[:80]!r} cannot be the name of a role", field, hint=hint)]
