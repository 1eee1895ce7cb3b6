"""Celery tasks: adapters over services, safe to run twice, nothing lost when they are."""

from workers.tasks import execute, monitor, orchestrate, stats

__all__ = ["execute", "monitor", "orchestrate", "stats"]
