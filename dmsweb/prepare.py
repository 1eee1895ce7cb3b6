"""Everything a start needs before the site's processes: tables, keys, node, administrator, local token.

Idempotent, and safe when two run at once: a lock in the home makes the second wait and find everything made.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import django
from django.apps import apps

PASSWORD_BYTES = 15
ADMIN = "admin"
LOCAL_TOKEN = "cli-token"  # noqa: S105 - the name of the file


@dataclass(frozen=True, slots=True)
class Prepared:
    """What the supervisor hands on. `keys`: name to hex of the libp2p private key; `admin_password`: only once."""

    keys: dict[str, str]
    admin_password: str | None
    did: str
    peer_id: str
    first_start: bool


def prepare(progress: Callable[[str], None]) -> Prepared:
    """Make what is missing in DMS_HOME and the databases; `progress` gets a few words before each slow step."""
    if not apps.ready:
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dmsweb.settings")
        django.setup()
    # Django must be set up before anything that holds models can be imported.
    from django.conf import settings

    from dmsweb.accounts.roles import roles_ensure
    from dmsweb.migrating import migrate_if_needed
    from dmsweb.preparing import admin_ensure, broker_check, key_ensure, local_token_ensure, node_ensure

    home = settings.DMS_HOME
    home.create()
    if os.environ.get("REDIS_URL") or os.environ.get("REDIS_URL_FILE"):
        broker_check(settings.REDIS_URL, progress)
    with _lock(home.path("run", "prepare.lock")):
        migrate_if_needed(progress)
        key, first_start = key_ensure(progress)
        node = node_ensure(key, socket.gethostname())
        password = admin_ensure(ADMIN, secrets.token_urlsafe(PASSWORD_BYTES))
        roles_ensure()
        local_token_ensure(ADMIN, home.path("secrets", LOCAL_TOKEN))
    return Prepared(
        keys={"dms": key.marshal().hex()},
        admin_password=password,
        did=node.identity.did,
        peer_id=node.peer_id,
        first_start=first_start,
    )


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
