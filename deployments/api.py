"""REST resources of this room, read-only: what changes something is a behavior."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db.models import Q, QuerySet
from django.http import HttpResponseBase
from django.utils.functional import cached_property
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers, viewsets
from rest_framework.decorators import action
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response

from capabilities.asking import identity_of
from capabilities.paging import under
from deployments import states
from deployments.logquery import STREAMS
from deployments.logstream import answer
from deployments.models import (
    DOCUMENTS,
    Allocation,
    AllocationAttempt,
    AllocationSample,
    Bid,
    Deployment,
    DeploymentEvent,
)
from deployments.selectors import (
    allocations_visible_to,
    demand_on,
    deployment_get,
    events_visible_to,
    visible_to,
)
from deployments.services.queue import places
from deployments.spans import HINT
from node.export import Exported
from node.models import DOCUMENTS as NODE_DOCUMENTS
from node.paging import page_of


class DeploymentSerializer(serializers.ModelSerializer[Deployment]):
    """A deployment as lists show it."""

    owner = serializers.CharField(source="owner.did", read_only=True)
    orchestrator = serializers.CharField(source="orchestrator.name", read_only=True)
    queue_place = serializers.SerializerMethodField()
    queue_length = serializers.SerializerMethodField()

    def get_queue_place(self, row: Deployment) -> int | None:
        """Return the place in the queue, null when it does not wait."""
        return self._place(row)[0]

    def get_queue_length(self, row: Deployment) -> int | None:
        """Return how many wait, null when it does not wait itself."""
        return self._place(row)[1]

    @cached_property
    def _places(self) -> dict[str, tuple[int | None, int | None]]:
        return {}

    def _place(self, row: Deployment) -> tuple[int | None, int | None]:
        if row.queued_at is None:
            return (None, None)
        if row.pk not in self._places:
            # Once for all rows of the page.
            self._places[row.pk] = (None, None)
            self._places |= places(getattr(self.parent, "instance", None) or [row])
        return self._places[row.pk]

    class Meta:
        model = Deployment
        fields: tuple[str, ...] = (
            "id",
            "name",
            "owner",
            "orchestrator",
            "status",
            "reason",
            "only_tasks",
            "attempt",
            "metadata",
            "queued_at",
            "queue_until",
            "queue_place",
            "queue_length",
            "deadline_at",
            "created_at",
            "updated_at",
            "running_at",
            "completed_at",
        )


class DeploymentDetailSerializer(DeploymentSerializer):
    """A deployment with what was asked for and what became of it."""

    class Meta(DeploymentSerializer.Meta):
        fields = (*DeploymentSerializer.Meta.fields, "reasons", "source", "ensemble", "manifest")


class AllocationSerializer(serializers.ModelSerializer[Allocation]):
    """One running instance."""

    owner = serializers.CharField(source="owner.did", read_only=True)
    node = serializers.CharField(source="node.name", read_only=True)
    deployment_id = serializers.CharField(read_only=True)

    class Meta:
        model = Allocation
        fields = (
            "id",
            "deployment_id",
            "owner",
            "node",
            "ensemble_node",
            "name",
            "type",
            "executor",
            "level",
            "dns_name",
            "ports",
            "priv_addr",
            "status",
            "reason",
            "detail",
            "progress",
            "exit_code",
            "health",
            "health_detail",
            "health_failures",
            "health_checked_at",
            "attempt",
            "restart_why",
            "restart_at",
            "created_at",
            "started_at",
            "ended_at",
        )


class AttemptSerializer(serializers.ModelSerializer[AllocationAttempt]):
    """One start of an allocation: why it was started, and how it ended."""

    class Meta:
        model = AllocationAttempt
        fields = (
            "number",
            "execution_id",
            "why",
            "asked_at",
            "started_at",
            "ended_at",
            "cause",
            "detail",
            "exit_code",
        )


class AllocationSampleSerializer(serializers.ModelSerializer[AllocationSample]):
    """What an allocation used at one moment; counters run from the start of its attempt."""

    class Meta:
        model = AllocationSample
        fields = (
            "at",
            "attempt",
            "cpu_ns",
            "cpu_percent",
            "ram_used_bytes",
            "ram_limit_bytes",
            "rx_bytes",
            "tx_bytes",
            "read_bytes",
            "written_bytes",
            "disk_used_bytes",
            "pids",
            "gpus",
        )


class EventSerializer(serializers.ModelSerializer[DeploymentEvent]):
    """One line of a deployment's timeline."""

    deployment_id = serializers.CharField(read_only=True)
    allocation_id = serializers.CharField(read_only=True, allow_null=True)

    class Meta:
        model = DeploymentEvent
        fields = ("id", "at", "deployment_id", "allocation_id", "actor", "kind", "text", "data")


