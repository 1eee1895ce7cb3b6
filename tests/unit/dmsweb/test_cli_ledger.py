"""`./dms key` and `./dms cap` with keys on a hardware wallet, whose program is played by a stand-in."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from capabilities import hardware
from capabilities.did import did_of
from capabilities.keys import PrivateKey
from capabilities.models import AuditEntry, Context
from dmsweb import migrating
from dmsweb.cli.main import run
from tests.support import ledger_cli
from tests.unit.node.doorway import house

pytestmark = pytest.mark.django_db
FRIEND = did_of(PrivateKey.generate().public)
PEERS = "/dms/node/peers"

Dms = Callable[..., Any]


@pytest.fixture
def dms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Dms]:
    """Run a command and return the document that it prints; `code` is how it ends."""
    monkeypatch.setenv("DMS_LEDGER_CLI", str(ledger_cli.install(tmp_path)))
    monkeypatch.setenv("DMS_HOME", str(settings.DMS_HOME.root))
    # The test's database is migrated; a home of its own is another test's matter (tests/e2e/test_cap_cli.py).
    monkeypatch.setattr(migrating, "is_current", lambda: True)
    for name in ("STAND_IN", "STAND_IN_SEED"):
        monkeypatch.delenv(name, raising=False)

    def run_json(*words: str, code: int = 0) -> Any:
        capsys.readouterr()
        ended = run([*words, "--json"])
        said = capsys.readouterr()
        assert ended == code, (words, said.out, said.err)
        return json.loads(said.out) | {"stderr": said.err}

    with house():
        yield run_json
    for file in settings.DMS_HOME.root.glob(f"{hardware.FILE}*"):
        file.unlink()


def test_a_chain_that_begins_on_the_device(dms: Dms, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = dms("key", "did", "ledger")
    assert shown["account"] == 0
    assert shown["address"].startswith("0x")
    made = dms("cap", "new", "ledger")
    assert (made["name"], made["did"]) == ("ledger:0", shown["did"])
    assert dms("cap", "new", "ledger:0", code=1)["title"] == "context exists"
    dms("key", "ledger-alias", "set", "work", "1")
    mine = dms("cap", "new", "ledger:work")
    assert mine["name"] == "ledger:1"

    given = dms("cap", "grant", "-c", "ledger", "ledger:work", "/dms", "--depth", "4", "--days", "9")
    assert f"account 0, {shown['address']}" in given.pop("stderr")
    assert given["tok"][0]["dms"]["sub"] == {"uri": mine["did"]}
    (drawn,) = dms("cap", "inspect", json.dumps(given))["tokens"]
    assert drawn["holds"]
    assert dms("cap", "anchor", "-c", "ledger:work", "--provide", json.dumps(given))["anchored"] == 1

    handed = dms("cap", "delegate", "-c", "ledger:1", FRIEND, PEERS)
    del handed["stderr"]
    (drawn,) = dms("cap", "inspect", json.dumps(handed))["tokens"]
    assert [link["issuer"] for link in drawn["links"]] == [mine["did"], shown["did"]]
    assert drawn["holds"]

    # What stands in the rows is read and changed without the device.
    monkeypatch.setenv("DMS_LEDGER_CLI", "/nowhere/ledger")
    dms("cap", "anchor", "-c", "ledger:work", "--root", FRIEND)
    listed = dms("cap", "list", "-c", "ledger:1")
    assert listed["roots"] == [{"uri": FRIEND}]
    assert len(listed["provide"]["tok"]) == 1
    assert dms("cap", "check", "-c", "ledger:work", "--who", FRIEND, "--can", PEERS)["Allowed"]
    assert dms("cap", "remove", "-c", "ledger:01", "--root", FRIEND)["removed"] == 1
    no = dms("cap", "check", "-c", "ledger:work", "--who", FRIEND, "--can", PEERS, code=1)
    assert no["Commands"] == [f"here: ./dms cap grant -c ledger:work {FRIEND} {PEERS}"]
    saved = Path(dms("cap", "save", "-c", "ledger:work")["file"])
    assert saved.name == "ledger:1.cap"
    assert dms("cap", "load", "-c", "ledger:work", str(saved))["provide"] == 1
    missing = dms("cap", "revoke", "-c", "ledger", json.dumps(given), code=1)
    assert missing["title"] == "ledger program missing"

    monkeypatch.setenv("DMS_LEDGER_CLI", str(tmp_path / "ledger-cli"))
    revocation = dms("cap", "revoke", "-c", "ledger", json.dumps(given))
    del revocation["stderr"]
    dms("cap", "anchor", "-c", "ledger:work", "--revoke", json.dumps(revocation))
    assert dms("cap", "list", "-c", "ledger:work")["provide"] == {}
    noted = AuditEntry.objects.filter(path="/dms/cap/grant").get()
    assert noted.request["Context"] == "ledger:0"


def test_the_check_of_a_context_counts_what_another_one_here_holds(dms: Dms) -> None:
    org, mine = (dms("cap", "new", f"ledger:{account}")["did"] for account in (5, 6))
    assert not dms("cap", "check", "-c", "ledger:5", "--who", mine, "--can", PEERS, code=1)["Allowed"]
    given = dms("cap", "grant", "-c", "ledger:5", mine, "/dms")
    del given["stderr"]
    dms("cap", "anchor", "-c", "ledger:6", "--provide", json.dumps(given))
    yes = dms("cap", "check", "-c", "ledger:5", "--who", "ledger:6", "--can", PEERS)
    assert yes["Allowed"]
    assert [link["issuer"] for link in yes["Chain"]] == [org]


def test_what_the_device_will_not_do(dms: Dms, monkeypatch: pytest.MonkeyPatch) -> None:
    dms("cap", "new", "org", "--key", "ledger:2")
    assert Context.objects.get(name="org").key_name == "ledger:2"
    monkeypatch.setenv("STAND_IN", "refuse")
    no = dms("cap", "grant", "-c", "org", FRIEND, PEERS, code=1)
    assert "denied by the user" in no["detail"]
    assert "unlock" in no["hint"]
    assert dms("cap", "new", "ledger:3", code=1)["title"] == "ledger refused"
    monkeypatch.setenv("STAND_IN", "")
    monkeypatch.setenv("STAND_IN_SEED", "another device")
    assert dms("cap", "grant", "-c", "org", FRIEND, PEERS, code=1)["title"] == "ledger wrong key"
    assert not AuditEntry.objects.filter(path="/dms/cap/grant").exists()


def test_names_are_what_they_are(dms: Dms) -> None:
    assert dms("cap", "list", "-c", "ledger:3", code=1)["title"] == "not found"
    assert dms("cap", "list", "-c", "ledger:wrok", code=1)["detail"].startswith("ledger alias not found")
    assert "cannot be negative" in dms("key", "did", "ledger:-1", code=1)["detail"]
    assert "cannot be negative" in dms("key", "ledger-alias", "set", "work", "-1", code=1)["detail"]
    assert dms("key", "ledger-alias", "set", "7", "1", code=1)["title"] == "ledger alias"
    assert dms("key", "ledger-alias", "set", "work", "x", code=2)["title"] == "wrong usage"
    assert dms("cap", "new", "ledger:1", "--key", "org", code=1)["title"] == "invalid context"
    assert dms("key", "new", "ledger:1", code=1)["title"] == "hardware key"
    # A name that only begins like it is a key of the keystore.
    assert "key not found" in dms("key", "did", "ledgers", code=1)["detail"]


def test_aliases(dms: Dms) -> None:
    assert dms("key", "ledger-alias", "list")["items"] == []
    assert dms("key", "ledger-alias", "set", "work", "1")["before"] is None
    assert dms("key", "ledger-alias", "set", "work", "2")["before"] == 1
    listed = dms("key", "ledger-alias", "list")
    assert (listed["items"], listed["total"]) == ([{"alias": "work", "account": 2}], 1)
    assert dms("key", "did", "ledger:work")["account"] == 2
    assert dms("key", "ledger-alias", "remove", "work")["removed"]
    assert dms("key", "ledger-alias", "remove", "work", code=1)["title"] == "ledger alias not found"
    assert settings.DMS_HOME.path(hardware.FILE).stat().st_mode & 0o777 == 0o600
