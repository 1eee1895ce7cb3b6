"""The schema of the release before, with work that runs: migrated at the next start, and the work goes on unharmed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.e2e.working import allocation, containers, deploy, ensemble, onboard_when_free, reached, shut_down
from tests.support.require import ROOT, require
from tests.support.services import postgres_cluster
from tests.support.site import Site, running_site

# The newest migrations of release 0.0, the one that deployed and did no more.
PREVIOUS = {
    "accounts": "0001_initial",
    "capabilities": "0001_initial",
    "deployments": "0001_initial",
    "node": "0001_initial",
}
COUNT = "SELECT COUNT(*) FROM django_migrations WHERE app = 'deployments'"


@contextmanager
def a_site(database: str) -> Iterator[Site]:
    if database == "sqlite":
        with running_site() as site:
            yield site
        return
    require("postgres")
    with postgres_cluster() as url, running_site({"DATABASE_URL": url}) as site:
        yield site


def manage(site: Site, *words: str, code: str = "") -> str:
    done = subprocess.run(
        [sys.executable, "manage.py", *words, *(("-c", code) if code else ())],
        cwd=ROOT,
        env={**os.environ, **site.environment, "DMS_HOME": str(site.home)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def count_migrations(site: Site) -> int:
    code = (
        f"from django.db import connection as c; k = c.cursor(); k.execute({COUNT!r}); print(k.fetchone()[0])"
    )
    return int(manage(site, "shell", "-v", "0", code=code).splitlines()[-1])


@pytest.mark.timeout(400)
@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_work_of_the_release_before_is_adopted(database: str) -> None:
    for name in ("docker", "assets", "bwrap"):
        require(name)
    with a_site(database) as site:
        onboard_when_free(site)
        boxed = deploy(site, ensemble("echo here; sleep 600"))
        sandboxed = deploy(site, ensemble("echo here; sleep 600", executor="process"))
        for key in (boxed, sandboxed):
            reached(site, key, "Running")
        before, sandbox = containers(boxed), allocation(site, sandboxed)["execution_id"]
        site.cli("down")
        for app in ("deployments", "node", "capabilities", "accounts"):
            manage(site, "migrate", app, PREVIOUS[app], "-v", "0")
        assert count_migrations(site) == 1

        site.up()
        assert count_migrations(site) > 1
        for key in (boxed, sandboxed):
            reached(site, key, "Running")
        assert containers(boxed) == before
        assert allocation(site, sandboxed)["execution_id"] == sandbox
        restarted = site.cli("restart", boxed).returncode
        assert restarted == 0
        reached(site, boxed, "Running")
        shut_down(site, boxed, sandboxed)
        assert containers(boxed) == []
        left = site.json("resources")
        assert left["free"] == left["onboarded"]
