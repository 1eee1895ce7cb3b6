"""Samples as rows: kept in bulk, thinned, bounded; and the door to them, for whom it is and for strangers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from capabilities.models import Identity
from capabilities.numbers import NUMBERS
from capabilities.refusal import Refusal
from capabilities.services import identity_for_user
from deployments.models import Allocation, AllocationSample
from deployments.services.advance import deployment_advance
from deployments.services.samples import is_kept, samples_forget, samples_keep
from dmsweb.accounts.services import user_create
from node.door import invoke
from node.models import Node
from tests.unit.deployments import world

pytestmark = pytest.mark.django_db
SECOND_NS = 1_000_000_000


@dataclass
class Site:
    node: Node
    admin: Identity
    alice: Identity
    bob: Identity

    def ask(self, who: Identity, **payload: Any) -> dict[str, Any]:
        path = "/dms/node/allocation/stats"
        return invoke(identity=who, path=path, payload=payload, source="rest", node=self.node).wire()

    def running(self, who: Identity, name: str = "first") -> Allocation:
        tree = world.ensemble({"one": world.allocation("service")}, metadata={"name": name})
        deployment = world.submit(self.node, who, tree)
        deployment_advance(deployment.pk)
        allocation = deployment.allocations.get()
        assert world.started(allocation)
        allocation.refresh_from_db()
        return allocation


@pytest.fixture
def site() -> Site:
    node = world.make_node()
    people = [
        identity_for_user(user_create(name, admin=admin))
        for name, admin in (("root", True), ("alice", False), ("bob", False))
    ]
    return Site(node, *people)


def sample(allocation: Allocation, at: datetime, **values: Any) -> AllocationSample:
    return AllocationSample(allocation=allocation, at=at, attempt=allocation.attempt, **values)


def measure(allocation: Allocation, now: datetime, turns: int = 3) -> None:
    """Keep a sample every ten seconds up to `now`: half of the granted half core, 100 bytes a second received."""
    for turn in range(turns):
        samples_keep(
            [
                sample(
                    allocation,
                    now - timedelta(seconds=10 * (turns - 1 - turn)),
                    kept=turn == 0,
                    cpu_ns=turn * 10 * SECOND_NS // 4,
                    cpu_percent=25.0 if turn else None,
                    rx_bytes=1_000 * turn,
                    ram_used_bytes=1 << 20,
                    pids=2,
                )
            ]
        )


def test_the_newest_figures(site: Site) -> None:
    allocation = site.running(site.alice)
    measure(allocation, timezone.now())
    answer = site.ask(site.alice, EnsembleID=allocation.deployment_id)
    (one,) = answer["Allocations"]
    assert (answer["OK"], answer["Total"], answer["IntervalSeconds"]) == (
        True,
        1,
        NUMBERS.allocation_sample_s,
    )
    assert (one["name"], one["deployment"], one["status"]) == ("here.one", "first", "running")
    assert (one["cpu_percent"], one["cpu_percent_of_granted"], one["cpu_cores_granted"]) == (25.0, 50.0, 0.5)
    assert (one["rx_bytes"], one["rx_bytes_per_s"], one["tx_bytes_per_s"]) == (2_000, 100.0, None)
    assert (one["ram_used_bytes"], one["ram_limit_bytes"], one["pids"]) == (1 << 20, 256 << 20, 2)
    assert "history" not in one


def test_a_worker_that_is_away_tells_nothing_and_neither_does_what_has_ended(site: Site) -> None:
    allocation = site.running(site.alice)
    measure(allocation, timezone.now() - timedelta(minutes=2))
    (one,) = site.ask(site.alice, EnsembleID="first")["Allocations"]
    assert (one["at"], one["cpu_percent"], one["ram_used_bytes"]) == (None, None, None)
    measure(allocation, timezone.now())
    Allocation.objects.update(status="completed")
    (one,) = site.ask(site.alice, EnsembleID="first")["Allocations"]
    assert (one["status"], one["cpu_percent"]) == ("completed", None)


def test_history_in_steps(site: Site) -> None:
    allocation = site.running(site.alice)
    now = timezone.now()
    measure(allocation, now, turns=31)
    start = (now - timedelta(seconds=400)).isoformat()
    (one,) = site.ask(site.alice, EnsembleID="first", AllocationName="one", From=start, Step=10)[
        "Allocations"
    ]
    history = one["history"]
    assert history["step_s"] == 10
    assert len(history["at"]) == 31
    assert history["cpu_percent"][1:] == pytest.approx([25.0] * 30, abs=0.1)
    assert history["rx_bytes_per_s"][0] is None
    assert history["rx_bytes_per_s"][1:] == pytest.approx([100.0] * 30, abs=0.5)
    (one,) = site.ask(site.alice, EnsembleID="first", Step=60)["Allocations"]
    assert 5 <= len(one["history"]["at"]) <= 7
    # From a step on it is enough to read the samples that stay.
    (one,) = site.ask(site.alice, EnsembleID="first", Step=300)["Allocations"]
    assert len(one["history"]["at"]) == 1


def test_everything_that_runs_of_the_caller_s(site: Site) -> None:
    mine, theirs = site.running(site.alice), site.running(site.bob, "second")
    assert [one["id"] for one in site.ask(site.alice)["Allocations"]] == [mine.pk]
    both = site.ask(site.admin)
    assert {one["id"] for one in both["Allocations"]} == {mine.pk, theirs.pk}
    assert both["Total"] == 2
    assert len(site.ask(site.admin, Limit=1, Offset=1)["Allocations"]) == 1


def test_a_stranger_gets_what_does_not_exist(site: Site) -> None:
    allocation = site.running(site.alice)
    measure(allocation, timezone.now())
    with pytest.raises(Refusal) as refused:
        site.ask(site.bob, EnsembleID=allocation.deployment_id)
    assert (refused.value.status, refused.value.code) == (404, "not_found")
    assert site.ask(site.bob)["Allocations"] == []


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        ({"From": "yesterday"}, "not a time with a zone"),
        ({"From": "2026-01-02T00:00:00Z", "To": "2026-01-01T00:00:00Z"}, "not before To"),
        ({"From": "2026-01-01T00:00:00Z", "To": "2026-01-03T00:00:00Z", "Step": 10}, "points, at most"),
        ({"EnsembleID": "", "AllocationName": "one"}, "within a deployment"),
    ],
)
def test_what_cannot_be_is_refused_with_the_reason(site: Site, payload: dict[str, Any], said: str) -> None:
    site.running(site.alice)
    with pytest.raises(Refusal, match=said) as refused:
        site.ask(site.alice, **({"EnsembleID": "first"} | payload))
    assert refused.value.hint


def test_too_many_samples_for_one_answer_are_refused(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.running(site.alice)
    monkeypatch.setattr(NUMBERS.__class__, "stats_rows_max", 100, raising=False)
    with pytest.raises(Refusal, match="about 360 samples, at most 100"):
        site.ask(site.alice, EnsembleID="first", Step=10)


def test_the_number_of_queries_does_not_grow(
    site: Site, django_assert_max_num_queries: Any, django_assert_num_queries: Any
) -> None:
    first = site.running(site.alice)
    measure(first, timezone.now())
    site.ask(site.alice)  # what a process remembers is remembered now
    with django_assert_max_num_queries(20) as few:
        site.ask(site.alice, Step=10)
    for number in range(3):
        measure(site.running(site.alice, f"more{number}"), timezone.now())
    with django_assert_num_queries(len(few)):
        assert len(site.ask(site.alice, Step=10)["Allocations"]) == 4


def test_samples_of_an_allocation_that_has_just_been_deleted_are_left_out(site: Site) -> None:
    kept, gone = site.running(site.alice), site.running(site.alice, "second")
    now = timezone.now()
    samples = [sample(kept, now), sample(gone, now)]
    gone.deployment.delete()
    assert samples_keep(samples) == 1
    assert AllocationSample.objects.get().allocation_id == kept.pk


def test_thirty_days_stay_bounded(site: Site) -> None:
    allocation = site.running(site.alice)
    start = timezone.now() - timedelta(days=30)
    before: datetime | None = None
    # One in ten of the real turns, in which no step is left out.
    for day in range(30):
        rows = []
        for turn in range(864):
            at = start + timedelta(days=day, seconds=100 * turn)
            rows.append(sample(allocation, at, kept=is_kept(at, before), rx_bytes=turn))
            before = at
        AllocationSample.objects.bulk_create(rows)
        samples_forget(start + timedelta(days=day + 1))
        assert AllocationSample.objects.count() <= 864 + 7 * 288 + 2
    samples_forget(timezone.now())
    left = AllocationSample.objects.order_by("at")
    oldest, newest = left.first(), left.last()
    assert oldest
    assert newest
    assert timedelta(days=6) < newest.at - oldest.at < timedelta(days=8)
    raw_since = timezone.now() - timedelta(seconds=NUMBERS.allocation_samples_raw_s)
    assert not left.filter(at__lt=raw_since, kept=False).exists()
    assert left.filter(at__lt=raw_since).count() > 1_000
