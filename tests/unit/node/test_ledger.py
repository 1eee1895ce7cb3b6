"""The ledger's decisions: nothing is promised twice, and every gap is said."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.ledger import Headroom, LedgerItem, decide, duplicate_reasons, view_of
from node.resources import CpuTraits, Gpu, Resources, Shortage, subtract, sum_of

GIB = 1 << 30
CARD = Gpu(0, "NVIDIA", "A100", "GPU-a", vram_bytes=24 * GIB)
SMALL = Gpu(1, "NVIDIA", "T4", "GPU-b", vram_bytes=8 * GIB)
MACHINE = Resources(400, 8 * GIB, 100 * GIB, (CARD, SMALL), CpuTraits(frozenset({"amd64"})))

demands = st.builds(
    Resources,
    cpu_centicores=st.integers(1, 200),
    ram_bytes=st.integers(1, 4).map(lambda n: n * GIB),
    disk_bytes=st.integers(1, 40).map(lambda n: n * GIB),
    gpus=st.lists(st.integers(0, 12).map(lambda n: Gpu(vram_bytes=n * GIB)), max_size=2).map(tuple),
)


@given(st.lists(st.tuples(demands, st.booleans()), max_size=12))
def test_no_sequence_of_commits_promises_more_than_is_onboarded(steps: list[tuple[Resources, bool]]) -> None:
    lines: list[Resources] = []
    for number, (demand, release) in enumerate(steps):
        if release and lines:
            lines.pop(0)
        view = view_of(MACHINE, lines, [])
        try:
            lines.append(decide(view, [LedgerItem(str(number), demand)])[str(number)])
        except Shortage as shortage:
            assert shortage.reasons
    left = subtract(MACHINE, sum_of(lines))
    for card in (CARD, SMALL):
        taken = [gpu.vram_bytes for line in lines for gpu in line.gpus if gpu.uuid == card.uuid]
        assert sum(taken) <= card.vram_bytes
    assert view_of(MACHINE, lines, []).free == left


def test_the_machine_itself_must_have_it_free() -> None:
    view = view_of(MACHINE, [], [])
    item = LedgerItem("a", Resources(100, 4 * GIB, 10 * GIB))
    headroom = Headroom(cpu_centicores=50, ram_bytes=GIB, disk_bytes=20 * GIB)
    with pytest.raises(Shortage) as caught:
        decide(view, [item], headroom)
    assert [reason.check for reason in caught.value.reasons] == ["machine.cpu", "machine.ram"]
    assert "1 GiB available" in caught.value.reasons[1].message


def test_vram_in_use_by_others_is_not_given() -> None:
    view = view_of(MACHINE, [], [])
    headroom = Headroom(gpu_vram_bytes={CARD.identity: 2 * GIB})
    with pytest.raises(Shortage):
        decide(view, [LedgerItem("a", Resources(gpus=(Gpu(vram_bytes=10 * GIB),)))], headroom)
    assert decide(view, [LedgerItem("a", Resources(gpus=(Gpu(),)))], headroom)["a"].gpus == (SMALL,)


def test_several_items_are_weighed_together() -> None:
    view = view_of(MACHINE, [], [])
    items = [LedgerItem(name, Resources(150, GIB, GIB)) for name in "abc"]
    with pytest.raises(Shortage, match=r"4\.5 cores needed, 4 cores available"):
        decide(view, items)


def test_an_item_given_first_does_not_take_the_gpu_a_larger_one_needs() -> None:
    view = view_of(Resources(gpus=(Gpu(0, vram_bytes=8 * GIB), Gpu(1, vram_bytes=8 * GIB))), [], [])
    items = [
        LedgerItem("small", Resources(gpus=(Gpu(vram_bytes=GIB),))),
        LedgerItem("large", Resources(gpus=(Gpu(), Gpu(vram_bytes=7 * GIB)))),
    ]
    assert [gpu.vram_bytes for gpu in decide(view, items)["large"].gpus] == [7 * GIB, 8 * GIB]


def test_an_architecture_that_is_not_here_is_a_reason() -> None:
    item = LedgerItem("a", Resources(100, traits=CpuTraits(frozenset({"arm64"}))))
    with pytest.raises(Shortage, match="arm64 is asked for, this machine has amd64"):
        decide(view_of(MACHINE, [], []), [item])


def test_what_is_named_twice_is_a_reason() -> None:
    items = [LedgerItem("a", Resources(), (8000,)), LedgerItem("a", Resources(), (8000,))]
    assert [reason.check for reason in duplicate_reasons(items)] == ["ledger", "ports"]
