"""What a bid costs its deployment, as a sum of weighted terms, each from 0 (best) to 1 (worst). Pure.

The terms do not depend on who else bids, but for the price, which is measured against the dearest bid for the same
ensemble node: what an amount is worth nobody knows but the market.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from capabilities.refusal import Reason

# Of what nobody knows, neither the best nor the worst is assumed.
UNKNOWN: Final = 0.5
# A round trip that is half as bad as the worst, in ms: from one city to the next, not around the world.
RTT_HALF_MS: Final = 50.0
# Weights may be chosen for each ensemble; these hold where none is.
WEIGHTS: Final[Mapping[str, float]] = {
    "price": 4.0,
    "rtt": 1.0,
    "load": 1.0,
    "speed": 1.0,
    "promises": 2.0,
    "balance": 1.0,
}
TERMS: Final[Mapping[str, str]] = {
    "price": "its price, of the dearest bid for the same node",
    "rtt": "its round trip to the orchestrator",
    "load": "how busy it is",
    "speed": "how slow it was measured to be",
    "promises": "how often it broke what it had promised",
    "balance": "how much of what it has free this takes",
}
WEIGHT_MAX: Final = 1000.0


@dataclass(frozen=True, slots=True)
class Traits:
    """What is known of one bid. `price`: per hour, in the currency of all that are compared; `load`, `promises_kept`
    and `share` (of its free capacity) 0 to 1; `speed`: as often as fast as a common core. None: not known."""

    price: Decimal | None = None
    rtt_ms: float | None = None
    load: float | None = None
    speed: float | None = None
    promises_kept: float | None = None
    share: float | None = None


def cost_of(traits: Traits, dearest: Decimal, weights: Mapping[str, float] = WEIGHTS) -> dict[str, float]:
    """Return the weighted terms of a bid; their sum is its cost. `dearest`: the highest price that was asked."""
    terms = {
        "price": 0.0 if traits.price is None or dearest <= 0 else float(traits.price / dearest),
        "rtt": UNKNOWN if traits.rtt_ms is None else _saturated(traits.rtt_ms, RTT_HALF_MS),
        "load": _share(traits.load),
        "speed": UNKNOWN if traits.speed is None else 1 / (1 + max(0.0, traits.speed)),
        "promises": UNKNOWN if traits.promises_kept is None else 1 - _share(traits.promises_kept),
        "balance": _share(traits.share),
    }
    return {name: round(weights.get(name, 0.0) * terms[name], 6) for name in TERMS}


def weights_of(text: Mapping[str, object], path: str = "weights") -> tuple[dict[str, float], list[Reason]]:
    """Return the weights that an ensemble chose, on top of the usual ones, and what is wrong with them."""
    found, faults = dict(WEIGHTS), list[Reason]()
    for name, value in text.items():
        where = f"{path}.{name}"
        if name not in WEIGHTS:
            faults.append(
                Reason("weight", f"{name!r} is nothing that a bid costs", where, needed=", ".join(WEIGHTS))
            )
            continue
        try:
            weight = float(str(value))
        except ValueError:
            weight = -1.0
        if not 0 <= weight <= WEIGHT_MAX:
            needed = f"a number from 0 to {WEIGHT_MAX:g}"
            faults.append(Reason("weight", f"{value!r} is no weight", where, needed=needed))
        else:
            found[name] = weight
    return found, faults


def _saturated(value: float, half: float) -> float:
    return max(0.0, value) / (max(0.0, value) + half)


def _share(value: float | None) -> float:
    return UNKNOWN if value is None else min(1.0, max(0.0, value))
