"""Every table has a rule, the rules say the truth, and thirty days of a busy site stay bounded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.conf import settings
from django.contrib.sessions.models import Session
from django.db import connection, models
from django.utils import timezone

from capabilities import retention
from capabilities.models import AuditEntry, Token
from capabilities.numbers import NUMBERS
from capabilities.retention import Aged, Follows, Newest, Rule, Stays, Swept, rules, sweep
from deployments import states
from deployments.models import (
    Allocation,
    AllocationAttempt,
    AllocationSample,
    AllocationTombstone,
    Deployment,
    DeploymentEvent,
    ExecSession,
)
from deployments.services.removal import take_away
from deployments.services.samples import is_kept
from dmsweb.accounts.models import LoginLink, User
from node.models import NodeEvent, SeenNonce, UsageSample
from node.nonces import NS
from tests.unit.deployments import world

pytestmark = pytest.mark.django_db(databases=["default", "nonces"])
START = datetime(2026, 1, 1, tzinfo=timezone.get_default_timezone())
DOCS = Path(settings.BASE_DIR) / "docs" / "operations.md"


def all_models() -> list[type[models.Model]]:
    """Every table but those that only join two others: their rows go with either."""
    return list(apps.get_models())


def of(model: str) -> list[Rule]:
    return [rule for rule in rules() if rule.model == model]


@pytest.mark.parametrize("model", [model._meta.label for model in all_models()])
def test_every_table_has_a_rule(model: str) -> None:
    assert of(model), f"{model}: say in the app's retention module what bounds it"
    for rule in of(model):
        assert len(rule.why) > 10


def test_no_rule_speaks_of_a_table_that_is_not_there() -> None:
    known = {model._meta.label for model in all_models()}
    assert {rule.model for rule in rules()} <= known
    for rule in rules():
        if isinstance(rule, Follows):
            parents = {
                field.related_model._meta.label
                for field in apps.get_model(rule.model)._meta.get_fields()
                if isinstance(field, models.ForeignKey)
                and field.remote_field.on_delete is models.CASCADE
                and not isinstance(field.related_model, str)
            }
            assert rule.parent in parents, f"{rule.model} does not go with {rule.parent}"
            assert of(rule.parent)


def test_the_docs_tell_every_rule() -> None:
    text = DOCS.read_text()
    missing = [
        rule.model for rule in rules() if not isinstance(rule, Stays) and f"`{rule.model}`" not in text
    ]
    assert not missing


def test_one_that_fails_stops_no_other(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(now: datetime) -> int:
        raise OSError("the disk is full")

    node = world.make_node()
    NodeEvent.objects.create(node=node, kind="x", text="x", at=START)
    mine = [Swept(model="node.Node", why="", by=broken), *of("node.NodeEvent")]
    monkeypatch.setattr(retention, "rules", lambda: iter(mine))
    assert sweep(timezone.now()) == {"node.NodeEvent": 1}
    assert "the disk is full" in caplog.text


def test_of_each_parent_the_newest_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "DELETE_AT_ONCE", 3)
    one, two = world.make_node(), world.make_node()
    for count, node in ((12, one), (4, two)):
        for number in range(count):
            NodeEvent.objects.create(node=node, kind="x", text=str(number))
    rule = Newest(model="node.NodeEvent", why="", per="node", most=5)
    assert rule.sweep(START) == 7
    assert [event.text for event in one.events.order_by("pk")] == ["7", "8", "9", "10", "11"]
    assert two.events.count() == 4
    assert Newest(model="node.NodeEvent", why="", most=2).sweep(START) == 7
    assert NodeEvent.objects.count() == 2
    assert Newest(model="node.NodeEvent", why="", most=2).sweep(START) == 0


def test_what_has_ended_long_ago_is_deleted_and_its_tombstone_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    node, owner = world.make_node(), world.make_owner()
    old, young, running = (
        world.submit(node, owner, world.ensemble({"one": world.allocation()})) for _ in range(3)
    )
    Allocation.objects.filter(deployment=old).update(attempt=1, started_at=START)
    now = timezone.now()
    long_ago = now - timedelta(seconds=NUMBERS.deployment_kept_s + 60)
    Deployment.objects.filter(pk=old.pk).update(status=states.COMPLETED, completed_at=long_ago)
    Deployment.objects.filter(pk=young.pk).update(status=states.COMPLETED, completed_at=now)
    Deployment.objects.filter(pk=running.pk).update(status=states.RUNNING, created_at=long_ago)
    begun = Allocation.objects.filter(deployment=old).count()
    assert sweep(now) == {"deployments.Deployment": 1}
    take_away(lambda key: None)
    assert set(Deployment.objects.values_list("pk", flat=True)) == {young.pk, running.pk}
    assert AllocationTombstone.objects.count() == begun


class Busy:
    """A site on which something happens all the time: rows as its processes write them, a day at once."""

    def __init__(self) -> None:
        self.node, self.owner = world.make_node(), world.make_owner()
        self.user = User.objects.create_user("bob", password=None)
        deployment = world.submit(self.node, self.owner, world.ensemble({"one": world.allocation("service")}))
        Deployment.objects.filter(pk=deployment.pk).update(status=states.RUNNING)
        self.deployment = deployment
        self.allocation = deployment.allocations.first() or Allocation.objects.create(
            id=f"{deployment.pk}_here.one",
            deployment=deployment,
            owner=self.owner,
            node=self.node,
            ensemble_node="here",
            name="one",
            type="service",
            executor="process",
            spec={},
            dns_name="one",
        )
        self.attempt = 0
        self.before: datetime | None = None

    def day(self, begin: datetime) -> None:
        """Write a day's rows: samples each two minutes, and what a restless workload and busy people cause."""
        UsageSample.objects.bulk_create(
            UsageSample(node=self.node, at=at, cpu_percent=1, ram_used_bytes=1, disk_used_bytes=1)
            for at in moments(begin, 720)
        )
        samples = []
        for at in moments(begin, 720):
            samples.append(AllocationSample(allocation=self.allocation, at=at, kept=is_kept(at, self.before)))
            self.before = at
        AllocationSample.objects.bulk_create(samples)
        restarts = []
        for at in moments(begin, 300):
            self.attempt += 1
            restarts.append(
                AllocationAttempt(
                    allocation=self.allocation,
                    number=self.attempt,
                    execution_id=f"e{self.attempt}",
                    asked_at=at,
                    ended_at=at,
                )
            )
        AllocationAttempt.objects.bulk_create(restarts)
        DeploymentEvent.objects.bulk_create(
            DeploymentEvent(deployment=self.deployment, kind="allocation", text="restarting", at=at)
            for at in moments(begin, 900)
        )
        NodeEvent.objects.bulk_create(
            NodeEvent(node=self.node, kind="x", text="x", at=at) for at in moments(begin, 50)
        )
        SeenNonce.objects.bulk_create(
            SeenNonce(key=f"{at.timestamp()}", expires_ns=int(at.timestamp() + 30) * NS)
            for at in moments(begin, 600)
        )
        AuditEntry.objects.bulk_create(
            AuditEntry(at=at, actor="did:key:z", path="/x", outcome="refused", source="peer")
            for at in moments(begin, 400)
        )
        Session.objects.bulk_create(
            Session(session_key=f"s{at.timestamp()}", session_data="", expire_date=at + timedelta(days=14))
            for at in moments(begin, 20)
        )
        LoginLink.objects.bulk_create(
            LoginLink(user=self.user, digest=f"{at.timestamp()}", expires_at=at + timedelta(seconds=600))
            for at in moments(begin, 20)
        )
        Token.objects.bulk_create(
            Token(
                owner=self.owner,
                issuer="i",
                subject="s",
                action="invoke",
                nonce=f"{at.timestamp()}"[:32],
                document={},
                expires_at=at + timedelta(hours=1),
            )
            for at in moments(begin, 20)
        )
        ExecSession.objects.bulk_create(
            ExecSession(
                allocation=self.allocation,
                owner=self.owner,
                execution_id="e",
                digest=f"{at.timestamp()}",
                expires_at=at,
                opened_at=at if turn % 2 else None,
                ended_at=at if turn % 2 else None,
            )
            for turn, at in enumerate(moments(begin, 400))
        )


