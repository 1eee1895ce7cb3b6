"""Measure the machine: ask for it, do it, keep it. Rows are the truth; the sweep finds what a message lost."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.utils import timezone

from capabilities.numbers import NUMBERS
from capabilities.refusal import Refusal
from node.benchmarks import VERSION, hardware_hash
from node.live import changed
from node.models import BenchmarkRun, Node, Reservation
from node.services.machine import node_event, probe
from node.wake import wake

MEASURE = "workers.tasks.benchmark.measure"
Status = BenchmarkRun.Status
OPEN = (Status.WANTED, Status.RUNNING)


def newest(node: Node) -> BenchmarkRun | None:
    """Return the newest measurement, done or not."""
    return BenchmarkRun.objects.filter(node=node).order_by("-asked_at", "-pk").first()


def registered(node: Node) -> BenchmarkRun | None:
    """Return the newest measurement that is done."""
    return BenchmarkRun.objects.filter(node=node, status=Status.DONE).order_by("-asked_at", "-pk").first()


def is_current(row: BenchmarkRun, node: Node) -> bool:
    """Say whether its figures are those of the hardware as it is, in today's way of measuring."""
    return (
        row.status == Status.DONE and row.version == VERSION and row.hardware == hardware_hash(node.hardware)
    )


def ask(node: Node, *, by: str = "", force: bool = False, reason: str = "") -> BenchmarkRun:
    """Ask for a measurement, or return the one that is due already; Refusal while work runs, unless forced."""
    busy = Reservation.objects.filter(node=node).count()
    if busy and not force:
        raise Refusal(
            "busy",
            f"{busy} allocations run or begin here: measuring would disturb them, and they the figures",
            status=409,
            hint="wait until they have ended, or ask with Force (./dms benchmark --force)",
        )
    try:
        with transaction.atomic():
            row = BenchmarkRun.objects.create(node=node, asked_by=by, forced=force, reason=reason[:200])
            wake(MEASURE, row.pk, queue=f"executor.{node.pk}")
            changed(f"node.{node.pk}")
    except IntegrityError:
        return BenchmarkRun.objects.get(node=node, status__in=OPEN)
    return row


def measure(pk: int) -> bool:
    """Measure, if nobody has begun; False when there was nothing to do. Takes up to `benchmark_budget_s`."""
    now = timezone.now()
    if not BenchmarkRun.objects.filter(pk=pk, status=Status.WANTED).update(
        status=Status.RUNNING, started_at=now
    ):
        return False
    row = BenchmarkRun.objects.select_related("node").get(pk=pk)
    if Reservation.objects.filter(node=row.node).exists() and not row.forced:
        return _end(row, Status.FAILED, "work has begun on this machine meanwhile")
    try:
        row.results = probe().benchmark(NUMBERS.benchmark_budget_s)
    except Exception as error:  # noqa: BLE001 - whatever goes wrong, the row must say so
        return _end(row, Status.FAILED, f"measuring failed: {error}")
    row.version, row.hardware = VERSION, hardware_hash(row.node.hardware)
    return _end(row, Status.DONE, row.reason)


def _end(row: BenchmarkRun, status: BenchmarkRun.Status, reason: str) -> bool:
    with transaction.atomic():
        row.status, row.reason, row.ended_at = status, reason[:200], timezone.now()
        row.save()
        text = "measured" if status == Status.DONE else f"not measured: {reason}"
        node_event(row.node, "benchmark", text, actor=row.asked_by)
    return True


def sweep(node: Node, now: datetime) -> BenchmarkRun | None:
    """Fail what its worker has left, measure again after a change of the hardware; return what is to be done now."""
    lost = now - timedelta(seconds=NUMBERS.benchmark_lost_s)
    for row in BenchmarkRun.objects.filter(node=node, status=Status.RUNNING, started_at__lt=lost):
        _end(row, Status.FAILED, "its worker ended while it measured")
    waiting = BenchmarkRun.objects.filter(node=node, status=Status.WANTED).first()
    if waiting is not None:
        return waiting
    done = registered(node)
    if (
        done is None
        or not node.hardware
        or is_current(done, node)
        or Reservation.objects.filter(node=node).exists()
    ):
        return None
    last = newest(node)
    if last is not None and last.pk != done.pk and last.hardware == hardware_hash(node.hardware):
        return None
    return ask(node, reason="the hardware or the way of measuring has changed")
