"""The keystore file: one private key under a passphrase, in the reference's variant of Ethereum's v3 layout.

scrypt stretches the passphrase (256 MiB of memory at the default cost), AES-256-CTR encrypts the libp2p form
of the key, SHA3-256 over the second half of the stretched key and the ciphertext tells a wrong passphrase.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR

from capabilities.keys import KeyFault, PrivateKey
from capabilities.refusal import Refusal

VERSION = 3
PASSPHRASE_MIN = 8
_N, _R, _P, _LENGTH = 262_144, 8, 1, 64
# A file is input: it may not make us take more memory, or work longer, than twice our own cost.
_N_MIN, _COST_MAX = 1_024, 2 * _N * _R
_FILE_MAX = 16_384
_CIPHERTEXT_MAX = 1_024
_NAME_MAX = 64


class KeystoreFault(Refusal, ValueError):
    """The document is no keystore of ours, or the passphrase does not open it."""

    def __init__(self, code: str, detail: str, hint: str = "") -> None:
        Refusal.__init__(self, code, detail, hint=hint)


def _stretch(passphrase: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    memory = 128 * r * (n + p + 2)
    return hashlib.scrypt(
        passphrase.encode(), salt=salt, n=n, r=r, p=p, dklen=_LENGTH, maxmem=memory + (1 << 20)
    )


def _crypt(key: bytes, iv: bytes, data: bytes) -> bytes:
    stream = Cipher(AES(key), CTR(iv)).encryptor()
    return stream.update(data) + stream.finalize()


def seal(name: str, key: PrivateKey, passphrase: str) -> dict[str, Any]:
    """Return the keystore document of `key`; KeystoreFault for a passphrase that protects nothing."""
    name_check(name)
    if not passphrase:
        raise KeystoreFault("passphrase_empty", "the passphrase is empty", f"Use {PASSPHRASE_MIN} or more.")
    if len(passphrase) < PASSPHRASE_MIN:
        raise KeystoreFault(
            "passphrase_short",
            f"the passphrase has {len(passphrase)} characters",
            f"Use {PASSPHRASE_MIN} or more.",
        )
    salt, iv = secrets.token_bytes(64), secrets.token_bytes(16)
    stretched = _stretch(passphrase, salt, _N, _R, _P)
    ciphertext = _crypt(stretched[:32], iv, key.marshal())
    return {
        "id": name,
        "version": VERSION,
        "crypto": {
            "cipher": "aes-256-ctr",
            "ciphertext": ciphertext.hex(),
            "cipherparams": {"iv": iv.hex()},
            "kdf": "scrypt",
            "kdfparams": {"n": _N, "r": _R, "p": _P, "dklen": _LENGTH, "salt": salt.hex()},
            "mac": hashlib.sha3_256(stretched[32:] + ciphertext).hexdigest(),
        },
    }


def unseal(document: dict[str, Any], passphrase: str) -> PrivateKey:
    """Return the key in `document`; KeystoreFault for a malformed one or a wrong passphrase."""
    if not passphrase:
        raise KeystoreFault("passphrase_empty", "the passphrase is empty")
    version = _member(document, "version", int, "")
    crypto = _member(document, "crypto", dict, "")
    if version != VERSION:
        raise KeystoreFault("keystore_version", f"version {version} is not {VERSION}")
    _expect(crypto, "cipher", "aes-256-ctr")
    _expect(crypto, "kdf", "scrypt")
    params = _member(crypto, "kdfparams", dict, "crypto.")
    n, r, p = _cost(params)
    salt = _hex(params, "salt", "crypto.kdfparams.", 8, 256)
    iv = _hex(_member(crypto, "cipherparams", dict, "crypto."), "iv", "crypto.cipherparams.", 16, 16)
    ciphertext = _hex(crypto, "ciphertext", "crypto.", 1, _CIPHERTEXT_MAX)
    mac = _hex(crypto, "mac", "crypto.", 32, 32)
    stretched = _stretch(passphrase, salt, n, r, p)
    if not hmac.compare_digest(hashlib.sha3_256(stretched[32:] + ciphertext).digest(), mac):
        raise KeystoreFault(
            "keystore_mac", "mac mismatch: the passphrase is wrong, or the file was altered", "Check both."
        )
    try:
        return PrivateKey.unmarshal(_crypt(stretched[:32], iv, ciphertext))
    except KeyFault as fault:
        raise KeystoreFault("keystore_key", f"failed to process key: {fault.detail}") from None


def write(path: Path, document: dict[str, Any]) -> None:
    """Write `document` to `path`, as `replace` does."""
    replace(path, json.dumps(document, indent=2))


def replace(path: Path, text: str) -> None:
    """Write `text` to `path` for the owner's eyes alone; whoever reads sees the old file or the new."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise


