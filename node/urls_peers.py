"""Pages of other sites."""

from __future__ import annotations

from django.urls import path

from node import views_peers

urlpatterns = [
    path("", views_peers.peer_list, name="peers"),
    path("invite/", views_peers.peer_invite, name="peer-invite"),
    path("join/", views_peers.peer_join, name="peer-join"),
    path("end/", views_peers.peer_end, name="peer-end"),
    path("ping/", views_peers.peer_ping, name="peer-ping"),
    path("invitations/<int:pk>/end/", views_peers.invitation_end, name="invitation-end"),
]
