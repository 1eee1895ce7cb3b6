"""The Celery application: JSON only, wake-ups that may be lost, no results, one queue a purpose."""

from __future__ import annotations

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dmsweb.settings")

app = Celery("dmsweb")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.conf.update(
    accept_content=["json"],
    task_serializer="json",
    task_ignore_result=True,
    task_acks_late=False,
    task_default_queue="orchestrator",
    task_create_missing_queues=True,
    worker_hijack_root_logger=False,
    worker_prefetch_multiplier=1,
    worker_enable_remote_control=False,
    worker_send_task_events=False,
    broker_connection_retry_on_startup=True,
    # One try to publish: whoever wakes a worker must not wait for a dead broker, the sweep finds the row.
    broker_transport_options={
        "socket_connect_timeout": 2,
        "socket_timeout": 10,
        "visibility_timeout": 3600,
        "max_retries": 1,
        "interval_start": 0,
        "interval_step": 0,
    },
    imports=["workers.tasks", "workers.lifecycle", "workers.tracing", "dmsweb.accounts.tasks"],
)
# Every thread of every process publishes through this application.
app.set_default()
