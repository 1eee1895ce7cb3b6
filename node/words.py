"""Numbers, times and ids in the words people use. Pure."""

from __future__ import annotations

from datetime import datetime

GIB = 1 << 30
_STEPS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def gib(value: int) -> str:
    """Return bytes as GiB with at most two decimals (one from 10 on, none from 1000 on)."""
    amount = value / GIB
    if amount and amount < 0.01:
        return "< 0.01"
    decimals = 0 if amount >= 1000 else 1 if amount >= 10 else 2
    text = f"{amount:,.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def cores(centicores: int) -> str:
    """Return hundredths of a core as cores."""
    text = f"{centicores / 100:.2f}"
    return text.rstrip("0").rstrip(".")


def span(seconds: float) -> str:
    """Return a duration in its two largest units (one from two days on); tenths of seconds below ten."""
    if seconds < 0:
        seconds = 0.0
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = int(seconds)
    for position, (step, unit) in enumerate(_STEPS):
        if whole >= step:
            count, rest = divmod(whole, step)
            text = f"{count} {unit}"
            if position + 1 < len(_STEPS) and not (unit == "d" and count >= 2):
                next_step, next_unit = _STEPS[position + 1]
                if rest // next_step:
                    text += f" {rest // next_step} {next_unit}"
            return text
    return "0 s"


def since(moment: datetime, now: datetime) -> str:
    """Return how long ago (or ahead) `moment` is, in one unit."""
    seconds = (now - moment).total_seconds()
    ahead = seconds < 0
    whole = abs(int(seconds))
    if whole < 1:
        return "just now"
    for step, unit in _STEPS:
        if whole >= step:
            count = whole // step
            return f"in {count} {unit}" if ahead else f"{count} {unit} ago"
    return "just now"


def short(text: str) -> str:
    """Shorten an id in its middle; the method of a DID stays."""
    head = "did:key:" if text.startswith("did:key:") else ""
    rest = text[len(head) :]
    return text if len(rest) <= 12 else f"{head}{rest[:4]}…{rest[-4:]}"


def count(number: int, noun: str) -> str:
    """Return a number with its noun: `1 node`, `3 nodes`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
