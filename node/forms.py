"""The onboarding form: fields in the units people use, limits beside them; the rules themselves are the door's."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from django import forms

from capabilities.numbers import NUMBERS
from capabilities.refusal import Refusal
from node.gpus import Gpu
from node.hardware import HardwareFacts
from node.models import Node
from node.words import GIB, cores, gib

# How the paths in a refusal's reasons map to fields.
_FIELDS = (
    ("cpu", "cpu"),
    ("core", "cpu"),
    ("ram", "ram"),
    ("memory", "ram"),
    ("disk", "disk"),
    ("gpu", "gpus"),
)


class OnboardForm(forms.Form):
    """How much of the machine deployments may take."""

    cpu = forms.DecimalField(label="CPU", min_value=Decimal("0.01"), decimal_places=2, max_digits=8)
    ram = forms.DecimalField(label="Memory", min_value=Decimal("0.01"), decimal_places=2, max_digits=12)
    disk = forms.DecimalField(label="Disk", min_value=Decimal("0.01"), decimal_places=2, max_digits=12)
    gpus = forms.MultipleChoiceField(label="GPUs", required=False, widget=forms.CheckboxSelectMultiple)

    units = {"cpu": "cores", "ram": "GiB", "disk": "GiB"}

    def __init__(self, *args: Any, node: Node, **kwargs: Any) -> None:
        self.facts = HardwareFacts.parse(node.hardware)
        current = getattr(node, "onboarding", None)
        kwargs.setdefault("initial", self._initial(current))
        super().__init__(*args, **kwargs)
        self.fields["gpus"].choices = [(str(gpu.index), _gpu_label(gpu)) for gpu in self.facts.gpus]  # type: ignore[attr-defined]
        self.hints = {
            "cpu": f"{NUMBERS.onboard_min_cores} to {cores(self.facts.cpu_centicores)} cores",
            "ram": _range(self.facts.ram_bytes),
            "disk": f"at least {gib(NUMBERS.onboard_min_disk_bytes)} GiB, at most "
            f"{NUMBERS.onboard_max_share_percent} % of what is free where work is stored",
        }

    def _initial(self, current: Any) -> dict[str, Any]:
        if current is not None:
            return {
                "cpu": cores(current.cpu_centicores),
                "ram": _number(current.ram_bytes),
                "disk": _number(current.disk_bytes),
                "gpus": [str(gpu.get("index", "")) for gpu in current.gpus],
            }
        half = max(NUMBERS.onboard_min_cores, self.facts.cpu_centicores // 200)
        return {"cpu": half, "ram": _number(self.facts.ram_bytes // 2 // GIB * GIB), "disk": 10}

    def payload(self) -> dict[str, Any]:
        """Return the request of the onboard behavior."""
        data = self.cleaned_data
        chosen = [gpu for gpu in self.facts.gpus if str(gpu.index) in data["gpus"]]
        return {
            "NoGPU": not chosen,
            "GPUs": ",".join(f"{gpu.index}:{_share(gpu)}" for gpu in chosen),
            "Config": {
                "onboarded_resources": {
                    "cpu": {"cores": float(data["cpu"])},
                    "ram": {"size": f"{data['ram']}GiB"},
                    "disk": {"size": f"{data['disk']}GiB"},
                }
            },
        }

    def command(self) -> str:
        """Return the command line for what the form does."""
        values = {name: self[name].value() or "…" for name in self.units}
        gpus = self["gpus"].value() or []
        tail = f"--gpus {','.join(gpus)}" if gpus else "--no-gpu"
        return (
            f"./dms onboard --cpu {values['cpu']} --ram {values['ram']}GiB --disk {values['disk']}GiB {tail}"
        )

    def refuse(self, refusal: Refusal) -> None:
        """Put every reason of a refusal at the field it is about; the rest on top of the form."""
        for reason in refusal.reasons:
            where = f"{reason.path} {reason.check}".lower()
            field = next((name for word, name in _FIELDS if word in where), None)
            numbers = (
                f" ({reason.needed} wanted, {reason.available} possible)"
                if reason.needed and reason.available
                else ""
            )
            hint = f": {reason.hint}" if reason.hint else ""
            self.add_error(field, f"{reason.message}{numbers}{hint}")
        if not refusal.reasons:
            self.add_error(None, f"{refusal.detail}{f': {refusal.hint}' if refusal.hint else ''}")

    def rows(self) -> Iterable[dict[str, Any]]:
        """Return the amounts as the template draws them."""
        for name, unit in self.units.items():
            yield {"field": self[name], "unit": unit, "hint": self.hints[name]}


def _number(value: int) -> str:
    return f"{value / GIB:.2f}".rstrip("0").rstrip(".")


def _share(gpu: Gpu) -> str:
    """Return the part of a GPU's memory that may be offered, in GiB."""
    return _number(gpu.vram_bytes * NUMBERS.onboard_max_share_percent // 100)


def _range(total: int) -> str:
    low = total * NUMBERS.onboard_min_share_percent // 100
    high = total * NUMBERS.onboard_max_share_percent // 100
    return f"{gib(low)} to {gib(high)} GiB of {gib(total)} GiB"


def _gpu_label(gpu: Gpu) -> str:
    return f"GPU {gpu.index}: {gpu.model} ({gib(gpu.vram_bytes)} GiB)"
