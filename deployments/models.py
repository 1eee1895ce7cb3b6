"""Deployments, their allocations, bids and timeline as rows. The legal arrows are in `deployments.states`."""

from __future__ import annotations

from django.db import models
from django.utils import timezone

from capabilities.models import Identity
from capabilities.recorder import Recorded
from deployments.models_bids import Bid, BidRequest
from deployments.models_exec import ExecSession
from node.models import Node

__all__ = [
    "DOCUMENTS",
    "EVENT_KINDS",
    "Allocation",
    "AllocationAttempt",
    "AllocationSample",
    "AllocationTombstone",
    "Bid",
    "BidRequest",
    "Deployment",
    "DeploymentEvent",
    "ExecSession",
    "Quota",
]

# What no list of deployments shows; long, so it is left in the database.
DOCUMENTS = ("source", "ensemble", "manifest", "reasons", "demand")
# What a line of a timeline can be about.
EVENT_KINDS = (
    "status",
    "notice",
    "bid",
    "commit",
    "queue",
    "allocation",
    "progress",
    "health",
    "recovery",
    "exec",
    "shutdown",
)


class Deployment(Recorded):
    """One ensemble being brought up, running or ended. Names of states are stored, never numbers.

    The table of arrows, as `deployments.states.ARROWS` holds it and `services.timeline.move` enforces it:

        Preparing -> Committing | Failed | ShuttingDown
        Committing -> Failed | Preparing | Provisioning | ShuttingDown
        Provisioning -> Failed | Preparing | Running | ShuttingDown
        Running -> Completed | Failed | ShuttingDown | Updating
        Updating -> Failed | Running | ShuttingDown
        ShuttingDown -> Completed | Failed
        Completed -> (terminal)
        Failed -> (terminal)
    """

    not_recorded = ("source", "ensemble", "manifest", "demand", "reasons", "updated_at")

    class Status(models.TextChoices):
        """The reference's status names."""

        PREPARING = "Preparing"
        COMMITTING = "Committing"
        PROVISIONING = "Provisioning"
        RUNNING = "Running"
        UPDATING = "Updating"
        SHUTTING_DOWN = "ShuttingDown"
        COMPLETED = "Completed"
        FAILED = "Failed"

    id = models.CharField(primary_key=True, max_length=64, help_text="Hex SHA-256 of peer id and a UUID.")
    owner = models.ForeignKey(Identity, on_delete=models.PROTECT, related_name="deployments")
    team = models.ForeignKey(
        "capabilities.Team",
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="deployments",
        help_text="Whose members see it, and act on it as their role there says.",
    )
    orchestrator = models.ForeignKey(Node, on_delete=models.PROTECT, related_name="orchestrated")
    name = models.CharField(
        max_length=200, help_text="What people see; from metadata.name or the allocations."
    )
    source = models.TextField(blank=True, help_text="The YAML as submitted.")
    ensemble = models.JSONField(help_text="The parsed ensemble (V1).")
    manifest = models.JSONField(default=dict, blank=True)
    metadata = models.JSONField(default=dict, blank=True)
    status = models.CharField(max_length=12, choices=Status.choices, default=Status.PREPARING)
    reason = models.TextField(blank=True, help_text="Why it failed or is where it is.")
    reasons = models.JSONField(default=list, blank=True, help_text="Each failed check with its numbers.")
    only_tasks = models.BooleanField(default=False)
    stop_wanted = models.BooleanField(default=False, help_text="A shutdown was asked for.")
    fail_wanted = models.BooleanField(
        default=False, help_text="It ends as Failed once everything is stopped."
    )
    delete_wanted = models.BooleanField(
        default=False,
        help_text="It is deleted: nobody sees it any more, and a worker takes its rows and files away.",
    )
    attempt = models.PositiveIntegerField(default=0, help_text="Rounds of bid and commit so far.")
    deadline_at = models.DateTimeField(help_text="Running must be reached by then.")
    demand = models.JSONField(
        default=dict, blank=True, editable=False, help_text="What it needs: parts, static and dynamic ports."
    )
    queue_wanted = models.BooleanField(default=False, help_text="Waits when it does not fit now.")
    queue_until = models.DateTimeField(null=True, blank=True, help_text="It waits no longer than that.")
    queued_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="Waits in the queue since then."
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(default=timezone.now, editable=False)
    running_at = models.DateTimeField(null=True, blank=True, editable=False)
    completed_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering = ["-created_at"]
        indexes = [
            # Every list: filters, counts and sorts without a look at the rows, which documents make long.
            models.Index(
                fields=[
                    "owner",
                    "-created_at",
                    "id",
                    "delete_wanted",
                    "status",
                    "queued_at",
                    "name",
                    "updated_at",
                    "only_tasks",
                ],
                name="deployment_listed",
            ),
            # The same for whoever sees everybody's.
            models.Index(
                fields=["-created_at", "id", "delete_wanted", "status", "queued_at", "owner", "name"],
                name="deployment_newest",
            ),
            # The few that are being deleted, which every list leaves out.
            models.Index(fields=["id"], condition=models.Q(delete_wanted=True), name="deployment_deleted"),
            # The same for one state, and the sweep over unfinished work.
            models.Index(
                fields=[
                    "status",
                    "-created_at",
                    "id",
                    "owner",
                    "delete_wanted",
                    "queued_at",
                    "name",
                    "updated_at",
                    "only_tasks",
                ],
                name="deployment_in_status",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.id[:8]}"


class Allocation(Recorded):
    """One running instance of an ensemble's allocation on one node.

    The table of arrows, as `deployments.states.ALLOCATION_ARROWS` holds it. An attempt that is followed by another one
    goes back to pending in the transaction that notes its end.

        pending -> completed | failed | running | terminated
        running -> completed | failed | pending | stopped | terminated
        standby -> pending | terminated
        stopped -> pending | terminated
        completed -> (terminal)
        failed -> (terminal)
        terminated -> (terminal)
    """

    not_recorded = (
        "spec",
        "detail",
        "progress",
        "health_detail",
        "health_failures",
        "health_checked_at",
        "lease_until",
    )

    class Status(models.TextChoices):
        """The reference's status names."""

        PENDING = "pending"
        RUNNING = "running"
        STOPPED = "stopped"
        FAILED = "failed"
        COMPLETED = "completed"
        TERMINATED = "terminated"
        STANDBY = "standby"

    id = models.CharField(primary_key=True, max_length=255, help_text="<deployment>_<node>.<allocation>")
    deployment = models.ForeignKey(Deployment, on_delete=models.CASCADE, related_name="allocations")
    owner = models.ForeignKey(Identity, on_delete=models.PROTECT, related_name="allocations")
    node = models.ForeignKey(
        Node, on_delete=models.PROTECT, related_name="allocations", help_text="Provider."
    )
    ensemble_node = models.CharField(max_length=255)
    name = models.CharField(max_length=255)
    type = models.CharField(max_length=8, help_text="task or service")
    executor = models.CharField(max_length=16)
    spec = models.JSONField(
        help_text="The allocation as parsed: execution, resources, volumes, keys, scripts."
    )
    level = models.PositiveIntegerField(default=0, help_text="Depth in depends_on; lower levels start first.")
    awaited_to_end = models.BooleanField(
        default=False, help_text="What depends on it starts when it has completed."
    )
    dns_name = models.CharField(max_length=255)
    ports = models.JSONField(default=list, blank=True, help_text="[{public, private, protocol}]")
    priv_addr = models.CharField(max_length=64, blank=True)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.PENDING)
    reason = models.CharField(max_length=40, blank=True, help_text="Named cause: exit_code, oom_killed, ...")
    detail = models.TextField(blank=True, help_text="The sentence behind the reason.")
    progress = models.CharField(max_length=120, blank=True, help_text="image 62 %")
    exit_code = models.IntegerField(null=True, blank=True)
    health = models.CharField(
        max_length=9, blank=True, help_text="starting, healthy or unhealthy; empty without a check."
    )
    health_detail = models.TextField(blank=True, help_text="The last answer: GET /health -> 503 after 12 ms")
    health_failures = models.PositiveIntegerField(default=0, help_text="Bad answers in a row that count.")
    health_checked_at = models.DateTimeField(null=True, blank=True, editable=False)
    attempt = models.PositiveIntegerField(default=0)
    start_wanted = models.BooleanField(default=False, help_text="Its level's turn has come.")
    stop_wanted = models.BooleanField(default=False)
    execution_id = models.CharField(
        max_length=80, blank=True, help_text="The executor's name of the attempt."
    )
    restart_why = models.CharField(max_length=120, blank=True, help_text="It is being restarted, because ...")
    restart_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="Its next attempt is not started before."
    )
    lease_until = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="A worker is starting or stopping it until then."
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["deployment_id", "level", "id"]
        indexes = [
            models.Index(fields=["node", "status"], name="allocation_on_node"),
            # Every list, as with deployments: of one person, of everybody, in one state.
            models.Index(
                fields=["owner", "-created_at", "id", "deployment", "status", "type", "executor"],
                name="allocation_listed",
            ),
            models.Index(
                fields=["-created_at", "id", "deployment", "status", "type", "executor"],
                name="allocation_newest",
            ),
            models.Index(
                fields=["status", "-created_at", "id", "deployment", "owner"], name="allocation_in_status"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.ensemble_node}.{self.name}"


class AllocationAttempt(models.Model):
    """One run of an allocation, from being asked for to its end. Never two of one allocation are open at once."""

    allocation = models.ForeignKey(Allocation, on_delete=models.CASCADE, related_name="attempts")
    number = models.PositiveIntegerField()
    execution_id = models.CharField(max_length=80, unique=True, help_text="The executor's name of it.")
    why = models.CharField(max_length=120, blank=True, help_text="Why it was started; empty for the first.")
    scope = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text="Which group's restarts it counts to: 0 its own; empty: to nobody's."
    )
    asked_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    cause = models.CharField(max_length=40, blank=True, help_text="Named cause of its end.")
    detail = models.TextField(blank=True)
    exit_code = models.IntegerField(null=True, blank=True)

    class Meta:
        ordering = ["allocation_id", "number"]
        constraints = [
            models.UniqueConstraint(fields=["allocation", "number"], name="attempt_number_once"),
            models.UniqueConstraint(
                fields=["allocation"], condition=models.Q(ended_at=None), name="one_open_attempt"
            ),
        ]

    def __str__(self) -> str:
        return f"attempt {self.number} of {self.allocation_id}"


