"""Routes of the site: pages of each app, REST under /api/v1/, the admin, health."""

from __future__ import annotations

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

from dmsweb.api.health import livez, readyz
from dmsweb.api.metrics import MetricsView
from node.views_peers import landing

# Who tries too often: also where django-allauth says so.
handler429 = "dmsweb.pages.account.too_many"
urlpatterns: list[URLPattern | URLResolver] = [
    path("livez", livez, name="livez"),
    path("readyz", readyz, name="readyz"),
    path("metrics", MetricsView.as_view(), name="metrics"),
    path("admin/", admin.site.urls),
    path("api/", include("dmsweb.api.urls")),
    path("nodes/", include("node.urls")),
    path("deployments/", include("deployments.urls")),
    path("jobs/", include("deployments.urls_jobs")),
    path("peers/", include("node.urls_peers")),
    path("join/", landing, name="invitation"),
    path("", include("dmsweb.pages.urls")),
]
