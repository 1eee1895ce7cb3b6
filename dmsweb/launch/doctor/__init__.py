"""What this machine offers and what it lacks: each check says what a lack costs and how to mend it.

Standard library only; no network beyond the machine, but for the identity provider that is named; each check
bounded to a few seconds.
"""

from __future__ import annotations

from collections.abc import Callable

from dmsweb.home import Home
from dmsweb.launch.doctor import containers, gpu, host, identity, sandbox
from dmsweb.launch.doctor.check import Check


def examine(home: Home, *, port: int | None = None) -> list[Check]:
    """Run every check. `port` is where the site listens or would listen."""
    checks: list[Callable[[], Check]] = [
        host.python,
        host.broker,
        lambda: host.disk(home),
        lambda: host.port(home, port),
        host.memory,
        host.clock,
        host.proxy,
        containers.engine,
        sandbox.user_namespaces,
        sandbox.sandbox,
        gpu.toolkit,
        identity.provider,
    ]
    return [check() for check in checks]
