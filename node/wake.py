"""Wake a worker by task name after commit: the only way a lower room asks for something done outside.

A wake-up may be lost (broker down, worker killed): the row that was written first stays, and the periodic
sweep finds it. So a failure to publish is logged and never reaches the caller.
"""

from __future__ import annotations

import logging
from typing import Any

from celery import current_app
from django.db import transaction

from node.logger.context import request_id

logger = logging.getLogger(__name__)
# The header of a message that says for which request the task works.
REQUEST_HEADER = "dms_request"


def wake(task: str, *args: Any, queue: str, after_s: float = 0.0) -> None:
    """Send `task` with `args` to `queue` once the current transaction has committed; it is done `after_s` later."""

    headers = {REQUEST_HEADER: request_id()} if request_id() else None

    def send() -> None:
        try:
            current_app.send_task(
                task,
                args=list(args),
                queue=queue,
                ignore_result=True,
                retry=False,
                headers=headers,
                countdown=after_s or None,
            )
        except Exception as error:  # noqa: BLE001 - any broker failure: the sweep finds the row
            logger.warning("wake %s%r on %s failed, the sweep will find it: %s", task, args, queue, error)

    transaction.on_commit(send)
