"""Pages that belong to no single room."""

from __future__ import annotations

from django.urls import include, path

from deployments.quota_view import quota_page
from dmsweb.pages import account, audit, caps, people, terminal_page, views

urlpatterns = [
    path("", views.overview, name="overview"),
    path("bar/", views.bar_state, name="bar"),
    path("audit/", audit.audit, name="audit"),
    path("", include("dmsweb.pages.login_urls")),
    path("capabilities/", caps.capabilities, name="capabilities"),
    path("capabilities/do/", caps.capabilities_do, name="capabilities-do"),
    path("people/", people.people, name="people"),
    path("teams/", people.teams, name="teams"),
    path("people/do/", people.people_do, name="people-do"),
    path("deployments/<str:pk>/terminal/<str:allocation>/", terminal_page.terminal, name="terminal"),
    path("account/quota/", quota_page, name="quota"),
    path("account/tokens/", account.tokens, name="tokens"),
    path("account/tokens/<str:key>/revoke/", account.token_end, name="token-revoke"),
]
