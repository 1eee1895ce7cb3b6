"""Verbs for one allocation: restart, stop."""

from __future__ import annotations

import click

from dmsweb.cli.session import Session, verb


@verb("restart", help="Start an allocation of a running deployment again.")
@click.argument("deployment")
@click.argument("allocation", default="")
def restart(session: Session, deployment: str, allocation: str) -> None:
    """Invoke /dms/node/allocation/restart."""
    payload = {"ID": deployment, "AllocationName": allocation}
    answer = session.call("/dms/node/allocation/restart", payload)
    session.show(answer, lambda out: out.line(f"{answer['AllocationID']} is being restarted"))


@verb("stop", help="Stop one allocation of a running deployment for good.")
@click.argument("deployment")
@click.argument("allocation")
def stop(session: Session, deployment: str, allocation: str) -> None:
    """Invoke /dms/node/allocation/stop."""
    payload = {"ID": deployment, "AllocationName": allocation}
    answer = session.call("/dms/node/allocation/stop", payload)
    session.show(answer, lambda out: out.line(f"{answer['AllocationID']} is being stopped"))
