"""What was asked of nodes, and what each of them answered."""

from __future__ import annotations

from django.db import models
from django.utils import timezone

from node.models import Node


class BidRequest(models.Model):
    """One round of asking for bids; sent by a deployment here, or received from a peer."""

    deployment = models.ForeignKey(
        "deployments.Deployment", on_delete=models.CASCADE, related_name="bid_requests"
    )
    round = models.PositiveIntegerField(default=1)
    request = models.JSONField(help_text="EnsembleBidRequest as it goes over the wire.")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    def __str__(self) -> str:
        return f"bid request {self.round} of {self.deployment}"


class Bid(models.Model):
    """The answer of one node for one ensemble node: an offer, or a refusal with every reason."""

    class Verdict(models.TextChoices):
        """What became of it."""

        OFFERED = "offered"
        WON = "won"
        LOST = "lost"
        REFUSED = "refused"

    request = models.ForeignKey(BidRequest, on_delete=models.CASCADE, related_name="bids")
    node = models.ForeignKey(Node, on_delete=models.PROTECT, related_name="bids")
    ensemble_node = models.CharField(max_length=255)
    verdict = models.CharField(max_length=8, choices=Verdict.choices)
    bid = models.JSONField(default=dict, blank=True, help_text="BidV1 as it goes over the wire.")
    reasons = models.JSONField(default=list, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    def __str__(self) -> str:
        return f"{self.node} {self.verdict} {self.ensemble_node}"
