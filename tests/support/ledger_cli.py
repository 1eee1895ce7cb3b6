"""A stand-in for `ledger-cli`: a program of its own, whose keys are made from a seed, and which really signs.

No hardware wallet is on a test machine. What the stand-in does is said by STAND_IN (nothing: it does what is asked)
and STAND_IN_SEED (another seed is another device).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


def main() -> int:
    """Answer one call."""
    parser = argparse.ArgumentParser()
    parser.add_argument("verb", choices=["key", "sign"])
    parser.add_argument("-o", dest="out", required=True, type=Path)
    parser.add_argument("-a", dest="account", required=True, type=int)
    parser.add_argument("message", nargs="?", default="")
    asked = parser.parse_intermixed_args()
    mode = os.environ.get("STAND_IN", "")
    if any(name.startswith("DMS_") for name in os.environ):
        print("it was told our secrets", file=sys.stderr)
        return 9
    if mode == "refuse":
        print("opening the device\nError: \x1b[31mdenied by the user\x1b[0m (0x6985)\n", file=sys.stderr)
        return 1
    if mode == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if mode == "nothing":
        return 0
    if mode == "fifo":
        os.mkfifo(asked.out)
        return 0
    if mode.startswith("write:"):
        asked.out.write_text(mode.removeprefix("write:"))
        return 0
    if mode == "huge":
        asked.out.write_text("{" + " " * 100_000 + "}")
        return 0
    answer = key(asked.account) if asked.verb == "key" else signature(asked.account, asked.message, mode)
    asked.out.write_text(json.dumps(answer))
    return 0


def secret(account: int) -> int:
    """Return the private key of an account."""
    seed = os.environ.get("STAND_IN_SEED", "one")
    return int.from_bytes(hashlib.sha256(f"{seed}/{account}".encode()).digest(), "big")


def key(account: int) -> dict[str, str]:
    """Return the public key, in 65 bytes, and its address."""
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    keccak256 = _keccak256()
    public = ec.derive_private_key(secret(account), ec.SECP256K1()).public_key()
    point = public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return {"key": point.hex(), "address": "0x" + keccak256(point[1:])[-20:].hex()}


def signature(account: int, message: str, mode: str) -> dict[str, object]:
    """Return v, r and s over the personal message."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature

    data = bytes.fromhex(message)
    if mode == "other message":
        data += b"!"
    signer = ec.derive_private_key(secret(account), ec.SECP256K1())
    if mode == "plain":
        r, s = decode_dss_signature(signer.sign(data, ec.ECDSA(hashes.SHA256())))
    else:
        digest = _keccak256()(b"\x19Ethereum Signed Message:\n" + str(len(data)).encode() + data)
        r, s = decode_dss_signature(signer.sign(digest, ec.ECDSA(Prehashed(hashes.SHA256()))))
    if mode in ("high", "low"):
        s = max(s, ORDER - s) if mode == "high" else min(s, ORDER - s)
    pair = {"v": 27, "r": f"{r:x}", "s": f"0x{s:064X}"}
    return pair if mode == "flat" else {"ecdsa": pair}


def _keccak256() -> Callable[[bytes], bytes]:
    sys.path.insert(0, str(ROOT))
    from capabilities.wallets import keccak256

    return keccak256


def install(folder: Path) -> Path:
    """Write a program `ledger-cli` into `folder` and return its path."""
    program = folder / "ledger-cli"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{Path(__file__).resolve()}" "$@"\n')
    program.chmod(0o755)
    return program


if __name__ == "__main__":
    raise SystemExit(main())
