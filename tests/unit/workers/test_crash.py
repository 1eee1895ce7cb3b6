"""The state machine under a worker that is killed at every step: rows, broker, engine and time as they may happen.

A seed draws what happens. From each moment of each step at which something has just become lasting (a commit, a change
in the engine, a wake-up) a new process takes over what a killed one left; once all is quiet everything must be where it
belongs. `DMS_CRASH_LIVES=2000 DMS_CRASH_POINTS=0 DMS_CRASH_SEED=1` looks longer, at all moments, from another seed.
"""

from __future__ import annotations

import itertools
import logging
import os
from collections import Counter
from collections.abc import Iterator

import pytest

from node import live
from node.outside import OUTSIDE
from tests.unit.workers.crash.life import Life
from tests.unit.workers.crash.points import given_time, in_memory
from tests.unit.workers.crash.site import Site
from workers import run
from workers.executors import registry

# Its worlds are copies of a database in memory.
pytestmark = pytest.mark.sqlite
LIVES = int(os.environ.get("DMS_CRASH_LIVES", "9"))
POINTS_MAX = int(os.environ.get("DMS_CRASH_POINTS", "4"))
SEED = int(os.environ.get("DMS_CRASH_SEED", "0"))
STEPS = 40
KINDS = {
    *("a commit", "a write", "a wake-up", "a network made", "a creation", "a start", "a stop", "a kill"),
    *("a removal", "a network removed", "log kept", "files removed", "a refused write"),
}


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    sites: list[Site] = []
    numbers = itertools.count()

    def happened(what: str) -> None:
        for one in sites:
            one.noted(what)

    with given_time(monkeypatch) as clock, in_memory(happened) as memory:
        made = Site(memory, happened, clock)
        sites.append(made)
        monkeypatch.setattr("uuid.uuid1", lambda: f"{next(numbers)}")
        monkeypatch.setattr(live, "changed", lambda *_: None)
        monkeypatch.setattr("node.wake.current_app.send_task", lambda task, args, **_: made.send(task, *args))
        monkeypatch.setattr(run, "keep_logs", lambda _: happened("log kept"))
        monkeypatch.setattr(OUTSIDE, "probe", None)
        monkeypatch.setitem(registry._made, (os.getpid(), made.node.identity.did), {"docker": made.engine})
        logging.getLogger().addHandler(made.swallowed)
        logging.disable(logging.WARNING)
        yield made
        logging.disable(logging.NOTSET)
        logging.getLogger().removeHandler(made.swallowed)


@pytest.mark.django_db(transaction=True)
@pytest.mark.timeout(0 if "DMS_CRASH_LIVES" in os.environ else 600)
def test_killed_at_every_step_nothing_acknowledged_is_lost(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    hit: Counter[str] = Counter()
    seen: set[object] = set()
    known: set[str] = set()
    start = site.moment()
    Life(site, SEED, points_max=0, hit=hit, seen=seen, known=known).walks()
    for seed in range(SEED, SEED + LIVES):
        site.back_to(start)
        life = Life(site, seed, points_max=POINTS_MAX, hit=hit, seen=seen, known=known)
        try:
            life.lives(STEPS)
        except Exception as error:
            text = "\n".join(life.told)
            error.add_note(f"seed {seed}:\n{text}")
            raise
    with capsys.disabled():
        told = ", ".join(f"{count} x {kind}" for kind, count in sorted(hit.items()))
        print(
            f"\n{LIVES} lives of {STEPS} steps, killed {hit.total()} times in {len(seen)} situations, "
            f"just after {told}"
        )
    assert set(hit) == KINDS
