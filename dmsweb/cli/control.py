"""Verbs that steer what runs where, and tell beforehand: plan, drain."""

from __future__ import annotations

from typing import Any

import click

from capabilities.refusal import not_found
from dmsweb.cli.deployments import ensemble_text, reasons_table
from dmsweb.cli.output import EXIT_FAILED, Output, table
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


@verb("plan", help="What deploying would do now: where it would run, or every reason why not.")
@click.option("--file", "-f", "file", required=True, help="Ensemble (YAML or JSON); - reads standard input.")
def plan(session: Session, file: str) -> None:
    """Invoke /dms/node/deployment/plan; exit code 1 when it cannot be placed now."""
    answer = session.call("/dms/node/deployment/plan", {"Ensemble": ensemble_text(file)})
    session.show(answer, lambda out: _plan_lines(out, answer))
    if not answer["placeable"]:
        session.exit(EXIT_FAILED)


def _plan_lines(out: Output, answer: dict[str, Any]) -> None:
    if answer["placeable"]:
        rows = [
            [item["subject"], item["peer"], ", ".join(item["allocations"]), _ports(item["ports"])]
            for item in answer["placements"]
        ]
        out.table(table(["node", "on", "allocations", "ports"], rows))
    else:
        out.line("cannot be placed" + (" now; --queue would wait for room" if answer["would_queue"] else ""))
        reasons_table(out, answer["reasons"])
    needs = [(item["subject"], item["needed"]) for item in answer["allocations"]]
    order = ("needed", "free", "allocated", "committed", "used_by_others", "onboarded")
    needs += [(name.replace("_", " "), answer["totals"][name]) for name in order]
    out.table(
        table(["", "cores", "memory", "disk", "gpus"], [[name, *_amount(part)] for name, part in needs])
    )


def _ports(ports: dict[str, Any]) -> str:
    dynamic = [f"{ports['dynamic']} of its choice"] if ports["dynamic"] else []
    return ", ".join([*map(str, ports["static"]), *dynamic])


def _amount(part: dict[str, Any]) -> list[str]:
    sizes = [f"{part[name] / (1 << 30):.2f} GiB" for name in ("ram_bytes", "disk_bytes")]
    return [f"{part['cpu_cores']:g}", *sizes, str(len(part["gpus"]))]
