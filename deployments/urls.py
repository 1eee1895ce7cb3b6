"""Pages of deployments."""

from __future__ import annotations

from django.urls import path

from deployments import stats_views, views

urlpatterns = [
    path("", views.deployment_list, name="deployments"),
    path("new/", views.deployment_new, name="deployment-new"),
    path("check/", views.deployment_check, name="deployment-check"),
    path("<str:pk>/", views.deployment_detail, name="deployment"),
    path("<str:pk>/stats/", stats_views.deployment_stats, name="deployment-stats"),
    path("<str:pk>/stats/series/", stats_views.deployment_series, name="deployment-series"),
    path("<str:pk>/delete/", views.deployment_delete, name="deployment-delete"),
    path("<str:pk>/allocation/", views.deployment_allocation, name="deployment-allocation"),
    path("<str:pk>/team/", views.deployment_team, name="deployment-team"),
    path("<str:pk>/shutdown/", views.deployment_shutdown, name="deployment-shutdown"),
]
