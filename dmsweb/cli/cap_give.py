"""`cap grant`, `cap delegate` and `cap revoke`."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from capabilities.numbers import NUMBERS
from capabilities.refusal import not_found
from dmsweb.cli.cap import NODE, cap, context_option, did_of_subject, note, read_tokens
from dmsweb.cli.session import Session, verb
from dmsweb.cli.user import accounts

if TYPE_CHECKING:
    from capabilities.keys import Signer

DAY_S = 86_400
NS = 1_000_000_000
DEFAULT_DAYS = NUMBERS.role_grant_lifetime_s / DAY_S


def token_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add what a token says beside who and what."""
    for option in (
        click.option("-d", "--depth", type=click.IntRange(0), default=0, help="Further links; 0: freely."),
        click.option("-a", "--audience", default="", metavar="DID", help="Where alone it may be used."),
        click.option("-t", "--topic", "topics", multiple=True, help="Broadcast topic; may be repeated."),
        click.option("-e", "--expiry", default="", metavar="TIME", help="When it ends: 2027-01-31T12:00Z."),
        click.option(
            "--days",
            type=click.FloatRange(0, 36_500, min_open=True),
            default=None,
            help="How long it counts.",
        ),
        click.argument("paths", nargs=-1, required=True, metavar="PATH..."),
        click.argument("subject"),
        context_option,
    ):
        command = option(command)
    return command


@verb("grant", help="Let a DID or an account invoke PATH and what is below it.", group=cap)
@token_options
def grant(session: Session, context: str, **given: Any) -> None:
    """Issue a token over the paths by the context's own key and print it as a token list.

    What the node grants is kept here, so that its holder need not bring it along.
    """
    asked = _asked(session, days_else=DEFAULT_DAYS, **given)
    from capabilities import services
    from capabilities.contexts import context_get
    from capabilities.selectors import site_identity
    from capabilities.tokens import TokenList

    if context == NODE and not asked["audience"]:
        lifetime = timedelta(seconds=(asked["expires_ns"] - time.time_ns()) / NS)
        kept = {name: asked[name] for name in ("subject", "capabilities", "topics", "depth")}
        token = services.grant(site_identity(), lifetime=lifetime, **kept)
    else:
        token = context_get(context).grant(_signer(session, context), **asked)
    _noted("grant", context, asked)
    session.output.json(TokenList((token,)).document())


@verb(
    "delegate",
    help="Hand on to a DID what the context was given: tokens that rest on its provide anchors.",
    group=cap,
)
@token_options
@click.option(
    "--self-sign",
    type=click.Choice(["no", "also", "only"]),
    default="no",
    show_default=True,
    help="Whether a token without a chain is made too.",
)
def delegate(session: Session, context: str, self_sign: Any, **given: Any) -> None:
    """Print the delegations as a token list. Without --days or --expiry they end with what they rest on."""
    asked = _asked(session, days_else=0.0 if self_sign == "no" else DEFAULT_DAYS, **given)
    from capabilities.contexts import context_get
    from capabilities.tokens import TokenList

    minted = context_get(context).delegate(_signer(session, context), self_sign=self_sign, **asked)
    _noted("delegate", context, asked)
    session.output.json(TokenList(minted).document())


@verb(
    "revoke",
    help="Take back a granted token at once, for good: its number in `cap list`, or the token.",
    group=cap,
)
@context_option
@click.argument("tokens", metavar="ID|TOKEN")
def revoke(session: Session, context: str, tokens: str) -> None:
    """Revoke what the context's key has issued. A token given as JSON is answered with its revocation."""
    accounts(session)
    from capabilities import services
    from capabilities.contexts import anchors_add, context_get
    from capabilities.models import Token
    from capabilities.tokens import TokenList

    if tokens.isdigit():
        row = Token.objects.filter(pk=int(tokens)).first()
        if row is None:
            raise not_found("token", tokens)
        services.revoke(row)
        note("/dms/cap/revoke", {"ID": row.pk})
        session.show({"id": row.pk, "revoked": True}, lambda out: out.line(f"revoked {row.pk}"))
        return
    found = context_get(context)
    key = _signer(session, context)
    revocations = tuple(found.revoke(key, one) for one in read_tokens(tokens))
    anchors_add(context, revoke=revocations)
    note("/dms/cap/revoke", {"Context": context, "Keys": [one.key for one in revocations]})
    session.output.json(TokenList(revocations).document())


@verb("renew", help="Give a token again for as long as it was given; the earlier one runs out.", group=cap)
@click.argument("number", type=int, metavar="ID")
def renew(session: Session, number: int) -> None:
    """Print the new token as a token list."""
    accounts(session)
    from capabilities import grants
    from capabilities.tokens import TokenList
    from node.behaviors.cap import token_row

    token = grants.renew(token_row(number, ""))
    note("/dms/cap/renew", {"ID": number})
    session.output.json(TokenList((token,)).document())


def _asked(
    session: Session,
    *,
    days_else: float,
    subject: str,
    paths: tuple[str, ...],
    topics: tuple[str, ...],
    days: float | None,
    expiry: str,
    audience: str,
    depth: int,
) -> dict[str, Any]:
    """Return what a token is to say, as contexts take it; mistakes are told before anything is unlocked.

    `days_else`: how long it lasts when nothing is said, 0 for as long as what it rests on.
    """
    for path in (*paths, *topics):
        if not path.startswith("/") or path != path.strip():
            raise click.UsageError(f"{path!r} is no path; it begins with /")
    expires_ns = _expires_ns(days, expiry) or (_in(days_else) if days_else else 0)
    return {
        "subject": did_of_subject(session, subject),
        "capabilities": paths,
        "expires_ns": expires_ns,
        "audience": audience,
        "topics": topics,
        "depth": depth,
    }


def _signer(session: Session, context: str) -> Signer:
    """Return what signs for the context; where that is a device, say that somebody has to look at it."""
    from capabilities.contexts import context_key
    from capabilities.device import LedgerKey

    key = context_key(context)
    if isinstance(key, LedgerKey):
        session.output.log(f"confirm on the hardware wallet: account {key.index}, {key.address}")
    return key


def _noted(verb_: str, context: str, asked: dict[str, Any]) -> None:
    said = {"Context": context, "Subject": asked["subject"], "Capabilities": list(asked["capabilities"])}
    note(f"/dms/cap/{verb_}", said)


def _in(days: float) -> int:
    return time.time_ns() + int(days * DAY_S * NS)


def _expires_ns(days: float | None, expiry: str) -> int:
    """Return when it ends in ns since 1970, 0 when nothing was said."""
    if days is not None and expiry:
        raise click.UsageError("either --days or --expiry")
    if days is not None:
        return _in(days)
    if not expiry:
        return 0
    try:
        moment = datetime.fromisoformat(expiry)
    except ValueError:
        raise click.UsageError(f"{expiry!r} is no time; write 2027-01-31 or 2027-01-31T12:00Z") from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    if moment <= datetime.now(UTC):
        raise click.UsageError(f"{expiry} is over")
    return int(moment.timestamp()) * NS