def read(path: Path) -> dict[str, Any]:
    """Return the document in the file `path`; KeystoreFault when there is none or it is no JSON object."""
    try:
        with path.open("rb") as file:
            data = file.read(_FILE_MAX + 1)
    except FileNotFoundError:
        raise KeystoreFault(
            "key_not_found", f"key not found: {path}", "./dms key list shows what there is"
        ) from None
    if len(data) > _FILE_MAX:
        raise KeystoreFault("keystore_size", f"{path} is larger than {_FILE_MAX} bytes")
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        raise KeystoreFault("keystore_json", f"failed to decode key: {path} is not JSON") from None
    if not isinstance(document, dict):
        raise KeystoreFault("keystore_json", f"failed to decode key: {path} is not a JSON object")
    return document


def delete(path: Path, passphrase: str) -> None:
    """Delete the file `path`, provided that `passphrase` opens it."""
    unseal(read(path), passphrase)
    path.unlink()


def name_check(name: str) -> None:
    """Refuse what can be no name of a key: it becomes the name of a file."""
    if not 0 < len(name) <= _NAME_MAX or not name.isprintable() or "/" in name or name.startswith("."):
        raise KeystoreFault("key_name", f"{name!r} is no key name", f"1 to {_NAME_MAX} characters, no slash.")


def _member(document: dict[str, Any], name: str, kind: type, where: str) -> Any:
    value = document.get(name)
    if type(value) is not kind:
        raise KeystoreFault("keystore_member", f"{where}{name} is missing or of the wrong type")
    return value


def _expect(crypto: dict[str, Any], name: str, wanted: str) -> None:
    if crypto.get(name) != wanted:
        raise KeystoreFault("keystore_" + name, f"crypto.{name} is not {wanted}")


def _hex(document: dict[str, Any], name: str, where: str, least: int, most: int) -> bytes:
    text = _member(document, name, str, where)
    if len(text) > 2 * most:
        raise KeystoreFault("keystore_member", f"{where}{name} is longer than {most} bytes")
    try:
        data = bytes.fromhex(text)
    except ValueError:
        raise KeystoreFault("keystore_member", f"{where}{name} is not hex") from None
    if len(data) < least:
        raise KeystoreFault("keystore_member", f"{where}{name} has {len(data)} bytes, {least} are needed")
    return data


def _cost(params: dict[str, Any]) -> tuple[int, int, int]:
    n, r, p, length = (_member(params, name, int, "crypto.kdfparams.") for name in ("n", "r", "p", "dklen"))
    if length != _LENGTH:
        raise KeystoreFault("keystore_kdf", f"crypto.kdfparams.dklen is {length}, not {_LENGTH}")
    if n < _N_MIN or n & (n - 1) or not 1 <= r <= 32 or not 1 <= p <= 16 or n * r * p > _COST_MAX:
        raise KeystoreFault(
            "keystore_kdf",
            f"crypto.kdfparams n={n} r={r} p={p} are out of bounds",
            f"n a power of two from {_N_MIN}, n*r*p at most {_COST_MAX}.",
        )
    return n, r, p
