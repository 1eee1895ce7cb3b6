"""`cap check` and `cap inspect`: why, why not, and what a token says."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

import click

from dmsweb.cli.cap import NODE, cap, context_option, did_of_subject, read_tokens
from dmsweb.cli.output import EXIT_FAILED, Output
from dmsweb.cli.session import Session, verb


@verb("check", help="May WHO invoke PATH? Yes with the chain, or no with what is missing.", group=cap)
@context_option
@click.option("--who", required=True, metavar="DID", help="A DID, or an account of this site.")
@click.option("--can", required=True, metavar="PATH", help="Capability path, such as a behavior.")
@click.option("--on", default="", metavar="NODE", help="DID of another node; else here.")
def check(session: Session, context: str, who: str, can: str, on: str) -> None:
    """Exit 1 when it is not allowed."""
    who = did_of_subject(session, who)
    from node.behaviors.cap import answered

    answer = answered(who, can, on, "" if context == NODE else context).wire()
    session.show(answer, lambda out: _told(out, answer))
    if not answer["Allowed"]:
        session.exit(EXIT_FAILED)


def _told(out: Output, answer: Mapping[str, Any]) -> None:
    out.line(f"{'yes' if answer['Allowed'] else 'no'}: {answer['Why']}")
    _draw(out, answer["Chain"])
    if answer["Missing"]:
        out.line(f"missing: {answer['Missing']}")
    for command in answer["Commands"]:
        out.line(f"  {command}")


@verb("inspect", help="Draw a token and the chain it rests on, with what holds and what does not.", group=cap)
@click.argument("tokens", metavar="TOKEN|FILE|-")
def inspect(session: Session, tokens: str) -> None:
    """Needs no site. Exit 1 when some link does not hold."""
    from capabilities.inspection import links

    now_ns = time.time_ns()
    found = [[link.document() for link in links(one, now_ns)] for one in read_tokens(tokens)]
    document = {"tokens": [{"links": chain, "holds": _holds(chain)} for chain in found]}

    def people(out: Output) -> None:
        for chain in found:
            _draw(out, chain)

    session.show(document, people)
    if not found or not all(map(_holds, found)):
        session.exit(EXIT_FAILED)


def _holds(chain: Iterable[Mapping[str, Any]]) -> bool:
    return all(link["holds"] for link in chain)


def _draw(out: Output, chain: Iterable[Mapping[str, Any]]) -> None:
    for link in chain:
        space = "   " * link["position"]
        if link["position"]:
            out.line(f"{space[3:]}└─ rests on")
        out.line(f"{space}{link['action']}  {link['issuer']} -> {link['subject']}")
        out.line(f"{space}  may    {', '.join(link['capabilities']) or 'nothing'}")
        if link["topics"]:
            out.line(f"{space}  topics {', '.join(link['topics'])}")
        bounds = [f"until {link['expires_at'][:19].replace('T', ' ')} UTC"]
        bounds += [f"at {link['audience']} only"] if link["audience"] else []
        bounds += [f"{link['depth']} more links"] if link["depth"] else []
        out.line(f"{space}  {', '.join(bounds)}")
        out.line(f"{space}  {'holds' if link['holds'] else 'does NOT hold: ' + '; '.join(link['faults'])}")
