"""What the machine is and uses, as rows: facts, samples and the node's timeline."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.utils import timezone

from capabilities.refusal import Refusal
from node.hardware import HardwareFacts, Usage
from node.live import changed
from node.models import Node, NodeEvent, UsageSample
from node.outside import OUTSIDE, Probe


def probe() -> Probe:
    """Return what looks at this machine; `Refusal` in a process that has none."""
    if OUTSIDE.probe is None:
        raise Refusal(
            "not_measured",
            "this process cannot look at the machine",
            status=503,
            hint="ask again when the site's worker runs",
        )
    return OUTSIDE.probe


def record_facts(node: Node) -> HardwareFacts:
    """Measure the machine and keep it with the node; a change is a line of its timeline."""
    document = probe().hardware()
    facts = HardwareFacts.parse(document)
    before = Node.objects.values_list("hardware", flat=True).get(pk=node.pk)
    now = timezone.now()
    with transaction.atomic():
        Node.objects.filter(pk=node.pk).update(
            hardware=document, hostname=facts.hostname[:255], last_seen_at=now
        )
        node.hardware, node.hostname, node.last_seen_at = document, facts.hostname[:255], now
        if before and HardwareFacts.parse(before).resources() != facts.resources():
            node_event(node, "hardware", "the hardware has changed", before=before, after=document)
    return facts


def record_sample(node: Node) -> UsageSample:
    """Measure what is used now and keep it as a sample."""
    usage = Usage.parse(probe().usage())
    now = timezone.now()
    with transaction.atomic():
        Node.objects.filter(pk=node.pk).update(last_seen_at=now)
        sample = UsageSample.objects.create(
            node=node,
            at=now,
            cpu_percent=usage.cpu_percent,
            ram_used_bytes=usage.ram_used_bytes,
            disk_used_bytes=usage.disk_used_bytes,
            gpus=[use.document() for use in usage.gpus],
        )
        changed(f"node.{node.pk}")
    return sample


def node_event(node: Node, kind: str, text: str, actor: str = "", **data: Any) -> NodeEvent:
    """Write a line of the node's timeline; `actor` is a DID, empty for the node itself."""
    event = NodeEvent.objects.create(node=node, kind=kind, text=text, actor=actor, data=data)
    changed(f"node.{node.pk}")
    return event