class DeploymentEvent(models.Model):
    """One line of a deployment's timeline; every arrow of its state machine is one."""

    deployment = models.ForeignKey(Deployment, on_delete=models.CASCADE, related_name="events")
    allocation = models.ForeignKey(
        Allocation, null=True, blank=True, on_delete=models.CASCADE, related_name="events"
    )
    at = models.DateTimeField(default=timezone.now)
    actor = models.CharField(max_length=160, blank=True, help_text="DID, empty for the node itself.")
    kind = models.CharField(max_length=40, help_text="status, bid, commit, allocation, progress, shutdown")
    text = models.TextField()
    data = models.JSONField(default=dict, blank=True)

    class Meta:
        ordering = ["at", "id"]
        indexes = [
            models.Index(fields=["deployment", "at"], name="deployment_timeline"),
            # What happened last, whatever to.
            models.Index(fields=["at", "id"], name="deployment_events_newest"),
        ]

    def __str__(self) -> str:
        return self.text


class AllocationSample(models.Model):
    """What one allocation used at one moment. Counters run from the start of its attempt, so that the difference of
    any two samples of an attempt is exact, however many between them have been dropped. Null: could not be told.
    """

    allocation = models.ForeignKey(
        Allocation, on_delete=models.CASCADE, related_name="samples", db_index=False
    )
    at = models.DateTimeField(default=timezone.now)
    attempt = models.PositiveIntegerField(default=0)
    kept = models.BooleanField(
        default=False, help_text="Stays when the samples beside it are dropped: one in some minutes."
    )
    cpu_ns = models.BigIntegerField(null=True, help_text="CPU time used so far.")
    cpu_percent = models.FloatField(null=True, help_text="Of one core, since the sample before.")
    ram_used_bytes = models.BigIntegerField(default=0)
    ram_limit_bytes = models.BigIntegerField(null=True)
    rx_bytes = models.BigIntegerField(null=True, help_text="Received so far.")
    tx_bytes = models.BigIntegerField(null=True, help_text="Sent so far.")
    read_bytes = models.BigIntegerField(null=True, help_text="Read from disks so far.")
    written_bytes = models.BigIntegerField(null=True, help_text="Written to disks so far.")
    disk_used_bytes = models.BigIntegerField(null=True, help_text="On its own disk and its volumes.")
    pids = models.PositiveIntegerField(default=0)
    gpus = models.JSONField(default=list, blank=True, help_text="Each GPU it holds, with its use.")

    class Meta:
        indexes = [
            # A chart: one allocation's samples in order.
            models.Index(fields=["allocation", "at"], name="allocation_samples"),
            # The retention: what is old and not to stay.
            models.Index(fields=["kept", "at"], name="allocation_samples_old"),
        ]

    def __str__(self) -> str:
        return f"{self.allocation_id} at {self.at}"


