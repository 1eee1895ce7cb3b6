"""Periodic work of a node's executor queue: measure what runs on it. Never twice at once, never for long."""

from __future__ import annotations

from functools import cache

from celery import shared_task

from node.selectors import local_node
from workers.sampler import Sampler
from workers.strangers import StrangerWatch
from workers.tasks.execute import alone


@cache
def sampler() -> Sampler:
    """Return this process' sampler, which remembers the readings before."""
    return Sampler(local_node())


@cache
def watch() -> StrangerWatch:
    """Return what looks at other people's containers, which remembers the readings before, too."""
    return StrangerWatch(local_node())


@shared_task(name="workers.tasks.stats.sample")
@alone
def sample() -> None:
    """Sample what this node's allocations use."""
    sampler().turn()


@shared_task(name="workers.tasks.stats.foreign")
@alone
def foreign() -> None:
    """Look at what else runs on this machine's engines."""
    watch().turn()
