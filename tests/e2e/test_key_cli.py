"""`./dms key` as a black box: keys made, taken over from elsewhere, listed and deleted, with no site anywhere."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from tests.support.site import Site

# Seeds and DIDs of the did:key method's own examples.
ZEROS = ("00" * 32, "did:key:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp")
SECP256K1 = (
    "080212209085d2bef69286a6cbb51623c8fa258629945cd55ca705cc4e66700396894e0c",
    "did:key:zQ3shokFTS3brHcDQrn82RUDfCZESWL1ZdCEJwekUDPQiYBme",
)


def key(home: Site, *words: str, code: int = 0, stdin: str | None = None) -> Any:
    """Run `./dms key ..` and return the one document that it prints."""
    done = home.cli("key", *words, "--json", check=False, stdin=stdin)
    assert done.returncode == code, (words, done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    return json.loads(done.stdout)


def listed(home: Site) -> list[str]:
    return [item["name"] for item in key(home, "list")["items"]]


def test_a_key_is_made_shown_and_deleted(tmp_path: Path) -> None:
    home = Site(tmp_path / "home")
    assert key(home, "list") == {"items": [], "total": 0}
    made = key(home, "new", "ann")
    assert made["did"].startswith("did:key:z6Mk")
    assert made["peer_id"].startswith("12D3Koo")
    assert stat.S_IMODE(Path(made["file"]).stat().st_mode) == 0o600
    shown = key(home, "did", "ann")
    assert (shown["did"], shown["peer_id"]) == (made["did"], made["peer_id"])
    assert home.cli("key", "did", "ann").stdout == made["did"] + "\n"
    assert key(home, "new", "bob", "--type", "secp256k1")["did"].startswith("did:key:zQ3s")
    assert listed(home) == ["ann", "bob"]

    # Nothing is replaced unless that is said, and nothing deleted without asking or the passphrase.
    assert key(home, "new", "ann", code=1)["title"] == "key exists"
    assert "--yes" in key(home, "delete", "ann", code=2)["detail"]
    home.environment = {"DMS_PASSPHRASE": "another passphrase"}
    assert key(home, "delete", "ann", "--yes", code=1)["title"] == "keystore mac"
    home.environment = {}
    assert key(home, "did", "ann")["did"] == made["did"]
    assert key(home, "new", "ann", "--force")["did"] != made["did"]
    assert key(home, "delete", "ann", "--yes") == {"name": "ann", "deleted": True}
    assert key(home, "did", "ann", code=1)["title"] == "key not found"
    assert listed(home) == ["bob"]


def test_keys_come_from_hex_and_from_another_keystore(tmp_path: Path) -> None:
    home, other = (
        Site(tmp_path / "home"),
        Site(tmp_path / "other", {"DMS_PASSPHRASE": "a passphrase of hers"}),
    )
    seed, did = ZEROS
    assert key(home, "import", "zeros", "-", stdin=f"0x{seed}\n")["did"] == did
    file = tmp_path / "secp256k1.hex"
    file.write_text(SECP256K1[0])
    assert key(home, "import", "coin", str(file))["did"] == SECP256K1[1]
    assert key(home, "import", "coin", "-", stdin=seed, code=1)["title"] == "key exists"
    assert key(home, "did", "coin")["did"] == SECP256K1[1]

    hers = key(other, "new", "carol")
    assert "DMS_IMPORT_PASSPHRASE" in key(home, "import", "carol", hers["file"], code=2)["detail"]
    home.environment = {"DMS_IMPORT_PASSPHRASE": "something else"}
    assert key(home, "import", "carol", hers["file"], code=1)["title"] == "keystore mac"
    home.environment = {"DMS_IMPORT_PASSPHRASE": "a passphrase of hers"}
    assert key(home, "import", "carol", hers["file"])["did"] == hers["did"]
    # From then on it is under the passphrase of this home.
    home.environment = {}
    assert key(home, "did", "carol")["did"] == hers["did"]
    assert listed(home) == ["carol", "coin", "zeros"]


@pytest.mark.parametrize(
    ("words", "stdin", "code", "kind"),
    [
        (("import", "x", "-"), "", 1, "invalid_key"),
        (("import", "x", "-"), "08021220" + "ff" * 32, 1, "invalid_key"),
        (("import", "x", "-"), '{"version": 3}', 1, "invalid_key"),
        (("import", "x", "/nowhere"), None, 1, "unreadable_file"),
        (("new", "x" * 300), None, 1, "key_name"),
        (("did", "x" * 300), None, 1, "key_name"),
        (("new", "x", "--type", "rsa"), None, 2, "usage"),
    ],
)
def test_what_is_no_key_leaves_none(
    tmp_path: Path, words: tuple[str, ...], stdin: str | None, code: int, kind: str
) -> None:
    home = Site(tmp_path / "home")
    assert key(home, *words, code=code, stdin=stdin)["type"] == f"urn:dms:problem:{kind}"
    assert not list(home.home.glob("key/*"))
