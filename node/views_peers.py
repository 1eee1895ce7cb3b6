"""Pages of other sites: who is known, what each side may do, inviting, joining, ending."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from capabilities.asking import identity_of
from capabilities.refusal import Refusal
from node import door
from node.addresses import clock_words
from node.agreements import agreements
from node.invitations import BASE, WORDS
from node.person import invoke
from node.selectors import local_node
from node.visible import SEES_PEERS, invitations_visible_to, outgoing_visible_to, peers_visible_to

INVITE, PREVIEW, JOIN = "/dms/node/peers/invite", "/dms/node/peers/join/preview", "/dms/node/peers/join"
END, INVITE_END, PING = "/dms/node/peers/end", "/dms/node/peers/invite/end", "/dms/node/peers/ping"
SHOWN = 200
# What the form offers beyond hello and news of revocations; other paths go through the command line.
CHOICES = tuple((path, words) for path, words in WORDS.items() if path not in (*BASE, "/dms/node"))


@require_safe
@login_required
def peer_list(request: HttpRequest) -> HttpResponse:
    """Show the known sites and the invitations."""
    return _page(request)


def _page(request: HttpRequest, status: int = 200, **more: Any) -> HttpResponse:
    identity = identity_of(request)
    agreed = agreements()
    waiting: dict[int, list[str]] = {}
    for peer_id, error in outgoing_visible_to(identity).values_list("peer", "last_error")[: SHOWN * 5]:
        waiting.setdefault(peer_id, []).append(error)
    rows = [
        {
            "peer": peer,
            "clock": clock_words(peer.clock_offset_ms),
            "waiting": len(waiting.get(peer.pk, ())),
            "held": next(filter(None, waiting.get(peer.pk, ())), ""),
            **agreed.get(peer.did, {"they": [], "we": [], "until": None}),
        }
        for peer in peers_visible_to(identity)[:SHOWN]
    ]
    context = {
        "rows": rows,
        "node": local_node(),
        "choices": CHOICES,
        "sees": door.may(identity, SEES_PEERS),
        "invitations": list(invitations_visible_to(identity)[:20]),
        "may_invite": door.may(identity, INVITE),
        "may_join": door.may(identity, JOIN),
        "may_end": door.may(identity, END),
        "may_ping": door.may(identity, PING),
    }
    return render(request, "node/peers.html", context | more, status=status)


@never_cache
@login_required
@require_http_methods(["GET", "POST"])
def peer_invite(request: HttpRequest) -> HttpResponse:
    """Make an invitation and show its link this once; the page keeps itself fresh from here, without the link."""
    if request.method != "POST":
        return _page(request)
    asked = request.POST
    payload: dict[str, Any] = {"Can": asked.getlist("can"), "Want": asked.getlist("want")}
    try:
        payload |= {"Note": asked.get("note", ""), "Days": float(asked.get("days") or 7)}
        return _page(request, made=invoke(request, INVITE, payload), made_for=asked.get("note", ""))
    except ValueError:
        return _page(request, 422, invite_refusal=Refusal("invalid_request", "days is not a number"))
    except Refusal as refusal:
        return _page(request, refusal.status, invite_refusal=refusal)


@never_cache
@login_required
@require_http_methods(["GET", "POST"])
def peer_join(request: HttpRequest) -> HttpResponse:
    """Show what each side gets by a link; with consent, join."""
    if not door.may(identity_of(request), JOIN):
        raise PermissionDenied
    link = request.POST.get("link", "").strip()
    if request.method != "POST" or not link:
        return redirect("peers")
    try:
        shown = invoke(request, PREVIEW, {"Link": link})
        if request.POST.get("yes"):
            joined = invoke(request, JOIN, {"Link": link})
            clock = f" {joined['Clock']}: set the clocks." if joined.get("Clock") else ""
            messages.success(request, f"Joined {joined['Name'] or joined['DID']}.{clock}")
            return redirect("peers")
    except Refusal as refusal:
        return _page(request, refusal.status, join_refusal=refusal, link=link)
    return render(request, "node/join.html", {"shown": shown, "link": link})


@login_required
@require_POST
def peer_end(request: HttpRequest) -> HttpResponse:
    """End what was agreed with a site."""
    return _done(request, END, {"DID": request.POST.get("did", "")}, "Ended: what it held is revoked.")


@login_required
@require_POST
def invitation_end(request: HttpRequest, pk: int) -> HttpResponse:
    """Take an invitation back."""
    return _done(request, INVITE_END, {"ID": pk}, "The invitation is taken back.")


@login_required
@require_POST
def peer_ping(request: HttpRequest) -> HttpResponse:
    """Say hello to a site now."""
    try:
        answer = invoke(request, PING, {"Host": request.POST.get("did", "")})
    except Refusal as refusal:
        answer = {"Error": refusal.detail}
    if answer.get("Error"):
        messages.error(request, f"No answer: {answer['Error']}")
    else:
        messages.success(
            request, f"It answered within {answer['RTT']} ms. {answer.get('Clock') or ''}".strip()
        )
    return redirect("peers")


def _done(request: HttpRequest, path: str, payload: dict[str, Any], said: str) -> HttpResponse:
    try:
        invoke(request, path, payload)
        messages.success(request, said)
    except Refusal as refusal:
        messages.error(request, f"{refusal.detail}. {refusal.hint}".strip())
    return redirect("peers")


@never_cache
@require_safe
def landing(request: HttpRequest) -> HttpResponse:
    """Say to whoever opens an invitation link here where it belongs; what is behind the # never comes here."""
    return render(request, "node/landing.html")
