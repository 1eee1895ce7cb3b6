"""The queue's rule, on simulated machines: nobody is delayed by who came later, and nobody waits for ever."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from deployments.queueing import Demand, Room, impossible, kept_for, turn
from node.gpus import Gpu
from node.ledger import UNKNOWN, Headroom, view_of
from node.resources import Resources, add, sum_of

TOTAL = Resources(8, 8, 8)
CARD = Gpu(0, "NVIDIA", "A100", "GPU-a", "0000:01:00.0", 40)


def room(used: list[Resources], total: Resources = TOTAL, headroom: Headroom = UNKNOWN, **more) -> Room:
    return Room(view_of(total, [], used), headroom, **more)


def demand(cpu: int, ram: int = 1, disk: int = 1, **more) -> Demand:
    return Demand((Resources(cpu, ram, disk),), **more)


JOBS = st.lists(
    st.tuples(
        st.integers(0, 12),  # arrives
        st.integers(1, 8),
        st.integers(1, 8),
        st.integers(1, 8),
        st.integers(1, 6),  # lasts
        st.sampled_from([0, 0, 0, 1, 2]),  # a port by number
    ),
    min_size=1,
    max_size=9,
)


def resources_of(job: tuple[int, ...]) -> Resources:
    return Resources(job[1], job[2], job[3])


def simulate(jobs: list[tuple[int, ...]]) -> list[int]:
    """Return when each job starts; ties in arrival are in the order given."""
    order = sorted(range(len(jobs)), key=lambda number: (jobs[number][0], number))
    started: dict[int, int] = {}
    for now in range(12 + sum(job[4] for job in jobs) + 1):
        live = [n for n, at in started.items() if now < at + jobs[n][4]]
        used = [resources_of(jobs[n]) for n in live]
        ports = frozenset(jobs[n][5] for n in live if jobs[n][5])
        queue = [
            (str(n), Demand((resources_of(jobs[n]),), frozenset({jobs[n][5]} - {0})))
            for n in order
            if jobs[n][0] <= now and n not in started
        ]
        for key in turn(room(used, taken=ports), queue):
            started[int(key)] = now
    return [started[number] for number in range(len(jobs))]


@settings(max_examples=300, deadline=None)
@given(JOBS)
def test_everybody_gets_a_turn_and_who_comes_later_delays_nobody(jobs) -> None:
    jobs = sorted(jobs)
    starts = simulate(jobs)
    for length in range(1, len(jobs)):
        assert simulate(jobs[:length]) == starts[:length]


@given(
    st.lists(st.tuples(*[st.integers(1, 8)] * 3), max_size=6),
    st.lists(st.tuples(*[st.integers(1, 4)] * 3), max_size=2),
)
def test_a_turn_never_gives_more_than_is_free(queue, used) -> None:
    held = [Resources(*item) for item in used]
    going = turn(room(held), [(str(n), demand(*item)) for n, item in enumerate(queue)])
    given_away = [Resources(*queue[int(key)]) for key in going]
    total = add(sum_of(held), sum_of(given_away))
    assert (total.cpu_centicores, total.ram_bytes, total.disk_bytes) <= (8, 8, 8)
    assert all(getattr(total, name) <= 8 for name in ("cpu_centicores", "ram_bytes", "disk_bytes"))
    assert going == sorted(going, key=int)
    if queue and all(a + b <= 8 for a, b in zip(_sum(held), queue[0], strict=True)):
        assert going[0] == "0"


def _sum(parts: list[Resources]) -> tuple[int, int, int]:
    total = sum_of(parts)
    return total.cpu_centicores, total.ram_bytes, total.disk_bytes


def test_what_the_first_would_not_use_goes_to_others() -> None:
    total = replace(TOTAL, gpus=(CARD,))
    wants_gpu = Demand((Resources(2, 1, 1, (CARD,)),))
    queue = [("gpu", wants_gpu), ("small", demand(6)), ("large", demand(1)), ("other gpu", wants_gpu)]
    assert turn(Room(view_of(total, [], [Resources(gpus=(CARD,))]), UNKNOWN), queue) == ["small"]
    assert turn(Room(view_of(total, [], []), UNKNOWN), queue) == ["gpu", "small"]


def test_ports_and_the_machine_count_too() -> None:
    queue = [
        ("first", demand(1, static=frozenset({80}))),
        ("second", demand(1, static=frozenset({80}))),
        ("third", demand(1)),
    ]
    assert turn(room([]), queue) == ["first", "third"]
    assert turn(room([], taken=frozenset({80})), queue) == ["third"]
    assert turn(room([], headroom=Headroom(ram_bytes=2)), queue) == ["first"]
    assert turn(room([], ports=1), [("two", demand(1, dynamic=2)), ("none", demand(1))]) == ["none"]


CARDS = st.lists(st.sampled_from([CARD, replace(CARD, vram_bytes=10)]), max_size=1).map(tuple)
DEMANDS = st.lists(
    st.lists(
        st.builds(Resources, st.integers(0, 4), st.integers(0, 4), st.integers(0, 4), CARDS), max_size=2
    ),
    max_size=4,
)


@given(DEMANDS)
def test_keeping_for_all_at_once_is_keeping_for_one_after_the_other(many) -> None:
    demands = [Demand(tuple(parts)) for parts in many]
    one_by_one = room([], replace(TOTAL, gpus=(CARD,)))
    for each in demands:
        one_by_one = one_by_one.without(each)
    at_once = room([], replace(TOTAL, gpus=(CARD,)))
    for kept in kept_for(demands):
        at_once = at_once.without(Demand(kept))
    assert at_once.view.free == one_by_one.view.free


def test_what_can_never_fit_is_told() -> None:
    assert impossible(view_of(TOTAL, [], [Resources(8, 8, 8)]), demand(9))
    assert not impossible(view_of(TOTAL, [], [Resources(8, 8, 8)]), demand(8))


@given(
    st.lists(st.tuples(st.integers(0, 10**9), *[st.integers(0, 1 << 60)] * 2), max_size=3),
    st.sets(st.integers(1, 65_535)),
    st.integers(0, 9),
)
def test_a_demand_survives_its_row(parts, static, dynamic) -> None:
    known = Demand(
        tuple(Resources(*part) for part in parts), frozenset(static), dynamic, frozenset({"docker"})
    )
    assert Demand.parse(known.document()) == known
    assert Demand.parse({}) == Demand()
