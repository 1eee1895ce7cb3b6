"""Routes below /api/."""

from __future__ import annotations

from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView
from rest_framework.routers import SimpleRouter

from deployments.api import AllocationViewSet, BidViewSet, DeploymentViewSet, EventViewSet
from deployments.api_exec import ExecSessionViewSet
from deployments.api_tombstones import TombstoneViewSet
from dmsweb.api.actor import BroadcastView, HandleView, InvokeView, SendView
from dmsweb.api.behaviors import BehaviorView, CatalogueView
from dmsweb.api.me import ApiTokenViewSet, AuditViewSet, GrantViewSet, MeView
from dmsweb.api.problems import not_found_view
from dmsweb.api.schema import DocsView
from node.api import NodeEventViewSet, NodeViewSet, PortViewSet, ReservationViewSet
from node.api_peers import InvitationViewSet, OutgoingViewSet, PeerViewSet

# With and without the last slash: a reader of logs should not have to follow a redirection.
router = SimpleRouter()
router.trailing_slash = "/?"
router.register("deployments", DeploymentViewSet)
router.register("allocations", AllocationViewSet)
router.register("events", EventViewSet)
router.register("bids", BidViewSet)
router.register("tombstones", TombstoneViewSet)
router.register("exec-sessions", ExecSessionViewSet)
router.register("nodes", NodeViewSet)
router.register("node-events", NodeEventViewSet)
router.register("reservations", ReservationViewSet)
router.register("ports", PortViewSet)
router.register("peers", PeerViewSet)
router.register("outgoing", OutgoingViewSet)
router.register("invitations", InvitationViewSet)
router.register("tokens", ApiTokenViewSet)
router.register("grants", GrantViewSet)
router.register("audit", AuditViewSet)

v1 = [
    path("behaviors/", CatalogueView.as_view(), name="behaviors"),
    path("actor/handle", HandleView.as_view(), name="actor-handle"),
    path("actor/send", SendView.as_view(), name="actor-send"),
    path("actor/invoke", InvokeView.as_view(), name="actor-invoke"),
    path("actor/broadcast", BroadcastView.as_view(), name="actor-broadcast"),
    path("me/", MeView.as_view(), name="me"),
    *router.urls,
    # Whatever else is asked for below /api/v1/ is a behavior, or is nothing.
    path("<path:path>", BehaviorView.as_view(), name="behavior"),
]
urlpatterns = [
    path("schema/", SpectacularAPIView.as_view(), name="schema"),
    path("docs/", DocsView.as_view(url_name="schema"), name="docs"),
    path("v1/", include(v1)),
    path("<path:path>", not_found_view),
]
