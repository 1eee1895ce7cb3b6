"""The pages of people: accounts, their roles, and what each role holds; organisations and teams."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from capabilities.asking import identity_of
from capabilities.models import Membership
from capabilities.refusal import Refusal
from capabilities.services import is_root
from capabilities.teams import LOOKS_AFTER
from dmsweb.accounts.roles import roles
from node import door
from node.person import demand, invoke

LIST = "/dms/user/list"
INVITE = "/dms/user/invite"
INVITATIONS = "/dms/user/invitation/list"
TEAMS = "/dms/team/list"
# What the forms of the page may ask for: behavior, and the request made of the form's fields.
DOORS: dict[str, Callable[[QueryDict], dict[str, Any]]] = {
    "/dms/user/add": lambda form: {"Name": form.get("name", ""), "Role": form.get("role", "")},
    "/dms/user/role": lambda form: {"Name": form.get("name", ""), "Role": form.get("role", "")},
    "/dms/user/disable": lambda form: {"Name": form.get("name", "")},
    "/dms/user/enable": lambda form: {"Name": form.get("name", "")},
    "/dms/role/set": lambda form: {
        "Name": form.get("name", ""),
        "Title": form.get("title", ""),
        "Capabilities": form.get("capabilities", "").split(),
    },
    "/dms/user/invitation/revoke": lambda form: {"ID": form.get("name", "")},
    "/dms/role/remove": lambda form: {"Name": form.get("name", "")},
    "/dms/organisation/new": lambda form: {"Name": form.get("name", "")},
    "/dms/organisation/remove": lambda form: {"Name": form.get("name", "")},
    "/dms/organisation/member": lambda form: {
        "Organisation": form.get("name", ""),
        "User": form.get("user", ""),
        "Level": form.get("place", ""),
    },
    "/dms/team/new": lambda form: {"Name": f"{form.get('organisation', '')}/{form.get('name', '')}"},
    "/dms/team/remove": lambda form: {"Name": form.get("name", "")},
    "/dms/team/member": lambda form: {
        "Team": form.get("name", ""),
        "User": form.get("user", ""),
        "Role": form.get("place", ""),
    },
}


@require_safe
@login_required
def teams(request: HttpRequest) -> HttpResponse:
    """Show the organisations that the person is of, with their people and teams."""
    demand(request, TEAMS)
    root = is_root(identity_of(request))
    organisations = invoke(request, TEAMS, {})["Organisations"]
    for organisation in organisations:
        organisation["LooksAfter"] = root or organisation["Level"] in LOOKS_AFTER
    context = {
        "organisations": organisations,
        "roles": [role.name for role in roles()],
        "levels": Membership.Level.values,
    }
    return render(request, "pages/teams.html", context)


@require_safe
@login_required
def people(request: HttpRequest) -> HttpResponse:
    """Show who may log in, with which role, and the roles there are."""
    demand(request, LIST)
    return _people(request)


def _people(request: HttpRequest, invited: str = "") -> HttpResponse:
    may_list = door.may(identity_of(request), INVITATIONS)
    context = {
        "invited": request.build_absolute_uri(invited) if invited else "",
        "invitations": invoke(request, INVITATIONS, {})["Invitations"] if may_list else [],
        "users": invoke(request, LIST, {})["Users"],
        "roles": invoke(request, "/dms/role/list", {})["Roles"],
    }
    return render(request, "pages/people.html", context)


@require_POST
@login_required
def people_do(request: HttpRequest) -> HttpResponse:
    """Invoke what a form of the page asks for."""
    path = request.POST.get("do", "")
    try:
        if path == INVITE:
            asked = {name: request.POST.get(name.lower(), "") for name in ("Role", "Name", "Team")}
            # The link is shown in this answer and never again.
            return _people(request, invoke(request, INVITE, asked)["Link"])
        if path not in DOORS:
            raise Refusal("invalid_request", f"this page does not do {path[:80]!r}")
        invoke(request, path, DOORS[path](request.POST))
        messages.success(request, f"{request.POST.get('name', '')[:150]}: done, and it counts from now on.")
    except Refusal as refusal:
        messages.error(request, f"{refusal.detail}. {refusal.hint}".strip())
    return redirect("teams" if path.startswith(("/dms/team/", "/dms/organisation/")) else "people")
