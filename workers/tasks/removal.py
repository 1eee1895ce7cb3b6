"""Take away what is deleted or kept too long, on the node whose files these are. Safe to run twice."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from deployments.services.removal import take_away as rows_take_away
from workers.keeping import folder_remove, sweep
from workers.tasks.execute import alone


@shared_task
@alone
def take_away() -> None:
    """Delete the rows, then the files, of deployments that are deleted."""
    rows_take_away(folder_remove)


@shared_task
@alone
def kept() -> None:
    """Finish what was deleted, and remove logs of nobody, too old ones, and the oldest where there are too many."""
    rows_take_away(folder_remove)
    sweep(timezone.now())
