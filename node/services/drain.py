"""Drain a node: it takes nothing new, what runs ends, and then it says that nothing runs any more."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from node.freed import freed
from node.live import changed
from node.models import Node, Onboarding, Reservation
from node.services.ledger import lock
from node.services.machine import node_event


def drain(node: Node, *, reason: str, actor: str, now: datetime) -> bool:
    """Begin to drain the node; False when it was begun before (the reason is then replaced).

    The ledger's lock is taken, so that no commit that has begun before is decided afterwards.
    """
    with transaction.atomic():
        if Onboarding.objects.filter(node=node).exists():
            lock(node)
        begun = Node.objects.filter(pk=node.pk, draining_at=None).update(draining_at=now, drained_at=None)
        Node.objects.filter(pk=node.pk).update(drain_reason=reason)
        if begun:
            text = "draining: takes no new work" + (f" ({reason})" if reason else "")
            node_event(node, "draining", text, actor=actor, reason=reason)
        changed(f"node.{node.pk}")
    drained(node, now)
    return bool(begun)


def undrain(node: Node, *, actor: str) -> bool:
    """Let the node take work again; False when it was not drained."""
    with transaction.atomic():
        ended = (
            Node.objects.filter(pk=node.pk)
            .exclude(draining_at=None)
            .update(draining_at=None, drained_at=None, drain_reason="")
        )
        if ended:
            node_event(node, "draining", "takes work again", actor=actor)
            freed.send(sender=None, node_id=node.pk)
    return bool(ended)


def drained(node: Node, now: datetime) -> bool:
    """Note, once, that a node which is being drained holds nothing any more."""
    if Reservation.objects.filter(node=node).exists():
        return False
    with transaction.atomic():
        done = (
            Node.objects.filter(pk=node.pk, drained_at=None).exclude(draining_at=None).update(drained_at=now)
        )
        if done:
            node_event(node, "drained", "drained: nothing runs here any more")
    return bool(done)
