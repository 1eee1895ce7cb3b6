"""Threads with a connection each fight over one node's ledger: `python -m tests.integration.fight THREADS SEED`.

A process of its own, so that it can run on any database: DATABASE_URL or DMS_HOME say which. It migrates,
fights, and ends with 0 when nothing was ever over-subscribed; otherwise a traceback tells what was.
The port range of the fight is four ports: DMS_PORT_RANGE_FROM and DMS_PORT_RANGE_TO.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import django
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

GIB = 1 << 30
CENTICORES = 200
PORTS = range(20_000, 20_004)

step = st.one_of(
    st.tuples(
        st.just("commit"),
        st.integers(1, 150),
        st.sampled_from([(), (20_000,), (20_001, 20_002)]),
        st.integers(0, 2),
        st.booleans(),
    ),
    st.tuples(st.just("allocate")),
    st.tuples(st.just("release")),
    st.tuples(st.just("expire")),
)
plan = st.lists(step, min_size=1, max_size=5)


def in_threads(works: list[Callable[[], Any]]) -> list[Any]:
    """Run all at once, each with a connection of its own; return what each returned, raise what one raised."""
    from django.db import connections

    barrier, answers, errors = threading.Barrier(len(works)), [None] * len(works), list[BaseException]()

    def run(number: int) -> None:
        try:
            barrier.wait(30)
            answers[number] = works[number]()
        except BaseException as error:  # noqa: BLE001 - raised again below
            errors.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return answers


class Fight:
    """One node, and what threads do to its ledger."""

    def __init__(self) -> None:
        from node.models import Onboarding
        from tests.unit.node.machines import make_node

        self.node = make_node("arena")
        Onboarding.objects.filter(node=self.node).update(
            cpu_centicores=CENTICORES, ram_bytes=1000 * GIB, disk_bytes=1000 * GIB
        )

    def clear(self) -> None:
        """Give everything back."""
        from node.models import PortReservation, Reservation

        Reservation.objects.all().delete()
        PortReservation.objects.all().delete()

    def commit(
        self, name: str, centicores: int, static: tuple[int, ...] = (), dynamic: int = 0, lasting: bool = True
    ) -> bool:
        """Try to commit; say whether it was granted. Not `lasting`: the promise is over at once."""
        from django.utils import timezone

        from capabilities.refusal import Refusal
        from node.resources import Resources
        from node.services.ledger import LedgerItem, commit

        try:
            granted = commit(
                self.node,
                deployment_id="d",
                owner=self.node.identity,
                items=[LedgerItem(name, Resources(centicores, GIB, GIB), static, dynamic)],
                expires_at=timezone.now() + timedelta(seconds=60 if lasting else 0),
            )
        except Refusal as refusal:
            assert refusal.reasons or refusal.code == "already_committed", refusal.detail
            return False
        finally:
            self.watch()
        assert len(granted[name].ports) == len(static) + dynamic
        return True

    def watch(self) -> None:
        """One statement sees one state: it must never promise more than there is."""
        from django.db.models import Count, Sum

        from node.models import PortReservation, Reservation

        taken = Reservation.objects.aggregate(sum=Sum("cpu_centicores"))["sum"] or 0
        assert taken <= CENTICORES, f"{taken} of {CENTICORES} centicores are promised"
        twice = PortReservation.objects.values("port").annotate(n=Count("pk")).filter(n__gt=1)
        assert not twice.exists()

    def run(self, name: str, steps: list[Any]) -> None:
        """Do the steps of one thread, on an allocation of its own."""
        from django.utils import timezone

        from capabilities.refusal import Refusal
        from node.services import ledger

        for kind, *rest in steps:
            if kind == "commit":
                self.commit(name, *rest)
            elif kind == "release":
                ledger.release([name])
            elif kind == "expire":
                ledger.expire(timezone.now())
            else:
                try:
                    ledger.allocate(name)
                except Refusal as refusal:
                    assert refusal.code == "allocation_not_committed", refusal.detail

    def settled(self) -> None:
        """At rest: no line without its ports, no port without its line."""
        from node.models import PortReservation, Reservation
        from node.services.ledger import ledger

        self.watch()
        ledger(self.node)  # raises when the lines do not fit into what is onboarded
        lines = set(Reservation.objects.values_list("allocation_id", flat=True))
        assert set(PortReservation.objects.values_list("allocation_id", flat=True)) <= lines


def last_of(fight: Fight, threads: int) -> None:
    """Everybody wants the last core, the last named port, the last dynamic port: exactly one gets it."""
    rounds: list[tuple[int, tuple[int, ...], int]] = [
        (110, (), 0),
        (1, (20_000,), 0),
        (1, (), 3),
        (110, (20_000,), 1),
    ]
    for number, (centicores, static, dynamic) in enumerate(rounds * 3):
        fight.clear()
        names = [f"{number}-{thread}" for thread in range(threads)]
        wins = in_threads([partial(fight.commit, name, centicores, static, dynamic) for name in names])
        fight.settled()
        assert wins.count(True) == 1, wins
    fight.clear()


def main(threads: int, seed_value: int) -> None:
    """Fight over the last of each, then along random plans."""
    from django.core.management import call_command

    from node.outside import OUTSIDE

    call_command("migrate", verbosity=0)
    OUTSIDE.probe = None  # what others use of this machine is no part of the fight
    sys.setswitchinterval(1e-5)
    fight = Fight()
    last_of(fight, threads)

    @seed(seed_value)
    @settings(
        max_examples=15,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(plan, min_size=threads, max_size=threads))
    def along_plans(plans: list[list[Any]]) -> None:
        fight.clear()
        in_threads([partial(fight.run, f"p{number}", steps) for number, steps in enumerate(plans)])
        fight.settled()

    along_plans()


if __name__ == "__main__":
    django.setup()
    main(int(sys.argv[1]), int(sys.argv[2]))
