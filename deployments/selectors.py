"""Reads of deployments: the only way an adapter obtains rows, so that strangers' rows do not exist for it."""

from __future__ import annotations

from django.db.models import QuerySet

from capabilities.models import Identity
from capabilities.services import is_root
from deployments.models import Allocation, Deployment


def visible_to(identity: Identity) -> QuerySet[Deployment]:
    """Return the deployments `identity` may see: its own; all of them for a root of the site."""
    rows = Deployment.objects.all()
    return rows if is_root(identity) else rows.filter(owner=identity)


def allocations_visible_to(identity: Identity) -> QuerySet[Allocation]:
    """Return the allocations `identity` may see."""
    rows = Allocation.objects.all()
    return rows if is_root(identity) else rows.filter(owner=identity)
