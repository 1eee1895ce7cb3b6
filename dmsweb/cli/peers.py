"""`peers`, `invite` and `join`: other sites, and how two sites come to trust each other."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import Any

import click

from capabilities.refusal import Refusal
from dmsweb.cli.output import EXIT_FAILED, Output, table
from dmsweb.cli.session import Session, verb, verbs

peers = verbs("peers", help="Other sites: list, self, ping, end.")


@verb("list", help="The sites that are known here.", group=peers)
def listing(session: Session) -> None:
    """List them with whether they answer."""
    answer = session.call("/dms/node/peers/list")
    lines = [
        [
            peer["name"] or peer["did"][-12:],
            peer["state"],
            peer["host"],
            f"{peer['rtt_ms']:.0f} ms" if peer["rtt_ms"] is not None else "",
            peer["did"],
            peer["last_error"],
        ]
        for peer in answer["Peers"]
    ]
    headers = ["name", "state", "address", "rtt", "did", ""]
    session.show(answer, lambda out: out.table(table(headers, lines)))


@verb("self", help="Who this site is for others, and where.", group=peers)
def own(session: Session) -> None:
    """Print DID, peer id and addresses."""
    answer = session.call("/dms/node/peers/self")
    session.show(answer, lambda out: out.json(answer))


@verb("ping", help="Say hello to a site: how long it takes, whether the clocks agree.", group=peers)
@click.argument("site")
def ping(session: Session, site: str) -> None:
    """Exit 1 when it does not answer."""
    answer = session.call("/dms/node/peers/ping", {"Host": site})
    session.show(answer, lambda out: _pinged(out, answer))
    if answer.get("Error"):
        session.exit(EXIT_FAILED)


def _pinged(out: Output, answer: Mapping[str, Any]) -> None:
    if answer.get("Error"):
        out.log(f"dms: {answer['Error']}")
        return
    out.line(f"{answer['RTT']} ms")
    if answer.get("Clock"):
        out.line(answer["Clock"])


@verb("end", help="End what was agreed with a site: revoke what it holds, forget it.", group=peers)
@click.argument("did")
def end(session: Session, did: str) -> None:
    """Revoke at once."""
    answer = session.call("/dms/node/peers/end", {"DID": did})
    session.show(answer, lambda out: out.line(f"ended {did}; {answer['Revoked']} token(s) revoked"))


@verb("invite", help="Make a link by which another site joins this one.")
@click.option("--can", multiple=True, metavar="PATH", help="What it may call here; may be repeated.")
@click.option("--want", multiple=True, metavar="PATH", help="What this site may call there.")
@click.option("--days", type=click.FloatRange(0, 365, min_open=True), default=7.0, show_default=True)
@click.option(
    "--member-days", type=click.FloatRange(0, 3650, min_open=True), default=365.0, show_default=True
)
@click.option("--note", default="", help="Whom it is for.")
def invite(
    session: Session, can: tuple[str, ...], want: tuple[str, ...], days: float, member_days: float, note: str
) -> None:
    """Print the link and what it gives."""
    request = {
        "Can": list(can),
        "Want": list(want),
        "Days": days,
        "MemberDays": member_days,
        "Note": note,
    }
    answer = session.call("/dms/node/peers/invite", request)
    session.show(answer, lambda out: _invited(out, answer))


def _invited(out: Output, answer: Mapping[str, Any]) -> None:
    out.line(answer["Link"])
    out.log(f"\ngood for one site until {answer['ExpiresAt'][:16]}; whoever has it can join. At that site:")
    out.log("  ./dms join LINK")
    _both(out, "it", "this site", answer)


def _both(out: Output, they: str, we: str, answer: Mapping[str, Any]) -> None:
    _gets(out, f"{they} may here:", answer["They"])
    _gets(out, f"{we} may there:", answer["We"])
    out.log(f"until {answer['Until'][:16]}; neither becomes a root of the other")


def _gets(out: Output, title: str, given: Iterable[Mapping[str, Any]]) -> None:
    out.log(title)
    for one in given:
        out.log(f"  - {one['words']} ({one['path']})")


@verb("join", help="Join the site that made a link.")
@click.argument("link")
@click.option("--yes", is_flag=True, help="Agree to what the link offers and asks for.")
def join(session: Session, link: str, yes: bool) -> None:
    """Show what each side gets, and join on consent."""
    shown = session.call("/dms/node/peers/join/preview", {"Link": link})
    if not session.json or not yes:
        session.output.log(f"{shown['Name']} ({shown['DID']}) at {', '.join(shown['Addresses'])} invites.")
        _both(session.output, shown["Name"] or "it", "this site", shown)
    if not yes and not (sys.stdin.isatty() and click.confirm("Join?", err=True)):
        raise Refusal(
            "consent_needed", "nothing has been changed", hint="./dms join LINK --yes agrees to it", **shown
        )
    answer = session.call("/dms/node/peers/join", {"Link": link})
    session.show(answer, lambda out: _joined(out, answer))


def _joined(out: Output, answer: Mapping[str, Any]) -> None:
    out.line(f"joined {answer['Name']} ({answer['DID']})")
    if answer.get("Clock"):
        out.log(f"{answer['Clock']}: set the clocks")
