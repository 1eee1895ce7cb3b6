"""The page of capabilities: who may do what here, on which chain that rests, until when; and changing it."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from capabilities import forest
from capabilities.anchored import AnchorRow, anchored
from capabilities.asking import identity_of
from capabilities.contexts import context_names
from capabilities.models import Identity
from capabilities.refusal import Reason, Refusal
from capabilities.selectors import CONTEXT, tokens_visible_to
from capabilities.services import is_root
from deployments.listing import SEARCH_MAX
from dmsweb.pages.left import marks
from node import door
from node.person import invoke
from node.registry import REGISTRY

ROWS = 25
PEOPLE_SHOWN = 200
DAY_S = 86_400
LIST, CHECK, INSPECT = "/dms/cap/list", "/dms/cap/check", "/dms/cap/inspect"
GRANT, DELEGATE = "/dms/cap/grant", "/dms/cap/delegate"


@require_safe
@login_required
def capabilities(request: HttpRequest) -> HttpResponse:
    """Show what was granted as trees, the anchors of a context, and the answer to a question that was asked."""
    return _page(request)


@require_POST
@login_required
def capabilities_do(request: HttpRequest) -> HttpResponse:
    """Invoke what a form of the page asks for; what was given is kept in the form when it is refused."""
    path, form = request.POST.get("do", ""), request.POST
    try:
        if path not in DOORS:
            raise Refusal("invalid_request", f"this page does not do {path[:80]!r}")
        answer = invoke(request, path, DOORS[path](form))
    except Refusal as refusal:
        if path in (GRANT, DELEGATE, INSPECT):
            return _page(request, refusal=refusal, refused=path, form=form)
        messages.error(request, f"{refusal.detail}. {refusal.hint}".strip())
        return redirect("capabilities")
    if path == INSPECT:
        return _page(request, inspected=answer["Tokens"], form=form)
    if path in (GRANT, DELEGATE):
        # The token is shown in this answer: for another site it has to be carried there.
        return _page(
            request,
            made=json.dumps(answer["Token"], separators=(",", ":")),
            made_for=form.get("subject", "")[:160],
        )
    messages.success(request, "Done, and it counts from now on.")
    return redirect("capabilities")


def _page(request: HttpRequest, **shown: Any) -> HttpResponse:
    identity, now = identity_of(request), timezone.now()
    root = is_root(identity)
    visible = tokens_visible_to(identity, root)
    past, words = bool(request.GET.get("past")), request.GET.get("q", "").strip()[:SEARCH_MAX]
    page = Paginator(forest.tops(visible, now, words=words, past=past), ROWS).get_page(
        request.GET.get("page")
    )
    trees = forest.grow(list(page.object_list), visible, now, past=past)
    lists = _anchors(request, identity, root, now)
    dids = forest.dids(trees) | {
        did for rows in lists["anchors"].values() for row in rows for did in row.dids
    }
    context = {
        "page": page,
        "trees": trees,
        "past": past,
        "words": words,
        "root": root,
        "marks": marks(),
        "gives": GRANT if root else DELEGATE if door.may(identity, DELEGATE) else "",
        "people": Identity.objects.exclude(kind=Identity.Kind.NODE).order_by("name")[:PEOPLE_SHOWN]
        if root
        else [identity],
        "paths": sorted(entry.path for entry in REGISTRY),
        "asked": {name: request.GET.get(name, "") for name in ("who", "can", "on")},
        "answer": _answer(request, identity),
        **lists,
        **shown,
    }
    for chain in (
        (context["answer"] or {}).get("Chain", ()),
        *(one["Links"] for one in shown.get("inspected", ())),
    ):
        dids |= {link[end] for link in chain for end in ("issuer", "subject")}
    dids.add(_did(context["asked"]["who"]))
    dids.add(_did(context["asked"]["on"]))
    if lists["context_name"]:
        dids.add(lists["context_did"])
    context["names"] = dict(Identity.objects.filter(did__in=dids).values_list("did", "name"))
    return render(request, "capabilities/page.html", context)


def _anchors(request: HttpRequest, identity: Identity, root: bool, now: datetime) -> dict[str, Any]:
    if not door.may(identity, LIST):
        return {"anchors": dict[str, list[AnchorRow]](), "contexts": [], "context_name": ""}
    names = context_names() if root else [CONTEXT]
    chosen = request.GET.get("of", CONTEXT)
    chosen = chosen if chosen in names else CONTEXT
    did, rows, counts = anchored(chosen, now)
    return {
        "anchors": rows,
        "anchor_counts": counts,
        "contexts": names,
        "context_name": chosen,
        "context_did": did,
        "own_context": chosen == CONTEXT,
    }


def _answer(request: HttpRequest, identity: Identity) -> dict[str, Any] | None:
    """Ask what the address asks: may WHO do CAN?"""
    who, can = request.GET.get("who", "").strip(), request.GET.get("can", "").strip()
    if not who or not can:
        return None
    asked = {"Who": _did(who), "Can": can, "On": _did(request.GET.get("on", "").strip())}
    try:
        return invoke(request, CHECK, asked)
    except Refusal as refusal:
        return {"Refused": refusal}


def _did(text: str) -> str:
    """Return the DID that was given, or that of whoever is known here by this name."""
    if not text or text.startswith("did:"):
        return text
    found = list(Identity.objects.filter(name=text).values_list("did", flat=True)[:2])
    return found[0] if len(found) == 1 else text


def _given(form: QueryDict) -> dict[str, Any]:
    return {
        "Subject": _did(form.get("subject", "").strip()),
        "Capabilities": form.get("capabilities", "").split(),
        "Topics": form.get("topics", "").split(),
        "Depth": _number(form, "depth", 0),
        "LifetimeSeconds": _number(form, "days", 365) * DAY_S,
    }


def _number(form: QueryDict, name: str, default: int) -> float:
    text = form.get(name, "").strip() or str(default)
    try:
        return int(text) if name == "depth" else float(text)
    except ValueError:
        detail = f"{text[:40]!r} is no number"
        raise Refusal("invalid_request", detail, reasons=(Reason("number", detail, name),)) from None


def _tokens(form: QueryDict) -> dict[str, Any]:
    try:
        document = json.loads(form.get("token", ""))
    except ValueError as fault:
        raise Refusal(
            "invalid_request",
            f"this is no token: {fault}",
            hint='a token is JSON, as grant, delegate and inspect print it: {"tok": [...]}',
        ) from None
    if not isinstance(document, dict):
        raise Refusal("invalid_request", "this is no token: a token is a JSON object")
    return {"Token": document}


def _named(form: QueryDict) -> dict[str, Any]:
    number = form.get("id", "")
    return {"ID": int(number) if number.isdecimal() else 0}


# What the forms of the page may ask for: behavior, and the request made of the form's fields.
DOORS: dict[str, Callable[[QueryDict], dict[str, Any]]] = {
    GRANT: _given,
    DELEGATE: _given,
    INSPECT: _tokens,
    "/dms/cap/revoke": _named,
    "/dms/cap/renew": _named,
    "/dms/cap/require/anchor": _tokens,
    "/dms/cap/provide/anchor": _tokens,
    "/dms/cap/revoke/anchor": _tokens,
    "/dms/cap/remove": lambda form: {"Kind": form.get("kind", ""), "Key": form.get("key", "")},
}
