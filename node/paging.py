"""Lists below an object of the REST API (`/nodes/ID/events/`), paged like every other list."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from rest_framework.generics import GenericAPIView
from rest_framework.response import Response


def page_of(view: GenericAPIView[Any], rows: QuerySet[Any]) -> Response:
    """Return one page of `rows` in the form of the view's present action."""
    page = view.paginate_queryset(rows)
    return view.get_paginated_response(view.get_serializer(page, many=True).data)
