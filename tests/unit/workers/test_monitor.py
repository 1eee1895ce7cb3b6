"""Periodic work: registered under the names the schedule uses, and safe to run twice."""

import time
from datetime import timedelta

import pytest
from celery import current_app
from django.utils import timezone

from node.models import Node, Reservation, SeenNonce, UsageSample
from node.outside import OUTSIDE
from node.resources import Resources
from node.services.ledger import LedgerItem, commit
from tests.unit.node.machines import GIB, StillProbe, make_node
from workers.schedule import BEAT_SCHEDULE
from workers.tasks import monitor


@pytest.fixture(autouse=True)
def probe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OUTSIDE, "probe", StillProbe())


def test_every_entry_of_the_schedule_is_a_task_on_a_queue() -> None:
    current_app.loader.import_default_modules()  # as a worker does
    for name, entry in BEAT_SCHEDULE.items():
        assert entry["task"] in current_app.tasks, name
        assert entry["options"]["queue"], name
        assert entry["schedule"] > 0, name


@pytest.mark.django_db
def test_a_sample_is_taken_of_the_local_node_and_none_before_there_is_one() -> None:
    monitor.sample()
    assert not UsageSample.objects.exists()
    node = make_node()
    monitor.sample()
    monitor.sample()
    assert UsageSample.objects.filter(node=node).count() == 2
    assert Node.objects.get().hostname == "box"


@pytest.mark.django_db
def test_overdue_promises_are_taken_back() -> None:
    node = make_node()
    commit(
        node,
        deployment_id="d",
        owner=node.identity,
        items=[LedgerItem("a", Resources(100, GIB, GIB))],
        expires_at=timezone.now() - timedelta(seconds=1),
    )
    monitor.expire_commitments()
    monitor.expire_commitments()
    assert not Reservation.objects.exists()


@pytest.mark.django_db(databases=["default", "nonces"])
def test_old_samples_are_forgotten() -> None:
    node = make_node()
    long_ago = timezone.now() - timedelta(days=400)
    UsageSample.objects.create(node=node, at=long_ago, cpu_percent=1, ram_used_bytes=1, disk_used_bytes=1)
    monitor.retention()
    assert not UsageSample.objects.exists()


@pytest.mark.django_db(databases=["default", "nonces"])
def test_nonces_of_expired_envelopes_are_forgotten() -> None:
    SeenNonce.objects.create(key="old", expires_ns=1)
    SeenNonce.objects.create(key="new", expires_ns=time.time_ns() + 10**12)
    monitor.purge_nonces()
    assert list(SeenNonce.objects.values_list("key", flat=True)) == ["new"]
