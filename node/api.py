"""REST resources of this room, read-only: what changes something is a behavior."""

from __future__ import annotations

from typing import ClassVar

from django.db.models import QuerySet
from rest_framework import serializers, viewsets
from rest_framework.decorators import action
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response

from capabilities.asking import identity_of
from node.export import Exported
from node.models import (
    BenchmarkRun,
    ForeignContainer,
    Node,
    NodeEvent,
    PortReservation,
    Reservation,
    UsageSample,
)
from node.outside import OUTSIDE
from node.paging import page_of
from node.services.ledger import ledger
from node.visible import (
    benchmarks_visible_to,
    foreign_visible_to,
    node_events_visible_to,
    nodes_visible_to,
    ports_visible_to,
    reservations_visible_to,
    samples_visible_to,
)


class NodeSerializer(serializers.ModelSerializer[Node]):
    """A node: registered, measured and operator-set facts."""

    did = serializers.CharField(source="identity.did", read_only=True)
    onboarded = serializers.BooleanField(read_only=True)

    class Meta:
        model = Node
        fields = (
            "id",
            "name",
            "did",
            "peer_id",
            "cid",
            "onboarded",
            "hostname",
            "hardware",
            "executors",
            "location",
            "price",
            "allowances",
            "draining_at",
            "drained_at",
            "drain_reason",
            "last_seen_at",
            "created_at",
        )


class SampleSerializer(serializers.ModelSerializer[UsageSample]):
    """What the machine used at one moment."""

    class Meta:
        model = UsageSample
        fields = ("at", "cpu_percent", "ram_used_bytes", "disk_used_bytes", "gpus")


class ReservationSerializer(serializers.ModelSerializer[Reservation]):
    """One line of the ledger."""

    node = serializers.CharField(source="node.name", read_only=True)
    owner = serializers.CharField(source="owner.did", read_only=True)

    class Meta:
        model = Reservation
        fields = (
            "allocation_id",
            "deployment_id",
            "node",
            "owner",
            "state",
            "cpu_centicores",
            "ram_bytes",
            "disk_bytes",
            "gpus",
            "created_at",
            "expires_at",
        )


class PortSerializer(serializers.ModelSerializer[PortReservation]):
    """One port held for an allocation."""

    node = serializers.CharField(source="node.name", read_only=True)

    class Meta:
        model = PortReservation
        fields = ("port", "node", "allocation_id", "created_at")


class ForeignContainerSerializer(serializers.ModelSerializer[ForeignContainer]):
    """A container that is not the node's own; limits are null where there are none."""

    class Meta:
        model = ForeignContainer
        fields = (
            "container_id",
            "name",
            "image",
            "executor",
            "state",
            "since",
            "other_node",
            "cpu_limit_centicores",
            "ram_limit_bytes",
            "cpu_percent",
            "ram_used_bytes",
            "seen_at",
        )


class BenchmarkSerializer(serializers.ModelSerializer[BenchmarkRun]):
    """One measurement of a node."""

    class Meta:
        model = BenchmarkRun
        fields = ("id", "status", "reason", "version", "results", "asked_at", "started_at", "ended_at")


class NodeEventSerializer(serializers.ModelSerializer[NodeEvent]):
    """One line of a node's timeline."""

    node = serializers.CharField(source="node.name", read_only=True)

    class Meta:
        model = NodeEvent
        fields = ("id", "at", "node", "actor", "kind", "text", "data")