class Quota(Recorded):
    """How much one person may ask for at once. Empty: everybody's limit holds; -1: none in spite of it."""

    not_recorded = ("updated_at",)

    identity = models.OneToOneField(
        Identity,
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="quota",
        help_text="Empty: everybody.",
    )
    everybody = models.BooleanField(default=False, editable=False)
    deployments = models.BigIntegerField(null=True, blank=True, help_text="Unfinished at once.")
    cpu_centicores = models.BigIntegerField(null=True, blank=True, help_text="Cores times 100.")
    ram_bytes = models.BigIntegerField(null=True, blank=True)
    disk_bytes = models.BigIntegerField(null=True, blank=True)
    gpus = models.BigIntegerField(null=True, blank=True)
    running_time_s = models.BigIntegerField(
        null=True, blank=True, help_text="The longest one deployment may run."
    )
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["everybody"], condition=models.Q(everybody=True), name="one_quota_for_everybody"
            )
        ]

    def __str__(self) -> str:
        return f"quota of {self.identity or 'everybody'}"


class AllocationTombstone(models.Model):
    """What stays of an allocation that was started once its deployment is deleted. Never deleted, never changed."""

    allocation_id = models.CharField(primary_key=True, max_length=255)
    deployment_id = models.CharField(max_length=64, db_index=True)
    deployment_name = models.CharField(max_length=200)
    name = models.CharField(max_length=511, help_text="node.allocation, as in the ensemble.")
    owner_did = models.CharField(max_length=160, db_index=True)
    node_name = models.CharField(max_length=64, help_text="The machine it ran on.")
    executor = models.CharField(max_length=16)
    image = models.TextField(blank=True)
    status = models.CharField(max_length=10)
    reason = models.CharField(max_length=40, blank=True)
    exit_code = models.IntegerField(null=True)
    attempts = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    deleted_at = models.DateTimeField(default=timezone.now)
    deleted_by = models.CharField(max_length=160, blank=True, help_text="DID.")

    class Meta:
        ordering = ["-deleted_at", "allocation_id"]

    def __str__(self) -> str:
        return f"{self.name} of {self.deployment_name}"
