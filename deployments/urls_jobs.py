"""Pages of what runs on this site's machines."""

from __future__ import annotations

from django.urls import path

from deployments import views_jobs

urlpatterns = [
    path("", views_jobs.job_list, name="jobs"),
    path("<str:pk>/stop/", views_jobs.job_stop, name="job-stop"),
]