def moments(begin: datetime, count: int) -> Iterator[datetime]:
    for turn in range(count):
        yield begin + timedelta(seconds=86_400 * turn / count)


def test_thirty_days_of_a_busy_site_stay_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    # With limits of some days, so that thirty of them are long.
    few = {"capabilities.AuditEntry": 2_000, "node.NodeEvent": 500, "deployments.ExecSession": 1_000}
    short = [
        Newest(model=rule.model, why=rule.why, per=rule.per, only=rule.only, most=few[rule.model])
        if isinstance(rule, Newest) and rule.model in few
        else Aged(model=rule.model, why=rule.why, moment=rule.moment, only=rule.only, kept_s=5 * 86_400.0)
        if isinstance(rule, Aged) and rule.model == "capabilities.Token"
        else rule
        for rule in rules()
    ]
    monkeypatch.setattr(retention, "rules", lambda: iter(short))
    site = Busy()
    pages: list[int] = []
    for day in range(30):
        site.day(START + timedelta(days=day))
        sweep(START + timedelta(days=day + 1))
        pages.append(page_count())
    left = Counter({model._meta.label: model._default_manager.count() for model in all_models()})
    day_s = 86_400.0
    bounds: dict[str, float] = {
        "node.UsageSample": 720 * NUMBERS.usage_retention_s / day_s,
        "deployments.AllocationSample": 720 + 288 * 7 + 2,
        "deployments.AllocationAttempt": NUMBERS.attempts_max,
        "deployments.DeploymentEvent": NUMBERS.deployment_events_max,
        "deployments.ExecSession": 1_000 + 1,
        "node.NodeEvent": 500,
        "node.SeenNonce": 600 * (NUMBERS.nonce_kept_after_s + 60) / day_s + 1,
        "capabilities.AuditEntry": 2_000,
        "capabilities.Token": 20 * 5 + 1,
        "sessions.Session": 20 * 14 + 1,
        "accounts.LoginLink": 20 + 1,
    }
    for model, most in bounds.items():
        assert 0 < left[model] <= most, (model, left[model], most)
    newest: dict[str, Any] = AllocationAttempt.objects.aggregate(models.Max("number"), models.Min("number"))
    assert newest == {"number__max": 9_000, "number__min": 9_000 - NUMBERS.attempts_max + 1}
    if pages[0]:
        assert pages[-1] <= 1.05 * pages[19], "what is freed is not used again"


def page_count() -> int:
    """Return how many pages SQLite's file has; 0 elsewhere."""
    if connection.vendor != "sqlite":
        return 0
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA page_count")
        return int(cursor.fetchone()[0])
