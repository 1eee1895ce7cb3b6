"""`cap`: what others may do on this node, straight on the site's database; needs no running site.

Whoever is granted something here signs envelopes with her own key, and needs to bring no token along: the site
remembers what it has granted. The printed token list is for the messages to come through other nodes.
"""

from __future__ import annotations

from datetime import timedelta

import click

from capabilities.numbers import NUMBERS
from capabilities.refusal import Refusal, not_found
from dmsweb.cli.output import table
from dmsweb.cli.session import Session, verb, verbs
from dmsweb.cli.user import accounts

DAY_S = 86_400

cap = verbs("cap", help="What others may do on this node.")


@verb("grant", help="Let a DID or an account invoke PATH and what is below it.", group=cap)
@click.argument("subject")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option(
    "--days",
    type=click.FloatRange(0, 36_500, min_open=True),
    default=NUMBERS.role_grant_lifetime_s / DAY_S,
    show_default=True,
    help="How long it counts.",
)
@click.option("--topic", "topics", multiple=True, help="Broadcast topic; may be repeated.")
@click.option("--depth", type=click.IntRange(0), default=0, help="How often it may be passed on; 0: freely.")
def grant(
    session: Session, subject: str, paths: tuple[str, ...], days: float, topics: tuple[str, ...], depth: int
) -> None:
    """Issue a token over the paths, keep it, and print it as a token list."""
    for path in (*paths, *topics):
        if not path.startswith("/") or path != path.strip():
            raise click.UsageError(f"{path!r} is no path; it begins with /")
    people = accounts(session)
    from capabilities import services
    from capabilities.did import DidFault, key_of
    from capabilities.selectors import site_identity
    from capabilities.tokens import TokenList

    if not subject.startswith("did:"):
        subject = people.user_get(subject).identity.did
    try:
        key_of(subject)
    except DidFault as fault:
        raise Refusal("invalid_did", str(fault), hint="`./dms key did NAME` prints one") from None
    token = services.grant(site_identity(), subject, paths, timedelta(days=days), topics=topics, depth=depth)
    session.output.json(TokenList((token,)).document())


@verb("list", help="What this node has granted.", group=cap)
def listing(session: Session) -> None:
    """List the tokens that this site has issued, newest first."""
    accounts(session)
    from capabilities.models import Token

    rows = Token.objects.select_related("owner").order_by("-pk")
    items = [
        {
            "id": row.pk,
            "owner": row.owner.name,
            "subject": row.subject,
            "capabilities": row.capabilities,
            "topics": row.topics,
            "expires_at": row.expires_at.isoformat(),
            "revoked_at": row.revoked_at and row.revoked_at.isoformat(),
        }
        for row in rows
    ]
    lines = [
        [
            str(item["id"]),
            item["owner"],
            " ".join(item["capabilities"]),
            "revoked" if item["revoked_at"] else "",
            item["expires_at"][:10],
        ]
        for item in items
    ]
    session.show(
        {"items": items, "total": len(items)},
        lambda out: out.table(table(["id", "who", "may", "", "until"], lines)),
    )


@verb("revoke", help="Take back a granted token at once, for good.", group=cap)
@click.argument("number", type=int, metavar="ID")
def revoke(session: Session, number: int) -> None:
    """Revoke the token with this number of `cap list`."""
    accounts(session)
    from capabilities import services
    from capabilities.models import Token

    row = Token.objects.filter(pk=number).first()
    if row is None:
        raise not_found("token", str(number))
    services.revoke(row)
    session.show({"id": number, "revoked": True}, lambda out: out.line(f"revoked {number}"))
