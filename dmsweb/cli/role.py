"""`role`: named sets of capabilities; needs no running site."""

from __future__ import annotations

import click

from dmsweb.cli.output import table
from dmsweb.cli.session import Session, verb, verbs
from dmsweb.cli.user import ask

role = verbs("role", help="Named sets of capabilities that accounts are given.")


@verb("list", help="The roles, and what each holds.", group=role)
def listing(session: Session) -> None:
    """Invoke /dms/role/list."""
    answer = ask(session, "/dms/role/list", {})
    rows = [[item["Name"], str(item["Holders"]), " ".join(item["Capabilities"])] for item in answer["Roles"]]
    session.show(answer, lambda out: out.table(table(["role", "held by", "may"], rows)))


@verb("add", help="Make a role of PATH...; an existing one is changed, for its holders too.", group=role)
@click.argument("name")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option("--title", default="", help="What it is for, in a sentence.")
def add(session: Session, name: str, paths: tuple[str, ...], title: str) -> None:
    """Invoke /dms/role/set."""
    answer = ask(session, "/dms/role/set", {"Name": name, "Capabilities": list(paths), "Title": title})
    session.show(answer, lambda out: out.line(f"{name} holds {' '.join(answer['Capabilities'])}"))


@verb("remove", help="Remove a role that nobody has.", group=role)
@click.argument("name")
def remove(session: Session, name: str) -> None:
    """Invoke /dms/role/remove."""
    ask(session, "/dms/role/remove", {"Name": name})
    session.show({"name": name, "removed": True}, lambda out: out.line(f"removed the role {name}"))
