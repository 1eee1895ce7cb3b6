"""Many hands at one quota: `python -m tests.integration.quota_race ROUNDS`.

A process of its own, so that it can run on any database: DATABASE_URL or DMS_HOME say which. It ends with 0 when
never more was let in, or committed, than the limit allows, and never less.
"""

from __future__ import annotations

import sys
from functools import partial

import django

from tests.integration.fight import in_threads

HANDS = 8
ALLOWED = 3


def main(rounds: int) -> None:
    """Submit at once; then lower the limit while everything that was let in is committed at once."""
    from django.core.management import call_command

    from capabilities.refusal import Refusal
    from deployments.models import Deployment
    from deployments.services.advance import deployment_advance
    from deployments.services.quota import quota_set
    from node.models import Reservation
    from node.outside import OUTSIDE
    from tests.unit.deployments import world

    call_command("migrate", verbosity=0)
    OUTSIDE.probe = None
    sys.setswitchinterval(1e-5)
    node = world.make_node(cpu_centicores=10_000, ram_bytes=1 << 40, disk_bytes=1 << 40)
    resources = {"cpu": {"cores": 1}, "ram": {"size": "64MiB"}, "disk": {"size": "64MiB"}}
    tree = world.ensemble({"one": world.allocation(resources=resources)})
    for number in range(rounds):
        owner = world.make_owner(f"owner{number}")
        quota_set(owner, {"cpu_centicores": ALLOWED * 100})
        let_in: list[str] = []

        def submit() -> None:
            try:
                let_in.append(world.submit(node, owner, tree).pk)  # noqa: B023 - done before the next round
            except Refusal as refusal:
                assert refusal.code == "quota_exceeded", refusal

        in_threads([submit] * HANDS)
        assert len(let_in) == ALLOWED, let_in
        lower = partial(quota_set, owner, {"cpu_centicores": (ALLOWED - 1) * 100})
        in_threads([lower, *(partial(deployment_advance, pk) for pk in let_in)])
        held = Reservation.objects.filter(owner=owner).count()
        unfinished = Deployment.objects.filter(owner=owner).exclude(status="Failed").count()
        assert held == unfinished, (held, unfinished)


if __name__ == "__main__":
    django.setup()
    main(int(sys.argv[1]))
