"""The page with a terminal inside one allocation."""

from __future__ import annotations

import secrets

from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_safe

from capabilities.asking import identity_of
from capabilities.refusal import Refusal
from deployments.selectors import allocation_of, lacks_on, visible_to
from deployments.services.execs import EXEC
from node import door


@require_safe
@login_required
@ensure_csrf_cookie
def terminal(request: HttpRequest, pk: str, allocation: str) -> HttpResponse:
    """Show a terminal in the allocation, for whoever may run commands there."""
    identity = identity_of(request)
    deployment = get_object_or_404(visible_to(identity), pk=pk)
    try:
        found = allocation_of(deployment, allocation)
    except Refusal as refusal:
        raise Http404(refusal.detail) from refusal
    if not door.may(identity, EXEC):
        raise PermissionDenied(f"running commands inside allocations needs the capability {EXEC}")
    if why := lacks_on(identity, deployment, EXEC):
        raise PermissionDenied(f"running commands here needs the capability {EXEC}: {why}")
    nonce = secrets.token_urlsafe(18)
    context = {"deployment": deployment, "allocation": found, "style_nonce": nonce, "exec_path": EXEC}
    response = render(request, "pages/terminal.html", context)
    response.style_nonce = nonce  # type: ignore[attr-defined]
    response.headers["Cache-Control"] = "no-store"
    return response
