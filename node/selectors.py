"""Reads of this room."""

from __future__ import annotations

import os
from datetime import datetime, timedelta

from django.db.models import Avg, Min

from capabilities.numbers import NUMBERS
from capabilities.refusal import Refusal
from node.gpus import Gpu
from node.hardware import HardwareFacts
from node.models import Node, Onboarding, Reservation, UsageSample
from node.resources import Resources


def local_node() -> Node:
    """Return the node this process acts for: by DMS_NODE_ID, by DMS_NODE (a name), else the site's first."""
    nodes = Node.objects.select_related("identity").order_by("created_at", "pk")
    key, name = os.environ.get("DMS_NODE_ID", ""), os.environ.get("DMS_NODE", "")
    if key:
        nodes = nodes.filter(pk=key)
    elif name:
        nodes = nodes.filter(name=name)
    node = nodes.first()
    if node is None:
        what = f"node {key or name} not found" if key or name else "this site has no node yet"
        raise Refusal("not_found", what, status=404, hint="start the site: ./dms up")
    return node


def latest_sample(node: Node) -> UsageSample | None:
    """Return the newest usage sample of the node."""
    return UsageSample.objects.filter(node=node).order_by("-at").first()


def sustained_cpu_percent(node: Node, now: datetime) -> float | None:
    """Return the mean CPU use over the last minutes, None while there are too few samples to tell.

    A core that is busy for a moment is still there to be shared, so a commit looks at this and not at the
    moment; memory and disk cannot be shared and are looked at as they are.
    """
    window = timedelta(seconds=NUMBERS.cpu_sustained_s)
    samples = UsageSample.objects.filter(node=node, at__gt=now - window, at__lte=now)
    told = samples.aggregate(mean=Avg("cpu_percent"), oldest=Min("at"))
    if told["oldest"] is None or now - told["oldest"] < window * 0.8:
        return None
    return float(told["mean"])


def onboarded(node: Node) -> Resources | None:
    """Return what the node offers, None when it is not onboarded."""
    row = Onboarding.objects.filter(node=node).first()
    return None if row is None else amount_of(row, node)


def amount_of(row: Onboarding | Reservation, node: Node | None = None) -> Resources:
    """Return the amount in a row; with `node`, what its CPU is, too."""
    return Resources(
        row.cpu_centicores,
        row.ram_bytes,
        row.disk_bytes,
        tuple(Gpu.parse(gpu) for gpu in row.gpus),
        HardwareFacts.parse(node.hardware).cpu if node is not None else Resources().traits,
    )
