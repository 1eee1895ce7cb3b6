"""Verbs about deployments: deploy, get, show, logs, shutdown."""

from __future__ import annotations

import sys
import time
from typing import Any

import click

from capabilities.refusal import Refusal
from deployments.ensemble.parse import Parsed, parse
from deployments.ensemble.problems import Report
from deployments.logquery import PREVIOUS
from dmsweb.cli.events import events
from dmsweb.cli.finite import Finite
from dmsweb.cli.output import EXIT_FAILED, EXIT_TIMED_OUT, Output, table
from dmsweb.cli.safe import Safe
from dmsweb.cli.session import Session, verb
from dmsweb.cli.validate import resolved

TERMINAL = frozenset({"Completed", "Failed"})
POLL_S = 0.1


def ensemble_text(file: str) -> str:
    """Return the ensemble of `file` (`-`: standard input), placeholders resolved here; Refusal when it is invalid."""
    report = Report()
    text = resolved(file, report)
    if text is None or report.errors:
        Parsed(None, tuple(report.errors)).required()
    parse(text or "").required()
    return text or ""


def wait_for(session: Session, deployment_id: str, timeout_s: float) -> dict[str, Any]:
    """Poll until the deployment runs (services) or has ended; the last status is returned, `timed_out` added."""
    limit = time.monotonic() + timeout_s
    while True:
        document = session.get(f"/deployments/{deployment_id}/")
        if document["status"] in TERMINAL or (document["status"] == "Running" and not document["only_tasks"]):
            return document
        if time.monotonic() > limit:
            return document | {"timed_out": True}
        time.sleep(POLL_S)


@verb("deploy", help="Deploy an ensemble on this node.")
@click.option("--file", "-f", "file", required=True, help="Ensemble (YAML or JSON); - reads standard input.")
@click.option("--name", default="", help="What people see; default metadata.name, else the allocations.")
@click.option("--deadline", "-t", type=Finite(), default=None, help="Seconds within which it must run (600).")
@click.option("--max-runtime", type=Finite(0), default=None, help="Seconds after Running when it is ended.")
@click.option("--team", default="", metavar="ORG/TEAM", help="Whose members see it, too.")
@click.option("--queue", is_flag=True, help="When it does not fit now, wait for room.")
@click.option(
    "--queue-for", type=Finite(0), default=None, help="With --queue: seconds to wait; default a day."
)
@click.option("--wait", is_flag=True, help="Wait for Running (services) or Completed (tasks only).")
@click.option(
    "--timeout", type=Finite(0), default=600.0, help="With --wait: seconds to watch; then exit code 3."
)
def deploy(
    session: Session,
    file: str,
    name: str,
    deadline: float | None,
    max_runtime: float | None,
    team: str,
    queue: bool,
    queue_for: float | None,
    wait: bool,
    timeout: float,
) -> None:
    """Invoke /dms/node/deployment/new."""
    payload: dict[str, Any] = {"Ensemble": ensemble_text(file)}
    if name:
        payload["Name"] = name
    if deadline is not None:
        payload["DeadlineSeconds"] = deadline
    if max_runtime is not None:
        payload["MaxRuntimeSeconds"] = max_runtime
    if team:
        payload["Team"] = team
    if queue or queue_for is not None:
        payload["Queue"] = True
    if queue_for is not None:
        payload["QueueSeconds"] = queue_for
    deployment_id = session.call("/dms/node/deployment/new", payload)["EnsembleID"]
    if not wait:
        answer = {"id": deployment_id, "status": "Preparing", "reason": ""}
        session.show(
            answer, lambda out: out.line(f"{deployment_id}\nwatch it: ./dms show {deployment_id[:8]}")
        )
        return
    try:
        document = wait_for(session, deployment_id, timeout)
    except KeyboardInterrupt:
        session.output.log(
            f"the deployment goes on: ./dms show {deployment_id[:8]} shows it, shutdown ends it"
        )
        raise
    answer = {"id": deployment_id, "status": document["status"], "reason": document["reason"]}

    def people(out: Output) -> None:
        out.line(f"{document['name']}  {document['status']}  {document['reason']}\n{deployment_id}")
        reasons_table(out, document["reasons"])

    session.show(answer, people)
    if document.get("timed_out"):
        session.output.log(
            f"still {document['status']} after {timeout:g} s, and it goes on: ./dms show {deployment_id[:8]}"
        )
        session.exit(EXIT_TIMED_OUT)
    if document["status"] == "Failed":
        session.exit(EXIT_FAILED)


COLUMNS = {
    "deployments": ("id", "name", "status", "queue_place", "reason", "created_at"),
    "allocations": ("name", "status", "health", "reason", "executor", "deployment_id"),
    "nodes": ("name", "did", "draining_at", "last_seen_at"),
    "bids": ("node", "ensemble_node", "verdict"),
    "events": ("at", "kind", "text"),
}


