"""`key ledger-alias`, and the hardware wallet's keys: names for its accounts, kept in the site's folder."""

from __future__ import annotations

import click

from capabilities import hardware
from capabilities.device import LedgerKey, ledger_key
from dmsweb.cli.key import key
from dmsweb.cli.output import table
from dmsweb.cli.session import Session, verb, verbs

alias = verbs("ledger-alias", help="Names for the accounts of a hardware wallet: ledger:ALIAS.")
key.add_command(alias)


@verb(
    "set",
    help="Let ledger:ALIAS mean account ACCOUNT (0, 1, ...) of the wallet.",
    group=alias,
    context_settings={"ignore_unknown_options": True},
)
@click.argument("name", metavar="ALIAS")
@click.argument("account", type=int)
def set_(session: Session, name: str, account: int) -> None:
    """Write the alias; the file before stays beside it."""
    session.home.create()
    before = hardware.alias_set(session.home.path(hardware.FILE), name, account)
    answer = {"alias": name, "account": account, "context": f"ledger:{account}", "before": before}
    was = "" if before in (None, account) else f" (it was account {before})"
    session.show(answer, lambda out: out.line(f"ledger:{name} is account {account}{was}"))


@verb("list", help="The aliases there are.", group=alias)
def listing(session: Session) -> None:
    """List the aliases; the wallet is not asked."""
    found = sorted(hardware.aliases_read(session.home.path(hardware.FILE)).items())
    answer = {"items": [{"alias": name, "account": index} for name, index in found], "total": len(found)}
    rows = [[name, str(index)] for name, index in found]
    session.show(answer, lambda out: out.table(table(["alias", "account"], rows)))


@verb("remove", help="Forget an alias; the account and its context stay.", group=alias)
@click.argument("name", metavar="ALIAS")
def remove(session: Session, name: str) -> None:
    """Take the alias out of the file; the file before stays beside it."""
    index = hardware.alias_remove(session.home.path(hardware.FILE), name)
    answer = {"alias": name, "account": index, "removed": True}
    session.show(answer, lambda out: out.line(f"ledger:{name} is gone; it was account {index}"))


def ledger_of(session: Session, name: str) -> LedgerKey:
    """Return the key on the wallet that `name` means; the device is asked for it. Raises Refusal."""
    return ledger_key(hardware.ledger_index(name, hardware.aliases_read(session.home.path(hardware.FILE))))
