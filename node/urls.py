"""Pages of nodes."""

from __future__ import annotations

from django.urls import path

from node import views, views_capability

urlpatterns = [
    path("", views.node_list, name="nodes"),
    path("<uuid:pk>/", views.node_detail, name="node"),
    path("<uuid:pk>/samples/", views.node_samples, name="node-samples"),
    path("<uuid:pk>/onboard/", views.node_onboard, name="node-onboard"),
    path("<uuid:pk>/offboard/", views.node_offboard, name="node-offboard"),
    path("<uuid:pk>/benchmark/", views_capability.node_benchmark, name="node-benchmark"),
    path("<uuid:pk>/capability/", views_capability.node_capability, name="node-capability"),
    path("<uuid:pk>/drain/", views.node_drain, name="node-drain"),
]
