"""The keystore file: exact layout, round trip, and what a hostile file cannot do."""

from __future__ import annotations

import copy
import json
import stat
from pathlib import Path
from typing import Any

import pytest

from capabilities import keystore
from capabilities.keys import KeyType, PrivateKey
from capabilities.keystore import KeystoreFault, seal, unseal

PASSPHRASE = "correct horse"


@pytest.fixture(scope="module")
def key() -> PrivateKey:
    return PrivateKey.generate()


@pytest.fixture(scope="module")
def sealed(key: PrivateKey) -> dict[str, Any]:
    return seal("dms", key, PASSPHRASE)


@pytest.fixture
def document(sealed: dict[str, Any]) -> dict[str, Any]:
    return copy.deepcopy(sealed)


def test_the_layout(document: dict[str, Any]) -> None:
    assert list(document) == ["id", "version", "crypto"]
    crypto = document["crypto"]
    assert list(crypto) == ["cipher", "ciphertext", "cipherparams", "kdf", "kdfparams", "mac"]
    assert (document["id"], document["version"], crypto["cipher"]) == ("dms", 3, "aes-256-ctr")
    params = crypto["kdfparams"]
    assert {name: params[name] for name in ("n", "r", "p", "dklen")} == {
        "n": 262144,
        "r": 8,
        "p": 1,
        "dklen": 64,
    }
    assert len(bytes.fromhex(params["salt"])) == 64
    assert len(bytes.fromhex(crypto["cipherparams"]["iv"])) == 16
    assert len(bytes.fromhex(crypto["mac"])) == 32


def test_through_a_file(tmp_path: Path, key: PrivateKey, document: dict[str, Any]) -> None:
    path = tmp_path / "key" / "dms.json"
    keystore.write(path, document)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert path.read_text() == json.dumps(document, indent=2)
    assert list(path.parent.iterdir()) == [path]
    assert unseal(keystore.read(path), PASSPHRASE).public == key.public
    with pytest.raises(KeystoreFault, match="mac mismatch"):
        keystore.delete(path, "wrong")
    keystore.delete(path, PASSPHRASE)
    with pytest.raises(KeystoreFault, match="key not found"):
        keystore.read(path)


def test_cheap_documents_of_others_open_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cost stands in the file; a short passphrase of an old file still opens it."""
    monkeypatch.setattr(keystore, "_N", 1024)
    monkeypatch.setattr(keystore, "PASSPHRASE_MIN", 1)
    key = PrivateKey.generate(KeyType.Secp256k1)
    assert unseal(seal("old", key, "x"), "x").public == key.public


def test_passphrases_that_protect_nothing(key: PrivateKey, document: dict[str, Any]) -> None:
    for passphrase, code in (("", "passphrase_empty"), ("seven77", "passphrase_short")):
        with pytest.raises(KeystoreFault) as caught:
            seal("dms", key, passphrase)
        assert caught.value.code == code
    with pytest.raises(KeystoreFault) as caught:
        unseal(document, "")
    assert caught.value.code == "passphrase_empty"


@pytest.mark.parametrize("name", ["", "a/b", "../dms", "x" * 65, "new\nline", ".hidden"])
def test_names_that_are_no_file_names(name: str, key: PrivateKey) -> None:
    with pytest.raises(KeystoreFault):
        seal(name, key, PASSPHRASE)


def test_an_altered_ciphertext(document: dict[str, Any]) -> None:
    text = document["crypto"]["ciphertext"]
    document["crypto"]["ciphertext"] = ("0" if text[0] != "0" else "1") + text[1:]
    with pytest.raises(KeystoreFault) as caught:
        unseal(document, PASSPHRASE)
    assert caught.value.code == "keystore_mac"


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (("version",), 4),
        (("version",), "3"),
        (("version",), True),
        (("crypto",), []),
        (("crypto", "cipher"), "aes-128-ctr"),
        (("crypto", "kdf"), "pbkdf2"),
        (("crypto", "mac"), "00"),
        (("crypto", "mac"), "zz" * 32),
        (("crypto", "ciphertext"), "00" * 5000),
        (("crypto", "cipherparams"), {"iv": "00"}),
        (("crypto", "kdfparams", "n"), 1 << 30),
        (("crypto", "kdfparams", "n"), 262143),
        (("crypto", "kdfparams", "n"), 1),
        (("crypto", "kdfparams", "n"), 1e3),
        (("crypto", "kdfparams", "r"), 1 << 20),
        (("crypto", "kdfparams", "p"), 0),
        (("crypto", "kdfparams", "p"), 16),
        (("crypto", "kdfparams", "dklen"), 1 << 40),
        (("crypto", "kdfparams", "salt"), "00" * 1000),
        (("crypto", "kdfparams", "salt"), None),
    ],
)
def test_hostile_members_are_refused_before_any_work(
    document: dict[str, Any], monkeypatch: pytest.MonkeyPatch, where: tuple[str, ...], value: object
) -> None:
    def no_work(*_: object) -> bytes:
        pytest.fail("scrypt ran on parameters of a hostile file")

    monkeypatch.setattr(keystore, "_stretch", no_work)
    target = document
    for name in where[:-1]:
        target = target[name]
    target[where[-1]] = value
    with pytest.raises(KeystoreFault) as caught:
        unseal(document, PASSPHRASE)
    assert caught.value.detail


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b"\xff\xfe", b"[" * 10_000, b" " * 20_000])
def test_files_that_hold_no_key(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "dms.json"
    path.write_bytes(data)
    with pytest.raises(KeystoreFault):
        keystore.read(path)
