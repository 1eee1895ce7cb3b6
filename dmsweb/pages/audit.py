"""The page of the audit log: who did what, what that changed, and whether the log is what was written."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from capabilities.asking import identity_of
from capabilities.auditlog import touching
from capabilities.models import AuditEntry, AuditSeal, Identity
from capabilities.seals import Verdict, verify
from capabilities.selectors import audit_visible_to
from capabilities.services import is_root
from deployments.listing import SEARCH_MAX

ROWS = 50
# A page does not wait for a log of years: of what is older the command line is asked.
SEALS_VERIFIED = 2_000


@require_safe
@login_required
def audit(request: HttpRequest) -> HttpResponse:
    """Show the audit log: all of it to a root, to others what they did themselves."""
    identity = identity_of(request)
    root = is_root(identity)
    rows = audit_visible_to(identity, root).defer("request", "token_chain")
    search, outcome = request.GET.get("q", "").strip()[:SEARCH_MAX], request.GET.get("outcome", "")
    if search:
        known = Identity.objects.filter(name__icontains=search).values_list("did", flat=True)
        rows = rows.filter(
            Q(path__icontains=search) | Q(actor__icontains=search) | Q(actor__in=known) | touching(search)
        )
    if outcome in AuditEntry.Outcome.values:
        rows = rows.filter(outcome=outcome)
    page = Paginator(rows, ROWS).get_page(request.GET.get("page"))
    dids = {entry.actor for entry in page.object_list}
    context = {
        "page": page,
        "entries": [(entry, [changed(one) for one in entry.changes]) for entry in page.object_list],
        "names": dict(Identity.objects.filter(did__in=dids).values_list("did", "name")),
        "search": search,
        "outcome": outcome,
        "outcomes": AuditEntry.Outcome.values,
        "seal": AuditSeal.objects.defer("leaves").first() if root else None,
        "verdict": _verified(root, request),
        "seals_verified": SEALS_VERIFIED,
    }
    return render(request, "pages/audit.html", context)


def changed(row: dict[str, Any]) -> dict[str, Any]:
    """Return one changed row for the page: what became of it, and field by field before and after."""
    before, after = row.get("before"), row.get("after")
    if "left_out" in row:
        return {"what": f"and {row['left_out']} more", "fields": []}
    word = "made" if before is None else "gone" if after is None else "changed"
    names = sorted({*(before or {}), *(after or {})})
    return {
        "what": f"{row['object']} {row['key']} {word}",
        "fields": [(name, (before or {}).get(name), (after or {}).get(name)) for name in names],
    }


def _verified(root: bool, request: HttpRequest) -> Verdict | None:
    return verify(SEALS_VERIFIED) if root and request.GET.get("verify") else None
