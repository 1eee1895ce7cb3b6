"""Workers in a crowd move one deployment along: `python -m tests.integration.crowd ROUNDS`.

A process of its own, so that it can run on any database: DATABASE_URL or DMS_HOME say which. It migrates,
and ends with 0 when no worker was ever refused by the database and rows, manifest and ledger agreed each time.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import django

from tests.integration.fight import in_threads

ALLOCATIONS = 6
ADVANCERS = 3


def crowd(works: Sequence[Callable[[], Any]], deployment: str) -> None:
    """Do the works, and advance the deployment all the while."""
    from deployments.services.advance import deployment_advance

    in_threads([*works, *[partial(deployment_advance, deployment)] * ADVANCERS])
    deployment_advance(deployment)


def shown(deployment: str) -> set[str]:
    """Return the statuses of the allocations, which rows and manifest must agree on."""
    from deployments.models import Deployment

    row = Deployment.objects.get(pk=deployment)
    manifest = {name: item["status"] for name, item in row.manifest["allocations"].items()}
    assert manifest == {str(item): item.status for item in row.allocations.all()}, manifest
    return set(manifest.values())


def shut_down_and_advance(deployment: str) -> None:
    """Ask for the shutdown, as the behavior does."""
    from deployments.models import Deployment
    from deployments.services.advance import deployment_advance

    Deployment.objects.filter(pk=deployment).update(stop_wanted=True)
    deployment_advance(deployment)


def main(rounds: int) -> None:
    """Start, stop while starting, and end, each in a crowd."""
    from django.core.management import call_command

    from deployments.models import Deployment
    from deployments.services.advance import deployment_advance
    from node.models import Reservation
    from node.outside import OUTSIDE
    from tests.unit.deployments import world

    call_command("migrate", verbosity=0)
    OUTSIDE.probe = None  # what others use of this machine is no part of this
    sys.setswitchinterval(1e-5)
    node, owner = world.make_node(), world.make_owner()
    small = {"cpu": {"cores": 0.1}, "ram": {"size": "64MiB"}, "disk": {"size": "64MiB"}}
    one = world.allocation("service", resources=small)
    for number in range(rounds):
        tree = world.ensemble({f"a{index}": one for index in range(ALLOCATIONS)})
        deployment = world.submit(node, owner, tree).pk
        deployment_advance(deployment)
        rows = list(Deployment.objects.get(pk=deployment).allocations.all())
        starts = [partial(world.started, row) for row in rows]
        if number % 2:
            crowd([*starts, partial(shut_down_and_advance, deployment)], deployment)
        else:
            crowd(starts, deployment)
            assert Deployment.objects.get(pk=deployment).status == "Running"
            assert shown(deployment) == {"running"}
            shut_down_and_advance(deployment)
        crowd([partial(world.ended, row, "stopped", None) for row in rows], deployment)
        assert Deployment.objects.get(pk=deployment).status == "Completed"
        assert shown(deployment) == {"terminated"}
        assert not Reservation.objects.filter(deployment_id=deployment).exists()


if __name__ == "__main__":
    django.setup()
    main(int(sys.argv[1]))
