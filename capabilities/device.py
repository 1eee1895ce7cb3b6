"""Keys on a hardware wallet, through the external program `ledger-cli`.

It is called as `ledger-cli key -o FILE -a ACCOUNT` and `ledger-cli sign -o FILE -a ACCOUNT HEX`, and writes what the
device answered into FILE: the public key, or r and s of an Ethereum personal message. Nothing of that is believed: a
key must be a point of the curve that the told address belongs to, and a signature must verify before anybody gets it.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import stat
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from capabilities.gojson import loads
from capabilities.keys import KeyFault, KeyType, PublicKey
from capabilities.numbers import NUMBERS
from capabilities.refusal import Refusal
from capabilities.wallets import ORDER, compressed_of, ethereum_address

PROGRAM = "ledger-cli"
PROGRAM_VARIABLE = "DMS_LEDGER_CLI"
_SAID_MAX = 300
_COLOUR = re.compile("\x1b\\[[0-9;]*m")


@dataclass(frozen=True, slots=True)
class LedgerKey:
    """The key of one account of the wallet; it signs when somebody confirms that on the device."""

    public: PublicKey
    index: int

    @property
    def address(self) -> str:
        """The account's Ethereum address, which the device shows too."""
        return ethereum_address(self.public.raw)

    def sign(self, message: bytes) -> bytes:
        """Return the device's signature over `message` as a personal message, DER with a low S. Raises Refusal."""
        if len(message) > NUMBERS.token_wallet_max_bytes:
            raise Refusal(
                "ledger_message",
                f"{len(message)} bytes are more than a hardware wallet is asked to sign",
                hint=f"at most {NUMBERS.token_wallet_max_bytes}; rest the token on a shorter chain",
            )
        answer = _asked("sign", self.index, NUMBERS.ledger_sign_timeout_s, message.hex())
        pair = answer.get("ecdsa", answer)
        if type(pair) is not dict:
            raise _wrong("ecdsa is no object with r and s")
        r, s = (_scalar(pair, name) for name in ("r", "s"))
        signature = encode_dss_signature(r, min(s, ORDER - s))
        if not self.public.verify(message, signature):
            raise Refusal(
                "ledger_wrong_key",
                f"what {PROGRAM} signed is not by the key of account {self.index} ({self.address})",
                hint="is it the device on which the context was made, and is it a signature of a personal message?",
            )
        return signature


def ledger_key(index: int) -> LedgerKey:
    """Return the key of account `index`, of which the device tells the public half. Raises Refusal."""
    answer = _asked("key", index, NUMBERS.ledger_key_timeout_s)
    raw = _hex(answer, "key", 130)
    try:
        public = PublicKey(KeyType.Eth, compressed_of(raw))
    except (KeyFault, ValueError):
        raise _wrong("key is no public key of secp256k1 (33 or 65 bytes in hex)") from None
    key = LedgerKey(public, index)
    told = answer.get("address")
    if told is not None and (type(told) is not str or told.lower() != key.address.lower()):
        raise _wrong(f"the address {str(told)[:80]!r} is not that of its key, {key.address}")
    return key


def _program() -> str:
    named = os.environ.get(PROGRAM_VARIABLE, "")
    found = shutil.which(named or PROGRAM)
    if found is None:
        raise Refusal(
            "ledger_program_missing",
            f"there is no program {named or PROGRAM}, which talks to the hardware wallet",
            status=503,
            hint=f"install {PROGRAM} where PATH finds it, or name it in {PROGRAM_VARIABLE}",
        )
    return found


def _asked(verb: str, index: int, timeout_s: float, *more: str) -> dict[str, Any]:
    """Run the program once and return the JSON object that it wrote. Raises Refusal."""
    program = _program()
    with tempfile.TemporaryDirectory(prefix="dms-ledger-") as folder:
        out, said = Path(folder, "out.json"), Path(folder, "said")
        command = [program, verb, "-o", str(out), "-a", str(index), *more]
        code = _run(command, said, timeout_s, verb)
        if code:
            raise _refused(verb, code, said)
        data = _written(out)
    try:
        answer = loads(data, max_bytes=NUMBERS.ledger_output_max_bytes)
    except Refusal as fault:
        raise _wrong(fault.detail) from None
    if type(answer) is not dict:
        raise _wrong("it wrote no JSON object")
    return answer


def _run(command: list[str], said: Path, timeout_s: float, verb: str) -> int:
    """Run the command in a session of its own and return its exit code; whatever it began ends with it."""
    # The program has no business with our passphrase and tokens.
    environ = {name: value for name, value in os.environ.items() if not name.startswith("DMS_")}
    try:
        with said.open("wb") as words:
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=words,
                stderr=words,
                env=environ,
                start_new_session=True,
            )
    except OSError as error:
        raise Refusal(
            "ledger_program_missing",
            f"{command[0]} does not start: {error.strerror}",
            status=503,
            hint=f"install {PROGRAM} anew, or name another in {PROGRAM_VARIABLE}",
        ) from None
    try:
        return child.wait(timeout_s)
    except subprocess.TimeoutExpired:
        raise Refusal(
            "timed_out",
            f"{PROGRAM} {verb} gave no answer within {timeout_s:g} s",
            status=504,
            hint="connect and unlock the device, open its Ethereum app, and confirm there what it shows",
        ) from None
    finally:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()


def _refused(verb: str, code: int, said: Path) -> Refusal:
    with said.open("rb") as file:
        text = _COLOUR.sub("", file.read(NUMBERS.ledger_output_max_bytes).decode("utf-8", "replace"))
    lines = ["".join(filter(str.isprintable, line)).strip() for line in text.splitlines()]
    words = next((line for line in reversed(lines) if line), "it said nothing")[:_SAID_MAX]
    how = f"was ended by signal {-code}" if code < 0 else f"ended with {code}"
    return Refusal(
        "ledger_refused",
        f"{PROGRAM} {verb} {how}: {words}",
        status=502,
        hint="connect and unlock the device, open its Ethereum app, and confirm there what it shows",
    )


def _written(path: Path) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        raise _wrong("it wrote no file") from None
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise _wrong("what it wrote is no plain file")
        return file.read(NUMBERS.ledger_output_max_bytes + 1)


def _hex(answer: Mapping[str, Any], name: str, digits: int) -> bytes:
    text = answer.get(name)
    if type(text) is not str:
        raise _wrong(f"{name} is missing, or no text")
    text = text.removeprefix("0x").removeprefix("0X")
    if not 0 < len(text) <= digits or not set(text) <= set("0123456789abcdefABCDEF"):
        raise _wrong(f"{name} is not 1 to {digits} hex digits")
    return bytes.fromhex(text.zfill(len(text) + len(text) % 2))


def _scalar(answer: Mapping[str, Any], name: str) -> int:
    number = int.from_bytes(_hex(answer, name, 64), "big")
    if not 0 < number < ORDER:
        raise _wrong(f"{name} is outside the group of secp256k1")
    return number


def _wrong(detail: str) -> Refusal:
    return Refusal(
        "ledger_output",
        f"{PROGRAM} wrote what cannot be used: {detail}",
        status=502,
        hint='`key` writes {"key": HEX, "address": HEX}, `sign` {"ecdsa": {"v": N, "r": HEX, "s": HEX}}',
    )