@verb("get", help="List deployments, allocations, nodes or bids.")
@click.argument("what", type=click.Choice(sorted(COLUMNS)))
@click.option("--status", default="", help="Only this status.")
@click.option("--search", default="", help="Only what contains this text.")
@click.option("--sort", default="", help="A field; - before it: descending.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50)
@click.option("--offset", type=click.IntRange(0), default=0)
@click.option("--deployment", default="", help="Events: of this deployment.")
@click.option("--allocation", default="", help="Events: of this allocation, by its id.")
@click.option("--node", default="", help="Events: of this node, by its name.")
@click.option("--kind", default="", help="Events: only these kinds, with commas.")
@click.option("--actor", default="", metavar="DID", help="Events: only what this actor did.")
@click.option("--since", default="", metavar="WHEN", help="Events: from then on (10m, 7d, a time).")
@click.option("--until", default="", metavar="WHEN", help="Events: up to then.")
@click.option("--export", type=click.Choice(["jsonl", "csv"]), default=None, help="Events: as a file.")
def get(
    session: Session, what: str, status: str, search: str, sort: str, limit: int, offset: int, **asked: Any
) -> None:
    """Read one page of a list."""
    if what == "events":
        events(session, search=search, sort=sort, limit=limit, offset=offset, **asked)
        return
    if given := [name for name, value in asked.items() if value]:
        raise click.UsageError(f"--{given[0]} is for `get events`")
    params = {"status": status, "search": search, "ordering": sort, "limit": limit, "offset": offset}
    page = session.get(f"/{what}/", **{key: value for key, value in params.items() if value})

    def people(out: Output) -> None:
        names = COLUMNS[what]
        rows = [[_short(name, str(item.get(name) or "")) for name in names] for item in page["items"]]
        out.table(table([name.replace("_", " ") for name in names], rows))
        out.line(f"{len(page['items'])} of {page['total']}")

    session.show(page, people)


def _short(name: str, text: str) -> str:
    if name.endswith("at"):
        return text[:19].replace("T", " ")
    return text[:8] if len(text) == 64 and text.isalnum() else text


def everything(session: Session, deployment: str) -> dict[str, Any]:
    """Return a deployment with `allocations` (named `node.allocation`) and `events`, complete."""
    document = session.get(f"/deployments/{deployment}/")
    allocations = pages(session, "/allocations/", deployment=document["id"], ordering="level")
    for item in allocations:
        item["name"] = f"{item['ensemble_node']}.{item['name']}"
    events = pages(session, f"/deployments/{document['id']}/events/")
    return document | {"allocations": allocations, "events": events}


def pages(session: Session, path: str, **params: Any) -> list[dict[str, Any]]:
    """Return the items of all pages of a list."""
    items: list[dict[str, Any]] = []
    while True:
        page = session.get(path, limit=1000, offset=len(items), **params)
        items += page["items"]
        if not page["items"] or len(items) >= page["total"]:
            return items


@verb("show", help="Everything about one deployment: by id, the first 8 characters of it, or name.")
@click.argument("deployment")
def show(session: Session, deployment: str) -> None:
    """Read a deployment with its allocations and timeline."""
    document = everything(session, deployment)

    def people(out: Output) -> None:
        out.line(f"{document['name']}  {document['status']}  {document['reason']}\n{document['id']}")
        if document["queue_place"]:
            out.line(f"queued: place {document['queue_place']} of {document['queue_length']}")
        reasons_table(out, document["reasons"])
        rows = [
            [
                item["name"],
                item["status"],
                item["reason"] or item["progress"],
                _health(item),
                item["priv_addr"],
                _ports(item["ports"]),
            ]
            for item in document["allocations"]
        ]
        out.table(table(["allocation", "status", "", "health", "address", "ports"], rows))
        out.table(
            table(
                ["when", "event"], [[_short("at", item["at"]), item["text"]] for item in document["events"]]
            )
        )

    session.show(document, people)


def _health(item: dict[str, Any]) -> str:
    """Return what the check says, with its last answer unless that is all well."""
    if item["health"] in ("", "healthy"):
        return str(item["health"])
    return f"{item['health']}: {item['health_detail'] or 'not checked yet'}"


def reasons_table(out: Output, reasons: list[dict[str, Any]]) -> None:
    """Print failed checks with their numbers and hints; nothing when there are none."""
    if reasons:
        out.table(table(["where", "what", "wanted", "available", "what to do"], reason_rows(reasons)))


def reason_rows(reasons: list[dict[str, Any]]) -> list[list[str]]:
    """Return failed checks as rows: where, what, wanted, available, what to do."""
    rows = []
    for reason in reasons:
        where = " ".join(
            filter(None, (reason.get("peer", ""), reason.get("subject") or reason.get("path", "")))
        )
        rows.append(
            [
                where,
                reason.get("message") or reason.get("check", ""),
                *(str(reason.get(name, "")) for name in ("needed", "available", "hint")),
            ]
        )
    return rows


def _ports(ports: list[dict[str, Any]]) -> str:
    return ", ".join(f"{port['public']}->{port['private']}/{port['protocol']}" for port in ports)


@verb("logs", help="The log of an allocation of a deployment.")
@click.argument("deployment")
@click.argument("allocation", default="")
@click.option("--stream", type=click.Choice(["both", "stdout", "stderr"]), default="both")
@click.option("--tail", type=click.IntRange(0), default=None, help="Only the last lines.")
@click.option("--follow", is_flag=True, help="Go on until it ends.")
@click.option("--since", default="", metavar="WHEN", help="From then on: 10m, 1h30m, 2026-01-31T12:00:00Z.")
@click.option("--until", default="", metavar="WHEN", help="Up to then; as --since.")
@click.option("--search", default="", metavar="TEXT", help="Only lines that hold this text.")
@click.option("--ignore-case", is_flag=True, help="With --search: whatever the case.")
@click.option("--context", type=click.IntRange(0, 50), default=0, help="With --search: lines around each.")
@click.option("--timestamps", is_flag=True, help="The time before each line.")
@click.option("--attempt", type=click.IntRange(1), default=None, help="The log of this attempt.")
@click.option("--previous", is_flag=True, help="The log of the attempt before the newest.")
@click.option("--raw", is_flag=True, help="Control sequences, too, on a terminal.")
def logs(
    session: Session,
    deployment: str,
    allocation: str,
    stream: str,
    tail: int | None,
    follow: bool,
    attempt: int | None,
    previous: bool,
    raw: bool,
    **asked: Any,
) -> None:
    """Print a log; --json prints the behavior's response, with --follow one JSON object a chunk."""
    number = PREVIOUS if previous else attempt
    wanted: dict[str, Any] = {name: value for name, value in asked.items() if value}
    if tail is not None:
        wanted["tail"] = tail
    if number is not None:
        wanted["attempt"] = number
    if session.json and not follow:
        payload = {"EnsembleID": deployment, "AllocationName": allocation, "Stream": stream} | {
            name.title().replace("_", ""): value for name, value in wanted.items()
        }
        session.show(session.call("/dms/node/deployment/logs", payload), lambda out: None)
        return
    document = everything(session, deployment)
    found = [
        item
        for item in document["allocations"]
        if not allocation or allocation in {item["name"], item["name"].split(".")[-1]}
    ]
    if not found:
        known = ", ".join(item["name"] for item in document["allocations"]) or "none: it was not placed"
        raise Refusal(
            "not_found", f"allocation {allocation or '(any)'} not found", status=404, hint=f"one of: {known}"
        )
    params = {"stream": stream} | wanted | ({"follow": "1"} if follow else {})
    safe = Safe() if sys.stdout.isatty() and not raw and not session.json else None
    for item in found if not follow else found[:1]:
        if len(found) > 1 and not follow:
            session.output.line(f"== {item['name']}")
        for chunk in session.stream(f"/allocations/{item['id']}/logs/", **params):
            session.chunk(item["name"], safe.text(chunk) if safe else chunk)


def _names(item: dict[str, Any]) -> set[str]:
    return {item["name"], item["name"].rpartition(".")[2]}


@verb("shutdown", help="Stop a deployment; its logs and its timeline stay.")
@click.argument("deployment")
@click.option("--wait", is_flag=True, help="Wait until everything is stopped.")
@click.option(
    "--timeout", type=Finite(0), default=120.0, help="With --wait: seconds to watch; then exit code 3."
)
def shutdown(session: Session, deployment: str, wait: bool, timeout: float) -> None:
    """Invoke /dms/node/deployment/shutdown."""
    _stop(session, deployment, wait, timeout)


@verb("cancel", help="End a deployment that waits or is being brought up; one that runs is shut down.")
@click.argument("deployment")
@click.option("--wait", is_flag=True, help="Wait until everything is stopped.")
@click.option(
    "--timeout", type=Finite(0), default=120.0, help="With --wait: seconds to watch; then exit code 3."
)
def cancel(session: Session, deployment: str, wait: bool, timeout: float) -> None:
    """Invoke /dms/node/deployment/shutdown, which works in every phase."""
    _stop(session, deployment, wait, timeout)


def _stop(session: Session, deployment: str, wait: bool, timeout: float) -> None:
    answer = session.call("/dms/node/deployment/shutdown", {"ID": deployment})
    limit = time.monotonic() + timeout
    while wait:
        status = session.call("/dms/node/deployment/status", {"ID": deployment})["Status"]
        if status in TERMINAL:
            break
        if time.monotonic() > limit:
            session.show(answer, lambda out: None)
            session.output.log(f"still {status} after {timeout:g} s, and it goes on: ./dms show {deployment}")
            session.exit(EXIT_TIMED_OUT)
        time.sleep(POLL_S)
    session.show(answer, lambda out: out.line("stopped" if wait else "stopping"))
