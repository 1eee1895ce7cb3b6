"""`cap`: capability contexts, straight on the site's database; needs no running site.

A context holds whom one key trusts and what it was given. The node's own is `dms`. Whoever the node grants something
signs envelopes with her own key, and needs to bring no token along: the site remembers what it has granted. The
printed token lists are for messages that come through other nodes, and for other contexts to anchor.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from capabilities.refusal import Refusal
from dmsweb.cli.output import Output, table
from dmsweb.cli.session import Session, verb, verbs
from dmsweb.cli.user import accounts

if TYPE_CHECKING:
    from capabilities.tokens import Token

NODE = "dms"
LARGEST = 4_194_304
KINDS = ("root", "require", "provide", "revoke")

cap = verbs("cap", help="Who may do what: contexts, anchors, grants, and why not.")


def context_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add -c/--context."""
    help = "The capability context; dms is the node's own, ledger[:ACCOUNT|:ALIAS] a hardware wallet's."
    return click.option("-c", "--context", default=NODE, show_default=True, help=help)(command)


def anchor_options(verb_: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add --root, --require, --provide and --revoke, of which one is to be given."""

    def add(command: Callable[..., Any]) -> Callable[..., Any]:
        for kind in reversed(KINDS):
            name = "DID" if kind == "root" else "TOKENS"
            what = "a DID trusted absolutely" if kind == "root" else f"{kind} tokens (JSON, a file, or -)"
            command = click.option(f"--{kind}", default=None, metavar=name, help=f"{verb_} {what}.")(command)
        return command

    return add


def chosen(given: dict[str, str | None]) -> tuple[str, str]:
    """Return which of the four was given, and its value. UsageError for none or several."""
    found = [(kind, value) for kind, value in given.items() if value is not None]
    if len(found) != 1:
        raise click.UsageError("exactly one of --root, --require, --provide and --revoke")
    return found[0]


def did_of_subject(session: Session, subject: str) -> str:
    """Return the DID that `subject` is, or that of the account or the wallet's key of this name. Raises Refusal."""
    people = accounts(session)
    from capabilities.contexts import ledger_did
    from capabilities.did import DidFault, key_of

    # With the colon only, which no account's name has: somebody may be called `ledger`.
    if subject.startswith("ledger:"):
        return ledger_did(subject)
    if not subject.startswith("did:"):
        return str(people.user_get(subject).identity.did)
    try:
        key_of(subject)
    except DidFault as fault:
        raise Refusal("invalid_did", str(fault), hint="`./dms key did NAME` prints one") from None
    return subject


def read_tokens(text: str) -> tuple[Token, ...]:
    """Return the tokens in JSON text, in a file, or in standard input (-): a token list, or one token alone."""
    from capabilities.gojson import loads
    from capabilities.tokens import TokenList

    if text == "-":
        data = sys.stdin.buffer.read(LARGEST + 1)
    elif text.lstrip().startswith("{"):
        data = text.encode()
    else:
        try:
            with Path(text).open("rb") as file:
                data = file.read(LARGEST + 1)
        except OSError as error:
            hint = "give the JSON itself, the name of a file, or - for standard input"
            raise Refusal("unreadable_file", f"{text[:80]}: {error.strerror}", hint=hint) from None
    return TokenList.of_any(loads(data, max_bytes=LARGEST)).tokens


def note(path: str, request: dict[str, Any]) -> None:
    """Write what was done at the machine itself into the audit log."""
    from capabilities.contexts import name_of
    from capabilities.recorder import taken
    from capabilities.selectors import site_identity
    from capabilities.services import audit

    if "Context" in request:
        request = request | {"Context": name_of(request["Context"])}
    actor, done = site_identity().did, taken()
    audit(actor=actor, path=path, outcome="allowed", source="cli", request=request, changes=done)


@verb(
    "new",
    help="Make a context for a key: of the keystore, made when there is none, or on a hardware wallet.",
    group=cap,
)
@click.argument("name")
@click.option("--key", "key_name", default="", metavar="KEY", help="Its key, if it is named otherwise.")
def new(session: Session, name: str, key_name: str) -> None:
    """Make a context and print whose it is."""
    accounts(session)
    from capabilities import keystore
    from capabilities.contexts import context_new, new_name_check
    from capabilities.hardware import is_ledger_context
    from capabilities.keys import PrivateKey
    from dmsweb.cli.key import key_path, passphrase_of

    new_name_check(name, key_name)
    wanted = key_name or name
    if not is_ledger_context(wanted) and not (path := key_path(session, wanted)).exists():
        keystore.write(path, keystore.seal(wanted, PrivateKey.generate(), passphrase_of(session)))
    made = context_new(name, key_name)
    note("/dms/cap/new", {"Context": made.name, "DID": made.did})
    session.show({"name": made.name, "did": made.did}, lambda out: out.line(made.did))


@verb("list", help="What a context holds, and what this node has granted.", group=cap)
@context_option
def listing(session: Session, context: str) -> None:
    """List roots, require, provide and revoke; of the node's context also the tokens it has issued, newest first."""
    accounts(session)
    from django.utils import timezone

    from capabilities.contexts import anchors_of, context_names
    from capabilities.grants import ending
    from capabilities.models import Token
    from capabilities.moments import moment_of

    did, anchors = anchors_of(context)
    soon = {row.pk for row in ending(timezone.now())}
    rows = Token.objects.select_related("owner").order_by("-pk") if context == NODE else []
    items = [
        {
            "id": row.pk,
            "owner": row.owner.name,
            "subject": row.subject,
            "capabilities": row.capabilities,
            "topics": row.topics,
            "expires_at": row.expires_at.isoformat(),
            "revoked_at": row.revoked_at and row.revoked_at.isoformat(),
            "ends_soon": row.pk in soon,
        }
        for row in rows
    ]
    document = anchors.document(did) | {"context": context, "contexts": context_names()}

    def people(out: Output) -> None:
        out.line(f"{context}: {did}")
        for root in sorted(anchors.roots):
            out.line(f"root     {root}")
        for kind, tokens in (("require", anchors.require), ("provide", anchors.provide)):
            for token in tokens:
                end = moment_of(min(link.expires_ns for link in token.links()))
                who = f"{token.issuer} -> {token.subject}"
                out.line(f"{kind}  {who}  {' '.join(token.capabilities)}  until {end:%Y-%m-%d}")
        for key in sorted(anchors.revoked):
            out.line(f"revoke   {key}")
        lines = [
            [
                str(item["id"]),
                item["owner"],
                " ".join(item["capabilities"]),
                "revoked" if item["revoked_at"] else "ends soon" if item["ends_soon"] else "",
                item["expires_at"][:10],
            ]
            for item in items
        ]
        if context == NODE:
            out.table(table(["id", "who", "may", "", "until"], lines))

    session.show({"items": items, "total": len(items)} | document, people)


@verb("anchor", help="Add a root, or require, provide or revoke tokens, to a context.", group=cap)
@context_option
@anchor_options("Add")
def anchor(session: Session, context: str, **given: str | None) -> None:
    """Verify what is given, all of it, and keep it."""
    kind, value = chosen(given)
    accounts(session)
    from capabilities.contexts import anchors_add

    entries = _entries(kind, value)
    anchors_add(context, **entries)
    note(f"/dms/cap/{kind}/anchor", {"Context": context, "Keys": _keys(entries)})
    answer = {"context": context, "anchored": sum(map(len, entries.values()))}
    session.show(answer, lambda out: out.line(f"{context}: {answer['anchored']} anchored"))


@verb("remove", help="Take a root, or require, provide or revoke tokens, out of a context.", group=cap)
@context_option
@anchor_options("Remove")
def remove(session: Session, context: str, **given: str | None) -> None:
    """Remove what is given; exit 1 when none of it was there."""
    kind, value = chosen(given)
    accounts(session)
    from capabilities.contexts import anchors_remove

    entries = _entries(kind, value)
    gone = anchors_remove(context, **entries)
    if not gone:
        hint = f"./dms cap list -c {context}"
        raise Refusal("not_found", f"{context} holds no such {kind}", status=404, hint=hint)
    note(f"/dms/cap/{kind}/remove", {"Context": context, "Keys": _keys(entries)})
    answer = {"context": context, "removed": gone}
    session.show(answer, lambda out: out.line(f"{context}: {gone} removed"))


@verb("save", help="Write a context to cap/NAME.cap of the site's folder.", group=cap)
@context_option
def save(session: Session, context: str) -> None:
    """Write the file that the original reads and print its path."""
    accounts(session)
    from capabilities.contexts import context_save

    path = context_save(context)
    session.show({"context": context, "file": str(path)}, lambda out: out.line(str(path)))


@verb("load", help="Add what a .cap file holds to a context.", group=cap)
@context_option
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def load(session: Session, context: str, file: Path) -> None:
    """Verify the anchors of the file, all of them, and keep them."""
    accounts(session)
    from capabilities.contexts import context_load

    with file.open("rb") as stream:
        held = context_load(context, stream.read(LARGEST + 1))
    note("/dms/cap/load", {"Context": context})
    counts = {"roots": len(held.roots), "require": len(held.require), "provide": len(held.provide)}
    answer = {"context": context} | counts | {"revoke": len(held.revoked)}
    session.show(answer, lambda out: out.line(", ".join(f"{k} {v}" for k, v in answer.items())))


def _entries(kind: str, value: str) -> dict[str, Any]:
    """Return what is to be anchored as the services take it."""
    return {"roots": (value,)} if kind == "root" else {kind: read_tokens(value)}


def _keys(entries: dict[str, Any]) -> list[str]:
    return [one if isinstance(one, str) else one.key for found in entries.values() for one in found]
