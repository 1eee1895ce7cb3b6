"""A node, its owner and a measured machine for the tests of this room."""

from typing import Any

from capabilities.models import Identity
from node.gpus import Gpu
from node.hardware import GpuUse, HardwareFacts, Usage
from node.models import Node, Onboarding
from node.resources import CpuTraits

GIB = 1 << 30
CARD = Gpu(0, "NVIDIA", "A100", "GPU-a", "0000:01:00.0", 40 * GIB)
FACTS = HardwareFacts(
    hostname="box",
    cpu_centicores=400,
    cpu=CpuTraits(architectures=frozenset({"amd64"}), clock_hz=3 * 10**9),
    ram_bytes=16 * GIB,
    disk_bytes=200 * GIB,
    gpus=(CARD,),
)


def usage(**changes: Any) -> Usage:
    """Return the use of an idle machine, with changes."""
    values: dict[str, Any] = {
        "cpu_percent": 0.0,
        "cpu_centicores": 400,
        "ram_bytes": 16 * GIB,
        "ram_used_bytes": GIB,
        "disk_bytes": 200 * GIB,
        "disk_used_bytes": 100 * GIB,
        "disk_free_bytes": 100 * GIB,
        "gpus": (GpuUse(CARD),),
    }
    return Usage(**values | changes)


class StillProbe:
    """Reports a fixed machine. Stands in only where the test is about decisions and not about measuring."""

    def __init__(self, now: Usage | None = None, busy: frozenset[int] = frozenset()) -> None:
        self.now = now or usage()
        self.busy = busy

    def hardware(self) -> dict[str, Any]:
        return FACTS.document()

    def usage(self) -> dict[str, Any]:
        return self.now.document()

    def benchmark(self, budget_s: float) -> dict[str, Any]:
        return {"cpu_single": {"value": budget_s, "unit": "events/s", "method": "a still probe"}}

    def port_busy(self, port: int) -> bool:
        return port in self.busy


def make_node(name: str = "box", *, onboard: bool = True) -> Node:
    """Return a node of a four-core machine; onboarded: 2 cores, 8 GiB, 50 GiB and 20 GiB of VRAM."""
    identity = Identity.objects.create(did=f"did:key:z{name}", kind=Identity.Kind.NODE, name=name)
    node = Node.objects.create(
        identity=identity, name=name, peer_id=f"12D3{name}", cid=f"baf{name}", public_key=b"k"
    )
    Node.objects.filter(pk=node.pk).update(hardware=FACTS.document())
    node.refresh_from_db()
    if onboard:
        share = Gpu(0, "NVIDIA", "A100", "GPU-a", "0000:01:00.0", 20 * GIB)
        Onboarding.objects.create(
            node=node,
            cpu_centicores=200,
            ram_bytes=8 * GIB,
            disk_bytes=50 * GIB,
            gpus=[share.document()],
        )
    return node
