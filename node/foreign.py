"""What else runs on a machine, as its page shows it: containers that are not the node's, and what is left over."""

from __future__ import annotations

from dataclasses import dataclass, field

from capabilities.models import Identity
from node.models import ForeignContainer, Node
from node.selectors import latest_sample
from node.services.ledger import ledger
from node.visible import foreign_visible_to


@dataclass(frozen=True, slots=True)
class Others:
    """What others use of a machine. `rows` is for those who may see whose it is."""

    rows: list[ForeignContainer] = field(default_factory=list)
    running: int = 0
    stopped: int = 0
    containers_ram_bytes: int = 0
    containers_cpu_percent: float = 0.0
    used_ram_bytes: int | None = None

    @property
    def rest_ram_bytes(self) -> int | None:
        """Memory of everything else: processes without a container, and the system itself."""
        if self.used_ram_bytes is None:
            return None
        return max(0, self.used_ram_bytes - self.containers_ram_bytes)


def others(node: Node, identity: Identity) -> Others:
    """Return what else runs on the machine, as seen last."""
    known = list(ForeignContainer.objects.filter(node=node).order_by("name"))
    known.sort(key=lambda row: row.state != "running")
    running = [row for row in known if row.state == "running"]
    sample = latest_sample(node)
    visible = foreign_visible_to(identity).filter(node=node).exists()
    used = None if sample is None else max(0, sample.ram_used_bytes - ledger(node).allocated.ram_bytes)
    return Others(
        rows=known if visible else [],
        running=len(running),
        stopped=len(known) - len(running),
        containers_ram_bytes=sum(row.ram_used_bytes or 0 for row in running),
        containers_cpu_percent=round(sum(row.cpu_percent or 0.0 for row in running), 1),
        used_ram_bytes=used,
    )
