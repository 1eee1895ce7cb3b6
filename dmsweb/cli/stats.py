"""The verb stats: what running allocations use, once or with every new sample."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import Any

import click

from dmsweb.cli.output import Output, table
from dmsweb.cli.session import Session, verb
from node.quantities import show_bytes

STATS = "/dms/node/allocation/stats"
LOOK_S = 1.0
HEADERS = ("allocation", "cpu", "of", "memory", "of", "net in", "net out", "read", "write", "disk", "pids")
ENDED = frozenset({"Completed", "Failed"})
OVER = frozenset({"completed", "failed", "terminated", "stopped"})


@verb(
    "stats", help="What allocations use: CPU, memory, network, disk, GPUs. Without DEPLOYMENT: all that run."
)
@click.argument("deployment", default="")
@click.option("--watch", is_flag=True, help="Go on with every new sample until nothing runs, or Ctrl-C.")
def stats(session: Session, deployment: str, watch: bool) -> None:
    """Invoke /dms/node/allocation/stats; with --watch again and again, under --json one document a line."""
    if not watch:
        answer = everything(session, deployment)
        session.show(answer, lambda out: print_figures(out, answer))
        return
    for answer in samples(session, deployment):
        if session.json:
            session.output.json_line(answer)
            continue
        if sys.stdout.isatty():
            click.clear()
        session.output.line(time.strftime("%H:%M:%S"))
        print_figures(session.output, answer)


def everything(session: Session, deployment: str) -> dict[str, Any]:
    """Return the behavior's answer with the allocations of all its pages."""
    answer = session.call(STATS, {"EnsembleID": deployment, "Limit": 1000})
    while len(answer["Allocations"]) < answer["Total"]:
        payload = {"EnsembleID": deployment, "Limit": 1000, "Offset": len(answer["Allocations"])}
        more = session.call(STATS, payload)["Allocations"]
        if not more:
            break
        answer["Allocations"] += more
    return answer


def samples(session: Session, deployment: str) -> Iterator[dict[str, Any]]:
    """Yield an answer now and after each new sample; ends when the deployment has nothing left that could run."""
    seen: str | None = ""
    while True:
        answer = everything(session, deployment)
        newest = max((one["at"] for one in answer["Allocations"] if one["at"]), default=None)
        if newest != seen:
            yield answer
            seen = newest
            if newest is not None:
                time.sleep(max(0.0, answer["IntervalSeconds"] - 2 * LOOK_S))
        if deployment and _over(session, deployment, answer):
            return
        if session.interrupted:
            raise KeyboardInterrupt
        time.sleep(LOOK_S)


def _over(session: Session, deployment: str, answer: dict[str, Any]) -> bool:
    if answer["Allocations"]:
        return all(one["status"] in OVER for one in answer["Allocations"])
    # Not placed yet, or it never was.
    return session.call("/dms/node/deployment/status", {"ID": deployment})["Status"] in ENDED


def print_figures(out: Output, answer: dict[str, Any]) -> None:
    """Print one line an allocation, and one a GPU that it holds."""
    rows = [_row(one) for one in answer["Allocations"]]
    out.table(table(HEADERS, rows))
    for one in answer["Allocations"]:
        for gpu in one["gpus"]:
            out.line(f"  {_name(one)}  GPU {gpu['index']} {gpu['model']}: {_gpu(gpu)}")


def _row(one: dict[str, Any]) -> list[str]:
    percent = one["cpu_percent"]
    return [
        _name(one),
        one["status"] if one["at"] is None else "-" if percent is None else f"{percent:.1f} %",
        f"{one['cpu_cores_granted']:g} cores",
        _size(one["ram_used_bytes"]),
        _size(one["ram_limit_bytes"]),
        _size(one["rx_bytes_per_s"], "/s"),
        _size(one["tx_bytes_per_s"], "/s"),
        _size(one["read_bytes_per_s"], "/s"),
        _size(one["written_bytes_per_s"], "/s"),
        _size(one["disk_used_bytes"]),
        "-" if one["pids"] is None else str(one["pids"]),
    ]


def _name(one: dict[str, Any]) -> str:
    return f"{one['deployment']}/{one['name']}"


def _gpu(gpu: dict[str, Any]) -> str:
    busy = "" if gpu["busy_percent"] is None else f"{gpu['busy_percent']:.0f} % busy, "
    own = gpu["vram_used_bytes"]
    memory = f"{_size(gpu['vram_used_by_all_bytes'])} used by all" if own is None else _size(own)
    return f"{busy}{memory} of {_size(gpu['vram_granted_bytes'])}"


def _size(value: float | None, per: str = "") -> str:
    return "-" if value is None else f"{show_bytes(int(value))}{per}"
