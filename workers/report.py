"""Store what this node can run, so that bids and pages know it without asking the engines."""

from __future__ import annotations

from dataclasses import asdict

from django.utils import timezone

from node.live import changed
from node.models import Node
from node.services.machine import node_event
from workers.executors.registry import availability_report


def record_executors(node: Node) -> None:
    """Store which executors can be used here, and why the others cannot."""
    report = {name: asdict(state) for name, state in availability_report(node.identity.did).items()}
    for name, now in report.items():
        before = (node.executors or {}).get(name) or {}
        if not now["available"] and (before.get("available") or before.get("lost_at")):
            # Since when it is away: what comes in meanwhile waits a while for it to come back.
            now["lost_at"] = before.get("lost_at") or timezone.now().isoformat()
    if report != node.executors:
        Node.objects.filter(pk=node.pk).update(executors=report)
        for name, now in report.items():
            before = (node.executors or {}).get(name)
            if before is None or bool(before.get("available")) != now["available"]:
                word = "can be used" if now["available"] else f"cannot be used: {now['detail']}"
                node_event(node, "executor", f"executor {name} {word}", executor=name)
        node.executors = report
        changed(f"node.{node.pk}")
