"""`key`: the keystore of a site's folder, and a hardware wallet. Works with the site down and without Django."""

from __future__ import annotations

import os
import sys
from contextlib import nullcontext
from pathlib import Path

import click

from capabilities import keystore
from capabilities.did import did_of
from capabilities.hardware import is_ledger_context
from capabilities.keys import KeyType, PrivateKey
from capabilities.refusal import Refusal
from dmsweb.cli.output import table
from dmsweb.cli.session import Session, verb, verbs
from dmsweb.launch.table import running_pid

_LARGEST = 16_384
# The node's own key; a running site holds it in memory.
NODE_KEY = "dms"

key = verbs("key", help="Keys in the keystore and on a hardware wallet; needs no running site.")


@verb("new", help="Make a key.", group=key)
@click.argument("name")
@click.option("--type", "kind", type=click.Choice(["ed25519", "secp256k1"]), default="ed25519")
@click.option("--force", "-f", is_flag=True, help="Replace a key of that name; the old one is lost.")
def new(session: Session, name: str, kind: str, force: bool) -> None:
    """Generate a key, seal it under the passphrase and print its DID."""
    made = PrivateKey.generate(KeyType.Ed25519 if kind == "ed25519" else KeyType.Secp256k1)
    _store(session, name, made, force)


@verb("did", help="The DID of a key; ledger, ledger:ACCOUNT and ledger:ALIAS are on the wallet.", group=key)
@click.argument("name")
def did(session: Session, name: str) -> None:
    """Unlock the key, or ask the wallet, and print the DID of its public half."""
    if is_ledger_context(name):
        _ledger_did(session, name)
        return
    found = keystore.unseal(keystore.read(key_path(session, name)), passphrase_of(session))
    answer = {"name": name, "did": did_of(found.public), "peer_id": found.public.peer_id()}
    session.show(answer, lambda out: out.line(answer["did"]))


@verb("list", help="The keys there are.", group=key)
def listing(session: Session) -> None:
    """List the keystore files; none is unlocked."""
    files = sorted(session.home.path("key").glob("*.json"))
    answer = {"items": [{"name": file.stem, "file": str(file)} for file in files], "total": len(files)}
    session.show(
        answer, lambda out: out.table(table(["name", "file"], [[file.stem, str(file)] for file in files]))
    )


@verb("import", help="Take over a key from a keystore file, or from hex (- reads standard input).", group=key)
@click.argument("name")
@click.argument("file")
@click.option("--force", "-f", is_flag=True, help="Replace a key of that name; the old one is lost.")
def importing(session: Session, name: str, file: str, force: bool) -> None:
    """Read the key, seal it under this site's passphrase and print its DID.

    The passphrase of a foreign keystore file is DMS_IMPORT_PASSPHRASE, else it is asked for.
    """
    _store(session, name, _foreign(file), force)


@verb("delete", help="Delete a key.", group=key)
@click.argument("name")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
def delete(session: Session, name: str, yes: bool) -> None:
    """Delete the keystore file, provided that the passphrase opens it."""
    path = key_path(session, name)
    keystore.read(path)
    _spare_node(session, name)
    if not yes:
        _confirm(f"delete the key {name}? It cannot be restored", "--yes")
    keystore.delete(path, passphrase_of(session))
    session.show({"name": name, "deleted": True}, lambda out: out.line(f"deleted {name}"))


def _ledger_did(session: Session, name: str) -> None:
    from dmsweb.cli.key_ledger import ledger_of

    found = ledger_of(session, name)
    whose = did_of(found.public)
    answer = {"name": name, "did": whose, "account": found.index, "address": found.address}
    session.show(answer, lambda out: out.line(whose))


def key_path(session: Session, name: str) -> Path:
    """Return the keystore file of the key `name`. Raises Refusal for what is no name."""
    keystore.name_check(name)
    return session.home.path("key", f"{name}.json")


def _store(session: Session, name: str, secret: PrivateKey, force: bool) -> None:
    if is_ledger_context(name):
        raise Refusal(
            "hardware_key",
            f"hardware key: {name} means one on the wallet, which neither takes a key nor gives one away",
            hint="another name; `./dms key did ledger` shows the wallet's",
        )
    path = key_path(session, name)
    _spare_node(session, name)
    if path.exists() and not force:
        if not sys.stdin.isatty():
            raise Refusal("key_exists", f"there is a key {name} already", hint="another name, or --force")
        _confirm(f"replace the key {name}? The old one cannot be restored", "--force")
    session.home.create()
    keystore.write(path, keystore.seal(name, secret, passphrase_of(session)))
    public = secret.public
    answer = {"name": name, "did": did_of(public), "peer_id": public.peer_id(), "file": str(path)}
    session.show(answer, lambda out: out.line(answer["did"]))


def _spare_node(session: Session, name: str) -> None:
    """Refuse to delete or replace the key of a running site: its rows and its peers know the node by it."""
    if name == NODE_KEY and running_pid(session.home) is not None:
        raise Refusal(
            "key_in_use", f"{name} is the key of the site that runs", hint="stop it with ./dms down"
        )


def passphrase_of(session: Session) -> str:
    """Return DMS_PASSPHRASE, else the passphrase kept in the site's folder, made when there is none."""
    return os.environ.get("DMS_PASSPHRASE") or session.home.secret("passphrase")


def _confirm(question: str, option: str) -> None:
    if not sys.stdin.isatty():
        raise click.UsageError(f"{option} is needed where nobody can be asked")
    click.confirm(question, abort=True, err=True)


def _foreign(file: str) -> PrivateKey:
    try:
        # Standard input stays open: it is asked later whether a person sits there.
        stream = nullcontext(sys.stdin.buffer) if file == "-" else Path(file).open("rb")  # noqa: SIM115
        with stream as source:
            data = source.read(_LARGEST + 1)
    except OSError as error:
        raise Refusal("unreadable_file", f"{file}: {error.strerror}", hint="give the path of a key") from None
    if len(data) > _LARGEST:
        raise Refusal("invalid_key", f"{file} is larger than {_LARGEST} bytes", hint="give a file of one key")
    if data.lstrip().startswith(b"{"):
        return _unsealed(file)
    try:
        raw = bytes.fromhex(data.decode("ascii").strip().removeprefix("0x"))
    except ValueError:
        raise Refusal(
            "invalid_key",
            f"{file} is neither a keystore file nor hex",
            hint="a keystore file, 64 hex digits (Ed25519 seed), or the libp2p form in hex",
        ) from None
    return PrivateKey(KeyType.Ed25519, raw) if len(raw) == 32 else PrivateKey.unmarshal(raw)


def _unsealed(file: str) -> PrivateKey:
    if file == "-":
        raise Refusal("invalid_key", "a keystore file cannot come from standard input", hint="give its path")
    passphrase = os.environ.get("DMS_IMPORT_PASSPHRASE")
    if not passphrase:
        if not sys.stdin.isatty():
            raise click.UsageError("DMS_IMPORT_PASSPHRASE must hold the file's passphrase")
        passphrase = click.prompt(f"passphrase of {file}", hide_input=True, err=True)
    return keystore.unseal(keystore.read(Path(file)), str(passphrase))
