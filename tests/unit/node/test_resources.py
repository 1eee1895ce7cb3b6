"""Resource arithmetic: laws that hold for all amounts, and every gap of the reference closed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.resources import (
    Comparison,
    CpuTraits,
    Gpu,
    Resources,
    Shortage,
    Verdict,
    add,
    assign_gpus,
    compare,
    subtract,
    sum_of,
)

GIB = 1 << 30
CARDS = [
    Gpu(0, "NVIDIA", "A100", "GPU-a", "0000:01:00.0"),
    Gpu(1, "NVIDIA", "A100", "GPU-b", "0000:02:00.0"),
    Gpu(2, "AMD/ATI", "MI250", "", "0000:03:00.0"),
    Gpu(3, "Intel", "Arc"),
    Gpu(None, "NVIDIA"),
    Gpu(),
]


def shares(lowest: int = 0) -> st.SearchStrategy[Gpu]:
    return st.builds(
        lambda card, vram: Gpu(card.index, card.vendor, card.model, card.uuid, card.pci_address, vram),
        st.sampled_from(CARDS),
        st.integers(lowest, 16).map(lambda n: n * GIB),
    )


amounts = st.builds(
    Resources,
    cpu_centicores=st.integers(0, 10_000),
    ram_bytes=st.integers(0, 1 << 60),
    disk_bytes=st.integers(0, 1 << 60),
    gpus=st.lists(shares(), max_size=4).map(tuple),
)
verdicts = st.sampled_from(list(Verdict))


@given(amounts, amounts)
def test_addition_is_commutative(a: Resources, b: Resources) -> None:
    assert add(a, b) == add(b, a)


@given(amounts, amounts, amounts)
def test_addition_is_associative(a: Resources, b: Resources, c: Resources) -> None:
    assert add(add(a, b), c) == add(a, add(b, c)) == sum_of([a, b, c])


@given(amounts, amounts)
def test_what_was_added_can_be_taken_away(a: Resources, b: Resources) -> None:
    assert subtract(add(a, b), b) == a


@given(amounts, amounts)
def test_compare_agrees_with_subtract_and_nothing_is_ever_negative(a: Resources, b: Resources) -> None:
    comparison = compare(a, b)
    try:
        left = subtract(a, b)
    except Shortage as shortage:
        assert comparison.verdict is Verdict.WORSE
        assert set(comparison.reasons) == set(shortage.reasons)
    else:
        assert comparison.suffices
        assert not comparison.reasons
        assert min(left.cpu_centicores, left.ram_bytes, left.disk_bytes) >= 0
        assert (comparison.verdict is Verdict.EQUAL) == (left == Resources())


@given(amounts)
def test_documents_are_read_back(a: Resources) -> None:
    assert Resources.parse(a.document()) == a


@given(amounts)
def test_an_amount_equals_itself(a: Resources) -> None:
    assert compare(a, a).verdict is Verdict.EQUAL


@given(verdicts, verdicts, verdicts)
def test_verdicts_combine_in_any_order(a: Verdict, b: Verdict, c: Verdict) -> None:
    assert a & b == b & a
    assert (a & b) & c == a & (b & c)
    assert a & a == a
    assert a & Verdict.NONE == Verdict.NONE
    assert a & Verdict.EQUAL == a


@given(verdicts, verdicts)
def test_comparisons_combine_in_any_order(a: Verdict, b: Verdict) -> None:
    assert Comparison(a) & Comparison(b) == Comparison(b) & Comparison(a)


def test_a_negative_amount_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="ram_bytes"):
        Resources(ram_bytes=-1)


def test_every_gap_is_listed_with_numbers() -> None:
    have = Resources(100, GIB, GIB, ())
    with pytest.raises(Shortage) as caught:
        subtract(have, Resources(250, 2 * GIB, 3 * GIB, (Gpu(vram_bytes=GIB),)))
    assert [reason.check for reason in caught.value.reasons] == ["cpu", "ram", "disk", "gpus"]
    assert caught.value.reasons[0].needed == "2.5 cores"
    assert caught.value.reasons[1].available == "1 GiB"
    assert all(reason.hint for reason in caught.value.reasons)


def test_summing_from_an_empty_list_keeps_the_gpus() -> None:
    assert sum_of([Resources(gpus=(CARDS[0],)), Resources(gpus=(CARDS[2],))]).gpus == (CARDS[0], CARDS[2])


def test_a_gpu_of_another_index_is_a_gap_and_not_ignored() -> None:
    with pytest.raises(Shortage, match="GPU"):
        subtract(Resources(gpus=(Gpu(0, vram_bytes=GIB),)), Resources(gpus=(Gpu(1, vram_bytes=GIB),)))


def test_architectures_are_compared_under_one_name_and_a_mismatch_is_explained() -> None:
    machine = Resources(400, traits=CpuTraits(architectures=frozenset({"amd64"})))
    same = Resources.parse({"cpu": {"cores": 1, "architecture": "x86_64"}})
    other = Resources.parse({"cpu": {"cores": 1, "architecture": "arm64"}})
    assert compare(machine, same).verdict is Verdict.BETTER
    answer = compare(machine, other)
    assert answer.verdict is Verdict.NONE
    assert answer.reasons[0].message == "cpu.architecture: arm64 is asked for, this machine has amd64"


def test_two_parts_that_ask_for_different_architectures_fit_no_machine() -> None:
    parts = [Resources.parse({"cpu": {"cores": 1, "architecture": name}}) for name in ("amd64", "arm64")]
    machine = Resources(400, traits=CpuTraits(architectures=frozenset({"amd64"})))
    assert compare(machine, sum_of(parts)).verdict is Verdict.NONE


def test_a_demand_without_clock_is_still_measured_by_its_cores() -> None:
    machine = Resources(200, traits=CpuTraits(clock_hz=3 * 10**9))
    assert compare(machine, Resources(300)).verdict is Verdict.WORSE
    assert compare(machine, Resources(100)).verdict is Verdict.BETTER


def test_an_unknown_clock_is_said_and_not_assumed() -> None:
    demand = Resources(100, traits=CpuTraits(clock_hz=10**9))
    answer = compare(Resources(200), demand)
    assert answer.verdict is Verdict.NONE
    assert "does not know" in answer.reasons[0].message
    slow = compare(Resources(200, traits=CpuTraits(clock_hz=5 * 10**8)), demand)
    assert slow.verdict is Verdict.WORSE


def test_asking_for_no_gpu_is_better_where_there_is_one() -> None:
    assert compare(Resources(gpus=(CARDS[0],)), Resources()).verdict is Verdict.BETTER


def test_a_demand_for_any_gpu_leaves_the_only_fitting_one_to_another_demand() -> None:
    free = [Gpu(0, "NVIDIA", vram_bytes=8 * GIB), Gpu(1, "AMD/ATI", vram_bytes=8 * GIB)]
    first, second = assign_gpus([Gpu(vram_bytes=8 * GIB), Gpu(vendor="nvidia", vram_bytes=8 * GIB)], free)
    assert (first.index, second.index) == (1, 0)


def test_the_tightest_gpu_is_taken() -> None:
    free = [Gpu(0, vram_bytes=24 * GIB), Gpu(1, vram_bytes=8 * GIB)]
    assert assign_gpus([Gpu(vram_bytes=6 * GIB)], free)[0].index == 1


def test_a_whole_gpu_is_given_only_when_nobody_uses_a_part() -> None:
    total = [Gpu(0, uuid="GPU-a", vram_bytes=24 * GIB), Gpu(1, uuid="GPU-b", vram_bytes=8 * GIB)]
    free = [Gpu(0, uuid="GPU-a", vram_bytes=20 * GIB), total[1]]
    assert assign_gpus([Gpu()], free, total) == (total[1],)
    with pytest.raises(Shortage):
        assign_gpus([Gpu(), Gpu()], free, total)


def test_two_demands_of_one_list_are_two_gpus() -> None:
    with pytest.raises(Shortage):
        assign_gpus([Gpu(vram_bytes=GIB), Gpu(vram_bytes=GIB)], [Gpu(0, vram_bytes=8 * GIB)])


@given(st.lists(shares(1), max_size=5), st.lists(shares(1), max_size=4))
def test_every_demand_gets_a_gpu_of_its_own_that_satisfies_it(free: list[Gpu], wanted: list[Gpu]) -> None:
    try:
        given_shares = assign_gpus(wanted, free)
    except Shortage as shortage:
        assert shortage.reasons
        return
    assert len(given_shares) == len(wanted)
    for demand, share in zip(wanted, given_shares, strict=True):
        assert demand.satisfied_by(share)
        assert share.vram_bytes == demand.vram_bytes
