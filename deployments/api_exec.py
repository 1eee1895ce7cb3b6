"""The REST resource of exec sessions, read-only: one is begun by the behavior /dms/node/allocation/exec."""

from __future__ import annotations

from typing import ClassVar

from django.db.models import QuerySet
from rest_framework import serializers, viewsets

from capabilities.asking import identity_of
from deployments.models import ExecSession
from deployments.selectors import exec_sessions_visible_to


class ExecSessionSerializer(serializers.ModelSerializer[ExecSession]):
    """Who ran what inside which allocation, and how it ended."""

    owner = serializers.CharField(source="owner.did", read_only=True)
    allocation_id = serializers.CharField(read_only=True)

    class Meta:
        model = ExecSession
        fields = (
            "id",
            "allocation_id",
            "owner",
            "command",
            "tty",
            "user",
            "source",
            "created_at",
            "opened_at",
            "ended_at",
            "exit_code",
            "reason",
            "bytes_in",
            "bytes_out",
        )


class ExecSessionViewSet(viewsets.ReadOnlyModelViewSet[ExecSession]):
    """Commands that were run inside allocations."""

    capability: ClassVar = "/dms/node/deployment/info"
    serializer_class = ExecSessionSerializer
    queryset = ExecSession.objects.none()
    filterset_fields: ClassVar = {"allocation": ["exact"], "allocation__deployment": ["exact"]}
    ordering_fields: ClassVar = ["created_at", "ended_at"]
    search_fields: ClassVar = ["allocation__id", "owner__name"]
    ordering: ClassVar = ["-created_at", "-pk"]

    def get_queryset(self) -> QuerySet[ExecSession]:
        """Return what the caller may see."""
        return exec_sessions_visible_to(identity_of(self.request))
