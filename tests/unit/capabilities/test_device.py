"""The contract with `ledger-cli`, against a stand-in that is a real process and really signs."""

from __future__ import annotations

import dataclasses
import os
import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from capabilities import device
from capabilities.device import LedgerKey, ledger_key
from capabilities.did import did_of, key_of
from capabilities.keys import KeyType
from capabilities.numbers import NUMBERS
from capabilities.refusal import Refusal
from capabilities.tokens import issue, revoke, verify
from capabilities.wallets import ORDER
from tests.support import ledger_cli
from tests.support.services import wait_for

MESSAGE = b"dms:token:{}"


@pytest.fixture(autouse=True)
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    made = ledger_cli.install(tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("DMS_PASSPHRASE", "not for the program")
    for name in ("STAND_IN", "STAND_IN_SEED", "DMS_LEDGER_CLI"):
        monkeypatch.delenv(name, raising=False)
    return made


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> LedgerKey:
    """The key of account 3, of which the program was asked once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DMS_LEDGER_CLI", str(ledger_cli.install(tmp_path_factory.mktemp("program"))))
        return ledger_key(3)


def refusal_of(mode: str, call: object, *arguments: object) -> Refusal:
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Refusal) as caught:
        patch.setenv("STAND_IN", mode)
        call(*arguments)  # type: ignore[operator]
    assert caught.value.hint
    return caught.value


def test_what_it_signs_verifies_like_any_token(known: LedgerKey) -> None:
    did = did_of(known.public)
    assert did.startswith("did:key:zzCHUy")
    assert key_of(did).type is KeyType.Eth
    assert did_of(ledger_key(4).public) != did
    now = time.time_ns()
    token = issue(known, action="delegate", subject=did, capabilities=["/dms"], expires_ns=now + 10**12)
    verify(token, now_ns=now)
    verify(revoke(known, token), now_ns=now)
    with pytest.raises(Refusal, match="signature"):
        verify(dataclasses.replace(token, capabilities=("/",)), now_ns=now)


@pytest.mark.parametrize("mode", ["high", "low", "flat"])
def test_forms_of_a_signature(mode: str, known: LedgerKey, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAND_IN", mode)
    signature = known.sign(MESSAGE)
    assert decode_dss_signature(signature)[1] <= ORDER // 2
    assert known.public.verify(MESSAGE, signature)


@pytest.mark.parametrize("mode", ["other message", "plain"])
def test_a_signature_over_something_else_goes_nowhere(mode: str, known: LedgerKey) -> None:
    refusal = refusal_of(mode, known.sign, MESSAGE)
    assert refusal.code == "ledger_wrong_key"
    assert known.address in refusal.detail


def test_another_device_cannot_sign_for_this_one(known: LedgerKey, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAND_IN_SEED", "another device")
    assert refusal_of("", known.sign, MESSAGE).code == "ledger_wrong_key"


def test_refused_on_the_device(known: LedgerKey) -> None:
    refusal = refusal_of("refuse", known.sign, MESSAGE)
    assert refusal.code == "ledger_refused"
    assert "sign ended with 1: Error: denied by the user (0x6985)" in refusal.detail
    assert "signal 9: it said nothing" in refusal_of("killed", ledger_key, 0).detail


@pytest.mark.parametrize(
    ("mode", "said"),
    [
        ("nothing", "no file"),
        ("fifo", "no plain file"),
        ("huge", "are allowed"),
        ("write:", "JSON"),
        ("write:\x01\x7fELF", "JSON"),
        ("write:[]", "no JSON object"),
        ('write:{"key":1,"r":1}', "no text"),
        ('write:{"key":"","r":"","s":"1"}', "hex"),
        ('write:{"key":"zz","r":"0x","s":"1"}', "hex"),
        ('write:{"key":"02' + "f" * 64 + '","r":"0","s":"1"}', "secp256k1"),
        (f'write:{{"key":"{"0" * 131}","r":"{ORDER:x}","s":"1"}}', "secp256k1|hex"),
        (f'write:{{"key":"04{"1" * 128}","r":"1","s":"{"f" * 65}"}}', "secp256k1|hex"),
        ('write:{"key":"' + "é" * 66 + '","ecdsa":[]}', "hex|no object"),
    ],
)
def test_garbage(mode: str, said: str, known: LedgerKey) -> None:
    for refusal in (refusal_of(mode, ledger_key, 0), refusal_of(mode, known.sign, MESSAGE)):
        assert refusal.code == "ledger_output"
        assert any(words in refusal.detail for words in said.split("|")), refusal.detail


def test_an_address_that_is_not_the_keys(known: LedgerKey) -> None:
    text = f'write:{{"key":"{known.public.raw.hex()}","address":"0x{"0" * 40}"}}'
    assert known.address in refusal_of(text, ledger_key, 0).detail


def test_a_compressed_key_without_address_will_do(known: LedgerKey, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAND_IN", f'write:{{"key":"0x{known.public.raw.hex().upper()}"}}')
    assert ledger_key(3) == known


def test_a_hang_ends_with_all_that_it_began(
    tmp_path: Path, program: Path, known: LedgerKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    fifo = tmp_path / "open"
    os.mkfifo(fifo)
    # The child holds the pipe open as long as it lives.
    program.write_text(f"#!/bin/sh\nexec 3<>{fifo}\necho there >&3\nsleep 1000 &\nwait\n")
    monkeypatch.setattr(device, "NUMBERS", dataclasses.replace(NUMBERS, ledger_sign_timeout_s=2.0))
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    refusal = refusal_of("", known.sign, MESSAGE)
    assert refusal.code == "timed_out"
    assert "no answer within 2 s" in refusal.detail
    assert wait_for(lambda: _closed(reader), what="the end of what hung")
    os.close(reader)


def _closed(reader: int) -> bool:
    try:
        return not os.read(reader, 100)
    except BlockingIOError:
        return False


def test_a_program_that_is_missing_or_does_not_start(
    program: Path, known: LedgerKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    program.write_text("#!/nowhere/at/all\n")
    assert "does not start" in refusal_of("", ledger_key, 0).detail
    program.unlink()
    refusal = refusal_of("", known.sign, MESSAGE)
    assert refusal.code == "ledger_program_missing"
    assert "DMS_LEDGER_CLI" in refusal.hint
    monkeypatch.setenv("DMS_LEDGER_CLI", "/nowhere/ledger")
    assert "/nowhere/ledger" in refusal_of("", ledger_key, 0).detail


def test_more_than_verifies_is_not_asked_for(known: LedgerKey) -> None:
    refusal = refusal_of("killed", known.sign, bytes(NUMBERS.token_wallet_max_bytes + 1))
    assert refusal.code == "ledger_message"
