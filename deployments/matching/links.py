"""Ways between providers: measured, or bounded by the speed of light between two known places. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

# Light in a vacuum, and the earth's mean radius: no way is shorter or quicker than these say.
LIGHT_KM_MS: Final = 299.792458
EARTH_KM: Final = 6371.0


@dataclass(frozen=True, slots=True)
class Link:
    """What was measured between two providers; None where it was not."""

    rtt_ms: float | None = None
    bw_kbps: float | None = None


@dataclass(slots=True)
class Links:
    """`measured` by pair of providers, either way round; `places`: latitude and longitude in degrees."""

    measured: Mapping[tuple[str, str], Link] = field(default_factory=dict)
    places: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    _least: dict[tuple[str, str], float] = field(default_factory=dict, repr=False)

    def between(self, one: str, other: str) -> Link:
        """Return what was measured between two providers."""
        known = self.measured.get((one, other)) or self.measured.get((other, one))
        return known or Link()

    def least_rtt_ms(self, one: str, other: str) -> float:
        """Return the shortest round trip that physics allows, 0 where a place is not known."""
        pair = (one, other) if one < other else (other, one)
        known = self._least.get(pair)
        if known is None:
            here, there = self.places.get(one), self.places.get(other)
            known = 2 * distance_km(here, there) / LIGHT_KM_MS if here and there else 0.0
            self._least[pair] = known
        return known

    def keeps(self, one: str, other: str, rtt_ms: float, bw_kbps: float) -> bool:
        """Say whether the way is short and wide enough, as far as is known; a provider reaches itself at once."""
        if one == other:
            return True
        link = self.between(one, other)
        if bw_kbps and link.bw_kbps is not None and link.bw_kbps < bw_kbps:
            return False
        if not rtt_ms:
            return True
        if link.rtt_ms is not None:
            return link.rtt_ms <= rtt_ms
        return self.least_rtt_ms(one, other) <= rtt_ms

    def known(self, one: str, other: str, rtt_ms: float, bw_kbps: float) -> bool:
        """Say whether what the edge asks for was measured."""
        link = self.between(one, other)
        return one == other or not ((rtt_ms and link.rtt_ms is None) or (bw_kbps and link.bw_kbps is None))


def distance_km(one: tuple[float, float], other: tuple[float, float]) -> float:
    """Return the great-circle distance of two places given as degrees (haversine)."""
    lat1, lon1, lat2, lon2 = (math.radians(degrees) for degrees in (*one, *other))
    half = (
        math.sin((lat2 - lat1) / 2) ** 2 + math.cos(lat1) * math.cos(lat2) * math.sin((lon2 - lon1) / 2) ** 2
    )
    return 2 * EARTH_KM * math.asin(min(1.0, math.sqrt(half)))
