"""Pages of deployments: thin adapters that read what the person may see and write through the door."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from capabilities.asking import identity_of
from capabilities.refusal import Refusal
from deployments.detail import deployment_page
from deployments.ensemble import parse
from deployments.examples import examples
from deployments.listing import SHOWN_STATES, listing
from deployments.selectors import lacks_on, visible_to
from deployments.services.teams import own_teams
from deployments.stats_views import WINDOWS, figures
from node import door
from node.person import invoke

NEW = "/dms/node/deployment/new"
PLAN = "/dms/node/deployment/plan"
PLAN_ORDER = ("needed", "free", "allocated", "committed", "used_by_others", "onboarded")
SHUTDOWN = "/dms/node/deployment/shutdown"
ALLOCATION_ACTS = {"restart": "restarted", "stop": "stopped"}
DELETE = "/dms/node/deployment/delete"
TEAM = "/dms/node/deployment/team"
COLUMNS = (("name", "Deployment"), ("status", "State"), ("owner", "Owner"))


@require_safe
@login_required
def deployment_list(request: HttpRequest) -> HttpResponse:
    """Show the deployments of the person, filtered and sorted as asked."""
    identity = identity_of(request)
    context = {
        "listing": listing(identity, request.GET.dict()),
        "states": SHOWN_STATES,
        "columns": COLUMNS,
        "may_deploy": door.may(identity, NEW),
    }
    return render(request, "deployments/list.html", context)


@require_safe
@login_required
def deployment_detail(request: HttpRequest, pk: str) -> HttpResponse:
    """Show one deployment."""
    identity = identity_of(request)
    deployment = get_object_or_404(
        visible_to(identity).select_related("owner", "orchestrator", "team__organisation"), pk=pk
    )
    context = {
        "page": deployment_page(deployment, request.GET.get("event", "")),
        "figures": figures(deployment),
        "windows": tuple(WINDOWS),
        "may_shutdown": door.may(identity, SHUTDOWN) and not lacks_on(identity, deployment, SHUTDOWN),
        "may_delete": door.may(identity, DELETE) and not lacks_on(identity, deployment, DELETE),
        "teams": own_teams(identity, TEAM) if deployment.owner_id == identity.pk else [],
    }
    return render(request, "deployments/detail.html", context)


@require_POST
@login_required
def deployment_team(request: HttpRequest, pk: str) -> HttpResponse:
    """Give a deployment to a team, or take it back, through the door."""
    deployment = get_object_or_404(visible_to(identity_of(request)), pk=pk)
    try:
        answer = invoke(request, TEAM, {"ID": deployment.pk, "Team": request.POST.get("team", "")})
        messages.info(request, f"{deployment.name} is shared with {answer['Team'] or 'nobody'}.")
    except Refusal as refusal:
        messages.error(request, f"{refusal.detail}. {refusal.hint}".strip())
    return redirect("deployment", pk=pk)


@require_POST
@login_required
def deployment_shutdown(request: HttpRequest, pk: str) -> HttpResponse:
    """Shut a deployment down through the door."""
    identity = identity_of(request)
    deployment = get_object_or_404(visible_to(identity), pk=pk)
    try:
        invoke(request, SHUTDOWN, {"ID": deployment.pk})
        messages.info(request, f"{deployment.name} is being shut down.")
    except Refusal as refusal:
        messages.error(request, f"{refusal.detail}. {refusal.hint}".strip())
    return redirect("deployment", pk=pk)


@require_POST
@login_required
def deployment_allocation(request: HttpRequest, pk: str) -> HttpResponse:
    """Restart or stop one allocation through the door."""
    deployment = get_object_or_404(visible_to(identity_of(request)), pk=pk)
    act, name = request.POST.get("act", ""), request.POST.get("allocation", "")
    try:
        if act not in ALLOCATION_ACTS:
            raise Refusal("invalid_request", f"there is no act {act[:20]!r}", hint="restart or stop")
        invoke(request, f"/dms/node/allocation/{act}", {"ID": deployment.pk, "AllocationName": name})
        messages.info(request, f"{name} is being {ALLOCATION_ACTS[act]}.")
    except Refusal as refusal:
        messages.error(request, f"{refusal.detail}. {refusal.hint}".strip())
    return redirect("deployment", pk=pk)


@require_POST
@login_required
def deployment_delete(request: HttpRequest, pk: str) -> HttpResponse:
    """Delete a deployment that has ended through the door."""
    deployment = get_object_or_404(visible_to(identity_of(request)), pk=pk)
    try:
        invoke(request, DELETE, {"ID": deployment.pk})
    except Refusal as refusal:
        messages.error(request, f"{refusal.detail}. {refusal.hint}".strip())
        return redirect("deployment", pk=pk)
    messages.info(request, f"{deployment.name} is deleted.")
    return redirect("deployments")


@login_required
def deployment_new(request: HttpRequest) -> HttpResponse:
    """Show the editor; a POST deploys what it holds."""
    if request.method == "POST":
        return _plan(request) if "plan" in request.POST else _deploy(request)
    chosen = {example.name: example for example in examples()}.get(request.GET.get("example", ""))
    again = request.GET.get("again", "")
    source = chosen.source if chosen else ""
    if again:
        rows = visible_to(identity_of(request))
        source = get_object_or_404(rows.only("source"), pk=again).source
    return _editor(request, source)


@require_POST
@login_required
def deployment_check(request: HttpRequest) -> JsonResponse:
    """Say what is wrong with the text in the editor, with lines, without deploying it."""
    parsed = parse(request.POST.get("source", ""))
    errors = [error.document() for error in parsed.errors]
    warnings = [warning.document() for warning in parsed.warnings]
    return JsonResponse({"valid": not errors, "errors": errors, "warnings": warnings})


def _deploy(request: HttpRequest) -> HttpResponse:
    source = request.POST.get("source", "")
    try:
        answer = invoke(request, NEW, _asked(request, source))
    except Refusal as refusal:
        return _editor(request, source, refusal)
    return HttpResponseRedirect(f"/deployments/{answer['EnsembleID']}/")


def _asked(request: HttpRequest, source: str) -> dict[str, object]:
    form = request.POST
    return {"Ensemble": source, "Queue": bool(form.get("queue")), "Team": form.get("team", "")}


def _plan(request: HttpRequest) -> HttpResponse:
    source = request.POST.get("source", "")
    try:
        answer = invoke(request, PLAN, {"Ensemble": source})
    except Refusal as refusal:
        return _editor(request, source, refusal)
    amounts = [(f"{item['subject']} needs", item["needed"]) for item in answer["allocations"]]
    words = {"needed": "needed in all", "used_by_others": "used by others on the machine"}
    amounts += [(words.get(name, name), answer["totals"][name]) for name in PLAN_ORDER]
    return _editor(request, source, plan=answer, plan_amounts=amounts)


def _editor(
    request: HttpRequest, source: str, refusal: Refusal | None = None, **more: object
) -> HttpResponse:
    context: dict[str, object] = {
        "queue": bool(request.POST.get("queue")),
        "source": source,
        "examples": examples(),
        "refusal": refusal,
        "problems": _problems(source, refusal) if refusal else [],
        "may_deploy": door.may(identity_of(request), NEW),
        "teams": own_teams(identity_of(request), NEW),
        "team": request.POST.get("team", ""),
    } | more
    return render(request, "deployments/new.html", context, status=refusal.status if refusal else 200)


def _problems(source: str, refusal: Refusal) -> list[dict[str, str | int]]:
    """Return what is wrong with the text, with lines; what else the door refused when the text is fine."""
    found = [error.document() for error in parse(source).errors]
    return found or [dict(reason.document()) for reason in refusal.reasons]
