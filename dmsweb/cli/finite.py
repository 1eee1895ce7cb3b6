"""Numbers of options: `nan` and `inf` are numbers to Python, and nonsense to everybody else."""

from __future__ import annotations

import math

import click


class Finite(click.FloatRange):
    """A number between the bounds that is neither NaN nor infinite."""

    name = "number"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number; usage error for anything else."""
        try:
            number = float(str(value))
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a number", param, ctx)
        return float(super().convert(number, param, ctx))
