"""Nodes, what they offer, what is promised and taken of it, their ports, samples, events and nonces."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.db import models
from django.utils import timezone

from capabilities.models import Identity
from capabilities.recorder import Recorded
from node.models_peers import Invitation as Invitation
from node.models_peers import Outgoing as Outgoing
from node.models_peers import Peer as Peer

# What no list that names a node needs of it.
DOCUMENTS = ("hardware", "executors", "location", "allowances", "price", "preferences", "public_key")


class Node(Recorded):
    """A machine of this site with its own key. Facts are split by who writes them.

    Ids are the seed's four: UUID (primary key), CID of the public key record, libp2p peer id, DID.
    """

    not_recorded = ("hostname", "hardware", "executors", "last_seen_at")

    # Registered once, when the node's key is made.
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    identity = models.OneToOneField(Identity, on_delete=models.PROTECT, related_name="node")
    name = models.CharField(max_length=64, unique=True, help_text="What people call this machine.")
    peer_id = models.CharField(max_length=128, unique=True, editable=False)
    cid = models.CharField(max_length=128, unique=True, editable=False)
    public_key = models.BinaryField(editable=False, help_text="libp2p-protobuf public key.")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    # Measured by the node's worker.
    hostname = models.CharField(max_length=255, blank=True, editable=False)
    hardware = models.JSONField(default=dict, blank=True, editable=False, help_text="Last hardware facts.")
    executors = models.JSONField(
        default=dict, blank=True, editable=False, help_text="Executor name to availability, with the reason."
    )
    last_seen_at = models.DateTimeField(null=True, blank=True, editable=False)

    # Set by the operator.
    location = models.JSONField(default=dict, blank=True, help_text="continent, country, city.")
    allowances = models.JSONField(
        default=list,
        blank=True,
        help_text="Forbidden options the owner has enabled: privileged, host_paths, devices, ...",
    )
    price = models.JSONField(
        default=dict, blank=True, help_text="For an hour: amount as a decimal in text, currency."
    )
    preferences = models.JSONField(
        default=dict, blank=True, editable=False, help_text="What the owner wants to run, by policy."
    )
    draining_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="Takes no new work since then."
    )
    drained_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="Nothing has run here any more since then."
    )
    drain_reason = models.CharField(max_length=200, blank=True, editable=False)

    def __str__(self) -> str:
        return self.name


class BenchmarkRun(models.Model):
    """One measurement of a node; the newest that is done is its registered figures.

    wanted -> running -> done or failed. A running one that its worker has left is failed by the sweep.
    """

    class Status(models.TextChoices):
        """Where it is."""

        WANTED = "wanted"
        RUNNING = "running"
        DONE = "done"
        FAILED = "failed"

    node = models.ForeignKey(Node, on_delete=models.CASCADE, related_name="benchmarks")
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.WANTED)
    asked_by = models.CharField(max_length=255, blank=True, help_text="A DID; empty: the node itself.")
    forced = models.BooleanField(default=False, help_text="Also while work runs.")
    reason = models.CharField(max_length=200, blank=True, help_text="Why it was asked for, or why it failed.")
    version = models.PositiveIntegerField(default=0, help_text="Of the way of measuring.")
    hardware = models.CharField(max_length=64, blank=True, help_text="Fingerprint of what was measured.")
    results = models.JSONField(default=dict, blank=True, help_text="Figure to value, unit and method.")
    asked_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [models.Index(fields=["node", "-asked_at"], name="benchmark_newest")]
        constraints = [
            models.UniqueConstraint(
                fields=["node"],
                condition=models.Q(status__in=["wanted", "running"]),
                name="one_benchmark_at_once",
            )
        ]

    def __str__(self) -> str:
        return f"{self.status} benchmark of {self.node}"


class Onboarding(Recorded):
    """What a node offers. Without this row the node offers nothing."""

    not_recorded = ("generation", "updated_at")

    node = models.OneToOneField(Node, on_delete=models.CASCADE, related_name="onboarding")
    cpu_centicores = models.BigIntegerField(help_text="Cores times 100.")
    ram_bytes = models.BigIntegerField()
    disk_bytes = models.BigIntegerField()
    gpus = models.JSONField(default=list, blank=True, help_text="GPUs offered, each with its identity.")
    no_gpu = models.BooleanField(default=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(auto_now=True)
    generation = models.BigIntegerField(
        default=0,
        editable=False,
        help_text="Raised by each commit: the ledger's lock on databases without one.",
    )

    def __str__(self) -> str:
        return f"onboarding of {self.node}"


class Reservation(models.Model):
    """One line of the ledger: resources of a node held for one allocation.

    committed (the seed's locked) becomes allocated when the allocation starts; the row is deleted when it is
    released. A committed line expires by itself.
    """

    class State(models.TextChoices):
        """Promised, or in use."""

        COMMITTED = "committed"
        ALLOCATED = "allocated"

    node = models.ForeignKey(Node, on_delete=models.PROTECT, related_name="reservations")
    owner = models.ForeignKey(Identity, on_delete=models.PROTECT, related_name="reservations")
    deployment_id = models.CharField(max_length=64, db_index=True)
    allocation_id = models.CharField(max_length=255, unique=True)
    state = models.CharField(max_length=10, choices=State.choices, default=State.COMMITTED)
    cpu_centicores = models.BigIntegerField()
    ram_bytes = models.BigIntegerField()
    disk_bytes = models.BigIntegerField()
    gpus = models.JSONField(default=list, blank=True, help_text="Identity and VRAM of each GPU share.")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True, help_text="Only while committed.")

    def __str__(self) -> str:
        return f"{self.state} for {self.allocation_id}"


class PortReservation(models.Model):
    """One port of a node held for one allocation."""

    node = models.ForeignKey(Node, on_delete=models.PROTECT, related_name="ports")
    port = models.PositiveIntegerField()
    allocation_id = models.CharField(max_length=255, db_index=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["node", "port"], name="port_held_once"),
            models.CheckConstraint(
                condition=models.Q(port__gte=1) & models.Q(port__lte=65_535), name="port_is_a_port"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.node}:{self.port}"


class UsageSample(models.Model):
    """What the machine used at one moment, by everybody on it."""

    node = models.ForeignKey(Node, on_delete=models.CASCADE, related_name="samples")
    at = models.DateTimeField(default=timezone.now)
    cpu_percent = models.FloatField(help_text="Of all cores together, 0 to 100.")
    ram_used_bytes = models.BigIntegerField()
    disk_used_bytes = models.BigIntegerField()
    gpus = models.JSONField(default=list, blank=True)

    class Meta:
        # The newest samples of one node: the usage charts.
        indexes = [models.Index(fields=["node", "-at"], name="sample_newest")]

    def __str__(self) -> str:
        return f"{self.node} at {self.at}"


class ForeignContainer(models.Model):
    """A container on a node's engine that is not the node's own: seen by its worker, shown, never touched."""

    node = models.ForeignKey(Node, on_delete=models.CASCADE, related_name="foreign_containers")
    executor = models.CharField(max_length=16, help_text="Whose engine it is on.")
    container_id = models.CharField(max_length=128)
    name = models.CharField(max_length=255)
    image = models.CharField(max_length=512, blank=True)
    state = models.CharField(max_length=32, help_text="The engine's word: running, exited, ...")
    since = models.DateTimeField(null=True, blank=True)
    other_node = models.BooleanField(default=False, help_text="It carries the label of another node.")
    cpu_limit_centicores = models.BigIntegerField(null=True, blank=True)
    ram_limit_bytes = models.BigIntegerField(null=True, blank=True)
    cpu_percent = models.FloatField(null=True, blank=True, help_text="Of one core, since the look before.")
    ram_used_bytes = models.BigIntegerField(null=True, blank=True)
    seen_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["node", "name"]
        constraints = [
            models.UniqueConstraint(
                fields=["node", "executor", "container_id"], name="foreign_container_once"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class NodeEvent(models.Model):
    """One line of a node's timeline."""

    node = models.ForeignKey(Node, on_delete=models.CASCADE, related_name="events")
    at = models.DateTimeField(default=timezone.now)
    actor = models.CharField(max_length=160, blank=True, help_text="DID, empty for the node itself.")
    kind = models.CharField(max_length=40)
    text = models.TextField()
    data = models.JSONField(default=dict, blank=True)

    class Meta:
        indexes = [models.Index(fields=["node", "-at"], name="node_event_newest")]

    def __str__(self) -> str:
        return self.text


class LoggerSettings(Recorded):
    """How a node's processes log, and where lines are sent. Without this row: as the environment says, nowhere."""

    not_recorded = ("updated_at",)

    node = models.OneToOneField(Node, on_delete=models.CASCADE, related_name="logger")
    level = models.CharField(max_length=8, default="info")
    interval_s = models.PositiveIntegerField(default=5, help_text="Between two sendings.")
    url = models.CharField(max_length=500, blank=True, help_text="Elasticsearch index that takes lines.")
    elastic_enabled = models.BooleanField(default=False)
    apm_url = models.CharField(max_length=500, blank=True, help_text="OTLP over HTTP: lines go there.")
    sealed_api_key = models.BinaryField(
        null=True, blank=True, editable=False, help_text="Encrypted under the site's key."
    )
    version = models.PositiveIntegerField(default=1, editable=False, help_text="Raised by each change.")
    updated_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return f"logging of {self.node}"


class SeenNonce(models.Model):
    """A nonce that has been accepted, kept until its envelope expires. Lives in a database of its own on SQLite."""

    database: ClassVar[str] = "nonces"

    key = models.CharField(max_length=255, primary_key=True, help_text="Sender's key and nonce, hashed.")
    expires_ns = models.BigIntegerField(db_index=True)

    def __str__(self) -> str:
        return self.key
