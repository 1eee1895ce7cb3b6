"""What is left of deleted allocations, over REST."""

from __future__ import annotations

from typing import ClassVar

from django.db.models import QuerySet
from rest_framework import serializers, viewsets

from capabilities.asking import identity_of
from deployments.models import AllocationTombstone
from deployments.selectors import tombstones_visible_to


class TombstoneSerializer(serializers.ModelSerializer[AllocationTombstone]):
    """An allocation that was started once, and whose deployment is deleted."""

    class Meta:
        model = AllocationTombstone
        fields = "__all__"


class TombstoneViewSet(viewsets.ReadOnlyModelViewSet[AllocationTombstone]):
    """Allocations of deleted deployments."""

    capability: ClassVar = "/dms/node/deployment/list"
    serializer_class = TombstoneSerializer
    queryset = AllocationTombstone.objects.none()
    lookup_value_regex = "[^/]+"
    filterset_fields: ClassVar = {
        "deployment_id": ["exact"],
        "node_name": ["exact"],
        "deleted_at": ["gte", "lte"],
    }
    ordering_fields: ClassVar = ["deleted_at", "started_at", "ended_at", "name"]
    search_fields: ClassVar = ["allocation_id", "deployment_name", "image"]
    ordering: ClassVar = ["-deleted_at", "allocation_id"]

    def get_queryset(self) -> QuerySet[AllocationTombstone]:
        """Return what the caller may see."""
        return tombstones_visible_to(identity_of(self.request))
