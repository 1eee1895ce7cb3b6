"""Who keeps the private keys: the node's key once per process, users' keys sealed in the database.

The supervisor unlocks the keystore once and hands the key to each child over an inherited pipe (DMS_KEYS_FD), so
that scrypt's 256 MiB are paid once per start. A process started by hand unlocks the keystore itself.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings

from capabilities import keystore
from capabilities.keys import PrivateKey
from capabilities.refusal import Refusal

KEY_NAME = "dms"
NONCE_BYTES = 12
# What the sealed bytes belong to; a value sealed for another purpose does not open here.
PURPOSE = b"dms:identity-key:1"

_lock = threading.Lock()
_kept: dict[str, PrivateKey] = {}


def key_path(name: str = KEY_NAME) -> Path:
    """Return where the keystore file `name` is."""
    path: Path = settings.DMS_HOME.path("key", f"{name}.json")
    return path


def passphrase() -> str:
    """Return the keystore's passphrase: DMS_PASSPHRASE, else the one made at the first start."""
    text: str = os.environ.get("DMS_PASSPHRASE") or settings.DMS_HOME.secret("passphrase")
    return text


def node_key() -> PrivateKey:
    """Return the node's private key, unlocked once per process."""
    with _lock:
        key = _kept.get(KEY_NAME)
        if key is None:
            key = _kept[KEY_NAME] = _from_pipe() or _from_keystore()
        return key


def keep(key: PrivateKey) -> None:
    """Remember the node's key in this process (it has just been made or unlocked)."""
    with _lock:
        _kept[KEY_NAME] = key


def forget() -> None:
    """Drop the kept key; the next use unlocks it again."""
    with _lock:
        _kept.clear()


def seal_secret(secret: bytes) -> bytes:
    """Return `secret` encrypted under the site's key (AES-256-GCM, nonce first)."""
    nonce = os.urandom(NONCE_BYTES)
    return nonce + AESGCM(_site_key()).encrypt(nonce, secret, PURPOSE)


def unseal_secret(sealed: bytes) -> bytes:
    """Return what `seal_secret` sealed; Refusal when it was sealed under another site's key."""
    try:
        return AESGCM(_site_key()).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], PURPOSE)
    except (InvalidTag, ValueError):
        raise Refusal(
            "key_not_readable",
            "a key in the database was sealed under another site key than secrets/site",
            status=500,
            hint="restore secrets/site together with the database it belongs to",
        ) from None


def _site_key() -> bytes:
    text: str = settings.DMS_HOME.secret("site")
    return hashlib.sha256(text.encode()).digest()


def _from_pipe() -> PrivateKey | None:
    descriptor = os.environ.pop("DMS_KEYS_FD", "")
    if not descriptor:
        return None
    with os.fdopen(int(descriptor), "rb") as pipe:
        document = json.loads(pipe.read())
    return PrivateKey.unmarshal(bytes.fromhex(document[KEY_NAME]))


def _from_keystore() -> PrivateKey:
    path = key_path()
    try:
        document = keystore.read(path)
    except FileNotFoundError:
        raise Refusal(
            "key_not_found",
            f"there is no node key at {path}",
            status=503,
            hint="start the site once with `./dms up`, which makes it",
        ) from None
    return keystore.unseal(document, passphrase())
