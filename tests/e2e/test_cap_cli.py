"""`./dms cap` and `./dms key` as black boxes: three contexts, a chain between them, and every way to say no."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support import ledger_cli
from tests.support.site import Site

ASKED = "/dms/node/peers"


@pytest.fixture(scope="module")
def contexts(site: Site) -> dict[str, str]:
    """The contexts of an organisation and of a user, by name their DIDs."""
    site.json("key", "new", "unit-key")
    assert (
        site.json("cap", "new", "unit", "--key", "unit-key")["did"]
        == site.json("key", "did", "unit-key")["did"]
    )
    return {name: site.json("cap", "new", name)["did"] for name in ("org", "me")} | {
        "unit": site.json("key", "did", "unit-key")["did"]
    }


def cap(site: Site, *words: str, code: int = 0) -> Any:
    done = site.cli("cap", *words, "--json", check=False)
    assert done.returncode == code, (words, done.stdout, done.stderr)
    return json.loads(done.stdout) if done.stdout else json.loads(done.stderr or "{}")


def test_a_chain_over_three_contexts(site: Site, contexts: dict[str, str], tmp_path: Path) -> None:
    elsewhere = contexts["org"]
    given = cap(site, "grant", "-c", "org", contexts["unit"], "/dms", "--depth", "4", "--days", "3")
    assert list(given["tok"][0]["dms"])[:3] == ["act", "iss", "sub"]
    assert cap(site, "delegate", "-c", "unit", contexts["me"], ASKED, code=1)["title"] == "not authorized"
    assert cap(site, "anchor", "-c", "unit", "--provide", json.dumps(given))["anchored"] == 1
    handed = cap(site, "delegate", "-c", "unit", contexts["me"], ASKED, "--audience", elsewhere)
    file = tmp_path / "handed.json"
    file.write_text(json.dumps(handed["tok"][0]))  # one token alone, from a file
    cap(site, "anchor", "-c", "me", "--provide", str(file))
    (drawn,) = cap(site, "inspect", str(file))["tokens"]
    assert [link["issuer"] for link in drawn["links"]] == [contexts["unit"], contexts["org"]]
    assert drawn["links"][1]["depth"] == 4
    assert "└─ rests on" in site.cli("cap", "inspect", str(file)).stdout
    # More than was given is not to be had.
    assert "covers" in cap(site, "delegate", "-c", "unit", contexts["me"], "/", code=1)["detail"]
    altered = json.loads(json.dumps(handed))
    altered["tok"][0]["dms"]["cap"] = ["/dms"]
    (drawn,) = cap(site, "inspect", json.dumps(altered), code=1)["tokens"]
    assert any("signature" in fault for fault in drawn["links"][0]["faults"])
    assert (
        cap(site, "anchor", "-c", "me", "--provide", json.dumps(altered), code=1)["title"] == "not authorized"
    )
    yes = cap(site, "check", "--who", contexts["me"], "--can", ASKED, "--on", elsewhere)
    assert yes["Allowed"]
    assert len(yes["Chain"]) == 2
    revocation = cap(site, "revoke", "-c", "org", json.dumps(given))
    cap(site, "anchor", "-c", "unit", "--revoke", json.dumps(revocation))
    assert cap(site, "list", "-c", "unit")["provide"] == {}
    assert cap(site, "delegate", "-c", "unit", contexts["me"], ASKED, code=1)["title"] == "not authorized"
    # Only its issuer revokes a token.
    assert "only" in cap(site, "revoke", "-c", "unit", json.dumps(given), code=1)["detail"]


def test_here_yes_and_no_with_the_command_that_helps(site: Site, contexts: dict[str, str]) -> None:
    who = contexts["me"]
    no = cap(site, "check", "--who", who, "--can", ASKED, code=1)
    assert no["Commands"] == [f"here: ./dms cap grant {who} {ASKED}"]
    cap(site, *no["Commands"][0].removeprefix("here: ./dms cap ").split())
    assert cap(site, "check", "--who", who, "--can", ASKED)["Allowed"]
    cap(site, "anchor", "--root", who)
    assert cap(site, "check", "--who", who, "--can", "/dms/cap/anchor")["Why"] == "a root of this node"
    assert cap(site, "remove", "--root", who)["removed"] == 1
    assert cap(site, "remove", "--root", who, code=1)["title"] == "not found"
    (token,) = [item for item in cap(site, "list")["items"] if item["subject"] == who]
    cap(site, "revoke", str(token["id"]))
    assert "no token" in cap(site, "check", "--who", who, "--can", ASKED, code=1)["Why"]
    written = site.cli("audit", "export", "--path", "/dms/cap").stdout.splitlines()
    paths = [json.loads(line)["path"] for line in written]
    assert {"/dms/cap/grant", "/dms/cap/root/anchor", "/dms/cap/root/remove", "/dms/cap/revoke"} <= set(paths)
    verdict = site.json("audit", "verify")
    assert verdict["verified"]
    assert verdict["entries"] >= len(written)


def test_a_grant_by_a_hardware_wallet(
    site: Site, contexts: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DMS_LEDGER_CLI", str(ledger_cli.install(tmp_path)))
    site.json("key", "ledger-alias", "set", "work", "2")
    did = cap(site, "new", "ledger:work")["did"]
    assert site.json("key", "did", "ledger:2")["did"] == did
    given = cap(site, "grant", "-c", "ledger:work", contexts["me"], "/dms")
    (drawn,) = cap(site, "inspect", json.dumps(given))["tokens"]
    assert drawn["holds"]
    cap(site, "anchor", "-c", "me", "--provide", json.dumps(given))
    yes = cap(site, "check", "-c", "ledger:work", "--who", contexts["me"], "--can", ASKED)
    assert [link["issuer"] for link in yes["Chain"]] == [did]
    monkeypatch.setenv("STAND_IN", "refuse")
    assert "denied" in cap(site, "grant", "-c", "ledger:work", contexts["me"], "/dms", code=1)["detail"]


def test_files_and_mistakes(site: Site, contexts: dict[str, str]) -> None:
    saved = Path(cap(site, "save", "-c", "org")["file"])
    assert json.loads(saved.read_text())["did"] == {"uri": contexts["org"]}
    assert cap(site, "load", "-c", "org", str(saved))["roots"] == 0
    assert "belongs to" in cap(site, "load", "-c", "me", str(saved), code=1)["detail"]
    assert cap(site, "list", "-c", "nobody", code=1)["title"] == "not found"
    for words in (
        ("anchor",),
        ("anchor", "--root", contexts["me"], "--require", "{}"),
        ("grant", contexts["me"], "dms"),
        ("grant", contexts["me"], "/dms", "--days", "1", "--expiry", "2099-01-01"),
        ("grant", contexts["me"], "/dms", "--expiry", "2001-01-01"),
        ("grant", contexts["me"], "/dms", "--expiry", "soon"),
    ):
        assert site.cli("cap", *words, check=False).returncode == 2, words
    for text in ("{", "/nowhere"):
        assert site.cli("cap", "inspect", text, check=False).returncode == 1, text
    assert "INFO" not in site.cli("user", "invite", "--role", "viewer").stderr
    assert site.cli("key", "delete", "unit-key", "--yes").returncode == 0
    assert (
        "key not found" in site.cli("cap", "grant", "-c", "unit", contexts["me"], "/dms", check=False).stderr
    )
