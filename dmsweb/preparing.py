"""The single steps of `dmsweb.prepare`, each of which looks first and makes only what is missing."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import redis
from django.db import transaction

from capabilities import custody, keystore
from capabilities.did import did_of
from capabilities.keys import PrivateKey
from capabilities.models import Identity
from capabilities.refusal import Refusal
from dmsweb.accounts.models import ApiToken, User
from dmsweb.accounts.services import user_create
from dmsweb.home import write_private
from node.models import Node

BROKER_S = 3.0
NODE_NAME_MAX = 64
LOCAL_TOKEN_NAME = "local command line"  # noqa: S105 - what people see in the list of tokens


def broker_check(url: str, progress: Callable[[str], None]) -> None:
    """Ask a Redis of somebody else's for a sign of life; Refusal when it will never let us in.

    One that does not answer may do so later: the processes go on asking, and the sweep needs none.
    """
    try:
        with redis.Redis.from_url(url, socket_connect_timeout=BROKER_S, socket_timeout=BROKER_S) as client:
            client.ping()
    except redis.AuthenticationError as error:
        raise Refusal(
            "broker_refused",
            f"the Redis that REDIS_URL names refuses the password: {error}",
            status=503,
            hint="correct user and password in REDIS_URL: redis://USER:PASSWORD@HOST:PORT/DATABASE",
        ) from None
    except ValueError as error:
        raise Refusal(
            "broker_refused",
            f"REDIS_URL cannot be read: {error}",
            status=503,
            hint="redis://USER:PASSWORD@HOST:PORT/DATABASE, rediss:// for TLS, unix:///path for a socket",
        ) from None
    except redis.RedisError as error:
        progress(f"the Redis that REDIS_URL names does not answer yet: {error}")


def key_ensure(progress: Callable[[str], None]) -> tuple[PrivateKey, bool]:
    """Return the node's key and whether it was made now; the keystore is unlocked at most once."""
    path = custody.key_path()
    if path.exists():
        progress("unlocking the keystore")
        return custody.node_key(), False
    _refuse_other_key(path)
    progress("making the node's key")
    key = PrivateKey.generate()
    keystore.write(path, keystore.seal(custody.KEY_NAME, key, custody.passphrase()))
    custody.keep(key)
    return key, True


def node_ensure(key: PrivateKey, hostname: str) -> Node:
    """Return the node of this key, with its identity and rows."""
    did = did_of(key.public)
    node = Node.objects.select_related("identity").filter(identity__did=did).first()
    if node is not None:
        return node
    with transaction.atomic():
        name = _free_name(hostname, key)
        identity, _ = Identity.objects.get_or_create(
            did=did, defaults={"kind": Identity.Kind.NODE, "name": name}
        )
        return Node.objects.create(
            identity=identity,
            name=name,
            hostname=hostname,
            peer_id=key.public.peer_id(),
            cid=key.public.cid(),
            public_key=key.public.marshal(),
        )


def admin_ensure(name: str, password: str) -> str | None:
    """Make the administrator when there is none; return the password if it was made now."""
    if User.objects.filter(is_superuser=True, is_active=True).exists():
        return None
    user_create(name, password, admin=True)
    return password


def local_token_ensure(name: str, path: Path) -> None:
    """Keep the token of the local command line in `path`; make it again when the database does not know it."""
    text = path.read_text().strip() if path.exists() else ""
    if text and ApiToken.objects.filter(token_key=text[:15], revoked_at=None).exists():
        return
    user = User.objects.filter(is_superuser=True, is_active=True).order_by("pk").first()
    if user is None:
        raise Refusal("not_found", "this site has no administrator", hint=f"./dms user add {name} --admin")
    _, text = ApiToken.objects.create(user=user, expiry=None, name=LOCAL_TOKEN_NAME)
    path.unlink(missing_ok=True)
    write_private(path, text)


def _refuse_other_key(path: Path) -> None:
    other = Node.objects.order_by("created_at").first()
    if other is not None:
        raise Refusal(
            "key_not_found",
            f"the database belongs to the node {other.name} ({other.identity.did}), but its key is not at {path}",
            status=503,
            hint="restore the key file and secrets/ from the backup, or start with an empty DMS_HOME",
        )


def _free_name(hostname: str, key: PrivateKey) -> str:
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", hostname)[:NODE_NAME_MAX] or "node"
    if Node.objects.filter(name=name).exists():
        return f"{name[: NODE_NAME_MAX - 9]}-{key.public.peer_id()[-8:]}"
    return name
