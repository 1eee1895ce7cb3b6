"""What a node wants to run: its preferences as a comparator of policies. Pure.

A policy turns its setting and the facts of a request into reasons, none when it agrees. `register` adds one: from then
on it can be set, is shown, and takes part in bidding. `compare` asks all that are set.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, Final
from zoneinfo import ZoneInfo

from capabilities.refusal import Reason
from node.quantities import show_bytes, show_cores
from node.resources import Resources, add

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MOST: Final = 1_000
_CURRENCY = re.compile(r"[A-Z][A-Z0-9]{1,9}")
_CLOCK = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])|24:00")
_DID = re.compile(r"did:[a-z0-9]+:\S{1,250}")


class Unclear(ValueError):
    """The setting cannot be carried out; says what would be right."""


@dataclass(frozen=True, slots=True)
class Money:
    """An amount, exact, in a currency."""

    amount: Decimal
    currency: str

    @classmethod
    def parse(cls, value: Any) -> Money:
        """Return the money of `{amount, currency}` or `0.50 EUR`. Raises Unclear."""
        if isinstance(value, str):
            number, _, unit = value.strip().partition(" ")
            value = {"amount": number, "currency": unit.strip()}
        if not isinstance(value, Mapping) or set(value) - {"amount", "currency"}:
            raise Unclear('money is {"amount": "0.50", "currency": "EUR"}')
        text, currency = value.get("amount"), value.get("currency")
        if not isinstance(text, str) or len(text) > 40:
            raise Unclear('the amount is a decimal in text, such as "0.50"')
        try:
            amount = Decimal(text)
        except InvalidOperation:
            raise Unclear(f"{text!r} is no decimal number") from None
        if not amount.is_finite() or amount < 0 or abs(amount.adjusted()) > 18:
            raise Unclear(f"{text!r} is no amount: 0 or more, of an ordinary size")
        if not isinstance(currency, str) or not _CURRENCY.fullmatch(currency):
            raise Unclear("the currency is 2 to 10 capital letters, such as EUR")
        return cls(amount, currency)

    def document(self) -> dict[str, str]:
        """Return it as JSON."""
        return {"amount": f"{self.amount:f}", "currency": self.currency}

    def __str__(self) -> str:
        return f"{self.amount:f} {self.currency}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a policy may look at: who asks for what, what they hold here already, and when."""

    owner: str
    executors: frozenset[str]
    needed: Resources
    held: Resources = field(default_factory=Resources)
    onboarded: Resources = field(default_factory=Resources)
    offered: Money | None = None
    now: datetime


@dataclass(frozen=True, slots=True)
class Policy:
    """One kind of preference. `read` returns the setting in its final form or raises Unclear; `judge` gives reasons.

    `passing`: what it refuses now it may accept later by itself, so that waiting can help.
    """

    name: str
    title: str
    read: Callable[[Any], Any]
    judge: Callable[[Any, Facts], Iterable[Reason]]
    passing: bool = False


POLICIES: dict[str, Policy] = {}


def register(policy: Policy) -> Policy:
    """Add a policy; another one of the same name is a fault of the program."""
    if POLICIES.setdefault(policy.name, policy) is not policy:
        raise ValueError(f"two policies are called {policy.name}")
    return policy


def read(settings: Mapping[str, Any]) -> tuple[dict[str, Any], list[Reason]]:
    """Return the preferences in their final form, and every reason why they are none; empty settings are left out."""
    found: dict[str, Any] = {}
    reasons = []
    for name, setting in settings.items():
        policy = POLICIES.get(name)
        path = f"Preferences.{name}"
        if policy is None:
            known = ", ".join(POLICIES)
            reasons.append(
                Reason("preferences", f"no preference {name[:60]!r}", path, hint=f"known: {known}")
            )
        elif setting not in (None, "", [], {}):
            try:
                found[name] = policy.read(setting)
            except Unclear as fault:
                reasons.append(Reason(f"preferences.{name}", str(fault), path))
    return found, reasons


def compare(settings: Mapping[str, Any], facts: Facts, *, passing: bool = True) -> list[Reason]:
    """Return every reason why the node does not want this; without `passing` only those that waiting will not mend."""
    found: list[Reason] = []
    for name, policy in POLICIES.items():
        if name in settings and (passing or not policy.passing):
            found += policy.judge(settings[name], facts)
    return found


def _texts(value: Any, what: str) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
        raise Unclear(f"a list of {what}")
    if len(value) > MOST:
        raise Unclear(f"more than {MOST} {what}")
    return list(dict.fromkeys(value))


def _read_executors(value: Any) -> list[str]:
    return _texts(value, "executors, such as docker")


def _judge_executors(allowed: list[str], facts: Facts) -> Iterable[Reason]:
    for executor in sorted(facts.executors - set(allowed)):
        yield Reason(
            "preferences.executors",
            f"the owner does not run {executor} here",
            needed=executor,
            available=", ".join(allowed),
            hint=f"use {' or '.join(allowed)}",
        )


