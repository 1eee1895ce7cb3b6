"""How long a node's rows stay."""

from __future__ import annotations

from datetime import datetime

from django.db.models import Q

from capabilities.numbers import NUMBERS
from capabilities.retention import Aged, Follows, Newest, Rule, Stays, Swept
from node import nonces
from node.models import BenchmarkRun


def _nonces(now: datetime) -> int:
    return nonces.purge(int(now.timestamp()) * nonces.NS)


OPEN = (BenchmarkRun.Status.WANTED, BenchmarkRun.Status.RUNNING)
RULES: list[Rule] = [
    Stays(model="node.Node", why="one for each machine of the site"),
    Follows(model="node.Onboarding", why="one for each node", parent="node.Node"),
    Follows(model="node.LoggerSettings", why="one for each node", parent="node.Node"),
    Stays(
        model="node.Reservation",
        why="deleted when its allocation gives back what it held; what a node offers bounds the number",
    ),
    Stays(
        model="node.PortReservation",
        why="deleted when its allocation gives it back; one for each port at most",
    ),
    Stays(
        model="node.ForeignContainer",
        why=f"what runs now, {NUMBERS.foreign_containers_max} at most; gone with the container",
    ),
    Newest(
        model="node.BenchmarkRun",
        why="the newest figures of each node",
        per="node",
        most=NUMBERS.benchmarks_kept,
        only=~Q(status__in=OPEN),
    ),
    Aged(
        model="node.UsageSample",
        why="one for each node every some seconds",
        moment="at",
        kept_s=NUMBERS.usage_retention_s,
    ),
    Aged(
        model="node.NodeEvent",
        why="one for each change of a node",
        moment="at",
        kept_s=NUMBERS.event_retention_s,
    ),
    Newest(
        model="node.NodeEvent",
        why="a machine that changes all the time is bounded too",
        per="node",
        most=NUMBERS.node_events_max,
    ),
    Stays(
        model="node.Peer",
        why=f"one for each known site, {NUMBERS.peers_max} at most; deleted when somebody ends it",
    ),
    Aged(
        model="node.Outgoing",
        why="deleted when it has arrived, or when its time is over",
        moment="expires_at",
        kept_s=0.0,
    ),
    Aged(
        model="node.Invitation",
        why="kept for a while after it has expired, so that a late guest is told why",
        moment="expires_at",
        kept_s=NUMBERS.expired_kept_s,
    ),
    Swept(
        model="node.SeenNonce",
        why="forgotten some minutes after the envelope has expired, once a minute",
        by=_nonces,
    ),
]
