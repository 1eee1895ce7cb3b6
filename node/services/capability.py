"""The machine capability that an owner sets: price and location; and the node's preferences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import transaction

from capabilities.refusal import Reason, Refusal
from node import preferences
from node.freed import freed
from node.models import Node
from node.registry import Call
from node.services.machine import node_event

CONTINENTS = ("Africa", "Antarctica", "Asia", "Europe", "North America", "Oceania", "South America")
PLACE = ("continent", "country", "city")


def capability_set(call: Call, *, price: Any = None, location: Mapping[str, str] | None = None) -> Node:
    """Set what is given; `{}` takes it away. Refusal with every fault, and then nothing is changed."""
    reasons: list[Reason] = []
    values: dict[str, Any] = {}
    if price is not None:
        try:
            values["price"] = preferences.Money.parse(price).document() if price else {}
        except preferences.Unclear as fault:
            reasons.append(Reason("price", str(fault), "Price"))
    if location is not None:
        values["location"] = {key: str(location[key]).strip() for key in PLACE if location.get(key)}
        reasons += _place_faults(location, values["location"])
    if reasons:
        raise _invalid("invalid_capability", reasons)
    with transaction.atomic():
        Node.objects.filter(pk=call.node.pk).update(**values)
        for name, value in values.items():
            setattr(call.node, name, value)
            text = ", ".join(str(part) for part in value.values()) or "none"
            node_event(call.node, "capability", f"{name}: {text}", actor=call.invoker.did)
    return call.node


def _place_faults(given: Mapping[str, str], place: Mapping[str, str]) -> list[Reason]:
    found = [
        Reason("location", f"no member {key[:40]!r}", "Location", hint=", ".join(PLACE))
        for key in given
        if key not in PLACE
    ]
    if place and place.get("continent") not in CONTINENTS:
        known = ", ".join(CONTINENTS)
        said = "the continent is missing or unknown"
        found.append(Reason("location", said, "Location.continent", hint=f"one of: {known}"))
    if place.get("city") and not place.get("country"):
        found.append(Reason("location", "a city needs its country", "Location.country"))
    return found


def preferences_set(call: Call, settings: Mapping[str, Any], *, whole: bool) -> dict[str, Any]:
    """Set the preferences as a whole, or only those that are given; an empty one is taken away."""
    found, reasons = preferences.read(settings)
    if reasons:
        raise _invalid("invalid_preferences", reasons)
    with transaction.atomic():
        node = Node.objects.select_for_update().get(pk=call.node.pk)
        kept = {} if whole else {key: value for key, value in node.preferences.items() if key not in settings}
        after = kept | found
        if after != node.preferences:
            Node.objects.filter(pk=node.pk).update(preferences=after)
            text = ", ".join(sorted(after)) or "none"
            node_event(node, "preferences", f"preferences: {text}", actor=call.invoker.did, after=after)
            # What waits in the queue may be welcome now.
            freed.send(sender=None, node_id=node.pk)
    call.node.preferences = after
    return after


def _invalid(code: str, reasons: list[Reason]) -> Refusal:
    detail = "; ".join(reason.message for reason in reasons)
    return Refusal(code, detail, status=422, hint=reasons[0].hint, reasons=tuple(reasons))