class BidSerializer(serializers.ModelSerializer[Bid]):
    """One node's answer to a bid request."""

    deployment_id = serializers.CharField(source="request.deployment_id", read_only=True)
    round = serializers.IntegerField(source="request.round", read_only=True)
    node = serializers.CharField(source="node.name", read_only=True)

    class Meta:
        model = Bid
        fields = (
            "id",
            "deployment_id",
            "round",
            "node",
            "ensemble_node",
            "verdict",
            "bid",
            "reasons",
            "created_at",
        )


class DeploymentViewSet(viewsets.ReadOnlyModelViewSet[Deployment]):
    """Deployments."""

    capability: ClassVar = {"events": "/dms/node/deployment/info", "": "/dms/node/deployment/list"}
    serializer_class = DeploymentSerializer
    queryset = Deployment.objects.none()
    lookup_value_regex = "[^/]+"
    filterset_fields: ClassVar = {
        "status": ["exact", "in"],
        "name": ["exact"],
        "only_tasks": ["exact"],
        "queued_at": ["isnull"],
        "created_at": ["gte", "lte"],
        "updated_at": ["gte", "lte"],
    }
    ordering_fields: ClassVar = ["created_at", "updated_at", "name", "status"]
    search_fields: ClassVar = ["name", "^id"]
    ordering: ClassVar = ["-created_at", "-pk"]

    def search_also(self, word: str) -> Q:
        """Look for the word in reasons, too: of those in a state that has one, which spares reading all others."""
        told = Deployment.objects.filter(status__in=states.WITH_REASON, reason__icontains=word)
        return Q(pk__in=told.values("pk"))

    def get_queryset(self) -> QuerySet[Deployment]:
        """Return what the caller may see; lists leave the long documents in the database."""
        rows = visible_to(identity_of(self.request)).select_related("owner", "orchestrator")
        left_out = (*DOCUMENTS, *under("orchestrator", NODE_DOCUMENTS))
        return rows.defer(*left_out) if self.action == "list" else rows

    def get_serializer_class(self) -> type[serializers.BaseSerializer[Any]]:
        """Return the serializer of a list or of one deployment."""
        return DeploymentDetailSerializer if self.action == "retrieve" else super().get_serializer_class()

    def get_object(self) -> Deployment:
        """Return a deployment by id, by the beginning of it, or by its name."""
        return deployment_get(identity_of(self.request), self.kwargs["pk"])

    @action(detail=True, filterset_fields=(), search_fields=(), serializer_class=EventSerializer)
    def events(self, request: Request, pk: str = "") -> Response:
        """List the deployment's timeline, oldest first."""
        return page_of(self, self.get_object().events.order_by("at", "id"))


