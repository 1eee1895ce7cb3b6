"""The form of price, location and preferences: plain fields; what is right is decided behind the door."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from django import forms

from capabilities.refusal import Refusal
from node.models import Node
from node.preferences import DAYS
from node.services.capability import CONTINENTS

_SPAN = re.compile(r"([a-z, -]+?)\s+([0-9:]{4,5})\s*-\s*([0-9:]{4,5})")
# Where a reason of a refusal belongs.
_FIELDS = {
    "Price": "price",
    "Location": "continent",
    "Preferences.executors": "executors",
    "Preferences.owner_share": "owner_share",
    "Preferences.min_price": "min_price",
    "Preferences.owners": "allow",
    "Preferences.opening_hours": "hours",
}


class CapabilityForm(forms.Form):
    """What the owner says of the machine, and what it may run."""

    price = forms.CharField(required=False, max_length=60, label="Price of an hour", help_text="0.50 EUR")
    continent = forms.ChoiceField(
        required=False, label="Continent", choices=[("", "not said"), *((name, name) for name in CONTINENTS)]
    )
    country = forms.CharField(required=False, max_length=60, label="Country", help_text="Such as DE")
    city = forms.CharField(required=False, max_length=60, label="City")
    executors = forms.CharField(
        required=False,
        max_length=200,
        label="Executors that may be used",
        help_text="Such as docker, process; empty: all",
    )
    owner_share = forms.CharField(
        required=False,
        max_length=10,
        label="Most for one owner",
        help_text="Percent of what is offered; empty: all",
    )
    min_price = forms.CharField(
        required=False, max_length=60, label="Lowest price of an hour", help_text="0.50 EUR; empty: none"
    )
    allow = forms.CharField(
        required=False,
        label="Only these owners",
        widget=forms.Textarea,
        help_text="One DID a line; empty: everybody",
    )
    deny = forms.CharField(
        required=False, label="Never these owners", widget=forms.Textarea, help_text="One DID a line"
    )
    zone = forms.CharField(
        required=False, max_length=60, label="Time zone", help_text="Such as Europe/Berlin"
    )
    hours = forms.CharField(
        required=False,
        label="Opening hours",
        widget=forms.Textarea,
        help_text="A line each, such as mon-fri 08:00-18:00; empty: always. What runs goes on.",
    )

    def __init__(self, *args: Any, node: Node, **kwargs: Any) -> None:
        kwargs.setdefault("initial", _initial(node))
        super().__init__(*args, **kwargs)

    def clean_owner_share(self) -> float | None:
        """Return the percentage as a number."""
        text = self.cleaned_data["owner_share"].strip().rstrip("%").strip()
        try:
            return float(text) if text else None
        except ValueError:
            raise forms.ValidationError("A number from 1 to 100.") from None

    def clean_hours(self) -> list[dict[str, Any]]:
        """Return the lines as times."""
        return [
            _span(line.strip().lower()) for line in self.cleaned_data["hours"].splitlines() if line.strip()
        ]

    def capability(self) -> dict[str, Any]:
        """Return the request of /dms/node/capability/set."""
        data = self.cleaned_data
        place = {name: data[name].strip() for name in ("continent", "country", "city") if data[name].strip()}
        return {"Price": _money(data["price"]), "Location": place}

    def preferences(self) -> dict[str, Any]:
        """Return the request of /dms/node/preferences/set; what this form does not know stays."""
        data = self.cleaned_data
        allow, deny = data["allow"].split(), data["deny"].split()
        hours = {"zone": data["zone"].strip() or "UTC", "open": data["hours"]} if data["hours"] else None
        return {
            "Whole": False,
            "Preferences": {
                "executors": [name for name in re.split(r"[\s,]+", data["executors"]) if name],
                "owner_share": data["owner_share"],
                "min_price": _money(data["min_price"]),
                "owners": {"allow": allow, "deny": deny} if allow or deny else None,
                "opening_hours": hours,
            },
        }

    def refuse(self, refusal: Refusal) -> None:
        """Put every reason of a refusal at the field it is about."""
        for reason in refusal.reasons:
            field = next((field for path, field in _FIELDS.items() if reason.path.startswith(path)), None)
            self.add_error(field, f"{reason.message}{f': {reason.hint}' if reason.hint else ''}")
        if not refusal.reasons:
            self.add_error(None, refusal.detail)

    def rows(self) -> Iterable[dict[str, Any]]:
        """Return the fields as the template draws them."""
        for field in self:
            widget = field.field.widget
            kind = (
                "area"
                if isinstance(widget, forms.Textarea)
                else "choice"
                if field.name == "continent"
                else "line"
            )
            yield {"field": field, "kind": kind}


def _initial(node: Node) -> dict[str, Any]:
    wishes: Mapping[str, Any] = node.preferences
    owners = wishes.get("owners", {})
    hours = wishes.get("opening_hours", {})
    share = wishes.get("owner_share")
    return {
        "price": _shown(node.price),
        **{name: node.location.get(name, "") for name in ("continent", "country", "city")},
        "executors": ", ".join(wishes.get("executors", [])),
        "owner_share": f"{share:g}" if share else "",
        "min_price": _shown(wishes.get("min_price", {})),
        "allow": "\n".join(owners.get("allow", [])),
        "deny": "\n".join(owners.get("deny", [])),
        "zone": hours.get("zone", ""),
        "hours": "\n".join(hour_lines(hours)),
    }


def hour_lines(hours: Mapping[str, Any]) -> list[str]:
    """Return opening hours as people write them, one time a line."""
    return [f"{','.join(span['days'])} {span['from']}-{span['to']}" for span in hours.get("open", [])]


def _shown(price: Mapping[str, str]) -> str:
    return f"{price['amount']} {price['currency']}" if price else ""


def _money(text: str) -> dict[str, str]:
    amount, _, currency = text.strip().partition(" ")
    return {"amount": amount, "currency": currency.strip().upper()} if amount else {}


def _span(line: str) -> dict[str, Any]:
    match = _SPAN.fullmatch(line)
    if match is None:
        raise forms.ValidationError(f"{line[:60]!r}: write mon-fri 08:00-18:00.")
    days: list[str] = []
    for part in re.split(r"[\s,]+", match[1].strip()):
        first, _, last = part.partition("-")
        last = last or first
        if first not in DAYS or last not in DAYS:
            raise forms.ValidationError(f"{part[:20]!r} is no day; write {', '.join(DAYS)}.")
        begin, end = DAYS.index(first), DAYS.index(last)
        days += DAYS[begin : end + 1] if begin <= end else (*DAYS[begin:], *DAYS[: end + 1])
    return {"days": list(dict.fromkeys(days)), "from": match[2].zfill(5), "to": match[3].zfill(5)}
