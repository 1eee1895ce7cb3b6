"""Delete and prune: only what has ended, only one's own, rows and files gone, a tombstone of what was started."""

from __future__ import annotations

import os
import shutil
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from capabilities.refusal import Refusal
from deployments.models import Allocation, AllocationTombstone, Deployment, DeploymentEvent
from deployments.selectors import tombstones_visible_to, visible_to
from deployments.services.advance import deployment_advance
from deployments.services.removal import take_away
from tests.unit.deployments import world
from tests.unit.deployments.test_behaviors import Site, site
from workers.keeping import Kept, sweep, too_much
from workers.kept import root

__all__ = ["site"]
pytestmark = pytest.mark.django_db


def finished(site: Site, who, days_ago: int = 0) -> Deployment:
    made = site.ask(who, "new", Ensemble=world.ensemble({"one": world.allocation()}))["EnsembleID"]
    deployment_advance(made)
    row = Allocation.objects.get(deployment=made)
    assert world.started(row)
    assert world.ended(row, "completed")
    deployment_advance(made)
    Deployment.objects.filter(pk=made).update(completed_at=timezone.now() - timedelta(days=days_ago))
    return Deployment.objects.get(pk=made)


def test_what_is_deleted_is_gone_and_leaves_a_tombstone(site: Site) -> None:
    ended = finished(site, site.alice)
    assert ended.status == "Completed"
    assert site.ask(site.alice, "delete", ID=ended.pk)["OK"]
    assert not visible_to(site.alice).exists()
    removed: list[str] = []
    assert take_away(removed.append) == 1
    assert removed == [ended.pk]
    assert not Deployment.objects.exists() and not DeploymentEvent.objects.exists()
    stone = tombstones_visible_to(site.alice).get()
    assert (stone.deployment_id, stone.name, stone.status) == (ended.pk, "here.one", "completed")
    assert stone.owner_did == stone.deleted_by == site.alice.did
    assert stone.started_at and stone.ended_at
    assert not tombstones_visible_to(site.bob).exists()
    assert take_away(removed.append) == 0


def test_what_runs_or_belongs_to_others_is_not_deleted(site: Site) -> None:
    made = site.ask(site.alice, "new", Ensemble=world.ensemble({"one": world.allocation()}))["EnsembleID"]
    with pytest.raises(Refusal) as runs:
        site.ask(site.alice, "delete", ID=made)
    assert runs.value.code == "deployment_not_ended" and "shutdown" in runs.value.hint
    ended = finished(site, site.alice)
    with pytest.raises(Refusal) as stranger:
        site.ask(site.bob, "delete", ID=ended.pk)
    assert stranger.value.status == 404
    with pytest.raises(Refusal) as others:
        site.ask(site.bob, "prune", All=True, AllOwners=True)
    assert others.value.status == 403
    assert site.ask(site.bob, "prune", All=True)["Total"] == 0
    assert Deployment.objects.filter(delete_wanted=False).count() == 2


def test_prune_takes_what_ended_before(site: Site) -> None:
    old, new = finished(site, site.alice, 9), finished(site, site.alice, 1)
    assert site.ask(site.alice, "prune", Before="7d", DryRun=True)["Deployments"] == [old.pk]
    assert visible_to(site.alice).count() == 2
    assert site.ask(site.alice, "prune", Before="7d")["Deployments"] == [old.pk]
    assert list(visible_to(site.alice)) == [new]
    assert site.ask(site.alice, "prune", All=True)["Total"] == 1
    assert AllocationTombstone.objects.count() == 2
    for wrong in ({}, {"All": True, "Before": "7d"}, {"Before": "last week"}):
        with pytest.raises(Refusal):
            site.ask(site.alice, "prune", **wrong)


def test_the_oldest_kept_logs_go_first() -> None:
    kept = [Kept(Path(str(age)), 1000.0 - age, 10) for age in (1, 2, 3, 50)]
    assert [one.at for one in too_much(kept, now=1000, most_s=40, most_bytes=99)] == [950.0]
    assert [one.at for one in too_much(kept, now=1000, most_s=99, most_bytes=25)] == [997.0, 950.0]


def test_folders_of_nobody_are_swept(site: Site) -> None:
    shutil.rmtree(root(), ignore_errors=True)  # what tests before this one kept
    ended = finished(site, site.alice)
    for name in (ended.pk, "f" * 64):
        folder = root() / name / "here.one" / "attempt-1"
        folder.mkdir(parents=True)
        (folder / "stdout.log").write_text("kept\n")
        os.utime(root() / name, (0, 0))
    assert sweep(timezone.now()) == 1
    assert (root() / ended.pk / "here.one" / "attempt-1" / "stdout.log").exists()
    assert not (root() / ("f" * 64)).exists()
    assert sweep(timezone.now() + timedelta(days=365)) == 1
    assert not (root() / ended.pk / "here.one" / "attempt-1").exists()
