"""Commit, allocate, release, expire on rows: all or nothing, idempotent, and every reason said."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from capabilities.numbers import NUMBERS
from capabilities.refusal import Refusal
from node.models import Node, Onboarding, PortReservation, Reservation, UsageSample
from node.outside import OUTSIDE
from node.resources import Gpu, Resources
from node.services import ledger
from node.services.ledger import Granted, LedgerItem
from tests.unit.node.machines import GIB, StillProbe, make_node, usage

pytestmark = pytest.mark.django_db

SMALL = Resources(100, GIB, GIB)


@pytest.fixture(autouse=True)
def probe(monkeypatch: pytest.MonkeyPatch) -> StillProbe:
    still = StillProbe()
    monkeypatch.setattr(OUTSIDE, "probe", still)
    return still


@pytest.fixture
def node() -> Node:
    return make_node()


def commit(node: Node, *items: LedgerItem, deployment: str = "d1", **options: Any) -> dict[str, Granted]:
    expires_at = options.pop("expires_at", timezone.now() + timedelta(minutes=5))
    return ledger.commit(
        node, deployment_id=deployment, owner=node.identity, items=items, expires_at=expires_at, **options
    )


def test_free_is_what_is_onboarded_less_committed_and_allocated(node: Node) -> None:
    commit(node, LedgerItem("a", SMALL), LedgerItem("b", Resources(50, GIB, GIB)))
    ledger.allocate("a")
    view = ledger.ledger(node, usage(ram_used_bytes=3 * GIB).document())
    assert view.committed.cpu_centicores == 50
    assert view.allocated.cpu_centicores == 100
    assert view.free.cpu_centicores == 50
    assert view.free.ram_bytes == 6 * GIB
    assert view.used_by_others.ram_bytes == 2 * GIB


def test_a_refused_commit_leaves_nothing_behind_and_names_every_gap(node: Node) -> None:
    commit(node, LedgerItem("first", SMALL, (20_000,)))
    items = [LedgerItem("a", Resources(200, 9 * GIB, GIB), (20_001, 20_000), 2), LedgerItem("b", SMALL)]
    with pytest.raises(Refusal) as caught:
        commit(node, *items, deployment="d2")
    assert [reason.check for reason in caught.value.reasons] == ["cpu", "ram", "ports"]
    assert Reservation.objects.count() == 1
    assert list(PortReservation.objects.values_list("port", flat=True)) == [20_000]


def test_a_commit_sent_again_answers_the_same_and_takes_nothing_more(node: Node) -> None:
    item = LedgerItem("a", Resources(150, GIB, GIB, (Gpu(vram_bytes=4 * GIB),)), (20_000,), 2)
    first = commit(node, item)
    assert commit(node, item) == first
    assert len(first["a"].ports) == 3
    assert first["a"].ports[0] == 20_000
    assert first["a"].resources.gpus[0].uuid == "GPU-a"
    with pytest.raises(Refusal, match="already committed"):
        commit(node, LedgerItem("a", SMALL))
    for ports in ((), 2), ((20_000,), 1), ((20_001,), 2):
        with pytest.raises(Refusal, match="other resources or ports"):
            commit(node, LedgerItem("a", item.resources, *ports))


def test_a_promise_ends_by_itself(node: Node) -> None:
    now = timezone.now()
    commit(node, LedgerItem("a", Resources(200, GIB, GIB), (20_000,)), expires_at=now + timedelta(seconds=9))
    assert ledger.expire(now) == 0
    assert ledger.expire(now + timedelta(seconds=10)) == 1
    assert not Reservation.objects.exists()
    assert not PortReservation.objects.exists()


def test_an_overdue_promise_never_blocks_and_cannot_be_used(node: Node) -> None:
    past = timezone.now() - timedelta(seconds=1)
    commit(node, LedgerItem("a", Resources(200, GIB, GIB)), expires_at=past)
    assert ledger.ledger(node).free.cpu_centicores == 200
    with pytest.raises(Refusal, match="its promise has expired"):
        ledger.allocate("a")
    commit(node, LedgerItem("b", Resources(200, GIB, GIB)))
    assert list(Reservation.objects.values_list("allocation_id", flat=True)) == ["b"]


def test_what_is_in_use_does_not_expire(node: Node) -> None:
    commit(node, LedgerItem("a", SMALL))
    ledger.allocate("a")
    ledger.allocate("a")
    assert ledger.expire(timezone.now() + timedelta(days=1)) == 0
    assert ledger.ledger(node).allocated.cpu_centicores == 100


def test_only_what_was_committed_can_be_allocated(node: Node) -> None:
    with pytest.raises(Refusal, match="allocation not committed: x: nothing is committed"):
        ledger.allocate("x")


def test_release_gives_back_lines_and_ports_and_can_be_repeated(node: Node) -> None:
    commit(node, LedgerItem("a", SMALL, (20_000,)), LedgerItem("b", SMALL, (20_001,)))
    ledger.release(["a", "unknown"])
    ledger.release(["a"])
    assert list(PortReservation.objects.values_list("port", flat=True)) == [20_001]
    assert ledger.ledger(node).free.cpu_centicores == 100


def test_the_machine_itself_must_have_it_free(node: Node, probe: StillProbe) -> None:
    probe.now = usage(ram_used_bytes=14 * GIB, disk_free_bytes=GIB)
    with pytest.raises(Refusal) as caught:
        commit(node, LedgerItem("a", Resources(100, 4 * GIB, 10 * GIB)))
    assert [reason.check for reason in caught.value.reasons] == ["machine.ram", "machine.disk"]


def test_promises_not_yet_in_use_count_against_the_machine(node: Node) -> None:
    tight = usage(ram_used_bytes=11 * GIB).document()
    commit(node, LedgerItem("a", Resources(100, 4 * GIB, GIB)), usage=tight)
    with pytest.raises(Refusal, match="1 GiB available"):
        commit(node, LedgerItem("b", Resources(100, 2 * GIB, GIB)), usage=tight)


def test_a_core_busy_for_a_moment_is_there_and_one_busy_for_minutes_is_not(node: Node) -> None:
    busy = usage(cpu_percent=100.0).document()
    commit(node, LedgerItem("a", SMALL), usage=busy)
    ledger.release(["a"])
    now = timezone.now()
    for seconds in range(1, int(NUMBERS.cpu_sustained_s), 10):
        UsageSample.objects.create(
            node=node,
            at=now - timedelta(seconds=seconds),
            cpu_percent=100.0,
            ram_used_bytes=0,
            disk_used_bytes=0,
        )
    with pytest.raises(Refusal) as caught:
        commit(node, LedgerItem("a", SMALL), usage=busy)
    assert [reason.check for reason in caught.value.reasons] == ["machine.cpu"]


def test_a_gpu_is_shared_by_vram_and_never_beyond_it(node: Node) -> None:
    def share(size: int) -> Resources:
        return Resources(1, GIB, GIB, (Gpu(vram_bytes=size * GIB),))

    commit(node, LedgerItem("a", share(12)), LedgerItem("b", share(8)))
    with pytest.raises(Refusal, match="GPU"):
        commit(node, LedgerItem("c", share(1)))
    ledger.release(["b"])
    with pytest.raises(Refusal, match="whole GPU"):
        commit(node, LedgerItem("c", Resources(1, GIB, GIB, (Gpu(),))))
    ledger.release(["a"])
    assert (
        commit(node, LedgerItem("c", Resources(1, GIB, GIB, (Gpu(),))))["c"].resources.gpus[0].vram_bytes
        == 20 * GIB
    )


def test_vram_others_use_is_not_given(node: Node, probe: StillProbe) -> None:
    other = usage().gpus[0]
    probe.now = usage(gpus=(type(other)(other.gpu, 35 * GIB),))
    with pytest.raises(Refusal, match="GPU"):
        commit(node, LedgerItem("a", Resources(1, GIB, GIB, (Gpu(vram_bytes=10 * GIB),))))


def test_check_says_what_a_commit_would_and_changes_nothing(node: Node, probe: StillProbe) -> None:
    probe.busy = frozenset({20_000})
    generation = Onboarding.objects.get().generation
    assert ledger.check(node, SMALL, static_ports=[20_001], dynamic_ports=3) == ()
    reasons = ledger.check(node, [SMALL, SMALL, SMALL], static_ports=[20_000, 80], dynamic_ports=60_000)
    assert [reason.check for reason in reasons] == ["cpu", "ports", "ports", "ports"]
    assert not Reservation.objects.exists()
    assert Onboarding.objects.get().generation == generation


def test_a_machine_that_offers_nothing_says_so() -> None:
    node = make_node("bare", onboard=False)
    assert ledger.check(node, SMALL)[0].message == "machine is not onboarded"
    assert ledger.ledger(node).free == Resources()
    with pytest.raises(Refusal, match="machine is not onboarded"):
        commit(node, LedgerItem("a", SMALL))
