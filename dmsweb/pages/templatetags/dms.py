"""What every page shows the same way: states, times, sizes, ids, meters, icons, rows of pages."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from django import template
from django.http import QueryDict
from django.templatetags.static import static
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from capabilities.teams import team_ids
from deployments.models import Deployment
from deployments.selectors import lacks_on
from dmsweb.pages.left import left as bar_left
from node import door
from node.choices import STATES, state_of
from node.meters import Meter
from node.quantities import show_bytes
from node.words import cores, gib, short, since, span

register = template.Library()


@register.simple_tag
def icon(name: str, extra: str = "") -> SafeString:
    """Draw the icon `name` of the sprite; decoration, so hidden from screen readers."""
    sprite = static("vendor/icons.svg")
    return format_html(
        '<svg class="icon {}" aria-hidden="true" focusable="false"><use href="{}#{}"></use></svg>',
        extra,
        sprite,
        name,
    )


@register.simple_tag
def control(field: Any) -> SafeString:
    """Draw the widget of a form's field that is not ours with this site's look."""
    kind = getattr(field.field.widget, "input_type", "")
    look = (
        "form-select"
        if kind == "select"
        else "form-check-input"
        if kind in {"checkbox", "radio"}
        else "form-control"
    )
    drawn: SafeString = field.as_widget(attrs={"class": look})
    return drawn


@register.simple_tag(takes_context=True)
def may(context: dict[str, Any], path: str, deployment: Deployment | None = None) -> bool:
    """Say whether the person may invoke the behavior `path`, on `deployment`: what she may not do is not offered."""
    identity = context.get("identity")
    if identity is None or not door.may(identity, path):
        return False
    return deployment is None or not lacks_on(identity, deployment, path)


@register.simple_tag(takes_context=True)
def team_groups(context: dict[str, Any]) -> str:
    """Return the live groups of the person's teams."""
    identity = context.get("identity")
    return " ".join(f"team.{pk}" for pk in team_ids(identity)) if identity is not None else ""


@register.simple_tag
def badge(name: str, detail: str = "", before: str = "") -> SafeString:
    """Draw a state as word, icon and colour."""
    state = state_of(str(name))
    text = f"{before} {state.word} {detail}".strip()
    mark = icon(state.icon, "state-moving" if state.moving else "")
    return format_html('<span class="state state-{}">{}<span>{}</span></span>', state.colour, mark, text)


@register.filter
def colour(name: str) -> str:
    """Return the colour of a state."""
    return state_of(str(name)).colour


@register.simple_tag
def time_ago(moment: datetime | None, ticking: bool = False) -> SafeString:
    """Write a moment relative to now; the script of the page keeps it fresh and puts the exact one on hover."""
    if moment is None:
        return format_html('<span class="text-secondary">{}</span>', "never")
    return format_html(
        '<time datetime="{}" title="{}"{}>{}</time>',
        moment.isoformat(),
        moment.strftime("%Y-%m-%d %H:%M:%S UTC"),
        format_html(' data-span="{}"', "since") if ticking else "",
        span((timezone.now() - moment).total_seconds()) if ticking else since(moment, timezone.now()),
    )


@register.simple_tag
def clock(moment: datetime) -> SafeString:
    """Write the time of day of a moment, in the viewer's zone once the script has run."""
    return format_html(
        '<time datetime="{}" title="{}" data-clock>{}</time>',
        moment.isoformat(),
        moment.strftime("%Y-%m-%d %H:%M:%S UTC"),
        moment.strftime("%H:%M:%S"),
    )


@register.simple_tag
def short_id(value: object, label: str = "id") -> SafeString:
    """Write an id or DID shortened in the middle, with a button that copies all of it."""
    text = str(value)
    return format_html(
        '<span class="ident"><span class="mono" title="{0}">{1}</span>'
        '<button type="button" class="copy" data-copy="{0}" aria-label="Copy {2}">{3}</button></span>',
        text,
        short(text),
        label,
        icon("copy"),
    )


@register.filter
def duration(seconds: float | None) -> str:
    """Write seconds as a person says them."""
    return "" if seconds is None else span(float(seconds))


