"""`team`: organisations, their teams and people; needs no running site."""

from __future__ import annotations

import click

from dmsweb.cli.output import Output, table
from dmsweb.cli.session import Session, verb, verbs
from dmsweb.cli.user import ask

team = verbs("team", help="Organisations, their teams, and who is in them.")


@verb("list", help="Organisations with their people and teams.", group=team)
def listing(session: Session) -> None:
    """Invoke /dms/team/list."""
    answer = ask(session, "/dms/team/list", {})

    def people(out: Output) -> None:
        rows = []
        for one in answer["Organisations"]:
            rows.append([one["Name"], " ".join(f"{m['Name']}:{m['Level']}" for m in one["Members"])])
            rows += [
                [it["Name"], " ".join(f"{m['Name']}:{m['Role']}" for m in it["Members"])]
                for it in one["Teams"]
            ]
        out.table(table(["organisation/team", "people"], rows))

    session.show(answer, people)


@verb("add", help="Make an organisation (NAME) or a team in it (NAME/TEAM).", group=team)
@click.argument("name")
def add(session: Session, name: str) -> None:
    """Invoke /dms/organisation/new or /dms/team/new."""
    ask(session, "/dms/team/new" if "/" in name else "/dms/organisation/new", {"Name": name})
    session.show({"name": name}, lambda out: out.line(f"made {name}"))


@verb("remove", help="Remove a team, or an organisation with its teams; deployments stay.", group=team)
@click.argument("name")
def remove(session: Session, name: str) -> None:
    """Invoke /dms/organisation/remove or /dms/team/remove."""
    ask(session, "/dms/team/remove" if "/" in name else "/dms/organisation/remove", {"Name": name})
    session.show({"name": name, "removed": True}, lambda out: out.line(f"removed {name}"))


@verb(
    "member",
    help="Put USER into NAME as ROLE (team) or LEVEL (organisation); --out takes her out.",
    group=team,
)
@click.argument("name")
@click.argument("user")
@click.argument("place", default="", metavar="[ROLE|LEVEL]")
@click.option("--out", "leaves", is_flag=True, help="She leaves.")
def member(session: Session, name: str, user: str, place: str, leaves: bool) -> None:
    """Invoke /dms/organisation/member or /dms/team/member."""
    if leaves == bool(place):
        raise click.UsageError("say as what, or --out")
    if "/" in name:
        ask(session, "/dms/team/member", {"Team": name, "User": user, "Role": place})
    else:
        ask(session, "/dms/organisation/member", {"Organisation": name, "User": user, "Level": place})
    shown = {"name": name, "user": user, "place": place}
    session.show(
        shown, lambda out: out.line(f"{user} {'is ' + place + ' in' if place else 'has left'} {name}")
    )
