"""Onboard, change what is onboarded, offboard: the node's offer as a row, under the ledger's lock."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from capabilities.numbers import NUMBERS
from capabilities.refusal import Reason, Refusal
from node.freed import freed
from node.hardware import HardwareFacts, Usage
from node.ledger import Headroom, not_onboarded
from node.models import Node, Onboarding, Reservation
from node.onboarding import Limits, Offer, decide, read_offer, refused
from node.quantities import show_bytes, show_cores
from node.registry import Call
from node.resources import Resources, add
from node.selectors import sustained_cpu_percent
from node.services.ledger import expire, ledger, lock
from node.services.machine import node_event, probe


def limits() -> Limits:
    """Return the site's limits."""
    return Limits(
        min_centicores=NUMBERS.onboard_min_cores * 100,
        min_percent=NUMBERS.onboard_min_share_percent,
        max_percent=NUMBERS.onboard_max_share_percent,
        min_disk_bytes=NUMBERS.onboard_min_disk_bytes,
    )


def onboard(call: Call, resources: Mapping[str, Any], *, gpus: str = "", no_gpu: bool = False) -> Resources:
    """Offer a part of the machine, or change what is offered; `Refusal` with every limit that is broken.

    `resources`, `gpus`: see `node.onboarding.read_offer`. What is promised already stays covered.
    """
    facts = HardwareFacts.parse(call.node.hardware or probe().hardware())
    usage = Usage.parse(probe().usage())
    offer, unreadable = read_offer(resources, gpus, no_gpu, facts)
    if unreadable:
        raise refused("bad_request", unreadable)
    try:
        with transaction.atomic():
            return _write(call, offer, facts, usage)
    except IntegrityError:
        # Two first onboardings at once: the second one finds the row of the first.
        with transaction.atomic():
            return _write(call, offer, facts, usage)


def _write(call: Call, offer: Offer, facts: HardwareFacts, usage: Usage) -> Resources:
    node = call.node
    before = lock(node) if status(node) else None
    view = ledger(node)
    held = view.allocated
    amount = decide(
        offer,
        facts,
        limits=limits(),
        disk_free_bytes=usage.disk_free_bytes + held.disk_bytes,
        headroom=_headroom(node, usage, held),
        reserved=add(view.committed, held),
    )
    values: dict[str, Any] = {
        "cpu_centicores": amount.cpu_centicores,
        "ram_bytes": amount.ram_bytes,
        "disk_bytes": amount.disk_bytes,
        "gpus": [gpu.document() for gpu in amount.gpus],
        "no_gpu": offer.no_gpu,
    }
    if before is None:
        Onboarding.objects.create(node=node, **values)
    else:
        Onboarding.objects.filter(pk=before.pk).update(**values, updated_at=timezone.now())
    text = (
        f"{'onboarded' if before is None else 'changed what is onboarded to'} "
        f"{show_cores(amount.cpu_centicores)}, {show_bytes(amount.ram_bytes)} of memory, "
        f"{show_bytes(amount.disk_bytes)} of disk, {len(amount.gpus)} GPUs"
    )
    node_event(node, "onboarding", text, actor=call.invoker.did, onboarded=amount.document())
    freed.send(sender=None, node_id=node.pk)
    return amount


def offboard(call: Call) -> None:
    """Offer nothing any more; `Refusal` that lists the work while some is promised or runs."""
    node = call.node
    expire(call.now)
    with transaction.atomic():
        row = lock(node)
        lines = list(Reservation.objects.filter(node=node).order_by("allocation_id"))
        if lines:
            raise Refusal(
                "work_is_running",
                f"{len(lines)} allocations hold resources of this machine: "
                + ", ".join(line.allocation_id for line in lines[:20]),
                status=409,
                hint="shut their deployments down first",
                reasons=tuple(
                    Reason(
                        "running",
                        f"{line.allocation_id} is {line.state}",
                        line.allocation_id,
                        hint=f"./dms shutdown {line.deployment_id}",
                    )
                    for line in lines
                ),
            )
        row.delete()
        node_event(node, "onboarding", "offboarded", actor=call.invoker.did)


def status(node: Node) -> bool:
    """Say whether the node offers anything."""
    return Onboarding.objects.filter(node=node).exists()


def require_onboarded(node: Node) -> None:
    """`Refusal` when the node is not onboarded."""
    if not status(node):
        raise not_onboarded()


def _headroom(node: Node, usage: Usage, held: Resources) -> Headroom:
    """Return what is free on the machine now, counting what our own allocations use as theirs to keep."""
    cpu = None
    sustained = sustained_cpu_percent(node, timezone.now())
    if sustained is not None and usage.cpu_centicores:
        used = round(usage.cpu_centicores * min(sustained, usage.cpu_percent) / 100)
        cpu = usage.cpu_centicores - max(0, used - held.cpu_centicores)
    vram = {gpu.identity: gpu.vram_bytes for gpu in held.gpus}
    return Headroom(
        cpu_centicores=cpu,
        ram_bytes=usage.ram_free_bytes + held.ram_bytes,
        gpu_vram_bytes={
            use.gpu.identity: use.vram_free_bytes + vram.get(use.gpu.identity, 0)
            for use in usage.gpus
            if use.gpu.vram_bytes
        },
    )
