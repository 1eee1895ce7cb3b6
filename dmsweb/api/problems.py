"""Errors of the REST API as RFC 9457 problem documents, whoever raised them."""

from __future__ import annotations

import logging
import uuid
from http import HTTPStatus
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, JsonResponse
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import set_rollback

from capabilities.refusal import Reason, Refusal
from node.logger.context import request_id as current_request

logger = logging.getLogger(__name__)

CONTENT_TYPE = "application/problem+json"
HINTS = {
    401: "send `Authorization: Bearer <token>`, or log in",
    405: "the Allow header names the methods that work here",
    415: "send application/json",
}


def handle(error: Exception, context: dict[str, Any]) -> Response:
    """Turn any exception of a REST view into a problem document; what nobody expected is logged as ours."""
    refusal = of(error)
    headers = {}
    wait = getattr(error, "wait", None)
    if wait or refusal.status == HTTPStatus.TOO_MANY_REQUESTS:
        headers["Retry-After"] = str(int(wait or 1))
    if header := getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = header
    set_rollback()
    return Response(refusal.problem(), status=refusal.status, headers=headers, content_type=CONTENT_TYPE)


def of(error: Exception) -> Refusal:
    """Return the refusal that says what `error` says."""
    if isinstance(error, Refusal):
        return error
    if isinstance(told := getattr(error, "refusal", None), Refusal):
        return told
    if isinstance(error, Http404):
        return Refusal("not_found", str(error) or "there is nothing here", status=404)
    if isinstance(error, PermissionDenied):
        return Refusal("not_authorized", str(error) or "not allowed", status=403)
    if isinstance(error, exceptions.APIException):
        return _of_framework(error)
    request_id = current_request() or uuid.uuid4().hex
    logger.error("request %s failed", request_id, exc_info=error)
    return Refusal(
        "internal_error",
        "this failed unexpectedly",
        status=500,
        hint=f"the log of this site has the cause under request {request_id}",
        request_id=request_id,
    )


def answer(refusal: Refusal) -> JsonResponse:
    """Return a refusal as an answer outside of REST views."""
    return JsonResponse(refusal.problem(), status=refusal.status, content_type=CONTENT_TYPE)


def not_found_view(request: HttpRequest, path: str = "") -> JsonResponse:
    """Answer for a path below /api/ that does not exist."""
    return answer(
        Refusal(
            "not_found",
            f"there is nothing at {request.path[:200]}",
            status=404,
            hint="GET /api/v1/behaviors/ lists the behaviors, /api/docs/ everything",
        )
    )


def _of_framework(error: exceptions.APIException) -> Refusal:
    code = error.default_code if isinstance(error.default_code, str) else "error"
    reasons = tuple(_reasons(error.detail))
    detail = "; ".join(reason.message for reason in reasons) or str(error)
    names = {"not_authenticated": "not_authenticated", "authentication_failed": "not_authenticated"}
    shown = reasons if isinstance(error, exceptions.ValidationError) else ()
    return Refusal(
        "invalid_request" if isinstance(error, exceptions.ValidationError) else names.get(code, code),
        detail,
        status=error.status_code,
        hint=HINTS.get(error.status_code, ""),
        reasons=shown,
    )


def _reasons(detail: Any, path: str = "") -> list[Reason]:
    if isinstance(detail, dict):
        return [
            reason
            for key, value in detail.items()
            for reason in _reasons(value, f"{path}.{key}" if path else str(key))
        ]
    if isinstance(detail, list):
        return [reason for value in detail for reason in _reasons(value, path)]
    return [Reason(str(getattr(detail, "code", "invalid")), str(detail), path)]
