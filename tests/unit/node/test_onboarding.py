"""What may be offered: limits, intervals that would pass, and every broken one at once."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capabilities.refusal import Refusal
from node.gpus import Gpu
from node.ledger import Headroom
from node.onboarding import Limits, Offer, decide, read_offer
from node.resources import Resources
from tests.unit.node.machines import FACTS, GIB

IDLE = Headroom(cpu_centicores=400, ram_bytes=15 * GIB)


def offer(cpu: Any = 2, ram: Any = 4, disk: Any = 20, gpus: str = "", no_gpu: bool = True) -> Offer:
    resources = {"cpu": {"cores": cpu}, "ram": {"size": ram}, "disk": {"size": disk}}
    read, reasons = read_offer(resources, gpus, no_gpu, FACTS)
    assert not reasons
    return read


def weigh(asked: Offer, **changes: Any) -> Resources:
    values: dict[str, Any] = {
        "limits": Limits(),
        "disk_free_bytes": 100 * GIB,
        "headroom": IDLE,
        "reserved": Resources(),
    }
    return decide(asked, FACTS, **values | changes)


def refusal(asked: Offer, **changes: Any) -> Refusal:
    with pytest.raises(Refusal) as caught:
        weigh(asked, **changes)
    return caught.value


def test_bare_numbers_are_gib_and_texts_carry_units() -> None:
    assert weigh(offer(ram="2048MiB", disk="10GB")) == Resources(200, 2 * GIB, 10 * 10**9)
    assert weigh(offer(ram=4 * GIB, disk=20 * GIB)) == weigh(offer(ram=4, disk=20))


def test_every_broken_limit_is_said_with_the_interval_that_would_pass() -> None:
    refused = refusal(offer(cpu=5, ram=15, disk=95))
    assert refused.code == "capacity_not_met"
    assert [reason.path for reason in refused.reasons] == ["cpu.cores", "ram.size", "disk.size"]
    assert refused.reasons[0].message == "cores must be between 1 core and 4 cores, not 5 cores"
    assert refused.reasons[1].available == "1.61 GiB to 14.39 GiB"
    assert refused.reasons[2].available == "1 GiB to 90 GiB"


def test_too_little_is_refused_too() -> None:
    refused = refusal(offer(cpu=0.5, ram=1, disk="1023MiB"))
    assert [reason.path for reason in refused.reasons] == ["cpu.cores", "ram.size", "disk.size"]


def test_a_full_disk_says_that_nothing_can_be_offered() -> None:
    refused = refusal(offer(disk=1), disk_free_bytes=GIB)
    assert "out of range, 1 GiB at least, but only 921.59 MiB" in refused.detail


def test_what_others_use_now_cannot_be_offered() -> None:
    refused = refusal(offer(ram=8), headroom=Headroom(cpu_centicores=100, ram_bytes=4 * GIB))
    assert refused.code == "machine_has_high_usage"
    assert [reason.check for reason in refused.reasons] == ["machine.cpu", "machine.ram"]


def test_the_offer_never_drops_below_what_is_promised() -> None:
    refused = refusal(offer(cpu=1, ram=2), reserved=Resources(150, 3 * GIB, GIB))
    assert refused.code == "demand_too_high"
    assert all(reason.message.startswith("Demand too high") for reason in refused.reasons)
    assert weigh(offer(cpu=1.5, ram=3), reserved=Resources(150, 3 * GIB, GIB)).cpu_centicores == 150


def test_gpus_are_named_by_index_with_their_share() -> None:
    assert weigh(offer(gpus="0:8", no_gpu=False)).gpus[0].vram_bytes == 8 * GIB
    assert weigh(offer(gpus="0", no_gpu=False)).gpus[0].vram_bytes == 36 * GIB
    assert weigh(offer(no_gpu=False)).gpus[0].uuid == "GPU-a"
    assert weigh(offer()).gpus == ()
    assert "VRAM" not in refusal(offer(gpus="0:39", no_gpu=False)).reasons[0].path
    assert refusal(offer(gpus="0:39", no_gpu=False)).reasons[0].path == "gpus.0.vram"


def test_vram_others_use_now_cannot_be_offered() -> None:
    headroom = Headroom(ram_bytes=15 * GIB, gpu_vram_bytes={FACTS.gpus[0].identity: 4 * GIB})
    assert refusal(offer(gpus="0:8", no_gpu=False), headroom=headroom).reasons[0].check == "machine.gpus"


@pytest.mark.parametrize(
    ("resources", "gpus", "no_gpu", "words"),
    [
        ({"cpu": {"cores": 1}, "ram": {"size": 4}}, "", True, "disk.size is missing"),
        ({}, "", True, "cpu.cores is missing"),
        ({"cpu": {"cores": "two"}}, "", True, "not a number"),
        ({"ram": {"size": "4 blobs"}}, "", True, "unknown unit"),
        ({"disk": {"size": float("nan")}}, "", True, "not a finite number"),
        ({}, "0:4", True, "exclude each other"),
        ({}, "7:4", False, "not a GPU of this machine"),
        ({}, "0:4,0:4", False, "named twice"),
        ({}, "first", False, "is not index:VRAM"),
    ],
)
def test_what_cannot_be_read_is_said(resources: Any, gpus: str, no_gpu: bool, words: str) -> None:
    _, reasons = read_offer(resources, gpus, no_gpu, FACTS)
    assert any(words in reason.message for reason in reasons)


def test_gpus_by_identity_in_the_config() -> None:
    resources = {
        "cpu": {"cores": 1},
        "ram": {"size": 4},
        "disk": {"size": 4},
        "gpus": [{"uuid": "gpu-A", "vram": "6GiB"}],
    }
    read, reasons = read_offer(resources, "", False, FACTS)
    assert not reasons
    assert read.gpus == (Gpu(0, "NVIDIA", "A100", "GPU-a", "0000:01:00.0", 6 * GIB),)


@given(st.integers(0, 700), st.integers(0, 20 * GIB), st.integers(0, 150 * GIB))
def test_whatever_passes_is_within_every_limit(cores: int, ram: int, disk: int) -> None:
    try:
        amount = weigh(Offer(cores, ram, disk, ()))
    except Refusal as refused:
        assert refused.reasons
    else:
        assert 100 <= amount.cpu_centicores <= 400
        assert 16 * GIB <= amount.ram_bytes * 10 <= 9 * 16 * GIB
        assert GIB <= amount.disk_bytes <= 90 * GIB
