"""Verbs about this machine: what it has, what it offers, what is taken."""

from __future__ import annotations

from typing import Any

import click

from capabilities.refusal import Refusal
from dmsweb.cli.finite import Finite
from dmsweb.cli.output import Output, table
from dmsweb.cli.session import Session, verb


def _size(bytes_: int) -> str:
    return f"{bytes_ / (1 << 30):.2f} GiB"


@verb("onboard", help="Offer a part of this machine; again to change it.")
@click.option("--cpu", "-C", type=Finite(), required=True, help="Cores.")
@click.option("--ram", "-R", required=True, help="Memory: 4GiB, 512MiB; a bare number is GiB.")
@click.option("--disk", "-D", required=True, help="Disk for workloads: 10GiB; a bare number is GiB.")
@click.option("--gpus", "-G", default="", help='GPUs as index:GiB, e.g. "0:4,1:8"; default: all, at 90 %.')
@click.option("--no-gpu", "-N", is_flag=True, help="Offer no GPU.")
def onboard(session: Session, cpu: float, ram: str, disk: str, gpus: str, no_gpu: bool) -> None:
    """Invoke /dms/node/onboarding/onboard."""
    config = {"onboarded_resources": {"cpu": {"cores": cpu}, "ram": {"size": ram}, "disk": {"size": disk}}}
    answer = session.call("/dms/node/onboarding/onboard", {"NoGPU": no_gpu, "GPUs": gpus, "Config": config})
    session.show(answer, lambda out: out.line("onboarded; ./dms resources shows what is offered"))


@verb("offboard", help="Offer nothing any more; refused while work runs.")
def offboard(session: Session) -> None:
    """Invoke /dms/node/onboarding/offboard."""
    answer = session.call("/dms/node/onboarding/offboard", {})
    session.show(answer, lambda out: out.line("offboarded; this machine offers nothing now"))


@verb("resources", help="Onboarded, committed, allocated and free resources.")
def resources(session: Session) -> None:
    """Read the ledger of the site's node."""
    nodes = session.get("/nodes/", limit=1)["items"]
    if not nodes:
        raise Refusal(
            "not_found",
            "there is no node here that you may see",
            status=404,
            hint="./dms cap grant gives rights on it",
        )
    ledger = session.get(f"/nodes/{nodes[0]['id']}/ledger/")

    def people(out: Output) -> None:
        rows = []
        for name in ("onboarded", "committed", "allocated", "free", "used_by_others"):
            part: dict[str, Any] = ledger[name]
            rows.append(
                [
                    name.replace("_", " "),
                    f"{part['cpu_cores']:g}",
                    _size(part["ram_bytes"]),
                    _size(part["disk_bytes"]),
                    str(len(part["gpus"])),
                ]
            )
        out.table(table(["", "cores", "memory", "disk", "gpus"], rows))

    session.show(ledger, people)


@verb("hardware", help="What this machine has, and what is used now.")
def hardware(session: Session) -> None:
    """Invoke /dms/node/hardware/spec and /usage."""
    document = {
        "spec": session.call("/dms/node/hardware/spec", {}),
        "usage": session.call("/dms/node/hardware/usage", {}),
    }
    session.show(document, lambda out: out.json(document))
