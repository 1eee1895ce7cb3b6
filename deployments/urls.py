"""Pages of deployments."""

from __future__ import annotations

from django.urls import path

from deployments import views

urlpatterns = [
    path("", views.deployment_list, name="deployments"),
    path("new/", views.deployment_new, name="deployment-new"),
    path("check/", views.deployment_check, name="deployment-check"),
    path("<str:pk>/", views.deployment_detail, name="deployment"),
    path("<str:pk>/shutdown/", views.deployment_shutdown, name="deployment-shutdown"),
]
