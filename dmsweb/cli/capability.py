"""Verbs about machine capability: benchmark, capability, preferences."""

from __future__ import annotations

import json
import time
from typing import Any

import click

from dmsweb.cli.finite import Finite
from dmsweb.cli.output import EXIT_FAILED, EXIT_TIMED_OUT, Output, table
from dmsweb.cli.session import Session, verb
from node.benchmarks import NAMES, shown

POLL_S = 0.3
WAIT_S = 120.0


@verb("benchmark", help="Measure this machine and wait for the figures.")
@click.option("--force", is_flag=True, help="Also while work runs.")
@click.option("--last", is_flag=True, help="Show the newest figures; measure nothing.")
@click.option("--timeout", type=Finite(0), default=WAIT_S, help="Seconds to watch; then exit code 3.")
def benchmark(session: Session, force: bool, last: bool, timeout: float) -> None:
    """Invoke /dms/node/benchmark and follow its status."""
    limit = time.monotonic() + timeout
    answer = session.call(
        *(("/dms/node/benchmark/status",) if last else ("/dms/node/benchmark", {"Force": force}))
    )
    while not last and answer["Status"] in ("wanted", "running"):
        if time.monotonic() > limit:
            session.show(
                answer, lambda out: out.line("still measuring; ./dms benchmark --last shows the end")
            )
            session.exit(EXIT_TIMED_OUT)
        time.sleep(POLL_S)
        answer = session.call("/dms/node/benchmark/status")
    session.show(answer, lambda out: _figures(out, answer))
    if answer["Status"] == "failed":
        session.exit(EXIT_FAILED)


def _figures(out: Output, answer: dict[str, Any]) -> None:
    if not answer["Results"]:
        out.line(f"{answer['Status']}{': ' + answer['Reason'] if answer['Reason'] else ''}")
        return
    rows = [
        [NAMES.get(name, name), shown(found), str(found.get("method") or found.get("error", ""))]
        for name, found in answer["Results"].items()
    ]
    out.table(table(["figure", "value", "how"], rows))
    if not answer["Current"]:
        out.line("the hardware has changed since: measure again")


@verb("capability", help="What this machine offers, with price, location and figures.")
@click.option("--price", default=None, metavar="'0.50 EUR'", help="For an hour; empty takes it away.")
@click.option("--location", default=None, metavar="CONTINENT[/COUNTRY[/CITY]]", help="Empty takes it away.")
def capability(session: Session, price: str | None, location: str | None) -> None:
    """Invoke /dms/node/capability/get, or set with what is given."""
    payload: dict[str, Any] = {}
    if price is not None:
        number, _, currency = price.strip().partition(" ")
        payload["Price"] = {"amount": number, "currency": currency.strip()} if price.strip() else {}
    if location is not None:
        names = ("continent", "country", "city")
        payload["Location"] = dict(zip(names, filter(None, location.split("/")), strict=False))
    answer = session.call(f"/dms/node/capability/{'set' if payload else 'get'}", payload)
    session.show(answer, lambda out: out.json(answer))


@verb("preferences", help="What this node wants to run.")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="NAME=JSON",
    help="Such as owner_share=50; an empty one: no wish.",
)
@click.option("--clear", is_flag=True, help="Take away all that --set does not name.")
def preferences(session: Session, settings: tuple[str, ...], clear: bool) -> None:
    """Invoke /dms/node/preferences/get, or set with what is given."""
    if not settings and not clear:
        answer = session.call("/dms/node/preferences/get")
    else:
        wanted = dict(_setting(text) for text in settings)
        answer = session.call("/dms/node/preferences/set", {"Preferences": wanted, "Whole": clear})
    session.show(answer, lambda out: _preferences(out, answer))


def _setting(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise click.UsageError(f"--set {text}: write NAME=JSON, such as executors='[\"docker\"]'")
    try:
        return name, json.loads(value) if value else None
    except ValueError:
        return name, value


def _preferences(out: Output, answer: dict[str, Any]) -> None:
    rows = [
        [name, json.dumps(answer["Preferences"][name]) if name in answer["Preferences"] else "-", title]
        for name, title in answer["Known"].items()
    ]
    out.table(table(["preference", "set to", "what it says"], rows))
