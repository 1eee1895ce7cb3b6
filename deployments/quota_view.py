"""What pages show of quotas: one's own as meters, and everybody's in a form."""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from capabilities.asking import identity_of
from capabilities.models import Identity
from capabilities.refusal import Refusal
from deployments.quotas import KINDS, Kind
from deployments.services.quota import limits_of, used_by
from node import door
from node.meters import Meter
from node.person import invoke

LIST = "/dms/node/quota/list"
SET = "/dms/node/quota/set"
MEMBERS = dict(
    zip(
        (kind.field for kind in KINDS),
        ("Deployments", "Cores", "Memory", "Disk", "GPUs", "RunningTimeSeconds"),
        strict=True,
    )
)


@dataclass(frozen=True, slots=True)
class QuotaMeter(Meter):
    """How much of one limit is used."""

    sentence: str = ""

    @property
    def text(self) -> str:
        """The sentence beside the meter."""
        return self.sentence


def quota_meters(identity: Identity) -> list[Meter]:
    """Return one meter for each limit of a person; empty when nothing is limited."""
    limits = limits_of(identity)[0]
    if not limits:
        return []
    used = used_by([identity])[identity.pk]
    found: list[Meter] = []
    for kind in KINDS[:-1]:
        limit, have = getattr(limits, kind.field), getattr(used, kind.field)
        if limit is not None:
            text = kind.of(have, limit)
            found.append(
                QuotaMeter(kind.noun.capitalize(), limit, have, 0, 0, "", f"{have:,} of {limit:,}", text)
            )
    return found


def running_time(identity: Identity) -> str:
    """Return how long a deployment of a person may run, empty when as long as it likes."""
    limit = limits_of(identity)[0].running_time_s
    return "" if limit is None else KINDS[-1].show(limit)


@login_required
@require_http_methods(["GET", "POST"])
def quota_page(request: HttpRequest) -> HttpResponse:
    """Show one's own quota; to administrators everybody's, which a POST changes through the door."""
    identity = identity_of(request)
    if request.method == "POST":
        asked = {
            member: text for field, member in MEMBERS.items() if (text := request.POST.get(field, "").strip())
        }
        try:
            invoke(request, SET, asked | {"Identity": request.POST.get("identity", "")})
            messages.success(request, "The limits hold from now on.")
        except Refusal as refusal:
            messages.error(request, f"{refusal.detail}. {refusal.hint}".strip())
        return redirect("quota")
    context = {
        "meters": quota_meters(identity),
        "running_time": running_time(identity),
        "kinds": KINDS,
        "rows": _rows(request) if door.may(identity, LIST) else [],
        "may_set": door.may(identity, SET),
    }
    return render(request, "deployments/quota.html", context)


def _rows(request: HttpRequest) -> list[tuple[str, str, list[tuple[Kind, str]]]]:
    answer = invoke(request, LIST, {})
    rows = [("", "everybody", [(kind, _limit(kind, answer["Everybody"])) for kind in KINDS])]
    for item in answer["Quotas"]:
        cells = []
        for kind in KINDS:
            used = item["Used"].get(kind.field)
            limits = item["Limits"]
            text = _limit(kind, limits) if used is None else kind.of(used, limits.get(kind.field))
            cells.append((kind, text))
        rows.append((item["Identity"], item["Name"], cells))
    return rows


def _limit(kind: Kind, limits: dict[str, int | None]) -> str:
    value = limits.get(kind.field)
    return "no limit" if value is None else "no limit" if value < 0 else kind.show(value)
