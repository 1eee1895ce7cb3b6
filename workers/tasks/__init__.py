"""Celery tasks: adapters over services, safe to run twice, nothing lost when they are."""

from workers.tasks import benchmark, execute, monitor, orchestrate, peers, removal, stats

__all__ = ["benchmark", "execute", "monitor", "orchestrate", "peers", "removal", "stats"]