class AllocationViewSet(viewsets.ReadOnlyModelViewSet[Allocation]):
    """Allocations."""

    capability: ClassVar = {
        "logs": "/dms/node/deployment/logs",
        "samples": "/dms/node/allocation/stats",
        "": "/dms/node/allocations/list",
    }
    serializer_class = AllocationSerializer
    queryset = Allocation.objects.none()
    lookup_value_regex = "[^/]+"
    filterset_fields: ClassVar = {
        "deployment": ["exact"],
        "status": ["exact", "in"],
        "executor": ["exact"],
        "type": ["exact"],
        "node__name": ["exact"],
    }
    ordering_fields: ClassVar = ["created_at", "started_at", "name", "status", "level"]
    search_fields: ClassVar = ["id", "name", "dns_name"]
    ordering: ClassVar = ["-created_at", "pk"]

    def get_queryset(self) -> QuerySet[Allocation]:
        """Return what the caller may see."""
        rows = allocations_visible_to(identity_of(self.request)).select_related("owner", "node")
        return rows.defer("spec", *under("node", NODE_DOCUMENTS)) if self.action == "list" else rows

    @extend_schema(
        parameters=[
            OpenApiParameter("stream", enum=list(STREAMS), description="Which stream."),
            OpenApiParameter("tail", int, description="Only the last lines."),
            OpenApiParameter("follow", bool, description="Go on until the allocation ends."),
            OpenApiParameter("since", str, description=f"From then on: {HINT}."),
            OpenApiParameter("until", str, description="Up to then; as since."),
            OpenApiParameter("search", str, description="Only lines that hold this text."),
            OpenApiParameter("ignore_case", bool, description="Whatever the case."),
            OpenApiParameter("context", int, description="Lines around each match."),
            OpenApiParameter("timestamps", bool, description="The time before each line."),
            OpenApiParameter("attempt", str, description="The number of an attempt, or previous."),
            OpenApiParameter("download", bool, description="As a file with a name."),
            OpenApiParameter("gzip", bool, description="As a compressed file."),
        ],
        responses={(200, "text/plain"): OpenApiTypes.STR, (200, "application/gzip"): OpenApiTypes.BINARY},
    )
    @action(detail=True, filterset_fields=(), search_fields=())
    def logs(self, request: Request, pk: str = "") -> HttpResponseBase:
        """Read the allocation's log as text; with `follow` until it ends or the caller leaves."""
        allocation = get_object_or_404(self.get_queryset().select_related("deployment"), pk=pk)
        demand_on(identity_of(request), allocation.deployment, "/dms/node/deployment/logs")
        return answer(allocation, identity_of(request), request.query_params)

    @action(detail=True, filterset_fields=(), search_fields=(), serializer_class=AttemptSerializer)
    def attempts(self, request: Request, pk: str = "") -> Response:
        """List the attempts of the allocation: why each was started and how it ended, newest first."""
        return page_of(self, get_object_or_404(self.get_queryset(), pk=pk).attempts.order_by("-number"))

    @action(detail=True, filterset_fields=(), search_fields=(), serializer_class=AllocationSampleSerializer)
    def samples(self, request: Request, pk: str = "") -> Response:
        """List what the allocation used, newest first."""
        return page_of(self, get_object_or_404(self.get_queryset(), pk=pk).samples.order_by("-at"))


class EventViewSet(Exported, viewsets.ReadOnlyModelViewSet[DeploymentEvent]):
    """The timelines of all deployments together."""

    capability: ClassVar = "/dms/node/deployment/info"
    serializer_class = EventSerializer
    queryset = DeploymentEvent.objects.none()
    filterset_fields: ClassVar = {
        "deployment": ["exact"],
        "allocation": ["exact"],
        "actor": ["exact"],
        "kind": ["exact", "in"],
        "at": ["gte", "lte"],
    }
    ordering_fields: ClassVar = ["at", "id"]
    search_fields: ClassVar = ["text"]
    ordering: ClassVar = ["-at", "-id"]

    def get_queryset(self) -> QuerySet[DeploymentEvent]:
        """Return what the caller may see."""
        return events_visible_to(identity_of(self.request))


class BidViewSet(viewsets.ReadOnlyModelViewSet[Bid]):
    """Bids: why a node was chosen, or what it lacked."""

    capability: ClassVar = "/dms/node/deployment/info"
    serializer_class = BidSerializer
    queryset = Bid.objects.none()
    filterset_fields: ClassVar = {"request__deployment": ["exact"], "verdict": ["exact"]}
    ordering_fields: ClassVar = ["created_at"]
    search_fields: ClassVar = ["ensemble_node", "node__name"]
    ordering: ClassVar = ["-created_at", "-pk"]

    def get_queryset(self) -> QuerySet[Bid]:
        """Return what the caller may see."""
        visible = visible_to(identity_of(self.request))
        rows = Bid.objects.select_related("request", "node")
        return rows.filter(request__deployment__in=visible.values("pk"))