def _read_share(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 100:
        raise Unclear("a percentage above 0, at most 100")
    return float(value)


def _judge_share(percent: float, facts: Facts) -> Iterable[Reason]:
    wanted = add(facts.held, facts.needed)
    for name, member, show in (
        ("cpu", "cpu_centicores", show_cores),
        ("ram", "ram_bytes", show_bytes),
        ("disk", "disk_bytes", show_bytes),
    ):
        most = int(getattr(facts.onboarded, member) * Decimal(str(percent)) / 100)
        if getattr(wanted, member) > most:
            yield Reason(
                "preferences.owner_share",
                f"{name}: more than {percent:g} % of this node for one owner",
                name,
                needed=show(getattr(wanted, member)),
                available=show(most),
                hint="ask for less, or end what you run here",
            )


def _read_price(value: Any) -> dict[str, str]:
    return Money.parse(value).document()


def _judge_price(setting: Mapping[str, str], facts: Facts) -> Iterable[Reason]:
    least = Money.parse(setting)
    offered = facts.offered
    if not least.amount:
        return
    if offered is None or offered.currency != least.currency or offered.amount < least.amount:
        yield Reason(
            "preferences.min_price",
            "less than the owner's lowest price for an hour",
            "metadata.price",
            needed=str(least),
            available=str(offered) if offered else "nothing offered",
            hint=f'offer it in the ensemble: metadata: {{price: "{least}"}}',
        )


def _read_owners(value: Any) -> dict[str, list[str]]:
    if not isinstance(value, Mapping) or set(value) - {"allow", "deny"}:
        raise Unclear('{"allow": [DIDs], "deny": [DIDs]}')
    found = {}
    for key in ("allow", "deny"):
        dids = _texts(value.get(key) or [], "DIDs")
        if wrong := [did for did in dids if not _DID.fullmatch(did)]:
            raise Unclear(f"{key}: {wrong[0][:80]!r} is no DID")
        found[key] = dids
    return found


def _judge_owners(setting: Mapping[str, list[str]], facts: Facts) -> Iterable[Reason]:
    denied = facts.owner in setting["deny"]
    if denied or (setting["allow"] and facts.owner not in setting["allow"]):
        yield Reason(
            "preferences.owners",
            "the owner of this node does not run work of this identity",
            available="denied" if denied else "only those who are listed",
            needed=facts.owner,
            hint="ask the node's owner",
        )


def _read_hours(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping) or set(value) - {"zone", "open"}:
        raise Unclear(
            '{"zone": "Europe/Berlin", "open": [{"days": ["mon"], "from": "08:00", "to": "18:00"}]}'
        )
    zone = value.get("zone", "UTC")
    _zone(zone)
    spans = value.get("open")
    if not isinstance(spans, list) or not spans or len(spans) > 50:
        raise Unclear("open: a list of 1 to 50 times")
    found = []
    for index, span in enumerate(spans):
        if not isinstance(span, Mapping) or set(span) - {"days", "from", "to"}:
            raise Unclear(f"open[{index}]: days, from and to")
        days = span.get("days", list(DAYS))
        if not isinstance(days, list) or not days or any(day not in DAYS for day in days):
            raise Unclear(f"open[{index}].days: of {', '.join(DAYS)}")
        begin, end = span.get("from", "00:00"), span.get("to", "24:00")
        for text in (begin, end):
            if not isinstance(text, str) or not _CLOCK.fullmatch(text):
                raise Unclear(f"open[{index}]: times are written 08:00")
        if begin in (end, "24:00"):
            raise Unclear(f"open[{index}]: it ends when it begins")
        found.append({"days": sorted(set(days), key=DAYS.index), "from": begin, "to": end})
    return {"zone": zone, "open": found}


def _zone(name: Any) -> ZoneInfo:
    try:
        return ZoneInfo(str(name))
    except (KeyError, ValueError, OSError):
        raise Unclear(f"no time zone {str(name)[:60]!r}; such as Europe/Berlin or UTC") from None


def _minutes(text: str) -> int:
    return int(text[:2]) * 60 + int(text[3:])


def is_open(setting: Mapping[str, Any], now: datetime) -> bool:
    """Say whether it is an opening hour; a time that ends before it begins goes over midnight."""
    local = now.astimezone(_zone(setting["zone"]))
    minute, today = local.hour * 60 + local.minute, local.weekday()
    for span in setting["open"]:
        begin, end = _minutes(span["from"]), _minutes(span["to"])
        days = {DAYS.index(day) for day in span["days"]}
        if begin < end:
            if today in days and begin <= minute < end:
                return True
        elif (today in days and minute >= begin) or ((today - 1) % 7 in days and minute < end):
            return True
    return False


def opens_at(setting: Mapping[str, Any], now: datetime) -> datetime | None:
    """Return the next opening within eight days, None when there is none."""
    zone = _zone(setting["zone"])
    starts = sorted({_minutes(span["from"]) for span in setting["open"]})
    local = now.astimezone(zone)
    for day in range(9):
        date = local.date() + timedelta(days=day)
        for start in starts:
            moment = datetime(date.year, date.month, date.day, start // 60, start % 60, tzinfo=zone)
            if moment > now and is_open(setting, moment):
                return moment
    return None


def _judge_hours(setting: Mapping[str, Any], facts: Facts) -> Iterable[Reason]:
    if is_open(setting, facts.now):
        return
    opening = opens_at(setting, facts.now)
    local = facts.now.astimezone(_zone(setting["zone"]))
    yield Reason(
        "preferences.opening_hours",
        "outside the opening hours of this node",
        needed=f"{opening:%a %H:%M} {setting['zone']}" if opening else "an opening hour",
        available=f"{local:%a %H:%M} {setting['zone']}",
        hint="deploy it then, or with --queue",
    )


register(Policy("executors", "executors that may be used", _read_executors, _judge_executors))
register(Policy("owner_share", "the most one owner may hold, in percent", _read_share, _judge_share))
register(Policy("min_price", "the lowest price for an hour", _read_price, _judge_price))
register(Policy("owners", "owners whose work is run, or not", _read_owners, _judge_owners))
register(Policy("opening_hours", "when new work is taken", _read_hours, _judge_hours, passing=True))