@register.simple_tag
def size(value: int | None) -> SafeString:
    """Write bytes as GiB with the exact number on hover."""
    if value is None:
        return format_html("{}", "–")
    return format_html('<span title="{} bytes">{} GiB</span>', f"{int(value):,}", gib(int(value)))


@register.simple_tag
def bytes_shown(value: float | None, per: str = "") -> SafeString:
    """Write bytes in the unit that suits them, with the exact number on hover; `per` is what follows, as in /s."""
    if value is None:
        return format_html("{}", "–")
    exact = f"{int(value):,} bytes{per}"
    return format_html('<span class="figure" title="{}">{}{}</span>', exact, show_bytes(int(value)), per)


@register.filter
def plain(value: Any) -> str:
    """Write a value of a changed field on one line."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 200 else f"{text[:200]}…"


@register.filter
def pretty(value: Any) -> str:
    """Write a JSON value for reading."""
    return json.dumps(value, indent=2, ensure_ascii=False, sort_keys=False)


@register.inclusion_tag("parts/meter.html")
def meter(reading: Meter) -> dict[str, Any]:
    """Draw one resource with its four kinds of use."""
    return {"meter": reading}


@register.simple_tag(takes_context=True)
def query(context: dict[str, Any], **changes: Any) -> str:
    """Return the current query string with `changes` put in; None takes a key out."""
    params: QueryDict = context["request"].GET.copy()
    for key, value in changes.items():
        params.pop(key, None)
        if value not in (None, ""):
            params[key] = str(value)
    return f"?{params.urlencode()}"


@register.simple_tag
def lasted(start: datetime, end: datetime) -> str:
    """Write how long something took."""
    return span((end - start).total_seconds())


@register.filter
def sentence(reason: Any) -> str:
    """Write one failed check, with its numbers, as a sentence."""
    if not isinstance(reason, dict):
        return str(reason)
    text = str(reason.get("message") or reason.get("check", ""))
    needed, available = str(reason.get("needed") or ""), str(reason.get("available") or "")
    if not needed or not available or (needed in text and available in text):
        return text
    return f"{text} ({needed} wanted, {available} available)"


@register.filter
def left(expires_at: datetime) -> float:
    """Return the length of the bar that shows how long something still counts."""
    return bar_left(expires_at, timezone.now())


@register.filter
def name_in(did: str, names: dict[str, str]) -> str:
    """Return the name that people see for a DID, empty when it has none here."""
    return names.get(did, "")


@register.filter
def with_names(text: str, names: dict[str, str]) -> str:
    """Write a sentence with the names that people see in place of the DIDs that have one here."""
    for did, name in names.items():
        text = text.replace(did, name)
    return text


@register.filter
def event_colour(event: Any) -> str:
    """Return the colour of an event's dot: of the state it leads to, red for failures, blue for the rest."""
    data = event.data if isinstance(event.data, dict) else {}
    state = STATES.get(str(data.get("to") or data.get("status") or event.kind).lower())
    if state is not None:
        return state.colour
    return "red" if "fail" in event.kind else "blue"


@register.filter(name="cores")
def cores_filter(centicores: int) -> str:
    """Write hundredths of a core as cores."""
    return cores(centicores)


@register.simple_tag
def amount(of: Any) -> SafeString:
    """Write CPU, memory, disk and GPUs of anything that has them, exact on hover."""
    parts = [
        f"{cores(of.cpu_centicores)} cores",
        f"{gib(of.ram_bytes)} GiB",
        f"{gib(of.disk_bytes)} GiB disk",
    ]
    count = len(of.gpus)
    if count:
        parts.append(f"{count} GPU{'s' if count > 1 else ''}")
    exact = (
        f"{of.cpu_centicores:,} hundredths of a core, {of.ram_bytes:,} bytes, {of.disk_bytes:,} bytes of disk"
    )
    return format_html('<span title="{}">{}</span>', exact, " · ".join(parts))


@register.filter
def allocation_name(key: str) -> str:
    """Return `node.allocation` of a full allocation id."""
    return key.partition("_")[2] or key
