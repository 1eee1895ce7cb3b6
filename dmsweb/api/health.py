"""/livez: the process answers. /readyz: so do the database, the broker and the tables it needs."""

from __future__ import annotations

from typing import Any

import redis
from django.conf import settings
from django.db import connections
from django.db.utils import Error
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from capabilities.numbers import NUMBERS
from dmsweb.migrating import is_current

# Tables only ever gain migrations while a process lives: once complete, not looked at again.
_migrated: list[bool] = []


@require_safe
@never_cache
def livez(request: HttpRequest) -> HttpResponse:
    """Say that the process answers."""
    return JsonResponse({"status": "ok"})


@require_safe
@never_cache
def readyz(request: HttpRequest) -> HttpResponse:
    """Say whether the site can do its work: 200, or 503 with the reason of each failed check."""
    checks = {"database": _database(), "broker": _broker(), "migrations": _migrations()}
    ready = all(check["ok"] for check in checks.values())
    return JsonResponse({"ready": ready, "checks": checks}, status=200 if ready else 503)


def _database() -> dict[str, Any]:
    for alias in settings.DATABASES:
        try:
            with connections[alias].cursor() as cursor:
                cursor.execute("SELECT 1")
        except Error as error:
            return {"ok": False, "reason": f"database {alias}: {type(error).__name__}"}
    return {"ok": True}


def _broker() -> dict[str, Any]:
    timeout = NUMBERS.ready_check_timeout_s
    client = redis.Redis.from_url(settings.REDIS_URL, socket_timeout=timeout, socket_connect_timeout=timeout)
    try:
        client.ping()
    except (redis.RedisError, OSError) as error:
        return {"ok": False, "reason": f"broker: {type(error).__name__}"}
    finally:
        client.close()
    return {"ok": True}


def _migrations() -> dict[str, Any]:
    if not _migrated and is_current():
        _migrated.append(True)
    if _migrated:
        return {"ok": True}
    return {"ok": False, "reason": "the database lacks migrations of this version: restart with ./dms up"}
