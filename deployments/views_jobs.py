"""The provider's page: who runs what on this site's machines, and a button that stops it."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from capabilities.asking import identity_of
from capabilities.refusal import Refusal
from deployments.jobs import jobs
from deployments.selectors import visible_to
from node import door
from node.person import invoke
from node.selectors import local_node

SHUTDOWN = "/dms/node/deployment/shutdown"


@require_safe
@login_required
def job_list(request: HttpRequest) -> HttpResponse:
    """Show what runs here, for whom, since when and under which token."""
    identity = identity_of(request)
    context = {"jobs": jobs(identity), "node": local_node(), "may_stop": door.may(identity, SHUTDOWN)}
    return render(request, "deployments/jobs.html", context)


@login_required
@require_POST
def job_stop(request: HttpRequest, pk: str) -> HttpResponse:
    """Shut down the deployment of a job."""
    deployment = get_object_or_404(visible_to(identity_of(request)), pk=pk)
    try:
        invoke(request, SHUTDOWN, {"ID": deployment.pk})
        messages.info(request, f"{deployment.name} is being shut down.")
    except Refusal as refusal:
        messages.error(request, f"{refusal.detail}. {refusal.hint}".strip())
    return redirect("jobs")
