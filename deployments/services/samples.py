"""Samples of what allocations use, as rows: written in bulk, thinned after a day, gone after a week."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.db.models import Q

from capabilities.numbers import NUMBERS
from deployments.models import Allocation, AllocationSample
from node.live import changed

logger = logging.getLogger(__name__)
DELETE_AT_ONCE = 5_000


def samples_keep(samples: Iterable[AllocationSample]) -> int:
    """Write samples of allocations that still exist, and tell whoever looks; return how many."""
    wanted = {sample.allocation_id: sample for sample in samples}
    if not wanted:
        return 0
    try:
        with transaction.atomic():
            found = dict(
                Allocation.objects.filter(pk__in=wanted).order_by().values_list("pk", "deployment_id")
            )
            AllocationSample.objects.bulk_create([wanted[key] for key in found])
            changed(*{f"stats.{deployment}" for deployment in found.values()})
    except IntegrityError:
        # One was deleted at this very moment; the next turn is a few seconds away.
        logger.info("a turn of samples is left out: an allocation has just been deleted")
        return 0
    return len(found)


def is_kept(now: datetime, before: datetime | None) -> bool:
    """Say whether a sample at `now` is the first of its step, and so stays when the others are dropped."""
    step = NUMBERS.allocation_samples_step_s
    return before is None or int(now.timestamp()) // step != int(before.timestamp()) // step


def samples_forget(now: datetime) -> int:
    """Drop what is older than a day but for one sample a step, and all that is older than a week; return how many."""
    raw = now - timedelta(seconds=NUMBERS.allocation_samples_raw_s)
    all_ = now - timedelta(seconds=NUMBERS.allocation_samples_kept_s)
    old = AllocationSample.objects.filter(Q(kept=False, at__lt=raw) | Q(kept=True, at__lt=all_))
    gone = 0
    while keys := list(old.order_by("at").values_list("pk", flat=True)[:DELETE_AT_ONCE]):
        gone += AllocationSample.objects.filter(pk__in=keys).delete()[0]
    return gone
