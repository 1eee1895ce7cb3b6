"""Verbs that steer what runs where: drain."""

from __future__ import annotations

from typing import Any

import click

from capabilities.refusal import not_found
from dmsweb.cli.session import Session, verb


@verb("drain", help="Take no new work until further notice; what runs may finish.")
@click.argument("node", default="")
@click.option("--off", is_flag=True, help="Take work again.")
@click.option("--stop", is_flag=True, help="Shut down deployments with services; tasks always finish.")
@click.option("--reason", default="", help="Shown to whoever is refused.")
def drain(session: Session, node: str, off: bool, stop: bool, reason: str) -> None:
    """Invoke /dms/node/drain."""
    if off and (stop or reason):
        raise click.UsageError("--off takes neither --stop nor --reason")
    if node:
        names = [item["name"] for item in session.get("/nodes/", name=node)["items"]]
        if node not in names:
            raise not_found("node", node)
    answer = session.call("/dms/node/drain", {"Drain": not off, "Reason": reason, "Stop": stop})
    session.show(answer, lambda out: out.line(_drain_line(answer)))


def _drain_line(answer: dict[str, Any]) -> str:
    if not answer["Draining"]:
        return "takes work again"
    if answer["Drained"]:
        return "drained: nothing runs here"
    stopping = f", {answer['Stopping']} deployments are being stopped" if answer["Stopping"] else ""
    return f"draining: {answer['Allocations']} allocations are left{stopping}; ./dms get nodes tells when it is done"
