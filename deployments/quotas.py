"""How much one person may ask for at once: limits, what is used of them, and which a wish would break. Pure.

What a deployment asks for counts from its submission until it has ended, whether it runs, waits for room or is being
brought up: nothing that waits can take more than was allowed when it was let in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, Self

from capabilities.refusal import Reason
from deployments.queueing import Demand
from node.quantities import parse_bytes, parse_centicores, show_bytes, show_cores

UNLIMITED: Final = -1


@dataclass(frozen=True, slots=True)
class Amounts:
    """What unfinished deployments ask for together."""

    deployments: int = 0
    cpu_centicores: int = 0
    ram_bytes: int = 0
    disk_bytes: int = 0
    gpus: int = 0

    def __add__(self, other: Amounts) -> Amounts:
        """Return both together."""
        return Amounts(*(getattr(self, item.name) + getattr(other, item.name) for item in fields(Amounts)))

    @classmethod
    def of(cls, demand: Demand) -> Self:
        """Return what one deployment asks for."""
        return cls(
            1,
            sum(part.cpu_centicores for part in demand.parts),
            sum(part.ram_bytes for part in demand.parts),
            sum(part.disk_bytes for part in demand.parts),
            sum(len(part.gpus) for part in demand.parts),
        )


@dataclass(frozen=True, slots=True)
class Limits:
    """The most of each; None: not said, so that the limit of everybody holds; UNLIMITED: none in spite of it."""

    deployments: int | None = None
    cpu_centicores: int | None = None
    ram_bytes: int | None = None
    disk_bytes: int | None = None
    gpus: int | None = None
    running_time_s: int | None = None

    def over(self, everybody: Limits) -> Limits:
        """Return what holds for a person: her own limits laid over everybody's; None where there is none."""
        values = {}
        for item in fields(Limits):
            own, common = getattr(self, item.name), getattr(everybody, item.name)
            value = common if own is None else own
            values[item.name] = None if value is None or value < 0 else value
        return Limits(**values)

    def __bool__(self) -> bool:
        """Say whether anything is limited."""
        return any(getattr(self, item.name) is not None for item in fields(Limits))

    def document(self) -> dict[str, int | None]:
        """Return the limits under the names of their fields."""
        return {item.name: getattr(self, item.name) for item in fields(Limits)}


@dataclass(frozen=True, slots=True)
class Kind:
    """One thing that can be limited: its name for people, and how its amounts are read and written."""

    field: str
    noun: str

    def show(self, value: int) -> str:
        """Write an amount for people."""
        if self.field == "cpu_centicores":
            return show_cores(value)
        if self.field.endswith("_bytes"):
            return show_bytes(value)
        unit = "s" if self.field == "running_time_s" else self.noun if value != 1 else self.noun.rstrip("s")
        return f"{value} {unit}"

    def of(self, used: int, limit: int | None) -> str:
        """Write how much of a limit is used."""
        if limit is None or limit < 0:
            return f"{self.show(used)}, no limit"
        counted = self.field in {"deployments", "gpus"}
        return f"{used if counted else self.show(used)} of {self.show(limit)}"

    def read(self, value: object) -> int | None:
        """Read a limit as people write it; ValueError says what is wrong. `default`: none of its own."""
        text = str(value).strip().lower()
        if text == "default":
            return None
        if text == "unlimited":
            return UNLIMITED
        if self.field == "cpu_centicores":
            return parse_centicores(value, self.noun)
        if self.field.endswith("_bytes"):
            return parse_bytes(value, self.noun)
        if not text.isascii() or not text.isdecimal() or len(text) > 15:
            raise ValueError(f"{self.noun} {value!r} is not a whole number, `unlimited` or `default`")
        return int(text)


KINDS: Final = (
    Kind("deployments", "deployments"),
    Kind("cpu_centicores", "cores"),
    Kind("ram_bytes", "memory"),
    Kind("disk_bytes", "disk"),
    Kind("gpus", "GPUs"),
    Kind("running_time_s", "running time"),
)


def broken(
    limits: Limits, used: Amounts, wanted: Amounts, running_time_s: float | None
) -> tuple[Reason, ...]:
    """Return one reason for each limit that `wanted` on top of `used` would break, with every number."""
    reasons = []
    for kind in KINDS[:-1]:
        limit: int | None = getattr(limits, kind.field)
        have, want = getattr(used, kind.field), getattr(wanted, kind.field)
        if limit is None or have + want <= limit or not want:
            continue
        reasons.append(
            Reason(
                check=f"quota.{kind.noun.lower()}",
                message=f"quota of {kind.noun}: {kind.show(have)} used, {kind.show(want)} wanted, "
                f"{kind.show(limit)} allowed",
                path=kind.field,
                needed=kind.show(want),
                available=kind.show(max(0, limit - have)),
                hint="shut something down, ask for less, or ask an administrator for more",
            )
        )
    limit = limits.running_time_s
    if limit is not None and running_time_s is not None and running_time_s > limit:
        reasons.append(
            Reason(
                check="quota.running_time",
                message=f"quota of running time: {running_time_s:g} s wanted, {limit} s allowed",
                path="running_time_s",
                needed=f"{running_time_s:g} s",
                available=f"{limit} s",
                hint=f"ask for {limit} s or less, or leave it out: then it is {limit} s",
            )
        )
    return tuple(reasons)


def read_limits(asked: Mapping[str, Any]) -> tuple[dict[str, int | None], tuple[Reason, ...]]:
    """Return what was asked for, by field, and a reason for each that cannot be read."""
    values: dict[str, int | None] = {}
    reasons = []
    for kind in KINDS:
        if asked.get(kind.field) is None:
            continue
        try:
            values[kind.field] = kind.read(asked[kind.field])
        except ValueError as error:
            reasons.append(Reason("quota", str(error), kind.field, hint="a number, `unlimited` or `default`"))
    return values, tuple(reasons)
