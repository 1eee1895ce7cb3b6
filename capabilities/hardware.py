"""Contexts whose key is on a hardware wallet: `ledger`, `ledger:<account>` and `ledger:<alias>`.

Only these: a name that merely begins with `ledger` is a name like any other. Aliases stand in one file of the site's
folder, alias to account, as the reference writes it.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import time
from collections.abc import Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from capabilities import keystore
from capabilities.gojson import loads
from capabilities.numbers import NUMBERS
from capabilities.refusal import Reason, Refusal

if TYPE_CHECKING:
    from collections.abc import Iterator

WORD = "ledger"
FILE = "ledger_aliases.json"
_PREFIX = f"{WORD}:"
_NUMBER = re.compile(r"[+-]?[0-9]+")
_ALIAS_MAX, _DIGITS_MAX = 64, 20
# A hardened step of BIP 32 has 31 bits.
INDEX_MAX = 2**31 - 1

Aliases = Mapping[str, int]


def is_ledger_context(name: str) -> bool:
    """Return whether `name` means a key on the hardware wallet. What follows the colon may still be wrong."""
    return name == WORD or name.startswith(_PREFIX)


def ledger_context(name: str, aliases: Aliases) -> str:
    """Return the one name of the context that `name` means: `ledger:<account>`. Raises Refusal."""
    return f"{_PREFIX}{ledger_index(name, aliases)}"


def ledger_index(name: str, aliases: Aliases) -> int:
    """Return the account on the wallet that `name` means. Raises Refusal."""
    if name == WORD:
        return 0
    if not name.startswith(_PREFIX):
        raise Refusal(
            "ledger_context",
            f"{name[:80]!r} is no context of a hardware wallet",
            hint="ledger, ledger:<account> or ledger:<alias>",
        )
    rest = name.removeprefix(_PREFIX)
    if _NUMBER.fullmatch(rest) and len(rest) <= _DIGITS_MAX:
        return index_check(int(rest))
    if rest not in aliases:
        known = ", ".join(sorted(aliases)) or "none"
        raise Refusal(
            "ledger_alias_not_found",
            f"ledger alias not found: {rest[:_ALIAS_MAX]!r}",
            status=404,
            hint=f"`./dms key ledger-alias set ALIAS ACCOUNT` makes one; there are: {known}",
        )
    return aliases[rest]


def index_check(index: int) -> int:
    """Return `index` when it can be an account. Raises Refusal."""
    if index < 0:
        raise Refusal(
            "ledger_index", f"ledger index cannot be negative: {index}", hint="accounts count from 0"
        )
    if index > INDEX_MAX:
        raise Refusal("ledger_index", f"ledger index {index} is too large", hint=f"at most {INDEX_MAX}")
    return index


def alias_check(alias: str) -> str:
    """Return `alias` when it can be one. Raises Refusal."""
    if not alias:
        wrong = "it is empty"
    elif ":" in alias:
        wrong = "it has a colon"
    elif alias.isdigit() or _NUMBER.fullmatch(alias):
        wrong = "it is a number, and would be taken for an account"
    elif len(alias) > _ALIAS_MAX:
        wrong = f"it has {len(alias)} characters, {_ALIAS_MAX} are allowed"
    elif not alias.isprintable() or alias != alias.strip():
        wrong = "it has characters that cannot be seen"
    else:
        return alias
    raise Refusal(
        "ledger_alias",
        f"{alias[:_ALIAS_MAX]!r} cannot be a ledger alias: {wrong}",
        hint="letters, digits and dashes, not digits alone",
    )


def aliases_read(path: Path) -> dict[str, int]:
    """Return the aliases in the file `path`, none when there is no file. Raises Refusal for what is no such file."""
    try:
        with path.open("rb") as file:
            data = file.read(NUMBERS.ledger_aliases_max_bytes + 1)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise _unusable(path, f"{error.strerror}") from None
    try:
        document = loads(data, max_bytes=NUMBERS.ledger_aliases_max_bytes)
        if type(document) is not dict:
            raise _unusable(path, "it is no JSON object of aliases and accounts")
        for alias, index in document.items():
            alias_check(alias)
            if type(index) is not int:
                raise _unusable(path, f"the account of {alias!r} is no whole number", alias)
            index_check(index)
    except Refusal as fault:
        if fault.code == "ledger_aliases":
            raise
        raise _unusable(path, fault.detail) from None
    return document


def alias_set(path: Path, alias: str, index: int) -> int | None:
    """Let `alias` mean account `index`; return what it meant before. Raises Refusal."""
    alias_check(alias)
    index_check(index)
    with _alone(path.parent):
        held = aliases_read(path)
        before = held.get(alias)
        if before != index:
            _write(path, held | {alias: index})
    return before


def alias_remove(path: Path, alias: str) -> int:
    """Forget `alias`; return which account it meant. Raises Refusal."""
    with _alone(path.parent):
        held = aliases_read(path)
        index = ledger_index(_PREFIX + alias_check(alias), held)
        del held[alias]
        _write(path, held)
    return index


def _unusable(path: Path, detail: str, where: str = "") -> Refusal:
    return Refusal(
        "ledger_aliases",
        f"{path} cannot be used: {detail}",
        hint=f"mend it, remove it, or take an earlier one: {path.name}.<seconds> beside it",
        reasons=(Reason("ledger_aliases", detail, where),) if where else (),
    )


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Let no other process change the file between reading and writing it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _write(path: Path, aliases: Aliases) -> None:
    """Replace the file whole; the one before stays beside it, and a few of those before that."""
    text = json.dumps(dict(sorted(aliases.items())), indent=2, ensure_ascii=False)
    if len(text.encode()) > NUMBERS.ledger_aliases_max_bytes:
        raise Refusal("ledger_aliases", f"{path} would be too large", hint="remove aliases first")
    if path.exists():
        backup = path.with_name(f"{path.name}.{int(time.time())}")
        backup.unlink(missing_ok=True)
        os.link(path, backup)
    keystore.replace(path, text)
    for old in sorted(_backups(path), key=lambda old: int(old.suffix[1:]))[: -NUMBERS.saved_contexts_kept]:
        old.unlink(missing_ok=True)


def _backups(path: Path) -> list[Path]:
    return [old for old in path.parent.glob(f"{path.name}.*") if _NUMBER.fullmatch(old.suffix[1:])]