class NodeViewSet(viewsets.ReadOnlyModelViewSet[Node]):
    """The nodes of this site."""

    capability: ClassVar = {
        "ledger": "/dms/node/resources",
        "foreign": "/dms/node/container/list",
        "": "/dms/node/hardware",
    }
    serializer_class = NodeSerializer
    queryset = Node.objects.none()
    filterset_fields: ClassVar = ["name"]
    ordering_fields: ClassVar = ["name", "created_at", "last_seen_at"]
    search_fields: ClassVar = ["name", "hostname", "peer_id", "identity__did"]
    ordering: ClassVar = ["name"]

    def get_queryset(self) -> QuerySet[Node]:
        """Return what the caller may see."""
        return nodes_visible_to(identity_of(self.request))

    @action(detail=True, filterset_fields=(), search_fields=(), serializer_class=SampleSerializer)
    def samples(self, request: Request, pk: str = "") -> Response:
        """List the node's usage samples, newest first."""
        rows = samples_visible_to(identity_of(request)).filter(node=self.get_object()).order_by("-at")
        return page_of(self, rows)

    @action(detail=True, filterset_fields=(), search_fields=(), serializer_class=NodeEventSerializer)
    def events(self, request: Request, pk: str = "") -> Response:
        """List the node's timeline, newest first."""
        rows = node_events_visible_to(identity_of(request)).filter(node=self.get_object()).order_by("-at")
        return page_of(self, rows)

    @action(detail=True, filterset_fields=(), search_fields=(), serializer_class=ForeignContainerSerializer)
    def foreign(self, request: Request, pk: str = "") -> Response:
        """List the containers on the node's engines that are not its own; for administrators of the node."""
        rows = foreign_visible_to(identity_of(request)).filter(node=self.get_object()).order_by("name", "pk")
        return page_of(self, rows)

    @action(detail=True, filterset_fields=(), search_fields=(), serializer_class=BenchmarkSerializer)
    def benchmarks(self, request: Request, pk: str = "") -> Response:
        """List the measurements of the node, newest first."""
        rows = benchmarks_visible_to(identity_of(request)).filter(node=self.get_object())
        return page_of(self, rows.order_by("-asked_at", "-pk"))

    @action(detail=True, filterset_fields=(), search_fields=(), pagination_class=None)
    def ledger(self, request: Request, pk: str = "") -> Response:
        """Return onboarded, committed, allocated and free resources, and what others use on the machine."""
        return Response(ledger(self.get_object(), OUTSIDE.probe.usage() if OUTSIDE.probe else None).view())

    def get_object(self) -> Node:
        """Return the node, unfiltered by the parameters of an action."""
        node: Node = get_object_or_404(self.get_queryset(), pk=self.kwargs["pk"])
        return node


class NodeEventViewSet(Exported, viewsets.ReadOnlyModelViewSet[NodeEvent]):
    """The timelines of all nodes together."""

    capability: ClassVar = "/dms/node/hardware"
    serializer_class = NodeEventSerializer
    queryset = NodeEvent.objects.none()
    filterset_fields: ClassVar = {
        "node": ["exact"],
        "node__name": ["exact"],
        "actor": ["exact"],
        "kind": ["exact", "in"],
        "at": ["gte", "lte"],
    }
    ordering_fields: ClassVar = ["at", "id"]
    search_fields: ClassVar = ["text"]
    ordering: ClassVar = ["-at", "-id"]

    def get_queryset(self) -> QuerySet[NodeEvent]:
        """Return what the caller may see."""
        return node_events_visible_to(identity_of(self.request))


class ReservationViewSet(viewsets.ReadOnlyModelViewSet[Reservation]):
    """The ledger: what is committed and allocated, for whom."""

    capability: ClassVar = "/dms/node/resources"
    serializer_class = ReservationSerializer
    queryset = Reservation.objects.none()
    lookup_field = "allocation_id"
    lookup_value_regex = "[^/]+"
    filterset_fields: ClassVar = ["state", "deployment_id", "node__name"]
    ordering_fields: ClassVar = ["created_at", "allocation_id"]
    search_fields: ClassVar = ["allocation_id", "deployment_id"]
    ordering: ClassVar = ["-created_at", "-pk"]

    def get_queryset(self) -> QuerySet[Reservation]:
        """Return what the caller may see."""
        return reservations_visible_to(identity_of(self.request))


class PortViewSet(viewsets.ReadOnlyModelViewSet[PortReservation]):
    """The ports that are held."""

    capability: ClassVar = "/dms/node/resources"
    serializer_class = PortSerializer
    queryset = PortReservation.objects.none()
    filterset_fields: ClassVar = ["port", "allocation_id", "node__name"]
    ordering_fields: ClassVar = ["port", "created_at"]
    search_fields: ClassVar = ["allocation_id"]
    ordering: ClassVar = ["port", "pk"]

    def get_queryset(self) -> QuerySet[PortReservation]:
        """Return what the caller may see."""
        return ports_visible_to(identity_of(self.request))
