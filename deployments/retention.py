"""How long the rows of deployments stay."""

from __future__ import annotations

from django.db.models import Q

from capabilities.numbers import NUMBERS
from capabilities.retention import Follows, Newest, Rule, Stays, Swept
from deployments.services.execs import execs_forget
from deployments.services.removal import deployments_forget
from deployments.services.samples import samples_forget

RULES: list[Rule] = [
    Swept(
        model="deployments.Deployment",
        why="deleted, as by hand, some time after its end",
        by=deployments_forget,
    ),
    Follows(
        model="deployments.Allocation",
        why="as many as the ensemble has",
        parent="deployments.Deployment",
    ),
    Newest(
        model="deployments.AllocationAttempt",
        why="the newest attempts of each allocation: one that restarts for ever is bounded",
        per="allocation",
        most=NUMBERS.attempts_max,
        only=Q(ended_at__isnull=False),
    ),
    Newest(
        model="deployments.BidRequest",
        why="the newest rounds of each deployment",
        per="deployment",
        most=NUMBERS.deployment_rounds_max,
    ),
    Follows(
        model="deployments.Bid",
        why="one for each node asked in a round",
        parent="deployments.BidRequest",
    ),
    Newest(
        model="deployments.DeploymentEvent",
        why="the newest lines of each timeline; an ended one goes with its deployment",
        per="deployment",
        most=NUMBERS.deployment_events_max,
    ),
    Swept(
        model="deployments.AllocationSample",
        why="every sample for a day, then one in some minutes for a week",
        by=samples_forget,
    ),
    Swept(
        model="deployments.ExecSession",
        why="unused tickets go within minutes, ended sessions after some months",
        by=execs_forget,
    ),
    Newest(
        model="deployments.ExecSession",
        why="a script that runs commands all day is bounded too",
        per="allocation",
        most=NUMBERS.exec_sessions_kept,
        only=Q(ended_at__isnull=False),
    ),
    Stays(model="deployments.Quota", why="one for each person who has a limit of her own"),
    Stays(
        model="deployments.AllocationTombstone",
        why="stays for ever on purpose: under 1 KiB for each allocation that was ever started and deleted",
    ),
]
