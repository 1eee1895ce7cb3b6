"""`audit`: who invoked what, and whether the log is what was written."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import click

from dmsweb.cli.output import EXIT_FAILED, Output, table
from dmsweb.cli.session import Session, verb, verbs
from dmsweb.cli.user import accounts

audit = verbs("audit", help="Who did what, and whether the log is what was written.")


def _filtered(command: Any) -> Any:
    for option in (
        click.option("--until", default="", metavar="TIME", help="Before then: 2027-01-31T12:00Z."),
        click.option("--since", default="", metavar="TIME", help="From then on."),
        click.option(
            "--about", default="", metavar="KEY", help="What was asked for or changed: an id, a name."
        ),
        click.option("--outcome", type=click.Choice(["allowed", "refused", "failed"]), default=None),
        click.option("--path", default="", metavar="PATH", help="A behavior, and what is below it."),
        click.option("--who", default="", metavar="DID", help="DID of the invoker."),
    ):
        command = option(command)
    return command


@verb("list", help="The latest entries of the log.", group=audit)
@_filtered
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True)
def listing(session: Session, limit: int, **filters: Any) -> None:
    """Read the log straight from the site's database; needs no running site."""
    accounts(session)
    from capabilities.auditlog import entries

    items = list(entries(**filters, newest_first=True, limit=limit))
    lines = [
        [
            item["at"][:19].replace("T", " "),
            item["outcome"],
            item["path"],
            item["source"],
            item["actor"][-12:],
        ]
        for item in items
    ]
    headers = ["at (UTC)", "", "what", "by", "who"]
    session.show({"items": items, "total": len(items)}, lambda out: out.table(table(headers, lines)))


@verb("export", help="Every entry, oldest first, one JSON object a line.", group=audit)
@_filtered
def export(session: Session, **filters: Any) -> None:
    """Write as it reads: the log may be larger than memory."""
    accounts(session)
    from capabilities.auditlog import entries

    for item in entries(**filters):
        click.echo(json.dumps(item, sort_keys=True))


@verb(
    "verify",
    help="Whether an entry or a seal was altered, removed or inserted; exit 1 when one was.",
    group=audit,
)
def verifying(session: Session) -> None:
    """Seal what waits, then look at every seal and every entry."""
    accounts(session)
    from capabilities.seals import seal_next, verify

    seal_next()
    verdict = verify()
    document = asdict(verdict) | {"verified": not verdict.faults}

    def people(out: Output) -> None:
        for fault in verdict.faults:
            where = f"seal {fault.seal}" + (f", entry {fault.entry}" if fault.entry else "")
            out.line(f"{where}: {fault.what}")
        said = "verified" if not verdict.faults else "NOT verified"
        out.line(
            f"{said}: {verdict.entries} entries in {verdict.seals} seals, up to {verdict.sealed_until or 'none'}"
        )
        if verdict.gone:
            out.line(f"{verdict.gone} more have gone with their age")
        out.line(f"head {verdict.head or 'none'}: keep it elsewhere to know that the end was not cut off")

    session.show(document, people)
    if verdict.faults:
        session.exit(EXIT_FAILED)
