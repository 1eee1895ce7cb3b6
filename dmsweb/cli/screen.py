"""What `up` shows: one tidy screen on a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from dmsweb.launch.doctor.check import Check

COLOURS = {"running": "green", "starting": "blue", "restarting": "yellow", "stopped": "dim"}


def remarks(lacks: Sequence[Check], notes: Sequence[str]) -> RenderableType:
    """Draw what is said once, above what changes: a small window would cut it off, the password with it."""
    lacking = [Text(f"{lack.name}: {lack.detail}. {lack.hint}", style="yellow") for lack in lacks]
    return Group(*[Text(note) for note in notes], *lacking)


def screen(status: dict[str, Any]) -> RenderableType:
    """Draw the site's processes and its address."""
    processes = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for title in ("process", "state", "restarts", "pid", "memory"):
        right = title in ("restarts", "pid", "memory")
        processes.add_column(title, justify="right" if right else "left", no_wrap=title == "process")
    for entry in status["processes"]:
        processes.add_row(
            entry["name"],
            Text(entry["state"], style=COLOURS.get(entry["state"], "")),
            str(entry["restarts"] or ""),
            str(entry["pid"] or ""),
            f"{entry['pss_bytes'] >> 20} MB" if entry["pss_bytes"] else "",
        )
    head = Text.assemble(("dmsweb ", "bold"), (status["url"] or "", "bold cyan"), f"   home {status['home']}")
    if not status["ready"]:
        head.append("   not ready", style="yellow")
    return Group(
        head,
        Text(status["did"] or "", style="dim"),
        Text(),
        processes,
        Text(),
        Text("Ctrl-C stops", "dim"),
    )


def lines(lacks: Sequence[Check]) -> list[str]:
    """Write what this machine lacks, a line each."""
    return [f"{lack.name}: {lack.detail}; {lack.cost}. {lack.hint}" for lack in lacks]
