"""Health checks with their timings."""

from __future__ import annotations

from typing import Any

from capabilities.numbers import NUMBERS
from deployments.ensemble import units
from deployments.ensemble.healthcheck import MAX_RETRIES, MAX_START_PERIOD_S
from deployments.ensemble.tree import Scalar
from deployments.translate.notes import Part, words

# What compose takes where the file is silent and ensembles take something else.
COMPOSE_TIMEOUT_S = 30
_LONGEST_S = {
    "interval": 86_400.0,
    "timeout": NUMBERS.health_timeout_max_s,
    "start_period": MAX_START_PERIOD_S,
}


def read_health(service: Part) -> dict[str, Any] | None:
    """Return the health check as the ensemble has it, None when there is none."""
    check = service.part("healthcheck")
    if check is None:
        return None
    test = check.take("test")
    command: list[str] | None = None
    if isinstance(test, Scalar):
        command = ["sh", "-c", test.text] if test.text != "NONE" else []
    elif test is not None:
        given = words(test) or []
        if given[:1] == ["CMD-SHELL"] and len(given) > 1:
            command = ["sh", "-c", " ".join(given[1:])]
        elif given[:1] == ["CMD"]:
            command = given[1:]
        elif given[:1] == ["NONE"]:
            command = []
        else:
            check.lost("test", "a test that begins with none of CMD, CMD-SHELL and NONE")
            return None
    if check.true("disable") or command == []:
        check.taken |= {"interval", "timeout", "retries", "start_period", "start_interval"}
        return None
    if command is None:
        service.lost(
            "healthcheck", "timings without a `test`: the image's own check is not known", "write `test`"
        )
        return None
    if not any(word.strip() for word in command):
        check.lost("test", "an empty command")
        return None
    if any(not word for word in command):
        check.lost("test", "a command with an empty word", "write it as one text for the shell")
        return None
    found: dict[str, Any] = {"type": "command", "exec": command}
    for key in ("interval", "timeout", "start_period"):
        text = _duration(check, key)
        if text:
            found[key] = text
    found.setdefault("timeout", f"{COMPOSE_TIMEOUT_S}s")
    retries = check.text("retries")
    if retries.isascii() and retries.isdigit() and 1 <= int(retries[:9]) <= MAX_RETRIES:
        found["retries"] = int(retries)
    elif retries and retries != "0":
        check.lost("retries", f"{retries[:20]!r} is no number from 1 to {MAX_RETRIES}")
    check.rest()
    return found


def duration_ns(text: str) -> int | None:
    """Return a duration of compose in nanoseconds, None when it is none."""
    try:
        return units.duration_ns(text)
    except units.UnitFault:
        return None


def _duration(check: Part, key: str) -> str:
    text = check.text(key)
    if text in ("", "0", "0s"):
        return ""
    found = duration_ns(text)
    longest = _LONGEST_S[key]
    if not found:
        check.lost(key, f"{text[:40]!r} is no duration", "such as 30s or 1m30s")
        return ""
    if found > longest * 1e9:
        check.lost(key, f"{text[:40]} is longer than {longest:g}s, which is taken")
        return f"{longest:g}s"
    return text
