"""Verbs that delete what has ended: delete, prune."""

from __future__ import annotations

import click

from dmsweb.cli.output import Output
from dmsweb.cli.session import Session, verb


@verb("delete", help="Delete a deployment that has ended, with its logs and timeline.")
@click.argument("deployment")
def delete(session: Session, deployment: str) -> None:
    """Invoke /dms/node/deployment/delete."""
    answer = session.call("/dms/node/deployment/delete", {"ID": deployment})
    session.show(answer, lambda out: out.line(f"{answer['ID']} is deleted; its tombstones stay"))


@verb("prune", help="Delete all your deployments that have ended, or those that ended before a time.")
@click.option("--before", default="", metavar="WHEN", help="Ended that long ago (7d, 36h), or before a time.")
@click.option("--all", "everything", is_flag=True, help="Whenever they ended.")
@click.option("--all-owners", is_flag=True, help="Everybody's; for administrators of the node.")
@click.option("--dry-run", is_flag=True, help="Only say which.")
def prune(session: Session, before: str, everything: bool, all_owners: bool, dry_run: bool) -> None:
    """Invoke /dms/node/deployment/prune."""
    payload = {"Before": before, "All": everything, "AllOwners": all_owners, "DryRun": dry_run}
    answer = session.call("/dms/node/deployment/prune", payload)

    def people(out: Output) -> None:
        for key in answer["Deployments"]:
            out.line(key)
        out.line(f"{answer['Total']} deployments {'would be' if dry_run else 'are'} deleted")

    session.show(answer, people)
