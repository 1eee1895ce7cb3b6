"""Verbs about the site as a whole: up, down, status, doctor, test, bench. All but `up` work with the site down."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import click

from capabilities.refusal import Refusal
from dmsweb.cli.output import EXIT_FAILED, Output, table
from dmsweb.cli.session import Session, verb
from dmsweb.launch import control
from dmsweb.launch.doctor import examine

DEFAULT_PORT = 8765


@verb("up", help="Start the site: in the foreground until Ctrl-C, or --detach.")
@click.option(
    "--port", type=click.IntRange(0, 65535), help="Default: the last one used, else 8765; 0: a free one."
)
@click.option("--bind", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--detach", "-d", is_flag=True, help="Return when the site is ready and let it run.")
def up(session: Session, port: int | None, bind: str, detach: bool) -> None:
    """Start what is not running, wait until it is ready, say what the machine lacks."""
    from dmsweb.cli.screen import lines
    from dmsweb.cli.up import admin_lines, bring_up, lacks, stay

    home = session.home
    before = control.status(home)
    if before["ready"]:
        session.show(before, lambda out: out.line(f"already running: {before['url']}"))
        return
    if port is None:
        port = _wanted_port()
    if port is None:
        port = control.remembered_port(home) or DEFAULT_PORT
    started, found = bring_up(home, bind, port, detach=detach)
    notes = admin_lines(found["admin"]) if found else []
    missing = lacks(home)
    document = {**control.status(home), **found}

    def people(out: Output) -> None:
        for text in (f"ready: {document['url']}", *notes, *lines(missing)):
            out.line(text)

    if detach or session.json:
        session.show(document, people)
    if not detach:
        session.exit(stay(home, started, notes, missing, quiet=session.json))


def _wanted_port() -> int | None:
    text = os.environ.get("DMS_PORT", "")
    if text and not (text.isascii() and text.isdecimal() and int(text) <= 65535):
        raise Refusal("cannot_start", f"DMS_PORT is {text!r}", hint="set it to a number from 0 to 65535")
    return int(text) if text else None


@verb("down", help="Stop the site and everything it started.")
def down(session: Session) -> None:
    """Ask the supervisor to stop and wait for its end."""
    stopped = control.stop(session.home)
    session.show({"stopped": stopped}, lambda out: out.line("stopped" if stopped else "was not running"))


@verb("status", help="The site's processes and identity; works with the site down.")
def status(session: Session) -> None:
    """Read the process table."""
    document = control.status(session.home)
    document["draining"] = [item["name"] for item in _nodes(session, document) if item["draining_at"]]

    def people(out: Output) -> None:
        for name in document["draining"]:
            out.line(f"{name} is being drained and takes no new work; ./dms drain --off ends that")
        state = "ready" if document["ready"] else "starting" if document["running"] else "down"
        out.line(f"{state}  {document['url'] or ''}  home {document['home']}".replace("    ", "  "))
        out.line(f"{document['did'] or 'no identity yet'}  {document['peer_id'] or ''}")
        rows = [
            [
                entry["name"],
                entry["state"],
                str(entry["restarts"]),
                str(entry["pid"] or ""),
                f"{entry['pss_bytes'] >> 20} MB",
            ]
            for entry in document["processes"]
        ]
        if rows:
            out.table(table(["process", "state", "restarts", "pid", "memory"], rows))

    session.show(document, people)


def _nodes(session: Session, document: dict[str, Any]) -> list[dict[str, Any]]:
    if not document["ready"] or session.url:
        return []
    try:
        return list(session.get("/nodes/")["items"])
    except Refusal:
        return []


@verb("doctor", help="What this machine offers and lacks, what a lack costs and how to mend it.")
def doctor(session: Session) -> None:
    """Examine the machine; exit 1 only when the site cannot start."""
    checks = examine(session.home)

    def people(out: Output) -> None:
        for check in checks:
            out.line(f"{'ok ' if check.ok else '-- '} {check.name:<16} {check.detail}")
            if not check.ok:
                out.line(f"{'':20} costs: {check.cost}")
                out.line(f"{'':20} mend:  {check.hint}")

    unfit = any(check.needed and not check.ok for check in checks)
    session.show({"ok": not unfit, "checks": [check.document() for check in checks]}, people)
    if unfit:
        session.exit(EXIT_FAILED)


@verb(
    "test",
    help="Set up what the tests need and run them; arguments go to pytest.",
    context_settings={"ignore_unknown_options": True},
)
@click.option(
    "--database",
    type=click.Choice(["sqlite", "postgresql", "all"]),
    help="Where rows are; all: PostgreSQL, then SQLite. Default: sqlite, with CI=true all.",
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def test(session: Session, database: str | None, arguments: tuple[str, ...]) -> None:
    """Run pytest; its exit code is ours."""
    from dmsweb.launch.testing.run import databases, run_tests

    session.exit(run_tests(arguments, databases(database)))


@verb("bench", help="Measure against the floors; NAME runs one bench.")
@click.argument("names", nargs=-1)
@click.option("--seed", type=int, help="For the benches that draw by chance, such as chaos.")
def bench(session: Session, names: tuple[str, ...], seed: int | None) -> None:
    """Run bench/ in a process of its own and show its results."""
    from dmsweb.launch.assets import ROOT

    command = [sys.executable, "-m", "bench", *names, "--json"]
    if seed is not None:
        command += ["--seed", str(seed)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    document: dict[str, Any] = json.loads(done.stdout or '{"results": []}')

    def people(out: Output) -> None:
        columns = ("name", "ours", "floor", "unit", "ratio", "bar", "bar_on", "pass")
        out.table(
            table(list(columns), [[_cell(item[name]) for name in columns] for item in document["results"]])
        )

    session.show(document, people)
    if done.returncode:
        session.exit(EXIT_FAILED)


def _cell(value: object) -> str:
    return (
        f"{value:.4g}"
        if isinstance(value, float)
        else "yes"
        if value is True
        else "no"
        if value is False
        else str(value)
    )
