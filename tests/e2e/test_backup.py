"""A site is saved while it runs, lost, and restored: what ran runs on, what was received is not received again."""

from __future__ import annotations

import os
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

from dmsweb.backup import archive
from tests.e2e.working import (
    containers,
    deploy,
    ensemble,
    onboard_when_free,
    reached,
    shut_down,
)
from tests.support.envelopes import Signer, client_of
from tests.support.require import ROOT, require
from tests.support.services import postgres_cluster, wait_for
from tests.support.site import Site, running_site

pytestmark = pytest.mark.timeout(300)


def lose(site: Site) -> None:
    """Let the site go with everything in its home, as a broken disk would."""
    site.cli("down")
    site.home.rename(site.home.with_name("lost"))


def test_saved_while_it_runs_and_restored_onto_an_empty_home(tmp_path: Path) -> None:
    require("docker")
    file = tmp_path / "site.dmsbackup"
    with running_site({"DMS_SWEEP_IDLE_S": "5"}) as site:
        onboard_when_free(site)
        kept = deploy(site, ensemble("echo here; sleep 600"))
        reached(site, kept, "Running")
        before, begun = containers(kept), attempts(site, kept)
        assert len(begun) == 1
        signer = Signer.of_node(site)
        envelope = signer.envelope("/public/hello", ahead_s=550)
        assert signer.invoke(envelope) == {"DID": {"uri": signer.did}}
        site.json("key", "ledger-alias", "set", "work", "3")
        with busy(site):
            answer = site.json("backup", str(file), "--logs")
        assert answer["did"] == site.json("status")["did"]
        assert file.stat().st_mode & 0o777 == 0o600
        assert site.json("backup", str(file), check=False)["title"] == "exists"
        # Accepted after the backup, so that nothing in it knows of them.
        unknown = signer.envelope("/public/hello", ahead_s=550)
        assert signer.invoke(unknown) == {"DID": {"uri": signer.did}}
        late = deploy(site, ensemble("sleep 600"))
        reached(site, late, "Running")
        stray = containers(late)
        assert site.json("restore", str(file), check=False)["title"] == "site runs"

        lose(site)
        restored = site.json("restore", str(file))
        assert restored["did"] == answer["did"]
        assert site.json("key", "ledger-alias", "list")["items"] == [{"alias": "work", "account": 3}]
        site.up()
        reached(site, kept, "Running")
        assert containers(kept) == before
        assert attempts(site, kept) == begun
        wait_for(lambda: not containers(late), timeout_s=90, what=f"the end of {stray}, which no row knows")
        signer.token = site.token
        for old in (envelope, unknown):
            said = str(signer.invoke(old)["type"]).rpartition(":")[2]
            assert said in {"message_replayed", "message_before_restore"}
        shut_down(site, kept)
        assert containers(kept) == []


def test_what_stands_in_the_way_is_said_and_nothing_changes(tmp_path: Path) -> None:
    file = tmp_path / "site.dmsbackup"
    with running_site() as site:
        site.cli("backup", str(file))
        site.cli("down")
        did = site.json("status")["did"]
        assert site.json("restore", str(file), check=False)["title"] == "home in use"
        cut = tmp_path / "cut"
        cut.write_bytes(file.read_bytes()[:-2000])
        answer = site.json("restore", str(cut), "--force", check=False)
        assert answer["title"] == "backup damaged"
        assert site.json("status")["did"] == did
        assert not list(site.home.glob(".restore-*"))
        newer = tmp_path / "newer"
        from_the_future(file, newer)
        answer = site.json("restore", str(newer), "--force", check=False)
        assert (answer["title"], "later release" in answer["detail"]) == ("backup newer", True)
        forced = site.json("restore", str(file), "--force")
        assert (Path(forced["set_aside"]) / "db" / "dms.sqlite3").exists()
        site.up()
        assert site.json("status")["did"] == did
        assert site.json("backup", "/dev/full", "--overwrite", check=False)["title"] == "invalid request"
        full = no_room(site, tmp_path / "full")
        assert full.returncode == 1
        assert "cannot be written" in full.stderr
        assert not [path for path in tmp_path.iterdir() if "full" in path.name or path.name.startswith(".")]
    empty = Site(tmp_path / "nothing")
    assert empty.json("backup", str(tmp_path / "x"), check=False)["title"] == "not found"
    assert not (tmp_path / "nothing").exists()


def test_through_a_pipe_with_postgresql(tmp_path: Path) -> None:
    require("pg_dump")
    with postgres_cluster() as url, running_site({"DATABASE_URL": url}) as site:
        did = site.json("status")["did"]
        site.cli("user", "add", "kim")
        file = tmp_path / "site.dmsbackup"
        site.cli("backup", str(file))
        site.cli("user", "add", "late")
        lose(site)
        assert site.json("restore", str(file), check=False)["title"] == "home in use"
        site.cli("restore", str(file), "--force")
        site.up()
        assert site.json("status")["did"] == did
        assert {one["name"] for one in site.json("user", "list")["items"]} == {"admin", "kim"}


def key_of(site: Site, deployment: str) -> str:
    """Return the key of the deployment's only allocation."""
    with client_of(site, site.token) as http:
        (found,) = (
            http.get("/allocations/", params={"deployment": deployment}).raise_for_status().json()["items"]
        )
    return str(found["id"])


def attempts(site: Site, deployment: str) -> list[dict[str, Any]]:
    """Return the attempts of the deployment's only allocation."""
    key = key_of(site, deployment)
    with client_of(site, site.token) as http:
        found: list[dict[str, Any]] = (
            http.get(f"/allocations/{key}/attempts/").raise_for_status().json()["items"]
        )
    return found


def no_room(site: Site, file: Path) -> subprocess.CompletedProcess[str]:
    """Save the site where no file may be larger than 64 KiB, as on a disk that is full."""
    command = ["bash", "-c", f'ulimit -f 64; exec "{ROOT / "dms"}" backup "{file}"']
    environment = {**os.environ, "DMS_HOME": str(site.home)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)


class busy:  # noqa: N801 - used like a function
    """Write to the site all the time: submissions come in while it is saved."""

    def __init__(self, site: Site) -> None:
        self.site, self.over, self.made = site, threading.Event(), 0
        self.thread = threading.Thread(target=self._write)

    def _write(self) -> None:
        while not self.over.is_set():
            deploy(self.site, ensemble("true", kind="task", executor="process"))
            self.made += 1

    def __enter__(self) -> None:
        self.thread.start()

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.thread.join()
        assert self.made > 0


def from_the_future(file: Path, target: Path) -> None:
    """Write the backup anew as a later release would have: with a migration that this one does not know."""
    folder = target.with_suffix(".files")
    folder.mkdir()
    with file.open("rb") as source:
        manifest = archive.read(source, folder)
    manifest["migrations"]["default"].append("node.9999_from_the_future")
    with target.open("wb") as out:
        archive.write(out, manifest, {name: folder / name for name in manifest["files"]})
